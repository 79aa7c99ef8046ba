/*
 * io_uring: what the kernel holds of requests in flight.
 *
 *     program writes entry, moves the submission ring's tail ──▶ kernel copies it, moves the head ──▶ completion, tail moves
 *            (entry lies in the mapping: a root)          (in flight: a KERNEL_URING row)         (completion lies in the mapping)
 *
 * Both rings and the entries are shared mappings, read at each stop. An entry stays readable after the kernel has taken it, until its
 * slot is used again. So each ring is looked through from where the last look ended: by the wrappers before a submission, and at
 * each stop up to the head. Entries become rows, completions end them. Should more entries have gone through than the ring has slots
 * since the last look (a program that enters the kernel by instructions of its own), some were not seen: no cycle may judge
 * any more while that ring is mapped (law 8). The same holds for a ring in the program's own memory (IORING_SETUP_NO_MMAP).
 *
 * A completion names its request by user_data only. Requests with the same user_data end together, when as many completions came
 * as there were requests. Completions of a ring whose set-up was not seen end nothing: their size is unknown. Nor do those that were
 * overwritten unseen: such rows stay until the ring is unmapped.
 *
 * What a request writes or sends is in flight (flight.h) from before its submission, and stays so behind its completion: small data is looked
 * through for words. A completed read takes none out again: they stay for their time.
 *
 * Rings are copied by the kernel (os_copy_self): a mapping may be gone, and old kernels refuse process_vm_readv there.
 */
#include "heap/heap.h"
#include "heap/hooks.h"
#include "os/os.h"
#include "roots/flight.h"
#include "roots/inside.h"
#include "roots/roots.h"

#include <linux/io_uring.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum { RINGS = 256, SLOTS_MAX = 1 << 17, IOVECS = 64 };

/* From linux/io_uring.h, which build machines' headers may have in an older form. */
enum {
	SETUP_SQE128 = 1 << 10, SETUP_CQE32 = 1 << 11, SETUP_NO_MMAP = 1 << 14, SETUP_NO_SQARRAY = 1 << 16,
	SETUP_MIXED = 1 << 18 | 1 << 19, /* entries or completions of two sizes */
	CQE_MORE = 1 << 1,
	FIXED_FILE = 1 << 0,
	OP_SEND_ZC = 47, OP_SENDMSG_ZC = 48, OP_WRITEV_FIXED = 61
};
enum { WRITTEN_MOST = 512, NO_CHANNEL = -1 }; /* as of write, preload/flight.h */

static LARGE struct ring {
	uintptr_t rings, entries; /* addresses of the mappings; rings 0: not found yet */
	uint64_t inode;           /* 0: not known yet. Kernels before 5.12 give all rings one */
	uint32_t flags;           /* of the set-up */
	uint32_t seen, done;      /* positions up to which submissions and completions were looked through */
	bool used, known;         /* known: the set-up was seen */
	bool lost;                /* a submission was not seen */
	bool present;             /* in the list of mappings of this stop */
} table[RINGS];
static unsigned count;        /* of the table that was ever used */

/* The shared header. Its kernel keeps the four positions together or each on a line of its own. */
struct header {
	uint32_t head, tail, cq_head, cq_tail, slots, cq_slots;
	size_t completions;       /* offset */
};

static bool read_header(uintptr_t at, struct header *h)
{
	uint32_t w[80] = { 0 };
	if (os_copy_self(w, at, sizeof w) != (long)sizeof w)
		return false;
	if (w[6] && w[4] + 1 == w[6] && w[5] + 1 == w[7])
		*h = (struct header){ w[0], w[1], w[2], w[3], w[6], w[7], 64 };
	else
		*h = (struct header){ w[0], w[16], w[32], w[48], w[66], w[67], 320 };
	return h->slots && h->slots <= SLOTS_MAX && h->cq_slots && h->cq_slots <= SLOTS_MAX && !(h->slots & (h->slots - 1)) &&
	       !(h->cq_slots & (h->cq_slots - 1));
}

