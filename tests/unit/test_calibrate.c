/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiers/calibrate: figures that can be, nothing left behind, little time and memory taken, and defaults wherever the
 * kernel refuses. Files of sysfs are replaced by the linker:
 * link: -Wl,--wrap=os_read_file -lm
 */
#include "unit.h"

#include <math.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "os/pages.h"
#include "tiers/calibrate.h"

long __real_os_read_file(const char *path, char *buf, size_t cap);
long __wrap_os_read_file(const char *path, char *buf, size_t cap);

#define THP "/sys/kernel/mm/transparent_hugepage/"
static const char *fake_path, *fake_text; /* text NULL: there is no such file */

long __wrap_os_read_file(const char *path, char *buf, size_t cap) {
	if (fake_path == NULL || strcmp(path, fake_path) != 0)
		return __real_os_read_file(path, buf, cap);
	if (fake_text == NULL)
		return -ENOENT;
	strcpy(buf, fake_text);
	return (long)strlen(buf);
}

static void check_sane(const struct calibration *c, const char *when) {
	struct calibration usual;
	calibrate_none(&usual);
	for (int i = 0; i < COST_COUNT; i++) {
		double v = *cost_field((struct cost_table *)&c->costs, (enum cost_id)i);
		CHECK(
		    v >= cost_infos[i].least && v <= cost_infos[i].most, "%s: %s is %g", when, cost_infos[i].name, v);
		if (c->from[i] == CALIBRATE_ASSUMED)
			CHECK(v == cost_infos[i].usual, "%s: %s is %g, said to be the default", when,
			    cost_infos[i].name, v);
	}
}

/* Small pages in a row are always to be had; what the pager knows is not measured here. */
/* ThreadSanitizer's shadow is resident memory, and what it adds to each access takes more time than there is. */
#ifdef __SANITIZE_THREAD__
#define NEED_REAL_COSTS() cr_skip_test("ThreadSanitizer changes what is measured")
#else
#define NEED_REAL_COSTS() ((void)0)
#endif

Test(calibrate, this_machine) {
	NEED_REAL_COSTS();
	struct calibration c;
	calibrate(&c, true);
	check_sane(&c, "here");
	cr_assert_eq(c.from[COST_copy_page], CALIBRATE_MEASURED);
	cr_assert_eq(c.from[COST_fault_small], CALIBRATE_MEASURED);
	cr_assert_eq(c.from[COST_gain_node], CALIBRATE_TOLD);
	cr_assert_eq(c.costs.gain_node, 0);
	for (int id = COST_fault_wait; id <= COST_move_small; id++)
		cr_assert_eq(c.from[id], CALIBRATE_ASSUMED);
	if (huge_pages_work()) {
		cr_assert_eq(c.from[COST_fault_huge], CALIBRATE_MEASURED);
		cr_assert_gt(c.costs.fault_huge, c.costs.fault_small);
	}
	calibrate(&c, false);
	cr_assert_eq(c.from[COST_gain_node], CALIBRATE_ASSUMED);
}

static long resident(void) {
	char text[64], *end;
	cr_assert_gt(__real_os_read_file("/proc/self/statm", text, sizeof(text)), 0);
	strtoul(text, &end, 10);
	return (long)strtoul(end, NULL, 10);
}

Test(calibrate, takes_little_and_leaves_nothing) {
	NEED_REAL_COSTS();
	struct calibration c;
	calibrate(&c, true); /* what the first run of any code leaves */
	struct rusage before, after;
	long mappings = pages_mappings(), pages = resident();
	getrusage(RUSAGE_SELF, &before);
	for (int i = 0; i < 3; i++) {
		uint64_t start = os_thread_us();
		calibrate(&c, true);
		uint64_t took = os_thread_us() - start;
		cr_assert(took >= c.cpu_us, "said %llu us, took %llu", (unsigned long long)c.cpu_us,
		    (unsigned long long)took);
	}
	getrusage(RUSAGE_SELF, &after);
	cr_assert_eq(pages_mappings(), mappings);
	cr_assert_lt(labs(resident() - pages), 300, "%ld pages, then %ld", pages, resident());
	cr_assert_lt(after.ru_maxrss - before.ru_maxrss, 8 << 10, "%ld KiB", after.ru_maxrss - before.ru_maxrss);
}

/* The limit is looked at between steps; the longest step is a collapse or a huge page under memory pressure. */
Test(calibrate, keeps_its_time) {
	NEED_REAL_COSTS();
	struct calibration c;
	uint64_t least = UINT64_MAX;
	for (int i = 0; i < 10; i++) {
		calibrate(&c, true);
		if (c.cpu_us < least)
			least = c.cpu_us;
	}
	fprintf(stderr, "least of 10: %llu us\n", (unsigned long long)least);
	cr_assert_lt(least, 2 * CALIBRATE_US);
}

