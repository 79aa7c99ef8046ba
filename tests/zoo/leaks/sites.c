/* 5,000 functions that lose one block each. */
// expect: definite 5000 blocks 160000 bytes site_*
// sites: 5000
#include "leak.h"

#define ONE(n) static SITE void site_##n(void) { made(malloc(32)); }
#define TEN(m, n) m(n##0) m(n##1) m(n##2) m(n##3) m(n##4) m(n##5) m(n##6) m(n##7) m(n##8) m(n##9)
#define HUNDRED(m, n) TEN(m, n##0) TEN(m, n##1) TEN(m, n##2) TEN(m, n##3) TEN(m, n##4) TEN(m, n##5) TEN(m, n##6) TEN(m, n##7) TEN(m, n##8) TEN(m, n##9)
#define THOUSAND(m, n) HUNDRED(m, n##0) HUNDRED(m, n##1) HUNDRED(m, n##2) HUNDRED(m, n##3) HUNDRED(m, n##4) HUNDRED(m, n##5) \
	HUNDRED(m, n##6) HUNDRED(m, n##7) HUNDRED(m, n##8) HUNDRED(m, n##9)
#define ALL(m) THOUSAND(m, 1) THOUSAND(m, 2) THOUSAND(m, 3) THOUSAND(m, 4) THOUSAND(m, 5)

ALL(ONE)
#define NAME(n) site_##n,
static void (*const sites[])(void) = { ALL(NAME) };

int main(void)
{
	for (size_t i = 0; i < sizeof sites / sizeof *sites; i++)
		sites[i]();
	kit_scrub();
	return 0;
}
