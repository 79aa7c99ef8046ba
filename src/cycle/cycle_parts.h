/* What the rooms above the cycle may ask of it beyond its face: a look at all blocks, an errand in a stop. */
#ifndef CGC_CYCLE_CYCLE_PARTS_H
#define CGC_CYCLE_CYCLE_PARTS_H

#include "cycle/cycle.h"
#include "mark/mark.h"

/* Who wants to see every block once, inside the stop: look.c says when each is called. All of it runs on the collector's stack (256 KiB), with
 * raw system calls only. */
struct cycle_look {
	bool apart;            /* state bytes are to be written in copies: the process ends next, and shares their pages */
	bool no_mark;          /* cycle_look_few asks with nothing marked only */
	bool (*enough)(void *arg); /* NULL, or: what is marked is surely reachable, and that answers all; what follows, firm() first, is left out */
	uintptr_t weak_below;  /* of the calling thread's stack: words below tell nothing certain; 0: none are there */
	bool weak_registers;   /* nor do its registers */
	void (*weak)(uintptr_t word); /* gets each of them: mark_word, or less */
	bool (*as_good)(uintptr_t w, const struct span *s, uint32_t slot); /* see mark_set_aside */
	bool (*firm)(void *arg);  /* false: no memory, the cycle ends */
	void (*plain)(void *arg); /* what is marked now is held by pointers, inner ones included; offsets come next */
	bool (*scanned)(const struct span *s, uint32_t slot); /* of the marked blocks: whose words count as offsets, too */
	void (*all)(bool cut);    /* cut: some inner pointers count as pointers to starts, for want of memory */
	void (*done)(void);       /* after firm, in any case, last */
	void *arg;
};
/* One cycle that ends without a verdict: nothing is condemned or recycled by it. Waits for another thread's cycle. */
enum abort_reason cycle_look(const struct cycle_look *look);
/* Before it, and much cheaper: asks enough() with nothing marked, and then with what a few roots reach. Only where the calling thread is the only one;
 * enough() must not read more than the marks of blocks it knows, as no list of free slots is marked. false: not enough, or not to be had. */
bool cycle_look_few(const struct cycle_look *look);
/* Runs fn inside a stop, on the collector's stack, without a mark. Called by the program's threads in the middle of free, so it
 * waits for another's cycle 100 ms at most, and for no fork. false: fn did not run. */
bool cycle_in_stop(void (*fn)(void *arg), void *arg);

/* watch=ADDR: tells when the block's state has changed since the last call. Under the collect lock. */
void cycle_watch(const char *when);

#endif
