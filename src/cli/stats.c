/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `tiermalloc stats PID`: where the heap of a running program is. Puts together what the program counts (tm_process
 * and its region table) and what the kernel says about those pages. The program is neither stopped nor asked.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "cli/process.h"
#include "os/os.h"
#include "os/pages.h"
#include "tiers/region.h"

#define SCHEMA      1
#define CHUNK_BYTES ((size_t)64 << 10)

struct stats {
	struct process process;
	uint64_t rss;
	uint64_t free, hot, kept, sparse, changing; /* regions by state */
	uint64_t stale;                             /* bytes */
	struct pages_count pages[TM_TIERS];
	bool by_mapping; /* from smaps: a mapping is counted as one, by the tier of its first region */
};

/* The state of each carved region, by class. */
struct states {
	unsigned char *of[TM_TIERS];
	size_t count[TM_TIERS];
};

static enum tm_tier tier_of(enum tm_region_state state) {
	switch (state) {
	case TM_REGION_HOT:
		return TM_HOT;
	case TM_REGION_COLD:
	case TM_REGION_SPARSE:
	case TM_REGION_BREAK:
	case TM_REGION_MEND:
	case TM_REGION_PROBE:
		return TM_COLD;
	default:
		return TM_NONE;
	}
}

static enum tm_region_state stats_word(struct stats *s, uint64_t word) {
	enum tm_region_state state = (enum tm_region_state)TM_REGION_STATE(word);
	switch (state) {
	case TM_REGION_FREE:
		s->free++;
		break;
	case TM_REGION_HOT:
		s->hot++;
		break;
	case TM_REGION_COLD:
		s->kept++;
		break;
	case TM_REGION_SPARSE:
		s->sparse++;
		break;
	case TM_REGION_PROBE: /* the kernel finds its huge page elsewhere */
		s->kept++;
		s->pages[TM_COLD].resident += TM_REGION_BYTES;
		s->pages[TM_COLD].huge += TM_REGION_BYTES;
		break;
	default:
		s->changing++;
		break;
	}
	if (tier_of(state) == TM_COLD && (word & REGION_HUGE) && TM_REGION_LIVE(word) <= REGION_PAGES)
		s->stale += (REGION_PAGES - TM_REGION_LIVE(word)) * OS_PAGE;
	return state;
}

/* Reads the state words of one class; 0 or -errno. */
static int stats_words(struct stats *s, enum tm_tier class, struct states *states) {
	const struct tm_process *at = &s->process.at;
	size_t first = (at->zone[class].base - at->zone[0].base) >> REGION_SHIFT;
	size_t count = at->zone[class].carved >> REGION_SHIFT, step = CHUNK_BYTES / at->stride;
	char *chunk = cli_alloc(1, CHUNK_BYTES);
	int e = 0;

	if (step == 0)
		step = 1;
	states->of[class] = cli_alloc(count, 1);
	states->count[class] = count;
	for (size_t i = 0; e == 0 && i < count; i += step) {
		size_t n = step < count - i ? step : count - i;
		/* Up to the last word, not to the end of its entry. */
		e = process_read(&s->process, at->table + (first + i) * at->stride, chunk,
		    (n - 1) * at->stride + sizeof(uint64_t));
		for (size_t k = 0; e == 0 && k < n; k++) {
			uint64_t word;
			memcpy(&word, chunk + k * at->stride, sizeof(word));
			states->of[class][i + k] = (unsigned char)stats_word(s, word);
		}
	}
	free(chunk);
	return e;
}

/* Asks the kernel about each run of regions in one tier. */
static int stats_scan(struct stats *s, enum tm_tier class, const struct states *states) {
	uintptr_t base = s->process.at.zone[class].base;
	const unsigned char *of = states->of[class];

	for (size_t i = 0, end; i < states->count[class]; i = end) {
		enum tm_tier tier = tier_of(of[i]);
		for (end = i + 1; end < states->count[class] && tier_of(of[end]) == tier; end++)
			;
		if (tier == TM_NONE)
			continue;
		int e = pages_scan(
		    s->process.pid, base + (i << REGION_SHIFT), base + (end << REGION_SHIFT), &s->pages[tier]);
		if (e != 0)
			return e;
	}
	return 0;
}

