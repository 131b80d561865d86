/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Options: the table of options.def, the values in force, and the parser of TIERMALLOC_CONF.
 *
 * Parsed once, on one thread, before the first allocation: no allocation, no locale, no stdio. The values are
 * read-only afterwards.
 */
#ifndef TM_OPTIONS_H
#define TM_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPTION_AUTO UINT64_MAX

enum option_kind { OPTION_SIZE, OPTION_NUMBER, OPTION_PERCENT, OPTION_SWITCH, OPTION_CHOICE };

struct option_info {
	const char *name;
	enum option_kind kind;
	const char *initial;  /* as it would be written */
	uint64_t least, most; /* limits of the stored value */
	const char *accepted; /* in words; the choices for OPTION_CHOICE */
	const char *meaning;
};

enum option_id {
#define OPTION(name, ...) OPTION_##name,
#include "alloc/options.def"
#undef OPTION
	OPTION_COUNT
};

extern const struct option_info option_table[OPTION_COUNT];
extern uint64_t option_values[OPTION_COUNT];

#define option(name) (option_values[OPTION_##name])

enum { OPTION_LOG_NONE, OPTION_LOG_ERROR, OPTION_LOG_INFO };
enum { OPTION_THP_AUTO, OPTION_THP_NEVER };
enum { OPTION_SENSOR_AUTO, OPTION_SENSOR_PROBE, OPTION_SENSOR_NONE };
enum { OPTION_DEEPBIND_IGNORE, OPTION_DEEPBIND_KEEP };

/*
 * Parses one value of an option; `memory` is what a percentage of a size refers to, in bytes.
 * 0, -EINVAL (not of the form) or -ERANGE (outside least and most); *out is written on success only.
 */
int option_parse_value(
    const struct option_info *info, const char *text, size_t length, uint64_t memory, uint64_t *out);

/* Sets every value to its default. */
void options_reset(void);

/*
 * Parses "key:value,key:value" on top of the present values. Every pair that is wrong is passed to `bad` as one
 * finished line without a newline, its value stays what it was. Returns the number of wrong pairs.
 */
unsigned options_parse(const char *conf, uint64_t memory, void (*bad)(const char *line));

#endif
