/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pointers that are not of this heap given to free and the like: each call is reported on stderr in one line that
 * starts with "tiermalloc:", the pointer is not followed, the program runs on. realloc says NULL,
 * malloc_usable_size 0. Also with stderr closed, and counted in tm_stats.
 */
/* run: preload linked static */
#include "check.h"
#include <dlfcn.h>

static char in_data[64] = "data";
static const char in_rodata[64] = "rodata";

struct call {
	const char *name;
	void (*make)(void *p);
};

static void call_free(void *p) {
	free(p);
}
static void call_tm_free(void *p) {
	tm_free(p);
}
static void call_cfree(void *p) {
	cfree(p);
}
static void call_free_sized(void *p) {
	free_sized(p, 64);
}
static void call_free_aligned_sized(void *p) {
	free_aligned_sized(p, 16, 64);
}
static void call_dallocx(void *p) {
	dallocx(p, 0);
}
static void call_sdallocx(void *p) {
	sdallocx(p, 64, 0);
}

static void call_realloc(void *p) {
	void *q = realloc(p, 100);
	if (q)
		_exit(1);
}

static void call_reallocarray(void *p) {
	void *q = reallocarray(p, 10, 10);
	if (q)
		_exit(1);
}

static void call_tm_realloc(void *p) {
	if (tm_realloc(p, 100, TM_COLD) || tm_realloc(p, 100, TM_HOT))
		_exit(1);
}

static void call_rallocx(void *p) {
	if (rallocx(p, 100, 0))
		_exit(1);
}

static void call_usable_size(void *p) {
	if (malloc_usable_size(p) != 0)
		_exit(1);
}

static const struct call calls[] = {
    {"free", call_free},
    {"tm_free", call_tm_free},
    {"cfree", call_cfree},
    {"free_sized", call_free_sized},
    {"free_aligned_sized", call_free_aligned_sized},
    {"dallocx", call_dallocx},
    {"sdallocx", call_sdallocx},
    {"realloc", call_realloc},
    {"reallocarray", call_reallocarray},
    {"rallocx", call_rallocx},
    {"malloc_usable_size", call_usable_size},
    {"tm_realloc", call_tm_realloc},
};

struct job {
	const struct call *call;
	void *p;
	int times;
};

static void work(void *arg) {
	struct job *job = arg;
	/* Blocks around the call, to see that the heap still works after it. */
	char *a = malloc(1000), *b = tm_malloc(1000, TM_COLD);
	if (!a || !b)
		_exit(3);
	fill(a, 1000, 1);
	fill(b, 1000, 2);
	struct tm_stats before, after;
	tm_stats(&before, sizeof before);
	for (int i = 0; i < job->times; i++)
		job->call->make(hide(job->p));
	tm_stats(&after, sizeof after);
	if (after.foreign - before.foreign < (uint64_t)job->times)
		_exit(4);
	if (!intact(a, 1000, 1) || !intact(b, 1000, 2))
		_exit(5);
	free(a);
	free(b);
	for (int i = 0; i < 1000; i++) {
		char *p = malloc(i), *q = tm_malloc(i * 10, TM_COLD);
		if (!p || !q)
			_exit(6);
		free(p);
		free(q);
	}
}

static void check_pointer(const char *what, void *p) {
	static char says[1 << 16];
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		struct job job = {&calls[i], p, 3};
		int status = in_child(work, &job, 20, says, sizeof says);
		CHECK_FOR(WIFEXITED(status), "%s of %s: signal %d; %s", calls[i].name, what, WTERMSIG(status), says);
		CHECK_FOR(WEXITSTATUS(status) == 0, "%s of %s: %s", calls[i].name, what,
		    WEXITSTATUS(status) == 1       ? "not refused"
			: WEXITSTATUS(status) == 4 ? "not counted"
						   : "broken");
		/* tm_realloc is called twice each time. */
		int all, ours = lines_with(says, "tiermalloc: ", &all);
		int expected = calls[i].make == call_tm_realloc ? 6 : 3;
		CHECK_FOR(ours == expected && all == expected, "%s of %s: %d lines of %d: %s", calls[i].name, what,
		    ours, all, says);
	}
}

static void *other_stack(void *arg) {
	char local[64];
	check_pointer("the stack of a thread", local);
	return arg;
}

int main(void) {
	need_tiermalloc();
	char local[64];
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	CHECK(libc != NULL);
	void *(*libc_malloc)(size_t);
	*(void **)&libc_malloc = dlsym(libc, "__libc_malloc");
	CHECK(libc_malloc != NULL);
	char *map = mmap(NULL, 8 * MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *gone = mmap(NULL, 64 * KiB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(map != MAP_FAILED && gone != MAP_FAILED);
	munmap(gone, 64 * KiB);

	check_pointer("the stack", local);
	check_pointer("static data", in_data);
	check_pointer("read-only data", (void *)(uintptr_t)in_rodata);
	check_pointer("code", (void *)(uintptr_t)libc_malloc);
	check_pointer("an mmap", map);
	check_pointer("the middle of an mmap", map + 4 * MiB + 48);
	check_pointer("an unmapped page", gone);
	check_pointer("glibc's heap", libc_malloc(100));
	check_pointer("glibc's heap, large", libc_malloc(1 * MiB));
	check_pointer("a small number", (void *)8);
	check_pointer("the last page", (void *)-64);
	check_pointer("a non-canonical address", (void *)0x8000deadbeef0000);
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, other_stack, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);

	/* Plain malloc_usable_size(NULL) and free(NULL) are no mistake: not a word. */
	struct tm_stats before, after;
	tm_stats(&before, sizeof before);
	free(NULL);
	tm_free(NULL);
	CHECK_EQ(malloc_usable_size(NULL), 0);
	tm_stats(&after, sizeof after);
	CHECK_EQ(after.foreign, before.foreign);

	/* stderr closed, and its number used for something of the program's: nothing to check but that it lives. */
	struct job job = {&calls[0], local, 3};
	close(2);
	CHECK_EQ(in_child(work, &job, 20, NULL, 0), 0);
	return 0;
}
