/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address space: the reservation of the two zones, carving it for jemalloc's arenas, and the table's memory.
 *
 * region_init runs once, before the first allocation, on one thread. The rest runs on any thread inside the alloc
 * and destroy hooks, where jemalloc holds the arena's growth mutex: atomics and system calls only.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/os.h"
#include "os/pages.h"
#include "tiers/region_table.h"

struct heap heap;
struct zone zones[TM_TIERS];
struct region *region_table;
struct region_config region_config;

__attribute__((visibility("default"))) struct tm_process tm_process = {
    .version = TM_PROCESS_VERSION,
    .size = sizeof(struct tm_process),
    .stride = sizeof(struct region),
};

#define RESERVE_LEAST ((size_t)16 << 20)
#define SPLITS_FREE   512 /* mappings any process may have; the limit is not looked up before */

static _Atomic size_t table_ready; /* regions whose entries are usable */
static _Atomic uint64_t splits;    /* mappings we may have added, ever */

/*
 * Ranges of regions that came back from destroyed arenas: first region in the high half, count in the low half,
 * 0 for an empty slot. When all slots are taken the address space is lost, not the memory.
 */
static _Atomic uint64_t spare[TM_TIERS][64];

int region_init(const struct region_config *config) {
	void *base, *table;
	size_t reserve = config->reserve;

	region_config = *config;
	/*
	 * What is named cold is less than the heap. Where address space is short, that most programs name nothing
	 * cold counts more.
	 */
	for (;; reserve /= 2) {
		if (reserve < RESERVE_LEAST)
			return -ENOMEM;
		/* jemalloc's page map is in leaves of 1 GiB; no two zones share one where there is room for that. */
		bool ample = reserve >= RESERVE_AMPLE;
		size_t unit = ample ? LEAF_BYTES : TM_REGION_BYTES;
		reserve &= ~(unit - 1);
		size_t cold = reserve / (ample ? 2 : 8) & ~(unit - 1);
		size_t bytes = reserve + cold;
		size_t table_bytes = (bytes >> REGION_SHIFT) * sizeof(struct region);
		if (os_reserve(bytes, unit, &base) != 0)
			continue;
		if (os_reserve(table_bytes, OS_PAGE, &table) != 0) {
			os_unmap(base, bytes);
			continue;
		}
		/*
		 * Small pages are the rule and huge ones the exception a region is given at birth, whatever the
		 * system's setting for other memory; and a reservation of one kind is one mapping.
		 */
		os_advise(base, bytes, MADV_NOHUGEPAGE);
		region_table = table;
		zones[TM_HOT].base = (uintptr_t)base;
		zones[TM_HOT].bytes = reserve;
		zones[TM_COLD].base = (uintptr_t)base + reserve;
		zones[TM_COLD].bytes = cold;
		heap.base = (uintptr_t)base;
		heap.bytes = bytes;
		heap.hot_bytes = reserve;
		break;
	}
	for (enum tm_tier class = TM_HOT; class < TM_TIERS; class ++) {
		tm_process.zone[class].base = zones[class].base;
		tm_process.zone[class].bytes = zones[class].bytes;
	}
	tm_process.table = (uintptr_t)region_table;
	tm_process.hot_limit = config->hot_limit;
	__atomic_store_n(&tm_process.magic, TM_PROCESS_MAGIC, __ATOMIC_RELEASE);
	return 0;
}

int region_table_grow(size_t last) {
	/* In steps of 64 KiB of table, which is 1 GiB of heap. */
	const size_t step = ((size_t)64 << 10) / sizeof(struct region);
	size_t ready = atomic_load_explicit(&table_ready, memory_order_acquire);
	if (last < ready)
		return 0;
	size_t most = heap.bytes >> REGION_SHIFT;
	size_t from = last / step * step, to = from + step < most ? from + step : most;
	/*
	 * Steps are opened where they are needed, so that the cold zone's entries, far behind the hot zone's, do
	 * not open all that lies between. The mark only spares repeats in the common case of growth from below.
	 */
	uintptr_t start = (uintptr_t)&region_table[from] & ~(OS_PAGE - 1);
	uintptr_t end = ((uintptr_t)&region_table[to] + OS_PAGE - 1) & ~(OS_PAGE - 1);
	int r = os_allow((void *)start, end - start);
	if (r != 0)
		return r;
	if (from == ready)
		atomic_compare_exchange_strong(&table_ready, &ready, to);
	return 0;
}

