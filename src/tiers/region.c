/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of a region: birth at its first committed page, use, return at its last.
 *
 * Runs on any thread inside jemalloc's commit and decommit hooks, several at once for one region. Only atomics and
 * src/os; the order of the steps is what keeps two threads from taking each other's bytes:
 *   commit    marks its pages live, then counts them in the word (a BREAK in between spares marked pages)
 *   decommit  unmarks its pages, then takes them off the word (until then nobody else can be given them)
 *   RETURN    follows only from a count of 0, so it may drop the whole region, marked pages not yet counted included
 */
#include "tiers/region.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "os/os.h"
#include "tiers/huge.h"
#include "tiers/keeper.h"
#include "tiers/region_table.h"

/* Regions in a state that somebody has to end; lets a forked child skip the search when there is none. */
static _Atomic uint64_t unsettled;

_Atomic int64_t region_slack;
_Atomic int region_touched;

/* One past the index of a region in the middle of the last large block that was committed. */
static _Atomic size_t witness;

static void touched_vote(int vote) {
	int touched = atomic_load_explicit(&region_touched, memory_order_relaxed);
	if (vote > 0 ? touched < TOUCHED_MOST : touched > -TOUCHED_MOST)
		atomic_fetch_add_explicit(&region_touched, vote, memory_order_relaxed);
}

/* All of a region is about to be returned at once: it was part of a large block. */
static void touched_note(size_t index) {
	int here = os_resident((char *)region_base(index) + TM_REGION_BYTES / 2);
	if (here >= 0)
		touched_vote(here > 0 ? 1 : -1);
}

/*
 * Looks at what became of the last large block, and remembers this one. What is not written to yet may still be, so
 * only memory that is there counts.
 */
static void touched_look(const void *p, size_t bytes) {
	size_t first = region_index((const char *)p + TM_REGION_BYTES - 1),
	       end = region_index((const char *)p + bytes);
	if (first >= end || region_class(first) != TM_HOT)
		return;
	size_t seen = atomic_exchange_explicit(&witness, first + (end - first) / 2 + 1, memory_order_relaxed);
	if (seen == 0)
		return;
	uint64_t word = atomic_load_explicit(&region_table[seen - 1].word, memory_order_relaxed);
	if (word_settled(word) && TM_REGION_LIVE(word) == REGION_PAGES &&
	    os_resident((char *)region_base(seen - 1) + TM_REGION_BYTES / 2) > 0)
		touched_vote(1);
}

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

/* System calls on one region never take this long, unless there is nobody to make them. */
#define PATIENCE_MS 10000

/* What a region becomes whose change was cut off: the state that is safe to assume. */
static uint64_t word_repaired(uint64_t word) {
	const uint64_t unknown = REGION_OPEN | REGION_ADVISED | REGION_HUGE | REGION_DENIED;
	word &= ~REGION_CLAIMER;
	switch (word_state(word)) {
	case TM_REGION_BIRTH: /* whether it is open or advised is unknown: both are done again */
		return word_with((word & ~(unknown | REGION_LIVE)) | REGION_UNSURE, TM_REGION_FREE);
	case TM_REGION_RETURN:
		return word_with((word & ~(unknown | REGION_LIVE)) | REGION_UNSURE | REGION_STALE, TM_REGION_FREE);
	case TM_REGION_BREAK:
		return word_with((word & ~(unknown & ~REGION_OPEN)) | REGION_STALE, TM_REGION_SPARSE);
	case TM_REGION_MEND:
		return word_with(word & ~(unknown & ~REGION_OPEN), TM_REGION_SPARSE);
	case TM_REGION_PROBE: /* it is back, but perhaps on small pages */
		return word_with(word & ~(REGION_HUGE | REGION_DENIED), TM_REGION_COLD);
	default:
		return word;
	}
}

uint64_t region_settled(struct region *r) {
	uint64_t word;
	uint64_t start = 0;
	for (unsigned tries = 0; !word_settled(word = atomic_load_explicit(&r->word, memory_order_acquire));
	     tries++) {
		if (tries < 64) {
			__builtin_ia32_pause();
			continue;
		}
		if (word_state(word) == TM_REGION_PROBE) {
			/* The pager brings it back to whoever accesses it. A copy of it that belongs to a child is
			 * whole by now, and has nobody else to say so. */
			int e = os_advise(region_base((size_t)(r - region_table)), OS_PAGE, MADV_POPULATE_READ);
			if (e == 0 && word >> REGION_CLAIMER_SHIFT != (uint64_t)os_pid())
				atomic_compare_exchange_strong(&r->word, &word, word_repaired(word));
		}
		if (tries < 256)
			os_yield();
		else
			os_nap();
		if (tries % 1024 != 0)
			continue;
		/*
		 * A child made by a bare clone(2) ran no atfork handler: a region that was between two states then
		 * stays so for good, claimed by a process that is not this one.
		 */
		if (start == 0)
			start = os_now_ms();
		else if (os_now_ms() - start > PATIENCE_MS && word >> REGION_CLAIMER_SHIFT != (uint64_t)os_pid())
			atomic_compare_exchange_strong(&r->word, &word, word_repaired(word));
	}
	return word;
}

