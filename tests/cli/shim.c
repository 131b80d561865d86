/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Preloaded into the command to make the kernel look older. TM_SHIM lists what is missing:
 *   scan   the ioctl PAGEMAP_SCAN (Linux 6.7)      move   UFFDIO_MOVE and its feature bit (6.8)
 *   readv  process_vm_readv
 */
/* run: helper */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SCAN_NUMBER 16

static int missing(const char *what) {
	const char *list = getenv("TM_SHIM");
	return list != NULL && strstr(list, what) != NULL;
}

/* The library's ioctls come through syscall(2), the command's own through ioctl(2). */
long syscall(long number, ...) {
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
