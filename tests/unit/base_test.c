/* Base: formatting, options, injected failures and the pause histogram. What is claimed here is what users read on their
 * screens and what every other room's messages are made of. */
#include "base/lock.h"
#include "base/fault.h"
#include "base/options.h"
#include "base/stats.h"
#include "base/printable.h"
#include "base/text.h"
#include "os/os.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- text -- */

/* Both formatters on the same arguments: ours must write and return what printf does, as long as all fits. */
#define same_as_printf(...)                                                                   \
	do {                                                                                  \
		char ours[256], theirs[256];                                                  \
		size_t n = text_format(ours, sizeof(ours), __VA_ARGS__);                      \
		int m = snprintf(theirs, sizeof(theirs), __VA_ARGS__);                        \
		cr_expect_str_eq(ours, theirs);                                               \
		cr_expect_eq(n, (size_t)m);                                                   \
	} while (0)

Test(text, conversions_agree_with_printf)
{
	same_as_printf("plain");
	same_as_printf("%s|%c|%%|%d|%u|%x", "word", 'c', -42, 42u, 0xdeadbeefu);
	same_as_printf("%d %d %d", 0, INT_MAX, INT_MIN);
	same_as_printf("%ld %ld %lu", LONG_MAX, LONG_MIN, ULONG_MAX);
	same_as_printf("%zu %zx %lx", SIZE_MAX, SIZE_MAX, 0ul);
	same_as_printf("%p", (void *)0x280000001230);
	same_as_printf("%-8s|%8s|%5u|%-5u|%3u", "left", "right", 7u, 7u, 12345u);
	same_as_printf("%016lx|%08x|%04d", 0xabcul, 0xabcu, -7);
	same_as_printf("%.3s|%.*s|%*s|%-*s|", "abcdef", 2, "xyz", 6, "in", 6, "out");
}

Test(text, a_missing_string_is_named_and_not_followed)
{
	char buf[16];
	const char *volatile nothing = NULL;
	text_format(buf, sizeof(buf), "%s", nothing);
	cr_expect_str_eq(buf, "(null)");
}

Test(text, output_is_cut_at_the_buffer_and_always_ends_in_nul)
{
	for (size_t cap = 1; cap < 24; cap++) {
		char buf[32];
		memset(buf, 'Z', sizeof(buf));
		size_t n = text_format(buf, cap, "%s%08x", "twelve chars", 0x1234u);
		cr_expect_eq(n, cap - 1 < 20 ? cap - 1 : 20);
		cr_expect_eq(strlen(buf), n);
		cr_expect_eq(buf[cap], 'Z', "nothing is written behind the buffer");
	}
	char untouched = 'Z';
	cr_expect_eq(text_format(&untouched, 0, "x"), 0);
	cr_expect_eq(untouched, 'Z');
}

/* Runs `speak` in a child whose stderr is a pipe and returns what arrived. */
static size_t heard(void (*speak)(void), char *buf, size_t cap, int *status)
{
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	pid_t child = fork();
	if (!child) {
		dup2(ends[1], 2);
		speak();
		_exit(0);
	}
	close(ends[1]);
	size_t n = 0;
	ssize_t got;
	while ((got = read(ends[0], buf + n, cap - 1 - n)) > 0)
		n += (size_t)got;
	buf[n] = 0;
	close(ends[0]);
	waitpid(child, status, 0);
	return n;
}

static void say_two_lines(void)
{
	say("first %d", 1);
	say_raw("second\n");
}

static void say_too_much(void)
{
	char big[4000];
	memset(big, 'b', sizeof(big));
	big[sizeof(big) - 1] = 0;
	say("%s", big);
}

static void die_of_it(void)
{
	die("the %s broke", "law");
}

static void say_into_a_closed_descriptor(void)
{
	close(2);
	errno = 77;
	say("nobody hears this");
	if (errno != 77)
		_exit(1);
}

