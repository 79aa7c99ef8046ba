/*
 * cgc.h: the API of libcgc.so.
 *
 * A program needs none of it: LD_PRELOAD=libcgc.so is enough. These calls are for programs and tests that want to say more.
 * Look them up with dlsym(RTLD_DEFAULT, "cgc_collect") or as weak symbols when the program must also run without cgc.
 *
 * All functions are safe to call from any thread at any time after the program's start, but not from signal handlers unless
 * said. None touches errno.
 */
#ifndef CGC_H
#define CGC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CGC_API __attribute__((visibility("default")))

/* "0.1.0". A constant string; safe in signal handlers. */
CGC_API const char *cgc_version(void);

/* Runs as many complete cycles as the option grace needs and returns when everything that was unreachable before the call
 * is recycled (mode=collect), or judged (mode=report, mode=audit). Cycles that cannot complete (a thread that does not
 * answer, a root that cannot be read) are tried again a few times; then the call returns without. Blocks while another
 * thread is in a cycle. In mode=off it does nothing. */
CGC_API void cgc_collect(void);

/* Stops cycles from starting by themselves, and allows it again. Calls nest. cgc_collect works meanwhile. */
CGC_API void cgc_disable(void);
CGC_API void cgc_enable(void);

/* Declares [low, low + size) as a place of pointers: what they lead to is alive. Needed only where memory is no root by itself: a mapped
 * file that nobody wrote to, device memory, a block that is lost but looked at. Parts that are not mapped are skipped; a part that can't be
 * read keeps cycles from completing. Declared twice, it must be taken back twice. */
CGC_API void cgc_add_root(const void *low, size_t size);
/* Takes one declaration of the same bounds back. false: there is none. */
CGC_API bool cgc_remove_root(const void *low, size_t size);

/* Counters since the start of the process; sizes in bytes, times in nanoseconds. New fields are added at the end. */
struct cgc_stats {
	size_t size;              /* in: sizeof(struct cgc_stats) as the caller was compiled; out: bytes filled in */
	uint64_t cycles;          /* completed */
	uint64_t aborted;         /* ended early because the view was incomplete; nothing is recycled by such a cycle */
	uint64_t pause_max_ns, pause_p99_ns;
	uint64_t condemned_blocks, condemned_bytes;
	uint64_t recycled_blocks, recycled_bytes;
	uint64_t live_bytes;      /* allocated and not freed, lost ones included */
	uint64_t heap_bytes;      /* mapped for blocks */
	uint64_t evidence;        /* free or realloc of blocks judged lost: proof of a hidden pointer */
	uint64_t misuse;          /* double, interior and wild frees */
};

/* Fills *out up to out->size bytes. Each counter is read by itself: under load they need not add up. */
CGC_API void cgc_get_stats(struct cgc_stats *out);

#ifdef __cplusplus
}
#endif

#endif
