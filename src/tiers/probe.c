/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Choosing regions to watch, pacing, and what is known of all of them together, see probe.h. On the pager's thread:
 * no allocation, no lock, no managed memory.
 *
 * What is to be told apart are the hottest regions, as many as the hot tier may hold but at least a tenth, from the
 * others. So the threshold is the rate at that rank, and the region whose belief is most in doubt about it
 * (heat_doubt) is watched next. A sweep goes round the table with a bar that adapts, so that it finds a burst's worth
 * of regions above it in a part of the table; beliefs fade, so that every region comes up again.
 */
#include "tiers/probe.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "os/os.h"
#include "tiers/heat.h"
#include "tiers/pager.h"
#include "tiers/park.h"
#include "tiers/region_table.h"

#define BURST        64
#define SCAN         512  /* regions a burst looks at to find them, 0.2 us each */
#define WINDOW_LEAST 3000 /* ns; a region is back sooner than that only by chance */
#define HIT_SHARE    0.25F
#define WINDOW_MOST  100000000
#define AGAIN_MS     100 /* between two looks at the same region */
#define PAUSE_LEAST  2000000
#define PAUSE_MOST   500000000 /* ns, when nothing is in doubt */
#define DEBT_MOST    UINT64_C(2000000000)
#define BUSY_SHARE   200     /* a program that uses less than 1/200 of a CPU is idle */
#define LOOK_US      1000000 /* over which that is measured */
#define BAR_LEAST    1e-4F
#define HALF_LIFE    10.0F /* seconds */
#define CHANGE_LEAST 1e-3F
#define CHANGE_MOST  0.05F

/* A histogram of rates for ranks: 8 bins to a doubling, from 2^-10 per second on. */
#define BINS   320
#define OCTAVE 8
#define LOWEST (-10)

static struct {
	size_t cursor;
	unsigned left, scan, taken, hits, refused, in_flight; /* of this burst */
	float bar;
	uint64_t window, begun, due, pause; /* ns */
	uint64_t cpu_us;                    /* of this thread when the last burst began */
	uint64_t look_at, look_us;          /* since when the program's own use is measured, and what it was */
	unsigned observed, changed;         /* for the chance of change */
	uint32_t bin[BINS], counted;        /* of the sweep so far */
	double sum;
	bool bursting;
} probe;

/* Read by other threads. */
static struct heat_world world;
static _Atomic float known_threshold, known_mean;

static float bin_rate(unsigned bin) {
	return exp2f((float)bin / OCTAVE + LOWEST);
}

static unsigned rate_bin(float rate) {
	float bin = (log2f(rate) - LOWEST) * OCTAVE;
	return bin < 0 ? 0 : bin >= BINS ? BINS - 1 : (unsigned)bin;
}

static uint32_t clock_ms(uint64_t now) {
	uint32_t ms = (uint32_t)(now / 1000000);
	return ms != 0 ? ms : 1; /* 0 is never */
}

static struct heat region_belief(const struct region *r, uint32_t ms, const struct heat_world *w) {
	uint32_t seen = atomic_load_explicit(&r->seen_ms, memory_order_relaxed);
	if (seen == 0)
		return (struct heat){0, 0};
	struct heat heat = {atomic_load_explicit(&r->hits, memory_order_relaxed),
	    atomic_load_explicit(&r->seconds, memory_order_relaxed)};
	return heat_faded(heat, (float)(ms - seen) / 1000, w);
}

static void region_believe(struct region *r, struct heat heat, uint32_t ms) {
	atomic_store_explicit(&r->hits, heat.hits, memory_order_relaxed);
	atomic_store_explicit(&r->seconds, heat.seconds, memory_order_relaxed);
	atomic_store_explicit(&r->seen_ms, ms, memory_order_relaxed);
}

void probe_begin(void) {
	uint64_t now = os_now_ns();
	memset(&probe, 0, sizeof(probe));
	probe.bar = 0.1F;
	probe.window = WINDOW_LEAST;
	probe.pause = PAUSE_LEAST;
	probe.due = now;
	probe.cpu_us = os_thread_us();
	probe.look_at = now;
	probe.look_us = os_process_us();
	world = (struct heat_world){.mean = 1e4F, .threshold = 1e4F, .half_life = HALF_LIFE, .change = CHANGE_LEAST};
}

