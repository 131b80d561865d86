/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From beliefs to moves; the rules are in policy.h. Two passes over the regions: one sums up, one finds for each
 * region what could be done and keeps the best of each kind in short sorted lists. Promotions then look for room, and
 * what is left is taken in order of value per cost. Nothing in here may depend on anything but its arguments.
 */
#include "tiers/policy.h"

#define PAGE_BYTES   4096.0
#define REGION_BYTES (COST_PAGES * PAGE_BYTES)

/* One move, or the demotion of `second` and the move of `first` into its place. */
struct item {
	double value, cost, bytes;
	uint32_t first, second; /* positions in the view */
	uint8_t kind, moves;
	bool advised;
};

struct list {
	struct item items[POLICY_MOVES];
	unsigned count;
};

/* Regions that could leave the hot tier, coldest first. */
struct victims {
	struct {
		double heat; /* the most it may be */
		uint32_t at;
	} items[POLICY_MOVES];
	unsigned count, next;
};

struct sums {
	double heat;
	double gain_huge; /* per access, the share of TLB misses taken into account */
	double margin, sigmas;
	unsigned fill_most;
	struct list promotions, others, chosen;
	struct victims victims;
};

static double positive(double x) {
	return x > 0 ? x : 0;
}

/* A quantile of the belief; `z` < 0 is below its middle. Not a number if the belief is not. */
static double heat_bound(const struct policy_region *r, double z) {
	double heat = (double)r->heat, q = (double)r->sigma / heat, root = 1 - q * q / 9 + z * q / 3;
	return heat * root * root * root;
}

/* What is not a number is 0 at least, and at most too much. No heat at all may be as much as its deviation allows. */
static double heat_least(const struct sums *m, const struct policy_region *r) {
	return r->heat > 0 && r->sigma >= 0 ? positive(heat_bound(r, -m->sigmas)) : 0;
}

static double heat_most(const struct sums *m, const struct policy_region *r) {
	double sum = (double)r->heat + m->sigmas * (double)r->sigma;
	if (!(r->heat >= 0 && r->sigma >= 0))
		return COST_NEVER;
	/* The bound bends down where the deviation is far above the heat. */
	double most = r->heat > 0 ? heat_bound(r, m->sigmas) : 0;
	return most > sum ? most : sum;
}

/* 1 + log2(n) / 4 */
static double sigmas_usual(size_t n) {
	unsigned log2 = 0;
	for (; n > 1; n /= 2)
		log2++;
	return 1 + log2 / 4.0;
}

static bool region_small(const struct policy_region *r) {
	return r->tier == POLICY_SPARSE || (r->tier == POLICY_HOT && !(r->flags & POLICY_HUGE));
}

static double region_pages(const struct policy_region *r) {
	double pages = region_small(r) ? r->resident : COST_PAGES;
	return pages < COST_PAGES ? pages : COST_PAGES;
}

static uint64_t horizon_ms(double horizon) {
	return (uint64_t)((positive(horizon) < HORIZON_MOST ? positive(horizon) : HORIZON_MOST) * 1000);
}

uint64_t policy_rest_ms(const struct policy_region *r, double horizon) {
	unsigned bounces = r->bounces < POLICY_BOUNCES ? r->bounces : POLICY_BOUNCES;
	return (uint64_t)((double)horizon_ms(horizon) * POLICY_REST) << bounces;
}

void policy_moved(struct policy_region *r, uint64_t now_ms, double horizon) {
	if (r->moved_ms != 0 && now_ms < r->moved_ms + 2 * policy_rest_ms(r, horizon) + horizon_ms(horizon)) {
		if (r->bounces < POLICY_BOUNCES)
			r->bounces++;
	} else if (r->bounces > 0) {
		r->bounces--;
	}
	r->moved_ms = now_ms;
}

static bool region_movable(const struct policy_view *v, const struct policy_region *r) {
	if ((r->flags & POLICY_PINNED) || r->live == 0 || !(region_pages(r) > 0) || v->now_ms < r->retry_ms)
		return false;
	return r->moved_ms == 0 || v->now_ms >= r->moved_ms + policy_rest_ms(r, v->horizon);
}

/* --- lists --- */

static bool item_before(const struct item *a, const struct item *b) {
	if (a->advised != b->advised)
		return a->advised;
	return a->value * b->cost > b->value * a->cost;
}

