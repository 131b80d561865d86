/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Huge pages of cold regions. Runs on any thread, in the slow paths of hooks and when statistics are asked for.
 * A region being changed is in BREAK or MEND for the time of the system calls; commits and decommits of it wait.
 */
#include "tiers/huge.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "os/os.h"
#include "os/pages.h"
#include "tiers/region_table.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define RETRY_MS 100 /* between two MADV_COLLAPSE, half a millisecond each, in a program's own threads */

static _Atomic size_t cursor;       /* where region_verify goes on */
static _Atomic uint64_t next_retry; /* in os_now_ms */
static _Atomic bool scan_missing;   /* no PAGEMAP_SCAN: regions cannot be looked at one by one */

uint64_t huge_advise(size_t index, uint64_t word) {
	if (!region_config.huge || (word & REGION_ADVISED))
		return word;
	/* The mapping splits only where the neighbour's advice differs. */
	uint64_t before = index > 0 && region_class(index - 1) == region_class(index)
	    ? atomic_load_explicit(&region_table[index - 1].word, memory_order_relaxed)
	    : 0;
	if (!(before & REGION_ADVISED) && !region_may_split())
		return word;
	if (os_advise(region_base(index), TM_REGION_BYTES, MADV_HUGEPAGE) == 0)
		word |= REGION_ADVISED;
	return word;
}

/* First uncommitted page at or after `page`, and how many follow it; 0 if there is none. */
static unsigned unused_run(const struct region *r, unsigned *page) {
	unsigned n = 0;
	for (; *page < REGION_PAGES; ++*page) {
		uint64_t bits = atomic_load_explicit(&r->live[*page / 64], memory_order_acquire);
		if ((bits >> (*page % 64) & 1) == 0)
			break;
	}
	while (*page + n < REGION_PAGES) {
		uint64_t bits = atomic_load_explicit(&r->live[(*page + n) / 64], memory_order_acquire);
		if ((bits >> ((*page + n) % 64) & 1) != 0)
			break;
		n++;
	}
	return n;
}

void huge_break(struct region *r, size_t index) {
	uint64_t word = atomic_load_explicit(&r->word, memory_order_acquire);
	unsigned unused = REGION_PAGES - TM_REGION_LIVE(word);
	bool failed = false, first = true;

	if (word_state(word) != TM_REGION_COLD || unused * 100 <= region_config.cold_waste * REGION_PAGES)
		return;
	if (!region_may_split() || !region_claim(r, &word, TM_REGION_BREAK))
		return;
	char *base = region_base(index);
	/* Otherwise khugepaged would build it again, and what was returned would be back. */
	if (os_advise(base, TM_REGION_BYTES, MADV_NOHUGEPAGE) != 0) {
		region_release(r, word_with(word, TM_REGION_COLD));
		return;
	}
	unsigned n;
	for (unsigned page = 0; (n = unused_run(r, &page)) > 0; page += n) {
		/*
		 * Dropping a part of a huge page only unmaps it: the kernel keeps the whole until memory is short.
		 * MADV_COLD on a part splits it at once, and what is dropped then is free for others.
		 */
		if (first)
			os_advise(base + (size_t)page * OS_PAGE, OS_PAGE, MADV_COLD);
		first = false;
		if (os_advise(base + (size_t)page * OS_PAGE, (size_t)n * OS_PAGE, MADV_DONTNEED) == 0)
			count_add(&tm_process.returned, (size_t)n * OS_PAGE);
		else
			failed = true;
	}
	if (word & REGION_HUGE)
		count_add(&tm_process.huge_broken, 1);
	atomic_fetch_sub_explicit(&region_slack, REGION_PAGES - TM_REGION_LIVE(word), memory_order_relaxed);
	word &= ~(REGION_ADVISED | REGION_HUGE | REGION_DENIED | (failed ? 0 : REGION_STALE));
	region_release(r, word_with(word, TM_REGION_SPARSE));
}

/* A program's own thread may mend one region at a time only. */
static bool huge_due(void) {
	uint64_t now = os_now_ms(), due = atomic_load_explicit(&next_retry, memory_order_relaxed);
	return now >= due && atomic_compare_exchange_strong(&next_retry, &due, now + RETRY_MS);
}

