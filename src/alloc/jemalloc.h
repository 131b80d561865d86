/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The embedded jemalloc 5.3.0, whose global names all carry the prefix tmje_ (see mk/jemalloc.mk).
 *
 * First its public interface, then the few private names tiermalloc takes the place of or calls. They are pinned by
 * the archive that is linked in; the build stops with a message when one is missing.
 */
#ifndef TM_JEMALLOC_H
#define TM_JEMALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct extent_hooks_s extent_hooks_t;
struct extent_hooks_s {
	void *(*alloc)(extent_hooks_t *, void *new_addr, size_t size, size_t alignment, bool *zero, bool *commit,
	    unsigned arena);
	bool (*dalloc)(extent_hooks_t *, void *addr, size_t size, bool committed, unsigned arena);
	void (*destroy)(extent_hooks_t *, void *addr, size_t size, bool committed, unsigned arena);
	bool (*commit)(extent_hooks_t *, void *addr, size_t size, size_t offset, size_t length, unsigned arena);
	bool (*decommit)(extent_hooks_t *, void *addr, size_t size, size_t offset, size_t length, unsigned arena);
	bool (*purge_lazy)(extent_hooks_t *, void *addr, size_t size, size_t offset, size_t length, unsigned arena);
	bool (*purge_forced)(extent_hooks_t *, void *addr, size_t size, size_t offset, size_t length, unsigned arena);
	bool (*split)(
	    extent_hooks_t *, void *addr, size_t size, size_t size_a, size_t size_b, bool committed, unsigned arena);
	bool (*merge)(
	    extent_hooks_t *, void *a, size_t size_a, void *b, size_t size_b, bool committed, unsigned arena);
};

#define MALLOCX_LG_ALIGN(la) ((int)(la))
#define MALLOCX_ZERO         ((int)0x40)
#define MALLOCX_TCACHE(tc)   ((int)(((tc) + 2) << 8))
#define MALLOCX_TCACHE_NONE  MALLOCX_TCACHE(-1)
#define MALLOCX_ARENA(a)     ((((int)(a)) + 1) << 20)
#define MALLCTL_ARENAS_ALL   "4096"

#pragma GCC visibility push(hidden)

void *tmje_malloc(size_t size);
void *tmje_calloc(size_t count, size_t size);
void *tmje_realloc(void *p, size_t size);
void tmje_free(void *p);
int tmje_posix_memalign(void **out, size_t alignment, size_t size);
void *tmje_aligned_alloc(size_t alignment, size_t size);
void *tmje_memalign(size_t alignment, size_t size);
void *tmje_valloc(size_t size);
size_t tmje_malloc_usable_size(const void *p);
void *tmje_mallocx(size_t size, int flags);
void *tmje_rallocx(void *p, size_t size, int flags);
size_t tmje_xallocx(void *p, size_t size, size_t extra, int flags);
size_t tmje_sallocx(const void *p, int flags);
void tmje_dallocx(void *p, int flags);
void tmje_sdallocx(void *p, size_t size, int flags);
size_t tmje_nallocx(size_t size, int flags);
int tmje_mallctl(const char *name, void *old, size_t *old_size, void *new, size_t new_size);
int tmje_mallctlnametomib(const char *name, size_t *mib, size_t *length);
int tmje_mallctlbymib(const size_t *mib, size_t length, void *old, size_t *old_size, void *new, size_t new_size);
void tmje_malloc_stats_print(void (*write)(void *, const char *), void *arg, const char *options);

/* Built-in options: the MALLOC_CONF environment variable overrides the first, the second overrides that. */
extern const char *tmje_malloc_conf;
extern const char *tmje_malloc_conf_2_conf_harder;

/* --- private names --- */

/* The first step of jemalloc's start-up that maps memory, and the base allocator of arena 0 it makes. */
bool tmje_base_boot(void *tsdn);
void *tmje_b0get(void);
extent_hooks_t *tmje_base_extent_hooks_set(void *base, extent_hooks_t *hooks);

/* How arenas are made when nobody says otherwise: include/jemalloc/internal/arena_types.h. */
struct tmje_arena_config {
	extent_hooks_t *extent_hooks;
	bool metadata_use_hooks;
};
extern const extent_hooks_t tmje_ehooks_default_extent_hooks;

/* Sizes of successive heads of an arena, as page size classes: include/jemalloc/internal/exp_grow.h. */
struct tmje_exp_grow {
	unsigned next, limit;
};
void tmje_exp_grow_init(struct tmje_exp_grow *grow);

/* jemalloc's own way to map memory: what a heap without room in its reservation falls back to. */
void *tmje_extent_alloc_mmap(void *new_addr, size_t size, size_t alignment, bool *zero, bool *commit);

/* From which size on a freed block is returned at once; arena 0 copies it at start-up. */
extern size_t tmje_oversize_threshold;

/* Page to size class for sizes to 4096: index with (size + 7) / 8. */
extern const uint8_t tmje_sz_size2index_tab[];

/* A look into the page map that gives NULL for memory jemalloc does not know, where its public calls would crash. */
void *tmje_rtree_leaf_elm_lookup_hard(
    void *tsdn, void *rtree, void *context, uintptr_t key, bool dependent, bool init_missing);
extern char tmje_arena_emap_global[];

/* The rest of free, for everything its inlined fast path does not do. */
void tmje_free_default(void *p);

/* Gives a thread its arena, making one if need be; NULL if there is no memory for it, which its callers do not
 * expect. */
void *tmje_arena_choose_hard(void *tsd, bool internal);
/* Gives a thread its tcache and switches it on, even if there was no memory for it. Always false. */
bool tmje_tsd_tcache_enabled_data_init(void *tsd);
/* Blocks of the first arena, without a tcache. */
void *tmje_a0malloc(size_t size);
void tmje_a0dalloc(void *p);
/* All arenas by index; the first is made at start-up. */
extern void *_Atomic tmje_arenas[];

/*
 * The last resort for an extent, after everything freed was looked through: memory not in use so far. The first field
 * of ehooks is the index of the arena. Callers hold no lock of the arena.
 */
void *tmje_ecache_alloc_grow(void *tsdn, void *pac, void *ehooks, void *ecache, void *expand, size_t size,
    size_t alignment, bool zero, bool guarded);
/* Gives back, with `all`, everything of the arena that was freed. */
void tmje_arena_decay(void *tsdn, void *arena, bool background, bool all);

/* --- what tiermalloc puts in the place of private names --- */

bool boot_base(void *tsdn);                        /* for base_boot */
void boot_exp_grow(struct tmje_exp_grow *grow);    /* for exp_grow_init */
extern struct tmje_arena_config boot_arena_config; /* for arena_config_default */
void *boot_arena_choose(void *tsd, bool internal); /* for arena_choose_hard */
bool boot_tcache_init(void *tsd);                  /* for tsd_tcache_enabled_data_init */
void boot_free_default(void *p);                   /* for free_default; in abi.c */
/* for ecache_alloc_grow; in peak.c */
void *boot_ecache_grow(void *tsdn, void *pac, void *ehooks, void *ecache, void *expand, size_t size, size_t alignment,
    bool zero, bool guarded);
/* for rtree_leaf_elm_lookup_hard; in abi.c */
void *boot_rtree_lookup(void *tsdn, void *rtree, void *context, uintptr_t key, bool dependent, bool init_missing);

#pragma GCC visibility pop

#endif
