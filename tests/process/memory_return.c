/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory comes back: of 512 MiB in blocks of 100 to 2000 bytes, of which 90 % are freed at random, malloc_trim
 * leaves little more resident than lives on, in either class, and the live blocks keep their bytes. The same in
 * runs of neighbours, as a cache that drops old entries does it.
 */
/* run: preload linked */
/* timeout: 120 */
/* alone */
#include "check.h"

enum { BLOCKS = 512 * 1024 };
static char **blocks;

static size_t block_size(int i) {
	return 100 + (i * 7919u) % 1901;
}

struct job {
	enum tm_tier tier;
	int run; /* neighbours freed together */
};

static void work(void *arg) {
	struct job *job = arg;
	uint64_t state = 7;
	/* The table is not part of what is measured. */
	blocks = mmap(NULL, BLOCKS * sizeof *blocks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(blocks != MAP_FAILED);
	memset(blocks, 0, BLOCKS * sizeof *blocks);
	malloc_trim(0);
	size_t empty = rss_bytes(), all = 0, live = 0;
	for (int i = 0; i < BLOCKS; i++) {
		blocks[i] = tm_malloc(block_size(i), job->tier);
		CHECK(blocks[i] != NULL);
		fill(blocks[i], block_size(i), i);
		all += block_size(i);
	}
	size_t full = rss_bytes() - empty;
	CHECK_FOR(full < all + all / 5, "%zu MiB resident for %zu MiB", full / MiB, all / MiB);
	for (int i = 0; i < BLOCKS; i += job->run) {
		bool keep = random_below(&state, 10) == 0;
		for (int j = i; j < i + job->run && j < BLOCKS; j++) {
			if (keep) {
				live += block_size(j);
			} else {
				free(blocks[j]);
				blocks[j] = NULL;
			}
		}
	}
	malloc_trim(0);
	/* Pages that hold one live block each cannot be returned; runs of neighbours can. */
	struct tm_stats s;
	CHECK_EQ(tm_stats(&s, sizeof s), 0);
	size_t now = rss_bytes() - empty, owed = s.active / 100 * 145;
	CHECK_FOR(now <= owed,
	    "class %d, runs of %d: %zu MiB resident, %zu MiB live, %zu MiB in pages with live blocks", job->tier,
	    job->run, now / MiB, live / MiB, (size_t)s.active / MiB);
	if (job->run >= 1000)
		CHECK_FOR(now <= live / 100 * 145, "class %d, runs of %d: %zu MiB resident, %zu MiB live", job->tier,
		    job->run, now / MiB, live / MiB);
	for (int i = 0; i < BLOCKS; i++)
		CHECK_FOR(!blocks[i] || intact(blocks[i], block_size(i), i), "for block %d", i);
	/* What was returned serves again, and all of it is zero where that is promised. */
	for (int i = 0; i < BLOCKS; i++) {
		if (blocks[i])
			continue;
		blocks[i] = tm_calloc(1, block_size(i), job->tier);
		CHECK_FOR(blocks[i] && is_zero(blocks[i], block_size(i)), "for block %d", i);
		fill(blocks[i], block_size(i), i);
	}
	for (int i = 0; i < BLOCKS; i++) {
		CHECK_FOR(intact(blocks[i], block_size(i), i), "for block %d", i);
		free(blocks[i]);
	}
	malloc_trim(0);
	CHECK_FOR(rss_bytes() < empty + 20 * MiB, "%zu MiB left", (rss_bytes() - empty) / MiB);
}

int main(void) {
	need_tiermalloc();
	static char says[1000];
	static const int runs[] = {1, 100, 4000};
	for (int tier = 0; tier < TM_TIERS; tier++) {
		for (int i = 0; i < 3; i++) {
			struct job job = {tier, runs[i]};
			int status = in_child(work, &job, 60, says, sizeof says);
			CHECK_FOR(status == 0, "but 0x%x: %s", status, says);
		}
	}
	return 0;
}
