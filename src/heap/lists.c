/*
 * Lists of spans. A span stands in exactly one (law 6): avail or full of its owner's bin, ready or dormant when it is abandoned,
 * or in none while somebody holds it in hand. Doubly linked by index; index 0 ends a list.
 *
 * Lists change by the owner (busy), under caches_lock for abandoned spans, or by the collector inside a stop.
 */
#include "heap/cache_slow.h"

uint32_t cache_ready[CLASSES], cache_dormant[CLASSES];

static uint32_t *list_head(struct span *s, struct cache *c)
{
	if (s->list == LIST_READY)
		return &cache_ready[s->class];
	if (s->list == LIST_DORMANT)
		return &cache_dormant[s->class];
	return s->list == LIST_AVAIL ? &c->bins[s->class].avail : &c->bins[s->class].full;
}

void span_list_add(struct span *s, struct cache *c, uint32_t list)
{
	store_relaxed(&s->list, (uint8_t)list);
	uint32_t *head = list_head(s, c);
	s->prev = 0;
	s->next = *head;
	if (*head)
		arena.spans[*head].prev = s->index;
	store_relaxed(head, s->index); /* `ready` is peeked at without the lock */
}

/* An abandoned span: under caches_lock, in a stop or in a forked child. */
void span_list_abandon(struct span *s)
{
	/* After the owner was written: see span_notify. */
	span_list_add(s, NULL, span_has_slots(s) || __atomic_load_n(&s->remote, __ATOMIC_SEQ_CST) ? LIST_READY : LIST_DORMANT);
}

void span_list_remove(struct span *s, struct cache *c)
{
	if (c && c->bins[s->class].look == s->index)
		c->bins[s->class].look = s->next;
	if (s->prev)
		arena.spans[s->prev].next = s->next;
	else
		store_relaxed(list_head(s, c), s->next);
	if (s->next)
		arena.spans[s->next].prev = s->prev;
	s->next = s->prev = 0;
	store_relaxed(&s->list, LIST_NONE);
}

void span_list_move(struct span *s, struct cache *c, uint32_t list)
{
	if (s->list != list) {
		span_list_remove(s, c);
		span_list_add(s, c, list);
	}
}
