/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of costs: what moving memory costs here, measured as the library would, and from which shares and rates on
 * which kind of move pays. The measuring takes some 20 ms and memory of its own.
 */
#include <stdio.h>

#include "cli/doctor.h"
#include "coloring/geometry.h"
#include "tiers/birth.h"
#include "tiers/calibrate.h"
#include "tiers/policy.h"

#define TIME 24

/* Nanoseconds for people: "82 ns", "8.6 us", "1.2 ms". */
static const char *cost_time(char text[TIME], double ns) {
	if (ns < 1000)
		snprintf(text, TIME, "%.0f ns", ns);
	else if (ns < 1e6)
		snprintf(text, TIME, ns < 1e5 ? "%.1f us" : "%.0f us", ns / 1e3);
	else
		snprintf(text, TIME, "%.1f ms", ns / 1e6);
	return text;
}

/* Both checks are about the same measurement. */
static const struct calibration *costs_here(void) {
	static struct calibration here;
	static bool done;
	struct birth_facts facts;

	if (!done) {
		birth_look(&facts);
		calibrate(&here, facts.alike);
		done = true;
	}
	return &here;
}

void check_costs(struct doctor *d) {
	static const char *const from[] = {"assumed", "measured", "known"};
	const struct calibration *c = costs_here();
	struct cost_table t = c->costs;
	char time[TIME];

	for (int i = 0; i < COST_COUNT; i++) {
		const struct cost_info *info = &cost_infos[i];
		bool told = i >= COST_fault_wait && i <= COST_move_small;
		double ns = *cost_field(&t, (enum cost_id)i);
		doctor_add(d, c->from[i] == CALIBRATE_ASSUMED && !told ? MARK_NOTE : MARK_OK, info->name,
		    "%s, %s: %s", cost_time(time, ns), from[c->from[i]], info->what);
		if (i == COST_gain_huge && c->from[i] == CALIBRATE_MEASURED)
			doctor_follows(d, "as in a heap of 128 MiB; more in a larger one");
		else if (told)
			doctor_follows(d, "only measured while a program runs");
		else if (c->from[i] == CALIBRATE_TOLD)
			doctor_follows(d, "all memory is alike");
		else if (c->from[i] == CALIBRATE_ASSUMED)
			doctor_follows(d, "could not be measured here; decisions rest on a usual value");
		doctor_fact(d, "nanoseconds", ns);
		doctor_fact(d, "measured", c->from[i] == CALIBRATE_MEASURED);
	}
}

static void even_rate(struct doctor *d, const char *name, double rate, const char *what, const char *never) {
	if (rate >= COST_NEVER) {
		doctor_add(d, MARK_OK, name, "%s", never);
		return;
	}
	doctor_add(
	    d, MARK_OK, name, "%s from %.0f accesses a second on, which last for %.0f s", what, rate, HORIZON_USUAL);
	doctor_fact(d, "rate", rate);
}

void check_break_even(struct doctor *d) {
	const struct cost_table *t = &costs_here()->costs;
	double lazy = cost_lazy_share(t), parts = cost_split_share(t, 0, 0);

	doctor_add(d, MARK_OK, "lazy or at once",
	    "page by page at its first access if less than %.1f%% will be touched", lazy * 100);
	doctor_follows(d, "from there on all pages of a region are moved in one go");
	doctor_fact(d, "share", lazy);
	if (parts > 0)
		doctor_add(d, MARK_OK, "in parts or whole",
		    "a huge page is split if less than %.1f%% of it is hot, where there is room", parts * 100);
	else
		doctor_add(d, MARK_OK, "in parts or whole",
		    "where there is room a huge page is moved whole, however little of it is hot");
	doctor_follows(d, "the more so the hotter it is; where room is short, later");
	doctor_fact(d, "share", parts);
	even_rate(d, "collapse", cost_collapse_rate(t, t->gain_huge, HORIZON_USUAL, POLICY_MARGIN),
	    "making a region huge pays", "never pays: huge pages save nothing here");
	doctor_follows(d, "for accesses that miss the TLB, which covers %.0f MiB on small pages",
	    (double)geometry_tlb_reach() / (1 << 20));
	even_rate(d, "promotion", cost_move_rate(t, t->gain_node, HORIZON_USUAL, POLICY_MARGIN),
	    "moving a region to the fast node pays", "never pays: no memory is known to be faster than other memory");
}