static struct ring *ring_new(void)
{
	for (unsigned pass = 0, i = 0; pass < 2; i = ++i < RINGS ? i : (pass++, 0)) /* rings that were made and never mapped go last */
		if (!table[i].used || (pass && !table[i].rings && !table[i].lost)) {
			table[i] = (struct ring){ .used = true };
			count = i >= count ? i + 1 : count;
			return &table[i];
		}
	tables_set_full();
	return NULL;
}

static uint64_t id_of(const struct ring *r) { return (uint64_t)(r - table) + 1; }

static bool of_ring(const struct kernel_row *row, uint64_t id) { return row->kind == KERNEL_URING && row->context == id; }

static void ring_gone(struct ring *r)
{
	kernel_drop_where(of_ring, id_of(r));
	r->used = false;
}

/* -- looking through -- */

static bool add(struct kernel_row *row)
{
	if (kernel_add_counted(row))
		return true;
	tables_set_full();
	return false;
}

/* Where the words of a request go; NO_CHANNEL: nowhere, or into a file. */
static int32_t channel_of(const struct io_uring_sqe *e)
{
	switch ((int)e->opcode) {
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG:
	case OP_SEND_ZC:
	case OP_SENDMSG_ZC:
		return FLIGHT_SOCKETS;
	case IORING_OP_WRITE:
	case IORING_OP_WRITE_FIXED:
	case IORING_OP_WRITEV:
	case OP_WRITEV_FIXED:
		return e->flags & FIXED_FILE || !heap_hooks.flight_channel ? (int32_t)FLIGHT_KEPT : heap_hooks.flight_channel(e->fd);
	default:
		return NO_CHANNEL;
	}
}

static void note_words(int32_t channel, uintptr_t at, uint64_t n)
{
	static LARGE uint8_t copy[WRITTEN_MOST]; /* under the lock, or inside the stop */
	uintptr_t word;
	if (channel == NO_CHANNEL || !flight.life || n < sizeof word || n > sizeof copy || os_read_self(copy, at, n) != (long)n)
		return;
	for (size_t i = 0; (i = flight_next(copy, n, i, &word)) < n; i++)
		flight_note(word, (uint32_t)channel, flight_now());
}

/* Buffers behind an array of iovec that is the request's own. */
static void add_iovecs(struct kernel_row row, int32_t channel, uintptr_t at, uint64_t n)
{
	struct iovec v[8] = { { NULL, 0 } };
	row.count = 0;
	for (uint64_t i = 0; i < n && i < IOVECS; i += NELEM(v)) {
		size_t part = n - i < NELEM(v) ? n - i : NELEM(v);
		if (os_read_self(v, at + i * sizeof *v, part * sizeof *v) != (long)(part * sizeof *v))
			return;
		for (size_t k = 0; k < part; k++) {
			note_words(channel, (uintptr_t)v[k].iov_base, v[k].iov_len);
			row.words[0] = (uintptr_t)v[k].iov_base;
			row.words[1] = row.words[2] = 0;
			if (roots_ours(row.words[0]) && !add(&row))
				return;
		}
	}
}

static void add_entry(const struct ring *r, const struct io_uring_sqe *e)
{
	struct kernel_row row = { .key = e->user_data, .context = id_of(r), .kind = KERNEL_URING, .count = 1,
		                      .words = { e->user_data, e->addr, e->off } };
	struct msghdr m = { .msg_iovlen = 0 };
	const int32_t channel = channel_of(e);
	const bool vectors = e->opcode == IORING_OP_READV || e->opcode == IORING_OP_WRITEV || e->opcode == OP_WRITEV_FIXED;
	const bool message = e->opcode == IORING_OP_SENDMSG || e->opcode == IORING_OP_RECVMSG || e->opcode == OP_SENDMSG_ZC;
	if (!add(&row))
		return;
	if (vectors)
		add_iovecs(row, channel, e->addr, e->len);
	else if (!message)
		note_words(channel, e->addr, e->len);
	if (message && os_read_self(&m, e->addr, sizeof m) == (long)sizeof m) {
		add_iovecs(row, channel, (uintptr_t)m.msg_iov, m.msg_iovlen);
		row.count = 0;
		row.words[0] = (uintptr_t)m.msg_iov;
		row.words[1] = (uintptr_t)m.msg_name;
		row.words[2] = (uintptr_t)m.msg_control;
		add(&row);
	}
	struct epoll_event event;
	if (e->opcode == IORING_OP_EPOLL_CTL && e->len != EPOLL_CTL_DEL && os_read_self(&event, e->addr, sizeof event) == (long)sizeof event)
		tables_epoll(e->fd, (int)e->len, (int)e->off, event.data.u64); /* it may fail: then both words stay */
	row.count = 0;
	memcpy(&row.words[0], (const char *)e + 48, sizeof row.words[0]); /* addr3 of newer requests */
	row.words[1] = row.words[2] = 0;
	if (roots_ours(row.words[0]))
		add(&row);
}

