/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Policy: from what is believed about regions to what should be done with them. Pure functions of numbers and of
 * state that the caller owns: no clock, no kernel, no allocation, no lock; any thread. About 10 KiB of stack.
 *
 * A move is made if over the horizon it saves more than its cost, by a margin, even if the region is not as hot as
 * believed:
 *     least heat * gain * horizon > margin * cost        what is moved away counts with the most heat it may have
 * with gains and costs in ns from cost.h, heat in 1/s, the horizon in seconds. There are no thresholds. Beliefs are
 * Gamma distributed, and their bounds quantiles by Wilson and Hilferty, with q = sigma / heat:
 *     heat * (1 - q^2 / 9 -+ z * q / 3)^3
 * where z is the argument `sigmas`, by default 1 + log2(n) / 4. The hottest-looking of n regions is one that looks
 * hotter than it is, by about sqrt(2 ln n) deviations, which this follows from 16 to 65,536 regions.
 *
 *     move           gain                                     cost
 *     PROMOTE_EAGER  gain_node                                cost_move of all pages
 *     PROMOTE_LAZY   gain_node, less gain_huge if it was      cost_lazy, taking its pages away, the split
 *                    on a huge page
 *     DEMOTE         -gain_node                               cost_move, and a collapse if on small pages
 *     COLLAPSE       gain_huge, less page_price for each      cost_collapse
 *                    page to be filled
 *     SPLIT          page_price for each unused page, less    split
 *                    gain_huge
 *
 * gain_huge stands for gain_huge * the share of accesses that miss the TLB, given all that is on small pages.
 *
 * Of lazy and eager the one that leaves more is taken. A promotion without room in the hot tier comes with the
 * demotion of the coldest region there, as a pair that has to pay for both moves; so when what is hot does not fit,
 * or all is equally hot, nothing pays and nothing is moved. Where nodes are alike (gain_node is 0) nothing is
 * promoted, and what pays is collapsing regions that are hot, dense and on small pages, as far as small pages miss
 * the TLB. Moves are ordered by value per cost, and made as long as the budget lasts.
 *
 * What the program says beats heat: TM_HOT regions are promoted and stay, TM_COLD ones are demoted (where nodes are
 * alike: collapsed, if dense) and stay; first of all, whether it pays or not, but within the budget. Pinned regions
 * are never moved.
 *
 * Against going round in circles:
 * - A region that was moved rests for POLICY_REST * horizon. Each time it is moved again within twice its rest and a
 *   horizon, the rest doubles, up to POLICY_BOUNCES times; otherwise it is halved.
 * - The budget is halved each time that the share of accesses served by the hot tier did not rise by at least half of
 *   what was predicted, down to POLICY_GUARD_LEAST. It comes back with each prediction that holds, and by itself,
 *   about doubling every POLICY_GUARD_S seconds.
 */
#ifndef TM_POLICY_H
#define TM_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tiers/cost.h"

#define POLICY_MOVES       64
#define POLICY_MARGIN      2.0  /* usual margin: benefit against cost */
#define POLICY_FILL        64   /* usual limit of pages that a collapse may fill */
#define POLICY_REST        0.25 /* of the horizon */
#define POLICY_BOUNCES     6
#define POLICY_GUARD_LEAST (1.0 / 64)
#define POLICY_GUARD_S     120.0
#define POLICY_NOISE       0.005 /* a smaller predicted rise proves nothing */

enum policy_tier {
	POLICY_HOT,    /* fast node; small pages, unless POLICY_HUGE */
	POLICY_COLD,   /* capacity node, a huge page */
	POLICY_SPARSE, /* capacity node, small pages */
};

#define POLICY_HUGE         1 /* a region of the hot tier on a huge page */
#define POLICY_ADVISED_HOT  2
#define POLICY_ADVISED_COLD 4
#define POLICY_PINNED       8

