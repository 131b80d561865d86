/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The names of jemalloc's own interface, which programs linked with the system's jemalloc call: mallocx, rallocx,
 * xallocx, sallocx, dallocx, sdallocx, nallocx, mallctl, mallctlnametomib, mallctlbymib, malloc_stats_print.
 * They work on the same heap as malloc and tm_malloc, in all combinations.
 */
/* run: preload linked static */
#include "check.h"

static void check_blocks(void) {
	for (size_t n = 1; n < 5 * MiB; n += n / 4 + 1) {
		for (int la = 0; la <= 21; la += 3) {
			int flags = la ? MALLOCX_LG_ALIGN(la) : 0;
			size_t real = nallocx(n, flags);
			char *p = mallocx(n, flags | MALLOCX_ZERO);
			CHECK(p != NULL && aligned(p, (size_t)1 << la));
			CHECK_FOR(is_zero(p, n), "for %zu", n);
			CHECK_EQ(sallocx(p, flags), real);
			CHECK_EQ(malloc_usable_size(p), real);
			fill(p, real, n);
			size_t now = xallocx(p, real, 0, flags);
			CHECK_EQ(now, real);
			now = xallocx(p, n + n / 2, 0, flags);
			CHECK(now >= n && intact(p, real, n));
			p = rallocx(p, 2 * n, flags);
			CHECK_FOR(p && aligned(p, (size_t)1 << la) && intact(p, n, n), "for %zu", n);
			if (la % 2)
				dallocx(p, flags);
			else if (la % 4)
				sdallocx(p, 2 * n, flags);
			else
				free(p);
		}
	}
}

/* Every way to allocate against every way to grow and to free. */
static void check_mixed(void) {
	for (int i = 0; i < 5 * 4 * 5; i++) {
		size_t n = 10 + i * 977;
		char *p;
		switch (i % 5) {
		case 0:
			p = malloc(n);
			break;
		case 1:
			p = mallocx(n, MALLOCX_TCACHE_NONE);
			break;
		case 2:
			p = tm_malloc ? tm_malloc(n, TM_COLD) : malloc(n);
			break;
		case 3:
			p = tm_malloc ? tm_malloc(n, TM_HOT) : malloc(n);
			break;
		default:
			p = aligned_alloc(64, n);
			break;
		}
		CHECK(p != NULL);
		fill(p, n, i);
		CHECK(sallocx(p, 0) >= n);
		switch (i / 5 % 4) {
		case 0:
			break;
		case 1:
			p = realloc(p, 3 * n);
			break;
		case 2:
			p = rallocx(p, 3 * n, 0);
			break;
		default:
			p = tm_realloc ? tm_realloc(p, 3 * n, TM_COLD) : realloc(p, 3 * n);
			break;
		}
		CHECK(p && intact(p, n, i));
		switch (i / 20) {
		case 0:
			free(p);
			break;
		case 1:
			dallocx(p, 0);
			break;
		case 2:
			sdallocx(p, i / 5 % 4 ? 3 * n : n, 0);
			break;
		case 3:
			dallocx(p, MALLOCX_TCACHE_NONE);
			break;
		default:
			tm_free ? tm_free(p) : free(p);
			break;
		}
	}
	/* rallocx with ZERO: what was not there before is zero. */
	char *p = mallocx(100, 0);
	size_t real = sallocx(p, 0);
	fill(p, real, 5);
	p = rallocx(p, 100000, MALLOCX_ZERO);
	CHECK(p && intact(p, real, 5) && is_zero(p + real, 100000 - real));
	dallocx(p, 0);
}

static void check_refusals(void) {
	CHECK(mallocx(hide_size(SIZE_MAX / 2 + 1), 0) == NULL);
	CHECK(mallocx(hide_size(SIZE_MAX), MALLOCX_ZERO) == NULL);
	CHECK_EQ(nallocx(hide_size(SIZE_MAX), 0), 0);
	char *p = mallocx(1000, 0);
	fill(p, 1000, 9);
	CHECK(rallocx(p, hide_size(SIZE_MAX / 2 + 1), 0) == NULL);
	CHECK(intact(p, 1000, 9));
	dallocx(p, 0);
	if (!tm_malloc)
		return;
	p = tm_malloc(1000, TM_COLD);
	fill(p, 1000, 9);
	CHECK(rallocx(p, hide_size(SIZE_MAX / 2 + 1), 0) == NULL);
	CHECK(intact(p, 1000, 9));
	dallocx(p, 0);
}

