/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Start-up of the heap, and the facts it leaves behind for statistics. See boot.c.
 */
#ifndef TM_BOOT_H
#define TM_BOOT_H

/* The arena class behind a set of hooks is told by the set's address. */
#include "alloc/jemalloc.h"

extern extent_hooks_t hooks_hot __attribute__((visibility("hidden")));
extern extent_hooks_t hooks_cold __attribute__((visibility("hidden")));

/* Prints statistics to standard error: the text of malloc_stats(3) and of stats_print. */
void stats_report(void);

#endif
