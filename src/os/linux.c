/*
 * The operating system, Linux: os.h by raw system calls.
 *
 * Kernel facts relied on: MAP_FIXED_NOREPLACE (4.17; older kernels and some emulators treat it as a hint, so another result
 * is unmapped and counts as taken), MADV_WIPEONFORK (4.14), futexes private to the process.
 */
#include "os/os.h"
#include "base/fault.h"
#include "base/text.h"
#include "os/syscall.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <time.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

enum { NOT_ASKED = INT_MIN, PAGE_BYTES = 4096 };

uint32_t os_confined;

static bool failed(long r) { return r < 0 && r >= -4095; }

static long map(uintptr_t addr, size_t size, int prot, int flags)
{
	return syscall6(SYS_mmap, (long)addr, (long)size, prot, flags, -1, 0);
}

/* Pages that wait for small maps: [waiting, waiting_end). Who takes the lower end away by CAS has what is behind it. */
static uintptr_t waiting, waiting_end; /* atomic */
static bool ending;                    /* atomic */
enum { SMALL_MAP = 16 * 1024, NOT_WORTH_IT = 64 * 1024 };

void os_map_soon(size_t size)
{
	const uintptr_t end = load_relaxed(&waiting_end), old = __atomic_exchange_n(&waiting, 0, __ATOMIC_ACQ_REL);
	if (old && old < end)
		syscall2(SYS_munmap, (long)old, (long)(end - old));
	if (!size || os_is_confined() || fault_armed) /* each map is to be seen to fail */
		return;
	const long r = map(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE);
	if (failed(r))
		return;
	store_release(&waiting_end, (uintptr_t)r + size);
	store_release(&waiting, (uintptr_t)r);
}

static void *cut(size_t size)
{
	uintptr_t at = load_acquire(&waiting);
	while (at && at + size <= load_acquire(&waiting_end))
		if (cas(&waiting, &at, at + size))
			return (void *)at;
	return NULL;
}

void os_ending(void) { store_relaxed(&ending, true); }

