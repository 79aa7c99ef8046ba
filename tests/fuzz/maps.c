/*
 * /proc/self/maps and smaps: any text, in pieces as the kernel might hand it out. The list that was accepted must rise and
 * be whole pages, the same text in other pieces must give the same list, and looking up must find what was listed.
 *
 * The pieces go through a pipe in packet mode, where one read returns one piece.
 */
#include "roots/maps.h"
#include "fuzz.h"

#include <fcntl.h>
#include <unistd.h>

enum { ROOM = 64, PACKETS = 14 /* a pipe's buffer holds 16 */, PACKET = 4096 };

static bool read_pieces(struct maps *list, const uint8_t *bytes, size_t n, size_t piece)
{
	int ends[2];
	if (pipe2(ends, O_DIRECT | O_CLOEXEC) != 0)
		abort();
	for (size_t at = 0; at < n; at += piece) {
		size_t size = n - at < piece ? n - at : piece;
		if (write(ends[1], bytes + at, size) != (ssize_t)size)
			abort();
	}
	close(ends[1]);
	bool ok = maps_read_lines(list, ends[0]);
	close(ends[0]);
	return ok;
}

static void check_list(const struct maps *list)
{
	size_t shown = list->count < list->room ? list->count : list->room;
	for (size_t i = 0; i < shown; i++) {
		const struct mapping *m = &list->at[i];
		claim(m->low < m->high && !((m->low | m->high) & 4095), "mapping %zu is %lx..%lx", i, m->low, m->high);
		claim(i == 0 || list->at[i - 1].high <= m->low, "mapping %zu begins before its left neighbour ends", i);
		claim(m->kind <= MAPPING_DEVICE && m->flags < 16, "mapping %zu has kind %u, flags %u", i, m->kind, m->flags);
		claim(!m->swapped || m->held != UINT64_MAX, "mapping %zu is swapped, but holds nothing", i);
	}
	if (list->count > list->room)
		return;
	for (size_t i = 0; i < shown; i++) {
		claim(maps_find(list, list->at[i].low) == &list->at[i], "the first byte of mapping %zu is not found", i);
		claim(maps_find(list, list->at[i].high - 1) == &list->at[i], "the last byte of mapping %zu is not found", i);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct mapping one[ROOM], other[ROOM];
	struct input in = { bytes, bytes + n };
	size_t piece = 1 + take_short(&in) % PACKET;
	bytes = in.p;
	n = (size_t)(in.end - in.p);
	n = n < PACKETS * (size_t)PACKET ? n : PACKETS * (size_t)PACKET;
	if (n / piece >= PACKETS)
		piece = n / PACKETS + 1;
	memset(one, 0, sizeof one);
	memset(other, 0, sizeof other);
	struct maps a = { one, 0, ROOM }, b = { other, 0, ROOM };
	bool ok = read_pieces(&a, bytes, n, piece);
	claim(read_pieces(&b, bytes, n, PACKET) == ok, "whole pages are judged otherwise than pieces of %zu bytes", piece);
	if (ok) {
		claim(a.count == b.count && !memcmp(one, other, sizeof one), "whole pages give another list than pieces of %zu bytes", piece);
		check_list(&a);
	}
	struct mapping m;
	char *line = take_string(&in); /* a line of its own, so that a read behind its end shows */
	memset(&m, 0, sizeof m);
	m.held = UINT64_MAX;
	if (n && memchr(line, ':', n))
		maps_parse_field(line, n, &m);
	maps_parse_line(line, n, &m);
	free(line);
	return 0;
}
