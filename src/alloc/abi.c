/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * malloc, free and the family of C, POSIX and glibc, and jemalloc's own interface, which programs linked with the
 * system's libjemalloc call by name.
 *
 * Runs on every thread of the program at any time, before constructors and after destructors. malloc, calloc, free,
 * posix_memalign, aligned_alloc, mallocx, nallocx and mallctl are not here: jemalloc's functions have those names too
 * (ALIASES in mk/jemalloc.mk), so they cost what they cost in jemalloc. What is here first tells the hot zone from
 * the rest: no lock, no branch more than that, no libc call. `bench/instructions` counts it.
 */
#include "alloc/abi.h"

#include <errno.h>

#include "alloc/boot.h"
#include "alloc/cold.h"
#include "alloc/report.h"
#include "os/os.h"

/* rtree_ctx_t of jemalloc: a thread's cache of the page map, 24 pairs. */
struct page_map_cache {
	struct {
		uintptr_t key; /* 1: empty */
		void *leaf;
	} entry[24];
};

static void *page_map_lookup(void *tsdn, uintptr_t key, bool dependent, bool init_missing) {
	struct page_map_cache scratch;
	for (size_t i = 0; i < sizeof(scratch.entry) / sizeof(scratch.entry[0]); i++) {
		scratch.entry[i].key = 1;
		scratch.entry[i].leaf = NULL;
	}
	return tmje_rtree_leaf_elm_lookup_hard(tsdn, tmje_arena_emap_global, &scratch, key, dependent, init_missing);
}

void *boot_rtree_lookup(void *tsdn, void *rtree, void *context, uintptr_t key, bool dependent, bool init_missing) {
	/*
	 * The cold zone stays out of the cache that free's fast path goes by, and so does what shares a leaf with it:
	 * nothing, unless the reservation had to be small.
	 */
	uintptr_t leaf = key & ~(LEAF_BYTES - 1);
	if (leaf + LEAF_BYTES > zones[TM_COLD].base && leaf < zones[TM_COLD].base + zones[TM_COLD].bytes)
		return page_map_lookup(tsdn, key, dependent, init_missing);
	return tmje_rtree_leaf_elm_lookup_hard(tsdn, rtree, context, key, dependent, init_missing);
}

_Atomic uint64_t *abi_page_entry(const void *p) {
	uintptr_t key = (uintptr_t)p & ~(OS_PAGE - 1);
	if (key == 0 || key >> 47 != 0)
		return NULL;
	return page_map_lookup(NULL, key, false, false);
}

static bool jemalloc_knows(const void *p) {
	_Atomic uint64_t *entry = abi_page_entry(p);
	return entry != NULL && ENTRY_KNOWN(atomic_load_explicit(entry, memory_order_acquire));
}

enum abi_owner abi_owner_of(const void *p, const char *function) {
	if (p == NULL)
		return ABI_NULL;
	if (jemalloc_knows(p))
		return region_in_heap(p) ? ABI_COLD : ABI_JEMALLOC;
	report_foreign(function, p);
	return ABI_FOREIGN;
}

static SLOW void free_outside(void *p) {
	if (abi_owner_of(p, "free") == ABI_JEMALLOC)
		tmje_free_default(p);
}

/*
 * `free` itself is jemalloc's, to the instruction. Its fast path serves blocks of slabs that the thread's page map
 * cache knows, and calls this for everything else. Cold blocks never get into that cache (boot_rtree_lookup), and
 * pointers that are not blocks are in no slab, so both arrive here.
 */
void boot_free_default(void *p) {
	if (LIKELY(abi_in_hot(p)))
		tmje_free_default(p);
	else if (LIKELY(region_in_heap(p)))
		cold_free(p, "free");
	else
		free_outside(p);
}

static SLOW void *realloc_slow(void *p, size_t size) {
	switch (abi_owner_of(p, "realloc")) {
	case ABI_NULL:
		return tmje_malloc(size);
	case ABI_COLD:
		return cold_realloc(p, size);
	case ABI_JEMALLOC:
		return tmje_realloc(p, size);
	default:
		return NULL;
	}
}

