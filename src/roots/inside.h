/* What the files of src/roots share. All of it runs inside the stop, on the collector's stack, under the collect lock. */
#ifndef CGC_ROOTS_INSIDE_H
#define CGC_ROOTS_INSIDE_H

#include "base/bits.h"
#include "base/stats.h"
#include "roots/maps.h"
#include "roots/roots.h"
#include "threads/threads.h"

/* -- pages.c: which pages of a mapping have contents -- */
enum pages_source { PAGES_NONE, PAGES_SCAN, PAGES_PAGEMAP, PAGES_SMAPS };
/* Opens what can be read, best first, and proves it on a page of our own. The list of mappings must come from smaps when
 * the result is PAGES_SMAPS. */
enum pages_source pages_begin(void);
void pages_end(void);
/* Does listing its pages take so long that smaps is to say first whether there are any? */
bool pages_vast(const struct mapping *m);
/* Can it be memory of huge pages, which only smaps tells? */
bool pages_may_be_huge(const struct mapping *m);
/* May pages of it be in swap though neither pagemap nor mincore tells? */
bool pages_swappable(const struct mapping *m);
/* Calls fn for each run of pages of [low, high) (part of m) that may hold the program's words. present: surely in memory now.
 * false: could not be found out, or fn said false. */
bool pages_each(const struct mapping *m, uintptr_t low, uintptr_t high,
                bool (*fn)(const struct mapping *m, uintptr_t low, uintptr_t high, bool present));
/* The same for pages of a mapped file that the kernel has in memory, whether the program wrote them or not. */
bool pages_each_of_file(const struct mapping *m, uintptr_t low, uintptr_t high,
                        bool (*fn)(const struct mapping *m, uintptr_t low, uintptr_t high, bool present));

/* -- ranges.c: sets of address ranges -- */
struct ranges {
	struct range *at;
	size_t count, room;
	bool failed; /* no memory: the set is incomplete */
};
void ranges_clear(struct ranges *r);
void ranges_reserve(struct ranges *r); /* its first memory */
void ranges_add(struct ranges *r, uintptr_t low, uintptr_t high);
void ranges_sort(struct ranges *r); /* sorts and melts together what overlaps or touches */
/* Index of the first range that ends above `address`. */
size_t ranges_first_above(const struct ranges *r, uintptr_t address);

/* -- own.c -- */
void own_ranges(void (*fn)(uintptr_t low, uintptr_t high)); /* what roots_exclude was told */
/* roots_set_weak, for the collecting thread: the part of its stack that is weak, which is taken off *live. And are its registers? */
struct range own_weak(const struct thread_root *t, struct range *live);
bool own_weak_registers(void);

/* -- segments.c -- */
void segments_start(void);
void segments_forked(void);
bool segments_listing(void); /* a listing is under way, or the loader's list is another by now: the table may lack a module */
void segments_each(void (*fn)(uintptr_t low, uintptr_t high)); /* writable data of the program's modules */
/* Writable segments of the shared library that cgc itself is in; none when it is linked into something else. */
void segments_own(void (*fn)(uintptr_t low, uintptr_t high));
void segments_memory(void (*fn)(uintptr_t low, uintptr_t high));

/* -- tables.c -- */
bool tables_full(void);
/* Gives every word that only the kernel or a thread not yet born holds to fn. Result: their number. */
size_t tables_each(void (*fn)(uintptr_t word), bool with_epoll);
/* A registration that a ring is about to make, or has made, with the lock or inside the stop. */
void tables_epoll(int set, int op, int fd, uint64_t data);
/* The shim told this word for this registration. */
bool tables_know_epoll(int set, int fd, uintptr_t word);
void tables_memory(void (*fn)(uintptr_t low, uintptr_t high));
void tables_enter(void); /* busy, and with the lock of all tables of this room */
void tables_leave(void);
void tables_set_full(void); /* with the lock: a word could not be kept, no cycle may judge any more */
void tables_lock(void);
void tables_unlock(void);
void tables_forked(void);

/* -- kernel.c: with the lock of tables.c, or inside the stop -- */
bool kernel_add(const struct kernel_row *row); /* false: no room */
bool kernel_take(enum kernel_kind kind, uint64_t key, struct kernel_row *out);
/* A request of KERNEL_URING; one more of the same words is counted. And the completion of one by this user_data. */
bool kernel_add_counted(const struct kernel_row *row);
void kernel_completed(uint64_t user_data, uint64_t ring);
void kernel_drop_where(bool (*fn)(const struct kernel_row *row, uint64_t what), uint64_t what);
/* Ends rows that are over, gives the words of the others to fn; not those whose kind's bit is in `without`. Result: words. */
size_t kernel_each(void (*fn)(uintptr_t word), unsigned without);
void kernel_memory(void (*fn)(uintptr_t low, uintptr_t high));

/* -- listed.c: inside the stop -- */
/* The same for what the kernel lists of itself: epoll data and values of timers, by whatever way they came there. */
size_t listed_each(void (*fn)(uintptr_t word));

/* -- declared.c: inside the stop -- */
/* Calls fn for each mapped part of each declared region. false: fn said so. */
bool declared_each(const struct maps *maps, bool (*fn)(const struct mapping *m, uintptr_t low, uintptr_t high));
void declared_memory(void (*fn)(uintptr_t low, uintptr_t high));

/* -- fewer.c: roots that LSAN_OPTIONS leaves out -- */
void fewer_start(void);
void fewer_of_thread(const struct thread_root *t, struct range *live, struct range *frame, void (*exclude)(uintptr_t low, uintptr_t high));
void fewer_globals(void (*exclude)(uintptr_t low, uintptr_t high));

/* -- rings.c -- */
bool rings_mapping(const struct mapping *m);
/* Inside the stop: looks all rings through. false: a request in flight was not seen. */
bool rings_look(const struct maps *maps);
/* Gives a copy of each page of a ring's mapping to fn. false: one can't be read. */
bool rings_scan(const struct mapping *m, void (*fn)(uintptr_t low, uintptr_t high));
/* -- flight.c -- */
/* Words could not be noted less than `life` before `now`. */
bool flight_full(uint32_t now);
bool flight_was_full(void); /* else no clock need be asked */
/* Ends the notes that are older than `life`, gives the words of the others to fn. Result: their number. */
size_t flight_each(void (*fn)(uintptr_t word), uint32_t now);
void flight_memory(void (*fn)(uintptr_t low, uintptr_t high));

#endif
