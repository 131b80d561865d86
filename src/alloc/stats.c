/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Statistics, and the calls of glibc that give or act on them: mallinfo, mallinfo2, malloc_info, malloc_stats,
 * malloc_trim, mallopt. Any thread. They ask jemalloc and the kernel afresh, so what they say is true at that moment;
 * that takes microseconds to milliseconds and is not for hot paths.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "alloc/abi.h"
#include "alloc/boot.h"
#include "alloc/cold.h"
#include "alloc/report.h"
#include "os/os.h"
#include "tiers/pager.h"
#include "tiers/region_table.h"

static size_t ctl_size(const char *name) {
	size_t value = 0, bytes = sizeof(value);
	return tmje_mallctl(name, &value, &bytes, NULL, 0) == 0 ? value : 0;
}

static void ctl_refresh(void) {
	uint64_t epoch = 1;
	tmje_mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
}

static void stats_fill(struct tm_stats *s) {
	ctl_refresh();
	s->version = TM_STATS_VERSION;
	s->size = sizeof(*s);
	s->allocated = ctl_size("stats.allocated");
	s->active = ctl_size("stats.active");
	s->metadata = ctl_size("stats.metadata");
	s->hot_limit = tm_process.hot_limit;
	region_verify(~0u);
	for (int t = 0; t < TM_TIERS; t++) {
		s->tier[t].regions = count_get(&tm_process.regions[t]);
		s->tier[t].committed = count_get(&tm_process.committed[t]);
		s->class_committed[t] = count_get(&tm_process.class_committed[t]);
		s->born[t] = count_get(&tm_process.born[t]);
		s->metadata += (zone_carved(t) >> REGION_SHIFT) * sizeof(struct region);
	}
	/* What is away for a moment is in its region all the same. */
	pager_hold();
	region_survey(s);
	pager_release();
	s->huge_denied = count_get(&tm_process.huge_denied);
	s->huge_retried = count_get(&tm_process.huge_retried);
	s->huge_gained = count_get(&tm_process.huge_gained);
	s->huge_broken = count_get(&tm_process.huge_broken);
	s->returned = count_get(&tm_process.returned);
	s->overflow = count_get(&tm_process.overflow);
	s->foreign = count_get(&tm_process.foreign);
	s->vma_limited = count_get(&tm_process.vma_limited);
	s->huge_split = count_get(&tm_process.huge_split);
	s->huge_shared = count_get(&tm_process.huge_shared);
	s->keeper_us = count_get(&tm_process.keeper_us);
	s->keeper_wakes = count_get(&tm_process.keeper_wakes);
	s->keeper = count_get(&tm_process.keeper);
	s->pager = count_get(&tm_process.pager);
	s->pager_us = count_get(&tm_process.pager_us);
	s->pager_wakes = count_get(&tm_process.pager_wakes);
	s->probes = count_get(&tm_process.probes);
	s->probe_hits = count_get(&tm_process.probe_hits);
	s->probe_ns = count_get(&tm_process.probe_ns);
	s->probe_busy = count_get(&tm_process.probe_busy);
	s->probe_refused = count_get(&tm_process.probe_refused);
	s->probe_copied = count_get(&tm_process.probe_copied);
	s->pager_unwatched = count_get(&tm_process.pager_unwatched);
	s->pager_forks = count_get(&tm_process.pager_forks);
	s->hold_us = count_get(&tm_process.hold_us);
	s->hold_most_us = count_get(&tm_process.hold_most_us);
}

EXPORT int tm_stats(struct tm_stats *out, size_t size) {
	struct tm_stats s = {0};
	if (out == NULL || size < offsetof(struct tm_stats, allocated))
		return -EINVAL;
	stats_fill(&s);
	if (s.size > size)
		s.size = (uint32_t)size;
	memset(out, 0, size);
	memcpy(out, &s, s.size);
	return 0;
}

static void line_tier(struct text *out, const char *name, const struct tm_tier_stats *t) {
	text_add(out, name);
	text_add(out, " tier: ");
	text_add_number(out, t->regions);
	text_add(out, " regions, ");
	text_add_size(out, t->committed);
	text_add(out, " in use, ");
	text_add_size(out, t->resident);
	text_add(out, " resident, ");
	text_add_size(out, t->huge);
	text_add(out, " on huge pages");
}

static void line_print(char *line, struct text *out) {
	*out->at++ = '\n';
	os_write(2, line, (size_t)(out->at - line));
}

