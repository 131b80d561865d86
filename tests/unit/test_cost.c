/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiers/cost: limits, units, monotony, and every break-even against a brute-force simulation that moves pages one by
 * one and adds up what each access and each copy took.
 * link: -lm
 */
#include "unit.h"

#include <math.h>

#include "tiers/cost.h"

#define ROUNDS 2000

static uint64_t seed;

/* Evenly distributed over [0, 1). */
static double unit(void) {
	return (double)(random_next(&seed) >> 11) * 0x1p-53;
}

/* Evenly distributed over orders of magnitude. */
static double spread(double least, double most) {
	return least * pow(most / least, unit());
}

/* A machine that could be: every field anywhere within its limits. */
static struct cost_table machine(void) {
	struct cost_table t;
	for (int i = 0; i < COST_COUNT; i++) {
		double least = cost_infos[i].least > 0 ? cost_infos[i].least : 1;
		*cost_field(&t, (enum cost_id)i) = spread(least, cost_infos[i].most);
	}
	return t;
}

static bool near(double a, double b, double relative) {
	return fabs(a - b) <= relative * fmax(fabs(a), fabs(b)) + 1e-12;
}

Test(cost, table) {
	struct cost_table t;
	memset(&t, 0xff, sizeof(t));
	cost_usual(&t);
	for (int i = 0; i < COST_COUNT; i++) {
		const struct cost_info *info = &cost_infos[i];
		double v = *cost_field(&t, (enum cost_id)i);
		cr_assert(v >= info->least && v <= info->most, "%s: default %g outside its limits", info->name, v);
		cr_assert(strlen(info->what) > 10 && strlen(info->what) < 90, "%s", info->name);
	}
	cr_assert_eq(sizeof(t), COST_COUNT * sizeof(double));
	cr_assert_eq(&t.split, cost_field(&t, COST_split));
	/* A copy is part of a collapse, and a huge page is moved faster than 512 small ones. */
	cr_assert_lt(t.move_huge, COST_PAGES * t.move_small);
	cr_assert_lt(COST_PAGES * t.copy_page, t.collapse);
	cr_assert_lt(t.fault_huge, COST_PAGES * (t.fault_small + t.copy_page));
}

Test(cost, chance_is_one_minus_exp) {
	seed = random_seed();
	for (int i = 0; i < 100000; i++) {
		double x = spread(1e-12, 100), want = -expm1(-x), got = cost_chance(x);
		CHECK(near(got, want, 1e-9), "x %g: %.12g, not %.12g", x, got, want);
	}
	cr_assert_eq(cost_chance(0), 0);
	cr_assert_eq(cost_chance(-1), 0);
	cr_assert_eq(cost_chance(NAN), 0);
	cr_assert_eq(cost_chance(INFINITY), 1);
	/* Tiny ones are not lost to rounding. */
	cr_assert(near(cost_chance(1e-15), 1e-15, 1e-9));
	double before = 0;
	for (double x = 0; x < 45; x += 0.001) {
		double p = cost_chance(x);
		CHECK(p >= before - 1e-15 && p <= 1, "not monotone at %g", x);
		before = p;
	}
}

/* Poisson arrivals, drawn one by one; the share of moves that meet one. */
Test(cost, disturbance_of_drawn_accesses) {
	seed = random_seed();
	struct cost_table t;
	cost_usual(&t);
	for (int i = 0; i < 20; i++) {
		double rate = spread(10, 1e5), window = spread(1e4, 1e6), sum = 0;
		const int tries = 40000;
		for (int k = 0; k < tries; k++) {
			double first = -log(1 - unit()) / rate; /* seconds */
			sum += t.copy_page + (first * 1e9 < window ? t.fault_wait : 0);
		}
		double got = cost_disturb(&t, rate, window), mean = sum / tries;
		/* four standard errors of a share of at most 1/2 */
		CHECK(fabs(got - mean) < 4 * t.fault_wait * 0.5 / sqrt(tries), "rate %g window %g: %g, drawn %g",
		    rate, window, got, mean);
	}
}

