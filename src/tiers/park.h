/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Parking: regions whose huge page is away for a while, so that their first access is a fault somebody of ours sees.
 *
 * Owns the parking zone, one slot of 2 MiB for each region that can be away at once, and the way back, which may not
 * fail: the program's data is in the slot and nowhere else. All of it runs on the pager's thread, which has the
 * userfaultfd. A parked region is in PROBE; hooks that need it access it, as everybody does.
 *
 * A fork that ran no handler of ours (_Fork, a bare clone) may be made while regions are away. The child's copy of
 * them is a hole; the kernel tells of the child, and moves and copies nothing for us until that has been read. So
 * when a region comes home every child that lacks it has been given it before.
 */
#ifndef TM_PARK_H
#define TM_PARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PARK_SLOTS 32

struct parked {
	uint64_t since; /* os_now_ns at which it went away */
	uint64_t word;  /* of its region, in PROBE */
	size_t index;   /* of its region */
	size_t from,
	    to; /* the part of the slot that holds the region's bytes: all of it, but while it comes or goes */
	bool away;
	bool slow; /* it left page by page, by the time it took */
};
extern struct parked park_slots[PARK_SLOTS] __attribute__((visibility("hidden")));

/* Maps and registers the parking zone with the userfaultfd. 0 or -errno. */
int park_open(int fd);
/* Unmaps it; nothing may be away. */
void park_close(void);

/*
 * Takes a whole, settled, COLD region away: the slot, from 0 to PARK_SLOTS - 1. -EAGAIN: it is not of that kind, or
 * is being changed, or its faults cannot be seen now. -ENOSPC: no slot is free. -EBUSY: a forked child shares it or
 * the kernel has pinned it. -EINVAL and others: locked or protected by the program. Nothing has happened then.
 */
int park_take(size_t index);
/* Brings it home; who waits for it goes on. */
void park_return(int slot);
/* The slot in which the region is, or -1. */
int park_slot_of(size_t index);

/* The kernel tells of a child made just now: gives it what was away when it was made. Closes its descriptor. */
void park_forked(int child);

/* A region that is not COLD any more need not be watched, and cannot be mended while it is. */
void park_tidy(size_t index);

/*
 * A fault on a page of a region that is not away: its memory was returned since it was watched. It is not watched
 * any longer, so its further first accesses cost what they always do.
 */
void park_unwatch(size_t index, void *page);

/* True for addresses in the parking zone, which only mlockall can touch. */
bool park_covers(const void *p);

#endif
