/* Blocks that the C library allocates for the program: lost, and kept. */
// expect: definite 1 blocks 20 bytes by_strdup
// expect: definite 1 blocks 8 bytes by_strndup
// expect: definite 1 blocks 120 bytes by_getline
// expect: definite 1 blocks 100 bytes by_asprintf
// expect: definite 1 blocks ? bytes by_realpath
// expect: definite 1 blocks 1 bytes by_memstream
#include "leak.h"
#include <limits.h>

HELD char *held[16];

static SITE char *by_strdup(void) { return made(strdup("nineteen characters")); }
static SITE char *by_strndup(void) { return made(strndup("seventeen characters", 7)); }
static SITE char *by_getline(void)
{
	char *line = NULL;
	size_t room = 0;
	FILE *f = fopen("/proc/self/status", "r");
	if (!f || getline(&line, &room, f) < 0)
		_exit(2);
	fclose(f);
	return made(line);
}
static SITE char *by_asprintf(void)
{
	char *line;
	if (asprintf(&line, "%099d", 1) != 99)
		_exit(2);
	return made(line);
}
static SITE char *by_realpath(void) { return made(realpath("/", NULL)); }
static SITE char *by_memstream(void)
{
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	if (!f)
		_exit(2);
	fclose(f);
	return made(text);
}

static char *(*const all[])(void) = { by_strdup, by_strndup, by_getline, by_asprintf, by_realpath, by_memstream };

int main(void)
{
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		held[i] = all[i]();
		all[i]();
	}
	kit_scrub();
	return 0;
}
