/*
 * A memory barrier in all threads at once: membarrier(2), private and expedited (Linux 4.14). The kernel interrupts the processors that run
 * a thread of this memory; threads that wait pass a barrier when they are switched to.
 *
 * The registration lasts until exec and is asked for at the first use. A filter of system calls from before the program's start may kill for
 * a call that it does not know, so behind one, or where /proc does not say that there is none, there are no barriers.
 */
#include "os/os.h"
#include "os/syscall.h"

enum { EXPEDITED = 1 << 3, REGISTER = 1 << 4 };
enum { UNKNOWN, CAN, CANNOT };

static uint32_t known; /* atomic */

static bool barrier(void) { return syscall3(SYS_membarrier, EXPEDITED, 0, 0) == 0; }

static bool registered(void)
{
	const bool can = os_filter_inherited() == 0 && syscall3(SYS_membarrier, REGISTER, 0, 0) == 0;
	store_relaxed(&known, can ? CAN : CANNOT);
	return can;
}

bool os_barrier_everywhere(void)
{
#if defined __SANITIZE_THREAD__
	return false; /* it sees no barrier, and takes what follows for a race */
#endif
	const uint32_t state = load_relaxed(&known);
	if (os_is_confined() || state == CANNOT)
		return false;
	return state == CAN ? barrier() || (registered() && barrier()) : registered() && barrier();
}
