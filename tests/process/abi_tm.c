/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiermalloc.h: tm_malloc and friends with good and bad classes, tm_tier_of for any value, tm_version, and
 * tm_stats with every size of struct and figures that follow the heap.
 */
/* run: preload linked static */
#include "check.h"
#include <dlfcn.h>

static void check_bad_class(void) {
	static const int bad[] = {-1, 2, 3, 100, -100, INT32_MAX, INT32_MIN};
	char *p = malloc(100);
	fill(p, 100, 3);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		enum tm_tier tier = (enum tm_tier)bad[i];
		errno = 0;
		CHECK(tm_malloc(10, tier) == NULL && errno == EINVAL);
		errno = 0;
		CHECK(tm_malloc(0, tier) == NULL && errno == EINVAL);
		errno = 0;
		CHECK(tm_calloc(10, 10, tier) == NULL && errno == EINVAL);
		errno = 0;
		CHECK(tm_memalign(64, 10, tier) == NULL && errno == EINVAL);
		errno = 0;
		CHECK(tm_realloc(NULL, 10, tier) == NULL && errno == EINVAL);
		errno = 0;
		CHECK(tm_realloc(p, 200, tier) == NULL && errno == EINVAL);
		CHECK(intact(p, 100, 3));
	}
	free(p);
}

static int global;

