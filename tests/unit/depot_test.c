/* The depot: the same stack is the same node, whoever inserts it and however many there are. */
#include "backtrace/depot.h"
#include "backtrace/modules.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static uint32_t insert(const uintptr_t *pcs, size_t n) /* innermost first */
{
	uint32_t node = 0;
	while (n--)
		node = depot_child(node, pcs[n]);
	return node;
}

Test(depot, without_a_start_nothing_is_recorded)
{
	cr_assert_eq(depot_child(0, 0x1000), 0);
	cr_assert_eq(depot_count(), 0);
	uintptr_t pc;
	cr_assert_eq(depot_stack(0, &pc, 1), 0);
	cr_assert_eq(depot_stack(7, &pc, 1), 0);
}

Test(depot, a_stack_comes_back_as_it_was_inserted)
{
	cr_assert(depot_start() && depot_start());
	uintptr_t in[5] = { 0x5005, 0x4004, 0x3003, 0x2002, 0x1001 }, out[8];
	uint32_t node = insert(in, 5);
	cr_assert_neq(node, 0);
	cr_assert_eq(depot_stack(node, out, 8), 5);
	cr_assert_arr_eq(in, out, sizeof in);
	cr_assert_eq(depot_stack(node, out, 2), 2);
	cr_assert_eq(out[1], 0x4004);
	cr_assert_eq(insert(in, 5), node);
	cr_assert_eq(depot_count(), 5);
	cr_assert_eq(depot_get(node)->parent, insert(in + 1, 4));
}

Test(depot, stacks_share_their_outer_frames_and_nothing_else)
{
	cr_assert(depot_start());
	uint32_t a = depot_child(0, 1), b = depot_child(0, 2);
	cr_assert_neq(depot_child(a, 3), depot_child(b, 3));
	cr_assert_eq(depot_count(), 4);
	cr_assert_eq(depot_child(a, 0), 0); /* no frame has this pc: it would look like a number that is nobody's */
}

Test(depot, a_node_knows_the_module_of_its_frame)
{
	modules_list();
	cr_assert(depot_start());
	uint32_t here = depot_child(0, (uintptr_t)&insert + 1), nowhere = depot_child(0, 0x1234);
	cr_assert_eq(depot_get(here)->module, modules_find((uintptr_t)&insert));
	cr_assert_neq(depot_get(here)->module, MODULE_NONE);
	cr_assert_eq(depot_get(nowhere)->module, MODULE_NONE);
}

/* More than three chunks, so that mapping them is passed too. */
Test(depot, two_hundred_thousand_stacks_are_all_found_again)
{
	enum { N = 200000 };
	uint32_t *nodes = calloc(N, sizeof *nodes);
	cr_assert(depot_start());
	for (uint32_t i = 0; i < N; i++)
		nodes[i] = depot_child(i % 16 && i ? nodes[i - 1] : 0, 0x400000 + i * 5);
	cr_assert_eq(depot_count(), N);
	for (uint32_t i = 0; i < N; i++) {
		cr_assert_neq(nodes[i], 0);
		cr_assert_eq(depot_child(i % 16 && i ? nodes[i - 1] : 0, 0x400000 + i * 5), nodes[i]);
		cr_assert_eq(depot_get(nodes[i])->pc, 0x400000 + i * 5);
	}
	cr_assert_eq(depot_count(), N);
	free(nodes);
}

enum { THREADS = 4, STACKS = 20000 };
static uint32_t seen[THREADS][STACKS];
static pthread_barrier_t barrier;

static void *insert_all(void *arg)
{
	uint32_t *mine = arg;
	for (unsigned i = 0; i < STACKS; i++) {
		if (i % 64 == 0)
			pthread_barrier_wait(&barrier); /* together, so that they do collide */
		mine[i] = depot_child(depot_child(0, 1 + i / 8), 0x1000 + i);
	}
	return NULL;
}

Test(depot, threads_that_insert_the_same_stacks_get_the_same_nodes)
{
	pthread_t t[THREADS];
	cr_assert(depot_start());
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, insert_all, seen[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 1; i < THREADS; i++)
		cr_assert_arr_eq(seen[0], seen[i], sizeof seen[0]);
	/* What lost a race is nobody's, and nobody leads to it. */
	uint32_t used = 0;
	for (uint32_t i = 1; i <= depot_count(); i++)
		used += depot_get(i)->pc != 0;
	cr_assert_eq(used, STACKS + STACKS / 8);
}

static volatile sig_atomic_t in_handler;
static void handle(int signal) { in_handler += depot_child(depot_child(0, 77), 1000 + (uintptr_t)in_handler % 50) != 0; }

Test(depot, a_handler_inserts_on_top_of_an_insert)
{
	cr_assert(depot_start());
	signal(SIGALRM, handle);
	struct timespec tick = { 0, 50000 };
	timer_t timer;
	cr_assert_eq(timer_create(CLOCK_MONOTONIC, NULL, &timer), 0);
	timer_settime(timer, 0, &(struct itimerspec){ tick, tick }, NULL);
	uintptr_t out[2];
	for (uintptr_t i = 1; i < 300000 && in_handler < 200; i++) {
		uint32_t node = depot_child(depot_child(0, 77), 1000 + i % 3000);
		cr_assert_eq(depot_stack(node, out, 2), 2);
		cr_assert_eq(out[0], 1000 + i % 3000);
	}
	timer_delete(timer);
}

static _Atomic bool over;
static void *keep_inserting(void *unused)
{
	for (uintptr_t i = 1; !over; i++)
		depot_child(depot_child(0, i % 1000 + 1), i);
	return NULL;
}

Test(depot, a_child_of_fork_goes_on_inserting)
{
	pthread_t t;
	cr_assert(depot_start());
	pthread_create(&t, NULL, keep_inserting, NULL);
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			for (uintptr_t n = 1; n < 2000; n++) {
				uintptr_t pc;
				uint32_t node = depot_child(depot_child(0, n % 1000 + 1), n);
				if (!node || depot_child(depot_child(0, n % 1000 + 1), n) != node || !depot_stack(node, &pc, 1) || pc != n)
					_exit(1);
			}
			_exit(0);
		}
		int status;
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert_eq(status, 0);
	}
	over = true;
	pthread_join(t, NULL);
}

static size_t total;
static void add(uintptr_t low, uintptr_t high) { total += high - low; }

Test(depot, what_it_maps_is_told_and_grows_by_chunks)
{
	cr_assert(depot_start());
	depot_own_ranges(add);
	cr_assert(total > 64 << 10 && total < 4 << 20, "%zu", total);
	size_t before = total;
	total = 0;
	for (uintptr_t i = 1; i <= 1 << 16; i++)
		depot_child(0, i);
	depot_own_ranges(add);
	cr_assert_eq(total, before + (2 << 20));
}

Test(depot, when_it_is_full_old_stacks_are_found_and_new_ones_are_one_frame)
{
	cr_assert(depot_start());
	const uint32_t old = depot_child(depot_child(0, 1), 2);
	cr_assert(!depot_is_full());
	depot_most = depot_count();
	cr_assert(depot_is_full());
	cr_assert_eq(depot_child(depot_child(0, 1), 2), old);
	cr_assert_eq(depot_child(old, 3), 0);
	cr_assert_neq(depot_child(0, 3), 0);
}
