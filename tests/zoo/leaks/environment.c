/* putenv keeps the pointer; a variable that is replaced loses its string, which the caller alone could free. */
// expect: definite 1 blocks 64 bytes replaced
#include "leak.h"

static SITE char *replaced(void) { return made(calloc(1, 64)); }
static SITE char *kept(void) { return made(calloc(1, 64)); }

static SITE void set(char *text, const char *value)
{
	strcpy(text, "CGC_LEAK_ZOO=");
	strcat(text, value);
	if (putenv(text))
		_exit(2);
}

int main(void)
{
	set(replaced(), "one");
	set(kept(), "two");
	kit_scrub();
	return 0;
}
