/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tiers/birth: the size of the hot tier, on this machine and on made-up ones. The nodes of a machine are files of
 * sysfs that birth.c reads whole with os_read_file, so the linker gives it ours:
 * link: -Wl,--wrap=os_read_file
 */
#include "unit.h"

#include "coloring/geometry.h"
#include "tiers/birth.h"

#define NODES "/sys/devices/system/node/"

long __real_os_read_file(const char *path, char *buf, size_t cap);
long __wrap_os_read_file(const char *path, char *buf, size_t cap);

struct file {
	const char *path, *text; /* text NULL: not there */
};
static const struct file *files; /* ends with a path of NULL; NULL: the real ones */
static unsigned reads;

long __wrap_os_read_file(const char *path, char *buf, size_t cap) {
	reads++;
	if (files == NULL)
		return __real_os_read_file(path, buf, cap);
	for (const struct file *f = files; f->path != NULL; f++)
		if (strcmp(path, f->path) == 0 && f->text != NULL) {
			size_t n = strlen(f->text) < cap - 1 ? strlen(f->text) : cap - 1;
			memcpy(buf, f->text, n);
			buf[n] = '\0';
			return (long)n;
		}
	return -ENOENT;
}

Test(birth, this_machine) {
	struct birth_facts facts;
	birth_look(&facts);
	cr_assert_gt(reads, 0, "birth.c does not read through os_read_file: the tests below prove nothing");
	cr_assert_geq(facts.nodes, 1);
	cr_assert_eq(facts.tlb_reach, geometry_tlb_reach());
	if (facts.nodes == 1)
		cr_assert(facts.alike);
	if (facts.alike) {
		cr_assert_eq(facts.fast_free, 0);
		cr_assert_eq(birth_hot_bytes(), geometry_tlb_reach());
	} else {
		cr_assert_lt(facts.fast_free, os_memory_bytes());
	}
}

Test(birth, no_sysfs) {
	files = (const struct file[]){{0}};
	struct birth_facts facts;
	birth_look(&facts);
	cr_assert_eq(facts.nodes, 1);
	cr_assert(facts.alike);
	cr_assert_eq(birth_hot_bytes(), geometry_tlb_reach());
}

Test(birth, two_nodes_alike) {
	files = (const struct file[]){{NODES "has_memory", "0-1\n"}, {NODES "has_cpu", "0-1\n"}, {0}};
	struct birth_facts facts;
	birth_look(&facts);
	cr_assert_eq(facts.nodes, 2);
	cr_assert(facts.alike);
	cr_assert_eq(facts.fast_free, 0);
	cr_assert_eq(birth_hot_bytes(), geometry_tlb_reach());
}

/* As the kernel prints it; the numbers differ in every line so that the right one is known. */
#define MEMINFO(node, free)                             \
	"Node " #node " MemTotal:       999999 kB\n"    \
	"Node " #node " MemFree:        " #free " kB\n" \
	"Node " #node " MemUsed:        888888 kB\n"

/* Node 1 is memory without CPUs, such as CXL. */
Test(birth, slow_node) {
	files = (const struct file[]){
	    {NODES "has_memory", "0-1\n"},
	    {NODES "has_cpu", "0\n"},
	    {NODES "node0/meminfo", MEMINFO(0, 1234)},
	    {NODES "node1/meminfo", MEMINFO(1, 777777)},
	    {0},
	};
	struct birth_facts facts;
	birth_look(&facts);
	cr_assert_eq(facts.nodes, 2);
	cr_assert_not(facts.alike);
	cr_assert_eq(facts.fast_free, 1234 * KiB);
	cr_assert_eq(birth_hot_bytes(), 1234 * KiB);
}

/* Lists with gaps and ranges, and numbers of two digits. */
Test(birth, node_lists) {
	files = (const struct file[]){
	    {NODES "has_memory", "0-2,8,10-12\n"},
	    {NODES "has_cpu", "0-1,8,10-11\n"},
	    {NODES "node0/meminfo", MEMINFO(0, 1)},
	    {NODES "node1/meminfo", MEMINFO(1, 20)},
	    {NODES "node2/meminfo", MEMINFO(2, 300)},
	    {NODES "node8/meminfo", MEMINFO(8, 4000)},
	    {NODES "node10/meminfo", MEMINFO(10, 50000)},
	    {NODES "node11/meminfo", MEMINFO(11, 600000)},
	    {NODES "node12/meminfo", MEMINFO(12, 7000000)},
	    {0},
	};
	struct birth_facts facts;
	birth_look(&facts);
	cr_assert_eq(facts.nodes, 7);
	cr_assert_not(facts.alike);
	cr_assert_eq(facts.fast_free, 654021 * KiB, "%llu KiB", (unsigned long long)facts.fast_free / 1024);
}

/* A node whose file is missing, or of another form, counts as full. */
Test(birth, broken_meminfo) {
	files = (const struct file[]){
	    {NODES "has_memory", "0-2\n"},
	    {NODES "has_cpu", "0-1\n"},
	    {NODES "node1/meminfo", "nothing of the kind\n"},
	    {0},
	};
	struct birth_facts facts;
	birth_look(&facts);
	cr_assert_not(facts.alike);
	cr_assert_eq(facts.fast_free, 0);
}

Test(birth, one_node_of_any_number) {
	files = (const struct file[]){{NODES "has_memory", "3\n"}, {NODES "has_cpu", "3\n"}, {0}};
	struct birth_facts facts;
	birth_look(&facts);
	cr_assert_eq(facts.nodes, 1);
	cr_assert(facts.alike);
}

/*
 * Processors whose own node has no memory (a socket without modules) make no node slow: every node with memory has
 * CPUs, which is what `alike` says.
 */
Test(birth, cpus_without_memory) {
	files = (const struct file[]){
	    {NODES "has_memory", "0-1\n"},
	    {NODES "has_cpu", "0-3\n"},
	    {NODES "node0/meminfo", MEMINFO(0, 1234)},
	    {NODES "node1/meminfo", MEMINFO(1, 1234)},
	    {0},
	};
	struct birth_facts facts;
	birth_look(&facts);
	cr_assert_eq(facts.nodes, 2);
	cr_assert(facts.alike, "every node with memory has CPUs");
	cr_assert_eq(birth_hot_bytes(), geometry_tlb_reach());
}

Test(birth, nonsense_lists_end) {
	static const char *const lists[] = {"", "\n", "x", "-", ",", "0-", "1-0\n", "0,,1\n"};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		files = (const struct file[]){{NODES "has_memory", lists[i]}, {NODES "has_cpu", "0\n"}, {0}};
		struct birth_facts facts;
		birth_look(&facts);
		cr_assert_eq(facts.nodes, 1, "\"%s\": %u nodes", lists[i], facts.nodes);
		cr_assert(facts.alike);
	}
}
