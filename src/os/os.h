/*
 * Everything cgc asks of the operating system. Raw system calls: no errno, no cancellation point, no libc lock, no
 * allocation, so each may be called from a signal handler, inside a stop and in a forked child. Failures are negative errno
 * values or NULL. fault= makes each fail (os/syscall.h).
 */
#ifndef CGC_OS_OS_H
#define CGC_OS_OS_H

#include "base/bits.h"

struct timespec;

/*
 * Set, for ever, when the program installs a filter of system calls (seccomp). What a filter lets pass is what the program was seen
 * to need with libc's malloc, so from here on nothing is asked of the system but mmap, munmap and futex: purging, moving and guarding
 * fail, time does not pass, identities are not told. The collector has ended by then (cycle_confine).
 */
extern uint32_t os_confined; /* atomic */
static inline bool os_is_confined(void) { return UNLIKELY(load_relaxed(&os_confined)); }
/* Does a filter from before this program's start let everything pass that a cycle needs? NULL, or what it forbids. Asks a child that
 * dies of it in our place. Called once, before any other call of this file but os_map. */
const char *os_filter_forbids(void);
int os_filter_inherited(void); /* is there one? 1, 0; -1: nobody says */
extern bool os_filtered; /* after it: there is a filter, which may kill for a call that was not asked about */

/* -- memory. Sizes and addresses are multiples of 4 KiB. -- */
void *os_map(size_t size);                          /* private, zeroed, read/write, anywhere; NULL: no memory */
/* A hint: small maps are to come, up to `size` in all. They are cut from pages that one call maps and fills; a page fault each takes longer.
 * 0: that was all. To be called before mappings are listed: else pages that nobody has yet are listed, and may be unmapped while they are read. */
void os_map_soon(size_t size);
/* The process ends: small maps are not worth the call that gives them back. */
void os_ending(void);
int os_map_at_errno(uintptr_t addr, size_t size);   /* exactly there, replacing nothing; 0, -EEXIST or -ENOMEM */
void *os_reserve(size_t size);                      /* address space without access; commit by os_commit */
bool os_commit(uintptr_t addr, size_t size);        /* makes reserved pages read/write */
void os_unmap(void *p, size_t size);
void *os_remap(void *p, size_t old, size_t size);   /* mremap, may move; NULL: unchanged */
bool os_map_over(uintptr_t addr, size_t size);      /* exactly there, in place of whatever is there */
bool os_move(uintptr_t from, uintptr_t to, size_t size); /* moves pages onto mapped ones; `from` is left mapped and zero;
                                                       false: nothing moved, but `to` may be unmapped */
bool os_purge(uintptr_t addr, size_t size);         /* contents dropped, reads as zero afterwards; false: still there */
/* Private pages of a file, exactly there; what they hold is the file's until it is written. false: see os_pages_mapped. */
bool os_map_file_over(uintptr_t addr, size_t size, int fd, uint64_t at);
bool os_pages_mapped(uintptr_t addr, size_t size);  /* every page of it is mapped */
bool os_wipeonfork(void *p, size_t size);           /* false: children of fork see the contents */
bool os_keeponfork(void *p, size_t size);           /* takes os_wipeonfork back; false: nothing changed */
void os_fill(uintptr_t at, size_t size, bool written); /* a hint: all pages of it will be read or written soon (Linux 5.14) */
/* Our own code in the library: what every process runs, what a report runs besides, and the rest. All 0 in the static core. */
extern struct os_code { uintptr_t low, first_end, report_end, end; } os_code;
bool os_guard(void *p, size_t size);                /* no access; false: still accessible */

/* -- time -- */
uint64_t os_now_ns(void);          /* monotonic */
uint64_t os_coarse_ns(void);       /* monotonic, a few ms coarse, a few ns cheap */
uint64_t os_real_ns(void);         /* since 1970 */
uint64_t os_thread_cpu_ns(void);
uint64_t os_process_cpu_ns(void);
void os_sleep_ns(uint64_t ns);     /* may wake early */
void os_yield(void);

/* Every thread of this memory has passed a full memory barrier between the call and the return, wherever it is: what it stored before is
 * seen here, and what was stored here before is seen by what it loads next. false: the kernel can't, or a filter might not like it. */
bool os_barrier_everywhere(void);

/* -- identity. All are 0 once os_confined is set. -- */
int os_pid(void);
int os_tid(void);
int os_parent(void);
int os_session(void);
bool os_own_thread(int tid);       /* a thread of this process has this id */
bool os_secure(void);              /* AT_SECURE: setuid, setgid or capabilities were gained */
uintptr_t os_pointer_guard(void);  /* what glibc's setjmp mixes into rbp, rsp and pc; 0: none, or unknown */
void os_random(void *buf, size_t n); /* never fails: falls back to time and addresses, which is enough for layout */

/* -- waiting. timeout_ns 0: for ever. Spurious wake-ups happen. -- */
int os_futex_wait(uint32_t *word, uint32_t expected, uint64_t timeout_ns);
void os_futex_wake(uint32_t *word, int count);

/* -- files -- */
int os_open(const char *path, int flags, int mode); /* always O_CLOEXEC; descriptor or -errno */
/* /proc/thread-self/NAME, or /proc/self/NAME where the kernel has no such folder: the latter shows no memory once the main
 * thread has called pthread_exit. For reading; descriptor or -errno. */
