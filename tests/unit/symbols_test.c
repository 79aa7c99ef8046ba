/* Names of code, against what the linker knows. */
#include "backtrace/depot.h"
#include "backtrace/modules.h"
#include "backtrace/symbols.h"
#include "backtrace/symbols_file.h"
#include "module_kit.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

static void begin(void) { modules_list(); }
TestSuite(symbols, .init = begin, .timeout = 60);

static __attribute__((noinline)) int local_function(int n)
{
	__asm__ volatile("" : "+r"(n));
	return n + 1;
}

static const char *name_of(const void *address, uintptr_t *offset)
{
	const char *name = NULL;
	return symbols_find((uintptr_t)address, &name, offset) ? name : "";
}

Test(symbols, a_static_function_and_one_of_libc_have_their_names)
{
	uintptr_t offset;
	cr_assert_str_eq(name_of((void *)&local_function, &offset), "local_function");
	cr_assert_eq(offset, 0);
	cr_assert_str_eq(name_of((char *)&local_function + 2, &offset), "local_function");
	cr_assert_eq(offset, 2);
	Dl_info info;
	cr_assert(dladdr(dlsym(RTLD_DEFAULT, "qsort"), &info));
	const char *name = name_of((char *)info.dli_saddr + 1, &offset);
	cr_assert(strstr(name, "qsort"), "%s", name);
	cr_assert_eq(offset, 1);
}

Test(symbols, what_lies_nowhere_has_none)
{
	uintptr_t offset;
	int on_stack;
	cr_assert_str_empty(name_of(&on_stack, &offset));
	cr_assert_eq(offset, (uintptr_t)&on_stack);
	cr_assert_str_empty(name_of(NULL, &offset));
}

Test(symbols, the_vdso_is_read_from_memory)
{
	uintptr_t base = getauxval(AT_SYSINFO_EHDR), offset;
	const struct module *m = modules_get(modules_find(base));
	bool found = false;
	for (uintptr_t a = m->text_low; a < m->text_high && !found; a += 16)
		found = strstr(name_of((void *)a, &offset), "gettime") != NULL;
	cr_assert(found);
}

Test(symbols, names_of_a_closed_module_are_found_by_node)
{
	void *handle = open_module("a");
	cr_assert(depot_start());
	modules_list();
	uint32_t node = depot_child(0, (uintptr_t)dlsym(handle, "module_a") + 2);
	dlclose(handle);
	modules_list();
	open_module("b"); /* most likely in the same place */
	modules_list();
	const char *name = "", *module = "";
	uintptr_t offset;
	cr_assert(symbols_of_node(node, &name, &offset, &module));
	cr_assert_str_eq(name, "module_a");
	cr_assert_eq(offset, 1);
	cr_assert(strstr(module, "libmodule_a.so"));
	symbols_drop();
	cr_assert(symbols_of_node(node, &name, &offset, &module) && strcmp(name, "module_a") == 0);
}

/* ---- the reader alone ---- */

static uint8_t image[4096];
static size_t image_build(void)
{
	memset(image, 0, sizeof image);
	Elf64_Ehdr *h = (Elf64_Ehdr *)image;
	memcpy(h->e_ident, ELFMAG "\2\1\1", 7);
#if defined __x86_64__
	h->e_machine = EM_X86_64;
#else
	h->e_machine = EM_AARCH64;
#endif
	h->e_shoff = 2048;
	h->e_shentsize = sizeof(Elf64_Shdr);
	h->e_shnum = 3;
	Elf64_Shdr *s = (Elf64_Shdr *)(image + 2048);
	s[1] = (Elf64_Shdr){ .sh_type = SHT_SYMTAB, .sh_offset = 1024, .sh_size = 5 * sizeof(Elf64_Sym), .sh_entsize = sizeof(Elf64_Sym), .sh_link = 2 };
	s[2] = (Elf64_Shdr){ .sh_type = SHT_STRTAB, .sh_offset = 512, .sh_size = 32 };
	memcpy(image + 512, "\0first\0second\0alias\0label", 26);
	Elf64_Sym *y = (Elf64_Sym *)(image + 1024);
	y[1] = (Elf64_Sym){ .st_name = 7, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = 1, .st_value = 0x2000, .st_size = 0x100 };
	y[2] = (Elf64_Sym){ .st_name = 1, .st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC), .st_shndx = 1, .st_value = 0x1000, .st_size = 0x80 };
	y[3] = (Elf64_Sym){ .st_name = 14, .st_info = ELF64_ST_INFO(STB_LOCAL, STT_NOTYPE), .st_shndx = 1, .st_value = 0x2000 };
	y[4] = (Elf64_Sym){ .st_name = 20, .st_info = ELF64_ST_INFO(STB_LOCAL, STT_NOTYPE), .st_shndx = 1, .st_value = 0x2010, .st_size = 1 };
	return 2048 + 3 * sizeof(Elf64_Shdr);
}

