/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Costs measured on this machine; calibrate.h says how. Runs on one thread at a time, outside hooks; touches no
 * memory but its own, and gives all of it back whatever fails.
 */
#include "tiers/calibrate.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "coloring/geometry.h"
#include "os/os.h"
#include "os/pages.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

#define HUGE         ((size_t)COST_PAGES * OS_PAGE)
#define LINE         64
#define COPIED       64                  /* pages */
#define STRIDE       ((size_t)128 << 10) /* in CALIBRATE_RANGE */
#define PLACES       (CALIBRATE_RANGE / STRIDE)
#define READS        16384               /* of one repetition */
#define FAULTS_MOST  (PLACES / 64)       /* while huge pages are read: more, and they are not huge */
#define ADDRESS_ROOM ((uint64_t)4 << 30) /* of RLIMIT_AS must be left: the program may want some at the same time */

struct samples {
	double ns[CALIBRATE_REPEATS];
	unsigned count;
};

static void sample(struct samples *s, double ns) {
	unsigned at = s->count++;
	for (; at > 0 && s->ns[at - 1] > ns; at--)
		s->ns[at] = s->ns[at - 1];
	s->ns[at] = ns;
}

/* False for what is not a number. */
static bool possible(enum cost_id id, double ns) {
	return ns >= cost_infos[id].least && ns <= cost_infos[id].most;
}

static bool take(struct calibration *c, enum cost_id id, double ns, enum calibrate_from from) {
	if (!possible(id, ns))
		return false;
	*cost_field(&c->costs, id) = ns;
	c->from[id] = (uint8_t)from;
	return true;
}

static void take_median(struct calibration *c, enum cost_id id, const struct samples *s, double per) {
	if (s->count > 0)
		take(c, id, s->ns[s->count / 2] / per, CALIBRATE_MEASURED);
}

static double since(uint64_t start) {
	return (double)(os_thread_ns() - start);
}

static bool time_left(uint64_t start_us) {
	return os_thread_us() - start_us < CALIBRATE_US;
}

/* --- a block of 2 MiB --- */

static void flush(const char *p, size_t bytes) {
	for (size_t i = 0; i < bytes; i += LINE)
		__builtin_ia32_clflush(p + i);
}

static double copy_once(char *block) {
	char *to = block + HUGE / 2;
	flush(block, COPIED * OS_PAGE);
	flush(to, COPIED * OS_PAGE);
	__builtin_ia32_mfence();
	uint64_t start = os_thread_ns();
	memcpy(to, block, COPIED * OS_PAGE);
	return since(start);
}

static bool block_is_huge(const char *block) {
	struct pages_count count = {0};
	int e = pages_scan(0, (uintptr_t)block, (uintptr_t)block + HUGE, &count);
	return e != 0 || count.huge == HUGE; /* a kernel that cannot tell is believed */
}

static bool block_is_small(const char *block) {
	struct pages_count count = {0};
	int e = pages_scan(0, (uintptr_t)block, (uintptr_t)block + HUGE, &count);
	return e != 0 || count.huge == 0;
}

static double touch(char *block, size_t step) {
	uint64_t start = os_thread_ns();
	for (size_t i = 0; i < HUGE; i += step)
		*(volatile char *)(block + i) = 1;
	return since(start);
}

static double advise_once(char *p, size_t bytes, int advice, int *error) {
	uint64_t start = os_thread_ns();
	*error = os_advise(p, bytes, advice);
	return since(start);
}

static void calibrate_block(struct calibration *c, uint64_t start_us, bool huge) {
	struct samples copy = {0}, small = {0}, large = {0}, collapse = {0}, split = {0};
	void *all;
	int e;

	if (os_map(HUGE, HUGE, &all) != 0)
		return;
	/* What lies beside another mapping may become one with it, advice and all: a region of its own in the middle.
	 */
	char *block = all;
	for (int i = 0; i < CALIBRATE_REPEATS && (i == 0 || time_left(start_us)); i++) {
		if (os_advise(block, HUGE, MADV_NOHUGEPAGE) != 0 && !huge)
			break;
		sample(&small, touch(block, OS_PAGE));
		sample(&copy, copy_once(block));
		if (huge && os_advise(block, HUGE, MADV_HUGEPAGE) == 0) {
			double ns = advise_once(block, HUGE, MADV_COLLAPSE, &e);
			if (e == 0 && block_is_huge(block)) {
				sample(&collapse, ns);
				ns = advise_once(block + HUGE / 2, OS_PAGE, MADV_COLD, &e);
				if (e == 0 && block_is_small(block))
					sample(&split, ns);
			}
			if (os_advise(block, HUGE, MADV_DONTNEED) != 0)
				break;
			ns = touch(block, HUGE);
			if (block_is_huge(block))
				sample(&large, ns);
		}
		if (os_advise(block, HUGE, MADV_DONTNEED) != 0)
			break;
	}
	os_unmap(all, HUGE);
	take_median(c, COST_copy_page, &copy, COPIED);
	take_median(c, COST_fault_small, &small, COST_PAGES);
	take_median(c, COST_fault_huge, &large, 1);
	take_median(c, COST_collapse, &collapse, 1);
	take_median(c, COST_split, &split, 1);
}

