/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiers/park, tiers/pager and tiers/probe with their real thread on the real kernel: regions go away and come home
 * while threads write to them, hooks change them, the program locks and protects them, and children are made in
 * every way; each byte is looked at. Fork is called by its system call where a test wants no handlers.
 *
 * link: -lm
 */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/uffd.h"
#include "tiers/pager.h"
#include "tiers/park.h"
#include "tiers/probe.h"

#define MANY 48

static bool sensor_works(void) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	return false; /* they die of a thread that was not made by pthread_create */
#endif
	int fd = uffd_open();
	if (fd >= 0)
		os_close(fd);
	return fd >= 0;
}
#define NEED_SENSOR()                                                            \
	do {                                                                     \
		NEED_HUGE_PAGES();                                               \
		if (!sensor_works())                                             \
			cr_skip_test("no userfaultfd for this, or a sanitizer"); \
	} while (0)

static void nap(long us) {
	nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static void wait_for(const uint64_t *counter, uint64_t more) {
	uint64_t until = count_get(counter) + more;
	for (int i = 0; i < 20000 && count_get(counter) < until; i++)
		nap(500);
	CHECK(count_get(counter) >= until, "%llu, still below %llu after 10 s",
	    (unsigned long long)count_get(counter), (unsigned long long)until);
}

/* Regions on huge pages with known bytes, and a sensor that looks at them as often as it can. */
static size_t sensed_regions(size_t n) {
	struct region_config config = usual_config;
	config.hot_limit = 0;
	config.sense = true;
	config.sense_cpu = 60;
	heap_up(&config);
	size_t first = heap_carve(TM_COLD, n);
	for (size_t i = first; i < first + n; i++) {
		cr_assert_eq(region_commit(region_base(i), REGION), 0);
		pages_fill(region_base(i), REGION_PAGES, i << 32);
	}
	region_verify(~0u);
	pager_start();
	for (int i = 0; i < 2000 && atomic_load(&pager_shared.state) == PAGER_NONE; i++)
		nap(1000);
	CHECK(atomic_load(&pager_shared.state) == PAGER_RUNNING, "error %d", atomic_load(&pager_shared.error));
	return first;
}

static void check_bytes(size_t first, size_t n) {
	for (size_t i = first; i < first + n; i++)
		CHECK(pages_hold(region_base(i), REGION_PAGES, i << 32) == REGION_PAGES, "region %zu", i - first);
}

/* Keeps the program from being idle, and regions from being cold. */
static _Atomic bool stop;
static size_t busy_first, busy_count;
static void *busy_main(void *arg) {
	uint64_t seed = (uint64_t)(uintptr_t)arg + 1;
	while (!stop)
		for (int i = 0; i < 64; i++) {
			size_t index = busy_first + random_below(&seed, (unsigned)busy_count);
			volatile uint64_t *at =
			    (uint64_t *)(void *)region_page(index, random_below(&seed, REGION_PAGES));
			uint64_t value = *at;
			*at = value; /* a write that changes nothing */
		}
	return NULL;
}
static pthread_t busy_start(size_t first, size_t count) {
	pthread_t thread;
	busy_first = first;
	busy_count = count;
	CHECK(pthread_create(&thread, NULL, busy_main, NULL) == 0);
	return thread;
}
static void busy_end(pthread_t thread) {
	stop = true;
	pthread_join(thread, NULL);
}

Test(park, regions_go_and_come, .timeout = 60) {
	NEED_SENSOR();
	size_t first = sensed_regions(MANY);
	pthread_t thread = busy_start(first, MANY);
	wait_for(&tm_process.probes, 1000);
	CHECK(count_get(&tm_process.probe_hits) > 0);
	check_bytes(first, MANY);
	busy_end(thread);
	pager_quiesce();
	CHECK(atomic_load(&pager_shared.away) == 0 && atomic_load(&pager_shared.state) == PAGER_NONE);
	region_verify(~0u); /* what left slowly, on a busy machine, is looked at again */
	for (size_t i = first; i < first + MANY; i++)
		CHECK(region_state(i) == TM_REGION_COLD && (region_word(i) & REGION_HUGE), "region %zu", i - first);
	CHECK(count_get(&tm_process.probe_copied) == 0);
	check_bytes(first, MANY);
	heap_check("in the end");
	/* And again from there. */
	pager_resume();
	stop = false;
	thread = busy_start(first, MANY);
	wait_for(&tm_process.probes, 200);
	busy_end(thread);
	pager_quiesce();
	check_bytes(first, MANY);
}

Test(park, heat_tells_hot_from_cold, .timeout = 60) {
	NEED_SENSOR();
	size_t first = sensed_regions(MANY);
	pthread_t thread = busy_start(first, 4);
	wait_for(&tm_process.probes, 1500);
	unsigned hotter = 0, known = 0;
	float coldest = 1e30F, rate, sigma;
	for (size_t i = first; i < first + 4; i++)
		if (probe_heat(i, &rate, &sigma) && rate < coldest)
			coldest = rate;
	for (size_t i = first + 4; i < first + MANY; i++)
		if (probe_heat(i, &rate, &sigma)) {
			known++;
			hotter += rate >= coldest;
		}
	CHECK(known > MANY / 2, "%u known", known);
	CHECK(hotter == 0, "%u of the cold ones are as hot as a hot one", hotter);
	busy_end(thread);
}

Test(park, an_idle_program_is_left_alone, .timeout = 60) {
	NEED_SENSOR();
	sensed_regions(MANY);
	for (int i = 0; i < 100; i++) {
		uint64_t before = count_get(&tm_process.pager_wakes);
		sleep(1);
		if (count_get(&tm_process.pager_wakes) == before)
			return;
	}
	CHECK(false, "it still wakes");
}

/* Commits and decommits meet regions that are away. */
Test(park, hooks_meet_regions_away, .timeout = 100) {
	NEED_SENSOR();
	size_t first = sensed_regions(MANY);
	pthread_t thread = busy_start(first, MANY / 2);
	uint64_t seed = random_seed();
	size_t lower = first + MANY / 2;
	for (int i = 0; i < 3000; i++) {
		size_t index = lower + random_below(&seed, MANY / 2);
		unsigned page = random_below(&seed, 400), pages = 1 + random_below(&seed, 100);
		region_decommit(region_page(index, page), pages * OS_PAGE);
		CHECK(region_commit(region_page(index, page), pages * OS_PAGE) == 0);
		CHECK(pages_zero(region_page(index, page), pages) == pages, "turn %d", i);
		pages_fill(region_page(index, page), pages, index << 32);
		for (unsigned k = 0; k < pages; k++)
			page_fill(region_page(index, page + k), (index << 32) + page + k);
		if (i % 100 == 0) { /* all of it */
			region_decommit(region_base(index), REGION);
			CHECK(region_commit(region_base(index), REGION) == 0);
			CHECK(pages_zero(region_base(index), REGION_PAGES) == REGION_PAGES, "turn %d", i);
			pages_fill(region_base(index), REGION_PAGES, index << 32);
		}
		if (i % 64 == 0)
			region_verify(4);
	}
	busy_end(thread);
	pager_quiesce();
	check_bytes(first, MANY);
	heap_check("in the end");
}

static void child_checks(size_t first, size_t n) {
	for (size_t i = first; i < first + n; i++)
		for (unsigned page = 0; page < REGION_PAGES; page += 37)
			if (!page_holds(region_page(i, page), (i << 32) + page))
				_exit(1);
	_exit(0);
}

static void check_child(pid_t pid, int turn) {
	int status;
	CHECK(pid > 0, "turn %d", turn);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0, "turn %d: the child ended with %x", turn, status);
}

