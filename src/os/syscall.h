/*
 * Raw system calls for this machine: no errno, no cancellation. Results below 0 are -errno. Included by src/os and
 * src/threads only. Always inlined: the stop handler must not call what a sanitizer instruments.
 *
 * Every call of the library passes syscall6, so this is where fault= makes one fail: call_failure names the point and the error of
 * each. The number is a constant at each place, so what is left there is one load and a branch beside a system call.
 */
#ifndef CGC_OS_SYSCALL_H
#define CGC_OS_SYSCALL_H

#include "base/fault.h"
#include <errno.h>
#include <sys/syscall.h>

struct call_failure {
	int point; /* enum fault_point; -1: this call cannot fail */
	int error;
};

/*
 * The errors are such as the kernel or a seccomp filter gives for a correct call. Not EFAULT for process_vm_readv, nor EIO for
 * reads of /proc/self/mem: those are answers (nothing can be read there), which must not be given for memory that is there.
 *
 * Left out are getpid, getppid, gettid, geteuid, getsid, sched_yield, exit_group and timer_delete, which have no failure, close, which closes whatever it answers, and
 * execve, which is called before options are read (preload/aside.c).
 */
static inline __attribute__((always_inline)) struct call_failure call_failure(long n)
{
	switch (n) {
	case SYS_mmap: return (struct call_failure){ FAULT_mmap, ENOMEM };
	case SYS_munmap: return (struct call_failure){ FAULT_munmap, ENOMEM };
	case SYS_mremap: return (struct call_failure){ FAULT_mremap, ENOMEM };
	case SYS_madvise: return (struct call_failure){ FAULT_madvise, EINVAL };
	case SYS_mprotect: return (struct call_failure){ FAULT_mprotect, ENOMEM };
	case SYS_mincore: return (struct call_failure){ FAULT_mincore, ENOMEM };
	case SYS_openat: return (struct call_failure){ FAULT_open, EMFILE };
	case SYS_read: return (struct call_failure){ FAULT_read, EIO };
	case SYS_pread64: return (struct call_failure){ FAULT_pread, ENOMEM };
	case SYS_pwrite64: return (struct call_failure){ FAULT_pwrite, ENOSPC };
	case SYS_memfd_create: return (struct call_failure){ FAULT_memfd, EMFILE };
	case SYS_write: return (struct call_failure){ FAULT_write, ENOSPC };
	case SYS_renameat2: return (struct call_failure){ FAULT_rename, EACCES };
	case SYS_faccessat: return (struct call_failure){ FAULT_faccessat, EACCES };
	case SYS_unlinkat: return (struct call_failure){ FAULT_unlink, EACCES };
	case SYS_readlinkat: return (struct call_failure){ FAULT_readlink, EACCES };
	case SYS_getdents64: return (struct call_failure){ FAULT_getdents, ENOENT };
	case SYS_statx: return (struct call_failure){ FAULT_statx, ENOSYS };
	case SYS_fstat: return (struct call_failure){ FAULT_fstat, EIO };
	case SYS_ioctl: return (struct call_failure){ FAULT_ioctl, ENOTTY };
	case SYS_process_vm_readv: return (struct call_failure){ FAULT_process_vm_readv, EPERM };
	case SYS_futex: return (struct call_failure){ FAULT_futex, EINTR };
	case SYS_nanosleep: return (struct call_failure){ FAULT_nanosleep, EINTR };
	case SYS_getrandom: return (struct call_failure){ FAULT_getrandom, ENOSYS };
	case SYS_uname: return (struct call_failure){ FAULT_uname, EPERM };
	case SYS_prlimit64: return (struct call_failure){ FAULT_prlimit, EPERM };
#ifdef SYS_arch_prctl
	case SYS_arch_prctl: return (struct call_failure){ FAULT_arch_prctl, EPERM };
#endif
	case SYS_rt_sigaction: return (struct call_failure){ FAULT_sigaction, EPERM };
	case SYS_rt_sigprocmask: return (struct call_failure){ FAULT_sigprocmask, EPERM };
	case SYS_rt_sigpending: return (struct call_failure){ FAULT_sigpending, EPERM };
	case SYS_sigaltstack: return (struct call_failure){ FAULT_sigaltstack, EPERM };
	case SYS_rt_sigtimedwait: return (struct call_failure){ FAULT_sigtimedwait, EPERM };
	case SYS_rt_tgsigqueueinfo: return (struct call_failure){ FAULT_signal, EPERM };
	case SYS_tgkill: return (struct call_failure){ FAULT_tgkill, EPERM };
	case SYS_kill: return (struct call_failure){ FAULT_kill, EPERM };
	case SYS_mkdirat: return (struct call_failure){ FAULT_mkdir, EACCES };
	case SYS_fchmodat: return (struct call_failure){ FAULT_chmod, EPERM };
	case SYS_fcntl: return (struct call_failure){ FAULT_fcntl, EMFILE };
	case SYS_socket: return (struct call_failure){ FAULT_socket, EMFILE };
	case SYS_bind: return (struct call_failure){ FAULT_bind, EACCES };
	case SYS_listen: return (struct call_failure){ FAULT_listen, EACCES };
	case SYS_connect: return (struct call_failure){ FAULT_connect, EACCES };
	case SYS_accept4: return (struct call_failure){ FAULT_accept, EMFILE };
	case SYS_getsockopt: return (struct call_failure){ FAULT_getsockopt, EACCES };
	case SYS_ppoll: return (struct call_failure){ FAULT_poll, ENOMEM };
	case SYS_recvfrom: return (struct call_failure){ FAULT_recv, EIO };
	case SYS_sendmsg: return (struct call_failure){ FAULT_sendmsg, ENOMEM };
	case SYS_membarrier: return (struct call_failure){ FAULT_membarrier, ENOSYS };
	case SYS_clone: return (struct call_failure){ FAULT_clone, EAGAIN };
	case SYS_wait4: return (struct call_failure){ FAULT_wait, ECHILD };
	case SYS_kcmp: return (struct call_failure){ FAULT_kcmp, EPERM };
	case SYS_process_vm_writev: return (struct call_failure){ FAULT_process_vm_writev, EPERM };
	case SYS_timer_create: return (struct call_failure){ FAULT_timer_create, EAGAIN };
	case SYS_timer_settime: return (struct call_failure){ FAULT_timer_settime, EINVAL };
	default: return (struct call_failure){ -1, 0 };
	}
}

