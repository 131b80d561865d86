/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the programs of this directory share: checks that end the program with one line saying what and where,
 * byte patterns, random numbers, and a look at the kernel's account of memory.
 *
 * Exit status: 0 passed, 1 failed, 77 cannot run here. Allocation functions are reached through hide(), or with
 * sizes the compiler cannot see, so that it neither drops a call nor warns about one that is meant to fail.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tiermalloc.h"

#define KiB    ((size_t)1 << 10)
#define MiB    ((size_t)1 << 20)
#define GiB    ((size_t)1 << 30)
#define REGION TM_REGION_BYTES

/* Weak, so that the same program also runs where the library is not: their addresses are then NULL. */
#pragma weak tm_malloc
#pragma weak tm_calloc
#pragma weak tm_realloc
#pragma weak tm_memalign
#pragma weak tm_free
#pragma weak tm_tier_of
#pragma weak tm_version
#pragma weak tm_stats
#pragma weak tm_heat
#pragma weak tm_quiesce
#pragma weak tm_resume

void free_sized(void *p, size_t size) __attribute__((weak));
void free_aligned_sized(void *p, size_t alignment, size_t size) __attribute__((weak));
void cfree(void *p) __attribute__((weak));

void *mallocx(size_t size, int flags) __attribute__((weak));
void *rallocx(void *p, size_t size, int flags) __attribute__((weak));
size_t xallocx(void *p, size_t size, size_t extra, int flags) __attribute__((weak));
size_t sallocx(const void *p, int flags) __attribute__((weak));
void dallocx(void *p, int flags) __attribute__((weak));
void sdallocx(void *p, size_t size, int flags) __attribute__((weak));
size_t nallocx(size_t size, int flags) __attribute__((weak));
int mallctl(const char *name, void *old, size_t *oldlen, void *new, size_t newlen) __attribute__((weak));
int mallctlnametomib(const char *name, size_t *mib, size_t *miblen) __attribute__((weak));
int mallctlbymib(const size_t *mib, size_t miblen, void *old, size_t *oldlen, void *new, size_t newlen)
    __attribute__((weak));
void malloc_stats_print(void (*write)(void *, const char *), void *arg, const char *opts) __attribute__((weak));
#define MALLOCX_LG_ALIGN(la) ((int)(la))
#define MALLOCX_ZERO         ((int)0x40)
#define MALLOCX_TCACHE_NONE  ((int)(1 << 8))

/* Ends the program with one line on stderr. Uses no heap: the heap is what is in doubt. */
__attribute__((noreturn, format(printf, 2, 3))) static inline void check_end(int status, const char *format, ...) {
	char line[512];
	va_list ap;
	va_start(ap, format);
	int n = vsnprintf(line, sizeof line - 1, format, ap);
	va_end(ap);
	if (n > (int)sizeof line - 2)
		n = sizeof line - 2;
	line[n++] = '\n';
	if (write(2, line, n) < 0)
		_exit(status ? status : 1);
	_exit(status);
}

