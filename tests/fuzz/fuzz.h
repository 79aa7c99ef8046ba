/*
 * What the fuzz targets share: a reader of the input's bytes, and claims. A claim that fails ends the process, so that
 * libFuzzer keeps the input; ASan and UBSan watch everything else.
 */
#ifndef CGC_TESTS_FUZZ_H
#define CGC_TESTS_FUZZ_H

#include "base/bits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#define claim(cond, ...)                                                                                              \
	do {                                                                                                          \
		if (!(cond)) {                                                                                        \
			fprintf(stderr, "ERROR: %s:%d: %s does not hold: ", __FILE__, __LINE__, #cond);               \
			fprintf(stderr, __VA_ARGS__);                                                                 \
			fputc('\n', stderr);                                                                          \
			abort();                                                                                      \
		}                                                                                                     \
	} while (0)

struct input {
	const uint8_t *p, *end;
};
/* Behind the end of the input everything is 0. */
static inline uint8_t take_byte(struct input *in) { return in->p < in->end ? *in->p++ : 0; }
static inline unsigned take_short(struct input *in)
{
	unsigned low = take_byte(in);
	return low | (unsigned)take_byte(in) << 8;
}
static inline bool input_left(const struct input *in) { return in->p < in->end; }

/* The rest as a string of its own size on the (sanitized) heap, to be freed. */
static inline char *take_string(struct input *in)
{
	size_t n = (size_t)(in->end - in->p);
	char *s = malloc(n + 1);
	if (!s)
		abort();
	memcpy(s, in->p, n);
	s[n] = 0;
	in->p = in->end;
	return s;
}

#endif
