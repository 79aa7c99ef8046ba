/* The command's view of executables: true on real ones, and no file whatever makes it read beside the file. */
#include "elffile.h"

#include <criterion/criterion.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct elf_facts facts_of(const char *path)
{
	struct elf_facts f;
	elf_inspect(path, &f);
	return f;
}

/* The bytes of a real program, at the end of a mapping whose next page is forbidden: a read too far is a crash. */
static unsigned char *guarded(size_t n, unsigned char **map, size_t *map_size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = align_up(n ? n : 1, page);
	*map_size = room + page;
	*map = mmap(NULL, *map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(*map, MAP_FAILED);
	cr_assert_eq(mprotect(*map + room, page, PROT_NONE), 0);
	return *map + room - n;
}

static unsigned char *load(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	cr_assert_not_null(f);
	fseek(f, 0, SEEK_END);
	*n = (size_t)ftell(f);
	rewind(f);
	unsigned char *bytes = malloc(*n);
	cr_assert_eq(fread(bytes, 1, *n, f), *n);
	fclose(f);
	return bytes;
}

static void inspect_guarded(const unsigned char *bytes, size_t n, struct elf_facts *f)
{
	unsigned char *map;
	size_t map_size;
	unsigned char *at = guarded(n, &map, &map_size);
	memcpy(at, bytes, n);
	elf_inspect_bytes(at, n, f);
	munmap(map, map_size);
}

Test(elffile, our_own_test_program_is_a_dynamic_one_of_this_machine)
{
	struct elf_facts f = facts_of("/proc/self/exe");
	cr_expect_eq(f.kind, ELF_PROGRAM);
	cr_expect_eq(f.bits, sizeof(void *) * 8);
	cr_expect(f.dynamic);
	cr_expect(strstr(f.interpreter, "ld"), "%s", f.interpreter);
	cr_expect_eq(access(f.interpreter, X_OK), 0);
	cr_expect_not(f.own_malloc);
}

Test(elffile, a_library_has_no_loader)
{
	struct elf_facts own = facts_of("/proc/self/exe"), f = facts_of(own.interpreter);
	cr_expect_eq(f.kind, ELF_PROGRAM);
	cr_expect_not(f.dynamic);
	cr_expect_eq(f.machine, own.machine);
}

Test(elffile, scripts_are_read_as_the_kernel_reads_them)
{
	static const struct { const char *text, *interpreter, *argument; } cases[] = {
		{ "#!/bin/sh\n", "/bin/sh", "" }, { "#! /usr/bin/env python3\nimport x\n", "/usr/bin/env", "python3" },
		{ "#!/bin/awk -f \n", "/bin/awk", "-f " }, { "#!", "", "" }, { "#!\n", "", "" }, { "#!/no/newline", "/no/newline", "" },
	};
	for (size_t i = 0; i < NELEM(cases); i++) {
		struct elf_facts f;
		inspect_guarded((const unsigned char *)cases[i].text, strlen(cases[i].text), &f);
		cr_expect_eq(f.kind, ELF_SCRIPT);
		cr_expect_str_eq(f.interpreter, cases[i].interpreter);
		cr_expect_str_eq(f.argument, cases[i].argument);
	}
}

Test(elffile, what_is_no_program_is_called_other_or_unreadable)
{
	struct elf_facts f;
	inspect_guarded((const unsigned char *)"", 0, &f);
	cr_expect_eq(f.kind, ELF_OTHER);
	inspect_guarded((const unsigned char *)"just text", 9, &f);
	cr_expect_eq(f.kind, ELF_OTHER);
	f = facts_of("/no/such/file");
	cr_expect_eq(f.kind, ELF_UNREADABLE);
	cr_expect_eq(f.error, ENOENT);
	f = facts_of("/tmp");
	cr_expect_eq(f.kind, ELF_UNREADABLE);
	f = facts_of("/dev/null");
	cr_expect_eq(f.kind, ELF_UNREADABLE, "a device is not read");
}

Test(elffile, another_class_is_told_by_the_header_alone)
{
	size_t n;
	unsigned char *bytes = load("/proc/self/exe", &n);
	bytes[EI_CLASS] = sizeof(void *) == 8 ? ELFCLASS32 : ELFCLASS64;
	struct elf_facts f;
	inspect_guarded(bytes, 64, &f);
	cr_expect_eq(f.bits, sizeof(void *) == 8 ? 32 : 64);
	free(bytes);
}

Test(elffile, a_file_cut_anywhere_is_survived)
{
	size_t n;
	unsigned char *bytes = load("/proc/self/exe", &n);
	for (size_t cut = 0; cut < n; cut += cut < 8192 ? 1 : 4093) {
		struct elf_facts f;
		inspect_guarded(bytes, cut, &f);
		cr_assert(cut >= sizeof(Elf64_Ehdr) || f.kind != ELF_PROGRAM);
	}
	free(bytes);
}

/* Every header field in turn, and random bytes in the tables, set to what overflows most easily. */
Test(elffile, a_file_with_any_bytes_changed_is_survived)
{
	static const uint64_t evil[] = { 0, 1, 0x7fffffffffffffff, UINT64_MAX, UINT64_MAX - 7, 0x80000000, 0xffffffff };
	size_t n;
	unsigned char *bytes = load("/proc/self/exe", &n), *map, *at;
	size_t map_size;
	struct elf_facts f;
	at = guarded(n, &map, &map_size);
	for (size_t offset = EI_NIDENT; offset + 8 <= 4096; offset++)
		for (size_t e = 0; e < NELEM(evil); e++) {
			memcpy(at, bytes, n);
			memcpy(at + offset, &evil[e], 8);
			elf_inspect_bytes(at, n, &f);
			cr_assert(memchr(f.interpreter, 0, sizeof(f.interpreter)));
		}
	srand(11);
	for (int round = 0; round < 3000; round++) {
		memcpy(at, bytes, n);
		for (int change = 0; change < 40; change++)
			at[EI_NIDENT + (size_t)rand() % (n - EI_NIDENT)] = (unsigned char)rand();
		for (int change = 0; change < 4; change++)
			at[EI_NIDENT + (size_t)rand() % 2048] = (unsigned char)rand();
		elf_inspect_bytes(at, n, &f);
	}
	munmap(map, map_size);
	free(bytes);
}
