/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which memory is on huge pages, by the kernel's account: cold regions are, hot ones are not, whatever the system's
 * setting; the hot tier is filled first and never beyond hot_bytes; tm_stats says what smaps says; with huge pages
 * switched off for the process everything works on small ones and is counted.
 */
/* run: preload linked */
/* alone */
#include "check.h"
#include <sys/prctl.h>

#define HEAP_SMAPS(field) smaps_bytes(field, (void *)view_base, view_bytes)
static uintptr_t view_base;
static size_t view_bytes;

/* The zones, from the class of one block each: what lies around them is the heap. */
static void find_heap(void) {
	extern struct tm_process tm_process __attribute__((weak));
	CHECK(&tm_process != NULL);
	view_base = tm_process.zone[TM_HOT].base;
	view_bytes = tm_process.zone[TM_HOT].bytes + tm_process.zone[TM_COLD].bytes;
}

static struct tm_stats stats(void) {
	struct tm_stats s;
	CHECK_EQ(tm_stats(&s, sizeof s), 0);
	return s;
}

static void cold_is_huge(void *arg) {
	(void)arg;
	find_heap();
	char *p = tm_malloc(64 * MiB, TM_COLD);
	CHECK(p != NULL);
	fill(p, 64 * MiB, 1);
	struct tm_stats s = stats();
	size_t huge = HEAP_SMAPS("AnonHugePages:");
	CHECK_FOR(huge >= 60 * MiB, "%zu MiB", huge / MiB);
	size_t said = s.tier[TM_COLD].huge + s.tier[TM_HOT].huge;
	CHECK_FOR(said + 2 * REGION >= huge && said <= huge + 2 * REGION, "%zu, %zu MiB", said / MiB, huge / MiB);
	CHECK(intact(p, 64 * MiB, 1));
	/* Small blocks as well: 64 MiB of them. */
	enum { SMALL = 64 * 1024 };
	static char *small[SMALL];
	for (int i = 0; i < SMALL; i++)
		fill(small[i] = tm_malloc(1000, TM_COLD), 1000, i);
	s = stats();
	huge = HEAP_SMAPS("AnonHugePages:");
	CHECK_FOR(huge >= 120 * MiB, "%zu MiB", huge / MiB);
	CHECK_EQ(tm_tier_of(small[SMALL / 2]), TM_COLD);
	for (int i = 0; i < SMALL; i++)
		CHECK(intact(small[i], 1000, i));
}

static void hot_is_small(void *arg) {
	(void)arg;
	find_heap();
	char *p = malloc(32 * MiB);
	CHECK(p != NULL);
	fill(p, 32 * MiB, 1);
	for (size_t i = 0; i < 32 * MiB; i += 4096)
		CHECK_FOR(tm_tier_of(p + i) == TM_HOT, "at %zu", i);
	CHECK_EQ(HEAP_SMAPS("AnonHugePages:"), 0);
	struct tm_stats s = stats();
	CHECK(s.tier[TM_HOT].resident >= 32 * MiB && s.tier[TM_HOT].huge == 0);
}

/* hot_bytes:16m. The first 16 MiB of regions are hot, the rest of the hot class is born cold. */
static void birth_order(void *arg) {
	(void)arg;
	find_heap();
	enum { BLOCKS = 256 * 64 };
	static char *p[BLOCKS];
	for (int i = 0; i < BLOCKS; i++)
		fill(p[i] = malloc(16 * KiB), 16 * KiB, i);
	struct tm_stats s = stats();
	CHECK_EQ(s.hot_limit, 16 * MiB);
	CHECK_FOR(s.tier[TM_HOT].committed <= 16 * MiB && s.tier[TM_HOT].regions * REGION <= 16 * MiB, "%zu KiB",
	    (size_t)s.tier[TM_HOT].committed / KiB);
	CHECK_FOR(s.tier[TM_HOT].committed >= 12 * MiB, "%zu KiB", (size_t)s.tier[TM_HOT].committed / KiB);
	CHECK_FOR(s.tier[TM_COLD].huge >= 230 * MiB, "%zu MiB", (size_t)s.tier[TM_COLD].huge / MiB);
	size_t huge = HEAP_SMAPS("AnonHugePages:");
	CHECK_FOR(huge >= 230 * MiB, "%zu MiB", huge / MiB);
	CHECK_EQ(tm_tier_of(p[0]), TM_HOT);
	CHECK_EQ(tm_tier_of(p[BLOCKS - 1]), TM_COLD);
	for (int i = 0; i < BLOCKS; i++)
		CHECK(intact(p[i], 16 * KiB, i));
	/* All freed and taken anew: the hot tier is filled first again. */
	for (int i = 0; i < BLOCKS; i++)
		free(p[i]);
	malloc_trim(0);
	for (int i = 0; i < BLOCKS; i++)
		fill(p[i] = malloc(16 * KiB), 16 * KiB, i);
	s = stats();
	CHECK_FOR(s.tier[TM_HOT].regions * REGION <= 16 * MiB, "%zu", (size_t)s.tier[TM_HOT].regions);
	CHECK_FOR(s.tier[TM_HOT].committed >= 10 * MiB, "%zu KiB", (size_t)s.tier[TM_HOT].committed / KiB);
	for (int i = 0; i < BLOCKS; i++)
		CHECK(intact(p[i], 16 * KiB, i));
}

