/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command `tiermalloc`: picks the sub-command by its first word, and what all of them use to speak.
 * Knows nothing about what a sub-command does beyond the line that describes it.
 */
#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/options.h"
#include "cli/cli.h"
#include "os/os.h"
#include "tiermalloc.h"

#define TEXT_OF(x)            #x
#define VERSION_TEXT(x, y, z) TEXT_OF(x) "." TEXT_OF(y) "." TEXT_OF(z)

const char *argp_program_version = "tiermalloc " VERSION_TEXT(TM_VERSION_MAJOR, TM_VERSION_MINOR, TM_VERSION_PATCH);

struct command {
	const char *name;
	const char *title; /* what argp calls it in its messages */
	int (*main)(int argc, char **argv);
	const char *what;
};

static const struct command commands[] = {
    {"run", "tiermalloc run", run_main, "run a program with tiermalloc as its malloc"},
    {"doctor", "tiermalloc doctor", doctor_main,
	"say what this machine gives tiermalloc, and what would give it more"},
    {"stats", "tiermalloc stats", stats_main, "show where the heap of a running program is"},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

void cli_error(const char *format, ...) {
	va_list args;
	fflush(stdout);
	fputs("tiermalloc: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static void *cli_checked(void *p) {
	if (p == NULL) {
		cli_error("out of memory");
		exit(CLI_WRONG);
	}
	return p;
}

char *cli_format(const char *format, ...) {
	va_list args;
	char *text;
	va_start(args, format);
	int n = vasprintf(&text, format, args);
	va_end(args);
	return cli_checked(n < 0 ? NULL : text);
}

void *cli_alloc(size_t count, size_t size) {
	return cli_checked(calloc(count > 0 ? count : 1, size));
}

char *cli_size(char text[CLI_SIZE], uint64_t bytes) {
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	size_t unit = 0;
	while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	if (bytes == 0)
		snprintf(text, CLI_SIZE, "0");
	else
		snprintf(text, CLI_SIZE, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
	return text;
}

long cli_file(const char *path, char *buf, size_t bytes) {
	long n = os_read_file(path, buf, bytes);
	while (n > 0 && strchr(" \t\n", buf[n - 1]) != NULL)
		buf[--n] = '\0';
	return n;
}

static void options_bad(const char *line) {
	/* The library goes on with the default and says so; a command that was given the option does not go on. */
	const char *end = strstr(line, "; ignored");
	cli_error("%.*s", end != NULL ? (int)(end - line) : (int)strlen(line), line);
}

unsigned cli_options(const char *conf) {
	options_reset();
	return options_parse(conf, os_memory_bytes(), options_bad);
}

/* The list of sub-commands at the end of --help. */
static char *main_help(int key, const char *text, void *input) {
	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	size_t size = 0;
	char *out = NULL;
	FILE *f = open_memstream(&out, &size);
	if (f == NULL)
		return (char *)text;
	fputs("Commands:\n", f);
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(f, "  %-8s %s\n", commands[i].name, commands[i].what);
	fputs("\n`tiermalloc COMMAND --help` says more about each.", f);
	fclose(f);
	return out;
}

static error_t main_option(int key, char *arg, struct argp_state *state) {
	int *first = state->input;
	(void)arg;
	switch (key) {
	case ARGP_KEY_ARG:
		/* The rest belongs to the sub-command. */
		*first = state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv) {
	static const struct argp parser = {
	    .parser = main_option,
	    .args_doc = "COMMAND [ARGUMENT...]",
	    .doc = "tiermalloc is a malloc that keeps hot data on small pages and the rest on huge pages.",
	    .help_filter = main_help,
	};
	int first = 0;

	argp_err_exit_status = CLI_WRONG;
	if (argp_parse(&parser, argc, argv, ARGP_IN_ORDER, NULL, &first) != 0)
		return CLI_WRONG;
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[first], commands[i].name) != 0)
			continue;
		argv[first] = (char *)commands[i].title;
		int status = commands[i].main(argc - first, argv + first);
		/* A full disk or a closed pipe must not look like success. */
		if ((fflush(stdout) != 0 || ferror(stdout)) && status == CLI_OK) {
			cli_error("cannot write the output: %s", strerror(errno));
			return CLI_LESS;
		}
		return status;
	}
	cli_error("%s: no such command; the commands are run, doctor and stats", argv[first]);
	return CLI_WRONG;
}
