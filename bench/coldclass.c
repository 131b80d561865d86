/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cold class against the hot one and plain malloc, with the same work each: pairs, random replacement,
 * and reads all over a set that is larger than the small-page TLB's reach. Run it under tiermalloc; the
 * library's own calls are looked up, so that the program starts without it and says what is missing.
 */
#define _GNU_SOURCE 1 /* RTLD_DEFAULT */
#include "harness.h"
#include "tiermalloc.h"

#include <dlfcn.h>
#include <stdlib.h>

#define SLOTS 10000

/* The values of the argument `class`. A class of 0 would end the list of values. */
enum class { CLASS_MALLOC = 1, CLASS_HOT, CLASS_COLD };

static void *(*class_malloc)(size_t, enum tm_tier);
static void (*class_free)(void *);

static bool class_ready(struct bench_state *s) {
	if (s->arg[0] == CLASS_MALLOC || (class_malloc && class_free))
		return true;
	bench_skip(s, "tm_malloc and tm_free are not there; run this as: bench/with-alloc tiermalloc");
	return false;
}

/* Inlined with a constant class, so that the choice is not part of what is timed. */
static inline __attribute__((always_inline)) void *object_make(size_t size, enum class class) {
	if (class == CLASS_MALLOC)
		return malloc(size);
	return class_malloc(size, class == CLASS_HOT ? TM_HOT : TM_COLD);
}

static inline __attribute__((always_inline)) void object_drop(void *p, enum class class) {
	if (class == CLASS_MALLOC)
		free(p);
	else
		class_free(p);
}

static inline __attribute__((always_inline)) void run_pair(struct bench_state *s, enum class class) {
	size_t size = (size_t)s->arg[1];

	while (bench_keep_running(s))
		object_drop(bench_use(object_make(size, class)), class);
}

static inline __attribute__((always_inline)) void run_random(struct bench_state *s, enum class class) {
	void **slots = calloc(SLOTS, sizeof(*slots));
	size_t most = (size_t)s->arg[1], at;
	uint64_t seed = 1;

	while (bench_keep_running(s)) {
		at = bench_random_below(&seed, SLOTS);
		object_drop(slots[at], class);
		slots[at] = object_make(1 + bench_random_below(&seed, most), class);
	}
	for (at = 0; at < SLOTS; at++)
		object_drop(slots[at], class);
	free(slots);
}

static inline __attribute__((always_inline)) void run_read(struct bench_state *s, enum class class) {
	size_t count = (size_t)s->arg[1] * BENCH_MIB / 1024, sum = 0;
	unsigned char **object = malloc(count * sizeof(*object));
	uint64_t seed = 1;

	for (size_t i = 0; i < count; i++) {
		object[i] = object_make(1024, class);
		bench_touch(object[i], 1024, 64);
	}
	/* The next index depends on what was read, so that the reads do not overlap. */
	while (bench_keep_running(s)) {
		seed += sum;
		sum = object[bench_random_below(&seed, count)][512];
		bench_use((void *)sum);
	}
	for (size_t i = 0; i < count; i++)
		object_drop(object[i], class);
	free(object);
}

static void bm_pair(struct bench_state *s) {
	if (!class_ready(s))
		return;
	if (s->arg[0] == CLASS_MALLOC)
		run_pair(s, CLASS_MALLOC);
	else if (s->arg[0] == CLASS_HOT)
		run_pair(s, CLASS_HOT);
	else
		run_pair(s, CLASS_COLD);
	s->items = s->iterations;
}

static void bm_random(struct bench_state *s) {
	if (!class_ready(s))
		return;
	if (s->arg[0] == CLASS_MALLOC)
		run_random(s, CLASS_MALLOC);
	else if (s->arg[0] == CLASS_HOT)
		run_random(s, CLASS_HOT);
	else
		run_random(s, CLASS_COLD);
	s->items = s->iterations;
}

static void bm_read(struct bench_state *s) {
	if (!class_ready(s))
		return;
	if (s->arg[0] == CLASS_MALLOC)
		run_read(s, CLASS_MALLOC);
	else if (s->arg[0] == CLASS_HOT)
		run_read(s, CLASS_HOT);
	else
		run_read(s, CLASS_COLD);
	s->items = s->iterations;
}

#define CLASSES                                             \
	{                                                   \
		"class", {                                  \
			CLASS_MALLOC, CLASS_HOT, CLASS_COLD \
		}                                           \
	}

static const struct bench benches[] = {
    {"BM_pair", bm_pair, .arg = {CLASSES, {"size", {64, 1024, 16384}}}},
    {"BM_random", bm_random, .arg = {CLASSES, {"size", {512}}}},
    {"BM_read", bm_read, .arg = {CLASSES, {"mib", {256}}}},
};

int main(int argc, char **argv) {
	class_malloc = (void *(*)(size_t, enum tm_tier))dlsym(RTLD_DEFAULT, "tm_malloc");
	class_free = (void (*)(void *))dlsym(RTLD_DEFAULT, "tm_free");
	return bench_main(argc, argv, benches, sizeof(benches) / sizeof(benches[0]));
}