void *os_map(size_t size)
{
	void *p = size <= SMALL_MAP ? cut(size) : NULL;
	if (p)
		return p;
	long r = map(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	return failed(r) ? NULL : (void *)r;
}

int os_map_at_errno(uintptr_t addr, size_t size)
{
	long r = map(addr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE);
	if (failed(r))
		return (int)r;
	if ((uintptr_t)r == addr)
		return 0;
	syscall2(SYS_munmap, r, (long)size);
	return -EEXIST;
}

bool os_map_over(uintptr_t addr, size_t size)
{
	return map(addr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED) == (long)addr;
}

bool os_map_file_over(uintptr_t addr, size_t size, int fd, uint64_t at)
{
	if (fault(FAULT_mmap))
		return false;
	return syscall6(SYS_mmap, (long)addr, (long)size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, (long)at) == (long)addr;
}

bool os_pages_mapped(uintptr_t addr, size_t size)
{
	uint8_t pages[64];
	return size <= sizeof pages * 4096 && os_resident(addr, size, pages) == 0;
}

void *os_reserve(size_t size)
{
	long r = map(0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
	return failed(r) ? NULL : (void *)r;
}

bool os_commit(uintptr_t addr, size_t size)
{
	return syscall3(SYS_mprotect, (long)addr, (long)size, PROT_READ | PROT_WRITE) == 0;
}

void os_unmap(void *p, size_t size)
{
	if (size > NOT_WORTH_IT || !load_relaxed(&ending))
		syscall2(SYS_munmap, (long)p, (long)size);
}

void *os_remap(void *p, size_t old, size_t size)
{
	if (os_is_confined())
		return NULL;
	long r = syscall4(SYS_mremap, (long)p, (long)old, (long)size, MREMAP_MAYMOVE);
	return failed(r) ? NULL : (void *)r;
}

bool os_move(uintptr_t from, uintptr_t to, size_t size)
{
	if (os_is_confined())
		return false;
	/* DONTUNMAP (5.7): `from` stays mapped, empty, so nobody else can land in the arena's window. Older kernels: EINVAL. */
	return syscall6(SYS_mremap, (long)from, (long)size, (long)size, MREMAP_MAYMOVE | MREMAP_FIXED | 4 /* DONTUNMAP */, (long)to, 0)
	       == (long)to;
}

bool os_purge(uintptr_t addr, size_t size)
{
	return !os_is_confined() && syscall3(SYS_madvise, (long)addr, (long)size, MADV_DONTNEED) == 0;
}

bool os_wipeonfork(void *p, size_t size)
{
	return !os_is_confined() && syscall3(SYS_madvise, (long)p, (long)size, 18 /* MADV_WIPEONFORK */) == 0;
}
struct os_code os_code;

bool os_keeponfork(void *p, size_t size)
{
	return !os_is_confined() && syscall3(SYS_madvise, (long)p, (long)size, 19 /* MADV_KEEPONFORK */) == 0;
}

FORKED void os_fill(uintptr_t at, size_t size, bool written)
{
	if (!os_is_confined())
		syscall3(SYS_madvise, (long)at, (long)size, written ? 23 /* MADV_POPULATE_WRITE */ : 22 /* MADV_POPULATE_READ */);
}

bool os_guard(void *p, size_t size)
{
	return !os_is_confined() && syscall3(SYS_mprotect, (long)p, (long)size, PROT_NONE) == 0;
}

static bool by_call(clockid_t clock, struct timespec *t) { return syscall2(SYS_clock_gettime, clock, (long)t) == 0; }
static bool by_vdso(clockid_t clock, struct timespec *t)
{
	const int saved = errno;
	const bool ok = clock_gettime(clock, t) == 0;
	errno = saved;
	return ok;
}

/* Only the coarse clock, which malloc looks at, goes through the vdso (it takes no lock): a short process asks for the others a few times, and
 * touches four pages of libc and the vdso for nothing else. Where a clock fails after all (a filter, an emulator), time goes on by a millisecond a
 * look: whoever waits for an answer until some time must come to an end. */
static uint64_t clock_ns(clockid_t clock)
{
	static uint64_t last[8]; /* atomic; by clock */
	uint64_t *seen = &last[clock & 7];
	struct timespec t = { 0 };
	if (LIKELY(!fault(FAULT_clock) && (clock == CLOCK_MONOTONIC_COARSE || os_is_confined() ? by_vdso(clock, &t) : by_call(clock, &t)))) {
		uint64_t now = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
		store_relaxed(seen, now);
		return now;
	}
	return 1000000 + add_relaxed(seen, 1000000);
}

uint64_t os_now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
uint64_t os_coarse_ns(void) { return clock_ns(CLOCK_MONOTONIC_COARSE); }
uint64_t os_real_ns(void) { return clock_ns(CLOCK_REALTIME); }
uint64_t os_thread_cpu_ns(void) { return os_is_confined() ? 0 : clock_ns(CLOCK_THREAD_CPUTIME_ID); }
uint64_t os_process_cpu_ns(void) { return os_is_confined() ? 0 : clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

void os_sleep_ns(uint64_t ns)
{
	struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
	syscall2(SYS_nanosleep, (long)&t, 0);
}

void os_yield(void) { syscall0(SYS_sched_yield); }
int os_pid(void) { return os_is_confined() ? 0 : (int)syscall0(SYS_getpid); }
int os_tid(void) { return os_is_confined() ? 0 : (int)syscall0(SYS_gettid); }
int os_parent(void) { return os_is_confined() ? 0 : (int)syscall0(SYS_getppid); }
int os_session(void) { return os_is_confined() ? 0 : (int)syscall1(SYS_getsid, 0); }
bool os_own_thread(int tid) { return !os_is_confined() && syscall3(SYS_tgkill, os_pid(), tid, 0) == 0; }
bool os_secure(void) { return getauxval(AT_SECURE) != 0; }

/* tcbhead_t.pointer_guard of glibc's x86-64 TLS block (sysdeps/x86_64/nptl/tls.h); the same in all threads. */
uintptr_t os_pointer_guard(void)
{
	uintptr_t guard = 0;
#if defined __x86_64__ && defined __GLIBC__
	__asm__("movq %%fs:0x30, %0" : "=r"(guard));
#endif
	return guard;
}

void os_random(void *buf, size_t n)
{
	size_t done = 0;
	while (done < n) {
		long r = syscall3(SYS_getrandom, (long)buf + (long)done, (long)(n - done), 1 /* GRND_NONBLOCK */);
		if (r <= 0)
			break;
		done += (size_t)r;
	}
	if (done == n)
		return;
	/* Early boot or a filter: xorshift of what differs between runs, first of all the sixteen bytes that the kernel gives each
	 * program. libc's secrets are made of those, so they go in multiplied. */
	uint64_t x = os_now_ns() ^ (uintptr_t)buf << 20 ^ (uint64_t)os_pid() << 40;
	const uint8_t *given = (const uint8_t *)getauxval(AT_RANDOM);
	for (unsigned i = 0; given && i < 16; i++)
		x = (x ^ given[i]) * 0x9E3779B97F4A7C15u + (x >> 29);
	for (; done < n; done++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		((uint8_t *)buf)[done] = (uint8_t)(x >> 32);
	}
}

int os_futex_wait(uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
	struct timespec t = { (time_t)(timeout_ns / 1000000000u), (long)(timeout_ns % 1000000000u) };
	return (int)syscall4(SYS_futex, (long)word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, (long)expected, timeout_ns ? (long)&t : 0);
}

void os_futex_wake(uint32_t *word, int count) { syscall3(SYS_futex, (long)word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count); }

int os_open(const char *path, int flags, int mode)
{
	return (int)syscall4(SYS_openat, AT_FDCWD, (long)path, flags | O_CLOEXEC, mode);
}
int os_open_proc(const char *name)
{
	static const char *const folders[] = { "/proc/thread-self/", "/proc/self/" };
	int fd = -ENOENT;
	for (unsigned i = 0; i < NELEM(folders) && fd < 0; i++) {
		char path[64];
		text_format(path, sizeof path, "%s%s", folders[i], name);
		fd = os_open(path, O_RDONLY, 0);
	}
	return fd;
}
long os_read(int fd, void *buf, size_t n)
{
	long r;
	do
		r = syscall3(SYS_read, fd, (long)buf, (long)n);
	while (r == -EINTR);
	return r;
}
long os_pread(int fd, void *buf, size_t n, uint64_t at)
{
	long r;
	do
		r = syscall4(SYS_pread64, fd, (long)buf, (long)n, (long)at);
	while (r == -EINTR);
	return r;
}
long os_pwrite(int fd, const void *buf, size_t n, uint64_t at)
{
	long r;
	do
		r = syscall4(SYS_pwrite64, fd, (long)buf, (long)n, (long)at);
	while (r == -EINTR);
	return r;
}

int os_memfd(const char *name) { return (int)syscall2(SYS_memfd_create, (long)name, 1 /* MFD_CLOEXEC */); }

bool os_files_unlimited(void)
{
	struct rlimit limit = { 0, 0 };
	return syscall4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (long)&limit) == 0 && limit.rlim_cur == RLIM_INFINITY;
}

long os_write(int fd, const void *buf, size_t n)
{
	size_t done = 0;
	while (done < n) {
		long r = syscall3(SYS_write, fd, (long)buf + (long)done, (long)(n - done));
		if (r == -EINTR)
			continue;
		if (r < 0)
			return done ? (long)done : r;
		done += (size_t)r;
	}
	return (long)done;
}

/* A broken pipe raises SIGPIPE, a file at RLIMIT_FSIZE (0 in sandboxes: sshd's) SIGXFSZ. The signal comes to the thread that writes, before
 * the call returns: blocked for so long and taken from the queue. One that was pending before is the program's. */
long os_write_quietly(int fd, const void *buf, size_t n)
{
	const uint64_t both = 1ull << (SIGPIPE - 1) | 1ull << (SIGXFSZ - 1);
	const struct timespec at_once = { 0, 0 };
	uint64_t mask = 0, before = 0;
	siginfo_t info;
	if (os_is_confined()) /* no call but write is safe */
		return os_write(fd, buf, n);
	bool blocked = syscall4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&both, (long)&mask, 8) == 0;
	syscall2(SYS_rt_sigpending, (long)&before, 8);
	long r = os_write(fd, buf, n);
	const uint64_t ours = both & ~before;
	if (r != (long)n && blocked && ours) /* after a part of it, too */
		syscall4(SYS_rt_sigtimedwait, (long)&ours, (long)&info, (long)&at_once, 8);
	if (blocked)
		syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, 8);
	return r;
}

