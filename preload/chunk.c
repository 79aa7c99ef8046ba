/*
 * Is this a block of glibc's own malloc? They are rare in a process whose malloc is ours: of another namespace's libc, of code that finds
 * its functions by itself. free must tell them from a pointer that no malloc gave.
 *
 *   p - 16   size of the chunk before, if that is free      p - 8   size of this one | bits: 1 the one before is in use,
 *   p        contents                                                                   2 a mapping of its own, 4 of another arena
 *
 * A chunk with a mapping of its own fills pages. Any other is followed by one whose size makes sense too, and says that this one is in use; one of
 * another arena stands in a heap, aligned to 64 MiB, that says how far it goes (glibc 2.3 to 2.41, malloc/malloc.c, malloc/arena.c). What
 * stands before a variable or at the start of a page is none of that, but for chance.
 */
#include "preload/kin.h"
#include "heap/heap.h"
#include "os/os.h"

enum { IN_USE = 1, MAPPED = 2, OTHER_ARENA = 4, BITS = 7 };
enum { LEAST = 32 };
#define MOST ((uint64_t)1 << 40)
#define HEAP_BYTES ((uintptr_t)64 << 20)

static bool look(uint64_t *words, unsigned n, uintptr_t at) { return os_read_self(words, at, n * 8) == (long)n * 8; }

static bool stands_in_heap(uintptr_t p, uint64_t size)
{
	uint64_t heap[3]; /* its arena, the heap before, its size */
	const uintptr_t start = align_down(p, HEAP_BYTES);
	return look(heap, NELEM(heap), start) && heap[0] && heap[0] % 8 == 0 && heap[2] <= HEAP_BYTES && heap[2] % OS_PAGE == 0
	       && p - 16 + size <= start + heap[2];
}

bool chunk_is_glibcs(const void *block)
{
	const uintptr_t p = (uintptr_t)block;
	uint64_t head[2], next[2];
	if (p % 16 || p < OS_PAGE || !look(head, NELEM(head), p - 16))
		return false;
	const uint64_t bits = head[1] & BITS, size = head[1] - bits;
	if (size < LEAST || size % 16 || size > MOST)
		return false;
	if (bits & MAPPED)
		return head[0] < MOST && (head[0] + size) % OS_PAGE == 0 && (p - 16 - head[0]) % OS_PAGE == 0;
	if (bits & OTHER_ARENA && !stands_in_heap(p, size))
		return false;
	if (!look(next, NELEM(next), p - 16 + size))
		return false;
	const uint64_t next_size = next[1] & ~(uint64_t)BITS;
	return next[1] & IN_USE && next_size >= 16 && next_size % 16 == 0 && next_size <= MOST;
}
