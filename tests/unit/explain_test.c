/* explain=1: what the line says of a block's past, with sites recorded. The handler itself is tests/integration/explain.sh's. */
#include "heap_watch.h"
#include "cycle/explain.h"
#include "heap/sites.h"
#include "roots/roots.h"
#include "base/stats.h"

#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>

static char log_text[4096];

static void begin(void)
{
	heap_begin();
	must(explain_start() && sites_start(0), "no memory");
	roots_start();
	roots_list_segments();
}
TestSuite(explain, .init = begin, .timeout = 60);

static const char *told_of(uintptr_t address, bool known, uintptr_t rdi, uintptr_t rax)
{
	ucontext_t context;
	memset(&context, 0, sizeof context);
	context.uc_mcontext.gregs[REG_RDI] = (greg_t)rdi;
	context.uc_mcontext.gregs[REG_RAX] = (greg_t)rax;
	char name[] = "/tmp/cgc-explain-XXXXXX";
	int fd = mkstemp(name);
	snprintf(options.log_path, sizeof options.log_path, "%s", name);
	explain_fault("SIGSEGV", address, known, &context);
	ssize_t n = read(fd, log_text, sizeof log_text - 1);
	log_text[n > 0 ? n : 0] = 0;
	close(fd);
	unlink(name);
	return log_text;
}

static const char *told(uintptr_t address, uintptr_t rdi) { return told_of(address, true, rdi, 0); }

/* As the verdict would: the note follows the change of the byte. */
static void recycle(void *p, enum explain_event event)
{
	struct dead_span d = { .span = span_of(p) };
	struct explain_block b = explain_block(&d, slot_of(p));
	heap_advance_stamp();
	must(heap_condemn(state_at(p)), "not condemned");
	explain_note(b, EXPLAIN_CONDEMNED);
	if (event == EXPLAIN_CONDEMNED)
		return;
	stats.cycles++;
	must(heap_recycle(span_of(p), slot_of(p), state_at(p), false), "not recycled");
	explain_note(b, event);
}

#define SAYS(text, part) cr_assert_not_null(strstr(text, part), "\"%s\" is not in: %s", part, log_text)

Test(explain, names_cycle_and_site_of_a_recycled_block)
{
	stats.cycles = 40;
	char *p = heap_aligned_from(16, 100, (void *)((uintptr_t)&recycle + 5));
	recycle(p, EXPLAIN_RECYCLED);
	told((uintptr_t)p + 30, 0);
	SAYS(log_text, "the address (");
	SAYS(log_text, "which was recycled in cycle 42 of 41, allocated at ");
	SAYS(log_text, "explain_test+0x");
}

Test(explain, a_register_tells_when_the_address_does_not)
{
	char *p = heap_malloc(100);
	recycle(p, EXPLAIN_CONDEMNED);
	told(8, (uintptr_t)p);
	SAYS(log_text, "SIGSEGV at 0x8: rdi (");
	SAYS(log_text, "was condemned in cycle 1");
}

Test(explain, a_recycled_large_block_is_known_by_its_pages)
{
	char *p = heap_malloc(300000);
	recycle(p, EXPLAIN_RECYCLED);
	told((uintptr_t)p + 150000, 0);
	SAYS(log_text, "pages without a block");
	SAYS(log_text, "was recycled");
}

Test(explain, what_is_free_or_alive_is_not_called_recycled)
{
	char *p = heap_malloc(100), *q = heap_malloc(100);
	told((uintptr_t)p, (uintptr_t)q);
	SAYS(log_text, "neither the address nor a register");
	heap_free(p);
	told((uintptr_t)p, (uintptr_t)q);
	SAYS(log_text, "is free: the program used it after its free");
	told_of(0, false, 0xDBDBDBDBDBDBDBDBul, 0);
	SAYS(log_text, "rdi holds the pattern of freed memory");
}

Test(explain, the_address_wins_over_registers_and_recycled_over_free)
{
	char *p = heap_malloc(100), *q = heap_malloc(100);
	recycle(p, EXPLAIN_RECYCLED);
	heap_free(q);
	told((uintptr_t)q, (uintptr_t)p);
	SAYS(log_text, "rdi (");
	SAYS(log_text, "was recycled");
}

#define NOBODY "neither the address nor a register"

Test(explain, a_free_block_in_a_register_is_not_blamed_for_a_null_pointer)
{
	for (size_t size = 16; size <= 4096; size *= 2) {
		char *p = heap_malloc(size);
		memset(p, 0, size);
		heap_free(p);
		for (uintptr_t field = 0; field < 4096; field += 8) {
			told(field, (uintptr_t)p);
			SAYS(log_text, NOBODY);
		}
	}
	told(0, 0xDBDBDBDBDBDBDBDBul);
	SAYS(log_text, NOBODY);
	told_of(0, false, (uintptr_t)heap_malloc(100), 0x5a5a5a5a5a5a5a5aul);
	SAYS(log_text, NOBODY);
}

Test(explain, nor_is_a_recycled_one_that_has_a_new_owner)
{
	char *p = heap_malloc(100);
	const uint8_t in_use = load_relaxed(state_at(p));
	recycle(p, EXPLAIN_RECYCLED);
	store_relaxed(state_at(p), in_use);
	memset(p, 0, 100);
	told(24, (uintptr_t)p);
	SAYS(log_text, NOBODY);
	*(uintptr_t *)(p + 40) = 0x7000dead0000ul;
	told(0x7000dead0018ul, (uintptr_t)p);
	SAYS(log_text, "was recycled");
	SAYS(log_text, "and handed out again since");
}

Test(explain, a_free_block_is_blamed_for_what_was_read_from_it)
{
	uintptr_t *p = heap_malloc(100);
	p[5] = 0x7000dead0000ul;
	p[6] = 0x5a5a5a5a5a5a5a5aul;
	heap_free(p);
	for (uintptr_t field = 0; field < 4096; field += 512) {
		told(0x7000dead0000ul + field, (uintptr_t)p);
		SAYS(log_text, "is free: the program used it after its free");
	}
	told_of(0, false, (uintptr_t)p, 0x5a5a5a5a5a5a5a5aul);
	SAYS(log_text, "is free: the program used it after its free");
	told_of(0, false, (uintptr_t)p, 0x5b5a5a5a5a5a5a5aul);
	SAYS(log_text, NOBODY);
	told(0x7000beef0000ul, (uintptr_t)p);
	SAYS(log_text, NOBODY);
}
