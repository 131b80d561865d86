/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * free keeps errno (POSIX 2024, glibc 2.33), in its slow paths as well: large blocks, many frees that make the
 * allocator return memory, blocks of another thread, foreign pointers. So do allocations that succeed.
 */
/* run: preload linked static */
#include "check.h"

static void free_keeps(void *p, int way) {
	errno = 4321;
	if (way == 1 && tm_free)
		tm_free(p);
	else if (way == 2 && cfree)
		cfree(p);
	else if (way == 3 && dallocx && p)
		dallocx(p, 0);
	else
		free(p);
	CHECK_FOR(errno == 4321, "after a free by way %d: %d", way, errno);
}

static void *allocate(size_t n, int i) {
	void *p = tm_malloc ? tm_malloc(n, i & 1 ? TM_COLD : TM_HOT) : malloc(n);
	CHECK(p != NULL);
	memset(p, i, n);
	return p;
}

static void *free_all(void *arg) {
	void **p = arg;
	for (int i = 0; p[i]; i++)
		free_keeps(p[i], i % 4);
	return NULL;
}

int main(void) {
	for (int way = 0; way < 4; way++) {
		free_keeps(NULL, way);
		for (int i = 0; i < 2; i++) {
			free_keeps(allocate(1, i), way);
			free_keeps(allocate(3 * MiB, i), way);
			free_keeps(allocate(100 * MiB, i), way);
		}
	}
	/* Enough churn of pages for the allocator to give memory back on the way. */
	static void *p[20001];
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 20000; i++)
			p[i] = allocate(1000 + i % 7000, i);
		usleep(50000);
		if (round == 1) {
			pthread_t thread;
			CHECK(pthread_create(&thread, NULL, free_all, p) == 0);
			CHECK(pthread_join(thread, NULL) == 0);
		} else {
			free_all(p);
		}
	}
	for (size_t n = 1; n < 64 * MiB; n = n * 3 + 1) {
		errno = 4321;
		void *q = realloc(calloc(1, n), 2 * n);
		CHECK(q != NULL);
		CHECK_FOR(errno == 4321, "after calloc and realloc of %zu: %d", n, errno);
		free(q);
	}
	if (!tm_malloc)
		return 0;
	int local = 0;
	CHECK(freopen("/dev/null", "w", stderr) != NULL);
	free_keeps(hide(&local), 0);
	free_keeps(hide(&local), 1);
	/* With stderr closed the report fails; that must not show either. */
	close(2);
	free_keeps(hide(&local), 0);
	return 0;
}
