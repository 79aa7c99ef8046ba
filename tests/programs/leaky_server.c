/*
 * A server-like program that leaks as real ones do, for tools/quickstart and the tests.
 *
 *   leaky_server [--leak=SIZE] [--live=SIZE] [--threads=N] [--samples=FILE]
 *
 * Each thread answers requests from a generator: it parses the text into a request (method, path, a list of headers, a
 * body), looks its session up, updates it, and "forgets" the request on the way out: the bug. Requests are parsed into
 * separate blocks of many sizes that point to each other, some in rings, so that nothing but a collector could find them.
 *
 * Beside them lie the sessions: --live bytes of data that is checked against its sum at each use and wholly at the end.
 * All threads together leak --leak bytes. What is printed depends on the options only, never on time or interleaving:
 * one line with the counts and a checksum. RSS goes elsewhere, to --samples: "leaked-KiB milliseconds RSS-KiB" a line,
 * at every 32nd of the work.
 *
 * Exit status 1: a session was damaged, that is, live memory was reused. 3: out of memory.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 64, SAMPLES = 32, HEADERS = 6, WORDS_MAX = 96 };

struct session {
	struct session *next;
	uint64_t id, hits, sum; /* sum is that of words[] */
	uint32_t count;
	uint64_t *words;
};

struct header {
	struct header *next;
	char *name, *value;
};

struct request {
	struct request *self_or_previous; /* rings: counting references would not free these either */
	char *method, *path, *body;
	struct header *headers;
	size_t bytes; /* of all its blocks */
};

struct worker {
	pthread_t thread;
	struct session **table;
	size_t buckets, sessions, leak;
	uint64_t seed, requests, checksum;
	bool damaged;
};

static atomic_size_t leaked_total;
static size_t leak_goal;
static FILE *samples;
static pthread_mutex_t samples_lock = PTHREAD_MUTEX_INITIALIZER;
static struct timespec started;

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void *allocate(size_t n)
{
	void *p = malloc(n);
	if (!p) {
		fprintf(stderr, "leaky_server: out of memory after %zu MiB leaked\n", atomic_load(&leaked_total) >> 20);
		_exit(3);
	}
	return p;
}

static char *copy(struct request *r, const char *text, size_t n)
{
	char *s = allocate(n + 1);
	memcpy(s, text, n);
	s[n] = 0;
	r->bytes += n + 1;
	return s;
}

/* -- RSS, by what the kernel counts -- */

