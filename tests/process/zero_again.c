/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that is handed out again reads as zero from calloc: blocks of 4 KiB to 8 MiB in both classes, written,
 * freed, given back in part while neighbours of the same huge page live on, and taken anew, on several threads with
 * purges in between. Live neighbours keep their bytes. ROUNDS sets how many rounds (40) each thread makes.
 */
/* run: preload linked */
/* env: TIERMALLOC_CONF=hot_bytes:8m MALLOC_CONF=dirty_decay_ms:20 */
/* timeout: 180 */
#include "check.h"

enum { THREADS = 4, BLOCKS = 200 };

static size_t some_size(uint64_t *state) {
	switch (random_below(state, 20)) {
	case 0:
		return 1 + random_below(state, 8 * MiB);
	case 1:
	case 2:
	case 3:
		return 1 + random_below(state, 1 * MiB);
	case 4:
	case 5:
	case 6:
	case 7:
		return 4 * KiB + random_below(state, 60 * KiB);
	default:
		return 4 * KiB + random_below(state, 12 * KiB);
	}
}

struct block {
	char *p;
	size_t n;
	uint64_t id;
};

static void *work(void *arg) {
	uint64_t state = (uintptr_t)arg * 977 + env_long("SEED", 1), id = (uint64_t)(uintptr_t)arg << 48;
	struct block block[BLOCKS] = {{0}};
	for (long round = 0; round < env_long("ROUNDS", 40); round++) {
		/* Most, many or few are freed, so that huge pages are kept, broken up and given back whole. */
		size_t of = 1 + random_below(&state, 8);
		for (int i = 0; i < BLOCKS; i++) {
			struct block *b = &block[i];
			if (!b->p || random_below(&state, of))
				continue;
			CHECK_FOR(intact(b->p, b->n, b->id), "%zu bytes at %p, byte %zu", b->n, (void *)b->p,
			    first_wrong(b->p, b->n, b->id));
			free(b->p);
			b->p = NULL;
		}
		switch (random_below(&state, 4)) {
		case 0:
			malloc_trim(0);
			break;
		case 1:
			usleep(25000);
			break;
		default:
			break;
		}
		for (int i = 0; i < BLOCKS; i++) {
			struct block *b = &block[i];
			if (b->p)
				continue;
			enum tm_tier tier = random_below(&state, 2) ? TM_COLD : TM_HOT;
			b->n = some_size(&state);
			switch (random_below(&state, 4)) {
			case 0:
				b->p = mallocx(b->n, MALLOCX_ZERO | MALLOCX_TCACHE_NONE);
				break;
			case 1:
				b->p = calloc(1, b->n);
				break;
			default:
				b->p = tm_calloc(b->n, 1, tier);
				break;
			}
			CHECK(b->p != NULL);
			if (!is_zero(b->p, b->n)) {
				size_t at = 0;
				while (!b->p[at])
					at++;
				FAIL("not zero: %zu bytes at %p, class %d, tier %d, byte %zu, round %ld", b->n,
				    (void *)b->p, tier, tm_tier_of(b->p + at), at, round);
			}
			b->id = ++id;
			fill(b->p, b->n, b->id);
		}
	}
	for (int i = 0; i < BLOCKS; i++)
		free(block[i].p);
	return NULL;
}

int main(void) {
	need_tiermalloc();
	pthread_t thread[THREADS];
	for (uintptr_t t = 0; t < THREADS; t++)
		CHECK(pthread_create(&thread[t], NULL, work, (void *)(t + 1)) == 0);
	for (int t = 0; t < THREADS; t++)
		CHECK(pthread_join(thread[t], NULL) == 0);
	struct tm_stats s;
	CHECK_EQ(tm_stats(&s, sizeof s), 0);
	CHECK_FOR(s.returned > 0, "%zu", (size_t)s.returned);
	return 0;
}
