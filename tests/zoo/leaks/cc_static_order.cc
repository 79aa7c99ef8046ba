/* Leaks of constructors and destructors of statics; what statics own is freed before the report, or held. */
// expect: definite 1 blocks 72 bytes in_constructor
// expect: definite 1 blocks 72 bytes in_destructor
// expect: definite 1 blocks 96 bytes owned_by_lost
#include "leak.h"
#include <string>

static SITE void in_constructor() { made(malloc(72)); }
static SITE void in_destructor() { made(malloc(72)); }
static SITE char *owned_by_lost() { return static_cast<char *>(made(new char[96])); }

struct careless {
	char *p;
	std::string name = "a name that is freed by the destructor, which has more than fits";
	careless() : p(owned_by_lost()) { in_constructor(); }
	~careless()
	{
		p = nullptr;
		in_destructor();
		kit_scrub();
	}
};
static careless object;

static SITE std::string &once()
{
	static std::string *never_destroyed = new std::string("as large libraries do it, to have no destructors at exit");
	return *never_destroyed;
}

int main()
{
	use(&once());
	kit_scrub();
}
