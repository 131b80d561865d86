/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What slow_calls.sh runs with system calls delayed: four threads on one arena of each class, so that their blocks
 * share regions, allocate, free and trim for as many seconds as the argument says; each checks its own bytes.
 */
/* run: helper */
#include "check.h"

enum { THREADS = 4, BLOCKS = 64 };
static double seconds;

static void *work(void *arg) {
	uint64_t state = (uintptr_t)arg, id = state << 40, ids[BLOCKS];
	char *p[BLOCKS] = {NULL};
	size_t n[BLOCKS];
	double end = seconds_now() + seconds;
	while (seconds_now() < end) {
		size_t i = random_below(&state, BLOCKS);
		if (p[i]) {
			size_t wrong = first_wrong(p[i], n[i], ids[i]);
			CHECK_FOR(wrong == n[i], "%zu bytes at %p, tier %d: byte %zu is 0x%02x", n[i], (void *)p[i],
			    tm_tier_of ? tm_tier_of(p[i]) : TM_NONE, wrong, (unsigned char)p[i][wrong]);
			free(p[i]);
			p[i] = NULL;
		} else {
			n[i] = 4096 + random_below(&state, 200000);
			p[i] = tm_malloc && i % 4 ? tm_malloc(n[i], TM_COLD) : malloc(n[i]);
			CHECK(p[i] != NULL);
			ids[i] = ++id;
			fill(p[i], n[i], id);
		}
		if (random_below(&state, 20) == 0)
			malloc_trim(0);
	}
	return NULL;
}

int main(int argc, char **argv) {
	pthread_t thread[THREADS];
	seconds = argc > 1 ? atof(argv[1]) : 1;
	for (uintptr_t t = 0; t < THREADS; t++)
		CHECK(pthread_create(&thread[t], NULL, work, (void *)(t + 1)) == 0);
	for (int t = 0; t < THREADS; t++)
		CHECK(pthread_join(thread[t], NULL) == 0);
	return 0;
}
