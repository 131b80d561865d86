/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiers/region, two threads, every interleaving with two switches: one thread is stopped before its n-th atomic
 * operation or system call, the other runs up to its m-th, then the first goes on to its end, then the second. For
 * all n and m. What a storm meets by luck, if at all, is met here each time.
 *
 * To find these places the operations are first run alone with the processor's single-step flag, and SIGTRAP's
 * handler notes each instruction with a lock prefix and each exchange; system calls come by in os_fault. To stop at
 * one, its first byte becomes a breakpoint. Time is made to pass for huge_collapse:
 * link: -Wl,--wrap=os_now_ms
 */
#include "unit.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

uint64_t __wrap_os_now_ms(void);

uint64_t __wrap_os_now_ms(void) {
	static _Atomic uint64_t now = 1000;
	return atomic_fetch_add(&now, 1000);
}

extern uint8_t __executable_start[], etext[];

#define SINGLE_STEP 0x100
#define BREAKPOINT  0xcc

/* --- two threads that can be stopped --- */

/* A place to stop at: an instruction, or if it is NULL the os_fault hook; the nth time that it is come by. */
struct point {
	uint8_t *at;
	unsigned nth;
};

enum { RUNNING, STOPPED, DONE };

struct actor {
	void (*act)(void);
	struct point stop; /* nth 0: nowhere */
	unsigned hooks;    /* come by so far */
	bool stopped;      /* it was stopped once */
	_Atomic int state;
	_Atomic bool gone; /* told to go on after its stop */
	sem_t go;
	struct actor *other;
	pthread_t thread;
};
static __thread struct actor *self;
static sem_t news; /* for the first thread: a state has changed */

/* The points of one operation, noted while it is single-stepped. */
struct points {
	struct point list[128];
	unsigned count;
};
static struct points *noted;

static uint32_t advice_fails; /* one in; 0 never */
static size_t region;         /* the one that all is about */

static void note(uint8_t *at) {
	unsigned nth = 1;
	for (unsigned i = 0; i < noted->count; i++)
		nth += noted->list[i].at == at;
	if (noted->count < sizeof(noted->list) / sizeof(noted->list[0]))
		noted->list[noted->count++] = (struct point){at, nth};
}

static void stop(void) {
	self->stopped = true;
	atomic_store(&self->state, STOPPED);
	sem_post(&news);
	while (sem_wait(&self->go) != 0)
		;
}

static void let_go(struct actor *actor) {
	if (!atomic_exchange(&actor->gone, true))
		sem_post(&actor->go);
	sem_post(&news);
}

/* The one breakpoint there is: for `actor`, or an end of it. */
static struct {
	uint8_t *_Atomic at;
	uint8_t original;
	unsigned left;
	struct actor *actor;
} trap;

static void disarm(void) {
	uint8_t *at = atomic_exchange(&trap.at, NULL);
	if (at != NULL)
		*(volatile uint8_t *)at = trap.original;
}

static void arm(struct actor *actor) {
	if (actor->stop.nth == 0 || actor->stop.at == NULL)
		return;
	trap.original = *actor->stop.at;
	trap.left = actor->stop.nth;
	trap.actor = actor;
	atomic_store(&trap.at, actor->stop.at);
	*(volatile uint8_t *)actor->stop.at = BREAKPOINT;
}

static bool is_point(const uint8_t *at) {
	if (at < __executable_start || at >= etext)
		return false;
	if (at[0] == 0xf0)
		return true;
	if ((at[0] & 0xf0) == 0x40) /* REX */
		at++;
	return (at[0] == 0x86 || at[0] == 0x87) && at[1] >> 6 != 3;
}

static void on_trap(int number, siginfo_t *info, void *context) {
	static __thread uint8_t *over; /* the breakpoint that this thread steps over */
	greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	uint8_t *at = (uint8_t *)registers[REG_RIP];
	(void)number;
	if (info->si_code == TRAP_TRACE) {
		if (over != NULL) {
			if (atomic_load(&trap.at) == over)
				*(volatile uint8_t *)over = BREAKPOINT;
			over = NULL;
			registers[REG_EFL] &= ~SINGLE_STEP;
		} else if (noted != NULL && is_point(at)) {
			note(at);
		} else if (noted == NULL || region_state(region) == TM_REGION_BREAK) {
			/* huge_break looks at 512 pages between its system calls, in which its other points are */
			registers[REG_EFL] &= ~SINGLE_STEP;
		}
		return;
	}
	at--;
	registers[REG_RIP] = (greg_t)at;
	if (atomic_load(&trap.at) != at)
		return; /* it has just been taken away */
	if (self == trap.actor && --trap.left == 0) {
		disarm();
		stop();
		return;
	}
	*(volatile uint8_t *)at = trap.original;
	over = at;
	registers[REG_EFL] |= SINGLE_STEP;
}

