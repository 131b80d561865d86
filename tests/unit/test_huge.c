/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiers/huge: that huge pages are had, seen, asked for again and given up, with the kernel as the witness. Most of it
 * needs a kernel that gives huge pages and tells of them; what does not runs everywhere.
 */
#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/pages.h"

#ifndef PR_SET_THP_DISABLE
#define PR_SET_THP_DISABLE 41
#endif

static struct pages_count count_of(size_t index, size_t regions) {
	struct pages_count count = {0};
	uintptr_t start = (uintptr_t)region_base(index);
	CHECK(pages_scan(0, start, start + regions * REGION, &count) == 0, "scan");
	return count;
}

static size_t cold_region(unsigned waste) {
	struct region_config config = usual_config;
	config.cold_waste = waste;
	heap_up(&config);
	return heap_carve(TM_COLD, 1);
}

static void commit(size_t index, unsigned page, unsigned pages) {
	CHECK(region_commit(region_page(index, page), pages * OS_PAGE) == 0, "commit");
}

static void decommit(size_t index, unsigned page, unsigned pages) {
	region_decommit(region_page(index, page), pages * OS_PAGE);
}

/* A cold region, all of it in use and filled from `tag` on, confirmed to be huge. */
static void make_huge(size_t index, uint64_t tag) {
	commit(index, 0, REGION_PAGES);
	pages_fill(region_base(index), REGION_PAGES, tag);
	for (int tries = 0; tries < 20 && !(region_word(index) & REGION_HUGE); tries++) {
		region_verify(64);
		usleep(tries > 1 ? 110000 : 0);
	}
	CHECK(region_word(index) & REGION_HUGE, "word %#llx", (unsigned long long)region_word(index));
	CHECK(count_of(index, 1).huge == REGION, "%llu KiB huge", (unsigned long long)count_of(index, 1).huge >> 10);
}

/* Is the page part of a larger one, by the kernel's flags? -1: it does not tell us (only root may ask). */
static int page_is_part(const void *p) {
	uint64_t entry, flags;
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int kpageflags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC), answer = -1;
	if (pread(pagemap, &entry, 8, (off_t)((uintptr_t)p / OS_PAGE * 8)) == 8 && (entry << 9) >> 9 != 0 &&
	    pread(kpageflags, &flags, 8, (off_t)(((entry << 9) >> 9) * 8)) == 8)
		answer = (flags >> 15 & 3) != 0; /* KPF_COMPOUND_HEAD, KPF_COMPOUND_TAIL */
	close(pagemap);
	close(kpageflags);
	return answer;
}

Test(huge, born_with_a_huge_page) {
	NEED_HUGE_PAGES();
	size_t i = cold_region(25);
	commit(i, 0, 1);
	cr_assert_eq(region_state(i), TM_REGION_COLD);
	cr_assert_eq(region_verify(10), 0, "not touched: nothing to confirm");
	cr_assert_not(region_word(i) & (REGION_HUGE | REGION_DENIED));
	*region_page(i, 0) = 1;
	cr_assert_eq(count_of(i, 1).huge, REGION);
	cr_assert_eq(region_verify(10), 1);
	cr_assert(region_word(i) & REGION_HUGE);
	cr_assert_eq(region_verify(10), 0, "once is enough");
	cr_assert_eq(tm_process.huge_denied, 0);
	cr_assert_eq(tm_process.huge_retried, 0);
	heap_check("in the end");
}

/* A birth looks at the one before. */
Test(huge, confirmed_by_later_births) {
	NEED_HUGE_PAGES();
	size_t i = cold_region(25), others = heap_carve(TM_COLD, 6);
	commit(i, 0, 1);
	*region_page(i, 0) = 1;
	for (size_t k = 0; k < 6; k++)
		commit(others + k, 0, 1);
	cr_assert(region_word(i) & REGION_HUGE);
}

