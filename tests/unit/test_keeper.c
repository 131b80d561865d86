/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiers/keeper without its thread: rounds over the regions, what is put together and what is left, budgets, and
 * starting that fails. The thread itself is looked at from outside, in tests/process/keeper.c.
 */
#include "unit.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/pages.h"
#include "tiers/huge.h"
#include "tiers/keeper.h"

#define MANY 24

/* Regions full of known bytes, in the cold tier and confirmed as huge. */
static size_t huge_regions(size_t n) {
	struct region_config config = usual_config;
	config.hot_limit = 0;
	heap_up(&config);
	size_t first = heap_carve(TM_COLD, n);
	for (size_t i = first; i < first + n; i++) {
		cr_assert_eq(region_commit(region_base(i), REGION), 0);
		pages_fill(region_base(i), REGION_PAGES, i << 32);
	}
	region_verify(~0u);
	for (size_t i = first; i < first + n; i++)
		cr_assert(region_word(i) & REGION_HUGE);
	return first;
}

static void check_bytes(size_t first, size_t n) {
	for (size_t i = first; i < first + n; i++)
		cr_assert_eq(pages_hold(region_base(i), REGION_PAGES, i << 32), REGION_PAGES);
}

static pid_t living_child(void) {
	pid_t pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static void end_child(pid_t pid) {
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

/* The same bytes again: the kernel splits the page all the same. */
static void write_one(size_t index) {
	volatile char *p = region_page(index, 7);
	*p = *p;
}

/* Whole passes until nothing is open; the sum. */
static struct keeper_round passes(unsigned doubt) {
	struct keeper_round sum = {0};
	for (int i = 0; i < 8; i++) {
		struct keeper_round round = {0};
		while (!keeper_work(&round, 1000000, doubt))
			;
		sum.mended += round.mended;
		sum.open += round.open;
		sum.shared = round.shared;
		sum.refused += round.refused;
		if (round.open + round.mended == 0)
			break;
	}
	return sum;
}

Test(keeper, whole_heap_is_left_alone) {
	NEED_HUGE_PAGES();
	size_t first = huge_regions(MANY);
	struct keeper_round sum = passes(1);
	cr_assert_eq(sum.mended + sum.open + sum.shared + sum.refused, 0);
	check_bytes(first, MANY);
}

Test(keeper, split_by_a_child) {
	NEED_HUGE_PAGES();
	size_t first = huge_regions(MANY);
	pid_t pid = living_child();
	for (size_t i = 0; i < MANY; i += 2)
		write_one(first + i);
	struct keeper_round sum = passes(1);
	cr_assert_eq(sum.mended, 0, "%u put together beside a child", sum.mended);
	cr_assert_eq(sum.shared, MANY, "%u", sum.shared);
	cr_assert_eq(tm_process.huge_split, MANY / 2);
	cr_assert_geq(tm_process.huge_shared, MANY / 2);
	end_child(pid);
	sum = passes(1);
	cr_assert_eq(sum.mended, MANY / 2, "%u", sum.mended);
	cr_assert_eq(sum.shared, 0);
	for (size_t i = first; i < first + MANY; i++)
		cr_assert(region_word(i) & REGION_HUGE);
	check_bytes(first, MANY);
	heap_check("in the end");
}

Test(keeper, sample_finds_a_split) {
	NEED_HUGE_PAGES();
	size_t first = huge_regions(MANY);
	end_child(living_child());
	pid_t pid = living_child();
	for (size_t i = 0; i < MANY; i++)
		write_one(first + i);
	end_child(pid);
	uint64_t turns = 0;
	for (; tm_process.huge_split == 0 && turns < 64; turns++) {
		struct keeper_round round = {0};
		while (!keeper_work(&round, 1000000, 64))
			;
	}
	cr_assert_gt(tm_process.huge_split, 0, "not after %llu passes", (unsigned long long)turns);
}

Test(keeper, without_doubt_nothing_is_asked) {
	NEED_HUGE_PAGES();
	huge_regions(1);
	struct keeper_round round = {0};
	keeper_work(&round, 1000000, 64); /* the one region is in the sample of the first pass */
	os_fault = NULL;
	fault_set(SYS_ioctl, -EINTR, ALWAYS, 0);
	unsigned before = fault_calls(SYS_ioctl);
	while (!keeper_work(&round, 1000000, 64))
		;
	cr_assert_eq(fault_calls(SYS_ioctl), before);
}

Test(keeper, budget) {
	NEED_HUGE_PAGES();
	size_t first = huge_regions(MANY);
	pid_t pid = living_child();
	for (size_t i = 0; i < MANY; i++)
		write_one(first + i);
	end_child(pid);
	unsigned rounds = 1;
	struct keeper_round round = {0};
	while (!keeper_work(&round, 0, 1) && rounds < 1000)
		rounds++;
	cr_assert_geq(rounds, MANY, "%u rounds of nothing", rounds);
	cr_assert_eq(round.looked, MANY);
}

Test(keeper, kernel_has_none) {
	NEED_HUGE_PAGES();
	size_t first = huge_regions(4);
	pid_t pid = living_child();
	for (size_t i = 0; i < 4; i++)
		write_one(first + i);
	end_child(pid);
	fault_set(SYS_madvise, -ENOMEM, 0, ALWAYS);
	struct keeper_round sum = passes(1);
	cr_assert_eq(sum.mended, 0);
	cr_assert_geq(sum.refused, 4);
	for (size_t i = first; i < first + 4; i++)
		cr_assert_eq(region_state(i), TM_REGION_COLD);
	fault_clear();
	sum = passes(1);
	cr_assert_eq(sum.mended, 4);
	check_bytes(first, 4);
	heap_check("in the end");
}

Test(keeper, no_pagemap) {
	NEED_HUGE_PAGES();
	size_t first = huge_regions(2);
	fault_set(SYS_openat, -EACCES, 0, ALWAYS);
	struct keeper_round sum = passes(1);
	cr_assert_eq(sum.mended + sum.open, 0);
	fault_clear();
	check_bytes(first, 2);
}

Test(keeper, not_below_start_bytes) {
	struct region_config config = usual_config;
	heap_up(&config);
	size_t first = heap_carve(TM_HOT, 1);
	cr_assert_eq(region_commit(region_base(first), REGION), 0);
	cr_assert_eq(keeper_ring(true), false);
	cr_assert_eq(keeper_ring(false), false);
	keeper_after_fork_parent();
	cr_assert_eq(atomic_load(&keeper_shared.state), KEEPER_NONE);
}

Test(keeper, start_fails) {
	struct region_config config = usual_config;
	config.start_bytes = 0;
	heap_up(&config);
	fault_set(SYS_madvise, -EINVAL, 0, ALWAYS); /* no way to tell children apart: no keeper */
	cr_assert_eq(keeper_ring(true), false);
	fault_clear();
	atomic_store(&keeper_shared.start_after, 0);
	fault_set(SYS_rt_sigprocmask, -EPERM, 0, ALWAYS);
	cr_assert_eq(keeper_ring(true), false);
	unsigned calls = fault_calls(SYS_rt_sigprocmask);
	cr_assert_eq(keeper_ring(true), false);
	cr_assert_eq(fault_calls(SYS_rt_sigprocmask), calls, "asked again at once");
	cr_assert_eq(tm_process.keeper, 0);
}

Test(pages, shared) {
	char *p = mmap(NULL, 16 * OS_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(p, MAP_FAILED);
	madvise(p, 16 * OS_PAGE, MADV_NOHUGEPAGE);
	cr_assert_eq(pages_shared((uintptr_t)p, 16 * OS_PAGE), 0, "nothing there");
	for (int i = 0; i < 4; i++)
		p[i * OS_PAGE] = 1;
	cr_assert_eq(*(volatile char *)(p + 8 * OS_PAGE), 0);
	cr_assert_eq(pages_shared((uintptr_t)p, 16 * OS_PAGE), 0, "a page of zeros was read");
	pid_t pid = living_child();
	cr_assert_eq(pages_shared((uintptr_t)p, 16 * OS_PAGE), 1);
	cr_assert_eq(pages_shared((uintptr_t)p + 8 * OS_PAGE, 8 * OS_PAGE), 0);
	for (int i = 0; i < 4; i++)
		p[i * OS_PAGE] = 2;
	cr_assert_eq(pages_shared((uintptr_t)p, 16 * OS_PAGE), 0, "all written since");
	end_child(pid);
	fault_set(SYS_openat, -EMFILE, 0, 1);
	cr_assert_eq(pages_shared((uintptr_t)p, 16 * OS_PAGE), -EMFILE);
	fault_clear();
	fault_set(SYS_pread64, -EIO, 0, 1);
	cr_assert_eq(pages_shared((uintptr_t)p, 16 * OS_PAGE), -EIO);
}
