/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiers/space: the reservation, carving it and taking pieces back, and the table behind it.
 */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/pages.h"

static int init(size_t reserve) {
	struct region_config config = usual_config;
	config.reserve = reserve;
	return region_init(&config);
}

Test(space, before_init) {
	cr_assert_eq(heap.bytes, 0);
	cr_assert_eq(tm_process.magic, 0);
	cr_assert_null(region_carve(TM_HOT, REGION, REGION));
	cr_assert_not(region_in_heap(&heap));
	cr_assert_not(region_in_heap(NULL));
}

Test(space, init_lays_out_the_zones) {
	cr_assert_eq(init(GiB), 0);
	cr_assert_eq(heap.hot_bytes, GiB);
	cr_assert_eq(heap.base % REGION, 0);
	cr_assert_eq(zones[TM_HOT].base, heap.base);
	cr_assert_eq(zones[TM_HOT].bytes, heap.hot_bytes);
	cr_assert_eq(zones[TM_COLD].base, heap.base + heap.hot_bytes);
	cr_assert_eq(zones[TM_HOT].bytes + zones[TM_COLD].bytes, heap.bytes);
	cr_assert_gt(zones[TM_COLD].bytes, 0);
	cr_assert_eq(zones[TM_COLD].bytes % REGION, 0);
	cr_assert(region_in_heap((void *)heap.base));
	cr_assert(region_in_heap((void *)(heap.base + heap.bytes - 1)));
	cr_assert_not(region_in_heap((void *)(heap.base - 1)));
	cr_assert_not(region_in_heap((void *)(heap.base + heap.bytes)));
	cr_assert_not(page_readable((void *)heap.base));
	cr_assert_not(page_readable((void *)(heap.base + heap.bytes - OS_PAGE)));
}

/* What other processes are told. */
Test(space, init_fills_tm_process) {
	struct region_config config = usual_config;
	config.hot_limit = 123 * MiB;
	heap_up(&config);
	cr_assert_eq(tm_process.magic, TM_PROCESS_MAGIC);
	cr_assert_eq(tm_process.version, TM_PROCESS_VERSION);
	cr_assert_eq(tm_process.size, sizeof(struct tm_process));
	cr_assert_eq(tm_process.stride, sizeof(struct region));
	cr_assert_eq(tm_process.table, (uintptr_t)region_table);
	cr_assert_eq(tm_process.hot_limit, 123 * MiB);
	for (int class = TM_HOT; class < TM_TIERS; class ++) {
		cr_assert_eq(tm_process.zone[class].base, zones[class].base);
		cr_assert_eq(tm_process.zone[class].bytes, zones[class].bytes);
		cr_assert_eq(tm_process.zone[class].carved, 0);
	}
	cr_assert_eq(offsetof(struct region, word), 0, "the state word is the first 8 bytes");
}

Test(space, init_rounds_down_to_regions) {
	cr_assert_eq(init(101 * MiB + 5), 0);
	cr_assert_eq(heap.hot_bytes, 100 * MiB);
}

Test(space, init_halves_until_it_fits) {
	fault_set(SYS_mmap, -ENOMEM, 0, 3);
	cr_assert_eq(init(GiB), 0);
	cr_assert_eq(heap.hot_bytes, GiB / 8);
}

Test(space, init_gives_back_what_it_does_not_use) {
	uint64_t before = os_address_used();
	fault_set(SYS_mmap, -ENOMEM, 1, 1); /* the table of the first try */
	cr_assert_eq(init(GiB), 0);
	cr_assert_eq(heap.hot_bytes, GiB / 2);
	uint64_t table = (heap.bytes >> REGION_SHIFT) * sizeof(struct region);
	cr_assert_eq(os_address_used() - before, heap.bytes + ((table + OS_PAGE - 1) & ~(OS_PAGE - 1)));
}

