/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiers/policy: single decisions, and a simulated machine on which the plans are carried out for minutes: regions
 * with true rates, a sensor that sees times to a first access, Gamma beliefs that forget. What is asked of a plan
 * whatever the view is checked after each: within budget and tier, nothing pinned, resting or refused, no region
 * twice.
 *
 * link: -lm
 */
#include "unit.h"

#include <math.h>
#include <stdlib.h>

#include "tiers/policy.h"

static uint64_t seed;

static double unit(void) {
	return ((double)(random_next(&seed) >> 11) + 0.5) * 0x1p-53;
}

static double spread(double least, double most) {
	return least * pow(most / least, unit());
}

/* Sum of `shape` exponentials, mean `shape`. */
static double gamma_drawn(unsigned shape) {
	double sum = 0;
	while (shape-- > 0)
		sum -= log(unit());
	return sum;
}

static struct cost_table costs;

static void costs_of(double gain_node) {
	cost_usual(&costs);
	costs.gain_node = gain_node;
}

/* --- what holds for every plan --- */

static const struct policy_region *region_of(const struct policy_view *v, uint32_t index) {
	for (size_t i = 0; i < v->count; i++)
		if (v->regions[i].index == index)
			return &v->regions[i];
	CHECK(false, "no region %u", index);
	return NULL;
}

static bool promotes(const struct policy_move *m) {
	return m->kind == POLICY_PROMOTE_EAGER || m->kind == POLICY_PROMOTE_LAZY;
}

static void check_plan(const struct policy_view *v, const struct policy_plan *p) {
	double used = (double)v->hot_used, ratio = INFINITY, ns = 0;
	CHECK(p->count <= POLICY_MOVES, "%u moves", p->count);
	for (unsigned i = 0; i < p->count; i++) {
		const struct policy_move *m = &p->moves[i];
		const struct policy_region *r = region_of(v, m->index);
		CHECK(!(r->flags & POLICY_PINNED), "region %u is pinned", m->index);
		CHECK(v->now_ms >= r->retry_ms, "region %u was refused", m->index);
		CHECK(r->moved_ms == 0 || v->now_ms >= r->moved_ms + policy_rest_ms(r, v->horizon), "%u rests",
		    m->index);
		CHECK(m->cost >= 0, "cost %g", (double)m->cost);
		for (unsigned k = 0; k < i; k++)
			CHECK(p->moves[k].index != m->index, "region %u twice", m->index);
		if (promotes(m)) {
			CHECK(r->tier != POLICY_HOT && !(r->flags & POLICY_ADVISED_COLD), "promotes %u", m->index);
			used += REGION;
			CHECK(used <= (double)v->hot_limit, "the tier overflows");
		} else if (m->kind == POLICY_DEMOTE) {
			CHECK(r->tier == POLICY_HOT && !(r->flags & POLICY_ADVISED_HOT), "demotes %u", m->index);
			used -= REGION;
		} else if (m->kind == POLICY_COLLAPSE) {
			CHECK(r->tier == POLICY_SPARSE || (r->tier == POLICY_HOT && !(r->flags & POLICY_HUGE)), "%u",
			    m->index);
		} else {
			CHECK(r->tier == POLICY_COLD, "splits %u", m->index);
		}
		/* In order of value per cost, pairs as one; what is advised is before all else. */
		double value = (double)m->value, cost = (double)m->cost;
		if (m->kind == POLICY_DEMOTE && i + 1 < p->count && promotes(&p->moves[i + 1])) {
			value += (double)p->moves[i + 1].value;
			cost += (double)p->moves[i + 1].cost;
		} else if (promotes(m) && i > 0 && p->moves[i - 1].kind == POLICY_DEMOTE) {
			value = NAN;
		}
		bool advised = (r->flags & (POLICY_ADVISED_HOT | POLICY_ADVISED_COLD)) || m->kind == POLICY_DEMOTE;
		if (!isnan(value) && !advised && cost > 0) {
			CHECK(value / cost <= ratio * 1.0001, "move %u out of order", i);
			ratio = value / cost;
		}
		ns += (double)m->cost;
	}
	CHECK(fabs(ns - p->ns) <= p->ns * 1e-4 + 1, "costs %g, sum %g", ns, p->ns);
}

/* --- a machine --- */

#define MOST 1024

struct world {
	struct policy_region regions[MOST];
	double rate[MOST], a[MOST], b[MOST];
	unsigned count, moves_of[MOST];
	struct policy_view view;
	struct policy_state state;
	struct policy_plan plan;
	double probes; /* of a region, per second; 0: the rate is known */
	double bytes, ns, seconds;
	unsigned moves; /* of the last step */
};

