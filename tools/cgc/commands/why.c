/*
 * `cgc why`: who holds a block: the process itself looks for the path from a root to it and answers in lines. A site stands for the block that
 * its snapshot names as an example.
 */
#include "client.h"
#include "commands.h"
#include "leaks.h"
#include "source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"cgc why PID ADDRESS|SITE\n"
	"\n"
	"Shows what keeps a block alive: the root, then field by field the way to it; or why nothing does.\n"
	"ADDRESS begins with 0x and may point into the block. SITE is the beginning of an id that `cgc leaks`\n"
	"prints; one of its blocks is taken.";

/* false after one line. */
static bool find_address(char **process, const char *what, uint64_t *address)
{
	char *end;
	int status;
	struct view v;
	if (!strncmp(what, "0x", 2)) {
		errno = 0;
		*address = strtoull(what, &end, 16);
		if (!*end && end > what + 2 && !errno)
			return true;
		complain("%s is no address: write 0x and up to 16 hexadecimal digits", what);
		return false;
	}
	struct view_source *sources = sources_open(process, 1, "snapshot", &status);
	if (!sources || !view_make(&v, sources, 1, 0))
		return false;
	const struct view_site *site = view_find(&v, what);
	if (!site)
		return false;
	if (!site->example)
		complain("site %s has no block any more: name one by its address", what);
	*address = site->example;
	return site->example != 0;
}

int command_why(int argc, char **argv)
{
	int pid, names = arguments_read(NULL, 0, argc, argv, usage, "");
	uint64_t address;
	char request[64];
	struct answer a;
	if (names == -2)
		return fflush(stdout) ? 1 : 0;
	if (names >= 0 && names != 2)
		complain("a process and an address or site are needed: cgc why PID ADDRESS|SITE");
	else if (names == 2 && !source_is_process(argv[1], &pid))
		complain("%s is no process: only a running program can say what holds a block: `cgc list` shows them", argv[1]);
	if (names != 2 || !source_is_process(argv[1], &pid) || !find_address(argv + 1, argv[2], &address))
		return STATUS_USAGE;
	snprintf(request, sizeof(request), "why 0x%" PRIx64, address);
	char *text = client_ask(pid, request, &a) ? client_text(&a) : NULL;
	if (!text) {
		complain("%s", a.error);
		return STATUS_USAGE;
	}
	/* Names of mappings and threads are the program's. */
	for (const char *c = text; *c; c++)
		putchar(((unsigned char)*c < ' ' && *c != '\n') || *c == 0x7f ? '?' : *c);
	free(text);
	return fflush(stdout) ? 1 : 0;
}
