/*
 * The snapshot file, read back by a reader that trusts nothing: sections inside the file, strings that end, stacks that lead to the
 * outermost frame; what the report said is what the file says. And what becomes of descriptors that take no more.
 */
#include "backtrace/depot.h"
#include "backtrace/modules.h"
#include "report/report.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SITES = 3, DEEP = 200, FILE_MOST = 4 << 20 };

static struct report_site sites[SITES];
static struct snapshot_block blocks[4];
static struct report report;

/* Addresses in functions of this test: return addresses lie behind a call. */
static __attribute__((noinline)) void here(void) { __asm__ volatile("nop; nop; nop; nop; nop; nop; nop; nop"); }
static __attribute__((noinline)) void there(void) { __asm__ volatile("nop; nop; nop; nop; nop; nop; nop; nop; nop"); }

static uint32_t stack_of(uintptr_t inner, unsigned depth)
{
	uint32_t node = 0;
	for (unsigned i = 0; i < depth; i++)
		node = depot_child(node, (uintptr_t)there + 2 + i % 3);
	return depot_child(node, inner);
}

static void begin(void)
{
	cr_assert(depot_start());
	modules_list();
	sites[0].s = (struct snapshot_site){ .id = 77, .frame = stack_of((uintptr_t)here + 2, 2), .example = 0x1000, .largest = 64, .rule = RULE_NO_POINTER };
	sites[0].s.kind[KIND_DEFINITE].blocks = 2;
	sites[0].s.kind[KIND_DEFINITE].bytes = 128;
	sites[0].s.owned_blocks = 1;
	sites[0].s.owned_bytes = 32;
	sites[1].s = (struct snapshot_site){ .id = 78, .frame = stack_of((uintptr_t)here + 5, DEEP), .rule = RULE_LOST_OWNER };
	sites[1].s.kind[KIND_INDIRECT].blocks = 1;
	sites[1].s.kind[KIND_INDIRECT].bytes = 32;
	sites[1].suppression = "a rule";
	sites[2].s = (struct snapshot_site){ .id = 79, .frame = 0, .rule = RULE_REACHABLE };
	sites[2].s.kind[KIND_REACHABLE].blocks = 5;
	sites[2].s.kind[KIND_REACHABLE].bytes = 500;
	blocks[0] = (struct snapshot_block){ .address = 0x1000, .bytes = 64, .site = 0, .kind = KIND_DEFINITE };
	blocks[1] = (struct snapshot_block){ .address = 0x2000, .bytes = 32, .site = 1, .kind = KIND_INDIRECT, .rule = RULE_LOST_OWNER, .owner = 0x1000 };
	report = (struct report){ .complete = true, .sites = sites, .count = SITES, .blocks = blocks, .block_count = 2 };
}
TestSuite(snapshot, .init = begin, .timeout = 60);

/* ---- the reader ---- */

static uint8_t file[FILE_MOST];
static size_t file_size;
static const struct snapshot_header *header;

static const struct snapshot_section *section(uint32_t kind)
{
	const struct snapshot_section *table = (const void *)(header + 1), *found = NULL;
	for (uint32_t i = 0; i < header->sections; i++)
		if (table[i].kind == kind) {
			cr_assert_null(found, "section %u is there twice", kind);
			found = &table[i];
		}
	cr_assert_not_null(found, "section %u is missing", kind);
	return found;
}
static const void *records(uint32_t kind, size_t size, uint64_t *count)
{
	const struct snapshot_section *s = section(kind);
	cr_assert_eq(s->record, size, "section %u has records of %u bytes", kind, s->record);
	*count = s->count;
	return file + s->offset;
}
static const char *text(uint32_t offset)
{
	const struct snapshot_section *s = section(SECTION_STRINGS);
	cr_assert_lt(offset, s->count);
	cr_assert_not_null(memchr(file + s->offset + offset, 0, s->count - offset), "string %u has no end", offset);
	return (const char *)file + s->offset + offset;
}