/* All cold but as many as fit, which are the first ones. */
static struct world *world(unsigned count, unsigned room, double gain_node) {
	static struct world the_world;
	struct world *w = &the_world;
	memset(w, 0, sizeof(*w));
	costs_of(gain_node);
	w->count = count;
	w->probes = 1;
	for (unsigned i = 0; i < count; i++) {
		w->regions[i] = (struct policy_region){
		    .index = i * 3 + 1,
		    .hot_share = -1,
		    .live = COST_PAGES,
		    .resident = COST_PAGES,
		    .tier = i < room ? POLICY_HOT : POLICY_COLD,
		    .flags = i < room ? POLICY_HUGE : 0,
		};
		w->a[i] = 0.5;
		w->b[i] = 0.5 / 1000;
	}
	w->view = (struct policy_view){
	    .regions = w->regions,
	    .count = count,
	    .costs = &costs,
	    .hot_used = room * REGION,
	    .hot_limit = room * REGION,
	    .tlb_reach = 8 * MiB,
	    .horizon = HORIZON_USUAL,
	    .bytes_per_s = 128.0 * MiB,
	    .cpu_share = 0.1,
	    .now_ms = 1000,
	};
	return w;
}

/* Watches regions now and then until their first access, for 20 ms at most; forgets with a half-life of ten seconds.
 */
static void world_sense(struct world *w, double dt) {
	for (unsigned i = 0; i < w->count; i++) {
		struct policy_region *r = &w->regions[i];
		if (w->probes == 0) {
			r->heat = (float)w->rate[i];
			r->sigma = (float)w->rate[i] * 0.05F;
			continue;
		}
		w->a[i] *= exp2(-dt / 10);
		w->b[i] *= exp2(-dt / 10);
		double n = w->probes * dt;
		for (; n > 0 && unit() < n; n--) {
			double first = -log(unit()) / w->rate[i];
			w->a[i] += first < 0.02;
			w->b[i] += fmin(first, 0.02);
		}
		r->heat = (float)(w->a[i] / w->b[i]);
		r->sigma = (float)(sqrt(w->a[i]) / w->b[i]);
	}
}

static void world_step(struct world *w, double dt) {
	struct policy_view *v = &w->view;
	world_sense(w, dt);
	v->now_ms += (uint64_t)(dt * 1000);
	w->seconds += dt;
	policy_plan(v, &w->state, &w->plan);
	check_plan(v, &w->plan);
	w->bytes += w->plan.bytes;
	w->ns += w->plan.ns;
	w->moves = w->plan.count;
	for (unsigned i = 0; i < w->plan.count; i++) {
		const struct policy_move *m = &w->plan.moves[i];
		struct policy_region *r = &w->regions[(m->index - 1) / 3];
		w->moves_of[(m->index - 1) / 3]++;
		policy_moved(r, v->now_ms, v->horizon);
		if (promotes(m)) {
			r->flags |= m->kind == POLICY_PROMOTE_EAGER && r->tier == POLICY_COLD ? POLICY_HUGE : 0;
			r->tier = POLICY_HOT;
			v->hot_used += REGION;
		} else if (m->kind == POLICY_SPLIT) {
			r->tier = POLICY_SPARSE;
		} else {
			if (r->tier == POLICY_HOT && (m->kind == POLICY_DEMOTE || costs.gain_node == 0))
				v->hot_used -= REGION;
			if (r->tier == POLICY_HOT && m->kind == POLICY_COLLAPSE && costs.gain_node > 0)
				r->flags |= POLICY_HUGE;
			else
				r->flags &= (uint8_t)~POLICY_HUGE, r->tier = POLICY_COLD;
			r->resident = COST_PAGES;
		}
	}
	double given = 1 - w->state.guard_lost;
	CHECK(given >= POLICY_GUARD_LEAST && given <= 1, "guard %g", given);
	/* The first call starts the clock. */
	CHECK(w->bytes <= v->bytes_per_s * w->seconds + fmax(v->bytes_per_s, 2 * REGION), "bytes over budget");
}

/* Steps of half a second; moves made. */
static unsigned world_run(struct world *w, double seconds) {
	unsigned moves = 0;
	for (double t = 0; t < seconds; t += 0.5) {
		world_step(w, 0.5);
		moves += w->moves;
	}
	return moves;
}

/* Share of accesses that the hot tier serves. */
static double world_hits(const struct world *w) {
	double hot = 0, all = 0;
	for (unsigned i = 0; i < w->count; i++) {
		all += w->rate[i];
		hot += w->regions[i].tier == POLICY_HOT ? w->rate[i] : 0;
	}
	return hot / all;
}

