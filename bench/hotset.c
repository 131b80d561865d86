/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How well and how fast the sensor finds what is hot: objects of some hundred bytes fill a heap, two threads read
 * them at full speed with a known popularity of their regions, and once a second the heat that tm_heat() gives is
 * compared with the truth. Prints a line a second and a summary; --json writes the same for scripts. Not a benchmark
 * of calls, so without the harness. The library is looked up with dlsym: run it preloaded.
 *
 *   precision  of the regions whose rate is above the threshold, the share that is hot
 *   recall     of the hot regions, the share whose rate is above the threshold
 *   caught     share of accesses in the hottest tenth by measured heat, divided by that of the best choice of that
 * size throughput accesses while the sensor runs, divided by those while it is off, in alternating seconds
 * (--alternate)
 */
#include <dlfcn.h>
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tiermalloc.h"

#define OBJECT       1008
#define THREADS      2
#define TABLE        65536 /* entries of the popularity table, a power of two */
#define STEP         1024
#define THREADS_MOST 16

struct place {
	void **object;
	size_t objects;
	uintptr_t region;
};

static struct place *places;
static size_t place_count;
static _Atomic(uint32_t *) popular; /* TABLE entries: which place is accessed */
static double *share;               /* true share of the accesses, by place */
static _Atomic bool stop;
static struct {
	_Atomic uint64_t done;
	char pad[56];
} work[THREADS_MOST];

/* Our own tables must not be part of the heap that is measured: they are hotter than anything in it. */
static void *own(size_t bytes) {
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		perror("hotset");
		exit(1);
	}
	madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

