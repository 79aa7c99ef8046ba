/*
 * The protocol of slots and spans, as src/heap and src/cycle run it, for two threads and a collector: every interleaving of the
 * code's own atomic steps, checked by spin (model.sh says how).
 *
 * One size class; SPANS spans of SLOTS slots; lists are sets (a push or a take of a whole list is one atomic step there too).
 * What is a single owner's business and nobody else can see is one step here. Loads and compare-and-swaps of shared words
 * are steps of their own. A stop is one step that waits until nobody is busy: threads on fast paths are
 * stopped between any two steps. Steps are sequentially consistent: where x86 could reorder a store and a load (owner and
 * remote, queued and remote) the code uses sequentially consistent operations.
 *
 * The program holds blocks, hands them to the other thread (both may free what is held), loses them, and frees lost ones by
 * a pointer that it kept where no collector looks (law 9). It does not use a hidden pointer to what has been handed out again: no
 * allocator can tell that from a good free. So sweep waits while a recycled slot is in such a free's hand.
 *
 * What must hold: the asserts. In words: a slot is in one place only; a block that the program can reach is never recycled, handed out
 * again, or in a span that is given back; out and recycled count right, so that a span is empty when they say so; and whenever the
 * world stops, a span with free slots is where somebody looks for it (law 6, and no slot is lost for ever).
 *
 * Each M_ define breaks one law; BUG_ defines bring back what this model found in the code.
 */
#ifndef SPANS
#define SPANS 1
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
#define N (SPANS * SLOTS)
#define STAMPS 3
/* what threads 0 and 1 do beside malloc and its slow paths */
#define FREES 1
#define LOSES 2
#define HIDES 4
#define FLUSHES 8
#define ENDS 16
#define FORKS 32
#ifndef DOES0
#define DOES0 (FREES + LOSES + FLUSHES + ENDS)
#endif
#ifndef DOES1
#define DOES1 (FREES + FLUSHES + ENDS)
#endif
#define can(x) (left > 0 && ((me == 0 -> DOES0 : DOES1) & (x)))
/* bounds: calls of each thread, cycles */
#ifndef CALLS
#define CALLS 5
#endif
#ifndef CYCLES
#define CYCLES 2
#endif
#ifndef GRACE
#define GRACE 1
#endif

/* state bytes */
#define FREE 0
#define RECYCLED 1
#define CONDEMNED(s) (8 + (s))
#define ALLOCATED(s) (16 + (s))
#define is_allocated(b) ((b) >= 16)
#define is_condemned(b) ((b) >= 8 && (b) < 16)
#define is_block(b) ((b) >= 8)
#define stamp_of(b) ((b) & 7)
#define age(b) ((stamp + STAMPS - stamp_of(b)) % STAMPS)

/* lists of spans */
#define NONE 0
#define AVAIL 1
#define FULL 2
#define READY 3
#define DORMANT 4

#define NOBODY 3 /* no owner, no holder of the lock */
#define COLLECTOR 2
#define NEVER 100 /* `out` of a span that fork tore */

#define bit(i) (1 << (i))
#define span_of(i) ((i) / SLOTS)
#define slots_of(s) (((1 << SLOTS) - 1) << ((s) * SLOTS))
#define has(set, i) (((set) >> (i)) & 1)
/* how many of span s's slots are in its own set (SLOTS is 3 at most) */
#define count(set, s) (has(set, (s) * SLOTS) + has(set, (s) * SLOTS + 1) + has(set, (s) * SLOTS + 2))
#define recycled_bytes(s) ((state[(s) * SLOTS] == RECYCLED) + (SLOTS > 1 && state[(s) * SLOTS + 1 % SLOTS] == RECYCLED) + (SLOTS > 2 && state[(s) * SLOTS + 2 % SLOTS] == RECYCLED))
#define received(n, s) out[s] = (out[s] == NEVER -> NEVER : out[s] - (n))

