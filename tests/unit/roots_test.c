/*
 * Each kind of root holds the only pointer to a block, and the block is found; each mutant that leaves the kind out loses it.
 *
 * The test is its own threads room: one worker thread, stopped by SIGUSR1 whose handler records the interrupted context, so
 * that the roots room is tested without the real stop. Pointers are kept hidden (inverted) everywhere but in the root under
 * test. Each case runs in a forked child and tells by its exit status whether the block was marked.
 */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/options.h"
#include "heap/heap.h"
#include "mark/mark.h"
#include "os/os.h"
#include "roots/inside.h"
#include "roots/maps.h"
#include "roots/roots.h"
#include "threads/threads.h"

#define NOINLINE __attribute__((noinline))
enum { ALT = 64 * 1024, SPAN_OF_MAPPINGS = 10000 };

/* -- the threads room of this test -- */

static struct thread_root thread_roots[2];
static size_t thread_total = 1;
static char *alternate;
static volatile int stopped, released, worker_ready, worker_end;
static bool want_words = true, want_frame;

bool threads_aside(void) { return false; }
bool threads_frame(const struct thread_root *t, struct thread_frame *f) { return false; }
size_t threads_count(void) { return thread_total; }
const struct thread_root *threads_root(size_t i) { return &thread_roots[i]; }
bool threads_alternate(uintptr_t sp, struct range *r) { return false; }
bool threads_block_handlers(uint64_t *saved) { return false; }
void threads_restore_signals(uint64_t saved) {}
void threads_own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	fn((uintptr_t)thread_roots, (uintptr_t)(thread_roots + 2));
	if (alternate)
		fn((uintptr_t)alternate, (uintptr_t)alternate + ALT);
}

static void bounds(pthread_t thread, struct range *r)
{
	pthread_attr_t attr;
	void *low;
	size_t size;
	pthread_getattr_np(thread, &attr);
	pthread_attr_getstack(&attr, &low, &size);
	pthread_attr_destroy(&attr);
	*r = (struct range){ (uintptr_t)low, (uintptr_t)low + size };
}

static struct range stacks_known[2];

static void fill_root(struct thread_root *t, uintptr_t sp, struct range known)
{
	t->sp = sp;
	t->live = (struct range){ sp - 128, known.high };
	t->dead = (struct range){ known.low, sp - 128 };
}

static void on_stop(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	struct thread_root *t = &thread_roots[1];
	t->tid = os_tid();
	t->word_count = 0;
	fill_root(t, (uintptr_t)uc->uc_mcontext.gregs[REG_RSP], stacks_known[1]);
	if (want_words)
		for (int i = 0; i < 23; i++)
			t->words[t->word_count++] = (uintptr_t)uc->uc_mcontext.gregs[i];
	t->words[t->word_count++] = (uintptr_t)pthread_self();
	t->frame = (struct range){ 0, 0 };
	if (want_frame)
		t->frame = (struct range){ (uintptr_t)uc, (uintptr_t)alternate + ALT };
	stopped = 1;
	while (!released)
		;
}

/* -- one cycle -- */

static NOINLINE void scrub(void)
{
	volatile char room[16384];
	for (size_t i = 0; i < sizeof room; i++)
		room[i] = 0;
}

static NOINLINE enum abort_reason mark_all_roots(uint64_t *bytes)
{
	struct thread_root *t = &thread_roots[0];
	uintptr_t r[5];
	__asm__ volatile("mov %%rbx,0(%0); mov %%r12,8(%0); mov %%r13,16(%0); mov %%r14,24(%0); mov %%r15,32(%0)" ::"r"(r) : "memory");
	memcpy(t->words, r, sizeof r);
	memset(r, 0, sizeof r);
	t->word_count = 5;
	t->words[t->word_count++] = (uintptr_t)pthread_self();
	t->tid = os_tid();
	fill_root(t, (uintptr_t)__builtin_frame_address(0), stacks_known[0]);
	cr_assert(mark_begin());
	cr_assert(mark_cached());
	enum abort_reason why = roots_mark(bytes);
	mark_drain();
	return why;
}

