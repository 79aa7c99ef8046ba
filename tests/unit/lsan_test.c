/* LeakSanitizer's interface: what LSAN_OPTIONS says, the program's own options, declared regions, blocks that are ignored. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>

#include "api/lsan.h"
#include "cgc.h"
#include "base/options.h"
#include "heap/heap.h"
#include "heap/ignored.h"
#include "os/os.h"
#include "roots/inside.h"
#include "roots/roots.h"

void __lsan_disable(void);
void __lsan_enable(void);
void __lsan_ignore_object(const void *p);
void __lsan_register_root_region(const void *p, size_t size);
void __lsan_unregister_root_region(const void *p, size_t size);
int __lsan_do_recoverable_leak_check(void);

/* Those of the program, found by the library's weak references. */
const char *__lsan_default_options(void);
const char *__lsan_default_options(void) { return "exitcode=7 use_tls=0"; }

static struct options parsed(const char *text)
{
	struct options o;
	options_defaults(&o);
	options_parse_lsan(&o, text);
	return o;
}

/* ---- options ---- */

Test(lsan_options, known_ones_are_taken_over)
{
	struct options o = parsed("exitcode=23:max_leaks=4:suppressions=\"/etc/a:b\":print_suppressions=1:use_globals=0:use_stacks=no:use_registers=false:use_tls=0:use_unaligned=1");
	cr_assert_eq(o.exitcode, 23);
	cr_assert_eq(o.lsan.max_leaks, 4);
	cr_assert_eq(o.print_suppressions, 1);
	cr_assert_str_eq(o.suppressions, "/etc/a:b");
	cr_assert(o.lsan.no_globals && o.lsan.no_stacks && o.lsan.no_registers && o.lsan.no_tls);
	cr_assert_eq(o.align, 1);
}

Test(lsan_options, a_log_gets_the_process_number_at_its_end)
{
	cr_assert_str_eq(parsed("log_path=/tmp/leaks").log_path, "/tmp/leaks.%p");
	cr_assert_str_eq(parsed("log_path='/tmp/a:b'").log_path, "/tmp/a:b.%p");
	cr_assert_str_eq(parsed("log_path=/tmp/x:log_path=stderr").log_path, "");
}

Test(lsan_options, switches_that_are_as_by_default_change_nothing)
{
	struct options plain, o = parsed("detect_leaks=1:leak_check_at_exit=true:use_globals=1:use_tls=yes");
	options_defaults(&plain);
	cr_assert_eq(memcmp(&o, &plain, sizeof o), 0);
}

Test(lsan_options, unknown_and_bad_ones_change_nothing)
{
	static const char *const texts[] = { "", ":", "=", "==", "exitcode", "exitcode=", "exitcode=x", "exitcode=99999999999999999999", "use_tls=2", "symbolize=1",
		"external_symbolizer_path=/usr/bin/x:y", "log_path", "exitcode='", "'", "\"=\"", "malloc_context_size=30 verbosity=1" };
	struct options plain;
	options_defaults(&plain);
	for (size_t i = 0; i < NELEM(texts); i++) {
		struct options o = parsed(texts[i]);
		cr_assert_eq(memcmp(&o, &plain, sizeof o), 0, "%s", texts[i]);
	}
	char long_path[600] = "log_path=";
	memset(long_path + 9, 'a', 580);
	struct options o = parsed(long_path);
	cr_assert_eq(memcmp(&o, &plain, sizeof o), 0);
}

Test(lsan_options, the_environment_wins_over_the_program)
{
	struct options o;
	options_defaults(&o);
	lsan_read_options(&o, NULL);
	cr_assert_eq(o.exitcode, 7);
	lsan_read_options(&o, "exitcode=8");
	cr_assert_eq(o.exitcode, 8);
	cr_assert_eq(o.lsan.no_tls, 1);
}

Test(lsan_options, without_mode_report_nothing_is_checked)
{
	options_defaults(&options);
	cr_assert_not(__lsan_do_recoverable_leak_check());
	cr_assert_not(lsan_reports_at_exit());
	options.mode = MODE_REPORT;
	cr_assert(lsan_reports_at_exit());
	options.lsan.not_at_exit = 1;
	cr_assert_not(lsan_reports_at_exit());
	options.lsan.not_at_exit = 0;
	options.lsan.off = 1;
	cr_assert_not(lsan_reports_at_exit());
}

