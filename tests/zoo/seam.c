/* A pointer at a multiple of 4, half of which lies in one mapping and half in the next: a page that is protected, shared or code. */
#include <sys/mman.h>

#include "zoo.h"

enum { PAGE = 4096, KINDS = 5 };
static char *pages[KINDS];

static void place(void)
{
	static const int protections[KINDS] = { PROT_READ, PROT_NONE, PROT_READ | PROT_EXEC, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE };
	for (int i = 0; i < KINDS; i++) {
		pages[i] = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (pages[i] == MAP_FAILED || (i >= 3 && mmap(pages[i] + (4 - i) * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED))
			exit(2);
		void *volatile block = zoo_block();
		memcpy(pages[i] + PAGE - 4, (void *)&block, sizeof block);
		block = NULL;
		mprotect(pages[i] + PAGE, PAGE, protections[i]);
	}
}

static int look(void)
{
	int result = 0;
	for (int i = 0; i < KINDS; i++) {
		void *block;
		mprotect(pages[i] + PAGE, PAGE, PROT_READ);
		memcpy(&block, pages[i] + PAGE - 4, sizeof block);
		result |= zoo_verdict(block);
	}
	return result;
}

int main(void)
{
	zoo_needs_collector();
	place();
	zoo_collect(ZOO_SIZE);
	return look();
}
