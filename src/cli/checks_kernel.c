/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of the kernel: what it can do is found by doing it on a page of our own, never by its version, which
 * distributions patch. Each answer is one finding; a refusal (no privilege, a container's filter) is told apart from
 * a kernel that does not know the call.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/doctor.h"
#include "os/os.h"
#include "os/pages.h"
#include "os/uffd.h"

#define YAMA "/proc/sys/kernel/yama/ptrace_scope"

/* Newer than Debian 12's headers. */
struct move_request {
	uint64_t to, from, bytes, mode;
	int64_t moved;
};
#define MOVE_IOCTL    _IOWR(UFFDIO, 0x05, struct move_request) /* Linux 6.8 */
#define FEATURE_ASYNC (UINT64_C(1) << 15)                      /* write protection without messages, Linux 6.7 */
#define FEATURE_MOVE  (UINT64_C(1) << 16)
#define FEATURE_RWP   (UINT64_C(1) << 18) /* read and write tracking, Linux 7.3 */
#define DEVICE_NEW    _IO(0xAA, 0x00)     /* on /dev/userfaultfd, Linux 6.1 */
#define NEWER_KERNEL  "apt install -t bookworm-backports linux-image-amd64"

void check_version(struct doctor *d) {
	static const struct {
		unsigned major, minor;
		const char *what;
	} steps[] = {
	    {6, 1, "collapsing of huge pages on request (6.1)"},
	    {6, 7, "looking at pages by region (6.7)"},
	};
	struct utsname u;
	unsigned major = 0, minor = 0;
	char lacks[256] = "";

	if (uname(&u) != 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2) {
		doctor_add(d, MARK_NOTE, "kernel", "its version is unknown");
		return;
	}
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (major < steps[i].major || (major == steps[i].major && minor < steps[i].minor))
			snprintf(lacks + strlen(lacks), sizeof(lacks) - strlen(lacks), "%s%s",
			    lacks[0] != '\0' ? ", " : "", steps[i].what);
	doctor_add(d, lacks[0] == '\0' ? MARK_OK : MARK_NOTE, "kernel", "%s %s", u.sysname, u.release);
	if (lacks[0] == '\0') {
		doctor_follows(d, "new enough for all that this version uses; what it can really do is tried below");
		return;
	}
	doctor_follows(d, "without patches it lacks: %s", lacks);
	if (strstr(u.version, "Debian") != NULL)
		doctor_command(d, "%s" NEWER_KERNEL, doctor_sudo());
}

void check_scan(struct doctor *d) {
	struct pages_count count = {0};
	void *p;

	if (os_map(4 * OS_PAGE, OS_PAGE, &p) != 0) {
		doctor_add(d, MARK_NOTE, "PAGEMAP_SCAN", "not tried: no memory");
		return;
	}
	memset(p, 1, 2 * OS_PAGE);
	int e = pages_scan(0, (uintptr_t)p, (uintptr_t)p + 4 * OS_PAGE, &count);
	os_unmap(p, 4 * OS_PAGE);
	if (e == 0 && count.resident == 2 * OS_PAGE) {
		doctor_add(d, MARK_OK, "PAGEMAP_SCAN", "works");
		doctor_follows(d, "huge pages are checked region by region, and statistics are exact");
	} else if (e == -ENOTTY || e == -EINVAL) {
		doctor_add(d, MARK_MISSING, "PAGEMAP_SCAN", "this kernel has none (it came with Linux 6.7)");
		doctor_follows(d,
		    "huge pages that the kernel did not give are not noticed and not asked for again; "
		    "statistics come from smaps, by mapping");
		doctor_command(d, "%s" NEWER_KERNEL, doctor_sudo());
	} else {
		doctor_add(d, MARK_MISSING, "PAGEMAP_SCAN", "refused here: %s",
		    e != 0 ? strerror(-e) : "it gives wrong counts");
		doctor_follows(d, "huge pages that the kernel did not give are not noticed and not asked for again");
	}
}

void check_keeper(struct doctor *d) {
	char page[2 * OS_PAGE];
	page[OS_PAGE] = 1;
	/* Nothing is open up there; the table of this one thread is its own already. */
	int e = os_close_range(~0u - 1, ~0u, 2 /* CLOSE_RANGE_UNSHARE */);
	int shared = pages_shared((uintptr_t)page & ~(OS_PAGE - 1), OS_PAGE);

	if (e == 0 && shared >= 0) {
		doctor_add(
		    d, MARK_OK, "keeper", "a thread can have a descriptor table of its own, and look at pages");
		doctor_follows(d, "a thread of the library's puts huge pages together in heaps from start_bytes on");
		return;
	}
	if (e != 0)
		doctor_add(d, MARK_MISSING, "keeper", "close_range(CLOSE_RANGE_UNSHARE): %s", strerror(-e));
	else
		doctor_add(d, MARK_MISSING, "keeper", "/proc/self/pagemap: %s", strerror(-shared));
	doctor_follows(d,
	    e != 0 ? "there is no keeper thread: huge pages are put together only in the program's own calls"
		   : "a region shared with a forked child cannot be told: memory may be copied beside one");
	if (e == -ENOSYS)
		doctor_command(d, "%s" NEWER_KERNEL, doctor_sudo());
}

void check_yama(struct doctor *d) {
	uint64_t scope;

	if (!doctor_number(YAMA, &scope)) {
		doctor_add(d, MARK_OK, "ptrace", "not restricted by Yama");
		doctor_follows(d, "tiermalloc stats can look at your own programs");
		return;
	}
	bool root = geteuid() == 0, works = scope == 0 || (root && scope < 3);
	doctor_add(d, works ? MARK_OK : MARK_NOTE, "ptrace", "kernel.yama.ptrace_scope is %u", (unsigned)scope);
	if (works) {
		doctor_follows(d, "tiermalloc stats can look at %s", root ? "any program" : "your own programs");
	} else if (scope >= 3) {
		doctor_follows(d, "tiermalloc stats cannot look at any program until the next start of the machine");
	} else {
		doctor_follows(d, "tiermalloc stats PID needs sudo; programs are not affected");
		doctor_command(d, "sudo sysctl kernel.yama.ptrace_scope=0");
	}
}

/* --- what this version does not use yet --- */

/* A userfaultfd that also serves faults of system calls, or -errno of the first way. *how says which way it was. */
static int fault_open(const char **how) {
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		*how = "by system call";
		return fd;
	}
	int e = errno, device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (device < 0)
		return -e;
	fd = ioctl(device, DEVICE_NEW, O_CLOEXEC | O_NONBLOCK);
	close(device);
	*how = "by /dev/userfaultfd";
	return fd >= 0 ? fd : -e;
}

