/* Size classes: constant tables made at compile time by nobody: heap_start fills them once. Inside src/heap and tests only. */
#ifndef CGC_HEAP_CLASSES_H
#define CGC_HEAP_CLASSES_H

#include "heap/heap.h"

struct class_info {
	uint32_t block;   /* bytes a slot, multiple of 16 */
	uint32_t slots;   /* in one span */
	uint32_t pages;   /* arena pages a span: 1 up to 8 KiB blocks, 8 above */
	uint32_t batch;   /* slots that one refill moves at most: 8 KiB worth or 256, at least 1 */
	uint32_t room;    /* frees a bin takes before it gives slots back to their spans */
	uint8_t few;      /* so many blocks come from `stand_in` before a thread's cache takes a span of this class */
	uint8_t stand_in; /* a class of larger blocks, or this one */
	bool exact;       /* the last byte may be the program's: see span.exact */
	uint64_t magic;   /* ceil(2^64 / block) */
};
/* The first spans of a class in a thread's cache hold fewer slots, so that their state bytes and sites lie with others' in one page. */
enum { SPAN_SIZES = 3 };
static inline uint32_t class_slots(const struct class_info *k, unsigned size)
{
	const uint32_t slots = (OS_PAGE << 2 * size) / k->block;
	return size < SPAN_SIZES - 1 && k->block <= OS_PAGE / 8 ? slots : k->slots;
}
extern struct class_info class_info[CLASSES];
extern uint8_t class_table[TABLE_MAX / 16]; /* [size >> 4], size < TABLE_MAX: class whose block holds size + 1 bytes */

void classes_start(void);
/* Class for malloc(size), size <= SMALL_MAX minus what exactness needs; CLASS_LARGE above. Holds size + 1 bytes, or
 * exactly size when size is a multiple of OS_PAGE. */
unsigned class_of(size_t size);
/* Class whose every slot is aligned to `align` (power of two, <= PAGE) and holds `size` under the same rule, or size exactly
 * in a natural class; CLASS_LARGE when none. */
unsigned class_of_aligned(size_t align, size_t size);
/* Bytes the program may use in a slot of this class: the spare byte is left out unless the class is exact. */
size_t class_usable(unsigned class);

#endif
