/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Measures the costs of cost.h on this machine, on memory of its own that is mapped and unmapped again.
 *
 * Runs once, on a thread that may take the time: no more than CALIBRATE_US of processor time and one repetition,
 * which is a few milliseconds where memory is short. No allocation, no lock, no libc that could allocate. It maps 2
 * MiB that it fills, and twice CALIBRATE_RANGE of addresses that stay on the kernel's pages of zeros and take 2 MiB
 * of page tables. What cannot be measured, or gives a figure outside the limits of cost.def, keeps its default, field
 * by field.
 *
 * Each figure is the median of up to CALIBRATE_REPEATS repetitions, fewer if the time is up, in processor time of the
 * thread: waiting for a processor does not count.
 *
 *     copy_page    64 pages copied, source and destination flushed from all caches first
 *     fault_small  512 first writes in a row, MADV_NOHUGEPAGE
 *     fault_huge   one first write, MADV_HUGEPAGE
 *     collapse     MADV_COLLAPSE of those 512 pages
 *     split        MADV_COLD on one page of the huge page, which makes the kernel split it
 *     gain_huge    see below
 *     gain_node    0 where all nodes are alike; else told by calibrate_set_node
 *     fault_wait, fault_lazy, move_huge, move_small    told by calibrate_set_fault
 *
 * gain_huge: random reads of one byte in every 128 KiB of CALIBRATE_RANGE, each address from the last read, once on
 * small pages and once on huge ones; the difference of the shortest runs, divided by the share of accesses that a TLB
 * of this size misses. The bytes are in the first-level cache, since the pages are those of zeros: only the
 * translation differs. The page table entries lie in as many cache lines as those of a heap of 128 MiB in full use.
 * In a larger heap they come from further away, so there the gain is larger and this figure too low: on the side of
 * leaving things as they are.
 */
#ifndef TM_CALIBRATE_H
#define TM_CALIBRATE_H

#include <stdbool.h>
#include <stdint.h>

#include "tiers/cost.h"

#define CALIBRATE_US      20000
#define CALIBRATE_REPEATS 5
#define CALIBRATE_RANGE   ((size_t)512 << 20)

enum calibrate_from {
	CALIBRATE_ASSUMED,  /* the default */
	CALIBRATE_MEASURED, /* by calibrate */
	CALIBRATE_TOLD,     /* by `alike`, calibrate_set_* or calibrate_learn */
};

struct calibration {
	struct cost_table costs;
	uint8_t from[COST_COUNT]; /* enum calibrate_from */
	uint64_t cpu_us;          /* processor time it took */
};

/* All defaults. */
void calibrate_none(struct calibration *c);

/* `alike`: all memory nodes are (birth_look). */
void calibrate(struct calibration *c, bool alike);

/*
 * What the pager has measured itself, in nanoseconds; see cost.def. A value that is 0, negative, not a number or
 * outside the limits leaves the field as it is. Returns how many fields were taken.
 */
unsigned calibrate_set_fault(struct calibration *c, double wait, double lazy, double move_huge, double move_small);
/* Difference in latency between the nodes, for who knows it; 0 is a value. True if it was taken. */
bool calibrate_set_node(struct calibration *c, double gain);

/*
 * A figure met at work, a collapse for one: moves the field an eighth of the way, so that the table follows a machine
 * whose load or memory changes. False if the value is outside the limits.
 */
bool calibrate_learn(struct calibration *c, enum cost_id id, double ns);

#endif