static long rss_kib(void)
{
	char line[128];
	long size = 0, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (f && fgets(line, sizeof(line), f) && sscanf(line, "%ld %ld", &size, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void note_progress(size_t bytes)
{
	size_t before = atomic_fetch_add(&leaked_total, bytes), step = leak_goal / SAMPLES + 1;
	if (!samples || before / step == (before + bytes) / step)
		return;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	long ms = (now.tv_sec - started.tv_sec) * 1000 + (now.tv_nsec - started.tv_nsec) / 1000000;
	pthread_mutex_lock(&samples_lock);
	fprintf(samples, "%zu %ld %ld\n", (before + bytes) >> 10, ms, rss_kib());
	pthread_mutex_unlock(&samples_lock);
}

/* -- sessions: live data -- */

static uint64_t sum_of(const struct session *s)
{
	uint64_t sum = s->id;
	for (uint32_t i = 0; i < s->count; i++)
		sum = sum * 31 + s->words[i];
	return sum;
}

static struct session *new_session(uint64_t id, uint64_t *seed)
{
	struct session *s = allocate(sizeof(*s));
	*s = (struct session){ .id = id, .count = 8 + (uint32_t)(next_random(seed) % (WORDS_MAX - 8)) };
	s->words = allocate(s->count * sizeof(*s->words));
	for (uint32_t i = 0; i < s->count; i++)
		s->words[i] = next_random(seed) & 0xffffff; /* never looks like a pointer */
	s->sum = sum_of(s);
	return s;
}

static void fill_table(struct worker *w, size_t live)
{
	w->buckets = live / 2048 + 16;
	w->table = calloc(w->buckets, sizeof(*w->table));
	if (!w->table)
		_exit(3);
	for (size_t bytes = 0; bytes < live; w->sessions++) {
		struct session *s = new_session(w->sessions, &w->seed);
		bytes += sizeof(*s) + s->count * sizeof(*s->words);
		s->next = w->table[s->id % w->buckets];
		w->table[s->id % w->buckets] = s;
	}
}

static struct session *find(struct worker *w, uint64_t id)
{
	struct session *s = w->table[id % w->buckets];
	while (s && s->id != id)
		s = s->next;
	return s;
}

/* One hit: the session must be as it was left; then one word changes, and now and then it gets a new, larger array. */
static void touch(struct worker *w, uint64_t id, uint64_t value)
{
	struct session *s = find(w, id);
	if (!s || s->sum != sum_of(s)) {
		w->damaged = true;
		return;
	}
	s->hits++;
	s->words[value % s->count] = value & 0xffffff;
	if (s->hits % 64 == 0) {
		uint64_t *words = allocate(s->count * sizeof(*words));
		memcpy(words, s->words, s->count * sizeof(*words));
		free(s->words);
		s->words = words;
	}
	s->sum = sum_of(s);
}

/* -- requests -- */

static size_t write_request(char *text, size_t room, uint64_t *seed, uint64_t session)
{
	static const char *const methods[] = { "GET", "PUT", "POST", "DELETE" };
	uint64_t r = next_random(seed);
	size_t n = (size_t)snprintf(text, room, "%s /session/%llu/item?q=%llx HTTP/1.1\n", methods[r % 4], (unsigned long long)session,
	                            (unsigned long long)r);
	for (int i = 0; i < HEADERS; i++)
		n += (size_t)snprintf(text + n, room - n, "X-Header-%d: %.*s\n", i, (int)(8 + r % 50 + (unsigned)i * 3),
		                      "the quick brown fox jumps over the lazy dog and goes on to jump over it again and again");
	n += (size_t)snprintf(text + n, room - n, "\n");
	size_t body = 64 + next_random(seed) % 1500;
	memset(text + n, 'a' + (int)(r % 26), body);
	return n + body;
}

static struct request *parse(const char *text, size_t n, struct request *previous)
{
	struct request *r = allocate(sizeof(*r));
	memset(r, 0, sizeof(*r));
	r->bytes = sizeof(*r);
	const char *end = text + n, *line = text, *blank = memchr(line, ' ', n), *eol = memchr(line, '\n', n);
	r->method = copy(r, line, (size_t)(blank - line));
	r->path = copy(r, blank + 1, (size_t)(eol - blank - 1));
	for (line = eol + 1; *line != '\n'; line = eol + 1) {
		eol = memchr(line, '\n', (size_t)(end - line));
		const char *colon = memchr(line, ':', (size_t)(eol - line));
		struct header *h = allocate(sizeof(*h));
		h->name = copy(r, line, (size_t)(colon - line));
		h->value = copy(r, colon + 2, (size_t)(eol - colon - 2));
		h->next = r->headers;
		r->headers = h;
		r->bytes += sizeof(*h);
	}
	r->body = copy(r, line + 1, (size_t)(end - line - 1));
	r->self_or_previous = previous ? previous : r;
	return r;
}

static uint64_t digest(const struct request *r)
{
	uint64_t d = 0;
	for (const char *c = r->path; *c; c++)
		d = d * 131 + (unsigned char)*c;
	for (const struct header *h = r->headers; h; h = h->next)
		d = d * 131 + strlen(h->value);
	return d + (unsigned char)r->body[0];
}

/* The bug is the end of this function: nobody frees the request. Each even one is tied into a ring with the next. */
static size_t handle(struct worker *w, const char *text, size_t n)
{
	struct request *first = parse(text, n, NULL), *second = parse(text, n, first);
	if (w->requests % 2)
		first->self_or_previous = second;
	uint64_t d = digest(first);
	w->checksum += d ^ digest(second);
	w->checksum = w->checksum * 33 + d;
	w->requests++;
	return first->bytes + second->bytes;
}

static void *serve(void *argument)
{
	struct worker *w = argument;
	char text[4096];
	for (size_t leaked = 0; leaked < w->leak && !w->damaged;) {
		uint64_t session = next_random(&w->seed) % w->sessions;
		size_t n = write_request(text, sizeof(text), &w->seed, session);
		size_t bytes = handle(w, text, n);
		touch(w, session, w->checksum);
		leaked += bytes;
		note_progress(bytes);
	}
	for (size_t b = 0; b < w->buckets; b++)
		for (struct session *s = w->table[b]; s; s = s->next) {
			w->damaged |= s->sum != sum_of(s);
			w->checksum += s->sum;
		}
	return NULL;
}

static size_t read_size(const char *s)
{
	char *end;
	size_t n = strtoul(s, &end, 10);
	return *end == 'k' ? n << 10 : *end == 'm' ? n << 20 : *end == 'g' ? n << 30 : n;
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS_MAX];
	size_t live = 16 << 20;
	unsigned threads = 2;
	leak_goal = (size_t)512 << 20;
	for (int i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "--leak=", 7))
			leak_goal = read_size(argv[i] + 7);
		else if (!strncmp(argv[i], "--live=", 7))
			live = read_size(argv[i] + 7);
		else if (!strncmp(argv[i], "--threads=", 10))
			threads = (unsigned)read_size(argv[i] + 10);
		else if (!strncmp(argv[i], "--samples=", 10))
			samples = fopen(argv[i] + 10, "w");
		else
			threads = 0;
	}
	if (!threads || threads > THREADS_MAX) {
		fprintf(stderr, "usage: leaky_server [--leak=SIZE] [--live=SIZE] [--threads=1..%d] [--samples=FILE]\n", THREADS_MAX);
		return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &started);
	for (unsigned i = 0; i < threads; i++) {
		workers[i].seed = 0x9e3779b97f4a7c15u * (i + 1);
		workers[i].leak = leak_goal / threads;
		fill_table(&workers[i], live / threads);
	}
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&workers[i].thread, NULL, serve, &workers[i]))
			return 3;
	uint64_t requests = 0, checksum = 0;
	bool damaged = false;
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(workers[i].thread, NULL);
		requests += workers[i].requests;
		checksum ^= workers[i].checksum;
		damaged |= workers[i].damaged;
	}
	if (samples)
		fclose(samples);
	printf("%llu requests served, checksum %016llx\n", (unsigned long long)requests, (unsigned long long)checksum);
	if (damaged)
		fprintf(stderr, "leaky_server: a session was damaged: live memory was reused\n");
	return damaged;
}
