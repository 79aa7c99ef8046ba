/* Inside of the client: which process, which folder, which socket. */
#ifndef CGC_TOOLS_CLIENT_FIND_H
#define CGC_TOOLS_CLIENT_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct subject {
	int pid, inner;           /* inner: its PID in its own namespace */
	uid_t uid, real_uid;
	long queued, queue_limit; /* signals */
};
bool subject_read(int pid, struct subject *s);   /* false: there is no such process */
uint64_t subject_age(int pid);                   /* seconds since it started; 0: not known */

enum { FOLDERS = 64 };
struct folders {
	char *path[FOLDERS];
	int count;
};
/* One more, unless it is there already or there is no room. */
void folder_add(struct folders *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Where the library's sockets may be (control/folder.c), below `root`, given these values of XDG_RUNTIME_DIR and TMPDIR. */
void folders_of(struct folders *f, const char *root, const char *runtime, const char *tmp, uid_t uid);
void folders_drop(struct folders *f);
/* Opened, if it is a folder of somebody whom we trust to say what is in it: ourselves, root, or (for root) anyone. -1: errno says why,
 * EPERM when it is another's. */
int folder_open(const char *path);

/* PID or PID.N? Its number; 0: not a socket's name. */
int name_number(const char *name);
/* A connected socket, or -1 and errno; *pid is the listener's, 0 if it is in a namespace that we can't see. */
int connect_at(int folder, const char *name, int *pid);
/* The process' socket, wherever it is, or -1; *other: a folder of another user stands in the way. */
int connect_to(const struct subject *s, bool *other);

#endif