static void look_at_slot(struct ring *r, uint32_t slot)
{
	struct io_uring_sqe e = { .opcode = 0 };
	unsigned shift = r->flags & SETUP_SQE128 ? 7 : 6;
	if (os_copy_self(&e, r->entries + ((size_t)slot << shift), sizeof e) == (long)sizeof e)
		add_entry(r, &e);
	else
		r->lost = true;
}

static void look_at_submissions(struct ring *r, const struct header *h, uint32_t tail)
{
	size_t size = r->flags & SETUP_CQE32 ? 32 : 16, array = align_up(h->completions + h->cq_slots * size, 64);
	uint32_t n = tail - r->seen;
	if (!n || n > UINT32_MAX / 2) /* nothing new; or looked at already, up to a tail that the program has not published yet */
		return;
	if (n > h->slots) {
		r->lost = true;
		r->seen = tail - h->slots;
	}
	for (; r->seen != tail; r->seen++) {
		uint32_t slot = r->seen & (h->slots - 1), named = 0;
		look_at_slot(r, slot);
		if (r->flags & SETUP_NO_SQARRAY)
			continue;
		if (os_copy_self(&named, r->rings + array + slot * sizeof named, sizeof named) == (long)sizeof named && named != slot && named < h->slots)
			look_at_slot(r, named); /* slots in another order; where there is no array, one row too many */
	}
}

static void look_at_completions(struct ring *r, const struct header *h)
{
	size_t size = r->flags & SETUP_CQE32 ? 32 : 16;
	uint32_t n = h->cq_tail - r->done;
	if (n > h->cq_slots)
		r->done = h->cq_tail - h->cq_slots;
	for (; r->done != h->cq_tail; r->done++) {
		struct { uint64_t user_data; int32_t result; uint32_t flags; } c = { 0, 0, 0 };
		uintptr_t at = r->rings + h->completions + (size_t)(r->done & (h->cq_slots - 1)) * size;
		if (os_copy_self(&c, at, sizeof c) == (long)sizeof c && !(c.flags & CQE_MORE))
			kernel_completed(c.user_data, id_of(r));
	}
}

/* tail: how far the program's entries are meant; NULL: those that the kernel has taken. */
static bool look(struct ring *r, const uint32_t *tail)
{
	struct header h;
	if (!r->rings || !r->entries || !read_header(r->rings, &h))
		return false;
	look_at_submissions(r, &h, tail ? *tail : h.head);
	if (r->known)
		look_at_completions(r, &h);
	return true;
}

/* -- from the wrappers -- */

void roots_uring_made(uint64_t inode, uint32_t flags)
{
	tables_enter();
	struct ring *r = ring_new();
	if (r) {
		r->inode = inode;
		r->flags = flags;
		r->known = !(flags & SETUP_MIXED);
		r->lost = flags & SETUP_NO_MMAP; /* its memory is anywhere */
	}
	tables_leave();
}

