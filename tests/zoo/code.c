/* The only pointer is an operand of generated machine code, at an odd address: movabs $block, %rax; ret. */
#include "zoo.h"
#include <sys/mman.h>

static unsigned char *code;

static __attribute__((noinline)) void place(void)
{
	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code == MAP_FAILED)
		exit(2);
	void *block = zoo_block();
	unsigned char *at = code + 1025;
	*at++ = 0x48;
	*at++ = 0xB8;
	memcpy(at, &block, sizeof block);
	at[8] = 0xC3;
}

static void *look(void)
{
	void *(*generated)(void);
	unsigned char *at = code + 1025;
	memcpy(&generated, &at, sizeof generated);
	return generated();
}

int main(void) { return zoo_with_place(place, look); }
