/*
 * Reports that count fewer roots, because LSAN_OPTIONS says so: use_globals=0, use_stacks=0, use_registers=0, use_tls=0. For mode=report
 * alone: nothing is recycled by such a view.
 *
 * Static TLS lies below a thread's control block, whose first word is its own address, the same distance in each thread; the loader
 * tells where the calling thread's blocks are. On machines where it lies above, nothing is known of it and all of it counts.
 */
#include "base/options.h"
#include "os/os.h"
#include "roots/inside.h"
#include "threads/threads.h"

#include <link.h>
#include <pthread.h>

enum { FARTHEST = 1 << 20, RED_ZONE = 128 };

static uintptr_t below; /* bytes of static TLS below the control block; 0: not known */

static int take_module(struct dl_phdr_info *info, size_t size, void *arg)
{
	uintptr_t here = (uintptr_t)pthread_self(), block = (uintptr_t)info->dlpi_tls_data;
	if (block && block < here && here - block < FARTHEST && here - block > below)
		below = here - block;
	return 0;
}

void fewer_start(void)
{
#ifdef __x86_64__
	if (options.lsan.no_stacks || options.lsan.no_tls)
		dl_iterate_phdr(take_module, NULL);
#endif
}

static uintptr_t control_block(const struct thread_root *t)
{
	for (unsigned i = 0; i < t->word_count; i++) {
		uintptr_t w = t->words[i], first = 0;
		if (w && w % 64 == 0 && os_read_self(&first, w, sizeof first) == (long)sizeof first && first == w)
			return w;
	}
	return 0;
}

/* The signal frame with the interrupted registers stands between the handler's stack pointer and the program's, or on another stack. */
static void without_registers(const struct thread_root *t, struct range *live, struct range *frame, void (*exclude)(uintptr_t low, uintptr_t high))
{
	uintptr_t low = t->sp - RED_ZONE;
	if (low > live->low && low <= live->high) {
		exclude(live->low, low);
		live->low = low;
	}
	exclude(frame->low, frame->high);
	*frame = (struct range){ 0, 0 };
}

void fewer_of_thread(const struct thread_root *t, struct range *live, struct range *frame, void (*exclude)(uintptr_t low, uintptr_t high))
{
	if (UNLIKELY(options.lsan.no_registers))
		without_registers(t, live, frame, exclude);
	if (LIKELY(!options.lsan.no_stacks && !options.lsan.no_tls))
		return;
	uintptr_t block = control_block(t);
	bool on_stack = block > live->low && block <= live->high;
	if (options.lsan.no_tls && block) {
		exclude(block - below, block);
		if (on_stack && below)
			live->high = block - below; /* what lies above is a root as part of its mapping */
	}
	if (options.lsan.no_stacks) {
		uintptr_t end = on_stack ? block - below : live->high;
		exclude(live->low, end);
		live->low = end > live->high ? live->high : end;
	}
}

void fewer_globals(void (*exclude)(uintptr_t low, uintptr_t high))
{
	if (options.lsan.no_globals)
		segments_each(exclude);
}
