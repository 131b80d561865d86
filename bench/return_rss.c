/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Giving memory back: allocates much, frees nine tenths and waits until the process has shrunk to 1.2 times
 * what is live. What is kept is either one piece (order:1) or every tenth run of about 4 MiB (order:2), so
 * that the free space is in holes. Reports the seconds it took and the process's size over the live bytes.
 * BM_trim asks with malloc_trim(3) right away, which most allocators do not answer.
 */
#include "harness.h"

#include <malloc.h>
#include <stdlib.h>
#include <time.h>

#define TOTAL_MIB       512
#define DRAWS           65536 /* a power of two */
#define ENOUGH          1.2
#define PATIENCE        12.0 /* seconds; jemalloc returns memory over 10 */
#define ORDER_ONE_PIECE 1
#define KEPT_ONE_IN     10
#define RUN             2048 /* objects that live and die together in the scattered order */

struct heap {
	struct {
		void *p;
		size_t size;
	} * object;
	size_t count, live; /* live counts this table too */
};

static bool heap_keeps(const struct heap *h, size_t i, long order) {
	if (order == ORDER_ONE_PIECE)
		return i >= h->count - h->count / KEPT_ONE_IN;
	return i / RUN % KEPT_ONE_IN == 0;
}

static void heap_fill(struct heap *h) {
	static size_t sizes[DRAWS];
	double mean = bench_lognormal(sizes, DRAWS, 1024, 1.2, 16, 1 << 20);

	h->count = (size_t)(TOTAL_MIB * BENCH_MIB / mean);
	h->object = calloc(h->count, sizeof(*h->object));
	h->live = sizeof(sizes) + h->count * sizeof(*h->object);
	for (size_t i = 0; i < h->count; i++) {
		h->object[i].size = sizes[i % DRAWS];
		h->object[i].p = malloc(h->object[i].size);
		bench_touch(h->object[i].p, h->object[i].size, BENCH_PAGE);
		h->live += h->object[i].size;
	}
}

static void heap_thin(struct heap *h, long order) {
	for (size_t i = 0; i < h->count; i++) {
		if (heap_keeps(h, i, order))
			continue;
		free(h->object[i].p);
		h->object[i].p = NULL;
		h->live -= h->object[i].size;
	}
}

/* A little traffic, past the per-thread caches: allocators without a thread act only when they are called. */
static void heap_stir(void) {
	void *held[200];

	for (size_t i = 0; i < 200; i++)
		held[i] = malloc(16 + i * 256);
	for (size_t i = 0; i < 200; i++)
		free(bench_use(held[i]));
}

static double heap_ratio(const struct heap *h) {
	return (double)bench_rss() / (double)h->live;
}

static void heap_drop(struct heap *h) {
	for (size_t i = 0; i < h->count; i++)
		free(h->object[i].p);
	free(h->object);
}

/*
 * One turn is the whole story: fill, free, wait. What is waited for is in the counters; a time that is
 * missing there was longer than the patience.
 */
static void bm_wait(struct bench_state *s) {
	const struct timespec tick = {.tv_nsec = 10 * 1000 * 1000};
	double start, waited, ratio, at_once, to_twice, to_enough;
	struct heap h;

	while (bench_keep_running(s)) {
		heap_fill(&h);
		heap_thin(&h, s->arg[0]);
		start = bench_clock();
		at_once = ratio = heap_ratio(&h);
		to_twice = to_enough = -1;
		for (waited = 0; waited < PATIENCE; waited = bench_clock() - start) {
			ratio = heap_ratio(&h);
			if (ratio <= 2 && to_twice < 0)
				to_twice = waited;
			if (ratio <= ENOUGH) {
				to_enough = waited;
				break;
			}
			nanosleep(&tick, NULL);
			heap_stir();
		}
		if (s->left == 0) {
			bench_count(s, "rss_over_live_at_once", at_once);
			bench_count(s, "rss_over_live", ratio);
			if (to_twice >= 0)
				bench_count(s, "seconds_to_2x", to_twice);
			if (to_enough >= 0)
				bench_count(s, "seconds_to_1.2x", to_enough);
		}
		heap_drop(&h);
	}
}

static void bm_trim(struct bench_state *s) {
	double start, took;
	struct heap h;

	while (bench_keep_running(s)) {
		heap_fill(&h);
		heap_thin(&h, s->arg[0]);
		start = bench_clock();
		malloc_trim(0);
		took = bench_clock() - start;
		if (s->left == 0) {
			bench_count(s, "rss_over_live", heap_ratio(&h));
			bench_count(s, "seconds_in_trim", took);
		}
		heap_drop(&h);
	}
}

static const struct bench benches[] = {
    {"BM_wait", bm_wait, .arg = {{"order", {ORDER_ONE_PIECE, 2}}}, .iterations = 1},
    {"BM_trim", bm_trim, .arg = {{"order", {ORDER_ONE_PIECE, 2}}}, .iterations = 1},
};

int main(int argc, char **argv) {
	return bench_main(argc, argv, benches, sizeof(benches) / sizeof(benches[0]));
}
