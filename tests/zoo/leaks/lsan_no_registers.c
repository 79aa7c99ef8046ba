/* LSAN_OPTIONS=use_registers=0: what only registers hold is lost. */
// expect: definite 1 blocks 120 bytes in_register
// lsan: use_registers=0
#include "lsan_fewer_roots.h"
