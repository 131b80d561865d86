/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that uses tiermalloc if it is there and runs without it: nothing is linked, the names are looked up.
 *
 *     cc -Wall -Wextra -o optional examples/optional.c
 *     ./optional
 *     LD_PRELOAD=libtiermalloc.so.0 ./optional
 */
#define _GNU_SOURCE 1 /* RTLD_DEFAULT */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tiermalloc.h>

/* NULL where the library is not. */
static void *(*class_malloc)(size_t size, enum tm_tier tier);
static int (*class_stats)(struct tm_stats *out, size_t size);
static const char *(*class_version)(void);

static void names_find(void) {
	class_malloc = (void *(*)(size_t, enum tm_tier))dlsym(RTLD_DEFAULT, "tm_malloc");
	class_stats = (int (*)(struct tm_stats *, size_t))dlsym(RTLD_DEFAULT, "tm_stats");
	class_version = (const char *(*)(void))dlsym(RTLD_DEFAULT, "tm_version");
}

/* A block that is seldom read; to be given to free() whichever allocator it came from. */
static void *cold_malloc(size_t size) {
	return class_malloc != NULL ? class_malloc(size, TM_COLD) : malloc(size);
}

int main(void) {
	enum { BLOCKS = 1000, BYTES = 64 << 10 };
	static char *block[BLOCKS];

	names_find();
	printf("tiermalloc: %s\n", class_version != NULL ? class_version() : "not loaded");
	for (int i = 0; i < BLOCKS; i++) {
		block[i] = cold_malloc(BYTES);
		if (block[i] == NULL) {
			perror("optional");
			return EXIT_FAILURE;
		}
		memset(block[i], i, BYTES);
	}
	struct tm_stats stats;
	if (class_stats != NULL && class_stats(&stats, sizeof(stats)) == 0)
		printf("cold class: %" PRIu64 " KiB, on huge pages: %" PRIu64 " KiB\n",
		    stats.class_committed[TM_COLD] >> 10, stats.tier[TM_COLD].huge >> 10);
	for (int i = 0; i < BLOCKS; i++)
		free(block[i]);
	return EXIT_SUCCESS;
}
