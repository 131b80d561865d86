/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiers/region on one thread: states, content, limits, failures, and a random walk beside a model. Threads and fork
 * have files of their own.
 */
#include "unit.h"

#include "tiers/huge.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static int commit(size_t index, unsigned page, size_t pages) {
	return region_commit(region_page(index, page), pages * OS_PAGE);
}

static void decommit(size_t index, unsigned page, size_t pages) {
	region_decommit(region_page(index, page), pages * OS_PAGE);
}

static void must_commit(size_t index, unsigned page, size_t pages) {
	CHECK(commit(index, page, pages) == 0, "commit of %zu pages", pages);
	CHECK(pages_zero(region_page(index, page), pages) == pages, "page %zu of %zu is not zero",
	    pages_zero(region_page(index, page), pages), pages);
}

static bool live(size_t index, unsigned page) {
	return atomic_load(&region_table[index].live[page / 64]) >> (page % 64) & 1;
}

/* --- states --- */

Test(region, hot_life) {
	heap_up(&usual_config);
	size_t i = heap_carve(TM_HOT, 1);
	cr_assert_eq(region_word(i), 0, "FREE without flags");
	cr_assert_eq(region_tier_of(region_base(i)), TM_NONE);
	must_commit(i, 3, 5);
	cr_assert_eq(region_word(i), 5 | (uint64_t)TM_REGION_HOT << REGION_STATE_SHIFT | REGION_OPEN);
	for (unsigned page = 0; page < REGION_PAGES; page++)
		CHECK(live(i, page) == (page >= 3 && page < 8), "page %u", page);
	cr_assert(mapping_flag(region_base(i), "nh"));
	cr_assert_eq(tm_process.born[TM_HOT], 1);
	heap_check("5 pages");
	decommit(i, 3, 2);
	cr_assert_eq(region_word(i), 3 | (uint64_t)TM_REGION_HOT << REGION_STATE_SHIFT | REGION_OPEN);
	cr_assert_eq(tm_process.returned, 2 * OS_PAGE);
	decommit(i, 5, 3);
	cr_assert_eq(region_word(i), REGION_OPEN, "FREE again, still open");
	cr_assert_eq(tm_process.returned, 5 * OS_PAGE);
	cr_assert_eq(tm_process.regions[TM_HOT], 0);
	heap_check("all given back");
}

Test(region, cold_life) {
	struct region_config config = usual_config;
	config.cold_waste = 100;
	heap_up(&config);
	size_t i = heap_carve(TM_COLD, 1);
	must_commit(i, 0, 10);
	cr_assert_eq(region_state(i), TM_REGION_COLD);
	cr_assert(region_word(i) & REGION_ADVISED);
	cr_assert(region_word(i) & REGION_OPEN);
	cr_assert_not(region_word(i) & REGION_STALE);
	cr_assert(mapping_flag(region_base(i), "hg"));
	cr_assert_eq(tm_process.born[TM_COLD], 1);
	heap_check("10 pages");
	decommit(i, 4, 1);
	cr_assert_eq(region_state(i), TM_REGION_COLD, "kept whole");
	cr_assert(region_word(i) & REGION_STALE, "page 4 still has its bytes");
	decommit(i, 0, 4);
	decommit(i, 5, 5);
	cr_assert_eq(region_state(i), TM_REGION_FREE);
	cr_assert_not(region_word(i) & (REGION_STALE | REGION_HUGE | REGION_DENIED));
	cr_assert_eq(tm_process.regions[TM_COLD], 0);
	heap_check("all given back");
}

/* A cold region that may have no huge page is an ordinary one, which gives back page by page. */
Test(region, cold_without_huge_pages) {
	struct region_config config = usual_config;
	config.huge = false;
	heap_up(&config);
	size_t i = heap_carve(TM_COLD, 1);
	must_commit(i, 0, REGION_PAGES);
	cr_assert_eq(region_state(i), TM_REGION_SPARSE);
	cr_assert_not(region_word(i) & REGION_ADVISED);
	cr_assert_not(mapping_flag(region_base(i), "hg"));
	cr_assert_eq(region_tier_of(region_base(i)), TM_COLD);
	heap_check("a whole region");
	pages_fill(region_base(i), REGION_PAGES, 1);
	decommit(i, 1, 1);
	cr_assert_not(region_word(i) & REGION_STALE);
	must_commit(i, 1, 1);
	region_verify(100);
	cr_assert_eq(region_state(i), TM_REGION_SPARSE);
	cr_assert_eq(tm_process.huge_retried, 0);
}