Test(huge, verify_keeps_to_its_budget) {
	NEED_HUGE_PAGES();
	size_t i = cold_region(25);
	heap_carve(TM_COLD, 9);
	for (size_t k = 0; k < 10; k++) {
		commit(i + k, 0, 1);
		atomic_fetch_and(&region_table[i + k].word, ~REGION_HUGE);
		*region_page(i + k, 0) = 1;
	}
	unsigned unseen = 10;
	for (size_t k = 0; k < 10; k++)
		unseen -= (region_word(i + k) & REGION_HUGE) != 0;
	for (unsigned looked = 0; unseen > 0; looked++) {
		CHECK(looked < 30, "%u not seen", unseen);
		unsigned n = region_verify(3);
		CHECK(n <= 3 && n <= unseen, "%u of 3", n);
		unseen -= n;
	}
	cr_assert_eq(region_verify(0), 0);
}

Test(huge, never_asked_for) {
	struct region_config config = usual_config;
	config.huge = false;
	heap_up(&config);
	size_t i = heap_carve(TM_COLD, 1);
	commit(i, 0, REGION_PAGES);
	pages_fill(region_base(i), REGION_PAGES, 1);
	for (int k = 0; k < 3; k++)
		cr_assert_eq(region_verify(10), 0);
	cr_assert_eq(tm_process.huge_retried, 0);
	cr_assert_not(mapping_flag(region_base(i), "hg"));
}

