/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Growth by realloc: vectors that grow by half, strings that grow by a little, alone and side by side, where
 * the space behind a block is taken by its neighbour and it has to move. One turn grows all buffers from 16
 * bytes.
 */
#include "harness.h"

#include <stdlib.h>

#define MOST_BUFFERS 64

/* Grows `buffers` buffers in turn to `limit` bytes each; next() gives the size after a size. */
static void grow_all(struct bench_state *s, size_t limit, size_t buffers, size_t (*next)(size_t)) {
	char *buffer[MOST_BUFFERS];
	size_t size;

	while (bench_keep_running(s)) {
		for (size_t i = 0; i < buffers; i++)
			buffer[i] = malloc(16);
		for (size = 16; size < limit;) {
			size_t old = size;

			size = next(size);
			for (size_t i = 0; i < buffers; i++) {
				buffer[i] = realloc(buffer[i], size);
				bench_touch(buffer[i] + old, size - old, BENCH_PAGE);
			}
			s->items += buffers;
		}
		for (size_t i = 0; i < buffers; i++)
			free(buffer[i]);
	}
}

static size_t next_half(size_t size) {
	return size + size / 2;
}

static size_t next_little(size_t size) {
	return size + 100;
}

static void bm_vector(struct bench_state *s) {
	grow_all(s, (size_t)s->arg[0] * BENCH_KIB, (size_t)s->arg[1], next_half);
}

static void bm_string(struct bench_state *s) {
	grow_all(s, (size_t)s->arg[0] * BENCH_KIB, (size_t)s->arg[1], next_little);
}

static const struct bench benches[] = {
    {"BM_vector", bm_vector, .arg = {{"kib", {64, 1024, 32768}}, {"buffers", {1, 8}}}},
    {"BM_string", bm_string, .arg = {{"kib", {16, 1024}}, {"buffers", {1, 8}}}},
};

int main(int argc, char **argv) {
	return bench_main(argc, argv, benches, sizeof(benches) / sizeof(benches[0]));
}
