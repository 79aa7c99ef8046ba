/*
 * Being asked while the program runs (listen=1): a Unix socket a process.
 *
 *   protocol.c   requests as text                        request_read
 *   folder.c     where the socket lies, and whose it is  folder_bind, folder_unbind
 *   serve.c      one connection                          serve_connection
 *   control.c    when: asked, busy, fork, exec, filter   control_*
 *
 * Folder: $XDG_RUNTIME_DIR/cgc, else $TMPDIR/cgc-UID, else /tmp/cgc-UID: made 0700, must belong to us, no link is followed. Socket: PID in it, or
 * PID.N when a process of another PID namespace has that name. The peer's uid must be ours or 0. Protocol: one request, a
 * line of words, at most 256 bytes; then the answer, and the server closes:
 *
 *   hello                          ok SIZE + descriptor   "cgc VERSION mode PID program\n", "live BYTES\n", "reports FOLDER\n" (snapshot_dir=)
 *   snapshot [blocks] [reachable]  ok SIZE + descriptor   the bytes of snapshot.h
 *   why ADDRESS                    ok SIZE + descriptor   lines
 *   anything else                  error TEXT\n
 *
 * "ok SIZE\n" comes with a descriptor (SCM_RIGHTS) of an unlinked file in memory that holds SIZE bytes: whoever reads slowly
 * holds up nobody. A request that is not whole after 100 ms is dropped.
 *
 * No thread serves (README.md says why): the kernel sends signal 33 when somebody connects, and whichever thread gets it serves on a stack of
 * ours, with every other signal blocked, between two instructions of the program. So nothing that serves may
 * wait for a lock of the program or of libc (the loader's too): report_take, report_write, report_why and report_tick are called so.
 *
 * Our descriptor lies at 1000 or above unless the limit is lower, is closed by exec, and gone when the socket is.
 */
#ifndef CGC_CONTROL_CONTROL_H
#define CGC_CONTROL_CONTROL_H

#include "base/bits.h"

/* After report_start, when options ask for it; `env` is the program's environment. Bad folders get one line; the program runs on without. */
void control_start(char **env);
/* interval= (seconds; 0: none): report_tick, and what log_path asks, also in a process that never allocates. */
void control_interval(unsigned seconds);
/* The socket's file is removed. */
void control_end(void);
void control_forked(void);

/* Before exec and before a filter of system calls: no signal of ours is pending or comes afterwards. resume: it failed after all. */
void control_pause(void);
void control_resume(void);

/* For the wrappers of close and kin. Our descriptor, -1 if there is none: the program did not open it and should not find it. */
extern int control_descriptor; /* atomic */
bool control_owns(int fd);         /* it is that one, and not another that got its number since */
/* The program is about to use this number itself: ours moves. */
void control_make_way(int fd);
/* It may have been closed behind our back: made anew if so. */
void control_check(void);

#endif
