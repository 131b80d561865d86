/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sampling by perf_event_open(2): events and rings per thread, and reading the rings.
 *
 * Runs on one thread of the library's own. Must not allocate, lock, wait, use stdio or anything thread-local but
 * errno. The kernel writes records behind data_head and reads how far they are free from data_tail; a record is a
 * multiple of eight bytes, so a header never lies across the end of the ring, but a record may.
 */
#include "os/perf.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <string.h>

#include "os/os.h"

#define TASKS   "/proc/self/task"
#define DIR_BUF 2048

/* --- events of a thread --- */

static void place_free(struct perf_place *place) {
	os_unmap(place->ring, OS_PAGE + place->bytes);
	*place = (struct perf_place){0};
}

/* The ring stays until it has been read. The mapping keeps the event alive, though stopped. */
static void place_end(struct perf_events *set, struct perf_place *place) {
	const struct perf_event_mmap_page *page = place->ring;

	for (unsigned i = 0; i < set->codes; i++) {
		os_ioctl(place->fd[i], PERF_EVENT_IOC_DISABLE, NULL);
		os_close(place->fd[i]);
	}
	place->tid = 0;
	set->threads--;
	if (__atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE) == page->data_tail)
		place_free(place);
}

static int code_open(const struct perf_events *set, unsigned i, int tid) {
	const struct perf_code *code = &set->code[i];
	uint64_t period = set->period * code->times, step = code->step != 0 ? code->step : 1;
	struct perf_event_attr attr = {
	    .type = code->type,
	    .size = PERF_ATTR_SIZE_VER1,
	    .config = code->config,
	    .config2 = code->config2,
	    .sample_period = (period + step - 1) / step * step,
	    .sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_ADDR | PERF_SAMPLE_DATA_SRC,
	    .precise_ip = code->precise,
	    .exclude_kernel = !code->unfiltered,
	    .exclude_hv = !code->unfiltered,
	    .watermark = 1,
	    .wakeup_watermark = UINT32_MAX, /* nobody waits */
	};
	/* All records of a ring have the same fields. Asking for the weight keeps older kernels from batching. */
	if (set->code[0].weighs)
		attr.sample_type |= PERF_SAMPLE_WEIGHT;
	return os_perf_open(&attr, tid);
}

static int ring_map(struct perf_place *place) {
	int e = -EINVAL;
	for (uint32_t pages = PERF_RING_PAGES; pages > 0; pages /= PERF_RING_PAGES) {
		place->bytes = pages * OS_PAGE;
		e = os_map_shared(place->fd[0], OS_PAGE + place->bytes, &place->ring);
		if (e != -EPERM && e != -ENOMEM)
			return e;
	}
	return -ENOMEM; /* -EPERM is the limit of locked memory here */
}

static int place_open(struct perf_events *set, struct perf_place *place, int tid) {
	unsigned i;
	int e = 0;

	for (i = 0; i < set->codes; i++) {
		place->fd[i] = code_open(set, i, tid);
		if (place->fd[i] < 0) {
			e = place->fd[i];
			break;
		}
		if (i == 0)
			e = ring_map(place);
		else
			e = (int)os_ioctl(place->fd[i], PERF_EVENT_IOC_SET_OUTPUT, (void *)(intptr_t)place->fd[0]);
		if (e != 0) {
			os_close(place->fd[i]);
			break;
		}
	}
	if (e == 0) {
		place->tid = tid;
		set->threads++;
		return 0;
	}
	while (i > 0)
		os_close(place->fd[--i]);
	if (place->ring != NULL)
		os_unmap(place->ring, OS_PAGE + place->bytes);
	*place = (struct perf_place){0};
	return e;
}

/* --- the threads of the process --- */

/* getdents64(2); no header has it. */
struct entry {
	uint64_t number;
	int64_t next;
	uint16_t bytes;
	uint8_t type;
	char name[];
};