/* The kernel gives small pages first, and a huge one when it is asked again. */
Test(huge, denied_then_gained) {
	NEED_HUGE_PAGES();
	size_t i = cold_region(25);
	cr_assert_eq(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	commit(i, 0, REGION_PAGES);
	pages_fill(region_base(i), REGION_PAGES, 3);
	cr_assert_eq(count_of(i, 1).huge, 0);
	cr_assert_eq(region_verify(10), 0);
	cr_assert_eq(tm_process.huge_denied, 1);
	cr_assert(region_word(i) & REGION_DENIED);
	cr_assert_not(region_word(i) & REGION_HUGE);
	cr_assert_eq(tm_process.huge_retried, 0, "not in the same breath");
	/* still off: asked for, not given, counted once as denied */
	cr_assert_eq(region_verify(10), 0);
	cr_assert_eq(tm_process.huge_retried, 1);
	cr_assert_eq(tm_process.huge_gained, 0);
	cr_assert_eq(tm_process.huge_denied, 1);
	cr_assert_eq(region_state(i), TM_REGION_COLD);
	heap_check("denied");
	cr_assert_eq(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0);
	/* not again so soon: a collapse takes a good part of a millisecond of somebody's time */
	for (int k = 0; k < 20; k++)
		region_verify(10);
	cr_assert_leq(tm_process.huge_retried, 2);
	for (int tries = 0; tries < 20 && tm_process.huge_gained == 0; tries++) {
		usleep(110000);
		region_verify(10);
	}
	cr_assert_eq(tm_process.huge_gained, 1);
	cr_assert(region_word(i) & REGION_HUGE);
	cr_assert_not(region_word(i) & REGION_DENIED);
	cr_assert_eq(count_of(i, 1).huge, REGION);
	cr_assert_eq(pages_hold(region_base(i), REGION_PAGES, 3), REGION_PAGES);
	heap_check("gained");
}

/* What is mostly untouched would only grow. */
Test(huge, not_retried_when_mostly_untouched) {
	NEED_HUGE_PAGES();
	size_t i = cold_region(25);
	cr_assert_eq(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	commit(i, 0, REGION_PAGES);
	pages_fill(region_base(i), REGION_PAGES / 2 - 1, 3);
	for (int k = 0; k < 3; k++)
		region_verify(10);
	cr_assert_eq(tm_process.huge_denied, 1);
	cr_assert_eq(tm_process.huge_retried, 0);
	page_fill(region_page(i, 300), 1);
	region_verify(10);
	cr_assert_eq(tm_process.huge_retried, 1);
}

/* --- broken up --- */

/* For each cold_waste the most pages that may be unused, and one more. */
static void boundary(unsigned waste) {
	unsigned most = waste * REGION_PAGES / 100;
	size_t i = cold_region(waste);
	commit(i, 0, REGION_PAGES);
	if (most > 0 && most < REGION_PAGES)
		decommit(i, 0, most);
	CHECK(region_state(i) == TM_REGION_COLD, "broken up at %u of %u pages, cold_waste %u", most, most, waste);
	if (most + 1 < REGION_PAGES) {
		decommit(i, most, 1);
		CHECK(region_state(i) == TM_REGION_SPARSE, "still whole with %u unused, cold_waste %u", most + 1,
		    waste);
		CHECK(!(region_word(i) & (REGION_STALE | REGION_ADVISED | REGION_HUGE)), "cold_waste %u", waste);
		CHECK(mapping_flag(region_base(i), "nh"), "cold_waste %u: khugepaged would fill it up again", waste);
	}
	heap_check("boundary");
}

Test(huge, boundary_0) {
	boundary(0);
}
Test(huge, boundary_1) {
	boundary(1);
}
Test(huge, boundary_25) {
	boundary(25);
}
Test(huge, boundary_33) {
	boundary(33);
}
Test(huge, boundary_50) {
	boundary(50);
}
Test(huge, boundary_99) {
	boundary(99);
}
Test(huge, boundary_100) {
	boundary(100);
}

Test(huge, whole_at_100_percent) {
	NEED_HUGE_PAGES();
	size_t i = cold_region(100);
	make_huge(i, 1);
	decommit(i, 0, 511);
	cr_assert_eq(region_state(i), TM_REGION_COLD);
	cr_assert_eq(count_of(i, 1).resident, REGION, "kept until all of it is unused");
	cr_assert(page_holds(region_page(i, 511), 512));
	decommit(i, 511, 1);
	cr_assert_eq(count_of(i, 1).resident, 0);
	cr_assert_eq(tm_process.huge_broken, 0);
}

/* The memory is really gone, what is in use is as it was. */
Test(huge, break_returns_memory) {
	NEED_HUGE_PAGES();
	static const struct {
		unsigned page, pages;
	} holes[] = {{0, 1}, {63, 66}, {200, 100}, {400, 1}, {402, 1}, {500, 12}};
	size_t i = cold_region(25);
	make_huge(i, 100);
	unsigned gone = 0;
	for (size_t k = 0; k < sizeof(holes) / sizeof(holes[0]); k++) {
		unsigned before = gone;
		decommit(i, holes[k].page, holes[k].pages);
		gone += holes[k].pages;
		bool whole = gone * 100 <= 25 * REGION_PAGES;
		CHECK((region_state(i) == TM_REGION_COLD) == whole, "%u pages unused", gone);
		CHECK(count_of(i, 1).resident == (whole ? REGION : REGION - gone * OS_PAGE),
		    "%u unused, %llu KiB resident", gone, (unsigned long long)count_of(i, 1).resident >> 10);
		CHECK(tm_process.huge_broken == !whole, "%u", before);
	}
	cr_assert_gt(gone, 128);
	cr_assert_eq(count_of(i, 1).huge, 0);
	cr_assert_not(region_word(i) & REGION_STALE, "nothing old is left");
	unsigned page = 0;
	for (size_t k = 0; k < sizeof(holes) / sizeof(holes[0]); page = holes[k].page + holes[k].pages, k++)
		for (; page < holes[k].page; page++)
			CHECK(page_holds(region_page(i, page), 100 + page), "page %u", page);
	/* Merely unmapped parts stay with their huge page until memory is short: the page must have been split. */
	int part = page_is_part(region_page(i, 2));
	cr_assert_neq(part, 1, "the huge page still exists, the memory is not free");
	if (part == -1)
		fprintf(stderr, "/proc/kpageflags does not tell: not seen whether the huge page was split\n");
	for (size_t k = 0; k < sizeof(holes) / sizeof(holes[0]); k++) {
		commit(i, holes[k].page, holes[k].pages);
		CHECK(pages_zero(region_page(i, holes[k].page), holes[k].pages) == holes[k].pages, "hole %zu", k);
	}
	heap_check("in the end");
}

/* It cannot be split: it stays whole. It is split but not dropped: what is left in it is known to be old. */
Test(huge, break_fails) {
	size_t i = cold_region(25);
	commit(i, 0, REGION_PAGES);
	pages_fill(region_base(i), REGION_PAGES, 1);
	fault_set(SYS_madvise, -EINVAL, 0, 1);
	decommit(i, 0, 200);
	cr_assert_eq(region_state(i), TM_REGION_COLD);
	cr_assert(region_word(i) & REGION_STALE);
	heap_check("not split");
	fault_set(SYS_madvise, -EINVAL, 1, ALWAYS);
	decommit(i, 200, 1);
	fault_clear();
	cr_assert_eq(region_state(i), TM_REGION_SPARSE);
	cr_assert(region_word(i) & REGION_STALE);
	heap_check("not dropped");
	commit(i, 0, 201);
	cr_assert_eq(pages_zero(region_base(i), 201), 201);
	cr_assert_eq(pages_hold(region_page(i, 201), 311, 202), 311);
}

/* Small pages, never confirmed: given back, but no huge page was lost. */
Test(huge, break_of_small_pages_is_not_counted) {
	size_t i = cold_region(25);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	commit(i, 0, REGION_PAGES);
	decommit(i, 0, 300);
	cr_assert_eq(region_state(i), TM_REGION_SPARSE);
	cr_assert_eq(tm_process.huge_broken, 0);
}

/* --- and together again --- */

/* Half of the waste that broke it up may be left. */
static void mends_at(unsigned waste) {
	size_t i = cold_region(waste);
	unsigned most = waste * REGION_PAGES / 200;
	commit(i, 0, REGION_PAGES);
	decommit(i, 0, 500);
	CHECK(region_state(i) == TM_REGION_SPARSE, "state %d", region_state(i));
	commit(i, most + 1, 500 - most - 1);
	pages_fill(region_page(i, most + 1), REGION_PAGES - most - 1, 5);
	usleep(110000);
	region_verify(10);
	CHECK(tm_process.huge_retried == 0, "with %u unused", most + 1);
	commit(i, most, 1);
	page_fill(region_page(i, most), 4);
	for (int tries = 0; tries < 20 && region_state(i) != TM_REGION_COLD; tries++) {
		region_verify(10);
		usleep(110000);
	}
	CHECK(tm_process.huge_retried > 0, "with %u unused", most);
	CHECK(region_state(i) == TM_REGION_COLD && (region_word(i) & REGION_HUGE), "word %#llx",
	    (unsigned long long)region_word(i));
	CHECK(tm_process.huge_gained == 1, "%llu", (unsigned long long)tm_process.huge_gained);
	CHECK(count_of(i, 1).huge == REGION, "the kernel does not agree");
	CHECK(mapping_flag(region_base(i), "hg"), "advice");
	CHECK(pages_hold(region_page(i, most), REGION_PAGES - most, 4) == REGION_PAGES - most, "content");
	heap_check("mended");
	if (most > 0) {
		commit(i, 0, most);
		CHECK(pages_zero(region_base(i), most) == most, "pages that were unused");
	}
	heap_check("full");
}

Test(huge, mends_25, .timeout = 60) {
	NEED_HUGE_PAGES();
	mends_at(25);
}
Test(huge, mends_50, .timeout = 60) {
	NEED_HUGE_PAGES();
	mends_at(50);
}
Test(huge, mends_1, .timeout = 60) {
	NEED_HUGE_PAGES();
	mends_at(1);
}

/* The kernel has none: the region stays SPARSE, and is not left open to khugepaged. */
Test(huge, mend_fails) {
	size_t i = cold_region(25);
	commit(i, 0, REGION_PAGES);
	decommit(i, 0, 300);
	commit(i, 0, 300);
	pages_fill(region_base(i), REGION_PAGES, 1);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	cr_assert_eq(region_verify(10), 0);
	cr_assert_eq(tm_process.huge_retried, 1);
	cr_assert_eq(tm_process.huge_gained, 0);
	cr_assert_eq(region_state(i), TM_REGION_SPARSE);
	cr_assert_not(region_word(i) & (REGION_HUGE | REGION_ADVISED));
	cr_assert_not(mapping_flag(region_base(i), "hg"));
	cr_assert_eq(pages_hold(region_base(i), REGION_PAGES, 1), REGION_PAGES);
	heap_check("not mended");
}

/* --- the survey --- */

/* A heap with regions of every kind in both zones; sums by asking about each region. */
static void busy_heap(struct pages_count sum[TM_TIERS], uint64_t *stale) {
	struct region_config config = usual_config;
	config.hot_limit = 3 * REGION;
	heap_up(&config);
	size_t hot = heap_carve(TM_HOT, 8), cold = heap_carve(TM_COLD, 6);
	for (size_t k = 0; k < 6; k++) {
		commit(hot + k, 0, k < 3 ? 100 : REGION_PAGES);
		pages_fill(region_base(hot + k), k < 3 ? 50 + 10 * (unsigned)k : REGION_PAGES, 1);
		if (k < 4) {
			commit(cold + k, 0, REGION_PAGES);
			pages_fill(region_base(cold + k), REGION_PAGES, 1);
		}
	}
	region_verify(64);
	decommit(cold, 0, 400);
	decommit(cold + 2, 0, 100);
	decommit(hot + 4, 0, REGION_PAGES);
	*stale = 0;
	for (int class = TM_HOT; class < TM_TIERS; class ++) {
		size_t first = class == TM_HOT ? hot : cold;
		for (size_t i = first; i < first + (zone_carved(class) >> REGION_SHIFT); i++) {
			enum tm_tier tier = region_tier_of(region_base(i));
			if (tier == TM_NONE)
				continue;
			struct pages_count count = count_of(i, 1);
			sum[tier].resident += count.resident;
			sum[tier].huge += count.huge;
			if (region_word(i) & REGION_HUGE)
				*stale += (REGION_PAGES - TM_REGION_LIVE(region_word(i))) * OS_PAGE;
		}
	}
	CHECK(sum[TM_HOT].resident == 180 * OS_PAGE, "%llu", (unsigned long long)sum[TM_HOT].resident);
	CHECK(sum[TM_COLD].huge > 0, "no huge page");
	CHECK(*stale == 100 * OS_PAGE, "%llu stale", (unsigned long long)*stale);
}

static void survey_agrees(const struct tm_stats *stats, const struct pages_count sum[TM_TIERS], uint64_t stale) {
	for (int tier = 0; tier < TM_TIERS; tier++) {
		CHECK(stats->tier[tier].resident == sum[tier].resident, "tier %d: %llu KiB resident, not %llu", tier,
		    (unsigned long long)stats->tier[tier].resident >> 10,
		    (unsigned long long)sum[tier].resident >> 10);
		CHECK(stats->tier[tier].huge == sum[tier].huge, "tier %d: %llu KiB huge, not %llu", tier,
		    (unsigned long long)stats->tier[tier].huge >> 10, (unsigned long long)sum[tier].huge >> 10);
	}
	CHECK(stats->stale == stale, "%llu KiB stale", (unsigned long long)stats->stale >> 10);
}

Test(huge, survey_agrees_with_each_region) {
	NEED_HUGE_PAGES();
	struct pages_count sum[TM_TIERS] = {0};
	struct tm_stats stats = {0};
	uint64_t stale;
	busy_heap(sum, &stale);
	region_survey(&stats);
	survey_agrees(&stats, sum, stale);
}

Test(huge, survey_of_nothing) {
	struct tm_stats stats = {0}, zero = {0};
	heap_up(&usual_config);
	region_survey(&stats);
	cr_assert_eq(memcmp(&stats, &zero, sizeof(zero)), 0);
	heap_carve(TM_HOT, 3);
	region_survey(&stats);
	cr_assert_eq(memcmp(&stats, &zero, sizeof(zero)), 0);
}

/* Linux before 6.7 has no PAGEMAP_SCAN: whole mappings are looked at, all of one tier or nearly so. */
Test(huge, survey_without_scan) {
	NEED_HUGE_PAGES();
	struct pages_count sum[TM_TIERS] = {0};
	struct tm_stats stats = {0};
	uint64_t stale;
	busy_heap(sum, &stale);
	fault_set(SYS_ioctl, -ENOTTY, 0, ALWAYS);
	unsigned before = fault_calls(SYS_ioctl);
	region_survey(&stats);
	cr_assert_gt(fault_calls(SYS_ioctl), before, "pages_scan does not go through os_ioctl");
	uint64_t resident = sum[TM_HOT].resident + sum[TM_COLD].resident;
	cr_assert_eq(stats.tier[TM_HOT].resident + stats.tier[TM_COLD].resident, resident, "%llu KiB, not %llu",
	    (unsigned long long)(stats.tier[TM_HOT].resident + stats.tier[TM_COLD].resident) >> 10,
	    (unsigned long long)resident >> 10);
	cr_assert_eq(stats.tier[TM_COLD].huge, sum[TM_COLD].huge);
	cr_assert_eq(stats.tier[TM_HOT].huge, 0);
	/* The hot zone's first mapping is what is hot; a broken-up cold region shares a mapping with what is free. */
	cr_assert_eq(stats.tier[TM_HOT].resident, sum[TM_HOT].resident);
}

/* Then nothing can be confirmed, but what became dense is put together all the same. */
Test(huge, verify_without_scan, .timeout = 60) {
	NEED_HUGE_PAGES();
	size_t i = cold_region(25), sparse = heap_carve(TM_COLD, 1);
	fault_set(SYS_ioctl, -ENOTTY, 0, ALWAYS);
	commit(i, 0, REGION_PAGES);
	pages_fill(region_base(i), REGION_PAGES, 1);
	for (int k = 0; k < 3; k++)
		region_verify(10);
	cr_assert_not(region_word(i) & (REGION_HUGE | REGION_DENIED));
	cr_assert_eq(tm_process.huge_denied, 0);
	commit(sparse, 0, REGION_PAGES);
	decommit(sparse, 0, 300);
	commit(sparse, 0, 300);
	pages_fill(region_base(sparse), REGION_PAGES, 1);
	for (int tries = 0; tries < 20 && region_state(sparse) != TM_REGION_COLD; tries++) {
		region_verify(10);
		usleep(110000);
	}
	cr_assert_eq(region_state(sparse), TM_REGION_COLD);
	fault_clear();
	cr_assert_eq(count_of(sparse, 1).huge, REGION);
}

/* Neighbours share their advice and with it a mapping; a heap of cold regions is one mapping, not hundreds. */
Test(huge, advice_does_not_split_mappings) {
	heap_up(&usual_config);
	size_t i = heap_carve(TM_COLD, 20);
	commit(i, 0, 1);
	long before = pages_mappings();
	for (size_t k = 1; k < 20; k++)
		commit(i + k, 0, 1);
	cr_assert_leq(pages_mappings(), before + 1, "%ld, then %ld", before, pages_mappings());
}