static void open_file(void)
{
	header = (const void *)file;
	cr_assert_geq(file_size, sizeof *header);
	cr_assert_eq(memcmp(header->magic, SNAPSHOT_MAGIC, 8), 0);
	cr_assert_eq(header->major, SNAPSHOT_MAJOR);
	cr_assert_eq(header->size, file_size);
	const struct snapshot_section *table = (const void *)(header + 1);
	uint64_t at = sizeof *header + header->sections * sizeof *table;
	for (uint32_t i = 0; i < header->sections; i++) {
		cr_assert_eq(table[i].offset % 8, 0, "section %u is not aligned", table[i].kind);
		cr_assert_geq(table[i].offset, at, "section %u overlaps", table[i].kind);
		at = table[i].offset + table[i].count * table[i].record;
	}
	cr_assert_leq(at, file_size);
	cr_assert_eq(file[section(SECTION_STRINGS)->offset], 0, "string 0 is empty");
}

static void write_file(void)
{
	FILE *f = tmpfile();
	cr_assert_eq(report_write(&report, fileno(f), "demand"), 0);
	rewind(f);
	file_size = fread(file, 1, sizeof file, f);
	fclose(f);
	open_file();
}

/* The program counters of a site's stack, innermost first. */
static unsigned stack_in_file(uint32_t frame, uintptr_t *pcs)
{
	uint64_t count;
	const struct snapshot_frame *frames = records(SECTION_FRAMES, sizeof *frames, &count);
	unsigned n = 0;
	for (; frame; frame = frames[frame].parent) {
		cr_assert_lt(frame, count);
		cr_assert_lt(frames[frame].parent, frame, "callers stand before whom they call, so stacks end");
		pcs[n++] = frames[frame].pc;
	}
	return n;
}

/* ---- claims ---- */

Test(snapshot, what_the_report_says_is_in_the_file)
{
	uint64_t count;
	write_file();
	const struct snapshot_site *s = records(SECTION_SITES, sizeof *s, &count);
	cr_assert_eq(count, SITES);
	for (unsigned i = 0; i < SITES; i++) {
		cr_expect_eq(s[i].id, sites[i].s.id);
		cr_expect_eq(memcmp(s[i].kind, sites[i].s.kind, sizeof s[i].kind), 0);
		cr_expect(s[i].owned_bytes == sites[i].s.owned_bytes && s[i].rule == sites[i].s.rule);
	}
	cr_expect_str_eq(text(s[1].suppression), "a rule");
	cr_expect_str_eq(text(s[0].suppression), "");
	const struct snapshot_block *b = records(SECTION_BLOCKS, sizeof *b, &count);
	cr_assert_eq(count, 2);
	cr_expect_eq(memcmp(b, blocks, 2 * sizeof *b), 0);
	cr_expect_eq(header->flags, SNAPSHOT_COMPLETE | SNAPSHOT_BLOCKS);
	cr_expect_eq(header->live_blocks, 8);
	cr_expect_eq(header->live_bytes, 660);
	cr_expect_eq(header->pid, (uint32_t)getpid());
	cr_expect_eq(header->parent, (uint32_t)getppid());
	cr_expect_str_eq(text(header->why), "demand");
	cr_expect(strstr(text(header->program), "snapshot_test"));
	cr_expect(*text(header->command));
	cr_expect(header->rss_bytes > 0 && header->made_ns > 1600000000000000000u);
}

Test(snapshot, stacks_are_whole_and_shared_beginnings_stand_once)
{
	uintptr_t expected[DEEP + 1], found[DEEP + 1];
	uint64_t count, frames;
	write_file();
	const struct snapshot_site *s = records(SECTION_SITES, sizeof *s, &count);
	for (unsigned i = 0; i < 2; i++) {
		size_t n = depot_stack(sites[i].s.frame, expected, DEEP + 1);
		cr_assert_eq(stack_in_file(s[i].frame, found), n);
		cr_expect_eq(memcmp(found, expected, n * sizeof *found), 0);
	}
	cr_expect_eq(s[2].frame, 0, "what was not recorded has no frame");
	records(SECTION_FRAMES, sizeof(struct snapshot_frame), &frames);
	cr_expect_eq(frames, 1 + 3 + DEEP + 1 - 2, "two frames are shared");
}

