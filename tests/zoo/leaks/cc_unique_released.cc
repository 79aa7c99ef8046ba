/* release() without delete, a raw pointer of a vector that is cleared, and polymorphic objects deleted by their base. */
// expect: definite 1 blocks 24 bytes released
// expect: definite 10 blocks 240 bytes cleared
#include "leak.h"
#include <memory>
#include <vector>

struct base { virtual ~base() = default; };
struct derived : base {
	long value[2] = { 1, 2 };
	static SITE derived *released() { return static_cast<derived *>(made(new derived)); }
	static SITE derived *cleared() { return static_cast<derived *>(made(new derived)); }
	static SITE derived *deleted() { return static_cast<derived *>(made(new derived)); }
};

static SITE void lose()
{
	std::unique_ptr<base> one(derived::released()), two(derived::deleted());
	use(one.release());
	std::vector<base *> all;
	for (int i = 0; i < 10; i++)
		all.push_back(derived::cleared());
	all.clear();
}

int main()
{
	lose();
	kit_scrub();
}
