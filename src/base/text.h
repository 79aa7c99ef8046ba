/* Formatting and printing that is async-signal-safe: no allocation, no locale, no stdio, no errno. */
#ifndef CGC_BASE_TEXT_H
#define CGC_BASE_TEXT_H

#include "base/bits.h"
#include <stdarg.h>

/* snprintf's shape with: %s %c %d %u %x %p %% and the lengths l and z (%zu, %lu, %lx, %ld). %-Ns, %Ns, %Nu pad with
 * spaces, %0Nx with zeros. Always ends in NUL when cap > 0; result: length written without NUL, at most cap - 1. */
size_t text_format(char *buf, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
size_t text_vformat(char *buf, size_t cap, const char *fmt, va_list ap);

/* A path with each %p replaced by the pid. */
void text_path(char *out, size_t cap, const char *path);

/* What %s and %c put into the lines below is made printable (base/printable.h): names come from files and other programs.
 * One line "cgc: ...\n" to the log (stderr unless log_path says otherwise) in a single write. At most 1 KiB. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same without the prefix and newline: for reports that build their own lines. */
void say_raw(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* As say, then abort(): an impossible state of cgc's own. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Internal assert: names the law it guards. Costs nothing unless CGC_DEBUG. */
#ifdef CGC_DEBUG
#define ensure(cond, law) ((cond) ? (void)0 : die("internal error at %s:%d: %s does not hold: %s", __FILE__, __LINE__, #cond, (law)))
#else
#define ensure(cond, law) ((void)sizeof(cond))
#endif

#endif
