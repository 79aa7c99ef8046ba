/* new[] of objects with destructors keeps their number before the first: the program's pointer is an interior one, as good as any. */
// expect: definite 1 blocks 168 bytes lost_array
#include "leak.h"

struct object {
	long value[2];
	object() : value{ 1, 2 } {}
	~object() { use(value); }
};
HELD object *held;

static SITE object *held_array() { return static_cast<object *>(made(new object[10])); }
static SITE object *lost_array() { return static_cast<object *>(made(new object[10])); }

int main()
{
	held = held_array();
	lost_array();
	delete[] lost_array();
	kit_scrub();
}