/* The system call alone: no handler asks for anything to be home. */
Test(park, bare_fork_while_regions_are_away, .timeout = 100) {
	NEED_SENSOR();
	size_t first = sensed_regions(MANY);
	pthread_t thread = busy_start(first, MANY);
	for (int turn = 0; turn < 300; turn++) {
		nap(turn % 7 * 100);
		pid_t pid = (pid_t)syscall(SYS_fork);
		if (pid == 0)
			child_checks(first, MANY);
		check_child(pid, turn);
	}
	CHECK(count_get(&tm_process.pager_forks) > 0);
	busy_end(thread);
	pager_quiesce();
	printf("%llu forks seen, %llu regions put back by copying\n",
	    (unsigned long long)count_get(&tm_process.pager_forks),
	    (unsigned long long)count_get(&tm_process.probe_copied));
	check_bytes(first, MANY);
	heap_check("in the end");
}

Test(park, held_fork, .timeout = 100) {
	NEED_SENSOR();
	size_t first = sensed_regions(MANY);
	pthread_t thread = busy_start(first, MANY);
	for (int turn = 0; turn < 300; turn++) {
		nap(turn % 7 * 100);
		pager_hold();
		CHECK(atomic_load(&pager_shared.away) == 0);
		pid_t pid = (pid_t)syscall(SYS_fork);
		if (pid == 0)
			child_checks(first, MANY);
		pager_release();
		check_child(pid, turn);
	}
	busy_end(thread);
	pager_quiesce();
	CHECK(count_get(&tm_process.probe_copied) == 0, "%llu",
	    (unsigned long long)count_get(&tm_process.probe_copied));
	check_bytes(first, MANY);
}

