/* The result of an audit in numbers and in words. The library writes it at exit, `cgc audit` reads it back and adds up. */
#ifndef CGC_BASE_TALLY_H
#define CGC_BASE_TALLY_H

#include "base/bits.h"

/*
 * A judgement is one block that one completed cycle looked at and found reachable or lost.
 *
 * With no contradiction in n independent judgements, the rate of wrong ones is below 3/n with 95 % confidence: 10,000 bound it
 * to 0.03 %. Judgements of the same block are not independent, so this is the least that deserves the word "safe", no proof.
 */
enum { TALLY_ENOUGH = 10000 };

struct tally {
	uint64_t contradictions, judgements, cycles;
	uint64_t processes; /* summed up; 1 is not mentioned */
};

/* The first contradiction of a process is told at once, in these words. */
#define TALLY_TOLD " of a block that was judged lost: "

/* The line without "cgc: " and newline:
 *   audit: safe: 0 contradictions in 1,204,311 judgements over 57 cycles
 *   audit: not safe: ...
 *   audit: not enough evidence: ...: what to do
 * Async-signal-safe. Result: its length. */
size_t tally_text(char *buf, size_t cap, const struct tally *t);
/* Reads such a line, with or without "cgc: "; false: it is another line. */
bool tally_parse(const char *line, struct tally *t);
/* Decimal with commas: 1,204,311. */
const char *tally_grouped(char buf[32], uint64_t n);

#endif