/* What the kernel will not advise is no region to keep whole. */
Test(region, cold_not_advised) {
	heap_up(&usual_config);
	size_t i = heap_carve(TM_COLD, 1);
	fault_set(SYS_madvise, -EINVAL, 0, ALWAYS);
	must_commit(i, 0, 10);
	cr_assert_eq(region_state(i), TM_REGION_SPARSE);
	cr_assert_not(region_word(i) & REGION_ADVISED);
	heap_check("10 pages");
}

/* A zone's class is not its tier: beyond the limit, hot objects lie in cold regions. */
Test(region, hot_limit) {
	struct region_config config = usual_config;
	config.hot_limit = 3 * REGION + REGION / 2;
	heap_up(&config);
	size_t i = heap_carve(TM_HOT, 6);
	for (size_t k = 0; k < 5; k++)
		must_commit(i + k, 0, 1);
	for (size_t k = 0; k < 5; k++)
		cr_assert_eq(region_tier_of(region_base(i + k)), k < 3 ? TM_HOT : TM_COLD, "region %zu", k);
	cr_assert_eq(tm_process.regions[TM_HOT], 3);
	cr_assert_eq(tm_process.regions[TM_COLD], 2);
	cr_assert_eq(tm_process.committed[TM_HOT], 3 * OS_PAGE);
	cr_assert_eq(tm_process.class_committed[TM_HOT], 5 * OS_PAGE);
	heap_check("5 regions");
	/* pages of a region that is there need no new place */
	must_commit(i, 1, 100);
	cr_assert_eq(tm_process.regions[TM_HOT], 3);
	/* a place that is given back is taken by the next birth */
	decommit(i + 1, 0, 1);
	must_commit(i + 5, 0, 1);
	cr_assert_eq(region_tier_of(region_base(i + 5)), TM_HOT);
	must_commit(i + 1, 0, 1);
	cr_assert_eq(region_tier_of(region_base(i + 1)), TM_COLD);
	cr_assert_eq(tm_process.born[TM_HOT], 4);
	cr_assert_eq(tm_process.born[TM_COLD], 3);
	/* the cold class does not use up the limit */
	decommit(i, 0, 101);
	size_t cold = heap_carve(TM_COLD, 1);
	must_commit(cold, 0, 1);
	cr_assert_eq(region_tier_of(region_base(cold)), TM_COLD);
	must_commit(i, 0, 1);
	cr_assert_eq(region_tier_of(region_base(i)), TM_HOT);
	heap_check("in the end");
}

Test(region, hot_limit_zero) {
	struct region_config config = usual_config;
	config.hot_limit = 0;
	heap_up(&config);
	size_t i = heap_carve(TM_HOT, 2);
	must_commit(i, 0, 1);
	must_commit(i + 1, 0, REGION_PAGES);
	cr_assert_eq(region_state(i), TM_REGION_SPARSE, "one page is not worth a huge one");
	cr_assert_eq(region_state(i + 1), TM_REGION_COLD, "a whole region is");
	cr_assert_eq(tm_process.regions[TM_HOT], 0);
	cr_assert_eq(tm_process.born[TM_HOT], 0);
	heap_check("two regions");
}

