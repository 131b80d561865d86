/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large blocks of changing sizes take little more memory than those in use at the same time: what was freed serves
 * again, or goes, before fresh memory is taken. Blocks keep their bytes, and callocs in between read as zero. Of
 * blocks that are written to in their first page only, not every 2 MiB becomes a huge page.
 */
/* run: preload linked */
/* alone */
#include "check.h"

enum { SLOTS = 4, TURNS = 150 };

/* One word of each page, or of the first one. */
static void mark(char *p, size_t n, uint64_t id) {
	for (size_t i = 0; i < n; i += 4096)
		memcpy(p + i, &(uint64_t){id + i}, 8);
}

static bool marked(const char *p, size_t n, uint64_t id) {
	for (size_t i = 0; i < n; i += 4096)
		if (memcmp(p + i, &(uint64_t){id + i}, 8) != 0)
			return false;
	return true;
}

struct job {
	bool all, zero; /* write to all of each block; every third is a calloc */
};

static void work(void *arg) {
	struct job *job = arg;
	char *block[SLOTS] = {0};
	size_t size[SLOTS] = {0}, live = 0, most = 0, peak = 0, empty = rss_bytes();
	uint64_t state = 1;

	for (int turn = 0; turn < TURNS; turn++) {
		size_t at = random_below(&state, SLOTS);
		CHECK_FOR(marked(block[at], job->all || !block[at] ? size[at] : 1, at), "in turn %d", turn);
		free(block[at]);
		live -= size[at];
		size[at] = 5 * MiB + random_below(&state, 20 * MiB);
		live += size[at];
		most = live > most ? live : most;
		if (job->zero && turn % 3 == 0) {
			block[at] = calloc(1, size[at]);
			CHECK_FOR(block[at] && is_zero(block[at], size[at]), "in turn %d", turn);
		} else {
			block[at] = malloc(size[at]);
		}
		CHECK(block[at] != NULL);
		mark(block[at], job->all ? size[at] : 1, at);
		size_t now = rss_bytes() - empty;
		peak = now > peak ? now : peak;
	}
	/* 45 % more before this was so, and 120 MiB for the first pages. */
	size_t owed = job->all ? most / 100 * 115 : 60 * MiB;
	CHECK_FOR(peak <= owed, "%zu MiB resident for %zu MiB in use", peak / MiB, most / MiB);
	for (int i = 0; i < SLOTS; i++)
		free(block[i]);
	malloc_trim(0);
	CHECK_FOR(rss_bytes() - empty < 20 * MiB, "%zu MiB left", (rss_bytes() - empty) / MiB);
}

int main(void) {
	need_tiermalloc();
	need_thp();
	static char says[1000];
	struct job jobs[] = {{.all = true}, {.all = true, .zero = true}, {.all = false}};
	for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++) {
		int status = in_child(work, &jobs[i], 60, says, sizeof says);
		CHECK_FOR(status == 0, "but 0x%x: %s", status, says);
	}
	return 0;
}
