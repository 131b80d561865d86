/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the programs of this directory share, on top of the checks of tests/process: settings of the machine, which
 * is a throw-away guest, and where the heap lies.
 */
#ifndef GUEST_H
#define GUEST_H

#include "check.h"

extern struct tm_process tm_process __attribute__((weak));

#define THP_DEFRAG "/sys/kernel/mm/transparent_hugepage/defrag"

static inline bool try_setting(const char *path, const char *value) {
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = (ssize_t)strlen(value);
	bool done = write(fd, value, n) == n;
	close(fd);
	return done;
}

static inline void set(const char *path, const char *value) {
	CHECK_FOR(try_setting(path, value), "%s=%s: %s", path, value, strerror(errno));
}

/* The number after `field` in a file such as /proc/meminfo, or the first one for an empty field. */
static inline size_t number_in(const char *path, const char *field) {
	static char text[1 << 16];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK_FOR(fd >= 0, "for %s", path);
	size_t have = 0;
	ssize_t got;
	while ((got = read(fd, text + have, sizeof(text) - 1 - have)) > 0)
		have += got;
	close(fd);
	text[have] = '\0';
	const char *at = strstr(text, field);
	CHECK_FOR(at != NULL, "no %s in %s", field, path);
	return strtoul(at + strlen(field), NULL, 10);
}

static inline size_t meminfo(const char *field) {
	return number_in("/proc/meminfo", field) * KiB;
}

static inline struct tm_stats stats_now(void) {
	struct tm_stats s;
	CHECK(tm_stats(&s, sizeof(s)) == 0);
	return s;
}

/* Resident or huge bytes of the whole heap, by the kernel's smaps: an opinion independent of the library's. */
static inline size_t heap_smaps(const char *field) {
	size_t bytes = tm_process.zone[TM_HOT].bytes + tm_process.zone[TM_COLD].bytes;
	return smaps_bytes(field, (void *)tm_process.zone[TM_HOT].base, bytes);
}

static inline void sleep_ms(unsigned ms) {
	usleep(ms * 1000);
}

/* A difference that may go either way. */
static inline size_t apart(size_t a, size_t b) {
	return a > b ? a - b : b - a;
}

#endif
