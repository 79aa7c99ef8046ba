/*
 * Every root, given to the marker inside the stop:
 *
 * 1. Sources are opened (pages.c) and the mappings listed (maps.c). The list must show our own stack and data, else it is
 *    another process's or a filtered one.
 * 2. Parts of the arena's window that are no longer plain memory are told to the marker as doubtful.
 * 3. Two sets of ranges are built: what is left out (the arena, cgc's own memory, the dead part of each thread's stack as far
 *    as the mapping of its stack pointer reaches) and what is a live stack or signal frame.
 * 4. Registers, and words that only the kernel holds or that are in flight, go to the marker one by one.
 * 5. Each mapping, minus what is left out, page by page where there are contents; words in live stacks are marked as such.
 *    Sub-ranges are left out, never whole mappings: the kernel merges neighbours, ours with the program's.
 *
 * How a page is read:
 *   private, readable, present     plain loads
 *   protected, swapped, shared     copied without faulting (mark_range_copied): a protected page may fault, so may a
 *                                  swapped one that is really a guard, and another process may truncate a shared file.
 * A present page that can't be copied ends the cycle (law 8). One that only shows as swapped is then empty (see pages.c).
 *
 * What must hold: no lock, no allocation but own mappings, raw system calls only: a stopped thread may hold any lock.
 */
#include "roots/roots.h"
#include "backtrace/backtrace.h"
#include "backtrace/depot.h"
#include "backtrace/modules.h"
#include "base/fault.h"
#include "base/options.h"
#include "heap/altered.h"
#include "heap/heap.h"
#include "heap/ignored.h"
#include "heap/veil.h"
#include "mark/mark.h"
#include "os/os.h"
#include "roots/flight.h"
#include "roots/inside.h"
#include "threads/threads.h"

static struct maps maps;
static struct ranges left_out, stacks;
static uint64_t scanned, counted[ROOT_SHARES]; /* all of it, and by kind */
static bool files; /* roots=+file: mapped files count, as far as they are in memory */
static void (*looker)(uintptr_t low, uintptr_t high); /* roots_look: takes what else the marker would get */
static unsigned looked_kind;  /* enum root_kind */

const char *const root_share_names[ROOT_SHARES] = { "registers", "stack", "segment", "mapping", "shared", "kernel" };
uint64_t roots_bytes(enum root_share share) { return load_relaxed(&counted[share]); }

static void count(enum root_share share, uint64_t bytes)
{
	scanned += bytes;
	add_relaxed(&counted[share], bytes);
}

/* Roots that a mutant leaves out: read once a cycle, so that NAME@N counts cycles. */
static struct {
	bool registers, stacks, segments, mappings, shared, epoll, tls, altstack, self_stack, protected, code, inflight, listed;
	unsigned kernel; /* kinds of kernel.c, by bit */
} no;

static void exclude_now(uintptr_t low, uintptr_t high) { ranges_add(&left_out, low, high); }

void roots_start(void)
{
	flight_start(options.mode == MODE_OFF ? 0 : options.inflight);
	segments_start();
	segments_own(roots_exclude);
	fewer_start();
}

void roots_fork_prepare(void)
{
	modules_fork_prepare();
	tables_lock();
}
void roots_fork_parent(void)
{
	tables_unlock();
	if (modules_fork_parent())
		roots_list_segments();
}
void roots_forked(void)
{
	segments_forked();
	tables_forked();
}

static void arm_mutants(void)
{
	no.registers = fault(FAULT_no_registers) || options.lsan.no_registers;
	no.stacks = fault(FAULT_no_stacks);
	no.segments = fault(FAULT_no_segments);
	no.mappings = fault(FAULT_no_mappings);
	no.shared = fault(FAULT_no_shared);
	no.epoll = fault(FAULT_no_epoll);
	no.tls = fault(FAULT_no_tls);
	no.altstack = fault(FAULT_no_altstack);
	no.self_stack = fault(FAULT_no_self_stack);
	no.protected = fault(FAULT_no_protected);
	no.code = fault(FAULT_no_code);
	no.kernel = (unsigned)fault(FAULT_no_timer) << KERNEL_TIMER | (unsigned)fault(FAULT_no_notify) << KERNEL_NOTIFY |
	            (unsigned)fault(FAULT_no_signal_value) << KERNEL_SIGNAL | (unsigned)fault(FAULT_no_aio) << KERNEL_AIO |
	            (unsigned)fault(FAULT_no_iocb) << KERNEL_IOCB | (unsigned)fault(FAULT_no_uring) << KERNEL_URING;
	no.inflight = fault(FAULT_no_inflight);
	no.listed = fault(FAULT_no_listed) || no.epoll || no.kernel;
}