Test(space, init_gives_up_below_the_least) {
	uint64_t before = os_address_used();
	fault_set(SYS_mmap, -ENOMEM, 0, ALWAYS);
	cr_assert_eq(init(GiB), -ENOMEM);
	cr_assert_eq(fault_calls(SYS_mmap), 7, "1 GiB, 512 MiB ... 16 MiB is %u tries", fault_calls(SYS_mmap));
	cr_assert_eq(os_address_used(), before);
	cr_assert_eq(heap.bytes, 0);
	cr_assert_eq(tm_process.magic, 0);
	cr_assert_null(region_carve(TM_HOT, REGION, REGION));
	cr_assert_null(region_carve(TM_COLD, REGION, REGION));
	cr_assert_eq(region_tier_of(&before), TM_NONE);
}

Test(space, init_takes_the_least) {
	cr_assert_eq(init(16 * MiB - 1), -ENOMEM);
	cr_assert_eq(init(16 * MiB), 0);
	cr_assert_eq(heap.hot_bytes, 16 * MiB);
	cr_assert_gt(zones[TM_COLD].bytes, 0);
}

Test(space, init_under_an_address_limit) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	cr_skip_test("sanitizers do not live with RLIMIT_AS");
#endif
	struct rlimit limit = {.rlim_cur = os_address_used() + 300 * MiB, .rlim_max = RLIM_INFINITY};
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	cr_assert_eq(init(UINT64_C(1) << 40), 0);
	cr_assert_eq(heap.hot_bytes, 256 * MiB);
}

Test(space, small_pages_are_the_rule) {
	cr_assert_eq(init(GiB), 0);
	cr_assert(mapping_flag((void *)heap.base, "nh"));
	cr_assert(mapping_flag((void *)zones[TM_COLD].base, "nh"));
}

/* From a terabyte on the zones begin where jemalloc's page map begins a leaf. */
Test(space, ample_zones_share_no_leaf) {
#if defined(__SANITIZE_THREAD__)
	cr_skip_test("ThreadSanitizer lays shadow over what is mapped");
#endif
	cr_assert_eq(init(RESERVE_AMPLE + 5 * MiB), 0);
	cr_assert_eq(heap.hot_bytes, RESERVE_AMPLE);
	cr_assert_eq(heap.base % LEAF_BYTES, 0);
	cr_assert_eq(zones[TM_COLD].base % LEAF_BYTES, 0);
	cr_assert_eq(zones[TM_COLD].bytes, RESERVE_AMPLE / 2);
	cr_assert_not_null(region_carve(TM_HOT, REGION, REGION));
	cr_assert_not_null(region_carve(TM_COLD, REGION, REGION));
}

Test(space, carve_is_whole_regions_in_order) {
	cr_assert_eq(init(GiB), 0);
	for (int class = TM_HOT; class < TM_TIERS; class ++) {
		char *base = (char *)zones[class].base;
		cr_assert_eq(region_carve(class, 1, 1), base);
		cr_assert_eq(zone_carved(class), REGION);
		cr_assert_eq(region_carve(class, REGION, OS_PAGE), base + REGION);
		cr_assert_eq(region_carve(class, REGION + 1, REGION), base + 2 * REGION);
		cr_assert_eq(zone_carved(class), 4 * REGION);
		cr_assert_eq(region_carve(class, 5 * REGION, REGION), base + 4 * REGION);
		cr_assert_eq(zone_carved(class), 9 * REGION);
	}
}

Test(space, carve_aligned) {
	cr_assert_eq(init(16 * GiB), 0);
	for (int class = TM_HOT; class < TM_TIERS; class ++)
		for (size_t align = REGION; align <= GiB; align *= 2) {
			if (align > zones[class].bytes / 8)
				break;
			CHECK(region_carve(class, REGION, REGION) != NULL, "align %zu", align); /* crooked */
			size_t before = zone_carved(class);
			char *p = region_carve(class, 3 * REGION, align);
			CHECK(p != NULL && ((uintptr_t)p & (align - 1)) == 0, "%p for align %zu", p, align);
			CHECK((uintptr_t)p >= zones[class].base + before, "align %zu: not fresh", align);
			CHECK(
			    (uintptr_t)p - zones[class].base + 3 * REGION == zone_carved(class), "align %zu", align);
			CHECK(zone_carved(class) <= before + align + 3 * REGION, "align %zu took too much", align);
		}
}

