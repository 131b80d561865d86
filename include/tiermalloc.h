/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiermalloc: a malloc replacement that keeps hot data on small pages and the rest on huge pages.
 *
 * A program needs nothing from this header to use tiermalloc: preloading or linking the library replaces
 * malloc, free and their family. The calls below add a say over placement and a look at where memory is.
 *
 * Words used here:
 *   region  a 2 MiB-aligned 2 MiB block of heap address space, the unit in which placement is decided
 *   tier    where a region's pages are now: hot (small pages, fast memory) or cold (huge pages, capacity memory; a
 *           cold region is on small pages while too little of it is in use, or when the kernel has no huge page)
 *   class   which arenas an object was allocated from: hot (the default) or cold. A class groups objects;
 *           it does not fix the tier of the regions they lie in.
 *
 * Every function is safe to call from any thread at any time, except in a signal handler.
 * Link with -ltiermalloc, or look the names up with dlsym(RTLD_DEFAULT, ...) to use them only when preloaded.
 */
#ifndef TIERMALLOC_H
#define TIERMALLOC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TM_VERSION_MAJOR 0
#define TM_VERSION_MINOR 1
#define TM_VERSION_PATCH 0

/* Bytes in a region. */
#define TM_REGION_BYTES ((size_t)1 << 21)

/* A class of an object, and a tier of a region. */
enum tm_tier {
	TM_NONE = -1, /* tm_tier_of() only: not in the heap's zones, or in a part of them that has no memory */
	TM_HOT = 0,
	TM_COLD = 1,
};
#define TM_TIERS 2

/*
 * Allocation with a class. Contracts are those of malloc, calloc, realloc, aligned_alloc and free: a size of 0
 * gives a unique pointer, failure gives NULL with errno ENOMEM, an alignment that is not a power of two gives
 * NULL with errno EINVAL. A tier other than TM_HOT or TM_COLD gives NULL with errno EINVAL.
 * Memory from these calls may be passed to free and realloc, and memory from malloc to tm_free and tm_realloc.
 *
 * tm_realloc moves the object to the class asked for if it is in the other one. realloc keeps the class.
 * tm_realloc(p, 0, tier) frees p and returns NULL; tm_realloc(NULL, size, tier) is tm_malloc(size, tier).
 */
void *tm_malloc(size_t size, enum tm_tier tier);
void *tm_calloc(size_t count, size_t size, enum tm_tier tier);
void *tm_realloc(void *p, size_t size, enum tm_tier tier);
void *tm_memalign(size_t alignment, size_t size, enum tm_tier tier);
void tm_free(void *p);

/*
 * The tier that holds the page at p now. Any value of p is safe, pointers to the stack, into other mappings
 * and dangling ones included. The answer can be old by the time it is used.
 */
enum tm_tier tm_tier_of(const void *p);

/* The library's version as "MAJOR.MINOR.PATCH"; a static string. */
const char *tm_version(void);

/* What the sensor has found out about a region. */
struct tm_heat {
	float rate;      /* expected accesses to the region, 1/s, as far as caches do not hide them */
	float sigma;     /* standard deviation of that, relative to rate; above 1 is next to nothing known */
	float threshold; /* the rate from which on a region counts as hot, 1/s */
};

/*
 * Fills *out for the region of p. Returns 0; -ENODATA if nothing is known: p is not in the heap, the region is on
 * small pages, or the sensor is off, absent (`tiermalloc doctor` tells why) or has not got there yet; -EINVAL if out
 * is NULL.
 */
int tm_heat(const void *p, struct tm_heat *out);

/*
 * From tm_quiesce to tm_resume all memory is in its place, the userfaultfd is closed and nothing moves: for
 * checkpoints (CRIU), core dumps and debuggers. tm_quiesce returns once it is so, after a few milliseconds at most.
 * Calls nest. A child forked in between has nothing to resume, and may call tm_resume all the same.
 */
void tm_quiesce(void);
void tm_resume(void);

/* One tier's share of the heap, in bytes unless said otherwise. */
struct tm_tier_stats {
	uint64_t regions;   /* regions now in this tier (a count) */
	uint64_t committed; /* pages in use by the allocator: allocated, or cached for reuse */
	uint64_t resident;  /* pages that have physical memory, by the kernel's account */
	uint64_t huge;      /* the part of resident that is on huge pages, by the kernel's account */
};

#define TM_STATS_VERSION 1
struct tm_stats {
	uint32_t version; /* TM_STATS_VERSION of the library that filled this in */
	uint32_t size;    /* bytes of this struct that were filled in */

	uint64_t allocated; /* bytes in live allocations, size-class rounding included */
	uint64_t active;    /* bytes in pages that hold live allocations */
	uint64_t metadata;  /* bytes of the allocator's own records, jemalloc's and tiermalloc's */
	uint64_t hot_limit; /* bytes of regions the hot tier may hold (option hot_bytes) */

	struct tm_tier_stats tier[TM_TIERS]; /* indexed by enum tm_tier */
	uint64_t class_committed[TM_TIERS];  /* committed bytes by arena class */

