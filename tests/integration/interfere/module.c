/* A module for modules.c: its constructor allocates, its pointers are in its data and in its thread-local storage only. */
#include <stddef.h>
#include <stdlib.h>
struct item { struct item *next; int value; };
static struct item *list;
static __thread struct item *own;
static __thread char wide[3000]; /* not in the static TLS block */
static void *volatile lost;
int module_use(int k);
void module_drop(void);

__attribute__((constructor)) static void begin(void)
{
	for (int i = 0; i < 100; i++) {
		struct item *fresh = malloc(sizeof *fresh);
		fresh->value = i;
		fresh->next = list;
		list = fresh;
		lost = malloc(50);
	}
}
int module_use(int k)
{
	int wrong = 0, want = 100;
	wide[7] = 1;
	for (int i = 0; i < 20; i++) {
		struct item *fresh = malloc(sizeof *fresh);
		fresh->value = k;
		fresh->next = own;
		own = fresh;
	}
	for (struct item *p = list; p; p = p->next)
		wrong += p->value != --want;
	for (struct item *p = own; p; p = p->next)
		wrong += p->value != k;
	return wrong + want;
}
void module_drop(void)
{
	while (own) {
		struct item *dead = own;
		own = dead->next;
		free(dead);
	}
}
__attribute__((destructor)) static void end(void)
{
	while (list) {
		struct item *dead = list;
		list = dead->next;
		free(dead);
	}
}