/* -- the heap -- */
byte state[N];
byte stamp;
bool ended;           /* evidence came in */
byte lock = NOBODY;   /* caches_lock */
bool busy[3];
/* sets of slots */
byte alloc[2], freed[2];
byte in_flush[2];     /* taken off the freed list, not yet given back; busy only */
byte s_free[SPANS], remote[SPANS], virgin[SPANS];
/* spans */
bool small[SPANS];    /* kind */
bool mapped[SPANS];   /* in the page map */
byte out[SPANS];
short recycled[SPANS];
byte owner[SPANS], list[SPANS];
bool queued[SPANS];
byte inbox[2];        /* sets of spans */
byte released;        /* set of spans: taken out inside a stop */
byte dead;            /* set of slots: the judge's */

/* -- the program, and what only the proof knows -- */
byte held;            /* reachable blocks */
byte lost;            /* blocks that nothing leads to, until they are handed out again */
byte hand[2];         /* in a register of a thread inside free: a root */
byte torn;            /* free slots that a fork dropped */
bool forked, gone[2], reset;

#define empty(s) (out[s] == (ended -> 0 : recycled[s]))
#define has_slots(s) (s_free[s] || virgin[s] || (recycled[s] > 0 && !ended))
#define lists_of_threads (alloc[0] | alloc[1] | freed[0] | freed[1] | in_flush[0] | in_flush[1])
#define mine(s, l) (small[s] && owner[s] == me && list[s] == (l))

/* the first span of which c(s) holds; there are two at most */
#define any(c) (c(0) || c(SPANS - 1))
#define pick(c) s = (c(0) -> 0 : SPANS - 1)
#define avail_here(s) (mine(s, AVAIL))
#define full_here(s) (mine(s, FULL) && (remote[s] || recycled[s] > 0))
#define ready(s) (small[s] && list[s] == READY)
#define unused(s) (!small[s])
#define owned(s) (small[s] && owner[s] == me)

/* On a list of slots twice, or on one while the program has it: the end of everything. */
inline put_on(set, i)
{
	assert(!((lists_of_threads | s_free[span_of(i)] | remote[span_of(i)]) & bit(i)));
	assert(!(held & bit(i)));
	set = set | bit(i)
}

inline first(set) /* into i */
{
	i = 0;
	do
	:: !((set) & bit(i)) -> i++
	:: else -> break
	od
}

/* -- spans -- */

inline clear_span(s)
{
	s_free[s] = 0; remote[s] = 0; out[s] = 0; recycled[s] = 0; virgin[s] = 0
}

inline clear_byte(j)
{
	assert(!is_block(state[j]));
	state[j] = FREE; lost = lost & ~bit(j); j++
}

/* span_release: bytes, owner, then arena_give. */
inline span_release(s)
{
	atomic {
		assert(small[s] && list[s] == NONE);
		assert(!((held | hand[0] | hand[1] | lists_of_threads) & slots_of(s)));
		assert(!remote[s]);
		j = s * SLOTS
	}
	do
#ifdef FORK
	:: atomic { j < (s + 1) * SLOTS -> clear_byte(j) }
#else
	:: atomic { j < (s + 1) * SLOTS -> /* a load and a store each, which only a fork can tell from one step */
		do
		:: j < (s + 1) * SLOTS -> clear_byte(j)
		:: else -> break
		od }
#endif
	:: atomic { j == (s + 1) * SLOTS -> owner[s] = NOBODY; break }
	od;
#ifdef FORK
	mapped[s] = 0;
#endif
	atomic { mapped[s] = 0; small[s] = 0; clear_span(s); j = 0 }
}

inline take_back(s, i)
{
	put_on(s_free[s], i);
	assert(out[s] > 0);
	received(1, s)
}

/* span_absorb: the remote list in one exchange, then the owner's own affair. */
inline absorb(s)
{
	received(count(remote[s], s), s);
	assert(!(s_free[s] & remote[s]));
	s_free[s] = s_free[s] | remote[s];
	remote[s] = 0
}

inline abandon_span(s) /* span_list_abandon */
{
	atomic { assert(list[s] == NONE); found_slots = has_slots(s) || remote[s] };
	atomic { list[s] = (found_slots -> READY : DORMANT); found_slots = 0 }
}

inline promote(s) /* cache_promote, after a peek */
{
	if
#ifdef BUG_PEEK_DORMANT
	:: list[s] == DORMANT ->
#else
	:: list[s] != READY ->
#endif
		atomic { lock == NOBODY -> /* what it does under the lock is one step: all who change the list hold it */
			if
			:: small[s] && list[s] == DORMANT -> list[s] = READY
			:: else
			fi }
	:: else
	fi
}

