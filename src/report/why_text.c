/*
 * The answer to "why is this block still there?" in words, one line a step, the root first:
 *
 *   global `table`+16 of /usr/bin/app+0x4040 (.bss)
 *     .+24 of 0x2f4000010040 (64 bytes, allocated at /usr/bin/app+0x1139)
 *     .+0 of 0x2f4000020080 (320 bytes, allocated at /usr/bin/app+0x1170 < /usr/bin/app+0x1201)
 *     0x2f4000030000 (64 bytes, allocated at /usr/bin/app+0x1139) is reachable
 *
 * Two callers are told, too: who calls malloc is a wrapper as a rule. `cgc why` names the places, which it reads by this form.
 *
 * After the resume: what a mapping or a thread is called may have changed since, and is then told as it is now.
 */
#include "report/variable.h"
#include "report/why.h"
#include "backtrace/depot.h"
#include "heap/heap.h"
#include "heap/sites.h"
#include "os/os.h"
#include "roots/roots.h"
#include "base/text.h"

#include <fcntl.h>
#include <string.h>

enum { LINE = 1000, PLACE = 300, CALLER = 160, CALLERS = 2, BLOCK = PLACE + CALLERS * CALLER + 64 };

struct out {
	void (*write)(void *arg, const char *line);
	void *arg;
	char line[LINE];
};

#define tell(o, ...) (text_format((o)->line, LINE, __VA_ARGS__), (o)->write((o)->arg, (o)->line))

/* ---- names ---- */

static uint32_t caller_of(uint32_t site) { return site && site <= depot_count() ? depot_get(site)->parent : 0; }

static void write_block(char *buf, size_t cap, const struct why_hop *hop)
{
	char place[PLACE];
	size_t n = text_format(buf, cap, "0x%lx (%lu bytes, allocated at %s", hop->block, hop->bytes, roots_place(place, sizeof place, sites_address(hop->site)));
	for (uint32_t i = 0, node = caller_of(hop->site); i < CALLERS && node; i++, node = caller_of(node))
		n += text_format(buf + n, cap - n, " < %s", roots_place(place, CALLER, sites_address(node)));
	text_format(buf + n, cap - n, ")");
}

/* The range and the path of a line of /proc/self/maps. */
static bool line_holds(const char *line, uintptr_t address, const char **path)
{
	uintptr_t bound[2] = { 0, 0 };
	const char *c = line;
	for (int i = 0; i < 2; i++, c++)
		for (; *c && *c != '-' && *c != ' '; c++)
			bound[i] = bound[i] * 16 + (uintptr_t)(*c <= '9' ? *c - '0' : *c - 'a' + 10);
	*path = strpbrk(c, "/[");
	return address - bound[0] < bound[1] - bound[0];
}

/* What is mapped at an address, as the kernel calls it. */
static void write_mapping(char *buf, size_t cap, uintptr_t address)
{
	char piece[1024], line[512] = "";
	const char *path;
	size_t length = 0;
	text_format(buf, cap, "memory that is no longer mapped");
	int fd = os_open_proc("maps");
	for (long n; fd >= 0 && (n = os_read(fd, piece, sizeof piece)) > 0;)
		for (long i = 0; i < n; i++) {
			if (piece[i] != '\n') {
				if (length < sizeof line - 1)
					line[length++] = piece[i];
				continue;
			}
			line[length] = '\0';
			length = 0;
			if (line_holds(line, address, &path))
				text_format(buf, cap, "%s", path ? path : "anonymous memory");
		}
	if (fd >= 0)
		os_close(fd);
}

static void write_thread(char *buf, size_t cap, int tid)
{
	char path[64], name[32];
	text_format(path, sizeof path, "/proc/self/task/%d/comm", tid);
	int fd = os_open(path, O_RDONLY, 0);
	long n = fd < 0 ? 0 : os_read(fd, name, sizeof name - 1);
	if (fd >= 0)
		os_close(fd);
	if (n > 0 && name[n - 1] == '\n')
		n--;
	name[n > 0 ? n : 0] = '\0';
	text_format(buf, cap, n > 0 ? "thread %d (%s)" : "thread %d%s", tid, name);
}

/* ---- the root ---- */

static const char *kernel_name(unsigned kind)
{
	switch (kind) {
	case ROOT_RING: return "a ring of io_uring";
	case ROOT_BORN: return "the argument of a thread that is being born";
	case ROOT_EPOLL: return "the data of a descriptor in an epoll set";
	case ROOT_IN_FLIGHT: return "bytes on their way through a pipe, socket or queue";
	case ROOT_KERNEL + KERNEL_TIMER: return "the value of a timer";
	case ROOT_KERNEL + KERNEL_NOTIFY: return "the value of a message queue's notification";
	case ROOT_KERNEL + KERNEL_SIGNAL: return "the value of a signal that is pending";
	case ROOT_KERNEL + KERNEL_ABROAD: return "the value of a signal to another process";
	case ROOT_KERNEL + KERNEL_AIO: return "a request of asynchronous input or output";
	case ROOT_KERNEL + KERNEL_IOCB: return "a request of io_submit";
	case ROOT_KERNEL + KERNEL_URING: return "a request of io_uring";
	default: return "the kernel";
	}
}