Test(text, say_writes_one_prefixed_line)
{
	char buf[4096];
	int status;
	heard(say_two_lines, buf, sizeof(buf), &status);
	cr_expect_str_eq(buf, "cgc: first 1\nsecond\n");
}

Test(text, a_long_line_is_cut_and_still_ends_in_a_newline)
{
	char buf[8192];
	int status;
	size_t n = heard(say_too_much, buf, sizeof(buf), &status);
	cr_expect_eq(n, 1024);
	cr_expect_eq(buf[n - 1], '\n');
}

Test(text, die_says_why_and_aborts)
{
	char buf[4096];
	int status;
	heard(die_of_it, buf, sizeof(buf), &status);
	cr_expect_str_eq(buf, "cgc: the law broke\n");
	cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

Test(text, a_closed_stderr_costs_the_line_and_nothing_else)
{
	char buf[64];
	int status;
	cr_expect_eq(heard(say_into_a_closed_descriptor, buf, sizeof(buf), &status), 0);
	cr_expect_eq(status, 0);
}

Test(text, the_log_is_private_appended_to_named_by_pid_and_never_kept_open)
{
	char dir[] = "/tmp/cgc-base-test-XXXXXX", path[128], buf[128];
	cr_assert_not_null(mkdtemp(dir));
	snprintf(options.log_path, sizeof(options.log_path), "%s/log.%%p", dir);
	int before = open("/dev/null", O_RDONLY);
	close(before);
	say("one");
	say("two");
	int after = open("/dev/null", O_RDONLY);
	close(after);
	cr_expect_eq(before, after, "no descriptor stays behind");
	snprintf(path, sizeof(path), "%s/log.%d", dir, getpid());
	int fd = open(path, O_RDONLY);
	cr_assert_geq(fd, 0);
	ssize_t n = read(fd, buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = 0;
	cr_expect_str_eq(buf, "cgc: one\ncgc: two\n");
	struct stat st;
	fstat(fd, &st);
	cr_expect_eq(st.st_mode & 0777, 0600);
	close(fd);
	unlink(path);
	rmdir(dir);
}

static char link_path[64];
static void say_into_a_link(void)
{
	text_format(options.log_path, sizeof(options.log_path), "%s", link_path);
	say("not through the link");
}

Test(text, a_log_path_that_is_a_link_is_not_followed_and_stderr_is_used)
{
	char target[] = "/tmp/cgc-base-target-XXXXXX", buf[512];
	int fd = mkstemp(target), status;
	cr_assert_geq(fd, 0);
	snprintf(link_path, sizeof(link_path), "%s.link", target);
	cr_assert_eq(symlink(target, link_path), 0);
	heard(say_into_a_link, buf, sizeof(buf), &status);
	cr_expect_not_null(strstr(buf, "is a link"), "%s", buf);
	cr_expect_not_null(strstr(buf, "own\ncgc: not through the link\n"), "%s", buf);
	cr_expect_eq(lseek(fd, 0, SEEK_END), 0);
	close(fd);
	unlink(link_path);
	unlink(target);
}

/* -- options -- */

static char complaints[4096];
static void collect(const char *line)
{
	strncat(complaints, line, sizeof(complaints) - strlen(complaints) - 2);
	strcat(complaints, "\n");
}

static int parse(struct options *o, const char *text)
{
	complaints[0] = 0;
	options_defaults(o);
	return options_parse(o, text, collect);
}

/* The field of a row, whatever its type, as a number. */
static unsigned long field(const struct options *o, const struct option_row *row)
{
	unsigned u;
	unsigned long l;
	if (row->room == sizeof(u)) {
		memcpy(&u, (const char *)o + row->offset, sizeof(u));
		return u;
	}
	memcpy(&l, (const char *)o + row->offset, sizeof(l));
	return l;
}

Test(options, defaults_are_those_of_the_header)
{
	struct options o;
	cr_expect_eq(parse(&o, ""), 0);
	cr_expect_eq(o.mode, MODE_COLLECT);
	cr_expect_eq(o.cpu_limit, 10);
	cr_expect_eq(o.growth, 100);
	cr_expect_eq(o.grace, 1);
	cr_expect_eq(o.markers, 1);
	cr_expect_eq(o.on_misuse, MISUSE_ABORT);
	cr_expect_eq(o.roots, ROOTS_ALL);
	cr_expect_eq(o.stats + o.verbosity + o.stress + o.verify + o.cycle + o.signal + o.harden + o.explain + o.exitcode + o.help, 0);
	cr_expect_eq(o.heap_limit + o.watch, 0);
	cr_expect_eq(o.log_path[0] + o.fault[0], 0);
}

Test(options, every_row_has_a_help_sentence_and_a_default_that_parses)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		struct options o;
		char text[300];
		cr_expect_gt(strlen(row->help), 10);
		snprintf(text, sizeof(text), "%s=%s", row->name, row->fallback);
		cr_expect_eq(parse(&o, text), 0, "%s: %s", text, complaints);
		for (size_t j = 0; j < i; j++)
			cr_expect_str_neq(row->name, option_table[j].name);
	}
}

