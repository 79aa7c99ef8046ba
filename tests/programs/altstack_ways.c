/*
 * altstack_ways MODULE: each way to make the memory of an alternate signal stack, and each to take it away while the stack is installed, by
 * its own thread and by another. No handler of the program runs there, so plain nothing happens.
 *
 * Each case has a process of its own, since a stop whose frame has no room kills. Threads install, the memory goes, and data take its place
 * where that can be; then they work with a pattern on their own stacks while the main thread collects. `WAY, taken by BY: OUTCOME` a line.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kit.h"

enum { SIZE = 65536, THREADS = 4, CYCLES = 12, DEPTH = 96 * 1024, GUARD_INSTALL = 102 };

static const char *module;
static void *handle;
static char *stacks[THREADS]; /* where each thread's is */
static pthread_barrier_t barrier, first; /* first: also of those that lend a frame */
static uint32_t over; /* atomic */
static long bad;      /* atomic */
static int files[THREADS];

static void *map(int flags, int fd) { return mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0); }
static char *anonymous(int i) { return (void)i, map(MAP_PRIVATE | MAP_ANONYMOUS, -1); }
static char *common(int i) { return (void)i, map(MAP_SHARED | MAP_ANONYMOUS, -1); }
static char *file(int i)
{
	files[i] = (int)syscall(SYS_memfd_create, "stack", 0);
	return ftruncate(files[i], SIZE) ? NULL : map(MAP_SHARED, files[i]);
}
static char *segment(int i)
{
	int id = shmget(IPC_PRIVATE, SIZE, 0600);
	(void)i;
	char *p = shmat(id, NULL, 0);
	shmctl(id, IPC_RMID, NULL);
	return p;
}
static char *block(int i) { return (void)i, malloc(16000); }
static char *large(int i) { return (void)i, malloc(5 * SIZE); }
static char *aligned(int i) { return (void)i, aligned_alloc(4096, SIZE); }
static char *program_break(int i) { return (void)i, sbrk(SIZE); }
static char *of_module(int i)
{
	handle = dlopen(module, RTLD_NOW);
	return handle ? (char *)dlsym(handle, "stacks") + (size_t)i * SIZE : NULL;
}

/* Each takes one stack's memory. */
static void unmap(int i) { munmap(stacks[i], SIZE); }
static void unmap_by_number(int i) { syscall(SYS_munmap, stacks[i], SIZE); }
static void map_over(int i) { (void)mmap(stacks[i], SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); }
static void move(int i) { mremap(stacks[i], SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, anonymous(0)); }
static void shrink(int i) { mremap(stacks[i], SIZE, 4096, 0); }
static void move_over(int i) { mremap(anonymous(0), SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, stacks[i]); }
static void protect(int i) { mprotect(stacks[i], SIZE, PROT_NONE); }
static void seal(int i) { mprotect(stacks[i], SIZE, PROT_READ); }
static void empty(int i) { madvise(stacks[i], SIZE, MADV_DONTNEED); }
static void guard(int i) { madvise(stacks[i], SIZE, GUARD_INSTALL); }
static void attach_over(int i)
{
	int id = shmget(IPC_PRIVATE, SIZE, 0600);
	shmat(id, stacks[i], SHM_REMAP);
	shmctl(id, IPC_RMID, NULL);
}
static void detach(int i) { shmdt(stacks[i]); }
static void cut(int i)
{
	if (ftruncate(files[i], 0))
		exit(3);
}
static void release(int i) { free(stacks[i]); }
static void grow(int i) { stacks[i] = realloc(stacks[i], 80 * SIZE); }
static void lower(int i) /* sbrk itself is for one thread at a time */
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_mutex_lock(&lock);
	if (i >= 0)
		sbrk(-SIZE);
	else
		syscall(SYS_brk, (char *)sbrk(0) - SIZE);
	pthread_mutex_unlock(&lock);
}
static void lower_by_number(int i) { lower(-1 - i); }
static void close_module(int i) { (void)i, dlclose(handle); }
static void leave(int i) { (void)i; }

/* never: the stack is bad from the first; frame: it lies in a frame that has returned; ended: in another thread's; again: it is taken, again and
 * again, while there are stops between. */
static const struct way {
	const char *name;
	char *(*make)(int i);
	void (*take)(int i);
	size_t size;
	enum { MEMORY, HEAP, NEVER, FRAME, ENDED, AGAIN } kind;
} ways[] = {
	{ "munmap", anonymous, unmap, SIZE, MEMORY },
	{ "munmap by number", anonymous, unmap_by_number, SIZE, MEMORY },
	{ "mmap over it", anonymous, map_over, SIZE, MEMORY },
	{ "mremap away", anonymous, move, SIZE, MEMORY },
	{ "mremap shrinks it", anonymous, shrink, SIZE, MEMORY },
	{ "mremap over it", anonymous, move_over, SIZE, MEMORY },
	{ "mprotect none", anonymous, protect, SIZE, NEVER },
	{ "mprotect read", common, seal, SIZE, NEVER },
	{ "guard", anonymous, guard, SIZE, MEMORY },
	{ "shared, munmap", common, unmap, SIZE, MEMORY },
	{ "file, munmap", file, unmap, SIZE, MEMORY },
	{ "file, cut off", file, cut, SIZE, MEMORY },
	{ "shmdt", segment, detach, SIZE, MEMORY },
	{ "shmat over it", segment, attach_over, SIZE, MEMORY },
	{ "sbrk", program_break, lower, SIZE, MEMORY },
	{ "brk by number", program_break, lower_by_number, SIZE, MEMORY },
	{ "dlclose", of_module, close_module, SIZE, MEMORY },
	{ "free small", block, release, 16000, HEAP },
	{ "free large", large, release, 5 * SIZE, HEAP },
	{ "free aligned", aligned, release, SIZE, HEAP },
	{ "realloc", large, grow, 5 * SIZE, HEAP },
	{ "frame", anonymous, leave, SIZE, FRAME },
	{ "another's frame", anonymous, leave, SIZE, ENDED },
	{ "emptied", anonymous, empty, SIZE, AGAIN },
};
static const struct way *way;
static bool by_other;

