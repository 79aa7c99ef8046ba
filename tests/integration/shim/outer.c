/* In lib/, RUNPATH $ORIGIN/inner: needs libshim-inner.so, and loads libshim-late.so from there. */
#include <dlfcn.h>
#include <unistd.h>
int inner_value(void);
int outer_value(void);
int outer_load(void);
int outer_write_is_global(void);
int outer_value(void) { return inner_value() + 1; }
int outer_load(void)
{
	void *h = dlopen("libshim-late.so", RTLD_LAZY);
	int (*late)(void) = h ? (int (*)(void))dlsym(h, "late_value") : 0;
	return late ? late() : -1;
}
/* Is the write that this library is bound to the one that the program sees? Not with RTLD_DEEPBIND. */
int outer_write_is_global(void) { return (void *)write == dlsym(RTLD_DEFAULT, "write"); }
