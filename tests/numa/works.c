/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library simply works on this kernel: a mix of all calls and sizes in both classes on several threads, every
 * byte checked, in a heap that is all hot, all cold, or divided by the machine's own answer; and malloc_trim gives
 * the memory back.
 */
/* case: old old */
/* case: old-cold old conf=hot_bytes:0 */
/* case: old-hot old conf=hot_bytes:1g */
/* case: new new */
/* case: new-cold new conf=hot_bytes:0 */
/* case: two two */
#include "guest.h"

enum { THREADS = 3, SLOTS = 250, STEPS = 1500 };

struct slot {
	unsigned char *p;
	size_t size;
	uint64_t id;
};

static size_t some_size(uint64_t *seed) {
	size_t kind = random_below(seed, 100);
	if (kind < 70)
		return 1 + random_below(seed, 1024);
	if (kind < 97)
		return 1 + random_below(seed, 16 * KiB);
	return 1 + random_below(seed, kind < 99 ? 300 * KiB : 3 * MiB);
}

/* Large blocks are filled at both ends and in between: the guest is slow. */
static void mark(const struct slot *s) {
	if (s->size <= 16 * KiB) {
		fill(s->p, s->size, s->id);
		return;
	}
	fill(s->p, 8 * KiB, s->id);
	for (size_t at = 8 * KiB; at < s->size; at += 4 * KiB)
		s->p[at] = (unsigned char)(s->id + at / 4096);
}

static void look(const struct slot *s, size_t size) {
	size_t whole = s->size <= 16 * KiB ? s->size : 8 * KiB;
	CHECK_FOR(intact(s->p, size < whole ? size : whole, s->id), "for %zu bytes at %p", s->size, (void *)s->p);
	for (size_t at = 8 * KiB; s->size > 16 * KiB && at < size; at += 4 * KiB)
		CHECK_FOR(s->p[at] == (unsigned char)(s->id + at / 4096), "byte %zu of %zu", at, s->size);
}

static void step(struct slot *s, uint64_t *seed) {
	enum tm_tier class = random_below(seed, 2) ? TM_COLD : TM_HOT;
	size_t size = some_size(seed);
	unsigned how = (unsigned)random_below(seed, 8);

	if (s->p != NULL && how < 2) {
		look(s, s->size);
		unsigned char *moved = how == 0 ? realloc(s->p, size) : tm_realloc(s->p, size, class);
		CHECK(moved != NULL);
		s->p = moved;
		size_t kept = size < s->size ? size : s->size;
		/* Marks depend on the offset only, but a large block is not filled in between. */
		if ((s->size > 16 * KiB) == (size > 16 * KiB))
			look(&(struct slot){moved, s->size, s->id}, kept);
	} else {
		if (s->p != NULL) {
			look(s, s->size);
			free(s->p);
		}
		switch (how) {
		case 2:
		case 3:
			s->p = how == 2 ? calloc(1, size) : tm_calloc(1, size, class);
			CHECK(s->p != NULL && is_zero(s->p, size));
			break;
		case 4: {
			size_t alignment = (size_t)16 << random_below(seed, 12);
			s->p = tm_memalign(alignment, size, class);
			CHECK(s->p != NULL && aligned(s->p, alignment));
			break;
		}
		case 5:
			s->p = malloc(size);
			break;
		default:
			s->p = tm_malloc(size, class);
		}
		CHECK_FOR(s->p != NULL, "for %zu bytes", size);
	}
	s->size = size;
	s->id = random_next(seed);
	mark(s);
}

static void *worker(void *arg) {
	uint64_t seed = (uintptr_t)arg;
	struct slot *slots = calloc(SLOTS, sizeof(*slots));
	for (int i = 0; i < STEPS; i++)
		step(&slots[random_below(&seed, SLOTS)], &seed);
	for (int i = 0; i < SLOTS; i++) {
		if (slots[i].p != NULL)
			look(&slots[i], slots[i].size);
		free(slots[i].p);
	}
	free(slots);
	malloc_trim(0);
	return NULL;
}

int main(void) {
	pthread_t thread[THREADS];

	need_tiermalloc();
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, worker, (void *)(i + 1)) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	malloc_trim(0);
	size_t rss = rss_bytes();
	struct tm_stats s = stats_now();
	CHECK_FOR(s.allocated < 4 * MiB, "%zu KiB", (size_t)s.allocated / KiB);
	CHECK_FOR(rss < 24 * MiB, "%zu MiB resident with all freed", rss / MiB);
	CHECK_EQ(s.foreign, 0);
	return 0;
}
