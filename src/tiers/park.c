/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking regions away and bringing them home, see park.h. Runs on the pager's thread only; must not touch managed
 * memory, allocate or lock.
 */
#include "tiers/park.h"

#include <errno.h>
#include <sys/mman.h>

#include "os/os.h"
#include "os/pages.h"
#include "os/uffd.h"
#include "tiers/huge.h"
#include "tiers/pager.h"
#include "tiers/region_table.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/* One huge page takes 10 us, 512 small ones longer than this: whoever has split it (mlock of a part, say). */
#define SLOW_NS 100000

#define WATCH_RUN 64

struct parked park_slots[PARK_SLOTS];
static char *zone;
static int park_fd = -1;

static void *slot_base(int slot) {
	return zone + (size_t)slot * TM_REGION_BYTES;
}

int park_open(int fd) {
	void *p;
	int e = os_map(PARK_SLOTS * TM_REGION_BYTES, TM_REGION_BYTES, &p);
	if (e != 0)
		return e;
	os_advise(p, PARK_SLOTS * TM_REGION_BYTES, MADV_NOHUGEPAGE);
	e = uffd_register(fd, p, PARK_SLOTS * TM_REGION_BYTES);
	if (e != 0) {
		os_unmap(p, PARK_SLOTS * TM_REGION_BYTES);
		return e;
	}
	zone = p;
	park_fd = fd;
	return 0;
}

void park_close(void) {
	if (zone != NULL)
		os_unmap(zone, PARK_SLOTS * TM_REGION_BYTES);
	zone = NULL;
	park_fd = -1;
}

bool park_covers(const void *p) {
	return zone != NULL && (uintptr_t)p - (uintptr_t)zone < PARK_SLOTS * TM_REGION_BYTES;
}

int park_slot_of(size_t index) {
	for (int slot = 0; slot < PARK_SLOTS; slot++)
		if (park_slots[slot].away && park_slots[slot].index == index)
			return slot;
	return -1;
}

static int slot_free(void) {
	for (int slot = 0; slot < PARK_SLOTS; slot++)
		if (!park_slots[slot].away)
			return slot;
	return -ENOSPC;
}

static bool region_to_watch(size_t index) {
	uint64_t word = atomic_load_explicit(&region_table[index].word, memory_order_relaxed);
	return word_state(word) == TM_REGION_COLD && (word & REGION_HUGE) && !region_table[index].watched;
}

/*
 * Faults of the region come to us; and of those behind it, since one call for many costs what one for one does. In
 * strict mode regions are mapped anew behind our back, so each by itself and each time again.
 */
static int region_watch(size_t index) {
	const struct region *r = &region_table[index];
	enum tm_tier class = region_class(index);
	size_t end = index + 1, most = region_index((void *)(zones[class].base + zone_carved(class)));
	if (r->watched && !region_config.strict)
		return 0;
	while (!region_config.strict && end < most && end - index < WATCH_RUN && region_to_watch(end))
		end++;
	const struct region *before = index > 0 ? r - 1 : NULL;
	if ((before == NULL || region_class(index - 1) != class || !before->watched) && !region_may_split())
		return -EAGAIN;
	int e = uffd_register(park_fd, region_base(index), (end - index) * TM_REGION_BYTES);
	if (e != 0)
		return e == -ENOMEM ? -EAGAIN : e;
	for (size_t i = index; i < end; i++)
		region_table[i].watched = 1;
	return 0;
}

/*
 * Small pages have been in the slot. Their page table is still there, and for its sake the kernel would split each
 * huge page that is moved there.
 */
static void slot_renew(int slot) {
	void *p = slot_base(slot);
	if (os_renew(p, TM_REGION_BYTES) == 0) {
		os_advise(p, TM_REGION_BYTES, MADV_NOHUGEPAGE);
		uffd_register(park_fd, p, TM_REGION_BYTES);
	}
}

/*
 * While a forked child shares it the kernel splits a huge page at the first write. So after a fork a region is looked
 * at before it is moved: 0, -EBUSY if it is shared, -EAGAIN if it is not whole.
 */
static int region_look(struct region *r, size_t index) {
	uint32_t forks = atomic_load(&pager_shared.forks);
	struct pages_count count = {0};
	uintptr_t base = (uintptr_t)region_base(index);
	if (r->whole == forks)
		return 0;
	if (pages_scan(0, base, base + TM_REGION_BYTES, &count) != 0 || count.huge != TM_REGION_BYTES)
		return -EAGAIN;
	if (pages_shared(base, OS_PAGE) != 0)
		return -EBUSY;
	r->whole = forks;
	return 0;
}

/*
 * Brings what a slot holds home. Does not give up: the data is nowhere else. True if it was moved, so that a huge
 * page still is one.
 */