static void say_memory(struct out *o, const struct why_root *r)
{
	const char *module;
	uintptr_t offset;
	char mapping[PLACE];
	if (r->kind == ROOT_MEMORY && roots_module_of(r->at, &module, &offset)) {
		struct variable v;
		char place[32] = "";
		variable_find(module, offset, &v);
		if (v.name[0] && v.offset)
			text_format(place, sizeof place, "+%lu", v.offset);
		tell(o, "%s%s%s%s of %s+0x%lx%s%s%s", v.name[0] ? "global `" : "data", v.name, v.name[0] ? "`" : "", place, module, offset,
		     v.section[0] ? " (" : "", v.section, v.section[0] ? ")" : "");
		return;
	}
	write_mapping(mapping, sizeof mapping, r->at);
	tell(o, "%s0x%lx of %s", r->kind == ROOT_CODE ? "generated code at " : "", r->at, mapping);
}

static void say_root(struct out *o, const struct why_root *r)
{
	char thread[64];
	const char *asker = r->asker ? ", in the question's own frames" : "";
	if (r->kind == ROOT_MEMORY || r->kind == ROOT_CODE) {
		say_memory(o, r);
	} else if (r->kind > ROOT_STACK) {
		tell(o, "%s", kernel_name(r->kind));
	} else {
		write_thread(thread, sizeof thread, r->tid);
		if (r->kind == ROOT_REGISTERS)
			tell(o, "register %s of %s%s", r->name ? r->name : "?", thread, asker);
		else
			tell(o, "stack of %s at 0x%lx, %ld bytes above its stack pointer%s", thread, r->at, r->above_sp, asker);
	}
}

/* ---- the way ---- */

static void say_hops(struct out *o, const struct why_answer *a)
{
	char block[BLOCK];
	for (uint64_t i = 0; i + 1 < a->length && i + 1 < WHY_HOPS; i++) {
		if (i == WHY_HOPS / 2 && a->length > WHY_HOPS)
			tell(o, "  .. %lu more blocks, each held by the one before ..", a->length - WHY_HOPS);
		write_block(block, sizeof block, &a->hops[i]);
		if (a->hops[i].offset == WHY_NOWHERE)
			tell(o, "  somewhere in %s", block);
		else
			tell(o, "  .+%zu of %s", a->hops[i].offset, block);
	}
}

static void say_end(struct out *o, const struct why_answer *a)
{
	static const char *const rules[RULES] = {
		[RULE_NO_POINTER] = "is lost, a definite leak: nothing points to it",
		[RULE_CYCLE] = "is lost, a definite leak: only blocks that hang off it point to it",
		[RULE_LOST_OWNER] = "is lost, an indirect leak: it hangs off ",
		[RULE_INTERIOR_ONLY] = "is possibly lost: only pointers into its middle lead to it",
		[RULE_STALE_STACK_ONLY] = "is possibly lost: only frames that have returned have a word that leads to it",
		[RULE_POSSIBLE_OWNER] = "is possibly lost, as is what it hangs off",
		[RULE_REACHABLE] = "is reachable",
	};
	char block[BLOCK], owner[BLOCK] = "";
	const char *before = a->rule == RULE_POSSIBLE_OWNER && a->owner.block ? ": " : "";
	if (a->owner.block)
		write_block(owner, sizeof owner, &a->owner);
	write_block(block, sizeof block, &a->self);
	tell(o, "%s%s %s%s%s", a->length ? "  " : "", block, rules[a->rule], before, owner);
}

static bool say_block(struct out *o, const struct why_answer *a)
{
	bool held = a->kind == KIND_REACHABLE || a->kind == KIND_POSSIBLE;
	if (a->length) {
		say_root(o, &a->root);
		say_hops(o, a);
	}
	say_end(o, a);
	if (held && !a->length)
		tell(o, "  the way to it %s", a->no_memory ? "could not be looked for: there is no memory" : "was not found: it leads through words in another dress");
	return held;
}

bool why_say(const struct why_answer *a, void (*write)(void *arg, const char *line), void *arg)
{
	struct out o = { .write = write, .arg = arg };
	char mapping[PLACE];
	switch (a->what) {
	case WHY_BLOCK:
		return say_block(&o, a);
	case WHY_CACHED:
		tell(&o, "0x%lx lies in a free slot that a thread's next malloc hands out", a->address);
		return false;
	case WHY_FREE:
		tell(&o, "0x%lx lies in a free slot: its block was freed, or it never held one", a->address);
		return false;
	default:
		break;
	}
	if (arena_contains(a->address) && arena_span(a->address)->index != SPAN_HOLE) {
		tell(&o, "0x%lx lies in free memory of the heap: no block is there", a->address);
	} else {
		write_mapping(mapping, sizeof mapping, a->address);
		tell(&o, "0x%lx is no address of the heap: %s", a->address, mapping);
	}
	return false;
}
