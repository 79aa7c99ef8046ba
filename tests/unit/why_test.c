/* What is said of an address: the way from a root to its block, word by word, or why there is none. */
#include "report_kit.h"
#include "report/variable.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>

TestSuite(why, .init = report_begin, .timeout = 120);

enum { LINES = 64 };
static struct {
	char line[LINES][640];
	unsigned count;
	bool held;
} said;

static void take_line(void *arg, const char *line)
{
	if (said.count < LINES)
		snprintf(said.line[said.count++], sizeof said.line[0], "%s", line);
}

static NOINLINE void ask(hidden h, size_t into)
{
	scrub();
	said.count = 0;
	said.held = report_why(shown(h) + into, take_line, NULL);
}

/* Line i holds these words, in this order. */
static void says(unsigned i, const char *a, const char *b)
{
	const char *at = i < said.count ? strstr(said.line[i], a) : NULL;
	must(at && strstr(at + strlen(a), b), "line %u of %u is not \"..%s..%s..\" but: %s", i, said.count, a, b, i < said.count ? said.line[i] : "none");
}
static const char *hex(hidden h)
{
	static char text[4][32];
	static unsigned turn;
	snprintf(text[turn %= 4], sizeof text[0], "0x%lx", shown(h));
	return text[turn++];
}

static void make_chain(hidden *h, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		h[i] = block_of(64, 1 + i);
	for (unsigned i = 0; i + 1 < n; i++)
		put(h[i], 8 * i, h[i + 1], 0);
}

static void do_nothing(int status, void *unused) {}
static NOINLINE void keep_in_libc(hidden h) { cr_assert_eq(on_exit(do_nothing, (void *)shown(h)), 0); }

Test(why, the_way_from_a_variable_is_told_with_field_offsets)
{
	hidden h[4];
	make_chain(h, 4);
	hold(0, h[0], 0); /* a variable is told rather than nameless memory */
	keep_in_libc(h[0]);
	ask(h[3], 5);
	cr_assert(said.held);
	cr_assert_eq(said.count, 5);
	says(0, "data of ", "libc");
	says(1, ".+0 of ", hex(h[0]));
	says(2, ".+8 of ", hex(h[1]));
	says(3, ".+16 of ", hex(h[2]));
	char block[64];
	snprintf(block, sizeof block, "(%lu bytes, allocated at 0x1004) is reachable", bytes_of(h[3]));
	says(4, hex(h[3]), block);
}

Test(why, the_shortest_way_is_told)
{
	hidden h[6];
	make_chain(h, 6);
	hold(0, h[0], 0);
	put(h[1], 56, h[5], 0);
	ask(h[5], 0);
	cr_assert_eq(said.count, 4);
	says(0, "0x", "of anonymous memory");
	says(2, ".+56 of", hex(h[1]));
}

Test(why, of_a_long_way_both_ends_are_told)
{
	enum { N = 100000 };
	hidden head = block_of(32, 1), last = head;
	for (int i = 1; i < N; i++) {
		hidden next = block_of(32, 2);
		put(last, 16, next, 0);
		last = next;
	}
	hold(0, head, 0);
	ask(last, 0);
	cr_assert(said.held);
	cr_assert_eq(said.count, 1 + 40 + 1);
	says(1, ".+16 of ", hex(head));
	says(21, "99960 more blocks", "");
	says(41, hex(last), "is reachable");
}

Test(why, a_block_in_the_middle_of_a_large_one_has_its_offset)
{
	hidden big = block_of(1 << 20, 1), small = block_of(24, 2);
	hold(0, big, 0);
	put(big, (1 << 20) - 8, small, 0);
	ask(small, 0);
	says(1, ".+1048568 of ", hex(big));
}

/* ---- threads ---- */

static hidden thread_block;
static volatile int thread_ready, thread_end, thread_tid;

static void *hold_on_stack(void *unused)
{
	volatile uintptr_t frame[32] = { 0 };
	pthread_attr_t attr;
	void *low;
	size_t size;
	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstack(&attr, &low, &size);
	pthread_attr_destroy(&attr);
	threads_stack_known((uintptr_t)low, (uintptr_t)low + size);
	frame[16] = shown(thread_block);
	thread_tid = os_tid();
	thread_ready = 1;
	while (!thread_end)
		os_yield();
	return (void *)frame[16];
}