/* All entries up to the mark can be read and written, for both zones, in whatever steps they were carved. */
Test(space, table_covers_what_is_carved) {
	cr_assert_eq(init(12 * GiB), 0);
	uint64_t seed = random_seed();
	for (int round = 0; round < 60; round++) {
		enum tm_tier class = random_below(&seed, 4) == 0 ? TM_COLD : TM_HOT;
		region_carve(class, (1 + random_below(&seed, 300)) * REGION, REGION << random_below(&seed, 8));
		for (int c = TM_HOT; c < TM_TIERS; c++) {
			size_t first = region_index((void *)zones[c].base), count = zone_carved(c) >> REGION_SHIFT;
			for (size_t i = first; i < first + count; i += 1 + count / 100)
				region_table[i].live[7]++;
			if (count > 0)
				region_table[first + count - 1].live[0]++;
		}
	}
	cr_assert_gt(zone_carved(TM_HOT), 4 * GiB);
	cr_assert_gt(zone_carved(TM_COLD), GiB / 4);
	/* to the very end of both */
	while (region_carve(TM_HOT, REGION, REGION) != NULL)
		;
	while (region_carve(TM_COLD, REGION, REGION) != NULL)
		;
	for (size_t i = 0; i < heap.bytes >> REGION_SHIFT; i++)
		CHECK(page_writable(&region_table[i]) && page_writable((char *)(&region_table[i + 1]) - 1),
		    "entry %zu", i);
}

/* Also where alignment leaves a gap of several steps of the table that nobody carves. */
Test(space, table_covers_gaps) {
	cr_assert_eq(init(64 * GiB), 0);
	size_t align = GiB;
	cr_assert_not_null(region_carve(TM_HOT, REGION, REGION));
	while (align < 32 * GiB && align - heap.base % align < 5 * GiB)
		align *= 2;
	char *p = region_carve(TM_HOT, REGION, align);
	cr_assert_not_null(p);
	for (size_t i = 0; i <= region_index(p); i++)
		CHECK(page_writable(&region_table[i]), "entry %zu of %zu", i, region_index(p));
	for (char *gap = (char *)heap.base; gap <= p; gap += 100 * REGION)
		CHECK(region_tier_of(gap) == TM_NONE, "%p", gap);
}

Test(space, carve_until_nothing_is_left) {
	cr_assert_eq(init(64 * MiB), 0);
	for (int class = TM_HOT; class < TM_TIERS; class ++) {
		size_t regions = zones[class].bytes >> REGION_SHIFT;
		CHECK(region_carve(class, zones[class].bytes + 1, REGION) == NULL, "more than all");
		CHECK(region_carve(class, SIZE_MAX, REGION) == NULL, "SIZE_MAX");
		CHECK(region_carve(class, SIZE_MAX / 2 + 1, REGION) == NULL, "half of SIZE_MAX");
		CHECK(region_carve(class, REGION, SIZE_MAX / 2 + 1) == NULL, "no such alignment here");
		CHECK(zone_carved(class) == 0, "a failure took something");
		for (size_t i = 0; i < regions - 2; i++)
			CHECK(region_carve(class, REGION, REGION) != NULL, "region %zu of %zu", i, regions);
		CHECK(region_carve(class, 3 * REGION, REGION) == NULL, "3 of 2");
		CHECK(region_carve(class, 2 * REGION, REGION) != NULL, "the last two");
		CHECK(region_carve(class, 1, 1) == NULL, "nothing is left");
		CHECK(zone_carved(class) == zones[class].bytes, "mark");
	}
}

Test(space, carve_all_at_once) {
	cr_assert_eq(init(64 * MiB), 0);
	cr_assert_eq(region_carve(TM_HOT, 64 * MiB, REGION), (void *)heap.base);
	cr_assert_null(region_carve(TM_HOT, REGION, REGION));
	cr_assert_not_null(region_carve(TM_COLD, REGION, REGION), "the other zone is not touched by it");
}

