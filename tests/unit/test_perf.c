/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os/perf: threads that touch fresh pages, seen through the kernel's own event for page faults, which carries
 * addresses and needs no counters of the processor; and rings made by hand, with records that the kernel writes
 * rarely or never.
 */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/perf.h"
#include "os/thread.h"

static struct perf_events set;
static const struct perf_code page_faults = {
    .name = "page-faults",
    .type = PERF_TYPE_SOFTWARE,
    .config = PERF_COUNT_SW_PAGE_FAULTS,
    .times = 1,
};

static int faults_open(int without) {
	return perf_open(&set, &page_faults, 1, 1, without);
}

#define NEED_PERF()                                                                                    \
	do {                                                                                           \
		int usable = faults_open(0);                                                           \
		perf_close(&set);                                                                      \
		if (usable == -EACCES || usable == -EPERM || usable == -ENOSYS)                        \
			cr_skip_test("perf_event_open(2) is not allowed here: %s", strerror(-usable)); \
		cr_assert_gt(usable, 0, "%s", strerror(-usable));                                      \
	} while (0)

/* Fresh pages, and how often each was reported. */
#define PAGES 300
struct pages {
	char *start;
	unsigned seen[PAGES];
	unsigned outside;
	int tid;
};

static void pages_map(struct pages *p, int tid) {
	memset(p, 0, sizeof(*p));
	p->start = mmap(NULL, PAGES * OS_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p->start != MAP_FAILED, "no memory");
	madvise(p->start, PAGES * OS_PAGE, MADV_NOHUGEPAGE);
	p->tid = tid;
}

/* The first byte of the first page, the second of the second... Without the faults of a sanitizer's own memory. */
__attribute__((no_sanitize("thread"))) static void pages_touch(struct pages *p, unsigned from, unsigned to) {
	for (unsigned i = from; i < to; i++)
		*(volatile char *)(p->start + i * OS_PAGE + i) = 1;
}

static void pages_count(void *arg, const struct perf_access *access) {
	struct pages *p = arg;
	uint64_t at = access->address - (uintptr_t)p->start;
	if (at >= PAGES * OS_PAGE || (p->tid != 0 && access->tid != p->tid) || at % OS_PAGE != at / OS_PAGE)
		p->outside++;
	else
		p->seen[at / OS_PAGE]++;
}

static unsigned pages_seen(const struct pages *p, unsigned from, unsigned to) {
	unsigned n = 0;
	for (unsigned i = from; i < to; i++)
		n += p->seen[i] == 1;
	return n;
}

static int open_files(void) {
	int n = 0;
	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static unsigned rings_mapped(void) {
	char line[512];
	unsigned n = 0;
	FILE *f = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, "[perf_event]") != NULL;
	fclose(f);
	return n;
}

