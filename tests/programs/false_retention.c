/*
 * false_retention [LOST_MIB [LIVE_MIB]]: how much lost memory does live content keep alive by chance?
 *
 * For each kind of content: LOST_MIB MiB of patterned blocks (singles and lists of eight) are made and dropped while only
 * disguised addresses stay; LIVE_MIB MiB of live blocks are filled with the content; then the collector runs, and every lost
 * block whose pattern is still whole is counted as kept. Needs options under which recycled blocks are filled at once
 * (stress=N). The first kind, `zeros`, is the base line: what stale words of the program itself keep.
 *
 * Prints `kind percent` a line. What to expect: the arena is a window W of at most a few hundred MiB within 2^47. Words of
 * random bits hit it with W/2^64; pairs of small ints only if W's upper half is such an int and the lower lies in range:
 * W/2^32 for the one upper value among its range; text must spell one of "(" to "/" as sixth letter, NUL NUL behind it
 * and W's next 2-3 bytes before it. So every kind stays far below one percent, and short lists multiply a hit by eight.
 */
#include <math.h>
#include <sys/mman.h>

#include "kit.h"

enum { SIZES = 4, LIST = 8 };

struct lost {
	uintptr_t hidden;
	uint32_t size, linked;
};
static struct lost *lost;
static size_t lost_count;

static __attribute__((noinline)) void lose(uint64_t *seed, size_t bytes)
{
	static const uint32_t sizes[SIZES] = { 32, 64, 240, 1000 };
	lost_count = 0;
	for (size_t made = 0; made < bytes;) {
		uint32_t size = sizes[kit_random(seed) >> 62];
		bool list = kit_random(seed) >> 63;
		kit_word *before = NULL;
		for (int i = 0; i < (list ? LIST : 1); i++) {
			kit_word *p = malloc(size);
			if (!p)
				exit(2);
			p[0] = (uintptr_t)before;
			kit_fill(p, 1, size, lost_count);
			lost[lost_count++] = (struct lost){ kit_hide((uintptr_t)p), size, list };
			before = p;
			made += size;
		}
	}
}

static double kept_percent(void)
{
	uint64_t all = 0, kept = 0;
	for (size_t i = 0; i < lost_count; i++) {
		all += lost[i].size;
		if (kit_intact((void *)kit_hide(lost[i].hidden), 1, lost[i].size, i))
			kept += lost[i].size;
	}
	return all ? 100.0 * (double)kept / (double)all : 0;
}

static void put_zeros(uint8_t *p, size_t n, uint64_t *seed) { (void)seed; memset(p, 0, n); }

/* Words of 1..9 letters with punctuation, each padded with NUL to a word boundary now and then, as strings in records are. */
static void put_text(uint8_t *p, size_t n, uint64_t *seed)
{
	static const char letters[] = "etaoinshrdlucmfwypvbgkjqxz ETA.,-()/'+*0123456789";
	for (size_t i = 0; i < n;) {
		size_t word = 1 + kit_random(seed) % 9;
		for (size_t k = 0; k < word && i < n; k++)
			p[i++] = (uint8_t)letters[kit_random(seed) % (sizeof letters - 1)];
		if (kit_random(seed) >> 63)
			for (; i % 8 && i < n; i++)
				p[i] = 0;
		else if (i < n)
			p[i++] = ' ';
	}
}

/* Both halves small: counts, indices, sizes, coordinates. */
static void put_ints(uint8_t *p, size_t n, uint64_t *seed)
{
	for (size_t i = 0; i + 4 <= n; i += 4) {
		uint32_t v = (uint32_t)(kit_random(seed) >> (33 + kit_random(seed) % 30));
		memcpy(p + i, &v, 4);
	}
}

static void put_doubles(uint8_t *p, size_t n, uint64_t *seed)
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		double v = ((double)(int64_t)kit_random(seed) / 9.2e18) * pow(10, (double)(kit_random(seed) % 12) - 3);
		if (kit_random(seed) >> 62 == 0)
			v = (double)(kit_random(seed) % 1000);
		memcpy(p + i, &v, 8);
	}
}

/* Latin, Cyrillic, CJK, box drawing and braille, with U+0000 as end of short strings: the third unit of those may be 28xx..2Fxx. */
static void put_utf16(uint8_t *p, size_t n, uint64_t *seed)
{
	static const struct { uint16_t from, count; } plane[] = { { 0x20, 95 }, { 0x410, 64 }, { 0x4E00, 20000 }, { 0x2500, 128 }, { 0x2800, 256 } };
	size_t which = 0, left = 0;
	for (size_t i = 0; i + 2 <= n; i += 2) {
		uint16_t unit = 0;
		if (left-- == 0) {
			left = 1 + kit_random(seed) % 12;
			which = kit_random(seed) % (sizeof plane / sizeof *plane);
		} else {
			unit = (uint16_t)(plane[which].from + kit_random(seed) % plane[which].count);
		}
		memcpy(p + i, &unit, 2);
	}
}

static void put_compressed(uint8_t *p, size_t n, uint64_t *seed)
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		uint64_t v = kit_random(seed);
		memcpy(p + i, &v, 8);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*put)(uint8_t *p, size_t n, uint64_t *seed);
	} kinds[] = { { "zeros", put_zeros }, { "text", put_text }, { "int_pairs", put_ints }, { "doubles", put_doubles },
		      { "utf16", put_utf16 }, { "compressed", put_compressed } };
	size_t lost_bytes = (argc > 1 ? strtoull(argv[1], NULL, 10) : 48) << 20;
	size_t live_bytes = (argc > 2 ? strtoull(argv[2], NULL, 10) : 32) << 20;
	enum { BLOCK = 8 << 10 };
	size_t blocks = live_bytes / BLOCK;
	uint64_t seed = 9;
	uint8_t **live = malloc(blocks * sizeof *live);
	lost = mmap(NULL, (lost_bytes / 32 + LIST) * sizeof *lost, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!live || lost == MAP_FAILED)
		return 2;
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		for (size_t i = 0; i < blocks; i++) {
			live[i] = malloc(BLOCK - 64);
			if (!live[i])
				return 2;
			kinds[k].put(live[i], BLOCK - 64, &seed);
		}
		lose(&seed, lost_bytes);
		kit_scrub();
		kit_collect(2);
		printf("%-12s %.3f\n", kinds[k].name, kept_percent());
		for (size_t i = 0; i < blocks; i++)
			free(live[i]);
	}
	return 0;
}
