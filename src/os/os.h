/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel, and nothing but the kernel: every system call of the library is made here.
 *
 * Callers may be inside malloc, inside a jemalloc extent hook or between fork and exec, so no function here
 * allocates, locks, prints through stdio or changes errno. Results are 0 (or a count) or -errno.
 * In a build with TM_FAULTS, os_fault decides which calls fail; that is the only thing tests may replace.
 */
#ifndef TM_OS_H
#define TM_OS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OS_PAGE ((size_t)4096)

#ifdef TM_FAULTS
/* Asked before every system call: 0 lets it through, -errno is returned in its place. */
extern long (*os_fault)(long number);
#endif

/* Reserves `bytes` of address space without access, aligned to `align` (a power of two, at least a page). */
int os_reserve(size_t bytes, size_t align, void **out);
/* Maps `bytes` of zeroed private memory, aligned to `align`. */
int os_map(size_t bytes, size_t align, void **out);
int os_unmap(void *p, size_t bytes);
/* Makes reserved pages readable and writable. -ENOMEM when the kernel's commit or mapping limit is reached. */
int os_allow(void *p, size_t bytes);
/* Turns pages back into a bare reservation: content gone, no longer charged to the commit limit. */
int os_forbid(void *p, size_t bytes);
/* Maps zeroed private memory anew in the place of what is there. */
int os_renew(void *p, size_t bytes);
/* Maps `bytes` that can only be read, aligned to `align`: zeros that take no memory and count for no limit but
 * RLIMIT_AS. */
int os_map_zeros(size_t bytes, size_t align, void **out);
/* madvise(2). */
int os_advise(void *p, size_t bytes, int advice);
/* Whether a page has memory: 1 or 0, or -errno. */
int os_resident(void *page);

/* Reads at most cap-1 bytes of a small file and ends them with a zero byte; the count, or -errno. */
long os_read_file(const char *path, char *buf, size_t cap);
/* The number at the start of a small file; UINT64_MAX if there is none. Needs no locale, which our threads lack. */
uint64_t os_read_number(const char *path);
/* Opens for reading, close-on-exec; a descriptor or -errno. */
int os_open(const char *path);
long os_read(int fd, void *buf, size_t bytes);
long os_read_at(int fd, void *buf, size_t bytes, uint64_t offset);
void os_close(int fd);
/* Writes all of it, retrying short writes; errors are ignored, there is nobody to tell. */
void os_write(int fd, const void *buf, size_t bytes);

/* getdents64(2) on a directory from os_open; bytes of entries, 0 at the end, or -errno. */
long os_list(int fd, void *buf, size_t bytes);

/* ioctl(2); a count or -errno. */
long os_ioctl(int fd, unsigned long request, void *arg);
/* poll(2) without waiting; the number of descriptors with news, or -errno. */
struct pollfd;
int os_poll(struct pollfd *polls, unsigned n);
/* perf_event_open(2) for one thread on any CPU, close-on-exec; a descriptor or -errno. */
struct perf_event_attr;
int os_perf_open(struct perf_event_attr *attr, int tid);
/* Maps the start of what a descriptor stands for, shared, to be read and written. */
int os_map_shared(int fd, size_t bytes, void **out);
/* getpid(2), not cached anywhere: right in every kind of child. */
int os_pid(void);
/* gettid(2) */
int os_tid(void);

/* RLIMIT_AS and RLIMIT_DATA in bytes; UINT64_MAX if there is none. */
uint64_t os_address_limit(void);
uint64_t os_data_limit(void);
/* Address space in use, in bytes (VmSize); 0 if unknown. */
uint64_t os_address_used(void);
/* Physical memory in bytes; 0 if unknown. */
uint64_t os_memory_bytes(void);
/* Monotonic milliseconds, and nanoseconds. */
uint64_t os_now_ms(void);
uint64_t os_now_ns(void);
/* Gives the processor to another thread that is ready to run, of the same priority under real-time scheduling. */
void os_yield(void);
/* Sleeps for 50 microseconds: lets any thread run. */
void os_nap(void);
/* Processor time of the whole process, and of the calling thread, in microseconds. */
uint64_t os_process_us(void);
uint64_t os_thread_us(void);
/* The same in nanoseconds: leaves out the time in which the thread had no processor, unlike os_now_ms. */
uint64_t os_thread_ns(void);
/* Page faults of the calling thread that needed no input; -errno. */
long os_thread_faults(void);
/*
 * Sleeps while *word is `value`, for at most `ms` milliseconds (0: without end), until os_futex_wake. Ends early for
 * no reason at times.
 */
void os_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t ms);
/* userfaultfd(2); a descriptor or -errno. */
int os_userfaultfd(int flags);
/*
 * Sleeps until one of two descriptors (-1: none) can be read, for at most `ns` nanoseconds (UINT64_MAX: without end).
 */
void os_wait(int first, int second, uint64_t ns);
/*
 * A descriptor that can be read once the process has used processor time: armed by os_busy_arm for `us` microseconds
 * from then on, once. For the calling thread, whose signals must all be blocked. -errno: not to be had.
 */
struct os_busy {
	int fd;
	int timer;
};
int os_busy_open(struct os_busy *busy);
void os_busy_arm(struct os_busy *busy, uint64_t us);
/* Wakes one thread that waits for a change of *word. */
void os_futex_wake(_Atomic uint32_t *word);
/* For thread.c: prctl(PR_SET_NAME), close_range(2), exit(2) of the thread alone, and all signals of the thread. */
void os_name_thread(const char *name);
int os_close_range(unsigned first, unsigned last, unsigned flags);
_Noreturn void os_exit_thread(void);
int os_block_signals(uint64_t *before);
void os_restore_signals(const uint64_t *before);
/* CPUs this process may run on; at least 1. */
unsigned os_cpus(void);
/* prctl(PR_GET_THP_DISABLE): huge pages are switched off for this process. */
bool os_thp_disabled(void);
_Noreturn void os_abort(void);

#endif