bool region_claim(struct region *r, uint64_t *word, enum tm_region_state state) {
	uint64_t busy = word_with(*word, state) | (uint64_t)os_pid() << REGION_CLAIMER_SHIFT;
	atomic_fetch_add(&unsettled, 1);
	if (atomic_compare_exchange_strong_explicit(&r->word, word, busy, memory_order_acq_rel, memory_order_acquire))
		return true;
	atomic_fetch_sub(&unsettled, 1);
	return false;
}

bool region_release_probe(struct region *r, uint64_t probed, uint64_t word) {
	bool ours = atomic_compare_exchange_strong_explicit(
	    &r->word, &probed, word, memory_order_release, memory_order_relaxed);
	atomic_fetch_sub(&unsettled, 1);
	return ours;
}

void region_release(struct region *r, uint64_t word) {
	atomic_store_explicit(&r->word, word, memory_order_release);
	atomic_fetch_sub(&unsettled, 1);
}

static void live_mark(struct region *r, unsigned first, unsigned pages, bool live) {
	while (pages > 0) {
		unsigned bit = first % 64, n = 64 - bit < pages ? 64 - bit : pages;
		uint64_t mask = n < 64 ? ((UINT64_C(1) << n) - 1) << bit : ~UINT64_C(0);
		if (live)
			atomic_fetch_or_explicit(&r->live[first / 64], mask, memory_order_release);
		else
			atomic_fetch_and_explicit(&r->live[first / 64], ~mask, memory_order_release);
		first += n;
		pages -= n;
	}
}

/* The part of [p, p + bytes) that lies in the region of p. */
struct part {
	struct region *region;
	size_t index;
	unsigned first, pages;
};

static struct part part_at(const char *p, const char *end) {
	struct part part = {.index = region_index(p)};
	part.region = &region_table[part.index];
	const char *limit = (char *)region_base(part.index + 1);
	part.first = (unsigned)((uintptr_t)p % TM_REGION_BYTES / OS_PAGE);
	part.pages = (unsigned)((size_t)((end < limit ? end : limit) - p) / OS_PAGE);
	return part;
}

/* `pages`: how many of it are wanted. */
static enum tm_tier birth_tier(size_t index, unsigned pages) {
	if (region_class(index) == TM_COLD)
		return TM_COLD;
	/*
	 * Once the heap is larger than the hot tier, a place there that has become free is for small blocks: large
	 * ones that come and go would fault it in page by page every time.
	 */
	uint64_t used = count_get(&tm_process.committed[TM_HOT]) + count_get(&tm_process.committed[TM_COLD]);
	if (pages == REGION_PAGES && used > region_config.hot_limit)
		return TM_COLD;
	/* regions[TM_HOT] is what the limit is about, so taking a place and counting it are one step. */
	uint64_t taken = __atomic_add_fetch(&tm_process.regions[TM_HOT], 1, __ATOMIC_RELAXED);
	if (taken * TM_REGION_BYTES <= region_config.hot_limit)
		return TM_HOT;
	count_sub(&tm_process.regions[TM_HOT], 1);
	return TM_COLD;
}

/*
 * A huge page has memory for all of its pages, used or not. Heaps would grow by up to a region per arena for it, so
 * in the hot class a region is born huge only while the unused part of all huge pages stays below 1/SLACK_SHARE of
 * the heap. Others are SPARSE until they are dense. Of a large block all is in use and perhaps little ever written
 * to, so its regions are born SPARSE as well until large blocks are known to be written to. What a program itself
 * names cold gets its huge pages at once.
 */
#define SLACK_SHARE 20

/* `block`: bytes that are committed at once. */
static bool birth_huge(size_t index, unsigned pages, size_t block) {
	if (region_class(index) == TM_COLD)
		return true;
	if (block >= TM_REGION_BYTES && !region_touches(block))
		return false;
	if (pages == REGION_PAGES)
		return true;
	int64_t unused = atomic_load_explicit(&region_slack, memory_order_relaxed) + REGION_PAGES - (int64_t)pages;
	uint64_t used = count_get(&tm_process.committed[TM_HOT]) + count_get(&tm_process.committed[TM_COLD]);
	return unused <= (int64_t)(used / OS_PAGE / SLACK_SHARE);
}

