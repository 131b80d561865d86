/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of the machine: memory nodes, caches, address caches. The library itself only looks at which nodes have
 * CPUs; hwloc, libnuma and the kernel's memory tiers are second opinions, and where they differ the finding says so.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hwloc.h>
#include <numa.h>

#include "cli/cli.h"
#include "cli/doctor.h"
#include "coloring/geometry.h"
#include "os/os.h"
#include "tiers/birth.h"

#define NODES "/sys/devices/system/node/"
#define TIERS "/sys/devices/virtual/memory_tiering"

static hwloc_topology_t topology_load(void) {
	hwloc_topology_t t;
	/* It writes to standard error itself where there is no /sys; the findings say it better. */
	setenv("HWLOC_HIDE_ERRORS", "2", 0);
	if (hwloc_topology_init(&t) != 0)
		return NULL;
	/* Nodes that this process may not use are listed too, and marked. */
	hwloc_topology_set_flags(t, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);
	if (hwloc_topology_load(t) == 0)
		return t;
	hwloc_topology_destroy(t);
	return NULL;
}

/* A list of the kernel's such as "0-3,8"; NULL if there is no such file. */
static hwloc_bitmap_t kernel_list(const char *path) {
	char text[256];
	if (cli_file(path, text, sizeof(text)) < 0)
		return NULL;
	hwloc_bitmap_t set = hwloc_bitmap_alloc();
	if (set != NULL)
		hwloc_bitmap_list_sscanf(set, text);
	return set;
}

/* The number of the kernel's memory tier that a node is in; lower is faster, -1 if there is none. */
static int node_tier(unsigned node) {
	struct dirent *entry;
	int tier, found = -1;
	DIR *dir = opendir(TIERS);
	if (dir == NULL)
		return -1;
	while (found < 0 && (entry = readdir(dir)) != NULL) {
		if (sscanf(entry->d_name, "memory_tier%d", &tier) != 1)
			continue;
		char *path = cli_format(TIERS "/%s/nodelist", entry->d_name);
		hwloc_bitmap_t nodes = kernel_list(path);
		if (nodes != NULL && hwloc_bitmap_isset(nodes, node))
			found = tier;
		hwloc_bitmap_free(nodes);
		free(path);
	}
	closedir(dir);
	return found;
}

static uint64_t node_latency(hwloc_topology_t t, hwloc_obj_t node) {
	struct hwloc_location from;
	hwloc_uint64_t ns;
	return hwloc_memattr_get_best_initiator(t, HWLOC_MEMATTR_ID_LATENCY, node, 0, &from, &ns) == 0 ? ns : 0;
}

/* Two lists that ought to be the same: what the kernel has memory on, and what hwloc found. */
static bool nodes_agree(hwloc_topology_t t, char text[256]) {
	hwloc_bitmap_t kernel = kernel_list(NODES "has_memory"), own = hwloc_bitmap_alloc();
	hwloc_obj_t node = NULL;
	bool agree = true;

	text[0] = '\0';
	while ((node = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_NUMANODE, node)) != NULL)
		if (node->attr->numanode.local_memory > 0)
			hwloc_bitmap_set(own, node->os_index);
	if (kernel != NULL && own != NULL && !hwloc_bitmap_isequal(kernel, own)) {
		char a[100], b[100];
		hwloc_bitmap_list_snprintf(a, sizeof(a), kernel);
		hwloc_bitmap_list_snprintf(b, sizeof(b), own);
		snprintf(text, 256, "the kernel has memory on nodes %s, hwloc sees %s", a, b);
		agree = false;
	}
	hwloc_bitmap_free(kernel);
	hwloc_bitmap_free(own);
	return agree;
}