Test(options, every_number_takes_its_bounds_and_nothing_beyond_them)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		struct options o;
		char text[300];
		if (row->kind != OPTION_NUMBER)
			continue;
		unsigned long fallback = strtoul(row->fallback, NULL, 10);
		unsigned long values[] = { row->low, row->high };
		for (size_t v = 0; v < 2; v++) {
			snprintf(text, sizeof(text), "%s=%lu", row->name, values[v]);
			cr_expect_eq(parse(&o, text), 0, "%s", text);
			cr_expect_eq(field(&o, row), values[v], "%s", text);
		}
		snprintf(text, sizeof(text), "%s=%lu", row->name, row->high + 1);
		cr_expect_eq(parse(&o, text), 1, "%s", text);
		cr_expect_eq(field(&o, row), fallback, "%s", text);
		if (row->low) {
			snprintf(text, sizeof(text), "%s=%lu", row->name, row->low - 1);
			cr_expect_eq(parse(&o, text), 1, "%s", text);
			cr_expect_eq(field(&o, row), fallback, "%s", text);
		}
		snprintf(text, sizeof(text), "%s=-1 %s=1x %s= %s=99999999999999999999", row->name, row->name, row->name, row->name);
		cr_expect_eq(parse(&o, text), 4, "%s", text);
	}
}

Test(options, every_choice_is_stored_as_its_index)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_table[i];
		struct options o;
		char text[300], choices[128];
		if (row->kind != OPTION_CHOICE)
			continue;
		snprintf(choices, sizeof(choices), "%s", row->choices);
		unsigned index = 0;
		for (char *c = strtok(choices, "|"); c; c = strtok(NULL, "|"), index++) {
			snprintf(text, sizeof(text), "%s=%s", row->name, c);
			cr_expect_eq(parse(&o, text), 0);
			cr_expect_eq(field(&o, row), index, "%s", text);
		}
		snprintf(text, sizeof(text), "%s=nosuch", row->name);
		cr_expect_eq(parse(&o, text), 1);
		cr_expect(strstr(complaints, row->choices), "%s", complaints);
	}
}

