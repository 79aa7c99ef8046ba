/* What why.c finds out and why_text.c says. Inside src/report only. */
#ifndef CGC_REPORT_WHY_H
#define CGC_REPORT_WHY_H

#include "report/report.h"

enum { WHY_HOPS = 40 };  /* of a longer way both ends are told */
#define WHY_NOWHERE SIZE_MAX

struct why_hop {
	uintptr_t block;
	uint64_t bytes;
	uint32_t site;
	size_t offset;           /* of the word that leads on; WHY_NOWHERE: not known, or the way ends here */
};
struct why_root {
	unsigned kind;           /* enum root_kind, or more */
	uintptr_t at, word;      /* where it stands, and what */
	int tid;                 /* stacks and registers */
	bool asker;              /* a word of the question itself */
	intptr_t above_sp;       /* stacks */
	const char *name;        /* registers */
};
/* In a mapping of its own that is no root. */
struct why_answer {
	enum why_what { WHY_NOTHING, WHY_FREE, WHY_CACHED, WHY_BLOCK } what;
	uintptr_t address, block;
	int kind, rule;          /* of a block */
	struct why_hop self, owner; /* owner.block 0: none */
	bool no_memory;
	uint64_t length;         /* hops of the whole way; 0: it was not found */
	struct why_root root;
	struct why_hop hops[WHY_HOPS]; /* the first half and the last of them */
};

/* true: the block is held. */
bool why_say(const struct why_answer *a, void (*write)(void *arg, const char *line), void *arg);

#endif
