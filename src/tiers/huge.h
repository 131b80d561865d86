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

/* Asks for a huge page for a region that is being born; returns its word with the outcome. */
uint64_t huge_advise(size_t index, uint64_t word);

/* Breaks up a COLD region's huge page if more than cold_waste of it is unused, and returns the unused pages. */
void huge_break(struct region *r, size_t index);

#endif
