/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiers/region in a child that was forked while another thread was changing a region: the child has the region
 * between two states and nobody to end it. The thread forks itself here, out of a system call in the middle of the
 * change; its copy in the child never goes back there, so it is as good as another thread.
 *
 * Time runs fast in some of these tests, which the linker sees to:
 * link: -Wl,--wrap=os_now_ms
 */
#include "unit.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

uint64_t __real_os_now_ms(void);
uint64_t __wrap_os_now_ms(void);
static unsigned haste = 1;

uint64_t __wrap_os_now_ms(void) {
	return __real_os_now_ms() * haste;
}

static struct {
	size_t index;
	enum tm_region_state state;
	unsigned skip; /* system calls in that state before the one that forks */
	bool bare;     /* fork(2) as a system call: nobody calls region_after_fork */
	void (*child)(void);
	bool forked;
	int status;
} plan;

/* In the child: says what is wrong and ends. */
#define CHILD_CHECK(condition, ...)                                               \
	do {                                                                      \
		if (!(condition)) {                                               \
			dprintf(2, "in the child: " #condition ": " __VA_ARGS__); \
			dprintf(2, "\n");                                         \
			_exit(1);                                                 \
		}                                                                 \
	} while (0)

static long fork_here(long number) {
	(void)number;
	if (plan.forked || region_state(plan.index) != plan.state || plan.skip-- > 0)
		return 0;
	plan.forked = true;
	pid_t pid = plan.bare ? (pid_t)syscall(SYS_fork) : fork();
	if (pid == 0) {
		os_fault = NULL;
		alarm(30);
		if (!plan.bare)
			region_after_fork();
		plan.child();
		_exit(0);
	}
	CHECK(waitpid(pid, &plan.status, 0) == pid, "fork");
	return 0;
}

static void plan_fork(size_t index, enum tm_region_state state, unsigned skip, void (*child)(void)) {
	plan.index = index;
	plan.state = state;
	plan.skip = skip;
	plan.child = child;
	plan.forked = false;
	plan.status = -1;
	os_fault = fork_here;
}

static void plan_done(void) {
	os_fault = NULL;
	CHECK(plan.forked, "nothing was forked: the state was not reached");
	CHECK(WIFEXITED(plan.status) && WEXITSTATUS(plan.status) == 0, "skip %u: the child ended with %#x", plan.skip,
	    plan.status);
}

/* The number of live pages at the front of the region in the parent, filled from tag 1 on. */
static unsigned kept;

/* Whatever state the region was caught in: its live pages are as they were, the others can be used. */
static void child_uses_it(void) {
	size_t i = plan.index;
	CHILD_CHECK(word_settled(region_word(i)), "state %d", region_state(i));
	CHILD_CHECK(region_word(i) >> REGION_CLAIMER_SHIFT == 0, "claimed by %d", (int)(region_word(i) >> 32));
	CHILD_CHECK(TM_REGION_LIVE(region_word(i)) == kept, "%u pages", TM_REGION_LIVE(region_word(i)));
	CHILD_CHECK((region_state(i) == TM_REGION_FREE) == (kept == 0), "state %d", region_state(i));
	for (int round = 0; round < 2; round++) {
		unsigned rest = REGION_PAGES - kept;
		CHILD_CHECK(
		    pages_hold(region_base(i), kept, 1) == kept, "page %zu", pages_hold(region_base(i), kept, 1));
		CHILD_CHECK(region_commit(region_page(i, kept), rest * OS_PAGE) == 0, "commit");
		CHILD_CHECK(pages_zero(region_page(i, kept), rest) == rest, "page %zu",
		    kept + pages_zero(region_page(i, kept), rest));
		pages_fill(region_page(i, kept), rest, 9000);
		region_decommit(region_page(i, kept), rest / 2 * OS_PAGE);
		region_decommit(region_page(i, kept + rest / 2), (rest - rest / 2) * OS_PAGE);
	}
	CHILD_CHECK(pages_hold(region_base(i), kept, 1) == kept, "page %zu", pages_hold(region_base(i), kept, 1));
	region_decommit(region_base(i), kept * OS_PAGE);
	CHILD_CHECK(region_state(i) == TM_REGION_FREE, "state %d", region_state(i));
	CHILD_CHECK(region_commit(region_base(i), REGION) == 0, "commit");
	CHILD_CHECK(pages_zero(region_base(i), REGION_PAGES) == REGION_PAGES, "born again");
}

/* All counters are what the table adds up to, before and after the child uses the region. */
static void child_counts(void) {
	const char *wrong = heap_wrong();
	CHILD_CHECK(wrong == NULL, "%s", wrong);
	child_uses_it();
	wrong = heap_wrong();
	CHILD_CHECK(wrong == NULL, "afterwards: %s", wrong);
}

/* --- one region in each state, forked in each of the system calls made there --- */

static void birth(enum tm_tier class, unsigned skip, void (*child)(void)) {
	size_t i = heap_carve(class, 1);
	kept = 0;
	plan_fork(i, TM_REGION_BIRTH, skip, child);
	CHECK(region_commit(region_page(i, 5), 20 * OS_PAGE) == 0, "commit");
	plan_done();
}

static void after_return(enum tm_tier class, unsigned skip, void (*child)(void)) {
	size_t i = heap_carve(class, 1);
	CHECK(region_commit(region_page(i, 5), 20 * OS_PAGE) == 0, "commit");
	pages_fill(region_page(i, 5), 20, 1);
	kept = 0;
	plan_fork(i, TM_REGION_RETURN, skip, child);
	region_decommit(region_page(i, 5), 20 * OS_PAGE);
	plan_done();
}

static void during_break(unsigned skip, void (*child)(void)) {
	size_t i = heap_carve(TM_COLD, 1);
	CHECK(region_commit(region_base(i), REGION) == 0, "commit");
	pages_fill(region_base(i), REGION_PAGES, 1);
	region_verify(1);
	kept = 100;
	plan_fork(i, TM_REGION_BREAK, skip, child);
	region_decommit(region_page(i, 100), (REGION_PAGES - 100) * OS_PAGE);
	plan_done();
}

static void during_mend(unsigned skip, void (*child)(void)) {
	size_t i = heap_carve(TM_COLD, 1);
	CHECK(region_commit(region_base(i), REGION) == 0, "commit");
	region_decommit(region_page(i, 100), (REGION_PAGES - 100) * OS_PAGE);
	CHECK(region_state(i) == TM_REGION_SPARSE, "state %d", region_state(i));
	kept = 500;
	CHECK(region_commit(region_page(i, 100), 400 * OS_PAGE) == 0, "commit");
	pages_fill(region_base(i), kept, 1);
	usleep(120000); /* between two attempts */
	plan_fork(i, TM_REGION_MEND, skip, child);
	region_verify(64);
	plan_done();
}

Test(region_fork, settled) {
	heap_up(&usual_config);
	size_t i = heap_carve(TM_HOT, 1);
	CHECK(region_commit(region_base(i), OS_PAGE) == 0, "commit");
	page_fill(region_base(i), 1);
	uint64_t word = region_word(i);
	region_after_fork();
	cr_assert_eq(region_word(i), word);
	cr_assert(page_holds(region_base(i), 1));
	heap_check("afterwards");
}

Test(region_fork, in_birth) {
	heap_up(&usual_config);
	for (unsigned skip = 0; skip < 2; skip++)
		birth(TM_COLD, skip, child_uses_it);
	birth(TM_HOT, 0, child_uses_it);
	heap_check("in the parent");
}

Test(region_fork, in_return) {
	heap_up(&usual_config);
	after_return(TM_COLD, 0, child_uses_it);
	after_return(TM_HOT, 0, child_uses_it);
	heap_check("in the parent");
}

Test(region_fork, in_strict_return) {
	struct region_config config = usual_config;
	config.strict = true;
	heap_up(&config);
	for (unsigned skip = 0; skip < 2; skip++) {
		after_return(TM_COLD, skip, child_uses_it);
		after_return(TM_HOT, skip, child_uses_it);
	}
	heap_check("in the parent");
}

Test(region_fork, in_break) {
	heap_up(&usual_config);
	for (unsigned skip = 0; skip < 3; skip++)
		during_break(skip, child_uses_it);
	heap_check("in the parent");
}

Test(region_fork, in_mend) {
	heap_up(&usual_config);
	for (unsigned skip = 0; skip < 2; skip++)
		during_mend(skip, child_uses_it);
}

Test(region_fork, counters_after_birth) {
	heap_up(&usual_config);
	birth(TM_HOT, 0, child_counts);
	birth(TM_COLD, 0, child_counts);
	birth(TM_COLD, 1, child_counts);
}

Test(region_fork, counters_after_return) {
	heap_up(&usual_config);
	after_return(TM_HOT, 0, child_counts);
	after_return(TM_COLD, 0, child_counts);
}

Test(region_fork, counters_after_break) {
	heap_up(&usual_config);
	for (unsigned skip = 0; skip < 3; skip++)
		during_break(skip, child_counts);
}

Test(region_fork, counters_after_mend) {
	heap_up(&usual_config);
	for (unsigned skip = 0; skip < 2; skip++)
		during_mend(skip, child_counts);
}

/* The place in the hot tier that the lost thread had taken, or was giving back, is free in the child. */
static void child_has_the_limit(void) {
	CHILD_CHECK(region_commit(region_base(plan.index), OS_PAGE) == 0, "commit");
	CHILD_CHECK(region_state(plan.index) == TM_REGION_HOT, "state %d", region_state(plan.index));
}

Test(region_fork, hot_limit_after_birth) {
	struct region_config config = usual_config;
	config.hot_limit = REGION;
	heap_up(&config);
	birth(TM_HOT, 0, child_has_the_limit);
}

Test(region_fork, hot_limit_after_return) {
	struct region_config config = usual_config;
	config.hot_limit = REGION;
	heap_up(&config);
	after_return(TM_HOT, 0, child_has_the_limit);
}

/* What was broken up can become huge again. */
static void child_mends(void) {
	size_t i = plan.index;
	CHILD_CHECK(region_state(i) == TM_REGION_SPARSE, "state %d", region_state(i));
	CHILD_CHECK(
	    !(region_word(i) & (REGION_HUGE | REGION_DENIED)), "word %#llx", (unsigned long long)region_word(i));
	CHILD_CHECK(region_commit(region_page(i, kept), (REGION_PAGES - kept) * OS_PAGE) == 0, "commit");
	pages_fill(region_base(i), REGION_PAGES, 1);
	for (int tries = 0; tries < 20 && region_state(i) != TM_REGION_COLD; tries++) {
		usleep(110000);
		region_verify(64);
	}
	CHILD_CHECK(region_state(i) == TM_REGION_COLD, "state %d", region_state(i));
	CHILD_CHECK(region_word(i) & REGION_HUGE, "word %#llx", (unsigned long long)region_word(i));
}

Test(region_fork, mended_after_break, .timeout = 60) {
	NEED_HUGE_PAGES();
	heap_up(&usual_config);
	for (unsigned skip = 0; skip < 3; skip++)
		during_break(skip, child_mends);
}

/* A region that was a cold one when it was cut off does not stay advised in the hot tier. */
static void child_is_hot_again(void) {
	CHILD_CHECK(region_commit(region_base(plan.index), OS_PAGE) == 0, "commit");
	CHILD_CHECK(region_state(plan.index) == TM_REGION_HOT, "state %d", region_state(plan.index));
	CHILD_CHECK(!mapping_flag(region_base(plan.index), "hg"), "the hot tier asks for huge pages");
}

Test(region_fork, advice_after_return) {
	struct region_config config = usual_config;
	config.hot_limit = REGION;
	heap_up(&config);
	size_t i = heap_carve(TM_HOT, 2);
	CHECK(region_commit(region_base(i), OS_PAGE) == 0, "commit");
	CHECK(region_commit(region_base(i + 1), REGION) == 0, "commit");
	cr_assert_eq(region_state(i + 1), TM_REGION_COLD);
	region_decommit(region_base(i), OS_PAGE);
	plan_fork(i + 1, TM_REGION_RETURN, 0, child_is_hot_again);
	region_decommit(region_base(i + 1), REGION);
	plan_done();
}

/* --- nobody says that there was a fork --- */

static void child_waits_it_out(void) {
	haste = 50;
	CHILD_CHECK(region_commit(region_page(plan.index, 500), 5 * OS_PAGE) == 0, "commit");
	CHILD_CHECK(pages_zero(region_page(plan.index, 500), 5) == 5, "page %zu",
	    pages_zero(region_page(plan.index, 500), 5));
	CHILD_CHECK(pages_hold(region_base(plan.index), kept, 1) == kept, "page %zu",
	    pages_hold(region_base(plan.index), kept, 1));
}

Test(region_fork, bare_fork, .timeout = 120) {
#if defined(__SANITIZE_THREAD__)
	cr_skip_test("ThreadSanitizer must know of every fork");
#endif
	heap_up(&usual_config);
	plan.bare = true;
	birth(TM_HOT, 0, child_waits_it_out);
	birth(TM_COLD, 1, child_waits_it_out);
	after_return(TM_HOT, 0, child_waits_it_out);
	during_break(1, child_waits_it_out);
}

/* --- a slow thread is not a missing one --- */

static size_t slow_index;

static long slow_birth(long number) {
	static _Atomic bool once;
	if (number == SYS_mprotect && region_state(slow_index) == TM_REGION_BIRTH && !atomic_exchange(&once, true)) {
		haste = 1000;
		usleep(500000); /* minutes, on the others' clock */
		haste = 1;
	}
	return 0;
}

static void *commit_beside(void *arg) {
	uintptr_t page = (uintptr_t)arg;
	return region_commit(region_page(slow_index, (unsigned)page), OS_PAGE) == 0 &&
		page_zero(region_page(slow_index, (unsigned)page))
	    ? arg
	    : NULL;
}

Test(region_fork, slow_is_not_gone, .timeout = 60) {
#if defined(__SANITIZE_THREAD__)
	cr_skip_test("the clock of this test is a data race");
#endif
	pthread_t threads[3];
	heap_up(&usual_config);
	slow_index = heap_carve(TM_HOT, 1);
	os_fault = slow_birth;
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, commit_beside, (void *)(i + 1));
	for (int i = 0; i < 3; i++) {
		void *page = NULL;
		pthread_join(threads[i], &page);
		cr_assert_not_null(page, "thread %d", i);
	}
	os_fault = NULL;
	cr_assert_eq(tm_process.born[TM_HOT], 1, "born %d times", (int)tm_process.born[TM_HOT]);
	cr_assert_eq(TM_REGION_LIVE(region_word(slow_index)), 3);
	heap_check("in the end");
}
