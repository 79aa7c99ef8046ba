/* dlopen finds a library through its caller's RUNPATH, its dependency through $ORIGIN, and DEEPBIND does not bind past us. */
#include "check.h"
#include <dlfcn.h>

int main(void)
{
	/* no slash: only the RUNPATH of this program leads to it */
	void *h = dlopen("libshim-outer.so", RTLD_NOW | RTLD_DEEPBIND);
	CHECK("dlopen by the caller's RUNPATH", h != NULL);
	if (!h) {
		fprintf(stderr, "  %s\n", dlerror());
		DONE();
	}
	int (*value)(void) = (int (*)(void))dlsym(h, "outer_value");
	CHECK("dependency by $ORIGIN", value && value() == 42);
	int (*load)(void) = (int (*)(void))dlsym(h, "outer_load");
	CHECK("dlopen from a library by its RUNPATH", load && load() == 43);
	int (*same)(void) = (int (*)(void))dlsym(h, "outer_write_is_global");
	CHECK("deepbind", same && (same() == 1 || !getenv("UNDER_CGC")));
	CHECK("missing", dlopen("libno-such-thing.so", RTLD_NOW) == NULL && dlerror() != NULL);
	CHECK("itself", dlopen(NULL, RTLD_NOW) != NULL);
	CHECK("noload", dlopen("libshim-outer.so", RTLD_NOW | RTLD_NOLOAD) == h && dlclose(h) == 0);
	CHECK("dlclose", dlclose(h) == 0);
	CHECK("dlclose again", dlopen("libshim-outer.so", RTLD_NOW | RTLD_NOLOAD) == NULL);
	DONE();
}