Test(cost, disturbance_limits) {
	seed = random_seed();
	for (int i = 0; i < ROUNDS; i++) {
		struct cost_table t = machine();
		double r = spread(1e-3, 1e9), w = spread(1, 1e10), d = cost_disturb(&t, r, w);
		CHECK(cost_disturb(&t, 0, w) == t.copy_page, "nobody touches it");
		CHECK(cost_disturb(&t, r, 0) == t.copy_page, "no time");
		CHECK(d >= t.copy_page && d <= t.copy_page + t.fault_wait, "%g", d);
		CHECK(cost_disturb(&t, r * 2, w) >= d && cost_disturb(&t, r, w * 2) >= d, "not monotone");
		CHECK(near(cost_disturb(&t, r * 2, w / 2), d, 1e-8), "only the product matters");
		CHECK(
		    cost_disturb(&t, NAN, w) == t.copy_page && cost_disturb(&t, -r, w) == t.copy_page, "wrong rates");
	}
	/* Units: once a second for one second is 1 - 1/e. */
	struct cost_table t = {.copy_page = 0, .fault_wait = 1};
	cr_assert(near(cost_disturb(&t, 1, 1e9), 0.6321205588285577, 1e-9));
}

/* Pages are touched or not; each way is paid page by page. */
static void pay(const struct cost_table *t, unsigned pages, unsigned touched, double *lazy, double *eager) {
	*lazy = *eager = 0;
	for (unsigned i = 0; i < pages; i++) {
		*eager += t->copy_page;
		if (i < touched)
			*lazy += t->copy_page + t->fault_lazy;
	}
}

Test(cost, lazy_or_eager_page_by_page) {
	seed = random_seed();
	for (int i = 0; i < ROUNDS; i++) {
		struct cost_table t = machine();
		unsigned pages = 1 + random_below(&seed, 2000), even = pages;
		double lazy, eager, share = cost_lazy_share(&t);
		/* The most pages that may be touched for lazy to be cheaper. */
		for (unsigned touched = 0; touched <= pages; touched++) {
			pay(&t, pages, touched, &lazy, &eager);
			if (touched % 37 == 0)
				CHECK(near(lazy, cost_lazy(&t, pages, (double)touched / pages), 1e-9) &&
					near(eager, cost_eager(&t, pages), 1e-9),
				    "%u of %u", touched, pages);
			if (lazy >= eager) {
				even = touched;
				break;
			}
		}
		CHECK(fabs(share * pages - even) <= 1.0001, "break-even %g of %u pages, paid %u", share, pages, even);
		/* The form of the design. */
		double f = unit() * 0.999 + 0.0005;
		if (!near(f, share, 1e-6))
			CHECK((t.fault_lazy < t.copy_page * (1 - f) / f) == (f < share), "f %g, f* %g", f, share);
	}
}

Test(cost, lazy_limits) {
	struct cost_table t;
	cost_usual(&t);
	cr_assert_eq(cost_lazy(&t, 512, 0), 0);
	cr_assert_eq(cost_eager(&t, 0), 0);
	cr_assert_eq(cost_lazy(&t, 512, 7), cost_lazy(&t, 512, 1));
	cr_assert_eq(cost_lazy(&t, 512, NAN), 0);
	cr_assert_gt(cost_lazy(&t, 512, 1), cost_eager(&t, 512));
	/* Free faults: lazy always. Dear ones, or a free copy: never. */
	t.fault_lazy = 0;
	cr_assert_eq(cost_lazy_share(&t), 1);
	t.fault_lazy = 1e300;
	cr_assert_lt(cost_lazy_share(&t), 1e-200);
	t.copy_page = 0;
	cr_assert_eq(cost_lazy_share(&t), 0);
}

