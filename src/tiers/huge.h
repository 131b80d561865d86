/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Huge pages of cold regions: asking for them, checking that the kernel gave them, giving them up when too little
 * of one is in use. Same rules as region.h; only src/tiers includes this.
 */
#ifndef TM_HUGE_H
#define TM_HUGE_H

#include "tiers/region.h"

/* Takes a region into a transitional state: false, with *word the present one, if somebody was faster. */
bool region_claim(struct region *r, uint64_t *word, enum tm_region_state state);
/* Ends the transitional state. */
void region_release(struct region *r, uint64_t word);
/*
 * Ends PROBE, which was entered with the word `probed`. False if somebody else has: a child made by vfork, which
 * shares this memory and takes the region for one that its own parent left behind.
 */
bool region_release_probe(struct region *r, uint64_t probed, uint64_t word);

/* Asks for a huge page for a region that is being born; returns its word with the outcome. */
uint64_t huge_advise(size_t index, uint64_t word);

/* Breaks up a COLD region's huge page if more than cold_waste of it is unused, and returns the unused pages. */
void huge_break(struct region *r, size_t index);

/*
 * For the keeper: makes the region huge if it should be and is not. 0: done. -ENODATA: nothing to do. -EAGAIN: it has
 * changed, or was looked at for the first time; look again. -EBUSY: a forked child shares its pages, so not now.
 * -ENOMEM and others: the kernel has no huge page to give, or does not allow it.
 * `doubt`: a region known to be huge is looked at again, too.
 */
int huge_mend(size_t index, bool doubt);

#endif
