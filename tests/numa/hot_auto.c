/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hot_bytes:auto. Where a node has no CPUs, the free memory of the nodes with CPUs; the hot tier then ends there and
 * the heap goes on in the cold tier. Where all memory is alike, what the second-level TLB covers.
 */
/* case: nodes two nodes */
/* case: flat new flat */
/* case: flat-old old flat */
#include "guest.h"

#include <cpuid.h>

static void nodes(void) {
	size_t fast = number_in("/sys/devices/system/node/node0/meminfo", "MemFree:") * KiB;
	size_t all = meminfo("MemFree:");
	struct tm_stats s = stats_now();
	printf("hot limit %zu MiB; free: node 0 %zu MiB, both %zu MiB\n", (size_t)s.hot_limit / MiB, fast / MiB,
	    all / MiB);
	CHECK(all - fast > 500 * MiB);
	CHECK(apart(s.hot_limit, fast) <= 24 * MiB);
	/* Regions are born hot as long as the limit allows, not further. Untouched memory counts as well. */
	size_t bytes = s.hot_limit + 64 * MiB;
	char **block = malloc(bytes / MiB * sizeof(*block));
	for (size_t i = 0; i < bytes / MiB; i++) {
		block[i] = malloc(1 * MiB);
		CHECK(block[i] != NULL);
		fill(block[i], 64, i);
	}
	s = stats_now();
	printf("%zu hot regions, %zu cold ones\n", (size_t)s.tier[TM_HOT].regions, (size_t)s.tier[TM_COLD].regions);
	CHECK(s.tier[TM_HOT].regions * REGION <= s.hot_limit);
	CHECK(s.tier[TM_HOT].regions * REGION >= s.hot_limit - 8 * MiB);
	CHECK(s.tier[TM_COLD].regions * REGION >= 48 * MiB);
	for (size_t i = 0; i < bytes / MiB; i++)
		CHECK(intact(block[i], 64, i));
}

/* The emulated processor's own words; 0 if it says nothing that makes sense. */
static size_t tlb_entries(void) {
	unsigned a, b, c, d;
	__cpuid(0, a, b, c, d);
	if (b != signature_AMD_ebx || !__get_cpuid(0x80000006, &a, &b, &c, &d))
		return 0;
	size_t entries = b >> 28 ? b >> 16 & 0xfff : 0;
	return entries >= 256 ? entries : 0;
}

static void flat(void) {
	struct tm_stats s = stats_now();
	size_t entries = tlb_entries();
	printf("hot limit %zu KiB; TLB entries %zu\n", (size_t)s.hot_limit / KiB, entries);
	if (entries != 0)
		CHECK_EQ(s.hot_limit, entries * 4096);
	/* 256 entries is less than any processor of the last ten years has, 8192 more. */
	CHECK(s.hot_limit >= 1 * MiB && s.hot_limit <= 32 * MiB);
	for (int i = 0; i < 64; i++)
		CHECK(malloc(1 * MiB) != NULL);
	s = stats_now();
	CHECK(s.tier[TM_HOT].regions * REGION <= s.hot_limit);
	CHECK(s.tier[TM_COLD].regions * REGION >= 30 * MiB);
}

int main(int argc, char **argv) {
	need_tiermalloc();
	CHECK(argc == 2);
	if (strcmp(argv[1], "nodes") == 0)
		nodes();
	else
		flat();
	return 0;
}
