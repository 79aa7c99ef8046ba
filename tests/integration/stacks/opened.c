/* stacks.sh builds it twice: the same function at the same offset, with frames of different sizes. */
#include <stddef.h>
#include <string.h>

__attribute__((visibility("default"))) void call_back(void (*f)(size_t))
{
	volatile char room[ROOM];
	room[ROOM - 1] = 1;
	f(ROOM);
	room[0] = 2;
}
