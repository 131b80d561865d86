/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of huge pages: what the settings say, and then whether a huge page really comes, on 2 MiB of our own that
 * are mapped and dropped again. Changes no setting.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/doctor.h"
#include "os/os.h"
#include "os/pages.h"
#include "tiermalloc.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define THP "/sys/kernel/mm/transparent_hugepage/"

/* The chosen word of "always [madvise] never"; false if there is no such setting. */
static bool thp_setting(const char *name, char *word, size_t bytes) {
	char path[96], text[128];
	snprintf(path, sizeof(path), THP "%s", name);
	if (cli_file(path, text, sizeof(text)) <= 0)
		return false;
	const char *open = strchr(text, '['), *close = strchr(text, ']');
	if (open == NULL || close == NULL || close < open)
		return false;
	snprintf(word, bytes, "%.*s", (int)(close - open - 1), open + 1);
	return true;
}

static void thp_command(struct doctor *d, const char *name, const char *word) {
	doctor_command(d, "echo %s | %stee " THP "%s", word, doctor_sudo(), name);
}

void check_thp(struct doctor *d) {
	char all[32], size[32];

	if (!thp_setting("enabled", all, sizeof(all))) {
		doctor_add(d, MARK_MISSING, "huge pages", "this kernel has no transparent huge pages, or hides them");
		doctor_follows(d, "the cold tier is on small pages like the hot one");
		return;
	}
	/* Linux 6.8 has a setting for each size, which usually is to do as the common one says. */
	bool own = thp_setting("hugepages-2048kB/enabled", size, sizeof(size)) && strcmp(size, "inherit") != 0;
	const char *name = own ? "hugepages-2048kB/enabled" : "enabled", *word = own ? size : all;
	bool never = strcmp(word, "never") == 0;
	doctor_add(d, never ? MARK_MISSING : MARK_OK, "huge pages", "transparent_hugepage/%s is %s", name, word);
	if (never) {
		doctor_follows(d, "the cold tier gets huge pages only by collapsing small ones, a few a second");
		thp_command(d, name, "madvise");
	} else {
		doctor_follows(d, "the cold tier asks for huge pages, the hot tier asks for small ones");
	}
}

void check_defrag(struct doctor *d) {
	char word[32];

	if (!thp_setting("defrag", word, sizeof(word))) {
		doctor_add(d, MARK_OK, "defrag", "no such setting");
		return;
	}
	bool late = strcmp(word, "never") == 0 || strcmp(word, "defer") == 0;
	doctor_add(d, late ? MARK_NOTE : MARK_OK, "defrag", "transparent_hugepage/defrag is %s", word);
	if (late) {
		doctor_follows(
		    d, "once memory is fragmented, the kernel makes no room for a huge page when one is asked for");
		thp_command(d, "defrag", "madvise");
	} else {
		doctor_follows(
		    d, "the kernel makes room for a huge page that is asked for, even if that takes a while");
	}
}

void check_khugepaged(struct doctor *d) {
	uint64_t none;

	if (!doctor_number(THP "khugepaged/max_ptes_none", &none)) {
		doctor_add(d, MARK_OK, "khugepaged", "no such setting");
		return;
	}
	doctor_add(d, MARK_OK, "khugepaged", "max_ptes_none is %u", (unsigned)none);
	if (none == 0)
		doctor_follows(d, "it makes a region huge only when all of it is in use");
	else
		doctor_follows(d,
		    "it may fill up to %u unused pages to make a region huge; regions that have returned "
		    "memory are kept from it",
		    (unsigned)none);
	doctor_fact(d, "max_ptes_none", (double)none);
}

void check_thp_disable(struct doctor *d) {
	if (!os_thp_disabled()) {
		doctor_add(d, MARK_OK, "PR_SET_THP_DISABLE", "not set for programs started from here");
		return;
	}
	doctor_add(d, MARK_MISSING, "PR_SET_THP_DISABLE", "set by what started this command, and passed on");
	doctor_follows(d, "programs started from here get no huge pages at all; start them from elsewhere");
}

/* 2 MiB, aligned, in a mapping of its own, so that smaps can tell as well. */
struct block {
	void *all;
	char *at;
};
#define BLOCK_BYTES (3 * TM_REGION_BYTES)

