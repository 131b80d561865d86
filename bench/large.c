/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Large blocks, 1 to 25 MiB, allocated and freed in turn: image buffers, network messages, query results.
 * Whether freed memory is kept, given back at once or on huge pages decides here. Each benchmark exists
 * twice: the program writes to every page, or only to the first (touch:1), which shows what the calls alone
 * cost.
 */
#include "harness.h"

#include <stdlib.h>

#define TOUCH_FIRST 1
#define TOUCH_ALL   2
#define MOST_SLOTS  32

static void *block_make(size_t size, long touch) {
	void *p = malloc(size);

	bench_touch(p, touch == TOUCH_ALL ? size : 1, BENCH_PAGE);
	return p;
}

/* One block after the other, of one size. */
static void bm_one(struct bench_state *s) {
	size_t size = (size_t)s->arg[0] * BENCH_MIB;

	while (bench_keep_running(s))
		free(block_make(size, s->arg[1]));
	s->bytes = s->iterations * size;
}

/* A few live blocks of 5 to 25 MiB; each turn replaces one of them by one of a random size. */
static void bm_slots(struct bench_state *s) {
	size_t slots = (size_t)s->arg[0], size, at;
	void *block[MOST_SLOTS] = {0};
	uint64_t seed = 1;

	while (bench_keep_running(s)) {
		at = bench_random_below(&seed, slots);
		size = 5 * BENCH_MIB + bench_random_below(&seed, 20 * BENCH_MIB);
		free(block[at]);
		block[at] = block_make(size, s->arg[1]);
		s->bytes += size;
	}
	for (at = 0; at < slots; at++)
		free(block[at]);
}

#define TOUCHES                                \
	{                                      \
		"touch", {                     \
			TOUCH_FIRST, TOUCH_ALL \
		}                              \
	}

static const struct bench benches[] = {
    {"BM_slots", bm_slots, .arg = {{"slots", {4, 20}}, TOUCHES}, .threads = {1, 2}},
    {"BM_one", bm_one, .arg = {{"mib", {1, 2, 4, 8, 25}}, TOUCHES}},
};

int main(int argc, char **argv) {
	return bench_main(argc, argv, benches, sizeof(benches) / sizeof(benches[0]));
}
