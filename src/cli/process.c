/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading another process from outside: it is not stopped, not written to, and not asked. So what is read can be
 * half old and half new, and the process can end in between; both are answers, not faults.
 *
 * tm_process is looked for in each libtiermalloc.so.N the process has mapped, by the symbols in its memory, and then
 * in the program itself, which may have the archive linked in.
 */
#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/elf.h"
#include "os/os.h"

#define LIBRARY_PREFIX "libtiermalloc.so"
#define YAMA           "/proc/sys/kernel/yama/ptrace_scope"
#define IMAGES         16

#define PROC_PATH 64
static const char *proc_path(char path[PROC_PATH], int pid, const char *name) {
	snprintf(path, PROC_PATH, "/proc/%d/%s", pid, name);
	return path;
}

/* For kernels built without process_vm_readv, and for sandboxes that refuse it. */
static int read_file(const struct process *p, uint64_t at, void *buf, size_t bytes) {
	char path[PROC_PATH];
	int fd = open(proc_path(path, p->pid, "mem"), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : errno == EACCES ? -EPERM : -errno;
	ssize_t n = pread(fd, buf, bytes, (off_t)at);
	int e = n < 0 ? errno : 0;
	close(fd);
	if (e != 0)
		return e == EIO ? -EFAULT : -e;
	return n == 0 ? -ESRCH : (size_t)n == bytes ? 0 : -EFAULT; /* nothing: its memory is gone */
}

int process_read(const struct process *p, uint64_t at, void *buf, size_t bytes) {
	struct iovec here = {buf, bytes}, there = {(void *)at, bytes};
	ssize_t n = process_vm_readv(p->pid, &here, 1, &there, 1, 0);
	if (n >= 0)
		return (size_t)n == bytes ? 0 : -EFAULT;
	return errno == ENOSYS || errno == EPERM ? read_file(p, at, buf, bytes) : -errno;
}

static int image_read(void *arg, uint64_t at, void *buf, size_t bytes) {
	return process_read(arg, at, buf, bytes);
}

int process_resident(const struct process *p, uint64_t *bytes) {
	char path[PROC_PATH], text[128], *end;
	long n = cli_file(proc_path(path, p->pid, "statm"), text, sizeof(text));
	if (n < 0)
		return (int)n;
	strtoull(text, &end, 10); /* the first number is address space */
	*bytes = strtoull(end, NULL, 10) * OS_PAGE;
	return 0;
}

static char *why_denied(const struct process *p) {
	char path[PROC_PATH], scope[16];
	struct stat st;

	if (geteuid() == 0)
		return cli_format(
		    "no permission to read process %d although this is root: it needs CAP_SYS_PTRACE in "
		    "the user namespace of that process, which containers take away",
		    p->pid);
	if (stat(proc_path(path, p->pid, ""), &st) == 0 && st.st_uid != geteuid()) {
		const struct passwd *user = getpwuid(st.st_uid);
		return cli_format("no permission to read process %d, which belongs to %s; run: "
				  "sudo tiermalloc stats %d",
		    p->pid, user != NULL ? user->pw_name : "another user", p->pid);
	}
	if (cli_file(YAMA, scope, sizeof(scope)) > 0 && strcmp(scope, "0") != 0)
		return cli_format("no permission to read process %d: kernel.yama.ptrace_scope is %s, which keeps "
				  "processes of one user apart; run: sudo tiermalloc stats %d, or allow it until the "
				  "next start: sudo sysctl kernel.yama.ptrace_scope=0",
		    p->pid, scope, p->pid);
	return cli_format("no permission to read process %d; run: sudo tiermalloc stats %d", p->pid, p->pid);
}

char *process_why(const struct process *p, int error) {
	switch (-error) {
	case ESRCH:
	case ENOENT:
		return cli_format("process %d ended while it was being read", p->pid);
	case EPERM:
	case EACCES:
		return why_denied(p);
	case EFAULT:
		return cli_format(
		    "process %d changed while it was being read (did it start another program?)", p->pid);
	default:
		return cli_format("cannot read process %d: %s", p->pid, strerror(-error));
	}
}

/* A file that the process has mapped from its first byte on. */
struct image {
	uint64_t base;
	bool program; /* the program itself */
};

/* Fills in images, libraries first; the count, or -errno. */
static int find_images(const struct process *p, struct image images[IMAGES]) {
	char path[PROC_PATH], program[4096];
	char *line = NULL;
	size_t size = 0;
	int count = 0;
	struct image itself = {.program = true};

	ssize_t n = readlink(proc_path(path, p->pid, "exe"), program, sizeof(program) - 1);
	program[n > 0 ? n : 0] = '\0';
	FILE *f = fopen(proc_path(path, p->pid, "maps"), "re");
	if (f == NULL)
		return -errno;
	errno = 0;
	while (getline(&line, &size, f) > 0) {
		unsigned long start, offset;
		int at = 0;
		/* start-end access offset device inode   path */
		if (sscanf(line, "%lx-%*x %*s %lx %*s %*s %n", &start, &offset, &at) < 2 || at == 0 || offset != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		const char *file = line + at, *slash = strrchr(file, '/');
		if (slash == NULL)
			continue;
		if (strncmp(slash + 1, LIBRARY_PREFIX, strlen(LIBRARY_PREFIX)) == 0) {
			if (count < IMAGES - 1)
				images[count++] = (struct image){.base = start};
		} else if (itself.base == 0 && strcmp(file, program) == 0) {
			itself.base = start;
		}
	}
	int e = errno;
	free(line);
	fclose(f);
	if (itself.base != 0)
		images[count++] = itself;
	return count == 0 && e != 0 ? -e : count;
}

/* The address of tm_process in an image; -ENOENT or -ENOEXEC if it has none. */
static int image_symbol(struct process *p, const struct image *image, uint64_t *address) {
	char path[PROC_PATH];
	uint64_t offset;

	int e = elf_image_symbol(image_read, p, image->base, "tm_process", address);
	if ((e != -ENOENT && e != -ENOEXEC) || !image->program)
		return e;
	/* A program does not export what it has from an archive, but unless it was stripped its file tells. */
	int fd = open(proc_path(path, p->pid, "exe"), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	e = elf_file_symbol(fd, "tm_process", &offset);
	close(fd);
	*address = image->base + offset;
	return e;
}

/* Copies the struct at `address`. NULL, or why it is of no use; *started tells whether a heap is behind it. */
static char *copy_view(struct process *p, uint64_t address, bool *started) {
	int e = process_read(p, address, &p->at, offsetof(struct tm_process, zone));
	if (e != 0)
		return process_why(p, e);
	if (p->at.version != TM_PROCESS_VERSION || p->at.size < sizeof(p->at)) {
		/* The number is there before the heap is; anything large is no version number. */
		if (p->at.version == 0 || p->at.version > 1000)
			return cli_format("process %d has a tm_process that is not tiermalloc's", p->pid);
		return cli_format("process %d runs a tiermalloc %s than this command (its heap view has version %u, "
				  "this command reads %u); use the tiermalloc command that came with that library",
		    p->pid, p->at.version > TM_PROCESS_VERSION ? "newer" : "older", p->at.version,
		    TM_PROCESS_VERSION);
	}
	if ((e = process_read(p, address, &p->at, sizeof(p->at))) != 0)
		return process_why(p, e);
	*started = p->at.magic == TM_PROCESS_MAGIC;
	if (!*started)
		return cli_format(
		    "process %d has tiermalloc, but no heap in tiers: it is just starting, or there was no "
		    "address space to reserve (ulimit -v) and it runs as plain jemalloc",
		    p->pid);
	return NULL;
}

/* What is wrong with the sizes in the struct, which decide how much is read next. */
static bool view_sane(const struct tm_process *at) {
	if (at->stride < sizeof(uint64_t) || at->stride > 65536 || at->table == 0)
		return false;
	for (int class = 0; class < TM_TIERS; class ++)
		if (at->zone[class].carved > at->zone[class].bytes || at->zone[class].bytes >> 47 != 0 ||
		    at->zone[class].base < at->zone[0].base || at->zone[class].base % TM_REGION_BYTES != 0)
			return false;
	return true;
}

char *process_find(struct process *p, int pid) {
	char path[PROC_PATH];
	struct image images[IMAGES] = {0};
	uint64_t address;
	char *why = NULL;

	*p = (struct process){.pid = pid};
	if (cli_file(proc_path(path, pid, "comm"), p->name, sizeof(p->name)) < 0)
		return cli_format("%d: no such process", pid);
	int count = find_images(p, images);
	if (count < 0)
		return process_why(p, count);
	for (int i = 0; i < count; i++) {
		bool started = false;
		int e = image_symbol(p, &images[i], &address);
		if (e == -ENOENT || e == -ENOEXEC)
			continue;
		/* Both a linked and a preloaded one can be there; one of them has the heap. */
		free(why);
		why = e != 0 ? process_why(p, e) : copy_view(p, address, &started);
		if (started && !view_sane(&p->at))
			return cli_format("process %d has a heap view that makes no sense", pid);
		if (started)
			return NULL;
	}
	if (why == NULL && count == 0)
		return cli_format(
		    "process %d (%s) has no program: it is part of the kernel, or has ended", pid, p->name);
	return why != NULL
	    ? why
	    : cli_format("process %d (%s) is not running tiermalloc: no %s is mapped, nor is it linked in", pid,
		  p->name, LIBRARY_PREFIX);
}