/* --- the TLB --- */

/* Each place has a line of its own in the cache: places alike in bits 6 to 11 would compete for a set. */
static const volatile unsigned char *place(const char *range, size_t n) {
	return (const volatile unsigned char *)range + n * STRIDE + n % LINE * LINE;
}

/* What is read is always 0, which the compiler and the processor cannot know: the next address has to wait for it. */
static double read_once(const char *range) {
	uint64_t x = 1, start = os_thread_ns();
	for (unsigned i = 0; i < READS; i++) {
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		x += *place(range, (x >> 40) % PLACES);
	}
	return since(start) + (double)(x == 0);
}

/* Huge pages of zeros may be switched off: then reading would take real ones. */
static bool zeros_can_be_huge(void) {
	char text[16];
	return os_read_file("/sys/kernel/mm/transparent_hugepage/use_zero_page", text, sizeof(text)) > 0 &&
	    text[0] == '1';
}

static void read_both(struct calibration *c, const char *small, const char *huge, uint64_t start_us) {
	struct samples on_small = {0}, on_huge = {0};
	const size_t places = PLACES;
	double misses = cost_tlb_misses((double)places, (double)geometry_tlb_reach() / OS_PAGE);

	for (size_t i = 0; i < CALIBRATE_RANGE; i += HUGE)
		(void)*(const volatile char *)(huge + i);
	for (size_t i = 0; i < PLACES; i++) {
		if (i % 512 == 0 && !time_left(start_us))
			return;
		(void)*place(small, i);
	}
	long before = os_thread_faults();
	for (int i = 0; i < CALIBRATE_REPEATS && time_left(start_us); i++) {
		sample(&on_small, read_once(small));
		sample(&on_huge, read_once(huge));
	}
	long after = os_thread_faults();
	if (before < 0 || after < 0 || after - before > (long)FAULTS_MOST || misses < 0.1 || on_huge.count == 0)
		return;
	/* What disturbs a run makes it longer, never shorter, and a difference has the noise of both. */
	double ns = (on_small.ns[0] - on_huge.ns[0]) / READS / misses;
	take(c, COST_gain_huge, ns > 0 ? ns : 0, CALIBRATE_MEASURED);
}

static void calibrate_tlb(struct calibration *c, uint64_t start_us) {
	uint64_t limit = os_address_limit();
	void *small, *huge;

	if (!zeros_can_be_huge() || (limit != UINT64_MAX && limit < os_address_used() + ADDRESS_ROOM))
		return;
	if (os_map_zeros(CALIBRATE_RANGE, HUGE, &small) != 0)
		return;
	if (os_map_zeros(CALIBRATE_RANGE, HUGE, &huge) == 0) {
		if (os_advise(small, CALIBRATE_RANGE, MADV_NOHUGEPAGE) == 0 &&
		    os_advise(huge, CALIBRATE_RANGE, MADV_HUGEPAGE) == 0)
			read_both(c, small, huge, start_us);
		os_unmap(huge, CALIBRATE_RANGE);
	}
	os_unmap(small, CALIBRATE_RANGE);
}

/* --- all of it --- */

void calibrate_none(struct calibration *c) {
	*c = (struct calibration){0};
	cost_usual(&c->costs);
}

void calibrate(struct calibration *c, bool alike) {
	uint64_t start_us = os_thread_us();
	bool huge = !pages_never_huge() && !os_thp_disabled();

	calibrate_none(c);
	if (huge)
		calibrate_tlb(c, start_us);
	calibrate_block(c, start_us, huge);
	if (alike)
		take(c, COST_gain_node, 0, CALIBRATE_TOLD);
	c->cpu_us = os_thread_us() - start_us;
}

unsigned calibrate_set_fault(struct calibration *c, double wait, double lazy, double move_huge, double move_small) {
	unsigned taken = take(c, COST_fault_wait, wait, CALIBRATE_TOLD);
	taken += take(c, COST_fault_lazy, lazy, CALIBRATE_TOLD);
	taken += take(c, COST_move_huge, move_huge, CALIBRATE_TOLD);
	return taken + take(c, COST_move_small, move_small, CALIBRATE_TOLD);
}

bool calibrate_set_node(struct calibration *c, double gain) {
	return take(c, COST_gain_node, gain, CALIBRATE_TOLD);
}

bool calibrate_learn(struct calibration *c, enum cost_id id, double ns) {
	double *field = cost_field(&c->costs, id);
	if (!possible(id, ns))
		return false;
	*field += (ns - *field) / 8;
	if (c->from[id] == CALIBRATE_ASSUMED)
		c->from[id] = CALIBRATE_TOLD;
	return true;
}