static int falling(const void *a, const void *b) {
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? 1 : x > y ? -1 : 0;
}

static double world_best(const struct world *w) {
	static double sorted[MOST];
	double hot = 0, all = 0;
	memcpy(sorted, w->rate, w->count * sizeof(sorted[0]));
	qsort(sorted, w->count, sizeof(sorted[0]), falling);
	for (unsigned i = 0; i < w->count; i++) {
		all += sorted[i];
		hot += i < w->view.hot_limit / REGION ? sorted[i] : 0;
	}
	return hot / all;
}

/* One region in ten is hot; they are anywhere. */
static void skew(struct world *w, unsigned hot, double rate, double rest) {
	for (unsigned i = 0; i < w->count; i++)
		w->rate[i] = rest;
	while (hot > 0) {
		unsigned i = random_below(&seed, w->count);
		hot -= w->rate[i] != rate;
		w->rate[i] = rate;
	}
}

Test(policy, skewed_set_converges, .timeout = 60) {
	seed = random_seed();
	for (int round = 0; round < 5; round++) {
		struct world *w = world(512, 64, 100);
		skew(w, 51, 20000, 200);
		unsigned first = world_run(w, 60), later = world_run(w, 60);
		fprintf(stderr, "hits %.3f of %.3f, %u moves, then %u\n", world_hits(w), world_best(w), first, later);
		CHECK(world_hits(w) > 0.97 * world_best(w), "%g of %g", world_hits(w), world_best(w));
		CHECK(first <= 3 * 2 * 51, "%u moves", first);
		CHECK(later <= 6, "%u moves at rest", later);
	}
}

Test(policy, zipf_converges, .timeout = 60) {
	seed = random_seed();
	struct world *w = world(1024, 128, 100);
	for (unsigned i = 0; i < w->count; i++)
		w->rate[i] = 1e6 / (1 + (double)(i * 397 % 1024));
	world_run(w, 240);
	fprintf(stderr, "hits %.3f of %.3f\n", world_hits(w), world_best(w));
	cr_assert_gt(world_hits(w), 0.9 * world_best(w));
}

Test(policy, little_budget_converges_later, .timeout = 60) {
	seed = random_seed();
	struct world *w = world(512, 64, 100);
	w->view.bytes_per_s = 2.0 * MiB;
	skew(w, 51, 20000, 200);
	world_run(w, 30);
	double early = world_hits(w);
	world_run(w, 300);
	cr_assert_lt(early, 0.6 * world_best(w));
	cr_assert_gt(world_hits(w), 0.95 * world_best(w));
}

Test(policy, uniform_is_quiet, .timeout = 60) {
	seed = random_seed();
	for (double rate = 100; rate <= 1e5; rate *= 10) {
		struct world *w = world(512, 64, 100);
		skew(w, 0, 0, rate);
		world_run(w, 20);
		unsigned later = world_run(w, 100);
		fprintf(stderr, "rate %g: %u moves\n", rate, later);
		CHECK(later <= 6, "rate %g: %u moves in 100 s", rate, later);
	}
}

Test(policy, hot_set_too_large_is_quiet, .timeout = 60) {
	seed = random_seed();
	for (int round = 0; round < 4; round++) {
		struct world *w = world(512, 64, 100);
		skew(w, 96, 20000, 200);
		unsigned first = world_run(w, 60), later = world_run(w, 100);
		fprintf(stderr, "hits %.3f of %.3f, %u moves, then %u\n", world_hits(w), world_best(w), first, later);
		CHECK(world_hits(w) > 0.95 * world_best(w), "%g of %g", world_hits(w), world_best(w));
		CHECK(later <= 6, "%u moves in 100 s", later);
	}
}

/*
 * Heat that comes and goes faster than the horizon, and a sensor that sees it at once: without longer rests each move
 * is undone. A region gets back a shorter rest only after two rests and a horizon without a move, so two moves in 22
 * s are the most.
 */
static double oscillate(double half, bool guarded, unsigned *most) {
	struct world *w = world(128, 32, 100);
	w->probes = 0;
	for (double t = 0; t < 2000; t += 0.5) {
		for (unsigned i = 0; i < w->count; i++) {
			w->rate[i] = (i + (unsigned)(t / half)) % 4 == 0 ? 50000 : 100;
			w->regions[i].bounces = guarded ? w->regions[i].bounces : 0;
		}
		world_step(w, 0.5);
	}
	*most = 0;
	for (unsigned i = 0; i < w->count; i++)
		*most = w->moves_of[i] > *most ? w->moves_of[i] : *most;
	double bytes = w->bytes;
	return bytes;
}

