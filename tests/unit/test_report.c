/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * alloc/report: what reaches standard error, under which option, and in how many writes.
 */
#include "unit.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "alloc/options.h"
#include "alloc/report.h"

static char printed[4096];

/* Standard error goes to a pipe for the time of `what`; the bytes that came out, in `printed`. */
static size_t capture(void (*what)(void)) {
	int ends[2], kept = dup(STDERR_FILENO);
	cr_assert_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(ends[1], STDERR_FILENO);
	what();
	dup2(kept, STDERR_FILENO);
	ssize_t n = read(ends[0], printed, sizeof(printed) - 1);
	close(ends[0]);
	close(ends[1]);
	close(kept);
	n = n < 0 ? 0 : n;
	printed[n] = '\0';
	return (size_t)n;
}

static void one_error(void) {
	report_error("a thing is wrong");
}

static void one_info(void) {
	report_info("a thing was decided");
}

static void one_foreign(void) {
	report_foreign("realloc", (void *)0x7f0000001230);
}

Test(report, lines_by_level) {
	option(log) = OPTION_LOG_NONE;
	cr_assert_eq(capture(one_error), 0, "log:none printed %s", printed);
	cr_assert_eq(capture(one_info), 0, "log:none printed %s", printed);
	option(log) = OPTION_LOG_ERROR;
	capture(one_error);
	cr_assert_str_eq(printed, "tiermalloc: a thing is wrong\n");
	cr_assert_eq(capture(one_info), 0, "log:error printed %s", printed);
	option(log) = OPTION_LOG_INFO;
	capture(one_error);
	cr_assert_str_eq(printed, "tiermalloc: a thing is wrong\n");
	capture(one_info);
	cr_assert_str_eq(printed, "tiermalloc: a thing was decided\n");
}

Test(report, one_write) {
	option(log) = OPTION_LOG_ERROR;
	fault_set(SYS_write, 0, 0, 0);
	unsigned before = fault_calls(SYS_write);
	capture(one_error);
	cr_assert_eq(fault_calls(SYS_write), before + 1);
}

static char long_line[2048];

static void one_long(void) {
	report_error(long_line);
}

/* A line of any length comes out as one line; what is kept of it is its beginning. */
Test(report, long_lines_are_cut) {
	option(log) = OPTION_LOG_ERROR;
	size_t widest = 0;
	for (size_t n = 500; n < sizeof(long_line) - 1; n += n < 700 ? 1 : 100) {
		memset(long_line, 'x', n);
		long_line[n] = '\0';
		size_t got = capture(one_long);
		CHECK(got >= 500 && got <= 640, "%zu bytes", got);
		CHECK(strchr(printed, '\n') == printed + got - 1, "not one line of %zu bytes", got);
		CHECK(strncmp(printed, "tiermalloc: xxx", 15) == 0, "%s", printed);
		CHECK(strspn(printed + 12, "x") == got - 13, "%s", printed);
		widest = got > widest ? got : widest;
	}
	/* Longest line that options_parse makes. */
	cr_assert_geq(widest, 512 + strlen("tiermalloc: "));
}

Test(report, foreign_pointers_are_counted) {
	option(log) = OPTION_LOG_ERROR;
	capture(one_foreign);
	cr_assert_str_eq(printed, "tiermalloc: realloc(0x7f0000001230): not a block of this heap; left alone\n");
	cr_assert_eq(tm_process.foreign, 1);
	option(log) = OPTION_LOG_NONE;
	cr_assert_eq(capture(one_foreign), 0);
	cr_assert_eq(tm_process.foreign, 2, "counted also where nothing is printed");
}

Test(report, keeps_errno) {
	option(log) = OPTION_LOG_ERROR;
	int kept = dup(STDERR_FILENO);
	close(STDERR_FILENO);
	errno = 77;
	report_error("nobody can read this");
	report_foreign("free", &kept);
	int e = errno;
	dup2(kept, STDERR_FILENO);
	cr_assert_eq(e, 77);
}