inline span_notify(s)
{
	do
	::
#ifndef BUG_QUEUED_FIRST
		if
		:: owner[s] == NOBODY -> promote(s); break
		:: else
		fi;
#endif
		if
		:: queued[s] -> break
		:: atomic { else -> queued[s] = 1 }
		fi;
		if
		:: atomic { owner[s] != NOBODY ->
			assert(!((inbox[0] | inbox[1]) & bit(s)));
			o = owner[s] }
			atomic { inbox[o] = inbox[o] | bit(s); o = 0; break }
		:: else
		fi;
#ifdef BUG_QUEUED_FIRST
		promote(s);
		queued[s] = 0;
		break
#else
		queued[s] = 0
#endif
	od
}

inline push_remote(i)
{
	atomic { hand[me] = hand[me] & ~bit(i); in_flush[me] = in_flush[me] & ~bit(i); put_on(remote[span_of(i)], i) }
	span_notify(span_of(i))
}

/* settle: avail, or gone when empty and not the last of its kind. */
inline settle(s)
{
	if
	:: empty(s) && SPANS > 1 && mine((s + 1) % SPANS, AVAIL) -> list[s] = NONE
	:: else ->
		if
		:: has_slots(s) -> list[s] = AVAIL
		:: else
		fi
	fi
}
inline give_if_empty(s)
{
	if
	:: list[s] == NONE -> span_release(s)
	:: else
	fi
}

inline give_back(i)
{
	if
	:: owner[span_of(i)] != me -> push_remote(i)
	:: atomic { else -> in_flush[me] = in_flush[me] & ~bit(i); take_back(span_of(i), i);
			settle(span_of(i)) } /* of an avail span it changes nothing but when it is empty */
		give_if_empty(span_of(i))
	fi
}

/* The freed list was moved to in_flush. */
inline flush()
{
	do
	:: atomic { in_flush[me] -> first(in_flush[me]) }
		give_back(i)
	:: atomic { else -> i = 0; break }
	od
}

inline next_note()
{
	s = 0;
	do
	:: s < SPANS && !(notes & bit(s)) -> s++
	:: else -> break
	od
}

inline take_notes()
{
	notes = inbox[me]; inbox[me] = 0; next_note()
}

/* The inbox was taken whole. */
inline inbox_drain()
{
	do
	:: s < SPANS ->
#ifdef M_ABSORB_FIRST
		if
		:: atomic { owner[s] == me -> absorb(s) }
		:: else
		fi;
#endif
		queued[s] = 0;
		if
		:: atomic { owner[s] == me ->
#ifndef M_ABSORB_FIRST
			absorb(s);
#endif
			settle(s) }
			give_if_empty(s)
		:: owner[s] != me && owner[s] != NOBODY -> span_notify(s)
		:: owner[s] == NOBODY /* who gave it up has looked */
		fi;
		atomic { notes = notes & ~bit(s); next_note() }
	:: atomic { else -> s = 0; break }
	od
}

/* span_hand_out: all that there is; a real batch stops anywhere. Received slots and fresh ones are the owner's affair. */
inline hand_out(s)
{
	tries++;
	assert(tries < 6); /* a refill ends */
	i = s * SLOTS;
	do
	:: i < (s + 1) * SLOTS ->
		if
		:: (s_free[s] | virgin[s]) & bit(i) ->
			assert(state[i] == FREE);
			s_free[s] = s_free[s] & ~bit(i);
			virgin[s] = virgin[s] & ~bit(i);
			state[i] = ALLOCATED(stamp);
			received(-1, s);
			put_on(alloc[me], i)
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = s * SLOTS
}

