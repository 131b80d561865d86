/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pager: the thread that has the userfaultfd. It answers the first access to regions that are away (park.h),
 * decides by the sensor what is away (probe.h), and is told of forks by the kernel.
 *
 * Started by the keeper's thread. It waits for nobody: not for a lock, not for a thread of the program, and never
 * touches managed memory, since it would wait for itself. Threads of the program wait for it in a page fault, in
 * pager_hold, and in hooks that need a region that is away.
 *
 *   NONE --pager_start--> RUNNING --pager_quiesce--> NONE      OFF: this machine does not allow it
 *    ^                                   |
 *    +-- a forked child, without one ----+
 */
#ifndef TM_PAGER_H
#define TM_PAGER_H

#include <stdatomic.h>
#include <stdint.h>

enum pager_state { PAGER_NONE, PAGER_RUNNING, PAGER_OFF };

/* On pages of its own, which the kernel clears in a forked child: there the pager is gone and nothing is away. */
struct pager_shared {
	_Atomic uint32_t state;
	_Atomic uint32_t started;    /* a thread was, in this process */
	_Atomic uint32_t holds;      /* callers that want nothing to be away */
	_Atomic uint32_t forks;      /* that handlers or the kernel have told of, each at least once */
	_Atomic uint32_t away;       /* regions that are, or are just leaving */
	_Atomic uint32_t quiet;      /* callers that want it to end */
	_Atomic uint32_t paused;     /* it has ended for their sake */
	_Atomic int32_t error;       /* OFF: why, -errno */
	volatile char *_Atomic bell; /* BELL_PAGES of which reading one wakes the pager, and waits for it */
	_Atomic uint32_t rings;      /* pages are used in turn */
} __attribute__((aligned(4096)));
extern struct pager_shared pager_shared __attribute__((visibility("hidden")));

/* On a thread whose descriptor table the program does not share, or on any if there has been a pager before. */
void pager_start(void);
/*
 * Ends it: all is home, the userfaultfd closed, the thread gone when pager_quiesce returns; and starts it again if it
 * was ended. Calls nest. Threads of the program.
 */
void pager_quiesce(void);
void pager_resume(void);

/*
 * From pager_hold to pager_release nothing is away; pager_hold waits until it is so, for some 10 microseconds for
 * each region. Calls nest. For pthread_atfork and the like; any thread of the program, without locks that others need
 * to end a page fault.
 */
void pager_hold(void);
void pager_release(void);
void pager_after_fork_parent(void);
void pager_after_fork_child(void);

/* On the pager's own thread: reads events, answering those of forks at once; faults wait for their turn. */
void pager_read(void);

#endif