Test(policy, oscillation_is_bounded, .timeout = 60) {
	seed = random_seed();
	for (double half = 1; half <= 4; half *= 2) {
		unsigned most, free_most;
		double bytes = oscillate(half, true, &most), free_bytes = oscillate(half, false, &free_most);
		fprintf(stderr, "half period %g s: %.0f MiB, %u moves of one region; unguarded %.0f MiB, %u\n", half,
		    bytes / MiB, most, free_bytes / MiB, free_most);
		CHECK(most <= 2 * 2000 / 22, "half period %g s: %u moves of one region", half, most);
		CHECK(bytes < free_bytes / 4, "half period %g s: %g of %g bytes", half, bytes, free_bytes);
	}
}

/* Whatever windows are looked at. */
Test(policy, budgets_hold, .timeout = 60) {
	seed = random_seed();
	enum { STEPS = 200 };
	for (int round = 0; round < 40; round++) {
		struct world *w = world(128, 32, spread(20, 500));
		double bytes[STEPS + 1] = {0}, ns[STEPS + 1] = {0}, at[STEPS + 1] = {0};
		w->probes = 0;
		w->view.bytes_per_s = spread(0.5 * MiB, 200.0 * MiB);
		w->view.cpu_share = spread(1e-4, 0.2);
		double most_ns = fmax(w->view.cpu_share * 1e9,
		    4 * (costs.collapse * 2 + 512 * (costs.fault_lazy + costs.fault_small + costs.copy_page)));
		for (int s = 1; s <= STEPS; s++) {
			double dt = spread(0.01, 3);
			for (unsigned i = 0; i < w->count; i++)
				w->rate[i] = spread(1, 1e6);
			world_step(w, dt);
			bytes[s] = w->bytes;
			ns[s] = w->ns;
			at[s] = (double)w->view.now_ms / 1000;
			for (int k = 0; k < s; k++) {
				double window = at[s] - (k > 0 ? at[k - 1] : 1);
				double b = bytes[s] - bytes[k], n = ns[s] - ns[k];
				CHECK(b <= w->view.bytes_per_s * window + fmax(w->view.bytes_per_s, 2 * REGION),
				    "bytes");
				CHECK(n <= w->view.cpu_share * 1e9 * window + most_ns, "ns");
			}
		}
	}
}

Test(policy, no_budget_no_moves) {
	seed = random_seed();
	struct world *w = world(128, 16, 100);
	skew(w, 12, 1e6, 10);
	w->view.bytes_per_s = 0;
	cr_assert_eq(world_run(w, 30), 0);
	policy_start(&w->state);
	w->view.bytes_per_s = 1e9;
	w->view.cpu_share = 0;
	cr_assert_eq(world_run(w, 30), 0);
	w->view.cpu_share = NAN;
	cr_assert_eq(world_run(w, 30), 0);
	w->view.cpu_share = 0.1;
	cr_assert_gt(world_run(w, 30), 0);
}

Test(policy, pinned_never_moves) {
	seed = random_seed();
	struct world *w = world(256, 64, 100);
	w->probes = 0;
	skew(w, 60, 50000, 10);
	for (unsigned i = 0; i < w->count; i += 2)
		w->regions[i].flags |= POLICY_PINNED;
	for (int k = 0; k < 60; k++) {
		world_step(w, 1);
		skew(w, 60, 50000, 10);
	}
	unsigned others = 0;
	for (unsigned i = 0; i < w->count; i++) {
		others += i % 2 ? w->moves_of[i] : 0;
		CHECK(i % 2 || w->moves_of[i] == 0, "region %u", i);
	}
	cr_assert_gt(others, 10);
}

