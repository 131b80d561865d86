/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel says about pages: how many of a range have memory, and how many of those are huge.
 * Uses the PAGEMAP_SCAN ioctl (Linux 6.7), else smaps (slower, counts whole mappings). Same rules as os.h.
 */
#ifndef TM_PAGES_H
#define TM_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pages_count {
	uint64_t resident; /* bytes with physical memory */
	uint64_t huge;     /* the part of them on huge pages */
};

/*
 * Adds the bytes of [start, end) of process `pid` (0: this one) to *count.
 * -ENOTTY: this kernel has no PAGEMAP_SCAN. -EACCES, -EPERM, -ESRCH, -ENOENT: not ours to look at, or gone.
 */
int pages_scan(int pid, uintptr_t start, uintptr_t end, struct pages_count *count);

/*
 * The same from smaps, for every mapping that lies in [start, end); `each` is told start, end and the counts of one
 * mapping. Mappings that cross a border are reported whole. 0 or -errno.
 */
int pages_smaps(int pid, uintptr_t start, uintptr_t end,
    void (*each)(void *arg, uintptr_t from, uintptr_t to, const struct pages_count *count), void *arg);

/*
 * Whether some page of [start, start + bytes) of this process, 2 MiB at most, is mapped by another process as well:
 * by a child that was forked and still lives, most often. 1 or 0; -errno when it cannot be told.
 */
int pages_shared(uintptr_t start, size_t bytes);

/*
 * Whether huge pages were set to never on this system. MADV_COLLAPSE does not heed that; who set it meant it.
 */
bool pages_never_huge(void);

/* Number of mappings of this process; -errno. */
long pages_mappings(void);

#endif
