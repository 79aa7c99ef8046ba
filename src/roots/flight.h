/*
 * Words in flight: pointers that the program wrote into a pipe, a socket or a queue, and that stand nowhere else until somebody
 * reads them. preload/flight.h looks through what programs write and read, and tells here.
 *
 * Everything but flight_each may be called at any time, from any thread, from signal handlers that interrupt these very
 * functions and may leave by longjmp: no lock is taken, and a note that was left half done costs its place, nothing else.
 */
#ifndef CGC_ROOTS_FLIGHT_H
#define CGC_ROOTS_FLIGHT_H

#include "base/bits.h"

/* Who can take a word out again. Below FLIGHT_CHANNELS: */
enum {
	FLIGHT_KEPT,     /* nobody that can be told: it stays for its time (terminals, counters of eventfd) */
	FLIGHT_SOCKETS,  /* a read from any socket: the ends of a connection do not name each other */
	FLIGHT_DEVICE,   /* nobody: a driver or server of devices hands it back when it likes. It ends when its block is freed */
	FLIGHT_CHANNELS  /* from here on: one pipe or queue, by flight_channel of what names it */
};
uint32_t flight_channel(uint64_t a, uint64_t b);

/* life: how long a word stays, in ticks of 100 ms; 0: the look is off. Set once at start, and right before that.
 * any: there may be words. Set by flight_note, cleared by the collector; readers look at nothing while it is false. */
struct flight {
	uint32_t life;
	bool any;        /* atomic */
	bool devices;    /* atomic: a word went to a device */
	bool duplicated; /* atomic: a word may stand in two places by now, so reading it ends nothing */
};
extern struct flight flight;

void flight_start(unsigned seconds);
uint32_t flight_now(void); /* in ticks; never 0 */

/* The first word of the heap's window (or one past its end) at byte `from` of buf or later, whatever its alignment. Result: its
 * byte, or n: there is none. All of buf[0..n) must be readable, and nothing else is read. */
size_t flight_next(const void *buf, size_t n, size_t from, uintptr_t *word);

/* The word is in the channel since `now`; noted twice it must be dropped twice. */
void flight_note(uintptr_t word, uint32_t channel, uint32_t now);
/* It came out of the channel again. false: it was not there, which is nothing special. */
bool flight_drop(uintptr_t word, uint32_t channel);
/* tee: from now on words stay for their time. */
void flight_duplicated(void);

#endif
