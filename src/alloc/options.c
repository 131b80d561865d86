/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser of TIERMALLOC_CONF. Runs before the first allocation on the one thread there is, and in the
 * `tiermalloc` command; uses only the stack.
 */
#include "alloc/options.h"

#include <errno.h>
#include <string.h>

#include "alloc/text.h"

const struct option_info option_table[OPTION_COUNT] = {
#define OPTION(name, kind, initial, least, most, accepted, meaning) \
	[OPTION_##name] = {#name, OPTION_##kind, initial, least, most, accepted, meaning},
#include "alloc/options.def"
#undef OPTION
};
uint64_t option_values[OPTION_COUNT];

static bool text_is(const char *text, size_t length, const char *word) {
	return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* Digits, then at most one suffix. */
static int parse_number(const char *text, size_t length, bool size, uint64_t memory, uint64_t *out) {
	uint64_t n = 0;
	size_t i = 0;
	for (; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
		if (n > (UINT64_MAX - 9) / 10)
			return -ERANGE;
		n = n * 10 + (uint64_t)(text[i] - '0');
	}
	if (i == 0)
		return -EINVAL;
	if (i == length) {
		*out = n;
		return 0;
	}
	if (i + 1 != length || !size)
		return -EINVAL;
	if (text[i] == '%') {
		if (n > 100)
			return -ERANGE;
		*out = memory / 100 * n;
		return 0;
	}
	static const char suffixes[] = "kmgt";
	const char *suffix = strchr(suffixes, text[i] | 0x20);
	if (suffix == NULL || *suffix == '\0')
		return -EINVAL;
	unsigned shift = 10 * (unsigned)(suffix - suffixes + 1);
	if (n > UINT64_MAX >> shift)
		return -ERANGE;
	*out = n << shift;
	return 0;
}

static int parse_choice(const char *choices, const char *text, size_t length, uint64_t *out) {
	uint64_t index = 0;
	for (const char *at = choices;; index++) {
		size_t n = strcspn(at, "|");
		if (n == length && memcmp(at, text, n) == 0) {
			*out = index;
			return 0;
		}
		if (at[n] == '\0')
			return -EINVAL;
		at += n + 1;
	}
}

int option_parse_value(
    const struct option_info *info, const char *text, size_t length, uint64_t memory, uint64_t *out) {
	uint64_t value;
	int r;

	switch (info->kind) {
	case OPTION_SIZE:
		if (text_is(text, length, "auto") && strncmp(info->accepted, "auto", 4) == 0) {
			*out = OPTION_AUTO;
			return 0;
		}
		r = parse_number(text, length, true, memory, &value);
		break;
	case OPTION_PERCENT:
		if (length > 1 && text[length - 1] == '%')
			length--;
		r = parse_number(text, length, false, 0, &value);
		break;
	case OPTION_NUMBER:
		r = parse_number(text, length, false, 0, &value);
		break;
	case OPTION_SWITCH:
		if (text_is(text, length, "true") || text_is(text, length, "false")) {
			*out = text[0] == 't';
			return 0;
		}
		return -EINVAL;
	case OPTION_CHOICE:
		return parse_choice(info->accepted, text, length, out);
	default:
		return -EINVAL;
	}
	if (r != 0)
		return r;
	if (value < info->least || value > info->most)
		return -ERANGE;
	*out = value;
	return 0;
}

void options_reset(void) {
	for (int i = 0; i < OPTION_COUNT; i++)
		option_parse_value(
		    &option_table[i], option_table[i].initial, strlen(option_table[i].initial), 0, &option_values[i]);
}

static const struct option_info *option_find(const char *name, size_t length) {
	for (int i = 0; i < OPTION_COUNT; i++)
		if (text_is(name, length, option_table[i].name))
			return &option_table[i];
	return NULL;
}

/* Longest part of a wrong pair that is quoted back. */
#define QUOTE 64

/* A part of the user's text, on one line and harmless to a terminal. */
static void quote(struct text *out, const char *text, size_t length) {
	for (size_t i = 0; i < length && i < QUOTE; i++)
		text_add_bytes(out, (unsigned char)text[i] < ' ' || text[i] == 0x7f ? "?" : &text[i], 1);
}

static void bad_pair(void (*bad)(const char *line), const struct option_info *info, const char *key,
    size_t key_length, const char *value, size_t value_length, int why) {
	char line[512];
	struct text out = text_in(line, sizeof(line));

	text_add(&out, "option ");
	quote(&out, key, key_length);
	if (info == NULL && value == NULL && key_length == 0) {
		text_add(&out, "(empty): expected key:value; ignored");
	} else if (info == NULL) {
		text_add(&out, ": no such option; the options are");
		for (int i = 0; i < OPTION_COUNT; i++) {
			text_add(&out, i == 0 ? " " : ", ");
			text_add(&out, option_table[i].name);
		}
		text_add(&out, "; ignored");
	} else if (value == NULL) {
		text_add(&out, ": no value; accepted: ");
		text_add(&out, info->accepted);
		text_add(&out, "; ignored (default: ");
		text_add(&out, info->initial);
		text_add(&out, ")");
	} else {
		text_add(&out, ":");
		quote(&out, value, value_length);
		text_add(&out, why == -ERANGE ? " is out of range" : " is not a value it can have");
		text_add(&out, "; accepted: ");
		text_add(&out, info->accepted);
		text_add(&out, "; ignored (default: ");
		text_add(&out, info->initial);
		text_add(&out, ")");
	}
	text_end(&out);
	bad(line);
}

unsigned options_parse(const char *conf, uint64_t memory, void (*bad)(const char *line)) {
	unsigned wrong = 0;
	while (*conf != '\0') {
		size_t length = strcspn(conf, ",");
		const char *colon = memchr(conf, ':', length);
		size_t key_length = colon != NULL ? (size_t)(colon - conf) : length;
		const char *value = colon != NULL ? colon + 1 : NULL;
		size_t value_length = colon != NULL ? length - key_length - 1 : 0;
		const struct option_info *info = option_find(conf, key_length);
		int r = info != NULL && value != NULL
		    ? option_parse_value(info, value, value_length, memory, &option_values[info - option_table])
		    : -EINVAL;
		if (r != 0) {
			bad_pair(bad, info, conf, key_length, value, value_length, r);
			wrong++;
		}
		conf += length;
		if (*conf == ',' && *++conf == '\0') {
			bad_pair(bad, NULL, conf, 0, NULL, 0, -EINVAL);
			wrong++;
		}
	}
	return wrong;
}