/* Each call it makes fails, always or the second time: no crash, figures that can be, nothing left behind. */
Test(calibrate, every_call_may_fail) {
	static const long calls[] = {SYS_mmap, SYS_munmap, SYS_madvise, SYS_clock_gettime, SYS_getrusage, SYS_openat,
	    SYS_read, SYS_ioctl, SYS_prctl, SYS_prlimit64};
	struct calibration c;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		for (uint32_t skip = 0; skip < 4; skip++)
			for (int once = 0; once < 2; once++) {
				long mappings = pages_mappings();
				fault_set(calls[i], -ENOMEM, skip, once ? 1 : ALWAYS);
				calibrate(&c, true);
				fault_clear();
				char when[64];
				snprintf(when, sizeof(when), "call %ld from number %u", calls[i], skip);
				check_sane(&c, when);
				if (calls[i] != SYS_munmap)
					CHECK(pages_mappings() == mappings, "%s", when);
			}
}

Test(calibrate, no_madvise_means_defaults) {
	struct calibration c;
	fault_set(SYS_madvise, -EINVAL, 0, ALWAYS);
	calibrate(&c, true);
	cr_assert_eq(c.from[COST_collapse], CALIBRATE_ASSUMED);
	cr_assert_eq(c.from[COST_split], CALIBRATE_ASSUMED);
	cr_assert_eq(c.from[COST_gain_huge], CALIBRATE_ASSUMED);
	cr_assert_eq(c.costs.collapse, cost_infos[COST_collapse].usual);
}

Test(calibrate, no_memory_means_defaults) {
	struct calibration c;
	fault_set(SYS_mmap, -ENOMEM, 0, ALWAYS);
	calibrate(&c, false);
	for (int i = 0; i < COST_COUNT; i++)
		cr_assert_eq(c.from[i], CALIBRATE_ASSUMED, "%s", cost_infos[i].name);
}

/* Who switched huge pages off wants none, not even for a measurement. */
Test(calibrate, heeds_never) {
	struct calibration c;
	fake_path = THP "enabled";
	fake_text = "always madvise [never]\n";
	calibrate(&c, true);
	cr_assert_eq(c.from[COST_copy_page], CALIBRATE_MEASURED);
	for (int id = COST_fault_huge; id <= COST_split; id++)
		cr_assert_eq(c.from[id], CALIBRATE_ASSUMED, "%s", cost_infos[id].name);
	cr_assert_eq(c.from[COST_gain_huge], CALIBRATE_ASSUMED);
}

/* Without huge pages of zeros, reading 512 MiB on huge pages would take 512 MiB. */
Test(calibrate, no_huge_zeros) {
	struct calibration c;
	for (int missing = 0; missing < 2; missing++) {
		fake_path = THP "use_zero_page";
		fake_text = missing ? NULL : "0\n";
		calibrate(&c, true);
		cr_assert_eq(c.from[COST_gain_huge], CALIBRATE_ASSUMED);
	}
}

/* A program whose addresses are limited must not find them taken. */
Test(calibrate, little_address_space) {
	struct calibration c;
	struct rlimit limit = {.rlim_cur = os_address_used() + GiB, .rlim_max = RLIM_INFINITY};
	if (setrlimit(RLIMIT_AS, &limit) != 0)
		cr_skip_test("no RLIMIT_AS");
	calibrate(&c, true);
	cr_assert_eq(c.from[COST_gain_huge], CALIBRATE_ASSUMED);
	cr_assert_eq(c.from[COST_copy_page], CALIBRATE_MEASURED);
}

Test(calibrate, told) {
	struct calibration c;
	calibrate_none(&c);
	cr_assert_eq(calibrate_set_fault(&c, 9000, 7000, 1500, 90), 4);
	cr_assert_eq(c.costs.fault_wait, 9000);
	cr_assert_eq(c.costs.fault_lazy, 7000);
	cr_assert_eq(c.costs.move_huge, 1500);
	cr_assert_eq(c.costs.move_small, 90);
	cr_assert_eq(c.from[COST_move_small], CALIBRATE_TOLD);
	/* What cannot be leaves all as it was. */
	struct calibration same = c;
	cr_assert_eq(calibrate_set_fault(&c, 0, -1, NAN, 1e18), 0);
	cr_assert_not(calibrate_set_node(&c, INFINITY));
	cr_assert_not(calibrate_learn(&c, COST_collapse, NAN));
	cr_assert_eq(memcmp(&c, &same, sizeof(c)), 0);
	cr_assert_eq(calibrate_set_fault(&c, 0, 8000, 0, 0), 1);
	cr_assert(calibrate_set_node(&c, 80));
	cr_assert_eq(c.costs.gain_node, 80);
}

/* Learning comes to where the figures are, wherever it began, and is not led astray by one. */
Test(calibrate, learns) {
	uint64_t seed = random_seed();
	struct calibration c;
	calibrate_none(&c);
	for (int i = 0; i < 60; i++)
		cr_assert(calibrate_learn(&c, COST_collapse, 900000 + random_below(&seed, 200000)));
	cr_assert(fabs(c.costs.collapse - 1e6) < 1e5, "%g", c.costs.collapse);
	calibrate_learn(&c, COST_collapse, 4e6);
	cr_assert_lt(c.costs.collapse, 1.6e6);
	cr_assert_eq(c.from[COST_collapse], CALIBRATE_TOLD);
	cr_assert_eq(c.from[COST_split], CALIBRATE_ASSUMED);
}