static struct perf_place *place_of(struct perf_events *set, int tid) {
	for (unsigned i = 0; i < PERF_THREADS; i++)
		if (set->place[i].tid == tid)
			return &set->place[i];
	return NULL;
}

static struct perf_place *place_empty(struct perf_events *set) {
	for (unsigned i = 0; i < PERF_THREADS; i++)
		if (set->place[i].ring == NULL)
			return &set->place[i];
	return NULL;
}

static int name_number(const char *name) {
	int n = 0;
	for (; *name >= '0' && *name <= '9'; name++)
		n = n * 10 + (*name - '0');
	return *name == '\0' ? n : 0;
}

/* 0 to go on with the next thread, 1 to stop, -errno to stop because of it. */
static int thread_take(struct perf_events *set, int tid, unsigned index) {
	if (tid == 0 || tid == set->without || place_of(set, tid) != NULL)
		return 0;
	struct perf_place *place = place_empty(set);
	if (place == NULL) {
		set->waiting = 1;
		return 1;
	}
	int e = place_open(set, place, tid);
	if (e == -ESRCH)
		return 0; /* it has just ended */
	if (e == 0)
		set->position = index + 1;
	else if (e == -ENOMEM || e == -EMFILE || e == -ENFILE)
		set->waiting = 1; /* limits leave fewer places */
	return e;
}

/*
 * Takes in threads from number `from` to `to` of the kernel's list, while there are places. By their order there, not
 * by their ids, which start again from the bottom when they have reached the top.
 */
static int threads_take(struct perf_events *set, unsigned from, unsigned to) {
	char buf[DIR_BUF] __attribute__((aligned(8)));
	unsigned index = 0;
	int e = 0, dir = os_open(TASKS);

	if (dir < 0)
		return dir;
	while (e == 0 && index < to) {
		long n = os_list(dir, buf, sizeof(buf));
		if (n <= 0) {
			e = (int)n;
			break;
		}
		for (long at = 0; at < n && e == 0 && index < to; index++) {
			const struct entry *entry = (const struct entry *)(const void *)(buf + at);
			at += entry->bytes;
			if (index >= from)
				e = thread_take(set, name_number(entry->name), index);
		}
	}
	os_close(dir);
	return e < 0 ? e : 0;
}

/* A number may be used again for another thread, so it is the events that are asked whether theirs has ended. */
static void threads_end(struct perf_events *set) {
	struct pollfd polls[PERF_THREADS];

	for (unsigned i = 0; i < PERF_THREADS; i++)
		polls[i] = (struct pollfd){.fd = set->place[i].tid != 0 ? set->place[i].fd[0] : -1};
	if (os_poll(polls, PERF_THREADS) <= 0)
		return;
	for (unsigned i = 0; i < PERF_THREADS; i++)
		if (polls[i].fd >= 0 && (polls[i].revents & (POLLHUP | POLLERR)) != 0)
			place_end(set, &set->place[i]);
}

/* Lets go of a quarter of the threads, for those that wait. */
static void threads_turn(struct perf_events *set) {
	unsigned left = (set->threads + 3) / 4;

	for (unsigned i = 0; i < PERF_THREADS && left > 0; i++) {
		struct perf_place *place = &set->place[set->turn];
		set->turn = (set->turn + 1) % PERF_THREADS;
		if (place->tid != 0) {
			place_end(set, place);
			left--;
		}
	}
}

int perf_follow(struct perf_events *set) {
	unsigned from = set->position;

	threads_end(set);
	if (set->waiting != 0)
		threads_turn(set);
	set->waiting = 0;
	int e = threads_take(set, from, UINT32_MAX);
	if (e == 0 && set->waiting == 0 && from != 0)
		e = threads_take(set, 0, from);
	set->refused = e;
	return set->threads > 0 || e == 0 ? (int)set->threads : e;
}