int os_rename(const char *from, const char *to, bool keep)
{
	return (int)syscall6(SYS_renameat2, AT_FDCWD, (long)from, AT_FDCWD, (long)to, keep ? 1 /* RENAME_NOREPLACE */ : 0, 0);
}
bool os_may_execute(const char *path) { return syscall3(SYS_faccessat, AT_FDCWD, (long)path, 1 /* X_OK */) == 0; }
int os_unlink(const char *path) { return (int)syscall3(SYS_unlinkat, AT_FDCWD, (long)path, 0); }
void os_close(int fd) { syscall1(SYS_close, fd); }
int os_keep(int fd) { return (int)syscall3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 100); }

bool os_is_anonymous(int fd)
{
	struct statx x;
	x.stx_mode = S_IFREG;
	return syscall6(SYS_statx, fd, (long)"", 0x1000 | 0x4000 /* AT_EMPTY_PATH, AT_STATX_DONT_SYNC */, STATX_TYPE, (long)&x, 0) == 0 &&
	       !(x.stx_mode & S_IFMT);
}

bool os_file(int fd, struct os_file *f)
{
	struct stat st = { 0 };
	*f = (struct os_file){ 0 };
	if (syscall2(SYS_fstat, fd, (long)&st) != 0)
		return false;
	bool log = (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode)) && (syscall2(SYS_fcntl, fd, F_GETFL) & O_ACCMODE) == O_WRONLY;
	*f = (struct os_file){ st.st_dev, st.st_ino, S_ISCHR(st.st_mode) ? OS_FILE_TERMINAL : log ? OS_FILE_LOG : OS_FILE_OTHER };
	return true;
}