static uint64_t random_next(uint64_t *s) {
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void *reader(void *arg) {
	size_t id = (size_t)arg;
	uint64_t seed = UINT64_C(0x9e3779b97f4a7c15) * (id + 1), sum = 0;
	while (!stop) {
		const uint32_t *table = popular;
		for (int i = 0; i < STEP; i++) {
			uint64_t r = random_next(&seed);
			const struct place *p = &places[table[r % TABLE]];
			sum += *(uint64_t *)p->object[(r >> 32) * p->objects >> 32];
		}
		atomic_fetch_add_explicit(&work[id].done, STEP, memory_order_relaxed);
	}
	return (void *)sum;
}

static uint64_t done_all(void) {
	uint64_t sum = 0;
	for (int i = 0; i < THREADS_MOST; i++)
		sum += work[i].done;
	return sum;
}

static double now_s(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_address(const void *a, const void *b) {
	const void *const *x = a, *const *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void fill(size_t bytes) {
	size_t n = bytes / 1024;
	void **object = own(n * sizeof(*object));
	for (size_t i = 0; i < n; i++) {
		object[i] = malloc(OBJECT);
		memset(object[i], (int)i, OBJECT);
	}
	qsort(object, n, sizeof(*object), by_address);
	places = own(n / 64 * sizeof(*places));
	for (size_t i = 0; i < n; i++) {
		uintptr_t region = (uintptr_t)object[i] / TM_REGION_BYTES;
		if (place_count == 0 || places[place_count - 1].region != region)
			places[place_count++] = (struct place){.object = &object[i], .region = region};
		places[place_count - 1].objects++;
	}
}

/*
 * Which places are how popular: rank[i] is the place of rank i. "hot": a tenth of the places gets nine tenths of the
 * accesses. "zipf": exponent 0.99. "uniform": all the same.
 */
static void popularity(const char *kind, const size_t *rank) {
	uint32_t *table = own(TABLE * sizeof(*table));
	double *weight = calloc(place_count, sizeof(*weight)), sum = 0, acc = 0;
	size_t hot = place_count / 10, at = 0;
	for (size_t i = 0; i < place_count; i++) {
		weight[i] = strcmp(kind, "zipf") == 0 ? pow((double)i + 1, -0.99)
		    : strcmp(kind, "uniform") == 0    ? 1
		    : i < hot                         ? 0.9 / (double)hot
						      : 0.1 / (double)(place_count - hot);
		sum += weight[i];
	}
	memset(share, 0, place_count * sizeof(*share));
	for (size_t i = 0; i < TABLE; i++) {
		while (at + 1 < place_count && (acc + weight[at]) / sum * TABLE <= (double)i)
			acc += weight[at++];
		table[i] = (uint32_t)rank[at];
		share[rank[at]] += 1.0 / TABLE;
	}
	free(weight);
	popular = table; /* the old one is still being read: left to the end of the program */
}

static void shuffle(size_t *rank) {
	uint64_t seed = 88172645463325252u;
	for (size_t i = 0; i < place_count; i++)
		rank[i] = i;
	for (size_t i = place_count - 1; i > 0; i--) {
		size_t k = random_next(&seed) % (i + 1), t = rank[i];
		rank[i] = rank[k];
		rank[k] = t;
	}
}

struct seen {
	double rate, share;
	bool hot;
};
static int by_rate(const void *a, const void *b) {
	const struct seen *x = a, *y = b;
	return x->rate > y->rate ? -1 : x->rate < y->rate;
}
static int by_share(const void *a, const void *b) {
	const struct seen *x = a, *y = b;
	return x->share > y->share ? -1 : x->share < y->share;
}

static int by_number(const void *a, const void *b) {
	const double *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

struct score {
	double precision, recall, caught, threshold;
	size_t known;
};

static struct score judge(int (*heat)(const void *, struct tm_heat *), const size_t *rank) {
	struct score s = {0};
	struct seen *seen = calloc(place_count, sizeof(*seen));
	size_t tenth = place_count / 10, said = 0, right = 0;
	double best = 0, got = 0;
	for (size_t i = 0; i < place_count; i++) {
		struct tm_heat h;
		seen[rank[i]].hot = i < tenth;
		seen[rank[i]].share = share[rank[i]];
		if (heat(places[rank[i]].object[0], &h) != 0)
			continue;
		seen[rank[i]].rate = h.rate;
		s.threshold = h.threshold;
		s.known++;
		said += h.rate > h.threshold;
		right += h.rate > h.threshold && i < tenth;
	}
	qsort(seen, place_count, sizeof(*seen), by_rate);
	for (size_t i = 0; i < tenth; i++)
		got += seen[i].share;
	qsort(seen, place_count, sizeof(*seen), by_share);
	for (size_t i = 0; i < tenth; i++)
		best += seen[i].share;
	s.precision = said > 0 ? (double)right / (double)said : 0;
	s.recall = tenth > 0 ? (double)right / (double)tenth : 0;
	s.caught = best > 0 ? got / best : 0;
	free(seen);
	return s;
}

static int usage(FILE *to) {
	fputs("usage: hotset [--mib N] [--seconds N] [--kind hot|zipf|uniform] [--jump SECOND] [--alternate] "
	      "[--threads N] [--json FILE]\n",
	    to);
	return to == stdout ? 0 : 2;
}

int main(int argc, char **argv) {
	static const struct option options[] = {{"mib", 1, NULL, 'm'}, {"seconds", 1, NULL, 's'},
	    {"kind", 1, NULL, 'k'}, {"jump", 1, NULL, 'j'}, {"alternate", 0, NULL, 'a'}, {"json", 1, NULL, 'o'},
	    {"threads", 1, NULL, 't'}, {"help", 0, NULL, 'h'}, {0}};
	size_t mib = 4096;
	int seconds = 20, jump = -1, c, threads = THREADS;
	bool alternate = false;
	const char *kind = "hot", *json = NULL;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'm')
			mib = strtoul(optarg, NULL, 10);
		else if (c == 's')
			seconds = atoi(optarg);
		else if (c == 'k')
			kind = optarg;
		else if (c == 'j')
			jump = atoi(optarg);
		else if (c == 'a')
			alternate = true;
		else if (c == 'o')
			json = optarg;
		else if (c == 't')
			threads = atoi(optarg);
		else
			return usage(c == 'h' ? stdout : stderr);
	}
	if (threads < 1 || threads > THREADS_MOST || mib < 64)
		return usage(stderr);
	int (*heat)(const void *, struct tm_heat *) =
	    (int (*)(const void *, struct tm_heat *))dlsym(RTLD_DEFAULT, "tm_heat");
	int (*stats)(struct tm_stats *, size_t) = (int (*)(struct tm_stats *, size_t))dlsym(RTLD_DEFAULT, "tm_stats");
	void (*quiesce)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "tm_quiesce");
	void (*resume)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, "tm_resume");
	if (heat == NULL || stats == NULL || quiesce == NULL || resume == NULL) {
		fputs("hotset: tiermalloc is not preloaded\n", stderr);
		return 1;
	}
	/* Nothing is learnt while the heap is filled: the clock of the test starts with the readers. */
	quiesce();
	fill(mib << 20);
	share = calloc(place_count, sizeof(*share));
	size_t *rank = malloc(place_count * sizeof(*rank));
	shuffle(rank);
	popularity(kind, rank);
	pthread_t thread[THREADS_MOST];
	for (int i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, reader, (void *)(size_t)i);
	sleep(1);
	resume();

	FILE *out = json != NULL ? fopen(json, "w") : NULL;
	if (out != NULL)
		fprintf(out, "{\"mib\": %zu, \"kind\": \"%s\", \"regions\": %zu, \"jump\": %d, \"seconds\": [", mib,
		    kind, place_count, jump);
	printf("%zu MiB, %zu regions, %s, %d threads\n", mib, place_count, kind, threads);
	printf("%4s %10s %8s %8s %9s %9s %8s %12s\n", "s", "precision", "recall", "caught", "probes/s", "hit share",
	    "CPU %", "million/s");
	struct tm_stats before = {0}, after;
	stats(&before, sizeof(before));
	uint64_t work_before = done_all();
	double at = now_s(), pace_on = 0, *ratios = calloc((size_t)seconds + 1, sizeof(*ratios));
	size_t ratio_count = 0;
	for (int s = 1; s <= seconds; s++) {
		usleep(1000000);
		double t = now_s();
		uint64_t work_now = done_all();
		stats(&after, sizeof(after));
		struct score score = judge(heat, rank);
		double probes = (double)(after.probes - before.probes);
		bool sensing = after.pager != 0;
		double pace = (double)(work_now - work_before) / (t - at);
		if (alternate && !sensing && s > 8 && pace_on > 0)
			ratios[ratio_count++] = pace_on / pace;
		pace_on = sensing ? pace : 0;
		if (after.pager != before.pager)
			before.pager_us = 0;
		if (sensing)
			printf("%4d %10.3f %8.3f %8.3f %9.0f %9.2f %8.2f %12.1f\n", s, score.precision, score.recall,
			    score.caught, probes / (t - at),
			    probes > 0 ? (double)(after.probe_hits - before.probe_hits) / probes : 0,
			    (double)(after.pager_us - before.pager_us) / 1e4 / (t - at),
			    (double)(work_now - work_before) / 1e6 / (t - at));
		fflush(stdout);
		if (out != NULL)
			fprintf(out,
			    "%s\n{\"second\": %d, \"precision\": %.4f, \"recall\": %.4f, \"caught\": %.4f, "
			    "\"probes_per_s\": %.0f, "
			    "\"cpu_percent\": %.3f, \"million_per_s\": %.2f, \"threshold\": %.4g, \"known\": %zu}",
			    s == 1 ? "" : ",", s, score.precision, score.recall, score.caught, probes / (t - at),
			    (double)(after.pager_us - before.pager_us) / 1e4 / (t - at),
			    (double)(work_now - work_before) / 1e6 / (t - at), (double)score.threshold, score.known);
		if (alternate && s >= 8) { /* not before there is something to keep up */
			if (sensing)
				quiesce();
			else
				resume();
		}
		if (s == jump) {
			/* Every place that was hot becomes a cold one. */
			size_t tenth = place_count / 10;
			for (size_t i = 0; i < tenth; i++) {
				size_t k = rank[i];
				rank[i] = rank[i + place_count / 2];
				rank[i + place_count / 2] = k;
			}
			popularity(kind, rank);
			printf("     the hot set jumps\n");
		}
		if (alternate)
			usleep(300000); /* the sensor starts, or caches and the TLB fill again */
		before = after;
		work_before = done_all();
		at = now_s();
	}
	stop = true;
	for (int i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	qsort(ratios, ratio_count, sizeof(*ratios), by_number);
	double ratio = ratio_count > 0 ? ratios[ratio_count / 2] : 0;
	if (ratio > 0)
		printf("throughput with the sensor / without: %.4f (%.4f to %.4f, %zu pairs)\n", ratio,
		    ratios[ratio_count / 4], ratios[ratio_count * 3 / 4], ratio_count);
	if (out != NULL) {
		fprintf(out, "],\n\"throughput_ratio\": %.4f}\n", ratio);
		fclose(out);
	}
	return 0;
}
