/*
 * A veil: the contents of a page move into a memfd, and the page becomes a private mapping of it that no page table entry shows
 * yet. The first access, by the program or by the kernel on its behalf, faults the entry in, and nothing else happens:
 * no signal, no EFAULT, the same bytes. /proc/self/pagemap tells afterwards that the page is present. (Protected pages would need
 * a SIGSEGV handler, and system calls that are given them would fail.)
 *
 *   arena:  ... anonymous | memfd page n-1 | memfd page n-2 | anonymous ...
 *
 * Neighbours stand in falling order in the file, so the kernel never merges two mappings: it maps pages around a fault ("fault around"),
 * but only inside one mapping. The file is written before it is mapped, closed after, and never written again, so a fork copies
 * such pages on write like any other private page.
 *
 * Lifting a veil maps anonymous memory over the page and copies the contents back. All inside a stop, so nobody sees it half done.
 *
 * What shows as present without a touch: pages locked by mlockall are faulted in at once, which is seen when veiling; VmLck that
 * changed since makes every answer worthless. A seccomp filter may kill for memfd_create: with one there are no veils. Nor
 * with a limit on file sizes, which counts for memfds and ends in SIGXFSZ.
 */
#include "heap/veil.h"
#include "heap/heap.h"
#include "base/text.h"
#include "os/os.h"

#include <fcntl.h>
#include <string.h>

static LARGE struct veil {
	uintptr_t page;      /* 0: free */
	uint32_t excused;    /* atomic */
} veils[VEILS];
static bool started;
static unsigned locked_kib;  /* VmLck when the first of the veils that are up was made */
static unsigned up;

static struct {
	int fd, pagemap;
	unsigned most, done;
} batch = { -1, -1, 0, 0 };

void veil_start(void) { started = true; }
bool veil_started(void) { return started; }

/* A number of /proc/self/status; UINT32_MAX: not known. */
static unsigned status(const char *name)
{
	static LARGE char text[4096];
	int fd = os_open("/proc/self/status", O_RDONLY, 0);
	long n = fd < 0 ? 0 : os_read(fd, text, sizeof text - 1);
	if (fd >= 0)
		os_close(fd);
	text[n > 0 ? n : 0] = 0;
	const char *at = strstr(text, name);
	if (!at)
		return UINT32_MAX;
	unsigned value = 0;
	for (at += strlen(name); *at == ' ' || *at == '\t'; at++) {
	}
	for (; *at >= '0' && *at <= '9'; at++)
		value = value * 10 + (unsigned)(*at - '0');
	return value;
}

/* Is the page in the page tables? -1: not known. */
static int present(int pagemap, uintptr_t page)
{
	uint64_t entry = 0;
	if (pagemap < 0 || os_pread(pagemap, &entry, sizeof entry, page / OS_PAGE * sizeof entry) != (long)sizeof entry)
		return -1;
	return entry >> 63;
}

/* ---- making ---- */

bool veil_begin(unsigned most)
{
	unsigned locked = status("\nVmLck:");
	if (up && locked != locked_kib)
		return false;
	if (status("\nSeccomp:") != 0 || !os_files_unlimited())
		return false;
	locked_kib = locked;
	batch.most = most < VEILS - up ? most : VEILS - up;
	batch.done = 0;
	batch.pagemap = os_open_proc("pagemap");
	batch.fd = batch.most && batch.pagemap >= 0 ? os_memfd("cgc-veil") : -1;
	return batch.fd >= 0;
}

void veil_end(void)
{
	if (batch.fd >= 0)
		os_close(batch.fd);
	if (batch.pagemap >= 0)
		os_close(batch.pagemap);
	batch.fd = batch.pagemap = -1;
}

static LARGE uint8_t bounce[OS_PAGE] __attribute__((aligned(64)));

static void lift(uintptr_t page)
{
	if (os_read_self(bounce, page, OS_PAGE) != OS_PAGE) /* the program protected it since */
		return;
	if (!os_map_over(page, OS_PAGE)) { /* full table of mappings: the page is still there, and good as it is */
		if (os_pages_mapped(page, OS_PAGE))
			return;
		if (!os_map_over(page, OS_PAGE))
			die("audit=touch: a page at %p could not be mapped again: the process cannot go on", (void *)page);
	}
	memcpy((void *)page, bounce, OS_PAGE);
}

bool veil_page(uintptr_t page)
{
	unsigned i = 0;
	while (i < VEILS && veils[i].page)
		i++;
	if (batch.done == batch.most || i == VEILS)
		return false;
	uint64_t at = (uint64_t)(batch.most - 1 - batch.done) * OS_PAGE;
	memcpy(bounce, (const void *)page, OS_PAGE);
	if (os_pwrite(batch.fd, bounce, OS_PAGE, at) != OS_PAGE)
		return false;
	if (!os_map_file_over(page, OS_PAGE, batch.fd, at)) {
		if (!os_pages_mapped(page, OS_PAGE)) {
			if (!os_map_over(page, OS_PAGE))
				die("audit=touch: a page at %p could not be mapped again: the process cannot go on", (void *)page);
			memcpy((void *)page, bounce, OS_PAGE);
		}
		return false;
	}
	if (present(batch.pagemap, page) != 0) { /* mlockall, or nothing can be told */
		lift(page);
		return false;
	}
	batch.done++;
	up++;
	store_relaxed(&veils[i].excused, 0);
	store_release(&veils[i].page, page);
	return true;
}

/* ---- asking ---- */

void veil_each(bool (*fn)(uintptr_t page, bool touched))
{
	if (!up)
		return;
	bool honest = status("\nVmLck:") == locked_kib;
	int pagemap = honest ? os_open_proc("pagemap") : -1;
	for (unsigned i = 0; i < VEILS; i++) {
		uintptr_t page = veils[i].page;
		if (!page)
			continue;
		bool touched = present(pagemap, page) == 1 && !load_relaxed(&veils[i].excused);
		if (fn(page, touched) && honest && !load_relaxed(&veils[i].excused))
			continue;
		lift(page);
		store_release(&veils[i].page, 0);
		up--;
	}
	if (pagemap >= 0)
		os_close(pagemap);
}

bool veil_covers(uintptr_t page)
{
	for (unsigned i = 0; up && i < VEILS; i++)
		if (veils[i].page == page)
			return true;
	return false;
}

void veil_excuse(uintptr_t low, uintptr_t high)
{
	for (unsigned i = 0; i < VEILS; i++) {
		uintptr_t page = load_acquire(&veils[i].page);
		if (page && page < high && page + OS_PAGE > low)
			store_relaxed(&veils[i].excused, 1);
	}
}
