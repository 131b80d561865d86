/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program linked with libnuma and libhwloc, whose constructors and start-up allocate, finds its blocks whole.
 */
/* run: preload linked */
/* libs: -lnuma -lhwloc */
#include "check.h"
#include <hwloc.h>
#include <numa.h>

int main(void) {
	if (numa_available() >= 0) {
		struct bitmask *mask = numa_allocate_nodemask();
		CHECK(mask != NULL);
		copy_bitmask_to_bitmask(numa_all_nodes_ptr, mask);
		CHECK(numa_bitmask_equal(mask, numa_all_nodes_ptr));
		numa_free_nodemask(mask);
		void *p = numa_alloc_local(1 * MiB);
		CHECK(p != NULL);
		memset(p, 1, 1 * MiB);
		numa_free(p, 1 * MiB);
	}
	for (int i = 0; i < 5; i++) {
		hwloc_topology_t topology;
		CHECK(hwloc_topology_init(&topology) == 0);
		CHECK(hwloc_topology_load(topology) == 0);
		CHECK(hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU) >= 1);
		char *xml;
		int n;
		CHECK(hwloc_topology_export_xmlbuffer(topology, &xml, &n, 0) == 0);
		CHECK(n > 100 && strstr(xml, "<topology"));
		hwloc_free_xmlbuffer(topology, xml);
		hwloc_topology_destroy(topology);
	}
	return 0;
}
