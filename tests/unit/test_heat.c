/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiers/heat: beliefs against simulated regions whose rates are known, and the limits of the formulas.
 *
 * link: -lm
 */
#include "unit.h"

#include <math.h>

#include "tiers/heat.h"

static const struct heat_world usual = {.mean = 1000, .threshold = 5000, .half_life = 10, .change = 1e-3F};

static double random_unit(uint64_t *seed) {
	return ((double)(random_next(seed) >> 11) + 0.5) / 9007199254740992.0;
}

/* Watches a region of this rate for at most `window` seconds. */
static struct heat watch(
    struct heat h, double rate, double window, const struct heat_world *w, uint64_t *seed, bool *changed) {
	double t = -log(random_unit(seed)) / rate;
	return heat_learn(h, t < window, (float)(t < window ? t : window), w, changed);
}

Test(heat, nothing_known_is_what_is_usual) {
	struct heat none = {0, 0};
	cr_assert_float_eq(heat_rate(none, &usual), usual.mean, 1e-2);
	cr_assert_float_eq(heat_sigma(none), sqrt(2), 1e-5);
}

Test(heat, rate_is_found_within_its_own_sigma) {
	uint64_t seed = random_seed();
	int outside = 0, trials = 0;
	for (double rate = 10; rate < 1e7; rate *= 10) {
		for (int k = 0; k < 200; k++) {
			struct heat_world w = usual;
			struct heat h = {0, 0};
			bool changed;
			w.mean = (float)rate * 3;
			w.change = 0;
			for (int i = 0; i < 40; i++)
				h = watch(h, rate, 1 / rate, &w, &seed, &changed);
			double off = fabs(heat_rate(h, &w) - rate) / rate / heat_sigma(h);
			outside += off > 2;
			trials++;
		}
	}
	/* 5 % are to be expected; Gamma distributions are askew. */
	CHECK(outside < trials / 10, "%d of %d outside two sigmas", outside, trials);
}

Test(heat, below_is_a_distribution_function) {
	for (float hits = 0; hits < 64; hits = hits * 2 + 0.25F) {
		struct heat h = {hits, hits / 500};
		float last = 0;
		for (float rate = 1e-3F; rate < 1e9F; rate *= 1.3F) {
			float p = heat_below(h, rate, &usual);
			CHECK(
			    p >= last - 1e-5F && p <= 1, "at %g: %g after %g", (double)rate, (double)p, (double)last);
			last = p;
		}
		CHECK(last > 0.999F, "%g", (double)last);
	}
}

/* Against samples: sums of exponentials are Gamma variables of whole shape. */
Test(heat, below_against_samples) {
	uint64_t seed = random_seed();
	for (int shape = 1; shape <= 16; shape *= 2) {
		struct heat h = {(float)shape - 0.5F, 1.0F};
		double b = 1 + 0.5 / usual.mean;
		for (double at = 0.5; at <= 2; at *= 2) {
			double rate = at * shape / b;
			int below = 0, n = 20000;
			for (int i = 0; i < n; i++) {
				double sum = 0;
				for (int k = 0; k < shape; k++)
					sum -= log(random_unit(&seed)) / b;
				below += sum < rate;
			}
			double p = heat_below(h, (float)rate, &usual);
			CHECK(fabs(p - (double)below / n) < 0.03, "shape %d at %g: %g, sampled %g", shape, at, p,
			    (double)below / n);
		}
	}
}

/* E[max(0, r - t)] by sampling, for what seems colder; the mirror image for what seems hotter. */
Test(heat, doubt_against_samples) {
	uint64_t seed = random_seed();
	for (int shape = 1; shape <= 9; shape += 4)
		for (double ratio = 0.25; ratio <= 4; ratio *= 4) { /* mean rate, in thresholds */
			struct heat h = {(float)shape - 0.5F, 0};
			double b = shape / (ratio * usual.threshold);
			h.seconds = (float)(b - 0.5 / usual.mean);
			if (h.seconds < 0)
				continue;
			double loss = 0;
			int n = 40000;
			for (int i = 0; i < n; i++) {
				double r = 0;
				for (int k = 0; k < shape; k++)
					r -= log(random_unit(&seed)) / b;
				double d = ratio < 1 ? r - usual.threshold : usual.threshold - r;
				loss += d > 0 ? d / usual.threshold : 0;
			}
			loss /= n;
			double doubt = heat_doubt(h, &usual);
			CHECK(fabs(doubt - loss) < 0.02 + 0.15 * loss, "shape %d, ratio %g: %g, sampled %g", shape,
			    ratio, doubt, loss);
		}
}