/* In the hot class, the unused part of huge pages stays below a twentieth of the heap. */
Test(region, slack_is_bounded) {
	struct region_config config = usual_config;
	config.hot_limit = 0;
	heap_up(&config);
	size_t i = heap_carve(TM_HOT, 40);
	for (size_t k = 0; k < 19; k++)
		must_commit(i + k, 0, REGION_PAGES);
	cr_assert_eq(atomic_load(&region_slack), 0);
	/* 19 regions bear 486 unused pages: 26 of a region must be in use from the beginning */
	must_commit(i + 20, 0, 20);
	cr_assert_eq(region_state(i + 20), TM_REGION_SPARSE);
	must_commit(i + 21, 0, 30);
	cr_assert_eq(region_state(i + 21), TM_REGION_COLD);
	cr_assert_eq(atomic_load(&region_slack), REGION_PAGES - 30);
	must_commit(i + 22, 0, 30);
	cr_assert_eq(region_state(i + 22), TM_REGION_SPARSE, "the share is used up");
	must_commit(i + 21, 30, REGION_PAGES - 30);
	cr_assert_eq(atomic_load(&region_slack), 0);
	must_commit(i + 23, 0, 30);
	cr_assert_eq(region_state(i + 23), TM_REGION_COLD);
	/* what the program named cold is not asked */
	size_t cold = heap_carve(TM_COLD, 1);
	must_commit(cold, 0, 1);
	cr_assert_eq(region_state(cold), TM_REGION_COLD);
	heap_check("in the end");
}

/* A region that was cold and advised does not stay so when it is born again in the hot tier. */
Test(region, reborn_in_the_other_tier) {
	struct region_config config = usual_config;
	config.hot_limit = REGION;
	heap_up(&config);
	size_t i = heap_carve(TM_HOT, 2);
	must_commit(i, 0, 1);
	must_commit(i + 1, 0, REGION_PAGES);
	cr_assert_eq(region_state(i + 1), TM_REGION_COLD);
	cr_assert(mapping_flag(region_base(i + 1), "hg"));
	decommit(i, 0, 1);
	decommit(i + 1, 0, REGION_PAGES);
	must_commit(i + 1, 0, 1);
	cr_assert_eq(region_state(i + 1), TM_REGION_HOT);
	cr_assert_not(region_word(i + 1) & REGION_ADVISED);
	cr_assert(mapping_flag(region_base(i + 1), "nh"));
}

Test(region, strict_overcommit) {
	struct region_config config = usual_config;
	config.strict = true;
	heap_up(&config);
	size_t hot = heap_carve(TM_HOT, 1), cold = heap_carve(TM_COLD, 1);
	for (int round = 0; round < 3; round++) {
		must_commit(hot, 7, 2);
		must_commit(cold, 7, 2);
		cr_assert(mapping_flag(region_base(cold), "hg"));
		pages_fill(region_page(hot, 7), 2, 1);
		pages_fill(region_page(cold, 7), 2, 1);
		decommit(hot, 7, 2);
		decommit(cold, 7, 2);
		cr_assert_eq(region_word(hot), 0, "neither open nor advised");
		cr_assert_eq(region_word(cold), 0);
		cr_assert_not(page_readable(region_page(hot, 7)));
		cr_assert_not(page_readable(region_page(cold, 7)));
		cr_assert(mapping_flag(region_base(hot), "nh"));
	}
	heap_check("in the end");
	/* where that fails it is as without */
	must_commit(hot, 0, 1);
	page_fill(region_base(hot), 1);
	fault_set(SYS_mmap, -ENOMEM, 0, ALWAYS);
	decommit(hot, 0, 1);
	cr_assert_eq(region_word(hot), REGION_OPEN);
	must_commit(hot, 0, 1);
}

