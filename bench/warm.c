/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Touches WARM_BYTES of memory on huge pages and ends; bench/run calls it before every timed run. No benchmark
 * itself.
 *
 * The host of a virtual machine takes back what the guest reports as free (virtio-balloon's free page reporting, two
 * seconds after it was freed, in blocks of 2 MiB), and the next one to use such a block waits for the host: up to
 * 4 ms for 2 MiB that take 0.1 ms otherwise. Who that is has nothing to do with the allocator that happens to run.
 */
#include <stddef.h>
#include <sys/mman.h>

#define WARM_BYTES ((size_t)1 << 30)
#define HUGE_BYTES ((size_t)1 << 21)

int main(void) {
	char *p = mmap(NULL, WARM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return 1;
	madvise(p, WARM_BYTES, MADV_HUGEPAGE);
	for (size_t i = 0; i < WARM_BYTES; i += HUGE_BYTES)
		*(volatile char *)(p + i) = 1;
	return 0;
}
