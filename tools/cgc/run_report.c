/*
 * One report for a whole run.
 *
 *   1. A private folder is made; snapshot_dir sends each process's snapshot there at its end, instead of text of its own.
 *   2. The program runs as a child (child.c).
 *   3. When it has ended, what its processes left is merged by site and written: to --report=FILE, else log_path, else standard error.
 *   4. cgc ends as the program ended. exitcode=N replaces its exit status when the program itself leaked; its other processes never see
 *      it, so that a child's status is not changed for its parent. With exitcode_children=1 the library does it, in each process.
 *
 * Who is still running when the program ends is not waited for, but told of (run_on.c). Of a process that was killed nothing is known; of the program itself that is
 * said.
 */
#include "run_report.h"
#include "child.h"
#include "commands.h"
#include "leaks.h"
#include "run_on.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ITEM_ROOM = 256 };

static void no_complaint(const char *line) { (void)line; /* the library says it */ }

/* What was asked for by CGC_OPTIONS, then by the command line, which wins. */
static void read_options(struct options *o, const struct plan *plan)
{
	const char *environment = getenv("CGC_OPTIONS");
	options_defaults(o);
	options_parse(o, environment ? environment : "", no_complaint);
	options_parse(o, plan->list ? plan->list : "", no_complaint);
}

bool run_report_wanted(const struct plan *plan)
{
	struct options o;
	read_options(&o, plan);
	return o.mode == MODE_REPORT && !o.snapshot[0] && !o.snapshot_dir[0];
}

/* ---- what the processes left ---- */

/* One that is not whole was left by a process that was killed while it wrote, or still writes. */
static bool read_snapshot(const char *path, struct snapshot *s)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool whole = fd >= 0 && !fstat(fd, &st) && S_ISREG(st.st_mode) && !snapshot_take(s, fd, (uint64_t)st.st_size);
	if (fd >= 0)
		close(fd);
	return whole;
}

/* The program first, then by process number. */
static pid_t first_pid;

static int by_process(const void *a, const void *b)
{
	const struct view_source *x = a, *y = b;
	bool p = x->s.head.pid == (uint32_t)first_pid, q = y->s.head.pid == (uint32_t)first_pid;
	if (p != q)
		return p ? -1 : 1;
	if (x->s.head.pid != y->s.head.pid)
		return x->s.head.pid < y->s.head.pid ? -1 : 1;
	return (x->s.head.made_ns > y->s.head.made_ns) - (x->s.head.made_ns < y->s.head.made_ns);
}

/* Of the snapshots of one process only the newest is kept: each tells all that is lost, so in a sum its blocks would count twice. They stand side by
 * side, oldest first; a program that another one took over by exec started at another time. Result: how many are left. */
static size_t newest(struct view_source *list, size_t count)
{
	size_t kept = 0;
	for (size_t i = 0; i < count; i++) {
		const struct snapshot_header *a = &list[i].s.head, *b = &list[i + 1].s.head;
		if (i + 1 == count || a->pid != b->pid || a->started_ns != b->started_ns)
			list[kept++] = list[i];
	}
	return kept;
}

/* Reads and removes the folder's files. Their number; *list is malloc'ed. */
static size_t gather(const char *folder, pid_t pid, struct view_source **list)
{
	size_t count = 0;
	DIR *d = opendir(folder);
	*list = NULL;
	for (struct dirent *e; d && (e = readdir(d));) {
		char path[FOLDER_ROOM + 300];
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		struct view_source *more = realloc(*list, (count + 1) * sizeof(*more));
		if (more) {
			*list = more;
			more[count] = (struct view_source){ .name = "FILE" };
			count += read_snapshot(path, &more[count].s);
		}
		unlink(path);
	}
	if (d)
		closedir(d);
	child_remove_folder(folder);
	first_pid = pid;
	if (count)
		qsort(*list, count, sizeof(**list), by_process);
	return newest(*list, count);
}

/* ---- telling ---- */

/* NULL: standard error it is. */
static FILE *open_report(const struct plan *plan, const struct options *o, pid_t pid)
{
	if (!plan->report)
		return child_log(o->log_path, pid);
	FILE *f = fopen(plan->report, "we");
	if (!f)
		complain("%s can't be written: %s: the report follows here", plan->report, strerror(errno));
	return f;
}

