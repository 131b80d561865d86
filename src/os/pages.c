/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks the kernel about pages. Runs on any thread, also inside extent hooks; only stack memory, no stdio.
 * Debian 12's headers are of Linux 6.1, so the PAGEMAP_SCAN structures are declared here and probed at run time.
 */
#include "os/pages.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "os/os.h"

/* linux/fs.h of 6.7: struct page_region, struct pm_scan_arg and the categories. */
struct scan_range {
	uint64_t start, end, categories;
};
struct scan_request {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN_IOCTL    _IOWR('f', 16, struct scan_request)
#define SCAN_PRESENT  (UINT64_C(1) << 3)
#define SCAN_ZEROPAGE (UINT64_C(1) << 5)
#define SCAN_HUGE     (UINT64_C(1) << 6)

/* "/proc/self/NAME" or "/proc/PID/NAME"; name is at most 16 characters. */
static void pages_path(char path[48], int pid, const char *name) {
	char digits[16];
	size_t n = 0;
	strcpy(path, "/proc/");
	if (pid <= 0) {
		strcat(path, "self");
	} else {
		for (; pid > 0; pid /= 10)
			digits[n++] = (char)('0' + pid % 10);
		size_t at = strlen(path);
		while (n > 0)
			path[at++] = digits[--n];
		path[at] = '\0';
	}
	strcat(path, "/");
	strcat(path, name);
}

int pages_scan(int pid, uintptr_t start, uintptr_t end, struct pages_count *count) {
	char path[48];
	struct scan_range found[64];
	int r = 0;

	pages_path(path, pid, "pagemap");
	int fd = os_open(path);
	if (fd < 0)
		return fd;
	while (start < end) {
		struct scan_request request = {
		    .size = sizeof(request),
		    .start = start,
		    .end = end,
		    .vec = (uintptr_t)found,
		    .vec_len = sizeof(found) / sizeof(found[0]),
		    .category_inverted = SCAN_ZEROPAGE,
		    .category_mask = SCAN_PRESENT | SCAN_ZEROPAGE,
		    .return_mask = SCAN_PRESENT | SCAN_HUGE,
		};
		long n = os_ioctl(fd, SCAN_IOCTL, &request);
		if (n == -EINTR)
			continue;
		if (n < 0) {
			r = (int)n;
			break;
		}
		for (long i = 0; i < n; i++) {
			uint64_t bytes = found[i].end - found[i].start;
			count->resident += bytes;
			if (found[i].categories & SCAN_HUGE)
				count->huge += bytes;
		}
		if (request.walk_end <= start)
			break;
		start = request.walk_end;
	}
	os_close(fd);
	return r;
}

/* /proc/PID/pagemap: present or swapped, and mapped by nobody else (Linux 4.2). */
#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_OURS    (UINT64_C(1) << 56)

int pages_shared(uintptr_t start, size_t bytes) {
	uint64_t entry[64];
	size_t pages = bytes / OS_PAGE, present = 0, others = 0;
	struct pages_count count = {0};
	int fd = os_open("/proc/self/pagemap"), r = 0;
	if (fd < 0)
		return fd;
	for (size_t done = 0; done < pages;) {
		size_t n = pages - done < 64 ? pages - done : 64;
		long got = os_read_at(fd, entry, n * sizeof(entry[0]), (start / OS_PAGE + done) * sizeof(entry[0]));
		if (got < (long)sizeof(entry[0])) {
			r = got < 0 ? (int)got : -EIO;
			break;
		}
		n = (size_t)got / sizeof(entry[0]);
		for (size_t i = 0; i < n; i++) {
			present += (entry[i] & PAGEMAP_PRESENT) != 0;
			others += (entry[i] & (PAGEMAP_PRESENT | PAGEMAP_OURS)) == PAGEMAP_PRESENT;
		}
		done += n;
	}
	os_close(fd);
	if (r != 0 || others == 0)
		return r;
	/* The page of zeros that reading untouched memory maps is everybody's. The scan leaves it out. */
	if (pages_scan(0, start, start + bytes, &count) != 0)
		return 1;
	return others > present - count.resident / OS_PAGE;
}

/* Calls `line` for each line of the file; what does not fit the buffer is cut off. */
static int pages_lines(const char *path, void (*line)(void *arg, char *text), void *arg) {
	char buf[4096];
	size_t have = 0;
	bool skip = false;
	int fd = os_open(path);
	if (fd < 0)
		return fd;
	for (;;) {
		long r = os_read(fd, buf + have, sizeof(buf) - 1 - have);
		if (r <= 0) {
			os_close(fd);
			return (int)r;
		}
		have += (size_t)r;
		buf[have] = '\0';
		char *at = buf, *newline;
		while ((newline = memchr(at, '\n', have - (size_t)(at - buf))) != NULL) {
			*newline = '\0';
			if (!skip)
				line(arg, at);
			skip = false;
			at = newline + 1;
		}
		have -= (size_t)(at - buf);
		memmove(buf, at, have);
		if (have == sizeof(buf) - 1) {
			/* Longer than the buffer: its start is what matters, a path at its end is not. */
			buf[have] = '\0';
			if (!skip)
				line(arg, buf);
			have = 0;
			skip = true;
		}
	}
}

struct smaps_state {
	uintptr_t start, end;
	uintptr_t from, to;
	struct pages_count count;
	bool inside;
	void (*each)(void *arg, uintptr_t from, uintptr_t to, const struct pages_count *count);
	void *arg;
};

static void smaps_flush(struct smaps_state *s) {
	if (s->inside)
		s->each(s->arg, s->from, s->to, &s->count);
	s->inside = false;
}

static void smaps_line(void *arg, char *text) {
	struct smaps_state *s = arg;
	char *end;
	if ((text[0] >= '0' && text[0] <= '9') || (text[0] >= 'a' && text[0] <= 'f')) {
		smaps_flush(s);
		s->from = strtoull(text, &end, 16);
		s->to = *end == '-' ? strtoull(end + 1, NULL, 16) : 0;
		s->inside = s->from < s->end && s->to > s->start;
		s->count = (struct pages_count){0};
	} else if (s->inside && strncmp(text, "Rss:", 4) == 0) {
		s->count.resident = strtoull(text + 4, NULL, 10) << 10;
	} else if (s->inside && strncmp(text, "AnonHugePages:", 14) == 0) {
		s->count.huge = strtoull(text + 14, NULL, 10) << 10;
	}
}

int pages_smaps(int pid, uintptr_t start, uintptr_t end,
    void (*each)(void *arg, uintptr_t from, uintptr_t to, const struct pages_count *count), void *arg) {
	char path[48];
	struct smaps_state state = {.start = start, .end = end, .each = each, .arg = arg};
	pages_path(path, pid, "smaps");
	int r = pages_lines(path, smaps_line, &state);
	if (r == 0)
		smaps_flush(&state);
	return r;
}

static void mappings_line(void *arg, char *text) {
	(void)text;
	++*(long *)arg;
}

bool pages_never_huge(void) {
	char buf[64];
	return os_read_file("/sys/kernel/mm/transparent_hugepage/enabled", buf, sizeof(buf)) > 0 &&
	    strstr(buf, "[never]") != NULL;
}

long pages_mappings(void) {
	long lines = 0;
	int r = pages_lines("/proc/self/maps", mappings_line, &lines);
	return r < 0 ? r : lines;
}
