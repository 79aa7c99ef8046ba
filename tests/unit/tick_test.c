/* A sample of live bytes by site: what the heap holds is what growth is told, block for block. */
#include "report_kit.h"

#include "report/growth.h"

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
