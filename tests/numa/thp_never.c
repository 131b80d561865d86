/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Huge pages are switched off while the heap grows, and allowed later. Until then cold regions work on small pages
 * and are counted as denied; afterwards they are asked for again, region by region, and gained, content in place.
 * With huge pages for everything ("always") the hot tier still has none.
 */
/* case: never new never thp=never conf=hot_bytes:0 */
/* case: always new always thp=always conf=hot_bytes:64m */
/* case: always-old old always thp=always conf=hot_bytes:64m */
#include "guest.h"

enum { BLOCKS = 24 };

static void show(const char *when, const struct tm_stats *s) {
	static char line[160];
	snprintf(line, sizeof(line), "%s: cold %zu KiB, huge %zu; denied %zu, retried %zu, gained %zu\n", when,
	    (size_t)s->tier[TM_COLD].resident / KiB, (size_t)s->tier[TM_COLD].huge / KiB, (size_t)s->huge_denied,
	    (size_t)s->huge_retried, (size_t)s->huge_gained);
	CHECK(write(1, line, strlen(line)) > 0);
}

static void never(void) {
	char *block[BLOCKS];
	struct tm_stats s;

	for (int i = 0; i < BLOCKS; i++) {
		block[i] = tm_malloc(1 * MiB, TM_COLD);
		fill(block[i], 1 * MiB, i);
	}
	for (int i = 0; i < 4; i++) {
		s = stats_now();
		show("never", &s);
		sleep_ms(120);
	}
	CHECK(s.huge_denied >= BLOCKS / 2 - 1);
	/* The administrator's word: MADV_COLLAPSE would not heed it by itself. */
	CHECK_EQ(s.huge_gained, 0);
	CHECK_EQ(s.tier[TM_COLD].huge, 0);
	CHECK_EQ(heap_smaps("AnonHugePages:"), 0);
	set(THP_ENABLED, "madvise");
	for (int i = 0; i < 40; i++) {
		s = stats_now();
		if (s.huge_gained >= BLOCKS / 2 - 1)
			break;
		sleep_ms(120);
	}
	show("allowed", &s);
	CHECK(s.huge_gained >= BLOCKS / 2 - 1);
	CHECK(s.tier[TM_COLD].huge >= s.huge_gained * REGION);
	CHECK_EQ(heap_smaps("AnonHugePages:"), s.tier[TM_COLD].huge);
	for (int i = 0; i < BLOCKS; i++) {
		CHECK(intact(block[i], 1 * MiB, i));
		free(block[i]);
	}
}

static void always(void) {
	char *hot[BLOCKS], *cold[BLOCKS];
	for (int i = 0; i < BLOCKS; i++) {
		hot[i] = malloc(1 * MiB);
		cold[i] = tm_malloc(1 * MiB, TM_COLD);
		memset(hot[i], i, 1 * MiB);
		memset(cold[i], i, 1 * MiB);
		CHECK(tm_tier_of(hot[i]) == TM_HOT);
		CHECK_EQ(smaps_bytes("AnonHugePages:", hot[i], 1 * MiB), 0);
	}
	struct tm_stats s = stats_now();
	show("always", &s);
	CHECK_EQ(s.tier[TM_HOT].huge, 0);
	CHECK(s.tier[TM_COLD].huge >= (BLOCKS - 4) * MiB);
	/* Freed and used again, it is still small. */
	for (int i = 0; i < BLOCKS; i++)
		free(hot[i]);
	malloc_trim(0);
	for (int i = 0; i < BLOCKS; i++) {
		hot[i] = malloc(1 * MiB);
		memset(hot[i], i, 1 * MiB);
		CHECK_EQ(smaps_bytes("AnonHugePages:", hot[i], 1 * MiB), 0);
	}
}

int main(int argc, char **argv) {
	need_tiermalloc();
	CHECK(argc == 2);
	if (strcmp(argv[1], "never") == 0)
		never();
	else
		always();
	return 0;
}
