/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `tiermalloc doctor`: runs the table of checks, collects what they find, and prints it as text or JSON.
 * Knows nothing about what is checked. A check never ends the command and never prints: in a container where it may
 * not look, it says so in a finding.
 */
#include "cli/doctor.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "tiermalloc.h"

#define SCHEMA 1

static const struct check checks[] = {
    {"Set-up", "options", check_options, false},
    {"Set-up", "library", check_library, false},
    {"Kernel", "version", check_version, false},
    {"Kernel", "pagemap_scan", check_scan, false},
    {"Kernel", "keeper", check_keeper, false},
    {"Kernel", "yama", check_yama, false},
    {"Huge pages", "thp_enabled", check_thp, false},
    {"Huge pages", "thp_defrag", check_defrag, false},
    {"Huge pages", "khugepaged", check_khugepaged, false},
    {"Huge pages", "thp_disable", check_thp_disable, false},
    {"Huge pages", "thp_fault", check_fault, false},
    {"Huge pages", "madv_collapse", check_collapse, false},
    {"Limits", "overcommit", check_overcommit, false},
    {"Limits", "max_map_count", check_map_count, false},
    {"Limits", "rlimit_as", check_address_space, false},
    {"Limits", "rlimit_memlock", check_memlock, false},
    {"Limits", "cgroup_memory", check_cgroup, false},
    {"Machine", "nodes", check_nodes, false},
    {"Machine", "memory_tiers", check_memory_tiers, false},
    {"Machine", "tlb", check_tlb, false},
    {"Machine", "caches", check_caches, false},
    {"Costs of moves (not used by this version)", "costs", check_costs, true},
    {"Costs of moves (not used by this version)", "break_even", check_break_even, true},
    {"Sensor", "userfaultfd", check_userfaultfd, false},
    {"Sensor", "uffdio_move", check_move, false},
    {"Sensor", "sensor", check_sensor, false},
    {"Not used by this version", "access_tracking", check_tracking, true},
    {"Not used by this version", "pmu", check_pmu, true},
    {"Not used by this version", "access_samples", check_samples, true},
};
#define CHECKS (sizeof(checks) / sizeof(checks[0]))

static const char *const mark_names[] = {"ok", "note", "missing"};

/* --- findings --- */

static char *format_args(const char *format, va_list args) {
	char text[2048];
	vsnprintf(text, sizeof(text), format, args);
	return cli_format("%s", text);
}

void doctor_add(struct doctor *d, enum mark mark, const char *name, const char *what, ...) {
	va_list args;
	struct finding *more = cli_alloc(d->count + 1, sizeof(*more));
	if (d->count > 0)
		memcpy(more, d->findings, d->count * sizeof(*more));
	free(d->findings);
	d->findings = more;
	va_start(args, what);
	more[d->count++] = (struct finding){
	    .check = d->check,
	    .mark = mark,
	    .name = cli_format("%s", name),
	    .what = format_args(what, args),
	};
	va_end(args);
}

static struct finding *last_finding(struct doctor *d) {
	return &d->findings[d->count - 1];
}

void doctor_follows(struct doctor *d, const char *format, ...) {
	va_list args;
	va_start(args, format);
	free(last_finding(d)->follows);
	last_finding(d)->follows = format_args(format, args);
	va_end(args);
}

void doctor_command(struct doctor *d, const char *format, ...) {
	va_list args;
	va_start(args, format);
	free(last_finding(d)->command);
	last_finding(d)->command = format_args(format, args);
	va_end(args);
}

void doctor_fact(struct doctor *d, const char *key, double value) {
	struct finding *f = last_finding(d);
	if (f->facts == NULL)
		f->facts = cJSON_CreateObject();
	cJSON_AddNumberToObject(f->facts, key, value);
}

void doctor_fatal(struct doctor *d) {
	last_finding(d)->fatal = true;
}

bool doctor_number(const char *path, uint64_t *out) {
	char text[64], *end;
	if (cli_file(path, text, sizeof(text)) <= 0)
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return end != text && errno == 0;
}

const char *doctor_sudo(void) {
	return geteuid() == 0 ? "" : "sudo ";
}

static int doctor_status(const struct doctor *d) {
	int status = CLI_OK;
	for (size_t i = 0; i < d->count; i++) {
		if (d->findings[i].fatal)
			return CLI_WRONG;
		if (d->findings[i].mark != MARK_OK && !d->findings[i].check->later)
			status = CLI_LESS;
	}
	return status;
}

