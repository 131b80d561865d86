/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fast path: what one malloc and one free cost when nothing has to be fetched. One size at a time, and
 * random sizes to 512 bytes over 10,000 slots, where the size class of the next call cannot be guessed.
 */
#include "harness.h"

#include <stdlib.h>

#define SLOTS 10000
#define DRAWS 65536 /* a power of two */

static void bm_pair(struct bench_state *s) {
	size_t size = (size_t)s->arg[0];

	while (bench_keep_running(s))
		free(bench_use(malloc(size)));
	s->items = s->iterations;
}

/* Allocates a hundred before freeing them, so that the caches in front of the arenas have to hold them. */
static void bm_batch(struct bench_state *s) {
	size_t size = (size_t)s->arg[0];
	void *held[100];

	while (bench_keep_running(s)) {
		for (size_t i = 0; i < 100; i++)
			held[i] = malloc(size);
		for (size_t i = 0; i < 100; i++)
			free(bench_use(held[i]));
	}
	s->items = s->iterations * 100;
}

static void bm_random(struct bench_state *s) {
	static struct { uint16_t slot, size; } draws[DRAWS]; /* the same in every thread */
	void **slots = calloc(SLOTS, sizeof(*slots));
	uint64_t seed = 1, turn = 0;

	if (s->thread == 0) {
		for (size_t i = 0; i < DRAWS; i++) {
			draws[i].slot = (uint16_t)bench_random_below(&seed, SLOTS);
			draws[i].size = (uint16_t)(1 + bench_random_below(&seed, 512));
		}
	}
	while (bench_keep_running(s)) {
		size_t at = turn++ & (DRAWS - 1);

		free(slots[draws[at].slot]);
		slots[draws[at].slot] = malloc(draws[at].size);
	}
	s->items = s->iterations;
	for (size_t i = 0; i < SLOTS; i++)
		free(slots[i]);
	free(slots);
}

static const struct bench benches[] = {
    {"BM_pair", bm_pair, .arg = {{"size", {16, 64, 256, 1024, 4096, 14336, 32768}}}, .threads = {1, 2}},
    {"BM_batch", bm_batch, .arg = {{"size", {16, 64, 256, 1024, 4096, 32768}}}},
    {"BM_random", bm_random, .threads = {1, 2}},
};

int main(int argc, char **argv) {
	return bench_main(argc, argv, benches, sizeof(benches) / sizeof(benches[0]));
}