/* Ends BIRTH: makes the region usable and gives it its page size. 0, or -ENOMEM with the region FREE again. */
static int birth(struct region *r, size_t index, uint64_t word, unsigned pages, size_t block) {
	void *base = region_base(index);
	enum tm_tier tier = birth_tier(index, pages);

	if (!(word & REGION_OPEN)) {
		int e = os_allow(base, TM_REGION_BYTES);
		if (e != 0) {
			if (tier == TM_HOT)
				count_sub(&tm_process.regions[TM_HOT], 1);
			region_release(r, word_with(word, TM_REGION_FREE));
			return -ENOMEM;
		}
		word |= REGION_OPEN;
	}
	if ((word & REGION_STALE) && os_advise(base, TM_REGION_BYTES, MADV_DONTNEED) == 0)
		word &= ~REGION_STALE;
	word &= ~(REGION_HUGE | REGION_DENIED);
	atomic_store_explicit(&r->seen_ms, 0, memory_order_relaxed);
	enum tm_region_state state = tier == TM_HOT ? TM_REGION_HOT : TM_REGION_SPARSE;
	if (tier == TM_COLD && birth_huge(index, pages, block)) {
		word = huge_advise(index, word);
		if (word & REGION_ADVISED)
			state = TM_REGION_COLD;
	}
	if (state == TM_REGION_COLD) {
		atomic_fetch_add_explicit(&region_slack, REGION_PAGES, memory_order_relaxed);
	} else if (word & (REGION_ADVISED | REGION_UNSURE)) {
		os_advise(base, TM_REGION_BYTES, MADV_NOHUGEPAGE);
		word &= ~REGION_ADVISED;
	}
	word &= ~REGION_UNSURE;
	if (tier == TM_COLD)
		count_add(&tm_process.regions[TM_COLD], 1);
	count_add(&tm_process.born[tier], 1);
	region_release(r, word_with(word, state));
	return 0;
}

static int part_commit(const struct part *part, size_t block, bool *born) {
	struct region *r = part->region;
	uint64_t word = region_settled(r);
	bool stale = (word & REGION_STALE) != 0;

	live_mark(r, part->first, part->pages, true);
	for (;; word = region_settled(r)) {
		if (word_state(word) == TM_REGION_FREE) {
			if (!region_claim(r, &word, TM_REGION_BIRTH))
				continue;
			if (birth(r, part->index, word, part->pages, block) != 0) {
				live_mark(r, part->first, part->pages, false);
				return -ENOMEM;
			}
			*born = true;
			continue;
		}
		if (atomic_compare_exchange_weak_explicit(
			&r->word, &word, word + part->pages, memory_order_acq_rel, memory_order_relaxed))
			break;
	}
	if (word_state(word) == TM_REGION_COLD)
		atomic_fetch_sub_explicit(&region_slack, part->pages, memory_order_relaxed);
	size_t bytes = part->pages * OS_PAGE;
	count_add(&tm_process.committed[word_tier(word)], bytes);
	count_add(&tm_process.class_committed[region_class(part->index)], bytes);
	if (stale)
		memset((char *)region_base(part->index) + part->first * OS_PAGE, 0, bytes);
	return 0;
}

int region_commit(void *p, size_t bytes) {
	char *at = p, *end = at + bytes;
	bool born = false;
	if (bytes >= TM_REGION_BYTES)
		touched_look(p, bytes);
	while (at < end) {
		struct part part = part_at(at, end);
		if (part_commit(&part, bytes, &born) != 0) {
			region_decommit(p, (size_t)(at - (char *)p));
			return -ENOMEM;
		}
		at += part.pages * OS_PAGE;
	}
	/* Without a keeper the threads that make the heap grow do a little of its work. */
	if (!keeper_ring(born) && born)
		region_verify(2);
	return 0;
}

/* Ends RETURN: the region has no committed page. */
static void give_back(struct region *r, size_t index, uint64_t word) {
	void *base = region_base(index);
	enum tm_tier tier = word_state(word) == TM_REGION_HOT ? TM_HOT : TM_COLD;

	if (word_state(word) == TM_REGION_COLD)
		atomic_fetch_sub_explicit(&region_slack, REGION_PAGES - TM_REGION_LIVE(word), memory_order_relaxed);
	/* A COLD region held on to what was decommitted earlier; of the others only the last pages are left. */
	size_t bytes = word_state(word) == TM_REGION_COLD ? TM_REGION_BYTES : TM_REGION_LIVE(word) * OS_PAGE;
	word &= ~(REGION_STALE | REGION_LIVE);
	if (region_config.strict && region_may_split() && os_forbid(base, TM_REGION_BYTES) == 0) {
		os_advise(base, TM_REGION_BYTES, MADV_NOHUGEPAGE);
		word &= ~(REGION_OPEN | REGION_ADVISED);
		count_add(&tm_process.returned, bytes);
	} else if (os_advise(base, TM_REGION_BYTES, MADV_DONTNEED) == 0) {
		count_add(&tm_process.returned, bytes);
	} else {
		word |= REGION_STALE;
	}
	count_sub(&tm_process.regions[tier], 1);
	region_release(r, word_with(word & ~(REGION_HUGE | REGION_DENIED), TM_REGION_FREE));
}

