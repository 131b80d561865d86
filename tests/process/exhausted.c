/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that has used up its memory goes on being told so: cold allocations after malloc_trim and after fork,
 * when the thread's cache cannot be made again, are refused and do not end the program; and a failed allocation costs
 * nothing for good, neither address space of the zones nor records.
 */
/* run: preload linked */
#include "check.h"

#include <sys/resource.h>

extern struct tm_process tm_process __attribute__((weak));

static void limit(int resource, size_t bytes) {
	CHECK(setrlimit(resource, &(struct rlimit){bytes, bytes}) == 0);
}

/* Takes all there is; the number of blocks. */
static size_t exhaust(void) {
	size_t n = 0;
	for (size_t size = 1 * MiB; size >= 8; size /= 2)
		while (malloc(size) != NULL)
			n++;
	return n;
}

static void cold_when_exhausted(bool forked) {
	char *kept = tm_malloc(100, TM_COLD);
	fill(kept, 100, 1);
	if (forked) {
		pid_t child = fork();
		if (child == 0)
			_exit(0);
		int status;
		CHECK(waitpid(child, &status, 0) == child && status == 0);
	} else {
		malloc_trim(0);
	}
	limit(RLIMIT_DATA, 4096);
	limit(RLIMIT_AS, 1 * MiB);
	CHECK(exhaust() > 0);
	for (int i = 0; i < 100; i++) {
		/* Whether one fits is the allocator's business; that it answers is not. */
		char *p = tm_malloc(5000 + (size_t)i * 100, TM_COLD);
		if (p != NULL)
			memset(p, 1, 5000);
	}
	CHECK(intact(kept, 100, 1));
	tm_free(kept);
}

static void failures_cost_nothing(void) {
	limit(RLIMIT_DATA, 256 * MiB);
	void **last = NULL, **p;
	while ((p = malloc(60000)) != NULL) {
		*p = last;
		last = p;
	}
	uint64_t before = tm_process.zone[TM_HOT].carved;
	for (int i = 0; i < 50; i++)
		CHECK(malloc(60000) == NULL);
	CHECK_FOR(tm_process.zone[TM_HOT].carved == before, "%llu MiB carved by 50 failures",
	    (unsigned long long)(tm_process.zone[TM_HOT].carved - before) / MiB);
	for (; last != NULL; last = p) {
		p = *last;
		free(last);
	}
	CHECK(malloc(60000) != NULL);
}

static void child_runs(void (*test)(int), int arg, const char *what) {
	int status;
	pid_t child = fork();
	CHECK(child >= 0);
	if (child == 0) {
		test(arg);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	CHECK_FOR(status == 0, "%s: 0x%x", what, status);
}

static void one(int which) {
	if (which == 2)
		failures_cost_nothing();
	else
		cold_when_exhausted(which == 1);
}

int main(void) {
	if (tm_malloc == NULL)
		return 77;
	child_runs(one, 0, "cold blocks after malloc_trim");
	child_runs(one, 1, "cold blocks after fork");
	child_runs(one, 2, "failing allocations");
	return 0;
}
