/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tm_stats asks the kernel: with PAGEMAP_SCAN (the argument is "scan") or on kernels without it from smaps ("smaps").
 * Either way its numbers are those of the kernel's own account, cold memory is on huge pages where the machine
 * allows them, hot memory is not, and malloc_trim takes what was freed out of all three.
 */
/* case: old old smaps conf=hot_bytes:256m */
/* case: new new scan conf=hot_bytes:256m */
/* case: old-always old smaps conf=hot_bytes:256m thp=always */
/* case: new-always new scan conf=hot_bytes:256m thp=always */
#include "guest.h"

#include <sys/ioctl.h>

enum { BLOCKS = 320 };
#define BLOCK (100 * KiB)

static void need_kernel(const char *way) {
	uint64_t request[12] = {sizeof(request)};
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	bool missing = ioctl(fd, _IOWR('f', 16, uint64_t[12]), request) != 0 && errno == ENOTTY;
	close(fd);
	CHECK_FOR(missing == (strcmp(way, "smaps") == 0), "this kernel is not the one meant for %s", way);
}

static size_t resident(const struct tm_stats *s) {
	return s->tier[TM_HOT].resident + s->tier[TM_COLD].resident;
}

static size_t huge(const struct tm_stats *s) {
	return s->tier[TM_HOT].huge + s->tier[TM_COLD].huge;
}

/* Against smaps of the heap's addresses, which must agree, and of the process, of which the heap is a part. */
static struct tm_stats compare(const char *when) {
	static char line[100];
	struct tm_stats s = stats_now();
	size_t rss = heap_smaps("Rss:"), thp = heap_smaps("AnonHugePages:");
	size_t all = number_in("/proc/self/smaps_rollup", "\nRss:") * KiB;
	size_t all_thp = number_in("/proc/self/smaps_rollup", "\nAnonHugePages:") * KiB;
	snprintf(line, sizeof(line), "%s: stats %zu+%zu KiB, %zu+%zu huge; smaps %zu, %zu; all %zu, %zu\n", when,
	    s.tier[TM_HOT].resident / KiB, s.tier[TM_COLD].resident / KiB, s.tier[TM_HOT].huge / KiB,
	    s.tier[TM_COLD].huge / KiB, rss / KiB, thp / KiB, all / KiB, all_thp / KiB);
	CHECK(write(1, line, strlen(line)) > 0);
	CHECK(apart(resident(&s), rss) <= 256 * KiB);
	CHECK(apart(huge(&s), thp) <= 256 * KiB);
	CHECK(resident(&s) <= all && huge(&s) <= all_thp);
	/* The rest is the C library, this program's buffers, the allocator's records; with "always" in huge pages. */
	CHECK(all - resident(&s) <= 32 * MiB);
	return s;
}

int main(int argc, char **argv) {
	static void *hot[BLOCKS], *cold[BLOCKS];

	need_tiermalloc();
	CHECK(argc == 2);
	need_kernel(argv[1]);
	struct tm_stats empty = compare("empty");
	for (int i = 0; i < BLOCKS; i++) {
		hot[i] = malloc(BLOCK);
		cold[i] = tm_malloc(BLOCK, TM_COLD);
		CHECK(hot[i] != NULL && cold[i] != NULL);
		fill(hot[i], BLOCK, i);
		fill(cold[i], BLOCK, i);
		CHECK(tm_tier_of(hot[i]) == TM_HOT && tm_tier_of(cold[i]) == TM_COLD);
	}
	struct tm_stats full = compare("full");
	size_t wrote = BLOCKS * BLOCK;
	CHECK(full.tier[TM_HOT].resident - empty.tier[TM_HOT].resident >= wrote);
	CHECK(full.tier[TM_COLD].resident - empty.tier[TM_COLD].resident >= wrote);
	CHECK(full.tier[TM_HOT].resident <= wrote + wrote / 4 + 8 * MiB);
	CHECK(full.tier[TM_COLD].resident <= wrote + wrote / 4 + 8 * MiB);
	CHECK_EQ(full.tier[TM_HOT].huge, 0);
	/* All but the region that is not full yet. */
	CHECK(full.tier[TM_COLD].huge >= wrote - 4 * MiB);
	for (int i = 0; i < BLOCKS; i++) {
		CHECK(intact(hot[i], BLOCK, i) && intact(cold[i], BLOCK, i));
		free(hot[i]);
		free(cold[i]);
	}
	CHECK(malloc_trim(0) == 1);
	struct tm_stats end = compare("trimmed");
	CHECK(resident(&end) <= resident(&empty) + 2 * MiB);
	CHECK(huge(&end) <= 2 * MiB);
	CHECK(end.returned - empty.returned >= 2 * wrote);
	return 0;
}
