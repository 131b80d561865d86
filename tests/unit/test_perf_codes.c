/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os/perf_codes: the table against libpfm4's encodings, and the choice for processors that are made up.
 *
 * link: -lpfm
 */
#include "unit.h"

#include <stdlib.h>
#include <sys/syscall.h>

#include <perfmon/pfmlib.h>
#include <perfmon/pfmlib_perf_event.h>

#include "os/perf_codes.h"

static const struct {
	const char *pmu, *event;
	uint64_t code;
} events[] = {
#define PERF_CORE(core, pmu, misses, miss_code, stores, store_code) \
	{pmu, misses, miss_code}, {pmu, stores, store_code},
#include "os/perf_codes.def"
};

Test(perf_codes, table_is_libpfm4s) {
	/* Also for processors that are not this one. */
	setenv("LIBPFM_ENCODE_INACTIVE", "1", 1);
	cr_assert_eq(pfm_initialize(), PFM_SUCCESS);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		char name[96];
		struct perf_event_attr attr = {.size = sizeof(attr)};
		pfm_perf_encode_arg_t arg = {.attr = &attr, .size = sizeof(arg)};
		snprintf(name, sizeof(name), "%s::%s", events[i].pmu, events[i].event);
		int e = pfm_get_os_event_encoding(name, PFM_PLM3, PFM_OS_PERF_EVENT_EXT, &arg);
		CHECK(e == PFM_SUCCESS, "%s: %s", name, pfm_strerror(e));
		CHECK(attr.type == PERF_TYPE_RAW && attr.config == events[i].code && attr.config1 == 0,
		    "%s: type %u, 0x%llx, 0x%llx", name, attr.type, (unsigned long long)attr.config,
		    (unsigned long long)attr.config1);
	}
	/* What makes such an event carry addresses. */
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		char name[96];
		pfm_event_attr_info_t info = {.size = sizeof(info)};
		pfm_event_info_t event = {.size = sizeof(event)};
		bool precise = false;
		snprintf(name, sizeof(name), "%s::%s", events[i].pmu, events[i].event);
		int id = pfm_find_event(name);
		CHECK(id >= 0, "%s", name);
		CHECK(pfm_get_event_info(id, PFM_OS_NONE, &event) == PFM_SUCCESS, "%s", name);
		for (int k = 0; k < event.nattrs; k++)
			if (pfm_get_event_attr_info(id, k, PFM_OS_NONE, &info) == PFM_SUCCESS &&
			    strcmp(info.name, strchr(events[i].event, ':') + 1) == 0)
				precise = info.is_precise;
		CHECK(precise, "%s is not precise", name);
	}
}

static unsigned select_for(enum perf_vendor vendor, unsigned family, unsigned model, struct perf_code *codes) {
	const struct perf_cpu cpu = {vendor, family, model};
	const struct perf_ibs none = {0};
	return perf_select(&cpu, &none, codes);
}

Test(perf_codes, intel) {
	static const struct {
		unsigned model;
		const char *misses, *stores;
	} known[] = {
	    {0x3f, "MEM_LOAD_UOPS_RETIRED:L3_MISS", "MEM_UOPS_RETIRED:ALL_STORES"}, /* Haswell-EP */
	    {0x4f, "MEM_LOAD_UOPS_RETIRED:L3_MISS", "MEM_UOPS_RETIRED:ALL_STORES"}, /* Broadwell-EP */
	    {0x55, "MEM_LOAD_RETIRED:L3_MISS", "MEM_INST_RETIRED:ALL_STORES"},      /* Skylake-SP */
	    {0x6a, "MEM_LOAD_RETIRED:L3_MISS", "MEM_INST_RETIRED:ALL_STORES"},      /* Ice Lake-SP */
	    {0x8f, "MEM_LOAD_RETIRED:L3_MISS", "MEM_INST_RETIRED:ALL_STORES"},      /* Sapphire Rapids */
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct perf_code codes[PERF_CODES];
		CHECK(select_for(PERF_INTEL, 6, known[i].model, codes) == 2, "0x%x", known[i].model);
		CHECK(strcmp(codes[0].name, known[i].misses) == 0, "0x%x: %s", known[i].model, codes[0].name);
		CHECK(strcmp(codes[1].name, known[i].stores) == 0, "0x%x: %s", known[i].model, codes[1].name);
		CHECK(codes[0].type == PERF_TYPE_RAW && codes[0].config == 0x20d1 && codes[1].config == 0x82d0,
		    "0x%x", known[i].model);
		CHECK(codes[0].precise > 0 && codes[1].precise > 0, "0x%x", known[i].model);
		CHECK(codes[0].times == 1 && codes[1].times > 1, "0x%x", known[i].model);
		CHECK(!codes[0].unfiltered && !codes[0].any_level && codes[1].any_level, "0x%x", known[i].model);
	}
}

