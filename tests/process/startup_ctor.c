/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocation before, between and after everybody's constructors and destructors: a library whose constructor runs
 * before ours, our own at priority 101, atexit and on_exit handlers, destructors, in both classes. The parent
 * checks that the child that does all that ends well.
 */
/* run: preload linked static */
/* libs: -l:plugin_ctor.so -Wl,-rpath,$ORIGIN/plugins */
#include "check.h"

extern char *plugin_ctor_small, *plugin_ctor_large;
static char *early_hot, *early_cold;
static int report_fd = -1;

static void churn(int id) {
	char *p[200];
	for (int i = 0; i < 200; i++) {
		size_t n = 1 + i * i * 10;
		p[i] = tm_malloc && i & 1 ? tm_malloc(n, TM_COLD) : malloc(n);
		if (!p[i])
			_exit(9);
		fill(p[i], n, id + i);
	}
	for (int i = 0; i < 200; i++) {
		if (!intact(p[i], 1 + i * i * 10, id + i))
			_exit(10);
		free(p[i]);
	}
}

__attribute__((constructor(101))) static void early(void) {
	early_hot = malloc(1000);
	early_cold = tm_malloc ? tm_malloc(3 * MiB, TM_COLD) : malloc(3 * MiB);
	fill(early_hot, 1000, 1);
	fill(early_cold, 3 * MiB, 2);
	churn(100);
}

static void say(char c) {
	if (report_fd >= 0 && write(report_fd, &c, 1) != 1)
		_exit(11);
}

/* Runs after the handlers of main: what was allocated at the very start is freed at the very end. */
__attribute__((destructor(101))) static void late(void) {
	if (!intact(early_hot, 1000, 1) || !intact(early_cold, 3 * MiB, 2))
		_exit(12);
	free(early_hot);
	free(early_cold);
	free(hide(plugin_ctor_small));
	free(hide(plugin_ctor_large));
	churn(200);
	if (malloc_trim(0) < 0)
		_exit(13);
	churn(300);
	say('d');
}

static void at_exit(void) {
	churn(400);
	say('a');
}

static void at_exit_with(int status, void *p) {
	(void)status;
	free(p);
	churn(500);
	say('o');
}

int main(void) {
	CHECK(plugin_ctor_small && !strcmp(plugin_ctor_small, "small"));
	CHECK(!strcmp(plugin_ctor_large + 5 * MiB - 10, "large"));
	CHECK(intact(early_hot, 1000, 1) && intact(early_cold, 3 * MiB, 2));
	if (tm_tier_of) {
		CHECK(tm_tier_of(plugin_ctor_small) != TM_NONE);
		CHECK(tm_tier_of(early_hot) != TM_NONE && tm_tier_of(early_cold) != TM_NONE);
	}
	int fds[2];
	CHECK(pipe(fds) == 0);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		close(fds[0]);
		report_fd = fds[1];
		for (int i = 0; i < 40; i++)
			CHECK(atexit(at_exit) == 0);
		CHECK(on_exit(at_exit_with, malloc(100)) == 0);
		exit(0);
	}
	close(fds[1]);
	char text[100] = "";
	size_t n = 0;
	ssize_t got;
	while (n < sizeof text - 1 && (got = read(fds[0], text + n, sizeof text - 1 - n)) > 0)
		n += got;
	int status;
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_FOR(status == 0, "but 0x%x after \"%s\"", status, text);
	CHECK_FOR(n == 42 && text[0] == 'o' && text[41] == 'd', "but \"%s\"", text);
	return 0;
}
