/*
 * `cgc audit`: runs a program in mode=audit, and sums up what it and its descendants found.
 *
 *   1. Options, library and program are checked as by `cgc run` (plan.c).
 *   2. A private folder is made; log_path sends each process's lines to a file of its own in it, so that the program's standard
 *      error stays the program's, whatever its children do with theirs.
 *   3. The program runs as a child (child.c).
 *   4. The files are read and printed (or appended to the user's log_path), then one line for all processes together.
 *   5. cgc ends as the program ended: by its status, or by its signal. exitcode=N replaces the status when there were
 *      contradictions; the processes themselves never see it, so that a child's status is not changed for its parent.
 *
 * Who is still running when the program ends is not waited for: a daemon's own lines go to standard error then.
 */
#include "base/tally.h"
#include "child.h"
#include "commands.h"
#include "plan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MOST = 64 << 10, SHOWN = 10 };

struct process {
	long pid;
	char *text;
	struct tally tally; /* processes == 0: it left no verdict */
	bool spoke;         /* the verdict stands in its text */
};

/* ---- what the processes left ---- */

static char *read_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char *text = malloc(TEXT_MOST + 1);
	size_t n = 0;
	for (ssize_t got; fd >= 0 && text && n < TEXT_MOST && (got = read(fd, text + n, TEXT_MOST - n)) > 0;)
		n += (size_t)got;
	if (fd >= 0)
		close(fd);
	if (text)
		text[n] = 0;
	return text;
}

static void add_up(struct tally *sum, const struct tally *t)
{
	sum->contradictions += t->contradictions;
	sum->judgements += t->judgements;
	sum->cycles += t->cycles;
	sum->processes += t->processes;
}

/* The first contradiction is told at once; who was killed after it, or replaced itself by exec, has told no more. */
static void find_verdicts(struct process *p)
{
	struct tally t;
	bool told = false;
	for (const char *line = p->text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
		if (tally_parse(line, &t)) {
			add_up(&p->tally, &t);
			p->spoke = true;
		}
		const char *first = strstr(line, TALLY_TOLD);
		told |= first && first < line + strcspn(line, "\n");
	}
	if (told && !p->tally.contradictions)
		add_up(&p->tally, &(struct tally){ .contradictions = 1, .processes = 1 });
	p->tally.processes = p->tally.processes != 0;
}

static int by_pid(const void *a, const void *b)
{
	long x = ((const struct process *)a)->pid, y = ((const struct process *)b)->pid;
	return (x > y) - (x < y);
}

/* Reads and removes the folder's files. Result: their number; *list is malloc'ed. */
static size_t gather(const char *folder, struct process **list)
{
	size_t count = 0, room = 0;
	DIR *d = opendir(folder);
	*list = NULL;
	for (struct dirent *e; d && (e = readdir(d));) {
		char path[FOLDER_ROOM + 300];
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		if (count == room) {
			room = room ? 2 * room : 64;
			struct process *more = realloc(*list, room * sizeof(*more));
			if (!more)
				break;
			*list = more;
		}
		struct process *p = &(*list)[count++];
		*p = (struct process){ .pid = atol(e->d_name), .text = read_text(path) };
		find_verdicts(p);
		unlink(path);
	}
	if (d)
		closedir(d);
	child_remove_folder(folder);
	if (count)
		qsort(*list, count, sizeof(**list), by_pid);
	return count;
}

/* ---- telling ---- */

static void tell(const struct process *list, size_t count, const char *log_path, struct tally *sum)
{
	size_t calm = 0, verdicts = 0;
	bool spoke = false;
	for (size_t i = 0; i < count; i++) {
		spoke |= list[i].spoke;
		verdicts += list[i].tally.processes;
		add_up(sum, &list[i].tally);
	}
	for (size_t i = 0; i < count; i++) {
		const struct process *p = &list[i];
		if (!*log_path && p->tally.processes && !p->tally.contradictions && ++calm > SHOWN)
			continue;
		FILE *log = child_log(log_path, p->pid), *f = log ? log : stderr;
		if (verdicts > 1 && f == stderr)
			fprintf(f, "cgc: process %ld:\n", p->pid);
		fputs(p->text ? p->text : "", f);
		if (log)
			fclose(log);
	}
	if (calm > SHOWN)
		complain("and %zu more processes without contradictions", calm - SHOWN);
	char line[256];
	tally_text(line, sizeof(line), sum);
	if (verdicts == 0)
		complain("audit: not enough evidence: no process came to a verdict: it was killed, or ended by a raw system call: end it by exit or return");
	else if (verdicts > 1 || *log_path || !spoke)
		complain("%s", line);
}

/* ---- the command ---- */

static void no_complaint(const char *line) { (void)line; /* the library says it */ }

static int audit(struct plan *plan, char **argv)
{
	struct program program;
	struct process *list;
	struct tally sum = { 0 };
	sigset_t mask;
	pid_t pid;
	char folder[FOLDER_ROOM], item[FOLDER_ROOM + 80];
	struct options asked; /* by CGC_OPTIONS, then by the command line, which wins */
	options_defaults(&asked);
	options_parse(&asked, getenv("CGC_OPTIONS") ? getenv("CGC_OPTIONS") : "", no_complaint);
	options_parse(&asked, plan->list ? plan->list : "", no_complaint);
	child_hold_signals(&mask);
	if (!child_make_folder("cgc-audit", folder))
		return STATUS_NOT_SERVED;
	snprintf(item, sizeof(item), "mode=audit:exitcode=0:log_path=%s/%%p", folder);
	int status = plan_append(plan, item) ? plan_prepare(plan, argv[0], &program) : STATUS_NOT_SERVED;
	if (status) {
		child_remove_folder(folder);
		return status;
	}
	int ended = child_run(&program, argv, &mask, &pid);
	size_t count = gather(folder, &list);
	if (ended < 0)
		return STATUS_NOT_SERVED;
	tell(list, count, asked.log_path, &sum);
	for (size_t i = 0; i < count; i++)
		free(list[i].text);
	free(list);
	return sum.contradictions && asked.exitcode ? (int)asked.exitcode : child_end_as(ended);
}

int command_audit(int argc, char **argv)
{
	struct plan plan = { 0 };
	options_defaults(&plan.options);
	int first = plan_read(&plan, argc, argv);
	int status = STATUS_USAGE;
	if (plan.help)
		status = command_help(1, argv);
	else if ((plan.mode_named || plan.options.mode) && plan.options.mode != MODE_AUDIT && first > 0)
		complain("audit runs in mode=audit: nothing was started: for another mode: cgc run");
	else if (first >= argc)
		complain("no program is given: cgc audit [--exitcode=N] -- ./yourapp");
	else if (first > 0)
		status = audit(&plan, argv + first);
	free(plan.list);
	return status;
}
