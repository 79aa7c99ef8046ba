/* What the programs share: a list that is checked, garbage beside it, threads that do the same until told to stop. */
#ifndef KIT_H
#define KIT_H
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct node { struct node *next; long value; };
static void *volatile lost;

/* Builds a list of n, loses a block beside each node, takes the list apart. Result: wrong values. */
__attribute__((unused)) static int work(long n)
{
	struct node *list = NULL;
	int wrong = 0;
	for (long i = 0; i < n; i++) {
		struct node *fresh = malloc(sizeof *fresh + (size_t)i % 300);
		fresh->value = i;
		fresh->next = list;
		list = fresh;
		lost = malloc(100);
	}
	while (list) {
		struct node *dead = list;
		wrong += dead->value != --n;
		list = dead->next;
		free(dead);
	}
	return wrong;
}

static volatile int churn_ends;
static pthread_t churners[2];
static void *churn(void *p)
{
	void *kept[50] = { NULL };
	for (unsigned x = 1; !churn_ends;) {
		x = x * 1664525 + 1013904223;
		unsigned i = (x >> 24) % 50;
		free(kept[i]);
		kept[i] = malloc((x >> 8) % 2000 + 1);
		if (x % 16 == 0)
			lost = malloc(40);
	}
	for (int i = 0; i < 50; i++)
		free(kept[i]);
	return p;
}
__attribute__((unused)) static void churn_start(void)
{
	for (int i = 0; i < 2; i++)
		pthread_create(&churners[i], NULL, churn, NULL);
}
__attribute__((unused)) static void churn_stop(void)
{
	churn_ends = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(churners[i], NULL);
}
#endif
