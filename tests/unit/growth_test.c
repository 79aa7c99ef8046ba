/* Growth: which points of a site's past are kept, and whose. Samples are made up; a sample of the heap is in report.sh. */
#include "report/growth.h"

#include <criterion/criterion.h>

TestSuite(growth, .timeout = 60);

static const uint64_t second = 1000000000;

static void note(uint32_t node, uint64_t seconds, uint64_t bytes)
{
	growth_note(node, &(struct growth_point){ seconds * second, bytes / 8, bytes });
}

Test(growth, a_site_that_grew_has_a_rate)
{
	struct growth_point p[GROWTH_POINTS];
	note(1, 100, 1000);
	cr_expect_eq(growth_points(1, p), 0, "one sample tells nothing");
	note(1, 110, 6000);
	cr_expect_eq(growth_rate(1), 500);
	cr_expect_eq(growth_points(1, p), 2);
	cr_expect(p[0].bytes == 1000 && p[1].bytes == 6000 && p[1].blocks == 750);
}

Test(growth, what_stays_or_shrinks_is_left_out)
{
	struct growth_point p[GROWTH_POINTS];
	note(1, 100, 1000), note(1, 110, 1000);
	note(2, 100, 1000), note(2, 110, 5000), note(2, 120, 900);
	cr_expect(growth_points(1, p) == 0 && growth_rate(1) == 0);
	cr_expect(growth_points(2, p) == 0 && growth_rate(2) == 0);
	cr_expect(growth_points(3, p) == 0 && growth_rate(3) == 0, "and so is what was never seen");
}

Test(growth, the_first_sample_stays_and_the_past_gets_coarser)
{
	struct growth_point p[GROWTH_POINTS];
	for (uint64_t t = 1; t <= 10000; t++)
		note(1, t, 1000 * t);
	unsigned n = growth_points(1, p);
	cr_expect(n > GROWTH_POINTS / 2 && n <= GROWTH_POINTS);
	cr_expect_eq(p[0].at_ns, second);
	cr_expect_eq(p[n - 1].at_ns, 10000 * second);
	for (unsigned i = 1; i < n; i++)
		cr_expect_gt(p[i].at_ns, p[i - 1].at_ns);
	cr_expect_gt(p[1].at_ns - p[0].at_ns, p[n - 1].at_ns - p[n - 2].at_ns);
	cr_expect_eq(growth_rate(1), 1000);
}

Test(growth, a_full_table_keeps_the_large_ones)
{
	struct growth_point p[GROWTH_POINTS];
	for (uint32_t node = 1; node <= 20000; node++)
		note(node, 100, node);
	for (uint32_t node = 100001; node <= 100050; node++)
		note(node, 200, 1000000), note(node, 300, 2000000);
	unsigned known = 0;
	for (uint32_t node = 100001; node <= 100050; node++)
		known += growth_points(node, p) == 2;
	cr_expect_eq(known, 50);
}

Test(growth, a_child_of_fork_begins_anew)
{
	struct growth_point p[GROWTH_POINTS];
	note(1, 100, 1000), note(1, 110, 6000);
	growth_forked();
	cr_expect_eq(growth_points(1, p), 0);
	note(1, 120, 7000);
	cr_expect_eq(growth_points(1, p), 0);
}
