/*
 * Pages of blocks above PIECE that nobody touched. A program takes a megabyte and uses its beginning; reading the rest would fault in a page of
 * zeros each, which costs the time of a fault and, where the kernel counts those pages, memory: 1.6 MiB of a process of 5.
 *
 *   block   [ written | never touched .......... | written | never ... ]
 *             run ▲ one PAGEMAP_SCAN tells of it     the next question begins where it ends
 *
 * What is neither present nor swapped reads as zeros and leads nowhere: the rule by which roots are listed, too (roots/pages.c). It holds for
 * plain private memory alone, so doubtful ranges (doubtful.c) and heaps with veiled pages are read whole; so is everything where the kernel
 * can't tell (before 6.7), or says something else of a page of ours than what we know.
 */
#include "mark/inside.h"
#include "base/fault.h"
#include "heap/veil.h"
#include "os/os.h"

static int pagemap = -1;             /* of this mark only: an inherited one would show the parent after fork */
static bool asked, proven;
static struct wide run;              /* what is known to be there */
static uintptr_t known;              /* from here to the run nothing is */

void absent_begin(void)
{
	asked = proven = false;
	run = (struct wide){ 0, 0 };
	known = 0;
}

void absent_end(void)
{
	if (pagemap >= 0)
		os_close(pagemap);
	pagemap = -1;
}

/* The first run of [low, high), which is empty at `high` if there is none. false: the kernel doesn't tell. */
static bool first_run(uintptr_t low, uintptr_t high, struct wide *out)
{
	struct os_run found;
	uintptr_t walked;
	const long n = os_page_runs(pagemap, low, high, &found, 1, &walked);
	*out = n == 1 ? (struct wide){ found.low, found.high } : (struct wide){ high, high };
	return n == 1 || (n == 0 && walked >= high);
}

static bool ready(void)
{
	if (asked)
		return proven;
	asked = true;
	volatile uint8_t written = 1; /* so its page surely is */
	const uintptr_t page = align_down((uintptr_t)&written, OS_PAGE);
	struct wide seen;
	pagemap = veil_started() ? -1 : os_open_proc("pagemap");
	return proven = pagemap >= 0 && first_run(page, page + OS_PAGE, &seen) && seen.low == page && seen.high == page + OS_PAGE;
}

uintptr_t absent_skip(const struct span *s, uintptr_t low, uintptr_t high, uintptr_t *end)
{
	*end = high;
	/* A question takes as long as reading a piece or two; a report asks sooner, as memory counts there and it is made once. */
	if (s->block <= (marker.exact ? PIECE : 8 * PIECE) || doubtful_overlaps(low, high) || !ready())
		return low;
	if (low - known >= run.high - known) {
		/* To the end of the block: callers that come piece by piece are answered by what is known then. */
		const uintptr_t until = s->kind == SPAN_LARGE ? s->start + s->block : high;
		known = align_down(low, OS_PAGE);
		if (!first_run(known, align_up(until > high ? until : high, OS_PAGE), &run)) {
			proven = false;
			run = (struct wide){ 0, 0 };
			known = 0;
			return low;
		}
	}
	low = run.low > low ? run.low : low;
	*end = run.high < high ? run.high : high;
	return low < high ? low : high;
}