/* Threads of this process: Criterion has one of its own. */
static int threads_now(void) {
	struct dirent *entry;
	int n = 0;
	DIR *dir = opendir("/proc/self/task");
	while ((entry = readdir(dir)) != NULL)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

/* --- the kernel's own records --- */

Test(perf, every_page_once_with_its_address) {
	struct pages p;
	NEED_PERF();
	pages_map(&p, os_tid());
	cr_assert_eq(faults_open(0), threads_now());
	pages_touch(&p, 0, PAGES);
	unsigned n = perf_drain(&set, pages_count, &p, UINT32_MAX);
	cr_assert_geq(n, PAGES);
	cr_assert_eq(pages_seen(&p, 0, PAGES), PAGES, "%u of %u", pages_seen(&p, 0, PAGES), PAGES);
	cr_assert_eq(set.samples + set.elsewhere, n);
	cr_assert_eq(set.lost, 0);
	perf_drain(&set, pages_count, &p, UINT32_MAX);
	cr_assert_eq(pages_seen(&p, 0, PAGES), PAGES, "a record came twice");
	perf_close(&set);
}

/* Drained in small pieces, many times round the ring. */
Test(perf, round_the_ring) {
	struct pages p;
	uint64_t total = 0;
	NEED_PERF();
	pages_map(&p, os_tid());
	cr_assert_eq(faults_open(0), threads_now());
	for (int round = 0; round < 40; round++) {
		memset(p.seen, 0, sizeof(p.seen));
		madvise(p.start, PAGES * OS_PAGE, MADV_DONTNEED);
		pages_touch(&p, 0, PAGES);
		for (unsigned n; (n = perf_drain(&set, pages_count, &p, 7)) != 0;) {
			CHECK(n <= 7, "%u records for a budget of 7", n);
			total += n;
		}
		CHECK(pages_seen(&p, 0, PAGES) == PAGES, "round %d: %u", round, pages_seen(&p, 0, PAGES));
	}
	cr_assert_geq(total * 32, (uint64_t)(4 * PERF_RING_PAGES) * OS_PAGE, "the ring was not gone round");
	cr_assert_eq(set.lost, 0);
	cr_assert_eq(set.broken, 0);
	perf_close(&set);
}

/* More than fits: what fits is right, the rest is counted, and it goes on afterwards. */
Test(perf, full_ring_loses_and_says_so) {
	struct pages p;
	NEED_PERF();
	pages_map(&p, os_tid());
	cr_assert_eq(faults_open(0), threads_now());
	for (int round = 0; round < 10; round++) {
		madvise(p.start, PAGES * OS_PAGE, MADV_DONTNEED);
		pages_touch(&p, 0, PAGES);
	}
	unsigned kept = perf_drain(&set, pages_count, &p, UINT32_MAX);
	cr_assert_lt(kept, 10 * PAGES);
	cr_assert_geq(kept * 32, PERF_RING_PAGES * OS_PAGE * 9 / 10);
	/* The number comes with the next record that finds room. */
	memset(p.seen, 0, sizeof(p.seen));
	madvise(p.start, PAGES * OS_PAGE, MADV_DONTNEED);
	pages_touch(&p, 0, PAGES);
	perf_drain(&set, pages_count, &p, UINT32_MAX);
	cr_assert_geq(set.lost + set.samples + set.elsewhere, 11 * PAGES);
	cr_assert_geq(set.lost, 10 * PAGES - kept);
	cr_assert_eq(pages_seen(&p, 0, PAGES), PAGES);
	perf_close(&set);
}

Test(perf, period_is_kept) {
	struct pages p;
	NEED_PERF();
	pages_map(&p, os_tid());
	cr_assert_eq(perf_open(&set, &page_faults, 1, 10, 0), threads_now());
	pages_touch(&p, 0, PAGES);
	perf_drain(&set, pages_count, &p, UINT32_MAX);
	unsigned n = pages_seen(&p, 0, PAGES);
	cr_assert(n >= PAGES / 10 - 2 && n <= PAGES / 10 + 2, "%u samples of %d at a period of 10", n, PAGES);
	perf_close(&set);
}

/* Two events in one ring; the second is eight times as rare. */
Test(perf, two_codes_share_a_ring) {
	struct perf_code codes[] = {page_faults, page_faults};
	struct pages p;
	NEED_PERF();
	codes[1].times = 8;
	pages_map(&p, os_tid());
	int before = open_files();
	unsigned rings = rings_mapped();
	unsigned threads = (unsigned)threads_now();
	cr_assert_eq(perf_open(&set, codes, 2, 1, 0), (int)threads);
	cr_assert_eq(open_files(), before + 2 * (int)threads);
	cr_assert_eq(rings_mapped(), rings + threads);
	pages_touch(&p, 0, PAGES);
	perf_drain(&set, pages_count, &p, UINT32_MAX);
	unsigned once = 0, twice = 0;
	for (unsigned i = 0; i < PAGES; i++) {
		once += p.seen[i] == 1;
		twice += p.seen[i] == 2;
	}
	cr_assert_eq(once + twice, PAGES);
	cr_assert(twice >= PAGES / 8 - 1 && twice <= PAGES / 8 + 1, "%u", twice);
	perf_close(&set);
	cr_assert_eq(open_files(), before);
	cr_assert_eq(rings_mapped(), rings);
}

/* --- threads --- */

struct worker {
	pthread_t thread;
	struct pages pages;
	_Atomic int tid;
	_Atomic unsigned phase; /* set to n: touches the n-th third; 4: ends */
	_Atomic unsigned done;
};

static void *worker_main(void *arg) {
	struct worker *w = arg;
	atomic_store(&w->tid, os_tid());
	for (unsigned at = 0;;) {
		unsigned phase = atomic_load(&w->phase);
		if (phase == 4)
			return NULL;
		if (phase == at) {
			usleep(1000);
			continue;
		}
		pages_touch(&w->pages, (phase - 1) * PAGES / 3, phase * PAGES / 3);
		atomic_store(&w->done, at = phase);
	}
}

static void worker_start(struct worker *w) {
	pages_map(&w->pages, 0);
	CHECK(pthread_create(&w->thread, NULL, worker_main, w) == 0, "no thread");
	while (atomic_load(&w->tid) == 0)
		sched_yield();
	w->pages.tid = w->tid;
}

static void workers_phase(struct worker *w, unsigned n, unsigned phase) {
	for (unsigned i = 0; i < n; i++)
		atomic_store(&w[i].phase, phase);
	for (unsigned i = 0; i < n; i++)
		while (atomic_load(&w[i].done) != phase)
			sched_yield();
}

static void workers_end(struct worker *w, unsigned n) {
	for (unsigned i = 0; i < n; i++)
		atomic_store(&w[i].phase, 4);
	for (unsigned i = 0; i < n; i++)
		pthread_join(w[i].thread, NULL);
	/* Joining is waking up on the last store of the thread, which the kernel has not quite ended then. */
	usleep(20000);
}

struct crowd {
	struct worker *w;
	unsigned n;
};

static void crowd_count(void *arg, const struct perf_access *access) {
	struct crowd *crowd = arg;
	for (unsigned i = 0; i < crowd->n; i++) {
		if (access->address - (uintptr_t)crowd->w[i].pages.start < PAGES * OS_PAGE) {
			pages_count(&crowd->w[i].pages, access);
			return;
		}
	}
}

/* Threads that are there, threads that come, threads that go; the caller is left out. */
Test(perf, threads_come_and_go, .timeout = 60) {
	static struct worker w[8];
	struct crowd crowd = {w, 8};
	struct pages own;
	NEED_PERF();
	int before = open_files();
	unsigned rings = rings_mapped();
	pages_map(&own, 0);
	for (unsigned i = 0; i < 5; i++)
		worker_start(&w[i]);
	int more = threads_now() - 6;
	int threads = faults_open(os_tid());
	cr_assert_eq(threads, 5 + more, "%d", threads);
	workers_phase(w, 5, 1);
	pages_touch(&own, 0, PAGES);
	perf_drain(&set, crowd_count, &crowd, UINT32_MAX);
	for (unsigned i = 0; i < 5; i++)
		CHECK(pages_seen(&w[i].pages, 0, PAGES / 3) == PAGES / 3 && w[i].pages.outside == 0, "thread %u", i);

	for (unsigned i = 5; i < 8; i++)
		worker_start(&w[i]);
	cr_assert_eq(perf_follow(&set), 8 + more);
	cr_assert_eq(perf_follow(&set), 8 + more);
	cr_assert_eq(rings_mapped(), rings + 8 + (unsigned)more);
	workers_phase(w, 8, 2);
	/* What ended threads left behind is read as well. */
	workers_end(w, 3);
	cr_assert_eq(perf_follow(&set), 5 + more);
	cr_assert_eq(open_files(), before + 5 + more);
	perf_drain(&set, crowd_count, &crowd, UINT32_MAX);
	cr_assert_eq(rings_mapped(), rings + 5 + (unsigned)more);
	for (unsigned i = 0; i < 8; i++)
		CHECK(pages_seen(&w[i].pages, PAGES / 3, PAGES * 2 / 3) == PAGES / 3 && w[i].pages.outside == 0,
		    "thread %u", i);
	workers_end(w + 3, 5);
	cr_assert_eq(perf_follow(&set), more);
	perf_close(&set);
	cr_assert_eq(open_files(), before);
	cr_assert_eq(rings_mapped(), rings);
}

/* With more threads than places each is measured before long. */
Test(perf, more_threads_than_places, .timeout = 120) {
	enum { CROWD = PERF_THREADS + 40 };
	static struct worker w[CROWD];
	struct crowd crowd = {w, CROWD};
	static bool met[CROWD];
	NEED_PERF();
	for (unsigned i = 0; i < CROWD; i++)
		worker_start(&w[i]);
	int r = faults_open(os_tid());
	cr_assert_gt(r, 0, "%s", strerror(-r));
	cr_assert(r == PERF_THREADS || set.refused == -ENOMEM || set.refused == -EMFILE, "%d", r);
	unsigned rounds = 0, left = CROWD;
	for (; left > 0 && rounds < 100; rounds++) {
		for (unsigned i = 0; i < PERF_THREADS; i++)
			for (unsigned k = 0; k < CROWD; k++)
				if (set.place[i].tid == w[k].tid && !met[k]) {
					met[k] = true;
					left--;
				}
		perf_drain(&set, crowd_count, &crowd, UINT32_MAX);
		r = perf_follow(&set);
		CHECK(r > 0 && r <= PERF_THREADS, "%d", r);
		CHECK(set.waiting == 1, "none waits");
	}
	cr_assert_eq(left, 0, "%u threads not measured after %u rounds", left, rounds);
	/* Once there is room for all, all are. */
	workers_end(w, 60);
	perf_drain(&set, crowd_count, &crowd, UINT32_MAX);
	r = perf_follow(&set);
	cr_assert(r == threads_now() - 1 || set.refused != 0, "%d", r);
	workers_end(w + 60, CROWD - 60);
	perf_close(&set);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they need threads of the C library */
static struct thread_memory own_memory;
static struct pages own_pages;
static _Atomic int own_result;
static _Atomic unsigned own_step; /* 1: measures, 2: all is touched, 3: has drained, 4: closes, 5: has closed */

static void own_wait(unsigned step) {
	while (atomic_load(&own_step) != step)
		os_nap();
}

static void own_main(int error) {
	atomic_store(&own_result, error != 0 ? error : faults_open(os_tid()));
	atomic_store(&own_step, 1);
	own_wait(2);
	perf_drain(&set, pages_count, &own_pages, UINT32_MAX);
	atomic_store(&own_step, 3);
	own_wait(4);
	perf_close(&set);
	atomic_store(&own_step, 5);
}

/*
 * On the kind of thread it is for: measures the threads of the C library from there, and neither are its descriptors
 * the program's nor does a program that closes everything close them.
 */
Test(perf, from_the_librarys_own_thread, .timeout = 30) {
	NEED_PERF();
	pages_map(&own_pages, os_tid());
	int before = open_files(), threads = threads_now();
	cr_assert_gt(thread_start(&own_memory, "own", own_main), 0);
	own_wait(1);
	cr_assert_eq(own_result, threads, "%d", own_result);
	cr_assert_eq(open_files(), before);
	cr_assert_geq(syscall(SYS_close_range, 100, ~0u, 0), 0);
	before = open_files(); /* Criterion may have had one there */
	pages_touch(&own_pages, 0, PAGES);
	atomic_store(&own_step, 2);
	own_wait(3);
	cr_assert_eq(pages_seen(&own_pages, 0, PAGES), PAGES);
	atomic_store(&own_step, 4);
	own_wait(5);
	cr_assert_eq(open_files(), before);
}
#endif

/* A child has no rings and no part in the parent's events, and its accesses are not taken for the parent's. */
Test(perf, children_are_not_measured) {
	struct pages p;
	NEED_PERF();
	pages_map(&p, os_tid());
	unsigned rings = rings_mapped();
	cr_assert_eq(faults_open(0), threads_now());
	pid_t child = fork();
	if (child == 0) {
		pages_touch(&p, 0, PAGES);
		_exit(rings_mapped() == rings ? 0 : 1);
	}
	int status;
	waitpid(child, &status, 0);
	cr_assert_eq(status, 0);
	perf_drain(&set, pages_count, &p, UINT32_MAX);
	cr_assert_eq(pages_seen(&p, 0, PAGES), 0);
	perf_close(&set);
}

/* --- what the kernel refuses --- */

Test(perf, bad_arguments) {
	cr_assert_eq(perf_open(&set, &page_faults, 0, 1, 0), -EINVAL);
	cr_assert_eq(perf_open(&set, &page_faults, PERF_CODES + 1, 1, 0), -EINVAL);
	cr_assert_eq(perf_open(&set, &page_faults, 1, 0, 0), -EINVAL);
}

Test(perf, refusals_leave_nothing_open) {
	struct perf_code codes[] = {page_faults, page_faults};
	static const struct {
		long number;
		int error, result;
		unsigned skip;
	} calls[] = {
	    {SYS_perf_event_open, -EACCES, -EACCES, 0},
	    {SYS_perf_event_open, -ENOENT, -ENOENT, 1},
	    {SYS_mmap, -EPERM, -ENOMEM, 0},
	    {SYS_mmap, -ENODEV, -ENODEV, 0},
	    {SYS_ioctl, -EINVAL, -EINVAL, 0},
	    {SYS_openat, -ENOENT, -ENOENT, 0},
	    {SYS_getdents64, -EIO, -EIO, 0},
	};
	NEED_PERF();
	int before = open_files();
	unsigned rings = rings_mapped();
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		fault_set(calls[i].number, calls[i].error, calls[i].skip, ALWAYS);
		errno = 77;
		int r = perf_open(&set, codes, 2, 1, 0);
		CHECK(r == calls[i].result, "case %zu: %d", i, r);
		CHECK(errno == 77, "case %zu: errno", i);
		fault_clear();
		CHECK(open_files() == before && rings_mapped() == rings, "case %zu: something was left", i);
		CHECK(set.threads == 0, "case %zu", i);
		perf_close(&set);
	}
}

/* Where limits allow two threads, each has its turn. */
Test(perf, limits_are_shared, .timeout = 60) {
	static struct worker w[6];
	bool met[6] = {false};
	unsigned left = 6;
	NEED_PERF();
	for (unsigned i = 0; i < 6; i++)
		worker_start(&w[i]);
	fault_set(SYS_perf_event_open, -EMFILE, 2, ALWAYS);
	int r = faults_open(os_tid());
	for (unsigned rounds = 0; left > 0; rounds++) {
		CHECK(rounds < 20, "%u were never measured", left);
		CHECK(r > 0 && r <= 2, "%d", r);
		for (unsigned k = 0; k < 6; k++) {
			for (unsigned i = 0; i < PERF_THREADS; i++) {
				if (set.place[i].tid == w[k].tid && !met[k]) {
					met[k] = true;
					left--;
				}
			}
		}
		struct crowd crowd = {w, 6};
		perf_drain(&set, crowd_count, &crowd, UINT32_MAX);
		fault_set(SYS_perf_event_open, -EMFILE, 1, ALWAYS);
		r = perf_follow(&set);
	}
	perf_close(&set);
	workers_end(w, 6);
}

Test(perf, a_small_ring_where_memory_is_short) {
	struct pages p;
	NEED_PERF();
	pages_map(&p, os_tid());
	fault_set(SYS_mmap, -EPERM, 0, 1);
	cr_assert_eq(faults_open(0), threads_now());
	cr_assert_eq(set.place[0].bytes, OS_PAGE);
	pages_touch(&p, 0, 50);
	perf_drain(&set, pages_count, &p, UINT32_MAX);
	cr_assert_eq(pages_seen(&p, 0, 50), 50);
	perf_close(&set);
}

/* A thread that has ended between the list and the call is no error; others that are refused do not stop the rest. */
Test(perf, later_refusals, .timeout = 60) {
	static struct worker w[3];
	NEED_PERF();
	for (unsigned i = 0; i < 3; i++)
		worker_start(&w[i]);
	int others = threads_now() - 1;
	fault_set(SYS_perf_event_open, -ESRCH, 1, 1);
	cr_assert_eq(faults_open(os_tid()), others - 1);
	cr_assert_eq(set.refused, 0);
	fault_clear();
	cr_assert_eq(perf_follow(&set), others);
	perf_close(&set);
	fault_set(SYS_perf_event_open, -EMFILE, 2, ALWAYS);
	cr_assert_eq(faults_open(os_tid()), 2);
	cr_assert_eq(set.refused, -EMFILE);
	cr_assert_eq(set.waiting, 1);
	fault_clear();
	fault_set(SYS_poll, -EINTR, 0, 1);
	cr_assert_eq(perf_follow(&set), others);
	cr_assert_eq(set.refused, 0);
	workers_end(w, 3);
	perf_close(&set);
}

/* --- rings made by hand --- */

#define RING OS_PAGE
static struct perf_event_mmap_page *ring;

static void ring_make(bool weighs, uint64_t at) {
	void *p;
	memset(&set, 0, sizeof(set));
	cr_assert_eq(os_map(OS_PAGE + RING, OS_PAGE, &p), 0);
	ring = p;
	ring->data_head = ring->data_tail = at;
	memset((char *)p + OS_PAGE, 0xa5, RING);
	set.codes = 0; /* no descriptors to close */
	set.code[0].weighs = weighs;
	set.threads = 1;
	set.place[3] = (struct perf_place){.ring = p, .bytes = RING, .tid = 1};
}

static void ring_put(const void *record, size_t bytes) {
	for (size_t i = 0; i < bytes; i++)
		((char *)ring)[OS_PAGE + (ring->data_head + i) % RING] = ((const char *)record)[i];
	ring->data_head += bytes;
}

struct raw {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t address, more[2];
};

static void put_sample(uint64_t address, int tid, uint64_t weight, uint64_t source) {
	bool weighs = set.code[0].weighs;
	struct raw r = {
	    .header = {PERF_RECORD_SAMPLE, 0, (uint16_t)(weighs ? sizeof(r) : sizeof(r) - 8)},
	    .pid = 7,
	    .tid = (uint32_t)tid,
	    .address = address,
	    .more = {weighs ? weight : source, source},
	};
	ring_put(&r, r.header.size);
}

struct got {
	struct perf_access access[256];
	unsigned n;
};

static void got_add(void *arg, const struct perf_access *access) {
	struct got *got = arg;
	if (got->n < 256)
		got->access[got->n] = *access;
	got->n++;
}

static struct got got;
static unsigned got_drain(unsigned budget) {
	memset(&got, 0, sizeof(got));
	return perf_drain(&set, got_add, &got, budget);
}

/* Wherever in the ring a record begins, and wherever it is torn by its end. */
Test(perf, torn_at_every_place) {
	for (int weighs = 0; weighs < 2; weighs++) {
		for (uint64_t at = 0; at < RING; at += 8) {
			ring_make(weighs, 5 * RING + at);
			put_sample(0x1000 + at, 11, 99, PERF_MEM_OP_STORE);
			put_sample(0x7fffffffe000, 12, 1, PERF_MEM_OP_LOAD);
			CHECK(got_drain(10) == 2 && got.n == 2, "at %u: %u", (unsigned)at, got.n);
			CHECK(got.access[0].address == 0x1000 + at && got.access[0].tid == 11 &&
				got.access[0].store && got.access[0].cycles == (weighs ? 99 : 0),
			    "at %u", (unsigned)at);
			CHECK(got.access[1].address == 0x7fffffffe000 && got.access[1].tid == 12 &&
				!got.access[1].store && got.access[1].cycles == (weighs ? 1 : 0),
			    "at %u", (unsigned)at);
			CHECK(ring->data_tail == ring->data_head && set.samples == 2 && set.broken == 0, "at %u",
			    (unsigned)at);
			os_unmap(ring, OS_PAGE + RING);
		}
	}
}

Test(perf, other_records) {
	struct {
		struct perf_event_header header;
		uint64_t id, count, rest[8];
	} lost = {{PERF_RECORD_LOST, 0, 24}, 5, 17, {0}};
	struct {
		struct perf_event_header header;
		uint64_t fields[3];
	} throttle = {{PERF_RECORD_THROTTLE, 0, 32}, {0}};
	ring_make(false, 0);
	put_sample(0x1000, 1, 0, 0);
	ring_put(&lost, 24);
	ring_put(&throttle, 32);
	throttle.header.type = PERF_RECORD_UNTHROTTLE;
	ring_put(&throttle, 32);
	lost.header =
	    (struct perf_event_header){9999, 0, sizeof(lost)}; /* of a kernel to come, and longer than ours */
	ring_put(&lost, sizeof(lost));
	lost.header = (struct perf_event_header){PERF_RECORD_LOST, 0, sizeof(lost)};
	ring_put(&lost, sizeof(lost));
	lost.header.size = 8; /* too short to say how many */
	ring_put(&lost, 8);
	put_sample(0x2000, 1, 0, 0);
	cr_assert_eq(got_drain(100), 8);
	cr_assert_eq(got.n, 2);
	cr_assert_eq(got.access[1].address, 0x2000);
	cr_assert_eq(set.lost, 34);
	cr_assert_eq(set.throttled, 1);
	cr_assert_eq(set.broken, 0);
}

/* No address, one of the kernel's, or a sample that is cut short. */
Test(perf, samples_without_use) {
	struct raw cut = {.header = {PERF_RECORD_SAMPLE, 0, 24}, .address = 0x5000};
	ring_make(false, 0);
	put_sample(0, 1, 0, 0);
	put_sample(0xffff888000001000, 1, 0, 0);
	ring_put(&cut, 24);
	put_sample(0x3000, 1, 0, 0);
	cr_assert_eq(got_drain(100), 4);
	cr_assert_eq(got.n, 1);
	cr_assert_eq(got.access[0].address, 0x3000);
	cr_assert_eq(set.elsewhere, 3);
	cr_assert_eq(set.samples, 1);
}

/* A size of 0 would never end, one that is odd or beyond the head would read what is not there. */
Test(perf, rings_without_sense) {
	static const uint16_t sizes[] = {0, 4, 7, 12, 33, 40, 65528};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct raw r = {.header = {PERF_RECORD_SAMPLE, 0, sizes[i]}, .address = 0x1000};
		ring_make(false, 64);
		put_sample(0x4000, 1, 0, 0);
		ring_put(&r, 32);
		got_drain(100);
		CHECK(got.n == 1 && set.broken == 1 && ring->data_tail == ring->data_head, "size %u", sizes[i]);
		/* It goes on behind that. */
		put_sample(0x6000, 1, 0, 0);
		CHECK(got_drain(100) == 1 && got.access[0].address == 0x6000, "size %u", sizes[i]);
	}
	static const struct {
		uint64_t head, tail;
	} ends[] = {{RING + 8, 0}, {0, 8}, {12, 4}, {4, 0}, {UINT64_MAX, 0}};
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		ring_make(false, 0);
		ring->data_head = ends[i].head;
		ring->data_tail = ends[i].tail;
		got_drain(100);
		CHECK(got.n == 0 && set.broken == 1 && ring->data_tail == ends[i].head, "case %zu", i);
	}
}