/* The rate of the region at this rank from the top, in the sweep that has just ended. */
static float rank_rate(double rank) {
	for (unsigned bin = BINS; bin-- > 0; rank -= probe.bin[bin])
		if (probe.bin[bin] > rank)
			return bin_rate(bin) * exp2f((float)(1 - rank / probe.bin[bin]) / OCTAVE);
	return bin_rate(0);
}

static void sweep_end(void) {
	if (probe.counted > 1) {
		double tenth = probe.counted / 10.0, room = (double)region_config.hot_limit / TM_REGION_BYTES;
		double rank = room > tenth ? room : tenth;
		if (rank > probe.counted / 2.0)
			rank = probe.counted / 2.0;
		/* Between those well above and those well below, where there is a gap. */
		world.threshold = sqrtf(rank_rate(rank * 0.88) * rank_rate(rank * 1.12));
		float mean = (float)(probe.sum / probe.counted), median = rank_rate(probe.counted / 2.0);
		world.mean = median < mean ? sqrtf(mean * median) : mean;
		atomic_store_explicit(&known_threshold, world.threshold, memory_order_relaxed);
		atomic_store_explicit(&known_mean, world.mean, memory_order_relaxed);
	}
	if (probe.observed >= BURST) {
		float change = (world.change + (float)probe.changed / (float)probe.observed) / 2;
		world.change = change < CHANGE_LEAST ? CHANGE_LEAST : change > CHANGE_MOST ? CHANGE_MOST : change;
		probe.observed = probe.changed = 0;
	}
	memset(probe.bin, 0, sizeof(probe.bin));
	probe.counted = 0;
	probe.sum = 0;
}

/* The region at the cursor, which moves on; -1 if it is not one to be watched now. */
static long sweep_next(uint32_t ms) {
	size_t hot = zone_carved(TM_HOT) >> REGION_SHIFT, cold = zone_carved(TM_COLD) >> REGION_SHIFT;
	if (probe.cursor >= hot + cold) {
		probe.cursor = 0;
		sweep_end();
		if (hot + cold == 0)
			return -1;
	}
	size_t index = probe.cursor < hot ? probe.cursor : (heap.hot_bytes >> REGION_SHIFT) + (probe.cursor - hot);
	probe.cursor++;
	struct region *r = &region_table[index];
	uint64_t word = atomic_load_explicit(&r->word, memory_order_relaxed);
	if (word_state(word) != TM_REGION_COLD || !(word & REGION_HUGE)) {
		if (r->watched)
			park_tidy(index);
		return -1;
	}
	struct heat heat = region_belief(r, ms, &world);
	float rate = heat_rate(heat, &world);
	probe.bin[rate_bin(rate)]++;
	probe.counted++;
	probe.sum += rate;
	uint32_t seen = atomic_load_explicit(&r->seen_ms, memory_order_relaxed);
	if ((seen != 0 && ms - seen < AGAIN_MS) || heat_doubt(heat, &world) < probe.bar)
		return -1;
	return (long)index;
}

static void probe_take(size_t index, uint64_t now) {
	int slot = park_take(index);
	if (slot >= 0) {
		probe.taken++;
		probe.in_flight++;
		count_add(&tm_process.probes, 1);
		return;
	}
	if (slot == -EAGAIN || slot == -ENOSPC)
		return;
	probe.refused++;
	count_add(slot == -EBUSY ? &tm_process.probe_busy : &tm_process.probe_refused, 1);
	/* Not again at once; what is believed stays. */
	struct region *r = &region_table[index];
	region_believe(r, region_belief(r, clock_ms(now), &world), clock_ms(now));
}

void probe_returned(int slot, bool hit) {
	const struct parked *p = &park_slots[slot];
	struct region *r = &region_table[p->index];
	uint64_t now = os_now_ns();
	uint32_t ms = clock_ms(now);
	uint64_t away = now > p->since ? now - p->since : 1;
	bool changed;

	region_believe(r, heat_learn(region_belief(r, ms, &world), hit, (float)away / 1e9F, &world, &changed), ms);
	probe.observed++;
	probe.changed += changed;
	probe.in_flight--;
	count_add(&tm_process.probe_ns, away);
	if (hit) {
		probe.hits++;
		count_add(&tm_process.probe_hits, 1);
	}
}

