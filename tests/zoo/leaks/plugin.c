/* libleak_plugin.so: what programs of the zoo open at run time. */
#include <stddef.h>
#include <stdlib.h>

#define HELD(model, name) \
	static __thread __attribute__((used, tls_model(model))) void *name; \
	void hold_##name(void *p); \
	void hold_##name(void *p) { name = p; }

HELD("global-dynamic", global_dynamic)
HELD("initial-exec", initial_exec)

/* Two variables share one call of the loader: that is what local-dynamic is for. */
static __thread __attribute__((used, tls_model("local-dynamic"))) void *local_dynamic, *beside;
void hold_local_dynamic(void *p);
void hold_local_dynamic(void *p)
{
	beside = NULL;
	local_dynamic = p;
}

static __attribute__((used)) void *data;
void hold_data(void *p);
void hold_data(void *p) { data = p; }

void lose_in_plugin(void);
__attribute__((noinline)) void lose_in_plugin(void)
{
	void *volatile p = malloc(72);
	p = NULL;
	(void)p;
}
