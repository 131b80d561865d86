/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm.overcommit_memory=2: the reservation is not charged, so nearly all of the commit limit can be allocated; then
 * allocation fails with ENOMEM and nothing else; and what is freed is uncharged, so that others can have it.
 */
/* case: large new 1048576 vm.overcommit_memory=2 vm.overcommit_ratio=25 */
/* case: small new 3000 vm.overcommit_memory=2 vm.overcommit_ratio=20 */
/* case: large-old old 1048576 vm.overcommit_memory=2 vm.overcommit_ratio=25 */
/* case: cold new 100000 vm.overcommit_memory=2 vm.overcommit_ratio=25 conf=hot_bytes:0 */
#include "guest.h"

enum { MOST = 300000 };
static char *block[MOST];

/* Committed_AS is summed up from per-CPU counters that may be off by some megabytes. */
#define SLOPPY (20 * MiB)

static int fill_up(size_t size) {
	int n = 0;
	for (; n < MOST; n++) {
		errno = 0;
		block[n] = n & 1 ? tm_malloc(size, TM_COLD) : malloc(size);
		if (block[n] == NULL)
			break;
		fill(block[n], size < 256 ? size : 256, n);
		block[n][size - 1] = (char)n;
	}
	CHECK(n < MOST);
	CHECK_EQ(errno, ENOMEM);
	return n;
}

static void empty(int n, size_t size) {
	for (int i = 0; i < n; i++) {
		CHECK(intact(block[i], size < 256 ? size : 256, i) && block[i][size - 1] == (char)i);
		free(block[i]);
	}
	malloc_trim(0);
}

int main(int argc, char **argv) {
	need_tiermalloc();
	CHECK(argc == 2);
	size_t size = strtoul(argv[1], NULL, 10);
	size_t limit = meminfo("CommitLimit:"), start = meminfo("Committed_AS:");
	printf("limit %zu MiB, %zu MiB charged at the start\n", limit / MiB, start / MiB);
	CHECK(start < 64 * MiB);

	size_t first = 0;
	for (int round = 0; round < 2; round++) {
		int n = fill_up(size);
		size_t got = n * size, full = meminfo("Committed_AS:");
		printf("%zu MiB in blocks, %zu MiB charged\n", got / MiB, full / MiB);
		/* The kernel keeps back 3 % of the machine's memory; size classes take up to a fifth. */
		CHECK(got >= (limit - start) / 10 * 6);
		if (round == 0)
			first = got;
		CHECK(got >= first / 10 * 9);
		/* Full: other calls fail in the same way and leave what they were given. */
		errno = 0;
		CHECK(realloc(block[0], limit) == NULL && errno == ENOMEM);
		errno = 0;
		CHECK(calloc(1, limit) == NULL && errno == ENOMEM);
		CHECK(tm_memalign(4096, limit, TM_COLD) == NULL && errno == ENOMEM);
		empty(n, size);
		size_t end = meminfo("Committed_AS:");
		printf("%zu MiB charged after malloc_trim\n", end / MiB);
		CHECK(end <= start + SLOPPY);
		/* Somebody else can have it now. */
		size_t other = (limit - start) / 10 * 6;
		void *p = mmap(NULL, other, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED);
		munmap(p, other);
	}
	return 0;
}
