/*
 * Blocks whose pages the program altered: a guard page in a coroutine's stack, a file mapped over a buffer, pages that no child of fork gets,
 * a protection key. Such a block has the byte STATE_ALTERED. It is never recycled, and its free touches nothing in it
 * before its pages are plain memory again.
 */
#ifndef CGC_HEAP_ALTERED_H
#define CGC_HEAP_ALTERED_H

#include "heap/heap.h"

/* Pages of [low, high) are about to be altered, or were found so. Blocks that have some of it become STATE_ALTERED. Any thread, at any
 * time, signal handlers and stops included; ranges outside the heap cost a comparison. */
void heap_pages_altered(uintptr_t low, uintptr_t high);
/* They are about to be unmapped as well: somebody else's memory may come to lie there. */
void heap_pages_gone(uintptr_t low, uintptr_t high);
/* The program mapped something there itself. */
void heap_pages_back(uintptr_t low, uintptr_t high);

/* Faults in them are about to be the program's to serve. */
void heap_pages_served(uintptr_t low, uintptr_t high);
extern bool heap_served; /* atomic: once, somewhere in the heap */

/* -- inside src/heap -- */
/* Makes the memory of an altered block, whose byte is free now, plain and writable; its whole pages are zero then. false: it can't be had: the
 * block is never handed out again. Busy. */
bool altered_restore(const struct span *s, uintptr_t start);

#endif
