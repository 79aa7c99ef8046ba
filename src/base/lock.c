/*
 * Locks on one futex word, after Drepper's "Futexes Are Tricky" (mutex 2): 0 free, 1 held, 2 held and contended.
 *
 * Waiting spins a little first, because what cgc holds a lock for takes well under a microsecond except for system calls.
 */
#include "base/lock.h"
#include "base/text.h"
#include "os/os.h"

enum {
	SPINS = 100,
	LOOK_AGAIN_NS = 50000000 /* a wake-up that failed costs this much, not everything */
};

/* Ranks held by this thread, one bit each. A handler on top of this thread looks too (lock_any_held), so a bit is set before its lock
 * is taken and cleared after it was dropped. Debug builds make the lock order code by it. */
static _Thread_local uint32_t held __attribute__((tls_model("initial-exec")));
static void held_enter(const struct lock *l)
{
	ensure((held >> l->rank) == 0, "locks are taken in rising rank");
	store_relaxed(&held, held | 1u << l->rank);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}
static void held_leave(const struct lock *l)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	store_relaxed(&held, held & ~(1u << l->rank));
}

bool lock_any_held(void) { return load_relaxed(&held) != 0; }

bool lock_try(struct lock *l)
{
	uint32_t expected = 0, before = held;
	store_relaxed(&held, before | 1u << l->rank); /* a try may come in any order: it cannot deadlock */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (cas(&l->word, &expected, 1))
		return true;
	store_relaxed(&held, before);
	return false;
}

void lock_take(struct lock *l)
{
	held_enter(l);
	uint32_t expected = 0;
	if (cas(&l->word, &expected, 1))
		return;
	for (int i = 0; i < SPINS; i++) {
		expected = 0;
		if (load_relaxed(&l->word) == 0 && cas(&l->word, &expected, 1))
			return;
		cpu_relax();
	}
	while (__atomic_exchange_n(&l->word, 2, __ATOMIC_ACQUIRE) != 0)
		os_futex_wait(&l->word, 2, LOOK_AGAIN_NS);
}

void lock_drop(struct lock *l)
{
	uint32_t before = __atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE);
	held_leave(l);
	if (before == 2)
		os_futex_wake(&l->word, 1);
}

void lock_reset(struct lock *l)
{
	held_leave(l);
	store_release(&l->word, 0);
}