static bool is_marked(uintptr_t hidden)
{
	struct block_info info;
	return heap_find(~hidden, &info) == FOUND_BLOCK && state_is_marked(info.state);
}

/* 0 marked, 1 not marked, 10 + reason: the cycle ended early. */
static NOINLINE int judge(uintptr_t hidden)
{
	uint64_t bytes;
	scrub();
	enum abort_reason why = mark_all_roots(&bytes);
	int result = why != ABORT_NONE ? 10 + (int)why : !mark_complete() ? 9 : is_marked(hidden) ? 0 : 1;
	mark_abandon();
	mark_end();
	return result;
}

/* -- kinds of roots -- */

static uintptr_t in_data = 42, in_bss;
static __thread uintptr_t in_tls;
static uintptr_t hidden_block; /* of the worker */
static uintptr_t *planted_at;

static NOINLINE uintptr_t plant(uintptr_t *where)
{
	heap_malloc(80); /* slot 0 of the first span is the arena's base, which the statically linked heap's own data holds */
	uintptr_t p = (uintptr_t)heap_malloc(80);
	*where = p + 24;
	planted_at = where;
	return ~p;
}

static uintptr_t *map(int prot, int flags, int fd) { return mmap(NULL, 1 << 20, prot, flags, fd, 0); }

static uintptr_t plant_data(void) { return plant(&in_data); }
static uintptr_t plant_bss(void) { return plant(&in_bss); }
static uintptr_t plant_mmap(void) { return plant(map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1) + 1000); }
static uintptr_t plant_protected(void)
{
	uintptr_t *p = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1), h = plant(p + 5000);
	mprotect(p, 1 << 20, PROT_NONE);
	return h;
}
static uintptr_t plant_memfd(void)
{
	int fd = memfd_create("roots", 0);
	cr_assert_eq(ftruncate(fd, 1 << 20), 0);
	return plant(map(PROT_READ | PROT_WRITE, MAP_SHARED, fd) + 3000);
}
static uintptr_t plant_shm(void)
{
	char name[64];
	snprintf(name, sizeof name, "/dev/shm/cgc-roots-%d", getpid());
	int fd = open(name, O_RDWR | O_CREAT, 0600);
	unlink(name);
	cr_assert_eq(ftruncate(fd, 1 << 20), 0);
	return plant(map(PROT_READ | PROT_WRITE, MAP_SHARED, fd) + 3000);
}
static uintptr_t plant_truncated(void) /* a shared file of memory, cut behind the pointer */
{
	int fd = memfd_create("roots", 0);
	cr_assert_eq(ftruncate(fd, 1 << 20), 0);
	uintptr_t *p = map(PROT_READ | PROT_WRITE, MAP_SHARED, fd), h = plant(p + 10);
	p[100000] = 1;
	cr_assert_eq(ftruncate(fd, 4096), 0);
	return h;
}
static uintptr_t plant_guards(void) /* MADV_GUARD_INSTALL: reading the page faults although maps says rw */
{
	uintptr_t *p = map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1), h = plant(p + 10);
	p[1024] = 1;
	madvise(p + 512, 65536, 102);
	return h;
}
static uintptr_t plant_file(void) /* a private file mapping, copied on write */
{
	char name[] = "/tmp/cgc-roots-XXXXXX";
	int fd = mkstemp(name);
	unlink(name);
	cr_assert_eq(ftruncate(fd, 1 << 20), 0);
	return plant(map(PROT_READ | PROT_WRITE, MAP_PRIVATE, fd) + 3000);
}
static uintptr_t plant_many(void) /* 10,000 mappings */
{
	char *p = mmap(NULL, 2ul * SPAN_OF_MAPPINGS * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < SPAN_OF_MAPPINGS; i += 2)
		mprotect(p + i * 4096l, 4096, PROT_READ);
	return plant((uintptr_t *)(p + (SPAN_OF_MAPPINGS - 3) * 4096l));
}
static uintptr_t plant_epoll(void)
{
	uintptr_t word, h = plant(&word);
	roots_epoll(7, EPOLL_CTL_ADD, 9, word);
	word = 0;
	return h;
}
static uintptr_t plant_held(void)
{
	uintptr_t word, h = plant(&word);
	cr_assert_geq(roots_hold(word), 0);
	word = 0;
	return h;
}
static uintptr_t plant_library(void) /* data of a library that came by dlopen: one that nothing else here loads */
{
	void *lib = dlopen("libutil.so.1", RTLD_NOW), *z = dlopen("libm.so.6", RTLD_NOW);
	(void)lib;
	int *signgam_there = z ? dlsym(z, "signgam") : NULL;
	return signgam_there ? plant((uintptr_t *)align_up((uintptr_t)signgam_there, 8)) : plant_data();
}

