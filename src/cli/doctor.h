/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The findings of `tiermalloc doctor`, and the checks that make them.
 */
#ifndef TM_DOCTOR_H
#define TM_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "alloc/options.h"

enum mark {
	MARK_OK,
	MARK_NOTE,    /* tiermalloc works, with less or in another way */
	MARK_MISSING, /* something that tiermalloc makes use of is not there */
};

struct finding {
	const struct check *check; /* the one that made it */
	enum mark mark;
	bool fatal; /* tiermalloc cannot work like this */
	char *name;
	char *what;    /* what is the case */
	char *follows; /* what follows from it; may be NULL */
	char *command; /* what would change it, to be typed as it is; may be NULL */
	cJSON *facts;  /* numbers for --json; may be NULL */
};

/* An option in force. */
struct option_state {
	const char *from; /* "default", "TIERMALLOC_CONF" or "--conf" */
	char *value;      /* as it would be written */
	uint64_t number;  /* what auto stands for is worked out where it can be; else as stored */
	char *reason;     /* for such an auto; else NULL */
};

struct doctor {
	const char *conf;    /* --conf; may be NULL */
	const char *library; /* --library; may be NULL */
	const struct check *check;
	struct finding *findings;
	size_t count;
	struct option_state options[OPTION_COUNT];
};

struct check {
	const char *group;
	const char *id; /* in JSON; findings of one check share it */
	void (*run)(struct doctor *d);
	bool later; /* for what this version does not use yet: does not count for the exit status */
};

/* Adds a finding; the functions below add to the last one. */
void doctor_add(struct doctor *d, enum mark mark, const char *name, const char *what, ...)
    __attribute__((format(printf, 4, 5)));
void doctor_follows(struct doctor *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
void doctor_command(struct doctor *d, const char *format, ...) __attribute__((format(printf, 2, 3)));
void doctor_fact(struct doctor *d, const char *key, double value);
void doctor_fatal(struct doctor *d);

/* A decimal number at the start of a small file; false if there is none. */
bool doctor_number(const char *path, uint64_t *out);

/* "sudo ", or nothing for root: what a command that needs rights begins with. */
const char *doctor_sudo(void);

/* checks_kernel.c */
void check_version(struct doctor *d);
void check_scan(struct doctor *d);
void check_keeper(struct doctor *d);
void check_yama(struct doctor *d);
void check_userfaultfd(struct doctor *d);
void check_move(struct doctor *d);
void check_sensor(struct doctor *d);
void check_tracking(struct doctor *d);

/* checks_perf.c */
void check_pmu(struct doctor *d);
void check_samples(struct doctor *d);

/* checks_pages.c */
void check_thp(struct doctor *d);
void check_defrag(struct doctor *d);
void check_khugepaged(struct doctor *d);
void check_thp_disable(struct doctor *d);
void check_fault(struct doctor *d);
void check_collapse(struct doctor *d);

/* checks_limits.c */
void check_overcommit(struct doctor *d);
void check_map_count(struct doctor *d);
void check_address_space(struct doctor *d);
void check_memlock(struct doctor *d);
void check_cgroup(struct doctor *d);

/* checks_machine.c */
void check_nodes(struct doctor *d);
void check_memory_tiers(struct doctor *d);
void check_tlb(struct doctor *d);
void check_caches(struct doctor *d);

/* checks_costs.c */
void check_costs(struct doctor *d);
void check_break_even(struct doctor *d);

/* checks_setup.c; options come first, others look at them */
void check_options(struct doctor *d);
void check_library(struct doctor *d);

#endif