bool os_is_safe_log(int fd)
{
	struct stat st = { 0 };
	if (syscall2(SYS_fstat, fd, (long)&st) != 0)
		return false;
	return S_ISCHR(st.st_mode) || (S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == (uid_t)syscall0(SYS_geteuid));
}
long os_readlink(const char *path, char *buf, size_t n)
{
	return syscall4(SYS_readlinkat, AT_FDCWD, (long)path, (long)buf, (long)n);
}

long os_read_memory(void *buf, uintptr_t from, size_t n)
{
	struct iovec to = { buf, n }, at = { (void *)from, n };
	return syscall6(SYS_process_vm_readv, os_pid(), (long)&to, 1, (long)&at, 1, 0);
}

/*
 * Where a page is missing whose faults a thread of ours serves (userfaultfd), process_vm_readv sleeps for the answer of a thread that is stopped. Reads of
 * /proc/self/mem fail there, because no fault of theirs is tried again (the kernel's access_remote_vm). Both copy 4 GB/s in pieces of 16 KiB [t].
 */
static struct {
	unsigned nested;
	int fd; /* negative: it can't be opened. Of this stop only: an inherited one would show the parent after fork */
} calm;

void os_calm_begin(void)
{
	if (calm.nested++ == 0)
		calm.fd = NOT_ASKED;
}

void os_calm_end(void)
{
	if (--calm.nested == 0 && calm.fd >= 0)
		os_close(calm.fd);
}

long os_read_self(void *buf, uintptr_t from, size_t n)
{
	if (calm.nested && calm.fd == NOT_ASKED)
		calm.fd = os_open_proc("mem");
	if (!calm.nested || calm.fd < 0)
		return os_read_memory(buf, from, n);
	const long got = os_pread(calm.fd, buf, n, from);
	return got == -EIO ? -EFAULT : got; /* the kernel's word for a page that can't be had (mem_rw); any other (ENOMEM) says nothing about it */
}

/* We are the other process: its memory, buf, is looked up; ours, from, is loaded. */
long os_copy_self(void *buf, uintptr_t from, size_t n)
{
	struct iovec to = { buf, n }, at = { (void *)from, n };
	return syscall6(SYS_process_vm_writev, os_pid(), (long)&at, 1, (long)&to, 1, 0);
}

/* /proc and /sys have regular files that are devices' registers; they are none of these. devtmpfs says that it is tmpfs. */
bool os_memory_file(const char *path, uint32_t major, uint32_t minor, uint64_t inode)
{
	enum { TMPFS = 0x01021994, RAMFS = 0x858458F6, HUGETLBFS = 0x958458F6, SYNC_AS_STAT = 0, NO_AUTOMOUNT = 0x800 };
	struct statx st = { 0 };
	struct statfs fs;
	if (os_filtered || os_is_confined() || syscall6(SYS_statx, AT_FDCWD, (long)path, NO_AUTOMOUNT | SYNC_AS_STAT, STATX_TYPE | STATX_INO, (long)&st, 0) != 0)
		return false;
	if (!S_ISREG(st.stx_mode) || st.stx_ino != inode || st.stx_dev_major != major || st.stx_dev_minor != minor || syscall2(SYS_statfs, (long)path, (long)&fs) != 0)
		return false;
	return (uint32_t)fs.f_type == TMPFS || (uint32_t)fs.f_type == RAMFS || (uint32_t)fs.f_type == HUGETLBFS;
}