/* Anything at all in the view. */
Test(policy, nonsense_does_no_harm, .timeout = 60) {
	seed = random_seed();
	static const float odd[] = {0, -1, 1e-30F, 1e30F, NAN, INFINITY, -INFINITY};
	for (int round = 0; round < 3000; round++) {
		struct policy_region r[64];
		double hot = 0;
		costs_of(random_below(&seed, 3) ? spread(1, 500) : 0);
		for (unsigned i = 0; i < 64; i++) {
			r[i] = (struct policy_region){
			    .index = i,
			    .heat = random_below(&seed, 4) ? (float)spread(1, 1e7) : odd[random_below(&seed, 7)],
			    .sigma = random_below(&seed, 4) ? (float)spread(1, 1e5) : odd[random_below(&seed, 7)],
			    .hot_share = random_below(&seed, 4) ? (float)unit() : odd[random_below(&seed, 7)],
			    .live = (uint16_t)random_below(&seed, 600),
			    .resident = (uint16_t)random_below(&seed, 600),
			    .tier = (uint8_t)random_below(&seed, 3),
			    .flags = (uint8_t)random_below(&seed, 16),
			    .bounces = (uint8_t)random_below(&seed, 256),
			    .moved_ms = random_below(&seed, 2) ? random_next(&seed) % 200000 : 0,
			    .retry_ms = random_below(&seed, 2) ? random_next(&seed) % 200000 : 0,
			};
			if ((r[i].flags & 6) == 6)
				r[i].flags &= 9;
			hot += r[i].tier == POLICY_HOT;
		}
		struct policy_view v = {
		    .regions = r,
		    .count = random_below(&seed, 65),
		    .costs = &costs,
		    .hot_used = (uint64_t)hot * REGION,
		    .hot_limit = random_below(&seed, 80) * REGION,
		    .tlb_reach = random_next(&seed) % (64 * MiB),
		    .horizon = random_below(&seed, 4) ? spread(0.1, 1000) : (double)odd[random_below(&seed, 7)],
		    .bytes_per_s = spread(1, 1e12),
		    .cpu_share = unit(),
		    .page_price = random_below(&seed, 2) ? spread(0.01, 1e4) : 0,
		    .now_ms = 1,
		};
		struct policy_state s;
		struct policy_plan p;
		policy_start(&s);
		policy_plan(&v, &s, &p);
		cr_assert_eq(p.count, 0);
		v.now_ms = 100000;
		policy_plan(&v, &s, &p);
		check_plan(&v, &p);
		policy_moved(&r[0], v.now_ms, v.horizon);
	}
}

/* --- single decisions --- */

/* One cold region and a hot tier with room for `room`; the plan after a second of budget. */
static struct policy_plan decide(
    struct policy_region *r, unsigned count, unsigned used, unsigned limit, double price) {
	static struct policy_plan p;
	struct policy_view v = {
	    .regions = r,
	    .count = count,
	    .costs = &costs,
	    .hot_used = used * REGION,
	    .hot_limit = limit * REGION,
	    .horizon = 10,
	    .bytes_per_s = 1e9,
	    .cpu_share = 1,
	    .page_price = price,
	    .sigmas = 1,
	    .now_ms = 100000,
	};
	struct policy_state s = {.last_ms = 98000};
	policy_plan(&v, &s, &p);
	check_plan(&v, &p);
	return p;
}

static struct policy_region region(uint8_t tier, float heat, float sigma) {
	return (struct policy_region){
	    .index = 7, .heat = heat, .sigma = sigma, .hot_share = -1, .live = 512, .resident = 512, .tier = tier};
}

/* The heat from which on it promotes into room is that of the cost model. */
Test(policy, promotes_from_the_break_even_on) {
	costs_of(100);
	costs.fault_lazy = 1e7; /* eager */
	double even = cost_move_rate(&costs, 100, 10, POLICY_MARGIN);
	struct policy_region r = region(POLICY_COLD, (float)(even * 0.99), 0);
	cr_assert_eq(decide(&r, 1, 0, 1, 0).count, 0);
	r.heat = (float)(even * 1.01);
	struct policy_plan p = decide(&r, 1, 0, 1, 0);
	cr_assert_eq(p.count, 1);
	cr_assert_eq(p.moves[0].kind, POLICY_PROMOTE_EAGER);
	cr_assert_eq(p.moves[0].index, 7);
	cr_assert(fabs(p.rise - 1) < 1e-9);
	/* Without room, and with nobody to leave, nothing. */
	cr_assert_eq(decide(&r, 1, 0, 0, 0).count, 0);
	/* As hot, but not as sure. */
	r.sigma = r.heat * 0.2F;
	cr_assert_eq(decide(&r, 1, 0, 1, 0).count, 0);
	r.heat *= 2;
	r.sigma = r.heat * 0.2F;
	cr_assert_eq(decide(&r, 1, 0, 1, 0).count, 1);
}

Test(policy, swaps_only_when_both_moves_pay) {
	costs_of(100);
	float heat = 50000;
	bool moved = true;
	for (float other = 0; other < 2 * heat; other += heat / 50) {
		struct policy_region r[2] = {
		    region(POLICY_COLD, heat, heat / 20), region(POLICY_HOT, other, other / 20)};
		r[1].index = 9;
		r[1].flags = POLICY_HUGE;
		struct policy_plan p = decide(r, 2, 1, 1, 0);
		cr_assert(p.count == 0 || p.count == 2);
		cr_assert(moved || p.count == 0, "moves for %g, though not for less", (double)other);
		moved = p.count == 2;
		if (!moved)
			continue;
		cr_assert_eq(p.moves[0].kind, POLICY_DEMOTE);
		cr_assert_eq(p.moves[0].index, 9);
		cr_assert_eq(p.moves[1].index, 7);
		cr_assert_lt(other, heat);
		double net = (double)(p.moves[0].value + p.moves[1].value) * 10;
		cr_assert_gt(net, POLICY_MARGIN * (double)(p.moves[0].cost + p.moves[1].cost));
	}
	cr_assert_not(moved);
}

