/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keeper: the library's own thread, which looks after the heap while the program does something else.
 *
 * It puts huge pages together: of regions the kernel had none for, of regions that have become dense again, and of
 * those that were split because a forked child shared them. It is started from a commit hook once the heap has passed
 * start_bytes, sleeps without waking while nothing happens, and uses at most keeper_cpu of one CPU. It changes
 * regions through the same states as the hooks do, waits for nobody, and takes no lock; hooks wait for it as for one
 * another, half a millisecond at most while the kernel copies a region.
 *
 *   none --keeper_ring--> awake --quiet for a while--> asleep --keeper_ring--> awake
 *    ^                                                                           |
 *    +----------------------- in a forked child, which has no such thread -------+
 */
#ifndef TM_KEEPER_H
#define TM_KEEPER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum keeper_state { KEEPER_NONE, KEEPER_AWAKE, KEEPER_ASLEEP };

/* On pages of its own, which the kernel clears in a forked child: there the keeper is gone. */
struct keeper_shared {
	_Atomic uint32_t state;
	_Atomic uint32_t rung;        /* the heap has changed since the keeper last looked */
	_Atomic uint32_t forked;      /* the program has forked since then */
	_Atomic uint64_t start_after; /* after a failed start, in os_now_ms */
} __attribute__((aligned(4096)));
extern struct keeper_shared keeper_shared __attribute__((visibility("hidden")));

bool keeper_ring_slow(bool born);

/*
 * The heap has changed, by a new region if `born`: any thread, in hooks. Starts the keeper where it is time for one,
 * wakes it if it sleeps. False while there is none.
 */
static inline bool keeper_ring(bool born) {
	if (!born && atomic_load_explicit(&keeper_shared.state, memory_order_relaxed) == KEEPER_AWAKE)
		return true;
	return keeper_ring_slow(born);
}

/* For pthread_atfork. The parent's pages are shared with the child from here on. */
void keeper_after_fork_parent(void);
void keeper_after_fork_child(void);

/* What a round has found. */
struct keeper_round {
	unsigned looked;  /* regions looked at */
	unsigned mended;  /* regions made huge */
	unsigned open;    /* regions to be looked at again soon */
	unsigned shared;  /* regions that wait for a child to end */
	unsigned refused; /* regions the kernel had no huge page for */
};

/*
 * One round over the regions, from where the last one ended, for at most `budget_us` of processor time. One in
 * `doubt` (1: each) of the regions known to be huge is looked at as well, others in the next pass. True if it came to
 * the end of the heap. The keeper's loop calls it; so do tests.
 */
bool keeper_work(struct keeper_round *round, uint64_t budget_us, unsigned doubt);

#endif
