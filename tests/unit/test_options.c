/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * alloc/options: the whole table, from options.def, and the parser on everything that is nearly right.
 *
 * Every text that is parsed ends at the end of a page with no page behind it, so a read past the end is a crash.
 */
#include "unit.h"

#include "alloc/options.h"

#define MEMORY (UINT64_C(48) << 30)
#define TABLE  for (const struct option_info *info = option_table; info < option_table + OPTION_COUNT; info++)

static char *page_end;

/* The text, its zero byte the last byte of the page. */
static const char *at_end(const char *text) {
	size_t n = strlen(text) + 1;
	if (page_end == NULL) {
		void *p;
		CHECK(os_reserve(65 * OS_PAGE, OS_PAGE, &p) == 0 && os_allow(p, 64 * OS_PAGE) == 0, "no page");
		page_end = (char *)p + 64 * OS_PAGE;
	}
	CHECK(n <= 64 * OS_PAGE, "text of %zu bytes", n);
	return memcpy(page_end - n, text, n);
}

/* The same without the zero byte. */
static int value_of(const struct option_info *info, const char *text, uint64_t *out) {
	size_t n = strlen(text);
	return option_parse_value(info, at_end(text), n, MEMORY, out);
}

/* Parses the value with the byte behind it out of reach. */
static int bare_value(const struct option_info *info, const char *text, uint64_t *out) {
	size_t n = strlen(text);
	at_end("");
	return option_parse_value(info, memcpy(page_end - n, text, n), n, MEMORY, out);
}

static char lines[64][640];
static unsigned bad_lines;

static void bad(const char *line) {
	if (bad_lines < 64)
		snprintf(lines[bad_lines], sizeof(lines[0]), "%s", line);
	bad_lines++;
}

static unsigned parse(const char *conf) {
	bad_lines = 0;
	unsigned n = options_parse(at_end(conf), MEMORY, bad);
	CHECK(n == bad_lines, "\"%s\": said %u wrong, reported %u", conf, n, bad_lines);
	return n;
}

static const struct option_info *named(const char *name) {
	TABLE
	if (strcmp(info->name, name) == 0)
		return info;
	cr_assert_fail("no option %s", name);
	return NULL;
}

static bool is_text(const struct option_info *info) {
	return info->kind == OPTION_SWITCH || info->kind == OPTION_CHOICE;
}

Test(options, table_is_sound) {
	cr_assert_eq((int)OPTION_COUNT, 14, "a new option: give it a line in options.defaults below");
	TABLE {
		CHECK(
		    strlen(info->name) > 0 && strspn(info->name, "abcdefghijklmnopqrstuvwxyz_") == strlen(info->name),
		    "%s", info->name);
		CHECK(info->least <= info->most, "%s", info->name);
		CHECK(info->most != OPTION_AUTO, "%s", info->name);
		CHECK(strlen(info->accepted) > 0 && strlen(info->meaning) > 10, "%s", info->name);
		for (const struct option_info *other = info + 1; other < option_table + OPTION_COUNT; other++)
			CHECK(strcmp(info->name, other->name) != 0, "%s twice", info->name);
	}
}

Test(options, defaults) {
	memset(option_values, 0x55, sizeof(option_values));
	options_reset();
	cr_assert_eq(option(hot_bytes), OPTION_AUTO);
	cr_assert_eq(option(cold_waste), 25);
	cr_assert_eq(option(cold_arenas), 0);
	cr_assert_eq(option(reserve), OPTION_AUTO);
	cr_assert_eq(option(thp), OPTION_THP_AUTO);
	cr_assert_eq(option(keeper), 1);
	cr_assert_eq(option(start_bytes), 64 * MiB);
	cr_assert_eq(option(keeper_cpu), 10);
	cr_assert_eq(option(sensor), OPTION_SENSOR_AUTO);
	cr_assert_eq(option(sense_cpu), 2);
	cr_assert_eq(option(dlopen_deepbind), OPTION_DEEPBIND_IGNORE);
	cr_assert_eq(option(abort_conf), 0);
	cr_assert_eq(option(stats_print), 0);
	cr_assert_eq(option(log), OPTION_LOG_ERROR);
	TABLE {
		uint64_t value = 12345;
		CHECK(bare_value(info, info->initial, &value) == 0, "%s", info->name);
		CHECK(value == option_values[info - option_table], "%s", info->name);
	}
}