int os_open_mapping(uintptr_t low, uintptr_t high)
{
	enum { TMPFS = 0x01021994 };
	char path[64];
	struct statfs fs = { 0 };
	text_format(path, sizeof path, "/proc/self/map_files/%lx-%lx", low, high);
	const int fd = os_open(path, O_RDONLY, 0);
	if (fd < 0 || (!os_filtered && syscall2(SYS_fstatfs, fd, (long)&fs) == 0 && fs.f_type == TMPFS))
		return fd;
	os_close(fd);
	return -EBADF;
}

bool os_next_data(int fd, uint64_t at, uint64_t *from, uint64_t *to)
{
	const long data = syscall3(SYS_lseek, fd, (long)at, 3 /* SEEK_DATA */), hole = data < 0 ? data : syscall3(SYS_lseek, fd, data, 4 /* SEEK_HOLE */);
	*from = (uint64_t)data;
	*to = (uint64_t)hole;
	return hole > data && data >= 0;
}

/*
 * mremap of a shared mapping with an old size of 0 maps its pages a second time. There userfaultfd takes the faults of holes, in the form that anybody may have,
 * for faults by user code alone: those of system calls fail.
 */
void os_twin_make(struct os_twin *t, uintptr_t low, size_t size)
{
	enum { USER_MODE_ONLY = 1, API = 0xAA, MISSING = 1 };
	static const unsigned long UFFDIO_API_CALL = 0xC018AA3Ful, UFFDIO_REGISTER_CALL = 0xC020AA00ul;
	struct { uint64_t api, features, ioctls; } api = { API, 0, 0 };
	*t = (struct os_twin){ 0, size, os_filtered || os_is_confined() ? -EPERM : (int)syscall1(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY), false };
	if (t->serves < 0)
		return;
	long at = os_ioctl(t->serves, UFFDIO_API_CALL, &api) == 0 ? syscall4(SYS_mremap, (long)low, 0, (long)size, MREMAP_MAYMOVE) : -EPERM;
	t->first = at == -EINVAL;
	at = t->first ? (long)low : at;
	struct { uint64_t start, size, mode, ioctls; } ask = { (uint64_t)at, size, MISSING, 0 };
	if (!failed(at) && (t->first || syscall3(SYS_mprotect, at, (long)size, PROT_READ) == 0) && os_ioctl(t->serves, UFFDIO_REGISTER_CALL, &ask) == 0) {
		t->at = (uintptr_t)at;
		return;
	}
	if (!failed(at) && !t->first)
		syscall2(SYS_munmap, at, (long)size);
	os_close(t->serves);
}

bool os_twin_holds(const struct os_twin *t, size_t offset)
{
	uint8_t byte;
	return os_read_self(&byte, t->at + offset, 1) == 1;
}

void os_twin_drop(struct os_twin *t)
{
	if (!t->at)
		return;
	if (!t->first)
		os_unmap((void *)t->at, t->size);
	os_close(t->serves); /* which ends its service */
	t->at = 0;
}

bool os_swap_used(void)
{
	struct sysinfo info = { 0 };
	return os_filtered || os_is_confined() || syscall1(SYS_sysinfo, (long)&info) != 0 || info.freeswap != info.totalswap;
}

/* Protected, it is loaded through a second mapping of the same pages: mremap of a shared one with an old size of 0 makes that. */
long os_copy_secret(void *buf, uintptr_t from, size_t n)
{
	const long got = os_copy_self(buf, from, n);
	if (got == (long)n)
		return got;
	const uintptr_t page = align_down(from, PAGE_BYTES);
	const size_t size = align_up(from + n, PAGE_BYTES) - page;
	const long twin = os_is_confined() ? -EPERM : syscall4(SYS_mremap, (long)page, 0, (long)size, MREMAP_MAYMOVE);
	if (failed(twin))
		return twin;
	long r = syscall3(SYS_mprotect, twin, (long)size, PROT_READ);
	r = r < 0 ? r : os_copy_self(buf, (uintptr_t)twin + (from - page), n);
	syscall2(SYS_munmap, twin, (long)size);
	return r;
}

uint64_t os_inode(int fd)
{
	struct os_file f;
	return !os_is_confined() && os_file(fd, &f) ? f.inode : 0;
}

extern char __libc_single_threaded __attribute__((weak)); /* glibc 2.32 */
bool os_single_threaded(void) { return &__libc_single_threaded && __libc_single_threaded; }