static void take_mapping(const struct mapping *m)
{
	struct ring *found = NULL;
	for (unsigned i = 0; i < count; i++) {
		struct ring *r = &table[i];
		if (!r->used || (r->inode && r->inode != m->inode))
			continue;
		if (m->offset == IORING_OFF_SQ_RING ? r->rings == m->low : r->entries == m->low) {
			found = r;
			break;
		}
		if (r->inode == m->inode && !(m->offset == IORING_OFF_SQ_RING ? r->rings : r->entries) && !found)
			found = r;
	}
	if (!found && !(found = ring_new()))
		return;
	found->inode = m->inode;
	found->present = true;
	if (m->offset == IORING_OFF_SQ_RING)
		found->rings = m->low;
	else
		found->entries = m->low;
}

/* Reads the list of mappings for rings that were made and then mapped, outside a stop: once a ring. */
static void find_mappings(void)
{
	static LARGE char text[16384]; /* under the lock */
	size_t filled = 0;
	int fd = os_open_proc("maps");
	for (long n; fd >= 0 && (n = os_read(fd, text + filled, sizeof text - filled)) > 0;) {
		char *line = text, *end = text + filled + n, *newline;
		for (; (newline = memchr(line, '\n', (size_t)(end - line))); line = newline + 1) {
			struct mapping m;
			if (maps_parse_line(line, (size_t)(newline - line), &m) && rings_mapping(&m))
				take_mapping(&m);
		}
		filled = (size_t)(end - line);
		memmove(text, line, filled);
	}
	if (fd >= 0)
		os_close(fd);
}

void roots_uring_submits(uint64_t inode)
{
	struct header h;
	tables_enter();
	for (unsigned i = 0; i < count; i++) {
		struct ring *r = &table[i];
		if (!r->used || r->inode != inode)
			continue;
		if (!r->rings || !r->entries)
			find_mappings();
		if (r->rings && read_header(r->rings, &h))
			look(r, &h.tail);
	}
	tables_leave();
}

static struct ring *ring_at(uintptr_t rings)
{
	for (unsigned i = 0; i < count; i++)
		if (table[i].used && table[i].rings == rings)
			return &table[i];
	return NULL;
}

/* A ring that was unmapped and made anew at the same place since the last stop: its kernel counts from 0 again, or the other mapping
 * moved. */
static bool another(const struct ring *r, uintptr_t entries, uint32_t tail)
{
	return r->entries != entries || tail - r->seen > UINT32_MAX / 2;
}

void roots_uring_ring(uintptr_t rings, uintptr_t entries, uint32_t flags, uint32_t tail)
{
	tables_enter();
	struct ring *r = ring_at(rings);
	if (r && another(r, entries, tail)) {
		ring_gone(r);
		r = NULL;
	}
	if (!r && (r = ring_new()))
		r->rings = rings;
	if (r) {
		r->entries = entries;
		r->flags = flags;
		r->known = !(flags & SETUP_MIXED);
		look(r, &tail);
	}
	tables_leave();
}

/* -- inside the stop -- */

bool rings_mapping(const struct mapping *m)
{
	return m->kind == MAPPING_RING && (m->offset == IORING_OFF_SQ_RING || m->offset == IORING_OFF_SQES);
}

bool rings_look(const struct maps *maps)
{
	bool whole = true;
	for (unsigned i = 0; i < count; i++)
		table[i].present = false;
	for (size_t i = 0; i < maps->count; i++)
		if (rings_mapping(&maps->at[i]))
			take_mapping(&maps->at[i]);
	for (unsigned i = 0; i < count; i++) {
		struct ring *r = &table[i];
		if (r->used && !r->present && r->rings)
			ring_gone(r);
		else if (r->used && r->present)
			whole &= look(r, NULL);
		whole &= !r->used || !r->lost;
	}
	return whole;
}

/* One mapping of a ring. false: it can't be read. */
bool rings_scan(const struct mapping *m, void (*fn)(uintptr_t low, uintptr_t high))
{
	static LARGE uint64_t copy[OS_PAGE / 8];
	for (uintptr_t at = m->low; at < m->high; at += OS_PAGE) {
		if (os_copy_self(copy, at, sizeof copy) != (long)sizeof copy)
			return false;
		fn((uintptr_t)copy, (uintptr_t)copy + sizeof copy);
	}
	return true;
}
