/* LeakSanitizer's interface as programs use it that may run without: weak references. */
#ifndef CGC_LEAK_LSAN_H
#define CGC_LEAK_LSAN_H

#if defined __has_include && __has_include(<sanitizer/lsan_interface.h>)
#include <sanitizer/lsan_interface.h> /* declarations only: no runtime is linked */
#endif
#pragma weak __lsan_disable
#pragma weak __lsan_enable
#pragma weak __lsan_ignore_object
#pragma weak __lsan_register_root_region
#pragma weak __lsan_unregister_root_region
#pragma weak __lsan_do_leak_check
#pragma weak __lsan_do_recoverable_leak_check

#include "leak.h"

void __lsan_disable(void);
void __lsan_enable(void);
void __lsan_ignore_object(const void *p);
void __lsan_register_root_region(const void *p, size_t size);
void __lsan_unregister_root_region(const void *p, size_t size);
void __lsan_do_leak_check(void);
int __lsan_do_recoverable_leak_check(void);

/* What a program may define itself, found because it is linked with -rdynamic. */
#define LSAN_OWN __attribute__((visibility("default"), used))
const char *__lsan_default_options(void);
const char *__lsan_default_suppressions(void);
int __lsan_is_turned_off(void);

static inline void lsan_needed(void)
{
	if (!&__lsan_disable || !&__lsan_enable || !&__lsan_ignore_object || !&__lsan_register_root_region || !&__lsan_unregister_root_region
	    || !&__lsan_do_leak_check || !&__lsan_do_recoverable_leak_check)
		_exit(77);
}

#endif
