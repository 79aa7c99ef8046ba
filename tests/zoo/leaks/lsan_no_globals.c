/* LSAN_OPTIONS=use_globals=0: what only data segments hold is lost. */
// expect: definite 1 blocks 72 bytes in_global
// lsan: use_globals=0
#include "lsan_fewer_roots.h"
