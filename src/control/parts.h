/* Inside of the control room. */
#ifndef CGC_CONTROL_PARTS_H
#define CGC_CONTROL_PARTS_H

#include "base/bits.h"

/* -- protocol.c -- */
enum { REQUEST_MOST = 256 };
enum request_kind { REQUEST_WRONG, REQUEST_HELLO, REQUEST_SNAPSHOT, REQUEST_WHY };
struct request {
	enum request_kind kind;
	bool blocks, reachable;    /* snapshot */
	uintptr_t address;         /* why */
	const char *wrong;         /* what to answer to REQUEST_WRONG */
};
/* Reads a line of n bytes, without its newline. It may hold anything. */
void request_read(const char *line, size_t n, struct request *r);

/* -- folder.c -- */
enum { FOLDER_MOST = 200, NAME_MOST = 24 };
/* Chooses and makes the folder. NULL, or why there is none; `path` then names what stands in the way. */
const char *folder_choose(char *env[], char path[FOLDER_MOST]);
/* The same for a process that has become another user since. */
const char *folder_choose_again(char path[FOLDER_MOST]);
/* A bound socket of process `pid` in it and its name; -errno. What lies there from a process that is gone is replaced. */
int folder_bind(const char *path, int pid, char name[NAME_MOST]);
void folder_unbind(const char *path, const char *name);

/* -- serve.c: one connection, from its request to its answer -- */
void serve_connection(int fd);

#endif
