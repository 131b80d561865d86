/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pager's thread, see pager.h. pager_main and what it calls run there only; the rest on threads of the program.
 */
#include "tiers/pager.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "os/os.h"
#include "os/thread.h"
#include "os/uffd.h"
#include "tiers/park.h"
#include "tiers/probe.h"
#include "tiers/region_table.h"

#define SPIN_NS     100000  /* shorter than this the thread does not sleep while something is away */
#define HELD_NS     1000000 /* between two looks whether it may go on, at first */
#define HELD_MOST   1000000000
#define TRACED_NS   500000000 /* the same under a debugger, and how often that is looked for */
#define FAULTS_MOST 64
#define BELL_PAGES  64

struct pager_shared pager_shared;
static struct thread_memory memory;

/* The thread's own. */
static int fd;
static struct os_busy busy;
static void *faults[FAULTS_MOST];
static int fault_count;
static uint64_t traced_at;

void pager_read(void) {
	struct uffd_event events[16];
	int n = uffd_events(fd, events, 16);
	for (int i = 0; i < n; i++) {
		if (events[i].kind == UFFD_FORK)
			park_forked(events[i].child);
		else if (events[i].kind == UFFD_FAULT && fault_count < FAULTS_MOST)
			faults[fault_count++] = events[i].address;
		else if (events[i].kind == UFFD_FAULT) /* it will be there again */
			uffd_wake(fd, events[i].address, OS_PAGE);
	}
}

/*
 * The page stays until whoever has rung has had time to see it, however long it takes to get a processor: made a hole
 * again at once it would be rung for ever. It becomes one when the ring has gone half round.
 */
static void bell_answer(char *page) {
	char *bell = (char *)atomic_load(&pager_shared.bell);
	size_t opposite = ((size_t)(page - bell) / OS_PAGE + BELL_PAGES / 2) % BELL_PAGES;
	uffd_zero(fd, page, OS_PAGE);
	os_advise(bell + opposite * OS_PAGE, OS_PAGE, MADV_DONTNEED);
}

static bool bell_covers(const void *p) {
	return (uintptr_t)p - (uintptr_t)atomic_load(&pager_shared.bell) < BELL_PAGES * OS_PAGE;
}

static void pager_faults(void) {
	pager_read();
	/* Several threads may wait for one region: the first fault brings it home for all. */
	size_t home[FAULTS_MOST];
	int homes = 0;
	while (fault_count > 0) {
		void *page = faults[--fault_count];
		if (bell_covers(page)) {
			bell_answer(page);
			continue;
		}
		if (!region_in_heap(page)) {
			uffd_zero(fd, page, OS_PAGE);
			continue;
		}
		size_t index = region_index(page);
		int slot = park_slot_of(index), i = 0;
		if (slot >= 0) {
			probe_returned(slot, true);
			park_return(slot);
			if (homes < FAULTS_MOST)
				home[homes++] = index;
			continue;
		}
		while (i < homes && home[i] != index)
			i++;
		if (i == homes)
			park_unwatch(index, page);
		else
			uffd_wake(fd, page, OS_PAGE);
	}
}

static void all_home(void) {
	for (int slot = 0; slot < PARK_SLOTS; slot++)
		if (park_slots[slot].away) {
			probe_returned(slot, false);
			park_return(slot);
		}
}

/* A debugger stops us with the program, and would read holes. */
static bool pager_traced(uint64_t now) {
	static bool traced;
	char buf[1024], *at;
	if (now - traced_at < TRACED_NS)
		return traced;
	traced_at = now;
	traced = os_read_file("/proc/self/status", buf, sizeof(buf)) > 0 &&
	    (at = strstr(buf, "TracerPid:\t")) != NULL && at[11] != '0';
	return traced;
}

/* Nothing is registered with a userfaultfd that is new, whatever a former one or a parent's saw. */
static void regions_unseen(void) {
	for (enum tm_tier class = TM_HOT; class < TM_TIERS; class ++) {
		size_t first = region_index((void *)zones[class].base), count = zone_carved(class) >> REGION_SHIFT;
		for (size_t i = first; i < first + count; i++) {
			region_table[i].watched = 0;
			region_table[i].whole = 0;
		}
	}
}

static int pager_open(void) {
	void *bell = (void *)atomic_load(&pager_shared.bell);
	int e = 0;
	fd = uffd_open();
	if (fd < 0)
		return fd;
	regions_unseen();
	fault_count = 0;
	/* Kept for good: others may be about to ring. */
	if (bell == NULL)
		e = os_map(BELL_PAGES * OS_PAGE, OS_PAGE, &bell);
	else
		os_advise(bell, BELL_PAGES * OS_PAGE, MADV_DONTNEED);
	if (e == 0 && (e = uffd_register(fd, bell, BELL_PAGES * OS_PAGE)) == 0 && (e = park_open(fd)) == 0) {
		atomic_store(&pager_shared.bell, bell);
		if (os_busy_open(&busy) != 0)
			busy.fd = -1;
		return 0;
	}
	os_close(fd);
	return e;
}

