/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * posix_memalign, aligned_alloc, memalign, valloc, pvalloc, tm_memalign, free_sized and free_aligned_sized:
 * results are aligned, writable and keep their bytes; a bad alignment is EINVAL and touches nothing else.
 * Also the alignment of plain results: 16, or 8 up to 8 bytes (C asks for that of types that fit the size).
 */
/* run: preload linked static */
#include "check.h"

#define REJECTED(call)                                                                          \
	do {                                                                                    \
		errno = 0;                                                                      \
		void *rejected = (call);                                                        \
		CHECK_FOR(rejected == NULL, "for %s, alignment %zu", #call, a);                 \
		CHECK_FOR(errno == EINVAL, "for %s, alignment %zu: errno %d", #call, a, errno); \
	} while (0)

static void check_bad_alignments(void) {
	static const size_t bad[] = {
	    0, 3, 5, 6, 7, 12, 24, 48, 100, 4095, 4097, SIZE_MAX, SIZE_MAX - 1, ((size_t)1 << 63) + 1};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		size_t a = hide_size(bad[i]);
		void *p = (void *)0x1234;
		errno = 4321;
		CHECK_FOR(posix_memalign(&p, a, 64) == EINVAL, "at alignment %zu", a);
		CHECK_FOR(p == (void *)0x1234, "at alignment %zu", a);
		CHECK_FOR(errno == 4321, "at alignment %zu", a);
		if (a == 0)
			continue; /* 0 is a power of two to some; only posix_memalign must refuse it */
		REJECTED(aligned_alloc(a, 64));
		REJECTED(memalign(a, 64));
		if (tm_memalign) {
			REJECTED(tm_memalign(a, 64, TM_HOT));
			REJECTED(tm_memalign(a, 64, TM_COLD));
			REJECTED(tm_memalign(a, 0, TM_COLD));
		}
	}
	/* posix_memalign alone wants a multiple of sizeof(void *). */
	for (size_t a = 1; a < sizeof(void *); a *= 2) {
		void *p = (void *)0x1234;
		errno = 4321;
		CHECK_EQ(posix_memalign(&p, hide_size(a), 64), EINVAL);
		CHECK(p == (void *)0x1234 && errno == 4321);
		p = aligned_alloc(hide_size(a), 64);
		CHECK(p != NULL);
		free(p);
		p = memalign(hide_size(a), 64);
		CHECK(p != NULL);
		free(p);
	}
	/* Success leaves errno alone, too. */
	void *p = NULL;
	errno = 4321;
	CHECK_EQ(posix_memalign(&p, 64, 64), 0);
	CHECK(p != NULL && errno == 4321);
	free(p);
}

/* Alignments no address space can meet are out of memory, not a crash. */
static void check_great_alignments(void) {
	for (int shift = 47; shift < 64; shift++) {
		size_t a = hide_size((size_t)1 << shift);
		void *p = (void *)0x1234;
		int error = posix_memalign(&p, a, 64);
		CHECK_FOR(error == ENOMEM && p == (void *)0x1234, "at 1 << %d: %d", shift, error);
		errno = 0;
		CHECK_FOR(memalign(a, 64) == NULL && errno == ENOMEM, "at 1 << %d", shift);
	}
}

static void *one_of_six(int which, size_t alignment, size_t size) {
	void *p = NULL;
	switch (which) {
	case 0:
		return posix_memalign(&p, alignment, size) ? NULL : p;
	case 1:
		return aligned_alloc(alignment, size);
	case 2:
		return memalign(alignment, size);
	case 3:
		return tm_memalign ? tm_memalign(alignment, size, TM_HOT) : memalign(alignment, size);
	case 4:
		return tm_memalign ? tm_memalign(alignment, size, TM_COLD) : memalign(alignment, size);
	default:
		return mallocx ? mallocx(size ? size : 1, MALLOCX_LG_ALIGN(__builtin_ctzl(alignment)))
			       : memalign(alignment, size);
	}
}

static void check_alignments(void) {
	static const size_t sizes[] = {0, 1, 8, 9, 24, 64, 100, 1000, 4096, 4097, 14336, 14337, 16384, 70000,
	    2 * MiB - 64, 2 * MiB, 3 * MiB + 1};
	enum { N = sizeof sizes / sizeof *sizes };
	for (size_t a = 8; a <= 16 * MiB; a *= 2) {
		void *p[6][N];
		size_t usable[6][N];
		for (int w = 0; w < 6; w++) {
			for (int i = 0; i < N; i++) {
				void *q = p[w][i] = one_of_six(w, a, sizes[i]);
				CHECK_FOR(q != NULL, "for way %d, alignment %zu, size %zu", w, a, sizes[i]);
				CHECK_FOR(aligned(q, a), "for way %d, alignment %zu, size %zu", w, a, sizes[i]);
				usable[w][i] = malloc_usable_size(q);
				CHECK(usable[w][i] >= sizes[i]);
				fill(q, sizes[i], w * N + i);
			}
		}
		for (int w = 0; w < 6; w++) {
			for (int i = 0; i < N; i++) {
				CHECK(intact(p[w][i], sizes[i], w * N + i));
				if (i % 3 == 0 && free_aligned_sized && w < 3)
					free_aligned_sized(p[w][i], a, sizes[i]);
				else
					free(p[w][i]);
			}
		}
	}
}

static void check_pages(void) {
	size_t page = sysconf(_SC_PAGESIZE);
	for (size_t n = 0; n < 10 * page; n += 700) {
		char *p = valloc(hide_size(n)), *q = pvalloc(hide_size(n));
		CHECK(p && aligned(p, page) && q && aligned(q, page));
		size_t whole = (n + page - 1) / page * page;
		CHECK(malloc_usable_size(q) >= (whole ? whole : 0));
		memset(p, 1, n);
		memset(q, 2, whole);
		free(p);
		free(q);
	}
}

static void check_plain_alignment(void) {
	static void *p[4][3000];
	for (size_t n = 1; n < 3000; n++) {
		p[0][n] = malloc(n);
		p[1][n] = calloc(1, n);
		p[2][n] = realloc(malloc(1), n);
		p[3][n] = tm_malloc ? tm_malloc(n, n & 1 ? TM_COLD : TM_HOT) : malloc(n);
		for (int w = 0; w < 4; w++)
			CHECK_FOR(aligned(p[w][n], alignment_owed(n)), "for size %zu by way %d", n, w);
	}
	for (size_t n = 1; n < 3000; n++) {
		for (int w = 0; w < 4; w++) {
			if (free_sized && w == 0)
				free_sized(p[w][n], n);
			else
				free(p[w][n]);
		}
	}
	if (free_sized) {
		free_sized(NULL, 0);
		free_sized(NULL, 100);
		free_sized(malloc(hide_size(0)), 0);
		free_sized(calloc(10, 1 * MiB), 10 * MiB);
	}
	if (free_aligned_sized) {
		free_aligned_sized(NULL, 64, 100);
		free_aligned_sized(aligned_alloc(64, 64), 64, 64);
	}
}

int main(void) {
	check_bad_alignments();
	check_great_alignments();
	check_alignments();
	check_pages();
	check_plain_alignment();
	return 0;
}