inline sweep(s)
{
	do
	:: i < (s + 1) * SLOTS && recycled[s] > 0 && !ended ->
		if
#ifdef M_SWEEP_FREE
		:: atomic { (state[i] == RECYCLED || (state[i] == FREE && !(virgin[s] & bit(i)))) && !((hand[0] | hand[1]) & bit(i)) ->
#else
		:: atomic { state[i] == RECYCLED && !((hand[0] | hand[1]) & bit(i)) ->
#endif
			state[i] = ALLOCATED(stamp);
			lost = lost & ~bit(i);
			put_on(alloc[me], i) }
			atomic { recycled[s]--; i++ }
		:: atomic { state[i] != RECYCLED -> i++ } /* one in a hand is waited for: see above */
		fi
	:: atomic { else ->
		i = 0;
		if
		:: !alloc[me] || !has_slots(s) -> list[s] = FULL
		:: else
		fi;
		break }
	od
}

/* adopt: the span was just taken off its list, under the lock. */
inline adopt(s)
{
#ifdef M_ABSORB_BEFORE_OWNER
	atomic { absorb(s) }
	owner[s] = me;
#else
	owner[s] = me;
	atomic { absorb(s) }
#endif
	atomic { list[s] = (has_slots(s) -> AVAIL : FULL); lock = NOBODY }
}

/* span_fresh until it is in the page map. */
inline fresh(s)
{
	assert(!remote[s] && !s_free[s] && !mapped[s]);
	clear_span(s);
	small[s] = 1; owner[s] = me; list[s] = NONE;
	virgin[s] = slots_of(s)
}

/* The order in which a refill tries things is left open: any that could help may come next. */
inline refill()
{
	do
	:: atomic { any(avail_here) -> pick(avail_here); hand_out(s) }
		sweep(s);
		if
		:: atomic { alloc[me] -> busy[me] = 0; break }
		:: else
		fi
	:: atomic { !any(avail_here) && inbox[me] -> take_notes() }
		inbox_drain()
	:: atomic { !any(avail_here) && any(full_here) -> /* look_around */
			pick(full_here); absorb(s); settle(s) }
		give_if_empty(s)
	:: atomic { !any(avail_here) && lock == NOBODY && any(ready) -> pick(ready); lock = me; list[s] = NONE }
		adopt(s)
	:: atomic { !any(avail_here) && any(unused) -> pick(unused); fresh(s) }
		atomic { mapped[s] = 1; list[s] = AVAIL }
	:: atomic { !any(avail_here) && !any(unused) -> busy[me] = 0; break } /* no memory */
	od;
	atomic { tries = 0; s = 0 }
}

/* cache_abandon. */
inline abandon_cache()
{
	atomic { take_notes() }
	inbox_drain();
	atomic { /* the alloc list's slots become free, and go the way of the freed ones */
		i = 0;
		do
		:: i < N && (alloc[me] & bit(i)) -> state[i] = FREE; i++
		:: i < N && !(alloc[me] & bit(i)) -> i++
		:: else -> break
		od;
		in_flush[me] = freed[me] | alloc[me];
		alloc[me] = 0; freed[me] = 0;
		i = 0
	}
	flush();
	atomic { lock == NOBODY -> lock = me }
	do
	:: atomic { any(owned) -> pick(owned); list[s] = NONE }
		if
#ifdef M_EMPTY_BY_BYTES
		:: !remote[s] && !is_block(state[s * SLOTS]) && !is_block(state[s * SLOTS + SLOTS - 1]) -> span_release(s)
#else
		:: empty(s) && !remote[s] -> span_release(s)
#endif
		:: atomic { else -> owner[s] = NOBODY }
			abandon_span(s)
		fi
	:: atomic { else -> s = 0; lock = NOBODY; busy[me] = 0; break }
	od
}

/* -- free of slot i, which is in this thread's hand -- */
inline free_slow()
{
	atomic { busy[me] = 1; b = state[i] }
	do /* state_free */
	:: !is_block(b) -> break
	:: is_block(b) ->
#ifdef M_FREE_STORE
		state[i] = FREE; break
#else
		if
		:: atomic { state[i] == b -> state[i] = FREE; break }
		:: atomic { else -> b = state[i] }
		fi
#endif
	od;
	if
	:: atomic { !is_block(b) -> ended = 1; hand[me] = hand[me] & ~bit(i); lost = lost | bit(i) } /* evidence */
	:: atomic { is_block(b) && owner[span_of(i)] == me -> put_on(freed[me], i); hand[me] = hand[me] & ~bit(i) }
	:: is_block(b) && owner[span_of(i)] != me -> push_remote(i)
	fi;
	busy[me] = 0
}

inline free_fast()
{
	if
	:: atomic { owner[span_of(i)] == me -> b = state[i] }
		if
		:: atomic { is_allocated(b) -> state[i] = FREE } /* a plain store: it may hit what the verdict just wrote */
			atomic { put_on(freed[me], i); hand[me] = hand[me] & ~bit(i) }
		:: else -> free_slow()
		fi
	:: else -> free_slow()
	fi;
	atomic { b = 0; i = 0 }
}

/* -- fork in thread me: the other one and the collector are gone, wherever they were -- */
inline fork()
{
	atomic {
		forked = 1; gone[1 - me] = 1; reset = 1;
		dead = 0; released = 0; lock = NOBODY;
		inbox[0] = 0; inbox[1] = 0;
		busy[COLLECTOR] = 0;
		hand[1 - me] = 0;
		torn = torn | in_flush[1 - me];
		if
		:: busy[1 - me] -> /* forget_torn */
			lost = lost | alloc[1 - me];
			torn = torn | freed[1 - me]
		:: else -> /* cache_abandon: nobody is there to race with */
			i = 0;
			do
			:: i < N && (alloc[1 - me] & bit(i)) -> state[i] = FREE; i++
			:: i < N && !(alloc[1 - me] & bit(i)) -> i++
			:: else -> break
			od;
			freed[1 - me] = freed[1 - me] | alloc[1 - me];
			i = 0;
			do
			:: i < N && (freed[1 - me] & bit(i)) ->
				if
				:: owner[span_of(i)] == 1 - me ->
					s_free[span_of(i)] = s_free[span_of(i)] | bit(i);
					out[span_of(i)] = (out[span_of(i)] == NEVER -> NEVER : out[span_of(i)] - 1)
				:: else -> remote[span_of(i)] = remote[span_of(i)] | bit(i)
				fi;
				i++
			:: i < N && !(freed[1 - me] & bit(i)) -> i++
			:: else -> break
			od
		fi;
		alloc[1 - me] = 0; freed[1 - me] = 0; in_flush[1 - me] = 0;
		s = 0;
		do
		:: s < SPANS && small[s] ->
			queued[s] = 0;
			if
			:: owner[s] == 1 - me && busy[1 - me] ->
				torn = torn | s_free[s] | remote[s];
				s_free[s] = 0; remote[s] = 0; out[s] = NEVER; owner[s] = NOBODY;
				recycled[s] = recycled_bytes(s)
			:: owner[s] == 1 - me && !busy[1 - me] -> owner[s] = NOBODY
			:: else
			fi;
			if
			:: owner[s] == NOBODY ->
#ifndef BUG_FORK_UNPUBLISHED
				mapped[s] = 1;
#endif
#ifndef BUG_FORK_COUNT
				recycled[s] = recycled_bytes(s);
#endif
				list[s] = (has_slots(s) || remote[s] -> READY : DORMANT)
			:: else
			fi;
			s++
		:: s < SPANS && !small[s] -> queued[s] = 0; s++
		:: else -> break
		od;
		i = 0;
		do /* what it had in hand, or was giving back: free slots stay unused, blocks are the collector's to find */
		:: i < N ->
			if
			:: small[span_of(i)] && !((lists_of_threads | s_free[span_of(i)] | remote[span_of(i)] | virgin[span_of(i)] | held | lost | torn | hand[me]) & bit(i)) ->
				if
				:: state[i] == FREE -> torn = torn | bit(i)
				:: else -> lost = lost | bit(i)
				fi
			:: else
			fi;
			i++
		:: else -> break
		od;
		busy[1 - me] = 0;
		i = 0; s = 0
	}
}

/* -- a thread of the program -- */
proctype thread(byte me)
{
	byte i, j, s, k, b, o, notes, tries;
	byte left = CALLS;
	bool found_slots;
	{
end:		do
		:: atomic { alloc[me] && left > 0 -> left--; /* malloc */
				first(alloc[me]);
				assert(!((held | hand[0] | hand[1]) & bit(i)));
				assert(is_allocated(state[i]) && mapped[span_of(i)]);
				alloc[me] = alloc[me] & ~bit(i);
				held = held | bit(i);
				i = 0 }
		:: atomic { !alloc[me] && freed[me] && left > 0 -> /* refill_from_freed: nobody else looks at these bytes */
				do
				:: i < N && (freed[me] & bit(i)) -> assert(state[i] == FREE); state[i] = ALLOCATED(stamp); i++
				:: i < N && !(freed[me] & bit(i)) -> i++
				:: else -> break
				od;
				alloc[me] = freed[me]; freed[me] = 0; i = 0 }
		:: atomic { !alloc[me] && !freed[me] && left > 0 -> busy[me] = 1 }
			refill()
		:: atomic { held && can(FREES) -> left--; /* free: any of them */
				do
				:: i < N - 1 -> i++
				:: held & bit(i) -> break
				:: i == N - 1 && !(held & bit(i)) -> first(held); break
				od;
				held = held & ~bit(i); hand[me] = hand[me] | bit(i) }
			free_fast()
		:: atomic { held && can(LOSES) -> left--; /* the program loses one */
				do
				:: i < N - 1 -> i++
				:: held & bit(i) -> break
				:: i == N - 1 && !(held & bit(i)) -> first(held); break
				od;
				held = held & ~bit(i); lost = lost | bit(i); i = 0 }
		:: atomic { lost && can(HIDES) -> left--; /* free by a hidden pointer */
				first(lost);
				if
				:: (is_block(state[i]) || state[i] == RECYCLED) -> lost = lost & ~bit(i); hand[me] = hand[me] | bit(i)
				:: else -> i = N
				fi }
			if
			:: i < N -> free_fast()
			:: else -> i = 0
			fi
		:: atomic { freed[me] && can(FLUSHES) -> left--; busy[me] = 1; in_flush[me] = freed[me]; freed[me] = 0 }
			flush();
			busy[me] = 0
		:: atomic { any(owned) && can(ENDS) -> left--; busy[me] = 1 } /* the thread ends; another one begins with its cache */
			abandon_cache()
#ifdef FORK
		:: atomic { !forked && can(FORKS) -> left--; fork() }
#endif
		od
	} unless { gone[me] }
}

/* -- the collector -- */

/* Whenever nobody is busy: everything has its one place, and counts are right. */
inline check_places()
{
	s = 0;
	do
	:: s < SPANS && small[s] ->
		k = 0; b = 0;
		i = s * SLOTS;
		do
		:: i < (s + 1) * SLOTS ->
			/* off: s_free and virgin; everything else counts in out */
			o = has(s_free[s], i) + has(remote[s], i) + has(virgin[s], i) + has(alloc[0], i) + has(alloc[1], i) + has(freed[0], i);
			o = o + has(freed[1], i) + has(held, i) + has(lost, i) + has(hand[0], i) + has(hand[1], i) + has(torn, i);
			assert(o == 1);
			assert(!((held | alloc[0] | alloc[1]) & bit(i)) || is_block(state[i]));
			assert(!((s_free[s] | remote[s] | virgin[s] | freed[0] | freed[1] | torn) & bit(i)) || state[i] == FREE);
			k = k + (((s_free[s] | virgin[s]) & bit(i)) -> 0 : 1);
			b = b + (state[i] == RECYCLED -> 1 : 0);
			i++
		:: else -> break
		od;
		assert(out[s] == k || (forked && out[s] > k));
		assert(recycled[s] == b || (forked && recycled[s] < b));
		/* found by whoever needs slots */
		assert(list[s] != NONE);
		assert((owner[s] == NOBODY) == (list[s] == READY || list[s] == DORMANT));
		assert(list[s] != DORMANT || !(has_slots(s) || remote[s]));
		assert(list[s] != FULL || queued[s] || forked || !(has_slots(s) || remote[s]));
		s++
	:: s < SPANS && !small[s] -> s++
	:: else -> break
	od
}

inline collect_empty()
{
	s = 0;
	do
	:: s < SPANS && small[s] && list[s] != NONE ->
		k = count(remote[s], s);
		received(k, s);
		s_free[s] = s_free[s] | remote[s]; remote[s] = 0;
		if
		:: !ended && (k || recycled[s] > 0) && empty(s) -> list[s] = NONE; owner[s] = NOBODY; released = released | bit(s)
		:: else
		fi;
		s++
	:: s < SPANS && !(small[s] && list[s] != NONE) -> s++
	:: else -> break
	od
}

inline mark_and_judge()
{
	live = held | hand[0] | hand[1];
#ifndef M_ALLOC_LIST_DIES
	live = live | alloc[0] | alloc[1];
#endif
#ifndef M_STAMP_AFTER_RESUME
	stamp = (stamp + 1) % STAMPS;
#endif
	dead = 0; i = 0;
	do
	:: i < N ->
		if
		:: is_block(state[i]) && (live & bit(i)) -> state[i] = ALLOCATED(stamp_of(state[i]))
		:: is_block(state[i]) && !(live & bit(i)) && stamp_of(state[i]) != stamp -> dead = dead | bit(i)
		:: else
		fi;
		i++
	:: else -> break
	od;
	live = 0
}

/* heap_disown of full spans that are mostly dead: with up to three slots, one of them. */
inline disown()
{
	s = 0;
	do
	:: s < SPANS && small[s] && list[s] == FULL && (dead & slots_of(s)) ->
		owner[s] = NOBODY;
		list[s] = (has_slots(s) || remote[s] -> READY : DORMANT);
		s++
	:: s < SPANS && !(small[s] && list[s] == FULL && (dead & slots_of(s))) -> s++
	:: else -> break
	od
}

/* heap_recycle of slot i, whose byte b is condemned. */
inline recycle(s)
{
	if
#ifdef M_RECYCLE_STORE
	:: atomic { true -> busy[me] = 1; state[i] = RECYCLED }
#else
	:: atomic { state[i] == b -> busy[me] = 1; assert(!(held & bit(i))); state[i] = RECYCLED }
#endif
		atomic { assert(small[s]); recycled[s]++ }
		span_notify(s);
		busy[me] = 0
	:: else
	fi
}

proctype collector()
{
	byte me = COLLECTOR;
	byte i, j, s, k, b, o, live, cycles;
end_again:
	{
end:		do
		:: /* a stop */
#ifdef M_PARK_BUSY
			atomic { cycles <= CYCLES ->
#else
			atomic { !busy[0] && !busy[1] && cycles <= CYCLES ->
#endif
				cycles++; /* the last one only checks */
				i = 0; s = 0; k = 0; b = 0; o = 0;
#ifndef M_PARK_BUSY
				check_places();
#endif
				if
				:: cycles <= CYCLES -> collect_empty(); mark_and_judge(); disown()
				:: else
				fi;
				i = 0; s = 0; k = 0; b = 0; o = 0 }
#ifdef M_STAMP_AFTER_RESUME
			stamp = (stamp + 1) % STAMPS;
#endif
			do /* heap_release_empty */
			:: atomic { released -> busy[me] = 1; s = ((released & 1) -> 0 : 1); released = released & ~bit(s) }
				span_release(s);
				busy[me] = 0
			:: atomic { else -> s = 0; break }
			od;
			do /* verdict_apply */
			:: atomic { dead -> first(dead); b = state[i] }
				if
#ifdef M_BLIND_VERDICT
				:: atomic { is_allocated(b) -> assert(!(held & bit(i))); state[i] = CONDEMNED(stamp); b = state[i] }
#else
#ifdef M_JUDGE_CURRENT
				:: is_allocated(b) ->
#else
				:: is_allocated(b) && stamp_of(b) != stamp ->
#endif
					if
					:: atomic { state[i] == b -> assert(!(held & bit(i))); state[i] = CONDEMNED(stamp) }
					:: else
					fi;
					b = state[i]
#endif
				:: else
				fi;
				if
				:: is_condemned(b) && age(b) >= GRACE && !ended -> recycle(span_of(i))
				:: else
				fi;
				atomic { dead = dead & ~bit(i); b = 0; i = 0 }
			:: atomic { else -> break }
			od
		od
	} unless { reset };
	atomic { reset = 0; i = 0; j = 0; s = 0; k = 0; b = 0; o = 0; live = 0 }
	goto end_again
}

init {
	atomic {
		byte n = 0;
		do
		:: n < SPANS -> owner[n] = NOBODY; n++
		:: else -> break
		od;
		/* thread 0 filled span 0 before; the program holds its blocks */
		small[0] = 1; mapped[0] = 1; owner[0] = 0; list[0] = FULL; out[0] = SLOTS;
		held = slots_of(0);
		n = SLOTS;
		do
		:: n > 0 -> n--; state[n] = ALLOCATED(0)
		:: else -> break
		od
	}
	atomic { run thread(0); run thread(1); run collector() }
}
