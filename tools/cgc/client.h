/*
 * Asking a process that runs under libcgc.so with listen=1: finds its socket, asks one thing, gets the answer. The protocol is that of
 * src/control/control.h. Errors are one finished line with a hint, without "cgc: " and newline: complain("%s", a.error).
 */
#ifndef CGC_TOOLS_CLIENT_H
#define CGC_TOOLS_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>

struct answer {
	int fd;           /* an unlinked file of our own to read, at its start; -1 after an error. Close it */
	uint64_t size;    /* its bytes */
	bool refused;     /* after an error: the process itself said so */
	char error[400];
};

/* Sends `request` ("snapshot", "snapshot blocks", "why 0x28...", "hello") to the process and waits for the answer, a minute at most; beyond
 * a second a note stands on a terminal's standard error meanwhile. */
bool client_ask(int pid, const char *request, struct answer *a);
/* The answer as text ending in NUL, malloc'ed; closes it. NULL after an error, which is in a->error then. */
char *client_text(struct answer *a);

/* What `hello` tells, and /proc. */
struct client_process {
	int pid;
	bool silent;              /* it listens, but did not answer: the fields down to live_bytes are empty */
	char version[32], mode[16];
	char program[512];
	uint64_t live_bytes;
	uint64_t age_seconds;     /* of the process */
};
/* Calls fn for each process that listens and that we may ask (all of them for root), by ascending pid. Sockets of processes that are gone
 * are removed. Result: how many; -1 after a complaint in `error`. */
int client_each(void (*fn)(const struct client_process *p, void *arg), void *arg, char error[400]);

#endif
