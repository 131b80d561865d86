/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Start-up: from the first call of any allocation function, on whatever thread and before any constructor.
 *
 * jemalloc's own start-up calls boot_base in the place of its base_boot, holding its init lock: options are read, the
 * zones reserved, and arena 0 and all arenas made later get our hooks before any of them has taken memory. So every
 * block of the program, the first included, lies in a zone. Nothing here allocates or uses stdio.
 *
 * The private names of jemalloc this relies on are listed in jemalloc.h; the alternative, writing
 * arena.<i>.extent_hooks after start-up, would create all arenas in every small process and still leave the first
 * blocks outside the zones.
 */
#include "alloc/boot.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "alloc/jemalloc.h"
#include "alloc/options.h"
#include "alloc/report.h"
#include "os/os.h"
#include "tiers/birth.h"
#include "tiers/keeper.h"
#include "tiers/pager.h"
#include "tiers/region.h"

/*
 * oversize_threshold:0: large blocks stay in the arena of their thread. jemalloc's separate arena for them returns
 * every freed block at once, a page fault per page.
 *
 * lg_extent_max_active_fit:18: any dirty range may be split for a smaller block. Inside our large heads freed ranges
 * merge into few, very large ones, and the default would go for fresh memory instead.
 *
 * trust_madvise:true: no check at start-up that MADV_DONTNEED zeroes. It crashes when it cannot map a page.
 *
 * muzzy_decay_ms:0, jemalloc's default: unused memory goes from dirty straight to our decommit. dirty_decay_ms stays
 * at its 10 s: what is freed and not reused within that time is returned. retain_grow_limit is set for each arena by
 * boot_exp_grow: heads are address space only.
 */
const char *tmje_malloc_conf = "oversize_threshold:0,lg_extent_max_active_fit:18,muzzy_decay_ms:0,trust_madvise:true";
/* Stronger than MALLOC_CONF: without retained heads every slab would be a region of its own. */
const char *tmje_malloc_conf_2_conf_harder = "retain:true";

struct tmje_arena_config boot_arena_config = {
    .extent_hooks = (extent_hooks_t *)&tmje_ehooks_default_extent_hooks,
    .metadata_use_hooks = true,
};

#define RESERVE_MOST ((uint64_t)1 << 44)

static size_t boot_reserve(uint64_t memory) {
	uint64_t bytes = option(reserve), limit = os_address_limit();
	if (bytes == OPTION_AUTO) {
		bytes = memory * 64;
		if (bytes < RESERVE_AMPLE)
			bytes = RESERVE_AMPLE;
		if (bytes > RESERVE_MOST)
			bytes = RESERVE_MOST;
	}
	if (limit != UINT64_MAX) {
		/* Stacks, files and jemalloc's records need room as well; beyond the zones the heap shares it. */
		uint64_t used = os_address_used();
		uint64_t room = limit > used ? (limit - used) / 4 : 0;
		if (bytes > room)
			bytes = room;
	}
	return bytes;
}

static void boot_log(const struct region_config *config, int failed) {
	char line[256];
	struct text out = text_in(line, sizeof(line));
	text_add(&out, "version ");
	text_add(&out, tm_version());
	if (failed) {
		text_add(&out, ": no address space for the zones; running as plain jemalloc");
	} else {
		text_add(&out, ": hot tier ");
		text_add_size(&out, config->hot_limit);
		text_add(&out, option(hot_bytes) == OPTION_AUTO ? " (auto)" : "");
		text_add(&out, ", reserved ");
		text_add_size(&out, heap.bytes);
		text_add(&out, config->huge ? ", huge pages for the cold tier" : ", no huge pages (thp:never)");
		if (config->strict)
			text_add(&out, ", strict overcommit");
	}
	text_end(&out);
	report_info(line);
}