	uint64_t born[TM_TIERS]; /* regions that started in this tier, ever (a count) */
	uint64_t huge_denied;    /* times a cold region was found on small pages (a count) */
	uint64_t huge_retried;   /* times a huge page was asked for again (a count) */
	uint64_t huge_gained;    /* times asking again gave one (a count) */
	uint64_t huge_broken;    /* huge pages given up so that unused memory could be returned (a count) */
	uint64_t stale;          /* bytes unused but still resident, because the rest of their huge page is in use */
	uint64_t returned;       /* bytes given back to the kernel, ever */
	uint64_t overflow;       /* bytes taken outside the address reservation: jemalloc's, untiered */
	uint64_t foreign;        /* pointers passed to free and the like that are not of this heap (a count) */
	uint64_t vma_limited; /* changes of a region's page size not made, to stay below vm.max_map_count (a count) */
	uint64_t huge_split;  /* huge pages the kernel had split, by writes beside a forked child (a count) */
	uint64_t huge_shared; /* times one was not put together because a child still shares it (a count) */
	uint64_t keeper_us;   /* processor time of the keeper thread, in microseconds */
	uint64_t keeper_wakes; /* times the keeper has woken up (a count) */
	uint64_t keeper;       /* its thread id, 0 while there is none */

	uint64_t pager;       /* thread id of the pager, which senses heat; 0 while there is none */
	uint64_t pager_us;    /* its processor time, in microseconds */
	uint64_t pager_wakes; /* times it has slept and woken up (a count) */
	uint64_t probes;      /* regions watched for their first access (a count) */
	uint64_t probe_hits;  /* those of them that were accessed while watched (a count) */
	uint64_t probe_ns;    /* time regions were watched, all together, in nanoseconds */
	uint64_t probe_busy;  /* regions not watched because a forked child shares them or the kernel has them pinned
	                         (a count) */
	uint64_t probe_refused; /* regions not watched for another reason: locked, protected (a count) */
	uint64_t probe_copied;  /* regions that had to be put back by copying, because of a fork without a handler (a
	                           count) */
	uint64_t pager_unwatched; /* regions no longer watched because some of their pages were returned (a count) */
	uint64_t pager_forks;     /* forks the kernel has told of (a count) */
	uint64_t hold_us; /* time that forks waited for watched regions to be back, all together, in microseconds */
	uint64_t hold_most_us; /* the longest of these waits */
};

/*
 * Fills *out with at most `size` bytes of statistics (pass sizeof(struct tm_stats)); a program built against an
 * older or newer header gets the fields it and the library both know, the rest is zero. The kernel is asked
 * about every region in use: about 0.1 ms per GiB on huge pages, 8 ms per GiB on small ones.
 * Returns 0, or -EINVAL if out is NULL or size is too small to hold version and size.
 */
int tm_stats(struct tm_stats *out, size_t size);

/*
 * What another process may read of this one: `tiermalloc stats PID` finds the symbol tm_process in the library
 * and copies the struct with process_vm_readv(2). Fields are written by any thread with atomic stores; a reader
 * sees each field whole but not all of them at one instant.
 */
#define TM_PROCESS_MAGIC   UINT64_C(0x316d72656974) /* "tierm1" */
#define TM_PROCESS_VERSION 1
struct tm_process {
	uint64_t magic;   /* TM_PROCESS_MAGIC once the heap is set up, 0 before */
	uint32_t version; /* TM_PROCESS_VERSION */
	uint32_t size;    /* sizeof(struct tm_process) */
	struct tm_zone_view {
		uint64_t base;   /* first address; a multiple of TM_REGION_BYTES */
		uint64_t bytes;  /* address space reserved, in bytes */
		uint64_t carved; /* bytes handed to arenas so far, from base on */
	} zone[TM_TIERS];        /* indexed by class */
	uint64_t table;          /* address of the region table */
	uint64_t stride;         /* bytes from one region's entry to the next; the state word is the first 8 bytes */
	uint64_t hot_limit;
	uint64_t born[TM_TIERS];
	uint64_t regions[TM_TIERS];
	uint64_t committed[TM_TIERS];       /* by tier */
	uint64_t class_committed[TM_TIERS]; /* by class */
	uint64_t huge_denied, huge_retried, huge_gained, huge_broken;
	uint64_t returned, overflow, foreign, vma_limited;
	uint64_t huge_split, huge_shared, keeper_us, keeper_wakes, keeper;
	uint64_t pager, pager_us, pager_wakes, probes, probe_hits, probe_ns, probe_busy, probe_refused, probe_copied;
	uint64_t pager_unwatched, pager_forks, hold_us, hold_most_us;
};

/* The state word of a region, as tm_process shows it. */
#define TM_REGION_LIVE(word)  ((unsigned)((word)&0x3ff))         /* committed pages, 0 to 512 */
#define TM_REGION_STATE(word) ((unsigned)(((word) >> 10) & 0xf)) /* enum tm_region_state */
enum tm_region_state {
	TM_REGION_FREE = 0,   /* address space only */
	TM_REGION_HOT = 1,    /* hot tier */
	TM_REGION_COLD = 2,   /* cold tier, kept whole for a huge page */
	TM_REGION_SPARSE = 3, /* cold tier, on small pages because too little of it is in use */
	/* Above this the region is between two states for the length of a system call. */
	TM_REGION_BIRTH = 8,
	TM_REGION_RETURN = 9,
	TM_REGION_BREAK = 10,
	TM_REGION_MEND = 11,
	TM_REGION_PROBE = 12, /* away, until its first access or the end of a short while */
};

#ifdef __cplusplus
}
#endif

#endif
