/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded into the command to make the kernel look older. TM_SHIM lists what is missing:
 *   scan   the ioctl PAGEMAP_SCAN (Linux 6.7)      move   UFFDIO_MOVE and its feature bit (6.8)
 *   readv  process_vm_readv
 * and what it says to perf_event_open: denied (EACCES), absent (ENOENT), thread (EINVAL). With faults there is an
 * event, which really is the one for page faults. TM_SHIM_IBS is a directory to take for that of AMD's ibs_op.
 */
/* run: helper */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SCAN_NUMBER 16
#define IBS         "/sys/bus/event_source/devices/ibs_op/"

static int missing(const char *what) {
	const char *list = getenv("TM_SHIM");
	return list != NULL && strstr(list, what) != NULL;
}

/* The library's ioctls come through syscall(2), the command's own through ioctl(2). */
long syscall(long number, ...) {
	char path[512];
	long a[6];
	va_list args;
	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_ioctl && _IOC_TYPE(a[1]) == 'f' && _IOC_NR(a[1]) == SCAN_NUMBER && missing("scan")) {
		errno = ENOTTY;
		return -1;
	}
	if (number == SYS_openat && strncmp((const char *)a[1], IBS, strlen(IBS)) == 0 &&
	    getenv("TM_SHIM_IBS") != NULL) {
		snprintf(path, sizeof(path), "%s/%s", getenv("TM_SHIM_IBS"), (const char *)a[1] + strlen(IBS));
		a[1] = (long)path;
	}
	if (number == SYS_perf_event_open) {
		struct perf_event_attr *attr = (struct perf_event_attr *)a[0];
		errno = missing("denied") ? EACCES : missing("absent") ? ENOENT : missing("thread") ? EINVAL : 0;
		if (errno != 0)
			return -1;
		if (missing("faults")) {
			attr->type = PERF_TYPE_SOFTWARE;
			attr->config = PERF_COUNT_SW_PAGE_FAULTS;
			attr->config2 = 0;
			attr->sample_period = 1;
			attr->precise_ip = 0;
		}
	}
	long (*real)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int ioctl(int fd, unsigned long request, ...) {
	va_list args;
	va_start(args, request);
	void *arg = va_arg(args, void *);
	va_end(args);
	int (*real)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	int r = real(fd, request, arg);
	if (request == UFFDIO_API && missing("move"))
		((struct uffdio_api *)arg)->features &= (1u << 15) - 1;
	return r;
}

ssize_t process_vm_readv(pid_t pid, const struct iovec *to, unsigned long tos, const struct iovec *from,
    unsigned long froms, unsigned long flags) {
	if (missing("readv")) {
		errno = ENOSYS;
		return -1;
	}
	ssize_t (*real)(pid_t, const struct iovec *, unsigned long, const struct iovec *, unsigned long,
	    unsigned long) = (ssize_t(*)(pid_t, const struct iovec *, unsigned long, const struct iovec *,
	    unsigned long, unsigned long))dlsym(RTLD_NEXT, "process_vm_readv");
	return real(pid, to, tos, from, froms, flags);
}
