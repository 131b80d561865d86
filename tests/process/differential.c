/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The same random trace over all entry points on eight threads, here and under the C library's own allocator in a
 * second process: what each call owes (NULL or not, errno, alignment, zeroes, the bytes kept) must be the same.
 *
 * Each block is filled with a pattern of its own, which is checked when it is moved or freed, mostly by another
 * thread than the one that allocated it. At the end of a round, all live blocks are sorted by address and must not
 * overlap. OPS sets the number of operations (1,000,000), SEED the trace; the seed is printed when a check fails.
 */
/* run: preload linked */
/* timeout: 600 */
#include "check.h"

enum { THREADS = 8, SLOTS = 400, ROUND = 4000 };

enum outcome {
	IS_NULL = 1,
	ENOMEM_SET = 2,
	EINVAL_SET = 4,
	MISALIGNED = 8,
	NOT_ZEROED = 16,
	BYTES_LOST = 32,
	TOO_SMALL = 64,
	NOT_DONE = 128, /* posix_memalign that touched the pointer, and the like */
};

struct block {
	char *p;
	size_t n;
	uint64_t id;
};

static struct block slots[THREADS][SLOTS];
static unsigned char *outcomes; /* shared with the other process: one byte per operation */
static long operations;
static uint64_t seed;
static bool reference; /* this process runs on the C library's allocator */
static pthread_barrier_t barrier;

/* The calls the C library has not, put together from those it has; contracts as tiermalloc.h and jemalloc say. */
static bool power_of_two(size_t n) {
	return n && (n & (n - 1)) == 0;
}

static void *do_aligned(size_t alignment, size_t size, int way) {
	if (!reference) {
		switch (way) {
		case 0:
			return aligned_alloc(alignment, size);
		case 1:
			return memalign(alignment, size);
		default:
			return tm_memalign(alignment, size, way & 1 ? TM_COLD : TM_HOT);
		}
	}
	if (!power_of_two(alignment)) {
		errno = EINVAL;
		return NULL;
	}
	return memalign(alignment, size);
}

static void *do_allocx(size_t size, int lg, bool zero) {
	if (!reference)
		return mallocx(size, MALLOCX_LG_ALIGN(lg) | (zero ? MALLOCX_ZERO : 0));
	void *p = memalign((size_t)1 << lg, size);
	return p && zero ? memset(p, 0, size) : p;
}

static size_t some_size(uint64_t *state) {
	switch (random_below(state, 1000)) {
	case 0:
		return random_below(state, 6 * MiB);
	case 1:
	case 2:
	case 3:
		return random_below(state, 300 * KiB);
	case 4:
		return SIZE_MAX - random_below(state, 5000);
	case 5:
		return (size_t)PTRDIFF_MAX + 1 + random_below(state, 5000);
	case 6:
		return (size_t)1 << (48 + random_below(state, 15));
	case 7:
	case 8:
	case 9:
		return 0;
	default:
		break;
	}
	return random_below(state, 4) ? random_below(state, 300) : random_below(state, 20 * KiB);
}

static bool impossible(size_t n) {
	return n > (size_t)1 << 47;
}

static unsigned errno_class(void) {
	return errno == ENOMEM ? ENOMEM_SET : errno == EINVAL ? EINVAL_SET : 0;
}

/* What a call that gave p owed for n bytes, and p's pattern from here on. */
static unsigned take(
    struct block *b, char *p, size_t n, size_t alignment, size_t zero_from, size_t zero_to, uint64_t id) {
	if (!p)
		return IS_NULL | errno_class();
	unsigned is = aligned(p, alignment) ? 0 : MISALIGNED;
	if (zero_to > zero_from && !is_zero(p + zero_from, zero_to - zero_from))
		is |= NOT_ZEROED;
	size_t usable = malloc_usable_size(p);
	if (usable < n)
		is |= TOO_SMALL;
	*b = (struct block){p, n, id};
	fill(p, n, id);
	return is;
}

