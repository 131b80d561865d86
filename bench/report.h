/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The benchmark harness's output: a table on the console, and JSON in Google Benchmark's schema. For
 * harness.c only. Rows are added as they are measured; the JSON is built as they come and written by
 * report_close().
 */
#ifndef TM_BENCH_REPORT_H
#define TM_BENCH_REPORT_H

#include "harness.h"

/* A benchmark's own counters and those that the harness adds. */
#define REPORT_COUNTERS (BENCH_COUNTERS + 5)

struct report_options {
	bool json, quiet, aggregates_only;
	const char *out;             /* file for JSON, or NULL */
	const char *const *contexts; /* "key=value" each, ended by NULL */
};

/* The result of one repetition of one benchmark. Times are per iteration. */
struct report_row {
	char name[160];
	unsigned family, instance, threads, repetition, repetitions;
	uint64_t iterations;
	double real_ns, cpu_ns, items_per_second, bytes_per_second;
	struct {
		const char *name;
		double value;
	} counter[REPORT_COUNTERS];
	unsigned counters;
	const char *error; /* why it was skipped, or NULL */
};

void report_open(const struct report_options *options, const char *program);

/* Repetitions of one benchmark come one after another; the last one is followed by their aggregates. */
void report_add(const struct report_row *row);

/* Writes the JSON. Returns the exit status for main. */
int report_close(void);

#endif
