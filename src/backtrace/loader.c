/*
 * dl_iterate_phdr beside fork.
 *
 * glibc (2.36) does not free the lock of its list of modules in a child of fork. A child that is born while another thread is inside
 * dl_iterate_phdr would wait for it for ever, at the latest when its end lists modules. So fork waits until nobody is inside, and
 * nobody enters until it is done:
 *
 *   lister   inside += 1, then looks at `forking`          fork   forking = 1, then waits for inside == 0
 *
 * of which one sees the other. The wait is bounded: the thread that forks may be in a callback of dl_iterate_phdr itself, and hold the
 * lock.
 */
#include "backtrace/modules.h"
#include "os/os.h"

#include <link.h>

enum {
	WAITS = 500,           /* 50 ms: a listing takes a millisecond with a thousand libraries */
	WAIT_NS = 100000,
	ASKED = 2
};

EACH_FORK static uint32_t inside; /* atomic: threads in dl_iterate_phdr */
EACH_FORK static uint32_t forking; /* atomic: 0 no, 1 nobody enters it, ASKED somebody would have */

bool modules_iterate(int (*fn)(struct dl_phdr_info *info, size_t size, void *arg), void *arg)
{
	uint32_t fork_now = 1;
	__atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST);
	bool wait = cas(&forking, &fork_now, ASKED) || fork_now;
	if (!wait)
		dl_iterate_phdr(fn, arg);
	__atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
	return !wait;
}

void modules_fork_prepare(void)
{
	__atomic_store_n(&forking, 1, __ATOMIC_SEQ_CST);
	for (int tried = 0; tried < WAITS && __atomic_load_n(&inside, __ATOMIC_SEQ_CST); tried++)
		os_sleep_ns(WAIT_NS);
}

bool modules_fork_parent(void) { return __atomic_exchange_n(&forking, 0, __ATOMIC_ACQ_REL) == ASKED; }

void loader_forked(void)
{
	store_release(&inside, 0);
	store_release(&forking, 0);
}
