/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sandboxes: with madvise, mprotect, mbind, userfaultfd, process_vm_readv, prctl, or opening of files refused by a
 * seccomp filter, from before the library starts or from some moment on, allocation goes on, or gives NULL where it
 * cannot (mprotect), and no byte is lost.
 */
/* run: preload linked */
/* timeout: 180 */
#include "check.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

struct denial {
	const char *name;
	int calls[3];
	bool startable;  /* the dynamic linker does without it */
	bool may_refuse; /* allocation may end in NULL */
};

static const struct denial denials[] = {
    {"madvise", {SYS_madvise, -1, -1}, true, false},
    {"mbind and its family", {SYS_mbind, SYS_set_mempolicy, SYS_move_pages}, true, false},
    {"userfaultfd", {SYS_userfaultfd, -1, -1}, true, false},
    {"process_vm_readv", {SYS_process_vm_readv, -1, -1}, true, false},
    {"prctl and ioctl", {SYS_prctl, SYS_ioctl, -1}, true, false},
    {"open", {SYS_open, SYS_openat, -1}, false, false},
    {"sched_getaffinity, sysinfo, getrlimit", {SYS_sched_getaffinity, SYS_sysinfo, SYS_getrlimit}, true, false},
    {"mprotect", {SYS_mprotect, -1, -1}, false, true},
    {"mmap", {SYS_mmap, -1, -1}, false, true},
    {"munmap and mremap", {SYS_munmap, SYS_mremap, -1}, false, false},
    {"write", {SYS_write, -1, -1}, true, false},
};

static void deny(const struct denial *d, int error) {
	struct sock_filter filter[2 + 2 * 3 + 1];
	int n = 0;
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (int i = 0; i < 3; i++) {
		if (d->calls[i] < 0)
			continue;
		filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)d->calls[i], 0, 1);
		filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error);
	}
	filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {(unsigned short)n, filter};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		_exit(77);
}

/* Exit statuses, since a filter may forbid to say more. */
enum { WRONG_BYTES = 10, NOT_ZERO, REFUSED, NOTHING_WORKS };

static void work(bool may_refuse) {
	enum { BLOCKS = 150 };
	static char *p[BLOCKS];
	static size_t n[BLOCKS];
	uint64_t state = 1;
	int allocated = 0;
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < BLOCKS; i++) {
			if (p[i] && !intact(p[i], n[i], i))
				_exit(WRONG_BYTES);
			if (random_below(&state, 3) == 0) {
				free(p[i]);
				p[i] = NULL;
			}
			if (p[i])
				continue;
			n[i] = random_below(&state, i % 20 ? 40 * KiB : 5 * MiB);
			bool zero = random_below(&state, 2);
			enum tm_tier tier = random_below(&state, 2) ? TM_COLD : TM_HOT;
			if (tm_malloc)
				p[i] = zero ? tm_calloc(1, n[i], tier) : tm_malloc(n[i], tier);
			else
				p[i] = zero ? calloc(1, n[i]) : malloc(n[i]);
			if (!p[i]) {
				if (!may_refuse)
					_exit(REFUSED);
				continue;
			}
			allocated++;
			if (zero && !is_zero(p[i], n[i]))
				_exit(NOT_ZERO);
			fill(p[i], n[i], i);
		}
		malloc_trim(0);
	}
	struct tm_stats s;
	if (tm_stats)
		tm_stats(&s, sizeof s);
	if (allocated < (may_refuse ? 1 : BLOCKS))
		_exit(NOTHING_WORKS);
}

static void *thread_main(void *arg) {
	work(true);
	return arg;
}

struct job {
	const struct denial *d;
	int error;
	bool start;
};

static void run_job(void *arg) {
	struct job *job = arg;
	if (job->start) {
		char index[20];
		snprintf(index, sizeof index, "%d", (int)(job->d - denials));
		deny(job->d, job->error);
		execl("/proc/self/exe", "limit_seccomp", index, (char *)NULL);
		_exit(78);
	}
	work(false);
	deny(job->d, job->error);
	work(job->d->may_refuse);
}

static void check_denial(struct job job) {
	static char says[500];
	int status = in_child(run_job, &job, 60, says, sizeof says);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		SKIP("no seccomp filters here");
	CHECK_FOR(status == 0, "but 0x%x with %s denied (%s) %s: %s", status, job.d->name, strerror(job.error),
	    job.start ? "from the start" : "later", says);
}

int main(int argc, char **argv) {
	if (argc > 1) {
		/* Started under a filter. */
		pthread_t thread;
		work(denials[atoi(argv[1])].may_refuse);
		if (pthread_create(&thread, NULL, thread_main, NULL) == 0)
			pthread_join(thread, NULL);
		return 0;
	}
	for (size_t i = 0; i < sizeof denials / sizeof *denials; i++) {
		for (int e = 0; e < 2; e++) {
			struct job job = {&denials[i], e ? ENOSYS : EPERM, false};
			check_denial(job);
			job.start = true;
			if (denials[i].startable)
				check_denial(job);
		}
	}
	return 0;
}
