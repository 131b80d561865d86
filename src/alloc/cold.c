/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The cold arena class.
 *
 * Its arenas are made at the first cold allocation, with their records kept out of the cold zone. A thread is given
 * one of them, and a cache of three layers: a stack of blocks per small size class here (a few instructions per
 * operation), behind it an explicit jemalloc tcache (fills and flushes in batches), behind that the arena. The plain
 * tcache that malloc uses must never see a cold block, or the next malloc of that size would get it.
 *
 * Any thread. The cache is the thread's own and is given back by a pthread key's destructor; calls made later, from
 * other destructors, go to the arena directly. No lock: arenas are published by compare-and-swap.
 */
#include "alloc/cold.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "alloc/abi.h"
#include "alloc/boot.h"
#include "alloc/options.h"
#include "alloc/report.h"
#include "os/os.h"

#define TABLE_MOST 4096  /* largest size in jemalloc's size-to-class table */
#define SMALL_MOST 32768 /* largest size that is cached here, as in jemalloc's tcache */
#define CLASSES    41    /* size classes up to it in jemalloc 5.3.0 */
#define DEPTH      32    /* blocks kept of one class, fewer of the larger ones */
#define KEEP_BYTES (16 << 10)

struct stack {
	unsigned short used, depth;
	void *block[DEPTH];
};

struct cache {
	int flags; /* MALLOCX_ARENA and MALLOCX_TCACHE */
	unsigned tcache;
	bool has_tcache;
	bool no_tcache; /* one was asked for in vain; not asked for again before the next flush */
	/*
	 * The page map's entries of one GiB of the cold zone, to tell a block's size class. jemalloc's own cache of
	 * the map must not know cold pages, see boot_rtree_lookup.
	 */
	uintptr_t entries_key;
	_Atomic uint64_t *entries;
	struct stack stack[CLASSES];
};

#define ARENAS_MOST   64
#define ARENA_MASK    ((int)(0xfffU << 20)) /* the bits of MALLOCX_ARENA, which dallocx does not take */
#define ENTRIES_SHIFT 30                    /* a leaf of the page map covers 1 GiB */
#define ENTRIES       ((size_t)1 << (ENTRIES_SHIFT - 12))

static _Atomic unsigned arenas[ARENAS_MOST]; /* index + 1; 0: not made yet */
static _Atomic unsigned threads;             /* deals threads out to arenas */
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static bool key_made;

static __thread struct cache *cache __attribute__((tls_model("initial-exec")));
static __thread bool cache_ended __attribute__((tls_model("initial-exec")));

/* jemalloc's size class index for sizes up to SMALL_MOST: four classes to a doubling above 128. */
static inline unsigned class_of(size_t size) {
	if (LIKELY(size <= TABLE_MOST))
		return tmje_sz_size2index_tab[(size + 7) >> 3];
	unsigned lg = 63 - (unsigned)__builtin_clzl(size - 1);
	return 9 + (lg - 7) * 4 + ((unsigned)((size - 1) >> (lg - 2)) & 3);
}

static unsigned arenas_wanted(void) {
	unsigned n = (unsigned)option(cold_arenas);
	if (n == 0) {
		n = os_cpus();
		if (n > 8)
			n = 8;
	}
	return n < ARENAS_MOST ? n : ARENAS_MOST;
}

/* The arena in a slot, made if need be; -1 if that fails. */
static int arena_at(unsigned slot) {
	unsigned have = atomic_load_explicit(&arenas[slot], memory_order_acquire);
	if (have != 0)
		return (int)have - 1;
	struct tmje_arena_config config = {.extent_hooks = &hooks_cold, .metadata_use_hooks = false};
	unsigned made;
	size_t bytes = sizeof(made);
	if (heap.bytes == 0 ||
	    tmje_mallctl("experimental.arenas_create_ext", &made, &bytes, &config, sizeof(config)) != 0)
		return -1;
	if (atomic_compare_exchange_strong(&arenas[slot], &have, made + 1))
		return (int)made;
	return (int)have - 1; /* another thread was faster; the arena made here stays empty */
}

