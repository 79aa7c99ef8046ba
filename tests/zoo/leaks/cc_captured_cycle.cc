/* A function object that captures the shared_ptr of the object that owns it. */
// expect: definite 1 blocks 56 bytes make
// expect: indirect 1 blocks 16 bytes make
#include "leak.h"
#include <functional>
#include <memory>

struct button {
	std::function<void()> click;
	long state;
};

static SITE void make()
{
	auto b = std::make_shared<button>();
	b->click = [b] { b->state++; };
	b->click();
}

int main()
{
	make();
	kit_scrub();
}