#if defined(__x86_64__)
static inline __attribute__((always_inline)) long syscall_kernel(long n, long a, long b, long c, long d, long e, long f)
{
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
static inline __attribute__((always_inline)) long syscall_kernel(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
#else
#error "cgc runs on x86-64 and aarch64"
#endif

static inline __attribute__((always_inline)) long syscall6(long n, long a, long b, long c, long d, long e, long f)
{
	const struct call_failure failure = call_failure(n);
	if (failure.point >= 0 && fault((enum fault_point)failure.point))
		return -failure.error;
	return syscall_kernel(n, a, b, c, d, e, f);
}

static inline __attribute__((always_inline)) long syscall0(long n) { return syscall6(n, 0, 0, 0, 0, 0, 0); }
static inline __attribute__((always_inline)) long syscall1(long n, long a) { return syscall6(n, a, 0, 0, 0, 0, 0); }
static inline __attribute__((always_inline)) long syscall2(long n, long a, long b) { return syscall6(n, a, b, 0, 0, 0, 0); }
static inline __attribute__((always_inline)) long syscall3(long n, long a, long b, long c) { return syscall6(n, a, b, c, 0, 0, 0); }
static inline __attribute__((always_inline)) long syscall4(long n, long a, long b, long c, long d) { return syscall6(n, a, b, c, d, 0, 0); }

#endif
