/*
 * cgc: runs programs under libcgc.so and explains itself. This file only chooses the command; each has its file in
 * commands/.
 */
#include "commands.h"
#include "library.h"
#include "base/printable.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void complain(const char *fmt, ...)
{
	char line[2048];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	make_printable(line); /* it holds names of files, and what processes answer */
	fprintf(stderr, "cgc: %s\n", line); /* stderr has no buffer, but one call is one write in glibc */
}

int output_done(void)
{
	if (!fflush(stdout) && !ferror(stdout))
		return 0;
	complain("the output could not be written: is the disk full?");
	return STATUS_USAGE;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	if (!strcmp(name, LIBRARY_LOADED_ARGUMENT))
		return library_report_loaded();
	if (!strcmp(name, "run"))
		return command_run(argc - 1, argv + 1);
	if (!strcmp(name, "audit"))
		return command_audit(argc - 1, argv + 1);
	if (!strcmp(name, "list"))
		return command_list(argc - 1, argv + 1);
	if (!strcmp(name, "leaks"))
		return command_leaks(argc - 1, argv + 1);
	if (!strcmp(name, "show"))
		return command_show(argc - 1, argv + 1);
	if (!strcmp(name, "why"))
		return command_why(argc - 1, argv + 1);
	if (!strcmp(name, "snapshot"))
		return command_snapshot(argc - 1, argv + 1);
	if (!strcmp(name, "diff"))
		return command_diff(argc - 1, argv + 1);
	if (!strcmp(name, "help") || !strcmp(name, "--help") || !strcmp(name, "-h"))
		return command_help(argc - 1, argv + 1);
	if (!strcmp(name, "version") || !strcmp(name, "--version") || !strcmp(name, "-V"))
		return command_version();
	if (!*name)
		complain("no command is given: try `cgc run -- ./yourapp`, or `cgc help`");
	else if (name[0] == '-')
		complain("option %s stands before a command: it belongs behind it: cgc run %s -- ./yourapp", name, name);
	else
		complain("there is no command \"%s\": to run a program: cgc run -- %s", name, name);
	return STATUS_USAGE;
}