/* Whole or in parts, paid page by page and access by access. */
Test(cost, split_or_whole_page_by_page) {
	seed = random_seed();
	unsigned inside = 0;
	for (int i = 0; i < ROUNDS; i++) {
		struct cost_table t = machine();
		double room = random_below(&seed, 2) ? 0 : spread(10, 1e5);
		unsigned accesses = random_below(&seed, 4) ? random_below(&seed, 3000) : 0, even = COST_PAGES;
		double whole = 0;
		for (unsigned p = 0; p < COST_PAGES; p++)
			whole += t.copy_page + room;
		for (unsigned hot = 0; hot <= COST_PAGES; hot++) {
			double parts = t.split;
			for (unsigned p = 0; p < hot; p++)
				parts += t.copy_page + t.fault_lazy + room;
			for (unsigned a = 0; a < accesses; a++)
				parts += t.gain_huge;
			if (hot % 73 == 0)
				CHECK(near(parts, cost_parts(&t, (double)hot / COST_PAGES, accesses, room), 1e-9),
				    "%u", hot);
			if (parts >= whole) {
				even = hot;
				break;
			}
		}
		double share = cost_split_share(&t, accesses, room);
		CHECK(share >= 0 && share <= 1, "%g", share);
		CHECK(near(whole, cost_whole(&t, room), 1e-9), "whole");
		CHECK(
		    fabs(share * COST_PAGES - even) <= 1.0001, "break-even at %g of 512, paid %u", share * 512, even);
		inside += share > 0 && share < 1;
		CHECK(cost_split_share(&t, accesses * 2.0, room) <= share, "more accesses speak for whole");
		CHECK(cost_split_share(&t, accesses, room + 50) >= share - 1e-12, "dear room speaks for parts");
	}
	cr_assert_gt(inside, ROUNDS / 20, "only %u had a break-even within", inside);
}

Test(cost, benefit) {
	/* A thousand accesses a second, 100 ns each, ten seconds: a millisecond. */
	cr_assert(near(cost_benefit(1000, 100, 10), 1e6, 1e-12));
	cr_assert_eq(cost_benefit(-1, 100, 10), 0);
	cr_assert_eq(cost_benefit(1, NAN, 10), 0);
	cr_assert_eq(cost_tlb_misses(0, 8), 0);
	cr_assert_eq(cost_tlb_misses(8, 8), 0);
	cr_assert_eq(cost_tlb_misses(16, 8), 0.5);
	cr_assert_eq(cost_tlb_misses(16, 0), 1);
	cr_assert_eq(cost_tlb_misses(NAN, 1), 0);
}

/* Random accesses to more pages than an LRU of that many entries holds miss as often as said. */
Test(cost, tlb_misses_of_drawn_accesses) {
	seed = random_seed();
	enum { ENTRIES = 64 };
	for (unsigned pages = 16; pages <= 512; pages *= 2) {
		unsigned lru[ENTRIES], have = 0, misses = 0;
		const unsigned tries = 40000;
		for (unsigned k = 0; k < tries + 1000; k++) {
			unsigned page = random_below(&seed, pages), at = 0;
			while (at < have && lru[at] != page)
				at++;
			if (at == have) {
				misses += k >= 1000;
				have += have < ENTRIES;
				at = have - 1;
			}
			memmove(lru + 1, lru, at * sizeof(lru[0]));
			lru[0] = page;
		}
		double want = cost_tlb_misses(pages, ENTRIES), got = (double)misses / tries;
		cr_assert(fabs(want - got) < 0.02, "%u pages: %g, drawn %g", pages, want, got);
	}
}

