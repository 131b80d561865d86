/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text without stdio. Any thread, also inside malloc; works on the caller's buffer only.
 */
#include "alloc/text.h"

#include <string.h>

void text_add_bytes(struct text *t, const char *bytes, size_t n) {
	size_t room = (size_t)(t->end - t->at);
	if (n > room)
		n = room;
	memcpy(t->at, bytes, n);
	t->at += n;
}

void text_add(struct text *t, const char *string) {
	text_add_bytes(t, string, strlen(string));
}

static void text_add_base(struct text *t, uint64_t n, unsigned base) {
	char digits[24];
	size_t at = sizeof(digits);
	do
		digits[--at] = "0123456789abcdef"[n % base];
	while ((n /= base) != 0);
	text_add_bytes(t, digits + at, sizeof(digits) - at);
}

void text_add_number(struct text *t, uint64_t n) {
	text_add_base(t, n, 10);
}

void text_add_hex(struct text *t, uint64_t n) {
	text_add(t, "0x");
	text_add_base(t, n, 16);
}

void text_add_size(struct text *t, uint64_t n) {
	static const char units[] = "kmgt";
	unsigned unit = 0;
	uint64_t whole = n, tenths = 0;
	while (whole >= 1024 && unit < 4) {
		tenths = whole % 1024 * 10 / 1024;
		whole /= 1024;
		unit++;
	}
	text_add_number(t, whole);
	if (tenths != 0 && whole < 100) {
		text_add(t, ".");
		text_add_number(t, tenths);
	}
	if (unit > 0)
		text_add_bytes(t, &units[unit - 1], 1);
}

void text_end(struct text *t) {
	*t->at = '\0';
}