/* A budget is kept exactly, no record is lost or given twice, and every ring gets its turn. */
Test(perf, budget_is_shared) {
	struct perf_event_mmap_page *one;
	ring_make(false, RING - 48);
	for (unsigned i = 0; i < 60; i++)
		put_sample(0x1000 + i, 1, 0, 0);
	one = ring;
	void *p;
	cr_assert_eq(os_map(OS_PAGE + RING, OS_PAGE, &p), 0);
	ring = p;
	set.place[100] = (struct perf_place){.ring = p, .bytes = RING, .tid = 2};
	for (unsigned i = 0; i < 60; i++)
		put_sample(0x9000 + i, 2, 0, 0);
	unsigned next[2] = {0, 0}, turns = 0;
	while (got_drain(7) > 0) {
		CHECK(got.n <= 7, "%u", got.n);
		if (turns++ < 8)
			CHECK(got.access[0].tid == (int)(turns % 2 == 1 ? 1 : 2), "turn %u", turns);
		for (unsigned i = 0; i < got.n; i++) {
			unsigned which = got.access[i].tid == 2;
			CHECK(got.access[i].address == (which ? 0x9000 : 0x1000) + next[which], "out of order");
			next[which]++;
		}
	}
	cr_assert_eq(next[0], 60);
	cr_assert_eq(next[1], 60);
	cr_assert_eq(one->data_tail, one->data_head);
	cr_assert_eq(got_drain(0), 0);
}

/* The ring of a thread that has ended goes when it has been read, not before. */
Test(perf, ended_ring_is_read_first) {
	ring_make(false, 0);
	put_sample(0x1000, 1, 0, 0);
	put_sample(0x2000, 1, 0, 0);
	set.place[3].tid = 0;
	cr_assert_eq(got_drain(1), 1);
	cr_assert_not_null(set.place[3].ring);
	cr_assert_eq(got_drain(5), 1);
	cr_assert_eq(got.access[0].address, 0x2000);
	cr_assert_null(set.place[3].ring);
	cr_assert_not(page_readable(ring));
}
