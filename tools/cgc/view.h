/*
 * What the commands show: the sites of one or more snapshots, merged by their stable id, with the frames of their stacks.
 *
 *   snapshots ── view_make ──> sites, numbers ── symbols_resolve ──> names ── suppress_sites ──> what is left out ── formats
 *
 * A command shows one view and ends, so nothing in it is freed.
 */
#ifndef CGC_TOOLS_VIEW_H
#define CGC_TOOLS_VIEW_H

#include "keep.h"
#include "snapshot_read.h"

enum { STACK_MOST = 1024 };      /* frames of a stack that are looked at */

struct count { uint64_t blocks, bytes; };

/* One line of a stack, innermost first. A call that was inlined is a line of its own with the pc of the call it is part of. */
struct view_frame {
	uint64_t pc;             /* return address, as it was in the process */
	uint64_t address;        /* pc - 1 in the module's file; pc - 1 where there is no module */
	const char *module;      /* path; "" none */
	const char *build_id;    /* hexadecimal; "" none */
	const char *function;    /* demangled where that was possible; "" unknown */
	const char *linkage;     /* the symbol that holds it, mangled; "" unknown, or inlined */
	uint64_t offset;         /* pc - 1 from the symbol's start */
	const char *file;        /* source; "" unknown */
	unsigned line, column;   /* 0: unknown */
	bool inlined;            /* into the next line */
};

struct view_point {              /* live bytes at a moment */
	uint32_t pid;
	uint64_t at_ns;
	struct count live;
};

struct view_site {
	uint64_t id;
	unsigned id_digits;      /* that tell it from all others, at least 6 */
	struct count kind[KINDS], owned;
	uint64_t example, largest;
	uint32_t rule;
	double error;            /* standard error in bytes; 0: exact */
	const char *suppression; /* why it is left out; NULL: it is not */
	uint32_t processes;      /* how many snapshots have it */
	uint32_t source, frame;  /* its stack: snapshot and index there */
	struct view_point *points;
	size_t point_count;
	bool sampled_over_time;  /* the next two are known */
	int64_t grown;           /* bytes since the first point in the window */
	double rate;             /* bytes a second in the window */
	uint64_t span_ns;        /* what the window covers of it: from one look at what grows to the last */
	struct view_frame *frames; /* by symbols_resolve */
	size_t frame_count;
};

struct view_source {
	const char *name;        /* as on the command line, for hints */
	struct snapshot s;
	uint32_t *site_of;       /* its sites' places in the view */
};

struct view {
	struct view_source *sources;
	size_t source_count;
	struct view_site *sites; /* most important first */
	size_t count;
	bool complete;           /* in every process a cycle completed */
	bool cut, sampled;
	uint64_t looks, looked_ns; /* at what grows: the most that a process took, and the time from its first to its last */
	uint64_t look_every_ns;  /* interval= of that process; 0: none */
};

/* What a command was asked to show. */
struct choice {
	bool possible, reachable, suppressed;
	bool indirect;           /* sites all of whose lost blocks hang off other sites' too; totals have them in any case */
	uint64_t since_ns;       /* growth in this time alone; 0: not asked */
	size_t limit;            /* sites; 0: all */
};

/* Merges. since_ns: the window of grown and rate, counted from each snapshot's time; 0: all of it. false: no memory, one line was printed. */
bool view_make(struct view *v, struct view_source *sources, size_t count, uint64_t since_ns);
/* Most important first, by the kinds that are shown. */
void view_order(struct view *v, const struct choice *c);
/* Growth counts whatever leads to a block, so since_ns brings the reachable ones in. */
static inline bool choice_has(const struct choice *c, int kind)
{
	return kind == KIND_DEFINITE || kind == KIND_INDIRECT || c->since_ns || (kind == KIND_POSSIBLE ? c->possible : c->reachable);
}
/* What a site has of the kinds that were chosen. */
struct count site_shown(const struct view_site *site, const struct choice *c);
/* Is it to be listed? */
bool site_chosen(const struct view_site *site, const struct choice *c);
/* Numbers of the whole, whatever limit says. */
struct sums {
	size_t sites;                  /* listed */
	struct count shown;            /* their blocks of the chosen kinds */
	struct count kind[KINDS];      /* of all sites that are not left out; of the listed ones where growth was asked for */
	struct count live;             /* all blocks of the processes */
	struct count hidden_possible;  /* possible ones that were not asked for */
	size_t hanging_sites;          /* not listed: all that they lost hangs off what is */
	struct count hanging;
	size_t suppressed_sites;       /* left out, of those that would be listed */
	struct count suppressed;
};
struct sums view_sums(const struct view *v, const struct choice *c);
/* The site with this prefix of its id (hexadecimal). NULL: none or several, one line was printed. */
const struct view_site *view_find(const struct view *v, const char *prefix);
/* "7f3a9c", in a ring of static buffers. */
const char *site_id(const struct view_site *site);

extern const char *const kind_names[KINDS];
extern const char *const rule_texts[RULES];

#endif
