/* Call stacks as text, for what is told inside the process. */
#ifndef CGC_CYCLE_STACK_H
#define CGC_CYCLE_STACK_H

#include "base/bits.h"

/* Prints the stack of `node` by say_raw, one frame a line, innermost first: name and place in its module. `most` frames, then how many more
 * there are; 0: all. symbols_drop is the caller's. */
void stack_print(uint32_t node, unsigned most);

#endif