Test(policy, lazy_below_the_break_even_share) {
	costs_of(100);
	costs.move_small = 0;
	costs.gain_huge = 0;
	costs.fault_wait = 0;
	double even = cost_lazy_share(&costs);
	struct policy_region r = region(POLICY_SPARSE, 1e6F, 0);
	for (double share = 0.01; share <= 1; share += 0.01) {
		r.hot_share = (float)share;
		struct policy_plan p = decide(&r, 1, 0, 1, 0);
		cr_assert_eq(p.count, 1);
		cr_assert_eq(p.moves[0].kind == POLICY_PROMOTE_LAZY, share < even, "share %g of %g", share, even);
	}
	/* Nothing known: as many accesses as these reach all pages. */
	r.hot_share = -1;
	cr_assert_eq(decide(&r, 1, 0, 1, 0).moves[0].kind, POLICY_PROMOTE_EAGER);
}

Test(policy, alike_nodes_promote_nothing_and_collapse) {
	costs_of(0);
	float even = (float)cost_collapse_rate(&costs, costs.gain_huge, 10, POLICY_MARGIN);
	struct policy_region r[3] = {region(POLICY_COLD, 1e7F, 0), region(POLICY_HOT, even * 1.02F, 0),
	    region(POLICY_SPARSE, even * 0.98F, 0)};
	r[1].index = 1;
	r[2].index = 2;
	struct policy_plan p = decide(r, 3, 1, 100, 0);
	cr_assert_eq(p.count, 1);
	cr_assert_eq(p.moves[0].kind, POLICY_COLLAPSE);
	cr_assert_eq(p.moves[0].index, 1);
	/* Too many pages to fill, however hot. */
	r[2].heat = 1e7F;
	cr_assert_eq(decide(r, 3, 1, 100, 0).count, 2);
	r[2].resident = 512 - POLICY_FILL - 1;
	cr_assert_eq(decide(r, 3, 1, 100, 0).count, 1);
	/* Memory is dear. */
	r[2].resident = 500;
	cr_assert_eq(decide(r, 3, 1, 100, 0).count, 2);
	cr_assert_eq(decide(r, 3, 1, 100, 1e9).count, 1);
}

/* All small pages fit the TLB: a huge page would save nothing. */
Test(policy, collapses_only_beyond_the_tlb, .timeout = 60) {
	seed = random_seed();
	for (unsigned regions = 2; regions <= 64; regions *= 2) {
		struct world *w = world(64, 64, 0);
		for (unsigned i = 0; i < w->count; i++) {
			w->regions[i].flags = 0;
			w->rate[i] = i < regions ? 1e6 : 1e-3;
		}
		w->probes = 4;
		world_run(w, 60);
		unsigned collapsed = 0;
		for (unsigned i = 0; i < w->count; i++)
			collapsed += w->regions[i].tier == POLICY_COLD;
		/* Any heat counts as use of all pages, so the cold ones only add to what is in use. */
		cr_assert(collapsed >= (regions > 8 ? regions - 8 : 0) && collapsed <= regions, "%u of %u", collapsed,
		    regions);
		cr_assert_eq(world_run(w, 20), 0);
	}
	costs_of(0);
	struct policy_region r = region(POLICY_HOT, 1e7F, 0);
	struct policy_view v = {.regions = &r,
	    .count = 1,
	    .costs = &costs,
	    .hot_limit = REGION,
	    .tlb_reach = 4 * MiB,
	    .horizon = 10,
	    .bytes_per_s = 1e9,
	    .cpu_share = 1,
	    .now_ms = 5000};
	struct policy_state s = {.last_ms = 1000};
	struct policy_plan p;
	policy_plan(&v, &s, &p);
	cr_assert_eq(p.count, 0);
}

Test(policy, split_pays_when_memory_is_dear) {
	costs_of(0);
	struct policy_region r = region(POLICY_COLD, 1, 0);
	r.live = 100;
	cr_assert_eq(decide(&r, 1, 0, 0, 0).count, 0);
	cr_assert_eq(decide(&r, 1, 0, 0, 1e4).moves[0].kind, POLICY_SPLIT);
	r.live = 512;
	cr_assert_eq(decide(&r, 1, 0, 0, 1e4).count, 0);
}