int os_open_proc(const char *name);
long os_read(int fd, void *buf, size_t n);
long os_pread(int fd, void *buf, size_t n, uint64_t at);
long os_pwrite(int fd, const void *buf, size_t n, uint64_t at);
int os_memfd(const char *name);                     /* a file in memory; descriptor or -errno */
bool os_files_unlimited(void);                      /* RLIMIT_FSIZE is not set: writing a file cannot end in SIGXFSZ */
long os_write(int fd, const void *buf, size_t n);   /* repeats EINTR and short writes; written or -errno */
long os_write_quietly(int fd, const void *buf, size_t n); /* the same; raises neither SIGPIPE nor SIGXFSZ */
/* 0 or -errno. keep: what is there already stays, -EEXIST (file systems that can't tell: -EINVAL). */
int os_rename(const char *from, const char *to, bool keep);
bool os_may_execute(const char *path);
int os_unlink(const char *path);
void os_close(int fd);
int os_keep(int fd);                                /* another descriptor for it, a high one, closed by exec; or -errno */
struct os_file {
	uint64_t device, inode;
	enum os_file_kind {
		OS_FILE_NONE,       /* not open */
		OS_FILE_TERMINAL,   /* a character device */
		OS_FILE_LOG,        /* a file or pipe that was opened for writing only */
		OS_FILE_OTHER
	} kind;
};
/* Is it an object of the kernel's without a file (epoll, eventfd, a virtual machine)? No file system is asked: it may be this process'. */
bool os_is_anonymous(int fd);
bool os_file(int fd, struct os_file *f);            /* false: it is not open */
/* Is this open file one that nobody else can have put in our way: a regular file of our own (effective user) with no other
 * name, or a device, which only root makes? */
bool os_is_safe_log(int fd);
/* Is this path a regular file of just this device and inode, on a file system that keeps its files in memory? false too: it can't be told. */
bool os_memory_file(const char *path, uint32_t major, uint32_t minor, uint64_t inode);
/* The file of the mapping with just these bounds, for os_next_data: one in tmpfs's keeping alone. Negative: it can't be had (it takes a privilege). */
int os_open_mapping(uintptr_t low, uintptr_t high);
/* The first run of bytes that hold something, in memory or in swap, at or behind `at`. false: there is none. */
bool os_next_data(int fd, uint64_t at, uint64_t *from, uint64_t *to);
/* A second mapping of shared pages that shows which of them are there, in memory or in swap, and fills none; where there can be no second one (hugetlb) the
 * first, which is as it was after os_twin_drop. at 0: it can't be made. */
struct os_twin { uintptr_t at; size_t size; int serves; bool first; };
void os_twin_make(struct os_twin *t, uintptr_t low, size_t size);
bool os_twin_holds(const struct os_twin *t, size_t offset); /* and brings it into memory */
void os_twin_drop(struct os_twin *t);
/* Is anything in swap, on this machine? true, too, where a filter may forbid to ask. */
bool os_swap_used(void);
/* The mapping that holds `at`, by an ioctl on /proc/self/maps (Linux 6.11). false: there is none, or the kernel does not tell. */
struct os_mapping {
	uintptr_t low, high;
	bool readable, writable, executable, shared;
	uint64_t inode;
};
bool os_mapping(int maps, uintptr_t at, struct os_mapping *m);
long os_readlink(const char *path, char *buf, size_t n); /* bytes, no NUL added, or -errno */
/* Copies n bytes of our own memory without ever faulting; bytes copied before the first unreadable one, or -errno. */
long os_read_self(void *buf, uintptr_t from, size_t n);
/* The same, and -EFAULT for what is no memory (registers of a device). */
long os_read_memory(void *buf, uintptr_t from, size_t n);
/* From begin to end, which nest, os_read_self also copies what is protected, or closed to this thread by a key, and waits for nobody: for the collecting
 * thread, while others stand still. Where /proc/self/mem can't be opened it does neither. */
void os_calm_begin(void);
void os_calm_end(void);
/* The same for memory that only plain loads can read (mappings of devices and rings). */
long os_copy_self(void *buf, uintptr_t from, size_t n);
/* The same for memfd_secret's, whatever its protection. */
long os_copy_secret(void *buf, uintptr_t from, size_t n);
uint64_t os_inode(int fd);                          /* 0: no such descriptor */
/* Is the aligned word at `at` readable? One cheap call that every sandbox allows (the kernel looks at the set before it refuses the rest). */
bool os_readable(uintptr_t at);
/* Can the word at `at`, which is written, be written? false also of a confined process, which must not ask. */
bool os_writable(uintptr_t at);
/* libc says that the calling thread is the only one (of those that it made). false: or does not say. */
bool os_single_threaded(void);
long os_ioctl(int fd, unsigned long request, void *arg);
/* One byte a page of [addr, addr + size): bit 0 set, in memory (swapped pages are called absent). 0 or -errno. */
int os_resident(uintptr_t addr, size_t size, uint8_t *pages);

/* Lists the first `most` runs of pages in [low, high) that are in memory or swapped, and neither a file's own nor the kernel's page of zeros, and how far that
 * is. pagemap: os_open_proc("pagemap"). How many, or -errno: the kernel (before 6.7) can't. */
struct os_run { uint64_t low, high, kind; };
enum { OS_RUN_PRESENT = 1 << 3 };                   /* in `kind`: all of it is in memory */
long os_page_runs(int pagemap, uintptr_t low, uintptr_t high, struct os_run *runs, size_t most, uintptr_t *walked);

/* The loader's own answer, lock-free and async-signal-safe, for a module that it has just mapped. false: none holds `at`, or the loader
 * can't be asked so (glibc before 2.35). */
struct os_module { uintptr_t low, high, eh_frame_hdr; }; /* eh_frame_hdr 0: none */
bool os_module_of(uintptr_t at, struct os_module *m);

int os_exec(const char *path, char *const argv[], char *const env[]); /* -errno, if at all */
void os_exit(int status) __attribute__((noreturn)); /* the whole process, at once */
void os_abort(void) __attribute__((noreturn)); /* SIGABRT with the default action, as abort() */

#endif
