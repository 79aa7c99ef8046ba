/*
 * The snapshot file (`.cgc`): what one process knew about its blocks at one moment. Written by the library, read by the cgc command
 * and by nothing else of the library; `cgc leaks`, `show` and `diff` work on it, and the socket sends the same bytes.
 *
 * Little-endian, every section at a multiple of 8, sections in any order, found by the table behind the header. A reader refuses
 * another magic and a newer major version, ignores sections it does not know, and takes the record size from the table, so that records may
 * grow at their end (a minor version). All counts and offsets are to be checked against the file: it may come from anywhere.
 *
 *   struct snapshot_header | struct snapshot_section[sections] | ... sections ...
 */
#ifndef CGC_REPORT_SNAPSHOT_H
#define CGC_REPORT_SNAPSHOT_H

#include <stdint.h>

#define SNAPSHOT_MAGIC "CGCSNAP\n"
enum { SNAPSHOT_MAJOR = 1, SNAPSHOT_MINOR = 1 };

struct snapshot_header {
	char magic[8];
	uint16_t major, minor;
	uint32_t sections;          /* entries of the table */
	uint64_t size;              /* bytes of the whole file */
	uint64_t flags;             /* SNAPSHOT_* below */
	uint64_t made_ns;           /* CLOCK_REALTIME */
	uint64_t started_ns;        /* CLOCK_REALTIME of the process' start */
	uint32_t pid, parent;
	uint64_t live_blocks, live_bytes;  /* as the program sees them: everything not freed */
	uint64_t heap_bytes, rss_bytes;
	uint64_t cycles, captures;
	uint64_t sample_bytes;      /* sample=; 0: every block is recorded */
	uint32_t program, command;  /* strings: path of the executable, its arguments joined by blanks */
	uint32_t why, machine;      /* strings: "exit", "demand", "interval", "exec", "signal 11"; "x86_64" */
};
enum {
	SNAPSHOT_COMPLETE = 1,   /* a cycle completed: kinds are known. Otherwise everything counts as reachable */
	SNAPSHOT_BLOCKS = 2,     /* section of single blocks is there */
	SNAPSHOT_CUT = 4         /* memory ran out: numbers are low, nothing in it is wrong */
};

enum snapshot_section_kind {
	SECTION_STRINGS = 1,     /* bytes; a string is an offset to its first byte, ends in NUL; offset 0 is "" */
	SECTION_MODULES = 2,     /* struct snapshot_module */
	SECTION_FRAMES = 3,      /* struct snapshot_frame; index 0 is unused */
	SECTION_SITES = 4,       /* struct snapshot_site, largest leak first */
	SECTION_ROOTS = 5,       /* struct snapshot_root: what was scanned */
	SECTION_GROWTH = 6,      /* struct snapshot_growth */
	SECTION_BLOCKS = 7,      /* struct snapshot_block; lost and possible ones, others on request */
	SECTION_LOOKS = 8        /* struct snapshot_looks, one record (from 1.1 on) */
};
struct snapshot_section {
	uint32_t kind, record;      /* record: bytes of one (1 for strings) */
	uint64_t offset, count;     /* from the file's start; records */
};

struct snapshot_module {
	uint64_t low, high, bias;   /* address in the file = address - bias */
	uint32_t path;              /* string */
	uint32_t flags;             /* 1: closed since */
	uint8_t build_id[32];
	uint32_t build_id_size, unused;
};

/* A frame of a stack and, by `parent`, the rest of it: the trie of src/backtrace/depot.h, those nodes that sites name. */
struct snapshot_frame {
	uint64_t pc;                /* return address: symbolize pc - 1 */
	uint32_t parent;            /* index; 0: outermost */
	uint32_t module;            /* index into modules; UINT32_MAX: none */
	uint32_t symbol;            /* string: the name in .symtab or .dynsym that holds pc - 1, mangled; 0: none known */
	uint32_t offset;            /* pc - 1 from that symbol's start, or from the module's when there is none */
};

enum snapshot_kind {
	KIND_DEFINITE,   /* no pointer to it at all; of a cycle, one block */
	KIND_INDIRECT,   /* only other lost blocks lead to it */
	KIND_POSSIBLE,   /* only interior pointers, or stale stack words, lead to it or to what holds it */
	KIND_REACHABLE,
	KINDS
};
enum snapshot_rule {
	RULE_NO_POINTER,       /* definite: no root and no block holds a pointer to it */
	RULE_CYCLE,            /* definite: only blocks that hang off it point to it */
	RULE_LOST_OWNER,       /* indirect; definite: in a child of fork, when that owner is a block of its parent's, which tells of it */
	RULE_INTERIOR_ONLY,    /* possible */
	RULE_STALE_STACK_ONLY, /* possible */
	RULE_POSSIBLE_OWNER,   /* possible: hangs off a possible one */
	RULE_REACHABLE,
	RULES
};
struct snapshot_site {
	uint64_t id;                /* stable: hash of function names and offsets, no addresses (site_id below) */
	uint32_t frame;             /* innermost frame; 0: not recorded */
	uint32_t flags;             /* 1: reports leave it out (lsan_disable, ignored, suppressed by the library) */
	struct { uint64_t blocks, bytes; } kind[KINDS]; /* bytes as the program asked for them where known, else of the slot */
	uint64_t owned_blocks, owned_bytes;  /* of its definite blocks: what hangs off them, each lost block counted once in the file */
	uint64_t example;           /* address of a block: a lost one if there is one */
	uint64_t largest;           /* bytes of the largest block */
	uint32_t rule;              /* enum snapshot_rule of the most blocks that are not reachable */
	uint32_t suppression;       /* string: the pattern that matched in the library; 0: none */
	double factor_bytes;        /* sample=: the estimate's standard error in bytes; 0 when exact */
};

struct snapshot_root {
	uint32_t name, kind;        /* strings: "libc.so.6 data", "stack of thread 4123", ...; and "segment", "stack", "mapping", "kernel", "declared" */
	uint64_t bytes;
};

/* Live bytes of a site over time: points of one site stand together, oldest first. Kept for sites that grew. */
struct snapshot_growth {
	uint32_t site, unused;      /* index into sites */
	uint64_t at_ns;             /* CLOCK_REALTIME */
	uint64_t blocks, bytes;
};

/* When growth was looked at: tells "nothing grew" from "nobody looked". */
struct snapshot_looks {
	uint64_t every_ns;          /* interval=; 0: none */
	uint64_t count;
	uint64_t first_ns, last_ns; /* CLOCK_REALTIME; 0: none yet */
};

struct snapshot_block {
	uint64_t address, bytes;
	uint32_t site;              /* index into sites */
	uint8_t kind, rule;         /* enum snapshot_kind, enum snapshot_rule */
	uint16_t unused;
	uint64_t owner;             /* rules of an owner: address of the block it hangs off; else 0 */
};

#endif
