/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Helpers of the unit tests, see unit.h. Whatever a fault rule or a page check does is safe on any thread.
 */
#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "os/pages.h"

#ifdef __SANITIZE_THREAD__
/*
 * BoxFort, which starts Criterion's test processes, maps its shared memory at a random address that it makes from
 * rand_r. ThreadSanitizer has shadow for a few ranges only: here is a part of one where programs never lie.
 */
int rand_r(unsigned *seed) {
	return (int)(0x351000 + (++*seed & 0xfff));
}
#endif

const struct region_config usual_config = {.reserve = GiB,
    .hot_limit = GiB,
    .cold_waste = 25,
    .start_bytes = UINT64_MAX,
    .keeper_cpu = 10,
    .huge = true,
    .strict = false};

void heap_up(const struct region_config *config) {
	CHECK(region_init(config) == 0, "no heap");
	atomic_store(&region_touched, 1);
}

size_t heap_carve(enum tm_tier class, size_t regions) {
	void *p = region_carve(class, regions * REGION, REGION);
	CHECK(p != NULL, "no %zu regions to carve in zone %d", regions, class);
	return region_index(p);
}

static const char *differs(const char *what, uint64_t counted, uint64_t table) {
	static char line[160];
	if (counted == table)
		return NULL;
	snprintf(
	    line, sizeof(line), "%s is %lld, the table adds up to %lld", what, (long long)counted, (long long)table);
	return line;
}

const char *heap_wrong(void) {
	static char line[160];
	uint64_t regions[TM_TIERS] = {0}, committed[TM_TIERS] = {0}, class_committed[TM_TIERS] = {0};
	int64_t slack = 0;

	for (int class = TM_HOT; class < TM_TIERS; class ++) {
		size_t first = region_index((void *)zones[class].base);
		for (size_t i = first; i < first + (zone_carved(class) >> REGION_SHIFT); i++) {
			uint64_t word = region_word(i);
			unsigned live = TM_REGION_LIVE(word), bits = 0;
			for (int k = 0; k < REGION_PAGES / 64; k++)
				bits += (unsigned)__builtin_popcountll(atomic_load(&region_table[i].live[k]));
			enum tm_region_state state = word_state(word);
			bool odd = live != bits || live > REGION_PAGES || state > TM_REGION_SPARSE ||
			    (state == TM_REGION_FREE) != (live == 0);
			if (odd) {
				snprintf(line, sizeof(line), "region %zu: state %d with %u pages live, %u bits set",
				    i, state, live, bits);
				return line;
			}
			if (live == 0)
				continue;
			enum tm_tier tier = state == TM_REGION_HOT ? TM_HOT : TM_COLD;
			regions[tier]++;
			committed[tier] += live * OS_PAGE;
			class_committed[class] += live * OS_PAGE;
			if (state == TM_REGION_COLD)
				slack += REGION_PAGES - live;
		}
	}
	const char *wrong = NULL;
	for (int i = 0; i < TM_TIERS && wrong == NULL; i++) {
		static const char *const names[TM_TIERS][3] = {
		    {"regions[hot]", "committed[hot]", "class_committed[hot]"},
		    {"regions[cold]", "committed[cold]", "class_committed[cold]"},
		};
		if ((wrong = differs(names[i][0], tm_process.regions[i], regions[i])) == NULL &&
		    (wrong = differs(names[i][1], tm_process.committed[i], committed[i])) == NULL)
			wrong = differs(names[i][2], tm_process.class_committed[i], class_committed[i]);
	}
	return wrong != NULL ? wrong : differs("region_slack", (uint64_t)atomic_load(&region_slack), (uint64_t)slack);
}

void heap_check(const char *when) {
	const char *wrong = heap_wrong();
	CHECK(wrong == NULL, "%s: %s", when, wrong);
}

uint64_t random_seed(void) {
	const char *given = getenv("TM_SEED");
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t seed =
	    given != NULL ? strtoull(given, NULL, 10) : (uint64_t)now.tv_sec * 1000003 + (uint64_t)now.tv_nsec;
	fprintf(stderr, "TM_SEED=%llu\n", (unsigned long long)seed);
	return seed != 0 ? seed : 1;
}

/* xorshift64* */
uint64_t random_next(uint64_t *state) {
	uint64_t x = *state;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(2685821657736338717);
}