/* -- step 2 -- */

static bool plain(const struct mapping *m)
{
	return m->kind == MAPPING_ANON && (m->flags & (MAPPING_READ | MAPPING_SHARED)) == MAPPING_READ;
}

bool roots_plain(uintptr_t low, uintptr_t high)
{
	const struct mapping *m = maps_find(&maps, low);
	return m && plain(m) && m->flags & MAPPING_WRITE && !(m->flags & MAPPING_EXEC) && high <= m->high;
}

/* One mapped part of the arena. Gaps count too: a block in one was unmapped by the program. What no wrapper saw is altered here, before the first mark. */
static void tell_doubtful_in(uintptr_t at, uintptr_t end)
{
	if (!arena_contains(at)) /* side tables: no blocks */
		return;
	for (size_t i = 0; i < maps.count && at < end; i++) {
		const struct mapping *m = &maps.at[i];
		if (m->high <= at)
			continue;
		if (m->low >= end)
			break;
		if (m->low > at) {
			heap_pages_gone(at, m->low);
			mark_doubtful(at, m->low);
		}
		uintptr_t low = m->low > at ? m->low : at, high = m->high < end ? m->high : end;
		if ((!plain(m) || !(m->flags & MAPPING_WRITE) || m->watched) && !veil_covers(low)) { /* each veiled page is a mapping of its own */
			heap_pages_altered(low, high);
			if (!plain(m) || m->watched)
				mark_doubtful(low, high);
		}
		at = high;
	}
	if (at < end) {
		heap_pages_gone(at, end);
		mark_doubtful(at, end);
	}
}

/*
 * Are two mappings side by side in the heap, both plain? The kernel keeps them apart for something that the list does not tell: userfaultfd, a key, advice (or a
 * fork in between). smaps does. Of those whose faults may wait for a stopped thread nothing must be loaded.
 * Between two that are not plain such a one is not told by its neighbours, hence heap_served.
 */
static bool heap_split;

static void look_for_splits(uintptr_t low, uintptr_t high)
{
	const struct mapping *m = arena_contains(low) ? maps_find(&maps, low) : NULL;
	for (; m && m + 1 < maps.at + maps.count && m[1].low < high; m++)
		heap_split |= m->high == m[1].low && plain(m) && plain(&m[1]) && !veil_covers(m->low) && !veil_covers(m[1].low);
}

/* What only smaps tells takes the kernel a walk over all page tables, a millisecond a gigabyte, so it is asked where something hangs on it. */
static bool details_wanted(void)
{
	bool swappable = false, vast = false;
	for (size_t i = 0; i < maps.count && !vast; i++) {
		swappable |= pages_swappable(&maps.at[i]);
		vast = pages_vast(&maps.at[i]) || pages_may_be_huge(&maps.at[i]);
	}
	return vast || (swappable && os_swap_used());
}

/* Lists the mappings, in the detail that is wanted. */
static bool list_mappings(void)
{
	const bool from_smaps = pages_begin() == PAGES_SMAPS;
	if (!maps_read(&maps, from_smaps ? "smaps" : "maps"))
		return false;
	if (from_smaps)
		return true;
	if (details_wanted())
		return maps_read(&maps, "smaps");
	heap_split = load_relaxed(&heap_served);
	heap_own_ranges(look_for_splits);
	return !heap_split || maps_look_closer(&maps, arena.base + arena.limit);
}

/* -- step 3 -- */

