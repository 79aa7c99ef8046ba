/* The only pointer lies in a general register of another process that runs in our memory: a child of clone and clone3 by number, with
 * CLONE_VM and a stack whose top word says where it begins. */
#include "zoo.h"
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const uint64_t secret = 0xA5C35A3C96E1C3A5ULL; /* of kit_hide */
enum { STACK = 64 * 1024 };
static uintptr_t hidden, seen;

static __attribute__((noinline)) void hide_block(void) { hidden = kit_hide((uintptr_t)zoo_block()); }

/* It has the TLS of its parent, which runs: no call into libc. */
static __attribute__((noreturn, used)) void child(void)
{
	uintptr_t word = hidden;
	__asm__ volatile("xor %[secret], %[word]\n"
	                 "movl $1, %[ready]\n"
	                 "1: pause\n"
	                 "cmpl $0, %[go]\n"
	                 "je 1b\n"
	                 "xor %[secret], %[word]\n"
	                 "mov %[word], %[seen]\n"
	                 "mov %[number], %%eax\n"
	                 "xor %%edi, %%edi\n"
	                 "syscall"
	                 : [word] "+&r"(word), [ready] "=m"(zoo_ready), [seen] "=m"(seen)
	                 : [secret] "m"(secret), [go] "m"(zoo_go), [number] "i"(SYS_exit)
	                 : "memory", "cc", "rax", "rdi", "rcx", "r11");
	__builtin_unreachable();
}

static long begin(bool clone3, char *stack)
{
	uintptr_t top = (uintptr_t)stack + STACK - 16;
	*(void (**)(void))top = child;
	struct clone_args a = { .flags = CLONE_VM, .exit_signal = SIGCHLD, .stack = (uintptr_t)stack, .stack_size = STACK - 16 };
	return clone3 ? syscall(SYS_clone3, &a, sizeof a) : syscall(SYS_clone, CLONE_VM | SIGCHLD, top, 0, 0, 0);
}

static int once(bool clone3, char *stack)
{
	int status;
	zoo_ready = zoo_go = 0;
	hide_block();
	long pid = begin(clone3, stack);
	if (pid < 0)
		return errno == ENOSYS || errno == EPERM ? ZOO_NO_PLACE : 2;
	while (!__atomic_load_n(&zoo_ready, __ATOMIC_ACQUIRE))
		usleep(100);
	hidden = 0;
	zoo_collect(ZOO_SIZE);
	__atomic_store_n(&zoo_go, 1, __ATOMIC_RELEASE);
	if (waitpid((pid_t)pid, &status, 0) != pid || status != 0)
		return 2;
	status = zoo_verdict((void *)kit_hide(seen));
	seen = 0;
	return status;
}

int main(void)
{
	zoo_needs_collector();
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (stack == MAP_FAILED)
		return 2;
	int first = once(false, stack);
	return first ? first : once(true, stack);
}
