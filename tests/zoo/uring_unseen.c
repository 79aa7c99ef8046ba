/* uring.c's program with an instruction of its own for io_uring_enter: a request that the library can't have seen keeps its block all the
 * same. */
#define UNSEEN 1
#include "uring.c"
