/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one place that prints. Any thread, also inside malloc and in signal handlers of a program that frees there:
 * stack memory and write(2) only.
 */
#include "alloc/report.h"

#include <unistd.h>

#include "alloc/options.h"
#include "os/os.h"
#include "tiers/region_table.h"

static void report(const char *line) {
	char buf[640];
	struct text out = text_in(buf, sizeof(buf));
	text_add(&out, "tiermalloc: ");
	text_add(&out, line);
	*out.at++ = '\n'; /* text_in keeps room for two more */
	os_write(STDERR_FILENO, buf, (size_t)(out.at - buf));
}

void report_error(const char *line) {
	if (option(log) >= OPTION_LOG_ERROR)
		report(line);
}

void report_info(const char *line) {
	if (option(log) >= OPTION_LOG_INFO)
		report(line);
}

void report_foreign(const char *function, const void *p) {
	char line[160];
	struct text out = text_in(line, sizeof(line));
	count_add(&tm_process.foreign, 1);
	text_add(&out, function);
	text_add(&out, "(");
	text_add_hex(&out, (uintptr_t)p);
	text_add(&out, "): not a block of this heap; left alone");
	text_end(&out);
	report_error(line);
}
