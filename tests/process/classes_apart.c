/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The classes do not mix: a cold block that was freed, by whatever call and in whatever thread, never comes back from
 * malloc, and a hot one never from tm_malloc(TM_COLD). jemalloc's thread cache would mix them if it ever saw one.
 */
/* run: preload linked */
#include "check.h"

#define BLOCKS 500

extern struct tm_process tm_process __attribute__((weak));

static bool in_cold_zone(const void *p) {
	const struct tm_zone_view *z = &tm_process.zone[TM_COLD];
	return (uintptr_t)p - z->base < z->bytes;
}

static void *free_all(void *blocks) {
	char **p = blocks;
	for (int i = 0; i < BLOCKS; i++) {
		switch (i % 4) {
		case 0:
			tm_free(p[i]);
			break;
		case 1:
			dallocx(p[i], 0);
			break;
		default:
			free(p[i]);
			break;
		}
	}
	return NULL;
}

static void round_of(size_t size, bool other_thread, bool trim) {
	static char *cold[BLOCKS], *hot[BLOCKS];
	for (int i = 0; i < BLOCKS; i++) {
		cold[i] = tm_malloc(size, TM_COLD);
		CHECK_FOR(in_cold_zone(cold[i]), "block %d of %zu", i, size);
	}
	/* Moves between sizes and back go through other paths of the same caches. */
	for (int i = 0; i < BLOCKS; i += 3) {
		cold[i] = realloc(cold[i], size * 3);
		CHECK_FOR(in_cold_zone(cold[i]), "realloc of block %d of %zu", i, size);
	}
	if (trim)
		malloc_trim(0);
	if (other_thread) {
		pthread_t thread;
		CHECK(pthread_create(&thread, NULL, free_all, cold) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
	} else {
		free_all(cold);
	}
	for (int i = 0; i < BLOCKS; i++) {
		hot[i] = i % 2 ? malloc(size) : calloc(3, size);
		CHECK_FOR(!in_cold_zone(hot[i]), "malloc %d of %zu", i, size);
	}
	for (int i = 0; i < BLOCKS; i++)
		free(hot[i]);
	for (int i = 0; i < BLOCKS; i++) {
		cold[i] = tm_malloc(size, TM_COLD);
		CHECK_FOR(in_cold_zone(cold[i]), "block %d of %zu after hot ones", i, size);
	}
	free_all(cold);
}

int main(void) {
	if (tm_malloc == NULL)
		return 77;
	static const size_t sizes[] = {8, 100, 1000, 4096, 5000, 14336, 32768, 40000, 300000};
	for (int round = 0; round < 4; round++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
			round_of(sizes[i], round & 1, round & 2);
	return 0;
}