/* The rate is where it starts to pay: below not, above it does. */
Test(cost, break_even_rates) {
	seed = random_seed();
	for (int i = 0; i < ROUNDS; i++) {
		struct cost_table t = machine();
		double gain = spread(1, 500), horizon = spread(0.5, 600), margin = 1 + unit() * 3;
		double c = cost_collapse_rate(&t, gain, horizon, margin),
		       m = cost_move_rate(&t, gain, horizon, margin);
		for (double k = 0.01; k < 100; k *= 1.3) {
			if (near(k, 1, 1e-4))
				continue;
			CHECK((cost_benefit(c * k, gain, horizon) > margin * cost_collapse(&t, c * k, 0)) == (k > 1),
			    "collapse: %g times %g", k, c);
			CHECK((cost_benefit(m * k, gain, horizon) > margin * cost_move(&t, COST_PAGES, m * k)) ==
				(k > 1),
			    "move: %g times %g", k, m);
		}
		CHECK(cost_collapse_rate(&t, gain * 2, horizon, margin) < c, "gain");
		CHECK(cost_collapse_rate(&t, gain, horizon * 2, margin) < c, "horizon");
		CHECK(cost_collapse_rate(&t, gain, horizon, margin * 2) > c, "margin");
	}
	struct cost_table t;
	cost_usual(&t);
	cr_assert_eq(cost_collapse_rate(&t, 0, 10, 2), COST_NEVER);
	cr_assert_eq(cost_move_rate(&t, 10, 0, 2), COST_NEVER);
}

Test(cost, collapse_and_move) {
	seed = random_seed();
	for (int i = 0; i < ROUNDS; i++) {
		struct cost_table t = machine();
		double r = spread(1, 1e8);
		CHECK(cost_collapse(&t, 0, 0) == t.collapse, "still and full");
		CHECK(cost_collapse(&t, r, 0) >= t.collapse && cost_collapse(&t, r, 0) <= 2 * t.collapse, "busy");
		CHECK(near(cost_collapse(&t, 0, 100) - t.collapse, 100 * t.fault_small, 1e-9), "missing");
		CHECK(cost_collapse(&t, r, 1e9) == cost_collapse(&t, r, COST_PAGES), "more missing than there are");
		CHECK(cost_move(&t, COST_PAGES, r) <= cost_eager(&t, COST_PAGES) + t.fault_wait, "move");
	}
}

/* All pages of all candidates driven out one by one. */
Test(cost, car_park) {
	seed = random_seed();
	static float rates[16][COST_PAGES];
	struct cost_table t;
	cost_usual(&t);
	for (int round = 0; round < 300; round++) {
		struct cost_range ranges[16];
		unsigned n = 1 + random_below(&seed, 16);
		size_t best = 0;
		double least = INFINITY;
		for (unsigned i = 0; i < n; i++) {
			unsigned resident = random_below(&seed, COST_PAGES + 1);
			double sum = 0;
			for (unsigned p = 0; p < resident; p++) {
				rates[i][p] = (float)spread(1e-2, 1e6);
				double met = -expm1(-(double)rates[i][p] * t.collapse * 1e-9);
				sum += t.copy_page + met * t.fault_wait;
			}
			for (unsigned p = resident; p < COST_PAGES; p++)
				sum += t.fault_small;
			ranges[i] = (struct cost_range){resident, COST_PAGES - resident, rates[i], 0};
			if (sum < least) {
				least = sum;
				best = i;
			}
		}
		size_t got = cost_choose(&t, ranges, n);
		CHECK(got == best, "range %zu at %g, not %zu at %g", got, cost_range(&t, &ranges[got]), best, least);
	}
	cr_assert_eq(cost_choose(&t, NULL, 0), SIZE_MAX);
	/* One rate for all is the same as that rate for each; of equals the first; a still range before a busy one.
	 */
	for (unsigned p = 0; p < COST_PAGES; p++)
		rates[0][p] = 50;
	struct cost_range pair[] = {{300, 212, NULL, 50}, {300, 212, rates[0], 0}, {300, 212, NULL, 49}};
	cr_assert(near(cost_range(&t, &pair[0]), cost_range(&t, &pair[1]), 1e-9));
	cr_assert_eq(cost_choose(&t, pair, 1), 0);
	cr_assert_eq(cost_choose(&t, (struct cost_range[]){pair[0], pair[0]}, 2), 0);
	cr_assert_eq(cost_choose(&t, pair, 3), 2);
}
