/*
 * Waiting again with the mask set by the call itself (eintr.h).
 *
 * glibc's pthread_cleanup_push comes in two kinds. With exceptions it needs a personality routine, and that the unwinder of libgcc_s,
 * which cgc does not load; so this file asks for the other, a setjmp and a list that cancellation runs.
 * A cancellation that strikes inside the call finds the mask that the call set; the cleanup is for one found at its entry or exit.
 */
#undef __EXCEPTIONS
#include "preload/eintr.h"
#include <string.h>

static void give_up(void *s) { eintr_leave(s); }

int eintr_masked(struct eintr_scope *s, int errno_before, int (*fn)(void *call, const sigset_t *mask), void *call)
{
	sigset_t own;
	int r;
	memset(&own, 0, sizeof own);
	memcpy(&own, &s->mask, sizeof s->mask);
	pthread_cleanup_push(give_up, s);
	do {
		eintr_arm(s);
		r = fn(call, &own);
	} while (r == -1 && eintr_hide(s, errno_before));
	pthread_cleanup_pop(0);
	eintr_leave(s);
	return r;
}
