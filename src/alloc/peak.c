/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Freed memory before fresh memory: the peak of the heap follows the peak of what is in use.
 *
 * jemalloc takes fresh memory for a large block whenever no single free range holds it, however much lies in smaller
 * ones for up to dirty_decay_ms. Here, if the heap would become larger than it was lately, what the arena has freed
 * is returned first. As address space it merges with what is around it and is the first choice for the block.
 *
 * Runs on any thread, in the slow path of an allocation and without a lock of the arena: arena_decay takes them
 * itself. Locks of jemalloc's start-up may be held; they come before those.
 */
#include <stdatomic.h>

#include "alloc/jemalloc.h"
#include "os/os.h"
#include "tiers/region_table.h"

#define LEAST     ((size_t)1 << 20) /* smaller blocks find room in nearly any free range */
#define WINDOW_MS 10000             /* jemalloc's dirty_decay_ms: what is unused for so long is gone anyway */

/* The most the heap has had in the present window and in the one before. */
static _Atomic uint64_t peak, peak_before, window_end;

/* What the heap takes of memory: used, freed, and unused parts of huge pages. */
static uint64_t heap_bytes(void) {
	int64_t slack = atomic_load_explicit(&region_slack, memory_order_relaxed);
	return count_get(&tm_process.committed[TM_HOT]) + count_get(&tm_process.committed[TM_COLD]) +
	    (slack > 0 ? (uint64_t)slack * OS_PAGE : 0);
}

static void peak_raise(uint64_t bytes) {
	uint64_t was = atomic_load_explicit(&peak, memory_order_relaxed);
	while (was < bytes && !atomic_compare_exchange_weak(&peak, &was, bytes))
		;
}

/* What the heap may have before something has to be given back. Sinks when the heap does, two windows later. */
static uint64_t peak_lately(void) {
	uint64_t now = os_now_ms(), end = atomic_load_explicit(&window_end, memory_order_relaxed);
	if (now >= end && atomic_compare_exchange_strong(&window_end, &end, now + WINDOW_MS)) {
		uint64_t last = atomic_exchange(&peak, 0);
		atomic_store(&peak_before, now - end < WINDOW_MS ? last : 0);
	}
	peak_raise(heap_bytes());
	uint64_t present = atomic_load_explicit(&peak, memory_order_relaxed);
	uint64_t before = atomic_load_explicit(&peak_before, memory_order_relaxed);
	return present > before ? present : before;
}

/*
 * Where large blocks are hardly written to they are little memory, and a program may take thousands per second. Then
 * only some of the calls pay for system calls on each of their regions: enough to notice when this is over.
 */
static bool worth_it(void) {
	static _Atomic unsigned turn;
	return !region_hardly_touched() || atomic_fetch_add_explicit(&turn, 1, memory_order_relaxed) % 16 == 0;
}

void *boot_ecache_grow(void *tsdn, void *pac, void *ehooks, void *ecache, void *expand, size_t size, size_t alignment,
    bool zero, bool guarded) {
	if (size < LEAST || heap.bytes == 0)
		return tmje_ecache_alloc_grow(tsdn, pac, ehooks, ecache, expand, size, alignment, zero, guarded);

	if (heap_bytes() + size > peak_lately() && worth_it()) {
		void *arena = atomic_load_explicit(&tmje_arenas[*(const unsigned *)ehooks], memory_order_acquire);
		if (arena != NULL)
			tmje_arena_decay(tsdn, arena, false, true);
	}
	void *extent = tmje_ecache_alloc_grow(tsdn, pac, ehooks, ecache, expand, size, alignment, zero, guarded);
	peak_raise(heap_bytes());
	return extent;
}
