/*
 * Veiled pages: the bytes stay what they are, whoever reads or writes them, system calls and forked children among them; each access
 * shows, and nothing shows without one. No other thread runs, as in a stop.
 */
#include "heap_watch.h"

#include "heap/veil.h"

#include <sys/resource.h>
#include <sys/wait.h>

static uint8_t *block;
enum { COUNT = 12, BYTES = COUNT * OS_PAGE };
static uint8_t copy[BYTES];
static uint8_t was_touched[COUNT];
static unsigned asked;

static bool stay;
static bool ask(uintptr_t page, bool touched)
{
	size_t i = (page - (uintptr_t)block) / OS_PAGE;
	asked++;
	was_touched[i] = touched;
	return stay;
}
/* Pages that were touched, as a number in binary, page 0 lowest. */
static unsigned touched(bool stays)
{
	unsigned bits = 0;
	stay = stays;
	asked = 0;
	memset(was_touched, 0, sizeof was_touched);
	veil_each(ask);
	for (unsigned i = 0; i < COUNT; i++)
		bits |= (unsigned)was_touched[i] << i;
	return bits;
}

static void begin(void)
{
	heap_begin();
	block = heap_malloc(400000);
	for (size_t i = 0; i < BYTES; i++)
		copy[i] = block[i] = (uint8_t)(i * 7 + i / 4096);
	veil_start();
	if (!veil_begin(COUNT))
		cr_skip_test("no veils here: seccomp, a limit on file sizes, or no pagemap");
	for (size_t i = 0; i < COUNT; i++)
		must(veil_page((uintptr_t)block + i * OS_PAGE), "page %zu is not veiled", i);
	cr_assert_not(veil_page((uintptr_t)block + COUNT * OS_PAGE), "more than the batch");
	veil_end();
}

TestSuite(veil, .init = begin, .timeout = 60);

Test(veil, nothing_shows_without_an_access)
{
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(touched(true), 0);
	cr_assert_eq(asked, COUNT);
	cr_assert_eq(touched(false), 0, "the last answer is as good");
	cr_assert_eq(asked, COUNT);
	cr_assert_eq(touched(true), 0);
	cr_assert_eq(asked, 0, "no veil is left");
	cr_assert_eq(memcmp(block, copy, BYTES), 0);
}

Test(veil, a_read_and_a_write_show_on_their_page_alone)
{
	volatile uint8_t *b = block;
	cr_assert_eq(b[3 * OS_PAGE + 5], copy[3 * OS_PAGE + 5]);
	b[6 * OS_PAGE] = copy[6 * OS_PAGE] = 99;
	cr_assert_eq(touched(true), 1u << 3 | 1u << 6);
	cr_assert_eq(touched(false), 1u << 3 | 1u << 6);
	cr_assert_eq(memcmp(block, copy, BYTES), 0, "lifting lost what was written");
}

Test(veil, system_calls_succeed_and_show)
{
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(write(ends[1], block + 2 * OS_PAGE, 100), 100);
	cr_assert_eq(read(ends[0], block + 9 * OS_PAGE + 50, 100), 100);
	memcpy(copy + 9 * OS_PAGE + 50, copy + 2 * OS_PAGE, 100);
	cr_assert_eq(touched(true), 1u << 2 | 1u << 9);
	cr_assert_eq(memcmp(block, copy, BYTES), 0);
}

Test(veil, a_forked_child_writes_its_own_copy)
{
	pid_t child = fork();
	if (child == 0) {
		bool same = !memcmp(block, copy, BYTES);
		memset(block, 1, BYTES);
		_exit(!same || touched(false) != (1u << COUNT) - 1);
	}
	int status;
	waitpid(child, &status, 0);
	cr_assert_eq(status, 0);
	cr_assert_eq(touched(true), 0, "the child's accesses show in the parent");
	cr_assert_eq(memcmp(block, copy, BYTES), 0);
}

Test(veil, what_is_excused_never_shows)
{
	veil_excuse((uintptr_t)block + 4 * OS_PAGE + 100, (uintptr_t)block + 6 * OS_PAGE + 1);
	memset(block + 3 * OS_PAGE, 0, 5 * OS_PAGE);
	memset(copy + 3 * OS_PAGE, 0, 5 * OS_PAGE);
	cr_assert_eq(touched(true), 1u << 3 | 1u << 7);
	cr_assert_eq(memcmp(block, copy, BYTES), 0);
}

Test(veil, freed_pages_read_as_zero_after_the_purge)
{
	uint8_t *p = block;
	heap_free(block);
	heap_purge(true);
	uint8_t *again = heap_calloc(1, 400000);
	cr_assert_eq(again, p, "another run of pages was taken");
	cr_assert(all_bytes(again, 400000, 0));
	touched(false);
	cr_assert(all_bytes(again, 400000, 0), "lifting a stale veil brought old contents back");
	no_complaints();
}

Test(veil, memory_that_gets_locked_proves_nothing)
{
	if (mlock(block, BYTES))
		cr_skip_test("mlock is refused");
	cr_assert_eq(touched(true), 0, "faulted in by mlock, not by the program");
	cr_assert_eq(memcmp(block, copy, BYTES), 0);
	munlock(block, BYTES);
}

Test(veil, none_with_a_limit_on_file_sizes)
{
	struct rlimit limit = { 1000, RLIM_INFINITY };
	touched(false);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_assert_not(veil_begin(1));
	veil_end();
}

Test(veil, a_failing_mmap_leaves_the_bytes_alone)
{
	touched(false);
	cr_assert_null(fault_parse("mmap@1.."));
	fault_armed = true;
	if (veil_begin(1))
		cr_assert_not(veil_page((uintptr_t)block));
	veil_end();
	fault_armed = false;
	cr_assert_eq(memcmp(block, copy, BYTES), 0);
}
