/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sensor `probe`: takes whole cold regions away for a moment and sees how soon they are accessed. What that
 * teaches is in heat.h, how they go and come back in park.h.
 *
 * Works in bursts: the first probe after a sleep finds caches cold and costs three times as much as the later ones.
 * Within a burst regions leave one after the other and stay away side by side, each for the window: long enough for
 * a region at the threshold to be accessed more likely than not, so what is cold comes back without ever having kept
 * anybody waiting. Pauses between bursts keep the thread within sense_cpu.
 *
 * Runs on the pager's thread, but for what is marked.
 */
#ifndef TM_PROBE_H
#define TM_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_IDLE    UINT64_MAX
#define PROBE_IDLE_US 20000

void probe_begin(void);
/*
 * Goes on with what is due. Returns for how many nanoseconds there is nothing to do, unless a region is accessed;
 * PROBE_IDLE while the program is idle: until it has used PROBE_IDLE_US of processor time.
 */
uint64_t probe_step(uint64_t now);
/* The region in this slot is about to go home, because it was accessed if `hit`. */
void probe_returned(int slot, bool hit);

/*
 * Any thread: expected access rate of a region, 1/s, and its relative uncertainty; false if nothing is known of it.
 * Both may be old by a few seconds.
 */
bool probe_heat(size_t index, float *rate, float *sigma);
/* Any thread: the rate that divides hot from cold, 1/s; 0 while there is none. */
float probe_threshold(void);
void probe_after_fork_child(void);

#endif
