/* Bytes of an ELF file that may be anything at all: every read goes through here, which checks offset and size against the file and without
 * overflow. */
#ifndef CGC_TOOLS_ELFIMAGE_H
#define CGC_TOOLS_ELFIMAGE_H

#include "base/bits.h"

#include <elf.h>
#include <string.h>

struct image {
	const unsigned char *bytes;
	size_t size;
	const Elf64_Phdr *unaligned_phdrs; /* file offset is checked, alignment is not: copied before use */
	unsigned phdr_count;
	bool damaged;
};

/* n bytes at `offset` of the file, or NULL. */
static inline const void *bytes_at(struct image *im, uint64_t offset, uint64_t n)
{
	if (offset > im->size || n > im->size - offset) {
		im->damaged = true;
		return NULL;
	}
	return im->bytes + offset;
}

static inline bool read_at(struct image *im, uint64_t offset, void *into, size_t n)
{
	const void *p = bytes_at(im, offset, n);
	if (p)
		memcpy(into, p, n);
	return p != NULL;
}

/* The NUL-terminated string at `offset`, or NULL when the file ends before its NUL. */
static inline const char *string_at(struct image *im, uint64_t offset)
{
	const char *s = bytes_at(im, offset, 1);
	if (!s)
		return NULL;
	if (!memchr(s, 0, im->size - offset)) {
		im->damaged = true;
		return NULL;
	}
	return s;
}

static inline bool phdr(struct image *im, unsigned i, Elf64_Phdr *out)
{
	if (i >= im->phdr_count)
		return false;
	memcpy(out, (const char *)im->unaligned_phdrs + i * sizeof(*out), sizeof(*out));
	return true;
}

#endif
