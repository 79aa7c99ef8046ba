/* Every form of new, lost once and kept once. */
// expect: definite 1 blocks 72 bytes plain
// expect: definite 1 blocks 73 bytes array
// expect: definite 1 blocks 74 bytes nothrow
// expect: definite 1 blocks 75 bytes nothrow_array
// expect: definite 1 blocks 128 bytes aligned
// expect: definite 1 blocks 256 bytes aligned_array
#include "leak.h"
#include <new>

HELD void *held[8];
struct alignas(64) wide { char bytes[128]; };

static SITE void *plain() { return made(operator new(72)); }
static SITE void *array() { return made(new char[73]); }
static SITE void *nothrow() { return made(operator new(74, std::nothrow)); }
static SITE void *nothrow_array() { return made(new (std::nothrow) char[75]); }
static SITE void *aligned() { return made(new wide); }
static SITE void *aligned_array() { return made(new wide[2]); }

static void *(*const all[])() = { plain, array, nothrow, nothrow_array, aligned, aligned_array };

int main()
{
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		held[i] = all[i]();
		all[i]();
	}
	kit_scrub();
}