EXPORT void *realloc(void *p, size_t size) {
	void *moved = LIKELY(abi_in_hot(p)) ? tmje_realloc(p, size) : realloc_slow(p, size);
	/* jemalloc 5.3.0 forgets errno here. */
	return LIKELY(moved != NULL) || size == 0 ? moved : or_enomem(moved);
}

EXPORT void *reallocarray(void *p, size_t count, size_t size) {
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(p, bytes);
}

/* jemalloc's memalign and valloc leave errno alone. */
EXPORT void *memalign(size_t alignment, size_t size) {
	if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
		errno = EINVAL;
		return NULL;
	}
	return or_enomem(tmje_memalign(alignment, size != 0 ? size : 1)); /* jemalloc does not align nothing */
}

EXPORT void *valloc(size_t size) {
	return memalign(OS_PAGE, size);
}

EXPORT void *pvalloc(size_t size) {
	size_t bytes;
	if (__builtin_add_overflow(size, OS_PAGE - 1, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	bytes &= ~(OS_PAGE - 1);
	return valloc(bytes != 0 ? bytes : OS_PAGE);
}

static SLOW size_t usable_size_slow(const void *p, const char *function) {
	switch (abi_owner_of(p, function)) {
	case ABI_COLD:
	case ABI_JEMALLOC:
		return tmje_malloc_usable_size(p);
	default:
		return 0;
	}
}

EXPORT size_t malloc_usable_size(void *p) {
	if (LIKELY(abi_in_hot(p)))
		return tmje_malloc_usable_size(p);
	return usable_size_slow(p, "malloc_usable_size");
}

/* Binaries older than glibc 2.26 call it. */
EXPORT void cfree(void *p) {
	tmje_free(p);
}

/*
 * C23. The size is a promise we could save a look-up with; a program that breaks it unnoticed everywhere else should
 * not lose its data here, so it is ignored, as it is for C++'s sized delete.
 */
EXPORT void free_sized(void *p, size_t size) {
	(void)size;
	tmje_free(p);
}

EXPORT void free_aligned_sized(void *p, size_t alignment, size_t size) {
	(void)alignment;
	(void)size;
	tmje_free(p);
}

/* --- jemalloc's own interface --- */

EXPORT void *rallocx(void *p, size_t size, int flags) {
	if (LIKELY(abi_in_hot(p)))
		return tmje_rallocx(p, size, flags);
	switch (abi_owner_of(p, "rallocx")) {
	case ABI_COLD:
		return cold_rallocx(p, size, flags);
	case ABI_JEMALLOC:
		return tmje_rallocx(p, size, flags);
	default:
		return NULL;
	}
}

EXPORT size_t xallocx(void *p, size_t size, size_t extra, int flags) {
	if (!LIKELY(abi_in_hot(p))) {
		enum abi_owner owner = abi_owner_of(p, "xallocx");
		if (owner != ABI_COLD && owner != ABI_JEMALLOC)
			return 0;
	}
	return tmje_xallocx(p, size, extra, flags);
}

EXPORT size_t sallocx(const void *p, int flags) {
	if (LIKELY(abi_in_hot(p)))
		return tmje_sallocx(p, flags);
	return usable_size_slow(p, "sallocx");
}

static SLOW void dallocx_slow(void *p, int flags, const char *function) {
	if (region_in_heap(p))
		cold_free(p, function);
	else if (abi_owner_of(p, function) == ABI_JEMALLOC)
		tmje_dallocx(p, flags);
}

EXPORT void dallocx(void *p, int flags) {
	if (LIKELY(abi_in_hot(p)))
		tmje_dallocx(p, flags);
	else
		dallocx_slow(p, flags, "dallocx");
}

EXPORT void sdallocx(void *p, size_t size, int flags) {
	if (LIKELY(abi_in_hot(p)))
		tmje_sdallocx(p, size, flags);
	else
		dallocx_slow(p, flags, "sdallocx");
}
