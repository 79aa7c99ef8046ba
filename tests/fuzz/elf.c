/* An executable file, any bytes: every string the reader hands on must end, and what it calls damaged or whole must be so twice. */
#include "elffile.h"
#include "fuzz.h"

#define ends(field) (memchr((field), 0, sizeof(field)) != NULL)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	uint8_t *file = malloc(n ? n : 1); /* its own size: a read behind the file's end shows */
	if (!file)
		abort();
	memcpy(file, bytes, n);
	struct elf_facts first, second;
	elf_inspect_bytes(file, n, &first);
	elf_inspect_bytes(file, n, &second);
	claim(!memcmp(&first, &second, sizeof first), "the second look finds other facts");
	claim(first.kind != ELF_UNREADABLE && first.kind <= ELF_PROGRAM, "kind %d", first.kind);
	claim(ends(first.interpreter) && ends(first.argument) && ends(first.sanitizer), "a string without an end");
	claim(first.kind == ELF_PROGRAM || first.kind == ELF_DAMAGED || !first.dynamic, "a script or text with program headers");
	free(file);
	return 0;
}
