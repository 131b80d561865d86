/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A key-value store under random access: a hash table of chained nodes with values of many sizes, larger than any
 * cache and than what the TLB reaches with small pages. One turn looks a key up and reads its value, or replaces it
 * by one of another size. Each thread has a store of its own; the clock starts when it is full. What is measured is
 * what the placement costs the program, not the calls.
 */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

#define DRAWS        65536 /* a power of two */
#define WRITE_PCT    10
#define THREADS_MOST 2

struct node {
	struct node *next;
	uint64_t key;
	size_t size;
	unsigned char value[];
};

static inline size_t bucket_of(uint64_t key, size_t buckets) {
	return (size_t)(((key * UINT64_C(0x9e3779b97f4a7c15) >> 32) * buckets) >> 32);
}

static struct node *node_make(uint64_t key, size_t size, struct node *next) {
	struct node *n = malloc(sizeof(*n) + size);
	n->next = next;
	n->key = key;
	n->size = size;
	memset(n->value, (int)key, size);
	return n;
}

/* One for each thread; kept from one run to the next, since filling it takes longer than a run. */
static struct store {
	struct node **table;
	size_t keys, draw;
	long mib;
} stores[THREADS_MOST];

static void store_drop(struct store *store) {
	for (size_t i = 0; i < store->keys; i++)
		for (struct node *n = store->table[i], *next; n != NULL; n = next) {
			next = n->next;
			free(n);
		}
	free(store->table);
}

static void store_fill(struct store *store, const size_t *sizes, long mib, size_t keys) {
	*store = (struct store){.table = calloc(keys, sizeof(struct node *)), .keys = keys, .mib = mib};
	for (uint64_t key = 0; key < keys; key++) {
		struct node **at = &store->table[bucket_of(key, keys)];
		*at = node_make(key, sizes[store->draw++ % DRAWS], *at);
	}
}

static void bm_kv(struct bench_state *s) {
	size_t *sizes = malloc(DRAWS * sizeof(*sizes));
	double mean = bench_lognormal(sizes, DRAWS, 256, 1, 16, 1 << 16) + sizeof(struct node);
	size_t keys = (size_t)((double)((size_t)s->arg[0] * BENCH_MIB) / mean / s->threads), sum = 0;
	struct store *store = &stores[s->thread];
	uint64_t seed = s->thread + 1;
	unsigned writes = (unsigned)s->arg[1] == 2 ? WRITE_PCT : 0;

	if (store->mib != s->arg[0] || store->keys != keys) {
		store_drop(store);
		store_fill(store, sizes, s->arg[0], keys);
	}
	while (bench_keep_running(s)) {
		uint64_t key = bench_random_below(&seed, keys);
		struct node **at = &store->table[bucket_of(key, keys)];
		while ((*at)->key != key)
			at = &(*at)->next;
		struct node *n = *at;
		if (bench_random_below(&seed, 100) < writes) {
			*at = node_make(key, sizes[store->draw++ % DRAWS], n->next);
			free(n);
		} else {
			sum += n->value[0] + n->value[n->size - 1];
		}
	}
	bench_use((void *)sum);
	if (s->thread == 0)
		bench_count(s, "rss_mib", (double)bench_rss() / BENCH_MIB);
	s->items = s->iterations;
	free(sizes);
}

static const struct bench benches[] = {
    /* access:1 reads only, access:2 replaces one in ten. */
    {"BM_kv", bm_kv, .arg = {{"mib", {256, 1024, 4096}}, {"access", {1, 2}}}, .threads = {1, 2}},
};

int main(int argc, char **argv) {
	return bench_main(argc, argv, benches, sizeof(benches) / sizeof(benches[0]));
}