Test(heat, doubt_ends_with_knowledge_and_returns_with_age) {
	struct heat cold = {1, 1}, hot = {100, 100 / 1e6F};
	float c = heat_doubt(cold, &usual), h = heat_doubt(hot, &usual);
	CHECK(c < 1e-3F && h < 1e-3F, "%g %g", (double)c, (double)h);
	float before = c;
	for (float age = 20; age <= 120; age += 20) {
		float now = heat_doubt(heat_faded(cold, age, &usual), &usual);
		CHECK(now >= before, "%g at %g after %g", (double)now, (double)age, (double)before);
		before = now;
	}
	CHECK(before > c);
}

Test(heat, half_life) {
	struct heat h = heat_faded((struct heat){8, 4}, 20, &usual);
	cr_assert_float_eq(h.hits, 2, 1e-4);
	cr_assert_float_eq(h.seconds, 1, 1e-4);
	h = heat_faded((struct heat){8, 4}, -1, &usual);
	cr_assert_float_eq(h.hits, 8, 1e-6);
}

Test(heat, a_jump_is_noticed) {
	uint64_t seed = random_seed();
	int late = 0;
	struct heat_world w = usual;
	w.change = 0.05F; /* others have changed already */
	for (int k = 0; k < 200; k++) {
		struct heat h = {0, 0};
		bool changed, any = false;
		for (int i = 0; i < 30; i++)
			h = watch(h, 100, 1e-3, &w, &seed, &changed);
		int n = 0;
		for (; n < 8 && heat_rate(h, &w) < w.threshold; n++) {
			h = watch(h, 1e5, 1e-3, &w, &seed, &changed);
			any |= changed;
		}
		late += n == 8 || !any;
	}
	CHECK(late < 20, "%d of 200 not noticed within 8 observations", late);
}

Test(heat, no_number_breaks_it) {
	uint64_t seed = random_seed();
	for (int i = 0; i < 200000; i++) {
		struct heat_world w = {.mean = exp2f((float)random_below(&seed, 60) - 20),
		    .threshold = exp2f((float)random_below(&seed, 60) - 20),
		    .half_life = 10,
		    .change = (float)random_below(&seed, 100) / 100};
		struct heat h = {(float)random_below(&seed, 1000) / 7, exp2f((float)random_below(&seed, 60) - 40)};
		bool changed;
		h = heat_learn(h, random_below(&seed, 2), exp2f((float)random_below(&seed, 50) - 40), &w, &changed);
		h = heat_faded(h, (float)random_below(&seed, 1000), &w);
		float rate = heat_rate(h, &w), doubt = heat_doubt(h, &w), below = heat_below(h, w.threshold, &w);
		CHECK(isfinite(rate) && rate > 0, "%g", (double)rate);
		CHECK(isfinite(doubt) && doubt >= 0, "%g", (double)doubt);
		CHECK(below >= 0 && below <= 1, "%g", (double)below);
		CHECK(h.hits >= 0 && h.seconds >= 0);
	}
}

/* 200 regions, 10 % hot, each watched a few times: those above the threshold are the hot ones. */
Test(heat, tells_hot_from_cold) {
	uint64_t seed = random_seed();
	struct heat h[200] = {0};
	bool changed;
	int wrong = 0;
	for (int round = 0; round < 8; round++)
		for (int i = 0; i < 200; i++)
			h[i] = watch(h[i], i < 20 ? 75000 : 900, 2e-4, &usual, &seed, &changed);
	for (int i = 0; i < 200; i++)
		wrong += (heat_rate(h[i], &usual) > usual.threshold) != (i < 20);
	CHECK(wrong <= 4, "%d of 200 wrong", wrong);
}
