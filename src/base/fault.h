/*
 * Test-only failures, chosen by fault=: NAME, NAME@N (the Nth time, from 1), NAME@N.. (from the Nth on); several are
 * joined by '/'. The points stand in slow paths only; without fault= each costs one load and a branch not taken.
 *
 * Calls (mmap, open, ...) are system calls: os/syscall.h looks here before each one, and lets it fail as the kernel might.
 * Failures (ack, maps, ...) are what goes wrong by more than one call. After either the program must run on correctly
 * (tests/integration/faults.sh takes both lists from here).
 * Mutants (no_registers, ...) break one law or leave out one kind of root: a named test must then fail.
 */
#ifndef CGC_BASE_FAULT_H
#define CGC_BASE_FAULT_H

#include "base/bits.h"

#define FAULT_POINTS(X) \
	/* calls: */ \
	X(mmap) X(munmap) X(mremap) X(madvise) X(mprotect) X(mincore) \
	X(open) X(read) X(pread) X(pwrite) X(memfd) X(write) X(rename) X(unlink) X(faccessat) X(readlink) X(getdents) X(statx) X(fstat) X(ioctl) \
	X(process_vm_readv) X(futex) X(clock) X(nanosleep) X(getrandom) X(uname) X(prlimit) X(arch_prctl) \
	X(sigaction) X(sigprocmask) X(sigpending) X(sigaltstack) X(sigtimedwait) X(signal) X(tgkill) X(kill) \
	X(mkdir) X(chmod) X(fcntl) X(socket) X(bind) X(listen) X(connect) X(accept) X(getsockopt) X(poll) X(recv) X(sendmsg) \
	X(timer_create) X(timer_settime) X(clone) X(wait) X(kcmp) X(process_vm_writev) X(membarrier) \
	/* failures: */ \
	X(ack) X(late_ack) X(lost_signal) X(task_list) X(maps) X(pagemap) \
	/* mutants: roots left out */ \
	X(no_registers) X(no_stacks) X(no_segments) X(no_mappings) X(no_shared) X(no_epoll) X(no_tls) X(no_altstack) \
	X(no_interior) X(no_offsets) X(no_past_end) X(no_self_stack) X(no_protected) X(no_code) X(no_seams) X(no_inflight) X(no_listed) \
	X(no_timer) X(no_notify) X(no_signal_value) X(no_aio) X(no_iocb) X(no_uring) \
	X(no_declared) X(no_tagged) X(no_align) X(no_integers) X(no_before) X(no_mangled) X(no_files) X(no_aside) \
	/* mutants: laws broken */ \
	X(law1_sweep_free) X(law2_torn_refill) X(law3_park_busy) X(law4_rebuild_list) X(law5_late_publish) \
	X(law3_lend_busy) X(law6_empty_is_unowned) X(law7_blind_verdict) X(law7_no_return) X(law8_ignore_abort) X(law8_ignore_sharers) X(law8_partial_root) X(law9_no_evidence) \
	X(law9_audit_recycles) X(law9_mortal_site) X(law10_skip_end) \
	X(first_of_cycle) X(inner_as_start) X(numbers_hold) X(whole_slots) \
	X(lose_edges) X(prune_wanted) X(no_alloc_lists) X(no_stash) X(no_link_check) X(no_stale_line) X(no_blank_check) X(no_altered) X(no_suffix_check) X(no_tail_check) X(no_least) X(no_generation)

enum fault_point {
#define X(name) FAULT_##name,
	FAULT_POINTS(X)
#undef X
	FAULT_COUNT
};

extern bool fault_armed; /* any fault at all: set once at start */
bool fault_hit(enum fault_point p);
static inline __attribute__((always_inline)) bool fault(enum fault_point p) { return UNLIKELY(fault_armed) && fault_hit(p); }

uint64_t fault_hits(void); /* failures that happened, for the statistics */

/* Arms from the option's text. NULL, or a static string that says what is wrong with it. */
const char *fault_parse(const char *text);

#endif