static const char *status_text(int status) {
	return status == CLI_OK  ? "tiermalloc has all it can use here"
	    : status == CLI_LESS ? "tiermalloc works here, with the limits marked above"
				 : "tiermalloc cannot work here: see what is marked above";
}

/* --- text --- */

#define INDENT 9 /* the mark and a space */

struct page {
	unsigned width;
	bool colour;
};

/* SGR codes: green, yellow, red; bold; faint. */
static const char *const mark_colours[] = {"32", "33", "31"};

static void print_coloured(const struct page *page, const char *code, const char *text) {
	if (page->colour)
		printf("\033[%sm%s\033[0m", code, text);
	else
		fputs(text, stdout);
}

/* Prints words, broken into lines that start at `indent`; `at` is the column where the cursor is. */
static void print_wrapped(const struct page *page, const char *text, unsigned indent, unsigned at) {
	while (*text != '\0') {
		size_t word = strcspn(text, " ");
		if (at > indent && at + 1 + word > page->width) {
			printf("\n%*s", (int)indent, "");
			at = indent;
		} else if (at > indent) {
			putchar(' ');
			at++;
		}
		printf("%.*s", (int)word, text);
		at += (unsigned)word;
		text += word;
		text += strspn(text, " ");
	}
	putchar('\n');
}

static void print_finding(const struct page *page, const struct finding *f) {
	char mark[INDENT + 1];
	snprintf(mark, sizeof(mark), "%-*s", INDENT - 1, mark_names[f->mark]);
	putchar(' ');
	print_coloured(page, mark_colours[f->mark], mark);
	print_coloured(page, "1", f->name);
	putchar(':');
	print_wrapped(page, f->what, INDENT + 2, INDENT + 1 + (unsigned)strlen(f->name));
	if (f->follows != NULL) {
		printf("%*s", INDENT + 2, "");
		print_wrapped(page, f->follows, INDENT + 2, INDENT + 2);
	}
	if (f->command != NULL) {
		printf("%*s", INDENT + 2, "");
		print_coloured(page, "36", "$ ");
		print_coloured(page, "36", f->command);
		putchar('\n');
	}
}

static void print_options(const struct doctor *d, const struct page *page) {
	print_coloured(page, "1", "Options in force");
	printf("\n %-16s %-9s %-9s %-16s %s\n", "name", "value", "default", "set by", "accepted");
	for (int i = 0; i < OPTION_COUNT; i++) {
		const struct option_info *info = &option_table[i];
		const struct option_state *o = &d->options[i];
		char name[32];
		snprintf(name, sizeof(name), "%-16s", info->name);
		putchar(' ');
		print_coloured(page, "1", name);
		printf(" %-9s %-9s %-16s %s\n", o->value, info->initial, o->from, info->accepted);
		printf("%*s", INDENT + 2, "");
		print_wrapped(page, info->meaning, INDENT + 2, INDENT + 2);
		if (o->reason != NULL) {
			printf("%*s", INDENT + 2, "");
			print_wrapped(page, o->reason, INDENT + 2, INDENT + 2);
		}
	}
}

static void print_text(const struct doctor *d, int status) {
	const char *plain = getenv("NO_COLOR"), *term = getenv("TERM"), *group = "";
	struct page page = {.width = 100};
	struct winsize size;

	if (isatty(STDOUT_FILENO)) {
		page.colour = (plain == NULL || *plain == '\0') && (term == NULL || strcmp(term, "dumb") != 0);
		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
			page.width = size.ws_col < 118 ? size.ws_col : 118;
	}
	for (size_t i = 0; i < d->count; i++) {
		if (strcmp(group, d->findings[i].check->group) != 0) {
			if (*group != '\0')
				putchar('\n');
			group = d->findings[i].check->group;
			print_coloured(&page, "1", group);
			putchar('\n');
		}
		print_finding(&page, &d->findings[i]);
	}
	putchar('\n');
	print_options(d, &page);
	printf("\n%s\n", status_text(status));
}

/* --- JSON --- */

static void json_text(cJSON *o, const char *key, const char *text) {
	if (text != NULL)
		cJSON_AddStringToObject(o, key, text);
	else
		cJSON_AddNullToObject(o, key);
}

