/* dlopen, use, dlclose in a loop by three threads while two others allocate; then namespaces of their own by dlmopen. Modules: ./module[0-3].so */
#include "kit.h"
#include <dlfcn.h>

static int wrong, opened;

static int use(void *handle, int k)
{
	int (*module_use)(int) = (int (*)(int))dlsym(handle, "module_use");
	void (*module_drop)(void) = (void (*)(void))dlsym(handle, "module_drop");
	int bad = 0;
	for (int i = 0; i < 5; i++)
		bad += module_use(k);
	module_drop();
	return bad + dlclose(handle);
}

static void *opener(void *p)
{
	char name[32];
	for (int i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "./module%d.so", ((int)(long)p + i) % 4);
		void *handle = dlopen(name, RTLD_NOW | (i & 1 ? RTLD_DEEPBIND : 0));
		if (handle)
			__atomic_add_fetch(&opened, 1, __ATOMIC_SEQ_CST);
		if (!handle || use(handle, (int)(long)p))
			__atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

int main(void)
{
	pthread_t t[3];
	int spaces = 0;
	churn_start();
	for (long i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, opener, (void *)i);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 6; i++) {
		void *handle = dlmopen(LM_ID_NEWLM, "./module0.so", RTLD_NOW);
		spaces += handle && use(handle, 7) == 0;
	}
	churn_stop();
	printf("%d wrong, %d opened, %d namespaces\n", wrong, opened, spaces);
	return wrong != 0;
}