/* Asks the kernel to put the region together into a huge page; 0 or -errno. */
static int huge_collapse(struct region *r, size_t index, uint64_t word) {
	if (!region_config.huge || pages_never_huge())
		return -EPERM;
	/* Pages shared with a forked child would be copied: memory that was saved is spent. */
	int shared = pages_shared((uintptr_t)region_base(index), TM_REGION_BYTES);
	if (shared == 1) {
		count_add(&tm_process.huge_shared, 1);
		return -EBUSY;
	}
	if (!(word & REGION_ADVISED) && !region_may_split())
		return -ENOMEM;
	if (!region_claim(r, &word, TM_REGION_MEND))
		return -EAGAIN;
	count_add(&tm_process.huge_retried, 1);
	void *base = region_base(index);
	if (!(word & REGION_ADVISED) && os_advise(base, TM_REGION_BYTES, MADV_HUGEPAGE) == 0)
		word |= REGION_ADVISED;
	int e = os_advise(base, TM_REGION_BYTES, MADV_COLLAPSE);
	if (e == 0) {
		count_add(&tm_process.huge_gained, 1);
		word = (word | REGION_HUGE) & ~REGION_DENIED;
	}
	if (word_state(word) == TM_REGION_SPARSE && e == 0)
		atomic_fetch_add_explicit(&region_slack, REGION_PAGES - TM_REGION_LIVE(word), memory_order_relaxed);
	/* A SPARSE region stays one without a huge page, and khugepaged must not fill it up behind our back. */
	if (word_state(word) == TM_REGION_SPARSE && e != 0 && (word & REGION_ADVISED) &&
	    os_advise(base, TM_REGION_BYTES, MADV_NOHUGEPAGE) == 0)
		word &= ~REGION_ADVISED;
	region_release(r, e == 0 ? word_with(word, TM_REGION_COLD) : word);
	return e;
}

/*
 * Looks at one COLD region. 0: it is huge. -EAGAIN: it is not, look again later. -ENODATA: it has no pages, or so few
 * that it would only get bigger. -ENOENT: small pages that are worth a huge one.
 */
static int huge_look(struct region *r, size_t index, uint64_t word) {
	uintptr_t base = (uintptr_t)region_base(index);
	struct pages_count count = {0};

	if (atomic_load_explicit(&scan_missing, memory_order_relaxed))
		return -ENODATA;
	int e = pages_scan(0, base, base + TM_REGION_BYTES, &count);
	if (e == -ENOTTY)
		atomic_store_explicit(&scan_missing, true, memory_order_relaxed);
	if (e != 0 || count.resident == 0)
		return -ENODATA;
	/* If the word has changed since, what was seen may be of another life of the region: next time, then. */
	if (count.huge == TM_REGION_BYTES) {
		if (word & REGION_HUGE)
			return 0;
		return atomic_compare_exchange_strong(&r->word, &word, (word | REGION_HUGE) & ~REGION_DENIED)
		    ? 0
		    : -EAGAIN;
	}
	if (word & REGION_HUGE) {
		/* Split by the kernel: a write while a forked child shares the page, or the program's own advice. */
		if (atomic_compare_exchange_strong(&r->word, &word, (word & ~REGION_HUGE) | REGION_DENIED))
			count_add(&tm_process.huge_split, 1);
		return -EAGAIN;
	}
	if (!(word & REGION_DENIED)) {
		if (atomic_compare_exchange_strong(&r->word, &word, word | REGION_DENIED))
			count_add(&tm_process.huge_denied, 1);
		return -EAGAIN;
	}
	return count.resident >= TM_REGION_BYTES / 2 ? -ENOENT : -ENODATA;
}

/* Back to a huge page once it is dense: half the waste that broke it up leaves room for change. */
static bool huge_dense(uint64_t word) {
	return (REGION_PAGES - TM_REGION_LIVE(word)) * 200 <= region_config.cold_waste * REGION_PAGES;
}

/* All of it may be in use and little of it ever touched; a huge page would be memory for the rest as well. */
static bool huge_filled(size_t index) {
	uintptr_t base = (uintptr_t)region_base(index);
	struct pages_count count = {0};
	int e = -ENOTTY;
	if (!atomic_load_explicit(&scan_missing, memory_order_relaxed))
		e = pages_scan(0, base, base + TM_REGION_BYTES, &count);
	return e != 0 || count.resident >= TM_REGION_BYTES / 2;
}

