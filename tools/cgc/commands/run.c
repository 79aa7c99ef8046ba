/*
 * `cgc run`: sets two environment variables and becomes the program.
 *
 * (plan.c does 1 to 3.)
 *
 *   1. Options are checked against the library's own table; a bad one ends cgc before anything starts (status 2). The
 *      library alone would only warn, because it must never stop a program; here a person is waiting who can correct it.
 *   2. libcgc.so is found, the program is found and judged (program.c).
 *   3. A short run proves that the library loads under the program's loader (library.c).
 *   4. LD_PRELOAD and CGC_OPTIONS are set and the program is exec'ed in this very process: pid, parent, terminal, exit
 *      status and signals are its own, there is nobody in between.
 *
 * mode=report is another matter: somebody must be there when the program has ended, to merge what its processes found and to look up
 * names (run_report.c).
 */
#include "commands.h"
#include "plan.h"
#include "run_report.h"

#include <stdlib.h>
#include <string.h>

/* Who runs a program for its report wants to ask it, too (cgc leaks PID). */
static bool listen_by_default(struct plan *plan)
{
	const char *asked = getenv("CGC_OPTIONS");
	if (plan->options.mode != MODE_REPORT || plan->listen_named || (asked && strstr(asked, "listen")))
		return true;
	return plan_append(plan, "listen=1");
}

int command_run(int argc, char **argv)
{
	struct plan plan = { 0 };
	struct program program;
	options_defaults(&plan.options);
	int first = plan_read(&plan, argc, argv);
	int status = STATUS_USAGE;
	if (plan.help)
		status = command_help(1, argv);
	else if (first >= argc)
		complain("no program is given: cgc run [--mode=...] -- ./yourapp");
	else if (first > 0 && !listen_by_default(&plan))
		complain("no memory for the options: nothing was started");
	else if (first > 0 && run_report_wanted(&plan))
		status = run_report(&plan, argv + first);
	else if (first > 0 && !(status = plan_prepare(&plan, argv[first], &program)))
		status = plan_exec(&program, argv + first);
	free(plan.list);
	return status;
}
