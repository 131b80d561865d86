/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The benchmark harness: what a benchmark program needs to describe its benchmarks and to run them.
 *
 * A program lists its benchmarks in one table and calls bench_main(). The harness multiplies out arguments
 * and thread counts, finds an iteration count that runs long enough, and reports in Google Benchmark's words
 * and JSON schema, so that its compare.py works on the files. It owns the clock, the threads and the
 * counters.
 *
 * A benchmark is a function of this shape; set-up and tear-down outside the loop are not timed:
 *
 *	static void bm_pair(struct bench_state *s)
 *	{
 *		while (bench_keep_running(s))
 *			free(bench_use(malloc((size_t)s->arg[0])));
 *		s->items = s->iterations;
 *	}
 *
 * With threads:N the function runs in N threads at once, each doing s->iterations turns; all start together
 * and none tears down before the last has finished. Times are wall and CPU time divided by the turns of all
 * threads. The harness does not allocate between the start and the end of a loop.
 */
#ifndef TM_BENCH_HARNESS_H
#define TM_BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BENCH_ARGS     2
#define BENCH_VALUES   8
#define BENCH_COUNTERS 6

#define BENCH_KIB  ((size_t)1 << 10)
#define BENCH_MIB  ((size_t)1 << 20)
#define BENCH_PAGE ((size_t)4096)

/* One argument and the values it takes; the list ends at the first 0. */
struct bench_arg {
	const char *name;
	long values[BENCH_VALUES];
};

struct bench_trial;

struct bench_state {
	/* Set by the harness. */
	long arg[BENCH_ARGS];
	unsigned thread, threads;
	uint64_t iterations;

	/* Set by the benchmark; sums over all threads are reported as rates. */
	uint64_t items, bytes;

	/* The harness's own. */
	uint64_t left;
	bool started;
	const char *skipped;
	double real_start, real_end, cpu_start, cpu_end;
	struct bench_trial *trial;
};

/* One family of benchmarks: the product of its arguments and thread counts. */
struct bench {
	const char *name;
	void (*run)(struct bench_state *s);
	struct bench_arg arg[BENCH_ARGS];
	long threads[BENCH_VALUES]; /* empty: 1 */
	uint64_t iterations;        /* 0: as many as the minimum time needs */
};

/* Parses the command line and runs what it asks for. Returns the exit status for main. */
int bench_main(int argc, char **argv, const struct bench *table, size_t count);

/* The slow ends of bench_keep_running(): starts and stops the clock. */
bool bench_turn_clock(struct bench_state *s);

static inline bool bench_keep_running(struct bench_state *s) {
	if (__builtin_expect(s->left != 0, 1)) {
		s->left--;
		return true;
	}
	return bench_turn_clock(s);
}

/* Leaves out this benchmark with a reason. Before the loop only, and then in every thread alike. */
void bench_skip(struct bench_state *s, const char *reason);

/* Reports a number of the benchmark's own. From thread 0 only; name is a string that stays. */
void bench_count(struct bench_state *s, const char *name, double value);

/* Bytes of this process in physical memory now. */
size_t bench_rss(void);

/* Seconds since some fixed moment. */
double bench_clock(void);

/* Makes the compiler believe that the pointer is used, so that it does not drop a malloc and free pair. */
static inline void *bench_use(void *p) {
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

/* Writes a byte at every `stride` bytes, and the last one. Does nothing for size 0. */
static inline void bench_touch(void *p, size_t size, size_t stride) {
	volatile char *c = p;

	for (size_t at = 0; at < size; at += stride)
		c[at] = 1;
	if (size)
		c[size - 1] = 1;
}

/* xorshift64*: fast enough not to matter and the same on every run. The seed must not be 0. */
static inline uint64_t bench_random(uint64_t *seed) {
	uint64_t x = *seed;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*seed = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* Uniform in [0, n). */
static inline size_t bench_random_below(uint64_t *seed, size_t n) {
	return (size_t)(((bench_random(seed) >> 32) * (uint64_t)n) >> 32);
}

/*
 * Fills sizes[] with `count` draws of a lognormal distribution with the given median and sigma, kept within
 * [low, high]. Drawn beforehand, so that logarithms are not part of what is timed. Returns the mean.
 */
double bench_lognormal(size_t *sizes, size_t count, double median, double sigma, size_t low, size_t high);

#endif