static void boot_zones(void) {
	char buf[16];
	uint64_t memory = os_memory_bytes();

	options_reset();
	const char *conf = secure_getenv("TIERMALLOC_CONF");
	if (conf != NULL && options_parse(conf, memory, report_error) > 0 && option(abort_conf))
		os_abort();
	struct region_config config = {
	    .reserve = boot_reserve(memory),
	    .hot_limit = option(hot_bytes) == OPTION_AUTO ? birth_hot_bytes() : option(hot_bytes),
	    .cold_waste = (unsigned)option(cold_waste),
	    .start_bytes = option(keeper) ? option(start_bytes) : UINT64_MAX,
	    .keeper_cpu = (unsigned)option(keeper_cpu),
	    .huge = option(thp) != OPTION_THP_NEVER,
	    .sense = option(sensor) != OPTION_SENSOR_NONE,
	    .sense_cpu = (unsigned)option(sense_cpu),
	    .strict = os_data_limit() != UINT64_MAX ||
		(os_read_file("/proc/sys/vm/overcommit_memory", buf, sizeof(buf)) > 0 && buf[0] == '2'),
	};
	/* Where address space is charged, the room for regions that are away would be missing for the program. */
	config.sense = config.sense && !config.strict;
	int failed = region_init(&config);
	boot_log(&config, failed);
	if (failed == 0)
		boot_arena_config =
		    (struct tmje_arena_config){.extent_hooks = &hooks_hot, .metadata_use_hooks = false};
}

bool boot_base(void *tsdn) {
	boot_zones();
	/*
	 * The option oversize_threshold:0 reaches arenas made later. Arena 0 is set up before jemalloc looks at it,
	 * and would return every freed block from 8 MiB on at once.
	 */
	tmje_oversize_threshold = PTRDIFF_MAX;
	if (tmje_base_boot(tsdn))
		return true;
	if (heap.bytes != 0)
		tmje_base_extent_hooks_set(tmje_b0get(), &hooks_hot);
	return false;
}

void *boot_arena_choose(void *tsd, bool internal) {
	void *arena = tmje_arena_choose_hard(tsd, internal);
	/* Out of memory for a new arena: the thread uses the first one this time, and asks again the next. */
	return arena != NULL ? arena : atomic_load_explicit(&tmje_arenas[0], memory_order_acquire);
}

#define TCACHE_MOST 40960 /* more than a thread's tcache takes: 20 to 32 KiB */

bool boot_tcache_init(void *tsd) {
	/* If there is no memory for a tcache jemalloc would use it all the same. Without one the thread is only slow.
	 */
	void *room = tmje_a0malloc(TCACHE_MOST);
	if (room == NULL)
		return false;
	tmje_a0dalloc(room);
	return tmje_tsd_tcache_enabled_data_init(tsd);
}

/* Page size classes, four to a doubling: from jemalloc's first head of 2 MiB to one of `bytes`. */
static unsigned head_steps(size_t bytes) {
	return bytes > TM_REGION_BYTES ? 4 * (unsigned)(63 - __builtin_clzl(bytes) - REGION_SHIFT) : 0;
}

#define HEAD_FIRST (UINT64_C(1) << 30)

void boot_exp_grow(struct tmje_exp_grow *grow) {
	tmje_exp_grow_init(grow);
	if (heap.hot_bytes == 0)
		return;
	/*
	 * A head is address space only, memory comes by the region; and free ranges merge inside a head, never across
	 * two. So heads are large from the first one on, where the reservation has room for one per arena. In a small
	 * reservation they stay small, or the last one asked for would not fit and leave much of it unused.
	 */
	unsigned first = grow->next;
	grow->limit = first + head_steps(heap.hot_bytes / 64);
	if (heap.hot_bytes >= RESERVE_AMPLE)
		grow->next = first + head_steps(HEAD_FIRST);
}

static void boot_after_fork_parent(void) {
	pager_after_fork_parent();
	keeper_after_fork_parent();
}

static void boot_after_fork_child(void) {
	region_after_fork();
	pager_after_fork_child();
	keeper_after_fork_child();
}

__attribute__((constructor(101))) static void boot_constructor(void) {
	/* A first allocation, so that start-up is over before the program makes threads; and the fork handler. */
	tmje_free(tmje_malloc(1));
	pthread_atfork(pager_hold, boot_after_fork_parent, boot_after_fork_child);
}

__attribute__((destructor(101))) static void boot_destructor(void) {
	if (option(stats_print))
		stats_report();
}
