/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cold arena class: jemalloc arenas of their own for objects a program names cold, and a cache per thread in
 * front of them. See cold.c.
 */
#ifndef TM_COLD_H
#define TM_COLD_H

#include <stdbool.h>
#include <stddef.h>

#pragma GCC visibility push(hidden)

/* NULL if there is no memory (errno is not set) ; sizes include 0. Falls back to the hot class without cold arenas.
 */
void *cold_malloc(size_t size);
void *cold_calloc(size_t bytes);
void *cold_memalign(size_t alignment, size_t size);

/* For addresses in the cold zone. One that is no block is reported, as passed to `function`, and left alone. */
void cold_free(void *p, const char *function);
/* For blocks of the cold zone only. */
/* realloc's contract, errno included; the block stays in the cold class. */
void *cold_realloc(void *p, size_t size);
void *cold_rallocx(void *p, size_t size, int flags);

/* Gives this thread's cached blocks back to the arenas. */
void cold_flush(void);

#pragma GCC visibility pop

#endif
