/* Two objects that own each other by shared_ptr: one block of each pair is definite. By weak_ptr back they are freed. */
// expect: definite 5 blocks 320 bytes make_pair
// expect: indirect 5 blocks 320 bytes make_pair
#include "leak.h"
#include <memory>

struct node {
	std::shared_ptr<node> next;
	std::weak_ptr<node> back;
	long value[2];
};

static SITE void make_pair(bool strong)
{
	auto a = std::make_shared<node>(), b = std::make_shared<node>();
	a->next = b;
	if (strong)
		b->next = a;
	else
		b->back = a;
}

int main()
{
	for (int i = 0; i < 5; i++) {
		make_pair(true);
		make_pair(false);
	}
	kit_scrub();
}
