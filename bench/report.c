/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The benchmark harness's output. It owns the JSON document, made with cJSON, and the layout of the console
 * table.
 */
#define _GNU_SOURCE 1 /* dladdr, RTLD_DEFAULT */
#include "report.h"

#include <cjson/cJSON.h>
#include <dlfcn.h>
#include <err.h>
#include <glob.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define NAME_WIDTH      46
#define MAX_REPETITIONS 1000

static const struct report_options *options;
static cJSON *document, *rows;
static struct report_row kept[MAX_REPETITIONS]; /* the repetitions so far of the benchmark that is running */

/* The first line of a small file without its end, or "" if there is none. */
static const char *first_line(const char *path, char *line, int size) {
	FILE *file = fopen(path, "re");

	if (!file || !fgets(line, size, file))
		line[0] = 0;
	if (file)
		fclose(file);
	line[strcspn(line, "\n")] = 0;
	return line;
}

static void add_caches(cJSON *context) {
	cJSON *caches = cJSON_AddArrayToObject(context, "caches"), *cache;
	char path[300], line[256];
	glob_t found;

	if (glob("/sys/devices/system/cpu/cpu0/cache/index*", 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		int sharing = 0;

		cache = cJSON_CreateObject();
		snprintf(path, sizeof(path), "%s/type", found.gl_pathv[i]);
		cJSON_AddStringToObject(cache, "type", first_line(path, line, sizeof(line)));
		snprintf(path, sizeof(path), "%s/level", found.gl_pathv[i]);
		cJSON_AddNumberToObject(cache, "level", atoi(first_line(path, line, sizeof(line))));
		snprintf(path, sizeof(path), "%s/size", found.gl_pathv[i]);
		cJSON_AddNumberToObject(cache, "size", atof(first_line(path, line, sizeof(line))) * 1024);
		snprintf(path, sizeof(path), "%s/shared_cpu_map", found.gl_pathv[i]);
		for (const char *digit = first_line(path, line, sizeof(line)); *digit; digit++) {
			char text[2] = {*digit, 0};

			sharing += __builtin_popcount((unsigned)strtoul(text, NULL, 16));
		}
		cJSON_AddNumberToObject(cache, "num_sharing", sharing);
		cJSON_AddItemToArray(caches, cache);
	}
	globfree(&found);
}

/* The file that the program's malloc comes from: a preload that failed shows here. */
static const char *malloc_library(void) {
	void *address = dlsym(RTLD_DEFAULT, "malloc");
	Dl_info info;
	const char *slash;

	if (!address || !dladdr(address, &info) || !info.dli_fname)
		return "unknown";
	slash = strrchr(info.dli_fname, '/');
	return slash ? slash + 1 : info.dli_fname;
}

static void add_context(cJSON *context, const char *program) {
	char text[256];
	const char *enabled, *value;
	double load[3] = {0};
	int loads = getloadavg(load, 3);
	time_t now = time(NULL);
	struct utsname host;
	struct tm local;

	strftime(text, sizeof(text), "%FT%T%z", localtime_r(&now, &local));
	cJSON_AddStringToObject(context, "date", text);
	if (uname(&host) == 0) {
		cJSON_AddStringToObject(context, "host_name", host.nodename);
		cJSON_AddStringToObject(context, "kernel", host.release);
	}
	cJSON_AddStringToObject(context, "executable", program);
	cJSON_AddNumberToObject(context, "num_cpus", (double)sysconf(_SC_NPROCESSORS_ONLN));
	first_line("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", text, sizeof(text));
	cJSON_AddNumberToObject(context, "mhz_per_cpu", round(atof(text) / 1000));
	first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", text, sizeof(text));
	cJSON_AddBoolToObject(context, "cpu_scaling_enabled", text[0] && strcmp(text, "performance") != 0);
	add_caches(context);
	cJSON_AddItemToObject(context, "load_avg", cJSON_CreateDoubleArray(load, loads > 0 ? loads : 0));
	cJSON_AddStringToObject(context, "library_version", "tiermalloc");
	cJSON_AddStringToObject(context, "library_build_type", "release");
	cJSON_AddNumberToObject(context, "json_schema_version", 1);
	cJSON_AddStringToObject(context, "malloc", malloc_library());
	enabled = first_line("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text));
	cJSON_AddStringToObject(context, "thp_enabled", enabled);
	for (const char *const *c = options->contexts; *c; c++) {
		value = strchr(*c, '=');
		snprintf(text, sizeof(text), "%.*s", (int)(value - *c), *c);
		cJSON_AddStringToObject(context, text, value + 1);
	}
}

static void print_header(void) {
	char rule[NAME_WIDTH + 1];

	memset(rule, '-', sizeof(rule) - 1);
	rule[sizeof(rule) - 1] = 0;
	printf("malloc: %s\n%s------------------------------------------------\n", malloc_library(), rule);
	printf("%-*s %15s %15s %12s  counters\n", NAME_WIDTH, "benchmark", "time", "CPU", "iterations");
	printf("%s------------------------------------------------\n", rule);
}

/* A number in few characters, with k, M or G (decimal) where it is large. */
static void print_scaled(double value) {
	static const char suffix[] = " kMGT";
	int scale = 0;

	while (fabs(value) >= 1000 && suffix[scale + 1]) {
		value /= 1000;
		scale++;
	}
	printf("%.4g", value);
	if (scale)
		putchar(suffix[scale]);
}

static void print_row(const struct report_row *row, const char *aggregate, double scale, const char *unit) {
	char name[sizeof(row->name) + 16];

	snprintf(name, sizeof(name), aggregate ? "%s_%s" : "%s", row->name, aggregate);
	printf("%-*s ", NAME_WIDTH, name);
	if (row->error) {
		printf("skipped: %s\n", row->error);
		return;
	}
	printf("%12.*f %-2s %12.*f %-2s %12" PRIu64 " ", scale == 1 ? 2 : 4, row->real_ns * scale, unit,
	    scale == 1 ? 2 : 4, row->cpu_ns * scale, unit, row->iterations);
	if (row->items_per_second > 0) {
		printf(" items_per_second=");
		print_scaled(row->items_per_second);
	}
	if (row->bytes_per_second > 0) {
		printf(" bytes_per_second=");
		print_scaled(row->bytes_per_second);
	}
	for (unsigned i = 0; i < row->counters; i++) {
		printf(" %s=", row->counter[i].name);
		print_scaled(row->counter[i].value);
	}
	putchar('\n');
	fflush(stdout);
}

/* Adds a row to the document and prints it. `aggregate` is the statistic that the row holds, or NULL. */
static void emit(const struct report_row *row, const char *aggregate) {
	bool share = aggregate && strcmp(aggregate, "cv") == 0;
	char name[sizeof(row->name) + 16];
	cJSON *o = cJSON_CreateObject();

	if (!options->quiet && !options->json)
		print_row(row, aggregate, share ? 100 : 1, share ? "%" : "ns");
	else if (options->quiet && row->error)
		warnx("%s skipped: %s", row->name, row->error);

	snprintf(name, sizeof(name), aggregate ? "%s_%s" : "%s", row->name, aggregate);
	cJSON_AddStringToObject(o, "name", name);
	cJSON_AddNumberToObject(o, "family_index", row->family);
	cJSON_AddNumberToObject(o, "per_family_instance_index", row->instance);
	cJSON_AddStringToObject(o, "run_name", row->name);
	cJSON_AddStringToObject(o, "run_type", aggregate ? "aggregate" : "iteration");
	cJSON_AddNumberToObject(o, "repetitions", row->repetitions);
	if (!aggregate)
		cJSON_AddNumberToObject(o, "repetition_index", row->repetition);
	cJSON_AddNumberToObject(o, "threads", row->threads);
	if (aggregate) {
		cJSON_AddStringToObject(o, "aggregate_name", aggregate);
		cJSON_AddStringToObject(o, "aggregate_unit", share ? "percentage" : "time");
	}
	if (row->error) {
		cJSON_AddTrueToObject(o, "error_occurred");
		cJSON_AddStringToObject(o, "error_message", row->error);
	}
	cJSON_AddNumberToObject(o, "iterations", (double)row->iterations);
	cJSON_AddNumberToObject(o, "real_time", row->real_ns);
	cJSON_AddNumberToObject(o, "cpu_time", row->cpu_ns);
	cJSON_AddStringToObject(o, "time_unit", "ns");
	if (row->items_per_second > 0)
		cJSON_AddNumberToObject(o, "items_per_second", row->items_per_second);
	if (row->bytes_per_second > 0)
		cJSON_AddNumberToObject(o, "bytes_per_second", row->bytes_per_second);
	for (unsigned i = 0; i < row->counters; i++)
		cJSON_AddNumberToObject(o, row->counter[i].name, row->counter[i].value);
	cJSON_AddItemToArray(rows, o);
}

enum statistic { MEAN, MEDIAN, STDDEV, CV, STATISTICS };

static int compare_doubles(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void summarize(const double *value, unsigned count, double out[STATISTICS]) {
	double sorted[MAX_REPETITIONS], squares = 0;

	memcpy(sorted, value, count * sizeof(*value));
	qsort(sorted, count, sizeof(*sorted), compare_doubles);
	out[MEAN] = 0;
	for (unsigned i = 0; i < count; i++)
		out[MEAN] += value[i] / count;
	for (unsigned i = 0; i < count; i++)
		squares += (value[i] - out[MEAN]) * (value[i] - out[MEAN]);
	out[MEDIAN] = (sorted[count / 2] + sorted[(count - 1) / 2]) / 2;
	out[STDDEV] = sqrt(squares / (count - 1));
	out[CV] = out[MEAN] != 0 ? out[STDDEV] / out[MEAN] : 0;
}

/* Emits the aggregates of the kept repetitions, of every number that a row has. */
static void emit_aggregates(unsigned count) {
	static const char *const names[STATISTICS] = {"mean", "median", "stddev", "cv"};
	static struct report_row out[STATISTICS];
	static const size_t fields[] = {
	    offsetof(struct report_row, real_ns),
	    offsetof(struct report_row, cpu_ns),
	    offsetof(struct report_row, items_per_second),
	    offsetof(struct report_row, bytes_per_second),
	};
	double value[MAX_REPETITIONS], result[STATISTICS];

	for (int s = 0; s < STATISTICS; s++) {
		out[s] = kept[0];
		out[s].iterations = count;
	}
	for (size_t f = 0; f < sizeof(fields) / sizeof(fields[0]); f++) {
		for (unsigned i = 0; i < count; i++)
			memcpy(&value[i], (char *)&kept[i] + fields[f], sizeof(double));
		summarize(value, count, result);
		for (int s = 0; s < STATISTICS; s++)
			memcpy((char *)&out[s] + fields[f], &result[s], sizeof(double));
	}
	for (unsigned c = 0; c < kept[0].counters; c++) {
		for (unsigned i = 0; i < count; i++)
			value[i] = kept[i].counter[c].value;
		summarize(value, count, result);
		for (int s = 0; s < STATISTICS; s++)
			out[s].counter[c].value = result[s];
	}
	for (int s = 0; s < STATISTICS; s++)
		emit(&out[s], names[s]);
}

void report_open(const struct report_options *given, const char *program) {
	options = given;
	document = cJSON_CreateObject();
	add_context(cJSON_AddObjectToObject(document, "context"), program);
	rows = cJSON_AddArrayToObject(document, "benchmarks");
	if (!options->quiet && !options->json)
		print_header();
}

void report_add(const struct report_row *row) {
	unsigned count = row->repetition + 1;

	if (row->repetitions > MAX_REPETITIONS)
		errx(2, "--benchmark_repetitions=%u: at most %d", row->repetitions, MAX_REPETITIONS);
	kept[row->repetition] = *row;
	if (!options->aggregates_only || row->repetitions == 1 || row->error)
		emit(row, NULL);
	if (count == row->repetitions && count > 1 && !row->error)
		emit_aggregates(count);
}

int report_close(void) {
	char *text = cJSON_Print(document);
	FILE *file;

	if (!text)
		errx(1, "cJSON_Print: out of memory");
	if (options->json && !options->quiet)
		puts(text);
	if (options->out) {
		file = fopen(options->out, "we");
		if (!file || fprintf(file, "%s\n", text) < 0 || fclose(file))
			err(1, "%s", options->out);
	}
	cJSON_free(text);
	cJSON_Delete(document);
	return 0;
}
