/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Cost models; the formulas are in cost.h. Runs on any thread. Nothing here may use libm, which the unit tests and
 * the command are not linked with, keep state, or look at the machine.
 */
#include "tiers/cost.h"

const struct cost_info cost_infos[COST_COUNT] = {
#define COST(name, usual, least, most, what) {#name, offsetof(struct cost_table, name), usual, least, most, what},
#include "tiers/cost.def"
#undef COST
};

double *cost_field(struct cost_table *t, enum cost_id id) {
	return (double *)(void *)((char *)t + cost_infos[id].offset);
}

void cost_usual(struct cost_table *t) {
	for (int i = 0; i < COST_COUNT; i++)
		*cost_field(t, (enum cost_id)i) = cost_infos[i].usual;
}

/* The comparisons are false for what is not a number. */
static double positive(double x) {
	return x > 0 ? x : 0;
}

static double share_of(double x) {
	return x > 0 ? (x < 1 ? x : 1) : 0;
}

static double pages_of(double x) {
	return x > 0 ? (x < COST_PAGES ? x : COST_PAGES) : 0;
}

double cost_chance(double x) {
	unsigned halved = 0;

	x = positive(x);
	if (x > 40)
		return 1;
	while (x > 0.02) {
		x /= 2;
		halved++;
	}
	/* The series, cut where the next term is below 1e-11 of p; then chance(2x) = chance(x) * (2 - chance(x)). */
	double p = x * (1 - x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5))));
	while (halved-- > 0)
		p *= 2 - p;
	return p;
}

static double chance_within(double rate, double window) {
	return cost_chance(positive(rate) * positive(window) * 1e-9);
}

double cost_disturb(const struct cost_table *t, double rate, double window) {
	return t->copy_page + chance_within(rate, window) * t->fault_wait;
}

double cost_lazy(const struct cost_table *t, double pages, double share) {
	return share_of(share) * positive(pages) * (t->copy_page + t->fault_lazy);
}

double cost_eager(const struct cost_table *t, double pages) {
	return positive(pages) * t->copy_page;
}

double cost_lazy_share(const struct cost_table *t) {
	return t->copy_page > 0 ? t->copy_page / (t->copy_page + t->fault_lazy) : 0;
}

double cost_parts(const struct cost_table *t, double share, double accesses, double room) {
	return t->split + share_of(share) * COST_PAGES * (t->copy_page + t->fault_lazy + positive(room)) +
	    positive(accesses) * t->gain_huge;
}

double cost_whole(const struct cost_table *t, double room) {
	return COST_PAGES * (t->copy_page + positive(room));
}

double cost_split_share(const struct cost_table *t, double accesses, double room) {
	double page = t->copy_page + t->fault_lazy + positive(room);
	return page > 0 ? share_of((cost_whole(t, room) - cost_parts(t, 0, accesses, 0)) / (COST_PAGES * page)) : 0;
}

double cost_benefit(double rate, double gain, double horizon) {
	return positive(rate) * positive(gain) * positive(horizon);
}

double cost_tlb_misses(double active, double reach) {
	return active > 0 ? share_of(1 - positive(reach) / active) : 0;
}

double cost_collapse(const struct cost_table *t, double rate, double missing) {
	return t->collapse * (1 + chance_within(rate, t->collapse)) + pages_of(missing) * t->fault_small;
}

double cost_move(const struct cost_table *t, double pages, double rate) {
	double eager = cost_eager(t, pages);
	return eager + chance_within(rate, eager) * t->fault_wait;
}

static double collapse_full(const struct cost_table *t, double rate) {
	return cost_collapse(t, rate, 0);
}

static double move_full(const struct cost_table *t, double rate) {
	return cost_move(t, COST_PAGES, rate);
}

/*
 * The cost grows with the rate, but ever more slowly up to a limit, and the benefit in proportion to it: one
 * crossing, at the latest where the benefit reaches the limit.
 */
static double break_even(const struct cost_table *t, double (*cost)(const struct cost_table *, double), double gain,
    double horizon, double margin) {
	double each = cost_benefit(1, gain, horizon), low = 0, high;

	margin = positive(margin);
	if (each <= 0)
		return COST_NEVER;
	high = margin * cost(t, COST_NEVER) / each;
	while (high - low > high * 1e-6) {
		double middle = (low + high) / 2;
		if (middle * each > margin * cost(t, middle))
			high = middle;
		else
			low = middle;
	}
	return high;
}

double cost_collapse_rate(const struct cost_table *t, double gain, double horizon, double margin) {
	return break_even(t, collapse_full, gain, horizon, margin);
}

double cost_move_rate(const struct cost_table *t, double gain, double horizon, double margin) {
	return break_even(t, move_full, gain, horizon, margin);
}

double cost_range(const struct cost_table *t, const struct cost_range *range) {
	double sum = (double)range->missing * t->fault_small;

	if (range->rates == NULL)
		return sum + (double)range->resident * cost_disturb(t, (double)range->rate, t->collapse);
	for (unsigned i = 0; i < range->resident; i++)
		sum += cost_disturb(t, (double)range->rates[i], t->collapse);
	return sum;
}

size_t cost_choose(const struct cost_table *t, const struct cost_range *ranges, size_t count) {
	size_t best = SIZE_MAX;
	double least = 0;

	for (size_t i = 0; i < count; i++) {
		double cost = cost_range(t, &ranges[i]);
		if (best == SIZE_MAX || cost < least) {
			best = i;
			least = cost;
		}
	}
	return best;
}