/* An arena for calls without a cache; flags for mallocx, or -1. */
static int flags_without_cache(void) {
	int arena = arena_at(0);
	return arena < 0 ? -1 : MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE;
}

static void stack_flush(struct cache *c, struct stack *s, unsigned keep) {
	/* The oldest go: the newest are the ones still in the processor's cache. */
	unsigned gone = s->used - keep;
	for (unsigned i = 0; i < gone; i++)
		tmje_dallocx(s->block[i], c->flags & ~ARENA_MASK);
	memmove(s->block, s->block + gone, keep * sizeof(s->block[0]));
	s->used = (unsigned short)keep;
}

/*
 * tcache.flush would leave an index that jemalloc fills again at its next use; without memory for that, the use after
 * aborts the program. So a tcache is destroyed, and made again here.
 */
static void tcache_drop(struct cache *c) {
	c->no_tcache = false;
	if (!c->has_tcache)
		return;
	tmje_mallctl("tcache.destroy", NULL, NULL, &c->tcache, sizeof(c->tcache));
	c->has_tcache = false;
	c->flags = (c->flags & ARENA_MASK) | MALLOCX_TCACHE_NONE;
}

static void tcache_take(struct cache *c) {
	size_t bytes = sizeof(c->tcache);
	if (c->no_tcache)
		return;
	c->has_tcache = tmje_mallctl("tcache.create", &c->tcache, &bytes, NULL, 0) == 0;
	c->no_tcache = !c->has_tcache;
	if (c->has_tcache)
		c->flags = (c->flags & ARENA_MASK) | MALLOCX_TCACHE(c->tcache);
}

static void cache_end(void *arg) {
	struct cache *c = arg;
	cache = NULL;
	cache_ended = true;
	for (unsigned i = 0; i < CLASSES; i++)
		stack_flush(c, &c->stack[i], 0);
	tcache_drop(c);
	tmje_free(c);
}

/*
 * jemalloc's child empties its arenas' lists of tcaches and puts back the automatic one of its thread only; an
 * explicit one, destroyed or flushed later, would be taken out of a list that it is not in. It is made again when it
 * is used next.
 */
static void before_fork(void) {
	if (cache != NULL)
		tcache_drop(cache);
}

static void key_make(void) {
	/*
	 * jemalloc's own handler takes its locks, so ours must run before it, which means be registered after it:
	 * jemalloc has started by the time a cold block is asked for.
	 */
	pthread_atfork(before_fork, NULL, NULL);
	key_made = pthread_key_create(&key, cache_end) == 0;
}

static bool fills_blocks(void) {
	bool zero = false;
	const char *junk = NULL;
	size_t zero_bytes = sizeof(zero), junk_bytes = sizeof(junk);
	tmje_mallctl("opt.zero", &zero, &zero_bytes, NULL, 0);
	tmje_mallctl("opt.junk", &junk, &junk_bytes, NULL, 0);
	return zero || (junk != NULL && strcmp(junk, "false") != 0);
}

/* This thread's cache, made at its first cold allocation; NULL if there can be none. */
static SLOW struct cache *cache_make(void) {
	if (cache_ended)
		return NULL;
	pthread_once(&key_once, key_make);
	unsigned slot = atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % arenas_wanted();
	int arena = arena_at(slot);
	if (!key_made || arena < 0)
		return NULL;
	struct cache *c = tmje_calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->flags = MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE;
	tcache_take(c);
	/* What MALLOC_CONF=zero:true and junk promise for every block is jemalloc's to do. */
	for (size_t size = 8; !fills_blocks() && size <= SMALL_MOST; size = tmje_nallocx(size + 1, 0)) {
		size_t depth = KEEP_BYTES / size;
		c->stack[class_of(size)].depth = (unsigned short)(depth < 4 ? 4 : depth < DEPTH ? depth : DEPTH);
	}
	if (pthread_setspecific(key, c) != 0) {
		/* Without the destructor the cached blocks would be lost with the thread. */
		tcache_drop(c);
		tmje_free(c);
		return NULL;
	}
	return cache = c;
}

