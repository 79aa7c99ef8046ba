/*
 * Which sites a report leaves out, in this order: the user's files, texts of the program (LeakSanitizer's interface), the list below.
 *
 * A site is left out when each kind of loss that it has is; valgrind's rules may ask for some kinds only. Files are read once, when
 * the library starts, into mappings that stay: rules are offsets into them.
 */
#include "report/names.h"
#include "report/suppress.h"
#include "base/options.h"
#include "base/suppress.h"
#include "base/text.h"
#include "heap/heap.h"
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { TEXTS = 18, RULES_MOST = 4096, SHORTEST_RULE = 7 /* leak:x and a newline */, FILE_MOST = 16 << 20 };

/*
 * Blocks that a library makes once and keeps to the end, and that look possible because of how it holds them. The list is short, as all memory
 * of the process is scanned: what lists of other tools name (thread tables and TLS of glibc, dlerror's text, libstdc++'s emergency
 * pool, iconv's and locale's tables) is reachable here, which was tried for each; a rule that matches nothing would hide a leak some day.
 */
static const char builtin[] =
	/* GLib's fundamental types: a node lies behind its own header and is known by its middle only (gtype.c, SIZEOF_FUNDAMENTAL_INFO). Five
	 * blocks, made in libgobject's constructor, whose functions have no names in a stripped library. */
	"{\n GLib's fundamental types\n Memcheck:Leak\n match-leak-kinds: possible\n ...\n obj:*/libgobject-2.0.so*\n obj:*/libgobject-2.0.so*\n"
	" ...\n obj:*/ld-linux*.so*\n ...\n}\n";

static STEADY struct set {
	struct suppress rules;
	size_t room;                 /* of the mapping of rules.rules */
} sets[TEXTS];
static unsigned set_count;           /* at start only, and with names_lock */
static bool functions_count;         /* some rule asks for a function's name, not only for a module's */

static void complain(const char *line) { say("%s", line); }

/* The text must stay. */
static void add(const char *name, const char *text, size_t size)
{
	if (set_count == TEXTS) {
		say("suppressions: %s is one file too many: at most %d are read: join some", name, TEXTS - 2);
		return;
	}
	struct set *s = &sets[set_count];
	const size_t most = size / SHORTEST_RULE + 1 < RULES_MOST ? size / SHORTEST_RULE + 1 : RULES_MOST;
	s->room = align_up(most * sizeof *s->rules.rules, OS_PAGE);
	s->rules = (struct suppress){ .text = text, .size = size, .rules = os_map(s->room), .room = most };
	if (!s->rules.rules) {
		say("suppressions: no memory for the rules of %s: they are left out", name);
		return;
	}
	suppress_parse(&s->rules, name, text, size, complain);
	functions_count = functions_count || suppress_by_function(&s->rules);
	set_count++;
}

/* NULL: not to be had, *why tells. */
static char *read_file(const char *path, size_t *size, const char **why)
{
	int fd = os_open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	*why = fd == -ENOENT || fd == -ENOTDIR ? "is not there" : "can't be opened";
	if (fd < 0)
		return NULL;
	size_t room = 64 << 10, n = 0;
	char *text = os_map(room);
	long r = 0;
	while (text && (r = os_read(fd, text + n, room - n)) > 0) {
		n += (size_t)r;
		if (n < room)
			continue;
		char *more = room < FILE_MOST ? os_remap(text, room, room * 2) : NULL;
		if (!more) {
			r = -EFBIG;
			break;
		}
		text = more;
		room *= 2;
	}
	os_close(fd);
	*size = n;
	if (text && r == 0)
		return text;
	*why = !text ? "finds no memory" : r == -EFBIG ? "is larger than 16 MiB" : r == -EISDIR ? "is a folder" : "can't be read";
	if (text)
		os_unmap(text, room);
	return NULL;
}

static void add_file(const char *path)
{
	const char *why;
	size_t size;
	char *text = read_file(path, &size, &why);
	if (text)
		add(path, text, size);
	else
		say("suppressions: %s %s: its leaks are reported: name a text file with leak: lines", path, why);
}

void report_suppress_start(void)
{
	static STEADY char paths[sizeof options.suppressions]; /* names stay: rules are told by them */
	memcpy(paths, options.suppressions, sizeof paths);
	for (char *at = paths, *end; *at; at = end) {
		end = at + strcspn(at, "+");
		if (*end)
			*end++ = 0;
		if (*at)
			add_file(at);
	}
	add("(built in)", builtin, sizeof builtin - 1);
}

void report_suppress_text(const char *name, const char *text)
{
	names_lock();
	add(name, text, strlen(text));
	names_unlock();
}

/* ---- asking ---- */

struct stack {
	struct suppress_frame at[BACKTRACE_MOST];
	size_t count;
};

static void read_stack(struct stack *s, uint32_t node)
{
	for (s->count = 0; node && s->count < BACKTRACE_MOST; s->count++) {
		struct frame_name f;
		if (functions_count)
			names_frame(node, &f);
		else
			names_module(node, &f);
		s->at[s->count] = (struct suppress_frame){ f.function ? f.function : "", "", f.module ? f.module : "" };
		node = f.parent;
	}
}

