/* Names of programs, modules, functions and files may hold any bytes; what is shown to people must not steer their terminal. Async-signal-safe. */
#ifndef CGC_BASE_PRINTABLE_H
#define CGC_BASE_PRINTABLE_H

#include "base/bits.h"

/* Bytes of the UTF-8 character at s, of which `room` may be read; 0: it is none. */
size_t utf8_length(const unsigned char *s, size_t room);
/* Bytes of the character at s that a terminal shows; 0: its first byte is to be shown as '?': control characters, those of 0x80 to 0x9f and
 * whatever turns text around included, and what is no UTF-8. */
size_t printable_length(const unsigned char *s, size_t room);
/* Each such byte becomes '?'. */
void make_printable(char *text);

#endif