static void *hold_in_register(void *unused)
{
	register uintptr_t p __asm__("r13") = shown(thread_block);
	thread_tid = os_tid();
	thread_ready = 1;
	while (!thread_end)
		__asm__ volatile("" : "+r"(p));
	return NULL;
}

static void ask_beside(void *(*holder)(void *))
{
	pthread_t t;
	thread_block = block_of(64, 1);
	cr_assert_eq(pthread_create(&t, NULL, holder, NULL), 0);
	while (!thread_ready)
		os_yield();
	ask(thread_block, 0);
	thread_end = 1;
	pthread_join(t, NULL);
}

Test(why, a_stack_is_named_by_its_thread)
{
	char name[64];
	ask_beside(hold_on_stack);
	snprintf(name, sizeof name, "thread %d (", thread_tid);
	cr_assert(said.held);
	says(0, "stack of ", name);
	says(0, " bytes above its stack pointer", "");
	says(1, hex(thread_block), "is reachable");
}

Test(why, a_register_is_named)
{
	char name[64];
	ask_beside(hold_in_register);
	snprintf(name, sizeof name, "of thread %d (", thread_tid);
	cr_assert(said.held);
	says(0, "register r13 ", name);
}

static NOINLINE void ask_for_mine(hidden h)
{
	volatile uintptr_t mine = shown(h);
	ask(h, 0);
	must(mine == shown(h), "it is still there");
}
Test(why, frames_of_the_asking_thread_hold_what_they_hold_but_the_question_itself)
{
	hidden h = block_of(64, 1);
	ask_for_mine(h);
	cr_assert(said.held);
	says(0, "stack of thread", "bytes above its stack pointer");
	scrub();
	ask(h, 0);
	cr_assert_not(said.held);
	says(0, hex(h), "is lost, a definite leak");
}

Test(why, a_word_in_an_epoll_set_is_named)
{
	hidden h = block_of(64, 1);
	roots_epoll(900, 1, 901, shown(h));
	ask(h, 0);
	cr_assert(said.held);
	says(0, "epoll", "");
}

/* ---- asked by a handler of ours, on top of the program ---- */

static hidden asked;
static NOINLINE void ask_again(int deeper)
{
	volatile uintptr_t words[64];
	for (unsigned i = 0; i < NELEM(words); i++)
		words[i] = shown(asked); /* the question's own */
	if (deeper)
		ask_again(deeper - 1);
	else
		ask(asked, 0);
	must(words[0], "read");
}
static void on_signal(int sig, siginfo_t *info, void *context) { ask_again(3); }

static NOINLINE void hold_and_raise(hidden h)
{
	volatile uintptr_t mine = shown(h);
	raise(SIGUSR1);
	must(mine == shown(h), "it is still there");
}
static NOINLINE void hold_in_register_and_raise(hidden h)
{
	register uintptr_t p __asm__("r14") = shown(h);
	__asm__ volatile("" : "+r"(p));
	syscall(SYS_tgkill, getpid(), os_tid(), SIGUSR1);
	__asm__ volatile("" : "+r"(p));
}

static void ask_in_handlers(bool bounds_known)
{
	struct kernel_action old;
	asked = block_of(64, 1);
	cr_assert(threads_handler(SIGUSR1, on_signal, &old));
	scrub();
	hold_and_raise(asked);
	cr_assert(said.held, "%s", said.line[0]);
	if (bounds_known)
		says(0, "stack of thread", "");
	scrub();
	hold_in_register_and_raise(asked);
	cr_assert(said.held, "the signal frame holds the program's registers");
	scrub();
	raise(SIGUSR1);
	must(!said.held, "held by %s", said.line[0]);
	says(0, hex(asked), "is lost, a definite leak");
}

Test(why, a_handler_sees_what_the_interrupted_code_holds_and_not_its_own_question) { ask_in_handlers(true); }

