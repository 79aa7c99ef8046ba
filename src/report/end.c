/*
 * When a report is made, and where it goes.
 *
 *   snapshot=PATH       a snapshot file of this process
 *   snapshot_dir=DIR    DIR/PID.NAME.cgc, one a process, for whoever merges them
 *   neither             text to the log; also when no file could be written, so that nothing is lost
 *
 * A child of fork reports what it allocated itself: whatever its parent made, its parent tells. If it lost nothing of its own it leaves
 * neither a line nor a file, or a script's subshells would fill the log. A daemon is another case: the program goes on in a child, in a session
 * of its own, and whoever forked it has ended and can't tell what is lost later. It tells all.
 *
 * A file grows under a name of its own (random, so that nobody can have put a link or a pipe there) and is renamed when it is complete: a
 * reader sees a whole file or none. What was at PATH is replaced, a link itself and not what it leads to. In DIR nothing is
 * replaced: a process that takes another program over, or a process number that comes again, gets a number behind its name.
 */
#include "report/growth.h"
#include "report/names.h"
#include "report/program.h"
#include "report/report.h"
#include "report/suppress.h"
#include "backtrace/backtrace.h"
#include "heap/heap.h"
#include "heap/self.h"
#include "heap/sites.h"
#include "heap/veil.h"
#include "base/options.h"
#include "base/text.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { PATH_ROOM = 512, SAME_NAME_MOST = 100 };

static uint64_t started_ns; /* atomic */
static bool copied;         /* by fork: what the parent lost is the parent's to tell */
static int own_pid, forked_by;
static int first_session;   /* of the process that came by exec */

void report_start(void)
{
	if (options.mode != MODE_OFF) /* a filter that was there before us need not know the clock */
		store_relaxed(&started_ns, os_real_ns());
	own_pid = os_pid();
	first_session = os_session();
	if (options.mode == MODE_AUDIT && options.audit == AUDIT_TOUCH)
		veil_start();
	bool wanted = options.mode == MODE_REPORT || options.mode == MODE_AUDIT || (options.mode == MODE_COLLECT && options.sites);
	if (wanted && !sites_start(options.mode == MODE_REPORT ? options.sample : 0))
		say("no memory for the table of allocation sites: reports cannot name callers: the program runs on");
	if (options.mode == MODE_REPORT)
		report_suppress_start();
}

void report_forked(void)
{
	if (options.mode != MODE_OFF) /* a filter that was there before us need not know the clock */
		store_relaxed(&started_ns, os_real_ns());
	copied = true;
	forked_by = own_pid;
	own_pid = os_pid();
	if (options.mode == MODE_REPORT)
		heap_mark_inherited();
	names_forked();
	growth_forked();
}

/* Parent 0 is in another process namespace: nobody can say whether it lives. */
static bool is_daemon(void)
{
	const int parent = os_parent();
	return copied && parent && parent != forked_by && os_session() != first_session;
}

uint64_t report_started_ns(void) { return load_relaxed(&started_ns); }

bool report_ready(void)
{
	if (!names_lock_soon())
		return false;
	names_unlock_keeping();
	return true;
}

/* ---- files ---- */

static const char *error_text(int error)
{
	switch (error) {
	case ENOENT: return "there is no such folder";
	case EACCES:
	case EPERM: return "it is not allowed";
	case ENOTDIR: return "a part of the path is no folder";
	case EISDIR: return "it is a folder";
	case ENOSPC:
	case EDQUOT: return "the disk is full";
	case EFBIG: return "it is larger than this process may write";
	case EROFS: return "the file system is read-only";
	case EMFILE:
	case ENFILE: return "no descriptor is free";
	case ENAMETOOLONG: return "its name is too long";
	case ENOMEM: return "there is no memory";
	default: return "the system refused";
	}
}

/* 0 or errno. */
static int write_and_rename(const struct report *r, const char *why, const char *path, bool keep)
{
	char temporary[PATH_ROOM + 32];
	uint32_t random;
	os_random(&random, sizeof random);
	text_format(temporary, sizeof temporary, "%s.%08x.tmp", path, random);
	int fd = os_open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY, 0600);
	if (fd < 0)
		return -fd;
	int error = report_write(r, fd, why);
	os_close(fd);
	if (!error) {
		error = -os_rename(temporary, path, keep);
		if (error == EINVAL && keep)
			error = -os_rename(temporary, path, false);
	}
	if (error)
		os_unlink(temporary);
	return error;
}

static bool told(const char *path, int error)
{
	if (error)
		say("snapshot: %s could not be written: %s: the report follows as text: name a path where you may write", path, error_text(error));
	return !error;
}

static bool save_file(const struct report *r, const char *why)
{
	char path[PATH_ROOM];
	text_path(path, sizeof path, options.snapshot);
	return told(path, write_and_rename(r, why, path, false));
}

/* The file name of the executable, as far as it is plain. */
static const char *program_name(char *buf, size_t cap)
{
	char path[PATH_ROOM];
	const char *name = names_last_part(program_path(path, sizeof path));
	size_t n = 0;
	for (; name[n] && n + 1 < cap; n++) {
		char c = name[n];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '+' || (c == '.' && n);
		buf[n] = plain ? c : '_';
	}
	buf[n] = 0;
	return n ? buf : "program";
}

static bool save_in_folder(const struct report *r, const char *why)
{
	char folder[PATH_ROOM / 2 + 32], path[PATH_ROOM], name[64];
	int error = EEXIST;
	text_path(folder, sizeof folder, options.snapshot_dir);
	program_name(name, sizeof name);
	for (unsigned i = 1; error == EEXIST && i <= SAME_NAME_MOST; i++) {
		size_t n = text_format(path, sizeof path, "%s/%d.%s", folder, os_pid(), name);
		n += i > 1 ? text_format(path + n, sizeof path - n, ".%u", i) : 0;
		text_format(path + n, sizeof path - n, ".cgc");
		error = write_and_rename(r, why, path, true);
	}
	return told(path, error);
}

/* ---- a report ---- */

static uint64_t tell(const char *why, unsigned flags)
{
	struct report r;
	const bool file = options.snapshot[0], folder = options.snapshot_dir[0], whole = !copied || is_daemon();
	report_suppress_begin();
	report_take(&r, (file || folder ? REPORT_BLOCKS | REPORT_SITES : options.lsan.objects ? REPORT_BLOCKS : 0u) | (whole ? REPORT_INHERITED : REPORT_OF_CHILD)
	                    | flags);
	const uint64_t lost = r.total[KIND_DEFINITE].blocks + r.total[KIND_INDIRECT].blocks;
	bool saved = file || folder;
	if (!whole && r.complete && !report_has_loss(&r)) {
		report_drop(&r);
		return 0;
	}
	if (file)
		saved = save_file(&r, why);
	if (folder)
		saved = save_in_folder(&r, why) && saved;
	if (!saved)
		report_print(&r, why);
	if (options.print_suppressions)
		report_print_suppressions();
	report_drop(&r);
	return lost;
}

uint64_t report_tell(const char *why) { return tell(why, 0); }
/* A child would copy its parent's pages to make room. */
uint64_t report_at_exit(void) { return tell("exit", copied ? 0 : REPORT_LAST); }