static bool block_map(struct block *b) {
	if (os_reserve(BLOCK_BYTES, TM_REGION_BYTES, &b->all) != 0)
		return false;
	b->at = (char *)b->all + TM_REGION_BYTES;
	if (os_allow(b->at, TM_REGION_BYTES) == 0)
		return true;
	os_unmap(b->all, BLOCK_BYTES);
	return false;
}

static void block_count(void *arg, uintptr_t from, uintptr_t to, const struct pages_count *count) {
	struct pages_count *sum = arg;
	(void)from;
	(void)to;
	sum->resident += count->resident;
	sum->huge += count->huge;
}

static uint64_t block_huge(const struct block *b) {
	struct pages_count count = {0};
	uintptr_t at = (uintptr_t)b->at;
	if (pages_scan(0, at, at + TM_REGION_BYTES, &count) != 0) {
		count = (struct pages_count){0};
		pages_smaps(0, at, at + TM_REGION_BYTES, block_count, &count);
	}
	return count.huge;
}

static double now_us(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

void check_fault(struct doctor *d) {
	struct block b;

	if (!block_map(&b)) {
		doctor_add(d, MARK_NOTE, "a huge page", "not tried: no memory");
		return;
	}
	int e = os_advise(b.at, TM_REGION_BYTES, MADV_HUGEPAGE);
	double start = now_us();
	*(volatile char *)b.at = 1;
	double took = now_us() - start;
	uint64_t huge = block_huge(&b);
	os_unmap(b.all, BLOCK_BYTES);
	if (huge == TM_REGION_BYTES) {
		doctor_add(d, MARK_OK, "a huge page", "asked for and given, in %.0f us", took);
		doctor_follows(d, "the cold tier gets its huge pages at once");
		doctor_fact(d, "microseconds", took);
	} else if (e != 0) {
		doctor_add(d, MARK_MISSING, "a huge page", "cannot be asked for: %s", strerror(-e));
		doctor_follows(d, "the cold tier is on small pages");
	} else {
		doctor_add(d, MARK_MISSING, "a huge page", "asked for; small pages were given");
		doctor_follows(d,
		    "if the settings above allow it, memory is fragmented or a limit is reached; the cold "
		    "tier asks again from time to time");
		doctor_command(d, "echo 1 | %stee /proc/sys/vm/compact_memory", doctor_sudo());
	}
}

void check_collapse(struct doctor *d) {
	struct block b;

	if (!block_map(&b)) {
		doctor_add(d, MARK_NOTE, "MADV_COLLAPSE", "not tried: no memory");
		return;
	}
	os_advise(b.at, TM_REGION_BYTES, MADV_NOHUGEPAGE);
	memset(b.at, 1, TM_REGION_BYTES);
	os_advise(b.at, TM_REGION_BYTES, MADV_HUGEPAGE);
	double start = now_us();
	int e = os_advise(b.at, TM_REGION_BYTES, MADV_COLLAPSE);
	double took = now_us() - start;
	uint64_t huge = block_huge(&b);
	os_unmap(b.all, BLOCK_BYTES);
	if (e == 0 && huge == TM_REGION_BYTES) {
		doctor_add(d, MARK_OK, "MADV_COLLAPSE", "works: 512 small pages became a huge one in %.0f us", took);
		doctor_follows(d, "a huge page that was not given at first can be had later");
		doctor_fact(d, "microseconds", took);
	} else if (e == -EINVAL) {
		doctor_add(d, MARK_MISSING, "MADV_COLLAPSE", "%s",
		    os_thp_disabled() ? "refused: PR_SET_THP_DISABLE is set"
				      : "this kernel has none (it came with Linux 6.1), or no huge pages");
		doctor_follows(d, "a huge page that was not given at first comes only when khugepaged makes it");
	} else {
		doctor_add(d, MARK_NOTE, "MADV_COLLAPSE", "known, but failed now: %s",
		    e != 0 ? strerror(-e) : "the pages stayed small");
		doctor_follows(d, "there was no free huge page to collapse into");
		doctor_command(d, "echo 1 | %stee /proc/sys/vm/compact_memory", doctor_sudo());
	}
}