/* The mutant no_tls leaves out the page of static TLS below the thread's control block, which points to itself. */
static void lose_tls(const struct thread_root *t, struct range *live)
{
	for (unsigned i = 0; i < t->word_count; i++) {
		uintptr_t w = t->words[i], first = 0;
		if (!w || w % 64 || os_read_self(&first, w, sizeof first) != (long)sizeof first || first != w)
			continue;
		exclude_now(w - OS_PAGE, w);
		if (w > live->low && w <= live->high)
			live->high = w - OS_PAGE;
	}
}

static bool exact_frames;
void roots_exact_frames(bool on) { exact_frames = on; }

/* Old words of the program's show in the holes of a frame, and of ours behind it. */
static void add_registers(const struct thread_root *t, struct range *live, struct range *frame)
{
	struct thread_frame f;
	if (!exact_frames || !threads_frame(t, &f))
		return;
	exclude_now(f.ours.low, f.ours.high);
	*frame = (struct range){ 0, 0 };
	if (f.ours.high > live->low && f.ours.high <= live->high)
		live->low = f.ours.high;
	for (unsigned i = 0; i < f.count && !no.registers && !options.lsan.no_registers; i++)
		ranges_add(&stacks, f.registers[i].low, f.registers[i].high);
}

/*
 * What lies below the stack pointer is dead, unless the thread runs on a part of its own stack that it switched to: a coroutine in an array of a
 * frame (the frames below that one wait), a segment left by longjmp, a structure of the program's at the low end of a stack that it
 * made. Nothing at the switch can be seen, and old words there keep little. So whoever recycles counts them; a report, which is to tell
 * what is lost, does not.
 */
static bool below_is_dead(void)
{
	return options.stacks == STACKS_LIVE || (options.stacks == STACKS_AUTO && options.mode == MODE_REPORT);
}

static void add_thread(const struct thread_root *t, bool self_thread)
{
	struct range live = t->live, frame = t->frame;
	const struct mapping *m = maps_find(&maps, live.high ? t->sp : t->dead.high - 1); /* without `live`: the mutant no_altstack */
	if (m && t->dead.low < t->dead.high && (below_is_dead() || !live.high)) /* the rest of `dead` may be somebody else's by now */
		exclude_now(t->dead.low > m->low ? t->dead.low : m->low, t->dead.high < m->high ? t->dead.high : m->high);
	if (no.tls)
		lose_tls(t, &live);
	add_registers(t, &live, &frame);
	fewer_of_thread(t, &live, &frame, exclude_now);
	if (self_thread) {
		struct range weak = own_weak(t, &live);
		exclude_now(weak.low, weak.high);
	}
	if (no.stacks || (no.self_stack && self_thread))
		exclude_now(live.low, live.high);
	else
		ranges_add(&stacks, live.low, live.high);
	if (no.altstack)
		exclude_now(frame.low, frame.high);
	else
		ranges_add(&stacks, frame.low, frame.high);
}

static void build_ranges(void)
{
	ranges_clear(&left_out);
	ranges_clear(&stacks);
	heap_own_ranges(exclude_now); /* the arena without its holes: what lies in those is the program's */
	own_ranges(exclude_now);
	threads_own_ranges(exclude_now);
	mark_own_ranges(exclude_now);
	tables_memory(exclude_now);
	kernel_memory(exclude_now);
	flight_memory(exclude_now);
	declared_memory(exclude_now);
	fewer_globals(exclude_now);
	segments_memory(exclude_now);
	modules_own_ranges(exclude_now);
	backtrace_own_ranges(exclude_now);
	depot_own_ranges(exclude_now);
	int tid = os_tid();
	for (size_t i = 0, n = threads_count(); i < n; i++) {
		const struct thread_root *t = threads_root(i);
		add_thread(t, t->tid == tid);
	}
	exclude_now((uintptr_t)maps.at, (uintptr_t)(maps.at + maps.room));
	exclude_now((uintptr_t)stacks.at, (uintptr_t)(stacks.at + stacks.room));
	exclude_now((uintptr_t)left_out.at, (uintptr_t)(left_out.at + left_out.room));
	ranges_sort(&left_out);
	ranges_sort(&stacks);
}

