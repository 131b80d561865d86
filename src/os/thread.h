/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that the C library does not know of: made inside an extent hook, where nothing may be allocated, and
 * without a part in the program's life (its exit, its setuid, its descriptors, its signals).
 */
#ifndef TM_THREAD_H
#define TM_THREAD_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define THREAD_STACK ((size_t)64 << 10)

/*
 * What a thread runs on; static, zero at first. thread_start may be given the same one again in a forked child, where
 * the thread of the parent does not exist.
 */
struct thread_memory {
	char stack[THREAD_STACK];
	char tls[THREAD_STACK]; /* errno and the like lie below the thread pointer, which is `pointer` */
	void *pointer[512];     /* the C library's own record of a thread would begin here */
	const char *name;
	void (*run)(int error);
	_Atomic uint32_t alive; /* not 0 while the thread exists; the kernel clears it when the stack is free again */
} __attribute__((aligned(64)));

/*
 * Starts a thread with all signals blocked and an empty descriptor table of its own; `name` (a static string of 15
 * characters at most) is what `top -H` shows. It calls `run`, which must not allocate nor use stdio or libc's locks;
 * `error` is 0, or -errno if it could not get a table of its own: it must then open nothing. The thread ends when
 * `run` returns. Returns its id, or -errno: -EPERM and the like where a seccomp filter forbids it.
 */
int thread_start(struct thread_memory *memory, const char *name, void (*run)(int error));

#endif