/* The files of suppressions=A+B, which the library has applied to names as the linker knows them; now also to the others. */
static struct texts suppression_files(char *list)
{
	struct texts files = { 0 };
	for (char *file = strtok(list, "+"); file; file = strtok(NULL, "+")) {
		const char **more = realloc((void *)files.list, (files.count + 1) * sizeof(*more));
		if (!more)
			break;
		files.list = more;
		files.list[files.count++] = file;
	}
	return files;
}

static void write_report(const struct view *v, const struct leaks_request *r, const struct suppressions *s, FILE *file)
{
	leaks_caution(v);
	leaks_write(file ? file : stderr, v, r, s);
	if ((file ? fclose(file) : fflush(stderr)) != 0)
		complain("the report could not be written: is the disk full?");
}

/* Why the program itself left nothing. */
static void say_silent(const struct options *o, int ended, size_t others)
{
	const char *rest = others ? ": what its other processes left follows" : "";
	int number = WIFSIGNALED(ended) ? WTERMSIG(ended) : 0;
	if (number == SIGKILL)
		complain("the program was killed and left no report: nothing can report then: ask it while it runs, by `cgc leaks PID`%s", rest);
	else if (number && !(o->report_on & REPORT_ON_SIGNAL))
		complain("the program was ended by signal %d (%s) and left no report: --report_on=signal makes one then, too%s", number, strsignal(number), rest);
	else if (number)
		complain("the program was ended by signal %d (%s) and left no report: ask it while it runs, by `cgc leaks PID`%s", number, strsignal(number), rest);
	else
		complain("the program left no report: it ended where the library could not see it, as daemon(3) does, or could not write it, as after chroot: lines above tell%s", rest);
}

/* Result: does the program leak, as exitcode= understands it? */
static bool tell(const struct plan *plan, const struct options *o, const struct suppressions *s, struct view_source *sources, size_t count, pid_t pid, int ended)
{
	struct leaks_request r = { .format = plan->report_format, .whole_stacks = true, .choice.indirect = plan->report_format != FORMAT_TEXT };
	struct view v;
	size_t own = 0;
	while (own < count && sources[own].s.head.pid == (uint32_t)pid)
		own++;
	if (!own)
		say_silent(o, ended, count);
	if (!count || leaks_view(&v, sources, count, &r, s))
		return false;
	write_report(&v, &r, s, open_report(plan, o, pid));
	/* The program's own snapshots stand first. */
	return own && !leaks_view(&v, sources, own, &r, s) && view_sums(&v, &r.choice).sites;
}

/* 0, or the exit status with which cgc must end. */
static int prepare(struct plan *plan, const struct options *o, const char *name, const char *folder, struct program *program)
{
	char item[FOLDER_ROOM + ITEM_ROOM];
	snprintf(item, sizeof(item), "%ssnapshot_dir=%s", o->exitcode_children ? "" : "exitcode=0:", folder);
	return plan_append(plan, item) ? plan_prepare(plan, name, program) : STATUS_NOT_SERVED;
}

int run_report(struct plan *plan, char **argv)
{
	struct program program;
	struct view_source *sources;
	struct suppressions s;
	struct options o;
	sigset_t mask;
	pid_t pid;
	char folder[FOLDER_ROOM];
	read_options(&o, plan);
	struct texts files = suppression_files(o.suppressions), none = { 0 };
	bool ok = suppressions_read(&s, &files, &none);
	free((void *)files.list);
	if (!ok)
		return STATUS_USAGE;
	child_hold_signals(&mask);
	if (!child_make_folder("cgc-report", folder))
		return STATUS_NOT_SERVED;
	int status = prepare(plan, &o, argv[0], folder, &program);
	if (status) {
		child_remove_folder(folder);
		return status;
	}
	int ended = child_run(&program, argv, &mask, &pid);
	size_t count = gather(folder, pid, &sources);
	bool leaks = ended >= 0 && tell(plan, &o, &s, sources, count, pid, ended);
	free(sources);
	if (ended < 0)
		return STATUS_NOT_SERVED;
	run_on_tell(folder);
	return leaks && o.exitcode && WIFEXITED(ended) ? (int)o.exitcode : child_end_as(ended);
}
