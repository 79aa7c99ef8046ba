/*
 * Words in flight: the look finds every word and reads nothing outside its buffer; the table keeps each until it was dropped as often
 * as it was noted, or its time is over, whatever threads and handlers do meanwhile.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap/heap.h"
#include "roots/flight.h"
#include "roots/inside.h"

enum { NOW = 1000, LIFE = 100, PIPE = 77, OTHER_PIPE = 78, MANY = 1 << 20 };

static uint8_t given[MANY]; /* by (word - base) / 16 */
static size_t given_total, given_foreign;

static void give(uintptr_t word)
{
	given_total++;
	if ((word - arena.base) / 16 < MANY)
		given[(word - arena.base) / 16]++;
	else
		given_foreign++;
}

static size_t each(uint32_t now)
{
	memset(given, 0, sizeof given);
	given_total = given_foreign = 0;
	return flight_each(give, now);
}
static uintptr_t word(size_t i) { return arena.base + 16 * i; }
static bool holds(size_t i, uint32_t now) { return each(now), given[i] > 0; }

static void begin(void)
{
	heap_start();
	cr_assert_not_null(heap_malloc(100)); /* the window exists */
	flight.life = LIFE;
}
TestSuite(flight, .init = begin, .timeout = 120);

/* -- the look -- */

