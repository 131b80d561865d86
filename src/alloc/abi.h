/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the exported interface share. A block of the hot zone, which nearly all are, goes straight to
 * jemalloc; everything else takes the slow functions declared here.
 */
#ifndef TM_ABI_H
#define TM_ABI_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "alloc/jemalloc.h"
#include "tiers/region.h"

#define EXPORT    __attribute__((visibility("default")))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define SLOW      __attribute__((noinline, cold))

/*
 * The exported family, declared here rather than taken from <stdlib.h>: that adds attributes (no alias, no null)
 * which hold for callers, not for the functions themselves.
 */
EXPORT void *malloc(size_t size);
EXPORT void *calloc(size_t count, size_t size);
EXPORT void *realloc(void *p, size_t size);
EXPORT void *reallocarray(void *p, size_t count, size_t size);
EXPORT void free(void *p);
EXPORT void cfree(void *p);
EXPORT void free_sized(void *p, size_t size);
EXPORT void free_aligned_sized(void *p, size_t alignment, size_t size);
EXPORT int posix_memalign(void **out, size_t alignment, size_t size);
EXPORT void *aligned_alloc(size_t alignment, size_t size);
EXPORT void *memalign(size_t alignment, size_t size);
EXPORT void *valloc(size_t size);
EXPORT void *pvalloc(size_t size);
EXPORT size_t malloc_usable_size(void *p);
EXPORT void *mallocx(size_t size, int flags);
EXPORT void *rallocx(void *p, size_t size, int flags);
EXPORT size_t xallocx(void *p, size_t size, size_t extra, int flags);
EXPORT size_t sallocx(const void *p, int flags);
EXPORT void dallocx(void *p, int flags);
EXPORT void sdallocx(void *p, size_t size, int flags);
EXPORT size_t nallocx(size_t size, int flags);
EXPORT int mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size);
EXPORT int mallctlnametomib(const char *name, size_t *mib, size_t *length);
EXPORT int mallctlbymib(const size_t *mib, size_t length, void *old, size_t *old_size, void *new, size_t new_size);
EXPORT void malloc_stats_print(void (*write)(void *, const char *), void *arg, const char *options);

/* errno for a failure that jemalloc did not set it for. */
static inline void *or_enomem(void *p) {
	if (!LIKELY(p != NULL))
		errno = ENOMEM;
	return p;
}

/* True for blocks of the hot zone; false for all pointers before start-up. A subtraction and a comparison. */
static inline bool abi_in_hot(const void *p) {
	return (uintptr_t)p - heap.base < heap.hot_bytes;
}

enum abi_owner {
	ABI_NULL,     /* the null pointer */
	ABI_COLD,     /* a block of the cold zone */
	ABI_JEMALLOC, /* jemalloc's, outside the zones */
	ABI_FOREIGN,  /* not of this heap; has been reported */
};
/* For pointers outside the hot zone. `function` is what the program called, for the report. */
enum abi_owner abi_owner_of(const void *p, const char *function) SLOW __attribute__((visibility("hidden")));

/*
 * jemalloc's page map entry of the page at p, NULL if there can be none. Entries of neighbouring pages follow each
 * other within 1 GiB. Safe for every value of p. An entry holds the address of the extent's record in bits 7 to 47
 * and the size class of the block or slab in bits 48 and up.
 */
#define ENTRY_KNOWN(entry) (((entry)&UINT64_C(0xffffffffff80)) != 0)
#define ENTRY_CLASS(entry) ((unsigned)((entry) >> 48))
_Atomic uint64_t *abi_page_entry(const void *p) __attribute__((visibility("hidden")));

#endif
