/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cost models: what moving memory costs and what it saves. Pure functions of numbers: no clock, no kernel, no state,
 * no allocation, no libm; any thread, inside a hook too. The keeper, `tiermalloc doctor` and the tests call the same
 * ones.
 *
 * Units: costs and gains are nanoseconds; gains are saved per access. Rates are accesses per second, horizons
 * seconds, shares 0 to 1. A page is 4 KiB, a region COST_PAGES of them. Arguments outside their range are taken as
 * the nearest end of it, and what is not a number as 0, so that no result is negative or not a number.
 *
 * Accesses are taken to be a Poisson process: in a time t a page with rate r is met at least once with the chance
 * 1 - exp(-r t). That is the only assumption about programs in here; real ones come in bursts, which makes the chance
 * smaller and a move cheaper than said.
 */
#ifndef TM_COST_H
#define TM_COST_H

#include <stddef.h>
#include <stdint.h>

#define COST_PAGES 512

struct cost_table {
#define COST(name, usual, least, most, what) double name;
#include "tiers/cost.def"
#undef COST
};

enum cost_id {
#define COST(name, usual, least, most, what) COST_##name,
#include "tiers/cost.def"
#undef COST
	COST_COUNT
};

/* A line of cost.def. */
struct cost_info {
	const char *name;
	size_t offset; /* in struct cost_table */
	double usual, least, most;
	const char *what;
};
extern const struct cost_info cost_infos[COST_COUNT] __attribute__((visibility("hidden")));

/* All defaults. */
void cost_usual(struct cost_table *t);
/* One field by its number. */
double *cost_field(struct cost_table *t, enum cost_id id);

/* 1 - exp(-x), for x >= 0: the chance of at least one event where x are expected. Relative error below 1e-9. */
double cost_chance(double x);

/*
 * Disturbing one page with rate `rate` by a move that lasts `window` ns:
 *     copy_page + chance(rate * window) * fault_wait
 * The stall is counted once: what waits longer than one fault does not access meanwhile.
 */
double cost_disturb(const struct cost_table *t, double rate, double window);

/*
 * Moving `pages` pages to other frames. Lazily, when each is first accessed, which a share `share` of them will be:
 *     lazy = share * pages * (copy_page + fault_lazy)        eager = pages * copy_page
 * Lazy is cheaper while share < cost_lazy_share = copy_page / (copy_page + fault_lazy), which is the same as
 * fault_lazy < copy_page * (1 - share) / share. Eager copies all at once; lazy is spread out over the first accesses.
 */
double cost_lazy(const struct cost_table *t, double pages, double share);
double cost_eager(const struct cost_table *t, double pages);
double cost_lazy_share(const struct cost_table *t);

/*
 * A huge region on the capacity node, a share `share` of whose pages is hot, goes to the fast node page by page,
 * split, or whole. `accesses` are those expected over the horizon (rate * horizon); whole, they keep the huge page's
 * gain. `room` is what one page of room on the fast node is worth, ns; 0 while there is plenty. parts = split + share
 * * P * (copy_page + fault_lazy + room) + accesses * gain_huge whole = P * (copy_page + room) P = COST_PAGES Parts
 * are cheaper while share < cost_split_share, the share at which both are equal, limited to 0 to 1.
 */
double cost_parts(const struct cost_table *t, double share, double accesses, double room);
double cost_whole(const struct cost_table *t, double room);
double cost_split_share(const struct cost_table *t, double accesses, double room);

/* Benefit of saving `gain` ns at each of rate * horizon accesses: rate * gain * horizon, ns. */
double cost_benefit(double rate, double gain, double horizon);

/*
 * Which part of the accesses to small pages a TLB misses that covers `reach` of the `active` bytes in use, evenly:
 *     1 - reach / active, 0 if all fit
 * Uneven access hits more, so this is the most a huge page can win, in units of gain_huge.
 */
double cost_tlb_misses(double active, double reach);

/*
 * Collapsing a region in place, `missing` of whose pages are not there and have to be filled:
 *     collapse + missing * fault_small + chance(rate * collapse) * collapse
 * The last term: a thread that needs the region meanwhile waits, at the most, as long as it takes. Several threads
 * that wait at once are counted as one.
 */
double cost_collapse(const struct cost_table *t, double rate, double missing);

/*
 * Moving a region between nodes in one call (move_pages), `pages` pages with rate `rate` on all of them:
 *     eager + chance(rate * eager) * fault_wait
 * The kernel takes pages one after the other, so an access waits for one page and not for the region.
 */
double cost_move(const struct cost_table *t, double pages, double rate);

/*
 * Rate from which on collapsing a full region pays, 1/s: the one root of
 *     rate * gain * horizon = margin * cost_collapse(rate, 0)
 * by bisection to 1e-6 of itself. Infinity (a huge number, 1e300) if gain or horizon is 0.
 */
#define COST_NEVER 1e300
double cost_collapse_rate(const struct cost_table *t, double gain, double horizon, double margin);
/* The same for a move of a whole region from node to node. */
double cost_move_rate(const struct cost_table *t, double gain, double horizon, double margin);

/*
 * The car park: of several ranges of COST_PAGES pages that could each become a huge page, the one whose cars are
 * cheapest to drive out. A range costs the disturbance of each resident page during the collapse, and a fill for each
 * missing page:
 *     sum over resident pages of cost_disturb(rate of the page, collapse) + missing * fault_small
 */
struct cost_range {
	unsigned resident, missing; /* pages */
	const float *rates;         /* of the resident pages; NULL: all have `rate` */
	float rate;
};
double cost_range(const struct cost_table *t, const struct cost_range *range);
/* Its number, the first of several that are equal; SIZE_MAX if count is 0. */
size_t cost_choose(const struct cost_table *t, const struct cost_range *ranges, size_t count);

#endif
