/*
 * Veiled pages (audit=touch): OS pages of the arena that tell whether anybody read or wrote them. Everything here is for the
 * collector inside a stop, unless it says otherwise.
 */
#ifndef CGC_HEAP_VEIL_H
#define CGC_HEAP_VEIL_H

#include "base/bits.h"

enum { VEILS = 1024 };  /* pages at a time: each is a kernel mapping of its own, of 65,530 that a process may have as a rule */

/* Veiled pages may be there from here on: free pages are given back by mapping over them, and blocks are not moved by the kernel.
 * Once, at start. */
void veil_start(void);
bool veil_started(void); /* any time */

/* A batch: begin, up to `most` pages by veil_page, end. false: no page can be veiled now. */
bool veil_begin(unsigned most);
/* The page must be plain private memory. false: not done, nothing more can be veiled in this batch. */
bool veil_page(uintptr_t page);
void veil_end(void);

/* Gives each veiled page to fn, which says whether it stays veiled; the others become plain memory again. touched: somebody read or
 * wrote it, in a system call or out of one, since it was veiled. */
void veil_each(bool (*fn)(uintptr_t page, bool touched));
bool veil_covers(uintptr_t page);

/* Any time, any thread: accesses to [low, high) are accounted for otherwise: its pages never count as touched. */
void veil_excuse(uintptr_t low, uintptr_t high);

#endif
