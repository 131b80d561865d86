/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of the set-up: which options are in force and what they come to, and whether the library is found and works.
 * The library is tried as a program would meet it, preloaded into a process of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc/text.h"
#include "cli/cli.h"
#include "cli/doctor.h"
#include "cli/library.h"
#include "cli/program.h"
#include "os/os.h"
#include "tiers/birth.h"

#define ENVIRONMENT "TIERMALLOC_CONF"
#define TRIAL_MS    10000

/* --- options --- */

static struct doctor *options_doctor;

static void option_wrong(const char *line) {
	struct doctor *d = options_doctor;
	doctor_add(d, MARK_NOTE, ENVIRONMENT, "%s", line);
	doctor_follows(d, "programs say so when they start, and go on with the default");
	doctor_command(d, "unset " ENVIRONMENT);
}

static char *option_value(const struct option_info *info, uint64_t value) {
	char buf[32];
	struct text out = text_in(buf, sizeof(buf));
	const char *word = info->accepted;

	switch (info->kind) {
	case OPTION_SIZE:
		if (value == OPTION_AUTO)
			return cli_format("auto");
		text_add_size(&out, value);
		text_end(&out);
		return cli_format("%s", buf);
	case OPTION_PERCENT:
		return cli_format("%u%%", (unsigned)value);
	case OPTION_SWITCH:
		return cli_format("%s", value != 0 ? "true" : "false");
	case OPTION_CHOICE:
		for (; value > 0; value--)
			word += strcspn(word, "|") + 1;
		return cli_format("%.*s", (int)strcspn(word, "|"), word);
	default:
		return cli_format("%llu", (unsigned long long)value);
	}
}

/* What hot_bytes:auto comes to, and why. */
static void option_hot_bytes(struct option_state *o) {
	struct birth_facts facts;
	char size[CLI_SIZE];

	if (option(hot_bytes) != OPTION_AUTO)
		return;
	birth_look(&facts);
	o->number = birth_hot_bytes();
	if (facts.alike)
		o->reason = cli_format("auto is %s here: %s, so small pages pay as far as the TLB covers them",
		    cli_size(size, o->number),
		    facts.nodes == 1 ? "there is one memory node" : "all memory nodes are alike");
	else
		o->reason =
		    cli_format("auto is %s here, now: the free memory of the nodes that have CPUs, out of %u nodes",
			cli_size(size, o->number), facts.nodes);
}

/* The most arenas that cold_arenas:0 makes; see src/alloc/cold.c. */
#define COLD_ARENAS_AUTO 8

static void option_cold_arenas(struct option_state *o) {
	if (option(cold_arenas) != 0)
		return;
	unsigned cpus = os_cpus();
	o->number = cpus < COLD_ARENAS_AUTO ? cpus : COLD_ARENAS_AUTO;
	o->reason = cli_format("0 is %u here: %u CPU%s", (unsigned)o->number, cpus, cpus == 1 ? "" : "s");
}

void check_options(struct doctor *d) {
	const struct {
		const char *from, *conf;
	} sources[] = {{ENVIRONMENT, getenv(ENVIRONMENT)}, {"--conf", d->conf}};
	uint64_t values[OPTION_COUNT];
	size_t before = d->count;
	unsigned set = 0;

	options_doctor = d;
	options_reset();
	memcpy(values, option_values, sizeof(values));
	for (int i = 0; i < OPTION_COUNT; i++)
		d->options[i].from = "default";
	for (size_t s = 0; s < sizeof(sources) / sizeof(sources[0]); s++) {
		/* No option can have this value, so what is different afterwards was set by this source. */
		for (int i = 0; i < OPTION_COUNT; i++)
			option_values[i] = OPTION_AUTO - 1;
		if (sources[s].conf != NULL)
			options_parse(sources[s].conf, os_memory_bytes(), option_wrong);
		for (int i = 0; i < OPTION_COUNT; i++) {
			if (option_values[i] == OPTION_AUTO - 1)
				continue;
			values[i] = option_values[i];
			d->options[i].from = sources[s].from;
		}
	}
	memcpy(option_values, values, sizeof(values));
	for (int i = 0; i < OPTION_COUNT; i++) {
		d->options[i].number = values[i];
		d->options[i].value = option_value(&option_table[i], values[i]);
		set += strcmp(d->options[i].from, "default") != 0;
	}
	option_hot_bytes(&d->options[OPTION_hot_bytes]);
	option_cold_arenas(&d->options[OPTION_cold_arenas]);
	if (d->count == before) {
		doctor_add(d, MARK_OK, "options", "%u set, the rest at their defaults; listed below", set);
	} else if (option(abort_conf)) {
		doctor_fatal(d);
		doctor_follows(d, "abort_conf is true, so programs end at once");
	}
}

