/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Producer and consumer: one thread allocates and fills messages, the other reads and frees them; a bounded
 * ring is between the two. Every free is remote, and the producer never gets memory back by its own free.
 */
#include "harness.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SLOTS 1024 /* a power of two */
#define PAIRS 4
#define SPINS 200

/* One ring a pair. Head and tail lie apart, or each thread would take away the other's line. */
static struct ring {
	_Alignas(128) _Atomic size_t head; /* messages ever put in */
	_Alignas(128) _Atomic size_t tail; /* messages ever taken out */
	_Alignas(128) unsigned char *slot[SLOTS];
} rings[PAIRS];

/* Waits until the other side has moved its counter from `old`; gives up the processor if that takes long. */
static size_t ring_wait(_Atomic size_t *counter, size_t old) {
	size_t now;

	for (unsigned spins = 1;; spins++) {
		now = atomic_load_explicit(counter, memory_order_acquire);
		if (now != old)
			return now;
		if (spins % SPINS == 0)
			sched_yield();
	}
}

static void produce(struct bench_state *s, struct ring *r) {
	size_t head = atomic_load(&r->head), tail = atomic_load(&r->tail);
	uint64_t seed = s->thread + 1;
	size_t most = (size_t)s->arg[0], size;

	while (bench_keep_running(s)) {
		size = most / 2 + bench_random_below(&seed, most / 2) + 1;
		if (head - tail == SLOTS)
			tail = ring_wait(&r->tail, tail);
		r->slot[head % SLOTS] = malloc(size);
		bench_touch(r->slot[head % SLOTS], size, 64);
		atomic_store_explicit(&r->head, ++head, memory_order_release);
	}
	s->items = s->iterations;
}

static void consume(struct bench_state *s, struct ring *r) {
	size_t head = atomic_load(&r->head), tail = atomic_load(&r->tail);
	unsigned char *message;

	while (bench_keep_running(s)) {
		if (head == tail)
			head = ring_wait(&r->head, head);
		message = r->slot[tail % SLOTS];
		bench_use((void *)(uintptr_t)message[0]);
		free(message);
		atomic_store_explicit(&r->tail, ++tail, memory_order_release);
	}
}

/* One turn of a pair is one message. Even threads produce, odd ones consume. */
static void bm_ring(struct bench_state *s) {
	if (s->thread % 2 == 0)
		produce(s, &rings[s->thread / 2]);
	else
		consume(s, &rings[s->thread / 2]);
}

static const struct bench benches[] = {
    {"BM_ring", bm_ring, .arg = {{"size", {64, 512, 4096, 65536}}}, .threads = {2, 4}},
};

int main(int argc, char **argv) {
	return bench_main(argc, argv, benches, sizeof(benches) / sizeof(benches[0]));
}