static void list_add(struct list *l, const struct item *item) {
	unsigned at = l->count;
	if (at == POLICY_MOVES && !item_before(item, &l->items[--at]))
		return;
	for (; at > 0 && item_before(item, &l->items[at - 1]); at--)
		l->items[at] = l->items[at - 1];
	l->items[at] = *item;
	if (l->count < POLICY_MOVES)
		l->count++;
}

static void victims_add(struct victims *l, double heat, uint32_t at_region) {
	unsigned at = l->count;
	if (at == POLICY_MOVES && heat >= l->items[--at].heat)
		return;
	for (; at > 0 && heat < l->items[at - 1].heat; at--)
		l->items[at] = l->items[at - 1];
	l->items[at].heat = heat;
	l->items[at].at = at_region;
	if (l->count < POLICY_MOVES)
		l->count++;
}

/* --- what could be done with one region --- */

static bool pays(const struct policy_view *v, const struct sums *m, double value, double cost) {
	return value * positive(v->horizon) > m->margin * cost;
}

static double demote_cost(const struct policy_view *v, const struct sums *m, const struct policy_region *r) {
	double cost = cost_move(v->costs, region_pages(r), heat_most(m, r));
	return region_small(r) ? cost + cost_collapse(v->costs, heat_most(m, r), COST_PAGES - region_pages(r)) : cost;
}

static void consider_promotion(const struct policy_view *v, struct sums *m, uint32_t at) {
	const struct policy_region *r = &v->regions[at];
	double heat = heat_least(m, r), horizon = positive(v->horizon), pages = region_pages(r);
	double used = r->live < pages ? r->live : pages, share = (double)r->hot_share;
	bool advised = (r->flags & POLICY_ADVISED_HOT) != 0;

	/* Which pages will be touched, when nothing is known: all are alike. */
	if (!(share >= 0))
		share = used > 0 ? cost_chance(heat * horizon / used) : 0;
	if (share > 1)
		share = 1;
	struct item eager = {
	    .value = heat * v->costs->gain_node,
	    .cost = cost_move(v->costs, pages, heat_most(m, r)),
	    .bytes = pages * PAGE_BYTES,
	    .first = at,
	    .kind = POLICY_PROMOTE_EAGER,
	    .moves = 1,
	    .advised = advised,
	};
	struct item lazy = eager;
	lazy.kind = POLICY_PROMOTE_LAZY;
	lazy.value = heat * (v->costs->gain_node - (region_small(r) ? 0 : m->gain_huge));
	lazy.cost = cost_lazy(v->costs, used, share) +
	    (region_small(r) ? pages * v->costs->move_small : v->costs->move_huge + v->costs->split);
	lazy.bytes = used * share * PAGE_BYTES;
	const struct item *best =
	    lazy.value * horizon - m->margin * lazy.cost > eager.value * horizon - m->margin * eager.cost ? &lazy
													  : &eager;
	if (advised || pays(v, m, best->value, best->cost))
		list_add(&m->promotions, best);
}

static void consider_collapse(const struct policy_view *v, struct sums *m, uint32_t at) {
	const struct policy_region *r = &v->regions[at];
	double missing = COST_PAGES - region_pages(r);
	bool alike = !(v->costs->gain_node > 0);
	struct item item = {
	    .value = heat_least(m, r) * m->gain_huge - missing * positive(v->page_price),
	    .cost = cost_collapse(v->costs, heat_most(m, r), missing),
	    .bytes = REGION_BYTES,
	    .first = at,
	    .kind = POLICY_COLLAPSE,
	    .moves = 1,
	    .advised = alike && r->tier == POLICY_HOT && (r->flags & POLICY_ADVISED_COLD),
	};
	if (missing > m->fill_most || (alike && r->tier == POLICY_HOT && (r->flags & POLICY_ADVISED_HOT)))
		return;
	if (item.advised || pays(v, m, item.value, item.cost))
		list_add(&m->others, &item);
}

static void consider_split(const struct policy_view *v, struct sums *m, uint32_t at) {
	const struct policy_region *r = &v->regions[at];
	double unused = r->live < COST_PAGES ? COST_PAGES - r->live : 0;
	struct item item = {
	    .value = unused * positive(v->page_price) - heat_most(m, r) * m->gain_huge,
	    .cost = v->costs->split,
	    .first = at,
	    .kind = POLICY_SPLIT,
	    .moves = 1,
	};
	if (unused > 0 && pays(v, m, item.value, item.cost))
		list_add(&m->others, &item);
}