/* The table cannot be opened: nothing is carved, and it works again when it can. */
Test(space, carve_fails_with_the_table) {
	cr_assert_eq(init(4 * GiB), 0);
	cr_assert_not_null(region_carve(TM_HOT, REGION, REGION));
	fault_set(SYS_mprotect, -ENOMEM, 0, ALWAYS);
	cr_assert_null(region_carve(TM_COLD, REGION, REGION));
	cr_assert_eq(zone_carved(TM_COLD), 0);
	cr_assert_null(region_carve(TM_HOT, 2 * GiB, REGION));
	cr_assert_eq(zone_carved(TM_HOT), REGION);
	fault_set(SYS_mprotect, -ENOMEM, 1, 1); /* the second step of three */
	cr_assert_null(region_carve(TM_HOT, 3 * GiB, REGION));
	cr_assert_eq(zone_carved(TM_HOT), REGION);
	fault_clear();
	size_t index = heap_carve(TM_HOT, 3 * GiB >> REGION_SHIFT);
	for (size_t i = index; i < index + (3 * GiB >> REGION_SHIFT); i++)
		CHECK(page_writable(&region_table[i]), "entry %zu", i);
	cr_assert_not_null(region_carve(TM_COLD, REGION, REGION));
}

Test(space, uncarve_and_again) {
	cr_assert_eq(init(GiB), 0);
	for (int class = TM_HOT; class < TM_TIERS; class ++) {
		char *one = region_carve(class, REGION, REGION), *two = region_carve(class, 2 * REGION, REGION);
		CHECK(one != NULL && two != NULL, "carve");
		size_t mark = zone_carved(class);
		region_uncarve(two, 2 * REGION);
		CHECK(zone_carved(class) == mark, "the mark never goes back");
		CHECK(region_carve(class, REGION, REGION) == two, "not used again");
		CHECK(region_carve(class, REGION, REGION) == two + REGION, "its second half");
		CHECK(zone_carved(class) == mark, "fresh space was taken while old was there");
		CHECK(region_carve(class, REGION, REGION) == (char *)zones[class].base + mark, "then fresh");
		region_uncarve(one, REGION);
		CHECK(region_carve(class, 2 * REGION, REGION) == NULL || zone_carved(class) > mark + REGION,
		    "too small");
		CHECK(region_carve(1 - class, REGION, REGION) != one, "the other zone's");
	}
}

/* A spare range that begins at a wrong place is not given for a larger alignment. */
Test(space, uncarved_alignment) {
	cr_assert_eq(init(GiB), 0);
	char *p = region_carve(TM_HOT, 4 * REGION, 4 * REGION);
	cr_assert_not_null(p);
	region_uncarve(p + REGION, 3 * REGION);
	char *q = region_carve(TM_HOT, REGION, 4 * REGION);
	cr_assert_eq((uintptr_t)q % (4 * REGION), 0);
	cr_assert_geq(q, p + 4 * REGION);
	cr_assert_eq(region_carve(TM_HOT, REGION, REGION), p + REGION);
}

/* Regions that the range covers in part may be in use by their other half. */
Test(space, uncarve_keeps_borders) {
	cr_assert_eq(init(64 * MiB), 0);
	char *p = region_carve(TM_HOT, 4 * REGION, REGION);
	size_t mark = zone_carved(TM_HOT);
	region_uncarve(p + OS_PAGE, 3 * REGION); /* regions 1 and 2 are whole */
	cr_assert_eq(region_carve(TM_HOT, REGION, REGION), p + REGION);
	cr_assert_eq(region_carve(TM_HOT, REGION, REGION), p + 2 * REGION);
	cr_assert_eq(region_carve(TM_HOT, REGION, REGION), (char *)heap.base + mark);
	region_uncarve(p + OS_PAGE, REGION); /* none is */
	region_uncarve(p, REGION - OS_PAGE);
	region_uncarve(p + OS_PAGE, OS_PAGE);
	cr_assert_eq(region_carve(TM_HOT, REGION, REGION), (char *)heap.base + mark + REGION);
}