/* Those that have been away for the window come home; the time until the next one has. */
static uint64_t flight_expire(uint64_t now) {
	uint64_t next = UINT64_MAX;
	for (int slot = 0; slot < PARK_SLOTS && probe.in_flight > 0; slot++) {
		if (!park_slots[slot].away)
			continue;
		uint64_t end = park_slots[slot].since + probe.window;
		if (end <= now) {
			probe_returned(slot, false);
			park_return(slot);
		} else if (end - now < next) {
			next = end - now;
		}
	}
	return next;
}

/* Whether the program has done next to nothing of late. */
static bool program_idle(uint64_t now, uint64_t own_us) {
	if (now - probe.look_at < (uint64_t)LOOK_US * 1000)
		return false;
	uint64_t used = os_process_us() - own_us;
	bool idle = (used - probe.look_us) * BUSY_SHARE < (now - probe.look_at) / 1000;
	probe.look_at = now;
	probe.look_us = used;
	return idle;
}

/*
 * The window that a quarter of the probes are accessed in. An access costs twice what coming home without one does,
 * and keeps a thread waiting; but where none is seen, nothing is learnt of who is hotter.
 */
static void window_adapt(void) {
	float aim = HIT_SHARE * (float)probe.taken, step = sqrtf((aim + 1) / ((float)probe.hits + 1));
	float window = (float)probe.window * (step < 0.5F ? 0.5F : step > 2 ? 2 : step);
	probe.window = window < WINDOW_LEAST ? WINDOW_LEAST : window > WINDOW_MOST ? WINDOW_MOST : (uint64_t)window;
}

static uint64_t burst_end(uint64_t now) {
	uint64_t cpu = os_thread_us(), used = cpu - probe.cpu_us;
	probe.bursting = false;
	probe.cpu_us = cpu;
	window_adapt();
	if (probe.left > 0)
		probe.bar = probe.bar * 0.9F > BAR_LEAST ? probe.bar * 0.9F : BAR_LEAST;
	else if (probe.scan > SCAN / 2)
		probe.bar *= 1.1F;
	/* Few in doubt, or a child that shares them all: less often. */
	bool slack = probe.taken < BURST / 4 && (probe.bar <= BAR_LEAST || probe.refused > probe.taken);
	probe.pause = slack ? probe.pause * 2 : PAUSE_LEAST;
	if (probe.pause > PAUSE_MOST)
		probe.pause = PAUSE_MOST;
	probe.due = probe.begun + used * 1000 * 100 / region_config.sense_cpu;
	if (probe.due > now + DEBT_MOST) /* a burst that was disturbed; or much else to do for the thread */
		probe.due = now + DEBT_MOST;
	if (probe.due < now + probe.pause)
		probe.due = now + probe.pause;
	if (program_idle(now, cpu)) {
		probe.due = now;
		return PROBE_IDLE;
	}
	return probe.due - now;
}

uint64_t probe_step(uint64_t now) {
	uint64_t next = flight_expire(now);

	if (!probe.bursting) {
		if (now < probe.due)
			return probe.due - now;
		probe.bursting = true;
		probe.begun = now;
		probe.left = BURST;
		probe.scan = SCAN;
		probe.taken = probe.hits = probe.refused = 0;
	}
	while (probe.left > 0 && probe.scan > 0 && probe.in_flight < PARK_SLOTS) {
		probe.scan--;
		long index = sweep_next(clock_ms(now));
		if (index < 0)
			continue;
		probe.left--;
		probe_take((size_t)index, now);
		return 0; /* somebody may have hit one of the others */
	}
	if (probe.in_flight > 0)
		return next;
	return burst_end(now);
}

bool probe_heat(size_t index, float *rate, float *sigma) {
	struct heat_world w = {
	    .mean = atomic_load_explicit(&known_mean, memory_order_relaxed), .threshold = 1, .half_life = HALF_LIFE};
	const struct region *r = &region_table[index];
	if (w.mean <= 0 || atomic_load_explicit(&r->seen_ms, memory_order_relaxed) == 0)
		return false;
	struct heat heat = region_belief(r, clock_ms(os_now_ns()), &w);
	*rate = heat_rate(heat, &w);
	*sigma = heat_sigma(heat);
	return true;
}

float probe_threshold(void) {
	return atomic_load_explicit(&known_threshold, memory_order_relaxed);
}

void probe_after_fork_child(void) {
	/* The child's program may do something else altogether. Its beliefs fade; what is typical is found anew. */
	probe_begin();
}
