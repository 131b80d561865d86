/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm.overcommit_memory=2: the reservation is not charged, memory in use is, and what is freed is uncharged, so that
 * others can have it. The setting is the whole machine's: needs root and TM_ALLOW_SYSCTL=1; restored afterwards.
 */
/* run: preload */
/* alone */
#include "check.h"

#define OVERCOMMIT "/proc/sys/vm/overcommit_memory"

static char before[8];

static bool set_overcommit(const char *value) {
	int fd = open(OVERCOMMIT, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, value, 1) == 1;
	if (fd >= 0)
		close(fd);
	return done;
}

static void restore(int signal_number) {
	set_overcommit(before);
	_exit(128 + signal_number);
}

static size_t committed(void) {
	char text[4096] = "";
	int fd = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
	close(fd);
	const char *field = strstr(text, "Committed_AS:");
	CHECK(field != NULL);
	return strtoul(field + 13, NULL, 10) * KiB;
}

/* In a process of its own: a failed check must not leave the machine as it is now. */
static int strict_work(void) {
	size_t start = committed();
	enum { BLOCKS = 300 };
	char *p[BLOCKS];
	for (int i = 0; i < BLOCKS; i++) {
		p[i] = tm_malloc && i & 1 ? tm_malloc(1 * MiB, TM_COLD) : malloc(1 * MiB);
		CHECK(p[i] != NULL);
		fill(p[i], 1 * MiB, i);
	}
	size_t full = committed();
	CHECK_FOR(full - start < 450 * MiB, "%zu MiB charged for 300", (full - start) / MiB);
	for (int i = 0; i < BLOCKS; i++) {
		CHECK(intact(p[i], 1 * MiB, i));
		free(p[i]);
	}
	malloc_trim(0);
	size_t end = committed();
	CHECK_FOR(full - end > 200 * MiB, "%zu to %zu MiB", full / MiB, end / MiB);
	for (int i = 0; i < 50; i++) {
		char *q = calloc(1, 1 * MiB);
		CHECK(q && is_zero(q, 1 * MiB));
		memset(q, 1, 1 * MiB);
	}
	return 0;
}

int main(int argc, char **argv) {
	(void)argv;
	if (argc > 1)
		return strict_work();
	if (env_long("TM_ALLOW_SYSCTL", 0) != 1)
		SKIP("needs TM_ALLOW_SYSCTL=1: changes vm.overcommit_memory for a moment");
	int fd = open(OVERCOMMIT, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && read(fd, before, sizeof before - 1) > 0);
	close(fd);
	signal(SIGTERM, restore);
	signal(SIGINT, restore);
	if (!set_overcommit("2"))
		SKIP("cannot write %s", OVERCOMMIT);
	pid_t pid = fork();
	if (pid == 0) {
		alarm(30);
		execl("/proc/self/exe", "limit_commit", "strict", (char *)NULL);
		_exit(3);
	}
	int status = -1;
	if (pid > 0)
		waitpid(pid, &status, 0);
	set_overcommit(before);
	CHECK_FOR(status == 0, "but 0x%x under overcommit_memory=2", status);
	return 0;
}
