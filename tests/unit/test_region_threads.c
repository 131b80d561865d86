/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiers/region on many threads: eight of them take and give back page ranges of the same few regions, as arenas do
 * whose blocks lie side by side in one. A range belongs to one thread at a time and goes from one to the next, the
 * regions are born, broken up, mended and returned all the while. Each page is checked to be zero when it is taken
 * and to be untouched when it is given back.
 *
 * Everyone slows down in the middle of region changes, by chance, so that the others meet the states between two.
 */
#include "unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS 8
#define REGIONS 3 /* of each class */
#define PAGES   (REGIONS * REGION_PAGES)
#define HELD    512

static size_t first[TM_TIERS];
static _Atomic uint8_t holder[TM_TIERS][PAGES]; /* 0 or the thread that has the page */
static _Atomic int phase;
static _Atomic bool stop;
static uint32_t advice_fails; /* one in */
static _Atomic uint64_t seen[16], commits, decommits;

/* The first thing that went wrong; a worker cannot end the test. */
static _Atomic bool failed;
static char failure[200];

#define WORKER_CHECK(condition, ...)                                     \
	do {                                                             \
		if (!(condition) && !atomic_exchange(&failed, true))     \
			snprintf(failure, sizeof(failure), __VA_ARGS__); \
	} while (0)

enum { GROW, CHURN, SHRINK, PHASES };

struct range {
	enum tm_tier class;
	unsigned page, pages;
	uint64_t tag;
};

/* In every system call: counts the regions between two states, waits now and then, and refuses some advice. */
static long meddle(long number) {
	static __thread uint64_t state;
	if (number != SYS_madvise && number != SYS_mprotect && number != SYS_mmap)
		return 0;
	if (state == 0)
		state = (uintptr_t)&state | 1;
	for (int class = TM_HOT; class < TM_TIERS; class ++)
		for (size_t i = 0; i < REGIONS; i++)
			atomic_fetch_add_explicit(&seen[region_state(first[class] + i)], 1, memory_order_relaxed);
	unsigned n = random_below(&state, 64);
	if (n == 0)
		usleep(100);
	else if (n < 12)
		sched_yield();
	return number == SYS_madvise && advice_fails != 0 && random_below(&state, advice_fails) == 0 ? -EINVAL : 0;
}

static char *page_at(enum tm_tier class, unsigned page) {
	return region_page(first[class], 0) + (size_t)page * OS_PAGE;
}

/* Takes free pages from `page` on, `most` at most. */
static bool take(struct range *range, enum tm_tier class, unsigned page, unsigned most, uint8_t me) {
	range->class = class;
	range->page = page;
	range->pages = 0;
	while (range->pages < most && page + range->pages < PAGES) {
		uint8_t nobody = 0;
		if (!atomic_compare_exchange_strong_explicit(
			&holder[class][page + range->pages], &nobody, me, memory_order_acquire, memory_order_relaxed))
			break;
		range->pages++;
	}
	return range->pages > 0;
}

static void leave(const struct range *range, unsigned from) {
	for (unsigned i = from; i < range->pages; i++)
		atomic_store_explicit(&holder[range->class][range->page + i], 0, memory_order_release);
}

static void put_in_use(struct range *range, uint64_t tag) {
	char *p = page_at(range->class, range->page);
	int e = region_commit(p, range->pages * OS_PAGE);
	WORKER_CHECK(e == 0, "commit gave %d", e);
	size_t zero = e == 0 ? pages_zero(p, range->pages) : range->pages;
	WORKER_CHECK(zero == range->pages, "class %d page %zu of [%u, +%u) is not zero when taken", range->class,
	    range->page + zero, range->page, range->pages);
	range->tag = tag;
	if (e == 0)
		pages_fill(p, range->pages, tag);
	atomic_fetch_add_explicit(&commits, 1, memory_order_relaxed);
}

