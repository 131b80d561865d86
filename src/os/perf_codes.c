/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Choosing the events of perf.c. Intel's have fixed codes per core (perf_codes.def). AMD's IBS is a device of its own
 * in the kernel, with a number in /sys and one event. Runs on any thread; must not allocate, lock or change errno.
 */
#include "os/perf_codes.h"

#include <linux/perf_event.h>
#include <stddef.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "os/os.h"

#define IBS         "/sys/bus/event_source/devices/ibs_op/"
#define IBS_OPS     (UINT64_C(1) << 19) /* cnt_ctl: counts operations, not cycles */
#define IBS_MISSES  (UINT64_C(1) << 16) /* l3missonly */
#define IBS_FILTER  UINT64_C(1)         /* swfilt, in config2 */
#define STORES_MORE 64 /* stores for each load that misses: a guess, of the order of peers' periods */

enum core {
#define PERF_CORE(core, pmu, misses, miss_code, stores, store_code) core,
#include "os/perf_codes.def"
	CORES
};

static const struct {
	const char *misses, *stores;
	uint32_t miss_code, store_code;
} cores[CORES] = {
#define PERF_CORE(core, pmu, misses, miss_code, stores, store_code) {misses, stores, miss_code, store_code},
#include "os/perf_codes.def"
};

static const struct {
	unsigned model;
	enum core core;
} models[] = {
#define PERF_MODEL(model, core) {model, core},
#include "os/perf_codes.def"
};

void perf_cpu(struct perf_cpu *cpu) {
	*cpu = (struct perf_cpu){0};
#if defined(__x86_64__)
	unsigned a, b, c, d;
	char vendor[12];

	if (!__get_cpuid(0, &a, &b, &c, &d))
		return;
	memcpy(vendor, &b, 4);
	memcpy(vendor + 4, &d, 4);
	memcpy(vendor + 8, &c, 4);
	if (memcmp(vendor, "GenuineIntel", 12) == 0)
		cpu->vendor = PERF_INTEL;
	else if (memcmp(vendor, "AuthenticAMD", 12) == 0)
		cpu->vendor = PERF_AMD;
	if (!__get_cpuid(1, &a, &b, &c, &d))
		return;
	cpu->family = (a >> 8 & 15) + ((a >> 8 & 15) == 15 ? a >> 20 & 255 : 0);
	cpu->model = (a >> 4 & 15) + (a >> 16 & 15) * 16;
#endif
}

/* True if the file says that a field is where we put it. */
static bool field_is(const char *path, const char *place) {
	char text[32];
	size_t length = strlen(place);
	long n = os_read_file(path, text, sizeof(text));
	return n >= (long)length && memcmp(text, place, length) == 0 &&
	    (text[length] == '\n' || text[length] == '\0');
}

void perf_ibs(struct perf_ibs *ibs) {
	char text[16];

	*ibs = (struct perf_ibs){0};
	if (os_read_file(IBS "type", text, sizeof(text)) <= 0)
		return;
	for (const char *p = text; *p >= '0' && *p <= '9'; p++)
		ibs->type = ibs->type * 10 + (uint32_t)(*p - '0');
	ibs->misses_only = field_is(IBS "format/l3missonly", "config:16");
	ibs->user_only = field_is(IBS "format/swfilt", "config2:0");
}

static unsigned intel_select(const struct perf_cpu *cpu, struct perf_code codes[PERF_CODES]) {
	for (size_t i = 0; cpu->family == 6 && i < sizeof(models) / sizeof(models[0]); i++) {
		if (models[i].model != cpu->model)
			continue;
		codes[0] = (struct perf_code){
		    .name = cores[models[i].core].misses,
		    .type = PERF_TYPE_RAW,
		    .config = cores[models[i].core].miss_code,
		    .times = 1,
		    .precise = 1,
		};
		codes[1] = (struct perf_code){
		    .name = cores[models[i].core].stores,
		    .type = PERF_TYPE_RAW,
		    .config = cores[models[i].core].store_code,
		    .times = STORES_MORE,
		    .precise = 1,
		    .any_level = true,
		};
		return 2;
	}
	return 0;
}

/* One event for loads and stores alike; a sample says which it was. */
static unsigned amd_select(const struct perf_ibs *ibs, struct perf_code codes[PERF_CODES]) {
	if (ibs->type == 0)
		return 0;
	codes[0] = (struct perf_code){
	    .name = ibs->misses_only ? "ibs_op/cnt_ctl=1,l3missonly=1/" : "ibs_op/cnt_ctl=1/",
	    .type = ibs->type,
	    .config = IBS_OPS | (ibs->misses_only ? IBS_MISSES : 0),
	    .config2 = ibs->user_only ? IBS_FILTER : 0,
	    .times = 1,
	    .step = 16,
	    .weighs = true,
	    .unfiltered = !ibs->user_only,
	    .any_level = !ibs->misses_only,
	};
	return 1;
}

unsigned perf_select(const struct perf_cpu *cpu, const struct perf_ibs *ibs, struct perf_code codes[PERF_CODES]) {
	memset(codes, 0, PERF_CODES * sizeof(*codes));
	switch (cpu->vendor) {
	case PERF_INTEL:
		return intel_select(cpu, codes);
	case PERF_AMD:
		return amd_select(ibs, codes);
	default:
		return 0;
	}
}

unsigned perf_choose(struct perf_code codes[PERF_CODES]) {
	struct perf_cpu cpu;
	struct perf_ibs ibs = {0};

	perf_cpu(&cpu);
	if (cpu.vendor == PERF_AMD)
		perf_ibs(&ibs);
	return perf_select(&cpu, &ibs, codes);
}
