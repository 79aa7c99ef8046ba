/*
 * What `cgc run` and `cgc audit` have in common: options are checked, library and program are found and judged, the environment is
 * set, before anything starts.
 */
#include "base/fault.h"
#include "base/options.h"
#include "commands.h"
#include "plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The library's complaint ends in what it would use instead; here nothing is used. */
static void complain_option(const char *line)
{
	const char *last = line;
	for (const char *c = line; (c = strstr(c, ": ")); c++)
		last = c;
	complain("%.*s: nothing was started: `cgc help options` lists all", (int)(last - line), line);
}

bool plan_append(struct plan *plan, const char *item)
{
	size_t old = plan->list ? strlen(plan->list) : 0;
	size_t room = old + strlen(item) + 2;
	char *list = realloc(plan->list, room);
	if (!list)
		return false;
	snprintf(list + old, room - old, "%s%s", old ? ":" : "", item);
	plan->list = list;
	return true;
}

/* --report=FILE, --report-format=NAME: of the command alone, the library knows nothing of them. */
static bool take_report(struct plan *plan, const char *item)
{
	static const char *const formats[] = { "text", "lsan", "json" };
	if (!strncmp(item, "report=", 7) && item[7]) {
		plan->report = item + 7;
		return true;
	}
	for (unsigned i = 0; i < NELEM(formats) && !strncmp(item, "report-format=", 14); i++)
		if (!strcmp(item + 14, formats[i])) {
			plan->report_format = i;
			return true;
		}
	complain("option --%s makes no sense: --report=FILE and --report-format=text|lsan|json are there: nothing was started", item);
	return false;
}

/* One --name=value or --name, without its dashes. */
static bool take_option(struct plan *plan, const char *item)
{
	plan->mode_named |= !strncmp(item, "mode=", 5);
	plan->listen_named |= strstr(item, "listen") != NULL;
	if (!strncmp(item, "library=", 8)) {
		plan->library = item + 8;
		return true;
	}
	if (!strncmp(item, "report=", 7) || !strncmp(item, "report-", 7))
		return take_report(plan, item);
	if (!strncmp(item, "options=", 8)) {
		item += 8;
	} else if (strpbrk(item, ":, \t\n")) {
		complain("option --%s has a colon, comma or blank: it separates options: write one option at a time: nothing was started", item);
		return false;
	}
	if (options_parse(&plan->options, item, complain_option))
		return false;
	const char *wrong = fault_parse(plan->options.fault);
	if (wrong)
		complain("option fault=%s: %s: nothing was started: src/base/fault.h lists the names", plan->options.fault, wrong);
	return !wrong && plan_append(plan, item);
}

int plan_read(struct plan *plan, int argc, char **argv)
{
	int i = 1;
	for (; i < argc && argv[i][0] == '-'; i++) {
		const char *a = argv[i];
		if (!strcmp(a, "--"))
			return i + 1;
		if (!strcmp(a, "--help") || !strcmp(a, "-h")) {
			plan->help = true;
			return argc;
		}
		if (a[1] != '-') {
			complain("option %s is unknown: options are written --name=value: nothing was started", a);
			return -1;
		}
		if (!take_option(plan, a + 2))
			return -1;
	}
	return i;
}

static const char *find_library(const struct plan *plan, char path[PATH_ROOM])
{
	char tried[2 * PATH_ROOM];
	if (plan->library) {
		char *real = realpath(plan->library, NULL);
		if (!real || strlen(real) >= PATH_ROOM) {
			complain("%s is not there: %s: nothing was started", plan->library, strerror(errno));
			free(real);
			return NULL;
		}
		memcpy(path, real, strlen(real) + 1);
		free(real);
	} else if (!library_find(path, tried, sizeof(tried))) {
		complain("libcgc.so is not found: looked at %s: build or install it, or name it by --library=FILE", tried);
		return NULL;
	}
	if (strpbrk(path, ": ")) {
		complain("%s has a blank or colon in its name: LD_PRELOAD can't carry it: move or install the library elsewhere", path);
		return NULL;
	}
	return path;
}

/* What is in CGC_OPTIONS already stays; the command line stands behind it and so wins. */
static bool set_environment(const struct plan *plan, const char *library)
{
	const char *before = getenv("LD_PRELOAD"), *asked = getenv("CGC_OPTIONS");
	char *preload = library_preload_list(library, before ? before : "");
	if (!preload || setenv("LD_PRELOAD", preload, 1))
		return false;
	free(preload);
	if (!plan->list)
		return true;
	size_t room = strlen(plan->list) + (asked ? strlen(asked) : 0) + 2;
	char *all = malloc(room);
	if (!all)
		return false;
	snprintf(all, room, "%s%s%s", asked ? asked : "", asked && *asked ? ":" : "", plan->list);
	bool ok = !setenv("CGC_OPTIONS", all, 1);
	free(all);
	return ok;
}

int plan_prepare(const struct plan *plan, const char *name, struct program *program)
{
	char library[PATH_ROOM];
	if (!find_library(plan, library))
		return STATUS_NOT_SERVED;
	int status = program_find(name, library, program);
	if (status)
		return status;
	const char *why = library_check(library, program->loader[0] ? program->loader : NULL);
	if (why) {
		complain("%s does not load: %s: nothing was started", library, why);
		return STATUS_NOT_SERVED;
	}
	if (!set_environment(plan, library)) {
		complain("no memory for the environment: nothing was started");
		return STATUS_NOT_SERVED;
	}
	return 0;
}

int plan_exec(const struct program *program, char **argv)
{
	execv(program->path, argv);
	complain("%s can't be run: %s: %s", program->path, strerror(errno),
	         errno == ENOEXEC ? "it is neither a program nor a script that starts with #!" : "nothing was started");
	return errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_EXECUTABLE;
}
