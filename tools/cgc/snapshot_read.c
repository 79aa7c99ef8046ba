/*
 * The reader of snapshot files.
 *
 *   1. Header: magic, major version, size. A file that is shorter than its header says was cut off.
 *   2. Table: each section lies in the file, at a multiple of 8, its records are no smaller than those of the first version.
 *   3. Strings end in NUL, so any offset below their size is a string.
 *   4. Each record's references (strings, frames, modules, sites) lead to something, and no stack leads back into itself.
 *
 * The file may come from anywhere, so all of this happens before anything is used: what runs behind it needs no check of its own. The work
 * is linear in the size of the file.
 */
#include "snapshot_read.h"
#include "commands.h"
#include "take.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is little-endian, and so are all platforms of cgc");

/* Bytes of a record in its first version. Later ones grow at their end; these never change. */
static const uint32_t first_record[SECTION_KINDS] = {
	[SECTION_STRINGS] = 1,
	[SECTION_MODULES] = 72,
	[SECTION_FRAMES] = 24,
	[SECTION_SITES] = 128,
	[SECTION_ROOTS] = 16,
	[SECTION_GROWTH] = 32,
	[SECTION_BLOCKS] = 32,
	[SECTION_LOOKS] = 32,
};

static const char foreign[] = "it is no snapshot of cgc: name a process or a file that `cgc snapshot` wrote";
static const char damaged[] = "it is damaged: make it again with `cgc snapshot PID -o FILE`";

void snapshot_record(const struct snapshot *s, enum snapshot_section_kind kind, uint64_t i, void *record, size_t size)
{
	size_t n = s->part[kind].record < size ? s->part[kind].record : size;
	memset(record, 0, size);
	memcpy(record, s->part[kind].at + i * s->part[kind].record, n);
}

const char *snapshot_string(const struct snapshot *s, uint32_t offset)
{
	return offset < s->part[SECTION_STRINGS].count ? (const char *)s->part[SECTION_STRINGS].at + offset : "";
}

/* ---- steps 1 to 3 ---- */

static const char *check_header(struct snapshot *s)
{
	static char newer[160];
	if (s->size < sizeof(s->head.magic) || memcmp(s->bytes, SNAPSHOT_MAGIC, sizeof(s->head.magic)) != 0)
		return foreign;
	if (s->size < sizeof(s->head))
		return "it ends inside its header: it was cut off: make or copy it again";
	memcpy(&s->head, s->bytes, sizeof(s->head));
	if (s->head.major != SNAPSHOT_MAJOR) {
		snprintf(newer, sizeof(newer), "it has version %u.%u and this cgc reads %u: use the cgc that belongs to the library that wrote it",
		         s->head.major, s->head.minor, (unsigned)SNAPSHOT_MAJOR);
		return newer;
	}
	if (s->head.size > s->size)
		return "it is shorter than its header says: it was cut off: make or copy it again";
	if (s->head.size < s->size)
		return "it is longer than its header says: make or copy it again";
	return NULL;
}

static const char *check_table(struct snapshot *s)
{
	struct snapshot_section row;
	if (s->head.sections > (s->size - sizeof(s->head)) / sizeof(row))
		return damaged;
	for (uint32_t i = 0; i < s->head.sections; i++) {
		memcpy(&row, s->bytes + sizeof(s->head) + i * sizeof(row), sizeof(row));
		if (row.offset % 8 || row.offset > s->size || (row.count && (!row.record || row.count > (s->size - row.offset) / row.record)))
			return damaged;
		if (row.kind == 0 || row.kind >= SECTION_KINDS)
			continue; /* of a later version */
		if (row.record < first_record[row.kind] || s->part[row.kind].at)
			return damaged;
		s->part[row.kind].at = s->bytes + row.offset;
		s->part[row.kind].count = row.count;
		s->part[row.kind].record = row.record;
	}
	uint64_t n = s->part[SECTION_STRINGS].count;
	if (n && (s->part[SECTION_STRINGS].record != 1 || s->part[SECTION_STRINGS].at[0] || s->part[SECTION_STRINGS].at[n - 1]))
		return damaged;
	return NULL;
}

/* ---- step 4 ---- */

/* Offset 0 is "" also where the section is absent. */
static bool is_string(const struct snapshot *s, uint32_t offset) { return !offset || offset < s->part[SECTION_STRINGS].count; }
static bool is_frame(const struct snapshot *s, uint32_t i) { return !i || i < s->part[SECTION_FRAMES].count; }
static bool is_site(const struct snapshot *s, uint32_t i) { return i < s->part[SECTION_SITES].count; }