static void pager_close(void) {
	park_close();
	os_close(fd);
	if (busy.fd >= 0)
		os_close(busy.fd);
}

static void pager_sleep(uint64_t ns) {
	if (ns == PROBE_IDLE) {
		/* Until the program has used processor time again; with no such timer, a look now and then. */
		if (busy.fd >= 0)
			os_busy_arm(&busy, PROBE_IDLE_US);
		ns = busy.fd >= 0 ? UINT64_MAX : HELD_MOST;
	}
	os_wait(fd, busy.fd, ns);
	count_add(&tm_process.pager_wakes, 1);
	__atomic_store_n(&tm_process.pager_us, os_thread_us(), __ATOMIC_RELAXED);
}

static void pager_main(int error) {
	struct pager_shared *p = &pager_shared;
	uint64_t held = HELD_NS;

	if (error == 0)
		error = pager_open();
	if (error != 0) {
		atomic_store(&p->error, error);
		atomic_store(&p->state, PAGER_OFF);
		return;
	}
	atomic_store(&p->state, PAGER_RUNNING);
	probe_begin();
	for (;;) {
		pager_faults();
		if (atomic_load(&p->quiet) != 0)
			break;
		uint64_t now = os_now_ns(), wait;
		bool traced = pager_traced(now);
		if (traced || atomic_load(&p->holds) != 0) {
			all_home();
			wait = traced ? TRACED_NS : held;
			held = held * 2 < HELD_MOST ? held * 2 : HELD_MOST;
		} else {
			wait = probe_step(now);
			held = HELD_NS;
		}
		if (wait == 0 || (wait < SPIN_NS && atomic_load_explicit(&p->away, memory_order_relaxed) != 0))
			continue;
		pager_sleep(wait);
	}
	all_home();
	pager_close();
	atomic_store(&p->paused, 1);
	atomic_store(&p->state, PAGER_NONE);
}

void pager_start(void) {
	struct pager_shared *p = &pager_shared;
	if (!region_config.sense || atomic_load(&p->state) != PAGER_NONE || atomic_load(&memory.alive) != 0)
		return;
	if (atomic_load(&p->quiet) != 0) {
		atomic_store(&p->paused, 1);
		return;
	}
	int id = os_advise(p, sizeof(*p), MADV_WIPEONFORK);
	atomic_store(&p->started, 1);
	if (id == 0)
		id = thread_start(&memory, "tier-pager", pager_main);
	if (id > 0)
		__atomic_store_n(&tm_process.pager, (uint64_t)id, __ATOMIC_RELAXED);
}

/* Waits for the pager in a page fault, so that it looks around. */
static void pager_ring(void) {
	volatile char *bell = atomic_load(&pager_shared.bell);
	if (bell != NULL)
		(void)bell[atomic_fetch_add(&pager_shared.rings, 1) % BELL_PAGES * OS_PAGE];
}

void pager_quiesce(void) {
	struct pager_shared *p = &pager_shared;
	atomic_fetch_add(&p->quiet, 1);
	/* The thread may just be starting; then it ends at once. In a child of a bare clone(2) there is none. */
	while (atomic_load(&p->started) != 0 && atomic_load(&memory.alive) != 0) {
		if (atomic_load(&p->state) == PAGER_RUNNING)
			pager_ring();
		os_nap();
	}
	__atomic_store_n(&tm_process.pager, 0, __ATOMIC_RELAXED);
}

void pager_resume(void) {
	uint32_t quiet = atomic_load(&pager_shared.quiet);
	while (quiet != 0 && !atomic_compare_exchange_weak(&pager_shared.quiet, &quiet, quiet - 1))
		;
	if (quiet == 1 && atomic_exchange(&pager_shared.paused, 0) != 0)
		pager_start();
}

void pager_hold(void) {
	struct pager_shared *p = &pager_shared;
	atomic_fetch_add(&p->holds, 1);
	if (atomic_load(&p->away) == 0)
		return;
	uint64_t start = os_now_ns();
	while (atomic_load(&p->away) != 0) {
		pager_ring();
		os_yield();
	}
	uint64_t us = (os_now_ns() - start) / 1000, most = count_get(&tm_process.hold_most_us);
	count_add(&tm_process.hold_us, us);
	while (us > most &&
	    !__atomic_compare_exchange_n(
		&tm_process.hold_most_us, &most, us, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

void pager_release(void) {
	atomic_fetch_sub(&pager_shared.holds, 1);
}

void pager_after_fork_parent(void) {
	atomic_fetch_add(&pager_shared.forks, 1);
	pager_release();
}

void pager_after_fork_child(void) {
	/* There is no such thread here; the state was cleared by the kernel if there was one. All is shared as yet.
	 */
	atomic_store(&pager_shared.forks, 1);
	atomic_store(&memory.alive, 0);
	atomic_store(&pager_shared.holds, 0);
	atomic_store(&pager_shared.quiet, 0);
	atomic_store(&pager_shared.paused, 0);
	__atomic_store_n(&tm_process.pager, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&tm_process.pager_us, 0, __ATOMIC_RELAXED);
	if (region_config.sense)
		probe_after_fork_child();
}
