/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Heat: what is believed about the access rate of a region, and what an observation teaches. Pure functions of
 * numbers: no clock, no kernel, no globals. Any thread.
 *
 * Accesses are taken for a Poisson process of rate r (1/s). The belief about r is a Gamma distribution with shape
 * `hits` + 1/2 and rate `seconds` + 1/2 / mean, where mean is the typical rate of the heap (struct heat_world): half
 * an observation of what is usual stands in for what is not known yet. Watching a region for t seconds until its
 * first access, or without one, is the conjugate update hits += 1 or 0,   seconds += t and both fade with a
 * half-life, since what was true a minute ago need not be so now. (Gelman and others, Bayesian Data Analysis,
 * section 2.6: the exponential and Poisson models with a Gamma prior.)
 *
 * Rates do change at once as well. Before each update the observation's probability under the belief is weighed
 * against its probability under the prior, with `change` as the chance that the region has become another:
 *     p = change * f_prior / (change * f_prior + (1 - change) * f_belief)
 * and the belief keeps the share 1 - p of its weight, nothing if p is above 1/2. What an accessed region may have
 * become is taken to be hot, twice the threshold, if that is more than is usual: that is the change which matters. f
 * is the predictive density of a time to first access, a Lomax distribution:  a b^a / (b + t)^(a + 1)  for an access
 * at t, and  (b / (b + t))^a for none until t.
 */
#ifndef TM_HEAT_H
#define TM_HEAT_H

#include <stdbool.h>

/* 8 bytes for a region; all zero is "nothing is known". */
struct heat {
	float hits;    /* first accesses seen, faded */
	float seconds; /* time watched, faded */
};

/* What beliefs about single regions are measured against. */
struct heat_world {
	float mean;      /* typical rate of a region, 1/s, above 0 */
	float threshold; /* the rate that divides what is to be told apart, 1/s, above 0 */
	float half_life; /* of an observation, seconds, above 0 */
	float change;    /* chance that a region's rate has changed since it was last seen, 0 to 1 */
};

/* The belief `age` seconds later. */
struct heat heat_faded(struct heat heat, float age, const struct heat_world *world);
/* Expected rate, 1/s; and its relative standard deviation, 1/sqrt(shape), at most sqrt(2). */
float heat_rate(struct heat heat, const struct heat_world *world);
float heat_sigma(struct heat heat);
/*
 * Probability that the rate is below `rate`, 0 to 1: the Gamma distribution function in the approximation of Wilson
 * and Hilferty (1931), off by less than 0.04 at shape 1/2 and less than 0.01 from shape 2 on.
 */
float heat_below(struct heat heat, float rate, const struct heat_world *world);
/*
 * What it is expected to cost to take the region for what it seems to be, hotter or colder than the threshold, in
 * accesses per second on the wrong side, as a multiple of the threshold:
 *     E[max(0, r - threshold)] / threshold  if it seems colder,  E[max(0, threshold - r)] / threshold  otherwise.
 * Looking at the region where this is largest is worth most. 0 or more.
 */
float heat_doubt(struct heat heat, const struct heat_world *world);
/*
 * The belief after watching for `seconds` (above 0), until an access if `hit`; *changed is set when it is more likely
 * than not that the region has become another. `heat` must have been faded to the time of the observation.
 */
struct heat heat_learn(struct heat heat, bool hit, float seconds, const struct heat_world *world, bool *changed);

#endif