/* Data in place of the stack, of this thread. */
static char *data_at(const char *stack)
{
	char *p = NULL;
	if (way->kind == HEAP)
		p = malloc(way->size);
	else if (way->kind == MEMORY) {
		p = mmap((void *)stack, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		p = p != MAP_FAILED ? p : way->take == map_over || way->take == attach_over || way->take == move_over ? (char *)stack : NULL;
	}
	if (p)
		kit_fill(p, 0, way->size, (uintptr_t)stack);
	return p;
}

static void wrong(bool yes) { __atomic_fetch_add(&bad, yes, __ATOMIC_RELAXED); }

/* Works in a frame that reaches as far down as an earlier one did. */
static __attribute__((noinline)) void work(uint64_t id)
{
	char deep[DEPTH];
	kit_fill(deep, 0, DEPTH, id);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		uint64_t sum = 0;
		for (volatile int n = 0; n < 5000; n++)
			sum += kit_pattern(id, (size_t)n);
		for (int n = 0; n < 5000; n++)
			sum -= kit_pattern(id, (size_t)n);
		wrong(sum != 0);
		usleep(200);
	}
	wrong(!kit_intact(deep, 0, DEPTH, id));
}

static void install(char *at)
{
	stack_t stack = { .ss_sp = at, .ss_size = way->size }, now = { 0 };
	if (!at || sigaltstack(&stack, NULL) || sigaltstack(NULL, &now))
		exit(4);
	wrong(now.ss_sp != at || now.ss_size != way->size);
}

static __attribute__((noinline)) void install_in_frame(void)
{
	char here[SIZE];
	install(here);
	__asm__ volatile("" : : "r"(here) : "memory");
}

static void *lend(void *place)
{
	char here[SIZE];
	*(char **)place = here;
	pthread_barrier_wait(&first);
	pthread_barrier_wait(&first); /* the others have installed it */
	return NULL;
}

static void *run(void *number)
{
	const int i = (int)(long)number;
	char *data = NULL;
	if (way->kind == ENDED)
		pthread_barrier_wait(&first);
	else if (way->kind != FRAME)
		stacks[i] = way->make(i);
	char *const was = stacks[i];
	if (way->kind == NEVER && !by_other)
		way->take(i);
	if (way->kind == FRAME)
		install_in_frame();
	else
		install(was);
	pthread_barrier_wait(&first);
	if (by_other)
		pthread_barrier_wait(&barrier);
	else if (way->kind != NEVER)
		way->take(i);
	data = way->kind <= HEAP ? data_at(was) : NULL;
	pthread_barrier_wait(&barrier);
	work((uint64_t)i);
	wrong(data && !kit_intact(data, 0, way->size, (uintptr_t)was));
	return NULL;
}

static void *after(void *number)
{
	work((uintptr_t)number);
	return NULL;
}

static void *again(void *unused)
{
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE))
		for (int i = 0; i < THREADS; i++)
			way->take(i);
	return unused;
}

static int one(void)
{
	pthread_t taker;
	pthread_t t[THREADS], lender[THREADS];
	const bool ended = way->kind == ENDED;
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	pthread_barrier_init(&first, NULL, THREADS + 1 + (ended ? THREADS : 0));
	for (long i = 0; i < THREADS; i++)
		if (pthread_create(&t[i], NULL, run, (void *)i) || (ended && pthread_create(&lender[i], NULL, lend, &stacks[i])))
			return 5;
	if (ended)
		pthread_barrier_wait(&first);
	pthread_barrier_wait(&first);
	for (int i = 0; i < THREADS && by_other; i++)
		if (ended)
			pthread_join(lender[i], NULL);
		else
			way->take(i);
	for (long i = 0; i < THREADS && ended; i++)
		if (pthread_create(&lender[i], NULL, after, (void *)(100 + i)))
			return 5;
	if (by_other)
		pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	if (way->kind == AGAIN && pthread_create(&taker, NULL, again, NULL))
		return 5;
	for (int n = 0; n < CYCLES; n++) {
		kit_collect(1);
		usleep(100);
	}
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	if (way->kind == AGAIN)
		pthread_join(taker, NULL);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(t[i], NULL);
		if (ended)
			pthread_join(lender[i], NULL);
	}
	return bad != 0;
}

static int tell(void)
{
	fflush(stdout);
	pid_t child = fork();
	if (child == 0)
		exit(one());
	int status = 0;
	waitpid(child, &status, 0);
	const char *what = WIFSIGNALED(status) ? "died of signal" : WEXITSTATUS(status) == 1 ? "changed" : WEXITSTATUS(status) ? "failed" : "well";
	printf("%s, taken by %s: %s %d\n", way->name, by_other ? "another" : "its own", what, WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return status != 0;
}

int main(int count, char **arguments)
{
	int failed = 0;
	module = arguments[count - 1];
	for (way = ways; way < ways + sizeof ways / sizeof *ways; way++)
		for (int other = 0; other < 2; other++) {
			by_other = other;
			if ((way->kind == FRAME && other) || (way->kind >= ENDED && !other))
				continue;
			failed += tell();
		}
	return failed != 0;
}