static struct suppress_rule *rule_for(const struct stack *s, unsigned kind, const struct set **set)
{
	for (unsigned i = 0; i < set_count; i++) {
		const struct suppress_rule *rule = suppress_match(&sets[i].rules, s->at, s->count, kind);
		*set = &sets[i];
		if (rule)
			return (struct suppress_rule *)rule;
	}
	return NULL;
}

/* The names of rules end in no NUL in their text. Copied once a report and rule at most, into memory that stays. */
static const char *kept_name(const struct set *set, const struct suppress_rule *rule)
{
	static char *names;
	static size_t used, room;
	const size_t n = rule->name_size;
	for (size_t at = 0; at < used; at += strlen(names + at) + 1)
		if (strlen(names + at) == n && memcmp(names + at, set->rules.text + rule->name, n) == 0)
			return names + at;
	if (used + n + 1 > room) { /* a part that is full is left as it is: names in it are in use */
		room = align_up(n + 1, 64 << 10);
		names = os_map(room);
		used = 0;
		room = names ? room : 0;
	}
	if (!names)
		return "a rule";
	memcpy(names + used, set->rules.text + rule->name, n);
	names[used + n] = 0;
	used += n + 1;
	return names + used - n - 1;
}

/* The names lock is held: the stack is in static memory. */
static bool suppress(struct report_site *site)
{
	static LARGE struct stack stack;
	struct suppress_rule *rules[KIND_REACHABLE] = { NULL };
	const struct set *set = NULL, *first_set = NULL;
	const struct suppress_rule *first = NULL;
	read_stack(&stack, site->s.frame);
	for (unsigned kind = 0; kind < KIND_REACHABLE; kind++) {
		if (!site->s.kind[kind].blocks)
			continue;
		rules[kind] = rule_for(&stack, kind, &set);
		if (!rules[kind])
			return false;
		if (!first) {
			first = rules[kind];
			first_set = set;
		}
	}
	if (!first)
		return false;
	for (unsigned kind = 0; kind < KIND_REACHABLE; kind++)
		if (rules[kind]) {
			add_relaxed(&rules[kind]->blocks, site->s.kind[kind].blocks);
			add_relaxed(&rules[kind]->bytes, site->s.kind[kind].bytes);
		}
	site->suppression = kept_name(first_set, first);
	site->s.flags |= 1;
	return true;
}

void report_suppress_begin(void)
{
	for (unsigned i = 0; i < set_count; i++)
		for (size_t k = 0; k < sets[i].rules.count; k++) {
			if (load_relaxed(&sets[i].rules.rules[k].blocks)) { /* a child of fork shares the page */
				store_relaxed(&sets[i].rules.rules[k].blocks, 0);
				store_relaxed(&sets[i].rules.rules[k].bytes, 0);
			}
		}
}

static void leave_out(struct report *r, const struct report_site *s)
{
	for (unsigned k = 0; k < KIND_REACHABLE; k++) {
		r->total[k].blocks -= s->s.kind[k].blocks;
		r->total[k].bytes -= s->s.kind[k].bytes;
		r->suppressed_blocks += s->s.kind[k].blocks;
		r->suppressed_bytes += s->s.kind[k].bytes;
	}
}

static bool has_loss(const struct report_site *s)
{
	return s->s.kind[KIND_DEFINITE].blocks || s->s.kind[KIND_INDIRECT].blocks || s->s.kind[KIND_POSSIBLE].blocks;
}

/* Names cost more than all else in a short process, so they are asked for only where somebody will read them. */
void report_finish(struct report *r, unsigned flags)
{
	if (flags & REPORT_OF_CHILD && !report_has_loss(r))
		return;
	names_lock();
	for (uint32_t i = 0; i < r->count; i++) {
		struct report_site *s = &r->sites[i];
		if (flags & REPORT_ONE_BY_ONE || s->s.kind[KIND_DEFINITE].blocks || s->s.kind[KIND_INDIRECT].blocks)
			s->s.id = names_site_id(s->s.frame); /* of the others a text has the sum */
		if (has_loss(s) && set_count && suppress(s))
			leave_out(r, s);
	}
	names_unlock_keeping();
}

/* In LeakSanitizer's form, which scripts know. */
void report_print_suppressions(void)
{
	static const char line[] = "-----------------------------------------------------";
	bool any = false;
	for (unsigned i = 0; i < set_count; i++)
		for (size_t k = 0; k < sets[i].rules.count; k++) {
			const struct suppress_rule *rule = &sets[i].rules.rules[k];
			if (!load_relaxed(&rule->blocks))
				continue;
			if (!any)
				say_raw("%s\nSuppressions used:\n  count      bytes template\n", line);
			any = true;
			say_raw("%7lu %10lu %.*s\n", rule->blocks, rule->bytes, (int)rule->name_size, sets[i].rules.text + rule->name);
		}
	if (any)
		say_raw("%s\n\n", line);
}
