/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os/pages: the two ways of asking the kernel must agree, for this process and for another.
 */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/pages.h"

#define NEED_SCAN()                                                            \
	do {                                                                   \
		if (scan(0, 0, 0) == -1 || !scan_works())                      \
			cr_skip_test("this kernel has no PAGEMAP_SCAN (6.7)"); \
	} while (0)

static struct pages_count counted;

static int scan(int pid, const void *p, size_t bytes) {
	counted = (struct pages_count){0};
	return pages_scan(pid, (uintptr_t)p, (uintptr_t)p + bytes, &counted);
}

static bool scan_works(void) {
	int probe = 0;
	return scan(0, (void *)((uintptr_t)&probe & ~(OS_PAGE - 1)), OS_PAGE) != -ENOTTY;
}

static struct pages_count summed;
static uintptr_t seen_from, seen_to;
static unsigned mappings;

static void add_mapping(void *arg, uintptr_t from, uintptr_t to, const struct pages_count *count) {
	CHECK(arg == &summed, "arg");
	seen_from = mappings == 0 ? from : seen_from;
	seen_to = to;
	mappings++;
	summed.resident += count->resident;
	summed.huge += count->huge;
}

static int smaps(int pid, const void *p, size_t bytes) {
	summed = (struct pages_count){0};
	mappings = 0;
	return pages_smaps(pid, (uintptr_t)p, (uintptr_t)p + bytes, add_mapping, &summed);
}

/* Aligned memory with a hole on either side, so that it is one mapping of its own. */
static char *alone(size_t bytes, size_t align) {
	void *p;
	CHECK(os_reserve(bytes + 2 * align, align, &p) == 0, "no room");
	CHECK(os_allow((char *)p + align, bytes) == 0, "no memory");
	return (char *)p + align;
}

#define AGREE(pid, p, bytes, is_resident, is_huge)                                                                   \
	do {                                                                                                         \
		CHECK(scan(pid, p, bytes) == 0, "scan");                                                             \
		CHECK(smaps(pid, p, bytes) == 0, "smaps");                                                           \
		CHECK(counted.resident == (is_resident), "scan: %llu KiB",                                           \
		    (unsigned long long)counted.resident >> 10);                                                     \
		CHECK(counted.huge == (is_huge), "scan: %llu KiB huge", (unsigned long long)counted.huge >> 10);     \
		CHECK(                                                                                               \
		    summed.resident == (is_resident), "smaps: %llu KiB", (unsigned long long)summed.resident >> 10); \
		CHECK(summed.huge == (is_huge), "smaps: %llu KiB huge", (unsigned long long)summed.huge >> 10);      \
	} while (0)

Test(pages, untouched) {
	NEED_SCAN();
	char *p = alone(REGION, REGION);
	AGREE(0, p, REGION, 0, 0);
	cr_assert_eq(mappings, 1);
	cr_assert_eq(seen_from, (uintptr_t)p);
	cr_assert_eq(seen_to, (uintptr_t)p + REGION);
}

Test(pages, small) {
	NEED_SCAN();
	char *p = alone(REGION, REGION);
	madvise(p, REGION, MADV_NOHUGEPAGE);
	page_fill(p, 1);
	AGREE(0, p, REGION, OS_PAGE, 0);
	pages_fill(p, 100, 1);
	page_fill(p + REGION - OS_PAGE, 1);
	AGREE(0, p, REGION, 101 * OS_PAGE, 0);
	madvise(p, 50 * OS_PAGE, MADV_DONTNEED);
	AGREE(0, p, REGION, 51 * OS_PAGE, 0);
}

/* More pieces than one answer of the kernel has room for. */
Test(pages, in_many_pieces) {
	NEED_SCAN();
	char *p = alone(8 * REGION, REGION);
	madvise(p, 8 * REGION, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < 8 * REGION / OS_PAGE; i += 2)
		p[i * OS_PAGE] = 1;
	AGREE(0, p, 8 * REGION, 8 * REGION / 2, 0);
	/* and only of the part that is asked for */
	cr_assert_eq(scan(0, p + OS_PAGE, 301 * OS_PAGE), 0);
	cr_assert_eq(counted.resident, 150 * OS_PAGE);
}