static int table_cover(const void *p, size_t bytes) {
	size_t first = region_index(p), last = first + (bytes >> REGION_SHIFT) - 1;
	const size_t step = ((size_t)64 << 10) / sizeof(struct region);
	int r = 0;
	for (size_t i = first; r == 0 && i <= last; i = (i / step + 1) * step)
		r = region_table_grow(i);
	return r;
}

static void *spare_take(enum tm_tier class, size_t regions, size_t align) {
	for (size_t i = 0; i < sizeof(spare[class]) / sizeof(spare[class][0]); i++) {
		uint64_t slot = atomic_load_explicit(&spare[class][i], memory_order_relaxed);
		size_t first = slot >> 32, count = slot & UINT32_MAX;
		if (count < regions || ((uintptr_t)region_base(first) & (align - 1)) != 0)
			continue;
		uint64_t rest = count == regions ? 0 : (uint64_t)(first + regions) << 32 | (count - regions);
		if (atomic_compare_exchange_strong(&spare[class][i], &slot, rest))
			return region_base(first);
	}
	return NULL;
}

void *region_carve(enum tm_tier class, size_t bytes, size_t align) {
	const struct zone *z = &zones[class];
	size_t take = (bytes + TM_REGION_BYTES - 1) & ~(TM_REGION_BYTES - 1);

	if (heap.bytes == 0 || take < bytes)
		return NULL;
	if (align < TM_REGION_BYTES)
		align = TM_REGION_BYTES;
	void *p = spare_take(class, take >> REGION_SHIFT, align);
	if (p != NULL)
		return p;
	size_t at = zone_carved(class), start;
	do {
		start = ((z->base + at + align - 1) & ~(align - 1)) - z->base;
		if (start > z->bytes || take > z->bytes - start)
			return NULL;
		/* The table first: whoever sees the new mark may look at the entries. */
		if (table_cover((void *)(z->base + at), start - at + take) != 0)
			return NULL;
	} while (!__atomic_compare_exchange_n(
	    &tm_process.zone[class].carved, &at, start + take, true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	return (void *)(z->base + start);
}

void region_uncarve(void *p, size_t bytes) {
	/* Borders inside a region stay lost: their other half may still be in use. */
	uintptr_t start = ((uintptr_t)p + TM_REGION_BYTES - 1) & ~(TM_REGION_BYTES - 1);
	uintptr_t end = ((uintptr_t)p + bytes) & ~(TM_REGION_BYTES - 1);
	if (start >= end)
		return;
	size_t first = region_index((void *)start), regions = (end - start) >> REGION_SHIFT;
	enum tm_tier class = region_class(first);
	for (size_t i = 0; i < sizeof(spare[class]) / sizeof(spare[class][0]); i++) {
		uint64_t empty = 0;
		if (atomic_compare_exchange_strong(&spare[class][i], &empty, (uint64_t)first << 32 | regions))
			return;
	}
}

bool region_may_split(void) {
	static _Atomic uint64_t count_at, refuse_until;
	/* A split adds at most two mappings. Counting the real number takes up to milliseconds, so it is put off. */
	uint64_t n = atomic_fetch_add_explicit(&splits, 2, memory_order_relaxed);
	if (n < atomic_load_explicit(&count_at, memory_order_relaxed))
		return true;
	uint64_t now = os_now_ms();
	if (now >= atomic_load_explicit(&refuse_until, memory_order_relaxed)) {
		uint64_t limit = os_read_number("/proc/sys/vm/max_map_count");
		if (limit == UINT64_MAX)
			limit = 65530;
		/* A quarter stays for the program. Half of the room that is left may be used before the next count.
		 */
		size_t most = limit / 4 * 3;
		long real = pages_mappings();
		if (real >= 0 && (size_t)real + 4 < most) {
			atomic_store_explicit(&count_at, n + (most - (size_t)real) / 2, memory_order_relaxed);
			return true;
		}
		atomic_store_explicit(&refuse_until, now + 1000, memory_order_relaxed);
	}
	count_add(&tm_process.vma_limited, 1);
	return false;
}
