/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fork() while eight threads allocate, free, move and trim: no child hangs, and every block that was whole in the
 * parent at that moment is whole in the child, which also allocates in both classes. FORKS sets how many (500).
 * Forks come from one thread, from several at once, and from children (grandchildren).
 */
/* run: preload linked */
/* timeout: 300 */
#include "check.h"

enum { THREADS = 8, SLOTS = 40 };

/*
 * A slot is FULL between the store of its last byte and the moment it is claimed again. fork() copies memory in
 * an order that agrees with that of the stores, so what a child sees as FULL is whole.
 */
struct slot {
	_Atomic uint64_t id; /* 0: not whole */
	char *p;
	size_t n;
};
static struct slot slots[THREADS][SLOTS];
static _Atomic bool stop;
static _Atomic long children_done;

static void *allocate(size_t n, int tier) {
	void *p = tier && tm_malloc ? tm_malloc(n, TM_COLD) : malloc(n);
	CHECK_FOR(p != NULL, "of %zu bytes", n);
	return p;
}

static size_t some_size(uint64_t *state) {
	switch (random_below(state, 64)) {
	case 0:
		return 1 + random_below(state, 3 * MiB);
	case 1:
	case 2:
		return 1 + random_below(state, 200 * KiB);
	case 3:
	case 4:
	case 5:
	case 6:
	case 7:
		return 1 + random_below(state, 16 * KiB);
	default:
		return 1 + random_below(state, 1000);
	}
}

static void check_block(const char *where, const struct slot *s, uint64_t id) {
	size_t wrong = first_wrong(s->p, s->n, id);
	CHECK_FOR(wrong == s->n, "%s: %zu bytes at %p, tier %d: byte %zu is 0x%02x, %s zero from there", where, s->n,
	    (void *)s->p, tm_tier_of ? tm_tier_of(s->p) : TM_NONE, wrong, (unsigned char)s->p[wrong],
	    is_zero(s->p + wrong, s->n - wrong) ? "all" : "not all");
}

static void *mutate(void *arg) {
	size_t me = (size_t)(uintptr_t)arg;
	uint64_t state = me + 1, id = me << 40;
	while (!stop) {
		struct slot *s = &slots[me][random_below(&state, SLOTS)];
		uint64_t was = atomic_exchange(&s->id, 0);
		if (was)
			check_block("in the parent", s, was);
		size_t n = some_size(&state);
		if (was && random_below(&state, 3) == 0) {
			size_t least = n < s->n ? n : s->n;
			s->p = tm_realloc && n & 1 ? tm_realloc(s->p, n, n & 2 ? TM_COLD : TM_HOT) : realloc(s->p, n);
			CHECK(s->p && intact(s->p, least, was));
		} else {
			free(was ? s->p : NULL);
			s->p = allocate(n, (int)random_below(&state, 2));
		}
		s->n = n;
		fill(s->p, n, ++id);
		atomic_store(&s->id, id);
		if (me == 0 && random_below(&state, 200) == 0)
			malloc_trim(0);
		/* Leaves the forking threads some of a small machine. */
		if (random_below(&state, 16) == 0)
			usleep(1000);
	}
	return NULL;
}

/* What every child does; grand > 0 makes it fork in its turn. */
static void child_work(uint64_t seed, int grand) {
	uint64_t state = seed;
	alarm(40);
	for (int t = 0; t < THREADS; t++) {
		for (int i = 0; i < SLOTS; i++) {
			uint64_t id = slots[t][i].id;
			if (id)
				check_block("in the child", &slots[t][i], id);
		}
	}
	char *p[50];
	size_t n[50];
	for (int i = 0; i < 50; i++) {
		p[i] = allocate(n[i] = some_size(&state), i & 1);
		fill(p[i], n[i], i);
	}
	/* Blocks of the parent may be freed here as well. */
	for (int i = 0; i < SLOTS; i += 5) {
		struct slot *s = &slots[seed % THREADS][i];
		if (s->id)
			free(s->p);
		s->id = 0;
	}
	if (seed % 8 == 0)
		malloc_trim(0);
	if (grand > 0) {
		pid_t pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			child_work(seed + 1, grand - 1);
			_exit(0);
		}
		int status;
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK_FOR(status == 0, "but 0x%x from the grandchild", status);
	}
	for (int i = 0; i < 50; i++) {
		CHECK(intact(p[i], n[i], i));
		char *zero = calloc(1, n[i]);
		CHECK(zero && is_zero(zero, n[i]));
		free(zero);
		free(p[i]);
	}
}

static void one_fork(uint64_t seed) {
	pid_t pid = fork();
	CHECK_FOR(pid >= 0, "(%s)", strerror(errno));
	if (pid == 0) {
		child_work(seed, seed % 16 == 0 ? 2 : 0);
		_exit(0);
	}
	int status;
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_FOR(!WIFSIGNALED(status) || WTERMSIG(status) != SIGALRM, "child %ld hangs", (long)seed);
	CHECK_FOR(status == 0, "but 0x%x from child %ld", status, (long)seed);
	atomic_fetch_add(&children_done, 1);
}

static void *fork_some(void *arg) {
	size_t me = (size_t)(uintptr_t)arg;
	long forks = env_long("FORKS", 500);
	for (long i = 0; i < forks / 8; i++)
		one_fork(1000000 * (me + 1) + i);
	return NULL;
}

int main(void) {
	long forks = env_long("FORKS", 500);
	pthread_t thread[THREADS], forker[4];
	for (uintptr_t t = 0; t < THREADS; t++)
		CHECK(pthread_create(&thread[t], NULL, mutate, (void *)t) == 0);
	usleep(20000);
	for (long i = 0; i < forks / 2; i++)
		one_fork(i);
	/* The other half from four threads at once. */
	for (uintptr_t t = 0; t < 4; t++)
		CHECK(pthread_create(&forker[t], NULL, fork_some, (void *)t) == 0);
	for (int t = 0; t < 4; t++)
		CHECK(pthread_join(forker[t], NULL) == 0);
	stop = true;
	for (int t = 0; t < THREADS; t++)
		CHECK(pthread_join(thread[t], NULL) == 0);
	for (int t = 0; t < THREADS; t++)
		for (int i = 0; i < SLOTS; i++)
			if (slots[t][i].id)
				CHECK(intact(slots[t][i].p, slots[t][i].n, slots[t][i].id));
	CHECK(children_done >= forks * 9 / 10);
	return 0;
}