int perf_open(struct perf_events *set, const struct perf_code *codes, unsigned n, uint64_t period, int without) {
	memset(set, 0, sizeof(*set));
	if (n == 0 || n > PERF_CODES || period == 0)
		return -EINVAL;
	memcpy(set->code, codes, n * sizeof(*codes));
	set->codes = n;
	set->period = period;
	set->without = without;
	return perf_follow(set);
}

void perf_close(struct perf_events *set) {
	for (unsigned i = 0; i < PERF_THREADS; i++) {
		struct perf_place *place = &set->place[i];
		if (place->tid != 0)
			place_end(set, place);
		if (place->ring != NULL)
			place_free(place);
	}
}

/* --- records --- */

struct sample {
	struct perf_event_header header;
	uint32_t pid, tid;
	uint64_t address;
	uint64_t more[2]; /* the weight if asked for, then where the data came from */
};

struct lost {
	struct perf_event_header header;
	uint64_t id, count;
};

union record {
	struct perf_event_header header;
	struct sample sample;
	struct lost lost;
};

static void copy_wrapped(void *to, const char *data, size_t size, uint64_t at, size_t bytes) {
	size_t from = at & (size - 1), first = size - from < bytes ? size - from : bytes;
	memcpy(to, data + from, first);
	memcpy((char *)to + first, data, bytes - first);
}

static void record_read(struct perf_events *set, const union record *r,
    void (*each)(void *arg, const struct perf_access *access), void *arg) {
	bool weighs = set->code[0].weighs;
	struct perf_access access;

	switch (r->header.type) {
	case PERF_RECORD_SAMPLE:
		if (r->header.size < sizeof(struct sample) - (weighs ? 0 : sizeof(uint64_t)) ||
		    r->sample.address == 0 || r->sample.address >> 63 != 0) {
			set->elsewhere++;
			return;
		}
		access.address = r->sample.address;
		access.tid = (int)r->sample.tid;
		access.cycles = weighs ? (uint32_t)r->sample.more[0] : 0;
		access.store = (r->sample.more[weighs] & PERF_MEM_OP_STORE) != 0;
		set->samples++;
		each(arg, &access);
		return;
	case PERF_RECORD_LOST:
		if (r->header.size >= sizeof(struct lost))
			set->lost += r->lost.count;
		return;
	case PERF_RECORD_THROTTLE:
		set->throttled++;
		return;
	default:
		return;
	}
}

static unsigned ring_read(struct perf_events *set, struct perf_place *place,
    void (*each)(void *arg, const struct perf_access *access), void *arg, unsigned budget) {
	struct perf_event_mmap_page *page = place->ring;
	const char *data = (const char *)place->ring + OS_PAGE;
	uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE), tail = page->data_tail;
	unsigned n = 0;

	while (tail != head && n < budget) {
		union record record;
		uint64_t used = head - tail;
		if (used >= sizeof(record.header) && used <= place->bytes && tail % 8 == 0)
			copy_wrapped(&record.header, data, place->bytes, tail, sizeof(record.header));
		else
			record.header.size = 0;
		size_t size = record.header.size;
		if (size < sizeof(record.header) || size % 8 != 0 || size > used) {
			set->broken++;
			tail = head;
			break;
		}
		copy_wrapped(&record, data, place->bytes, tail, size < sizeof(record) ? size : sizeof(record));
		record_read(set, &record, each, arg);
		tail += size;
		n++;
	}
	if (tail != page->data_tail)
		__atomic_store_n(&page->data_tail, tail, __ATOMIC_RELEASE);
	if (tail == head && place->tid == 0)
		place_free(place);
	return n;
}

unsigned perf_drain(
    struct perf_events *set, void (*each)(void *arg, const struct perf_access *access), void *arg, unsigned budget) {
	unsigned n = 0;
	for (unsigned i = 0; i < PERF_THREADS && n < budget; i++) {
		struct perf_place *place = &set->place[set->next];
		set->next = (set->next + 1) % PERF_THREADS;
		if (place->ring != NULL)
			n += ring_read(set, place, each, arg, budget - n);
	}
	return n;
}