/* Gives back the pages from `from` on. */
static void give_back(struct range *range, unsigned from) {
	char *p = page_at(range->class, range->page);
	size_t held = pages_hold(p, range->pages, range->tag);
	WORKER_CHECK(held == range->pages, "class %d page %zu of [%u, +%u) has changed", range->class,
	    range->page + held, range->page, range->pages);
	region_decommit(p + from * OS_PAGE, (range->pages - from) * OS_PAGE);
	leave(range, from);
	range->pages = from;
	atomic_fetch_add_explicit(&decommits, 1, memory_order_relaxed);
}

struct worker {
	pthread_t thread;
	uint8_t me;
	uint64_t seed;
};

static void *work(void *arg) {
	struct worker *w = arg;
	static const unsigned chance[PHASES] = {97, 50, 3}; /* percent of commits */
	struct range held[HELD];
	unsigned count = 0;
	uint64_t tag = (uint64_t)w->me << 48;

	while (!atomic_load(&stop) && !atomic_load(&failed)) {
		int now = atomic_load(&phase);
		if (random_below(&w->seed, 100) < chance[now] && count < HELD) {
			enum tm_tier class = (enum tm_tier)random_below(&w->seed, TM_TIERS);
			unsigned most = 1 + random_below(&w->seed, now == GROW ? 100 : 12);
			if (take(&held[count], class, random_below(&w->seed, PAGES), most, w->me)) {
				put_in_use(&held[count++], tag);
				tag += REGION_PAGES;
			}
		} else if (count > 0) {
			unsigned i = random_below(&w->seed, count);
			bool part = held[i].pages > 1 && random_below(&w->seed, 3) == 0;
			give_back(&held[i], part ? 1 + random_below(&w->seed, held[i].pages - 1) : 0);
			if (held[i].pages == 0)
				held[i] = held[--count];
		} else {
			sched_yield();
		}
	}
	while (count > 0)
		give_back(&held[--count], 0);
	return NULL;
}

/* All that a test is about has to have happened. A slow machine gets the time it needs for that. */
static bool happened(bool breaks, bool mends) {
	return count_get(&tm_process.born[TM_HOT]) + count_get(&tm_process.born[TM_COLD]) > 20 &&
	    seen[TM_REGION_BIRTH] > 0 && seen[TM_REGION_RETURN] > 0 && (!breaks || seen[TM_REGION_BREAK] > 10) &&
	    (!mends || seen[TM_REGION_MEND] > 0);
}

/* What is not in use is looked at while it changes, as the hooks and tm_stats do. */
static void watch(unsigned ms, bool breaks, bool mends) {
	uint64_t end = os_now_ms() + ms, last = os_now_ms() + 60000, turn = os_now_ms();
	while (!atomic_load(&failed) && (os_now_ms() < end || (!happened(breaks, mends) && os_now_ms() < last))) {
		struct tm_stats stats = {0};
		region_verify(8);
		region_survey(&stats);
		WORKER_CHECK(stats.tier[TM_HOT].resident + stats.tier[TM_COLD].resident <= 2 * REGIONS * REGION,
		    "a survey found more than there is");
		for (int class = TM_HOT; class < TM_TIERS; class ++)
			for (unsigned page = 0; page < PAGES; page += 100)
				region_tier_of(page_at(class, page));
		if (os_now_ms() - turn >= 25) {
			turn = os_now_ms();
			atomic_store(&phase, (phase + 1) % PHASES);
		}
		usleep(500);
	}
}