static void part_decommit(const struct part *part) {
	struct region *r = part->region;
	char *start = (char *)region_base(part->index) + part->first * OS_PAGE;
	size_t bytes = part->pages * OS_PAGE;
	bool dropped = false, unmarked = false;
	enum tm_tier tier;

	for (;;) {
		uint64_t word = region_settled(r);
		uint64_t rest = word - part->pages;
		tier = word_tier(word);
		if (TM_REGION_LIVE(rest) == 0) {
			if (!region_claim(r, &word, TM_REGION_RETURN))
				continue;
			live_mark(r, part->first, part->pages, false);
			if (part->pages == REGION_PAGES)
				touched_note(part->index);
			give_back(r, part->index, word);
			break;
		}
		if (word_state(word) == TM_REGION_COLD)
			rest |= REGION_STALE;
		else if (!dropped) {
			if (os_advise(start, bytes, MADV_DONTNEED) != 0)
				rest |= REGION_STALE;
			else
				dropped = true;
		}
		if (!unmarked)
			live_mark(r, part->first, part->pages, false);
		unmarked = true;
		if (!atomic_compare_exchange_weak_explicit(
			&r->word, &word, rest, memory_order_acq_rel, memory_order_relaxed))
			continue;
		if (word_state(word) == TM_REGION_COLD) {
			atomic_fetch_add_explicit(&region_slack, part->pages, memory_order_relaxed);
			huge_break(r, part->index);
		}
		break;
	}
	if (dropped)
		count_add(&tm_process.returned, bytes);
	count_sub(&tm_process.committed[tier], bytes);
	count_sub(&tm_process.class_committed[region_class(part->index)], bytes);
}

void region_decommit(void *p, size_t bytes) {
	for (char *at = p, *end = at + bytes; at < end;) {
		struct part part = part_at(at, end);
		part_decommit(&part);
		at += part.pages * OS_PAGE;
	}
}

enum tm_tier region_tier_of(const void *p) {
	if (!region_in_heap(p))
		return TM_NONE;
	size_t index = region_index(p);
	enum tm_tier class = region_class(index);
	if ((uintptr_t)p - zones[class].base >= zone_carved(class))
		return TM_NONE;
	uint64_t word = atomic_load_explicit(&region_table[index].word, memory_order_relaxed);
	return word_tier(word);
}

void region_after_fork(void) {
	int64_t slack = 0;
	uint64_t regions[TM_TIERS] = {0}, committed[TM_TIERS] = {0}, class_committed[TM_TIERS] = {0};

	if (atomic_exchange(&unsettled, 0) == 0)
		return;
	for (enum tm_tier class = TM_HOT; class < TM_TIERS; class ++) {
		size_t first = region_index((void *)zones[class].base);
		size_t count = zone_carved(class) >> REGION_SHIFT;
		for (size_t i = first; i < first + count; i++) {
			struct region *r = &region_table[i];
			uint64_t was = atomic_load(&r->word), word = word_repaired(was);
			enum tm_tier tier = word_tier(word);
			/* Only what differs: a write makes the child copy a page of the table. */
			if (word != was)
				atomic_store(&r->word, word);
			if (tier == TM_NONE) {
				/* Pages that a thread had marked before it counted them. */
				for (int k = 0; k < REGION_PAGES / 64; k++)
					if (atomic_load(&r->live[k]) != 0)
						atomic_store(&r->live[k], 0);
				continue;
			}
			if (word_state(word) == TM_REGION_COLD)
				slack += REGION_PAGES - TM_REGION_LIVE(word);
			regions[tier]++;
			committed[tier] += TM_REGION_LIVE(word) * OS_PAGE;
			class_committed[class] += TM_REGION_LIVE(word) * OS_PAGE;
		}
	}
	/* The threads that are gone may have been about to count; the table is what is true. */
	atomic_store(&region_slack, slack);
	for (int tier = 0; tier < TM_TIERS; tier++) {
		__atomic_store_n(&tm_process.regions[tier], regions[tier], __ATOMIC_RELAXED);
		__atomic_store_n(&tm_process.committed[tier], committed[tier], __ATOMIC_RELAXED);
		__atomic_store_n(&tm_process.class_committed[tier], class_committed[tier], __ATOMIC_RELAXED);
	}
}