static struct item demotion(const struct policy_view *v, const struct sums *m, uint32_t at, bool advised) {
	const struct policy_region *r = &v->regions[at];
	return (struct item){
	    .value = -heat_most(m, r) * v->costs->gain_node,
	    .cost = demote_cost(v, m, r),
	    .bytes = REGION_BYTES,
	    .first = at,
	    .kind = POLICY_DEMOTE,
	    .moves = 1,
	    .advised = advised,
	};
}

static void consider(const struct policy_view *v, struct sums *m, uint32_t at) {
	const struct policy_region *r = &v->regions[at];
	bool differ = v->costs->gain_node > 0;

	if (!region_movable(v, r))
		return;
	if (differ && r->tier == POLICY_HOT && (r->flags & POLICY_ADVISED_COLD)) {
		struct item item = demotion(v, m, at, true);
		list_add(&m->others, &item);
		return;
	}
	if (differ && r->tier == POLICY_HOT && !(r->flags & POLICY_ADVISED_HOT))
		victims_add(&m->victims, heat_most(m, r), at);
	if (differ && r->tier != POLICY_HOT && !(r->flags & POLICY_ADVISED_COLD))
		consider_promotion(v, m, at);
	if (region_small(r))
		consider_collapse(v, m, at);
	else if (r->tier == POLICY_COLD)
		consider_split(v, m, at);
}

/* --- the whole --- */

/* Promotions get room, or the coldest region's place if both moves together pay. */
static void find_room(const struct policy_view *v, struct sums *m) {
	double room = (double)v->hot_limit - (double)v->hot_used;

	/* A tier that is too full is emptied, whether that pays or not, before anything else goes there. */
	bool full = room < 0;
	for (; room < 0 && v->costs->gain_node > 0 && m->victims.next < m->victims.count; m->victims.next++) {
		struct item item = demotion(v, m, m->victims.items[m->victims.next].at, true);
		list_add(&m->chosen, &item);
		room += REGION_BYTES;
	}
	for (unsigned i = 0; i < m->promotions.count && !full; i++) {
		struct item item = m->promotions.items[i];
		if (room >= REGION_BYTES) {
			room -= REGION_BYTES;
			list_add(&m->chosen, &item);
			continue;
		}
		if (m->victims.next == m->victims.count)
			break;
		struct item victim = demotion(v, m, m->victims.items[m->victims.next].at, false);
		item.value += victim.value;
		item.cost += victim.cost;
		item.bytes += victim.bytes;
		item.second = victim.first;
		item.moves = 2;
		if (!item.advised && !pays(v, m, item.value, item.cost))
			continue;
		m->victims.next++;
		list_add(&m->chosen, &item);
	}
	for (unsigned i = 0; i < m->others.count; i++)
		list_add(&m->chosen, &m->others.items[i]);
}

/* Adds what a while brings; returns the part of the budget that is given. */
static void budget_fill(const struct policy_view *v, struct policy_state *s) {
	double seconds = s->last_ms != 0 && v->now_ms > s->last_ms ? (double)(v->now_ms - s->last_ms) / 1000 : 0;
	double given = 1 - s->guard_lost, bytes = positive(v->bytes_per_s), ns = positive(v->cpu_share) * 1e9;
	const struct cost_table *t = v->costs;
	/* No pair costs more: two moves, two collapses at their dearest, a split. */
	double most =
	    2 * (cost_lazy(t, COST_PAGES, 1) + t->fault_wait + cost_collapse(t, COST_NEVER, COST_PAGES)) + t->split;

	s->bytes += seconds * bytes * given;
	if (s->bytes > (bytes > 2 * REGION_BYTES ? bytes : 2 * REGION_BYTES))
		s->bytes = bytes > 2 * REGION_BYTES ? bytes : 2 * REGION_BYTES;
	s->ns += seconds * ns * given;
	if (s->ns > (ns > most ? ns : most))
		s->ns = ns > most ? ns : most;
	/* Doubles in POLICY_GUARD_S, to first order. */
	given *= 1 + (seconds < POLICY_GUARD_S ? seconds : POLICY_GUARD_S) / POLICY_GUARD_S;
	s->guard_lost = positive(1 - given);
	s->last_ms = v->now_ms != 0 ? v->now_ms : 1;
}

