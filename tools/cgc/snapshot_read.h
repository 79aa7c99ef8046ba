/* Reading snapshot files (report/snapshot.h). Nothing of a file is used before all of it was checked. */
#ifndef CGC_TOOLS_SNAPSHOT_READ_H
#define CGC_TOOLS_SNAPSHOT_READ_H

#include "base/bits.h"
#include "report/snapshot.h"

enum { SECTION_KINDS = SECTION_LOOKS + 1 };

struct snapshot {
	const unsigned char *bytes;
	size_t size;
	struct snapshot_header head;
	struct { const unsigned char *at; uint64_t count; uint32_t record; } part[SECTION_KINDS]; /* by kind; count 0: absent */
};

/* Looks at n bytes, which must stay. NULL: all that the file says of itself holds; else what is wrong and what to do, as "WHAT: HINT". */
const char *snapshot_check(struct snapshot *s, const void *bytes, size_t n);
/* The same of n bytes of a file that others may change meanwhile: they are copied first. */
const char *snapshot_take(struct snapshot *s, int fd, uint64_t n);
/* Reads the file. false: one line was printed, the exit status is 2. */
bool snapshot_open(struct snapshot *s, const char *path);

static inline uint64_t snapshot_count(const struct snapshot *s, enum snapshot_section_kind kind) { return s->part[kind].count; }
/* Record i < snapshot_count of a kind. Fields that a file of an older minor version lacks are 0. */
void snapshot_record(const struct snapshot *s, enum snapshot_section_kind kind, uint64_t i, void *record, size_t size);
/* The string at an offset of a checked record; "" for one that is in no section. */
const char *snapshot_string(const struct snapshot *s, uint32_t offset);

#endif
