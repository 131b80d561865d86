/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small program for the scripts: allocates a little, then does what its arguments say, in order.
 *   mallctl NAME      prints an unsigned or bool or size_t value ("unknown" if there is none)
 *   hot N, cold N     allocates and touches N MiB, and keeps it
 *   stats FIELD       prints a field of tm_stats
 *   tier              prints whether tiermalloc is there
 */
/* run: helper */
#include "check.h"

char *keep; /* the last block; traced.sh looks at it */

static void print_mallctl(const char *name) {
	union {
		bool b;
		unsigned u;
		size_t z;
		ssize_t s;
	} value = {.z = 0};
	for (size_t len = 1; len <= 8; len *= 2) {
		size_t n = len;
		if (mallctl && mallctl(name, &value, &n, NULL, 0) == 0) {
			printf("%zu\n", len == 1 ? value.b : len == 4 ? value.u : value.z);
			return;
		}
	}
	puts("unknown");
}

static void print_stats(const char *field) {
	struct tm_stats s;
	CHECK(tm_stats && tm_stats(&s, sizeof s) == 0);
	if (!strcmp(field, "hot_limit"))
		printf("%llu\n", (unsigned long long)s.hot_limit);
	else if (!strcmp(field, "born_hot"))
		printf("%llu\n", (unsigned long long)s.born[TM_HOT]);
	else if (!strcmp(field, "born_cold"))
		printf("%llu\n", (unsigned long long)s.born[TM_COLD]);
	else if (!strcmp(field, "overflow"))
		printf("%llu\n", (unsigned long long)s.overflow);
	else if (!strcmp(field, "cold_huge"))
		printf("%llu\n", (unsigned long long)s.tier[TM_COLD].huge);
}

int main(int argc, char **argv) {
	free(hide(malloc(100)));
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : "";
		if (!strcmp(word, "mallctl")) {
			print_mallctl(next);
			i++;
		} else if (!strcmp(word, "stats")) {
			print_stats(next);
			i++;
		} else if (!strcmp(word, "tier")) {
			puts(tm_malloc ? "yes" : "no");
		} else {
			size_t n = strtoul(next, NULL, 0) * MiB;
			bool cold = !strcmp(word, "cold");
			keep = hide(cold && tm_malloc ? tm_malloc(n, TM_COLD) : malloc(n));
			CHECK(keep != NULL);
			memset(keep, 1, n);
			i++;
		}
	}
	return 0;
}