static bool slot_home(int slot) {
	struct parked *p = &park_slots[slot];
	char *home = region_base(p->index), *away = slot_base(slot);
	size_t moved;
	int e;

	do {
		e = uffd_move(park_fd, home + p->from, away + p->from, p->to - p->from, &moved);
		p->from += moved;
		if (e == -EAGAIN)
			pager_read();
	} while (e == -EAGAIN);
	if (e == 0)
		return true;
	/* A fork shares it by now, or the program has locked or protected its home: page by page. */
	while ((e = uffd_copy(park_fd, home + p->from, away + p->from, p->to - p->from)) != 0) {
		if (e == -ESRCH)
			break;                    /* the process is ending */
		if (e == -ENOENT || e == -EINVAL) /* a mapping made anew: its faults are not ours to see */
			uffd_register(park_fd, home, TM_REGION_BYTES);
		pager_read();
		os_nap();
	}
	count_add(&tm_process.probe_copied, 1);
	slot_renew(slot);
	return false;
}

static int slot_fill(int slot) {
	struct parked *p = &park_slots[slot];
	p->from = 0;
	int e = uffd_move(park_fd, slot_base(slot), region_base(p->index), TM_REGION_BYTES, &p->to);
	if (e != 0 && p->to != 0) { /* it was not one huge page after all */
		slot_home(slot);
		slot_renew(slot);
	} else if (e == -EEXIST) { /* mlockall has filled the slot with zeros */
		slot_renew(slot);
	}
	return e;
}

int park_take(size_t index) {
	struct region *r = &region_table[index];
	uint64_t word = atomic_load_explicit(&r->word, memory_order_acquire);
	int slot = slot_free(), e;

	if (slot < 0)
		return slot;
	if (word_state(word) != TM_REGION_COLD || !(word & REGION_HUGE) || (word & REGION_UNSURE))
		return -EAGAIN;
	if ((e = region_look(r, index)) != 0 || (e = region_watch(index)) != 0)
		return e;
	/* Whoever is about to fork asks first, then looks whether anything is away; we, the other way round. */
	atomic_fetch_add(&pager_shared.away, 1);
	if (atomic_load(&pager_shared.holds) != 0 || !region_claim(r, &word, TM_REGION_PROBE)) {
		atomic_fetch_sub(&pager_shared.away, 1);
		return -EAGAIN;
	}
	uint64_t probed = word_with(word, TM_REGION_PROBE) | (uint64_t)os_pid() << REGION_CLAIMER_SHIFT;
	/* From here on a fork finds what has left, be it only a part that comes back at once. */
	uint64_t start = os_now_ns();
	park_slots[slot] = (struct parked){.word = probed, .index = index, .away = true};
	e = slot_fill(slot);
	if (e == -EBUSY) {
		/* A child that is gone has left it write-protected. The write fault only says whose it is again. */
		os_advise(region_base(index), OS_PAGE, MADV_POPULATE_WRITE);
		e = slot_fill(slot);
	}
	if (e != 0) {
		park_slots[slot].away = false;
		/* No huge page any more: found out by the keeper. */
		region_release_probe(r, probed, word & ~(e == -ENOENT || park_slots[slot].to != 0 ? REGION_HUGE : 0));
		atomic_fetch_sub(&pager_shared.away, 1);
		return e == -ENOENT ? -EAGAIN : e;
	}
	uint64_t now = os_now_ns();
	park_slots[slot].since = now;
	park_slots[slot].slow = now - start > SLOW_NS;
	return slot;
}

void park_return(int slot) {
	struct parked *p = &park_slots[slot];
	struct region *r = &region_table[p->index];
	uint64_t word = word_with(p->word & ~REGION_CLAIMER, TM_REGION_COLD);

	bool moved = slot_home(slot);
	if (!moved || p->slow) { /* for the keeper to look at */
		word &= ~REGION_HUGE;
		r->whole = atomic_load(&pager_shared.forks) - 1;
	}
	if (moved && p->slow)
		slot_renew(slot);
	p->away = false;
	region_release_probe(r, p->word, word);
	atomic_fetch_sub(&pager_shared.away, 1);
}

void park_forked(int child) {
	for (int slot = 0; slot < PARK_SLOTS; slot++) {
		const struct parked *p = &park_slots[slot];
		int e = p->away && p->to > p->from ? -EAGAIN : 0;
		/* It waits for what it lacks, so shortness of memory is no reason to let it read zeros. */
		for (; e == -EAGAIN || e == -ENOMEM; os_nap())
			if ((e = uffd_copy(child, (char *)region_base(p->index) + p->from,
				 (char *)slot_base(slot) + p->from, p->to - p->from)) == 0)
				break;
	}
	os_close(child);
	atomic_fetch_add(&pager_shared.forks, 1);
	count_add(&tm_process.pager_forks, 1);
}

void park_tidy(size_t index) {
	struct region *r = &region_table[index];
	uint64_t word = atomic_load_explicit(&r->word, memory_order_relaxed);
	if (r->watched && word_settled(word) && word_state(word) != TM_REGION_COLD &&
	    uffd_unregister(park_fd, region_base(index), TM_REGION_BYTES) == 0)
		r->watched = 0;
}

void park_unwatch(size_t index, void *page) {
	struct region *r = &region_table[index];
	/* When mappings are scarce the page alone is filled; its neighbour will be a fault of the same kind then. */
	if (uffd_unregister(park_fd, region_base(index), TM_REGION_BYTES) == 0)
		r->watched = 0;
	else
		uffd_zero(park_fd, page, OS_PAGE);
	count_add(&tm_process.pager_unwatched, 1);
}