int huge_mend(size_t index, bool doubt) {
	struct region *r = &region_table[index];
	uint64_t word = atomic_load_explicit(&r->word, memory_order_acquire);
	int e;

	if (word_state(word) == TM_REGION_SPARSE) {
		if (!huge_dense(word) || !huge_filled(index))
			return -ENODATA;
	} else {
		if (word_state(word) != TM_REGION_COLD || ((word & REGION_HUGE) && !doubt))
			return -ENODATA;
		e = huge_look(r, index, word);
		if (e == 0) /* whole, but the first write beside a child will split it */
			return pages_shared((uintptr_t)region_base(index), OS_PAGE) == 1 ? -EBUSY : -ENODATA;
		if (e != -ENOENT)
			return e;
	}
	return huge_collapse(r, index, word);
}

/* Looks at one region in a program's own thread; true if it was found to be, or made, huge. */
static bool huge_check(struct region *r, size_t index) {
	uint64_t word = atomic_load_explicit(&r->word, memory_order_acquire);
	if (word_state(word) == TM_REGION_SPARSE)
		return huge_dense(word) && huge_filled(index) && huge_due() && huge_collapse(r, index, word) == 0;
	if (word_state(word) != TM_REGION_COLD || (word & REGION_HUGE))
		return false;
	int e = huge_look(r, index, word);
	return e == 0 || (e == -ENOENT && huge_due() && huge_collapse(r, index, word) == 0);
}

unsigned region_verify(unsigned budget) {
	unsigned confirmed = 0;
	size_t hot = zone_carved(TM_HOT) >> REGION_SHIFT, cold = zone_carved(TM_COLD) >> REGION_SHIFT;
	size_t total = hot + cold;

	if (total == 0)
		return 0;
	for (size_t looked = 0; budget > 0 && looked < total && looked < 64 + (size_t)budget; looked++) {
		size_t at = atomic_fetch_add_explicit(&cursor, 1, memory_order_relaxed) % total;
		size_t index = at < hot ? at : (heap.hot_bytes >> REGION_SHIFT) + (at - hot);
		uint64_t word = atomic_load_explicit(&region_table[index].word, memory_order_relaxed);
		bool open = word_state(word) == TM_REGION_SPARSE ||
		    (word_state(word) == TM_REGION_COLD && !(word & REGION_HUGE));
		if (!open)
			continue;
		budget--;
		confirmed += huge_check(&region_table[index], index);
	}
	return confirmed;
}

static void survey_run(struct tm_stats *out, enum tm_tier tier, size_t from, size_t to, bool *missing) {
	struct pages_count count = {0};
	int e = pages_scan(0, (uintptr_t)region_base(from), (uintptr_t)region_base(to), &count);
	if (e == -ENOTTY)
		*missing = true;
	out->tier[tier].resident += count.resident;
	out->tier[tier].huge += count.huge;
}

static void survey_mapping(void *arg, uintptr_t from, uintptr_t to, const struct pages_count *count) {
	struct tm_stats *out = arg;
	(void)to;
	/* Tiers differ in their advice, so a mapping is of one tier, but for broken-up cold regions. */
	enum tm_tier tier = region_tier_of((void *)from);
	if (tier == TM_NONE)
		tier = count->huge > 0 ? TM_COLD : TM_HOT;
	out->tier[tier].resident += count->resident;
	out->tier[tier].huge += count->huge;
}

void region_survey(struct tm_stats *out) {
	bool missing = atomic_load(&scan_missing);
	for (enum tm_tier class = TM_HOT; class < TM_TIERS; class ++) {
		size_t first = region_index((void *)zones[class].base);
		size_t count = zone_carved(class) >> REGION_SHIFT;
		size_t from = first;
		enum tm_tier tier = TM_NONE;
		for (size_t i = first; i <= first + count; i++) {
			enum tm_tier now = TM_NONE;
			if (i < first + count) {
				uint64_t word = atomic_load(&region_table[i].word);
				now = word_tier(word);
				if (now == TM_COLD && (word & REGION_HUGE))
					out->stale += (REGION_PAGES - TM_REGION_LIVE(word)) * OS_PAGE;
			}
			if (now == tier)
				continue;
			if (tier != TM_NONE && !missing)
				survey_run(out, tier, from, i, &missing);
			tier = now;
			from = i;
		}
	}
	if (missing) {
		for (int tier = 0; tier < TM_TIERS; tier++)
			out->tier[tier].resident = out->tier[tier].huge = 0;
		pages_smaps(0, heap.base, heap.base + heap.bytes, survey_mapping, out);
	}
}