Test(options, sizes_take_suffixes_and_refuse_overflow)
{
	struct options o;
	static const struct { const char *text; size_t bytes; } good[] = {
		{ "heap_limit=0", 0 }, { "heap_limit=4096", 4096 }, { "heap_limit=64k", 64 << 10 }, { "heap_limit=64M", 64 << 20 },
		{ "heap_limit=3g", 3ul << 30 }, { "heap_limit=0x10m", 16 << 20 },
	};
	for (size_t i = 0; i < NELEM(good); i++) {
		cr_expect_eq(parse(&o, good[i].text), 0, "%s", good[i].text);
		cr_expect_eq(o.heap_limit, good[i].bytes, "%s", good[i].text);
	}
	static const char *const bad[] = { "heap_limit=k", "heap_limit=1kk", "heap_limit=1t", "heap_limit=99999999999g",
		                           "heap_limit=18446744073709551616", "heap_limit=0x" };
	for (size_t i = 0; i < NELEM(bad); i++) {
		cr_expect_eq(parse(&o, bad[i]), 1, "%s", bad[i]);
		cr_expect_eq(o.heap_limit, 0);
	}
}

Test(options, times_have_suffixes)
{
	static const struct { const char *text; unsigned seconds; } good[] = {
		{ "interval=0", 0 }, { "interval=60", 60 }, { "interval=60s", 60 }, { "interval=10m", 600 }, { "interval=2H", 7200 },
	};
	struct options o;
	for (size_t i = 0; i < NELEM(good); i++) {
		options_defaults(&o);
		cr_expect_eq(options_parse(&o, good[i].text, NULL), 0, "%s", good[i].text);
		cr_expect_eq(o.interval, good[i].seconds, "%s", good[i].text);
	}
	static const char *const bad[] = { "interval=s", "interval=1k", "interval=1d", "interval=-1", "interval=1mm", "interval=99999h",
		                           "interval=18446744073709551615m", "heap_limit=1s", "heap_limit=1h" };
	for (size_t i = 0; i < NELEM(bad); i++) {
		options_defaults(&o);
		cr_expect_eq(options_parse(&o, bad[i], NULL), 1, "%s", bad[i]);
		cr_expect_eq(o.interval + o.heap_limit, 0);
	}
}

Test(options, addresses_are_hexadecimal_with_0x)
{
	struct options o;
	cr_expect_eq(parse(&o, "watch=0x280000001230"), 0);
	cr_expect_eq(o.watch, 0x280000001230);
	cr_expect_eq(parse(&o, "watch=280000001230"), 1);
	cr_expect_eq(o.watch, 0);
}

Test(options, texts_are_kept_whole_or_refused)
{
	struct options o;
	char text[400];
	cr_expect_eq(parse(&o, "log_path=/tmp/x%p.\xc3\xa4=b"), 0);
	cr_expect_str_eq(o.log_path, "/tmp/x%p.\xc3\xa4=b");
	strcpy(text, "log_path=");
	memset(text + 9, 'p', 255);
	text[9 + 255] = 0;
	cr_expect_eq(parse(&o, text), 0);
	cr_expect_eq(strlen(o.log_path), 255);
	strcat(text, "q");
	cr_expect_eq(parse(&o, text), 1);
	cr_expect_str_eq(o.log_path, "");
	cr_expect(strstr(complaints, "is too long: at most 255 bytes is meant: none is used"), "%s", complaints);
}

Test(options, items_are_separated_by_colon_comma_and_blank_and_the_last_wins)
{
	struct options o;
	cr_expect_eq(parse(&o, ":: mode=report,grace=3 grace=4:stats=1,verify:"), 0);
	cr_expect_eq(o.mode, MODE_REPORT);
	cr_expect_eq(o.grace, 4);
	cr_expect_eq(o.stats, 1);
	cr_expect_eq(o.verify, 1, "a switch needs no value");
}

Test(options, complaints_are_one_line_each_in_the_house_form)
{
	struct options o;
	cr_expect_eq(parse(&o, "stres=1:grace=abc:mode=reprot:mode=quarantine:zebrafish=2:cpu_limit=101:growth"), 7);
	cr_expect_str_eq(complaints,
		"option \"stres\" is unknown: nearest is \"stress\": ignored\n"
		"option grace=abc is not a number: 0..32 is meant: 1 is used\n"
		"option mode=reprot is not a choice: nearest is \"report\", collect|report|audit|off is meant: collect is used\n"
		"option mode=quarantine is not in this version: collect|report|audit|off is meant: collect is used\n"
		"option \"zebrafish\" is unknown: no option is near, help=1 lists them: ignored\n"
		"option cpu_limit=101 is out of range: 1..100 is meant: 10 is used\n"
		"option growth= has no value: 10..1000 is meant: 100 is used\n");
}

