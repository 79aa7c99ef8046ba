/*
 * What the unwinder takes from src/heap and src/threads, for machines that those do not know yet (stacks_aarch64.sh): the thread's block, and
 * the bounds of the main thread's stack from what the loader says.
 */
#include "heap/self.h"
#include "threads/threads.h"

#include <stdlib.h>
#include <sys/auxv.h>

_Thread_local struct self self __attribute__((tls_model("initial-exec")));

void threads_stack_known(uintptr_t low, uintptr_t high)
{
	self.stack_low = low;
	self.stack_high = high;
}

void threads_start(int signal_option)
{
	(void)signal_option;
	const uintptr_t here = (uintptr_t)__builtin_frame_address(0), top = getauxval(AT_RANDOM); /* above all frames */
	if (top > here)
		threads_stack_known(align_down(here, 4096) - (1 << 20), top);
}