static unsigned allocate(struct block *b, uint64_t *state, uint64_t id) {
	unsigned way = random_below(state, 20);
	size_t n = some_size(state), alignment = (size_t)1 << random_below(state, 15);
	size_t small = impossible(n) ? 1 : n; /* where only the result is compared */
	errno = 0;
	switch (way) {
	case 0:
	case 1:
	case 2:
	case 3:
		return take(b, malloc(n), n, alignment_owed(n), 0, 0, id);
	case 4:
	case 5:
		return take(b, calloc(1, n), n, alignment_owed(n), 0, n, id);
	case 6: {
		size_t count = 1 + random_below(state, 100);
		return take(b, calloc(n, count), n * count, 8, 0, n * count, id);
	}
	case 7:
		return take(b, realloc(NULL, n), n, alignment_owed(n), 0, 0, id);
	case 8: {
		size_t bad = random_below(state, 20) ? alignment : alignment + 1 + random_below(state, 3);
		return take(b, do_aligned(bad, n, (int)random_below(state, 4)), n, alignment, 0, 0, id);
	}
	case 9: {
		void *p = (void *)0x1234;
		size_t a = random_below(state, 20) ? alignment : alignment + 1;
		int error = posix_memalign(&p, a, n);
		if (error) {
			unsigned is = p == (void *)0x1234 && (errno == 0 || error == ENOMEM) ? 0 : NOT_DONE;
			return is | IS_NULL | (error == EINVAL ? EINVAL_SET : error == ENOMEM ? ENOMEM_SET : 0);
		}
		return take(b, p, n, a, 0, 0, id);
	}
	case 10:
		return take(b, valloc(n), n, 4096, 0, 0, id);
	case 11:
		return take(b, pvalloc(n), n, 4096, 0, 0, id);
	case 12: {
		size_t count = 1 + random_below(state, 9);
		return take(b, reallocarray(NULL, n, count), n * count, 8, 0, 0, id);
	}
	case 13:
	case 14:
		/* The contract of mallocx says nothing about 0. */
		return take(b, do_allocx(small + 1, way == 14 ? (int)random_below(state, 13) : 4, id & 1), small + 1,
		    8, 0, id & 1 ? small + 1 : 0, id);
	case 15:
	case 16:
	case 17:
		return take(b, reference ? malloc(n) : tm_malloc(n, TM_COLD), n, alignment_owed(n), 0, 0, id);
	case 18:
		return take(b, reference ? calloc(n, 3) : tm_calloc(n, 3, TM_COLD), n * 3, 8, 0, n * 3, id);
	default:
		return take(b, reference ? malloc(n) : tm_realloc(NULL, n, TM_COLD), n, alignment_owed(n), 0, 0, id);
	}
}

static unsigned move(struct block *b, uint64_t *state, uint64_t id) {
	size_t n = some_size(state);
	struct block was = *b;
	unsigned way = random_below(state, 6), is = intact(was.p, was.n, was.id) ? 0 : BYTES_LOST;
	char *p;
	errno = 0;
	switch (way) {
	case 0:
		p = reference ? realloc(was.p, n) : tm_realloc(was.p, n, TM_COLD);
		break;
	case 1:
		p = reference ? realloc(was.p, n) : tm_realloc(was.p, n, TM_HOT);
		break;
	case 2:
		n = impossible(n) ? 1 : n + 1;
		p = reference ? realloc(was.p, n) : rallocx(was.p, n, 0);
		break;
	case 3:
		p = reallocarray(was.p, n, 2);
		n = impossible(n) ? n : n * 2;
		break;
	default:
		p = realloc(was.p, n);
		break;
	}
	if (!p) {
		is |= IS_NULL | errno_class();
		if (n == 0)
			b->p = NULL; /* freed */
		else if (!intact(was.p, was.n, was.id))
			is |= BYTES_LOST;
		return is;
	}
	size_t least = was.n < n ? was.n : n;
	if (!intact(p, least, was.id))
		is |= BYTES_LOST;
	return is | take(b, p, n, alignment_owed(n), 0, 0, id);
}

static unsigned release(struct block *b, uint64_t *state) {
	unsigned is = intact(b->p, b->n, b->id) ? 0 : BYTES_LOST, way = random_below(state, 8);
	errno = 4321;
	if (reference || way < 4)
		free(b->p);
	else if (way == 4)
		tm_free(b->p);
	else if (way == 5)
		dallocx(b->p, 0);
	else if (way == 6)
		free_sized(b->p, b->n);
	else
		cfree(b->p);
	b->p = NULL;
	return errno == 4321 ? is : is | NOT_DONE;
}

static int by_address(const void *a, const void *b) {
	const struct block *x = a, *y = b;
	return x->p < y->p ? -1 : x->p > y->p;
}

