/*
 * What being asked needs of the operating system (src/control): folders, local sockets, timers. As in os.h: raw system calls, no errno,
 * from a signal handler too. Failures are negative errno values or false.
 */
#ifndef CGC_OS_LOCAL_H
#define CGC_OS_LOCAL_H

#include "base/bits.h"

unsigned os_user(void);                       /* the effective one */

/* -- folders. A descriptor of one is closed by exec. -- */
int os_make_folder(const char *path);         /* mode 0700; 0, or -EEXIST and other errors */
/* Opens the folder itself, never what a link leads to. -EPERM: it is not ours alone (owner, or a mode that lets others in). */
int os_open_own_folder(const char *path);
int os_unlink_at(int folder, const char *name);
/* A file without a name: in memory, else in that folder (-1: none). Descriptor or -errno. */
int os_nameless(const char *name, int folder);
int64_t os_size(int fd);                      /* of a regular file; -1: it is none */

/* -- descriptors -- */
/* The same at 1000 or above, or near the limit if that is lower; the old one is closed. What it is now, closed by exec. */
int os_move_high(int fd);
int os_duplicate_high(int fd);                /* the old one stays; -errno: there is no room */

/* -- local sockets (stream), never blocking, closed by exec -- */
int os_local_socket(void);
/* By the path /proc/self/fd/FOLDER/NAME: short, and no other folder can come in between. */
int os_local_bind(int fd, int folder, const char *name);
int os_local_connect(int fd, int folder, const char *name);
int os_local_listen(int fd, int queue);
int os_local_accept(int fd);
bool os_local_peer(int fd, unsigned *user);
/* Who connects makes the kernel send `signal` (with si_code > 0) to process `pid`; pid 0: no more. */
int os_local_ring(int fd, int signal, int pid);
/* Waits timeout_ns for bytes; 0: none came or will come. */
long os_local_receive(int fd, void *buf, size_t n, uint64_t timeout_ns);
/* At once or not at all; `passed`: a descriptor that goes along, -1 none. */
bool os_local_send(int fd, const void *buf, size_t n, int passed);

/* May this many signals more be queued to us? Where not, the kernel sends SIGIO instead. */
bool os_signals_room(unsigned n);

/* -- timers of the process: gone after exec and fork. They send `signal` with SI_TIMER and this value. -- */
bool os_timer_make(int signal, int value, int *timer);
void os_timer_set(int timer, uint64_t first_ns, uint64_t every_ns); /* 0, 0: off */
void os_timer_drop(int timer);

#endif