Test(region, tier_of_any_pointer) {
	int here;
	cr_assert_eq(region_tier_of(NULL), TM_NONE);
	cr_assert_eq(region_tier_of(&here), TM_NONE);
	cr_assert_eq(region_tier_of((void *)UINTPTR_MAX), TM_NONE);
	heap_up(&usual_config);
	cr_assert_eq(region_tier_of((void *)heap.base), TM_NONE, "nothing is carved");
	cr_assert_eq(region_tier_of((void *)zones[TM_COLD].base), TM_NONE);
	size_t hot = heap_carve(TM_HOT, 2), cold = heap_carve(TM_COLD, 1);
	must_commit(hot, 511, 1);
	must_commit(cold, 0, 1);
	for (size_t at = 0; at < REGION; at += 4099) {
		CHECK(region_tier_of((char *)region_base(hot) + at) == TM_HOT, "byte %zu", at);
		CHECK(region_tier_of((char *)region_base(hot + 1) + at) == TM_NONE, "byte %zu", at);
		CHECK(region_tier_of((char *)region_base(cold) + at) == TM_COLD, "byte %zu", at);
		CHECK(region_tier_of((char *)region_base(cold + 1) + at) == TM_NONE, "byte %zu", at);
	}
	cr_assert_eq(region_tier_of((char *)region_base(hot) + REGION - 1), TM_HOT);
	cr_assert_eq(region_tier_of((void *)(heap.base - 1)), TM_NONE);
	cr_assert_eq(region_tier_of((void *)(heap.base + heap.bytes - 1)), TM_NONE);
	cr_assert_eq(region_tier_of((void *)(heap.base + heap.bytes)), TM_NONE);
	cr_assert_eq(region_tier_of(NULL), TM_NONE);
	cr_assert_eq(region_tier_of(&here), TM_NONE);
	cr_assert_eq(region_tier_of((void *)must_commit), TM_NONE);
	cr_assert_eq(region_tier_of((void *)UINTPTR_MAX), TM_NONE);
	uint64_t seed = random_seed();
	for (int i = 0; i < 200000; i++) /* most are in the heap, all are safe to ask about */
		region_tier_of((void *)(heap.base - REGION + random_next(&seed) % (heap.bytes + 2 * REGION)));
}

/* --- content --- */

enum world { PLAIN, NO_ADVICE, STRICT };

/*
 * Pages that were in use are given back and taken again, by themselves and with the whole of their region, next to a
 * page that stays. They must read as zero every time, the page that stays must not change.
 */
static void recycle(enum tm_region_state state, enum world world, unsigned waste) {
	static const struct {
		unsigned page, pages;
	} ranges[] = {
	    {1, 1}, {1, 511}, {60, 10}, {63, 2}, {64, 64}, {100, 300}, {511, 1}, {300, 1236}, {512, 512}, {1, 2047}};
	struct region_config config = usual_config;
	config.hot_limit = state == TM_REGION_HOT ? GiB : 0;
	config.strict = world == STRICT;
	config.cold_waste = waste;
	heap_up(&config);
	size_t first = heap_carve(state == TM_REGION_COLD ? TM_COLD : TM_HOT, 4);

	for (int anchored = 0; anchored < 2; anchored++)
		for (size_t k = 0; k < sizeof(ranges) / sizeof(ranges[0]); k++) {
			char *p = region_page(first, ranges[k].page);
			size_t pages = ranges[k].pages;
			if (anchored) {
				must_commit(first, 0, 1);
				CHECK(region_state(first) == state, "state %d, not %d", region_state(first), state);
				page_fill(region_base(first), 77);
			}
			for (int round = 0; round < 3; round++) {
				must_commit(first, ranges[k].page, pages);
				pages_fill(p, pages, 1000 + k);
				if (world == NO_ADVICE) /* from here on, so that births are of the kind asked for */
					fault_set(SYS_madvise, -EINVAL, 0, ALWAYS);
				size_t part = pages / 3;
				region_decommit(p, part * OS_PAGE);
				CHECK(pages_hold(p + part * OS_PAGE, pages - part, 1000 + k + part) == pages - part,
				    "range %zu: a decommit took from the next page", k);
				region_decommit(p + part * OS_PAGE, (pages - part) * OS_PAGE);
				if (round == 2)
					fault_clear();
			}
			if (anchored) {
				CHECK(page_holds(region_base(first), 77), "range %zu: the page that stayed", k);
				decommit(first, 0, 1);
			}
			heap_check("round");
			CHECK(tm_process.regions[TM_HOT] + tm_process.regions[TM_COLD] == 0, "range %zu", k);
		}
}

