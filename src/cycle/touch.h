/* audit=touch: pages of lost blocks that the program reads or writes all the same. Inside src/cycle only; inside a stop. */
#ifndef CGC_CYCLE_TOUCH_H
#define CGC_CYCLE_TOUCH_H

#include "base/bits.h"

/* First in a stop, before anything of ours reads a block: notes what was touched. */
void touch_check(void);
/* After a complete mark: lifts veils from what came back, and veils more. */
void touch_veil(void);
/* The marker may have read anything, or somebody is about to: no veil is left. */
void touch_lift(void);

#endif
