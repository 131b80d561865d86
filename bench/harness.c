/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The benchmark harness: runs benchmarks and measures them. See harness.h for how it is used, report.c for
 * the output. Memory counters are taken when the last thread has left its loop, before anything is torn down.
 */
#define _GNU_SOURCE 1 /* RTLD_DEFAULT */
#include "harness.h"
#include "report.h"
#include "tiermalloc.h"

#include <dlfcn.h>
#include <err.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* What the command line asked for. */
static struct {
	const char *filter;
	double min_time;
	uint64_t iterations; /* 0: by min_time */
	unsigned repetitions;
	bool list, fixed;
	struct report_options report;
} options = {
    .filter = ".",
    .min_time = 0.5,
    .repetitions = 1,
};

/* One run of one benchmark with a given iteration count, shared by its threads. */
struct bench_trial {
	pthread_barrier_t barrier;
	const struct bench *bench;
	long faults_start;
	struct report_row *row;
};

static double clock_seconds(clockid_t clock) {
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double bench_clock(void) {
	return clock_seconds(CLOCK_MONOTONIC);
}

static long minor_faults(void) {
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return use.ru_minflt;
}

/*
 * The bytes that a line "Name:   123 kB" of a /proc file tells, or 0. Without stdio, which would allocate in
 * the heap under test. The buffer holds all of the files asked for here.
 */
static size_t proc_bytes(const char *path, const char *name) {
	char text[4096];
	const char *line;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (got <= 0)
		return 0;
	text[got] = 0;
	line = strstr(text, name);
	return line ? strtoull(line + strlen(name), NULL, 10) * BENCH_KIB : 0;
}

size_t bench_rss(void) {
	return proc_bytes("/proc/self/status", "VmRSS:");
}

/* So that a benchmark does not inherit the peak of the one before it. */
static void reset_peak_rss(void) {
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "5", 1) != 1)
		warn("/proc/self/clear_refs: the peak of RSS is over all benchmarks");
	close(fd);
}

static void count_memory(struct bench_state *s) {
	int (*stats)(struct tm_stats *, size_t) = (__typeof__(stats))dlsym(RTLD_DEFAULT, "tm_stats");
	struct tm_stats now;

	bench_count(s, "minor_faults", (double)(minor_faults() - s->trial->faults_start));
	bench_count(s, "rss_peak_bytes", (double)proc_bytes("/proc/self/status", "VmHWM:"));
	bench_count(s, "huge_bytes", (double)proc_bytes("/proc/self/smaps_rollup", "AnonHugePages:"));
	if (stats && stats(&now, sizeof(now)) == 0) {
		bench_count(s, "hot_committed", (double)now.tier[TM_HOT].committed);
		bench_count(s, "cold_committed", (double)now.tier[TM_COLD].committed);
	}
}

void bench_count(struct bench_state *s, const char *name, double value) {
	struct report_row *row = s->trial->row;

	if (row->counters == REPORT_COUNTERS)
		errx(1, "%s: too many counters", s->trial->bench->name);
	row->counter[row->counters].name = name;
	row->counter[row->counters++].value = value;
}

void bench_skip(struct bench_state *s, const char *reason) {
	s->skipped = reason;
}

bool bench_turn_clock(struct bench_state *s) {
	if (s->skipped)
		return false;
	if (!s->started) {
		s->started = true;
		pthread_barrier_wait(&s->trial->barrier);
		if (s->thread == 0)
			s->trial->faults_start = minor_faults();
		s->left = s->iterations - 1;
		s->cpu_start = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
		s->real_start = bench_clock();
		return true;
	}
	s->real_end = bench_clock();
	s->cpu_end = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
	pthread_barrier_wait(&s->trial->barrier);
	if (s->thread == 0)
		count_memory(s);
	pthread_barrier_wait(&s->trial->barrier);
	return false;
}

double bench_lognormal(size_t *sizes, size_t count, double median, double sigma, size_t low, size_t high) {
	uint64_t seed = 88172645463325252;
	double sum = 0;

	for (size_t i = 0; i < count; i++) {
		/* Box and Muller; the half keeps the logarithm's argument above 0. */
		double u = ((double)(bench_random(&seed) >> 11) + 0.5) * 0x1p-53;
		double v = ((double)(bench_random(&seed) >> 11) + 0.5) * 0x1p-53;
		double size = median * exp(sigma * sqrt(-2 * log(u)) * cos(2 * M_PI * v));

		sizes[i] = (size_t)fmin(fmax(size, (double)low), (double)high);
		sum += (double)sizes[i];
	}
	return sum / (double)count;
}

static void *trial_thread(void *state) {
	struct bench_state *s = state;

	s->trial->bench->run(s);
	return NULL;
}