/* Both ways to find a symbol give the same one. */
static bool alike(const struct symbol_file *f, const struct symbol *sorted, size_t n, uint64_t address)
{
	struct symbol found = { 0 };
	const struct symbol *s = symbol_search(sorted, n, address);
	cr_assert_eq(symbol_file_find(f, address, &found), s != NULL);
	cr_assert(!s || (s->address == found.address && s->name == found.name));
	return s != NULL;
}

Test(symbols, the_nearest_symbol_that_covers_the_address_names_it)
{
	struct symbol_file f;
	struct symbol sorted[8];
	size_t size = image_build();
	cr_assert(symbol_file_open(&f, image, size, NULL, NULL));
	size_t n = symbol_file_read(&f, sorted, 8);
	cr_assert_eq(n, 3); /* of two at one address the one that tells more */
#define NAMED(address) (alike(&f, sorted, n, address) ? f.names + symbol_search(sorted, n, address)->name : "")
	cr_assert_str_eq(NAMED(0x1000), "first");
	cr_assert_str_eq(NAMED(0x107f), "first");
	cr_assert_str_empty(NAMED(0x1080));
	cr_assert_str_empty(NAMED(0xfff));
	cr_assert_str_eq(NAMED(0x2000), "second");
	cr_assert_str_eq(NAMED(0x2010), "label");
	cr_assert_str_eq(NAMED(0x2050), "second");
	cr_assert_eq(symbol_file_read(&f, sorted, 2), 2);
}

static bool load_by(void *arg, uint64_t offset, uint64_t n)
{
	memcpy((uint8_t *)arg + offset, image + offset, n);
	return true;
}
static bool refuse(void *arg, uint64_t offset, uint64_t n) { return arg && offset + n <= 2048; }

Test(symbols, only_what_is_looked_at_is_loaded)
{
	struct symbol_file f;
	static uint8_t part[sizeof image];
	size_t size = image_build();
	memset(image + 1024 + 5 * sizeof(Elf64_Sym), 0xee, 100); /* between the tables */
	cr_assert(symbol_file_open(&f, part, size, load_by, part));
	cr_assert_eq(part[1024 + 5 * sizeof(Elf64_Sym)], 0);
	struct symbol found;
	cr_assert(symbol_file_find(&f, 0x1001, &found));
	cr_assert_str_eq(f.names + found.name, "first");
	cr_assert_not(symbol_file_open(&f, image, size, refuse, NULL));
	cr_assert_not(f.table);
	symbol_file_open(&f, image, size, refuse, image); /* the header is to be had, sections are not */
	cr_assert_not(f.table);
}

Test(symbols, a_long_table_is_gone_through_and_sorted_alike)
{
	/* All of this program's own functions: the first questions go through the table, later ones find it sorted. */
	for (int round = 0; round < 60; round++) {
		uintptr_t offset;
		cr_assert_str_eq(name_of((char *)&local_function + 1, &offset), "local_function");
		cr_assert_eq(offset, 1);
	}
}

Test(symbols, a_file_cut_anywhere_or_with_any_byte_changed_is_read_without_harm)
{
	struct symbol_file f;
	struct symbol sorted[8];
	size_t size = image_build();
	uint8_t whole[sizeof image];
	memcpy(whole, image, size);
	for (size_t cut = 0; cut < size; cut++) {
		uint8_t *exact = malloc(cut + 1);
		memcpy(exact, whole, cut);
		if (symbol_file_open(&f, exact, cut, NULL, NULL))
			symbol_file_read(&f, sorted, 8);
		free(exact);
	}
	static const uint8_t values[] = { 0x00, 0x7f, 0x80, 0xff };
	for (size_t i = 0; i < size; i++)
		for (size_t v = 0; v < sizeof values; v++) {
			memcpy(image, whole, size);
			image[i] = values[v];
			if (symbol_file_open(&f, image, size, NULL, NULL))
				for (size_t k = 0, n = symbol_file_read(&f, sorted, 8); k < n; k++)
					cr_assert_lt(sorted[k].name, f.names_size);
		}
}