void stats_report(void) {
	struct tm_stats s = {0};
	char line[320];

	stats_fill(&s);
	struct text out = text_in(line, sizeof(line));
	text_add(&out, "tiermalloc ");
	text_add(&out, tm_version());
	text_add(&out, ": ");
	text_add_size(&out, s.allocated);
	text_add(&out, " allocated, ");
	text_add_size(&out, s.active);
	text_add(&out, " in pages with live blocks, ");
	text_add_size(&out, s.metadata);
	text_add(&out, " of records");
	line_print(line, &out);
	out = text_in(line, sizeof(line));
	line_tier(&out, "  hot ", &s.tier[TM_HOT]);
	text_add(&out, ", limit ");
	text_add_size(&out, s.hot_limit);
	line_print(line, &out);
	out = text_in(line, sizeof(line));
	line_tier(&out, "  cold", &s.tier[TM_COLD]);
	text_add(&out, ", ");
	text_add_size(&out, s.stale);
	text_add(&out, " unused in them");
	line_print(line, &out);
	out = text_in(line, sizeof(line));
	text_add(&out, "  huge pages: ");
	text_add_number(&out, s.huge_denied);
	text_add(&out, " not given, ");
	text_add_number(&out, s.huge_retried);
	text_add(&out, " asked for again, ");
	text_add_number(&out, s.huge_gained);
	text_add(&out, " of them given, ");
	text_add_number(&out, s.huge_broken);
	text_add(&out, " broken up; ");
	text_add_size(&out, s.returned);
	text_add(&out, " returned, ");
	text_add_size(&out, s.overflow);
	text_add(&out, " outside the zones, ");
	text_add_number(&out, s.foreign);
	text_add(&out, " foreign pointers");
	line_print(line, &out);
	if (s.keeper == 0)
		return;
	out = text_in(line, sizeof(line));
	text_add(&out, "  keeper: ");
	text_add_number(&out, s.keeper_us / 1000);
	text_add(&out, " ms of processor time in ");
	text_add_number(&out, s.keeper_wakes);
	text_add(&out, " rounds; ");
	text_add_number(&out, s.huge_split);
	text_add(&out, " huge pages found split, ");
	text_add_number(&out, s.huge_shared);
	text_add(&out, " times left for a forked child's sake");
	line_print(line, &out);
}

EXPORT void malloc_stats(void) {
	stats_report();
}

EXPORT int malloc_trim(size_t pad) {
	(void)pad; /* jemalloc has no top of the heap to leave room at */
	uint64_t before = count_get(&tm_process.returned);
	cold_flush();
	tmje_mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
	tmje_mallctl("arena." MALLCTL_ARENAS_ALL ".purge", NULL, NULL, NULL, 0);
	return count_get(&tm_process.returned) != before;
}

/*
 * glibc's parameters describe glibc's heap; none has a counterpart that could be changed now. 0 says "not done",
 * which is the truth; options of TIERMALLOC_CONF and MALLOC_CONF do what can be done.
 */
EXPORT int mallopt(int parameter, int value) {
	(void)parameter;
	(void)value;
	return 0;
}

EXPORT struct mallinfo2 mallinfo2(void) {
	ctl_refresh();
	size_t allocated = ctl_size("stats.allocated"), mapped = ctl_size("stats.mapped");
	size_t retained = 0;
	for (int t = 0; t < TM_TIERS; t++)
		retained += count_get(&tm_process.committed[t]);
	size_t held = retained + count_get(&tm_process.overflow);
	if (held < allocated)
		held = mapped;
	return (struct mallinfo2){
	    .arena = held,                /* bytes obtained from the kernel for blocks */
	    .uordblks = allocated,        /* bytes in live blocks */
	    .fordblks = held - allocated, /* the difference: free, or lost to rounding */
	    .keepcost =
		held > ctl_size("stats.active") ? held - ctl_size("stats.active") : 0, /* malloc_trim could return */
	};
}

EXPORT struct mallinfo mallinfo(void) {
	struct mallinfo2 wide = mallinfo2();
	/* The old struct wraps around at 4 GiB in glibc; a largest value is less of a lie. */
	const size_t most = 0x7fffffff;
	return (struct mallinfo){
	    .arena = (int)(wide.arena < most ? wide.arena : most),
	    .uordblks = (int)(wide.uordblks < most ? wide.uordblks : most),
	    .fordblks = (int)(wide.fordblks < most ? wide.fordblks : most),
	    .keepcost = (int)(wide.keepcost < most ? wide.keepcost : most),
	};
}

static void info_tier(FILE *out, const char *name, const struct tm_tier_stats *t) {
	fprintf(out, "<tier name=\"%s\" regions=\"%lu\" committed=\"%lu\" resident=\"%lu\" huge=\"%lu\"/>\n", name,
	    (unsigned long)t->regions, (unsigned long)t->committed, (unsigned long)t->resident,
	    (unsigned long)t->huge);
}

EXPORT int malloc_info(int options, FILE *out) {
	struct tm_stats s = {0};
	if (options != 0)
		return EINVAL;
	stats_fill(&s);
	/* The form of glibc's document, version 1, with what has a meaning here. */
	fprintf(out, "<malloc version=\"1\">\n<allocator name=\"tiermalloc\" version=\"%s\"/>\n", tm_version());
	info_tier(out, "hot", &s.tier[TM_HOT]);
	info_tier(out, "cold", &s.tier[TM_COLD]);
	fprintf(out, "<system type=\"current\" size=\"%lu\"/>\n",
	    (unsigned long)(s.tier[TM_HOT].committed + s.tier[TM_COLD].committed + s.overflow));
	fprintf(out, "<total type=\"allocated\" size=\"%lu\"/>\n<total type=\"active\" size=\"%lu\"/>\n",
	    (unsigned long)s.allocated, (unsigned long)s.active);
	fprintf(out, "<total type=\"metadata\" size=\"%lu\"/>\n<total type=\"returned\" size=\"%lu\"/>\n</malloc>\n",
	    (unsigned long)s.metadata, (unsigned long)s.returned);
	return 0;
}
