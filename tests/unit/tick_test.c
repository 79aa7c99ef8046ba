/* A sample of live bytes by site: what the heap holds is what growth is told, block for block. */
#include "report_kit.h"

#include "backtrace/depot.h"
#include "report/growth.h"
#include "report/names.h"

#include <pthread.h>
#include <sys/wait.h>

TestSuite(tick, .init = report_begin, .timeout = 60);

static struct growth_point last_of(uint32_t site)
{
	struct growth_point p[GROWTH_POINTS] = { 0 };
	unsigned n = growth_points(site, p);
	return n ? p[n - 1] : p[0];
}

Test(tick, samples_are_what_is_alive)
{
	hidden first = block_of(100, 1);
	hold(0, first, 0);
	report_tick();
	cr_expect_eq(last_of(site_of(first)).blocks, 0, "one sample is no growth");
	for (unsigned i = 1; i < 50; i++)
		hold(i, block_of(100, 1), 0);
	os_sleep_ns(20000000);
	report_tick();
	struct growth_point p = last_of(site_of(first));
	cr_expect_eq(p.blocks, 50);
	cr_expect_eq(p.bytes, 5000);
	cr_expect_gt(growth_rate(site_of(first)), 0);
}

Test(tick, what_was_freed_is_gone)
{
	hidden kept = block_of(100, 1);
	report_tick();
	hidden freed = block_of(100, 1);
	heap_free((void *)~freed);
	hidden more = block_of(100, 1);
	report_tick();
	cr_expect_eq(last_of(site_of(kept)).blocks, 2);
	cr_expect_eq(site_of(more), site_of(kept));
}

static uint32_t namer_site, namer_end; /* atomic */
static void *name_again_and_again(void *unused)
{
	struct frame_name f;
	while (!load_relaxed(&namer_end)) {
		names_lock();
		names_frame(namer_site, &f);
		names_unlock();
	}
	return unused;
}

Test(tick, a_child_of_fork_does_not_go_on_with_names_that_its_parent_was_reading)
{
	pthread_t thread;
	namer_site = depot_child(0, (uintptr_t)name_again_and_again + 1);
	cr_assert_eq(pthread_create(&thread, NULL, name_again_and_again, NULL), 0);
	int status = 0;
	for (int i = 0; i < 100 && !status; i++) {
		os_sleep_ns(1000 * (uint64_t)(i % 17 * 37));
		pid_t child = fork();
		if (child == 0) {
			struct frame_name f;
			names_forked();
			for (int round = 0; round < 2; round++) {
				names_lock();
				names_frame(namer_site, &f);
				names_unlock();
			}
			_exit(f.function == NULL);
		}
		cr_assert_eq(waitpid(child, &status, 0), child);
	}
	store_relaxed(&namer_end, 1);
	pthread_join(thread, NULL);
	cr_expect_eq(status, 0, "status %x", (unsigned)status);
}
