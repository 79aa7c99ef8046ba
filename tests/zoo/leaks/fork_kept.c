/* A child of fork holds what it made in each way there is, and tells of nothing: by a static, from its stack, through blocks of its parent, in the middle
 * of one, in TLS, from one block to the next, and in a key. */
// expect: definite 1 blocks 40 bytes decoy
#include "leak.h"
#include <pthread.h>

struct chain {
	struct chain *next;
	void *held;
};

HELD void *by_static;
HELD struct chain *parents;
static _Thread_local void *volatile by_tls;

static SITE void *keep(size_t size) { return made(malloc(size)); }

static SITE void before_fork(void)
{
	for (int i = 0; i < 3; i++) {
		struct chain *c = keep(sizeof *c);
		*c = (struct chain){ parents, NULL };
		parents = c;
	}
}

static SITE void child(void)
{
	pthread_key_t key;
	void *volatile from_stack = keep(48);
	by_static = keep(56);
	parents->next->next->held = keep(72);
	parents->next->held = keep(200000);
	parents->held = keep(88);
	*(void **)parents->held = keep(104);
	by_tls = keep(120);
	if (pthread_key_create(&key, NULL) != 0 || pthread_setspecific(key, keep(136)) != 0)
		_exit(2);
	kit_scrub();
	use(from_stack);
	exit(0);
}

int main(void)
{
	before_fork();
	decoy();
	int status = leak_fork(child);
	kit_scrub();
	return status;
}
