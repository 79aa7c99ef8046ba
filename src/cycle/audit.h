/* What the cycle does with evidence (law 9), and what audit and sites=1 tell at the end. */
#ifndef CGC_CYCLE_AUDIT_H
#define CGC_CYCLE_AUDIT_H

#include "base/bits.h"
#include "base/tally.h"

/* heap_hooks.evidence. In collect the first one ends recycling: of its site with sites=1, else of the process. In audit it is
 * noted by allocation site and caller. Any thread, in handlers too. */
struct evidence;
void audit_evidence(const struct evidence *e);
/* The process's numbers so far. */
void audit_tally(struct tally *t);
/* Prints the verdict, and for each contradiction its sites and the likely reason. */
void audit_print(void);
/* sites=1: prints the sites whose blocks were recycled most, by bytes. */
void audit_print_recycled(void);
void audit_forked(void);

#endif