static void print_json(const struct doctor *d, int status) {
	cJSON *root = cJSON_CreateObject(), *list = cJSON_CreateArray(), *options = cJSON_CreateArray();

	cJSON_AddNumberToObject(root, "schema", SCHEMA);
	cJSON_AddNumberToObject(root, "status", status);
	cJSON_AddStringToObject(root, "summary", status_text(status));
	cJSON_AddItemToObject(root, "checks", list);
	cJSON_AddItemToObject(root, "options", options);
	for (size_t i = 0; i < d->count; i++) {
		const struct finding *f = &d->findings[i];
		cJSON *o = cJSON_CreateObject();
		json_text(o, "id", f->check->id);
		json_text(o, "group", f->check->group);
		json_text(o, "mark", mark_names[f->mark]);
		cJSON_AddBoolToObject(o, "counts", !f->check->later);
		json_text(o, "name", f->name);
		json_text(o, "what", f->what);
		json_text(o, "follows", f->follows);
		json_text(o, "command", f->command);
		if (f->facts != NULL)
			cJSON_AddItemToObject(o, "facts", cJSON_Duplicate(f->facts, true));
		cJSON_AddItemToArray(list, o);
	}
	for (int i = 0; i < OPTION_COUNT; i++) {
		const struct option_info *info = &option_table[i];
		cJSON *o = cJSON_CreateObject();
		json_text(o, "name", info->name);
		json_text(o, "value", d->options[i].value);
		if (d->options[i].number == OPTION_AUTO)
			cJSON_AddNullToObject(o, "number");
		else
			cJSON_AddNumberToObject(o, "number", (double)d->options[i].number);
		json_text(o, "reason", d->options[i].reason);
		json_text(o, "from", d->options[i].from);
		json_text(o, "default", info->initial);
		json_text(o, "accepted", info->accepted);
		json_text(o, "meaning", info->meaning);
		cJSON_AddItemToArray(options, o);
	}
	char *text = cJSON_Print(root);
	puts(text != NULL ? text : "{}");
	free(text);
	cJSON_Delete(root);
}

/* --- the command --- */

static void doctor_end(struct doctor *d) {
	for (size_t i = 0; i < d->count; i++) {
		free(d->findings[i].name);
		free(d->findings[i].what);
		free(d->findings[i].follows);
		free(d->findings[i].command);
		cJSON_Delete(d->findings[i].facts);
	}
	free(d->findings);
	for (int i = 0; i < OPTION_COUNT; i++) {
		free(d->options[i].value);
		free(d->options[i].reason);
	}
}

struct doctor_arguments {
	struct doctor doctor;
	bool json;
};

static error_t doctor_option(int key, char *arg, struct argp_state *state) {
	struct doctor_arguments *a = state->input;
	switch (key) {
	case 'j':
		a->json = true;
		return 0;
	case 'c':
		a->doctor.conf = arg;
		return 0;
	case 'l':
		a->doctor.library = arg;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "%s: doctor takes no arguments", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int doctor_main(int argc, char **argv) {
	static const struct argp_option options[] = {
	    {"json", 'j', NULL, 0, "print JSON", 0},
	    {"conf", 'c', "KEY:VALUE,...", 0, "options to look at, added to TIERMALLOC_CONF", 0},
	    {"library", 'l', "PATH", 0, "the library to try instead of the one beside this command", 0},
	    {0},
	};
	static const struct argp parser = {
	    .options = options,
	    .parser = doctor_option,
	    .doc =
		"Says what this machine gives tiermalloc, what follows from it, and which command would give it "
		"more. "
		"Changes nothing."
		"\vThe exit status is 0 if everything works, 1 if tiermalloc works with less, 2 if it cannot work.",
	};
	struct doctor_arguments a = {0};

	if (argp_parse(&parser, argc, argv, 0, NULL, &a) != 0)
		return CLI_WRONG;
	/* A check that opens a file must not get the number of a standard stream that was closed. */
	int null;
	do
		null = open("/dev/null", O_RDWR);
	while (null >= 0 && null <= STDERR_FILENO);
	if (null >= 0)
		close(null);
	if (a.doctor.conf != NULL && cli_options(a.doctor.conf) > 0)
		return CLI_WRONG;
	for (size_t i = 0; i < CHECKS; i++) {
		a.doctor.check = &checks[i];
		checks[i].run(&a.doctor);
	}
	int status = doctor_status(&a.doctor);
	if (a.json)
		print_json(&a.doctor, status);
	else
		print_text(&a.doctor, status);
	doctor_end(&a.doctor);
	return status;
}