static char printed[1 << 20];
static size_t printed_bytes;
static void collect(void *arg, const char *text) {
	CHECK(arg == &printed_bytes);
	size_t n = strlen(text);
	if (printed_bytes + n < sizeof printed) {
		memcpy(printed + printed_bytes, text, n);
		printed_bytes += n;
	}
}

static void check_control(void) {
	const char *version = NULL;
	size_t len = sizeof version;
	CHECK_EQ(mallctl("version", &version, &len, NULL, 0), 0);
	CHECK(version && version[0] == '5');
	CHECK_EQ(mallctl("no.such.name", NULL, NULL, NULL, 0), ENOENT);

	size_t mib[3], n = 3, before, after;
	CHECK_EQ(mallctlnametomib("stats.allocated", mib, &n), 0);
	CHECK_EQ(n, 2);
	uint64_t epoch = 1;
	CHECK_EQ(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
	len = sizeof before;
	CHECK_EQ(mallctlbymib(mib, n, &before, &len, NULL, 0), 0);
	char *p = hide(malloc(20 * MiB)), *q = tm_malloc ? tm_malloc(20 * MiB, TM_COLD) : malloc(20 * MiB);
	CHECK(p && q);
	CHECK_EQ(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
	len = sizeof after;
	CHECK_EQ(mallctlbymib(mib, n, &after, &len, NULL, 0), 0);
	CHECK_FOR(after >= before + 40 * MiB && after < before + 60 * MiB, "%zu to %zu", before, after);
	free(p);
	free(q);

	/* Thread counters and the thread cache, which profilers and databases use. */
	uint64_t *allocated = NULL;
	len = sizeof allocated;
	CHECK_EQ(mallctl("thread.allocatedp", &allocated, &len, NULL, 0), 0);
	uint64_t was = *allocated;
	p = hide(malloc(1 * MiB));
	CHECK(*allocated >= was + 1 * MiB);
	free(p);
	CHECK_EQ(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0), 0);

	malloc_stats_print(collect, &printed_bytes, NULL);
	CHECK_FOR(printed_bytes > 1000, "%zu bytes", printed_bytes);
	CHECK(strstr(printed, "jemalloc statistics") != NULL);
	printed_bytes = 0;
	malloc_stats_print(collect, &printed_bytes, "Jmdablx");
	CHECK(printed[0] == '{');
}

/* Arenas and thread caches that a program makes for itself, as RocksDB and memkind do. */
static void check_own_arena(void) {
	unsigned arena, tcache;
	size_t len = sizeof arena;
	CHECK_EQ(mallctl("arenas.create", &arena, &len, NULL, 0), 0);
	len = sizeof tcache;
	CHECK_EQ(mallctl("tcache.create", &tcache, &len, NULL, 0), 0);
	int flags = (int)((arena + 1) << 20 | (tcache + 2) << 8);
	enum { BLOCKS = 2000 };
	static char *p[BLOCKS];
	for (int i = 0; i < BLOCKS; i++) {
		p[i] = mallocx(1 + i * 37, flags);
		CHECK(p[i] != NULL);
		fill(p[i], 1 + i * 37, i);
	}
	for (int i = 0; i < BLOCKS; i++) {
		CHECK(intact(p[i], 1 + i * 37, i));
		if (i & 1)
			dallocx(p[i], flags);
		else
			free(p[i]);
	}
	CHECK_EQ(mallctl("tcache.destroy", NULL, NULL, &tcache, sizeof tcache), 0);
	CHECK_EQ(mallctl("thread.tcache.flush", NULL, NULL, NULL, 0), 0);
	char name[64];
	snprintf(name, sizeof name, "arena.%u.destroy", arena);
	CHECK_EQ(mallctl(name, NULL, NULL, NULL, 0), 0);
}

int main(void) {
	if (!mallocx)
		SKIP("no mallocx: neither tiermalloc nor jemalloc is loaded");
	check_blocks();
	check_mixed();
	check_refusals();
	check_control();
	check_own_arena();
	return 0;
}
