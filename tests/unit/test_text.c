/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * alloc/text: numbers, sizes, and that nothing is written behind the caller's buffer, however small.
 */
#include "unit.h"

#include "alloc/text.h"

static const char *number(uint64_t n) {
	static char buf[64];
	struct text t = text_in(buf, sizeof(buf));
	text_add_number(&t, n);
	text_end(&t);
	return buf;
}

static const char *hex(uint64_t n) {
	static char buf[64];
	struct text t = text_in(buf, sizeof(buf));
	text_add_hex(&t, n);
	text_end(&t);
	return buf;
}

static const char *size(uint64_t n) {
	static char buf[64];
	struct text t = text_in(buf, sizeof(buf));
	text_add_size(&t, n);
	text_end(&t);
	return buf;
}

Test(text, numbers) {
	cr_assert_str_eq(number(0), "0");
	cr_assert_str_eq(number(9), "9");
	cr_assert_str_eq(number(10), "10");
	cr_assert_str_eq(number(100200300), "100200300");
	cr_assert_str_eq(number(UINT64_MAX), "18446744073709551615");
	cr_assert_str_eq(hex(0), "0x0");
	cr_assert_str_eq(hex(0xf), "0xf");
	cr_assert_str_eq(hex(0x10), "0x10");
	cr_assert_str_eq(hex(UINT64_MAX), "0xffffffffffffffff");
	cr_assert_str_eq(hex(UINT64_C(0x7f0123456789)), "0x7f0123456789");
}

Test(text, numbers_like_printf) {
	uint64_t seed = random_seed();
	for (int i = 0; i < 2000; i++) {
		char expected[32];
		uint64_t n = random_next(&seed) >> random_below(&seed, 64);
		snprintf(expected, sizeof(expected), "%llu", (unsigned long long)n);
		CHECK(strcmp(number(n), expected) == 0, "%s, not %s", number(n), expected);
		snprintf(expected, sizeof(expected), "0x%llx", (unsigned long long)n);
		CHECK(strcmp(hex(n), expected) == 0, "%s, not %s", hex(n), expected);
	}
}

Test(text, sizes) {
	static const struct {
		uint64_t n;
		const char *text;
	} table[] = {
	    {0, "0"},
	    {1, "1"},
	    {1023, "1023"},
	    {1024, "1k"},
	    {1024 + 102, "1k"}, /* a tenth is 102.4 */
	    {1024 + 103, "1.1k"},
	    {1536, "1.5k"},
	    {2047, "1.9k"},
	    {99 * 1024 + 512, "99.5k"},
	    {100 * 1024 + 512, "100k"}, /* three digits say enough */
	    {1024 * 1024 - 1, "1023k"},
	    {1024 * 1024, "1m"},
	    {UINT64_C(1) << 30, "1g"},
	    {(UINT64_C(1) << 30) + (UINT64_C(1) << 29), "1.5g"},
	    {UINT64_C(1) << 40, "1t"},
	    {UINT64_C(64) << 40, "64t"},
	    {UINT64_C(1) << 60, "1048576t"},
	    {UINT64_MAX, "16777215t"},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		cr_assert_str_eq(size(table[i].n), table[i].text, "%llu gave %s", (unsigned long long)table[i].n,
		    size(table[i].n));
}

/* What fits is kept to the last byte, what does not is left out, one byte is kept for the end and one to spare. */
Test(text, cut_at_the_end) {
	static const char full[] = "word 184467440737095516150xffff1.5gand a long tail that fits nowhere";
	for (size_t bytes = 2; bytes < sizeof(full) + 4; bytes++) {
		char buf[128];
		memset(buf, '#', sizeof(buf));
		struct text t = text_in(buf + 8, bytes);
		text_add(&t, "word ");
		text_add_number(&t, UINT64_MAX);
		text_add_hex(&t, 0xffff);
		text_add_size(&t, UINT64_C(3) << 29);
		text_add_bytes(&t, "and a long tail that fits nowhere!!", 33);
		text_end(&t);
		size_t expected = bytes - 2 < sizeof(full) - 1 ? bytes - 2 : sizeof(full) - 1;
		CHECK(strlen(buf + 8) == expected, "%zu bytes hold %zu", bytes, strlen(buf + 8));
		CHECK(memcmp(buf + 8, full, expected) == 0, "%s", buf + 8);
		for (size_t i = 0; i < sizeof(buf); i++)
			if (i < 8 || i > 8 + expected)
				CHECK(
				    buf[i] == '#', "byte %zd of a buffer of %zu was written", (ssize_t)i - 8, bytes);
	}
}

Test(text, adding_nothing) {
	char buf[8] = "#######";
	struct text t = text_in(buf, sizeof(buf));
	text_add(&t, "");
	text_add_bytes(&t, "abc", 0);
	cr_assert_eq(t.at, buf);
	text_end(&t);
	cr_assert_str_eq(buf, "");
	cr_assert_eq(buf[1], '#');
}
