/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The region table and the state word, for the files of src/tiers that change states (region.c, huge.c, space.c) and
 * those that count in tm_process. Changing states is not for anyone else.
 */
#ifndef TM_REGION_TABLE_H
#define TM_REGION_TABLE_H

#include <sched.h>

#include "tiers/region.h"

extern struct region *region_table __attribute__((visibility("hidden")));
extern struct region_config region_config __attribute__((visibility("hidden")));

/* Pages of COLD regions that are not committed: memory that huge pages hold for nothing. */
extern _Atomic int64_t region_slack __attribute__((visibility("hidden")));

/*
 * How many more regions of large blocks had memory than had none, of the last ones that were looked at: all that are
 * returned, and one of each block when the next one is committed. Where a program writes only to a part of its large
 * blocks, a huge page for every 2 MiB of which it needs a page would be most of its memory.
 */
extern _Atomic int region_touched __attribute__((visibility("hidden")));

#define TOUCHED_MOST  32                 /* as much of the past counts */
#define TOUCHED_FEW   (-8)               /* from here on down they are known to be hardly written to */
#define TOUCHED_BLOCK ((size_t)32 << 20) /* beside so large a block a huge page more is little */

/* Large blocks are known to be hardly written to. */
static inline bool region_hardly_touched(void) {
	return atomic_load_explicit(&region_touched, memory_order_relaxed) <= TOUCHED_FEW;
}

/* A block of this size is expected to be written to. */
static inline bool region_touches(size_t block) {
	int touched = atomic_load_explicit(&region_touched, memory_order_relaxed);
	return touched > 0 || (touched > TOUCHED_FEW && block >= TOUCHED_BLOCK);
}

static inline size_t region_index(const void *p) {
	return ((uintptr_t)p - heap.base) >> REGION_SHIFT;
}

static inline void *region_base(size_t index) {
	return (void *)(heap.base + (index << REGION_SHIFT));
}

static inline enum tm_tier region_class(size_t index) {
	return (index << REGION_SHIFT) < heap.hot_bytes ? TM_HOT : TM_COLD;
}

static inline enum tm_region_state word_state(uint64_t word) {
	return (enum tm_region_state)TM_REGION_STATE(word);
}

static inline uint64_t word_with(uint64_t word, enum tm_region_state state) {
	return (word & ~(UINT64_C(0xf) << REGION_STATE_SHIFT)) | ((uint64_t)state << REGION_STATE_SHIFT);
}

static inline bool word_settled(uint64_t word) {
	return word_state(word) < TM_REGION_BIRTH;
}

/* The tier a settled state stands for. */
static inline enum tm_tier word_tier(uint64_t word) {
	switch (word_state(word)) {
	case TM_REGION_HOT:
		return TM_HOT;
	case TM_REGION_COLD:
	case TM_REGION_SPARSE:
	case TM_REGION_BREAK:
	case TM_REGION_MEND:
	case TM_REGION_PROBE:
		return TM_COLD;
	default:
		return TM_NONE;
	}
}

/* Waits until nobody is changing the region; its word then. */
uint64_t region_settled(struct region *r);

/* The entries of all regions up to a step beyond `last`'s own are usable after this; 0 or -ENOMEM. */
int region_table_grow(size_t last);

/* True while another split of a mapping is safely below vm.max_map_count; counts the ones refused. */
bool region_may_split(void);

/* Adds to a counter of tm_process, which other processes read. */
static inline void count_add(uint64_t *counter, uint64_t n) {
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}
static inline void count_sub(uint64_t *counter, uint64_t n) {
	__atomic_fetch_sub(counter, n, __ATOMIC_RELAXED);
}
static inline uint64_t count_get(const uint64_t *counter) {
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#endif
