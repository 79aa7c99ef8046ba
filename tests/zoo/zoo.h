/*
 * The zoo: one tiny program for each place that can hold the only pointer to a block.
 *
 * Each places a pointer to a patterned block in its place and nowhere else, scrubs stack and registers, collects a few
 * times, allocates blocks of the same size, and looks through the place: the block must be whole. Run with
 * stress=N:grace=0, so that a block that was recycled wrongly is filled at once.
 * ZOO_SIZE fills a class to the last byte, so that one past its end would be the neighbour if classes left no spare byte.
 * Exit status: 0 whole, 1 damaged, 77 no collector is preloaded, 2 the program could not set up its place, 75 the system has no
 * such place.
 */
#ifndef CGC_ZOO_H
#define CGC_ZOO_H

#include <pthread.h>

#include "../programs/kit.h"

enum { ZOO_SIZE = 160, ZOO_ID = 4242, ZOO_NOISE = 600, ZOO_NO_PLACE = 75 };

/* A block of `size` bytes (a multiple of 8) with its pattern; words before `from` are zero. */
static inline void *zoo_block_of(size_t size, size_t from)
{
	void *p = malloc(size);
	if (!p)
		exit(2);
	memset(p, 0, size);
	kit_fill(p, from, size, ZOO_ID);
	return p;
}

static __attribute__((noinline, unused)) void zoo_decoys(void)
{
	for (int i = 0; i < 8; i++) {
		void *volatile decoy = malloc(ZOO_SIZE);
		decoy = NULL;
		(void)decoy;
	}
}

/* The block, between decoys that are lost at once: the stale words of an allocator lead to the first slot of a span or to the
 * last block that was allocated, and would keep ours whatever its place does. */
static __attribute__((noinline, unused)) void *zoo_block(void)
{
	zoo_decoys();
	uintptr_t hidden = kit_hide((uintptr_t)zoo_block_of(ZOO_SIZE, 0));
	__asm__ volatile("" : "+r"(hidden));
	zoo_decoys();
	return (void *)kit_hide(hidden);
}

/* Collects, with allocation in between, so that a recycled block is given to somebody else as well. */
static __attribute__((noinline, unused)) void zoo_collect(size_t size)
{
	static void *noise[ZOO_NOISE];
	kit_scrub();
	for (int round = 0; round < 3; round++) {
		kit_collect(1);
		for (int i = 0; i < ZOO_NOISE; i++) {
			noise[i] = malloc(size);
			if (!noise[i])
				exit(2);
			memset(noise[i], 0x77, size);
		}
		for (int i = 0; i < ZOO_NOISE; i++) {
			free(noise[i]);
			noise[i] = NULL;
		}
	}
}

static inline int zoo_verdict(const void *p)
{
	if (kit_intact(p, 0, ZOO_SIZE, ZOO_ID))
		return 0;
	fprintf(stderr, "zoo: the block at %p was recycled though its place still holds it\n", p);
	return 1;
}

static inline void zoo_needs_collector(void)
{
	if (!kit_collector())
		exit(77);
}

/* -- a place in another thread: the thread fills it, calls zoo_wait, then looks -- */
static uint32_t zoo_ready, zoo_go; /* atomic */
static int zoo_result;

static inline void zoo_wait(void)
{
	__atomic_store_n(&zoo_ready, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&zoo_go, __ATOMIC_ACQUIRE))
		usleep(1000);
}

/* Runs `body` in a thread made with `attr` (NULL: as usual), collects while it waits, and returns what it put into zoo_result. */
static __attribute__((unused)) int zoo_with_thread_of(const pthread_attr_t *attr, void *(*body)(void *))
{
	zoo_needs_collector();
	pthread_t t;
	if (pthread_create(&t, attr, body, NULL))
		return 2;
	while (!__atomic_load_n(&zoo_ready, __ATOMIC_ACQUIRE))
		usleep(1000);
	zoo_collect(ZOO_SIZE);
	__atomic_store_n(&zoo_go, 1, __ATOMIC_RELEASE);
	pthread_join(t, NULL);
	return zoo_result;
}

static __attribute__((unused)) int zoo_with_thread(void *(*body)(void *)) { return zoo_with_thread_of(NULL, body); }

/* -- a place at any byte -- */
static __attribute__((unused)) void zoo_store(char *at)
{
	void *p = zoo_block();
	memcpy(at, &p, sizeof p);
}

static __attribute__((unused)) int zoo_look(const char *at)
{
	void *p;
	memcpy(&p, at, sizeof p);
	return zoo_verdict(p);
}

/* Runs `place`, collects, and looks at what `look` finds. */
static __attribute__((unused)) int zoo_with_place(void (*place)(void), void *(*look)(void))
{
	zoo_needs_collector();
	place();
	zoo_collect(ZOO_SIZE);
	return zoo_verdict(look());
}

#endif