Test(region, recycle_hot) {
	recycle(TM_REGION_HOT, PLAIN, 25);
}
Test(region, recycle_hot_no_advice) {
	recycle(TM_REGION_HOT, NO_ADVICE, 25);
}
Test(region, recycle_hot_strict) {
	recycle(TM_REGION_HOT, STRICT, 25);
}
Test(region, recycle_cold_kept_whole) {
	recycle(TM_REGION_COLD, PLAIN, 100);
}
Test(region, recycle_cold_broken_up) {
	recycle(TM_REGION_COLD, PLAIN, 0);
}
Test(region, recycle_cold_no_advice) {
	recycle(TM_REGION_COLD, NO_ADVICE, 25);
}
Test(region, recycle_cold_strict) {
	recycle(TM_REGION_COLD, STRICT, 25);
}
Test(region, recycle_sparse) {
	recycle(TM_REGION_SPARSE, PLAIN, 25);
}
Test(region, recycle_sparse_no_advice) {
	recycle(TM_REGION_SPARSE, NO_ADVICE, 25);
}
Test(region, recycle_sparse_strict) {
	recycle(TM_REGION_SPARSE, STRICT, 25);
}

/* Memory that a program has locked cannot be dropped: the kernel refuses, for real. */
Test(region, locked_pages) {
	heap_up(&usual_config);
	for (int class = TM_HOT; class < TM_TIERS; class ++) {
		size_t i = heap_carve(class, 1);
		must_commit(i, 0, 9);
		pages_fill(region_base(i), 9, 5);
		if (syscall(SYS_mlock, region_page(i, 2), 4 * OS_PAGE) != 0) /* sanitizers make mlock do nothing */
			cr_skip_test("no memory may be locked here");
		decommit(i, 2, 4);
		CHECK(region_word(i) & REGION_STALE || region_state(i) == TM_REGION_SPARSE, "class %d", class);
		must_commit(i, 2, 4);
		pages_fill(region_page(i, 2), 4, 7);
		CHECK(pages_hold(region_base(i), 2, 5) == 2 && pages_hold(region_page(i, 6), 3, 9 + 2) == 3,
		    "class %d", class);
		decommit(i, 0, 9);
		CHECK(region_state(i) == TM_REGION_FREE && (region_word(i) & REGION_STALE), "class %d", class);
		must_commit(i, 0, 9);
		decommit(i, 0, 9);
		syscall(SYS_munlock, region_page(i, 2), 4 * OS_PAGE);
		must_commit(i, 0, 9);
		CHECK(!(region_word(i) & REGION_STALE), "class %d: cleared at once at birth, when that is possible",
		    class);
		heap_check("unlocked");
	}
}

/* --- failures --- */

Test(region, birth_fails) {
	heap_up(&usual_config);
	struct tm_process before;
	size_t hot = heap_carve(TM_HOT, 1), cold = heap_carve(TM_COLD, 1);
	memcpy(&before, &tm_process, sizeof(before));
	fault_set(SYS_mprotect, -ENOMEM, 0, 2);
	errno = 77;
	cr_assert_eq(commit(hot, 5, 100), -ENOMEM);
	cr_assert_eq(commit(cold, 5, 100), -ENOMEM);
	cr_assert_eq(errno, 77);
	cr_assert_eq(memcmp(&before, &tm_process, sizeof(before)), 0, "a counter moved");
	cr_assert_eq(region_word(hot), 0);
	cr_assert_eq(region_word(cold), 0);
	heap_check("failed births");
	must_commit(hot, 5, 100);
	must_commit(cold, 5, 100);
	heap_check("births");
}

/* The hot limit has room for one: a failed birth must leave it to the next. */
Test(region, failed_birth_leaves_its_place) {
	struct region_config config = usual_config;
	config.hot_limit = REGION;
	heap_up(&config);
	size_t i = heap_carve(TM_HOT, 2);
	fault_set(SYS_mprotect, -ENOMEM, 0, 3);
	for (int k = 0; k < 3; k++)
		cr_assert_eq(commit(i, 0, 1), -ENOMEM);
	must_commit(i + 1, 0, 1);
	cr_assert_eq(region_state(i + 1), TM_REGION_HOT);
}