/* Runs a benchmark once, `iterations` turns in each thread, and fills in the row. Returns the wall time. */
static double trial_run(
    const struct bench *b, const long *arg, unsigned threads, uint64_t iterations, struct report_row *row) {
	struct bench_trial trial = {.bench = b, .row = row};
	struct bench_state *state = calloc(threads, sizeof(*state));
	pthread_t *id = calloc(threads, sizeof(*id));
	double start = INFINITY, end = 0, turns = (double)iterations * threads;

	if (!state || !id)
		err(1, "%u threads", threads);
	row->counters = 0;
	row->cpu_ns = row->items_per_second = row->bytes_per_second = 0;
	row->iterations = iterations * threads;
	if (pthread_barrier_init(&trial.barrier, NULL, threads))
		errx(1, "cannot make a barrier for %u threads", threads);
	reset_peak_rss();
	for (unsigned i = 0; i < threads; i++) {
		memcpy(state[i].arg, arg, sizeof(state[i].arg));
		state[i].thread = i;
		state[i].threads = threads;
		state[i].iterations = iterations;
		state[i].trial = &trial;
		/* The first runs here, so that threads:1 is a program with one thread. */
		if (i && pthread_create(&id[i], NULL, trial_thread, &state[i]))
			err(1, "cannot start thread %u of %u", i, threads);
	}
	trial_thread(&state[0]);
	for (unsigned i = 1; i < threads; i++)
		pthread_join(id[i], NULL);
	pthread_barrier_destroy(&trial.barrier);

	row->error = state[0].skipped;
	for (unsigned i = 0; i < threads && !row->error; i++) {
		start = fmin(start, state[i].real_start);
		end = fmax(end, state[i].real_end);
		row->cpu_ns += (state[i].cpu_end - state[i].cpu_start) * 1e9 / turns;
		row->items_per_second += (double)state[i].items;
		row->bytes_per_second += (double)state[i].bytes;
	}
	free(state);
	free(id);
	if (row->error)
		return INFINITY;
	row->real_ns = (end - start) * 1e9 / turns;
	row->items_per_second /= end - start;
	row->bytes_per_second /= end - start;
	return end - start;
}

/* One repetition: more and more turns until the loop runs for the minimum time. */
static void bench_repeat(const struct bench *b, const long *arg, unsigned threads, struct report_row *row) {
	uint64_t fixed = options.fixed || !b->iterations ? options.iterations : b->iterations;
	uint64_t iterations = fixed ? fixed : 1;
	double seconds, factor;

	while ((seconds = trial_run(b, arg, threads, iterations, row)) < options.min_time && !fixed) {
		/* A short run predicts badly, so it is only taken for a sign to go on tenfold. */
		factor = seconds > options.min_time / 10 ? options.min_time * 1.4 / seconds : 10;
		iterations = (uint64_t)ceil((double)iterations * factor);
	}
}

/* Runs all instances of one family. Returns how many the filter let through. */
static unsigned bench_family(const struct bench *b, unsigned family, const regex_t *filter) {
	static const long one[BENCH_VALUES] = {1};
	const long *threads = b->threads[0] ? b->threads : one;
	const long *first = b->arg[0].name ? b->arg[0].values : one;
	const long *second = b->arg[1].name ? b->arg[1].values : one;
	unsigned instance = 0, selected = 0;

	/* The three lists are walked as digits of one number; digits past a list's end are left out. */
	for (unsigned n = 0; n < BENCH_VALUES * BENCH_VALUES * BENCH_VALUES; n++) {
		long arg[BENCH_ARGS] = {
		    first[n / BENCH_VALUES / BENCH_VALUES],
		    second[n / BENCH_VALUES % BENCH_VALUES],
		};
		long count = threads[n % BENCH_VALUES];
		struct report_row row = {.family = family};
		size_t at = (size_t)snprintf(row.name, sizeof(row.name), "%s", b->name);

		if (!arg[0] || !arg[1] || !count)
			continue;
		for (unsigned i = 0; i < BENCH_ARGS && b->arg[i].name; i++)
			at +=
			    (size_t)snprintf(row.name + at, sizeof(row.name) - at, "/%s:%ld", b->arg[i].name, arg[i]);
		if (b->threads[0])
			snprintf(row.name + at, sizeof(row.name) - at, "/threads:%ld", count);
		row.instance = instance++;
		row.threads = (unsigned)count;
		row.repetitions = options.repetitions;
		if (regexec(filter, row.name, 0, NULL, 0))
			continue;
		selected++;
		if (options.list) {
			puts(row.name);
			continue;
		}
		for (row.repetition = 0; row.repetition < options.repetitions; row.repetition++) {
			bench_repeat(b, arg, (unsigned)count, &row);
			report_add(&row);
		}
	}
	return selected;
}

