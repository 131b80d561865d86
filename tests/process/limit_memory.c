/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs under RLIMIT_AS (200 MiB, 1 GiB, from the start and lowered at run time) and RLIMIT_DATA: allocation
 * works as far as the limit, then gives NULL with ENOMEM, and works again after memory was freed. No byte is lost.
 */
/* run: preload linked */
/* timeout: 180 */
#include "check.h"
#include <sys/resource.h>

static void set_limit(int resource, size_t bytes) {
	CHECK(setrlimit(resource, &(struct rlimit){bytes, bytes}) == 0);
}

static void *allocate(size_t n, int i) {
	errno = 0;
	void *p = tm_malloc && i & 1 ? tm_malloc(n, TM_COLD) : i & 2 ? calloc(1, n) : malloc(n);
	CHECK_FOR(p != NULL || errno == ENOMEM, "errno %d for %zu bytes", errno, n);
	return p;
}

/* Fills memory with blocks of one size until there is no more; then frees and does it again. */
static void fill_up(size_t size, size_t limit, size_t expected) {
	enum { MOST = 200000 };
	static char *p[MOST];
	size_t first = 0;
	for (int round = 0; round < 3; round++) {
		int n = 0;
		for (; n < MOST && (p[n] = allocate(size, n)); n++)
			fill(p[n], size, n);
		size_t got = n * size;
		CHECK_FOR(
		    n < MOST, "%zu MiB of blocks of %zu under a limit of %zu MiB", got / MiB, size, limit / MiB);
		CHECK_FOR(got >= expected, "only %zu MiB in blocks of %zu under %zu MiB, round %d", got / MiB, size,
		    limit / MiB, round);
		if (round == 0)
			first = got;
		CHECK_FOR(
		    got >= first / 4 * 3, "%zu MiB at first, %zu MiB in round %d", first / MiB, got / MiB, round);
		/* Full: nothing large fits, whatever the way, and what is there stays. */
		CHECK(realloc(p[n / 2], limit) == NULL && errno == ENOMEM);
		for (int i = 0; i < n; i++) {
			CHECK_FOR(intact(p[i], size, i), "for block %d of %d", i, n);
			free(p[i]);
		}
		malloc_trim(0);
	}
	char *q = malloc(1 * MiB), *r = tm_malloc ? tm_malloc(1 * MiB, TM_COLD) : malloc(1 * MiB);
	CHECK(q && r);
	free(q);
	free(r);
}

/* The library has to meet the limit when it starts, so this is the program once more. */
static void start_again(const char *name, int resource, size_t limit) {
	static const char *const sizes[] = {"8192", "100000", "3000000"};
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			char text[40];
			snprintf(text, sizeof text, "%zu", limit);
			set_limit(resource, limit);
			execl("/proc/self/exe", name, text, sizes[i], (char *)NULL);
			_exit(3);
		}
		int status;
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK_FOR(
		    status == 0, "but 0x%x with %s of %zu MiB, blocks of %s", status, name, limit / MiB, sizes[i]);
	}
}

static void lowered(void *arg) {
	(void)arg;
	char *before[100];
	for (int i = 0; i < 100; i++)
		fill(before[i] = allocate(1 * MiB, i), 1 * MiB, i);
	/* Far below what is mapped already, reservation included: no new mapping succeeds from here on. */
	set_limit(RLIMIT_AS, 64 * MiB);
	int refused = 0;
	for (int round = 0; round < 2000; round++) {
		char *p = allocate(1 + round * 300, round);
		if (p) {
			memset(p, 1, 1 + round * 300);
			free(p);
		} else {
			refused++;
		}
	}
	/* What was allocated before serves again once it is free. */
	for (int i = 0; i < 100; i++) {
		CHECK(intact(before[i], 1 * MiB, i));
		free(before[i]);
	}
	for (int i = 0; i < 50; i++)
		CHECK_FOR(allocate(1 * MiB, i) != NULL, "although 100 MiB were freed; block %d, %d refused before", i,
		    refused);
}

static void *thread_main(void *arg) {
	for (int i = 0; i < 300; i++) {
		char *p = allocate(1 + i * 1000, i + (int)(intptr_t)arg);
		if (p)
			memset(p, 1, 1 + i * 1000);
		free(p);
	}
	return NULL;
}

static void threads(void) {
	pthread_t thread[8];
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * KiB);
	int n = 0;
	/* Address space that the heap has had is not given back, so there may be none for stacks. */
	while (n < 8 && pthread_create(&thread[n], &attr, thread_main, (void *)(intptr_t)n) == 0)
		n++;
	while (n > 0)
		CHECK(pthread_join(thread[--n], NULL) == 0);
}

int main(int argc, char **argv) {
	if (argc > 2) {
		/* Half of the limit is the least, of what the program's files and stacks leave. */
		size_t limit = strtoul(argv[1], NULL, 10);
		fill_up(strtoul(argv[2], NULL, 10), limit, limit / 2 - 40 * MiB);
		threads();
		return 0;
	}
	start_again("RLIMIT_AS", RLIMIT_AS, 1 * GiB);
	start_again("RLIMIT_AS", RLIMIT_AS, 200 * MiB);
	start_again("RLIMIT_DATA", RLIMIT_DATA, 200 * MiB);
	start_again("RLIMIT_DATA", RLIMIT_DATA, 1 * GiB);
	static char says[1000];
	int status = in_child(lowered, NULL, 60, says, sizeof says);
	CHECK_FOR(status == 0, "but 0x%x with a lowered limit: %s", status, says);
	return 0;
}