/* Worker: plants by kind, then spins with the pointer in r12 or nowhere in registers. */
enum where { IN_STACK, IN_REGISTER, IN_TLS };
static enum where worker_where;

static NOINLINE void worker_spin(uintptr_t hidden)
{
	__asm__ volatile("mov %0, %%r12; not %%r12; xor %%eax, %%eax\n\tmovl $1, (%1)\n1: pause; cmpl $0, (%2); je 1b\n\txor %%r12d, %%r12d"
	                 ::"r"(hidden), "r"(&worker_ready), "r"(&worker_end) : "r12", "rax", "memory");
}

static void *worker(void *arg)
{
	volatile uintptr_t local[4] = { 0 };
	uintptr_t temporary;
	bounds(pthread_self(), &stacks_known[1]);
	stack_t alt = { .ss_sp = alternate, .ss_size = ALT };
	sigaltstack(&alt, NULL);
	if (worker_where == IN_STACK)
		hidden_block = plant((uintptr_t *)&local[1]);
	else if (worker_where == IN_TLS)
		hidden_block = plant(&in_tls);
	else {
		hidden_block = plant(&temporary);
		temporary = 0;
	}
	__asm__ volatile("" ::"r"(&temporary), "r"(local) : "memory");
	scrub();
	worker_spin(worker_where == IN_REGISTER ? hidden_block : ~(uintptr_t)0);
	return (void *)local[0];
}

