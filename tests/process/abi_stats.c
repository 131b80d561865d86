/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mallinfo, mallinfo2, malloc_info, malloc_stats and mallopt speak of this heap: their figures follow what the
 * program allocates and agree with tm_stats and mallctl; mallopt says 0 for what it does not do.
 */
/* run: preload linked static */
#include "check.h"

static size_t stats_size(const char *name) {
	uint64_t epoch = 1;
	size_t value = 0, len = sizeof value;
	CHECK_EQ(mallctl("epoch", NULL, NULL, &epoch, sizeof epoch), 0);
	CHECK_EQ(mallctl(name, &value, &len, NULL, 0), 0);
	return value;
}

static bool near(size_t a, size_t b) {
	size_t apart = a > b ? a - b : b - a;
	return apart <= 2 * MiB + (a + b) / 100;
}

static void check_mallinfo(void) {
	struct mallinfo2 m0 = mallinfo2();
	char *small[1000], *big = hide(malloc(64 * MiB)), *cold = tm_malloc(64 * MiB, TM_COLD);
	for (int i = 0; i < 1000; i++)
		small[i] = hide(malloc(10000));
	CHECK(big && cold);
	struct mallinfo2 m1 = mallinfo2();
	size_t used0 = m0.uordblks + m0.hblkhd, used1 = m1.uordblks + m1.hblkhd;
	CHECK_FOR(used1 - used0 >= 137 * MiB && used1 - used0 < 160 * MiB, "%zu MiB", (used1 - used0) / MiB);
	CHECK_FOR(
	    near(m1.uordblks, stats_size("stats.allocated")), "%zu, %zu", m1.uordblks, stats_size("stats.allocated"));
	CHECK_FOR(m1.uordblks + m1.fordblks <= m1.arena + m1.hblkhd, "%zu + %zu of %zu", m1.uordblks, m1.fordblks,
	    m1.arena);
	struct tm_stats s;
	CHECK_EQ(tm_stats(&s, sizeof s), 0);
	CHECK_FOR(near(m1.uordblks, s.allocated), "%zu, %zu", m1.uordblks, (size_t)s.allocated);
	struct mallinfo *same = &(struct mallinfo){0};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	*same = mallinfo();
#pragma GCC diagnostic pop
	CHECK_FOR(near((unsigned)same->uordblks, m1.uordblks), "%d, %zu", same->uordblks, m1.uordblks);
	free(big);
	free(cold);
	for (int i = 0; i < 1000; i++)
		free(small[i]);
	struct mallinfo2 m2 = mallinfo2();
	size_t used2 = m2.uordblks + m2.hblkhd;
	CHECK_FOR(used2 < used0 + 12 * MiB, "%zu MiB left", (used2 - used0) / MiB);
}

/* Well-formed enough: every tag that opens closes, attributes are quoted. Returns the number of elements. */
static int check_xml(const char *text) {
	char open[64][32];
	int depth = 0, elements = 0;
	for (const char *p = text; (p = strchr(p, '<'));) {
		const char *end = strchr(p, '>');
		CHECK_FOR(end != NULL, "after: %.40s", p);
		if (p[1] == '?' || p[1] == '!') {
			p = end;
			continue;
		}
		int quotes = 0;
		for (const char *c = p; c < end; c++)
			quotes += *c == '"';
		CHECK_FOR(quotes % 2 == 0, "in: %.40s", p);
		char name[32];
		CHECK_FOR(sscanf(p[1] == '/' ? p + 2 : p + 1, "%31[A-Za-z0-9_.:-]", name) == 1, "in: %.40s", p);
		if (p[1] == '/') {
			CHECK_FOR(depth > 0 && !strcmp(open[depth - 1], name), "at </%s>", name);
			depth--;
		} else {
			elements++;
			if (end[-1] != '/') {
				CHECK(depth < 64);
				strcpy(open[depth++], name);
			}
		}
		p = end;
	}
	CHECK_EQ(depth, 0);
	return elements;
}

/* The number in attribute size= of the first element that contains `what` after it begins, or 0. */
static size_t xml_size(const char *text, const char *what) {
	const char *p = strstr(text, what);
	const char *size = p ? strstr(p, "size=\"") : NULL;
	return size && size < strchr(p, '>') ? strtoull(size + 6, NULL, 10) : 0;
}

static char *info_text(void) {
	static char text[1 << 20];
	FILE *f = tmpfile();
	CHECK(f != NULL);
	CHECK_EQ(malloc_info(0, f), 0);
	rewind(f);
	size_t n = fread(text, 1, sizeof text - 1, f);
	text[n] = 0;
	fclose(f);
	return text;
}

static void check_info(void) {
	char *big = hide(malloc(100 * MiB));
	fill(big, 100 * MiB, 1);
	char *text = info_text();
	const char *root = text;
	while (root && (root = strchr(root, '<')) && (root[1] == '?' || root[1] == '!'))
		root++;
	CHECK_FOR(root && !strncmp(root, "<malloc version=\"1\">", 20), "in: %.60s", text);
	CHECK(check_xml(text) >= 3);
	size_t system = xml_size(text, "<system type=\"current\"");
	CHECK_FOR(system >= 100 * MiB, "%zu", system);
	struct mallinfo2 m = mallinfo2();
	CHECK_FOR(near(system, m.arena + m.hblkhd), "%zu, %zu + %zu", system, m.arena, m.hblkhd);
	size_t allocated = xml_size(text, "<total type=\"allocated\""),
	       active = xml_size(text, "<total type=\"active\"");
	CHECK_FOR(
	    near(allocated, stats_size("stats.allocated")), "%zu, %zu", allocated, stats_size("stats.allocated"));
	CHECK_FOR(near(active, stats_size("stats.active")), "%zu, %zu", active, stats_size("stats.active"));
	CHECK_FOR(allocated <= active && active <= system, "%zu, %zu, %zu", allocated, active, system);
	free(big);
	errno = 0;
	FILE *f = fopen("/dev/null", "w");
	CHECK(malloc_info(1, f) != 0); /* only options 0 is defined */
	fclose(f);
}

/* Written to stderr, as glibc does, and not a word elsewhere. */
static void print_stats(void *arg) {
	(void)arg;
	malloc_stats();
}

static void check_print(void) {
	static char text[1 << 18];
	CHECK_EQ(in_child(print_stats, NULL, 20, text, sizeof text), 0);
	CHECK_FOR(strlen(text) > 20, "%zu", strlen(text));
}

int main(void) {
	need_tiermalloc();
	CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 65536), 0);
	CHECK_EQ(mallopt(M_TRIM_THRESHOLD, 65536), 0);
	CHECK_EQ(mallopt(M_ARENA_MAX, 1), 0);
	CHECK_EQ(mallopt(12345, 1), 0);
	check_mallinfo();
	check_info();
	check_print();
	return 0;
}
