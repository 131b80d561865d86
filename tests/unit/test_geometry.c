/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * coloring/geometry: the processor cannot be replaced, so these are bounds and agreements, not values.
 */
#include "unit.h"

#include "coloring/geometry.h"

Test(geometry, plausible_tlb) {
	struct geometry_tlb tlb;
	memset(&tlb, 0xff, sizeof(tlb));
	geometry_tlb(&tlb);
	/* No x86-64 processor had a second-level data TLB outside these. */
	cr_assert_geq(tlb.small_entries, 256, "%u entries", tlb.small_entries);
	cr_assert_leq(tlb.small_entries, 16384, "%u entries", tlb.small_entries);
	cr_assert_leq(tlb.huge_entries, 16384, "%u huge entries", tlb.huge_entries);
	if (!tlb.known) {
		cr_assert_eq(tlb.small_entries, 1536);
		cr_assert_eq(tlb.huge_entries, 1536);
	}
}

Test(geometry, reach_is_entries_times_pages) {
	struct geometry_tlb tlb;
	geometry_tlb(&tlb);
	cr_assert_eq(geometry_tlb_reach(), (uint64_t)tlb.small_entries * 4096);
	cr_assert_geq(geometry_tlb_reach(), 1 * MiB);
	cr_assert_leq(geometry_tlb_reach(), 64 * MiB);
}

Test(geometry, same_answer_twice) {
	struct geometry_tlb one = {0}, two = {0};
	geometry_tlb(&one);
	geometry_tlb(&two);
	cr_assert_eq(one.small_entries, two.small_entries);
	cr_assert_eq(one.huge_entries, two.huge_entries);
	cr_assert_eq(one.known, two.known);
}
