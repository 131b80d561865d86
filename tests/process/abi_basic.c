/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * malloc, calloc, realloc, reallocarray and free: what C, POSIX and glibc promise for size 0, for sizes that
 * cannot be, for overflow, and that malloc(0) results differ from each other. tm_malloc and friends likewise.
 */
/* run: preload linked static */
#include "check.h"

static void check_zero_size(void) {
	void *p[64];
	for (int i = 0; i < 64; i++) {
		p[i] = i % 4 == 0 ? malloc(hide_size(0))
		    : i % 4 == 1  ? calloc(hide_size(0), 8)
		    : i % 4 == 2  ? calloc(8, hide_size(0))
				  : realloc(NULL, hide_size(0));
		CHECK(p[i] != NULL);
		for (int j = 0; j < i; j++)
			CHECK(p[i] != p[j]);
	}
	for (int i = 0; i < 64; i++)
		free(p[i]);
	if (!tm_malloc)
		return;
	for (int i = 0; i < 64; i++) {
		enum tm_tier tier = i & 1 ? TM_COLD : TM_HOT;
		p[i] = i % 4 < 2 ? tm_malloc(0, tier) : i % 8 < 4 ? tm_calloc(0, 9, tier) : tm_memalign(64, 0, tier);
		CHECK(p[i] != NULL);
		for (int j = 0; j < i; j++)
			CHECK(p[i] != p[j]);
	}
	for (int i = 0; i < 64; i++)
		tm_free(p[i]);
}

#define REFUSED(call)                                                         \
	do {                                                                  \
		errno = 0;                                                    \
		void *refused = (call);                                       \
		CHECK_FOR(refused == NULL, "for %s", #call);                  \
		CHECK_FOR(errno == ENOMEM, "for %s: errno %d", #call, errno); \
	} while (0)

static void check_impossible_sizes(void) {
	static const size_t sizes[] = {
	    (size_t)PTRDIFF_MAX + 1, SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX - 15, (size_t)PTRDIFF_MAX, (size_t)1 << 62};
	char *p = malloc(100);
	fill(p, 100, 7);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t n = hide_size(sizes[i]);
		REFUSED(malloc(n));
		REFUSED(calloc(1, n));
		REFUSED(calloc(n, 1));
		REFUSED(realloc(NULL, n));
		REFUSED(realloc(p, n));
		REFUSED(reallocarray(p, n, 1));
		REFUSED(aligned_alloc(64, n));
		REFUSED(memalign(64, n));
		REFUSED(valloc(n));
		REFUSED(pvalloc(n));
		void *q = (void *)0x1234;
		errno = 0;
		CHECK_EQ(posix_memalign(&q, 64, n), ENOMEM);
		CHECK(q == (void *)0x1234);
		if (!tm_malloc)
			continue;
		for (int tier = 0; tier < TM_TIERS; tier++) {
			REFUSED(tm_malloc(n, tier));
			REFUSED(tm_calloc(1, n, tier));
			REFUSED(tm_calloc(n, 1, tier));
			REFUSED(tm_realloc(NULL, n, tier));
			REFUSED(tm_realloc(p, n, tier));
			REFUSED(tm_memalign(64, n, tier));
		}
	}
	/* A refused realloc leaves the block alone. */
	CHECK(intact(p, 100, 7));
	free(p);
}

static void check_overflow(void) {
	static const size_t pairs[][2] = {
	    {SIZE_MAX, 2},
	    {2, SIZE_MAX},
	    {SIZE_MAX / 2, 3},
	    {(size_t)1 << 32, (size_t)1 << 32},
	    {((size_t)1 << 32) + 1, (size_t)1 << 32},
	    {SIZE_MAX, SIZE_MAX},
	    {SIZE_MAX / 16 + 1, 16},
	    {16, SIZE_MAX / 16 + 1},
	};
	void *p = malloc(10);
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		size_t a = hide_size(pairs[i][0]), b = hide_size(pairs[i][1]);
		REFUSED(calloc(a, b));
		REFUSED(reallocarray(NULL, a, b));
		REFUSED(reallocarray(p, a, b));
		if (tm_calloc) {
			REFUSED(tm_calloc(a, b, TM_HOT));
			REFUSED(tm_calloc(a, b, TM_COLD));
		}
	}
	free(p);
}

static void check_reallocarray(void) {
	char *p = reallocarray(NULL, 25, 4);
	CHECK(p != NULL);
	fill(p, 100, 1);
	p = reallocarray(p, 1000, 40);
	CHECK(p && intact(p, 100, 1));
	errno = 0;
	CHECK(reallocarray(p, hide_size(0), 8) == NULL); /* frees, as glibc */
}

/* Memory handed out again must be zero from calloc, whatever it held, at every size class. */
static void check_calloc_zero(void) {
	for (size_t n = 1; n <= 6 * MiB; n += n / 3 + 1) {
		char *p = malloc(n);
		CHECK(p != NULL);
		memset(p, 0xa5, n);
		free(p);
		char *q = calloc(1, n);
		CHECK_FOR(q && is_zero(q, n), "at size %zu", n);
		memset(q, 0x5a, n);
		free(q);
		if (!tm_calloc)
			continue;
		for (int tier = 0; tier < TM_TIERS; tier++) {
			p = tm_malloc(n, tier);
			CHECK(p != NULL);
			memset(p, 0xa5, n);
			tm_free(p);
			q = tm_calloc(n, 1, tier);
			CHECK_FOR(q && is_zero(q, n), "at size %zu, tier %d", n, tier);
			memset(q, 0x5a, n);
			free(q);
		}
	}
}

int main(void) {
	free(NULL);
	if (tm_free)
		tm_free(NULL);
	if (cfree) {
		cfree(NULL);
		cfree(malloc(10));
	}
	check_zero_size();
	check_impossible_sizes();
	check_overflow();
	check_reallocarray();
	check_calloc_zero();
	return 0;
}
