/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `tiermalloc run`: starts a program with the library preloaded, or says why that would be without effect and starts
 * nothing. Becomes the program by execvp, so that signals, the exit status and the process id are the program's own.
 */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/library.h"
#include "cli/program.h"

/* Long options only: short ones would be mistaken for the program's. */
enum { KEY_HOT = 256, KEY_CONF, KEY_LIBRARY };

struct run {
	const char *library;
	char *conf; /* --hot and --conf in the order they were given */
	char **argv;
};

static void run_option_add(struct run *run, const char *key, const char *value) {
	char *old = run->conf;
	run->conf = cli_format("%s%s%s%s", old != NULL ? old : "", old != NULL ? "," : "", key, value);
	free(old);
}

static error_t run_option(int key, char *arg, struct argp_state *state) {
	struct run *run = state->input;
	switch (key) {
	case KEY_HOT:
		run_option_add(run, "hot_bytes:", arg);
		return 0;
	case KEY_CONF:
		run_option_add(run, "", arg);
		return 0;
	case KEY_LIBRARY:
		run->library = arg;
		return 0;
	case ARGP_KEY_ARG:
		run->argv = &state->argv[state->next - 1];
		state->next = state->argc;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no program given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int run_start(struct run *run) {
	struct program program;
	char *why;

	if (run->conf != NULL && cli_options(run->conf) > 0)
		return CLI_WRONG;
	char *library = library_find(run->library, &why);
	if (library == NULL) {
		cli_error("%s", why);
		free(why);
		return CLI_WRONG;
	}
	int status = CLI_REFUSED;
	if (!program_check(run->argv[0], &program)) {
		cli_error("%s", program.why);
		status = program.status;
	} else if ((why = library_environment(library, run->conf)) != NULL) {
		cli_error("%s", why);
		free(why);
		status = CLI_WRONG;
	} else {
		execvp(run->argv[0], run->argv);
		status = errno == ENOENT ? CLI_NOT_FOUND : CLI_REFUSED;
		cli_error("%s: %s", run->argv[0], strerror(errno));
	}
	free(library);
	return status;
}

int run_main(int argc, char **argv) {
	static const struct argp_option options[] = {
	    {"hot", KEY_HOT, "SIZE", 0,
		"how much of the heap may be in the hot tier: auto, bytes (64m, 2g) or N% of memory", 0},
	    {"conf", KEY_CONF, "KEY:VALUE,...", 0, "other options; tiermalloc doctor lists them", 0},
	    {"library", KEY_LIBRARY, "PATH", 0, "the library to load instead of the one beside this command", 0},
	    {0},
	};
	static const struct argp parser = {
	    .options = options,
	    .parser = run_option,
	    .args_doc = "PROGRAM [ARGUMENT...]",
	    .doc =
		"Runs a program with tiermalloc as its malloc. Options given here are added to TIERMALLOC_CONF, "
		"where the last one of a kind wins; a library in LD_PRELOAD stays there."
		"\vThe exit status is the program's; 2 if an option is wrong, 126 if the program cannot be run with "
		"tiermalloc, 127 if it is not found. Nothing is run in these cases.",
	};
	struct run run = {0};

	if (argp_parse(&parser, argc, argv, ARGP_IN_ORDER, NULL, &run) != 0)
		return CLI_WRONG;
	int status = run_start(&run);
	free(run.conf);
	return status;
}
