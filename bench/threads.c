/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many threads: more than processors, each with a live set of its own in mixed sizes; and threads that come
 * and go, where setting up and taking down the allocator's per-thread state is the cost.
 */
#include "harness.h"

#include <err.h>
#include <pthread.h>
#include <stdlib.h>

#define SLOTS       2000
#define SHORT_LIVED 100

/* Mostly small, one in sixteen up to 4 KiB, one in 256 up to 64 KiB. */
static size_t mixed_size(uint64_t *seed) {
	uint64_t draw = bench_random(seed) >> 32;
	size_t limit = draw % 256 == 0 ? 65536 : draw % 16 == 0 ? 4096 : 256;

	return 1 + (draw >> 8) % limit;
}

static void bm_mixed(struct bench_state *s) {
	void **slots = calloc(SLOTS, sizeof(*slots));
	uint64_t seed = s->thread + 1;
	size_t at, size;

	while (bench_keep_running(s)) {
		at = bench_random_below(&seed, SLOTS);
		size = mixed_size(&seed);
		free(slots[at]);
		slots[at] = malloc(size);
		bench_touch(slots[at], size, BENCH_PAGE);
	}
	s->items = s->iterations;
	for (at = 0; at < SLOTS; at++)
		free(slots[at]);
	free(slots);
}

static void *short_life(void *arg) {
	uint64_t seed = (uint64_t)(uintptr_t)arg + 1;
	void *held[SHORT_LIVED];

	for (size_t i = 0; i < SHORT_LIVED; i++)
		held[i] = malloc(mixed_size(&seed));
	for (size_t i = 0; i < SHORT_LIVED; i++)
		free(bench_use(held[i]));
	return NULL;
}

/* One turn starts a thread, lets it allocate and free a little, and joins it. */
static void bm_churn(struct bench_state *s) {
	uintptr_t turn = 0;
	pthread_t id;

	while (bench_keep_running(s)) {
		if (pthread_create(&id, NULL, short_life, (void *)turn++))
			err(1, "cannot start a thread");
		pthread_join(id, NULL);
	}
	s->items = s->iterations;
}

static const struct bench benches[] = {
    {"BM_mixed", bm_mixed, .threads = {1, 2, 8, 32, 128}},
    {"BM_churn", bm_churn, .threads = {1, 2}},
};

int main(int argc, char **argv) {
	return bench_main(argc, argv, benches, sizeof(benches) / sizeof(benches[0]));
}
