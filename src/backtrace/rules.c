/*
 * The table of rules, and how a rule is made:
 *
 *   1. the module that holds the address; its row (cfi.c)
 *   2. the row reduced to a rule; what does not fit is marked RULE_ROW and evaluated each time
 *   3. no row: a signal frame is known by its restorer's code; anything else may have a frame pointer
 *
 * The table starts at 256 places and grows fourfold when addresses push each other out. Old ones stay mapped, because a reader
 * may stand in them; together they are a third of the present one. What the new one lacks is read again.
 */
#include "backtrace/rules.h"
#include "backtrace/cfi.h"
#include "backtrace/modules.h"
#include "backtrace/shed.h"
#include "os/os.h"

enum { FIRST = 256, MOST = 1 << 18, UNKEPT = 256 };
enum { PAGE = 4096 };

_Static_assert(sizeof(struct rule_place) <= CACHE_LINE, "a set is one or two lines");

struct rule_table *rule_table;
static struct { struct rule_table *table; size_t size; } tables[8]; /* every one; [i] atomic, set once */
static uint32_t growing;       /* atomic: somebody makes the next one */
static uint32_t unkept;        /* atomic: so many rules are not kept, as each is a page of the table to be copied; threads remember what they use (known.h) */

static bool add_table(size_t places)
{
	size_t size = align_up(sizeof(struct rule_table) + places * sizeof(struct rule_place), PAGE);
	for (unsigned i = 0; i < NELEM(tables); i++) {
		if (load_relaxed(&tables[i].table))
			continue;
		struct rule_table *t = os_map(size);
		if (!t)
			return false;
		if (places == FIRST) /* a short program touches most of its pages, one by one */
			os_fill((uintptr_t)t, size, true);
		t->mask = places - 1;
		tables[i].size = size;
		store_release(&tables[i].table, t);
		store_release(&rule_table, t);
		return true;
	}
	return false;
}

bool rules_start(void)
{
	return load_acquire(&rule_table) || add_table(FIRST);
}

void rules_forked(void)
{
	store_release(&growing, 0); /* who made a table is gone */
	store_relaxed(&unkept, UNKEPT);
}

void rules_own_ranges(void (*fn)(uintptr_t low, uintptr_t high))
{
	for (unsigned i = 0; i < NELEM(tables); i++) {
		uintptr_t t = (uintptr_t)load_acquire(&tables[i].table);
		if (t)
			fn(t, t + tables[i].size);
	}
}

/* Puts a rule where its set has an old or empty place; else it takes turns. A place whose writer is gone (fork, longjmp) is lost. */
static void keep(uintptr_t at, const struct rule *rule)
{
	const uint32_t left = load_relaxed(&unkept);
	if (UNLIKELY(left)) {
		store_relaxed(&unkept, left - 1);
		return;
	}
	struct rule_table *t = load_acquire(&rule_table);
	size_t set = rule_set(at, t->mask);
	union { struct rule r; uint64_t words[RULE_WORDS]; } copy = { .r = *rule };
	struct rule_place *p = NULL;
	uintptr_t key = 0;
	for (unsigned i = 0; i < 2 && !p; i++) {
		key = load_acquire(&t->places[set + i].key);
		if (!key || key == at || (key != RULE_WRITING && (uint32_t)load_relaxed(&t->places[set + i].words[0]) != rule->generation))
			p = &t->places[set + i];
	}
	if (!p) {
		uint32_t replaced = add_relaxed(&t->replaced, 1);
		p = &t->places[set + (replaced & 1)];
		key = load_acquire(&p->key);
		uint32_t quiet = 0;
		if (replaced > t->mask / 8 && t->mask + 1 < MOST && cas(&growing, &quiet, 1)) {
			if (load_acquire(&rule_table) == t)
				add_table((t->mask + 1) * 4);
			store_release(&growing, 0);
		}
	}
	if (key == RULE_WRITING || !cas(&p->key, &key, RULE_WRITING))
		return;
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (unsigned i = 0; i < RULE_WORDS; i++)
		store_relaxed(&p->words[i], copy.words[i]);
	store_release(&p->key, at);
}

_Static_assert(offsetof(struct rule, generation) == 0, "keep() reads the generation as the first word's low half");

/* ---- from a row to a rule ---- */

static bool in_words(intptr_t offset, machine_offset *words)
{
	*words = (machine_offset)(offset / 8);
	return (intptr_t)*words * 8 == offset && *words != RULE_SAME;
}

/* One place, counted from CFA or from base. false: neither. */
static bool place_of(const struct cfi_where *w, const struct cfi_image *m, const struct rule *r, machine_offset *words, bool *from_base)
{
	unsigned slot;
	intptr_t offset;
	bool loaded;
	switch (w->how) {
	case CFI_AT_CFA:
		*from_base = false;
		return in_words(w->n, words);
	case CFI_AT_EXPRESSION:
		*from_base = true;
		return cfi_simple(m, (uintptr_t)w->n, &slot, &offset, &loaded) && !loaded && slot == (r->base == RULE_SP ? CFI_SP : r->base)
		       && in_words(offset, words);
	default:
		return false;
	}
}

