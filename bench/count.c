/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program that bench/instructions runs under callgrind: `count ENTRY N` does N times what is to be
 * counted. What counts is inside a function called counted_*, at which callgrind starts and stops collecting;
 * the other half of the work (the malloc that a free needs) is outside. The frame of that function and the
 * call through the procedure linkage table are part of every number, alike for every allocator.
 */
#define _GNU_SOURCE 1 /* RTLD_DEFAULT */
#include "harness.h"
#include "tiermalloc.h"

#include <dlfcn.h>
#include <err.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZE  64
#define SLOTS 10000

#define COUNTED __attribute__((noinline))

static void *(*extended_malloc)(size_t, int);
static void (*extended_free)(void *, int);
static void (*sized_free)(void *, size_t, int);
static void *(*tier_malloc)(size_t, enum tm_tier);
static void (*tier_free)(void *);

COUNTED static void counted_pair(size_t size) {
	free(bench_use(malloc(size)));
}

COUNTED static void counted_replace(void **slot, size_t size) {
	free(*slot);
	*slot = malloc(size);
}

COUNTED static void *counted_malloc(void) {
	return bench_use(malloc(SIZE));
}

COUNTED static void *counted_calloc(void) {
	return bench_use(calloc(1, SIZE));
}

COUNTED static void *counted_realloc(void *p) {
	return bench_use(realloc(p, SIZE));
}

COUNTED static void counted_free(void *p) {
	free(p);
}

COUNTED static void *counted_posix_memalign(void) {
	void *p;

	return posix_memalign(&p, SIZE, SIZE) ? NULL : bench_use(p);
}

COUNTED static void *counted_aligned_alloc(void) {
	return bench_use(aligned_alloc(SIZE, SIZE));
}

COUNTED static size_t counted_usable_size(void *p) {
	return (size_t)bench_use((void *)malloc_usable_size(p));
}

COUNTED static void counted_mallocx(void) {
	extended_free(bench_use(extended_malloc(SIZE, 0)), 0);
}

COUNTED static void counted_sdallocx(void *p) {
	sized_free(p, SIZE, 0);
}

COUNTED static void counted_tier(size_t size, enum tm_tier tier) {
	tier_free(bench_use(tier_malloc(size, tier)));
}

static void run_pair(void) {
	counted_pair(SIZE);
}

static void run_pair_page(void) {
	counted_pair(4096);
}

static void run_random(void) {
	static void *slot[SLOTS];
	static uint64_t seed = 1;
	size_t at = bench_random_below(&seed, SLOTS);

	counted_replace(&slot[at], 1 + bench_random_below(&seed, 512));
}

static void run_malloc(void) {
	free(counted_malloc());
}

static void run_calloc(void) {
	free(counted_calloc());
}

static void run_realloc(void) {
	free(counted_realloc(malloc(SIZE)));
}

static void run_free(void) {
	counted_free(bench_use(malloc(SIZE)));
}

static void run_posix_memalign(void) {
	free(counted_posix_memalign());
}

static void run_aligned_alloc(void) {
	free(counted_aligned_alloc());
}

static void run_usable_size(void) {
	void *p = malloc(SIZE);

	counted_usable_size(p);
	free(p);
}

static void run_sdallocx(void) {
	counted_sdallocx(bench_use(malloc(SIZE)));
}

static void run_tier_hot(void) {
	counted_tier(SIZE, TM_HOT);
}

static void run_tier_cold(void) {
	counted_tier(SIZE, TM_COLD);
}

/* In the order of the table of bench/instructions. `needs` are functions that not every library has. */
static const struct entry {
	const char *name, *says;
	void (*run)(void);
	const char *needs[2];
} entries[] = {
    {"pair", "malloc + free, 64 B", run_pair, {0}},
    {"pair_page", "malloc + free, 4 KiB", run_pair_page, {0}},
    {"random", "free + malloc, random to 512 B", run_random, {0}},
    {"malloc", "malloc", run_malloc, {0}},
    {"free", "free", run_free, {0}},
    {"calloc", "calloc", run_calloc, {0}},
    {"realloc", "realloc, same size", run_realloc, {0}},
    {"posix_memalign", "posix_memalign, 64", run_posix_memalign, {0}},
    {"aligned_alloc", "aligned_alloc, 64", run_aligned_alloc, {0}},
    {"usable_size", "malloc_usable_size", run_usable_size, {0}},
    {"mallocx", "mallocx + dallocx", counted_mallocx, {"mallocx", "dallocx"}},
    {"sdallocx", "sdallocx", run_sdallocx, {"sdallocx", "sdallocx"}},
    {"tm_hot", "tm_malloc hot + tm_free", run_tier_hot, {"tm_malloc", "tm_free"}},
    {"tm_cold", "tm_malloc cold + tm_free", run_tier_cold, {"tm_malloc", "tm_free"}},
};
#define ENTRIES (sizeof(entries) / sizeof(entries[0]))

/* The exit status 77 says that this library has no such entry point. */
static const struct entry *entry_find(const char *name) {
	for (const struct entry *e = entries; e < entries + ENTRIES; e++) {
		if (strcmp(e->name, name) != 0)
			continue;
		for (int i = 0; i < 2 && e->needs[i]; i++) {
			if (!dlsym(RTLD_DEFAULT, e->needs[i]))
				errx(77, "%s: the library has no %s", name, e->needs[i]);
		}
		return e;
	}
	errx(2, "%s: no such entry; --list names them", name);
}

int main(int argc, char **argv) {
	const struct entry *e;

	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (e = entries; e < entries + ENTRIES; e++)
			printf("%s\t%s\n", e->name, e->says);
		return 0;
	}
	if (argc != 3)
		errx(2, "usage: count ENTRY N | count --list");
	extended_malloc = (void *(*)(size_t, int))dlsym(RTLD_DEFAULT, "mallocx");
	extended_free = (void (*)(void *, int))dlsym(RTLD_DEFAULT, "dallocx");
	sized_free = (void (*)(void *, size_t, int))dlsym(RTLD_DEFAULT, "sdallocx");
	tier_malloc = (void *(*)(size_t, enum tm_tier))dlsym(RTLD_DEFAULT, "tm_malloc");
	tier_free = (void (*)(void *))dlsym(RTLD_DEFAULT, "tm_free");
	e = entry_find(argv[1]);
	for (unsigned long n = strtoul(argv[2], NULL, 10); n; n--)
		e->run();
	return 0;
}