Test(why, on_an_alternate_stack_too)
{
	stack_t alternate = { .ss_size = 256 << 10 };
	alternate.ss_sp = mmap(NULL, alternate.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_eq(sigaltstack(&alternate, NULL), 0);
	ask_in_handlers(false);
}

/* ---- what is not held ---- */

Test(why, of_lost_blocks_the_rule_is_told)
{
	hidden alone = block_of(64, 1), child = block_of(64, 2), ring = block_of(64, 3), inner = block_of(100, 4), below = block_of(64, 5);
	hidden pair[2] = { block_of(64, 6), block_of(64, 7) };
	put(pair[0], 0, pair[1], 0);
	put(pair[1], 0, pair[0], 0);
	put(alone, 8, child, 0);
	put(ring, 0, ring, 0);
	hold(0, inner, 40);
	put(inner, 8, below, 0);
	ask(child, 0);
	must(!said.held && said.count == 1, "it is held by %s", said.line[0]);
	says(0, hex(child), "is lost, an indirect leak: it hangs off ");
	says(0, "hangs off ", hex(alone));
	ask(ring, 0);
	says(0, hex(ring), "is lost, a definite leak: nothing points to it");
	ask(pair[0], 0);
	says(0, hex(pair[0]), "is lost, ");
	ask(pair[1], 0);
	says(0, hex(pair[1]), "is lost, ");
	ask(inner, 3);
	cr_assert(said.held);
	says(1, hex(inner), "is possibly lost: only pointers into its middle");
	ask(below, 0);
	says(1, ".+8 of ", hex(inner));
	says(2, hex(below), "is possibly lost, as is what it hangs off: ");
}

Test(why, of_other_addresses_it_is_told_what_is_there)
{
	hidden h[40], large = block_of(1 << 20, 2);
	for (unsigned i = 0; i < NELEM(h); i++)
		h[i] = block_of(64, 1);
	heap_free((void *)shown(h[3]));
	ask(h[3], 0);
	cr_assert_not(said.held);
	says(0, "lies in a free slot", "");
	heap_free((void *)shown(large));
	ask(large, 0);
	cr_assert_not(said.held);
	says(0, "lies in free memory of the heap", "");
	ask(~(uintptr_t)globals, 0);
	cr_assert_not(said.held);
	says(0, "is no address of the heap: ", "anonymous memory");
	ask(~(uintptr_t)8, 0);
	says(0, "is no address of the heap: ", "no longer mapped");
}

Test(why, without_memory_the_kind_is_told_all_the_same)
{
	hidden h = block_of(64, 1);
	hold(0, h, 0);
	cr_assert_null(fault_parse("mmap@9.."));
	ask(h, 0);
	cr_assert_null(fault_parse(""));
	if (said.held) {
		says(0, hex(h), "is reachable");
		says(1, "could not be looked for", "");
	} else {
		cr_assert(said.count == 1, "one line says what is missing");
	}
}

/* ---- names of variables ---- */

static struct { uintptr_t first, second; } some_variable = { 1, 2 };

Test(why, a_variable_is_named_by_its_file)
{
	const char *module;
	uintptr_t offset;
	struct variable v;
	__asm__ volatile("" : : "r"(&some_variable) : "memory");
	cr_assert(roots_module_of((uintptr_t)&some_variable.second, &module, &offset));
	variable_find(module, offset, &v);
	cr_assert_str_eq(v.name, "some_variable");
	cr_assert_eq(v.offset, 8);
	cr_assert_str_eq(v.section, ".data");
}

static void damaged(const uint8_t *bytes, size_t n)
{
	struct variable v;
	char path[64];
	int fd = memfd_create("damaged", 0);
	must(fd >= 0 && write(fd, bytes, n) == (ssize_t)n, "no file");
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	for (uint64_t value = 0; value < 0x60000; value += 0x5432)
		variable_find(path, value, &v);
	must(memchr(v.name, 0, sizeof v.name) && memchr(v.section, 0, sizeof v.section), "a name has no end");
	close(fd);
}

Test(why, files_that_are_damaged_have_no_names_and_do_no_harm)
{
	struct variable v;
	uint64_t seed = 20241117;
	static uint8_t file[4 << 20];
	int fd = open("/proc/self/exe", O_RDONLY);
	long n = read(fd, file, sizeof file);
	cr_assert(n > 1000);
	close(fd);
	variable_find("/nowhere", 5, &v);
	cr_assert(!v.name[0] && !v.section[0]);
	variable_find("/dev/null", 5, &v);
	cr_assert(!v.name[0]);
	uint64_t sections = *(uint64_t *)(void *)(file + 40);
	for (int round = 0; round < 60; round++) {
		for (int i = 0; i < 6; i++) {
			uint64_t at = i % 2 ? noise(&seed) % 64 : sections + noise(&seed) % ((uint64_t)n - sections);
			file[at] = (uint8_t)noise(&seed);
		}
		memcpy(file, "\x7f" "ELF\2", 5);
		damaged(file, round % 3 ? (size_t)n : noise(&seed) % (size_t)n);
	}
}
