/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What oom.sh runs with one system call or another failing: every way to allocate, where NULL is fine and a wrong
 * byte, a wrong errno or a crash is not. Says "done" at the end, so that a start refused by the dynamic linker can be
 * told from a library that ended the program.
 */
/* run: helper */
#include "check.h"

enum { BLOCKS = 120 };
static char *p[BLOCKS];
static size_t n[BLOCKS];

static void *one_of_many(int way, size_t size, bool *zero) {
	void *q = NULL;
	*zero = false;
	switch (way) {
	case 0:
		return malloc(size);
	case 1:
		*zero = true;
		return calloc(1, size);
	case 2:
		return realloc(NULL, size);
	case 3:
		return posix_memalign(&q, 4096, size) == 0 ? q : NULL;
	case 4:
		return aligned_alloc(64, size);
	case 5:
		return valloc(size);
	case 6:
		return tm_malloc ? tm_malloc(size, TM_COLD) : malloc(size);
	case 7:
		*zero = true;
		return tm_calloc ? tm_calloc(size, 1, TM_COLD) : calloc(size, 1);
	case 8:
		return tm_memalign ? tm_memalign(65536, size, TM_COLD) : memalign(65536, size);
	case 9:
		return mallocx ? mallocx(size + 1, MALLOCX_TCACHE_NONE) : malloc(size);
	case 10:
		return reallocarray(NULL, size, 1);
	default:
		return tm_malloc ? tm_malloc(size, TM_HOT) : malloc(size);
	}
}

static void work(uint64_t seed) {
	uint64_t state = seed;
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < BLOCKS; i++) {
			CHECK(!p[i] || intact(p[i], n[i], i));
			size_t size = random_below(&state, i % 10 == 0 ? 4 * MiB : 20 * KiB);
			if (p[i] && random_below(&state, 2)) {
				size_t least = size < n[i] ? size : n[i];
				char *q = i % 3 || !tm_realloc ? realloc(p[i], size + 1)
							       : tm_realloc(p[i], size + 1, i % 2);
				if (!q) {
					CHECK(errno == ENOMEM && intact(p[i], n[i], i));
					continue;
				}
				CHECK(intact(q, least, i));
				p[i] = q;
			} else {
				bool zero;
				free(p[i]);
				p[i] = one_of_many((i + round) % 12, size, &zero);
				CHECK(!p[i] || !zero || is_zero(p[i], size));
			}
			n[i] = size;
			if (p[i])
				fill(p[i], size, i);
		}
		if (round == 2)
			malloc_trim(0);
	}
	for (int i = 0; i < BLOCKS; i++) {
		CHECK(!p[i] || intact(p[i], n[i], i));
		free(p[i]);
		p[i] = NULL;
	}
}

static void *thread_main(void *arg) {
	for (int i = 0; i < 200; i++) {
		char *a = malloc(i * 500), *b = tm_malloc ? tm_malloc(i * 500, TM_COLD) : malloc(i * 500);
		if (a)
			memset(a, 1, i * 500);
		if (b)
			memset(b, 2, i * 500);
		free(a);
		free(b);
	}
	return arg;
}

int main(void) {
	work(1);
	pthread_t thread;
	if (pthread_create(&thread, NULL, thread_main, NULL) == 0)
		pthread_join(thread, NULL);
	struct tm_stats s;
	if (tm_stats)
		CHECK(tm_stats(&s, sizeof s) == 0);
	pid_t pid = fork();
	if (pid == 0) {
		alarm(20);
		work(2);
		_exit(0);
	}
	int status = 0;
	if (pid > 0)
		waitpid(pid, &status, 0);
	CHECK_FOR(status == 0, "but 0x%x from the child", status);
	work(3);
	free(malloc(1));
	if (write(1, "done\n", 5) != 5)
		return 1;
	return 0;
}
