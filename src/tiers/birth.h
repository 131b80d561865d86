/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How large the hot tier is when nobody says: option hot_bytes:auto.
 */
#ifndef TM_BIRTH_H
#define TM_BIRTH_H

#include <stdbool.h>
#include <stdint.h>

/* What the answer rests on, for `tiermalloc doctor`. */
struct birth_facts {
	unsigned nodes;     /* nodes with memory; 1 if the kernel does not tell */
	bool alike;         /* every node with memory has CPUs, so none is known to be slower */
	uint64_t tlb_reach; /* bytes the second-level data TLB covers with 4 KiB pages */
	uint64_t fast_free; /* free bytes on the nodes with CPUs; 0 when alike */
};
void birth_look(struct birth_facts *facts);

/* Bytes: the reach of the TLB if all memory is alike, else the free memory of the fast nodes. */
uint64_t birth_hot_bytes(void);

#endif