/* A number with nothing or `suffix` behind it, or the program ends. */
static double parse_number(const char *name, const char *text, const char *suffix, double least) {
	char *end;
	double value = strtod(text, &end);

	if (end == text || (*end && strcmp(end, suffix) != 0) || !(value >= least && value <= 1e15))
		errx(2, "--%s=%s: a number of at least %g is needed", name, text, least);
	return value;
}

/* Google Benchmark's switches may stand alone or be given a truth value. */
static bool parse_switch(const char *text) {
	return !text || strchr("1tTyY", text[0]);
}

static void parse_options(int argc, char **argv) {
	enum { FILTER, MIN_TIME, REPETITIONS, AGGREGATES, FORMAT, OUT, LIST, CONTEXT, FIXED, HELP };
	static const struct option known[] = {
	    {"benchmark_filter", required_argument, NULL, FILTER},
	    {"benchmark_min_time", required_argument, NULL, MIN_TIME},
	    {"benchmark_repetitions", required_argument, NULL, REPETITIONS},
	    {"benchmark_report_aggregates_only", optional_argument, NULL, AGGREGATES},
	    {"benchmark_format", required_argument, NULL, FORMAT},
	    {"benchmark_out", required_argument, NULL, OUT},
	    {"benchmark_list_tests", optional_argument, NULL, LIST},
	    {"benchmark_context", required_argument, NULL, CONTEXT},
	    {"fixed", required_argument, NULL, FIXED},
	    {"help", no_argument, NULL, HELP},
	    {0},
	};
	const char **contexts = calloc((size_t)argc + 1, sizeof(*contexts)); /* an end after at most argc */
	unsigned count = 0;
	int got, index;
	double number;
	bool turns;

	if (!contexts)
		err(1, "%d options", argc);
	options.report.contexts = contexts;
	while ((got = getopt_long(argc, argv, "", known, &index)) != -1) {
		switch (got) {
		case FILTER:
			options.filter = optarg;
			break;
		case MIN_TIME:
			turns = strchr(optarg, 'x') != NULL;
			number = parse_number(known[index].name, optarg, turns ? "x" : "s", turns);
			options.iterations = turns ? (uint64_t)number : 0;
			options.min_time = turns ? 0 : number;
			break;
		case REPETITIONS:
			options.repetitions = (unsigned)parse_number(known[index].name, optarg, "", 1);
			break;
		case AGGREGATES:
			options.report.aggregates_only = parse_switch(optarg);
			break;
		case FORMAT:
			if (strcmp(optarg, "json") != 0 && strcmp(optarg, "console") != 0)
				errx(2, "--benchmark_format=%s: the formats are console and json", optarg);
			options.report.json = strcmp(optarg, "json") == 0;
			break;
		case OUT:
			options.report.out = optarg;
			break;
		case LIST:
			options.list = parse_switch(optarg);
			break;
		case CONTEXT:
			if (!strchr(optarg, '='))
				errx(2, "--benchmark_context=%s: key=value is needed", optarg);
			contexts[count++] = optarg;
			break;
		case FIXED:
			options.fixed = options.report.quiet = true;
			options.iterations = (uint64_t)parse_number(known[index].name, optarg, "", 1);
			break;
		case HELP:
			printf("usage: %s [--benchmark_filter=REGEX] [--benchmark_min_time=0.5s|10x]\n"
			       "  [--benchmark_repetitions=N] [--benchmark_report_aggregates_only]\n"
			       "  [--benchmark_format=console|json] [--benchmark_out=FILE]\n"
			       "  [--benchmark_context=KEY=VALUE] [--benchmark_list_tests] [--fixed=N]\n"
			       "--fixed=N runs exactly N turns and prints nothing but errors.\n",
			    argv[0]);
			exit(0);
		default:
			exit(2);
		}
	}
	if (optind < argc)
		errx(2, "%s: options only; --help lists them", argv[optind]);
}

int bench_main(int argc, char **argv, const struct bench *table, size_t count) {
	unsigned selected = 0;
	regex_t filter;

	parse_options(argc, argv);
	if (regcomp(&filter, options.filter, REG_EXTENDED | REG_NOSUB))
		errx(2, "--benchmark_filter=%s: not an extended regular expression", options.filter);
	if (!options.list)
		report_open(&options.report, argv[0]);
	for (size_t i = 0; i < count; i++)
		selected += bench_family(&table[i], (unsigned)i, &filter);
	regfree(&filter);
	if (!selected)
		errx(1, "no benchmark matches %s", options.filter);
	return options.list ? 0 : report_close();
}
