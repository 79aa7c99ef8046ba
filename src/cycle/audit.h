/* What the cycle does with evidence (law 9), and what audit and sites=1 tell at the end. */
#ifndef CGC_CYCLE_AUDIT_H
#define CGC_CYCLE_AUDIT_H

#include "base/bits.h"
#include "base/tally.h"

/* heap_hooks.evidence. In collect the first one ends recycling: of its site with sites=1, else of the process. In audit it is
 * noted by allocation site and caller. Any thread, in handlers too. */
struct evidence;
void audit_evidence(const struct evidence *e);
/* Inside a stop, with audit=touch: the program read or wrote the block, or another on its page, which was judged lost. */
void audit_touched(uintptr_t p, size_t block, size_t asked, uint32_t site);
/* After touch_check, in the same stop: looks for the hidden forms of what it found; no veil is left then. false: it found nothing. */
bool audit_search_touched(void);
/* At the end, before the numbers are read: with audit=touch a last look at what was touched. */
void audit_finish(void);
/* The process's numbers so far. */
void audit_tally(struct tally *t);
/* Prints the verdict, and for each contradiction its sites and the likely reason. */
void audit_print(void);
/* sites=1: prints the sites whose blocks were recycled most, by bytes. */
void audit_print_recycled(void);
void audit_forked(void);

#endif
