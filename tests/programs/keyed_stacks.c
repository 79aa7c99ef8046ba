/*
 * keyed_stacks: threads whose stacks, ordinary and alternate, have a protection key, with rights of all kinds at the time of a stop. A handler begins with
 * rights to pages of key 0 alone. Each case has a process of its own. `CASE: OUTCOME` a line; exit 77: no keys here.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kit.h"

enum { SIZE = 256 * 1024, THREADS = 4, CYCLES = 12, DENY = PKEY_DISABLE_ACCESS };

static int key;
static uint32_t over; /* atomic */
static long bad;      /* atomic */
static pthread_barrier_t begun;

static char *map(void) { return mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }
static char *keyed(void)
{
	char *p = map();
	return pkey_mprotect(p, SIZE, PROT_READ | PROT_WRITE, key) ? NULL : p;
}
static void install(char *at)
{
	if (!at || sigaltstack(&(stack_t){ .ss_sp = at, .ss_size = SIZE }, NULL))
		exit(3);
}

static const struct kind {
	const char *name;
	enum { NONE, BEFORE, AFTER, PLAIN } alternate;   /* has the alternate stack the key, and since when? */
	bool ordinary;                                   /* has the ordinary one? */
	bool drops;                                      /* the thread gives up its rights */
	bool collects;                                   /* itself */
} kinds[] = {
	{ "rights given up", NONE, false, true, false },
	{ "stack", NONE, true, false, false },
	{ "stack, which collects", NONE, true, false, true },
	{ "stack, and a plain alternate one", PLAIN, true, false, false },
	{ "stack, and an alternate one", BEFORE, true, false, false },
	{ "alternate stack", BEFORE, false, false, false },
	{ "alternate stack, rights given up", BEFORE, false, true, false },
	{ "alternate stack, which gets its key late", AFTER, false, false, false },
	{ "alternate stack, which gets its key late, rights given up", AFTER, false, true, true },
};
static const struct kind *kind;

static void *run(void *number)
{
	const uint64_t id = (uintptr_t)number;
	char deep[32768];
	char *at = kind->alternate == NONE ? NULL : kind->alternate == BEFORE ? keyed() : map();
	uintptr_t *held = (uintptr_t *)keyed(); /* the only pointers to blocks */
	for (unsigned i = 0; i < 100; i++)
		kit_fill((void *)(held[i] = (uintptr_t)malloc(96)), 0, 96, i);
	kit_fill(deep, 0, sizeof deep, id);
	if (at)
		install(at);
	if (kind->alternate == AFTER && pkey_mprotect(at, SIZE, PROT_READ | PROT_WRITE, key))
		exit(3);
	if (kind->drops)
		pkey_set(key, DENY);
	const int rights = pkey_get(key);
	pthread_barrier_wait(&begun);
	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		void *volatile p = malloc(4000);
		free(p);
		if (kind->collects)
			kit_collect(1);
		usleep(100);
	}
	__atomic_fetch_add(&bad, pkey_get(key) != rights, __ATOMIC_RELAXED);
	pkey_set(key, 0);
	for (unsigned i = 0; i < 100; i++)
		__atomic_fetch_add(&bad, !kit_intact((void *)held[i], 0, 96, i), __ATOMIC_RELAXED);
	__atomic_fetch_add(&bad, !kit_intact(deep, 0, sizeof deep, id), __ATOMIC_RELAXED);
	return NULL;
}

static int one(void)
{
	pthread_t t[THREADS];
	pthread_barrier_init(&begun, NULL, THREADS + 1);
	for (long i = 0; i < THREADS; i++) {
		pthread_attr_t attr;
		pthread_attr_init(&attr);
		if (kind->ordinary && pthread_attr_setstack(&attr, keyed(), SIZE))
			return 4;
		if (pthread_create(&t[i], &attr, run, (void *)(i + 1)))
			return 4;
	}
	pthread_barrier_wait(&begun);
	for (int n = 0; n < CYCLES; n++) {
		kit_collect(1);
		for (int i = 0; i < 200; i++)
			kit_fill(malloc(96), 0, 96, 1000);
	}
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	return bad != 0;
}

int main(void)
{
	int failed = 0;
	key = pkey_alloc(0, 0);
	if (key < 0)
		return 77;
	for (kind = kinds; kind < kinds + sizeof kinds / sizeof *kinds; kind++) {
		fflush(stdout);
		pid_t child = fork();
		if (child == 0)
			exit(one());
		int status = 0;
		waitpid(child, &status, 0);
		printf("%s: %s %d\n", kind->name, WIFSIGNALED(status) ? "died of signal" : status ? "changed" : "well",
		       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
		failed += status != 0;
	}
	return failed != 0;
}
