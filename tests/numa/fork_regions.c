/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork with many regions of every kind, while a thread makes and drops others: the child finds every byte, can write,
 * free and allocate, and fork again; the parent's bytes stay what they were.
 */
/* case: new new conf=hot_bytes:16m */
/* case: old old conf=hot_bytes:16m */
/* case: two two conf=hot_bytes:16m */
#include "guest.h"

enum { BLOCKS = 400, FORKS = 6 };
#define BLOCK (150 * KiB)

static char *block[BLOCKS];
static _Atomic bool stop;

static void make(int i) {
	block[i] = i & 1 ? tm_malloc(BLOCK, TM_COLD) : malloc(BLOCK);
	CHECK(block[i] != NULL);
	fill(block[i], BLOCK, i);
}

static void look(int i) {
	CHECK_FOR(block[i] == NULL || intact(block[i], BLOCK, i), "block %d at %p", i, (void *)block[i]);
}

/* Births, returns and break-ups for the fork to fall into. */
static void *churn(void *arg) {
	(void)arg;
	enum { N = 24 };
	char *p[N];
	while (!stop) {
		for (int i = 0; i < N; i++) {
			p[i] = i & 1 ? tm_malloc(300 * KiB, TM_COLD) : malloc(300 * KiB);
			CHECK(p[i] != NULL);
			p[i][0] = p[i][299 * KiB] = (char)i;
		}
		for (int i = 0; i < N; i++) {
			CHECK(p[i][0] == i && p[i][299 * KiB] == i);
			free(p[i]);
		}
		malloc_trim(0);
	}
	return NULL;
}

/* Every byte; then some are written to, dropped, returned and made anew: copies, whatever the parent does. */
static void use_all(int round) {
	for (int i = 0; i < BLOCKS; i++)
		look(i);
	for (int i = round; i < BLOCKS; i += 7) {
		if (block[i] != NULL)
			memset(block[i], 0x5a, BLOCK);
		free(block[i]);
		block[i] = NULL;
	}
	malloc_trim(0);
	for (int i = round; i < BLOCKS; i += 14)
		make(i);
	for (int i = 0; i < BLOCKS; i += 3)
		look(i);
	CHECK(stats_now().allocated > 20 * MiB);
}

static void in_fork(void (*work)(int), int round) {
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		alarm(40);
		work(round);
		_exit(0);
	}
	int status;
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_FOR(status == 0, "0x%x in child %d", status, round);
}

static void child(int round) {
	use_all(round);
	if (round % 3 == 0)
		in_fork(use_all, round + 1);
}

/* The least a child can do wrong: drop the caches it inherited, then look at the heap. */
static void trim(int round) {
	(void)round;
	malloc_trim(0);
	stats_now();
	free(tm_malloc(100, TM_COLD));
	malloc_trim(0);
	stats_now();
}

int main(void) {
	pthread_t thread;

	need_tiermalloc();
	for (int i = 0; i < BLOCKS; i++)
		make(i);
	in_fork(trim, 0);
	CHECK(pthread_create(&thread, NULL, churn, NULL) == 0);
	for (int round = 0; round < FORKS; round++)
		in_fork(child, round);
	stop = true;
	CHECK(pthread_join(thread, NULL) == 0);
	for (int i = 0; i < BLOCKS; i++)
		look(i);
	return 0;
}
