/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiers/region: what pages the regions of large blocks are given, by what is known of their use.
 */
#include "unit.h"

#include "tiers/huge.h"

/* Whole regions get small pages until large blocks were seen to be written to, and again when they are not. */
Test(region, large_blocks_show_whether_they_are_written_to) {
	NEED_HUGE_PAGES();
	struct region_config config = usual_config;
	config.hot_limit = 0;
	heap_up(&config);
	atomic_store(&region_touched, 0);
	size_t i = heap_carve(TM_HOT, 64), k = i;
	cr_assert_eq(region_commit(region_base(k), 3 * REGION), 0);
	cr_assert_eq(region_state(k + 1), TM_REGION_SPARSE);
	pages_fill(region_base(k), 3 * REGION_PAGES, 1);
	k += 3;
	cr_assert_eq(region_commit(region_base(k), 3 * REGION), 0);
	cr_assert_eq(region_state(k + 1), TM_REGION_COLD, "the block before is filled");
	k += 3;
	/* Blocks that come and go without a write, until that is what is known. */
	unsigned turns = 0;
	for (; turns < 200; turns++) {
		cr_assert_eq(region_commit(region_base(k), 2 * REGION), 0);
		bool small = region_state(k) == TM_REGION_SPARSE;
		region_decommit(region_base(k), 2 * REGION);
		if (small)
			break;
	}
	CHECK(turns > 0 && turns < 200, "%u", turns);
	/* What the program names cold is huge at once. */
	k = heap_carve(TM_COLD, 2);
	cr_assert_eq(region_commit(region_base(k), 2 * REGION), 0);
	cr_assert_eq(region_state(k), TM_REGION_COLD);
	heap_check("in the end");
}

/* The keeper leaves a region on small pages that is in use and hardly written to. */
Test(region, hardly_written_is_not_mended) {
	NEED_HUGE_PAGES();
	struct region_config config = usual_config;
	config.hot_limit = 0;
	heap_up(&config);
	atomic_store(&region_touched, 0);
	size_t i = heap_carve(TM_HOT, 2);
	cr_assert_eq(region_commit(region_base(i), 2 * REGION), 0);
	pages_fill(region_base(i), 200, 1);
	cr_assert_eq(huge_mend(i, true), -ENODATA);
	pages_fill(region_base(i), 300, 1);
	cr_assert_eq(huge_mend(i, true), 0);
	cr_assert_eq(pages_hold(region_base(i), 300, 1), 300);
	cr_assert_eq(region_state(i), TM_REGION_COLD);
	heap_check("in the end");
}