/* --- the library --- */

/* What the library says of itself when it starts in a program: "version 0.1.0: hot tier 6m (auto), ..." */
struct trial {
	int status;      /* of the program, as wait(2) has it; -1 if it did not end in time */
	char said[512];  /* the first line that is the library's; empty if it was not loaded */
	char other[512]; /* the first line that is not, from the dynamic linker for one */
};

static void trial_child(const char *library, const char *conf, int out, const struct program *program) {
	char *options =
	    cli_format("%s%slog:info", conf != NULL ? conf : "", conf != NULL && *conf != '\0' ? "," : "");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	char *why = library_environment(library, options);
	if (why != NULL) {
		cli_error("%s", why);
		_exit(CLI_REFUSED);
	}
	execl(program->path, program->path, "--version", (char *)NULL);
	cli_error("%s: %s", program->path, strerror(errno));
	_exit(CLI_REFUSED);
}

static void trial_line(struct trial *t, const char *line) {
	static const char ours[] = "tiermalloc: ";
	if (strncmp(line, ours, strlen(ours)) == 0 && strncmp(line + strlen(ours), "version ", 8) == 0)
		snprintf(t->said, sizeof(t->said), "%s", line + strlen(ours));
	else if (t->other[0] == '\0')
		snprintf(t->other, sizeof(t->other), "%s", line);
}

static bool trial_run(struct trial *t, const char *library, const char *conf, const struct program *program) {
	char text[4096], *rest;
	size_t have = 0;
	int ends[2];

	*t = (struct trial){.status = -1};
	fflush(stdout);
	if (pipe2(ends, O_CLOEXEC) != 0)
		return false;
	pid_t pid = fork();
	if (pid < 0) {
		close(ends[0]);
		close(ends[1]);
		return false;
	}
	if (pid == 0)
		trial_child(library, conf, ends[1], program);
	close(ends[1]);
	uint64_t until = os_now_ms() + TRIAL_MS;
	for (;;) {
		struct pollfd ready = {.fd = ends[0], .events = POLLIN};
		uint64_t now = os_now_ms();
		if (now >= until || have + 1 >= sizeof(text) || poll(&ready, 1, (int)(until - now)) <= 0)
			break;
		ssize_t n = read(ends[0], text + have, sizeof(text) - 1 - have);
		if (n <= 0)
			break;
		have += (size_t)n;
	}
	text[have] = '\0';
	close(ends[0]);
	if (os_now_ms() >= until)
		kill(pid, SIGKILL);
	int status;
	if (waitpid(pid, &status, 0) == pid && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		t->status = status;
	for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
		trial_line(t, line);
	return true;
}

/* A small program to preload into: true(1), or this command where that cannot be (it is static in busybox). */
static void trial_program(struct program *program) {
	if (!program_check("true", program))
		snprintf(program->path, sizeof(program->path), "/proc/self/exe");
}

void check_library(struct doctor *d) {
	struct program program;
	struct trial trial;
	char *why, *library = library_find(d->library, &why);

	if (library == NULL) {
		doctor_add(d, MARK_MISSING, "library", "%s", why);
		doctor_follows(d, "nothing can be run with it");
		doctor_command(d, "make install");
		doctor_fatal(d);
		free(why);
		return;
	}
	trial_program(&program);
	bool tried = trial_run(&trial, library, d->conf, &program);
	const char *colon = strchr(trial.said, ':');
	if (!tried) {
		doctor_add(d, MARK_NOTE, "library", "%s; not tried: no process could be started", library);
	} else if (colon == NULL) {
		doctor_add(d, MARK_MISSING, "library", "%s is not loaded into a program: %s", library,
		    trial.other[0] != '\0' ? trial.other : "no reason is given");
		doctor_follows(d, "programs would run without it");
		doctor_fatal(d);
	} else if (trial.status != 0) {
		doctor_add(d, MARK_MISSING, "library", "%s is loaded, but %s does not end well with it", library,
		    program.path);
		doctor_follows(d, "%s", trial.other[0] != '\0' ? trial.other : "no reason is given");
		doctor_fatal(d);
	} else {
		bool plain = strstr(colon, "plain jemalloc") != NULL;
		doctor_add(d, plain ? MARK_MISSING : MARK_OK, "library", "%s, %.*s, %s", library,
		    (int)(colon - trial.said), trial.said,
		    plain ? "is loaded, but without tiers" : "works when preloaded");
		doctor_follows(d, "it says: %s", colon + 2);
	}
	free(library);
}