/* What the program does to its own memory is refused by the kernel, or found on the way home. */
Test(park, locked_and_protected, .timeout = 100) {
	NEED_SENSOR();
	size_t first = sensed_regions(MANY);
	pthread_t thread = busy_start(first, 8);
	uint64_t seed = random_seed();
	for (int i = 0; i < 2000; i++) {
		size_t index = first + 8 + random_below(&seed, MANY - 8);
		char *p = region_base(index);
		switch (random_below(&seed, 3)) {
		case 0:
			if (mlock(p, REGION) == 0)
				munlock(p, REGION);
			break;
		case 1:
			CHECK(mprotect(p, REGION, PROT_READ) == 0);
			CHECK(page_holds(p + 5 * OS_PAGE, (index << 32) + 5), "turn %d", i);
			CHECK(mprotect(p, REGION, PROT_READ | PROT_WRITE) == 0);
			break;
		default:
			madvise(p, REGION, MADV_COLD);
		}
	}
	busy_end(thread);
	pager_quiesce();
	check_bytes(first, MANY);
	heap_check("in the end");
}

/* System calls into memory that is away. */
Test(park, system_calls, .timeout = 60) {
	NEED_SENSOR();
	size_t first = sensed_regions(MANY);
	pthread_t thread = busy_start(first, 8);
	uint64_t seed = random_seed();
	static char page[4096];
	int ends[2];
	CHECK(pipe(ends) == 0);
	for (int i = 0; i < 20000; i++) {
		size_t index = first + 8 + random_below(&seed, MANY - 8);
		unsigned at = random_below(&seed, REGION_PAGES);
		page_fill(page, (index << 32) + at);
		CHECK(write(ends[1], region_page(index, at), OS_PAGE) == (ssize_t)OS_PAGE, "errno %d", errno);
		memset(page, 0, sizeof(page));
		CHECK(read(ends[0], page, OS_PAGE) == (ssize_t)OS_PAGE);
		CHECK(page_holds(page, (index << 32) + at), "turn %d", i);
		CHECK(write(ends[1], page, OS_PAGE) == (ssize_t)OS_PAGE);
		CHECK(read(ends[0], region_page(index, at), OS_PAGE) == (ssize_t)OS_PAGE, "errno %d", errno);
	}
	busy_end(thread);
	pager_quiesce();
	check_bytes(first, MANY);
}

Test(park, refused_by_the_kernel, .timeout = 60) {
	NEED_SENSOR();
	struct region_config config = usual_config;
	config.sense = true;
	config.sense_cpu = 10;
	heap_up(&config);
	fault_set(SYS_openat, -ENOENT, 0, ALWAYS);
	fault_set(SYS_userfaultfd, -EPERM, 0, ALWAYS);
	pager_start();
	for (int i = 0; i < 2000 && atomic_load(&pager_shared.state) == PAGER_NONE; i++)
		nap(1000);
	CHECK(atomic_load(&pager_shared.state) == PAGER_OFF);
	CHECK(atomic_load(&pager_shared.error) == -EPERM, "%d", atomic_load(&pager_shared.error));
	pager_hold();
	pager_release();
	pager_quiesce();
	pager_resume();
}
