/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A large live set with steady replacement: what a cache or a store does to its allocator for hours. Sizes
 * are lognormal, many small and a few large. One turn replaces one object at random and reads some others, so
 * it shows fragmentation (RSS over live bytes) and what the placement costs the program's own accesses.
 */
#include "harness.h"

#include <stdlib.h>

#define DRAWS      65536 /* a power of two */
#define CACHE_LINE 64

static void bm_replace(struct bench_state *s) {
	size_t *sizes = malloc(DRAWS * sizeof(*sizes));
	double mean = bench_lognormal(sizes, DRAWS, 256, 1.5, 16, 1 << 20);
	size_t count = (size_t)((double)((size_t)s->arg[0] * BENCH_MIB) / mean);
	struct {
		unsigned char *p;
		size_t size;
	} *object = calloc(count, sizeof(*object));
	size_t live = DRAWS * sizeof(*sizes) + count * sizeof(*object), sum = 0, draw = 0, at;
	uint64_t seed = 1;

	for (at = 0; at < count; at++, draw++) {
		object[at].size = sizes[draw % DRAWS];
		object[at].p = malloc(object[at].size);
		bench_touch(object[at].p, object[at].size, CACHE_LINE);
		live += object[at].size;
	}
	/* A whole set of replacements before the clock starts: the steady state is what is measured. */
	for (size_t turn = 0; turn < count; turn++, draw++) {
		at = bench_random_below(&seed, count);
		free(object[at].p);
		live += sizes[draw % DRAWS] - object[at].size;
		object[at].size = sizes[draw % DRAWS];
		object[at].p = malloc(object[at].size);
		bench_touch(object[at].p, object[at].size, CACHE_LINE);
	}
	while (bench_keep_running(s)) {
		at = bench_random_below(&seed, count);
		free(object[at].p);
		live += sizes[draw % DRAWS] - object[at].size;
		object[at].size = sizes[draw++ % DRAWS];
		object[at].p = malloc(object[at].size);
		bench_touch(object[at].p, object[at].size, CACHE_LINE);
		for (long i = 1; i < s->arg[1]; i++)
			sum += object[bench_random_below(&seed, count)].p[0];
	}
	bench_use((void *)sum);
	bench_count(s, "rss_over_live", (double)bench_rss() / (double)live);
	s->items = s->iterations;
	for (at = 0; at < count; at++)
		free(object[at].p);
	free(object);
	free(sizes);
}

static const struct bench benches[] = {
    /* accesses:1 is the replaced object alone, accesses:16 reads fifteen others. */
    {"BM_replace", bm_replace, .arg = {{"live_mib", {64, 256, 512}}, {"accesses", {1, 16}}}},
};

int main(int argc, char **argv) {
	return bench_main(argc, argv, benches, sizeof(benches) / sizeof(benches[0]));
}