/* The same with features switched on; 0 for `features` only asks which there are, in *all. */
static int fault_features(uint64_t features, uint64_t *all) {
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	const char *how;
	int fd = fault_open(&how);
	if (fd < 0)
		return fd;
	if (ioctl(fd, UFFDIO_API, &api) != 0) {
		int e = errno;
		close(fd);
		return -e;
	}
	*all = api.features;
	return fd;
}

void check_userfaultfd(struct doctor *d) {
	const char *how = "";
	int fd = fault_open(&how);
	if (fd >= 0) {
		close(fd);
		doctor_add(d, MARK_OK, "userfaultfd", "can be opened %s, for faults in system calls too", how);
		doctor_follows(d, "needed to move data while a program runs");
	} else if (fd == -ENOSYS) {
		doctor_add(
		    d, MARK_MISSING, "userfaultfd", "this kernel is built without it, or a container hides it");
		doctor_follows(d, "no moving of data while a program runs");
	} else {
		doctor_add(d, MARK_MISSING, "userfaultfd", "this user may not open one (%s)", strerror(-fd));
		doctor_follows(d, "no moving of data while a program runs");
		doctor_command(d, "sudo sysctl vm.unprivileged_userfaultfd=1");
	}
}

/* Moves one page; 0 or -errno. */
static int move_try(void) {
	uint64_t all;
	void *p;
	int fd = fault_features(FEATURE_MOVE, &all);
	if (fd < 0)
		return fd;
	int e = os_map(2 * OS_PAGE, OS_PAGE, &p);
	if (e == 0) {
		char *from = p, *to = from + OS_PAGE;
		struct uffdio_register reg = {
		    .range = {(uintptr_t)to, OS_PAGE}, .mode = UFFDIO_REGISTER_MODE_MISSING};
		struct move_request move = {(uintptr_t)to, (uintptr_t)from, OS_PAGE, 0, 0};
		os_advise(p, 2 * OS_PAGE, MADV_NOHUGEPAGE);
		*from = 42;
		if (ioctl(fd, UFFDIO_REGISTER, &reg) != 0 || ioctl(fd, MOVE_IOCTL, &move) != 0)
			e = -errno;
		else if (move.moved != (int64_t)OS_PAGE || *to != 42)
			e = -EIO;
		os_unmap(p, 2 * OS_PAGE);
	}
	close(fd);
	return e;
}

