/*
 * Which thread has which alternate stack, as the wrapper of sigaltstack saw it.
 *
 * Two threads may have one: varnishd gives all of its threads the same, for a handler of SIGSEGV that ends the process. A stop runs its
 * handler in all threads at once, and there one frame would lie over the other. So a thread whose stack is another's too gets one of ours
 * (altstack.c).
 *
 * Each thread tells before it looks, seq_cst: of two that register at the same time at least one sees the other. An entry ends with its
 * thread's end or its next registration; one whose thread is gone without a word (_exit of a raw thread, fork) is dropped when it is in the way.
 */
#include "preload/altstacks.h"
#include "os/os.h"
#include "os/syscall.h"

enum { ENTRIES = 2048 };

static LARGE struct entry {
	uint32_t tid;         /* atomic: 0 free; the thread writes the rest, others read it */
	uintptr_t low, high;  /* atomic */
} entries[ENTRIES];
static uint32_t used;         /* atomic: entries below it were taken once */
static _Thread_local uint32_t own __attribute__((tls_model("initial-exec"))); /* index + 1; 0: none */

static bool mine(uint32_t tid) { return own && __atomic_load_n(&entries[own - 1].tid, __ATOMIC_SEQ_CST) == tid; }

/* false: the table is full. */
static bool claim(uint32_t tid)
{
	for (uint32_t i = 0; !mine(tid) && i < ENTRIES; i++) {
		uint32_t none = 0;
		if (!__atomic_compare_exchange_n(&entries[i].tid, &none, tid, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			continue;
		own = i + 1;
		for (uint32_t n = load_relaxed(&used); n < own && !cas(&used, &n, own);)
			;
	}
	return mine(tid);
}

static bool gone(uint32_t tid) { return syscall3(SYS_tgkill, os_pid(), (long)tid, 0) == -ESRCH; }

bool altstacks_tell(uintptr_t low, uintptr_t high)
{
	const uint32_t tid = (uint32_t)os_tid();
	if (!claim(tid))
		return true; /* nobody knows: as if it were shared */
	__atomic_store_n(&entries[own - 1].low, low, __ATOMIC_SEQ_CST);
	__atomic_store_n(&entries[own - 1].high, high, __ATOMIC_SEQ_CST);
	bool shared = false;
	for (uint32_t i = 0, n = __atomic_load_n(&used, __ATOMIC_SEQ_CST); i < n; i++) {
		struct entry *e = &entries[i];
		uint32_t other = __atomic_load_n(&e->tid, __ATOMIC_SEQ_CST);
		if (!other || other == tid || __atomic_load_n(&e->low, __ATOMIC_SEQ_CST) >= high || __atomic_load_n(&e->high, __ATOMIC_SEQ_CST) <= low)
			continue;
		if (gone(other))
			cas(&e->tid, &other, 0);
		else
			shared = true;
	}
	return shared;
}

void altstacks_drop(void)
{
	const uint32_t tid = (uint32_t)os_tid();
	if (!mine(tid))
		return;
	store_relaxed(&entries[own - 1].high, 0);
	__atomic_store_n(&entries[own - 1].tid, 0, __ATOMIC_SEQ_CST);
	own = 0;
}
