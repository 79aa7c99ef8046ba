/* The same in a library that is opened at run time, whose variables are global-dynamic: in the main thread and in another one. */
// expect: definite 1 blocks 40 bytes decoy
#define HOLD "hold_global_dynamic"
#include "tls_plugin.h"
