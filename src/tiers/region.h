/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Zones and regions: the heap's address space and what each 2 MiB of it is at this moment.
 *
 * Owns one reservation that holds the hot zone followed by the cold zone, the table with one entry per region, and
 * every change of a region's state. Any thread calls it, inside jemalloc's extent hooks included: no allocation, no
 * lock, no libc call that could allocate; only atomics and src/os.
 *
 * A region belongs to one extent head (jemalloc's name for what one alloc hook call returned), so to one arena, but
 * several threads may commit and decommit parts of it at once. Its state is one word:
 *
 *                    region_commit (first pages)
 *          FREE ----------------> BIRTH ---------> HOT | COLD | SPARSE
 *           ^                                       |     |  ^     |
 *           |                                       |     |  +-- MEND: a huge page asked for (again)
 *           |                                       |     +----> BREAK: too little in use ----> SPARSE
 *           |                                       |     +----> PROBE: away until its first access ----> COLD
 *           |      region_decommit (last pages)     |
 *           +---------------- RETURN <--------------+ (from all three)
 *
 * BIRTH, RETURN, BREAK and MEND last for one system call; whoever needs the region meanwhile waits (region_settled).
 * PROBE lasts until somebody accesses the region, and so does whoever waits for it.
 * Nobody waits while holding such a state for something else, so there is no cycle. A child forked in between
 * finds its own copy in that state with nobody to end it: region_after_fork puts that right.
 *
 * Two promises hold for jemalloc: committed memory is never touched, and what a commit returns reads as zero. Pages
 * that were given back but still hold old bytes (their huge page is kept for its other pages) are marked by STALE
 * on their region; committing pages of such a region clears them first.
 */
#ifndef TM_REGION_H
#define TM_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tiermalloc.h"

#define REGION_SHIFT 21
#define REGION_PAGES 512

struct region {
	_Atomic uint64_t word;                    /* see REGION_* below */
	_Atomic uint64_t live[REGION_PAGES / 64]; /* a bit per committed page */
	/* The pager's: what it believes of the region's heat, since when (0: never), whether it sees its faults. */
	_Atomic float hits, seconds;
	_Atomic uint32_t seen_ms;
	uint32_t watched;
	uint32_t whole; /* forks there had been when its huge page was last looked at */
} __attribute__((aligned(64)));

/* word: bits 0-9 committed pages, 10-13 enum tm_region_state, 16-20 flags, 32-63 who changes it, while somebody does.
 */
#define REGION_LIVE          UINT64_C(0x3ff)
#define REGION_STATE_SHIFT   10
#define REGION_STALE         (UINT64_C(1) << 16) /* some uncommitted pages hold old bytes */
#define REGION_ADVISED       (UINT64_C(1) << 17) /* MADV_HUGEPAGE is set */
#define REGION_OPEN          (UINT64_C(1) << 18) /* readable and writable */
#define REGION_HUGE          (UINT64_C(1) << 19) /* the kernel has confirmed a huge page */
#define REGION_DENIED        (UINT64_C(1) << 20) /* the kernel gave small pages; asked again from time to time */
#define REGION_UNSURE        (UINT64_C(1) << 21) /* ADVISED and OPEN may not be what they say */
#define REGION_CLAIMER_SHIFT 32                  /* a process id */
#define REGION_CLAIMER       (UINT64_MAX << REGION_CLAIMER_SHIFT)

/* How much of a zone has been carved is in tm_process, where other processes see it too: zone_carved(). */
struct zone {
	uintptr_t base;
	size_t bytes;
};

#define RESERVE_AMPLE ((size_t)1 << 40) /* from this hot zone on, address space is not a matter of concern */
#define LEAF_BYTES    ((size_t)1 << 30) /* what a leaf of jemalloc's page map covers */

/* What the front door decides before the first allocation; all fields are read-only afterwards. */
struct region_config {
	size_t reserve;   /* bytes of address space wanted for the hot zone; less is taken if it is not to be had */
	size_t hot_limit; /* bytes of regions the hot tier may hold */
	unsigned cold_waste;  /* percent of a huge page's pages that may be unused before it is broken up, 0-100 */
	uint64_t start_bytes; /* committed memory from which on there is a keeper; UINT64_MAX for never */
	unsigned keeper_cpu;  /* percent of one CPU it may use, 1-100 */
	bool huge;            /* ask for huge pages at all */
	bool sense;           /* look at how often regions are accessed */
	unsigned sense_cpu;   /* percent of one CPU that may cost, 1-100 */
	bool strict;          /* vm.overcommit_memory is 2, or RLIMIT_DATA set: uncharge what is returned */
};

/* Written once by region_init; read without synchronisation by everyone after. */
struct heap {
	uintptr_t base;   /* of the hot zone; the cold zone follows it */
	size_t hot_bytes; /* size of the hot zone; 0 until region_init has succeeded */
	size_t bytes;     /* of both zones */
};
extern struct heap heap __attribute__((visibility("hidden")));
extern struct tm_process tm_process;
extern struct zone zones[TM_TIERS] __attribute__((visibility("hidden")));

/*
 * Reserves the zones and the table. The reservation is halved until the kernel and RLIMIT_AS allow it.
 * -ENOMEM when not even 16 MiB are to be had: the heap then has no zones and jemalloc's own mappings serve it.
 */
int region_init(const struct region_config *config);

/*
 * Takes `bytes` (rounded up to whole regions) of unused address space of a zone, aligned to `align`. NULL if there
 * is no more. The memory has no access until region_commit.
 */
void *region_carve(enum tm_tier class, size_t bytes, size_t align);
/* Gives back address space for another region_carve; no page of it may be committed. */
void region_uncarve(void *p, size_t bytes);

/* Makes pages usable; they read as zero. -ENOMEM: not done, nothing changed. */
int region_commit(void *p, size_t bytes);
/* Gives pages back: content lost. Cannot fail; what the kernel refuses to take is cleared when it is used again. */
void region_decommit(void *p, size_t bytes);

/* True for addresses in either zone. */
static inline bool region_in_heap(const void *p) {
	return (uintptr_t)p - heap.base < heap.bytes;
}

enum tm_tier region_tier_of(const void *p);

/* Bytes from the zone's base on that have been handed out; the region table is usable for all of them. */
static inline size_t zone_carved(enum tm_tier class) {
	return __atomic_load_n(&tm_process.zone[class].carved, __ATOMIC_ACQUIRE);
}

/*
 * Looks at up to `budget` cold regions whose pages have not been confirmed as huge, and asks again for those that
 * are small. Called from the hooks' slow paths and on request; returns the number that were confirmed.
 */
unsigned region_verify(unsigned budget);

/* In the child, before it uses the heap. */
void region_after_fork(void);

/* Totals over all regions, by asking the kernel: resident and huge bytes per tier, and stale bytes. */
void region_survey(struct tm_stats *out);

#endif