/* The limits themselves are taken, the numbers next to them are not; the value written is left alone then. */
Test(options, limits) {
	TABLE {
		char text[32];
		uint64_t value = 12345;
		if (is_text(info))
			continue;
		snprintf(text, sizeof(text), "%llu", (unsigned long long)info->least);
		CHECK(bare_value(info, text, &value) == 0 && value == info->least, "%s:%s", info->name, text);
		snprintf(text, sizeof(text), "%llu", (unsigned long long)info->most);
		CHECK(bare_value(info, text, &value) == 0 && value == info->most, "%s:%s", info->name, text);
		value = 12345;
		snprintf(text, sizeof(text), "%llu", (unsigned long long)info->most + 1);
		CHECK(bare_value(info, text, &value) == -ERANGE && value == 12345, "%s:%s", info->name, text);
		if (info->least > 0) {
			snprintf(text, sizeof(text), "%llu", (unsigned long long)info->least - 1);
			CHECK(bare_value(info, text, &value) == -ERANGE && value == 12345, "%s:%s", info->name, text);
		}
	}
}

/* "accepted" is what people read: its numbers must be the ones that are checked. */
Test(options, accepted_says_the_limits) {
	TABLE {
		char least[32], most[32], text[128];
		uint64_t value;
		if (is_text(info))
			continue;
		const char *to = strstr(info->accepted, " to ");
		CHECK(to != NULL, "%s", info->name);
		const char *from = to;
		while (from > info->accepted && from[-1] != ' ')
			from--;
		snprintf(least, sizeof(least), "%.*s", (int)(to - from), from);
		snprintf(most, sizeof(most), "%.*s", (int)strcspn(to + 4, ","), to + 4);
		CHECK(bare_value(info, least, &value) == 0 && value == info->least, "%s: %s", info->name, least);
		CHECK(bare_value(info, most, &value) == 0 && value == info->most, "%s: %s", info->name, most);
		snprintf(text, sizeof(text), "%s:auto", info->name);
		CHECK((parse(text) == 0) == (strstr(info->accepted, "auto") != NULL), "%s", text);
	}
}

Test(options, suffixes) {
	static const struct {
		const char *text;
		uint64_t value;
	} table[] = {
	    {"0", 0},
	    {"1", 1},
	    {"007", 7},
	    {"0k", 0},
	    {"3k", UINT64_C(3) << 10},
	    {"3K", UINT64_C(3) << 10},
	    {"5m", UINT64_C(5) << 20},
	    {"5M", UINT64_C(5) << 20},
	    {"7g", UINT64_C(7) << 30},
	    {"7G", UINT64_C(7) << 30},
	    {"9t", UINT64_C(9) << 40},
	    {"9T", UINT64_C(9) << 40},
	    {"64t", UINT64_C(64) << 40},
	    {"65536g", UINT64_C(64) << 40},
	    {"0%", 0},
	    {"1%", MEMORY / 100},
	    {"50%", MEMORY / 100 * 50},
	    {"100%", MEMORY / 100 * 100},
	    {"auto", OPTION_AUTO},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint64_t value = 12345;
		CHECK(bare_value(named("hot_bytes"), table[i].text, &value) == 0, "%s", table[i].text);
		CHECK(value == table[i].value, "%s gave %llu", table[i].text, (unsigned long long)value);
	}
	uint64_t value;
	cr_assert_eq(bare_value(named("reserve"), "50%", &value), 0);
	cr_assert_eq(value, MEMORY / 100 * 50);
	cr_assert_eq(bare_value(named("reserve"), "auto", &value), 0);
	cr_assert_eq(value, OPTION_AUTO);
	cr_assert_eq(bare_value(named("reserve"), "0%", &value), -ERANGE);
	/* a percentage of memory that nobody knows */
	cr_assert_eq(option_parse_value(named("hot_bytes"), "50%", 3, 0, &value), 0);
	cr_assert_eq(value, 0);
}

Test(options, percents) {
	const struct option_info *info = named("cold_waste");
	for (unsigned n = 0; n <= 100; n++) {
		char text[8];
		uint64_t value = 12345;
		snprintf(text, sizeof(text), "%u", n);
		CHECK(bare_value(info, text, &value) == 0 && value == n, "%s", text);
		value = 12345;
		snprintf(text, sizeof(text), "%u%%", n);
		CHECK(bare_value(info, text, &value) == 0 && value == n, "%s", text);
	}
}