static void stepping(bool on) {
	uint64_t flags = __builtin_ia32_readeflags_u64();
	__builtin_ia32_writeeflags_u64(on ? flags | SINGLE_STEP : flags & ~(uint64_t)SINGLE_STEP);
}

static long meddle(long number) {
	static uint32_t calls;
	bool was = noted != NULL && (__builtin_ia32_readeflags_u64() & SINGLE_STEP) != 0;
	if (was)
		stepping(false);
	if (number == SYS_sched_yield && self != NULL && atomic_load(&self->other->state) == STOPPED)
		let_go(self->other); /* it is changing the region that is waited for */
	else if (noted != NULL)
		note(NULL);
	else if (self != NULL && self->stop.at == NULL && ++self->hooks == self->stop.nth)
		stop();
	long result = number == SYS_madvise && advice_fails != 0 && ++calls % advice_fails == 0 ? -EINVAL : 0;
	if (was)
		stepping(true);
	return result;
}

static void *run_actor(void *arg) {
	self = arg;
	self->act();
	atomic_store(&self->state, DONE);
	sem_post(&news);
	return NULL;
}

static void reset(struct actor *actor) {
	actor->hooks = 0;
	actor->stopped = false;
	atomic_store(&actor->state, DONE);
	atomic_store(&actor->gone, false);
	sem_init(&actor->go, 0, 0);
}

/* Until it stops, ends, or has made the other go on. */
static void start(struct actor *actor) {
	arm(actor);
	atomic_store(&actor->state, RUNNING);
	pthread_create(&actor->thread, NULL, run_actor, actor);
	while (atomic_load(&actor->state) == RUNNING && !atomic_load(&actor->other->gone))
		sem_wait(&news);
}

/* --- one region, and what is done with it --- */

/* X, Y and V are given and taken, the rest stays, or is not there at all. Few pages: all is done thousands of times.
 */
enum { X, Y, V, REST, RANGES };
static const struct { unsigned page, pages; } ranges[RANGES] = {{0, 3}, {62, 6}, {100, 6}, {3, 4}};
/* The region's other pages, which are in use with REST. They are not looked at. */
static const struct { unsigned page, pages; } filler[] = {{7, 55}, {68, 32}, {106, 406}};

static bool in_use[RANGES];
static char failure[160];

static void fail(const char *what, int range) {
	if (failure[0] == '\0')
		snprintf(failure, sizeof(failure), "%s, range %d", what, range);
}

static void toggle(int range) {
	char *p = region_page(region, ranges[range].page);
	size_t pages = ranges[range].pages;
	if (in_use[range]) {
		if (pages_hold(p, pages, 100 * (uint64_t)range) != pages)
			fail("changed while in use", range);
		stepping(noted != NULL);
		region_decommit(p, pages * OS_PAGE);
		stepping(false);
	} else {
		stepping(noted != NULL);
		int e = region_commit(p, pages * OS_PAGE);
		stepping(false);
		if (e != 0)
			fail("not committed", range);
		else if (pages_zero(p, pages) != pages)
			fail("not zero", range);
		pages_fill(p, pages, 100 * (uint64_t)range);
	}
	in_use[range] = !in_use[range];
}

static void toggle_x(void) {
	toggle(X);
}
static void toggle_y(void) {
	toggle(Y);
}
static void toggle_v(void) {
	toggle(V);
}
static void verify(void) {
	stepping(noted != NULL);
	region_verify(1);
	stepping(false);
}

static void fill_up(bool use) {
	for (size_t i = 0; i < sizeof(filler) / sizeof(filler[0]); i++)
		if (use)
			region_commit(region_page(region, filler[i].page), filler[i].pages * OS_PAGE);
		else
			region_decommit(region_page(region, filler[i].page), filler[i].pages * OS_PAGE);
}

/* All of it in use once, so that every page has old bytes; then what is not to be in use is given back. */
static void set_up(bool x, bool y, bool rest) {
	bool wanted[RANGES] = {x, y, rest, rest};
	for (int i = 0; i < RANGES; i++)
		if (!in_use[i])
			toggle(i);
	fill_up(true);
	if (!rest)
		fill_up(false);
	for (int i = 0; i < RANGES; i++)
		if (in_use[i] != wanted[i])
			toggle(i);
}

static void tear_down(bool rest) {
	const char *wrong = heap_wrong();
	if (wrong != NULL && failure[0] == '\0')
		snprintf(failure, sizeof(failure), "%s", wrong);
	/* once more all in use, which sees old bytes wherever some were forgotten */
	for (int i = 0; i < RANGES; i++)
		if (!in_use[i])
			toggle(i);
	for (int i = 0; i < RANGES; i++)
		toggle(i);
	if (rest)
		fill_up(false);
	if (region_word(region) >> REGION_STATE_SHIFT & 0xf)
		fail("not FREE in the end", region_state(region));
}

