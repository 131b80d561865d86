/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm.max_map_count is lower than the heap could use: every other huge page deserves breaking up, or every other
 * region is returned. Mappings stay below the limit with room for the program's own, what was not done for that
 * reason is counted, and every byte is where it was.
 *
 * objects  300 MiB of small ones in both classes, in real huge pages
 * blocks   5 GiB of large ones that are hardly touched, so that there are many more regions than memory
 * holes    10 GiB of larger ones: those that go take whole regions with them
 */
/* case: 200 new objects 200 vm.max_map_count=200 conf=hot_bytes:16m */
/* case: 200-cold new objects 200 vm.max_map_count=200 conf=hot_bytes:0 */
/* case: 200-old old objects 200 vm.max_map_count=200 conf=hot_bytes:0 */
/* case: 2000 new blocks 2000 vm.max_map_count=2000 conf=hot_bytes:0 thp=never */
/* case: holes new holes 2000 vm.max_map_count=2000 thp=never */
/* case: strict new holes 2000 vm.max_map_count=2000 vm.overcommit_ratio=2000 vm.overcommit_memory=2 thp=never */
#include "guest.h"

enum { MOST = 220000 };
static unsigned char *block[MOST];
static unsigned sizes[MOST];
static int blocks;

static int mappings(void) {
	static char text[1 << 20];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC), lines = 0;
	ssize_t got;
	while ((got = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < got; i++)
			lines += text[i] == '\n';
	close(fd);
	return lines;
}

/* The first and the last 16 bytes: the guest is slow, and what is lost is lost by the page. */
static void mark(int i) {
	fill(block[i], 16, i);
	fill(block[i] + sizes[i] - 16, 16, i);
}

static void look(int i) {
	CHECK_FOR(intact(block[i], 16, i) && intact(block[i] + sizes[i] - 16, 16, i), "block %d at %p", i,
	    (void *)block[i]);
}

static void make(int i) {
	block[i] = i & 1 ? tm_malloc(sizes[i], TM_COLD) : malloc(sizes[i]);
	CHECK_FOR(block[i] != NULL, "block %d, %d mappings", i, mappings());
	mark(i);
}

static void show(const char *when) {
	struct tm_stats s = stats_now();
	printf("%s: %d blocks, %d mappings, %zu MiB resident, %zu huge; %zu broken up, %zu left alone\n", when,
	    blocks, mappings(), (size_t)(s.tier[0].resident + s.tier[1].resident) / MiB,
	    (size_t)s.tier[TM_COLD].huge / MiB, (size_t)s.huge_broken, (size_t)s.vma_limited);
}

int main(int argc, char **argv) {
	uint64_t seed = 1;

	need_tiermalloc();
	CHECK(argc == 3);
	char what = argv[1][0];
	size_t most_bytes = what == 'o' ? 300 * MiB : what == 'b' ? 5 * GiB : 10 * GiB;
	int limit = atoi(argv[2]);
	CHECK_EQ(number_in("/proc/sys/vm/max_map_count", ""), limit);
	for (size_t total = 0; total < most_bytes && blocks < MOST; blocks++) {
		sizes[blocks] = (unsigned)(what == 'o' ? 1 * KiB + random_below(&seed, 1 * KiB)
			: what == 'b'                  ? 500 * KiB
						       : 4500 * KiB);
		make(blocks);
		total += sizes[blocks];
	}
	show("full");
	for (int i = 0; i < blocks; i++) {
		bool odd = (uintptr_t)block[i] / REGION & 1;
		if (what == 'h' ? (i & 2) != 0 : odd && (what == 'b' || random_below(&seed, 10) != 0)) {
			look(i);
			free(block[i]);
			block[i] = NULL;
		}
	}
	malloc_trim(0);
	show("thin");
	int most = mappings();
	for (int i = 0; i < blocks; i++)
		if (block[i] != NULL)
			look(i);
	/* The program's own: thread stacks, libraries, files. */
	for (int i = 0; i < 40; i++) {
		void *p =
		    mmap(NULL, 8192, i & 1 ? PROT_READ : PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK_FOR(p != MAP_FAILED, "for the program's mapping %d with %d there", i, mappings());
	}
	/* And the heap itself goes on. */
	for (int i = 0; i < blocks; i += 3)
		if (block[i] == NULL)
			make(i);
	show("again");
	CHECK(what == 'h' || stats_now().vma_limited > 0);
	for (int i = 0; i < blocks; i++) {
		if (block[i] != NULL)
			look(i);
		free(block[i]);
	}
	malloc_trim(0);
	show("empty");
	CHECK(most < limit && mappings() < limit);
	CHECK(stats_now().allocated < 2 * MiB);
	return 0;
}
