/* LSAN_OPTIONS=use_tls=0: what only thread-local variables hold is lost; the C library has such blocks of its own. */
// expect: definite 2 blocks 176 bytes in_tls
// others: allowed
// lsan: use_tls=0
#include "lsan_fewer_roots.h"