#define FAIL(...) check_fail(__FILE__, __LINE__, __VA_ARGS__)
#define SKIP(...) check_end(77, __VA_ARGS__)
#define CHECK(condition)                        \
	do {                                    \
		if (!(condition))               \
			FAIL("%s", #condition); \
	} while (0)
#define CHECK_FOR(condition, format, ...)                              \
	do {                                                           \
		if (!(condition))                                      \
			FAIL("%s " format, #condition, ##__VA_ARGS__); \
	} while (0)
#define CHECK_EQ(a, b)                                                               \
	do {                                                                         \
		long long check_a = (long long)(a), check_b = (long long)(b);        \
		if (check_a != check_b)                                              \
			FAIL("%s is %lld, not %s = %lld", #a, check_a, #b, check_b); \
	} while (0)

__attribute__((noreturn, format(printf, 3, 4))) static inline void check_fail(
    const char *file, int line, const char *format, ...) {
	char what[400];
	va_list ap;
	va_start(ap, format);
	vsnprintf(what, sizeof what, format, ap);
	va_end(ap);
	const char *slash = strrchr(file, '/');
	check_end(1, "%s:%d: %s", slash ? slash + 1 : file, line, what);
}

/* For programs that are about more than malloc: without the library there is nothing to test. */
static inline void need_tiermalloc(void) {
	if (!tm_malloc)
		SKIP("tiermalloc is not loaded");
}

/* The same pointer, of which the compiler knows nothing. */
static inline void *hide(const void *p) {
	__asm__ volatile("" : "+r"(p));
	return (void *)(uintptr_t)p;
}

static inline size_t hide_size(size_t n) {
	__asm__ volatile("" : "+r"(n));
	return n;
}

static inline bool aligned(const void *p, size_t alignment) {
	return ((uintptr_t)p & (alignment - 1)) == 0;
}

/* What malloc owes for a size: 16 bytes, or 8 for sizes that no type aligned to 16 can have. */
static inline size_t alignment_owed(size_t size) {
	return size > 8 ? 16 : 8;
}

static inline bool is_zero(const void *p, size_t n) {
	const unsigned char *c = p;
	while (n && ((uintptr_t)c & 7)) {
		if (*c++)
			return false;
		n--;
	}
	for (; n >= 8; n -= 8, c += 8)
		if (*(const uint64_t *)(const void *)c)
			return false;
	while (n--)
		if (*c++)
			return false;
	return true;
}

/* splitmix64: one word of state, so that every thread and every block can have its own. */
static inline uint64_t random_next(uint64_t *state) {
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static inline size_t random_below(uint64_t *state, size_t n) {
	return n ? random_next(state) % n : 0;
}

/* Fills a block with bytes that follow from id; byte i depends on i only, so any prefix can be checked. */
static inline void fill(void *p, size_t n, uint64_t id) {
	unsigned char *c = p;
	uint64_t word = id * UINT64_C(0x9e3779b97f4a7c15) + 0x55;
	size_t i = 0;
	for (; i + 8 <= n; i += 8, word += UINT64_C(0x0101010101010101))
		memcpy(c + i, &word, 8);
	memcpy(c + i, &word, n - i);
}

/* The offset of the first byte that is not as fill() left it, or n. */
static inline size_t first_wrong(const void *p, size_t n, uint64_t id) {
	const unsigned char *c = p;
	uint64_t word = id * UINT64_C(0x9e3779b97f4a7c15) + 0x55;
	size_t i = 0;
	for (; i + 8 <= n; i += 8, word += UINT64_C(0x0101010101010101)) {
		uint64_t is;
		memcpy(&is, c + i, 8);
		if (is != word)
			break;
	}
	unsigned char bytes[8];
	memcpy(bytes, &word, 8);
	for (size_t j = 0; i < n && j < 8; j++, i++)
		if (c[i] != bytes[j])
			return i;
	return i < n ? i : n;
}

static inline bool intact(const void *p, size_t n, uint64_t id) {
	return first_wrong(p, n, id) == n;
}

static inline long env_long(const char *name, long otherwise) {
	const char *value = getenv(name);
	return value && *value ? strtol(value, NULL, 0) : otherwise;
}

static inline double seconds_now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Resident bytes of this process; read without the heap. */
static inline size_t rss_bytes(void) {
	char text[128] = "";
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof text - 1) <= 0)
		FAIL("cannot read /proc/self/statm: %s", strerror(errno));
	close(fd);
	unsigned long size, resident;
	CHECK(sscanf(text, "%lu %lu", &size, &resident) == 2);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* The sum of one field of /proc/self/smaps, such as "AnonHugePages:", over mappings that touch [p, p+n). */
static inline size_t smaps_bytes(const char *field, const void *p, size_t n) {
	static char text[1 << 22]; /* static: reading must not change what is read about */
	int fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		FAIL("cannot read /proc/self/smaps: %s", strerror(errno));
	size_t have = 0;
	ssize_t got;
	while (have < sizeof text - 1 && (got = read(fd, text + have, sizeof text - 1 - have)) > 0)
		have += got;
	close(fd);
	text[have] = 0;
	uintptr_t from = (uintptr_t)p, to = from + n;
	size_t sum = 0;
	bool in = false;
	for (char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		unsigned long a, b, kb;
		if (sscanf(line, "%lx-%lx ", &a, &b) == 2)
			in = a < to && b > from;
		else if (in && !strncmp(line, field, strlen(field)) && sscanf(line + strlen(field), "%lu", &kb) == 1)
			sum += kb * KiB;
	}
	return sum;
}

/* The word in brackets of a sysfs file such as transparent_hugepage/enabled; "" if it cannot be read. */
static inline void sysfs_choice(const char *path, char *word, size_t n) {
	char text[256] = "";
	word[0] = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (read(fd, text, sizeof text - 1) > 0) {
		char *from = strchr(text, '['), *to = from ? strchr(from, ']') : NULL;
		if (to)
			snprintf(word, n, "%.*s", (int)(to - from - 1), from + 1);
	}
	close(fd);
}

#define THP_ENABLED "/sys/kernel/mm/transparent_hugepage/enabled"
static inline bool thp_is(const char *choice) {
	char word[32];
	sysfs_choice(THP_ENABLED, word, sizeof word);
	return !strcmp(word, choice);
}

static inline void need_thp(void) {
	if (!thp_is("madvise") && !thp_is("always"))
		SKIP("transparent huge pages are off (%s)", THP_ENABLED);
}

/*
 * Runs work(arg) in a child process with stderr in text (unless that is NULL), ended by SIGALRM after `seconds`.
 * Returns the wait status; says[] gets what the child wrote.
 */
static inline int in_child(void (*work)(void *), void *arg, unsigned seconds, char *says, size_t n) {
	int fds[2];
	CHECK(pipe(fds) == 0);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		alarm(seconds);
		close(fds[0]);
		if (says)
			dup2(fds[1], 2);
		close(fds[1]);
		work(arg);
		_exit(0);
	}
	close(fds[1]);
	size_t have = 0;
	ssize_t got;
	char rest[256];
	while ((got = have + 1 < n ? read(fds[0], says + have, n - 1 - have) : read(fds[0], rest, sizeof rest)) > 0)
		if (have + 1 < n)
			have += got;
	if (says && n)
		says[have] = 0;
	close(fds[0]);
	int status;
	CHECK(waitpid(pid, &status, 0) == pid);
	return status;
}

/* Lines of text that start with a prefix; the number of lines in *total when that is asked for. */
static inline int lines_with(const char *text, const char *prefix, int *total) {
	int with = 0, all = 0;
	for (const char *line = text; *line;) {
		all++;
		with += !strncmp(line, prefix, strlen(prefix));
		const char *end = strchr(line, '\n');
		if (!end)
			break;
		line = end + 1;
	}
	if (total)
		*total = all;
	return with;
}

#endif