static SLOW void *malloc_slow(size_t size, int extra) {
	struct cache *c = cache != NULL ? cache : cache_make();
	if (size == 0)
		size = 1;
	if (c != NULL && !c->has_tcache)
		tcache_take(c);
	int flags = c != NULL ? c->flags : flags_without_cache();
	/* No cold arena to be had: hot memory is better than none. */
	return tmje_mallocx(size, flags == -1 ? extra : flags | extra);
}

static inline void *stack_pop(size_t size) {
	struct cache *c = cache;
	if (LIKELY(c != NULL && size <= SMALL_MOST)) {
		struct stack *s = &c->stack[class_of(size)];
		if (LIKELY(s->used > 0))
			return s->block[--s->used];
	}
	return NULL;
}

void *cold_malloc(size_t size) {
	void *p = stack_pop(size);
	return LIKELY(p != NULL) ? p : malloc_slow(size, 0);
}

void *cold_calloc(size_t bytes) {
	void *p = stack_pop(bytes);
	return p != NULL ? memset(p, 0, bytes) : malloc_slow(bytes, MALLOCX_ZERO);
}

void *cold_memalign(size_t alignment, size_t size) {
	return malloc_slow(size, MALLOCX_LG_ALIGN(__builtin_ctzl(alignment)));
}

static SLOW uint64_t entry_find(struct cache *c, const void *p) {
	_Atomic uint64_t *entry = abi_page_entry(p);
	if (entry == NULL)
		return 0;
	if (c != NULL) {
		c->entries_key = (uintptr_t)p >> ENTRIES_SHIFT;
		c->entries = entry - ((uintptr_t)p / OS_PAGE % ENTRIES);
	}
	return atomic_load_explicit(entry, memory_order_relaxed);
}

static SLOW void free_slow(struct cache *c, void *p, uint64_t entry, const char *function) {
	unsigned class = ENTRY_CLASS(entry);
	if (!ENTRY_KNOWN(entry)) {
		report_foreign(function, p);
	} else if (c == NULL) {
		/* Only threads that allocate cold blocks keep some. */
		tmje_dallocx(p, MALLOCX_TCACHE_NONE);
	} else if (class < CLASSES && c->stack[class].depth > 0) {
		struct stack *s = &c->stack[class];
		stack_flush(c, s, s->used / 2);
		s->block[s->used++] = p;
	} else {
		tmje_dallocx(p, c->flags & ~ARENA_MASK);
	}
}

void cold_free(void *p, const char *function) {
	struct cache *c = cache;
	uint64_t entry;
	if (LIKELY(c != NULL && (uintptr_t)p >> ENTRIES_SHIFT == c->entries_key))
		entry = atomic_load_explicit(&c->entries[(uintptr_t)p / OS_PAGE % ENTRIES], memory_order_relaxed);
	else
		entry = entry_find(c, p);
	if (LIKELY(c != NULL && ENTRY_CLASS(entry) < CLASSES && ENTRY_KNOWN(entry))) {
		struct stack *s = &c->stack[ENTRY_CLASS(entry)];
		if (LIKELY(s->used < s->depth)) {
			s->block[s->used++] = p;
			return;
		}
	}
	free_slow(c, p, entry, function);
}

void *cold_rallocx(void *p, size_t size, int flags) {
	struct cache *c = cache != NULL ? cache : cache_make();
	int own = c != NULL ? c->flags : flags_without_cache();
	if (own == -1)
		own = MALLOCX_TCACHE_NONE;
	/* Alignment and zeroing are the caller's; arena and tcache have to be the cold ones. */
	return tmje_rallocx(p, size, (flags & 0xff) | own);
}

void *cold_realloc(void *p, size_t size) {
	if (size == 0) {
		cold_free(p, "realloc");
		return NULL;
	}
	void *moved = cold_rallocx(p, size, 0);
	if (moved == NULL)
		errno = ENOMEM;
	return moved;
}

void cold_flush(void) {
	struct cache *c = cache;
	if (c == NULL)
		return;
	for (unsigned i = 0; i < CLASSES; i++)
		stack_flush(c, &c->stack[i], 0);
	tcache_drop(c);
}
