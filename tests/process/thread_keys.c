/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Destructors of pthread keys and of threads that allocate and free, hot and cold, in all of the iterations glibc
 * makes, also after the allocator's own per-thread state has been torn down; nothing leaks.
 */
/* run: preload linked */
#include "check.h"
#include <limits.h>

enum { KEYS = 40, THREADS = 600 };

static pthread_key_t keys[KEYS];
static _Atomic int calls;

struct value {
	int key, left;
	char *hot, *cold;
	struct value *next;
};

static struct value *value_new(int key, int left) {
	struct value *v = malloc(sizeof *v);
	CHECK(v != NULL);
	*v = (struct value){.key = key, .left = left};
	v->hot = malloc(100 + key * 100);
	v->cold = tm_malloc ? tm_malloc(3000 + key * 10, TM_COLD) : malloc(3000 + key * 10);
	CHECK(v->hot && v->cold);
	fill(v->hot, 100 + key * 100, key);
	fill(v->cold, 3000 + key * 10, key + 1);
	return v;
}

static void value_free(void *p) {
	struct value *v = p;
	atomic_fetch_add(&calls, 1);
	CHECK(intact(v->hot, 100 + v->key * 100, v->key));
	CHECK(intact(v->cold, 3000 + v->key * 10, v->key + 1));
	if (v->left > 0)
		CHECK(pthread_setspecific(keys[v->key], value_new(v->key, v->left - 1)) == 0);
	free(v->hot);
	free(v->cold);
	free(v);
}

static void *thread_main(void *arg) {
	/* Half of the threads allocate nothing before their keys do. */
	if ((intptr_t)arg & 1)
		free(hide(malloc(50)));
	for (int i = 0; i < KEYS; i++)
		CHECK(pthread_setspecific(keys[i], value_new(i, PTHREAD_DESTRUCTOR_ITERATIONS - 2)) == 0);
	return NULL;
}

int main(void) {
	for (int i = 0; i < KEYS; i++)
		CHECK(pthread_key_create(&keys[i], value_free) == 0);
	size_t settled = 0;
	for (intptr_t i = 0; i < THREADS; i++) {
		pthread_t thread;
		CHECK(pthread_create(&thread, NULL, thread_main, (void *)i) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
		if (i == THREADS / 4)
			settled = rss_bytes();
	}
	CHECK_EQ(calls, THREADS * KEYS * (PTHREAD_DESTRUCTOR_ITERATIONS - 1));
	CHECK_FOR(rss_bytes() < settled + 8 * MiB, "%zu to %zu KiB", settled / KiB, rss_bytes() / KiB);
	return 0;
}
