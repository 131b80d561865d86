/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What programs do to their own process: mlockall(MCL_CURRENT|MCL_FUTURE) works and does not make the reservation
 * resident; mprotect of a page of the heap and back; MADV_DONTNEED, MADV_HUGEPAGE and mlock on parts of it; closing
 * every descriptor; threads with the smallest stack; signals that arrive in the middle of allocation.
 */
/* run: preload linked static */
#include "check.h"
#include <limits.h>
#include <sys/resource.h>

static void *allocate(size_t n, int i) {
	void *p = tm_malloc && i & 1 ? tm_malloc(n, TM_COLD) : malloc(n);
	CHECK_FOR(p != NULL, "of %zu bytes (%s)", n, strerror(errno));
	return p;
}

static void churn(int rounds) {
	enum { BLOCKS = 200 };
	char *p[BLOCKS];
	for (int round = 0; round < rounds; round++) {
		for (int i = 0; i < BLOCKS; i++)
			fill(p[i] = allocate(1 + i * 1000, i), 1 + i * 1000, i);
		for (int i = 0; i < BLOCKS; i++) {
			CHECK(intact(p[i], 1 + i * 1000, i));
			free(p[i]);
			p[i] = calloc(1, 1 + i * 1000);
			CHECK_FOR(p[i] && is_zero(p[i], 1 + i * 1000), "for %d", 1 + i * 1000);
		}
		for (int i = 0; i < BLOCKS; i++)
			free(p[i]);
		malloc_trim(0);
	}
}

static void mlock_all(void *arg) {
	(void)arg;
	churn(1);
	size_t before = rss_bytes();
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		_exit(77);
	CHECK_FOR(rss_bytes() < before + 300 * MiB, "%zu to %zu MiB", before / MiB, rss_bytes() / MiB);
	churn(5);
	char *p = allocate(30 * MiB, 1), *q = allocate(30 * MiB, 0);
	fill(p, 30 * MiB, 1);
	fill(q, 30 * MiB, 2);
	CHECK(intact(p, 30 * MiB, 1) && intact(q, 30 * MiB, 2));
	free(p);
	free(q);
	churn(2);
	CHECK_FOR(rss_bytes() < before + 500 * MiB, "%zu to %zu MiB", before / MiB, rss_bytes() / MiB);
	CHECK(munlockall() == 0);
	churn(2);
}

/* As garbage collectors and guard pages of programs do it; the program undoes what it did before it frees. */
static void protect_own(void *arg) {
	(void)arg;
	for (int i = 0; i < 40; i++) {
		size_t n = 64 * KiB + (i % 8) * 500 * KiB;
		char *p = tm_memalign ? tm_memalign(4096, n, i & 1 ? TM_COLD : TM_HOT) : aligned_alloc(4096, n);
		CHECK(p != NULL);
		fill(p, n, i);
		char *page = p + n / 2 / 4096 * 4096;
		CHECK(mprotect(page, 4096, PROT_READ) == 0);
		CHECK(intact(p, n, i));
		churn(1);
		CHECK(mprotect(page, 4096, PROT_NONE) == 0);
		CHECK(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
		CHECK(intact(p, n, i));
		munlock(page, 4096); /* it may have been freed locked, see below */
		CHECK(madvise(page, 4096, MADV_DONTNEED) == 0);
		CHECK(is_zero(page, 4096));
		madvise(p, n, MADV_HUGEPAGE);
		madvise(p, n, MADV_NOHUGEPAGE);
		if (mlock(page, 4096) == 0 && i % 4)
			munlock(page, 4096); /* some pages are freed locked, where the kernel drops nothing */
		free(p);
		churn(1);
	}
}

static void close_all(void *arg) {
	(void)arg;
	churn(1);
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	churn(3);
	close(0);
	close(1);
	/* Descriptors 0 and 1 are a file of the program's now; nobody else may write there. */
	CHECK(open("/dev/zero", O_RDWR) == 0);
	struct tm_stats s;
	if (tm_stats)
		CHECK(tm_stats(&s, sizeof s) == 0);
	churn(3);
}

static void *small_stack(void *arg) {
	intptr_t i = (intptr_t)arg;
	for (int round = 0; round < 20; round++) {
		char *p = malloc(100 + i), *q = tm_malloc ? tm_malloc(5000 + i, TM_COLD) : malloc(5000 + i);
		char *r = calloc(1, 3 * MiB);
		if (!p || !q || !r)
			_exit(9);
		p = realloc(p, 200000);
		q = realloc(q, 200000);
		memset(p, 1, 200000);
		memset(q, 1, 200000);
		free(p);
		free(q);
		free(r);
		if (tm_tier_of)
			tm_tier_of(&i);
	}
	if (i % 10 == 0)
		malloc_trim(0);
	return NULL;
}

static void small_stacks(void *arg) {
	(void)arg;
	for (intptr_t i = 0; i < 200; i++) {
		pthread_attr_t attr;
		pthread_t thread;
		pthread_attr_init(&attr);
		CHECK(pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN) == 0);
		CHECK(pthread_create(&thread, &attr, small_stack, (void *)i) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
	}
}

static _Atomic int ticks;
static void on_tick(int number) {
	(void)number;
	ticks++;
}

/* Interrupted system calls and odd moments; the handler itself must not allocate. */
static void signals(void *arg) {
	(void)arg;
	struct sigaction action = {.sa_handler = on_tick};
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	alarm(0);
	timer_t timer;
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	struct itimerspec often = {{0, 100000}, {0, 100000}};
	CHECK(timer_settime(timer, 0, &often, NULL) == 0);
	churn(30);
	CHECK(ticks > 10);
}

static void check(const char *name, void (*work)(void *)) {
	static char says[1000];
	int status = in_child(work, NULL, 50, says, sizeof says);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		return; /* not allowed to lock memory */
	CHECK_FOR(status == 0, "but 0x%x: %s: %s", status, name, says);
}

int main(void) {
	check("mlockall", mlock_all);
	check("mprotect", protect_own);
	check("closing descriptors", close_all);
	check("small stacks", small_stacks);
	check("signals", signals);
	return 0;
}