/* -- step 4 -- */

static void mark_threads(void)
{
	for (size_t i = 0, n = threads_count(); i < n; i++) {
		const struct thread_root *t = threads_root(i);
		if (arena_contains(t->sp)) /* a stack inside a block: the block is the root */
			mark_word(t->sp);
		if (no.registers || (own_weak_registers() && t->tid == os_tid()))
			continue;
		for (unsigned w = 0; w < t->word_count; w++)
			mark_word(t->words[w]);
		count(SHARE_REGISTERS, t->word_count * 8);
	}
}

/* -- step 5 -- */

/* How what can't be loaded plainly is read. */
static enum copy_rule rule_of(const struct mapping *m, bool present)
{
	const bool readable = m->flags & MAPPING_READ;
	if (m->kind == MAPPING_SECRET)
		return COPY_SECRET;
	if (m->kind == MAPPING_DEVICE && readable)
		return COPY_DEVICE;
	if (m->flags & MAPPING_SHARED)
		return COPY_SHARED;
	return present && m->kind == MAPPING_ANON ? COPY_WHOLE : readable ? COPY_READABLE : COPY_PROTECTED;
}

static bool scan_part(const struct mapping *m, uintptr_t low, uintptr_t high, bool present, bool on_stack)
{
	count(on_stack ? SHARE_STACK : m->flags & MAPPING_SHARED ? SHARE_SHARED : m->kind == MAPPING_ANON ? SHARE_MAPPING : SHARE_SEGMENT, high - low);
	const bool code = m->flags & MAPPING_EXEC && !no.code;
	if (UNLIKELY(looker != NULL)) {
		looked_kind = on_stack ? ROOT_STACK : code ? ROOT_CODE : ROOT_MEMORY;
		looker(low, high);
		return true;
	}
	const bool loads = m->flags & MAPPING_READ && !(m->flags & MAPPING_SHARED) && (m->kind == MAPPING_ANON || m->kind == MAPPING_FILE);
	if (loads && present && !mark_feared(low, high)) {
		if (code)
			mark_code(low, high);
		if (!code || on_stack)
			mark_range(low, high, on_stack);
		return true;
	}
	const enum copy_rule rule = rule_of(m, present);
	return (!code || mark_range_copied(low, high, MARK_CODE, rule)) &&
	       ((code && !on_stack) || mark_range_copied(low, high, on_stack ? MARK_STACK : MARK_MEMORY, rule));
}

/* [low, high) has contents: split by what is a live stack. */
static bool scan_run(const struct mapping *m, uintptr_t low, uintptr_t high, bool present)
{
	for (size_t i = ranges_first_above(&stacks, low); low < high; i++) {
		bool more = i < stacks.count && stacks.at[i].low < high;
		uintptr_t stack_low = more ? stacks.at[i].low : high;
		if (low < stack_low) {
			if (!scan_part(m, low, stack_low, present, false))
				return false;
			low = stack_low;
		}
		if (!more)
			break;
		uintptr_t end = stacks.at[i].high < high ? stacks.at[i].high : high;
		if (low < end && !scan_part(m, low, end, present, true))
			return false;
		low = end;
	}
	return true;
}

/* Bounds of the part that is being listed: runs come in whole pages, ranges that are left out end anywhere. */
static uintptr_t part_low, part_high;

static bool scan_clipped(const struct mapping *m, uintptr_t low, uintptr_t high, bool present)
{
	low = low > part_low ? low : part_low;
	high = high < part_high ? high : part_high;
	return low >= high || scan_run(m, low, high, present);
}

static bool scan_mapping(const struct mapping *m)
{
	uintptr_t at = m->low;
	for (size_t i = ranges_first_above(&left_out, at); at < m->high; i++) {
		bool more = i < left_out.count && left_out.at[i].low < m->high;
		part_low = at;
		part_high = more ? left_out.at[i].low : m->high;
		if (part_low < part_high && !pages_each(m, part_low, part_high, scan_clipped))
			return false;
		if (part_low < part_high && files && m->kind == MAPPING_FILE && !pages_each_of_file(m, part_low, part_high, scan_clipped))
			return false;
		if (!more)
			break;
		at = left_out.at[i].high;
	}
	return true;
}

