/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System calls of the library. Runs on any thread, also inside extent hooks and in a forked child.
 * Goes through syscall(2) rather than the named wrappers, which other preloaded libraries interpose and which
 * may then allocate. Must not allocate, lock or leave errno changed.
 */
#include "os/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#ifdef TM_FAULTS
long (*os_fault)(long number);
#endif

static long os_call(long number, long a, long b, long c, long d, long e, long f) {
#ifdef TM_FAULTS
	if (os_fault != NULL) {
		long fault = os_fault(number);
		if (fault != 0)
			return fault;
	}
#endif
	int saved = errno;
	long r = syscall(number, a, b, c, d, e, f);
	if (r == -1) {
		r = -errno;
		errno = saved;
	}
	return r;
}

static int os_mmap(size_t bytes, int prot, int flags, void *at, void **out) {
	long r = os_call(SYS_mmap, (long)at, (long)bytes, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
	if (r < 0 && r > -(long)OS_PAGE)
		return (int)r;
	*out = (void *)r;
	return 0;
}

static int os_mmap_aligned(size_t bytes, size_t align, int prot, int flags, void **out) {
	void *p;
	int r;

	if (bytes + align < bytes)
		return -ENOMEM;
	if (align <= OS_PAGE)
		return os_mmap(bytes, prot, flags, NULL, out);
	if ((r = os_mmap(bytes + align, prot, flags, NULL, &p)) != 0)
		return r;
	uintptr_t start = ((uintptr_t)p + align - 1) & ~(align - 1);
	size_t lead = start - (uintptr_t)p;
	if (lead != 0)
		os_unmap(p, lead);
	os_unmap((void *)(start + bytes), align - lead);
	*out = (void *)start;
	return 0;
}

int os_reserve(size_t bytes, size_t align, void **out) {
	return os_mmap_aligned(bytes, align, PROT_NONE, MAP_NORESERVE, out);
}

int os_map(size_t bytes, size_t align, void **out) {
	return os_mmap_aligned(bytes, align, PROT_READ | PROT_WRITE, 0, out);
}

int os_map_zeros(size_t bytes, size_t align, void **out) {
	return os_mmap_aligned(bytes, align, PROT_READ, MAP_NORESERVE, out);
}

int os_unmap(void *p, size_t bytes) {
	return bytes == 0 ? 0 : (int)os_call(SYS_munmap, (long)p, (long)bytes, 0, 0, 0, 0);
}

int os_allow(void *p, size_t bytes) {
	return (int)os_call(SYS_mprotect, (long)p, (long)bytes, PROT_READ | PROT_WRITE, 0, 0, 0);
}

int os_forbid(void *p, size_t bytes) {
	void *same;
	return os_mmap(bytes, PROT_NONE, MAP_NORESERVE | MAP_FIXED, p, &same);
}

int os_renew(void *p, size_t bytes) {
	void *same;
	return os_mmap(bytes, PROT_READ | PROT_WRITE, MAP_FIXED, p, &same);
}

int os_advise(void *p, size_t bytes, int advice) {
	return (int)os_call(SYS_madvise, (long)p, (long)bytes, advice, 0, 0, 0);
}

int os_resident(void *page) {
	unsigned char here = 0;
	int e = (int)os_call(SYS_mincore, (long)page, OS_PAGE, (long)&here, 0, 0, 0);
	return e != 0 ? e : here & 1;
}

int os_open(const char *path) {
	return (int)os_call(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
}

long os_read(int fd, void *buf, size_t bytes) {
	long r;
	do
		r = os_call(SYS_read, fd, (long)buf, (long)bytes, 0, 0, 0);
	while (r == -EINTR);
	return r;
}

long os_read_at(int fd, void *buf, size_t bytes, uint64_t offset) {
	long r;
	do
		r = os_call(SYS_pread64, fd, (long)buf, (long)bytes, (long)offset, 0, 0);
	while (r == -EINTR);
	return r;
}

void os_close(int fd) {
	os_call(SYS_close, fd, 0, 0, 0, 0, 0);
}

long os_read_file(const char *path, char *buf, size_t cap) {
	int fd = os_open(path);
	if (fd < 0)
		return fd;
	size_t have = 0;
	while (have + 1 < cap) {
		long r = os_read(fd, buf + have, cap - 1 - have);
		if (r < 0) {
			os_close(fd);
			return r;
		}
		if (r == 0)
			break;
		have += (size_t)r;
	}
	os_close(fd);
	buf[have] = '\0';
	return (long)have;
}

uint64_t os_read_number(const char *path) {
	char buf[32];
	uint64_t n = 0;
	if (os_read_file(path, buf, sizeof(buf)) <= 0 || buf[0] < '0' || buf[0] > '9')
		return UINT64_MAX;
	for (const char *at = buf; *at >= '0' && *at <= '9'; at++)
		n = n * 10 + (uint64_t)(*at - '0');
	return n;
}

void os_write(int fd, const void *buf, size_t bytes) {
	const char *p = buf;
	while (bytes > 0) {
		long r = os_call(SYS_write, fd, (long)p, (long)bytes, 0, 0, 0);
		if (r == -EINTR)
			continue;
		if (r <= 0)
			return;
		p += r;
		bytes -= (size_t)r;
	}
}

long os_ioctl(int fd, unsigned long request, void *arg) {
	return os_call(SYS_ioctl, fd, (long)request, (long)arg, 0, 0, 0);
}

long os_list(int fd, void *buf, size_t bytes) {
	return os_call(SYS_getdents64, fd, (long)buf, (long)bytes, 0, 0, 0);
}

int os_poll(struct pollfd *polls, unsigned n) {
	return (int)os_call(SYS_poll, (long)polls, n, 0, 0, 0, 0);
}

int os_perf_open(struct perf_event_attr *attr, int tid) {
	return (int)os_call(SYS_perf_event_open, (long)attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC, 0);
}

int os_map_shared(int fd, size_t bytes, void **out) {
	long r = os_call(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (r < 0 && r > -(long)OS_PAGE)
		return (int)r;
	*out = (void *)r;
	return 0;
}

int os_pid(void) {
	return (int)os_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

int os_tid(void) {
	return (int)os_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

static uint64_t os_limit(int resource) {
	struct rlimit limit;
	if (os_call(SYS_prlimit64, 0, resource, 0, (long)&limit, 0, 0) != 0 || limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

uint64_t os_address_limit(void) {
	return os_limit(RLIMIT_AS);
}

uint64_t os_data_limit(void) {
	return os_limit(RLIMIT_DATA);
}

uint64_t os_address_used(void) {
	char buf[64];
	if (os_read_file("/proc/self/statm", buf, sizeof(buf)) <= 0)
		return 0;
	return strtoull(buf, NULL, 10) * OS_PAGE;
}

uint64_t os_memory_bytes(void) {
	struct sysinfo info;
	if (os_call(SYS_sysinfo, (long)&info, 0, 0, 0, 0, 0) != 0)
		return 0;
	return (uint64_t)info.totalram * info.mem_unit;
}

uint64_t os_now_ms(void) {
	struct timespec now;
	if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
		return 0;
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

uint64_t os_now_ns(void) {
	struct timespec now;
	if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
		return 0;
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void os_yield(void) {
	os_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

void os_nap(void) {
	struct timespec time = {.tv_nsec = 50000};
	os_call(SYS_nanosleep, (long)&time, 0, 0, 0, 0, 0);
}

static uint64_t os_cpu_us(clockid_t clock) {
	struct timespec now;
	if (os_call(SYS_clock_gettime, clock, (long)&now, 0, 0, 0, 0) != 0)
		return 0;
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t os_thread_us(void) {
	return os_cpu_us(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t os_process_us(void) {
	return os_cpu_us(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t os_thread_ns(void) {
	struct timespec now;
	if (os_call(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, (long)&now, 0, 0, 0, 0) != 0)
		return 0;
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

long os_thread_faults(void) {
	struct rusage usage;
	long r = os_call(SYS_getrusage, RUSAGE_THREAD, (long)&usage, 0, 0, 0, 0);
	return r == 0 ? usage.ru_minflt : r;
}

void os_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t ms) {
	struct timespec time = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
	os_call(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, value, ms != 0 ? (long)&time : 0, 0, 0);
}

void os_futex_wake(_Atomic uint32_t *word) {
	os_call(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

int os_userfaultfd(int flags) {
	return (int)os_call(SYS_userfaultfd, flags, 0, 0, 0, 0, 0);
}

void os_wait(int first, int second, uint64_t ns) {
	struct pollfd fds[2] = {{.fd = first, .events = POLLIN}, {.fd = second, .events = POLLIN}};
	struct timespec time = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
	os_call(SYS_ppoll, (long)fds, 2, ns == UINT64_MAX ? 0 : (long)&time, 0, 0, 0);
}

#define BUSY_SIGNAL 64 /* sent to the thread that asked alone, where it stays blocked: the number does not matter */

int os_busy_open(struct os_busy *busy) {
	const uint64_t mask = UINT64_C(1) << (BUSY_SIGNAL - 1);
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = BUSY_SIGNAL};
	event._sigev_un._tid = (pid_t)os_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
	int fd = (int)os_call(SYS_signalfd4, -1, (long)&mask, sizeof(mask), O_CLOEXEC | O_NONBLOCK, 0, 0);
	if (fd < 0)
		return fd;
	int e = (int)os_call(SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, (long)&event, (long)&busy->timer, 0, 0, 0);
	if (e != 0) {
		os_close(fd);
		return e;
	}
	busy->fd = fd;
	return 0;
}

void os_busy_arm(struct os_busy *busy, uint64_t us) {
	struct itimerspec time = {
	    .it_value = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000}};
	char seen[128]; /* struct signalfd_siginfo */
	os_read(busy->fd, seen, sizeof(seen));
	os_call(SYS_timer_settime, busy->timer, 0, (long)&time, 0, 0, 0);
}

void os_name_thread(const char *name) {
	os_call(SYS_prctl, PR_SET_NAME, (long)name, 0, 0, 0, 0);
}

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

int os_close_range(unsigned first, unsigned last, unsigned flags) {
	return (int)os_call(SYS_close_range, first, last, flags, 0, 0, 0);
}

void os_exit_thread(void) {
	for (;;)
		os_call(SYS_exit, 0, 0, 0, 0, 0, 0);
}

int os_block_signals(uint64_t *before) {
	const uint64_t all = ~UINT64_C(0);
	return (int)os_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)before, sizeof(all), 0, 0);
}

void os_restore_signals(const uint64_t *before) {
	os_call(SYS_rt_sigprocmask, SIG_SETMASK, (long)before, 0, sizeof(*before), 0, 0);
}

unsigned os_cpus(void) {
	unsigned long mask[1024 / sizeof(long)] = {0}; /* 8192 CPUs */
	long bytes = os_call(SYS_sched_getaffinity, 0, sizeof(mask), (long)mask, 0, 0, 0);
	unsigned cpus = 0;
	for (long i = 0; i < bytes / (long)sizeof(long); i++)
		cpus += (unsigned)__builtin_popcountl(mask[i]);
	return cpus > 0 ? cpus : 1;
}

bool os_thp_disabled(void) {
	return os_call(SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0, 0) > 0;
}

void os_abort(void) {
	abort();
}
