/* Heap sort: no recursion, no memory, no bad case, whoever made what is sorted; so it serves inside a stop and in handlers, too. */
#ifndef CGC_BASE_SORT_H
#define CGC_BASE_SORT_H

#include "base/bits.h"

/* Does the record at a stand before the one at b? */
typedef bool (*sort_before)(const void *a, const void *b, const void *arg);

static inline __attribute__((always_inline)) void sort_sift(char *at, size_t root, size_t count, size_t size, sort_before before, const void *arg,
                                                            void *moving)
{
	__builtin_memcpy(moving, at + root * size, size);
	for (size_t child; (child = 2 * root + 1) < count; root = child) {
		if (child + 1 < count && before(at + child * size, at + (child + 1) * size, arg))
			child++;
		if (!before(moving, at + child * size, arg))
			break;
		__builtin_memcpy(at + root * size, at + child * size, size);
	}
	__builtin_memcpy(at + root * size, moving, size);
}

/* Sorts `count` records of `size` bytes; `moving` has room for one. Inlined, so that size and order are constants. */
static inline __attribute__((always_inline)) void sort_by(void *records, size_t count, size_t size, sort_before before, const void *arg, void *moving)
{
	char *at = records;
	for (size_t i = count / 2; i-- > 0;)
		sort_sift(at, i, count, size, before, arg, moving);
	for (size_t end = count; end-- > 1;) {
		/* The largest goes to the end; what stood there sinks from the root. */
		__builtin_memcpy(moving, at + end * size, size);
		__builtin_memcpy(at + end * size, at, size);
		__builtin_memcpy(at, moving, size);
		sort_sift(at, 0, end, size, before, arg, moving);
	}
}

#endif
