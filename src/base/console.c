/*
 * Standard error at the end of a program, and after all that may have become of descriptor 2.
 *
 *   still the file of the start             written to
 *   closed, and kept (console_keep)         the kept descriptor, if it is that file still: the program may have closed and reused it
 *   another file now                        a terminal, a log or a pipe is where the program wants its errors; a socket or what was opened
 *                                           for reading too is a connection or a database that got the free number, and is left alone
 *
 * Programs of GNU close standard error in their last exit handler, to notice errors; the leak report comes after that.
 */
#include "base/console.h"
#include "os/os.h"

static struct os_file first; /* device and inode of descriptor 2 at the start; kind OS_FILE_NONE: it was closed */
static bool started;         /* the static core alone never is: its lines go to descriptor 2, whatever that is */
static int kept = -1;        /* atomic */

static bool is_first(const struct os_file *f) { return first.kind != OS_FILE_NONE && f->device == first.device && f->inode == first.inode; }

void console_start(void)
{
	os_file(2, &first);
	started = true;
}

void console_keep(void)
{
	struct os_file now;
	if (load_relaxed(&kept) < 0 && os_file(2, &now) && is_first(&now))
		store_relaxed(&kept, os_keep(2));
}

/* -1: nowhere. */
static int console(void)
{
	struct os_file f;
	int spare = load_relaxed(&kept);
	if (!started)
		return 2;
	if (os_file(2, &f) && (is_first(&f) || f.kind == OS_FILE_TERMINAL || (f.kind == OS_FILE_LOG && first.kind != OS_FILE_NONE)))
		return 2;
	return spare >= 0 && os_file(spare, &f) && is_first(&f) ? spare : -1;
}

void console_write(const char *line, size_t n)
{
	int fd = os_is_confined() ? 2 : console(); /* no look at it is allowed any more */
	if (fd >= 0)
		os_write_quietly(fd, line, n);
}
