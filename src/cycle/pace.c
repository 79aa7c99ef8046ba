/*
 * Pace.
 *
 * Growth is measured from the smallest live size since the last cycle, so a program that frees what it allocates never
 * collects. A cycle starts when growth passes
 *
 *   fraction of what the last mark found alive (growth=), at least 16 MiB; or 16 MiB anyway while the collector has used
 *   under 1 % of the process's CPU time in the last minutes, so that a slow leak beside a large heap stays flat;
 *   all doubled for each cycle in a row that found nothing, from the second on, up to 32 times. (The first cycle of a program
 *   that is still building its data finds nothing as a rule; that says nothing about what it loses later.)
 *
 * CPU budget: over the window, the collector may use cpu_limit percent of the process's CPU time. When a cycle is due but the
 * budget is spent, it waits; past twice what was alive plus 8 MiB (doubled from the third empty cycle on) memory wins, and the budget is
 * half of the CPU, and a quarter further three quarters: on a crowded machine, where each cycle misses the cache more, a program that
 * leaks a gigabyte a second outran one half. What was alive, not what was allocated: floating garbage must not raise its own limit.
 *
 * A cycle that ended early (a thread that did not answer) waits 10 ms before the next, doubling up to a minute.
 *
 * stress=N overrides all of this: a cycle at every Nth refill. Only cycles that take more than 5 ms leave the program a quarter
 * of their time before the next, so that a program with a large heap comes to its end under stress too.
 *
 * mode=audit recycles nothing, so memory asks for nothing: what counts are judgements, of programs that free all they allocate
 * too. A cycle is due at every AUDIT_EVERYth allocation; the budget is half of the CPU until enough judgements are made to
 * call a program safe, then cpu_limit. It does not back off.
 *
 * The window: CPU times are summed up with a half-life of about a minute, so old thrift is not saved up for ever.
 */
#include "cycle/pace.h"
#include "heap/heap.h"
#include "heap/hooks.h"
#include "base/options.h"
#include "base/stats.h"
#include "base/tally.h"
#include "os/os.h"

#define MIB ((size_t)1 << 20)

enum {
	FLOOR_MIB = 16,           /* below this a cycle costs more than the memory it could save */
	SLACK_MIB = 8,
	BACKOFF_MOST = 6,
	CHECK_AGAIN_KIB = 1024,   /* growth until a cycle that had to wait is thought of again */
	IDLE_PERCENT = 1, HUNGRY_PERCENT = 50, STARVING_PERCENT = 75,
	AUDIT_EVERY = 256         /* a program of a thousand blocks is judged a few times; the budget thins it out for larger ones */
};
#define HALF_LIFE_NS (60 * 1000000000ull)
#define DEAR_NS 5000000ull
#define ABORT_WAIT_NS 10000000ull
#define ABORT_WAIT_MOST_NS (60 * 1000000000ull)

static struct {
	uint64_t used_ns, total_ns;  /* collector's and process's CPU time, decayed */
	uint64_t last_process_ns;    /* process CPU when total_ns was last brought up to date */
	size_t alive;                /* bytes that the last mark reached */
	unsigned backoff;
	uint64_t abort_wait_ns, not_before_ns;
	uint64_t stress_from_ns;     /* process CPU from which stress=N may start the next cycle */
} pace;

static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }

static void account(uint64_t cpu_ns)
{
	uint64_t now = os_process_cpu_ns();
	pace.used_ns += cpu_ns;
	pace.total_ns += now - pace.last_process_ns;
	pace.last_process_ns = now;
	while (pace.total_ns > 2 * HALF_LIFE_NS) {
		pace.total_ns /= 2;
		pace.used_ns /= 2;
	}
}

static bool under(unsigned percent)
{
	uint64_t total = pace.total_ns + (os_process_cpu_ns() - pace.last_process_ns);
	return pace.used_ns * 100 <= total * percent;
}

static void arm(void)
{
	size_t growth = FLOOR_MIB * MIB;
	if (!under(IDLE_PERCENT))
		growth = max_size(growth, pace.alive / 100 * options.growth);
	heap_watch_growth(growth << (pace.backoff > 1 ? pace.backoff - 1 : 0));
}

void pace_start(void)
{
	if (options.mode == MODE_AUDIT && !options.stress)
		heap_stress(AUDIT_EVERY);
	pace.last_process_ns = os_process_cpu_ns();
	arm();
}

/* Live memory is past the bound, and `quarters` quarters of it more. */
static bool past(unsigned quarters)
{
	struct heap_totals t;
	heap_totals(&t);
	size_t bound = (2 * pace.alive + SLACK_MIB * MIB) << (pace.backoff > 2 ? pace.backoff - 2 : 0);
	return t.live > bound + bound / 4 * quarters;
}

bool pace_over(void) { return past(0); }

bool pace_wants(void)
{
	if (pace.not_before_ns && os_coarse_ns() < pace.not_before_ns)
		goto later;
	if (options.stress)
		return os_process_cpu_ns() >= pace.stress_from_ns;
	if (options.mode == MODE_AUDIT)
		return under(load_relaxed(&stats.judged_blocks) < TALLY_ENOUGH ? HUNGRY_PERCENT : options.cpu_limit);
	if (under(options.cpu_limit))
		return true;
	if (pace_over() && (under(HUNGRY_PERCENT) || (past(1) && under(STARVING_PERCENT))))
		return true;
later:
	heap_watch_more(CHECK_AGAIN_KIB << 10);
	return false;
}

void pace_completed(uint64_t cpu_ns, size_t marked_bytes, bool found)
{
	account(cpu_ns);
	pace.alive = marked_bytes;
	pace.stress_from_ns = cpu_ns > DEAR_NS ? pace.last_process_ns + cpu_ns / 4 : 0;
	pace.abort_wait_ns = pace.not_before_ns = 0;
	if (found)
		pace.backoff = 0;
	else if (pace.backoff < BACKOFF_MOST)
		pace.backoff++;
	arm();
}

void pace_aborted(uint64_t cpu_ns)
{
	account(cpu_ns);
	pace.abort_wait_ns = pace.abort_wait_ns ? pace.abort_wait_ns * 2 : ABORT_WAIT_NS;
	if (pace.abort_wait_ns > ABORT_WAIT_MOST_NS)
		pace.abort_wait_ns = ABORT_WAIT_MOST_NS;
	pace.not_before_ns = os_coarse_ns() + pace.abort_wait_ns;
	heap_watch_more(CHECK_AGAIN_KIB << 10);
}
