/* Exceptions: unwinding skips a bare delete; objects of the thrown kind are freed; one in flight at exit, and one kept, are held. */
// expect: definite 20 blocks 1440 bytes bare
#include "leak.h"
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

HELD std::exception_ptr kept;

static SITE void thrower(int depth)
{
	std::string local(100, 'x');
	if (depth == 0)
		throw std::runtime_error("a message that is too long for the exception itself, and is counted");
	thrower(depth - 1);
	use(&local);
}

static SITE char *bare() { return static_cast<char *>(made(new char[72])); }

static SITE void leaks()
{
	char *p = bare();
	auto owned = std::make_unique<int[]>(100);
	thrower(5);
	use(owned.get());
	delete[] p;
}

static SITE void keep()
{
	try {
		thrower(2);
	} catch (...) {
		kept = std::current_exception();
	}
}

static SITE void ends_in_flight()
{
	try {
		thrower(3);
	} catch (const std::exception &e) {
		kit_scrub();
		std::exit(0);
	}
}

int main()
{
	for (int i = 0; i < 20; i++)
		try {
			leaks();
		} catch (const std::runtime_error &) {
		}
	keep();
	ends_in_flight();
	return 1;
}
