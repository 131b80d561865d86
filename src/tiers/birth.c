/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The size of the hot tier from what the machine is. Runs once at start-up, before the first allocation, and in the
 * `tiermalloc` command; reads a few files of sysfs with src/os, no allocation.
 *
 * Where all memory is equally fast the hot tier buys nothing but TLB entries: small pages pay while the TLB holds
 * them all, beyond that a huge page reaches 512 times as far per entry.
 */
#include "tiers/birth.h"

#include <stdlib.h>
#include <string.h>

#include "coloring/geometry.h"
#include "os/os.h"

#define NODE_DIR "/sys/devices/system/node/"

/* Calls `each` for every number of a kernel list such as "0-3,8"; returns how many. */
static unsigned list_each(const char *list, void (*each)(void *arg, unsigned n), void *arg) {
	unsigned count = 0;
	while (*list >= '0' && *list <= '9') {
		char *end;
		unsigned long from = strtoul(list, &end, 10), to = from;
		if (*end == '-')
			to = strtoul(end + 1, &end, 10);
		for (unsigned long n = from; n <= to; n++, count++)
			if (each != NULL)
				each(arg, (unsigned)n);
		list = *end == ',' ? end + 1 : end;
	}
	return count;
}

#define NODES_MOST 1024 /* MAX_NUMNODES of x86-64 */
struct nodes {
	uint64_t bits[NODES_MOST / 64];
};

static void node_mark(void *arg, unsigned node) {
	struct nodes *nodes = arg;
	if (node < NODES_MOST)
		nodes->bits[node / 64] |= UINT64_C(1) << (node % 64);
}

static void node_free(void *arg, unsigned node) {
	char path[64] = NODE_DIR "node", digits[12], text[512];
	size_t at = strlen(path), n = 0;
	do
		digits[n++] = (char)('0' + node % 10);
	while ((node /= 10) != 0);
	while (n > 0)
		path[at++] = digits[--n];
	strcpy(path + at, "/meminfo");
	if (os_read_file(path, text, sizeof(text)) <= 0)
		return;
	const char *field = strstr(text, "MemFree:"); /* "Node 0 MemFree:  123 kB" */
	if (field != NULL)
		*(uint64_t *)arg += strtoull(field + strlen("MemFree:"), NULL, 10) << 10;
}

void birth_look(struct birth_facts *facts) {
	char memory[256], cpus[256];

	*facts = (struct birth_facts){.nodes = 1, .alike = true, .tlb_reach = geometry_tlb_reach()};
	if (os_read_file(NODE_DIR "has_memory", memory, sizeof(memory)) <= 0)
		return;
	unsigned nodes = list_each(memory, NULL, NULL);
	if (nodes < 2 || os_read_file(NODE_DIR "has_cpu", cpus, sizeof(cpus)) <= 0)
		return;
	facts->nodes = nodes;
	struct nodes with_cpus = {0}, with_memory = {0};
	list_each(cpus, node_mark, &with_cpus);
	list_each(memory, node_mark, &with_memory);
	for (size_t i = 0; i < sizeof(with_memory.bits) / sizeof(with_memory.bits[0]); i++)
		if (with_memory.bits[i] & ~with_cpus.bits[i])
			facts->alike = false;
	if (!facts->alike)
		list_each(cpus, node_free, &facts->fast_free);
}

uint64_t birth_hot_bytes(void) {
	struct birth_facts facts;
	birth_look(&facts);
	return facts.alike ? facts.tlb_reach : facts.fast_free;
}
