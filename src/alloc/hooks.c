/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jemalloc's extent hooks: the meeting point of its arenas and our regions.
 *
 * Called by jemalloc on any thread, alloc and commit with the arena's growth mutex held, so: no allocation, no lock,
 * no libc but src/os. A hook returns false for success, as jemalloc's contract has it.
 *
 * alloc hands out address space only (*commit stays false); memory comes and goes by commit and decommit, which tell
 * the region table which pages are in use. Purging is not offered: it would leave pages "in use" without content.
 * Extents outside the zones are jemalloc's own mappings, taken when a zone is full; they keep jemalloc's ways.
 */
#include <sys/mman.h>

#include "alloc/boot.h"
#include "os/os.h"
#include "tiers/region_table.h"

/*
 * This thread's last commit failed. jemalloc answers that by asking for another head, which would fail in the same
 * way and cost address space and 2 MiB of its page map for good.
 */
static __thread bool commit_refused __attribute__((tls_model("initial-exec")));

static void *hook_alloc(
    extent_hooks_t *hooks, void *new_addr, size_t size, size_t alignment, bool *zero, bool *commit, unsigned arena) {
	(void)arena;
	if (new_addr != NULL)
		return NULL; /* growing in place happens inside a head, without this hook */
	if (!*commit && commit_refused) {
		commit_refused = false;
		return NULL;
	}
	enum tm_tier class = hooks == &hooks_cold ? TM_COLD : TM_HOT;
	/*
	 * Less than a region is asked for when a whole head was refused; a region each for such extents would use up
	 * what is left of the zone for nothing.
	 */
	void *p = size >= TM_REGION_BYTES ? region_carve(class, size, alignment) : NULL;
	if (p != NULL && *commit && region_commit(p, size) != 0) {
		/* All that was carved, the rounding included. */
		region_uncarve(p, (size + TM_REGION_BYTES - 1) & ~(TM_REGION_BYTES - 1));
		p = NULL;
	}
	if (p != NULL) {
		*zero = true;
		return p;
	}
	p = tmje_extent_alloc_mmap(NULL, size, alignment, zero, commit);
	if (p != NULL)
		count_add(&tm_process.overflow, size);
	return p;
}

static void hook_destroy(extent_hooks_t *hooks, void *addr, size_t size, bool committed, unsigned arena) {
	(void)hooks;
	(void)arena;
	if (!region_in_heap(addr)) {
		os_unmap(addr, size);
		count_sub(&tm_process.overflow, size);
		return;
	}
	if (committed)
		region_decommit(addr, size);
	region_uncarve(addr, size);
}

static bool hook_commit(
    extent_hooks_t *hooks, void *addr, size_t size, size_t offset, size_t length, unsigned arena) {
	(void)hooks;
	(void)size;
	(void)arena;
	char *p = (char *)addr + offset;
	commit_refused = (region_in_heap(p) ? region_commit(p, length) : os_allow(p, length)) != 0;
	return commit_refused;
}

static bool hook_decommit(
    extent_hooks_t *hooks, void *addr, size_t size, size_t offset, size_t length, unsigned arena) {
	(void)hooks;
	(void)size;
	(void)arena;
	char *p = (char *)addr + offset;
	if (!region_in_heap(p))
		return true;
	region_decommit(p, length);
	return false;
}

static bool hook_purge_forced(
    extent_hooks_t *hooks, void *addr, size_t size, size_t offset, size_t length, unsigned arena) {
	(void)hooks;
	(void)size;
	(void)arena;
	char *p = (char *)addr + offset;
	if (region_in_heap(p) || os_advise(p, length, MADV_DONTNEED) != 0)
		return true;
	count_add(&tm_process.returned, length);
	return false;
}

static bool hook_split(
    extent_hooks_t *hooks, void *addr, size_t size, size_t size_a, size_t size_b, bool committed, unsigned arena) {
	(void)hooks;
	(void)addr;
	(void)size;
	(void)size_a;
	(void)size_b;
	(void)committed;
	(void)arena;
	return false;
}

static bool hook_merge(
    extent_hooks_t *hooks, void *a, size_t size_a, void *b, size_t size_b, bool committed, unsigned arena) {
	(void)hooks;
	(void)size_a;
	(void)size_b;
	(void)committed;
	(void)arena;
	/* jemalloc merges inside a head only; this guards the border between a zone and a mapping beside it. */
	return region_in_heap(a) != region_in_heap(b);
}

#define HOOKS                                                                                                   \
	{                                                                                                       \
		.alloc = hook_alloc, .destroy = hook_destroy, .commit = hook_commit, .decommit = hook_decommit, \
		.purge_forced = hook_purge_forced, .split = hook_split, .merge = hook_merge,                    \
	}

extent_hooks_t hooks_hot = HOOKS;
extent_hooks_t hooks_cold = HOOKS;
