/*
 * sigaltstack: room for our signal frame on top of the program's own.
 *
 * The kernel accepts a stack of 2048 bytes although its own frame takes AT_MINSIGSTKSZ (3376 with AVX-512). A handler of
 * the program on a stack of 8 KiB works; but when our stop signal interrupts that handler, a second frame and our handler
 * come on top, and the stack overflows into whatever lies below. So a stack that has no room for two frames, 2 KiB for
 * the program's handler and 4 KiB for ours is replaced by one of our own, which is larger than theirs by our share.
 *
 * A stack that another thread has installed too (altstacks.c), one in a frame of the ordinary stack, which may return, one where a handler cannot
 * write (protected, or closed by a key), or one whose memory the thread unmaps, moves, maps over or frees while it is
 * installed, is replaced as well: no handler of the program's need ever run on it, but that of a stop would. Where another thread takes
 * the memory away, the kernel lets nobody replace the stack: there is no stop until its thread installs another or ends.
 * Small blocks count as freed when they return to their span, or are handed out anew.
 *
 *     guard page | ................ stack (theirs + ours) ................ | struct substitute
 *
 * 1. The program's call is made as it is: every error is the kernel's. All signals are blocked meanwhile (33 too), so that none
 *    meets the small stack.
 * 2. When the stack is too small, a second call installs the substitute with the same flags.
 * 3. A query that shows our stack is answered with theirs.
 *
 * A substitute belongs to the thread and to the address that the program gave: the same address gets the same substitute
 * again. One that is no longer installed, nor under our feet (SS_AUTODISARM lets a handler change stacks), is taken for the
 * next address. All are unmapped at the thread's exit. They are private mappings, so they are roots without more ado.
 *
 * What a program can notice: addresses of variables in a handler lie outside the range it gave, and uc_stack in a handler's context
 * shows ours. Programs that test for "am I on the alternate stack" by address and not by sigaltstack see false; those that
 * measure use by a fill pattern see none. Coroutine libraries that obtain stacks by sigaltstack and raise, and keep running there, use
 * stacks of 16 KiB and more: these are never replaced.
 */
#include "base/text.h"
#include "os/os.h"
#include "os/syscall.h"
#include "preload/altstacks.h"
#include "preload/eintr.h"
#include "preload/flight.h"
#include "preload/real.h"
#include "preload/shim.h"
#include "threads/threads.h"
#include "heap/hooks.h"
#include "heap/self.h"
#include <errno.h>
#include <limits.h>
#include <sys/auxv.h>

#define SS_AUTODISARM_BIT (1u << 31) /* Linux 4.7; not in glibc's headers */

enum { OUR_HANDLER = 4096, THEIR_HANDLER = 2048, GUARD = 4096 };

struct substitute {
	struct substitute *next;
	char *base;           /* of the mapping, guard page included */
	size_t mapped;
	char *stack;          /* what the kernel is given */
	size_t size;
	void *theirs;         /* what the program gave */
	size_t their_size;
};

static _Thread_local struct substitute *substitutes __attribute__((tls_model("initial-exec"))); /* own thread only */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool have_key;

/* By number: what stands before the real function may come back here (raw.c). */
static bool kernel_has(stack_t *now) { return syscall2(SYS_sigaltstack, 0, (long)now) == 0; }
static bool kernel_takes(const stack_t *stack) { return syscall2(SYS_sigaltstack, (long)stack, 0) == 0; }

static size_t frame_size(void)
{
	size_t n = getauxval(51 /* AT_MINSIGSTKSZ, Linux 5.14 */);
	return n > 2048 ? n : 2048;
}

static bool too_small(size_t size) { return size < 2 * frame_size() + THEIR_HANDLER + OUR_HANDLER; }

static struct substitute *find(const void *stack)
{
	struct substitute *s = substitutes;
	while (s && s->stack != stack)
		s = s->next;
	return s;
}

