/* Held by a pointer to its second base class only: an interior pointer, as good as any. By a virtual base as well. */
// expect: definite 1 blocks 56 bytes lost
#include "leak.h"

struct one { virtual ~one() {} long a = 1; };
struct two { virtual ~two() {} long b[2] = { 2, 3 }; };
struct both : one, two { long c[2] = { 4, 5 }; };
struct base { virtual ~base() {} long d[2] = { 6, 7 }; };
struct derived : virtual base { long e[2] = { 8, 9 }; };

HELD two *held;
HELD base *held_too;

static SITE void second_base() { held = static_cast<both *>(made(new both)); }
static SITE void virtual_base() { held_too = static_cast<derived *>(made(new derived)); }
static SITE void lost() { made(new both); }

int main()
{
	second_base();
	virtual_base();
	lost();
	kit_scrub();
}
