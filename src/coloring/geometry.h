/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The geometry of the processor's address caches. Pure look-ups, no allocation, any thread.
 */
#ifndef TM_GEOMETRY_H
#define TM_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

struct geometry_tlb {
	unsigned small_entries; /* second-level data TLB entries for 4 KiB pages */
	unsigned huge_entries;  /* entries for 2 MiB pages; often the same ones */
	bool known;             /* from the processor; false: a usual value is assumed */
};
void geometry_tlb(struct geometry_tlb *tlb);

/* Bytes that the second-level data TLB covers with 4 KiB pages. */
uint64_t geometry_tlb_reach(void);

#endif
