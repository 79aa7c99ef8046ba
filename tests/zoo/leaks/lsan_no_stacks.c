/* LSAN_OPTIONS=use_stacks=0: what only stacks hold is lost. */
// expect: definite 1 blocks 104 bytes on_stack
// lsan: use_stacks=0
#include "lsan_fewer_roots.h"
