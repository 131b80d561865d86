/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os/os: the promises of os.h. Access and content are looked at through the kernel, not by touching.
 */
#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/pages.h"

static char path[64];

/* A file with `bytes` bytes, byte i being i * 7. */
static void make_file(size_t bytes) {
	strcpy(path, "/tmp/tm_test_os_XXXXXX");
	int fd = mkstemp(path);
	CHECK(fd >= 0, "no file");
	for (size_t i = 0; i < bytes; i++) {
		char c = (char)(i * 7);
		CHECK(write(fd, &c, 1) == 1, "%zu", i);
	}
	close(fd);
}

static void check_file(const char *buf, size_t bytes) {
	for (size_t i = 0; i < bytes; i++)
		CHECK(buf[i] == (char)(i * 7), "byte %zu", i);
}

static int open_files(void) {
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(os, read_file_whole) {
	char buf[4096];
	memset(buf, '#', sizeof(buf));
	make_file(1000);
	int before = open_files();
	cr_assert_eq(os_read_file(path, buf, sizeof(buf)), 1000);
	unlink(path);
	check_file(buf, 1000);
	cr_assert_eq(buf[1000], '\0');
	cr_assert_eq(buf[1001], '#');
	cr_assert_eq(open_files(), before);
}

/* At every size of buffer around the file's own, the end is zero and nothing behind it is written. */
Test(os, read_file_stops_at_cap) {
	char buf[64];
	make_file(40);
	for (size_t cap = 1; cap < 60; cap++) {
		memset(buf, '#', sizeof(buf));
		size_t expected = cap - 1 < 40 ? cap - 1 : 40;
		CHECK(os_read_file(path, buf, cap) == (long)expected, "cap %zu", cap);
		check_file(buf, expected);
		CHECK(buf[expected] == '\0', "cap %zu", cap);
		for (size_t i = expected + 1; i < sizeof(buf); i++)
			CHECK(buf[i] == '#', "cap %zu: byte %zu was written", cap, i);
	}
	unlink(path);
}

static long interrupted_read(long number) {
	static unsigned n;
	return number == SYS_read && n++ % 2 == 0 ? -EINTR : 0;
}

Test(os, read_retries_when_interrupted) {
	char buf[128];
	make_file(100);
	os_fault = interrupted_read;
	cr_assert_eq(os_read_file(path, buf, sizeof(buf)), 100);
	unlink(path);
	check_file(buf, 100);
}

Test(os, read_file_from_pipe_in_pieces) {
	int ends[2];
	char buf[16], name[32];
	cr_assert_eq(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		for (int i = 0; i < 5; i++) {
			write(ends[1], "ab", 2);
			usleep(2000);
		}
		_exit(0);
	}
	close(ends[1]);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", ends[0]);
	cr_assert_eq(os_read_file(name, buf, sizeof(buf)), 10);
	waitpid(child, NULL, 0);
	cr_assert_str_eq(buf, "ababababab");
}

Test(os, failures_leave_errno_alone) {
	char buf[16];
	void *p;
	errno = 77;
	cr_assert_eq(os_read_file("/nowhere/at/all", buf, sizeof(buf)), -ENOENT);
	cr_assert_eq(os_open("/nowhere/at/all"), -ENOENT);
	cr_assert_eq(os_read(-1, buf, sizeof(buf)), -EBADF);
	cr_assert_eq(os_read_file("/proc/self", buf, sizeof(buf)), -EISDIR);
	cr_assert_eq(os_reserve(SIZE_MAX / 2 & ~(OS_PAGE - 1), OS_PAGE, &p), -ENOMEM);
	cr_assert_eq(os_map(SIZE_MAX / 2 & ~(OS_PAGE - 1), REGION, &p), -ENOMEM);
	cr_assert_eq(os_unmap((void *)1, OS_PAGE), -EINVAL);
	cr_assert_eq(os_allow((void *)1, OS_PAGE), -EINVAL);
	cr_assert_eq(os_forbid((void *)1, OS_PAGE), -EINVAL);
	cr_assert_eq(os_advise((void *)1, OS_PAGE, MADV_DONTNEED), -EINVAL);
	os_close(-1);
	os_write(-1, "x", 1);
	cr_assert_eq(errno, 77);
}

Test(os, failed_read_closes_its_file) {
	char buf[16];
	int before = open_files();
	cr_assert_eq(os_read_file("/proc/self", buf, sizeof(buf)), -EISDIR);
	fault_set(SYS_read, -EIO, 0, 1);
	cr_assert_eq(os_read_file("/proc/self/stat", buf, sizeof(buf)), -EIO);
	cr_assert_eq(open_files(), before);
}

Test(os, ioctl_and_pid) {
	int ends[2], waiting = -1;
	cr_assert_eq(pipe(ends), 0);
	cr_assert_eq(write(ends[1], "abc", 3), 3);
	cr_assert_eq(os_ioctl(ends[0], FIONREAD, &waiting), 0);
	cr_assert_eq(waiting, 3);
	errno = 77;
	cr_assert_eq(os_ioctl(-1, FIONREAD, &waiting), -EBADF);
	cr_assert_eq(errno, 77);
	cr_assert_eq(os_pid(), getpid());
	pid_t child = fork();
	if (child == 0)
		_exit(os_pid() == getpid() ? 0 : 1);
	int status;
	waitpid(child, &status, 0);
	cr_assert_eq(status, 0);
}

/* Every thread of the process once, whatever the size of the buffer. */
Test(os, list) {
	char buf[128] __attribute__((aligned(8)));
	int dir = os_open("/proc/self/task"), own = 0;
	long n;
	cr_assert_geq(dir, 0);
	while ((n = os_list(dir, buf, sizeof(buf))) > 0)
		for (long at = 0; at < n; at += *(uint16_t *)(void *)(buf + at + 16))
			own += atoi(buf + at + 19) == gettid();
	cr_assert_eq(n, 0);
	cr_assert_eq(own, 1);
	cr_assert_eq(os_tid(), gettid());
	os_close(dir);
	cr_assert_eq(os_list(dir, buf, sizeof(buf)), -EBADF);
}

Test(os, poll_does_not_wait) {
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	struct pollfd polls[] = {{.fd = ends[0], .events = POLLIN}, {.fd = -1}};
	cr_assert_eq(os_poll(polls, 2), 0);
	cr_assert_eq(write(ends[1], "a", 1), 1);
	cr_assert_eq(os_poll(polls, 2), 1);
	close(ends[1]);
	cr_assert_eq(os_poll(polls, 2), 1);
	cr_assert(polls[0].revents & POLLHUP);
}

Test(os, shared_mapping) {
	void *p = (void *)5;
	char c = 0;
	strcpy(path, "/tmp/tm_test_os_XXXXXX");
	int fd = mkstemp(path);
	unlink(path);
	cr_assert_eq(ftruncate(fd, 2 * OS_PAGE), 0);
	cr_assert_eq(os_map_shared(-1, OS_PAGE, &p), -EBADF);
	cr_assert_eq(p, (void *)5);
	cr_assert_eq(os_map_shared(fd, 2 * OS_PAGE, &p), 0);
	((char *)p)[OS_PAGE] = 'x';
	cr_assert_eq(pread(fd, &c, 1, OS_PAGE), 1);
	cr_assert_eq(c, 'x');
	os_unmap(p, 2 * OS_PAGE);
	close(fd);
}

Test(os, open_is_not_inherited) {
	int fd = os_open("/dev/null");
	cr_assert_geq(fd, 0);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	os_close(fd);
	cr_assert_eq(fcntl(fd, F_GETFD), -1);
}

struct sink {
	int fd;
	size_t bytes;
	bool same;
};

static void *drain(void *arg) {
	struct sink *sink = arg;
	char buf[5000];
	ssize_t n;
	sink->same = true;
	while ((n = read(sink->fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			sink->same = sink->same && buf[i] == (char)((sink->bytes + (size_t)i) * 13);
		sink->bytes += (size_t)n;
	}
	return NULL;
}

/* More than a pipe holds, interrupted now and then. */
static long interrupted_write(long number) {
	static unsigned n;
	return number == SYS_write && n++ % 2 == 0 ? -EINTR : 0;
}

Test(os, write_is_whole) {
	static char text[300000];
	int ends[2];
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)(i * 13);
	cr_assert_eq(pipe(ends), 0);
	struct sink sink = {.fd = ends[0]};
	pthread_t reader;
	pthread_create(&reader, NULL, drain, &sink);
	os_fault = interrupted_write;
	os_write(ends[1], text, sizeof(text));
	os_fault = NULL;
	close(ends[1]);
	pthread_join(reader, NULL);
	cr_assert_eq(sink.bytes, sizeof(text), "%zu bytes arrived", sink.bytes);
	cr_assert(sink.same);
}

static size_t mapped_bytes(void) {
	char buf[64];
	CHECK(os_read_file("/proc/self/statm", buf, sizeof(buf)) > 0, "statm");
	return strtoull(buf, NULL, 10) * OS_PAGE;
}

/* What was mapped to find an aligned place is gone again, by the size of the process. */
Test(os, reserve_is_aligned_exact_and_shut) {
	for (size_t align = OS_PAGE; align <= GiB; align *= 2) {
		void *p = NULL;
		size_t before = mapped_bytes();
		CHECK(os_reserve(3 * OS_PAGE, align, &p) == 0, "align %zu", align);
		CHECK(((uintptr_t)p & (align - 1)) == 0, "%p is not aligned to %zu", p, align);
		CHECK(mapped_bytes() == before + 3 * OS_PAGE, "align %zu: what was mapped besides was kept", align);
		CHECK(!page_readable(p), "align %zu", align);
		CHECK(!page_readable((char *)p + 2 * OS_PAGE), "align %zu", align);
		CHECK(os_unmap(p, 3 * OS_PAGE) == 0, "align %zu", align);
		CHECK(mapped_bytes() == before, "align %zu", align);
	}
}

Test(os, map_is_aligned_exact_and_zero) {
	for (size_t align = OS_PAGE; align <= GiB; align *= 8) {
		void *p = NULL;
		size_t before = mapped_bytes();
		CHECK(os_map(5 * OS_PAGE, align, &p) == 0, "align %zu", align);
		CHECK(((uintptr_t)p & (align - 1)) == 0, "%p is not aligned to %zu", p, align);
		CHECK(mapped_bytes() == before + 5 * OS_PAGE, "align %zu: what was mapped besides was kept", align);
		CHECK(pages_zero(p, 5) == 5, "align %zu", align);
		pages_fill(p, 5, 1);
		CHECK(pages_hold(p, 5, 1) == 5, "align %zu", align);
		os_unmap(p, 5 * OS_PAGE);
	}
}

Test(os, sizes_that_overflow) {
	void *p;
	cr_assert_eq(os_reserve(SIZE_MAX - OS_PAGE + 1, REGION, &p), -ENOMEM);
	cr_assert_eq(os_map(SIZE_MAX - OS_PAGE + 1, GiB, &p), -ENOMEM);
	cr_assert_eq(os_unmap(NULL, 0), 0);
}

Test(os, allow_and_forbid) {
	void *p;
	cr_assert_eq(os_reserve(4 * OS_PAGE, OS_PAGE, &p), 0);
	char *page = (char *)p + OS_PAGE;
	cr_assert_eq(os_allow(page, 2 * OS_PAGE), 0);
	cr_assert_not(page_readable(p));
	cr_assert(page_writable(page));
	cr_assert(page_writable(page + OS_PAGE));
	cr_assert_not(page_readable(page + 2 * OS_PAGE));
	pages_fill(page, 2, 3);
	cr_assert_eq(os_forbid(page, OS_PAGE), 0);
	cr_assert_not(page_readable(page));
	cr_assert(page_holds(page + OS_PAGE, 4), "the page next to it was touched");
	cr_assert_eq(os_allow(page, OS_PAGE), 0);
	cr_assert(page_zero(page), "its content survived");
}

Test(os, advise_drops_pages) {
	void *p;
	cr_assert_eq(os_map(2 * OS_PAGE, OS_PAGE, &p), 0);
	pages_fill(p, 2, 9);
	cr_assert_eq(os_advise(p, OS_PAGE, MADV_DONTNEED), 0);
	cr_assert(page_zero(p));
	cr_assert(page_holds((char *)p + OS_PAGE, 10));
}

Test(os, faults_are_returned_and_stop_the_call) {
	void *p = (void *)5;
	errno = 77;
	fault_set(SYS_mmap, -ENOSPC, 0, 1);
	cr_assert_eq(os_reserve(OS_PAGE, OS_PAGE, &p), -ENOSPC);
	cr_assert_eq(p, (void *)5);
	cr_assert_eq(errno, 77);
	cr_assert_eq(os_reserve(OS_PAGE, OS_PAGE, &p), 0);
	fault_set(SYS_mprotect, -ENOMEM, 0, 1);
	cr_assert_eq(os_allow(p, OS_PAGE), -ENOMEM);
	cr_assert_not(page_readable(p));
}

Test(os, address_space) {
	struct rlimit limit;
	getrlimit(RLIMIT_AS, &limit);
	cr_assert_eq(os_address_limit(), limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur);
	uint64_t used = os_address_used();
	void *p;
	cr_assert_eq(os_reserve(GiB, OS_PAGE, &p), 0);
	cr_assert_eq(os_address_used(), used + GiB);
	/* Sanitizers have reserved terabytes: a limit above all that is in use. */
	limit.rlim_cur = used + 16 * GiB;
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	cr_assert_eq(os_address_limit(), used + 16 * GiB);
	fault_set(SYS_openat, -EMFILE, 0, 1);
	cr_assert_eq(os_address_used(), 0);
}

Test(os, machine) {
	uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES), page = (uint64_t)sysconf(_SC_PAGESIZE);
	cr_assert_eq(page, OS_PAGE);
	cr_assert_eq(os_memory_bytes() / MiB, pages * page / MiB);
	fault_set(SYS_sysinfo, -ENOSYS, 0, 1);
	cr_assert_eq(os_memory_bytes(), 0);

	cpu_set_t set;
	sched_getaffinity(0, sizeof(set), &set);
	cr_assert_eq(os_cpus(), (unsigned)CPU_COUNT(&set));
	int some = sched_getcpu();
	CPU_ZERO(&set);
	CPU_SET(some, &set);
	if (sched_setaffinity(0, sizeof(set), &set) == 0)
		cr_assert_eq(os_cpus(), 1);
	fault_set(SYS_sched_getaffinity, -EINVAL, 0, 1);
	cr_assert_eq(os_cpus(), 1);
}

Test(os, time_moves) {
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	uint64_t before = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000, one = os_now_ms();
	cr_assert_geq(one, before);
	cr_assert_leq(one, before + 1000);
	usleep(30000);
	uint64_t two = os_now_ms();
	cr_assert_geq(two, one + 29);
	cr_assert_leq(two, one + 3000);
	os_yield();
}

Test(os, thp_disabled) {
	cr_assert_eq(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	cr_assert(os_thp_disabled());
	cr_assert_eq(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0), 0);
	cr_assert_not(os_thp_disabled());
}

Test(os, abort_aborts) {
	int status;
	pid_t child = fork();
	if (child == 0) {
		struct rlimit none = {0};
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		os_abort();
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}
