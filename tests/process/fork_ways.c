/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The other ways to make a process: vfork and exec, posix_spawn, system, popen, clone(2) without the C library's
 * handlers from a program with one thread, _Fork, daemon; and children that use the heap heavily: 100 MiB in both
 * classes, deep chains of grandchildren, threads of their own.
 */
/* run: preload linked static */
/* timeout: 180 */
#include "check.h"
#include <sched.h>
#include <spawn.h>
#include <sys/syscall.h>

extern char **environ;
enum { BLOCKS = 2000 };
static char *blocks[BLOCKS];

static size_t block_size(int i) {
	return i % 100 == 0 ? 2 * MiB + (size_t)i : 10 + (size_t)i * 7;
}

static void *allocate(size_t n, int i) {
	void *p = tm_malloc && i & 1 ? tm_malloc(n, TM_COLD) : malloc(n);
	CHECK_FOR(p != NULL, "of %zu bytes", n);
	return p;
}

static void check_blocks(void) {
	for (int i = 0; i < BLOCKS; i++)
		CHECK_FOR(intact(blocks[i], block_size(i), i), "for block %d", i);
}

static void use_heap(size_t bytes) {
	check_blocks();
	enum { PIECES = 100 };
	char *p[PIECES];
	size_t n = bytes / PIECES;
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < PIECES; i++)
			fill(p[i] = allocate(n, i), n, i);
		for (int i = 0; i < PIECES; i++) {
			CHECK(intact(p[i], n, i));
			p[i] = realloc(p[i], n + n / 2);
			CHECK(p[i] && intact(p[i], n, i));
			free(p[i]);
		}
	}
	malloc_trim(0);
	check_blocks();
}

static void child_ok(pid_t pid, const char *way) {
	int status;
	CHECK_FOR(pid > 0, "%s: %s", way, strerror(errno));
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_FOR(status == 0, "but 0x%x by %s", status, way);
}

static void check_exec(void) {
	char *argv[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t) "exit 0", NULL};
	for (int i = 0; i < 20; i++) {
		pid_t pid = vfork();
		if (pid == 0) {
			execv("/bin/sh", argv);
			_exit(1);
		}
		child_ok(pid, "vfork");
		check_blocks();
		CHECK(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ) == 0);
		child_ok(pid, "posix_spawn");
		CHECK(posix_spawnp(&pid, "sh", NULL, NULL, argv, environ) == 0);
		child_ok(pid, "posix_spawnp");
		CHECK_EQ(system("exit 0"), 0);
		FILE *f = popen("echo hello", "r");
		char text[20] = "";
		CHECK(f && fgets(text, sizeof text, f) && !strcmp(text, "hello\n"));
		CHECK_EQ(pclose(f), 0);
	}
}

static int child_in_same_memory(void *arg) {
	char *p[100];
	(void)arg;
	for (int i = 0; i < 100; i++)
		fill(p[i] = allocate(1 + i * 1000, i), 1 + i * 1000, i);
	for (int i = 0; i < 100; i++) {
		if (!intact(p[i], 1 + i * 1000, i))
			_exit(1);
		free(p[i]);
	}
	_exit(0);
}

/* No handler runs in these: the child has the heap as the one thread of the parent left it. */
static void check_bare(void) {
	for (int i = 0; i < 20; i++) {
		pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		if (pid == 0) {
			alarm(30);
			use_heap(20 * MiB);
			_exit(0);
		}
		child_ok(pid, "clone");
		pid = _Fork();
		if (pid == 0) {
			alarm(30);
			use_heap(20 * MiB);
			_exit(0);
		}
		child_ok(pid, "_Fork");
		use_heap(1 * MiB);
	}
	/* A child that shares the memory, as vfork's does, and allocates in it. */
	static char stack[256 << 10] __attribute__((aligned(16)));
	for (int i = 0; i < 20; i++) {
		pid_t pid = clone(child_in_same_memory, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
		child_ok(pid, "clone with CLONE_VM");
		check_blocks();
	}
}

static void chain(int depth) {
	alarm(60);
	use_heap(4 * MiB);
	if (depth == 0)
		return;
	pid_t pid = fork();
	if (pid == 0) {
		chain(depth - 1);
		_exit(0);
	}
	child_ok(pid, "a chain of forks");
}

static void *thread_in_child(void *arg) {
	use_heap(5 * MiB);
	return arg;
}

static void check_heavy(void) {
	pid_t pid = fork();
	if (pid == 0) {
		alarm(60);
		use_heap(100 * MiB);
		pthread_t thread[8];
		for (int i = 0; i < 8; i++)
			CHECK(pthread_create(&thread[i], NULL, thread_in_child, NULL) == 0);
		for (int i = 0; i < 8; i++)
			CHECK(pthread_join(thread[i], NULL) == 0);
		for (int i = 0; i < BLOCKS; i++)
			free(blocks[i]);
		exit(0);
	}
	use_heap(20 * MiB);
	child_ok(pid, "fork and much use");
	pid = fork();
	if (pid == 0) {
		chain(20);
		_exit(0);
	}
	child_ok(pid, "a chain of forks");
	check_blocks();
}

int main(void) {
	for (int i = 0; i < BLOCKS; i++)
		fill(blocks[i] = allocate(block_size(i), i), block_size(i), i);
	check_exec();
	check_bare();
	check_heavy();
	return 0;
}
