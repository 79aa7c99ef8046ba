/*
 * The leak zoo: small programs whose leaks are known to the block, for mode=report.
 *
 * A program says in its own source what the report must say, one line a function that allocates and a kind:
 *
 *     // expect: definite 3 blocks 96 bytes leak_in_list       blocks that this function's mallocs lost
 *     // expect: indirect 2 blocks 64 bytes leak_in_list       kinds: definite, indirect, possible
 *     // expect: none
 *     // expect child: definite 1 blocks 24 bytes in_child     what the processes below it must say, all together
 *     // expect: no report                                     not even one that says that nothing is lost
 *     // others: allowed                                       what no line names may be lost as well
 *     // status: 3                                             exit status, when it is not 0
 *     // output: text                                          what it prints; not looked at without
 *     // lsan: exitcode=3                                      LSAN_OPTIONS
 *
 * Bytes are those that the program asked for; ? if that is not known, and so with blocks. Any function of the stack may be named; `name_*` stands for all that begin so, `one|other` for both, `unrecorded`
 * for blocks without a stack. What no
 * line names must not be lost: a wrong alarm fails as a miss does. Functions that lines name are SITEs, calls in which no compiler
 * looks, so that each has a frame of its own. A dead copy of an address keeps a block as well as a live one: places where programs
 * lose blocks are SITEs too, and main calls kit_scrub behind them.
 *
 * Programs that lose nothing call decoy() nevertheless: a report that is blind in that situation must not pass for a clean one.
 */
#ifndef CGC_LEAK_H
#define CGC_LEAK_H

#include "../../programs/kit.h"

#include <sys/wait.h>

#ifdef __clang__
#define SITE __attribute__((noinline, unused))
#else
#define SITE __attribute__((noinline, noipa, unused))
#endif

/* Globals that are written only: the compiler would leave out the writes. */
#define HELD static __attribute__((used))

/* What the compiler must think is used. 2: the system would not have it. */
static inline __attribute__((always_inline)) void *made(void *p)
{
	if (!p)
		_exit(2);
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

/* expect: definite 1 blocks 40 bytes decoy */
static SITE void decoy(void) { made(malloc(40)); }

static inline __attribute__((always_inline)) void use(const void *p) { __asm__ volatile("" : : "r"(p) : "memory"); }

/* Runs child() in a child of fork, and waits for it. Result: its exit status; 2: there is none. */
static SITE int leak_fork(void (*child)(void))
{
	int status;
	pid_t pid = fork();
	if (!pid) {
		child();
		kit_scrub();
		exit(0);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}

/* ---- a place in another thread, which fills it and then stays there for ever ---- */
static uint32_t leak_ready; /* atomic */

static SITE void leak_stay(void)
{
	__atomic_store_n(&leak_ready, 1, __ATOMIC_RELEASE);
	for (;;)
		usleep(1000000);
}
static SITE void leak_wait(void)
{
	while (!__atomic_load_n(&leak_ready, __ATOMIC_ACQUIRE))
		usleep(1000);
}

/* Leaves the block that kit_hide hid in a general register and nowhere else, says so in *ready, and stays there for ever. */
static SITE void leak_spin(uintptr_t hidden, uint32_t *ready)
{
	kit_scrub();
	__asm__ volatile("mov %[hidden], %%r13\n"
	                 "movabs $0xA5C35A3C96E1C3A5, %%rax\n"
	                 "xor %%rax, %%r13\n"
	                 "xor %%eax, %%eax\n"
	                 "movl $1, %[ready]\n"
	                 "1: pause\n"
	                 "jmp 1b"
	                 : [ready] "=m"(*ready) : [hidden] "r"(hidden) : "rax", "r13", "memory", "cc");
}

/* The library beside this program. */
static SITE void *leak_open(const char *name)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 64);
	if (n <= 0)
		_exit(2);
	path[n] = 0;
	strcpy(strrchr(path, '/') + 1, name);
	void *handle = dlopen(path, RTLD_NOW);
	if (!handle)
		_exit(2);
	return handle;
}

#endif
