/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Samples of memory accesses with their addresses, by perf_event_open(2).
 *
 * For one thread of the library's own, which measures the other threads of the process. Every measured thread has one
 * event per code and one ring of records, without inheritance: the kernel maps no ring for events that are inherited
 * on any CPU, and events per thread and CPU would make each pthread_create of the program pay for as many new events
 * as there are CPUs. perf_follow takes in threads that have begun since. At most PERF_THREADS are measured at a time;
 * of more, or where limits
 * allow fewer, all get their turn.
 *
 * Descriptors live in the caller's own table (os/thread.h), the rings are mappings of the descriptors that a forked
 * child does not have: let a `struct perf_events` lie where a child finds zeros.
 */
#ifndef TM_PERF_H
#define TM_PERF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/perf_codes.h"

#define PERF_THREADS    128
#define PERF_RING_PAGES 4 /* of records, about 100 in each; one where the limit of locked memory is near */

struct perf_access {
	uint64_t address;
	int tid;
	uint32_t cycles; /* that the access took; 0 if the event does not tell */
	bool store;      /* a load, or not known, if not */
};

/* All zero: a free place. */
struct perf_place {
	void *ring; /* one page of the kernel's, then the records */
	uint32_t bytes;
	int tid; /* 0: not measured any longer, records may be left */
	int fd[PERF_CODES];
};

struct perf_events {
	struct perf_code code[PERF_CODES];
	unsigned codes;
	uint64_t period;
	int without;         /* this thread is not measured: the caller */
	unsigned position;   /* in the list of threads, behind the one that was taken in last */
	unsigned next, turn; /* places where perf_drain and perf_follow go on */
	unsigned threads;    /* measured now */
	unsigned waiting;    /* 1 if there were more threads than places, or than limits allow */
	int refused;         /* why the last thread that could not be measured was not: -errno, or 0 */
	uint64_t samples;    /* given to callbacks */
	uint64_t elsewhere;  /* samples without an address, or with one of the kernel's */
	uint64_t lost;       /* records that found their ring full */
	uint64_t throttled;  /* times the kernel has stopped an event because it came too often */
	uint64_t broken;     /* rings thrown away with what was in them, because they made no sense */
	struct perf_place place[PERF_THREADS];
};

/*
 * Begins to sample one of `period` events of the first code (of the others: of period * times). `without` is the
 * calling thread's id, or 0 to measure that one too. Returns the number of threads measured, or -errno with nothing
 * open: -EACCES or -EPERM not allowed, -ENOENT, -EOPNOTSUPP or -ENODEV no such event here, -EINVAL an event that this
 * kernel does not count by thread, -ENOMEM the limit of locked memory. Codes are all or nothing; call again with
 * fewer.
 */
int perf_open(struct perf_events *set, const struct perf_code *codes, unsigned n, uint64_t period, int without);

/*
 * Takes in new threads and lets go of those that have ended, and, if there were more threads than places the last
 * time, of a quarter of the others, so that those that wait get their turn. Places are free once they are drained, so
 * drain first. The number of threads measured, or -errno. Call it as often as a thread's life may go unseen; it makes
 * a few system calls, and three or four for each new thread.
 */
int perf_follow(struct perf_events *set);

/*
 * Gives accesses to `each` until nothing is left or `budget` records have been looked at; the number of those looked
 * at. Rings are taken in turn from one call to the next.
 */
unsigned perf_drain(
    struct perf_events *set, void (*each)(void *arg, const struct perf_access *access), void *arg, unsigned budget);

/* Ends it; records that are left are thrown away, counters stay. */
void perf_close(struct perf_events *set);

#endif