void check_move(struct doctor *d) {
	uint64_t all = 0;
	int fd = fault_features(0, &all);
	if (fd < 0) {
		doctor_add(d, MARK_NOTE, "UFFDIO_MOVE", "not tried: no userfaultfd");
		return;
	}
	close(fd);
	int e = all & FEATURE_MOVE ? move_try() : -EINVAL;
	if (e == 0) {
		doctor_add(d, MARK_OK, "UFFDIO_MOVE", "works");
		doctor_follows(d, "pages can change their place without being copied");
	} else if (!(all & FEATURE_MOVE)) {
		doctor_add(d, MARK_MISSING, "UFFDIO_MOVE", "this kernel has none (it came with Linux 6.8)");
		doctor_follows(d, "no moving of data while a program runs");
		doctor_command(d, "%s" NEWER_KERNEL, doctor_sudo());
	} else {
		doctor_add(d, MARK_MISSING, "UFFDIO_MOVE", "this kernel has it, but it failed: %s", strerror(-e));
	}
}

void check_sensor(struct doctor *d) {
	int fd = uffd_open();
	if (fd >= 0) {
		os_close(fd);
		doctor_add(
		    d, MARK_OK, "sensor", "probe: how soon a region is accessed that was taken away for a moment");
		doctor_follows(d, "heat is known of regions on huge pages, from start_bytes of heap on");
	} else if (fd == -EPERM || fd == -EACCES) {
		doctor_add(d, MARK_MISSING, "sensor",
		    "this user may not be told by the kernel that a child was made: without that a region that is "
		    "away could read "
		    "as zeros there");
		doctor_follows(d, "no heat is known; tm_heat() says so");
		doctor_command(d,
		    "sudo setpriv --reuid=$USER --regid=$USER --init-groups --inh-caps=+sys_ptrace "
		    "--ambient-caps=+sys_ptrace PROGRAM");
	} else {
		doctor_add(d, MARK_MISSING, "sensor", "no userfaultfd that moves pages (%s)",
		    fd == -EOPNOTSUPP ? "it came with Linux 6.8" : strerror(-fd));
		doctor_follows(d, "no heat is known; tm_heat() says so");
	}
}

void check_tracking(struct doctor *d) {
	uint64_t all = 0;
	int fd = fault_features(0, &all);
	if (fd < 0) {
		doctor_add(d, MARK_NOTE, "access tracking", "not tried: no userfaultfd");
		return;
	}
	close(fd);
	if (all & FEATURE_RWP) {
		doctor_add(d, MARK_OK, "access tracking", "reads and writes, in the kernel (RWP_ASYNC)");
		doctor_follows(d, "which pages are hot can be seen without stopping anything");
	} else if (all & FEATURE_ASYNC) {
		doctor_add(d, MARK_NOTE, "access tracking", "writes only (WP_ASYNC); reads too from Linux 7.3 on");
		doctor_follows(d, "which pages are read has to be found by taking some away for a moment");
	} else {
		doctor_add(
		    d, MARK_NOTE, "access tracking", "none in this kernel; writes from 6.7, reads from 7.3 on");
		doctor_follows(d, "which pages are used has to be found by taking some away for a moment");
	}
}