/* Unmaps everything, in the last round of destructors: handlers may run on it until then. */
static void forget(void *rounds)
{
	if ((uintptr_t)rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
		pthread_setspecific(key, (void *)((uintptr_t)rounds + 1));
		return;
	}
	stack_t now = { .ss_flags = SS_DISABLE };
	if (os_is_confined() || !kernel_has(&now) || (now.ss_flags & SS_ONSTACK))
		return; /* pthread_exit inside the handler: the destructors themselves run on it */
	uint64_t mask;
	threads_block_signals(&mask);
	/* Also a stack of the program's: this thread goes on to its end, and who has it next is alone there. */
	if (!(now.ss_flags & SS_DISABLE)) {
		stack_t none = { .ss_flags = SS_DISABLE };
		kernel_takes(&none);
	}
	altstacks_drop();
	while (substitutes) {
		struct substitute *s = substitutes;
		substitutes = s->next;
		os_unmap(s->base, s->mapped);
	}
	threads_restore_signals(mask);
}

static void make_key(void) { have_key = pthread_key_create(&key, forget) == 0; }

static bool in_ordinary(uintptr_t p) { return p - self.stack_low < self.stack_high - self.stack_low; }

/* May code run there, now or later? One in place of an array of a frame (told) is left alone while that frame lives: a coroutine may have
 * been begun there. */
static bool in_use(const struct substitute *s)
{
	const uintptr_t here = (uintptr_t)__builtin_frame_address(0), theirs = (uintptr_t)s->theirs;
	return here - (uintptr_t)s->stack < s->size || (in_ordinary(theirs) && !(in_ordinary(here) && theirs < here));
}

static struct substitute *map_new(size_t size)
{
	size_t mapped = align_up(GUARD + size + sizeof(struct substitute), 4096);
	char *base = os_map(mapped);
	if (!base)
		return NULL;
	os_guard(base, GUARD);
	struct substitute *s = (struct substitute *)align_down((uintptr_t)base + mapped - sizeof *s, 64);
	s->base = base;
	s->mapped = mapped;
	s->stack = base + GUARD;
	s->size = (size_t)((char *)s - s->stack);
	s->next = substitutes;
	substitutes = s;
	return s;
}

/* For a stack that the kernel has just accepted. NULL: no memory. */
static struct substitute *substitute_for(const stack_t *theirs)
{
	const size_t size = theirs->ss_size + frame_size() + OUR_HANDLER;
	struct substitute *s, *idle = NULL;
	for (s = substitutes; s; s = s->next) {
		if (s->size < size)
			continue;
		if (s->theirs == theirs->ss_sp)
			break;
		if (!in_use(s))
			idle = s;
	}
	if (!s)
		s = idle ? idle : map_new(size);
	if (s) {
		s->theirs = theirs->ss_sp;
		s->their_size = theirs->ss_size;
	}
	return s;
}

/* Ours in place of theirs, which the kernel has. Signals are blocked. Without memory theirs stays, and no stop comes where it must not. */
static void install_substitute(const stack_t *theirs, bool needed)
{
	struct substitute *s = substitute_for(theirs);
	stack_t ours = { .ss_flags = theirs->ss_flags & (int)SS_AUTODISARM_BIT };
	if (s) {
		ours.ss_sp = s->stack;
		ours.ss_size = s->size;
	}
	if (s && kernel_takes(&ours))
		altstacks_drop();
	else if (needed)
		altstacks_lose();
}

/* The question closes this thread's own TLS for a moment, should that have a key: then it is not to be asked, and there are no stops. */
static bool fits(uintptr_t low, uintptr_t high) { return altstacks_ended() || threads_frame_fits(low, high); }