static void switched_off(void *arg) {
	(void)arg;
	find_heap();
	size_t before = HEAP_SMAPS("AnonHugePages:");
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0)
		return;
	char *p[16];
	for (int i = 0; i < 16; i++)
		fill(p[i] = tm_malloc(4 * MiB, TM_COLD), 4 * MiB, i);
	CHECK_EQ(HEAP_SMAPS("AnonHugePages:"), before);
	struct tm_stats s = stats();
	CHECK(s.huge_denied > 0);
	CHECK_FOR(s.tier[TM_COLD].huge <= before && s.tier[TM_COLD].resident >= 64 * MiB, "%zu, %zu",
	    (size_t)s.tier[TM_COLD].huge, (size_t)s.tier[TM_COLD].resident);
	for (int i = 0; i < 16; i++) {
		CHECK(intact(p[i], 4 * MiB, i));
		free(p[i]);
	}
	malloc_trim(0);
	CHECK_FOR(stats().tier[TM_COLD].resident < 8 * MiB, "%zu", (size_t)stats().tier[TM_COLD].resident);
}

/* The work happens in a process that has just started, with the options it asks for. */
static const struct part {
	const char *name, *conf;
	void (*work)(void *);
} parts[] = {
    {"cold is huge", "", cold_is_huge},
    {"hot is small", "hot_bytes:64m", hot_is_small},
    {"birth order", "hot_bytes:16m", birth_order},
    {"switched off", "", switched_off},
};

static void check_part(const struct part *part, const char *when) {
	char index[4];
	snprintf(index, sizeof index, "%d", (int)(part - parts));
	fflush(NULL);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		setenv("TIERMALLOC_CONF", part->conf, 1);
		execl("/proc/self/exe", "huge_tiers", index, (char *)NULL);
		_exit(3);
	}
	int status;
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_FOR(status == 0, "but 0x%x: %s, %s", status, part->name, when);
}

static void write_thp(const char *choice) {
	int fd = open(THP_ENABLED, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, choice, strlen(choice)) < 0)
		fprintf(stderr, "cannot set %s to %s\n", THP_ENABLED, choice);
	if (fd >= 0)
		close(fd);
}

static char thp_before[32];
static void restore(void) {
	write_thp(thp_before);
}

int main(int argc, char **argv) {
	need_tiermalloc();
	need_thp();
	if (argc > 1) {
		parts[atoi(argv[1])].work(NULL);
		return 0;
	}
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		check_part(&parts[i], "as the system is set");
	if (env_long("TM_ALLOW_SYSCTL", 0) != 1)
		return 0;
	sysfs_choice(THP_ENABLED, thp_before, sizeof thp_before);
	static const char *const choices[] = {"always", "madvise", "never"};
	for (int c = 0; c < 3; c++) {
		/* The children check, this process only looks at how they ended and puts the setting back. */
		write_thp(choices[c]);
		for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
			char index[4], conf[64];
			snprintf(index, sizeof index, "%zu", i);
			snprintf(conf, sizeof conf, "%s", parts[i].conf);
			pid_t pid = fork();
			if (pid == 0) {
				setenv("TIERMALLOC_CONF", conf, 1);
				execl("/proc/self/exe", "huge_tiers", index, (char *)NULL);
				_exit(3);
			}
			int status = -1;
			waitpid(pid, &status, 0);
			bool skipped = WIFEXITED(status) && WEXITSTATUS(status) == 77;
			if (status != 0 && !(skipped && c == 2)) {
				restore();
				FAIL("\"%s\" ended with 0x%x when THP is %s", parts[i].name, status, choices[c]);
			}
		}
	}
	restore();
	return 0;
}