static void check_tier_of(void) {
	int local = 0;
	void *unmapped = mmap(NULL, 3 * REGION, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(unmapped != MAP_FAILED);
	const void *not_ours[] = {NULL, (void *)1, (void *)-1, (void *)-4096, (void *)(UINTPTR_MAX >> 1),
	    (void *)((uintptr_t)1 << 47), (void *)(((uintptr_t)1 << 47) - 1), (void *)((uintptr_t)1 << 63),
	    (void *)0xdeadbeefdeadbeef, &local, &global, "text", unmapped, (char *)unmapped + REGION,
	    (const void *)(uintptr_t)&tm_malloc};
	for (size_t i = 0; i < sizeof not_ours / sizeof *not_ours; i++)
		CHECK_FOR(tm_tier_of(not_ours[i]) == TM_NONE, "for %p", not_ours[i]);
	munmap(unmapped, 3 * REGION);
	CHECK(tm_tier_of(unmapped) == TM_NONE);
	uint64_t state = 1;
	for (int i = 0; i < 1000000; i++) {
		enum tm_tier tier = tm_tier_of((void *)(uintptr_t)(random_next(&state) >> (i & 31)));
		CHECK(tier == TM_NONE || tier == TM_HOT || tier == TM_COLD);
	}

	char *p = tm_malloc(100, TM_HOT), *big = tm_malloc(20 * MiB, TM_COLD);
	CHECK(p && big);
	memset(big, 1, 20 * MiB);
	CHECK_EQ(tm_tier_of(p), TM_HOT);
	for (size_t i = 0; i < 20 * MiB; i += 4096)
		CHECK_FOR(tm_tier_of(big + i) != TM_NONE, "at offset %zu", i);
	free(p);
	free(big);
	/* Dangling, and all around the heap. */
	for (size_t i = 0; i < 64 * MiB; i += 4095) {
		tm_tier_of(p + i);
		tm_tier_of(p - i);
		tm_tier_of(big + i);
	}
	malloc_trim(0);
	tm_tier_of(big);
}

static void check_version(void) {
	char is[32];
	snprintf(is, sizeof is, "%d.%d.%d", TM_VERSION_MAJOR, TM_VERSION_MINOR, TM_VERSION_PATCH);
	CHECK_FOR(!strcmp(tm_version(), is), "but %s", tm_version());
}

static void check_stats_sizes(void) {
	struct tm_stats s;
	CHECK_EQ(tm_stats(NULL, sizeof s), -EINVAL);
	for (size_t n = 0; n < 2 * sizeof(uint32_t); n++)
		CHECK_EQ(tm_stats(&s, n), -EINVAL);
	CHECK_EQ(tm_stats(&s, sizeof s), 0);
	CHECK_EQ(s.version, TM_STATS_VERSION);
	CHECK_EQ(s.size, sizeof s);
	/* A caller of an older header: no byte after its struct is written. */
	for (size_t n = 2 * sizeof(uint32_t); n <= sizeof s; n += 4) {
		unsigned char bytes[sizeof s + 8];
		memset(bytes, 0xa5, sizeof bytes);
		CHECK_EQ(tm_stats((struct tm_stats *)(void *)bytes, n), 0);
		for (size_t i = n; i < sizeof bytes; i++)
			CHECK_FOR(bytes[i] == 0xa5, "byte %zu after a struct of %zu", i, n);
		uint32_t size;
		memcpy(&size, bytes + 4, 4);
		CHECK_FOR(size <= n, "%u", size);
	}
	/* A caller of a newer one: the rest is zero. */
	union {
		struct tm_stats s;
		unsigned char bytes[sizeof s + 200];
	} newer;
	memset(&newer, 0xa5, sizeof newer);
	CHECK_EQ(tm_stats(&newer.s, sizeof newer), 0);
	CHECK_EQ(newer.s.size, sizeof s);
	CHECK(is_zero(newer.bytes + sizeof s, 200));
}

static void check_stats_figures(void) {
	struct tm_stats s0, s1, s2;
	CHECK_EQ(tm_stats(&s0, sizeof s0), 0);
	char *hot = tm_malloc(40 * MiB, TM_HOT), *cold = tm_malloc(60 * MiB, TM_COLD);
	CHECK(hot && cold);
	fill(hot, 40 * MiB, 1);
	fill(cold, 60 * MiB, 2);
	CHECK_EQ(tm_stats(&s1, sizeof s1), 0);
	CHECK_FOR(s1.allocated - s0.allocated >= 100 * MiB && s1.allocated - s0.allocated < 130 * MiB, "%zu MiB",
	    (size_t)(s1.allocated - s0.allocated) / MiB);
	CHECK(s1.active >= s1.allocated && s1.metadata > 0);
	CHECK_FOR(s1.class_committed[TM_HOT] >= s0.class_committed[TM_HOT] + 38 * MiB, "%zu",
	    (size_t)s1.class_committed[TM_HOT]);
	CHECK_FOR(s1.class_committed[TM_COLD] >= s0.class_committed[TM_COLD] + 58 * MiB, "%zu",
	    (size_t)s1.class_committed[TM_COLD]);
	uint64_t by_tier = s1.tier[0].committed + s1.tier[1].committed;
	CHECK_EQ(by_tier, s1.class_committed[0] + s1.class_committed[1]);
	CHECK_FOR(by_tier >= 100 * MiB && by_tier < 200 * MiB, "%zu", (size_t)by_tier);
	uint64_t resident = s1.tier[0].resident + s1.tier[1].resident;
	CHECK_FOR(resident >= 100 * MiB && resident <= rss_bytes(), "%zu of %zu", (size_t)resident, rss_bytes());
	for (int t = 0; t < TM_TIERS; t++) {
		CHECK(s1.tier[t].huge <= s1.tier[t].resident);
		CHECK(s1.tier[t].committed <= s1.tier[t].regions * REGION);
		CHECK_FOR(s1.born[t] >= s0.born[t], "tier %d", t);
	}
	CHECK(s1.born[0] + s1.born[1] >= 40);
	CHECK_EQ(s1.foreign, 0);

	free(hot);
	free(cold);
	CHECK_EQ(malloc_trim(0), 1);
	CHECK_EQ(tm_stats(&s2, sizeof s2), 0);
	CHECK_FOR(s2.allocated < s0.allocated + 2 * MiB, "%zu to %zu", (size_t)s0.allocated, (size_t)s2.allocated);
	CHECK_FOR(s2.returned >= s1.returned + 90 * MiB, "%zu to %zu", (size_t)s1.returned, (size_t)s2.returned);
	resident = s2.tier[0].resident + s2.tier[1].resident;
	CHECK_FOR(resident < 30 * MiB, "%zu", (size_t)resident);
}

/* tm_process is what other processes read: it is there, filled in, and agrees with tm_stats. */
static void check_process_view(void) {
	const struct tm_process *view = dlsym(RTLD_DEFAULT, "tm_process");
	if (!view)
		return; /* linked as an archive, without its dynamic symbols */
	CHECK_EQ(view->magic, TM_PROCESS_MAGIC);
	CHECK_EQ(view->version, TM_PROCESS_VERSION);
	CHECK_EQ(view->size, sizeof *view);
	char *p = tm_malloc(5 * MiB, TM_COLD);
	CHECK(p != NULL);
	bool inside = false;
	for (int c = 0; c < TM_TIERS; c++) {
		CHECK(view->zone[c].base % REGION == 0 && view->zone[c].carved <= view->zone[c].bytes);
		inside |= c == TM_COLD && (uintptr_t)p - view->zone[c].base < view->zone[c].carved;
	}
	CHECK(inside);
	struct tm_stats s;
	CHECK_EQ(tm_stats(&s, sizeof s), 0);
	CHECK_EQ(view->committed[0] + view->committed[1], s.tier[0].committed + s.tier[1].committed);
	CHECK_EQ(view->hot_limit, s.hot_limit);
	CHECK_EQ(view->regions[0] + view->regions[1], s.tier[0].regions + s.tier[1].regions);
	uint64_t regions[TM_TIERS] = {0, 0}, live = 0, index = 0;
	for (int c = 0; c < TM_TIERS; c++) {
		for (uint64_t i = 0; i < view->zone[c].carved / REGION; i++) {
			/* The table is of one piece: the zones are neighbours in it, in order of class. */
			uint64_t at = index + i;
			uint64_t word = *(const volatile uint64_t *)(uintptr_t)(view->table + at * view->stride);
			unsigned state = TM_REGION_STATE(word);
			CHECK_FOR(state <= TM_REGION_MEND, "region %zu: %u", (size_t)at, state);
			CHECK(TM_REGION_LIVE(word) <= 512);
			live += TM_REGION_LIVE(word) * (uint64_t)4096;
			regions[0] += state == TM_REGION_HOT;
			regions[1] += state == TM_REGION_COLD || state == TM_REGION_SPARSE;
		}
		index += view->zone[c].bytes / REGION;
	}
	CHECK_EQ(live, view->committed[0] + view->committed[1]);
	CHECK_EQ(regions[0], view->regions[0]);
	CHECK_EQ(regions[1], view->regions[1]);
	free(p);
}

int main(void) {
	need_tiermalloc();
	check_version();
	check_bad_class();
	check_stats_sizes();
	check_stats_figures();
	check_tier_of();
	check_process_view();
	return 0;
}
