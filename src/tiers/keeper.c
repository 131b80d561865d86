/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keeper's thread, see keeper.h. keeper_main and what it calls run on that thread only; ringing and the fork
 * handlers run on the program's. Static memory, atomics and src/os; nothing here may wait for a thread of the
 * program, touch the program's memory, or use what the C library keeps per thread.
 */
#include "tiers/keeper.h"

#include <errno.h>
#include <sys/mman.h>

#include "os/os.h"
#include "os/thread.h"
#include "tiers/huge.h"
#include "tiers/pager.h"
#include "tiers/region_table.h"

#define SLICE_US       5000  /* of processor time, then the others may have the CPU */
#define PAUSE_MS       200   /* between two rounds while the heap changes */
#define DOUBT_MS       1000  /* between two looks at regions known to be huge, while pages may be shared */
#define DOUBT_SAMPLE   64    /* otherwise one in so many of them is looked at */
#define QUIET_MS       10000 /* without a change: sleep until one */
#define WAIT_MOST      8000  /* the longest pause while something is left for later */
#define FORGET_MS      600000 /* what cannot be done for so long, without the heap changing, waits for the next change */
#define START_AGAIN_MS 1000
#define CLOCK_EVERY    64 /* regions between two looks at the clock */

struct keeper_shared keeper_shared;
static struct thread_memory memory;
/* The keeper's own: where its next round begins, and passes over the heap so far. */
static size_t cursor, turn;

static size_t heap_regions(void) {
	return (zone_carved(TM_HOT) + zone_carved(TM_COLD)) >> REGION_SHIFT;
}

static size_t heap_index(size_t at) {
	size_t hot = zone_carved(TM_HOT) >> REGION_SHIFT;
	return at < hot ? at : (heap.hot_bytes >> REGION_SHIFT) + (at - hot);
}

bool keeper_work(struct keeper_round *round, uint64_t budget_us, unsigned doubt) {
	uint64_t start = os_thread_us();
	size_t total = heap_regions();

	for (; cursor < total; cursor++) {
		int e = huge_mend(heap_index(cursor), cursor % doubt == turn % doubt);
		if (e == -ENODATA) {
			if (cursor % CLOCK_EVERY == CLOCK_EVERY - 1 && os_thread_us() - start >= budget_us) {
				cursor++;
				break;
			}
			continue;
		}
		round->looked++;
		if (e == 0)
			round->mended++;
		else if (e == -EAGAIN)
			round->open++;
		else if (e == -EBUSY)
			round->shared++;
		else
			round->refused++;
		/* The kernel's shortage is not over a moment later. */
		if (os_thread_us() - start >= budget_us || (e != 0 && e != -EAGAIN && e != -EBUSY)) {
			cursor++;
			break;
		}
	}
	if (cursor < total)
		return false;
	cursor = 0;
	turn++;
	return true;
}

/* The keeper's memory of what it has seen, to know when it may sleep. */
struct keeper_view {
	uint64_t changed; /* when the heap last changed, in os_now_ms */
	uint64_t doubted; /* when regions known to be huge were last looked at */
	uint64_t pause;   /* the present pause after rounds that had to leave something for later */
	uint64_t splits;  /* huge pages found split up to now */
	unsigned doubt;   /* this pass looks at one in so many of them */
	bool sharing;     /* a child may share pages */
};

static void view_update(struct keeper_view *view, uint64_t now) {
	if (atomic_exchange(&keeper_shared.rung, 0) != 0) {
		view->changed = now;
		view->pause = PAUSE_MS;
	}
	if (atomic_exchange(&keeper_shared.forked, 0) != 0)
		view->sharing = true;
}

/* Milliseconds to sleep after a pass over the whole heap, or one that was refused; 0 for without end. */
static uint64_t view_pause(struct keeper_view *view, const struct keeper_round *pass, uint64_t now) {
	bool quiet = now - view->changed >= QUIET_MS;
	/* Not every way to fork tells us; the sample does, as soon as something has come of it. */
	uint64_t splits = count_get(&tm_process.huge_split);
	if (pass->shared > 0 || splits != view->splits)
		view->sharing = true;
	else if (view->doubt == 1 && quiet)
		view->sharing = false;
	view->splits = splits;
	if (pass->mended + pass->open > 0)
		return PAUSE_MS;
	if (!quiet)
		return pass->refused > 0 ? DOUBT_MS : PAUSE_MS;
	bool waiting = view->sharing || pass->shared + pass->refused > 0;
	if (!waiting || now - view->changed >= FORGET_MS)
		return 0;
	if ((view->pause *= 2) > WAIT_MOST)
		view->pause = WAIT_MOST;
	return view->pause;
}