Test(options, words) {
	uint64_t value;
	cr_assert_eq(bare_value(named("abort_conf"), "true", &value), 0);
	cr_assert_eq(value, 1);
	cr_assert_eq(bare_value(named("abort_conf"), "false", &value), 0);
	cr_assert_eq(value, 0);
	TABLE {
		if (info->kind != OPTION_CHOICE)
			continue;
		uint64_t index = 0;
		for (const char *at = info->accepted; *at != '\0'; index++) {
			char word[32];
			size_t n = strcspn(at, "|");
			snprintf(word, sizeof(word), "%.*s", (int)n, at);
			CHECK(bare_value(info, word, &value) == 0 && value == index, "%s:%s", info->name, word);
			at += n + (at[n] == '|');
		}
		CHECK(index == info->most + 1, "%s has %llu words", info->name, (unsigned long long)index);
	}
	cr_assert_eq(bare_value(named("log"), "none", &value), 0);
	cr_assert_eq(value, OPTION_LOG_NONE);
	cr_assert_eq(bare_value(named("log"), "info", &value), 0);
	cr_assert_eq(value, OPTION_LOG_INFO);
	cr_assert_eq(bare_value(named("thp"), "never", &value), 0);
	cr_assert_eq(value, OPTION_THP_NEVER);
	cr_assert_eq(bare_value(named("dlopen_deepbind"), "keep", &value), 0);
	cr_assert_eq(value, OPTION_DEEPBIND_KEEP);
}

/* Every option with every one of these: refused, and the value where it goes is not written. */
Test(options, refused_values) {
	static const char *const wrong[] = {"", " ", "-1", "+1", "1 ", " 1", "1.5", "0x10", "1kk", "1kb", "1k%",
	    "1%%", "%", "%1", "k", "1b", "1e3", "auto ", "aut", "AUTO", "autom", "True", "TRUE", "tru", "truee",
	    "true|false", "auto|never", "|", "none|", "|none", "none|error", "1\x0b", "\xff", "1\xcb", "1\xeb",
	    "101%", "18446744073709551615", "18446744073709551616", "99999999999999999999999999999999", "16777216t",
	    "17179869184g", "18446744073709551615t"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		TABLE {
			uint64_t value = 12345;
			int r = bare_value(info, wrong[i], &value);
			CHECK(r == -EINVAL || r == -ERANGE, "%s:\"%s\" gave %d", info->name, wrong[i], r);
			CHECK(value == 12345, "%s:\"%s\"", info->name, wrong[i]);
			value = 12345;
			CHECK(value_of(info, wrong[i], &value) == r && value == 12345, "%s:\"%s\"", info->name,
			    wrong[i]);
		}
	uint64_t value;
	/* suffixes are for bytes only, percentages for bytes and shares */
	cr_assert_eq(bare_value(named("cold_arenas"), "1k", &value), -EINVAL);
	cr_assert_eq(bare_value(named("cold_arenas"), "1%", &value), -EINVAL);
	cr_assert_eq(bare_value(named("cold_waste"), "1k", &value), -EINVAL);
	cr_assert_eq(bare_value(named("cold_waste"), "auto", &value), -EINVAL);
	/* too large and malformed differ in what is said about them */
	cr_assert_eq(bare_value(named("hot_bytes"), "18446744073709551616", &value), -ERANGE);
	cr_assert_eq(bare_value(named("hot_bytes"), "16777216t", &value), -ERANGE);
	cr_assert_eq(bare_value(named("hot_bytes"), "101%", &value), -ERANGE);
	cr_assert_eq(bare_value(named("hot_bytes"), "1kb", &value), -EINVAL);
}

Test(options, several_pairs) {
	options_reset();
	cr_assert_eq(
	    parse("hot_bytes:64m,cold_waste:10%,thp:never,log:info,cold_arenas:3,stats_print:true,reserve:1g"), 0);
	cr_assert_eq(option(hot_bytes), 64 * MiB);
	cr_assert_eq(option(cold_waste), 10);
	cr_assert_eq(option(thp), OPTION_THP_NEVER);
	cr_assert_eq(option(log), OPTION_LOG_INFO);
	cr_assert_eq(option(cold_arenas), 3);
	cr_assert_eq(option(stats_print), 1);
	cr_assert_eq(option(reserve), GiB);
	cr_assert_eq(option(abort_conf), 0);
	/* on top of what is there */
	cr_assert_eq(parse("hot_bytes:auto"), 0);
	cr_assert_eq(option(hot_bytes), OPTION_AUTO);
	cr_assert_eq(option(cold_waste), 10);
}

Test(options, empty_text) {
	options_reset();
	option(cold_waste) = 7;
	cr_assert_eq(parse(""), 0);
	cr_assert_eq(option(cold_waste), 7);
}

Test(options, last_of_a_name_wins) {
	options_reset();
	cr_assert_eq(parse("cold_waste:1,cold_waste:2,log:none,cold_waste:3"), 0);
	cr_assert_eq(option(cold_waste), 3);
	cr_assert_eq(parse("cold_waste:50,cold_waste:101"), 1);
	cr_assert_eq(option(cold_waste), 50, "the last good one");
}

/* The pairs next to a wrong one count. */
Test(options, wrong_pairs_are_skipped) {
	static const struct {
		const char *conf;
		unsigned wrong;
	} table[] = {
	    {"nonsense:1,cold_waste:9", 1},
	    {"cold_waste:9,nonsense:1", 1},
	    {"cold_waste:9,", 1},
	    {",cold_waste:9", 1},
	    {"log:info,,cold_waste:9", 1},
	    {"cold_waste,cold_waste:9", 1},
	    {"cold_waste:9,cold_waste", 1},
	    {"cold_waste:9,cold_waste:", 1},
	    {"cold_waste:9,:5", 1},
	    {"cold_waste:9,:", 1},
	    {"cold_waste:9,cold_waste:8:7", 1},
	    {"cold_waste:9,cold_waste=8", 1},
	    {"cold_waste:9,COLD_WASTE:8", 1},
	    {"cold_waste:9,cold_wast:8", 1},
	    {"cold_waste:9,cold_wastee:8", 1},
	    {"cold_waste:9, cold_waste:8", 1},
	    {"cold_waste:9,cold_waste: 8", 1},
	    {"cold_waste:9;cold_waste:8,cold_waste:9", 1},
	    {"a,b,c,cold_waste:9,d:,:e", 5},
	    {"cold_waste:200,log:x,thp:,reserve:1,cold_waste:9", 4},
	};
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		options_reset();
		CHECK(parse(table[i].conf) == table[i].wrong, "\"%s\": %u wrong", table[i].conf, bad_lines);
		CHECK(option(cold_waste) == 9, "\"%s\"", table[i].conf);
		CHECK(option(reserve) == OPTION_AUTO, "\"%s\"", table[i].conf);
	}
	options_reset();
	cr_assert_eq(parse(","), 2);
	cr_assert_eq(parse(",,,"), 4);
}