static uintptr_t plant_in_worker(enum where where)
{
	static pthread_t id;
	struct sigaction act = { .sa_sigaction = on_stop, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	sigaction(SIGUSR1, &act, NULL);
	alternate = mmap(NULL, ALT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	worker_where = where;
	pthread_create(&id, NULL, worker, NULL);
	while (!worker_ready)
		usleep(100);
	pthread_kill(id, SIGUSR1);
	while (!stopped)
		usleep(100);
	thread_total = 2;
	return hidden_block;
}
static uintptr_t plant_worker_stack(void) { want_words = false; return plant_in_worker(IN_STACK); }
static uintptr_t plant_worker_register(void) { return plant_in_worker(IN_REGISTER); }
static uintptr_t plant_worker_tls(void) { want_words = false; return plant_in_worker(IN_TLS); }
static uintptr_t plant_worker_frame(void)
{
	want_words = false;
	want_frame = true;
	return plant_in_worker(IN_REGISTER);
}
static uintptr_t plant_nothing(void) /* the control: a block that is really lost */
{
	uintptr_t word, h = plant(&word);
	word = 0;
	__asm__ volatile("" ::"r"(&word) : "memory");
	return h;
}

/* -- cases in children -- */

typedef uintptr_t plant_fn(void);
enum how { PLAIN, AS_NOBODY, TWICE_FORKED };

static NOINLINE int run_here(plant_fn *fn, bool own_stack)
{
	volatile uintptr_t local[8] = { 0 };
	uintptr_t hidden;
	bounds(pthread_self(), &stacks_known[0]);
	roots_start();
	hidden = own_stack ? plant((uintptr_t *)&local[3]) : fn();
	int result = judge(hidden);
	__asm__ volatile("" ::"r"(local) : "memory");
	return result;
}

static int status_of(pid_t pid)
{
	int status;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int run(plant_fn *fn, const char *faults, enum how how)
{
	pid_t pid = fork();
	if (!pid) {
		if (how == AS_NOBODY && (setgid(65534) || setuid(65534) || prctl(PR_SET_DUMPABLE, 0)))
			_exit(200);
		if (faults && fault_parse(faults))
			_exit(201);
		if (how == TWICE_FORKED) { /* a first cycle in the parent, the second in its child */
			run_here(plant_bss, false);
			pid_t child = fork();
			if (child)
				_exit(status_of(child));
			roots_forked();
			in_bss = 0;
		}
		_exit(run_here(fn, !fn));
	}
	return status_of(pid);
}

static const struct {
	const char *name, *mutant; /* the mutant that must lose it */
	plant_fn *fn;              /* NULL: own stack */
} kinds[] = {
	{ "static data", "no_segments", plant_data },
	{ "bss", "no_mappings/no_segments", plant_bss },
	{ "own stack", "no_self_stack", NULL },
	{ "own stack", "no_stacks", NULL },
	{ "private mapping", "no_mappings", plant_mmap },
	{ "protected mapping", "no_protected", plant_protected },
	{ "memfd", "no_shared", plant_memfd },
	{ "/dev/shm", "no_shared", plant_shm },
	{ "truncated shared file", "no_shared", plant_truncated },
	{ "beside guard pages", "no_mappings", plant_guards },
	{ "private file mapping", "no_segments", plant_file },
	{ "among 10,000 mappings", "no_mappings", plant_many },
	{ "epoll data", "no_epoll", plant_epoll },
	{ "library's data", "no_segments/no_mappings", plant_library },
	{ "thread's stack", "no_stacks", plant_worker_stack },
	{ "thread's register", "no_registers", plant_worker_register },
	{ "thread's static TLS", "no_tls", plant_worker_tls },
	{ "signal frame on the alternate stack", "no_altstack", plant_worker_frame },
};
/* TSan delivers signals at its wrappers of libc calls only: a worker that spins in registers never gets the one that holds it. */
#ifdef __SANITIZE_THREAD__
enum { KINDS = NELEM(kinds) - 4 };
#else
enum { KINDS = NELEM(kinds) };
#endif

Test(roots, each_kind_holds_its_block)
{
	for (size_t i = 0; i < KINDS; i++)
		cr_expect_eq(run(kinds[i].fn, NULL, PLAIN), 0, "%s", kinds[i].name);
	cr_expect_eq(run(plant_held, NULL, PLAIN), 0, "held word");
}

Test(roots, a_lost_block_is_not_found) { cr_expect_eq(run(plant_nothing, NULL, PLAIN), 1); }

Test(roots, each_mutant_loses_its_kind)
{
	for (size_t i = 0; i < KINDS; i++)
		cr_expect_eq(run(kinds[i].fn, kinds[i].mutant, PLAIN), 1, "%s with %s", kinds[i].name, kinds[i].mutant);
}

Test(roots, pagemap_serves_where_the_ioctl_is_refused)
{
	for (size_t i = 0; i < KINDS; i++)
		cr_expect_eq(run(kinds[i].fn, "pagemap", PLAIN), 0, "%s", kinds[i].name);
}

/* After setuid /proc/self/pagemap and mem are root's: smaps and mincore serve; only protected contents end the cycle. */
Test(roots, smaps_serves_after_setuid)
{
	if (geteuid() != 0)
		cr_skip_test("needs root to become nobody");
	for (size_t i = 0; i < KINDS; i++) {
		int expected = kinds[i].fn == plant_protected ? 10 + ABORT_ROOT_UNREADABLE : 0;
		cr_expect_eq(run(kinds[i].fn, NULL, AS_NOBODY), expected, "%s", kinds[i].name);
	}
}

Test(roots, a_forked_child_reads_its_own_pages)
{
	cr_expect_eq(run(plant_mmap, NULL, TWICE_FORKED), 0);
	cr_expect_eq(run(plant_bss, NULL, TWICE_FORKED), 0);
	cr_expect_eq(run(plant_nothing, NULL, TWICE_FORKED), 1);
}

Test(roots, unreadable_maps_end_the_cycle)
{
	cr_expect_eq(run(plant_mmap, "maps", PLAIN), 10 + ABORT_ROOT_UNREADABLE);
}

/* -- blocks that the program protected -- */

static uintptr_t plant_behind_protection(void)
{
	uintptr_t *block = heap_malloc(1 << 20), *page = (uintptr_t *)align_up((uintptr_t)block + 9, 4096);
	in_bss = (uintptr_t)block;
	uintptr_t h = plant(page + 100);
	mprotect(page, 4096, PROT_NONE);
	return h;
}
Test(roots, protected_pages_of_our_own_blocks_are_read) { cr_expect_eq(run(plant_behind_protection, NULL, PLAIN), 0); }

/* -- epoll -- */

Test(roots, epoll_rows_come_and_go)
{
	enum { FDS = 5000 };
	static uintptr_t hidden[FDS];
	bounds(pthread_self(), &stacks_known[0]);
	roots_start();
	for (int i = 0; i < FDS; i++) {
		uintptr_t word;
		hidden[i] = plant(&word);
		roots_epoll(5 + i % 3, EPOLL_CTL_ADD, i, word);
		word = 0;
	}
	scrub();
	for (int i = 0; i < FDS; i += 7)
		roots_epoll(5 + i % 3, EPOLL_CTL_DEL, i, 0);
	roots_epoll_closed(6);
	uint64_t bytes;
	cr_assert_eq(mark_all_roots(&bytes), ABORT_NONE);
	int wrong = 0, kept = 0;
	for (int i = 0; i < FDS; i++) {
		bool live = i % 7 && i % 3 != 1;
		wrong += live && !is_marked(hidden[i]);
		kept += !live && is_marked(hidden[i]);
	}
	mark_abandon();
	mark_end();
	cr_expect_eq(wrong, 0);
	cr_expect_lt(kept, 5, "rows that went still hold: %d", kept);
	cr_expect_gt(bytes, 4096);
}

Test(roots, an_epoll_pair_added_twice_keeps_both_words)
{
	uintptr_t word, older, newer;
	uint64_t bytes;
	bounds(pthread_self(), &stacks_known[0]);
	roots_start();
	older = plant(&word);
	roots_epoll(5, EPOLL_CTL_ADD, 9, word); /* fd 9 is closed, a duplicate lives */
	newer = plant(&word);
	roots_epoll(5, EPOLL_CTL_ADD, 9, word);
	word = 0;
	roots_epoll(5, EPOLL_CTL_DEL, 9, 0);
	scrub();
	cr_assert_eq(mark_all_roots(&bytes), ABORT_NONE);
	bool first = is_marked(older);
	mark_abandon();
	mark_end();
	roots_epoll_closed(5);
	scrub();
	cr_assert_eq(mark_all_roots(&bytes), ABORT_NONE);
	bool second = is_marked(newer);
	mark_abandon();
	mark_end();
	cr_assert(first, "DEL took the word of the duplicate");
	cr_expect(!second);
}

/* -- what the kernel keeps under a name -- */

static bool marked_now(uintptr_t hidden)
{
	uint64_t bytes;
	scrub();
	cr_assert_eq(mark_all_roots(&bytes), ABORT_NONE);
	bool marked = is_marked(hidden);
	mark_abandon();
	mark_end();
	return marked;
}

static uintptr_t plant_row(enum kernel_kind kind, uint64_t key)
{
	uintptr_t word, h = plant(&word);
	struct kernel_row row = { .key = key, .kind = (uint8_t)kind, .words = { word } };
	roots_kernel_add(&row);
	memset(&row, 0, sizeof row);
	word = 0;
	__asm__ volatile("" : : "r"(&row), "r"(&word) : "memory");
	return h;
}

Test(roots, kernel_rows_come_and_go)
{
	enum { ROWS = 3000 };
	static uintptr_t hidden[ROWS];
	struct kernel_row row;
	bounds(pthread_self(), &stacks_known[0]);
	roots_start();
	for (int i = 0; i < ROWS; i++)
		hidden[i] = plant_row(i % 2 ? KERNEL_TIMER : KERNEL_NOTIFY, (uint64_t)i / 2);
	for (int i = 0; i < ROWS; i += 3)
		cr_assert(roots_kernel_take(i % 2 ? KERNEL_TIMER : KERNEL_NOTIFY, (uint64_t)i / 2, &row));
	cr_expect_not(roots_kernel_take(KERNEL_TIMER, ROWS, &row));
	memset(&row, 0, sizeof row);
	uint64_t bytes;
	scrub();
	cr_assert_eq(mark_all_roots(&bytes), ABORT_NONE);
	int wrong = 0, kept = 0;
	for (int i = 0; i < ROWS; i++) {
		wrong += i % 3 && !is_marked(hidden[i]);
		kept += i % 3 == 0 && is_marked(hidden[i]);
	}
	mark_abandon();
	mark_end();
	cr_expect_eq(wrong, 0);
	cr_expect_lt(kept, 5, "rows that went still hold: %d", kept);
}

Test(roots, a_deleted_timers_value_is_held_no_longer_than_its_signal_is_pending)
{
	uintptr_t word, h = plant(&word);
	struct kernel_row row = { .kind = KERNEL_TIMER, .signal = (uint8_t)SIGRTMIN, .words = { word } };
	sigset_t set;
	bounds(pthread_self(), &stacks_known[0]);
	roots_start();
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigqueue(getpid(), SIGRTMIN, (union sigval){ 0 });
	roots_kernel_ended(&row);
	memset(&row, 0, sizeof row);
	word = 0;
	__asm__ volatile("" : : "r"(&row), "r"(&word) : "memory");
	bool pending = marked_now(h);
	sigwaitinfo(&set, NULL);
	bool taken = marked_now(h);
	cr_expect(pending);
	cr_expect_not(taken);
}

/* Completions don't tell which of two requests with one user_data is meant. */
Test(roots, requests_with_one_user_data_end_together)
{
	struct kernel_row one = { .key = 7, .context = 1, .kind = KERNEL_URING, .count = 1, .words = { 7, 9 } }, row;
	struct kernel_row other = { .key = 7, .context = 1, .kind = KERNEL_URING, .count = 1, .words = { 7, 8 } };
	tables_enter();
	cr_assert(kernel_add_counted(&one) && kernel_add_counted(&other) && kernel_add_counted(&other));
	kernel_completed(7, 1);
	kernel_completed(7, 2); /* another ring's */
	kernel_completed(7, 1);
	cr_assert(kernel_take(KERNEL_URING, 7, &row), "two of three came");
	cr_assert(kernel_add_counted(&row));
	kernel_completed(7, 1);
	cr_expect_not(kernel_take(KERNEL_URING, 7, &row));
	tables_leave();
}

Test(roots, held_words_are_reused_and_dropped)
{
	int first = roots_hold(1), handles[3000];
	for (int i = 0; i < 3000; i++)
		cr_assert_geq(handles[i] = roots_hold((uintptr_t)i), 0);
	roots_drop(first);
	roots_drop(first); /* twice is harmless */
	cr_assert_eq(roots_hold(2), first);
	for (int i = 0; i < 3000; i++)
		roots_drop(handles[i]);
	roots_drop(-1);
}

/* -- modules -- */

Test(roots, addresses_lead_to_their_modules)
{
	const char *name;
	uintptr_t offset;
	roots_start();
	cr_assert(roots_module_of((uintptr_t)&pthread_create, &name, &offset));
	cr_assert(strstr(name, "libc.so"), "%s", name);
	cr_assert(roots_module_of((uintptr_t)&roots_start, &name, &offset));
	cr_assert(!roots_module_of(4096, &name, &offset));
	for (int i = 0; i < 3; i++)
		roots_list_segments();
	cr_assert(roots_module_of((uintptr_t)&in_data, &name, &offset));
}

Test(roots, segments_policy_sees_data_but_no_mappings)
{
	options.roots = ROOTS_SEGMENTS;
	cr_expect_eq(run(plant_data, NULL, PLAIN), 0);
	cr_expect_eq(run(plant_bss, NULL, PLAIN), 0);
	cr_expect_eq(run(NULL, NULL, PLAIN), 0);
	cr_expect_eq(run(plant_mmap, NULL, PLAIN), 1);
}

Test(roots, segments_policy_judges_nothing_after_a_dlopen_until_modules_are_listed)
{
	uint64_t bytes;
	bounds(pthread_self(), &stacks_known[0]);
	options.roots = ROOTS_SEGMENTS;
	roots_start();
	enum abort_reason before = mark_all_roots(&bytes);
	mark_abandon();
	mark_end();
	cr_assert_null(dlopen("libBrokenLocale.so.1", RTLD_NOW | RTLD_NOLOAD));
	void *handle = dlopen("libBrokenLocale.so.1", RTLD_NOW);
	cr_assert(handle);
	enum abort_reason stale = mark_all_roots(&bytes);
	mark_abandon();
	mark_end();
	roots_list_segments();
	enum abort_reason after = mark_all_roots(&bytes);
	mark_abandon();
	mark_end();
	cr_assert_eq(before, ABORT_NONE);
	cr_assert_eq(stale, ABORT_ROOT_UNREADABLE);
	cr_assert_eq(after, ABORT_NONE);
}

/* -- the parser -- */

static bool parses(const char *line, struct mapping *m) { return maps_parse_line(line, strlen(line), m); }

Test(maps, lines_of_every_kind)
{
	struct mapping m;
	cr_assert(parses("7f1c2a000000-7f1c2a021000 rw-p 00000000 00:00 0 ", &m));
	cr_assert(m.low == 0x7f1c2a000000 && m.high == 0x7f1c2a021000 && m.kind == MAPPING_ANON);
	cr_assert_eq(m.flags, MAPPING_READ | MAPPING_WRITE);
	cr_assert(parses("7f1c2a000000-7f1c2a021000 r-xs 00001000 08:01 1234    /usr/lib/a b (deleted)", &m));
	cr_assert(m.flags == (MAPPING_READ | MAPPING_EXEC | MAPPING_SHARED) && m.major == 8 && m.inode == 1234 && m.kind == MAPPING_FILE);
	const struct { const char *path; int kind; } paths[] = {
		{ "[heap]", MAPPING_ANON }, { "[stack]", MAPPING_ANON }, { "[anon:name]", MAPPING_ANON }, { "[vvar]", MAPPING_KERNEL },
		{ "[vvar_vclock]", MAPPING_KERNEL }, { "[vdso]", MAPPING_KERNEL }, { "[vsyscall]", MAPPING_KERNEL },
		{ "/dev/mem", MAPPING_DEVICE }, { "/dev/shm/x", MAPPING_FILE }, { "/dev/zero (deleted)", MAPPING_FILE },
		{ "anon_inode:[perf_event]", MAPPING_DEVICE }, { "/memfd:x (deleted)", MAPPING_FILE }, { "/secretmem (deleted)", MAPPING_SECRET },
		{ "/sys/devices/pci0/resource0", MAPPING_DEVICE }, { "/SYSV00000000 (deleted)", MAPPING_FILE },
		{ "/secretmemory", MAPPING_FILE }, { "/home/[vdso]", MAPPING_FILE }, { "/anon_inode:[io_uring]", MAPPING_FILE },
		{ "anon_inode:[io_uring]", MAPPING_RING }, { "[anon:vdso]", MAPPING_ANON },
	};
	for (size_t i = 0; i < NELEM(paths); i++) {
		char line[256];
		snprintf(line, sizeof line, "1000-2000 rw-p 00000000 00:01 0    %s", paths[i].path);
		cr_assert(parses(line, &m));
		cr_expect_eq(m.kind, paths[i].kind, "%s", paths[i].path);
	}
}

Test(maps, odd_lines_are_refused)
{
	struct mapping m;
	const char *odd[] = { "", "-", "1000", "1000-", "1000-2000", "1000-2000 rw", "2000-1000 rw-p 0 00:00 0", "1000-2000 rwzp 0 00:00 0",
		              "1000-2000 rw-q 0 00:00 0", "1001-2000 rw-p 0 00:00 0", "11111111111111111-2 rw-p 0 00:00 0",
		              "1000-2000 rw-p 0 0000 0", "1000-2000 rw-p 0 00:00", "1000-2000 rw-p  00:00 0", "zz-2000 rw-p 0 00:00 0",
		              "1000-1000 rw-p 0 00:00 0", "Rss:  4 kB" };
	for (size_t i = 0; i < NELEM(odd); i++)
		cr_expect(!parses(odd[i], &m), "%s", odd[i]);
	const char *whole = "7f1c2a000000-7f1c2a021000 rw-p 00000000 fe:00 77 /x";
	for (size_t n = 0; n < strlen(whole) - 5; n++) /* every prefix, in memory of exactly that length */
		cr_expect(!maps_parse_line(memcpy(malloc(n + 1), whole, n), n, &m) || n > 45, "prefix %zu", n);
}

Test(maps, smaps_fields_add_up)
{
	struct mapping m;
	cr_assert(parses("1000-9000 rw-p 0 00:00 0", &m));
	const char *fields[] = { "Rss:   400 kB", "Anonymous:        12 kB", "AnonHugePages: 4 kB", "Swap:   0 kB", "SwapPss: 8 kB" };
	for (size_t i = 0; i < NELEM(fields); i++)
		maps_parse_field(fields[i], strlen(fields[i]), &m);
	cr_expect_eq(m.held, 12 * 1024);
	cr_expect(!m.swapped);
	maps_parse_field("Swap:  4 kB", 11, &m);
	cr_expect(m.swapped && m.held == 16 * 1024);
}

Test(maps, userfaultfd_and_hugetlb_show_in_the_flags_of_smaps)
{
	const struct { const char *line; bool watched; } flags[] = {
		{ "VmFlags: rd wr mr mw me ac ", false }, { "VmFlags: rd wr mr mw me um ac ", true }, { "VmFlags: ui ", true }, { "VmFlags: uw", true },
		{ "VmFlags:", false }, { "VmFlags: u", false }, { "VmFlags: sh um", true }, { "VmFlags: mu mm", false },
	};
	for (size_t i = 0; i < NELEM(flags); i++) {
		struct mapping m;
		cr_assert(parses("1000-9000 rw-p 0 00:00 0", &m));
		maps_parse_field(flags[i].line, strlen(flags[i].line), &m);
		cr_expect_eq(m.watched, flags[i].watched, "%s", flags[i].line);
		cr_expect(!m.huge);
		maps_parse_field("VmFlags: rd sh ht um", 20, &m);
		cr_expect(m.huge && m.watched);
	}
}

Test(maps, ranges_sort_and_melt)
{
	struct ranges r = { 0 };
	for (uintptr_t i = 5000; i-- > 0;)
		ranges_add(&r, 100 * (i * 7 % 5000), 100 * (i * 7 % 5000) + (i * 7 % 5000 % 10 ? 100 : 50));
	ranges_add(&r, 7, 7);
	ranges_sort(&r);
	cr_assert_eq(r.count, 501); /* every tenth is short and leaves a gap behind it */
	for (size_t i = 1; i < r.count; i++)
		cr_assert_lt(r.at[i - 1].high, r.at[i].low);
	cr_assert_eq(ranges_first_above(&r, 0), 0);
	cr_assert_eq(ranges_first_above(&r, r.at[9].low), 9);
	cr_assert_eq(ranges_first_above(&r, r.at[9].high), 10);
	cr_assert_eq(ranges_first_above(&r, UINTPTR_MAX), r.count);
}