Test(options, a_bad_item_after_a_good_one_gives_the_default_that_the_line_names)
{
	struct options o;
	cr_expect_eq(parse(&o, "grace=5:grace=x"), 1);
	cr_expect_eq(o.grace, 1);
}

Test(options, a_bad_item_leaves_the_others_alone)
{
	struct options o;
	cr_expect_eq(parse(&o, "grace=5:nonsense=1:stats=1"), 1);
	cr_expect_eq(o.grace, 5);
	cr_expect_eq(o.stats, 1);
}

Test(options, control_bytes_never_reach_the_screen)
{
	struct options o;
	parse(&o, "grace=\033[31m:\001\002=1");
	for (const char *c = complaints; *c; c++)
		cr_expect(*c == '\n' || (unsigned char)*c >= ' ');
}

Test(options, any_garbage_is_survived)
{
	struct options o;
	char text[600];
	srand(7);
	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)rand() % (sizeof(text) - 1);
		for (size_t i = 0; i < n; i++)
			text[i] = (char)(rand() % 4 ? "modegracestats=:|,0x9km"[rand() % 23] : 1 + rand() % 255);
		text[n] = 0;
		options_defaults(&o);
		options_parse(&o, text, NULL);
		cr_assert_leq(o.mode, MODE_OFF);
		cr_assert_leq(o.grace, 32);
	}
}

Test(options, the_nearest_name_is_found_and_strangers_find_none)
{
	static const struct { const char *written, *meant; } cases[] = {
		{ "stres", "stress" }, { "stat", "stats" }, { "misuse", "on_misuse" }, { "growt", "growth" }, { "logpath", "log_path" },
		{ "heaplimit", "heap_limit" }, { "exit_code", "exitcode" }, { "mdoe", "mode" }, { "verfiy", "verify" },
	};
	for (size_t i = 0; i < NELEM(cases); i++) {
		const struct option_row *row = options_nearest(cases[i].written);
		cr_assert_not_null(row, "%s", cases[i].written);
		cr_expect_str_eq(row->name, cases[i].meant);
	}
	cr_expect_null(options_nearest("zebrafish"));
	cr_expect_null(options_nearest("a_name_that_is_far_longer_than_any_option_could_ever_be"));
}

static void print_help(void)
{
	options_print_help();
}

Test(options, help_names_every_option_once)
{
	char buf[16384];
	int status;
	heard(print_help, buf, sizeof(buf), &status);
	for (size_t i = 0; i < option_count; i++) {
		char start[64];
		snprintf(start, sizeof(start), "\n  %-10s ", option_table[i].name);
		const char *at = strstr(buf, start);
		cr_expect(at && !strstr(at + 1, start), "%s", option_table[i].name);
	}
}

/* -- fault -- */

Test(fault, nothing_fails_unless_asked)
{
	cr_expect_null(fault_parse(""));
	cr_expect_not(fault_armed);
	cr_expect_not(fault(FAULT_mmap));
}

Test(fault, windows_choose_the_visits_that_fail)
{
	cr_expect_null(fault_parse("mmap@3/madvise@2../ack"));
	cr_expect(fault_armed);
	bool mmap_expected[] = { false, false, true, false, false }, madvise_expected[] = { false, true, true, true, true };
	for (int i = 0; i < 5; i++) {
		cr_expect_eq(fault(FAULT_mmap), mmap_expected[i]);
		cr_expect_eq(fault(FAULT_madvise), madvise_expected[i]);
		cr_expect(fault(FAULT_ack));
		cr_expect_not(fault(FAULT_signal));
	}
}