/* For each option: its name, the value given, what would have been accepted and what stays. */
Test(options, report_names_everything) {
	TABLE {
		char conf[64];
		options_reset();
		snprintf(conf, sizeof(conf), "%s:wr0ng", info->name);
		CHECK(parse(conf) == 1, "%s", conf);
		CHECK(strstr(lines[0], conf) != NULL, "%s", lines[0]);
		CHECK(strstr(lines[0], info->accepted) != NULL, "%s", lines[0]);
		CHECK(strstr(lines[0], info->initial) != NULL, "%s", lines[0]);
		CHECK(strchr(lines[0], '\n') == NULL, "%s", lines[0]);
		snprintf(conf, sizeof(conf), "%s", info->name);
		CHECK(parse(conf) == 1, "%s", conf);
		CHECK(strstr(lines[0], conf) != NULL && strstr(lines[0], info->accepted) != NULL, "%s", lines[0]);
		CHECK(strstr(lines[0], "no value") != NULL, "%s", lines[0]);
		if (!is_text(info)) {
			char text[96];
			snprintf(text, sizeof(text), "%s:%llu", info->name, (unsigned long long)info->most + 1);
			CHECK(parse(text) == 1, "%s", text);
			CHECK(strstr(lines[0], text) != NULL && strstr(lines[0], info->accepted) != NULL, "%s",
			    lines[0]);
			CHECK(strstr(lines[0], "range") != NULL, "%s", lines[0]);
		}
	}
	parse("surely_not_an_option:17");
	CHECK(strstr(lines[0], "surely_not_an_option") != NULL, "%s", lines[0]);
	TABLE
	CHECK(strstr(lines[0], info->name) != NULL, "\"%s\" does not list %s", lines[0], info->name);
	parse("log:info,");
	CHECK(strlen(lines[0]) > 10, "%s", lines[0]);
}

Test(options, each_wrong_pair_once_and_in_order) {
	cr_assert_eq(parse("log:one,cold_waste:5,log:two,nope:three,log:info,thp:four"), 4);
	cr_assert_not_null(strstr(lines[0], "log:one"));
	cr_assert_not_null(strstr(lines[1], "log:two"));
	cr_assert_not_null(strstr(lines[2], "nope"));
	cr_assert_not_null(strstr(lines[3], "thp:four"));
}

