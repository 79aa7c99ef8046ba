/*
 * Size classes.
 *
 *   0..7     16, 32, .. 128
 *   8..51    four per doubling: 320 384 448 512 | .. | 40960 49152 57344 65536; eight where it pays: 144 160 .. 256 (strings, small
 *            objects), 4608 5120 .. 8192 (a page of something with a header: sqlite3's, obstacks', stdio's)
 *   52..58   natural classes 32, 64, .. 2048 for aligned_alloc(a, size) whose size fills a power of two: malloc never
 *            uses them, so that only their spans need the `exact` rule
 *
 * C lets a program hold a pointer one past the end of a block, and a header in front of an empty payload may have no other
 * pointer. Such a word must keep its block and must not keep the block to the right alive instead, so malloc picks the class
 * for size + 1. Multiples of a page are exempt: an extra class step would cost 20 % of each, and one past their end is almost
 * never the only pointer; there the word counts for both neighbours when it lies in a register or stack. Where callers are recorded they are not (heap.c).
 */
#include "heap/classes.h"

STEADY struct class_info class_info[CLASSES];
STEADY uint8_t class_table[TABLE_MAX / 16];

/* By octave: sizes in (2^o, 2^(o+1)]. */
enum { OCTAVE_FIRST = 7, OCTAVES = 16 };
static uint8_t octave_class[OCTAVES]; /* the class above 2^o */
static inline unsigned octave_bits(unsigned octave) { return octave == 7 || octave == 12 ? 3 : 2; }

enum { BATCH_BYTES = 8192, BATCH_SLOTS = 256, ROOM_BYTES = 128 * 1024, ROOM_SLOTS = 1024, ROOM_LEAST = 4, FEW_BYTES = 1024, FEW_MOST = 8 };

static uint32_t clamp(uint32_t x, uint32_t low, uint32_t high) { return x < low ? low : x > high ? high : x; }

static void describe(unsigned class, uint32_t block, bool exact)
{
	struct class_info *k = &class_info[class];
	k->block = block;
	k->pages = block <= 8192 ? 1 : 8;
	k->slots = k->pages * PAGE / block;
	k->batch = clamp(BATCH_BYTES / block, 1, BATCH_SLOTS);
	k->room = clamp(ROOM_BYTES / block, ROOM_LEAST, ROOM_SLOTS);
	k->magic = UINT64_MAX / block + 1;
	k->exact = exact;
	k->few = 0;
	k->stand_in = (uint8_t)class;
}

/* A page for each of sixty sizes is much for a program that has a few blocks of most. */
static void describe_few(void)
{
	for (unsigned class = 0, other; class < NATURAL; class++) {
		const uint32_t block = class_info[class].block;
		for (other = class; class_info[other].block & (class_info[other].block - 1) || class_info[other].block == 16; other++) {
		}
		if (other == class || class_info[other].exact)
			continue;
		class_info[class].few = (uint8_t)clamp(FEW_BYTES / block, 0, FEW_MOST);
		class_info[class].stand_in = (uint8_t)other;
	}
}

void classes_start(void)
{
	unsigned class = 0;
	for (uint32_t block = 16; block <= 128; block += 16)
		describe(class++, block, false);
	for (unsigned octave = OCTAVE_FIRST; octave < OCTAVES; octave++) {
		octave_class[octave] = (uint8_t)class;
		for (uint32_t step = 1; step <= 1u << octave_bits(octave); step++) {
			uint32_t block = (1u << octave) + (step << (octave - octave_bits(octave)));
			describe(class++, block, block % OS_PAGE == 0);
		}
	}
	for (uint32_t block = 32; block <= 2048; block *= 2)
		describe(class++, block, true);
	describe_few();
	for (unsigned i = 0, k = 0; i < NELEM(class_table); i++) { /* sizes 16i .. 16i+15 need 16(i+1) bytes */
		while (class_info[k].block < 16 * (i + 1))
			k++;
		class_table[i] = (uint8_t)k;
	}
}

unsigned class_of(size_t size)
{
	if (size < TABLE_MAX)
		return class_table[size >> 4];
	if (size > SMALL_MAX)
		return CLASS_LARGE;
	size_t need = size % OS_PAGE ? size + 1 : size;
	unsigned octave = log2_floor(need - 1), bits = octave_bits(octave);
	return octave_class[octave] + ((unsigned)((need - 1) >> (octave - bits)) & ((1u << bits) - 1));
}

unsigned class_of_aligned(size_t align, size_t size)
{
	if (align <= 16)
		return class_of(size);
	if (align > PAGE || size > SMALL_MAX)
		return CLASS_LARGE;
	unsigned best = CLASS_LARGE;
	for (unsigned k = class_of(size); k < NATURAL; k++)
		if (class_info[k].block % align == 0) {
			best = k;
			break;
		}
	size_t natural = align;
	while (natural < size)
		natural *= 2;
	if (natural <= 2048 && (best == CLASS_LARGE || natural < class_info[best].block))
		best = NATURAL + log2_floor(natural) - 5;
	return best;
}

size_t class_usable(unsigned class) { return class_info[class].block - (class_info[class].exact ? 0 : 1); }