Test(flight, the_look_finds_a_word_at_every_byte_and_reads_nothing_else)
{
	enum { ROOM = 4096, MOST = 300 };
	uint8_t *pages = mmap(NULL, 3 * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *page = pages + ROOM;
	cr_assert(pages != MAP_FAILED && !mprotect(pages, ROOM, PROT_NONE) && !mprotect(page + ROOM, ROOM, PROT_NONE));
	const uint8_t fills[] = { 0, 0xff, 0x20, (uint8_t)(arena.base >> 40) };
	unsigned wrong = 0;
	for (size_t n = 0; n < MOST; n += n < 90 ? 1 : 13)
		for (unsigned f = 0; f < sizeof fills; f++)
			for (unsigned side = 0; side < 2; side++) {
				uint8_t *buf = side ? page : page + ROOM - n;
				uintptr_t w = word(3) + 5, got = 0;
				memset(buf, fills[f], n);
				wrong += flight_next(buf, n, 0, &got) != n;
				for (size_t at = 0; at + 8 <= n; at++) {
					memset(buf, fills[f], n);
					memcpy(buf + at, &w, 8);
					wrong += flight_next(buf, n, 0, &got) != at || got != w;
					wrong += flight_next(buf, n, at, &got) != at;
					wrong += flight_next(buf, n, at + 1, &got) != n;
				}
			}
	cr_assert_eq(wrong, 0, "%u answers are wrong", wrong);
}

Test(flight, the_look_finds_one_word_after_the_other)
{
	uintptr_t buf[64], got;
	size_t at = 0, found = 0;
	for (size_t i = 0; i < 64; i++)
		buf[i] = i % 3 ? ~0ull : word(i);
	for (; (at = flight_next(buf, sizeof buf, at, &got)) < sizeof buf; at++, found++)
		cr_assert(at % 24 == 0 && got == word(at / 8));
	cr_assert_eq(found, 22);
}

Test(flight, the_windows_ends_count_and_nothing_beyond)
{
	uintptr_t got, edge[4] = { arena.base, arena.base + arena.limit, arena.base - 1, arena.base + arena.limit + 1 };
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(flight_next(&edge[i], 8, 0, &got), i < 2 ? 0u : 8u, "edge %u", i);
}

/* -- the table -- */

Test(flight, a_word_is_held_until_it_is_dropped_as_often_as_noted)
{
	flight_note(word(1), PIPE, NOW);
	flight_note(word(1), PIPE, NOW);
	flight_note(word(2), PIPE, NOW);
	flight_drop(word(1), PIPE);
	cr_assert(holds(1, NOW) && given[2]);
	flight_drop(word(1), PIPE);
	cr_assert(!holds(1, NOW) && given[2]);
	flight_drop(word(1), PIPE); /* read once more: nothing special, and no debt */
	flight_note(word(1), PIPE, NOW);
	cr_assert(holds(1, NOW));
}

Test(flight, only_the_channel_that_a_word_went_into_gives_it_back)
{
	flight_note(word(1), PIPE, NOW);
	flight_note(word(2), FLIGHT_SOCKETS, NOW);
	flight_note(word(3), FLIGHT_KEPT, NOW);
	for (size_t i = 1; i <= 3; i++)
		flight_drop(word(i), OTHER_PIPE), flight_drop(word(i), FLIGHT_KEPT);
	flight_drop(word(1), FLIGHT_SOCKETS);
	flight_drop(word(2), PIPE);
	cr_assert(each(NOW) == 3 && given[1] && given[2] && given[3]);
	flight_drop(word(2), FLIGHT_SOCKETS);
	cr_assert_eq(each(NOW), 2);
}

Test(flight, one_past_the_end_and_the_first_byte_come_back_as_they_went)
{
	flight_note(arena.base, PIPE, NOW);
	flight_note(arena.base + arena.limit, PIPE, NOW);
	cr_assert(each(NOW) == 2 && given[0] == 1);
	flight_drop(arena.base + arena.limit, PIPE);
	flight_drop(arena.base, PIPE);
	cr_assert_eq(each(NOW), 0);
}

Test(flight, a_word_lives_for_its_time_and_a_later_note_begins_anew)
{
	flight_note(word(1), PIPE, NOW);
	flight_note(word(2), PIPE, NOW);
	flight_note(word(2), PIPE, NOW + 50);
	flight_note(word(2), PIPE, NOW + 10); /* told late: time does not run backwards */
	cr_assert(holds(1, NOW + LIFE) && given[2]);
	cr_assert(!holds(1, NOW + LIFE + 1) && given[2]);
	cr_assert(holds(2, NOW + LIFE + 50));
	cr_assert(!holds(2, NOW + LIFE + 51));
	cr_assert(!flight.any, "nothing is left");
	flight_note(word(1), PIPE, NOW + 200);
	cr_assert(holds(1, NOW + 200) && flight.any);
}

Test(flight, behind_tee_reading_ends_nothing)
{
	flight_note(word(1), PIPE, NOW);
	flight_duplicated();
	flight_drop(word(1), PIPE);
	cr_assert(holds(1, NOW));
	cr_assert(!holds(1, NOW + LIFE + 1));
}

Test(flight, a_hundred_thousand_words_have_room)
{
	enum { WORDS = 100000 };
	for (size_t i = 0; i < WORDS; i++)
		flight_note(word(i), PIPE, NOW);
	cr_assert(!flight_full(flight_now()));
	cr_assert_eq(each(NOW), WORDS);
	for (size_t i = 0; i < WORDS; i++)
		cr_assert_eq(given[i], 1);
	for (size_t i = 0; i < WORDS; i += 2)
		flight_drop(word(i), PIPE);
	cr_assert_eq(each(NOW), WORDS / 2);
	for (size_t i = 0; i < WORDS; i++)
		cr_assert_eq(given[i], i % 2);
}

Test(flight, passing_many_words_one_by_one_needs_no_room)
{
	for (size_t i = 0; i < MANY; i++) {
		flight_note(word(i), PIPE, NOW);
		flight_drop(word(i), PIPE);
	}
	cr_assert_eq(each(NOW), 0);
	cr_assert(!flight_full(flight_now()));
}

Test(flight, a_full_table_says_so_until_what_it_could_not_hold_is_over)
{
	uint32_t now = flight_now();
	for (size_t i = 0; i < MANY; i++)
		flight_note(word(i), PIPE, now);
	cr_assert(flight_full(flight_now()));
	cr_assert(flight_full(now + LIFE));
	size_t held = each(now + LIFE);
	cr_assert_gt(held, 200000);
	cr_assert(!flight_full(flight_now() + LIFE + 1));
	cr_assert_eq(each(flight_now() + LIFE + 1), 0);
	flight_note(word(5), PIPE, NOW);
	cr_assert(holds(5, NOW), "and has room again");
}

/* -- threads and handlers -- */

enum { THREADS = 4, OWN = 400, STEPS = 150000 };
static uint8_t outstanding[THREADS][OWN];

/* Each thread has words of its own, on windows that all share, and fights with the others for word 0. */
static void *juggle(void *arg)
{
	size_t t = (size_t)arg;
	uint64_t n = t * 7919 + 1;
	for (unsigned s = 0; s < STEPS; s++) {
		n = n * 6364136223846793005u + 1442695040888963407u;
		size_t i = (n >> 33) % OWN;
		uintptr_t w = word(1 + i * THREADS + t);
		if (outstanding[t][i] && (n >> 60)) {
			flight_drop(w, PIPE);
			outstanding[t][i]--;
		} else {
			flight_note(w, PIPE, NOW);
			outstanding[t][i]++;
		}
		flight_note(word(0), PIPE, NOW);
		flight_drop(word(0), PIPE);
	}
	return NULL;
}

static unsigned mistakes(void)
{
	unsigned wrong = 0;
	each(NOW);
	for (size_t t = 0; t < THREADS; t++)
		for (size_t i = 0; i < OWN; i++)
			wrong += !!given[1 + i * THREADS + t] != !!outstanding[t][i];
	return wrong;
}

Test(flight, threads_lose_no_word_and_keep_none)
{
	pthread_t t[THREADS];
	for (size_t i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, juggle, (void *)i);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	cr_assert_eq(mistakes(), 0);
	cr_assert_eq(given[0], 0);
}

static sigjmp_buf out;
static volatile sig_atomic_t armed, handled;
static void on_alarm(int signal_number)
{
	unsigned n = (unsigned)handled++;
	flight_note(word(5000 + n % 64), PIPE, NOW); /* the windows that may be half changed */
	flight_drop(word(5000 + n % 64), PIPE);
	flight_note(word(6000 + n % 64), PIPE, NOW);
	if (armed && n % 4 == 0)
		siglongjmp(out, 1);
}

Test(flight, handlers_note_on_top_of_a_note_and_leave_by_longjmp)
{
	struct sigaction act = { .sa_handler = on_alarm, .sa_flags = SA_NODEFER };
	struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { { 0, 0 }, { 0, 0 } };
	volatile unsigned wrong = 0, round = 0;
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	while (round < 200 || handled < 300) {
		round++;
		if (sigsetjmp(out, 1) == 0) {
			armed = 1;
			for (size_t i = 0; i < 3000; i++) {
				flight_note(word(8000 + i), PIPE, NOW);
				flight_drop(word(8000 + i), PIPE);
			}
		}
		armed = 0;
		flight_note(word(round % 4000), OTHER_PIPE, NOW); /* whole: it must be there, whatever was left half done before */
	}
	setitimer(ITIMER_REAL, &never, NULL);
	each(NOW);
	for (unsigned i = 1; i <= round && i < 4000; i++)
		wrong += !given[i];
	for (unsigned i = 0; i < 64; i++)
		wrong += !given[6000 + i];
	cr_assert_eq(wrong, 0);
	cr_assert(!flight_full(flight_now()));
}

Test(flight, a_forked_child_has_what_was_in_flight)
{
	flight_note(word(1), PIPE, NOW);
	pid_t child = fork();
	if (child == 0) {
		bool first = holds(1, NOW);
		flight_drop(word(1), PIPE);
		_exit(first && !holds(1, NOW) ? 0 : 1);
	}
	int status = -1;
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	cr_assert(holds(1, NOW), "the child's reading is the child's");
}
