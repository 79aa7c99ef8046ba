/* Who else defines malloc or operator new in this process (kin.c). */
#ifndef CGC_PRELOAD_KIN_H
#define CGC_PRELOAD_KIN_H

#include "base/bits.h"

/* Sets the hooks for pointers that are not ours. From the constructor. */
void kin_start(void);
/* Is this function, whose address here is `own`, defined before us in search order? */
bool kin_replaced(const char *name, const void *own);
/* Are `new` and `delete` served here? Else each call goes on to the next definition, and from there to malloc as a rule. */
bool kin_new_is_ours(void);

/* chunk.c: does this look like a block of glibc's own malloc? */
bool chunk_is_glibcs(const void *block);
/* new.c: is each operator new and delete that the program sees ours? And: decide now, where no lock of the program is held. */
bool new_is_not_replaced(void);
void new_start(void);
/* malloc.c: malloc by a name that nobody can replace. */
void *own_malloc(size_t size);

#endif