static void storm(const struct region_config *config, unsigned ms, uint32_t one_in) {
	static struct worker workers[THREADS];
	uint64_t seed = random_seed();
	heap_up(config);
	first[TM_HOT] = heap_carve(TM_HOT, REGIONS);
	first[TM_COLD] = heap_carve(TM_COLD, REGIONS);
	advice_fails = one_in;
	os_fault = meddle;
	for (int i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){.me = (uint8_t)(i + 1), .seed = random_next(&seed) | 1};
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	bool breaks = config->cold_waste < 100 && config->huge, mends = breaks && ms >= 2000;
	watch(ms, breaks, mends);
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	os_fault = NULL;

	uint64_t born = tm_process.born[TM_HOT] + tm_process.born[TM_COLD];
	fprintf(stderr,
	    "%llu commits, %llu decommits, %llu births; system calls while BIRTH %llu, RETURN %llu, BREAK %llu, "
	    "MEND %llu\n",
	    (unsigned long long)commits, (unsigned long long)decommits, (unsigned long long)born,
	    (unsigned long long)seen[TM_REGION_BIRTH], (unsigned long long)seen[TM_REGION_RETURN],
	    (unsigned long long)seen[TM_REGION_BREAK], (unsigned long long)seen[TM_REGION_MEND]);
	CHECK(!failed, "%s", failure);
	heap_check("in the end");
	cr_assert_eq(tm_process.regions[TM_HOT] + tm_process.regions[TM_COLD], 0);
	cr_assert_eq(tm_process.committed[TM_HOT] + tm_process.committed[TM_COLD], 0);
	cr_assert_eq(atomic_load(&region_slack), 0);
	for (int class = TM_HOT; class < TM_TIERS; class ++)
		for (size_t i = 0; i < REGIONS; i++)
			cr_assert_eq(region_state(first[class] + i), TM_REGION_FREE);
	cr_assert(happened(breaks, mends));
}

Test(region_threads, storm, .timeout = 180) {
	struct region_config config = usual_config;
	config.hot_limit = REGION;
	config.cold_waste = 20;
	storm(&config, 2500, 0);
}

Test(region_threads, storm_no_waste, .timeout = 180) {
	struct region_config config = usual_config;
	config.hot_limit = REGION;
	config.cold_waste = 1;
	storm(&config, 1000, 0);
}

Test(region_threads, storm_some_advice_fails, .timeout = 180) {
	struct region_config config = usual_config;
	config.hot_limit = REGION;
	config.cold_waste = 20;
	storm(&config, 1500, 8);
}

Test(region_threads, storm_strict, .timeout = 180) {
	struct region_config config = usual_config;
	config.hot_limit = 2 * REGION;
	config.cold_waste = 20;
	config.strict = true;
	storm(&config, 1000, 0);
}

Test(region_threads, storm_kept_whole, .timeout = 180) {
	struct region_config config = usual_config;
	config.hot_limit = 0;
	config.cold_waste = 100;
	storm(&config, 1000, 0);
}

/* --- the hot limit, when all come at once --- */

static size_t limit_first;
static _Atomic unsigned over;

static void *limit_worker(void *arg) {
	size_t i = limit_first + (uintptr_t)arg;
	for (int round = 0; round < 3000; round++) {
		if (region_commit(region_base(i), OS_PAGE) != 0)
			continue;
		/* a thread that has not got its place yet may be counted for a moment; a region may not be hot */
		unsigned hot = 0;
		for (int k = 0; k < THREADS; k++)
			hot += region_state(limit_first + (size_t)k) == TM_REGION_HOT;
		over += hot > 3 && count_get(&tm_process.regions[TM_HOT]) > 3 + THREADS;
		region_decommit(region_base(i), OS_PAGE);
	}
	return NULL;
}

Test(region_threads, hot_limit, .timeout = 60) {
	struct region_config config = usual_config;
	pthread_t threads[THREADS];
	config.hot_limit = 3 * REGION;
	heap_up(&config);
	limit_first = heap_carve(TM_HOT, THREADS);
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, limit_worker, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	cr_assert_eq(over, 0);
	heap_check("in the end");
	for (int i = 0; i < THREADS; i++)
		CHECK(region_commit(region_base(limit_first + (size_t)i), OS_PAGE) == 0, "region %d", i);
	cr_assert_eq(tm_process.regions[TM_HOT], 3, "the limit is all there to be used again");
	heap_check("3 of 8");
}