/* Where `act` can be stopped, alone and from this state. */
static struct points points_of(void (*act)(void), bool x, bool y, bool rest) {
	static struct points points;
	points.count = 0;
	set_up(x, y, rest);
	noted = &points;
	act();
	noted = NULL;
	tear_down(rest);
	/* beside the other it may come by once more, when an exchange of its own fails */
	for (unsigned i = 0, n = points.count; i < n && points.count < sizeof(points.list) / sizeof(points.list[0]);
	     i++)
		if (points.list[i].at != NULL && points.list[i].nth == 1) {
			noted = &points;
			note(points.list[i].at);
			noted = NULL;
		}
	return points;
}

static unsigned explored, stops;

/* `a` and `b` in all orders, from the given state; a stops first. */
static void explore(const char *what, void (*a)(void), void (*b)(void), bool x, bool y, bool rest) {
	static struct actor one, two;
	struct points of_a = points_of(a, x, y, rest), of_b = points_of(b, x, y, rest);
	one = (struct actor){.act = a, .other = &two};
	two = (struct actor){.act = b, .other = &one};
	for (unsigned n = 0; n < of_a.count; n++)
		for (unsigned m = 0; m <= of_b.count; m++) {
			set_up(x, y, rest);
			reset(&one);
			reset(&two);
			one.stop = of_a.list[n];
			two.stop = m < of_b.count ? of_b.list[m] : (struct point){0};
			start(&one);
			disarm();
			start(&two);
			let_go(&one);
			pthread_join(one.thread, NULL);
			let_go(&two);
			pthread_join(two.thread, NULL);
			disarm();
			tear_down(rest);
			explored++;
			stops += one.stopped + two.stopped;
			CHECK(failure[0] == '\0', "%s from x %d y %d rest %d, stopped at %u of %u and %u of %u: %s",
			    what, x, y, rest, n, of_a.count, m, of_b.count, failure);
			if (!one.stopped)
				break; /* a never comes by there; b is the same for all */
		}
}

static void explore_both(const char *what, void (*a)(void), void (*b)(void), bool x, bool y, bool rest) {
	explore(what, a, b, x, y, rest);
	explore(what, b, a, x, y, rest);
}

enum kind { COLD, HOT, SPARSE };

static void steps(enum kind kind, bool strict, uint32_t one_in) {
#if !defined(__x86_64__) || defined(__SANITIZE_THREAD__)
	(void)kind, (void)strict, (void)one_in, (void)explore_both, (void)verify, (void)toggle_x, (void)toggle_y;
	(void)toggle_v, (void)meddle, (void)on_trap;
	cr_skip_test("ThreadSanitizer keeps signals back; other processors have other breakpoints");
#else
	struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
	struct region_config config = usual_config;
	config.hot_limit = kind == HOT ? GiB : 0;
	config.cold_waste = 2; /* 10 pages: X and Y may be unused, not V as well */
	config.strict = strict;
	uintptr_t text = (uintptr_t)__executable_start & ~(OS_PAGE - 1);
	if (mprotect((void *)text, (uintptr_t)etext - text, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
		cr_skip_test("no breakpoints may be set in code here");
	heap_up(&config);
	region = heap_carve(kind == COLD ? TM_COLD : TM_HOT, 1);
	/* To get, split and collapse huge pages takes the kernel most of a minute, and changes nothing for the
	 * others. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	sem_init(&news, 0, 0);
	sigaction(SIGTRAP, &action, NULL);
	os_fault = meddle;
	advice_fails = one_in;
	for (int i = 0; i < 8; i++) {
		bool x = i & 1, y = i & 2, rest = i & 4;
		if (x || y || rest || kind != SPARSE)
			explore_both("x and y", toggle_x, toggle_y, x, y, rest);
		if (rest)
			explore_both("x and v", toggle_x, toggle_v, x, y, rest);
		if (rest && kind != HOT && !strict && one_in == 0) {
			prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
			explore_both("x and verify", toggle_x, verify, x, y, rest);
			prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
		}
	}
	fprintf(stderr, "%u interleavings, %u stops\n", explored, stops);
	cr_assert_gt(explored, 500);
	cr_assert_gt(stops, explored);
#endif
}

Test(region_steps, cold, .timeout = 120) {
	steps(COLD, false, 0);
}
Test(region_steps, hot, .timeout = 120) {
	steps(HOT, false, 0);
}
Test(region_steps, sparse, .timeout = 120) {
	steps(SPARSE, false, 0);
}
Test(region_steps, cold_strict, .timeout = 120) {
	steps(COLD, true, 0);
}
Test(region_steps, cold_some_advice_fails, .timeout = 120) {
	steps(COLD, false, 5);
}
