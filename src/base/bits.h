/* Small arithmetic and atomics shared by every room. No state, no system calls. */
#ifndef CGC_BASE_BITS_H
#define CGC_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define CACHE_LINE 64
/* Arrays apart from small variables (the linker sorts .bss by name): fork leaves copying a page to whoever writes there first, on both sides, and the
 * small ones lie on a few pages then. */
#define LARGE __attribute__((section(".bss.large")))
#define STEADY __attribute__((section(".bss.kept"))) /* written at start, or seldom: apart from what every fork's two sides write */
#define EACH_FORK __attribute__((section(".data"))) /* written by both sides of each fork: beside the locks, on one page */
/* What each cycle reads the system's answers into, side by side in this order (n): their beginnings are asked for at once. */
#define ANSWER(n) __attribute__((section(".bss.largest." #n)))
#define ANSWERS_USED (28 * 1024) /* all of the first two, and two pages of the third */
/* Code that a child of fork runs first, before it asks for the rest of ours (preload/start.c): all on one page. */
#define FORKED __attribute__((section(".text.forked"), noinline))
#define NELEM(a) (sizeof(a) / sizeof((a)[0]))

/* Reads of memory that belongs to the program (stacks, data, blocks): any byte may change under us and was never
 * written through our types, so neither sanitizers nor strict aliasing have a say. Generated code is read at every byte. */
typedef uintptr_t __attribute__((may_alias, aligned(1))) word_t;

static inline uintptr_t align_up(uintptr_t x, uintptr_t to) { return (x + to - 1) & ~(to - 1); }
static inline uintptr_t align_down(uintptr_t x, uintptr_t to) { return x & ~(to - 1); }
static inline bool is_power_of_two(uintptr_t x) { return x && !(x & (x - 1)); }
static inline unsigned log2_floor(uint64_t x) { return 63u - (unsigned)__builtin_clzll(x); }

/* Named orders: relaxed for counters, acquire/release where a comment names the partner. */
#define load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
/* load_relaxed of a word that others may write, as an operand of the instruction that uses it: compilers give an atomic load one of its own. For the few
 * instructions of malloc and free; what is read must be used once. x86 and AArch64 load aligned words whole. */
#if defined __has_feature
#if __has_feature(thread_sanitizer)
#define load_folded(p) load_relaxed(p)
#endif
#endif
#if defined __SANITIZE_THREAD__
#define load_folded(p) load_relaxed(p)
#elif !defined load_folded
#define load_folded(p) (*(p))
#endif
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define cas(p, expected, v) \
	__atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

/* A hint to the core inside a spin. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("yield");
#endif
}

#endif
