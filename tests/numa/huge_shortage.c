/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory is there, but in single pages: a ballast holds one of every four, locked where compaction may not move it.
 * Cold regions then work on small pages and are counted, asking again fails and does no harm; once the ballast is
 * gone, asking again gets the huge pages.
 */
/* case: small small conf=hot_bytes:0 vm.compact_unevictable_allowed=0 */
#include "guest.h"

enum { BLOCKS = 48 };

static size_t ballast_bytes;

static char *take_ballast(void) {
	ballast_bytes = (meminfo("MemFree:") - 14 * MiB) & ~(REGION - 1);
	char *p = mmap(NULL, ballast_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	madvise(p, ballast_bytes, MADV_NOHUGEPAGE);
	CHECK_FOR(mlock(p, ballast_bytes) == 0, "%s", strerror(errno));
	return p;
}

static void thin_out(char *p) {
	/* One locked page in sixteen stays; each makes the huge page it lies in unusable. */
	CHECK(munlock(p, ballast_bytes) == 0);
	CHECK(madvise(p, ballast_bytes, MADV_NOHUGEPAGE) == 0);
	for (size_t at = 0; at < ballast_bytes; at += 64 * KiB)
		CHECK(mlock(p + at, 4096) == 0);
	for (size_t at = 0; at < ballast_bytes; at += 64 * KiB)
		CHECK(madvise(p + at + 4096, 60 * KiB, MADV_DONTNEED) == 0);
}

static struct tm_stats ask(const char *when, int times) {
	struct tm_stats s;
	for (int i = 0; i < times; i++) {
		s = stats_now();
		sleep_ms(110);
	}
	printf("%s: cold %zu KiB, huge %zu; denied %zu, retried %zu, gained %zu; %zu MiB free\n", when,
	    (size_t)s.tier[TM_COLD].resident / KiB, (size_t)s.tier[TM_COLD].huge / KiB, (size_t)s.huge_denied,
	    (size_t)s.huge_retried, (size_t)s.huge_gained, meminfo("MemFree:") / MiB);
	return s;
}

int main(void) {
	char *block[BLOCKS];

	need_tiermalloc();
	char *ballast = take_ballast();
	thin_out(ballast);
	for (int i = 0; i < BLOCKS; i++) {
		block[i] = tm_malloc(1 * MiB, TM_COLD);
		CHECK(block[i] != NULL);
		fill(block[i], 1 * MiB, i);
	}
	struct tm_stats s = ask("short", 4);
	CHECK(s.huge_denied >= 10);
	CHECK(s.huge_retried > s.huge_gained);
	size_t before = s.huge_gained;
	CHECK(munmap(ballast, ballast_bytes) == 0);
	s = ask("plenty", 16);
	CHECK(s.huge_gained >= before + 8);
	CHECK_EQ(heap_smaps("AnonHugePages:"), s.tier[TM_COLD].huge);
	for (int i = 0; i < BLOCKS; i++)
		CHECK(intact(block[i], 1 * MiB, i));
	return 0;
}
