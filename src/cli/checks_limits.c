/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of limits: how much address space, memory and mappings a program started from here may have. Reads settings
 * only; the limits are those of this process, which a program started from the same shell inherits.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/cli.h"
#include "cli/doctor.h"
#include "os/os.h"
#include "tiermalloc.h"

void check_overcommit(struct doctor *d) {
	uint64_t mode;

	if (!doctor_number("/proc/sys/vm/overcommit_memory", &mode)) {
		doctor_add(d, MARK_NOTE, "overcommit", "vm.overcommit_memory cannot be read");
		return;
	}
	doctor_add(d, mode == 2 ? MARK_NOTE : MARK_OK, "overcommit", "vm.overcommit_memory is %u", (unsigned)mode);
	doctor_fact(d, "overcommit_memory", (double)mode);
	if (mode != 2) {
		doctor_follows(d, "reserving address space costs nothing");
		return;
	}
	doctor_follows(d,
	    "the reservation is not charged, but each region counts with all of its 2 MiB while any of it "
	    "is in use; what is returned is taken off again, at the price of more system calls");
	doctor_command(d, "%ssysctl vm.overcommit_memory=0", doctor_sudo());
}

/* The memory that programs started from here can use. */
static uint64_t memory_limit(const char **from);

void check_map_count(struct doctor *d) {
	const char *from;
	uint64_t limit, memory = memory_limit(&from);

	if (!doctor_number("/proc/sys/vm/max_map_count", &limit)) {
		doctor_add(d, MARK_NOTE, "mappings", "vm.max_map_count cannot be read");
		return;
	}
	/* Half of them are left to the program; the worst is a heap whose regions differ from their neighbours. */
	char a[CLI_SIZE], b[CLI_SIZE];
	uint64_t covers = limit / 2 * TM_REGION_BYTES, need = memory / TM_REGION_BYTES * 2;
	bool enough = covers >= memory;
	doctor_add(
	    d, enough ? MARK_OK : MARK_NOTE, "mappings", "vm.max_map_count is %llu", (unsigned long long)limit);
	doctor_fact(d, "max_map_count", (double)limit);
	doctor_fact(d, "need", (double)need);
	if (enough) {
		doctor_follows(d, "enough for a heap as large as memory (%s), whatever its tiers: %llu at most",
		    cli_size(a, memory), (unsigned long long)need);
		return;
	}
	doctor_follows(d,
	    "a heap of over %s whose tiers alternate, out of %s of memory, would leave some regions on "
	    "small pages (counter vma_limited)",
	    cli_size(a, covers), cli_size(b, memory));
	doctor_command(d, "%ssysctl vm.max_map_count=%llu", doctor_sudo(), (unsigned long long)need);
}

void check_address_space(struct doctor *d) {
	char a[CLI_SIZE];
	uint64_t limit = os_address_limit();

	if (limit == UINT64_MAX) {
		doctor_add(d, MARK_OK, "address space", "not limited (RLIMIT_AS)");
		doctor_follows(d, "the whole reservation can be had");
		return;
	}
	doctor_add(d, MARK_NOTE, "address space", "RLIMIT_AS is %s", cli_size(a, limit));
	doctor_fact(d, "rlimit_as", (double)limit);
	doctor_follows(
	    d, "the heap has its tiers in a quarter of what is left of it; what is beyond is as in plain jemalloc");
	doctor_command(d, "ulimit -v unlimited");
}

void check_memlock(struct doctor *d) {
	char a[CLI_SIZE];
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
		doctor_add(d, MARK_OK, "locked memory", "not limited (RLIMIT_MEMLOCK)");
	else
		doctor_add(d, MARK_OK, "locked memory", "RLIMIT_MEMLOCK is %s", cli_size(a, limit.rlim_cur));
	doctor_follows(d, "tiermalloc locks nothing; memory that a program locks with mlock is not returned by free");
}

/* The least limit on the way from a cgroup up to the root; UINT64_MAX if there is none. */
static uint64_t cgroup_least(const char *mount, char *path, const char *file) {
	uint64_t least = UINT64_MAX, value;
	for (;;) {
		char *name = cli_format("%s%s/%s", mount, path, file);
		/* "max" is no number; version 1 has a very large one instead */
		if (doctor_number(name, &value) && value < least)
			least = value;
		free(name);
		char *slash = strrchr(path, '/');
		if (slash == NULL)
			return least;
		*slash = '\0';
	}
}

/* The limit that control groups set; UINT64_MAX if there is none. *found: a memory controller was seen at all. */
static uint64_t cgroup_limit(bool *found) {
	char line[4096];
	uint64_t least = UINT64_MAX, value;

	*found = false;
	FILE *f = fopen("/proc/self/cgroup", "re");
	if (f == NULL)
		return least;
	while (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		char *names = strchr(line, ':'), *path = names != NULL ? strchr(names + 1, ':') : NULL;
		if (path == NULL)
			continue;
		*path++ = '\0';
		if (strcmp(path, "/") == 0)
			*path = '\0';
		if (names[1] == '\0')
			value = cgroup_least("/sys/fs/cgroup", path, "memory.max");
		else if (strcmp(names + 1, "memory") == 0)
			value = cgroup_least("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes");
		else
			continue;
		*found = true;
		least = value < least ? value : least;
	}
	fclose(f);
	return least;
}

static uint64_t memory_limit(const char **from) {
	bool found;
	uint64_t memory = os_memory_bytes(), limit = cgroup_limit(&found);
	*from = limit < memory ? "control group" : "machine";
	return limit < memory ? limit : memory;
}

void check_cgroup(struct doctor *d) {
	char a[CLI_SIZE], b[CLI_SIZE];
	const char *from;
	bool found, percent = false;
	uint64_t memory = os_memory_bytes(), limit = memory_limit(&from);

	cgroup_limit(&found);
	if (limit >= memory) {
		doctor_add(d, MARK_OK, "memory", "%s, not limited by a control group%s", cli_size(a, memory),
		    found ? "" : " that could be seen");
		doctor_fact(d, "memory", (double)memory);
		return;
	}
	for (int i = 0; i < OPTION_COUNT; i++)
		percent =
		    percent || (option_table[i].kind == OPTION_SIZE && strchr(d->options[i].value, '%') != NULL);
	doctor_add(d, percent ? MARK_NOTE : MARK_OK, "memory", "a control group limits it to %s of %s",
	    cli_size(a, limit), cli_size(b, memory));
	doctor_fact(d, "memory", (double)memory);
	doctor_fact(d, "limit", (double)limit);
	doctor_follows(d, "%s",
	    percent ? "options in percent are of the whole memory: give them in bytes here"
		    : "options in percent would be of the whole memory, not of the limit");
}