Test(policy, advice_beats_heat) {
	costs_of(100);
	struct policy_region r[2] = {region(POLICY_COLD, 0, 0), region(POLICY_HOT, 1e6F, 1)};
	r[1].index = 9;
	r[1].flags = POLICY_HUGE;
	cr_assert_eq(decide(r, 2, 1, 1, 0).count, 0);
	r[0].flags = POLICY_ADVISED_HOT;
	struct policy_plan p = decide(r, 2, 1, 1, 0);
	cr_assert_eq(p.count, 2);
	cr_assert_eq(p.moves[1].index, 7);
	/* A pin beats advice; two that are advised hot do not drive each other out. */
	r[0].flags |= POLICY_PINNED;
	cr_assert_eq(decide(r, 2, 1, 1, 0).count, 0);
	r[0].flags = POLICY_ADVISED_HOT;
	r[1].flags |= POLICY_ADVISED_HOT;
	cr_assert_eq(decide(r, 2, 1, 1, 0).count, 0);
	r[0].flags = 0;
	r[0].heat = 1e9F;
	cr_assert_eq(decide(r, 2, 1, 1, 0).count, 0);
	r[1].flags = POLICY_ADVISED_COLD;
	p = decide(r, 2, 1, 1, 0);
	cr_assert_eq(p.moves[0].kind, POLICY_DEMOTE);
	r[0].flags = POLICY_ADVISED_COLD;
	cr_assert_eq(decide(r, 1, 0, 10, 0).count, 0);
	/* Where nodes are alike, advised cold means a huge page, and advised hot is left alone. */
	costs_of(0);
	r[0] = region(POLICY_HOT, 0, 0);
	r[0].flags = POLICY_ADVISED_COLD;
	cr_assert_eq(decide(r, 1, 1, 10, 0).moves[0].kind, POLICY_COLLAPSE);
	r[0].flags = POLICY_ADVISED_HOT;
	r[0].heat = 1e9F;
	cr_assert_eq(decide(r, 1, 1, 10, 0).count, 0);
}

Test(policy, a_tier_too_full_gives_up_its_coldest) {
	costs_of(100);
	struct policy_region r[4];
	for (unsigned i = 0; i < 4; i++) {
		r[i] = region(POLICY_HOT, (float)((i * 7 % 4) * 1000 + 1000), 1);
		r[i].index = i;
	}
	struct policy_plan p = decide(r, 4, 4, 2, 0);
	cr_assert_eq(p.count, 2);
	cr_assert_eq((p.moves[0].index == 0) + (p.moves[1].index == 0), 1);
	cr_assert_eq((p.moves[0].index == 3) + (p.moves[1].index == 3), 1);
}

Test(policy, refused_and_resting) {
	costs_of(100);
	struct policy_region r = region(POLICY_COLD, 1e6F, 1);
	r.retry_ms = 100001;
	cr_assert_eq(decide(&r, 1, 0, 1, 0).count, 0);
	r.retry_ms = 100000;
	cr_assert_eq(decide(&r, 1, 0, 1, 0).count, 1);
	cr_assert_eq(policy_rest_ms(&r, 10), 2500);
	uint64_t now = 1000, rest = 2500;
	policy_moved(&r, now, 10);
	for (int i = 0; i < 10; i++, now += rest) {
		cr_assert_eq(policy_rest_ms(&r, 10), rest, "after %d moves", i);
		policy_moved(&r, now += rest, 10);
		rest = rest < 160000 ? rest * 2 : rest;
	}
	/* Left in peace for long enough, it is trusted again step by step. */
	for (int i = 0; i < POLICY_BOUNCES; i++)
		policy_moved(&r, now += 400000, 10);
	cr_assert_eq(policy_rest_ms(&r, 10), 2500);
}

