/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which events of this processor sample accesses to memory together with their addresses. A table for Intel's PEBS,
 * and what /sys says of AMD's IBS; no library is asked.
 */
#ifndef TM_PERF_CODES_H
#define TM_PERF_CODES_H

#include <stdbool.h>
#include <stdint.h>

#define PERF_CODES 2 /* events that are sampled together, at most */

/* What perf_event_open(2) is to be told of an event. */
struct perf_code {
	const char *name;
	uint64_t config, config2;
	uint32_t type;
	uint32_t times;  /* as much more frequent as the first one: its period is that much longer */
	uint32_t step;   /* the period must be a multiple of it; 0: any */
	uint8_t precise; /* precise_ip: the address comes from the instruction that is counted */
	bool weighs;     /* samples say how many cycles the access took */
	bool unfiltered; /* the kernel's accesses cannot be left out; needs perf_event_paranoid 1 */
	bool any_level;  /* accesses that hit a cache are sampled as well */
};

enum perf_vendor { PERF_OTHER, PERF_INTEL, PERF_AMD };

/* The processor, as CPUID names it. */
struct perf_cpu {
	enum perf_vendor vendor;
	unsigned family, model;
};

/* AMD's instruction based sampling, as the kernel offers it; type 0: not at all. */
struct perf_ibs {
	uint32_t type;
	bool misses_only; /* can leave out what hit the last cache (Zen 4) */
	bool user_only;   /* can leave out the kernel (Linux 6.15) */
};

void perf_cpu(struct perf_cpu *cpu);
void perf_ibs(struct perf_ibs *ibs);

/*
 * The events for a processor, the most useful one first: loads that went to memory, then stores. Their number; 0 if
 * none is known. No system call, no global state.
 */
unsigned perf_select(const struct perf_cpu *cpu, const struct perf_ibs *ibs, struct perf_code codes[PERF_CODES]);

/* perf_select for this machine. */
unsigned perf_choose(struct perf_code codes[PERF_CODES]);

#endif
