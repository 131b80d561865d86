/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The second-level data TLB, from CPUID. Intel: leaf 18H ("Deterministic Address Translation Parameters"), else the
 * descriptors of leaf 2. AMD: leaves 8000_0006H and 8000_0021H. Sources: Intel SDM volume 2A, CPUID; AMD APM volume
 * 3, appendix E.
 */
#include "coloring/geometry.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define LEAST_ENTRIES 256
#define USUAL_ENTRIES 1536 /* Skylake to Ice Lake, Zen and Zen 2; also a fair guess elsewhere */

#if defined(__x86_64__)
static void intel_leaf_18(struct geometry_tlb *tlb) {
	unsigned a, b, c, d, most;
	if (!__get_cpuid_count(0x18, 0, &most, &b, &c, &d))
		return;
	for (unsigned i = 0; i <= most && i < 64; i++) {
		__get_cpuid_count(0x18, i, &a, &b, &c, &d);
		unsigned type = d & 0x1f, level = d >> 5 & 7, entries = (b >> 16) * c;
		/* 1 is a data TLB, 3 a unified one */
		if ((type != 1 && type != 3) || level < 2)
			continue;
		if ((b & 1) && entries > tlb->small_entries)
			tlb->small_entries = entries;
		if ((b & 2) && entries > tlb->huge_entries)
			tlb->huge_entries = entries;
	}
}

static void intel_leaf_2(struct geometry_tlb *tlb) {
	unsigned word[4];
	if (!__get_cpuid(2, &word[0], &word[1], &word[2], &word[3]))
		return;
	for (int i = 0; i < 16; i++) {
		if (word[i / 4] >> 31)
			continue;
		switch (word[i / 4] >> (i % 4 * 8) & 0xff) {
		case 0xc1: /* 4 KiB and 2 MiB, 1024 entries */
			tlb->small_entries = tlb->huge_entries = 1024;
			break;
		case 0xc3: /* 4 KiB and 2 MiB, 1536 entries */
			tlb->small_entries = tlb->huge_entries = 1536;
			break;
		case 0xca: /* 4 KiB, 512 entries */
			tlb->small_entries = 512;
			break;
		}
	}
}

static void amd_leaf_6(struct geometry_tlb *tlb) {
	unsigned a, b, c, d;
	if (!__get_cpuid(0x80000006, &a, &b, &c, &d))
		return;
	/* EAX describes 2 MiB pages, EBX 4 KiB pages: data entries in bits 16-27, 0 in bits 28-31 for none. */
	if (b >> 28 != 0)
		tlb->small_entries = b >> 16 & 0xfff;
	if (a >> 28 != 0)
		tlb->huge_entries = a >> 16 & 0xfff;
	/*
	 * Bit 14 of 8000_0021H EAX, "L2TlbSizeX32": the field is too narrow for 4096 entries, so it counts by 32.
	 * Some hypervisors hide the bit; but no second-level TLB was ever below 256 entries.
	 */
	bool by_32 = __get_cpuid(0x80000021, &a, &b, &c, &d) && (a >> 14 & 1);
	if (by_32 || (tlb->small_entries > 0 && tlb->small_entries < LEAST_ENTRIES)) {
		tlb->small_entries *= 32;
		tlb->huge_entries *= 32;
	}
}
#endif

void geometry_tlb(struct geometry_tlb *tlb) {
	*tlb = (struct geometry_tlb){0};
#if defined(__x86_64__)
	unsigned a, b, c, d;
	__cpuid(0, a, b, c, d);
	if (b == signature_AMD_ebx || b == 0x6f677948 /* "Hygo" */) {
		amd_leaf_6(tlb);
	} else {
		intel_leaf_18(tlb);
		if (tlb->small_entries == 0)
			intel_leaf_2(tlb);
	}
#endif
	/* What a hypervisor shows may be nonsense. */
	tlb->known = tlb->small_entries >= LEAST_ENTRIES;
	if (!tlb->known)
		tlb->small_entries = tlb->huge_entries = USUAL_ENTRIES;
}

uint64_t geometry_tlb_reach(void) {
	struct geometry_tlb tlb;
	geometry_tlb(&tlb);
	return (uint64_t)tlb.small_entries * 4096;
}
