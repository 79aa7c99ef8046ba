/* The table of modules: who lies where, also after dlclose, and while somebody lists anew. */
#include "backtrace/depot.h"
#include "backtrace/modules.h"
#include "module_kit.h"

#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct module *module_of(const void *address)
{
	uint32_t i = modules_find((uintptr_t)address);
	return i == MODULE_NONE ? NULL : modules_get(i);
}
static bool ends(const char *text, const char *end) { return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0; }

static void *open_one(const char *which, void **code)
{
	char name[32];
	snprintf(name, sizeof name, "module_%s", which);
	void *handle = open_module(which);
	*code = dlsym(handle, name);
	modules_list();
	return handle;
}
static void close_one(void *handle)
{
	dlclose(handle);
	modules_list();
}

Test(modules, before_the_first_listing_nothing_is_known)
{
	cr_assert_eq(modules_generation(), 0);
	cr_assert_eq(modules_find((uintptr_t)&module_of), MODULE_NONE);
}

Test(modules, program_libraries_and_vdso_are_found_by_address)
{
	char exe[512] = "";
	modules_list();
	cr_assert(readlink("/proc/self/exe", exe, sizeof exe - 1) > 0);
	const struct module *m = module_of((void *)&module_of);
	cr_assert(m && strcmp(m->path, exe) == 0, "%s", m ? m->path : "none");
	cr_assert((uintptr_t)&module_of >= m->text_low && (uintptr_t)&module_of < m->text_high);
	cr_assert(m->low <= m->text_low && m->text_high <= m->high);
	cr_assert(m->eh_frame_hdr > m->low && m->eh_frame_hdr + m->eh_frame_hdr_size < m->high && m->eh_frame_hdr_size > 12);
	cr_assert_eq(*(const uint8_t *)m->eh_frame_hdr, 1); /* its version */
	cr_assert(m->build_id_size == 20 && !m->closed && m->opened == 1);
	const struct module *c = module_of((void *)&l64a); /* no sanitizer has one of its own */
	cr_assert(c && strstr(c->path, "/libc.so") && c->path[0] == '/' && c->build_id_size);
	const struct module *v = module_of((void *)getauxval(AT_SYSINFO_EHDR));
	cr_assert(v && strcmp(v->path, "[vdso]") == 0 && v->build_id_size, "%s", v ? v->path : "none");
	int on_stack;
	cr_assert_null(module_of(&on_stack));
	cr_assert_null(module_of(NULL));
	cr_assert_null(module_of((void *)UINTPTR_MAX));
}

/* The note's bytes, taken from the file another way: by the linker's symbol-free header walk of dl_iterate_phdr. */
static uint8_t note[64];
static int find_note(struct dl_phdr_info *info, size_t size, void *arg)
{
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_NOTE) {
			const char *p = (const char *)info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, *found = memmem(p, info->dlpi_phdr[i].p_memsz, "\x14\0\0\0\3\0\0\0GNU", 12);
			if (found) {
				memcpy(note, found + 12, 20);
				return 1;
			}
		}
	return 1; /* the program only */
}
Test(modules, the_build_id_is_that_of_the_note)
{
	modules_list();
	dl_iterate_phdr(find_note, NULL);
	cr_assert_arr_eq(module_of((void *)&module_of)->build_id, note, 20);
}

Test(modules, a_listing_that_changes_nothing_keeps_the_generation)
{
	modules_list();
	uint32_t generation = modules_generation(), count = modules_count();
	modules_list();
	modules_list();
	cr_assert_eq(modules_generation(), generation);
	cr_assert_eq(modules_count(), count);
}

Test(modules, a_closed_module_keeps_its_name_and_its_row_comes_back)
{
	void *code;
	modules_list();
	uint32_t before = modules_generation();
	void *handle = open_one("a", &code);
	cr_assert_gt(modules_generation(), before);
	uint32_t row = modules_find((uintptr_t)code), count = modules_count();
	const struct module *m = modules_get(row);
	cr_assert(ends(m->path, "/libmodule_a.so") && !m->closed && m->opened > 1);
	close_one(handle);
	cr_assert(m->closed && ends(m->path, "/libmodule_a.so"));
	cr_assert_eq(modules_find((uintptr_t)code), row); /* nobody else stands there */
	void *again;
	for (int i = 0; i < 300; i++) {
		handle = open_one("a", &again);
		const struct module *now = module_of(again);
		cr_assert(now && ends(now->path, "/libmodule_a.so") && !now->closed);
		if (again == code)
			cr_assert_eq(now, m);
		close_one(handle);
	}
	cr_assert(modules_count() < count + 100, "%u rows", modules_count()); /* the loader takes the same place again as a rule */
}