/* More ranges come back than there are places to remember them: some are lost, none is given twice. */
Test(space, many_uncarved) {
	enum { N = 200 };
	static char *piece[N];
	static bool given[2 * N];
	cr_assert_eq(init(GiB), 0);
	for (int i = 0; i < N; i++)
		piece[i] = region_carve(TM_HOT, REGION, REGION);
	for (int i = 0; i < N; i++)
		region_uncarve(piece[i], REGION);
	unsigned again = 0;
	for (int i = 0; i < N; i++) {
		char *p = region_carve(TM_HOT, REGION, REGION);
		CHECK(p != NULL, "carve %d", i);
		size_t at = ((uintptr_t)p - heap.base) / REGION;
		CHECK(at < 2 * N && !given[at], "region %zu given twice", at);
		given[at] = true;
		again += at < N;
	}
	cr_assert_geq(again, 32, "only %u of %d were used again", again, N);
}

#define THREADS 8

static _Atomic uint8_t taken[2048];
static _Atomic unsigned clashes, successes;

/* Between the look at the mark and its exchange. */
static long slow_table(long number) {
	if (number == SYS_mprotect)
		sched_yield();
	return 0;
}

static void *carver(void *arg) {
	uint64_t seed = (uintptr_t)arg;
	for (;;) {
		size_t regions = 1 + random_below(&seed, 7), align = REGION << random_below(&seed, 4);
		enum tm_tier class = (enum tm_tier)random_below(&seed, 2);
		char *p = region_carve(class, regions * REGION, align);
		if (p == NULL && regions == 1 && align == REGION && zone_carved(TM_HOT) == zones[TM_HOT].bytes)
			return NULL;
		if (p == NULL)
			continue;
		atomic_fetch_add(&successes, 1);
		size_t first = region_index(p);
		clashes += ((uintptr_t)p & (align - 1)) != 0 || region_class(first) != class ||
		    region_class(first + regions - 1) != class;
		for (size_t i = first; i < first + regions; i++)
			clashes += atomic_fetch_add(&taken[i], 1) != 0;
		/* a third goes back, to be carved by somebody else */
		if (random_below(&seed, 3) == 0) {
			for (size_t i = first; i < first + regions; i++)
				atomic_fetch_sub(&taken[i], 1);
			region_uncarve(p, regions * REGION);
		}
	}
}

Test(space, carve_on_many_threads, .timeout = 60) {
	pthread_t threads[THREADS];
	uint64_t seed = random_seed();
	cr_assert_eq(init(3 * GiB), 0);
	cr_assert_leq(heap.bytes >> REGION_SHIFT, sizeof(taken));
	os_fault = slow_table;
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, carver, (void *)(random_next(&seed) | 1));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(clashes, 0, "%u times a region was given twice or from the wrong zone", clashes);
	cr_assert_gt(successes, 300);
}

/* The real number of mappings is looked at before it may matter; not known is taken for too many, for a while. */
Test(space, splits_are_bounded) {
	cr_assert_eq(init(64 * MiB), 0);
	for (int i = 0; i < 40000; i++)
		CHECK(region_may_split(), "refused after %d with few mappings", i);
	cr_assert_eq(tm_process.vma_limited, 0);
	fault_set(SYS_openat, -EMFILE, 0, ALWAYS);
	unsigned refused = 0;
	for (int i = 0; i < 60000; i++)
		refused += !region_may_split();
	cr_assert_gt(refused, 0);
	cr_assert_eq(tm_process.vma_limited, refused);
	fault_clear();
	usleep(1100000);
	cr_assert(region_may_split(), "and again when they can be counted");
}

/* With so many mappings that little is left for the program, there are no more splits. */
Test(space, splits_leave_room_for_the_program) {
	char text[32];
	void *p;
	cr_assert_gt(os_read_file("/proc/sys/vm/max_map_count", text, sizeof(text)), 0);
	size_t most = strtoul(text, NULL, 10), pages = most - most / 16;
	if (most > 200000)
		cr_skip_test("vm.max_map_count is too high to get near it");
	cr_assert_eq(init(64 * MiB), 0);
	cr_assert_eq(os_map(pages * OS_PAGE, OS_PAGE, &p), 0);
	for (size_t i = 0; i < pages; i += 2)
		os_advise((char *)p + i * OS_PAGE, OS_PAGE, MADV_NOHUGEPAGE);
	unsigned refused = 0;
	for (int i = 0; i < 2000; i++)
		refused += !region_may_split();
	cr_assert_gt(refused, 1000);
	cr_assert_eq(tm_process.vma_limited, refused);
}
