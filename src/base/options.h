/* Options: one table drives parsing, CGC_OPTIONS=help=1, `cgc` and the man page. Read once at start; then constant. */
#ifndef CGC_BASE_OPTIONS_H
#define CGC_BASE_OPTIONS_H

#include "base/bits.h"

enum stacks_policy { STACKS_AUTO, STACKS_LIVE, STACKS_WHOLE };
enum mode { MODE_COLLECT, MODE_REPORT, MODE_AUDIT, MODE_OFF };
enum on_misuse { MISUSE_ABORT, MISUSE_REPORT, MISUSE_IGNORE };
enum audit_kind { AUDIT_FREE, AUDIT_TOUCH };
enum report_on { REPORT_ON_EXEC = 1, REPORT_ON_SIGNAL = 2 }; /* bits; at exit always */
enum roots_policy { ROOTS_ALL, ROOTS_SEGMENTS, ROOTS_FILES };

struct options {
	unsigned mode;         /* enum mode, default collect */
	unsigned stats;        /* 1: statistics at exit and on malloc_stats() */
	char log_path[256];    /* where lines and reports go; %p is the pid; empty: stderr */
	unsigned verbosity;    /* 0 silent unless something is wrong (default), 1 one line a cycle, 2 more */
	unsigned cpu_limit;    /* percent of CPU time the collector may use while memory is ample, 1..100, default 10 */
	unsigned growth;       /* percent of the live heap that starts a cycle, 10..1000, default 100 */
	unsigned grace;        /* extra cycles between condemned and recycled, 0..32, default 1; 0 is for tests */
	size_t heap_limit;     /* bytes (k, m, g suffixes); 0 none */
	unsigned stress;       /* a cycle at every Nth refill; 0 off; recycled blocks are filled with a pattern */
	unsigned verify;       /* 1: after each mark, check that no marked block points to an unmarked one */
	uintptr_t watch;       /* address: state changes of its block are logged */
	char fault[160];       /* test-only failures, see base/fault.h */
	unsigned markers;      /* marker threads; only 1 until marking runs in a snapshot child */
	unsigned cycle;        /* 0 stop: the marker runs inside the stop (the only kind yet) */
	unsigned roots;        /* enum roots_policy */
	unsigned stacks;       /* enum stacks_policy */
	unsigned tagged;       /* words count by this many low bits too, 46..64; 64: no */
	unsigned align;        /* 0: words at a multiple of 8 count; 1: of 4 */
	unsigned integers;     /* 1: addresses that languages keep as integers count */
	unsigned before;       /* bytes before a block where a word still counts; 0: none */
	unsigned mangled;      /* 1: words that glibc's setjmp mangled count */
	unsigned inflight;     /* seconds that a pointer written to a pipe, socket or queue is a root; 0: none is looked for */
	unsigned signal;       /* the signal that stops threads; 0: the platform's choice (33 on glibc) */
	unsigned on_misuse;    /* enum on_misuse, default abort */
	unsigned harden;       /* 1: poison, random order, delayed reuse (heap/harden.c) */
	unsigned explain;      /* 1: a line about faults of the program (preload/faults.c) */
	unsigned exitcode;     /* report mode: exit status when leaks were found; 0 leaves it alone (default) */
	unsigned audit;        /* enum audit_kind: what counts as a use of a lost block in mode=audit */
	unsigned sites;        /* 1: collect records allocation sites too: evidence ends recycling of its site only */
	size_t sample;         /* bytes: modes that record stacks do so for about one allocation in so many; 0: for each */
	char children[160];    /* which programs below the first one are served: all, none or names joined by + (preload/children.c) */
	char snapshot[256];    /* report mode: file to write at exit; %p is the pid; empty: text */
	char snapshot_dir[256];/* report mode: folder for the files of all processes; empty: none */
	unsigned report_on;    /* enum report_on, bits */
	unsigned exitcode_children; /* 1: exitcode is for all processes, not for the first only */
	unsigned exitcode_pid; /* the first process, written by itself (preload/children.c); 0: this is it */
	char suppressions[256];/* files, joined by '+' */
	unsigned print_suppressions; /* 1: a table of what was left out */
	unsigned listen;       /* 1: the process may be asked over a socket (control/) */
	unsigned interval;     /* seconds between two looks at what grows; 0: none */
	unsigned help;         /* 1: print the table and run on */
	struct {               /* LSAN_OPTIONS, mode=report only (lsan.c); all 0 without */
		unsigned off, not_at_exit;   /* 1: no report; none at exit */
		unsigned no_globals, no_stacks, no_registers, no_tls; /* 1: what only these hold is lost */
		unsigned max_leaks;          /* leaks listed as text; 0: as many as always */
		unsigned objects;            /* 1: their blocks, too */
	} lsan;
};
extern struct options options;

/* The bits of a word that tagged= leaves; all where no options were read. */
static inline uintptr_t options_tag_mask(void)
{
	return options.tagged && options.tagged < 64 ? ((uintptr_t)1 << options.tagged) - 1 : UINTPTR_MAX;
}

enum option_kind { OPTION_NUMBER, OPTION_SIZE, OPTION_CHOICE, OPTION_TEXT, OPTION_ADDRESS, OPTION_SECONDS };

struct option_row {
	const char *name;
	enum option_kind kind;
	const char *choices;   /* OPTION_CHOICE: names joined by '|', in enum order */
	unsigned long low, high;
	const char *fallback;  /* the default, as it would be written */
	const char *help;      /* one sentence */
	size_t offset, room;   /* the field in struct options and, for text, its size */
};
extern const struct option_row option_table[];
extern const size_t option_count;

/* Sets every field to its default. Called first; needs no libc. */
void options_defaults(struct options *o);
/* Parses "k=v:k=v" (':', ',' and blanks separate). Each bad item calls `complain` with one finished line (no "cgc: ",
 * no newline: say("%s", line) prints it) and leaves the default. A 0/1 switch may stand without a value.
 * Result: number of bad items. Async-signal-safe. */
int options_parse(struct options *o, const char *text, void (*complain)(const char *line));
/* LSAN_OPTIONS: LeakSanitizer's flags, those that we know; others and bad ones are skipped. Async-signal-safe. */
void options_parse_lsan(struct options *o, const char *text);
/* The option whose name is nearest to `name` (edit distance), or NULL when none is near. */
const struct option_row *options_nearest(const char *name);
/* Prints the table, one line an option, with say_raw. */
void options_print_help(void);

#endif