Test(modules, an_address_leads_to_the_module_that_stands_there_now)
{
	void *a, *b;
	unsigned same_place = 0;
	for (int i = 0; i < 300; i++) {
		void *handle = open_one("a", &a);
		uint32_t row_a = modules_find((uintptr_t)a);
		close_one(handle);
		handle = open_one("b", &b);
		uint32_t row_b = modules_find((uintptr_t)b);
		cr_assert(ends(modules_get(row_b)->path, "/libmodule_b.so") && row_a != row_b);
		if (a == b) {
			same_place++;
			cr_assert(modules_get(row_a)->closed && !modules_get(row_b)->closed);
			close_one(handle);
			cr_assert_eq(modules_find((uintptr_t)a), row_b); /* the newest of the two that are gone */
		} else {
			close_one(handle);
		}
	}
	cr_assert_gt(same_place, 0);
}

Test(modules, stacks_of_two_modules_that_stood_in_one_place_are_told_apart)
{
	void *a, *b;
	unsigned same_place = 0;
	cr_assert(depot_start());
	for (int i = 0; i < 300; i++) {
		void *handle = open_one("a", &a);
		const uint32_t outer = depot_child(0, 0x1000), row_a = modules_find((uintptr_t)a), node_a = depot_child(outer, (uintptr_t)a + 1);
		cr_assert_eq(depot_get(node_a)->module, row_a);
		close_one(handle);
		cr_assert_eq(depot_child(outer, (uintptr_t)a + 1), node_a);
		handle = open_one("b", &b);
		if (a == b) {
			const uint32_t node_b = depot_child(outer, (uintptr_t)b + 1);
			same_place++;
			cr_assert_neq(node_a, node_b);
			cr_assert_eq(depot_get(node_b)->module, modules_find((uintptr_t)b));
			cr_assert_eq(depot_get(node_a)->module, row_a);
			cr_assert_eq(depot_pc(node_a), (uintptr_t)a + 1);
		}
		close_one(handle);
	}
	cr_assert_gt(same_place, 0);
	cr_assert_lt(depot_count(), 100); /* a module that comes back to its place finds its nodes again */
}

/* Readers while a lister goes on: what is found is right, and what was always there is always found. */
static _Atomic bool over;
static void *read_on(void *unused)
{
	uintptr_t known[] = { (uintptr_t)&module_of, (uintptr_t)&qsort, (uintptr_t)&modules_list };
	uint32_t rows[3];
	for (int i = 0; i < 3; i++)
		rows[i] = modules_find(known[i]);
	uintptr_t wrong = 0;
	while (!over)
		for (int i = 0; i < 3; i++)
			wrong += modules_find(known[i]) != rows[i];
	return (void *)wrong;
}
static void *list_on(void *unused)
{
	while (!over)
		modules_list();
	return NULL;
}
Test(modules, readers_are_not_disturbed_by_listers)
{
	pthread_t readers[2], lister;
	modules_list();
	for (int i = 0; i < 2; i++)
		pthread_create(&readers[i], NULL, read_on, NULL);
	pthread_create(&lister, NULL, list_on, NULL);
	void *code;
	for (int i = 0; i < 200; i++)
		close_one(open_one(i % 2 ? "a" : "b", &code));
	over = true;
	pthread_join(lister, NULL);
	for (int i = 0; i < 2; i++) {
		void *wrong;
		pthread_join(readers[i], &wrong);
		cr_assert_null(wrong);
	}
}

Test(modules, a_child_of_fork_lists_although_another_thread_was_at_it)
{
	pthread_t lister;
	modules_list();
	pthread_create(&lister, NULL, list_on, NULL);
	for (int i = 0; i < 50; i++) {
		modules_fork_prepare();
		pid_t pid = fork();
		if (pid > 0 && modules_fork_parent())
			modules_list();
		if (pid == 0) {
			void *code;
			alarm(20);
			modules_forked();
			void *handle = open_one("a", &code);
			_exit(handle && module_of(code) && !module_of(code)->closed ? 0 : 1);
		}
		int status;
		cr_assert_eq(waitpid(pid, &status, 0), pid);
		cr_assert_eq(status, 0);
	}
	over = true;
	pthread_join(lister, NULL);
}

static size_t total;
static void add(uintptr_t low, uintptr_t high) { total += high - low; }
Test(modules, memory_stays_small_over_many_openings)
{
	void *code;
	for (int i = 0; i < 1000; i++)
		close_one(open_one(i % 2 ? "a" : "b", &code));
	modules_own_ranges(add);
	cr_assert(total >= 64 << 10 && total <= 1 << 20, "%zu", total);
}