static void check_node(struct doctor *d, hwloc_topology_t t, hwloc_obj_t node, bool alike) {
	char name[32], cpus[128], size[CLI_SIZE], free_size[CLI_SIZE], more[128] = "";
	long long unused = 0;
	bool has_cpus = node->cpuset != NULL && !hwloc_bitmap_iszero(node->cpuset), slower = false;
	bool allowed = hwloc_bitmap_isset(hwloc_topology_get_allowed_nodeset(t), node->os_index);
	int tier = node_tier(node->os_index);
	uint64_t latency = node_latency(t, node);

	snprintf(name, sizeof(name), "node %u", node->os_index);
	if (has_cpus)
		hwloc_bitmap_list_snprintf(cpus, sizeof(cpus), node->cpuset);
	if (numa_available() >= 0 && numa_node_size64((int)node->os_index, &unused) < 0)
		unused = 0;
	/* A node without CPUs is local to some others; hwloc gives it their CPUs, the kernel knows better. */
	hwloc_bitmap_t with = kernel_list(NODES "has_cpu");
	if (with != NULL)
		has_cpus = hwloc_bitmap_isset(with, node->os_index);
	hwloc_bitmap_free(with);
	if (tier >= 0)
		snprintf(more, sizeof(more), ", memory tier %d", tier);
	if (latency > 0)
		snprintf(more + strlen(more), sizeof(more) - strlen(more), ", %llu ns", (unsigned long long)latency);
	for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_NUMANODE, o)) != NULL;)
		slower = slower || (tier >= 0 && node_tier(o->os_index) >= 0 && node_tier(o->os_index) < tier);
	/* CPUs beside slow memory, or none beside the fastest: the library's rule does not see that. */
	bool doubt = !alike && tier >= 0 && has_cpus == slower;
	bool blind = alike && slower;
	doctor_add(d, doubt || blind || !allowed ? MARK_NOTE : MARK_OK, name, "%s, %s free, %s%s%s%s",
	    cli_size(size, node->attr->numanode.local_memory), cli_size(free_size, (uint64_t)unused),
	    has_cpus ? "CPUs " : "no CPUs", has_cpus ? cpus : "", more,
	    allowed ? "" : ", not allowed to this process");
	const char *role = alike ? "alike" : has_cpus ? "fast" : "capacity";
	if (doubt)
		doctor_follows(d, "counted as %s because it has %s, though the kernel says %s", role,
		    has_cpus ? "CPUs" : "none", slower ? "other memory is faster" : "it is the fastest");
	else if (blind)
		doctor_follows(
		    d, "the kernel says other memory is faster, but every node has CPUs: they count as alike");
	else if (alike)
		doctor_follows(d, "all memory is alike: every node that has memory has CPUs");
	else
		doctor_follows(d,
		    has_cpus ? "fast: it has CPUs; its free memory is what hot_bytes:auto counts"
			     : "capacity: it has memory but no CPUs");
	doctor_fact(d, "node", node->os_index);
	doctor_fact(d, "memory", (double)node->attr->numanode.local_memory);
	doctor_fact(d, "free", (double)unused);
	doctor_fact(d, "tier", tier);
	cJSON_AddStringToObject(d->findings[d->count - 1].facts, "role", role);
	cJSON_AddStringToObject(d->findings[d->count - 1].facts, "cpus", has_cpus ? cpus : "");
}

void check_nodes(struct doctor *d) {
	struct birth_facts facts;
	char differ[256];
	hwloc_topology_t t = topology_load();
	hwloc_obj_t node = NULL;

	birth_look(&facts);
	if (t == NULL) {
		doctor_add(d, MARK_NOTE, "nodes", "hwloc cannot tell: %s", strerror(errno));
		doctor_follows(
		    d, "the library takes %u as there, %s", facts.nodes, facts.alike ? "all alike" : "not alike");
		return;
	}
	if (!hwloc_topology_is_thissystem(t)) {
		doctor_add(
		    d, MARK_NOTE, "nodes", "an HWLOC_ variable makes hwloc describe another machine than this one");
	} else if (!nodes_agree(t, differ)) {
		doctor_add(d, MARK_NOTE, "nodes", "%s", differ);
		doctor_follows(d, "the library goes by the kernel");
	} else {
		doctor_add(d, MARK_OK, "nodes", "%u with memory; the kernel and hwloc agree", facts.nodes);
		doctor_follows(d,
		    facts.nodes == 1  ? "one kind of memory: the hot tier is as large as small pages pay"
			: facts.alike ? "each has CPUs: the hot tier is as large as small pages pay"
				      : "those without CPUs count as capacity");
	}
	doctor_fact(d, "nodes", facts.nodes);
	while ((node = hwloc_get_next_obj_by_type(t, HWLOC_OBJ_NUMANODE, node)) != NULL)
		check_node(d, t, node, facts.alike);
	hwloc_topology_destroy(t);
}