/* The third of four regions cannot be had: what was done for the others is undone, what was there before stays. */
Test(region, commit_fails_half_way) {
	heap_up(&usual_config);
	size_t i = heap_carve(TM_HOT, 4);
	must_commit(i, 0, 10);
	pages_fill(region_base(i), 10, 1);
	must_commit(i + 3, 100, 1);
	page_fill(region_page(i + 3, 100), 50);
	fault_set(SYS_mprotect, -ENOMEM, 1, 1);
	cr_assert_eq(commit(i, 10, 3 * REGION_PAGES), -ENOMEM);
	heap_check("after the failure");
	cr_assert_eq(tm_process.committed[TM_HOT], 11 * OS_PAGE);
	cr_assert_eq(tm_process.regions[TM_HOT], 2);
	cr_assert_eq(region_state(i + 1), TM_REGION_FREE);
	cr_assert_eq(region_state(i + 2), TM_REGION_FREE);
	cr_assert_eq(pages_hold(region_base(i), 10, 1), 10);
	cr_assert(page_holds(region_page(i + 3, 100), 50));
	must_commit(i, 10, 3 * REGION_PAGES);
	cr_assert_eq(pages_hold(region_base(i), 10, 1), 10);
	heap_check("after the next try");
}

/* --- a random walk --- */

#define MODEL_REGIONS 5
#define MODEL_PAGES   (MODEL_REGIONS * REGION_PAGES)

static struct {
	struct region_config config;
	uint64_t seed, state;
	int step;
	size_t first[TM_TIERS];
	uint64_t tag[TM_TIERS][MODEL_PAGES]; /* 0: not committed */
	enum tm_tier tier[TM_TIERS][MODEL_REGIONS];
	uint64_t born[TM_TIERS], returned, returned_before;
} model;

#define MUST(condition) CHECK(condition, "seed %llu step %d", (unsigned long long)model.seed, model.step)

static unsigned model_live(int class, unsigned region) {
	unsigned n = 0;
	for (unsigned page = 0; page < REGION_PAGES; page++)
		n += model.tag[class][region * REGION_PAGES + page] != 0;
	return n;
}

/* What region_commit and region_decommit say of tiers, in the order of the addresses. */
static void model_tiers(int class, unsigned page, unsigned pages) {
	for (unsigned region = page / REGION_PAGES; region <= (page + pages - 1) / REGION_PAGES; region++) {
		enum tm_tier *tier = &model.tier[class][region];
		unsigned hot = 0;
		for (unsigned i = 0; i < MODEL_REGIONS; i++)
			hot += model.tier[TM_HOT][i] == TM_HOT;
		if (model_live(class, region) == 0) {
			*tier = TM_NONE;
		} else if (*tier == TM_NONE) {
			*tier = class == TM_HOT && (hot + 1) * REGION <= model.config.hot_limit ? TM_HOT : TM_COLD;
			model.born[*tier]++;
		}
	}
}

static void model_check(void) {
	uint64_t committed[TM_TIERS] = {0}, class_committed[TM_TIERS] = {0}, regions[TM_TIERS] = {0};
	heap_check("model");
	for (int class = TM_HOT; class < TM_TIERS; class ++)
		for (unsigned page = 0; page < MODEL_PAGES; page++) {
			size_t index = model.first[class] + page / REGION_PAGES;
			uint64_t tag = model.tag[class][page];
			enum tm_tier tier = model.tier[class][page / REGION_PAGES];
			MUST(live(index, page % REGION_PAGES) == (tag != 0));
			MUST(tag == 0 || page_holds(region_page(index, page % REGION_PAGES), tag));
			if (page % REGION_PAGES == 0) {
				MUST(region_tier_of(region_base(index)) == tier);
				if (tier != TM_NONE)
					regions[tier]++;
			}
			if (tag != 0) {
				committed[tier] += OS_PAGE;
				class_committed[class] += OS_PAGE;
			}
		}
	for (int i = 0; i < TM_TIERS; i++) {
		MUST(tm_process.committed[i] == committed[i]);
		MUST(tm_process.class_committed[i] == class_committed[i]);
		MUST(tm_process.regions[i] == regions[i]);
		MUST(tm_process.born[i] == model.born[i]);
	}
	/* Never more than was decommitted, but for the rest of a region that a huge page kept whole. */
	MUST(tm_process.returned >= model.returned_before);
	MUST(tm_process.returned <= model.returned + tm_process.born[TM_COLD] * REGION);
	model.returned_before = tm_process.returned;
}