/* false: the row has more in it than a rule can say. */
static bool reduce(const struct cfi_row *row, const struct cfi_image *m, struct rule *r)
{
	unsigned slot = row->cfa_slot;
	intptr_t offset = row->cfa.n;
	bool loaded = false, from_base = false, any = false, base_all = false;
	machine_offset ra = RULE_SAME, highest = RULE_SAME;
	if (row->cfa.how == CFI_IS_EXPRESSION ? !cfi_simple(m, (uintptr_t)row->cfa.n, &slot, &offset, &loaded) : row->cfa.how != CFI_AT_CFA)
		return false;
	if (offset != (int32_t)offset)
		return false;
	r->cfa = (int32_t)offset;
	r->base = (uint8_t)(slot == CFI_SP ? RULE_SP : slot);
	r->flags |= loaded ? RULE_LOADED : 0;
	for (unsigned i = 0; i < MACHINE_SAVED; i++) {
		const struct cfi_where *w = &row->saved[i];
		r->saved[i] = RULE_SAME;
		if (w->how == CFI_SAME || w->how == CFI_UNDEFINED) /* undefined: nothing needs it, so any value does */
			continue;
		if (!place_of(w, m, r, &r->saved[i], &from_base) || (any && from_base != base_all))
			return false;
		any = true;
		base_all = from_base;
		r->lowest = r->saved[i] < r->lowest ? r->saved[i] : r->lowest;
		highest = r->saved[i] > highest ? r->saved[i] : highest;
	}
	r->flags |= any && base_all ? RULE_FROM_BASE : 0;
	if (MACHINE_LINK < 0 && !place_of(&row->saved[CFI_RA], m, r, &ra, &from_base))
		return false;
	r->ra = ra; /* NOLINT(bugprone-signed-char-misuse): an offset, no character */
	r->lowest = MACHINE_LINK < 0 && ra < r->lowest ? ra : r->lowest;
	r->flags |= MACHINE_LINK < 0 && from_base ? RULE_RA_FROM_BASE : 0;
	return r->flags & ~RULE_CALLED || (highest < 0 && (MACHINE_LINK >= 0 || ra == -1));
}

static void signal_rule(struct rule *r)
{
	r->flags |= RULE_LOADED | RULE_FROM_BASE | RULE_RA_FROM_BASE | RULE_SIGNAL;
	r->base = RULE_SP;
	r->cfa = MACHINE_SIGNAL_SP;
	r->ra = MACHINE_SIGNAL_PC / 8;
	for (unsigned i = 0; i < MACHINE_SAVED; i++)
		r->saved[i] = (machine_offset)(machine_signal_saved(i) / 8);
}

/* Both ends of [low, high) lie on readable pages; it is no longer than a page. */
static bool readable(uintptr_t low, uintptr_t high)
{
	return os_readable(low) && (low / PAGE == (high - 1) / PAGE || os_readable(high - 1));
}

/* dlopen tells nobody of its end (preload/dl.c), and runs constructors before it: a module that is not listed yet is asked of the loader. */
static bool image_of_new(uintptr_t at, struct cfi_image *image)
{
	struct os_module m;
	if (!os_module_of(at, &m) || m.eh_frame_hdr < m.low || m.eh_frame_hdr >= m.high)
		return false;
	*image = (struct cfi_image){ m.low, m.high, m.eh_frame_hdr, m.high - m.eh_frame_hdr };
	return true;
}

/* *text: bytes of the module's code from `at` on; 0: it is no code of a listed module. */
static bool image_of(uintptr_t at, struct cfi_image *image, uintptr_t *text)
{
	uint32_t row = modules_find(at);
	*text = 0;
	if (row == MODULE_NONE || load_relaxed(&modules_get(row)->closed)) /* its name outlives its memory */
		return image_of_new(at, image);
	const struct module *m = modules_get(row);
	*image = (struct cfi_image){ m->low, m->high, m->eh_frame_hdr, m->eh_frame_hdr_size };
	*text = at >= m->text_low && at < m->text_high ? m->text_high - at : 0;
	/* libc closes modules of its own (iconv's) without telling, and generated code may take their place. */
	return m->eh_frame_hdr && os_readable(m->eh_frame_hdr);
}

bool rules_row(uintptr_t at, struct cfi_row *row, struct cfi_image *image)
{
	uintptr_t text;
	return image_of(at, image, &text) && cfi_find(image, at, row);
}

void rules_read(uintptr_t at, uint32_t generation, struct rule *r)
{
	struct cfi_image image;
	struct cfi_row row;
	uintptr_t text;
	const bool found = image_of(at, &image, &text) && cfi_find(&image, at, &row);
	*r = (struct rule){ .generation = generation };
	if (found && text)
		shed_note(&image, row.record);
	uintptr_t behind = at + 1;
	if ((found && text) || readable(behind - MACHINE_CALL, behind))
		r->flags |= machine_after_call((const uint8_t *)behind) ? RULE_CALLED : 0;
	/* Asked first: behind a restorer without rules of its own, the address less one belongs to somebody else. */
	if (((found && text > MACHINE_RESTORER) || readable(behind, behind + MACHINE_RESTORER)) && machine_is_restorer((const uint8_t *)behind)) {
		signal_rule(r);
	} else if (!found) {
		r->flags |= RULE_NONE;
	} else {
		const struct cfi_where *ra = &row.saved[MACHINE_LINK >= 0 ? MACHINE_LINK : CFI_RA];
		r->flags |= row.signal ? RULE_SIGNAL : 0;
		if (ra->how == CFI_UNDEFINED)
			r->flags |= RULE_OUTERMOST;
		else if (row.cfa.how == CFI_UNKNOWN)
			r->flags |= RULE_NONE;
		else if (!reduce(&row, &image, r))
			r->flags |= RULE_ROW;
	}
	/* An address that is no code is not kept: a place in a window where code may be generated next. */
	if (!(r->flags & RULE_NONE) || r->flags & RULE_CALLED || text)
		keep(at, r);
}