bool os_readable(uintptr_t at) { return syscall4(SYS_rt_sigprocmask, 99 /* no such request */, (long)align_down(at, 8), 0, 8) == -EINVAL; }


bool os_writable(uintptr_t at) { return !os_is_confined() && syscall4(SYS_rt_sigprocmask, SIG_BLOCK, 0, (long)at, 8) == 0; }

/* From the kernel's uapi linux/fs.h, which build machines' headers may lack. */
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
enum { IS_FILE = 1 << 2, IS_SWAPPED = 1 << 4, IS_PFNZERO = 1 << 5 };
static const unsigned long PAGEMAP_SCAN_IOCTL = 0xC0606610ul; /* _IOWR('f', 16, struct pm_scan_arg) */

long os_page_runs(int pagemap, uintptr_t low, uintptr_t high, struct os_run *runs, size_t most, uintptr_t *walked)
{
	struct pm_scan_arg arg = { .size = sizeof arg, .start = low, .end = high, .vec = (uintptr_t)runs, .vec_len = most,
		                   .category_anyof_mask = OS_RUN_PRESENT | IS_SWAPPED, .return_mask = OS_RUN_PRESENT | IS_SWAPPED,
		                   .category_inverted = IS_FILE | IS_PFNZERO, .category_mask = IS_FILE | IS_PFNZERO }; /* neither */
	const long n = os_ioctl(pagemap, PAGEMAP_SCAN_IOCTL, &arg);
	*walked = n < 0 ? low : arg.walk_end;
	return n;
}

struct procmap_query {
	uint64_t size, flags, address, low, high, vma_flags, page_size, offset, inode;
	uint32_t major, minor, name_size, build_id_size;
	uint64_t name, build_id;
};
static const unsigned long PROCMAP_QUERY_IOCTL = 0xC0686611ul; /* _IOWR('f', 17, struct procmap_query) */
_Static_assert(sizeof(struct procmap_query) == 0x68, "its size is part of the request");

bool os_mapping(int maps, uintptr_t at, struct os_mapping *m)
{
	enum { READABLE = 1, WRITABLE = 2, EXECUTABLE = 4, SHARED = 8 };
	struct procmap_query q = { .size = sizeof q, .address = at };
	if (os_ioctl(maps, PROCMAP_QUERY_IOCTL, &q) != 0)
		return false;
	*m = (struct os_mapping){ q.low, q.high, q.vma_flags & READABLE, q.vma_flags & WRITABLE, q.vma_flags & EXECUTABLE, q.vma_flags & SHARED, q.inode };
	return true;
}

long os_ioctl(int fd, unsigned long request, void *arg) { return syscall3(SYS_ioctl, fd, (long)request, (long)arg); }

int os_resident(uintptr_t addr, size_t size, uint8_t *pages)
{
	return (int)syscall3(SYS_mincore, (long)addr, (long)size, (long)pages);
}

#if __GLIBC_PREREQ(2, 35)
int _dl_find_object(void *address, struct dl_find_object *result) __attribute__((weak));

bool os_module_of(uintptr_t at, struct os_module *m)
{
	struct dl_find_object found;
	if (!_dl_find_object || _dl_find_object((void *)at, &found) != 0)
		return false;
	*m = (struct os_module){ (uintptr_t)found.dlfo_map_start, (uintptr_t)found.dlfo_map_end, (uintptr_t)found.dlfo_eh_frame };
	return true;
}
#else
bool os_module_of(uintptr_t at, struct os_module *m) { return false; }
#endif

int os_exec(const char *path, char *const argv[], char *const env[])
{
	return (int)syscall3(SYS_execve, (long)path, (long)argv, (long)env);
}

void os_exit(int status)
{
	for (;;)
		syscall1(SYS_exit_group, status);
}

void os_abort(void)
{
	uint64_t none = 0, abrt = 1ull << (SIGABRT - 1);
	struct { void *handler; unsigned long flags; void *restorer; uint64_t mask; } act = { 0, 0, 0, 0 };
	int pid = os_pid(), tid = os_tid();
	/* First as abort() does, with the program's handler and core settings; if it returns, by default action. */
	syscall4(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&abrt, 0, 8);
	syscall3(SYS_tgkill, pid, tid, SIGABRT);
	syscall4(SYS_rt_sigaction, SIGABRT, (long)&act, 0, 8);
	syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, 8);
	syscall3(SYS_tgkill, pid, tid, SIGABRT);
	for (;;)
		syscall1(SYS_exit_group, 127);
}