static void keeper_sleep(uint64_t ms) {
	struct keeper_shared *k = &keeper_shared;
	if (ms != 0 && ms <= DOUBT_MS) {
		os_futex_wait(&k->state, KEEPER_AWAKE, ms);
		return;
	}
	atomic_store(&k->state, KEEPER_ASLEEP);
	/* Who rang before this line has not seen the thread asleep. */
	if (atomic_load(&k->rung) == 0)
		os_futex_wait(&k->state, KEEPER_ASLEEP, ms);
	atomic_store(&k->state, KEEPER_AWAKE);
}

static void keeper_main(int error) {
	struct keeper_view view = {.changed = os_now_ms(), .pause = PAUSE_MS, .doubt = DOUBT_SAMPLE};
	struct keeper_round pass = {0};

	if (error != 0) {
		/* In the program's own table a descriptor of ours could be closed, or be seen. */
		atomic_store(&keeper_shared.start_after, UINT64_MAX);
		atomic_store(&keeper_shared.state, KEEPER_NONE);
		return;
	}
	pager_start();
	for (;;) {
		uint64_t now = os_now_ms(), used = os_thread_us();
		view_update(&view, now);
		bool whole = keeper_work(&pass, SLICE_US, view.doubt);
		count_add(&tm_process.keeper_wakes, 1);
		uint64_t end = os_thread_us();
		__atomic_store_n(&tm_process.keeper_us, end, __ATOMIC_RELAXED);
		/* Its share of the CPU: what it used now is followed by the idle time that goes with it. */
		uint64_t rest = (end - used) * (100 - region_config.keeper_cpu) / region_config.keeper_cpu / 1000 + 1;
		if (whole || pass.refused > 0) {
			uint64_t pause = view_pause(&view, &pass, now);
			pass = (struct keeper_round){0};
			view.doubt = view.sharing && now - view.doubted >= DOUBT_MS ? 1 : DOUBT_SAMPLE;
			if (view.doubt == 1)
				view.doubted = now;
			if (pause == 0 || pause > rest)
				rest = pause;
		}
		keeper_sleep(rest);
	}
}

static void keeper_start(void) {
	struct keeper_shared *k = &keeper_shared;
	uint64_t now = os_now_ms();
	uint32_t none = KEEPER_NONE;

	if (!region_config.huge || now < atomic_load(&k->start_after) ||
	    !atomic_compare_exchange_strong(&k->state, &none, KEEPER_AWAKE))
		return;
	/*
	 * A forked child has no keeper, whichever way it was made, and one made by vfork runs on this very memory
	 * beside ours. The kernel tells the two apart for us.
	 */
	int id = os_advise(k, sizeof(*k), MADV_WIPEONFORK);
	if (id == 0)
		id = thread_start(&memory, "tier-keeper", keeper_main);
	if (id <= 0) {
		atomic_store(&k->start_after, now + START_AGAIN_MS);
		atomic_store(&k->state, KEEPER_NONE);
		return;
	}
	__atomic_store_n(&tm_process.keeper, (uint64_t)id, __ATOMIC_RELAXED);
}

bool keeper_ring_slow(bool born) {
	struct keeper_shared *k = &keeper_shared;
	uint32_t state = atomic_load(&k->state);
	if (born && state == KEEPER_NONE) {
		uint64_t used = count_get(&tm_process.committed[TM_HOT]) + count_get(&tm_process.committed[TM_COLD]);
		if (used >= region_config.start_bytes)
			keeper_start();
		state = atomic_load(&k->state);
	}
	if (state == KEEPER_NONE)
		return false;
	atomic_store(&k->rung, 1);
	if (atomic_load(&k->state) == KEEPER_ASLEEP) {
		state = KEEPER_ASLEEP;
		if (atomic_compare_exchange_strong(&k->state, &state, KEEPER_AWAKE))
			os_futex_wake(&k->state);
	}
	return true;
}

void keeper_after_fork_parent(void) {
	if (atomic_load(&keeper_shared.state) == KEEPER_NONE)
		return;
	atomic_store(&keeper_shared.forked, 1);
	keeper_ring_slow(false);
}

void keeper_after_fork_child(void) {
	__atomic_store_n(&tm_process.keeper, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&tm_process.keeper_us, 0, __ATOMIC_RELAXED);
}
