/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * userfaultfd(2): memory whose first access waits for a thread of ours. Same rules as os.h.
 *
 * Debian 12's headers are older than the kernels that have what is used here, so requests and bits are defined in
 * uffd.c. A descriptor belongs to the descriptor table of the thread that opened it.
 */
#ifndef TM_UFFD_H
#define TM_UFFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Opens one that sees faults inside system calls too (those of a user-mode-only one make read(2) and its kin fail
 * with EFAULT), that can move pages (Linux 6.8) and tells of forked children (a page that is away when a child is
 * made reads as zeros there unless somebody fills it in). Not blocking, close-on-exec.
 * -EPERM: no privilege. -ENOSYS: no userfaultfd. -EOPNOTSUPP: the kernel is too old to move pages.
 */
int uffd_open(void);

/* Faults on missing pages of the range are reported from now on. -EBUSY: by somebody else already. */
int uffd_register(int fd, void *start, size_t bytes);
int uffd_unregister(int fd, void *start, size_t bytes);
/* Lets those go on who wait in the range. */
void uffd_wake(int fd, void *start, size_t bytes);

/*
 * Moves the pages at `from` to the hole at `to`, without copying; who waits there goes on. A huge page moves as one.
 * Sets *moved to the bytes that were moved when it returns. 0 only if all were. -EBUSY: a page is shared or pinned.
 * -EEXIST: no hole. -EINVAL: locked, protected differently, or not registered. -ENOENT: a hole at `from`.
 * -EAGAIN: a fork has begun whose event has not been read; the kernel moves, copies and fills nothing until it is.
 */
int uffd_move(int fd, void *to, const void *from, size_t bytes, size_t *moved);
/* Copies instead, into the process `fd` belongs to; pages that exist at `to` are left alone. 0 or -errno. */
int uffd_copy(int fd, void *to, const void *from, size_t bytes);
/* The page of zeros. 0 or -errno. */
int uffd_zero(int fd, void *to, size_t bytes);

enum uffd_kind { UFFD_FAULT, UFFD_FORK, UFFD_OTHER };
struct uffd_event {
	enum uffd_kind kind;
	void *address; /* UFFD_FAULT: first byte of the page */
	int thread;    /* UFFD_FAULT: the id of who waits */
	int child;     /* UFFD_FORK: the child's own descriptor, to be closed by the caller */
};
/* Up to `most` (at most 16) events that are there now; 0 if none, -errno. */
int uffd_events(int fd, struct uffd_event *events, int most);

#endif