Test(fault, every_point_can_be_named)
{
	static const char *const names[] = {
#define X(name) #name,
		FAULT_POINTS(X)
#undef X
	};
	for (int i = 0; i < FAULT_COUNT; i++) {
		cr_expect_null(fault_parse(names[i]));
		for (int j = 0; j < FAULT_COUNT; j++)
			cr_expect_eq(fault((enum fault_point)j), i == j);
	}
}

Test(fault, what_is_wrong_is_said_and_nothing_is_armed)
{
	static const char *const bad[] = { "mmapp", "mmap@", "mmap@0", "mmap@x", "mmap@3.", "mmap@3...", "mmap@99999999999999999999",
		                           "mmap/", "mmap/nosuch", "/mmap", "@3" };
	for (size_t i = 0; i < NELEM(bad); i++) {
		cr_expect_not_null(fault_parse(bad[i]), "%s", bad[i]);
		cr_expect_not(fault_armed);
		cr_expect_not(fault(FAULT_mmap));
	}
}

/* -- stats -- */

Test(stats, percentiles_of_nothing_are_zero)
{
	cr_expect_eq(stats_pause_percentile(99), 0);
}

Test(stats, a_percentile_is_at_most_a_quarter_above_the_true_one)
{
	for (uint64_t ns = 1; ns <= 1000; ns++)
		stats_pause(ns * 1000);
	for (unsigned p = 1; p <= 100; p++) {
		uint64_t truth = p * 10 * 1000, read = stats_pause_percentile(p);
		cr_expect_geq(read, truth);
		cr_expect_leq(read, truth + truth / 4, "p%u: %lu against %lu", p, read, truth);
	}
	cr_expect_eq(stats_pause_percentile(100), 1000000);
	cr_expect_eq(stats.pause_max_ns, 1000000);
	cr_expect_eq(stats.pause_total_ns, 500500 * 1000ul);
}

Test(stats, every_pause_falls_into_one_bucket_even_an_absurd_one)
{
	uint64_t pauses[] = { 0, 1, 2, 3, 4, 5, 7, 8, 1ul << 32, UINT64_MAX };
	for (size_t i = 0; i < NELEM(pauses); i++)
		stats_pause(pauses[i]);
	uint64_t total = 0;
	for (int b = 0; b < PAUSE_BUCKETS; b++)
		total += stats.pause_histogram[b];
	cr_expect_eq(total, NELEM(pauses));
	cr_expect_eq(stats_pause_percentile(100), UINT64_MAX);
	cr_expect_eq(stats_pause_percentile(1), 0);
}

Test(stats, every_abort_has_a_name)
{
	for (int i = 0; i < ABORT_REASONS; i++)
		cr_expect_gt(strlen(abort_names[i]), 3);
}

Test(locks, a_thread_knows_whether_it_holds_any)
{
	static struct lock low = LOCK_INIT(RANK_CACHES), high = LOCK_INIT(RANK_LEAF);
	cr_assert(!lock_any_held());
	lock_take(&low);
	cr_assert(lock_try(&high) && lock_any_held());
	cr_assert(!lock_try(&low), "it is held already");
	lock_drop(&low);
	cr_assert(lock_any_held());
	lock_drop(&high);
	cr_assert(!lock_any_held());
	lock_take(&high);
	lock_reset(&high);
	cr_assert(!lock_any_held());
}

/* -- pages for small maps to come -- */

static bool is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