/* What the thread has from now on. */
static void told(const stack_t *given)
{
	if (given->ss_flags & SS_DISABLE) {
		altstacks_drop();
		return;
	}
	const uintptr_t low = (uintptr_t)given->ss_sp, high = low + given->ss_size;
	heap_hooks.altstack_lost = altstacks_lost;
	heap_hooks.altstacks_within = altstacks_within;
	heap_hooks.altstack_leaves = altstack_leaves;
	const bool needed = altstacks_tell(low, high) || in_ordinary(low) || !fits(low, high);
	if (needed || too_small(given->ss_size))
		install_substitute(given, needed);
}

void altstack_leaves_own(uintptr_t low, uintptr_t high)
{
	uint64_t mask;
	stack_t now = { .ss_flags = SS_DISABLE };
	threads_block_signals(&mask);
	if (kernel_has(&now) && !(now.ss_flags & SS_DISABLE) && !find(now.ss_sp) && (uintptr_t)now.ss_sp < high
	    && (uintptr_t)now.ss_sp + now.ss_size > low) {
		if (now.ss_flags & SS_ONSTACK)
			altstacks_lose(); /* a handler gives back what it runs on */
		else
			install_substitute(&now, true);
	}
	threads_restore_signals(mask);
}

void altstack_leaves(uintptr_t low, uintptr_t high)
{
	if (!altstacks_within(low, high) || os_is_confined())
		return;
	const int saved = errno;
	altstack_leaves_own(low, high);
	altstacks_leave(low, high);
	errno = saved;
}

/* glibc's: of the area that the kernel writes to whenever a thread of it was moved or interrupted. */
extern const unsigned int __rseq_size __attribute__((weak));

/* When a thread goes on into a handler, the kernel writes there with the rights of the handler. Where that has a key, any signal kills. */
void altstack_keyed(uintptr_t low, uintptr_t high, bool surely)
{
	if (!&__rseq_size || !__rseq_size || os_is_confined() || (!surely && fits(low, high)))
		return;
	heap_hooks.altstack_lost = altstacks_lost;
	altstacks_never();
}

/* In a child of vfork, which shares our tables, and where a filter lets us make no call, there are no stops: as without us. */
int altstack_set(const stack_t *stack, stack_t *old, int (*call)(const stack_t *, stack_t *))
{
	int r, error = 0;
	uint64_t mask;
	stack_t before, given;
	const int saved = errno;
	const bool tells = stack && identity_own();

	if (stack && !flight_readable(stack, sizeof *stack)) /* the kernel's to refuse */
		return call(stack, old);
	if (tells)
		pthread_once(&once, make_key);
	if (stack)
		given = *stack; /* may be the same variable as *old */
	threads_block_signals(&mask);
	r = call(stack ? &given : NULL, old ? &before : NULL);
	error = errno;
	/* The answer first: told() changes the names. */
	struct substitute *was = r == 0 && old ? find(before.ss_sp) : NULL;
	if (was) {
		before.ss_sp = was->theirs;
		before.ss_size = was->their_size;
	}
	if (r == 0 && tells)
		told(&given);
	/* An alternate stack inside the ordinary one: the stop handler sees it in the frame, unless it disarms itself there. Then this
	 * thread's bounds count as unknown, see context.c. */
	if (r == 0 && stack && (given.ss_flags & (int)SS_AUTODISARM_BIT)
	    && (uintptr_t)given.ss_sp - self.stack_low < self.stack_high - self.stack_low)
		threads_stack_known(0, 0);
	threads_restore_signals(mask);
	if (r == 0 && tells && have_key)
		pthread_setspecific(key, (void *)1);
	errno = r == 0 ? saved : error;
	if (r == 0 && old && os_is_confined())
		*old = before;
	else if (r == 0 && old && !eintr_tell(old, &before, sizeof before)) { /* the stack is changed all the same, as by the kernel */
		errno = EFAULT;
		return -1;
	}
	return r;
}

int sigaltstack(const stack_t *restrict stack, stack_t *restrict old) { return altstack_set(stack, old, real()->sigaltstack); }
