/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * userfaultfd requests. Runs on the pager's thread only; must not touch managed memory, allocate or lock.
 */
#include "os/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include "os/os.h"

/* Newer than Debian 12's headers. */
struct uffd_move_request {
	uint64_t to, from, bytes, mode;
	int64_t moved;
};
#define UFFD_MOVE         _IOWR(UFFDIO, 0x05, struct uffd_move_request) /* Linux 6.8 */
#define UFFD_FEATURE_MOVE (UINT64_C(1) << 16)
#define UFFD_DEVICE_NEW   _IO(0xAA, 0x00) /* on /dev/userfaultfd, Linux 6.1 */

#define TRIES 16 /* of what the kernel asks to try again: somebody held the page; or a fork is not told of yet */

int uffd_open(void) {
	struct uffdio_api api = {
	    .api = UFFD_API, .features = UFFD_FEATURE_MOVE | UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_THREAD_ID};
	/* The device needs only its file's permission, the call a privilege or vm.unprivileged_userfaultfd. */
	int device = os_open("/dev/userfaultfd");
	int fd = -1;
	if (device >= 0) {
		fd = (int)os_ioctl(device, UFFD_DEVICE_NEW, (void *)(uintptr_t)(O_CLOEXEC | O_NONBLOCK));
		os_close(device);
	}
	if (fd < 0)
		fd = os_userfaultfd(O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return fd;
	int e = (int)os_ioctl(fd, UFFDIO_API, &api);
	if (e == 0)
		return fd;
	os_close(fd);
	return e == -EINVAL ? -EOPNOTSUPP : e;
}

int uffd_register(int fd, void *start, size_t bytes) {
	struct uffdio_register r = {.range = {(uintptr_t)start, bytes}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	return (int)os_ioctl(fd, UFFDIO_REGISTER, &r);
}

int uffd_unregister(int fd, void *start, size_t bytes) {
	struct uffdio_range r = {(uintptr_t)start, bytes};
	return (int)os_ioctl(fd, UFFDIO_UNREGISTER, &r);
}

void uffd_wake(int fd, void *start, size_t bytes) {
	struct uffdio_range r = {(uintptr_t)start, bytes};
	os_ioctl(fd, UFFDIO_WAKE, &r);
}

int uffd_move(int fd, void *to, const void *from, size_t bytes, size_t *moved) {
	*moved = 0;
	for (int tries = 0; *moved < bytes;) {
		struct uffd_move_request r = {
		    .to = (uintptr_t)to + *moved, .from = (uintptr_t)from + *moved, .bytes = bytes - *moved};
		int e = (int)os_ioctl(fd, UFFD_MOVE, &r);
		/* In part, with the reason to stop told by the next call; or not at all, in `moved` too. */
		if (r.moved > 0)
			*moved += (size_t)r.moved;
		else if (e != -EAGAIN || ++tries >= TRIES)
			return e;
	}
	return 0;
}

int uffd_copy(int fd, void *to, const void *from, size_t bytes) {
	size_t done = 0;
	for (int tries = 0; done < bytes;) {
		struct uffdio_copy r = {
		    .dst = (uintptr_t)to + done, .src = (uintptr_t)from + done, .len = bytes - done};
		int e = (int)os_ioctl(fd, UFFDIO_COPY, &r);
		if (r.copy > 0) {
			done += (size_t)r.copy;
		} else if (e == -EEXIST) {
			uffd_wake(fd, (char *)to + done, OS_PAGE);
			done += OS_PAGE;
		} else if (e != -EAGAIN || ++tries >= TRIES) {
			return e;
		}
	}
	return 0;
}

int uffd_zero(int fd, void *to, size_t bytes) {
	struct uffdio_zeropage r = {.range = {(uintptr_t)to, bytes}};
	return (int)os_ioctl(fd, UFFDIO_ZEROPAGE, &r);
}

int uffd_events(int fd, struct uffd_event *events, int most) {
	struct uffd_msg messages[16];
	if (most > 16)
		most = 16;
	long r = os_read(fd, messages, (size_t)most * sizeof(messages[0]));
	if (r < 0)
		return r == -EAGAIN ? 0 : (int)r;
	int n = (int)((size_t)r / sizeof(messages[0]));
	for (int i = 0; i < n; i++) {
		const struct uffd_msg *m = &messages[i];
		struct uffd_event *e = &events[i];
		*e = (struct uffd_event){.kind = UFFD_OTHER, .child = -1};
		if (m->event == UFFD_EVENT_PAGEFAULT) {
			e->kind = UFFD_FAULT;
			e->address = (void *)(uintptr_t)(m->arg.pagefault.address & ~(uint64_t)(OS_PAGE - 1));
			e->thread = (int)m->arg.pagefault.feat.ptid;
		} else if (m->event == UFFD_EVENT_FORK) {
			e->kind = UFFD_FORK;
			e->child = (int)m->arg.fork.ufd;
		}
	}
	return n;
}