struct policy_region {
	uint32_t index;          /* the caller's name for it */
	float heat, sigma;       /* 1/s: belief and its standard deviation; not a number: nothing is known */
	float hot_share;         /* share of its pages that is touched within the horizon; < 0: not known */
	uint16_t live, resident; /* pages in use, pages that have memory */
	uint8_t tier, flags;     /* enum policy_tier; POLICY_* */
	uint8_t bounces;         /* kept by policy_moved */
	uint64_t moved_ms;       /* kept by policy_moved; 0: never */
	uint64_t retry_ms;       /* a move was refused: not before this time */
};

enum policy_kind {
	POLICY_PROMOTE_EAGER,
	POLICY_PROMOTE_LAZY,
	POLICY_DEMOTE,
	POLICY_COLLAPSE, /* where it is; with nodes alike a region of the hot tier becomes a cold one */
	POLICY_SPLIT,
};

struct policy_move {
	uint32_t index;
	uint8_t kind;
	float value; /* ns saved per second; below 0 for the demotion that makes room for the promotion after it */
	float cost;  /* ns, waiting threads included */
};

struct policy_plan {
	struct policy_move moves[POLICY_MOVES];
	unsigned count;
	double bytes; /* to be copied */
	double ns;    /* sum of costs */
	double rise;  /* of the share of accesses served by the hot tier, as predicted: for policy_feedback */
};

struct policy_view {
	const struct policy_region *regions;
	size_t count;
	const struct cost_table *costs;
	uint64_t hot_used, hot_limit; /* bytes; a region counts as 2 MiB */
	uint64_t tlb_reach;           /* bytes covered with small pages */
	double horizon;               /* seconds, horizon_estimate */
	double bytes_per_s;           /* budget */
	double cpu_share;             /* budget: of one CPU, 0 to 1 */
	double page_price;            /* what a page of memory is worth, ns/s; 0: memory is plentiful */
	double margin;                /* 0: POLICY_MARGIN */
	double sigmas;                /* 0: by the number of regions */
	unsigned fill_most;           /* 0: the usual one */
	uint64_t now_ms;
};

/* Zero it, or policy_start. */
struct policy_state {
	double bytes, ns;  /* what the budget still allows */
	double guard_lost; /* 1 - the part of the budget that is given */
	uint64_t last_ms;  /* 0: before the first plan */
};
void policy_start(struct policy_state *s);

/*
 * What to do now. The budget fills with time, up to one second's worth or one pair of moves, whichever is more; the
 * first call only starts its clock. What the plan holds is taken off, done or not.
 */
void policy_plan(const struct policy_view *v, struct policy_state *s, struct policy_plan *plan);

/* After a move was made: sets moved_ms and bounces; tier and flags are for the caller to set. */
void policy_moved(struct policy_region *r, uint64_t now_ms, double horizon);
/* Milliseconds a region rests after a move. */
uint64_t policy_rest_ms(const struct policy_region *r, double horizon);

/* The rise of the hot tier's share that was predicted, and that share before and after, each 0 to 1. */
void policy_feedback(struct policy_state *s, double predicted, double before, double after);

/*
 * How long heat lasts. Regions that were hot at one look and are looked at again `seconds` later have stayed hot or
 * not. With exponential lifetimes the estimate of greatest likelihood is time seen hot / times it ended, where an end
 * counts for half of its interval. It begins with HORIZON_PRIOR ends after HORIZON_USUAL seconds. After
 * HORIZON_MEMORY looks everything is halved, the beginning too, so that the estimate follows the program.
 */
#define HORIZON_LEAST  1.0   /* seconds */
#define HORIZON_MOST   600.0 /* seconds */
#define HORIZON_USUAL  10.0  /* seconds, before anything was seen */
#define HORIZON_PRIOR  4.0
#define HORIZON_MEMORY 1024
struct horizon {
	double hot_s, ends;
	unsigned looks;
};
void horizon_start(struct horizon *h);
void horizon_seen(struct horizon *h, double seconds, bool stayed);
/* Seconds, HORIZON_LEAST to HORIZON_MOST. */
double horizon_estimate(const struct horizon *h);

#endif
