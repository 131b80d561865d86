/* SPDX-License-Identifier: BSD-2-Clause */
/* Formulas and their sources are in heat.h. libm only: no state but errno, which the threads of ours have too. */
#include "tiers/heat.h"

#include <math.h>

#define PRIOR_HITS 0.5F

struct gamma {
	float shape, rate;
};

static struct gamma gamma_of(struct heat heat, const struct heat_world *world) {
	return (struct gamma){heat.hits + PRIOR_HITS, heat.seconds + PRIOR_HITS / world->mean};
}

static float gamma_below(float shape, float x) {
	float z = 3 * sqrtf(shape) * (cbrtf(x / shape) - 1 + 1 / (9 * shape));
	return 0.5F * erfcf(-z * 0.70710678F);
}

struct heat heat_faded(struct heat heat, float age, const struct heat_world *world) {
	float keep = age > 0 ? exp2f(-age / world->half_life) : 1;
	return (struct heat){heat.hits * keep, heat.seconds * keep};
}

float heat_rate(struct heat heat, const struct heat_world *world) {
	struct gamma g = gamma_of(heat, world);
	return g.shape / g.rate;
}

float heat_sigma(struct heat heat) {
	return 1 / sqrtf(heat.hits + PRIOR_HITS);
}

float heat_below(struct heat heat, float rate, const struct heat_world *world) {
	struct gamma g = gamma_of(heat, world);
	return gamma_below(g.shape, g.rate * rate);
}

float heat_doubt(struct heat heat, const struct heat_world *world) {
	struct gamma g = gamma_of(heat, world);
	float t = world->threshold, mean = g.shape / g.rate, doubt;
	/* E[r; r < t] is the mean times the distribution function at one more hit. */
	float below = gamma_below(g.shape, g.rate * t), mass = mean * gamma_below(g.shape + 1, g.rate * t);
	if (mean < t)
		doubt = (mean - mass) - t * (1 - below);
	else
		doubt = t * below - mass;
	return doubt > 0 ? doubt / t : 0;
}

static float lomax_log(struct gamma g, bool hit, float t) {
	float none = -g.shape * log1pf(t / g.rate);
	return hit ? none + logf(g.shape / (g.rate + t)) : none;
}

struct heat heat_learn(struct heat heat, bool hit, float seconds, const struct heat_world *world, bool *changed) {
	struct gamma believed = gamma_of(heat, world), usual = gamma_of((struct heat){0, 0}, world);
	if (hit && world->mean < 2 * world->threshold)
		usual.rate = PRIOR_HITS / (2 * world->threshold);
	float other = world->change * expf(lomax_log(usual, hit, seconds) - lomax_log(believed, hit, seconds));
	float p = other < 1e30F ? other / (other + 1 - world->change) : 1;
	*changed = p > 0.5F;
	if (*changed) /* half a memory of what it was would only be in the way */
		p = 1;
	return (struct heat){heat.hits * (1 - p) + (hit ? 1 : 0), heat.seconds * (1 - p) + seconds};
}