Test(snapshot, frames_name_modules_that_are_used_and_no_others)
{
	uint64_t count, frames;
	write_file();
	const struct snapshot_module *m = records(SECTION_MODULES, sizeof *m, &count);
	cr_assert_eq(count, 1, "this program alone");
	cr_expect(strstr(text(m->path), "snapshot_test"));
	cr_expect(m->low <= (uintptr_t)here && (uintptr_t)here < m->high);
	const struct snapshot_frame *f = records(SECTION_FRAMES, sizeof *f, &frames);
	for (uint64_t i = 1; i < frames; i++)
		cr_expect_eq(f[i].module, 0);
}

Test(snapshot, strings_stand_once)
{
	write_file();
	const struct snapshot_section *s = section(SECTION_STRINGS);
	const char *low = (const char *)file + s->offset, *high = low + s->count;
	for (const char *a = low; a < high; a += strlen(a) + 1)
		for (const char *b = a + strlen(a) + 1; b < high; b += strlen(b) + 1)
			cr_expect(strcmp(a, b) != 0, "\"%s\" stands twice", a);
}

Test(snapshot, an_incomplete_report_says_so)
{
	report.complete = false;
	report.count = 0;
	report.blocks = NULL;
	write_file();
	cr_expect_eq(header->flags, 0);
	report.complete = report.cut = true;
	write_file();
	cr_expect_eq(header->flags, SNAPSHOT_COMPLETE | SNAPSHOT_CUT);
}

static void *read_slowly(void *arg)
{
	for (ssize_t n; (n = read(*(int *)arg, file + file_size, 1000)) > 0; file_size += (size_t)n)
		;
	return NULL;
}

Test(snapshot, a_pipe_gets_the_same_bytes)
{
	int ends[2];
	pthread_t reader;
	cr_assert_eq(pipe(ends), 0);
	pthread_create(&reader, NULL, read_slowly, &ends[0]);
	cr_expect_eq(report_write(&report, ends[1], "demand"), 0);
	close(ends[1]);
	pthread_join(reader, NULL);
	open_file();
}

Test(snapshot, what_takes_no_more_gives_its_error_and_no_signal)
{
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	int full = open("/dev/full", O_WRONLY);
	cr_expect_eq(report_write(&report, full, "demand"), ENOSPC);
	cr_expect_eq(report_write(&report, -1, "demand"), EBADF);
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	close(ends[0]);
	cr_expect_eq(report_write(&report, ends[1], "demand"), EPIPE);
	FILE *f = tmpfile();
	struct rlimit limit = { 300, 300 };
	setrlimit(RLIMIT_FSIZE, &limit);
	cr_expect_eq(report_write(&report, fileno(f), "demand"), EFBIG);
}

/* ---- ids ---- */

Test(snapshot, ids_tell_stacks_apart_and_are_the_same_again)
{
	uint64_t a = report_site_id(sites[0].s.frame), b = report_site_id(sites[1].s.frame);
	cr_expect(a && b && a != b);
	cr_expect_eq(report_site_id(sites[0].s.frame), a);
	cr_expect_neq(report_site_id(depot_get(sites[0].s.frame)->parent), a, "a caller is another place");
	cr_expect_neq(report_site_id(stack_of((uintptr_t)here + 3, 2)), a, "another call of the same function");
	cr_expect_eq(report_site_id(0), 0);
}

Test(snapshot, ids_hold_no_address_of_generated_code)
{
	uint64_t a = report_site_id(depot_child(0, 0x1234)), b = report_site_id(depot_child(0, 0x5234)), c = report_site_id(depot_child(0, 0x5678));
	cr_expect_eq(a, b);
	cr_expect_neq(a, c, "two places in generated code");
}
