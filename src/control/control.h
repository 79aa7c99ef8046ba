/*
 * Being asked while the program runs (listen=1): a Unix socket a process, and a signal as the fallback.
 *
 * Folder: $XDG_RUNTIME_DIR/cgc, else $TMPDIR/cgc-UID, else /tmp/cgc-UID: made 0700, must belong to us, no link is followed. Socket: PID in it. The peer's uid
 * must be ours or 0. Protocol: one request, a line of words, at most 256 bytes; then the answer, and the server closes:
 *
 *   hello                          ok 0           the next line: "cgc VERSION mode PID program"
 *   snapshot [blocks] [reachable]  ok SIZE\n      SIZE bytes of snapshot.h
 *   why ADDRESS                    ok 0\n         lines until the end
 *   anything else                  error TEXT\n
 *
 * Whoever serves blocks every signal, holds no descriptor that the program can see below 1000 unless the limit is lower, and is gone when the
 * socket is.
 */
#ifndef CGC_CONTROL_CONTROL_H
#define CGC_CONTROL_CONTROL_H

#include "base/bits.h"

/* After report_start, when options ask for it. Bad folders get one line; the program runs on without. */
void control_start(void);
/* interval= (seconds; 0: none): report_tick, and what log_path asks, also in a process that never allocates. */
void control_interval(unsigned seconds);
/* The socket's file is removed. */
void control_end(void);
void control_forked(void);

#endif