Test(os, small_maps_are_cut_from_pages_that_were_asked_for)
{
	os_map_soon(5 * 4096);
	uint8_t *a = os_map(4096), *b = os_map(2 * 4096), *large = os_map(1 << 20), *c = os_map(2 * 4096), *d = os_map(4096);
	cr_assert(a && b && c && d && large);
	cr_assert_eq(b, a + 4096, "side by side");
	cr_assert_eq(c, b + 2 * 4096);
	cr_assert(is_zero(a, 4096) && is_zero(b, 2 * 4096) && is_zero(c, 2 * 4096) && is_zero(d, 4096), "the last is a mapping of its own, as five pages are used up");
	memset(b, 1, 2 * 4096);
	os_unmap(a, 4096);
	b = os_remap(b, 2 * 4096, 8 * 4096); /* each is a mapping like any other */
	cr_assert(b && b[4096] == 1 && is_zero(b + 2 * 4096, 6 * 4096));
	cr_assert(is_zero(c, 2 * 4096));
}

Test(os, what_nobody_took_of_such_pages_is_unmapped)
{
	uint8_t pages[4];
	os_map_soon(4 * 4096);
	uint8_t *a = os_map(4096);
	cr_assert(a && os_pages_mapped((uintptr_t)a, 4 * 4096));
	os_map_soon(0);
	cr_assert(os_pages_mapped((uintptr_t)a, 4096));
	cr_assert_lt(os_resident((uintptr_t)a + 4096, 3 * 4096, pages), 0, "not mapped any more");
	*a = 1;
}

Test(os, a_mapping_is_told_as_the_kernel_has_it)
{
	struct os_mapping m;
	int maps = os_open("/proc/self/maps", O_RDONLY, 0);
	uint8_t *a = os_map(8 * 4096);
	cr_assert(a && maps >= 0);
	const uintptr_t at = (uintptr_t)a;
	if (!os_mapping(maps, at, &m)) /* Linux before 6.11 */
		cr_skip_test();
	cr_assert(m.low <= at && m.high >= at + 8 * 4096 && m.readable && m.writable && !m.executable && !m.shared && !m.inode);
	cr_assert(os_guard(a + 4096, 4096));
	cr_assert(os_mapping(maps, at + 4096, &m));
	cr_assert(m.low == at + 4096 && m.high == at + 2 * 4096 && !m.readable && !m.writable);
	cr_assert(os_mapping(maps, at + 2 * 4096, &m) && m.low == at + 2 * 4096 && m.readable);
	cr_assert(os_mapping(maps, (uintptr_t)&os_mapping, &m) && m.readable && m.executable && !m.writable && m.inode);
	os_unmap(a, 8 * 4096);
	cr_assert_not(os_mapping(maps, at, &m), "not mapped");
	cr_assert_not(os_mapping(-1, at, &m));
	os_close(maps);
}

/* All characters of one, two and three bytes, and all bytes that are none. */
Test(printable, leaves_letters_and_no_control)
{
	char line[16], before[16];
	for (unsigned c = 1; c < 0x10000; c++) {
		const bool surrogate = c >= 0xd800 && c < 0xe000;
		if (c < 0x80)
			text_format(line, sizeof line, "a%cz", (int)c);
		else if (c < 0x800)
			text_format(line, sizeof line, "a%c%cz", (int)(0xc0 | c >> 6), (int)(0x80 | (c & 63)));
		else
			text_format(line, sizeof line, "a%c%c%cz", (int)(0xe0 | c >> 12), (int)(0x80 | (c >> 6 & 63)), (int)(0x80 | (c & 63)));
		const bool acts = c < ' ' || (c >= 0x7f && c < 0xa0) || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e)
		                  || (c >= 0x2066 && c <= 0x2069) || surrogate;
		memcpy(before, line, sizeof line);
		make_printable(line);
		if (acts == !strcmp(line, before) || line[0] != 'a' || line[strlen(line) - 1] != 'z')
			cr_assert_fail("U+%04x", c);
	}
	for (unsigned byte = 0x80; byte < 0x100; byte++) {
		text_format(line, sizeof line, "a%c", (int)byte);
		make_printable(line);
		cr_assert_str_eq(line, "a?");
	}
}
