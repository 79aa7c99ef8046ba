/* stacks.sh and backtrace_test build it twice: the same function at the same offset, with frames of different sizes. */
#include <stddef.h>

void call_back(void (*f)(size_t));
__attribute__((visibility("default"))) void call_back(void (*f)(size_t))
{
	volatile char room[ROOM];
	room[ROOM - 1] = 1;
	f(ROOM);
	(void)room[ROOM - 1];
}