/* All blocks of all threads, while these wait: no two may share a byte. */
static void check_overlaps(long round) {
	static struct block all[THREADS * SLOTS];
	int count = 0;
	for (int t = 0; t < THREADS; t++)
		for (int i = 0; i < SLOTS; i++)
			if (slots[t][i].p)
				all[count++] = slots[t][i];
	qsort(all, count, sizeof *all, by_address);
	for (int i = 0; i + 1 < count; i++) {
		size_t usable = malloc_usable_size(all[i].p);
		CHECK_FOR(all[i].p + (usable ? usable : 1) <= all[i + 1].p,
		    "seed %llu, round %ld: %zu bytes at %p, %zu at %p", (unsigned long long)seed, round, usable,
		    (void *)all[i].p, all[i + 1].n, (void *)all[i + 1].p);
	}
}

static void *thread_main(void *arg) {
	long me = (long)(intptr_t)arg, share = operations / THREADS;
	uint64_t state = seed * 1000003 + me;
	for (long done = 0, round = 0; done < share; round++) {
		/* The slots go round, so that blocks are freed by other threads than their own. */
		struct block *mine = slots[(me + round) % THREADS];
		for (long i = 0; i < ROUND && done < share; i++, done++) {
			struct block *b = &mine[random_below(&state, SLOTS)];
			uint64_t id = (uint64_t)me << 48 | (done + 1);
			unsigned is = !b->p           ? allocate(b, &state, id)
			    : random_below(&state, 3) ? release(b, &state)
						      : move(b, &state, id);
			outcomes[me * share + done] = (unsigned char)is;
		}
		pthread_barrier_wait(&barrier);
		if (me == 0 && !reference)
			check_overlaps(round);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static void run_trace(void) {
	pthread_t thread[THREADS];
	CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
	for (long t = 0; t < THREADS; t++)
		CHECK(pthread_create(&thread[t], NULL, thread_main, (void *)(intptr_t)t) == 0);
	for (int t = 0; t < THREADS; t++)
		CHECK(pthread_join(thread[t], NULL) == 0);
	for (int t = 0; t < THREADS; t++)
		for (int i = 0; i < SLOTS; i++)
			free(slots[t][i].p);
}

static unsigned char *map_outcomes(int fd) {
	void *p = mmap(NULL, operations, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	return p;
}

int main(int argc, char **argv) {
	seed = env_long("SEED", 20240607);
	operations = env_long("OPS", 1000000) / THREADS * THREADS;
	if (argc > 1) {
		reference = true;
		outcomes = map_outcomes(atoi(argv[1]));
		run_trace();
		return 0;
	}
	need_tiermalloc();
	int fd = memfd_create("outcomes", 0), other = memfd_create("expected", 0);
	CHECK(fd >= 0 && other >= 0 && ftruncate(fd, operations) == 0 && ftruncate(other, operations) == 0);
	outcomes = map_outcomes(fd);
	run_trace();
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		char number[20], program[4096];
		snprintf(number, sizeof number, "%d", other);
		unsetenv("LD_PRELOAD");
		/* The plain build of this program, for the linked one has the library in it. */
		ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
		CHECK(n > 0);
		program[n] = 0;
		char *suffix = strstr(strrchr(program, '/'), ".linked");
		if (suffix)
			*suffix = 0;
		execl(program, "differential", number, (char *)NULL);
		_exit(3);
	}
	int status;
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_FOR(status == 0, "but 0x%x from the C library's run, seed %llu", status, (unsigned long long)seed);
	const unsigned char *expected = map_outcomes(other);
	long refused = 0;
	for (long i = 0; i < operations; i++) {
		CHECK_FOR(outcomes[i] == expected[i], "seed %llu, thread %ld, operation %ld: 0x%x here, 0x%x there",
		    (unsigned long long)seed, i / (operations / THREADS), i % (operations / THREADS), outcomes[i],
		    expected[i]);
		CHECK_FOR(!(outcomes[i] & (MISALIGNED | NOT_ZEROED | BYTES_LOST | TOO_SMALL | NOT_DONE)),
		    "seed %llu, operation %ld: 0x%x", (unsigned long long)seed, i, outcomes[i]);
		refused += (outcomes[i] & IS_NULL) != 0;
	}
	CHECK_FOR(refused > operations / 1000, "%ld of %ld", refused, operations);
	return 0;
}