/* Unknown ones get nothing, and nothing of what was in the array before. */
Test(perf_codes, unknown) {
	struct perf_code codes[PERF_CODES], zero[PERF_CODES] = {0};
	static const struct perf_cpu unknown[] = {
	    {PERF_INTEL, 6, 0x97}, /* Alder Lake: two kinds of cores */
	    {PERF_INTEL, 6, 0x37}, /* an Atom */
	    {PERF_INTEL, 15, 0x55},
	    {PERF_OTHER, 6, 0x55},
	    {PERF_AMD, 0x19, 0x55},
	};
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		memset(codes, 0xff, sizeof(codes));
		CHECK(select_for(unknown[i].vendor, unknown[i].family, unknown[i].model, codes) == 0, "%zu", i);
		CHECK(memcmp(codes, zero, sizeof(codes)) == 0, "%zu", i);
	}
}

Test(perf_codes, amd) {
	const struct perf_cpu zen = {PERF_AMD, 0x19, 1};
	struct perf_code codes[PERF_CODES];

	cr_assert_eq(perf_select(&zen, &(struct perf_ibs){.type = 11}, codes), 1);
	cr_assert_eq(codes[0].type, 11);
	cr_assert_eq(codes[0].config, 1 << 19);
	cr_assert_eq(codes[0].config2, 0);
	cr_assert_eq(codes[0].step, 16);
	cr_assert(codes[0].unfiltered && codes[0].any_level && codes[0].weighs);

	cr_assert_eq(perf_select(&zen, &(struct perf_ibs){11, true, true}, codes), 1);
	cr_assert_eq(codes[0].config, 1 << 19 | 1 << 16);
	cr_assert_eq(codes[0].config2, 1);
	cr_assert(!codes[0].unfiltered && !codes[0].any_level);
}

/* CPUID as the kernel reads it. */
Test(perf_codes, this_processor) {
	struct perf_cpu cpu;
	char line[256], vendor[64] = "";
	unsigned family = 0, model = 0;
	FILE *f = fopen("/proc/cpuinfo", "r");

	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f) != NULL && line[0] != '\n') {
		sscanf(line, "vendor_id : %63s", vendor);
		sscanf(line, "cpu family : %u", &family);
		sscanf(line, "model : %u", &model);
	}
	fclose(f);
	perf_cpu(&cpu);
	cr_assert_eq(cpu.family, family);
	cr_assert_eq(cpu.model, model);
	cr_assert_eq(cpu.vendor == PERF_INTEL, strcmp(vendor, "GenuineIntel") == 0);
	cr_assert_eq(cpu.vendor == PERF_AMD, strcmp(vendor, "AuthenticAMD") == 0);
}

Test(perf_codes, no_sys) {
	struct perf_ibs ibs = {7, true, true};
	errno = 77;
	fault_set(SYS_openat, -ENOENT, 0, ALWAYS);
	perf_ibs(&ibs);
	cr_assert_eq(ibs.type, 0);
	cr_assert(!ibs.misses_only && !ibs.user_only);
	cr_assert_eq(errno, 77);
}
