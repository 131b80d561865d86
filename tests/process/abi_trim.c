/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * malloc_trim gives memory back and tells the truth: 1 when it did and RSS shows it, 0 when there was nothing to
 * give, and live blocks keep their bytes.
 */
/* run: preload linked */
/* env: MALLOC_CONF=dirty_decay_ms:-1,muzzy_decay_ms:-1 */
/* alone */
#include "check.h"

enum { BLOCKS = 200 * 128 };

static void check_trim(enum tm_tier tier, size_t size, int count) {
	char **p = calloc(count, sizeof *p);
	for (int i = 0; i < count; i++) {
		p[i] = tm_malloc(size, tier);
		CHECK(p[i] != NULL);
		fill(p[i], size, i);
	}
	size_t full = rss_bytes();
	/* One block in 64 stays, the last ones, so that whole stretches fall free. */
	int keep = count - count / 64;
	for (int i = 0; i < keep; i++)
		free(p[i]);
	CHECK_EQ(malloc_trim(0), 1);
	size_t trimmed = rss_bytes();
	CHECK_FOR(
	    full - trimmed >= 180 * MiB, "tier %d, size %zu: %zu to %zu MiB", tier, size, full / MiB, trimmed / MiB);
	int again = malloc_trim(0);
	CHECK_FOR(again == 0, "tier %d, size %zu: nothing was freed since", tier, size);
	for (int i = keep; i < count; i++) {
		CHECK_FOR(intact(p[i], size, i), "tier %d, size %zu, block %d", tier, size, i);
		free(p[i]);
	}
	free(p);
	malloc_trim(0);
}

int main(void) {
	need_tiermalloc();
	malloc_trim(0);
	CHECK_EQ(malloc_trim(0), 0);
	for (int tier = 0; tier < TM_TIERS; tier++) {
		check_trim(tier, 8 * KiB, BLOCKS);
		check_trim(tier, 64, 200 * 16384);
		check_trim(tier, 10 * MiB, 21);
	}
	/* A cache of this thread is memory as well. */
	char *p[2000];
	for (int i = 0; i < 2000; i++)
		memset(p[i] = hide(malloc(16000)), 1, 16000);
	for (int i = 0; i < 2000; i++)
		free(p[i]);
	size_t before = rss_bytes();
	CHECK_EQ(malloc_trim(0), 1);
	CHECK_FOR(rss_bytes() + 25 * MiB < before, "%zu to %zu KiB", before / KiB, rss_bytes() / KiB);
	return 0;
}
