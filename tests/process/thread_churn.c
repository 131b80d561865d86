/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * 10,000 short threads that die with full caches, hot and cold, leave no memory behind; blocks allocated on one
 * thread and freed on another, in both classes, keep their bytes and come back for reuse.
 */
/* run: preload linked */
/* timeout: 180 */
#include "check.h"

enum { SHORT_THREADS = 10000, PASSED = 400 };

static void *allocate(size_t n, int i) {
	void *p = tm_malloc && i & 1 ? tm_malloc(n, TM_COLD) : malloc(n);
	CHECK(p != NULL);
	return p;
}

/* Fills this thread's caches, then dies; leaves a few blocks for somebody else to free. */
static void *short_life(void *arg) {
	void **keep = arg;
	char *p[64];
	for (int i = 0; i < 64; i++)
		memset(p[i] = allocate(16 << (i % 10), i), i, 16 << (i % 10));
	for (int i = 0; i < 64; i++)
		free(p[i]);
	for (int i = 0; i < 4; i++)
		fill(keep[i] = allocate(500 + i * 5000, i), 500 + i * 5000, i);
	return NULL;
}

static void check_short_threads(void) {
	size_t settled = 0;
	for (int i = 0; i < SHORT_THREADS / 4; i++) {
		pthread_t thread[4];
		void *keep[4][4];
		for (int t = 0; t < 4; t++)
			CHECK(pthread_create(&thread[t], NULL, short_life, keep[t]) == 0);
		for (int t = 0; t < 4; t++) {
			CHECK(pthread_join(thread[t], NULL) == 0);
			for (int k = 0; k < 4; k++) {
				CHECK(intact(keep[t][k], 500 + k * 5000, k));
				free(keep[t][k]);
			}
		}
		if (i == SHORT_THREADS / 16)
			settled = rss_bytes();
	}
	CHECK_FOR(rss_bytes() < settled + 16 * MiB, "%zu to %zu MiB", settled / MiB, rss_bytes() / MiB);
}

/* A ring of queues: every thread fills blocks for its neighbour, which checks and frees them. */
static struct queue { _Atomic(void *) slot[PASSED]; } queues[4];
static const size_t ROUNDS = 50;

static void *ring(void *arg) {
	size_t me = (size_t)(uintptr_t)arg;
	for (size_t round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < PASSED; i++) {
			size_t n = 8 + i * (i % 7 == 0 ? 200 : 11);
			void *p = allocate(n, (int)i), *full = NULL;
			fill(p, n, round * PASSED + i);
			while (!atomic_compare_exchange_weak(&queues[(me + 1) % 4].slot[i], &full, p)) {
				full = NULL;
				sched_yield();
			}
			void *mine;
			while (!(mine = atomic_exchange(&queues[me].slot[i], NULL)))
				sched_yield();
			CHECK_FOR(intact(mine, n, round * PASSED + i), "round %zu, block %zu", round, i);
			if (i % 3 == 0) {
				mine = realloc(mine, n * 2);
				CHECK(mine && intact(mine, n, round * PASSED + i));
			}
			free(mine);
		}
	}
	return NULL;
}

static void check_ring(void) {
	size_t settled = 0;
	for (int again = 0; again < 4; again++) {
		pthread_t thread[4];
		for (uintptr_t t = 0; t < 4; t++)
			CHECK(pthread_create(&thread[t], NULL, ring, (void *)t) == 0);
		for (int t = 0; t < 4; t++)
			CHECK(pthread_join(thread[t], NULL) == 0);
		if (again == 0)
			settled = rss_bytes();
	}
	CHECK_FOR(rss_bytes() < settled + 32 * MiB, "%zu to %zu MiB", settled / MiB, rss_bytes() / MiB);
}

int main(void) {
	check_short_threads();
	check_ring();
	return 0;
}