struct by_mapping {
	struct stats *stats;
	const struct states *states;
};

static void stats_mapping(void *arg, uintptr_t from, uintptr_t to, const struct pages_count *count) {
	const struct by_mapping *m = arg;
	const struct tm_process *at = &m->stats->process.at;
	(void)to;
	for (int class = 0; class < TM_TIERS; class ++) {
		size_t i = (from - at->zone[class].base) >> REGION_SHIFT;
		if (from < at->zone[class].base || i >= m->states->count[class])
			continue;
		enum tm_tier tier = tier_of(m->states->of[class][i]);
		if (tier == TM_NONE)
			tier = count->huge > 0 ? TM_COLD : TM_HOT;
		m->stats->pages[tier].resident += count->resident;
		m->stats->pages[tier].huge += count->huge;
	}
}

/* NULL, or why it cannot be told; that is the caller's to free. */
static char *stats_take(struct stats *s, int pid) {
	struct states states = {0};

	*s = (struct stats){0};
	char *why = process_find(&s->process, pid);
	if (why != NULL)
		return why;
	int e = process_resident(&s->process, &s->rss);
	for (int class = 0; e == 0 && class < TM_TIERS; class ++)
		e = stats_words(s, class, &states);
	for (int class = 0; e == 0 && class < TM_TIERS; class ++)
		e = stats_scan(s, class, &states);
	if (e == -ENOTTY) {
		const struct tm_process *at = &s->process.at;
		struct by_mapping m = {s, &states};
		memset(s->pages, 0, sizeof(s->pages));
		s->by_mapping = true;
		e = pages_smaps(
		    pid, at->zone[0].base, at->zone[TM_COLD].base + at->zone[TM_COLD].bytes, stats_mapping, &m);
	}
	for (int class = 0; class < TM_TIERS; class ++)
		free(states.of[class]);
	return e != 0 ? process_why(&s->process, e) : NULL;
}

/* --- printing --- */

static void print_tier(
    const char *name, uint64_t regions, uint64_t committed, const struct pages_count *pages, const char *what) {
	char a[CLI_SIZE], b[CLI_SIZE], c[CLI_SIZE];
	printf("%-10s %9" PRIu64 " %12s %12s %14s%s%s\n", name, regions, cli_size(a, committed),
	    cli_size(b, pages->resident), cli_size(c, pages->huge), *what != '\0' ? "   " : "", what);
}

static void print_text(const struct stats *s) {
	const struct tm_process *at = &s->process.at;
	char a[CLI_SIZE], b[CLI_SIZE], what[128];
	uint64_t cold = s->kept + s->sparse;
	struct pages_count all = {
	    .resident = s->pages[TM_HOT].resident + s->pages[TM_COLD].resident,
	    .huge = s->pages[TM_HOT].huge + s->pages[TM_COLD].huge,
	};

	printf("%s, process %d: %s of memory, %s of it the heap\n\n", s->process.name, s->process.pid,
	    cli_size(a, s->rss), cli_size(b, all.resident));
	printf("%-10s %9s %12s %12s %14s\n", "tier", "regions", "in use", "in memory", "on huge pages");
	snprintf(what, sizeof(what), "small pages; has room for %s", cli_size(a, at->hot_limit));
	print_tier("hot", s->hot, at->committed[TM_HOT], &s->pages[TM_HOT], what);
	snprintf(what, sizeof(what), "%" PRIu64 " kept whole for huge pages, %" PRIu64 " sparse on small ones",
	    s->kept, s->sparse);
	print_tier("cold", cold, at->committed[TM_COLD], &s->pages[TM_COLD], what);
	print_tier("all", s->hot + cold, at->committed[TM_HOT] + at->committed[TM_COLD], &all,
	    s->by_mapping ? "by mapping: this kernel cannot tell by region" : "");
	printf("\n");
	printf("class of objects   hot %s in use, cold %s\n", cli_size(a, at->class_committed[TM_HOT]),
	    cli_size(b, at->class_committed[TM_COLD]));
	printf("stale              %s (unused, but part of huge pages that are in use)\n", cli_size(a, s->stale));
	printf("returned           %s (given back to the kernel since the start)\n", cli_size(a, at->returned));
	printf("born               %" PRIu64 " hot, %" PRIu64 " cold (regions, since the start)\n", at->born[TM_HOT],
	    at->born[TM_COLD]);
	printf("huge pages         %" PRIu64 " not given at first, asked again %" PRIu64 " times and got %" PRIu64
	       ", %" PRIu64 " broken up\n",
	    at->huge_denied, at->huge_retried, at->huge_gained, at->huge_broken);
	if (at->keeper != 0)
		printf("keeper             thread %" PRIu64 ", %.3f s of processor time in %" PRIu64
		       " rounds; %" PRIu64 " huge pages found split, %" PRIu64
		       " times left for a forked child's sake\n",
		    at->keeper, (double)at->keeper_us / 1e6, at->keeper_wakes, at->huge_split, at->huge_shared);
	if (at->pager != 0)
		printf("sensor             thread %" PRIu64 ", %.3f s of processor time; %" PRIu64
		       " regions watched, %" PRIu64 " of them accessed meanwhile, %" PRIu64 " refused\n",
		    at->pager, (double)at->pager_us / 1e6, at->probes, at->probe_hits,
		    at->probe_busy + at->probe_refused);
	if (s->changing > 0)
		printf("changing           %" PRIu64 " regions, at this moment\n", s->changing);
	if (at->overflow > 0)
		printf("overflow           %s outside the zones: the reservation is used up (option reserve)\n",
		    cli_size(a, at->overflow));
	if (at->foreign > 0)
		printf("foreign            %" PRIu64 " pointers passed to free that are not of this heap\n",
		    at->foreign);
	if (at->vma_limited > 0)
		printf("limited            %" PRIu64
		       " times a region stayed on small pages because of vm.max_map_count\n",
		    at->vma_limited);
}

