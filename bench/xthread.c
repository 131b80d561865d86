/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that one thread allocates and another frees: batches swapped between running threads, and a working
 * set handed from thread to thread where each ends after some work, as in a server that starts a thread per
 * request.
 */
#include "harness.h"

#include <err.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define BATCH 256

/* Batches on their way from one thread to another; a thread leaves one and takes what lay there. */
static _Atomic(void **) exchange;

/* Each turn allocates a batch and frees one, mostly another thread's; its own if there is one thread. */
static void bm_swap(struct bench_state *s) {
	size_t size = (size_t)s->arg[0];
	void **batch = calloc(BATCH, sizeof(*batch));

	while (bench_keep_running(s)) {
		for (size_t i = 0; i < BATCH; i++) {
			batch[i] = malloc(size);
			bench_touch(batch[i], 1, 1);
		}
		batch = atomic_exchange(&exchange, batch);
		if (!batch)
			batch = calloc(BATCH, sizeof(*batch));
		for (size_t i = 0; i < BATCH; i++)
			free(batch[i]);
	}
	s->items = s->iterations * BATCH;
	free(batch);
	if (s->thread == 0) {
		batch = atomic_exchange(&exchange, NULL);
		for (size_t i = 0; i < BATCH; i++)
			free(batch[i]);
		free(batch);
	}
}

/* A working set that outlives the threads working on it. */
struct estate {
	void **blocks;
	size_t count, replace;
	uint64_t seed;
};

static void *heir_work(void *arg) {
	struct estate *e = arg;

	for (size_t i = 0; i < e->replace; i++) {
		size_t at = bench_random_below(&e->seed, e->count);
		size_t size = 10 + bench_random_below(&e->seed, 991);

		free(e->blocks[at]);
		e->blocks[at] = malloc(size);
		bench_touch(e->blocks[at], size, size);
	}
	return NULL;
}

/* One turn is one generation: a thread that replaces as many blocks at random as there are. */
static void bm_inherit(struct bench_state *s) {
	struct estate e = {.count = (size_t)s->arg[0], .replace = (size_t)s->arg[0], .seed = s->thread + 1};
	pthread_t heir;

	e.blocks = calloc(e.count, sizeof(*e.blocks));
	heir_work(&e);
	while (bench_keep_running(s)) {
		if (pthread_create(&heir, NULL, heir_work, &e))
			err(1, "cannot start a thread");
		pthread_join(heir, NULL);
	}
	s->items = s->iterations * e.replace;
	for (size_t i = 0; i < e.count; i++)
		free(e.blocks[i]);
	free(e.blocks);
}

static const struct bench benches[] = {
    {"BM_swap", bm_swap, .arg = {{"size", {64, 1024}}}, .threads = {1, 2, 4}},
    {"BM_inherit", bm_inherit, .arg = {{"blocks", {1000, 5000}}}, .threads = {1, 2}},
};

int main(int argc, char **argv) {
	return bench_main(argc, argv, benches, sizeof(benches) / sizeof(benches[0]));
}
