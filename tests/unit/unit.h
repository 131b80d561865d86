/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the unit tests share: a heap to work on, its book-keeping checked against the region words, page patterns,
 * random numbers with a printed seed, and system calls that fail on demand. Criterion runs each test in a process of
 * its own, so everything global starts afresh; checks that end a test may be used on its first thread only.
 */
#ifndef UNIT_H
#define UNIT_H

#include <criterion/criterion.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "os/os.h"
#include "tiers/region_table.h"

/* cr_assert for loops: Criterion tells its parent of every assertion that holds, which takes far longer than most. */
#define CHECK(condition, ...)                                        \
	do {                                                         \
		if (!(condition))                                    \
			cr_assert_fail(#condition ": " __VA_ARGS__); \
	} while (0)

#define KiB    ((size_t)1 << 10)
#define MiB    ((size_t)1 << 20)
#define GiB    ((size_t)1 << 30)
#define REGION TM_REGION_BYTES

/* 1 GiB, a hot tier that holds all of the hot class, cold_waste 25, huge pages on. */
extern const struct region_config usual_config;
/* Large blocks are known to be written to. */
void heap_up(const struct region_config *config);
/* region_carve that ends the test on failure; the index of its first region. */
size_t heap_carve(enum tm_tier class, size_t regions);

/*
 * Compares all counters of tm_process and region_slack with what the words and the live bits of all carved regions
 * add up to. NULL if they agree, else a line saying what does not. Only while nobody changes anything.
 */
const char *heap_wrong(void);
void heap_check(const char *when);

static inline uint64_t region_word(size_t index) {
	return atomic_load(&region_table[index].word);
}
static inline enum tm_region_state region_state(size_t index) {
	return word_state(region_word(index));
}
static inline char *region_page(size_t index, unsigned page) {
	return (char *)region_base(index) + (size_t)page * OS_PAGE;
}

/* TM_SEED, or a new seed; printed either way. */
uint64_t random_seed(void);
uint64_t random_next(uint64_t *state);
/* 0 to n - 1 */
static inline unsigned random_below(uint64_t *state, unsigned n) {
	return (unsigned)((random_next(state) >> 32) * n >> 32);
}

/* Every word of a page is made from the tag, so a page that is mixed up, torn or zero is found. */
void page_fill(void *page, uint64_t tag);
bool page_holds(const void *page, uint64_t tag);
bool page_zero(const void *page);
void pages_fill(void *start, size_t pages, uint64_t tag);
/* Number of the first page that does not hold the tag (or zero), or `pages`. */
size_t pages_hold(const void *start, size_t pages, uint64_t tag);
size_t pages_zero(const void *start, size_t pages);

/*
 * System call `number` gives `result` instead of running, for `times` calls after the next `skip` ones; one rule for
 * a number. fault_chance: each call by itself, one in `one_in`. fault_calls: calls of that number seen since any
 * fault function was first used.
 */
#define ALWAYS UINT32_MAX
void fault_set(long number, long result, uint32_t skip, uint32_t times);
void fault_chance(long number, long result, uint32_t one_in);
void fault_clear(void);
unsigned fault_calls(long number);

/* True if the mapping of p has this flag in VmFlags of smaps: "hg" wants huge pages, "nh" refuses them. */
bool mapping_flag(const void *p, const char *flag);
/* True if the byte at p can be read, or written. */
bool page_readable(const void *p);
bool page_writable(void *p);
/* True if the kernel gives a huge page to an aligned, advised range. */
bool huge_pages_work(void);
#define NEED_HUGE_PAGES()                                                   \
	do {                                                                \
		if (!huge_pages_work())                                     \
			cr_skip_test("the kernel gives no huge page here"); \
	} while (0)

#endif
