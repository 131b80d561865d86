/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiermalloc's own calls. Any thread; see include/tiermalloc.h for their contracts.
 */
#include "tiermalloc.h"

#include <errno.h>
#include <string.h>

#include "alloc/abi.h"
#include "alloc/cold.h"
#include "tiers/pager.h"
#include "tiers/probe.h"
#include "tiers/region_table.h"

static bool tier_valid(enum tm_tier tier) {
	if (tier == TM_HOT || tier == TM_COLD)
		return true;
	errno = EINVAL;
	return false;
}

EXPORT void *tm_malloc(size_t size, enum tm_tier tier) {
	if (LIKELY(tier == TM_COLD))
		return or_enomem(cold_malloc(size));
	return tier_valid(tier) ? tmje_malloc(size) : NULL;
}

EXPORT void *tm_calloc(size_t count, size_t size, enum tm_tier tier) {
	size_t bytes;
	if (!tier_valid(tier))
		return NULL;
	if (tier == TM_HOT)
		return tmje_calloc(count, size);
	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return or_enomem(cold_calloc(bytes));
}

EXPORT void *tm_memalign(size_t alignment, size_t size, enum tm_tier tier) {
	if (!tier_valid(tier))
		return NULL;
	if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
		errno = EINVAL;
		return NULL;
	}
	if (size == 0)
		size = 1; /* jemalloc does not align nothing */
	return or_enomem(tier == TM_HOT ? tmje_memalign(alignment, size) : cold_memalign(alignment, size));
}

EXPORT void *tm_realloc(void *p, size_t size, enum tm_tier tier) {
	if (!tier_valid(tier))
		return NULL;
	if (p == NULL)
		return tm_malloc(size, tier);
	if (size == 0) {
		tmje_free(p);
		return NULL;
	}
	bool cold = !abi_in_hot(p) && region_in_heap(p);
	if (cold == (tier == TM_COLD) || (!abi_in_hot(p) && !cold))
		return realloc(p, size);
	void *moved = tm_malloc(size, tier);
	if (moved == NULL)
		return NULL;
	size_t have = malloc_usable_size(p);
	memcpy(moved, p, have < size ? have : size);
	tmje_free(p);
	return moved;
}

EXPORT void tm_free(void *p) {
	tmje_free(p);
}

EXPORT enum tm_tier tm_tier_of(const void *p) {
	return region_tier_of(p);
}

EXPORT int tm_heat(const void *p, struct tm_heat *out) {
	if (out == NULL)
		return -EINVAL;
	*out = (struct tm_heat){.threshold = probe_threshold()};
	if (region_tier_of(p) == TM_NONE || !probe_heat(region_index(p), &out->rate, &out->sigma))
		return -ENODATA;
	return 0;
}

EXPORT void tm_quiesce(void) {
	pager_quiesce();
}

EXPORT void tm_resume(void) {
	pager_resume();
}

#define TEXT_OF(x)                        #x
#define VERSION_TEXT(major, minor, patch) TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

EXPORT const char *tm_version(void) {
	return VERSION_TEXT(TM_VERSION_MAJOR, TM_VERSION_MINOR, TM_VERSION_PATCH);
}
