/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * realloc and malloc_usable_size: the contract at 0 and NULL, contents kept between all sizes and classes, every
 * usable byte writable without harm to a neighbour. tm_realloc moves between classes, realloc keeps the class.
 */
/* run: preload linked static */
#include "check.h"

static const size_t sizes[] = {1, 7, 8, 9, 16, 17, 48, 100, 128, 1000, 2048, 4095, 4096, 4097, 14336, 14337, 16384,
    32768, 32769, 65536, 200000, 524288, 2 * MiB - 4096, 2 * MiB - 1, 2 * MiB, 2 * MiB + 1, 5 * MiB, 9 * MiB};
enum { N = sizeof sizes / sizeof *sizes };

static void check_ends(void) {
	char *p = realloc(NULL, 100);
	CHECK(p != NULL);
	memset(p, 1, 100);
	errno = 0;
	p = realloc(p, hide_size(0));
	CHECK(p == NULL && errno == 0);
	/* Freed, not leaked: 4 GiB in total would show. */
	size_t before = rss_bytes();
	for (int i = 0; i < 4096; i++) {
		p = malloc(1 * MiB);
		p[0] = p[MiB - 1] = 1;
		CHECK(realloc(p, hide_size(0)) == NULL);
		p = malloc(100 * KiB);
		memset(p, 1, 100 * KiB);
		CHECK(realloc(p, hide_size(0)) == NULL);
	}
	CHECK_FOR(rss_bytes() < before + 100 * MiB, "%zu MiB more", (rss_bytes() - before) / MiB);
}

/* From every size to every size, with neighbours that must not change. */
static void check_contents(void) {
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++) {
			size_t a = sizes[i], b = sizes[j], least = a < b ? a : b;
			char *left = malloc(a), *p = malloc(a), *right = malloc(a);
			CHECK(left && p && right);
			fill(left, a, 1);
			fill(p, a, 2);
			fill(right, a, 3);
			char *q = realloc(p, b);
			CHECK(q != NULL && aligned(q, alignment_owed(b)));
			CHECK_FOR(intact(q, least, 2), "from %zu to %zu", a, b);
			fill(q, b, 4);
			CHECK_FOR(intact(left, a, 1) && intact(right, a, 3), "from %zu to %zu", a, b);
			free(left);
			free(q);
			free(right);
		}
	}
}

static void check_classes(void) {
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++) {
			size_t a = sizes[i], b = sizes[j], least = a < b ? a : b;
			for (int way = 0; way < 4; way++) {
				enum tm_tier from = way & 1, to = way >> 1;
				char *p = tm_malloc(a, from);
				CHECK(p != NULL);
				fill(p, a, i);
				p = tm_realloc(p, b, to);
				CHECK_FOR(p && intact(p, least, i), "%zu to %zu, %d to %d", a, b, from, to);
				fill(p, b, j);
				p = realloc(p, a);
				CHECK_FOR(p && intact(p, least, j), "%zu back to %zu in %d", b, a, to);
				if (way == 0)
					tm_free(p);
				else if (way == 1)
					CHECK(tm_realloc(p, 0, from) == NULL);
				else
					free(p);
			}
		}
	}
	char *p = tm_realloc(NULL, 1000, TM_COLD);
	CHECK(p != NULL && malloc_usable_size(p) >= 1000);
	tm_free(p);
}

/* The class shows in class_committed: 64 MiB moved from hot to cold and kept there by realloc. */
static void check_class_moves(void) {
	enum { BLOCKS = 64 };
	char *p[BLOCKS];
	struct tm_stats s0, s1;
	for (int i = 0; i < BLOCKS; i++)
		fill(p[i] = malloc(1 * MiB), 1 * MiB, i);
	malloc_trim(0); /* nothing kept for reuse that could serve what follows */
	CHECK_EQ(tm_stats(&s0, sizeof s0), 0);
	for (int i = 0; i < BLOCKS; i++) {
		p[i] = tm_realloc(p[i], 1 * MiB, TM_COLD);
		CHECK(p[i] && intact(p[i], 1 * MiB, i));
	}
	CHECK_EQ(tm_stats(&s1, sizeof s1), 0);
	CHECK_FOR(s1.class_committed[TM_COLD] >= s0.class_committed[TM_COLD] + 60 * MiB, "%zu to %zu MiB",
	    (size_t)s0.class_committed[TM_COLD] / MiB, (size_t)s1.class_committed[TM_COLD] / MiB);
	malloc_trim(0);
	CHECK_EQ(tm_stats(&s0, sizeof s0), 0);
	for (int i = 0; i < BLOCKS; i++) {
		p[i] = realloc(p[i], 3 * MiB);
		CHECK(p[i] && intact(p[i], 1 * MiB, i));
	}
	CHECK_EQ(tm_stats(&s1, sizeof s1), 0);
	CHECK_FOR(s1.class_committed[TM_COLD] >= s0.class_committed[TM_COLD] + 100 * MiB, "%zu to %zu MiB",
	    (size_t)s0.class_committed[TM_COLD] / MiB, (size_t)s1.class_committed[TM_COLD] / MiB);
	for (int i = 0; i < BLOCKS; i++)
		free(p[i]);
}

static void check_usable(void) {
	CHECK_EQ(malloc_usable_size(NULL), 0);
	for (size_t n = 0; n < 6 * MiB; n += n / 5 + 1) {
		char *p[4];
		size_t usable[4];
		for (int i = 0; i < 4; i++) {
			p[i] = tm_malloc && i & 1 ? tm_malloc(n, i & 2 ? TM_COLD : TM_HOT) : malloc(n);
			CHECK(p[i] != NULL);
			usable[i] = malloc_usable_size(hide(p[i]));
			CHECK_FOR(usable[i] >= n, "for %zu", n);
			fill(p[i], usable[i], i + 1);
		}
		for (int i = 0; i < 4; i++)
			CHECK_FOR(intact(p[i], usable[i], i + 1), "for %zu", n);
		for (int i = 0; i < 4; i++)
			free(p[i]);
	}
}

int main(void) {
	check_ends();
	check_contents();
	check_usable();
	if (tm_malloc) {
		check_classes();
		check_class_moves();
	}
	return 0;
}