static inline uint64_t word_of(uint64_t tag, size_t i) {
	return (tag + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (i * UINT64_C(0x0101010101010101));
}

void page_fill(void *page, uint64_t tag) {
	uint64_t *words = page;
	for (size_t i = 0; i < OS_PAGE / sizeof(*words); i++)
		words[i] = word_of(tag, i);
}

bool page_holds(const void *page, uint64_t tag) {
	const uint64_t *words = page;
	uint64_t wrong = 0;
	for (size_t i = 0; i < OS_PAGE / sizeof(*words); i++)
		wrong |= words[i] ^ word_of(tag, i);
	return wrong == 0;
}

bool page_zero(const void *page) {
	const uint64_t *words = page;
	uint64_t wrong = 0;
	for (size_t i = 0; i < OS_PAGE / sizeof(*words); i++)
		wrong |= words[i];
	return wrong == 0;
}

void pages_fill(void *start, size_t pages, uint64_t tag) {
	for (size_t i = 0; i < pages; i++)
		page_fill((char *)start + i * OS_PAGE, tag + i);
}

size_t pages_hold(const void *start, size_t pages, uint64_t tag) {
	size_t i = 0;
	while (i < pages && page_holds((const char *)start + i * OS_PAGE, tag + i))
		i++;
	return i;
}

size_t pages_zero(const void *start, size_t pages) {
	size_t i = 0;
	while (i < pages && page_zero((const char *)start + i * OS_PAGE))
		i++;
	return i;
}

#define NUMBERS 512
static struct {
	long result;
	_Atomic uint32_t skip, times, calls;
	uint32_t one_in;
} rules[NUMBERS];

static long fault_hook(long number) {
	static __thread uint64_t state;
	if (number < 0 || number >= NUMBERS)
		return 0;
	atomic_fetch_add(&rules[number].calls, 1);
	if (rules[number].one_in != 0) {
		if (state == 0)
			state = (uintptr_t)&state | 1;
		return random_below(&state, rules[number].one_in) == 0 ? rules[number].result : 0;
	}
	uint32_t n = atomic_load(&rules[number].skip);
	while (n > 0)
		if (atomic_compare_exchange_weak(&rules[number].skip, &n, n - 1))
			return 0;
	n = atomic_load(&rules[number].times);
	while (n > 0 && n != ALWAYS)
		if (atomic_compare_exchange_weak(&rules[number].times, &n, n - 1))
			break;
	return n > 0 ? rules[number].result : 0;
}

void fault_set(long number, long result, uint32_t skip, uint32_t times) {
	rules[number].result = result;
	rules[number].skip = skip;
	rules[number].times = times;
	rules[number].one_in = 0;
	os_fault = fault_hook;
}

void fault_chance(long number, long result, uint32_t one_in) {
	rules[number].result = result;
	rules[number].one_in = one_in;
	os_fault = fault_hook;
}

void fault_clear(void) {
	for (int i = 0; i < NUMBERS; i++)
		rules[i].skip = rules[i].times = rules[i].one_in = 0;
}

unsigned fault_calls(long number) {
	return rules[number].calls;
}

bool mapping_flag(const void *p, const char *flag) {
	FILE *smaps = fopen("/proc/self/smaps", "re");
	char line[1024], wanted[16];
	bool inside = false, found = false;

	CHECK(smaps != NULL, "no smaps");
	snprintf(wanted, sizeof(wanted), " %s ", flag);
	while (fgets(line, sizeof(line), smaps) != NULL) {
		unsigned long from, to;
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
			char *end = strchr(line, '\n');
			if (end != NULL)
				strcpy(end, " "); /* every flag is followed by a space, on all kernels */
			found = strstr(line, wanted) != NULL;
		}
	}
	fclose(smaps);
	return found;
}

/* The kernel copies to or from the page for us and says EFAULT where we would die. */
static bool page_copies(void *p, bool write_it) {
	int ends[2];
	bool ok;
	char c = 0;
	CHECK(pipe2(ends, O_CLOEXEC) == 0, "no pipe");
	if (write_it)
		ok = write(ends[1], &c, 1) == 1 && read(ends[0], p, 1) == 1;
	else
		ok = write(ends[1], p, 1) == 1;
	close(ends[0]);
	close(ends[1]);
	return ok;
}

bool page_readable(const void *p) {
	return page_copies((void *)p, false);
}

bool page_writable(void *p) {
	return page_copies(p, true);
}

bool huge_pages_work(void) {
	char *p = mmap(NULL, 2 * REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	char *aligned = (char *)(((uintptr_t)p + REGION - 1) & ~(REGION - 1));
	struct pages_count count = {0};
	madvise(aligned, REGION, MADV_HUGEPAGE);
	*(volatile char *)aligned = 1;
	int e = pages_scan(0, (uintptr_t)aligned, (uintptr_t)aligned + REGION, &count);
	munmap(p, 2 * REGION);
	return e == 0 && count.huge == REGION;
}