/* Of memory that is no root: only the stacks in it, should a thread run on one. */
static bool scan_stacks_only(uintptr_t from, uintptr_t to)
{
	for (size_t i = ranges_first_above(&stacks, from); i < stacks.count && stacks.at[i].low < to; i++) {
		uintptr_t low = stacks.at[i].low > from ? stacks.at[i].low : from;
		uintptr_t high = stacks.at[i].high < to ? stacks.at[i].high : to;
		count(SHARE_STACK, high - low);
		looked_kind = ROOT_STACK;
		if (UNLIKELY(looker != NULL))
			looker(low, high);
		else if (!mark_range_copied(low, high, true, COPY_PROTECTED))
			return false;
	}
	return true;
}

static bool is_root(const struct mapping *m)
{
	if (m->kind == MAPPING_KERNEL || m->kind == MAPPING_RING || (no.protected && !(m->flags & MAPPING_READ)))
		return false;
	if (m->kind == MAPPING_DEVICE)
		return m->flags & MAPPING_SHARED ? m->memory && !no.shared : !no.segments;
	if (m->flags & MAPPING_SHARED) /* major 0: memory file systems, memfd, System V, shared anonymous memory */
		return m->major == 0 ? !no.shared : files;
	return m->kind == MAPPING_ANON ? !no.mappings : !no.segments;
}

static void mark_copy(uintptr_t low, uintptr_t high)
{
	count(SHARE_SHARED, high - low); /* rings */
	looked_kind = ROOT_RING;
	if (UNLIKELY(looker != NULL))
		looker(low, high);
	else
		mark_range(low, high, false);
}

static enum abort_reason mark_mappings(void)
{
	for (size_t i = 0; i < maps.count; i++) {
		const struct mapping *m = &maps.at[i];
		if (rings_mapping(m) && !rings_scan(m, mark_copy))
			return ABORT_ROOT_UNREADABLE;
		if (!(is_root(m) ? scan_mapping(m) : scan_stacks_only(m->low, m->high)))
			return ABORT_ROOT_UNREADABLE;
	}
	/* A live stack or frame wins over everything that is left out: one thread's dead range, a stack that cgc lent. */
	for (size_t i = 0; i < left_out.count; i++)
		if (!scan_stacks_only(left_out.at[i].low, left_out.at[i].high))
			return ABORT_ROOT_UNREADABLE;
	return ABORT_NONE;
}

/* Of a declared region. Secret memory is a root anyway, and plain loads alone can read it. */
static bool mark_declared(const struct mapping *m, uintptr_t low, uintptr_t high)
{
	if (m->kind == MAPPING_SECRET || m->kind == MAPPING_KERNEL || fault(FAULT_no_declared))
		return true;
	count(SHARE_MAPPING, high - low);
	if (UNLIKELY(looker != NULL)) {
		looker(low, high);
		return true;
	}
	return mark_range_copied(low, high, MARK_MEMORY, m->kind == MAPPING_DEVICE ? COPY_WHOLE : rule_of(m, false));
}

/* roots=segments, for comparison: what a collector sees that knows modules and stacks only. */
static void mark_segment(uintptr_t low, uintptr_t high)
{
	for (size_t i = ranges_first_above(&left_out, low); low < high; i++) {
		bool more = i < left_out.count && left_out.at[i].low < high;
		uintptr_t end = more ? left_out.at[i].low : high;
		if (low < end) {
			count(SHARE_SEGMENT, end - low);
			mark_range_copied(low, end, false, COPY_PROTECTED);
		}
		if (!more)
			break;
		low = left_out.at[i].high > low ? left_out.at[i].high : low;
	}
}

