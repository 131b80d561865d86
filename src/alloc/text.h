/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text without stdio: numbers and words put together in a buffer of the caller's. Any thread, also inside malloc.
 */
#ifndef TM_TEXT_H
#define TM_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* A text being put together in a buffer of the caller's; what does not fit is left out. */
struct text {
	char *at, *end;
};

static inline struct text text_in(char *buf, size_t bytes) {
	return (struct text){buf, buf + bytes - 2};
}
void text_add_bytes(struct text *t, const char *bytes, size_t n);
void text_add(struct text *t, const char *string);
void text_add_number(struct text *t, uint64_t n);
void text_add_hex(struct text *t, uint64_t n);
/* Bytes with a unit that keeps them short: 512, 64k, 1.5g. */
void text_add_size(struct text *t, uint64_t n);
/* Ends the string with a zero byte. */
void text_end(struct text *t);

#endif
