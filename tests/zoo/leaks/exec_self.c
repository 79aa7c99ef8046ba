/* exec replaces the process and its heap: only the new image reports. */
// expect: definite 1 blocks 88 bytes second_image
#include "leak.h"

static SITE void first_image(void) { made(malloc(72)); }
static SITE void second_image(void) { made(malloc(88)); }

int main(int argc, char **argv)
{
	if (argc == 1) {
		first_image();
		execl("/proc/self/exe", argv[0], "again", (char *)NULL);
		return 2;
	}
	second_image();
	kit_scrub();
	return 0;
}