static cJSON *json_object(cJSON *parent, const char *name) {
	cJSON *o = cJSON_CreateObject();
	cJSON_AddItemToObject(parent, name, o);
	return o;
}

static void json_number(cJSON *parent, const char *name, uint64_t value) {
	cJSON_AddNumberToObject(parent, name, (double)value);
}

static void print_json(const struct stats *s, bool one_line) {
	static const char *const names[TM_TIERS] = {"hot", "cold"};
	const struct tm_process *at = &s->process.at;
	const uint64_t regions[TM_TIERS] = {s->hot, s->kept + s->sparse};
	cJSON *root = cJSON_CreateObject(), *o;
	char base[24];

	json_number(root, "schema", SCHEMA);
	json_number(root, "pid", (uint64_t)s->process.pid);
	cJSON_AddStringToObject(root, "command", s->process.name);
	json_number(root, "time", (uint64_t)time(NULL));
	json_number(root, "rss", s->rss);
	json_number(root, "hot_limit", at->hot_limit);
	cJSON *tier = json_object(root, "tier"), *class = json_object(root, "class");
	for (int t = 0; t < TM_TIERS; t++) {
		o = json_object(tier, names[t]);
		json_number(o, "regions", regions[t]);
		json_number(o, "committed", at->committed[t]);
		json_number(o, "resident", s->pages[t].resident);
		json_number(o, "huge", s->pages[t].huge);
		json_number(o, "born", at->born[t]);
		o = json_object(class, names[t]);
		snprintf(base, sizeof(base), "0x%" PRIx64, at->zone[t].base);
		cJSON_AddStringToObject(o, "base", base);
		json_number(o, "committed", at->class_committed[t]);
		json_number(o, "carved", at->zone[t].carved);
		json_number(o, "reserved", at->zone[t].bytes);
	}
	o = json_object(root, "regions");
	json_number(o, "free", s->free);
	json_number(o, "hot", s->hot);
	json_number(o, "cold", s->kept);
	json_number(o, "sparse", s->sparse);
	json_number(o, "changing", s->changing);
	json_number(root, "stale", s->stale);
	o = json_object(root, "counters");
	json_number(o, "huge_denied", at->huge_denied);
	json_number(o, "huge_retried", at->huge_retried);
	json_number(o, "huge_gained", at->huge_gained);
	json_number(o, "huge_broken", at->huge_broken);
	json_number(o, "returned", at->returned);
	json_number(o, "overflow", at->overflow);
	json_number(o, "foreign", at->foreign);
	json_number(o, "vma_limited", at->vma_limited);
	json_number(o, "huge_split", at->huge_split);
	json_number(o, "huge_shared", at->huge_shared);
	o = json_object(root, "keeper");
	json_number(o, "thread", at->keeper);
	json_number(o, "cpu_us", at->keeper_us);
	json_number(o, "rounds", at->keeper_wakes);
	o = json_object(root, "sensor");
	json_number(o, "thread", at->pager);
	json_number(o, "cpu_us", at->pager_us);
	json_number(o, "wakes", at->pager_wakes);
	json_number(o, "probes", at->probes);
	json_number(o, "hits", at->probe_hits);
	json_number(o, "watched_ns", at->probe_ns);
	json_number(o, "busy", at->probe_busy);
	json_number(o, "refused", at->probe_refused);
	json_number(o, "copied", at->probe_copied);
	json_number(o, "unwatched", at->pager_unwatched);
	json_number(o, "forks", at->pager_forks);
	json_number(o, "hold_us", at->hold_us);
	json_number(o, "hold_most_us", at->hold_most_us);
	cJSON_AddStringToObject(root, "pages_from", s->by_mapping ? "smaps" : "pagemap");
	char *text = one_line ? cJSON_PrintUnformatted(root) : cJSON_Print(root);
	puts(text != NULL ? text : "{}");
	free(text);
	cJSON_Delete(root);
}