static void walk(const struct region_config *config, int steps, unsigned one_in) {
	model.config = *config;
	model.seed = model.state = random_seed();
	heap_up(config);
	for (int class = TM_HOT; class < TM_TIERS; class ++) {
		model.first[class] = heap_carve(class, MODEL_REGIONS);
		for (int i = 0; i < MODEL_REGIONS; i++)
			model.tier[class][i] = TM_NONE;
	}
	uint64_t next_tag = 1;
	if (one_in != 0)
		fault_chance(SYS_madvise, -EINVAL, one_in);
	for (model.step = 0; model.step < steps; model.step++) {
		static const unsigned lengths[] = {1, 4, 60, 600, 1600};
		int class = (int)random_below(&model.state, TM_TIERS);
		unsigned page = random_below(&model.state, MODEL_PAGES);
		unsigned most = 1 + random_below(&model.state, lengths[random_below(&model.state, 5)]), pages = 0;
		uint64_t *tag = &model.tag[class][page];
		bool committed = *tag != 0;
		while (pages < most && page + pages < MODEL_PAGES && (tag[pages] != 0) == committed)
			pages++;
		char *p = region_page(model.first[class], 0) + (size_t)page * OS_PAGE;
		if (committed) {
			for (unsigned i = 0; i < pages; i++) {
				MUST(page_holds(p + i * OS_PAGE, tag[i]));
				tag[i] = 0;
			}
			region_decommit(p, pages * OS_PAGE);
			model.returned += pages * OS_PAGE;
			model_tiers(class, page, pages);
			/* without failures, nothing that is mostly unused is left whole behind a decommit */
			for (unsigned r = page / REGION_PAGES; one_in == 0 && r <= (page + pages - 1) / REGION_PAGES;
			     r++)
				MUST(region_state(model.first[class] + r) != TM_REGION_COLD ||
				    (REGION_PAGES - model_live(class, r)) * 100 <= config->cold_waste * REGION_PAGES);
		} else {
			MUST(region_commit(p, pages * OS_PAGE) == 0);
			MUST(pages_zero(p, pages) == pages);
			for (unsigned i = 0; i < pages; i++)
				page_fill(p + i * OS_PAGE, tag[i] = next_tag++);
			model_tiers(class, page, pages);
		}
		if (model.step % 32 == 0)
			region_verify(1 + random_below(&model.state, 8));
		if (model.step % 64 == 0)
			model_check();
	}
	model_check();
	for (int class = TM_HOT; class < TM_TIERS; class ++)
		for (unsigned page = 0; page < MODEL_PAGES; page++)
			if (model.tag[class][page] != 0)
				region_decommit(region_page(model.first[class], 0) + (size_t)page * OS_PAGE, OS_PAGE);
	heap_check("emptied");
	cr_assert_eq(tm_process.regions[TM_HOT] + tm_process.regions[TM_COLD], 0);
	cr_assert_gt(model.born[TM_COLD], 3);
}

#define STEPS 3000

Test(region, walk) {
	struct region_config config = usual_config;
	config.hot_limit = 3 * REGION;
	walk(&config, STEPS, 0);
}

Test(region, walk_all_hot) {
	walk(&usual_config, STEPS, 0);
}

Test(region, walk_no_waste) {
	struct region_config config = usual_config;
	config.hot_limit = 0;
	config.cold_waste = 0;
	walk(&config, STEPS, 0);
}

Test(region, walk_all_waste) {
	struct region_config config = usual_config;
	config.hot_limit = 2 * REGION;
	config.cold_waste = 100;
	walk(&config, STEPS, 0);
}

Test(region, walk_strict) {
	struct region_config config = usual_config;
	config.hot_limit = 3 * REGION;
	config.strict = true;
	walk(&config, STEPS, 0);
}

Test(region, walk_no_huge_pages) {
	struct region_config config = usual_config;
	config.hot_limit = 3 * REGION;
	config.huge = false;
	walk(&config, STEPS, 0);
}

Test(region, walk_some_advice_fails) {
	struct region_config config = usual_config;
	config.hot_limit = 3 * REGION;
	walk(&config, STEPS, 3);
}

Test(region, walk_all_advice_fails) {
	struct region_config config = usual_config;
	config.hot_limit = 3 * REGION;
	walk(&config, STEPS, 1);
}