Test(pages, huge) {
	NEED_SCAN();
	NEED_HUGE_PAGES();
	char *p = alone(4 * REGION, REGION);
	madvise(p, 2 * REGION, MADV_HUGEPAGE);
	madvise(p + 2 * REGION, 2 * REGION, MADV_NOHUGEPAGE);
	p[0] = 1;
	AGREE(0, p, 4 * REGION, REGION, REGION);
	p[REGION + 5] = 1;
	p[3 * REGION] = 1;
	AGREE(0, p, 4 * REGION, 2 * REGION + OS_PAGE, 2 * REGION);
	cr_assert_eq(mappings, 2);
	/* no longer huge when a part of it is gone */
	madvise(p + REGION, OS_PAGE, MADV_DONTNEED);
	AGREE(0, p, 4 * REGION, 2 * REGION, REGION);
}

/* What has been read but not written shows the one zero page, which is nobody's memory. */
Test(pages, zero_page_is_nothing) {
	NEED_SCAN();
	char *p = alone(2 * REGION, REGION);
	volatile char sum = 0;
	madvise(p, REGION, MADV_NOHUGEPAGE);
	madvise(p + REGION, REGION, MADV_HUGEPAGE);
	for (size_t i = 0; i < 2 * REGION; i += OS_PAGE)
		sum += p[i];
	AGREE(0, p, 2 * REGION, 0, 0);
	p[0] = sum + 1;
	AGREE(0, p, 2 * REGION, OS_PAGE, 0);
}

Test(pages, counts_are_added) {
	NEED_SCAN();
	char *p = alone(REGION, REGION);
	madvise(p, REGION, MADV_NOHUGEPAGE);
	pages_fill(p, 3, 1);
	struct pages_count count = {.resident = 7, .huge = 9};
	cr_assert_eq(pages_scan(0, (uintptr_t)p, (uintptr_t)p + REGION, &count), 0);
	cr_assert_eq(count.resident, 7 + 3 * OS_PAGE);
	cr_assert_eq(count.huge, 9);
	cr_assert_eq(pages_scan(0, (uintptr_t)p, (uintptr_t)p, &count), 0);
	cr_assert_eq(count.resident, 7 + 3 * OS_PAGE, "an empty range");
}

Test(pages, other_process) {
	NEED_SCAN();
	int ready[2], done[2];
	char *p = alone(REGION, REGION), c;
	madvise(p, REGION, MADV_NOHUGEPAGE);
	page_fill(p, 1);
	cr_assert_eq(pipe(ready), 0);
	cr_assert_eq(pipe(done), 0);
	pid_t child = fork();
	if (child == 0) {
		close(done[1]);
		pages_fill(p, 20, 1);
		write(ready[1], "", 1);
		_exit((int)read(done[0], &c, 1));
	}
	cr_assert_eq(read(ready[0], &c, 1), 1);
	AGREE(child, p, REGION, 20 * OS_PAGE, 0);
	AGREE(0, p, REGION, OS_PAGE, 0);
	AGREE(getpid(), p, REGION, OS_PAGE, 0);
	close(done[1]);
	waitpid(child, NULL, 0);
	/* ESRCH or ENOENT, which pages.h names as gone */
	int e = scan(child, p, REGION);
	cr_assert(e == -ENOENT || e == -ESRCH, "%d", e);
	e = smaps(child, p, REGION);
	cr_assert(e == -ENOENT || e == -ESRCH, "%d", e);
	cr_assert_eq(mappings, 0);
}

/* /dev/null in the place of the pagemap file knows no PAGEMAP_SCAN either. */
static long null_file(long number) {
	return number == SYS_openat ? open("/dev/null", O_RDONLY | O_CLOEXEC) : 0;
}

Test(pages, kernel_without_scan) {
	char *p = alone(REGION, REGION);
	int before = open("/dev/null", O_RDONLY);
	close(before);
	os_fault = null_file;
	errno = 77;
	cr_assert_eq(scan(0, p, REGION), -ENOTTY);
	cr_assert_eq(errno, 77);
	cr_assert_eq(counted.resident, 0);
	os_fault = NULL;
	int after = open("/dev/null", O_RDONLY);
	cr_assert_eq(after, before, "a file stayed open");
	fault_set(SYS_openat, -EACCES, 0, 2);
	cr_assert_eq(scan(0, p, REGION), -EACCES);
	cr_assert_eq(smaps(0, p, REGION), -EACCES);
}