/* ---- regions ---- */

static struct range seen[16];
static size_t seen_count;

static bool note(const struct mapping *m, uintptr_t low, uintptr_t high)
{
	seen[seen_count++ % 16] = (struct range){ low, high };
	return m != NULL;
}

static void look(void)
{
	static struct maps maps;
	seen_count = 0;
	cr_assert(maps_read(&maps, "maps"));
	cr_assert(declared_each(&maps, note));
}

Test(lsan_regions, what_is_mapped_of_a_region_is_seen_and_the_hole_is_not)
{
	cgc_add_root(seen, 8); /* our own tables are mapped before there is a hole */
	look();
	cr_assert(cgc_remove_root(seen, 8));
	char *m = mmap(NULL, 3 * OS_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq((void *)m, MAP_FAILED);
	munmap(m + OS_PAGE, OS_PAGE);
	cgc_add_root(m + 3, 3 * OS_PAGE - 6);
	look();
	cr_assert_eq(seen_count, 2);
	cr_assert(seen[0].low == (uintptr_t)m + 8 && seen[0].high == (uintptr_t)m + OS_PAGE);
	cr_assert(seen[1].low == (uintptr_t)m + 2 * OS_PAGE && seen[1].high == (uintptr_t)m + 3 * OS_PAGE - 8);
	cr_assert(cgc_remove_root(m + 3, 3 * OS_PAGE - 6));
	look();
	cr_assert_eq(seen_count, 0);
}

Test(lsan_regions, each_declaration_is_to_be_taken_back)
{
	static uintptr_t words[8];
	__lsan_register_root_region(words, sizeof words);
	__lsan_register_root_region(words, sizeof words);
	__lsan_register_root_region(words, 8);
	__lsan_unregister_root_region(words, sizeof words);
	look();
	cr_assert_eq(seen_count, 2);
	cr_assert_not(cgc_remove_root(words + 1, sizeof words - 8));
	cr_assert(cgc_remove_root(words, 8));
	cr_assert(cgc_remove_root(words, sizeof words));
	cr_assert_not(cgc_remove_root(words, sizeof words));
}

Test(lsan_regions, the_table_grows)
{
	enum { MANY = 5000 };
	static uintptr_t words[MANY];
	for (int i = 0; i < MANY; i++)
		cgc_add_root(&words[i], 8);
	look();
	cr_assert_eq(seen_count, MANY);
	for (int i = 0; i < MANY; i++)
		cr_assert(cgc_remove_root(&words[i], 8));
	cr_assert_not(tables_full());
}

/* ---- blocks that are no leaks ---- */

static uintptr_t given[16];
static size_t given_count;
static void give(uintptr_t word) { given[given_count++ % 16] = word; }

static size_t ignored(void)
{
	given_count = 0;
	return ignored_each(give);
}

Test(lsan_ignored, nothing_recorded_is_nothing_ignored)
{
	void *p = heap_malloc(64);
	cr_assert_not(ignored_add((uintptr_t)p));
	cr_assert_not(ignored_add(0));
	cr_assert_not(ignored_add((uintptr_t)&p));
	cr_assert_eq(ignored(), 0);
	heap_free(p);
}

Test(lsan_ignored, large_blocks_count_until_they_are_freed)
{
	char *p = heap_malloc(1 << 20);
	cr_assert(ignored_add((uintptr_t)p + 70000));
	cr_assert_eq(ignored(), 1);
	cr_assert_eq(given[0], (uintptr_t)p);
	heap_free(p);
	cr_assert_eq(ignored(), 0);
}

Test(lsan_ignored, enable_without_disable_does_not_count)
{
	options_defaults(&options);
	__lsan_enable();
	cr_assert_eq(ignored_mark(5), 5);
	__lsan_disable();
	__lsan_disable();
	__lsan_enable();
	cr_assert_eq(ignored_mark(5), 5 | IGNORED_BIT);
	__lsan_enable();
	cr_assert_eq(ignored_mark(5), 5);
}
