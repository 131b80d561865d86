/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program with a heap of known size: HOT MiB from malloc and COLD MiB from tm_malloc(TM_COLD), all touched. Says
 * "ready" and waits for the end of its input. With a third argument it frees every second block of the hot class.
 */
/* run: helper */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tiermalloc.h"

#pragma weak tm_malloc

#define BLOCK ((size_t)64 << 10)

int main(int argc, char **argv) {
	size_t hot = strtoul(argc > 1 ? argv[1] : "0", NULL, 10) << 20;
	size_t cold = strtoul(argc > 2 ? argv[2] : "0", NULL, 10) << 20;
	size_t blocks = hot / BLOCK;
	char **list = calloc(blocks + 1, sizeof(*list));

	for (size_t i = 0; i < blocks; i++) {
		list[i] = malloc(BLOCK);
		memset(list[i], 1, BLOCK);
	}
	for (size_t i = 0; i < cold / BLOCK; i++)
		memset(tm_malloc ? tm_malloc(BLOCK, TM_COLD) : malloc(BLOCK), 1, BLOCK);
	if (argc > 3)
		for (size_t i = 0; i < blocks; i += 2)
			free(list[i]);
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