static enum abort_reason mark_segments(void)
{
	if (segments_listing())
		return ABORT_ROOT_UNREADABLE;
	segments_each(mark_segment);
	for (size_t i = 0; i < stacks.count; i++) {
		count(SHARE_STACK, stacks.at[i].high - stacks.at[i].low);
		if (!mark_range_copied(stacks.at[i].low, stacks.at[i].high, true, COPY_PROTECTED))
			return ABORT_ROOT_UNREADABLE;
	}
	return ABORT_NONE;
}

/* -- all of it -- */

static enum abort_reason mark_all(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	ranges_reserve(&left_out);
	ranges_reserve(&stacks);
	maps_reserve(&maps);
	os_map_soon(0);
	if (!list_mappings())
		return ABORT_ROOT_UNREADABLE;
	if (!maps_find(&maps, here) || !maps_find(&maps, (uintptr_t)&maps))
		return ABORT_ROOT_UNREADABLE;
	heap_own_ranges(tell_doubtful_in);
	build_ranges();
	if (left_out.failed || stacks.failed)
		return ABORT_NO_MEMORY;
	if (!rings_look(&maps))
		return ABORT_UNSEEN;
	mark_threads();
	count(SHARE_KERNEL, 8 * (tables_each(mark_word, !no.epoll) + kernel_each(mark_word, no.kernel)));
	if (!no.listed)
		count(SHARE_KERNEL, 8 * listed_each(mark_word));
	count(SHARE_KERNEL, 8 * ignored_each(mark_word));
	if (!declared_each(&maps, mark_declared))
		return ABORT_ROOT_UNREADABLE;
	stats.in_flight = no.inflight ? 0 : flight_each(mark_word, load_relaxed(&flight.any) ? flight_now() : 1);
	count(SHARE_KERNEL, 8 * stats.in_flight);
	return options.roots == ROOTS_SEGMENTS ? mark_segments() : mark_mappings();
}

enum abort_reason roots_mark(uint64_t *bytes)
{
	scanned = 0;
	for (unsigned i = 0; i < ROOT_SHARES; i++)
		store_relaxed(&counted[i], 0);
	*bytes = 0;
	if (tables_full() || (flight_was_full() && flight_full(flight_now())))
		return ABORT_TABLE_FULL;
	arm_mutants();
	files = options.roots == ROOTS_FILES && !fault(FAULT_no_files);
	enum abort_reason why = mark_all();
	pages_end();
	*bytes = scanned;
	return why;
}

void roots_dropped(void)
{
	pages_end();
	roots_set_weak(0, false);
	exact_frames = false;
}

/* -- the same for somebody who looks for something -- */

static void look_at_word(uintptr_t w) { looker((uintptr_t)&w, (uintptr_t)(&w + 1)); }

unsigned roots_looked_kind(void) { return looked_kind; }

static bool look_at_all(void)
{
	if (!list_mappings())
		return false;
	build_ranges();
	if (left_out.failed || stacks.failed)
		return false;
	looked_kind = ROOT_REGISTERS;
	for (size_t i = 0, n = threads_count(); i < n; i++)
		looker((uintptr_t)threads_root(i)->words, (uintptr_t)(threads_root(i)->words + threads_root(i)->word_count));
	looked_kind = ROOT_BORN;
	tables_each(look_at_word, false);
	looked_kind = ROOT_EPOLL;
	tables_each(look_at_word, true);
	if (!no.listed)
		listed_each(look_at_word);
	looked_kind = ROOT_IN_FLIGHT;
	flight_each(look_at_word, flight_now());
	for (unsigned kind = KERNEL_TIMER; kind <= KERNEL_URING; kind++) {
		looked_kind = ROOT_KERNEL + kind;
		kernel_each(look_at_word, no.kernel | ~(1u << kind));
	}
	looked_kind = ROOT_MEMORY;
	declared_each(&maps, mark_declared);
	return mark_mappings() == ABORT_NONE;
}

bool roots_look(void (*fn)(uintptr_t low, uintptr_t high))
{
	looker = fn;
	arm_mutants();
	bool complete = look_at_all();
	pages_end();
	looker = NULL;
	return complete;
}
