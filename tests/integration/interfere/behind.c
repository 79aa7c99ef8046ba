/* Linked with libjemalloc, whose own interface makes blocks that the standard functions take. */
#include <stdio.h>
#include <stdlib.h>
#include <malloc.h>
#include <string.h>
void *mallocx(size_t size, int flags) __attribute__((weak));

int main(void)
{
	int wrong = 0;
	for (int i = 0; i < 5000; i++) {
		char *p = mallocx ? mallocx((size_t)i % 500 + 1, 0) : malloc(500), *q = malloc((size_t)i % 300 + 1);
		memset(p, 1, (size_t)i % 500 + 1);
		wrong += malloc_usable_size(p) < (size_t)i % 500 + 1 || malloc_usable_size(q) < (size_t)i % 300 + 1;
		if (i % 3 == 0)
			p = realloc(p, 2000);
		free(p);
		free(q);
	}
	printf("%d wrong\n", wrong);
	return wrong != 0;
}
