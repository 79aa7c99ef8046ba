/*
 * What must not be scanned, or not like other memory: cgc's own, as others tell it, and, while a report looks, what our frames left on the collecting
 * thread's stack. Ranges that stay (the collector's stack, own data) are entered before the first
 * cycle, those that go again (a report's arrays) at any time, by any thread: no lock, because a handler may do it.
 */
#include "os/os.h"
#include "roots/inside.h"

enum { OWN = 256, LENT = 64, RED_ZONE = 128, WEAK_MOST = 256 << 10, WEAK_WORDS = 128 };

static STEADY struct range own[OWN];   /* grows only */
static unsigned own_count;      /* atomic: released after the entry */
static STEADY struct range lent[LENT]; /* atomic: claimed by `low`, valid while `high` is not 0 */

static struct {
	uintptr_t below;          /* 0: nothing is weak now */
	bool registers;
	struct range found;       /* by the last roots_mark */
} weak;

void roots_exclude(uintptr_t low, uintptr_t high)
{
	unsigned n = add_relaxed(&own_count, 1);
	if (n < OWN)
		own[n] = (struct range){ low, high };
	/* A full table only costs time: what is not left out is scanned. */
}

int roots_exclude_for_now(uintptr_t low, uintptr_t high)
{
	for (int i = 0; i < LENT; i++) {
		uintptr_t nobody = 0;
		if (!load_relaxed(&lent[i].low) && cas(&lent[i].low, &nobody, low)) {
			store_release(&lent[i].high, high);
			return i;
		}
	}
	return -1;
}

void roots_include(int handle)
{
	if (handle < 0)
		return;
	store_relaxed(&lent[handle].high, 0);
	store_release(&lent[handle].low, 0);
}

void own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	unsigned known = load_acquire(&own_count);
	for (unsigned i = 0; i < known && i < OWN; i++)
		fn(own[i].low, own[i].high);
	for (unsigned i = 0; i < LENT; i++)
		if (load_acquire(&lent[i].high))
			fn(lent[i].low, lent[i].high);
}

void roots_set_weak(uintptr_t below, bool registers)
{
	if (below) {
		weak.found = (struct range){ 0, 0 };
		weak.registers = registers;
	}
	weak.below = below;
}

void roots_weak_range(uintptr_t *low, uintptr_t *high)
{
	*low = weak.found.low;
	*high = weak.found.high;
}

void roots_weak_each(void (*fn)(uintptr_t word))
{
	uintptr_t words[WEAK_WORDS], end = align_down(weak.found.high, 8), next;
	for (uintptr_t at = align_up(weak.found.low, 8); at < end; at = next) {
		next = align_down(at, sizeof words) + sizeof words; /* in one page, which can be read or not */
		next = next < end ? next : end;
		if (os_read_self(words, at, next - at) == (long)(next - at))
			for (size_t i = 0; i < (next - at) / 8; i++)
				fn(words[i]);
	}
	const struct thread_root *self_root = threads_root(0);
	for (unsigned i = 0; weak.registers && i < self_root->word_count; i++)
		fn(self_root->words[i]);
}

/* Without bounds it may be an alternate stack, which is scanned as memory: what lies below the stack pointer there is dead. */
struct range own_weak(const struct thread_root *t, struct range *live)
{
	struct range stack = *live;
	if (!weak.below)
		return (struct range){ 0, 0 };
	if (!stack.high && !threads_alternate(t->sp, &stack))
		stack = (struct range){ t->sp - RED_ZONE, t->sp + WEAK_MOST };
	if (weak.below <= stack.low || weak.below > stack.high)
		return (struct range){ 0, 0 };
	live->low = live->high ? weak.below : live->low;
	return weak.found = (struct range){ stack.low, weak.below };
}

bool own_weak_registers(void) { return weak.below && weak.registers; }