static int tier_name(const struct dirent *entry) {
	int tier;
	return sscanf(entry->d_name, "memory_tier%d", &tier) == 1;
}

void check_memory_tiers(struct doctor *d) {
	struct dirent **list;
	char text[512] = "";
	int n = scandir(TIERS, &list, tier_name, versionsort);

	if (n <= 0) {
		doctor_add(d, MARK_OK, "memory tiers", "the kernel shows none (they came with Linux 6.1)");
		doctor_follows(d, "which memory is slower is told by which nodes have CPUs");
		if (n == 0)
			free(list);
		return;
	}
	for (int i = 0; i < n; i++) {
		char nodes[128], *path = cli_format(TIERS "/%s/nodelist", list[i]->d_name);
		if (cli_file(path, nodes, sizeof(nodes)) > 0)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s: node %s", i > 0 ? "; " : "",
			    list[i]->d_name + strlen("memory_tier"), nodes);
		free(path);
		free(list[i]);
	}
	free(list);
	doctor_add(d, MARK_OK, "memory tiers", "%s", text);
	doctor_follows(
	    d, n == 1 ? "the kernel too takes all memory to be alike" : "lower is faster, as the kernel sees it");
}

void check_tlb(struct doctor *d) {
	struct geometry_tlb tlb;
	char small[CLI_SIZE], huge[CLI_SIZE];

	geometry_tlb(&tlb);
	doctor_add(d, tlb.known ? MARK_OK : MARK_NOTE, "TLB", "%u entries for small pages, %u for huge ones%s",
	    tlb.small_entries, tlb.huge_entries, tlb.known ? "" : ": assumed, the processor does not tell");
	doctor_follows(d, "it covers %s on small pages, %s on huge ones%s", cli_size(small, geometry_tlb_reach()),
	    cli_size(huge, (uint64_t)tlb.huge_entries << 21), tlb.known ? "" : "; if you know better, set hot_bytes");
	doctor_fact(d, "small_entries", tlb.small_entries);
	doctor_fact(d, "huge_entries", tlb.huge_entries);
	doctor_fact(d, "reach", (double)geometry_tlb_reach());
}

void check_caches(struct doctor *d) {
	static const struct {
		hwloc_obj_type_t type;
		const char *name;
	} levels[] = {{HWLOC_OBJ_L1CACHE, "L1d"}, {HWLOC_OBJ_L2CACHE, "L2"}, {HWLOC_OBJ_L3CACHE, "L3"}};
	char text[256] = "", size[CLI_SIZE];
	hwloc_topology_t t = topology_load();

	for (size_t i = 0; t != NULL && i < sizeof(levels) / sizeof(levels[0]); i++) {
		hwloc_obj_t cache = hwloc_get_obj_by_type(t, levels[i].type, 0);
		if (cache == NULL || cache->attr->cache.size == 0)
			continue;
		int n = hwloc_get_nbobjs_by_type(t, levels[i].type), cpus = hwloc_bitmap_weight(cache->cpuset);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s %s", text[0] != '\0' ? ", " : "",
		    levels[i].name, cli_size(size, cache->attr->cache.size));
		if (cache->attr->cache.associativity > 0)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " %d-way",
			    cache->attr->cache.associativity);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " (%d, %d CPU%s each)", n, cpus,
		    cpus == 1 ? "" : "s");
	}
	doctor_add(d, MARK_OK, "caches", "%s", text[0] != '\0' ? text : "not shown by this machine");
	doctor_follows(d, "for information: this version takes no size from them");
	if (t != NULL)
		hwloc_topology_destroy(t);
}
