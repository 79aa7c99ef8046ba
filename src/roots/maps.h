/*
 * The list of mappings: /proc/self/maps or smaps, parsed line by line into an own mapping. Exposed for unit tests and the
 * fuzzer; nobody outside src/roots uses it otherwise.
 */
#ifndef CGC_ROOTS_MAPS_H
#define CGC_ROOTS_MAPS_H

#include "base/bits.h"

enum mapping_flags { MAPPING_READ = 1, MAPPING_WRITE = 2, MAPPING_EXEC = 4, MAPPING_SHARED = 8 };
enum mapping_kind {
	MAPPING_ANON,     /* no file: heap, stacks, [anon:name] */
	MAPPING_FILE,     /* a path, memfd and deleted files among them */
	MAPPING_SECRET,   /* memfd_secret: only plain loads can read it */
	MAPPING_RING,     /* io_uring: rings.c reads it */
	MAPPING_KERNEL,   /* vdso and kin: never holds the program's pointers */
	MAPPING_DEVICE    /* a file that may be a device's, which must not be read; pages of a private one that were written are memory */
};

struct mapping {
	uintptr_t low, high;
	uint64_t inode, offset;
	uint64_t held;        /* smaps only: bytes that are resident or swapped and may hold pointers; else UINT64_MAX */
	uint32_t major;
	uint8_t flags, kind;
	bool swapped;         /* smaps only: some of `held` is in swap */
	bool huge;            /* smaps only: of huge pages that are set aside (hugetlb) */
	bool watched;         /* smaps only: userfaultfd serves some of its faults */
	bool memory;          /* a shared MAPPING_DEVICE: a file of a file system in memory, as the kernel says */
};

/* Parses one line of maps (without its newline). false: not such a line. */
bool maps_parse_line(const char *line, size_t length, struct mapping *m);
/* Parses a "Name:   123 kB" line of smaps into the mapping it belongs to; other lines are ignored. */
void maps_parse_field(const char *line, size_t length, struct mapping *m);

struct maps {
	struct mapping *at;
	size_t count, room;
};
/* Lists all mappings in rising order; `name` is "maps" or "smaps" of /proc. false: unreadable, a line that makes no sense, no
 * memory. No allocation but its own mapping, which is kept for the next time. */
bool maps_reserve(struct maps *list); /* its first memory; false: there is none */
bool maps_read(struct maps *list, const char *name);
/* One reading of such a file: `count` may pass `room`, the rest is then only counted. false as above. */
bool maps_read_lines(struct maps *list, int fd);
/* Adds what smaps tells in its flags to the mappings below `end`; the kernel walks over the page tables of those alone. false: it can't be read. */
bool maps_look_closer(struct maps *list, uintptr_t end);
/* The mapping that holds `address`, or NULL. */
const struct mapping *maps_find(const struct maps *list, uintptr_t address);

#endif
