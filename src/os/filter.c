/*
 * Filters of system calls (seccomp) that were in force before the program started: containers, services, sandboxes.
 *
 *   1. /proc/self/status says whether there is one. The loader has just opened, read and closed files, so these calls pass.
 *   2. A child, a copy of this process at its very start, makes each call that a cycle makes, with arguments that do nothing. The filter
 *      kills it, or refuses a call, or nothing happens; its exit status tells which.
 *
 * The child has no exit signal, is waited for by its number, and dumps no core: a limit of 1 byte keeps even piped dumps away. A
 * filter that kills for clone or wait4 kills us here; it would have done so at the program's first child.
 */
#include "os/os.h"
#include "os/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

static const char *const calls[] = { "getpid", "gettid", "uname", "openat", "getdents64", "statx", "read", "pread64", "close", "rt_sigaction",
	"rt_sigprocmask", "rt_sigpending", "rt_tgsigqueueinfo", "tgkill", "futex", "sigaltstack", "mincore", "madvise", "mprotect",
	"mremap", "process_vm_readv", "nanosleep", "fstat", "mmap", "munmap", "clock_gettime" };

static bool refused(long result) { return result == -EPERM || result == -EACCES || result == -ENOSYS; }

/* In the child. 1 + index of the first call that is refused, 0: none is. */
static int try_all(char *page)
{
	char name[512];
	struct timespec none = { 0, 0 };
	siginfo_t info = { .si_code = SI_QUEUE };
	long pid = syscall0(SYS_getpid), tid = syscall0(SYS_gettid), at = 2;
	long fd = syscall4(SYS_openat, AT_FDCWD, (long)"/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	struct { void *p; size_t n; } here = { name, 8 }, there = { page, 8 };
	struct { long bytes[32]; } room;
	uint32_t word = 0;
#define TRY(call) \
	do { \
		at++; \
		if (refused(call)) \
			return (int)at; \
	} while (0)
	if (refused(pid))
		return 1;
	if (refused(tid))
		return 2;
	TRY(syscall1(SYS_uname, (long)name));
	at++; /* openat: a /proc that is not there is told by threads_unsupported */
	TRY(syscall3(SYS_getdents64, fd, (long)name, sizeof name));
	TRY(syscall6(SYS_statx, fd, (long)"", 0x1000 /* AT_EMPTY_PATH */, 4 /* NLINK */, (long)&room, 0));
	TRY(syscall3(SYS_read, -1, (long)name, 1));
	TRY(syscall4(SYS_pread64, -1, (long)name, 1, 0));
	TRY(syscall1(SYS_close, fd));
	TRY(syscall4(SYS_rt_sigaction, 33, 0, (long)&room, 8));
	TRY(syscall4(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)&room, 8));
	TRY(syscall2(SYS_rt_sigpending, (long)&room, 8));
	TRY(syscall4(SYS_rt_tgsigqueueinfo, pid, tid, 0, (long)&info));
	TRY(syscall3(SYS_tgkill, pid, tid, 0));
	TRY(syscall3(SYS_futex, (long)&word, 1 | 128 /* WAKE, PRIVATE */, 1));
	TRY(syscall2(SYS_sigaltstack, 0, (long)&room));
	TRY(syscall3(SYS_mincore, (long)page, 4096, (long)name));
	TRY(syscall3(SYS_madvise, (long)page, 4096, MADV_DONTNEED));
	TRY(syscall3(SYS_mprotect, (long)page, 4096, PROT_READ | PROT_WRITE));
	TRY(syscall4(SYS_mremap, (long)page, 4096, 4096, 0));
	TRY(syscall6(SYS_process_vm_readv, pid, (long)&here, 1, (long)&there, 1, 0));
	TRY(syscall2(SYS_nanosleep, (long)&none, 0));
	TRY(syscall2(SYS_fstat, -1, (long)&room));
	TRY(syscall6(SYS_mmap, 0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	TRY(syscall2(SYS_munmap, (long)page, 4096));
	TRY(syscall2(SYS_clock_gettime, CLOCK_PROCESS_CPUTIME_ID, (long)&room));
#undef TRY
	return 0;
}

/* Step 1. */
int os_filter_inherited(void)
{
	char text[4096];
	int fd = os_open("/proc/self/status", O_RDONLY, 0);
	long n = fd < 0 ? 0 : os_read(fd, text, sizeof text - 1);
	if (fd >= 0)
		os_close(fd);
	static const char name[] = "\nSeccomp:\t";
	const long length = sizeof name - 1;
	for (long i = 0; i + length < n; i++)
		if (__builtin_memcmp(text + i, name, (size_t)length) == 0)
			return text[i + length] != '0';
	return -1;
}

bool os_filtered;

const char *os_filter_forbids(void)
{
	struct rlimit limit = { 1, 1 };
	int status = 0;
	char *page;
	os_filtered = os_filter_inherited() == 1; /* no /proc: then there will be no cycle */
	if (LIKELY(!os_filtered) || !(page = os_map(4096)))
		return NULL;
	long child = syscall6(SYS_clone, 0, 0, 0, 0, 0, 0);
	if (child == 0) {
		syscall4(SYS_prlimit64, 0, RLIMIT_CORE, (long)&limit, 0);
		int failed = try_all(page);
		for (;;)
			syscall1(SYS_exit_group, failed);
	}
	long r = child;
	while (child > 0 && (r = syscall4(SYS_wait4, child, (long)&status, 0x40000000 /* __WALL */, 0)) == -EINTR)
		;
	os_unmap(page, 4096);
	if (r < 0)
		return "a child to ask";
	if (status & 0x7f)
		return "one of them on pain of death";
	unsigned failed = (unsigned)status >> 8 & 0xff;
	return failed == 0 ? NULL : failed <= NELEM(calls) ? calls[failed - 1] : "some";
}
