/* The only pointers are in requests that io_uring has in flight: user_data, the buffer, and one whose entry was overwritten by later
 * requests. What came back is held no more. By syscall(); or UNSEEN, by an instruction of its own, as the same code is in
 * uring_unseen.c: then no cycle may judge. */
#include "zoo.h"
#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { SLOTS = 4, LATER = 3 * SLOTS };
static int ring, pipes[2];
static unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
static struct io_uring_sqe *entries;
static struct io_uring_cqe *completions;

static void set_up(void)
{
	struct io_uring_params p = { 0 };
	ring = (int)syscall(SYS_io_uring_setup, SLOTS, &p);
	if (ring < 0)
		exit(ZOO_NO_PLACE); /* no kernel support, or forbidden */
	if (!(p.features & IORING_FEAT_SINGLE_MMAP))
		exit(ZOO_NO_PLACE);
	size_t size = p.cq_off.cqes + p.cq_entries * sizeof *completions, size2 = p.sq_off.array + p.sq_entries * sizeof *sq_array;
	char *at = mmap(NULL, size > size2 ? size : size2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	entries = mmap(NULL, p.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
	if (at == MAP_FAILED || entries == MAP_FAILED || pipe(pipes))
		exit(2);
	sq_tail = (unsigned *)(void *)(at + p.sq_off.tail);
	sq_mask = (unsigned *)(void *)(at + p.sq_off.ring_mask);
	sq_array = (unsigned *)(void *)(at + p.sq_off.array);
	cq_head = (unsigned *)(void *)(at + p.cq_off.head);
	cq_tail = (unsigned *)(void *)(at + p.cq_off.tail);
	cq_mask = (unsigned *)(void *)(at + p.cq_off.ring_mask);
	completions = (struct io_uring_cqe *)(void *)(at + p.cq_off.cqes);
}

static long enter(unsigned entries_count, unsigned completions_count, unsigned flags)
{
#ifdef UNSEEN
	long r;
	register long flags_ __asm__("r10") = flags, mask __asm__("r8") = 0, size __asm__("r9") = 0;
	__asm__ volatile("syscall"
	                 : "=a"(r)
	                 : "a"(SYS_io_uring_enter), "D"(ring), "S"(entries_count), "d"(completions_count), "r"(flags_), "r"(mask), "r"(size)
	                 : "rcx", "r11", "memory");
	return r == -EINTR ? enter(entries_count, completions_count, flags) : r;
#else
	return syscall(SYS_io_uring_enter, ring, entries_count, completions_count, flags, NULL, 0);
#endif
}

static void submit(int opcode, void *user_data, void *buffer)
{
	unsigned tail = *sq_tail, slot = tail & *sq_mask;
	entries[slot] = (struct io_uring_sqe){ .opcode = (uint8_t)opcode, .fd = pipes[0], .user_data = (uintptr_t)user_data };
	entries[slot].addr = (uintptr_t)buffer;
	if (opcode == IORING_OP_READ)
		entries[slot].len = 8;
	if (opcode == IORING_OP_POLL_ADD)
		entries[slot].poll_events = POLLIN;
	sq_array[slot] = slot;
	__atomic_store_n(sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (enter(1, 0, 0) != 1)
		exit(2);
}

static uintptr_t take(void)
{
	while (*cq_head == __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE))
		if (enter(0, 1, IORING_ENTER_GETEVENTS) < 0)
			exit(2);
	struct io_uring_cqe *c = &completions[*cq_head & *cq_mask];
	uintptr_t user_data = c->user_data;
	__atomic_store_n(cq_head, *cq_head + 1, __ATOMIC_RELEASE);
	return user_data;
}

static __attribute__((noinline)) void run_nops(void)
{
	for (int i = 0; i < LATER; i++) {
		submit(IORING_OP_NOP, NULL, NULL);
		if (take())
			exit(2);
	}
}

static uintptr_t buffer;

static __attribute__((noinline)) void place(void)
{
	void *hidden = zoo_block();
	submit(IORING_OP_POLL_ADD, zoo_block(), NULL);
	buffer = kit_hide((uintptr_t)hidden);
	submit(IORING_OP_READ, (void *)(uintptr_t)0x1234, hidden);
	hidden = NULL;
	__asm__ volatile("" : : "r"(&hidden) : "memory");
}

int main(void)
{
	int r = 0;
	uintptr_t kept = 0;
	zoo_needs_collector();
	set_up();
	place();
	run_nops();
	zoo_collect(ZOO_SIZE);
	if (zoo_verdict((const void *)kit_hide(buffer)))
		return 1; /* before the kernel writes into it */
	if (write(pipes[1], "12345678", 8) != 8)
		return 2;
	for (int i = 0; i < 2; i++) {
		uintptr_t user_data = take();
		if (user_data != 0x1234) {
			r |= zoo_verdict((const void *)user_data);
			kept = kit_hide(user_data);
		}
	}
#ifdef UNSEEN
	return r;
#endif
	run_nops(); /* the completions are overwritten */
	zoo_collect(ZOO_SIZE);
	zoo_collect(ZOO_SIZE);
	if (!r && kept && kit_intact((const void *)kit_hide(kept), 0, ZOO_SIZE, ZOO_ID)) {
		fprintf(stderr, "zoo: a request that came back is still held\n");
		return 1;
	}
	return r;
}
