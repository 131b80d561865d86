/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory runs out. Under a cgroup's limit a child that allocates without end is killed and nobody else; one that
 * frees what it had is not, however often it starts again; and near the limit, where a huge page no longer fits,
 * cold memory is served in small pages with its content right.
 */
/* case: endless small endless */
/* case: again small again */
/* case: brim small brim conf=hot_bytes:0 */
#include "guest.h"

#include <sys/stat.h>

#define GROUP "/sys/fs/cgroup/low"
#define LIMIT (48 * MiB)

static void enter_group(void) {
	char text[40];
	set("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	CHECK(mkdir(GROUP, 0755) == 0 || errno == EEXIST);
	snprintf(text, sizeof(text), "%zu", LIMIT);
	set(GROUP "/memory.max", text);
}

static int in_group(void (*work)(void *)) {
	static char says[1000];
	enter_group();
	int status = in_child(work, NULL, 50, says, sizeof(says));
	fputs(says, stdout);
	return status;
}

static void join_group(void) {
	set(GROUP "/cgroup.procs", "0");
}

static size_t killed(void) {
	return number_in(GROUP "/memory.events", "oom_kill ");
}

static void endless(void *arg) {
	(void)arg;
	join_group();
	size_t size = 50 * KiB, n = 0;
	for (char **last = NULL;; n++) {
		char **p = n & 1 ? tm_malloc(size, TM_COLD) : malloc(size);
		if (p == NULL)
			_exit(2); /* cannot happen without strict overcommit */
		fill(p + 1, size - sizeof(*p), n);
		p[0] = (char *)last;
		last = p;
		if (n % 100 == 0)
			for (char **q = last, i = 0; q != NULL && i < 100; q = (char **)q[0], i++)
				if (!intact(q + 1, size - sizeof(*q), n - i))
					_exit(3);
	}
}

static void again(void *arg) {
	(void)arg;
	join_group();
	for (int round = 0; round < 6; round++) {
		enum { N = 280 };
		size_t size = 100 * KiB; /* 27 MiB in all */
		char *p[N];
		for (int i = 0; i < N; i++) {
			p[i] = (i ^ round) & 1 ? tm_malloc(size, TM_COLD) : malloc(size);
			CHECK(p[i] != NULL);
			fill(p[i], size, i);
		}
		for (int i = 0; i < N; i++) {
			CHECK(intact(p[i], size, i));
			free(p[i]);
		}
		malloc_trim(0);
		/* As the kernel charges it: what was returned in part of a huge page counts until that is split. */
		size_t now = number_in(GROUP "/memory.current", "");
		CHECK_FOR(now < 12 * MiB, "%zu MiB charged after malloc_trim", now / MiB);
	}
}

/* Takes single pages until none is left but for `room`. */
static void take_pages(size_t room) {
	while (number_in(GROUP "/memory.current", "") + room < LIMIT) {
		char *p = mmap(NULL, 256 * KiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		madvise(p, 256 * KiB, MADV_NOHUGEPAGE);
		for (size_t at = 0; at < 256 * KiB; at += 4096)
			p[at] = 1;
	}
}

static void brim(void *arg) {
	(void)arg;
	enum { N = 10 };
	size_t size = 100 * KiB;
	char *p[N];
	join_group();
	take_pages(1800 * KiB);
	for (int i = 0; i < N; i++) {
		p[i] = tm_malloc(size, TM_COLD);
		CHECK(p[i] != NULL);
		fill(p[i], size, i);
	}
	struct tm_stats s = stats_now();
	printf("cold: %zu KiB, %zu huge; %zu denied\n", (size_t)s.tier[TM_COLD].resident / KiB,
	    (size_t)s.tier[TM_COLD].huge / KiB, (size_t)s.huge_denied);
	CHECK(s.huge_denied > 0);
	for (int i = 0; i < N; i++)
		CHECK(intact(p[i], size, i));
}

int main(int argc, char **argv) {
	need_tiermalloc();
	CHECK(argc == 2);
	char *mine = malloc(1 * MiB), *other = tm_malloc(1 * MiB, TM_COLD);
	fill(mine, 1 * MiB, 1);
	fill(other, 1 * MiB, 2);
	if (strcmp(argv[1], "endless") == 0) {
		int status = in_group(endless);
		CHECK_FOR(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status 0x%x", status);
		CHECK(killed() >= 1);
	} else {
		int status = in_group(strcmp(argv[1], "again") == 0 ? again : brim);
		CHECK_FOR(status == 0, "status 0x%x", status);
		CHECK_EQ(killed(), 0);
	}
	rmdir(GROUP);
	CHECK(intact(mine, 1 * MiB, 1) && intact(other, 1 * MiB, 2));
	free(mine);
	free(other);
	return 0;
}