static bool modules_hold(const struct snapshot *s)
{
	struct snapshot_module m;
	for (uint64_t i = 0; i < s->part[SECTION_MODULES].count; i++) {
		snapshot_record(s, SECTION_MODULES, i, &m, sizeof(m));
		if (!is_string(s, m.path) || m.build_id_size > sizeof(m.build_id))
			return false;
	}
	return true;
}

/* Each walk up ends at a frame that an earlier walk has seen; one that meets itself goes round. */
static bool frames_hold(const struct snapshot *s)
{
	uint64_t count = s->part[SECTION_FRAMES].count;
	uint32_t *seen = count && count <= UINT32_MAX ? calloc(count, sizeof(*seen)) : NULL;
	struct snapshot_frame f;
	bool holds = !count || seen;
	for (uint32_t i = 1; holds && i < count; i++) {
		uint32_t at = i;
		while (at && !seen[at]) {
			seen[at] = i;
			snapshot_record(s, SECTION_FRAMES, at, &f, sizeof(f));
			if (!is_frame(s, f.parent) || !is_string(s, f.symbol) || (f.module != UINT32_MAX && f.module >= s->part[SECTION_MODULES].count))
				holds = false;
			at = holds ? f.parent : 0;
			if (at && seen[at] == i)
				holds = false;
		}
	}
	free(seen);
	return holds;
}

static bool sites_hold(const struct snapshot *s)
{
	struct snapshot_site site;
	for (uint64_t i = 0; i < s->part[SECTION_SITES].count; i++) {
		snapshot_record(s, SECTION_SITES, i, &site, sizeof(site));
		if (!is_frame(s, site.frame) || !is_string(s, site.suppression) || site.rule >= RULES)
			return false;
		if (!(site.factor_bytes >= 0 && site.factor_bytes < 1e30)) /* not a number is neither */
			return false;
	}
	return true;
}

static bool rest_holds(const struct snapshot *s)
{
	struct snapshot_root r;
	for (uint64_t i = 0; i < s->part[SECTION_ROOTS].count; i++) {
		snapshot_record(s, SECTION_ROOTS, i, &r, sizeof(r));
		if (!is_string(s, r.name) || !is_string(s, r.kind))
			return false;
	}
	struct snapshot_growth g;
	for (uint64_t i = 0; i < s->part[SECTION_GROWTH].count; i++) {
		snapshot_record(s, SECTION_GROWTH, i, &g, sizeof(g));
		if (!is_site(s, g.site))
			return false;
	}
	struct snapshot_block b;
	for (uint64_t i = 0; i < s->part[SECTION_BLOCKS].count; i++) {
		snapshot_record(s, SECTION_BLOCKS, i, &b, sizeof(b));
		if (!is_site(s, b.site) || b.kind >= KINDS || b.rule >= RULES)
			return false;
	}
	const struct snapshot_header *h = &s->head;
	return is_string(s, h->program) && is_string(s, h->command) && is_string(s, h->why) && is_string(s, h->machine);
}

const char *snapshot_check(struct snapshot *s, const void *bytes, size_t n)
{
	memset(s, 0, sizeof(*s));
	s->bytes = bytes;
	s->size = n;
	const char *wrong = check_header(s);
	if (!wrong)
		wrong = check_table(s);
	if (!wrong && !(modules_hold(s) && frames_hold(s) && sites_hold(s) && rest_holds(s)))
		wrong = damaged;
	return wrong;
}

const char *snapshot_take(struct snapshot *s, int fd, uint64_t n)
{
	char magic[sizeof(s->head.magic)];
	const char *wrong;
	/* What is none is refused by its first bytes, before memory is taken for a hole of gigabytes. */
	if (pread(fd, magic, sizeof(magic), 0) < (ssize_t)sizeof(magic) || memcmp(magic, SNAPSHOT_MAGIC, sizeof(magic)) != 0)
		return foreign;
	const void *copy = take_copy(fd, n, &wrong);
	if (!wrong)
		wrong = snapshot_check(s, copy, n);
	if (copy && wrong)
		munmap((void *)(uintptr_t)copy, n);
	return wrong;
}

bool snapshot_open(struct snapshot *s, const char *path)
{
	struct stat st;
	/* NONBLOCK: a fifo must not hang us before it can be refused. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0) {
		complain("%s can't be read: %s: name a process number or a snapshot file", path, strerror(errno));
	} else if (S_ISDIR(st.st_mode)) {
		complain("%s is a folder: name the snapshot files in it: %s/*.cgc", path, path);
	} else if (!S_ISREG(st.st_mode)) {
		complain("%s is no file: name a process number or a snapshot file", path);
	} else {
		const char *wrong = snapshot_take(s, fd, (uint64_t)st.st_size);
		close(fd);
		if (!wrong)
			return true;
		complain("%s can't be read: %s", path, wrong);
		return false;
	}
	if (fd >= 0)
		close(fd);
	return false;
}
