/* The two libraries beside the test programs, module_other.c twice: for modules_test and symbols_test. Found by the program's own path,
 * so that a test runs alone from any folder. */
#ifndef CGC_TESTS_MODULE_KIT_H
#define CGC_TESTS_MODULE_KIT_H

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Opens libmodule_WHICH.so. */
static inline void *open_module(const char *which)
{
	char path[4200];
	ssize_t n = readlink("/proc/self/exe", path, 4096);
	cr_assert(n > 0 && n < 4096);
	path[n] = 0;
	char *name = strrchr(path, '/') + 1;
	snprintf(name, sizeof path - (size_t)(name - path), "libmodule_%s.so", which);
	void *handle = dlopen(path, RTLD_NOW);
	cr_assert(handle, "%s", dlerror());
	return handle;
}

#endif