/* Names and values of any length: the line stays one that report_error can print whole. */
Test(options, very_long_pairs) {
	static char conf[60000];
	for (size_t n = 50; n < sizeof(conf) - 32; n = n * 3 / 2) {
		memset(conf, 'n', n);
		strcpy(conf + n, ":1");
		CHECK(parse(conf) == 1 && strlen(lines[0]) < 600, "%zu", strlen(lines[0]));
		CHECK(strstr(lines[0], "ignored") != NULL, "%s", lines[0]);
		TABLE {
			size_t at = (size_t)sprintf(conf, "%s:", info->name);
			memset(conf + at, '7', n);
			conf[at + n] = '\0';
			CHECK(parse(conf) == 1 && strlen(lines[0]) < 600, "%zu", strlen(lines[0]));
			CHECK(strstr(lines[0], info->accepted) != NULL, "%s", lines[0]);
			CHECK(strstr(lines[0], "ignored") != NULL, "%s", lines[0]);
		}
	}
}

/* The line is quoted from the environment, and goes to a terminal or a log: it must stay one line there. */
Test(options, report_is_one_line) {
	parse("log:in\nfo");
	cr_expect_null(strchr(lines[0], '\n'), "a line break in a value");
	parse("lo\ng:info");
	cr_expect_null(strchr(lines[0], '\n'), "a line break in a name");
	parse("log:\x1b[2J");
	cr_expect_null(strchr(lines[0], '\x1b'), "an escape sequence in a value");
}

/* What a value may be whatever was parsed. */
static void check_values(const char *conf) {
	TABLE {
		uint64_t value = option_values[info - option_table];
		bool automatic = value == OPTION_AUTO && strncmp(info->accepted, "auto,", 5) == 0;
		CHECK(automatic || (value >= info->least && value <= info->most), "%s is %llu after \"%s\"",
		    info->name, (unsigned long long)value, conf);
	}
}

/*
 * Texts put together from words of the language and bytes of any kind. Each is taken apart here as well: every pair
 * by itself must do what it does among the others.
 */
Test(options, garbage) {
	static const char *const words[] = {"hot_bytes", "cold_waste", "cold_arenas", "reserve", "thp", "log",
	    "abort_conf", "stats_print", "dlopen_deepbind", ":", ":", ":", ":", ",", ",", ",", "auto", "never",
	    "true", "false", "none", "info", "keep", "|", "0", "1", "16", "100", "64", "k", "m", "g", "T", "%", " ",
	    "18446744073709551615"};
	uint64_t seed = random_seed();
	unsigned good = 0;
	for (int round = 0; round < 30000; round++) {
		char conf[1024] = "";
		size_t at = 0;
		for (unsigned n = random_below(&seed, 24); n > 0; n--) {
			unsigned kind = random_below(&seed, 12);
			if (kind == 0) {
				conf[at++] = (char)(1 + random_below(&seed, 255));
			} else if (kind == 1) {
				const struct option_info *info = &option_table[random_below(&seed, OPTION_COUNT)];
				at += (size_t)sprintf(conf + at, ",%s:%u,", info->name, random_below(&seed, 120));
			} else {
				const char *word = words[random_below(&seed, sizeof(words) / sizeof(words[0]))];
				at += (size_t)sprintf(conf + at, "%s", word);
			}
		}
		conf[at] = '\0';
		options_reset();
		unsigned wrong = parse(conf);
		check_values(conf);
		uint64_t together[OPTION_COUNT];
		memcpy(together, option_values, sizeof(together));

		options_reset();
		unsigned apart = 0, pairs = 0;
		char *pair = conf, *comma = conf;
		while (at > 0 && comma != NULL) {
			char one[1024];
			comma = strchr(pair, ',');
			size_t n = comma != NULL ? (size_t)(comma - pair) : strlen(pair);
			snprintf(one, sizeof(one), "%.*s", (int)n, pair);
			apart += n == 0 ? 1 : parse(one);
			pairs++;
			pair += n + 1;
		}
		good += pairs - apart;
		CHECK(wrong == apart, "round %d: \"%s\": %u wrong together, %u apart", round, conf, wrong, apart);
		CHECK(memcmp(together, option_values, sizeof(together)) == 0, "round %d: \"%s\"", round, conf);
	}
	cr_assert_gt(good, 1000, "only %u good pairs: the texts are too wild", good);
}