Test(pages, smaps_reports_whole_mappings) {
	char *p = alone(2 * REGION, REGION);
	madvise(p, REGION, MADV_NOHUGEPAGE);
	madvise(p + REGION, REGION, MADV_HUGEPAGE);
	page_fill(p, 1);
	cr_assert_eq(smaps(0, p + 5 * OS_PAGE, OS_PAGE), 0);
	cr_assert_eq(mappings, 1);
	cr_assert_eq(seen_from, (uintptr_t)p);
	cr_assert_eq(seen_to, (uintptr_t)p + REGION);
	cr_assert_eq(summed.resident, OS_PAGE);
	/* borders: a mapping that ends or begins where the range does is not in it */
	cr_assert_eq(smaps(0, p + REGION, REGION), 0);
	cr_assert_eq(mappings, 1);
	cr_assert_eq(seen_from, (uintptr_t)p + REGION);
	fault_set(SYS_read, -EIO, 1, 1);
	cr_assert_eq(smaps(0, p, REGION), -EIO);
}

static long mappings_by_stdio(void) {
	FILE *maps = fopen("/proc/self/maps", "re");
	long lines = 0;
	for (int c; (c = fgetc(maps)) != EOF;)
		lines += c == '\n';
	fclose(maps);
	return lines;
}

Test(pages, mappings_of_this_process) {
	mappings_by_stdio(); /* maps stdio's buffer */
	long before = pages_mappings();
	cr_assert_eq(before, mappings_by_stdio());
	char *p = alone(400 * OS_PAGE, OS_PAGE);
	for (size_t i = 0; i < 400; i += 2)
		mprotect(p + i * OS_PAGE, OS_PAGE, PROT_READ);
	long now = pages_mappings();
	cr_assert_eq(now, mappings_by_stdio());
	cr_assert_geq(now, before + 399);
	fault_set(SYS_openat, -EMFILE, 0, 1);
	cr_assert_eq(pages_mappings(), -EMFILE);
}

/*
 * A mapped file may lie so deep that its line is longer than the reader's buffer. It is still one mapping, and its
 * numbers are not those of its neighbour.
 */
Test(pages, long_path) {
	char top[] = "/tmp/tm_test_pages_XXXXXX", name[201];
	CHECK(mkdtemp(top) != NULL, "no directory");
	int dir = open(top, O_DIRECTORY | O_CLOEXEC);
	memset(name, 'd', 200);
	name[200] = '\0';
	int levels[25];
	for (int i = 0; i < 25; i++) {
		levels[i] = dir;
		CHECK(mkdirat(dir, name, 0700) == 0, "level %d: %s", i, strerror(errno));
		dir = openat(dir, name, O_DIRECTORY | O_CLOEXEC);
	}
	int fd = openat(dir, "f", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	CHECK(ftruncate(fd, 8 * (off_t)OS_PAGE) == 0, "no file");
	unlinkat(dir, "f", 0); /* the kernel shows the path all the same */
	for (int i = 24; i >= 0; i--) {
		close(dir);
		dir = levels[i];
		unlinkat(dir, name, AT_REMOVEDIR);
	}
	rmdir(top);

	char *p = alone(16 * OS_PAGE, OS_PAGE);
	madvise(p, 8 * OS_PAGE, MADV_NOHUGEPAGE);
	page_fill(p, 1);
	long before = pages_mappings();
	CHECK(mmap(p + 8 * OS_PAGE, 8 * OS_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED,
	    "no mapping");
	pages_fill(p + 8 * OS_PAGE, 8, 1);
	long now = pages_mappings();
	cr_assert_eq(smaps(0, p, 8 * OS_PAGE), 0);
	cr_assert_eq(summed.resident, OS_PAGE, "%llu KiB instead of 4", (unsigned long long)summed.resident >> 10);
	cr_assert_eq(now, mappings_by_stdio(), "%ld mappings, was %ld", now, before);
}