Test(policy, guard_follows_what_came_true) {
	struct policy_state s;
	policy_start(&s);
	policy_feedback(&s, 0.1, 0.5, 0.51);
	cr_assert_eq(s.guard_lost, 0.5);
	policy_feedback(&s, 0.001, 0.5, 0.4);
	policy_feedback(&s, NAN, 0.5, 0.4);
	policy_feedback(&s, -0.5, 0.5, 0.4);
	cr_assert_eq(s.guard_lost, 0.5);
	for (int i = 0; i < 20; i++)
		policy_feedback(&s, 0.1, 0.5, NAN);
	cr_assert_eq(1 - s.guard_lost, POLICY_GUARD_LEAST);
	int good = 0;
	for (; s.guard_lost > 0; good++)
		policy_feedback(&s, 0.1, 0.5, 0.6);
	cr_assert(good > 10 && good < 20, "back after %d", good);
	/* A halved budget is half the bytes; time alone brings it back, slowly. */
	seed = random_seed();
	struct world *w = world(1024, 512, 100);
	w->probes = 0;
	w->view.bytes_per_s = 32.0 * MiB;
	for (int k = 0; k < 3; k++)
		policy_feedback(&w->state, 1, 0, 0);
	double bytes = w->bytes;
	for (int k = 0; k < 20; k++) {
		skew(w, 400, 1e6, 1);
		world_step(w, 0.5);
	}
	cr_assert_lt(w->bytes - bytes, 10 * 32.0 * MiB / 8 * 1.2);
	cr_assert_gt(w->bytes - bytes, 10 * 32.0 * MiB / 8 * 0.5);
	for (int k = 0; k < 600; k++)
		world_step(w, 0.5);
	cr_assert_eq(w->state.guard_lost, 0);
}

/* A program that moves its hot set faster than anybody could follow: what is predicted does not come, and it ends. */
Test(policy, guard_ends_a_hopeless_chase, .timeout = 60) {
	seed = random_seed();
	double bytes[2];
	for (int guarded = 0; guarded < 2; guarded++) {
		struct world *w = world(512, 64, 100);
		w->probes = 0;
		for (int k = 0; k < 300; k++) {
			skew(w, 51, 1e5, 10);
			world_step(w, 1);
			double before = world_hits(w), predicted = w->plan.rise;
			if (guarded)
				policy_feedback(&w->state, predicted, before, before + (unit() - 0.5) * 0.01);
		}
		bytes[guarded] = w->bytes;
	}
	fprintf(stderr, "%.0f MiB without the guard, %.0f MiB with it\n", bytes[0] / MiB, bytes[1] / MiB);
	cr_assert_lt(bytes[1], bytes[0] / 4);
}

/* The bounds are quantiles: of true rates drawn from the belief, as many lie below as should. */
Test(policy, bounds_are_quantiles_of_the_belief, .timeout = 60) {
	seed = random_seed();
	costs_of(100);
	costs.fault_lazy = 1e7;
	double even = cost_move_rate(&costs, 100, 10, POLICY_MARGIN);
	for (unsigned a = 2; a <= 64; a *= 2) {
		/* The least belief that is acted upon at one sigma: its bound is `even`. */
		double low = even, high = even * 1000;
		while (high / low > 1.001) {
			double heat = sqrt(low * high);
			struct policy_region r = region(POLICY_COLD, (float)heat, (float)(heat / sqrt(a)));
			*(decide(&r, 1, 0, 1, 0).count ? &high : &low) = heat;
		}
		unsigned below = 0;
		const unsigned tries = 20000;
		for (unsigned k = 0; k < tries; k++)
			below += gamma_drawn(a) / a * high < even;
		double share = (double)below / tries; /* of a normal distribution: 0.159 */
		cr_assert(fabs(share - 0.159) < 0.02, "a %u: %g below", a, share);
	}
}

Test(policy, horizon_is_learnt) {
	seed = random_seed();
	struct horizon h;
	horizon_start(&h);
	cr_assert_eq(horizon_estimate(&h), HORIZON_USUAL);
	for (double life = 2; life <= 400; life *= 2) {
		horizon_start(&h);
		for (int i = 0; i < 4000; i++) {
			double seconds = spread(life / 50, life / 2);
			horizon_seen(&h, seconds, -log(unit()) * life > seconds);
		}
		double got = horizon_estimate(&h);
		CHECK(fabs(got - life) < 0.3 * life, "%g s: %g", life, got);
	}
	/* From long to short, and within bounds whatever it is told. */
	for (int i = 0; i < 8000; i++)
		horizon_seen(&h, 2, -log(unit()) * 4 > 2);
	cr_assert(fabs(horizon_estimate(&h) - 4) < 1.2, "%g", horizon_estimate(&h));
	for (int i = 0; i < 5000; i++)
		horizon_seen(&h, 500, true);
	cr_assert_eq(horizon_estimate(&h), HORIZON_MOST);
	for (int i = 0; i < 20000; i++)
		horizon_seen(&h, 1e-6, false);
	cr_assert_eq(horizon_estimate(&h), HORIZON_LEAST);
	struct horizon same = h;
	horizon_seen(&h, NAN, true);
	horizon_seen(&h, -1, false);
	horizon_seen(&h, 0, false);
	cr_assert_eq(memcmp(&h, &same, sizeof(h)), 0);
}
