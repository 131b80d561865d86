/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Another process: its memory, and the heap view that tiermalloc keeps in it.
 */
#ifndef TM_PROCESS_H
#define TM_PROCESS_H

#include <stddef.h>
#include <stdint.h>

#include "tiermalloc.h"

struct process {
	int pid;
	char name[64];        /* as ps shows it */
	struct tm_process at; /* a copy of its tm_process */
};

/*
 * Finds and copies the process's tm_process. NULL, or a message that says why not and what would help, which is the
 * caller's to free. The process may end, or start another program, at any moment.
 */
char *process_find(struct process *p, int pid);

/* Reads its memory: 0, or -ESRCH (ended), -EPERM, -EFAULT (there is no memory there). */
int process_read(const struct process *p, uint64_t at, void *buf, size_t bytes);

/* Bytes of physical memory it has, all of it; 0 or -errno. */
int process_resident(const struct process *p, uint64_t *bytes);

/* A message for an error of process_read, pages_scan or a file of /proc/PID; the caller's to free. */
char *process_why(const struct process *p, int error);

#endif