static bool planned(const struct policy_view *v, const struct policy_plan *plan, uint32_t at) {
	for (unsigned i = 0; i < plan->count; i++)
		if (plan->moves[i].index == v->regions[at].index)
			return true;
	return false;
}

static void plan_add(
    const struct policy_view *v, struct sums *m, struct policy_plan *plan, uint32_t at, const struct item *item) {
	plan->moves[plan->count++] = (struct policy_move){
	    .index = v->regions[at].index,
	    .kind = item->kind,
	    .value = (float)item->value,
	    .cost = (float)item->cost,
	};
	double share = m->heat > 0 ? positive((double)v->regions[at].heat) / m->heat : 0;
	if (item->kind == POLICY_DEMOTE)
		plan->rise -= share;
	else if (item->kind == POLICY_PROMOTE_EAGER || item->kind == POLICY_PROMOTE_LAZY)
		plan->rise += share;
}

static void choose(const struct policy_view *v, struct policy_state *s, struct sums *m, struct policy_plan *plan) {
	for (unsigned i = 0; i < m->chosen.count; i++) {
		struct item item = m->chosen.items[i];
		if (plan->count + item.moves > POLICY_MOVES || planned(v, plan, item.first) ||
		    (item.moves == 2 && planned(v, plan, item.second)))
			continue;
		/* What is dear comes to its turn when the budget has filled up: smaller things do not overtake it. */
		if (item.bytes > s->bytes || item.cost > s->ns)
			break;
		s->bytes -= item.bytes;
		s->ns -= item.cost;
		plan->bytes += item.bytes;
		plan->ns += item.cost;
		if (item.moves == 2) {
			struct item victim = demotion(v, m, item.second, false);
			plan_add(v, m, plan, item.second, &victim);
			item.value -= victim.value;
			item.cost -= victim.cost;
		}
		plan_add(v, m, plan, item.first, &item);
	}
}

void policy_plan(const struct policy_view *v, struct policy_state *s, struct policy_plan *plan) {
	struct sums m = {
	    .margin = v->margin > 0 ? v->margin : POLICY_MARGIN,
	    .sigmas = v->sigmas > 0 ? v->sigmas : sigmas_usual(v->count),
	    .fill_most = v->fill_most > 0 ? v->fill_most : POLICY_FILL,
	};
	double active = 0;

	*plan = (struct policy_plan){0};
	budget_fill(v, s);
	for (size_t i = 0; i < v->count; i++) {
		const struct policy_region *r = &v->regions[i];
		if (!((double)r->heat > 0))
			continue;
		m.heat += (double)r->heat;
		if (region_small(r))
			active += region_pages(r) * PAGE_BYTES *
			    (r->hot_share >= 0 && r->hot_share < 1 ? (double)r->hot_share : 1);
	}
	m.gain_huge = v->costs->gain_huge * cost_tlb_misses(active, (double)v->tlb_reach);
	for (size_t i = 0; i < v->count; i++)
		consider(v, &m, (uint32_t)i);
	find_room(v, &m);
	choose(v, s, &m, plan);
}

void policy_start(struct policy_state *s) {
	*s = (struct policy_state){0};
}

void policy_feedback(struct policy_state *s, double predicted, double before, double after) {
	double given = 1 - s->guard_lost;

	if (!(predicted > POLICY_NOISE))
		return;
	if (after - before >= predicted / 2)
		given += 1.0 / 16;
	else
		given = given / 2 > POLICY_GUARD_LEAST ? given / 2 : POLICY_GUARD_LEAST;
	s->guard_lost = positive(1 - given);
}

/* --- the horizon --- */

void horizon_start(struct horizon *h) {
	*h = (struct horizon){.hot_s = HORIZON_PRIOR * HORIZON_USUAL, .ends = HORIZON_PRIOR};
}

void horizon_seen(struct horizon *h, double seconds, bool stayed) {
	if (!(seconds > 0 && seconds <= HORIZON_MOST))
		return;
	h->hot_s += stayed ? seconds : seconds / 2;
	h->ends += stayed ? 0 : 1;
	if (++h->looks >= HORIZON_MEMORY) {
		h->hot_s /= 2;
		h->ends /= 2;
		h->looks /= 2;
	}
}

double horizon_estimate(const struct horizon *h) {
	double s = h->ends > 0 ? h->hot_s / h->ends : HORIZON_MOST;
	return s < HORIZON_LEAST ? HORIZON_LEAST : s > HORIZON_MOST ? HORIZON_MOST : s;
}