/* --- arguments --- */

struct stats_options {
	int pid;
	bool json;
	double watch; /* seconds; 0 for once */
};

static error_t stats_option(int key, char *arg, struct argp_state *state) {
	struct stats_options *o = state->input;
	char *end;
	switch (key) {
	case 'j':
		o->json = true;
		return 0;
	case 'w':
		o->watch = strtod(arg, &end);
		if (end == arg || *end != '\0' || !isfinite(o->watch) || o->watch < 0.1 || o->watch > 86400)
			argp_error(state, "--watch %s: expected seconds, 0.1 to 86400", arg);
		return 0;
	case ARGP_KEY_ARG: {
		long pid = strtol(arg, &end, 10);
		if (o->pid != 0)
			argp_error(state, "one PID at a time");
		if (end == arg || *end != '\0' || pid < 1 || pid > 1L << 22)
			argp_error(state, "%s: not a process id", arg);
		o->pid = (int)pid;
		return 0;
	}
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no PID given");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void stats_wait(double seconds) {
	struct timespec rest = {.tv_sec = (time_t)seconds};
	rest.tv_nsec = (long)((seconds - (double)rest.tv_sec) * 1e9);
	fflush(stdout);
	while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
		;
}

static int stats_show(const struct stats_options *o) {
	struct stats s;
	bool screen = isatty(STDOUT_FILENO) && !o->json;

	for (unsigned shown = 0;; shown++) {
		char *why = stats_take(&s, o->pid);
		if (why != NULL) {
			cli_error("%s", why);
			free(why);
			/* That a watched process ends is what usually ends the watching. */
			return shown > 0 && kill(o->pid, 0) != 0 && errno == ESRCH ? CLI_OK : CLI_LESS;
		}
		if (o->watch > 0 && screen)
			fputs("\033[H\033[J", stdout);
		else if (shown > 0 && !o->json)
			puts("");
		if (o->json)
			print_json(&s, o->watch > 0);
		else
			print_text(&s);
		if (o->watch <= 0 || ferror(stdout))
			return CLI_OK;
		stats_wait(o->watch);
	}
}

int stats_main(int argc, char **argv) {
	static const struct argp_option options[] = {
	    {"json", 'j', NULL, 0, "print JSON; with --watch one object to a line", 0},
	    {"watch", 'w', "SECONDS", 0, "print again and again, until the process ends", 0},
	    {0},
	};
	static const struct argp parser = {
	    .options = options,
	    .parser = stats_option,
	    .args_doc = "PID",
	    .doc =
		"Shows where the heap of a running program is: how much of it in which tier, and on which pages.\v"
		"A region is 2 MiB of heap. The hot tier is on small pages, the cold tier on huge pages. The program "
		"is not stopped. The exit status is 1 if the process cannot be read.",
	};
	struct stats_options o = {0};

	if (argp_parse(&parser, argc, argv, 0, NULL, &o) != 0)
		return CLI_WRONG;
	return stats_show(&o);
}
