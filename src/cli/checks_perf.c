/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of the processor's counters: can it count, and can it sample accesses to memory with their addresses. The
 * second is found by sampling accesses of our own and looking whether the addresses are theirs.
 */
#include <cpuid.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/doctor.h"
#include "os/os.h"
#include "os/perf.h"

#define PARANOID     "/proc/sys/kernel/perf_event_paranoid"
#define LOCKED       "/proc/sys/kernel/perf_event_mlock_kb"
#define NEWER_KERNEL "apt install -t bookworm-backports linux-image-amd64"

void check_pmu(struct doctor *d) {
	struct perf_event_attr attr = {
	    .type = PERF_TYPE_HARDWARE,
	    .size = sizeof(attr),
	    .config = PERF_COUNT_HW_CPU_CYCLES,
	    .disabled = 1,
	    .exclude_kernel = 1,
	    .exclude_hv = 1,
	};
	char paranoid[16];
	long fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	int e = fd < 0 ? errno : 0;

	if (cli_file(PARANOID, paranoid, sizeof(paranoid)) <= 0)
		strcpy(paranoid, "unknown");
	if (fd >= 0) {
		close((int)fd);
		doctor_add(d, MARK_OK, "PMU", "hardware events can be counted (perf_event_paranoid %s)", paranoid);
		doctor_follows(d, "accesses can be sampled by the processor");
	} else if (e == EACCES || e == EPERM) {
		doctor_add(d, MARK_NOTE, "PMU", "this user may not count hardware events (perf_event_paranoid %s%s)",
		    paranoid, geteuid() == 0 ? "; or a container forbids it" : "");
		doctor_follows(d, "accesses cannot be sampled by the processor; other ways remain");
		doctor_command(d, "sudo sysctl kernel.perf_event_paranoid=2");
	} else {
		doctor_add(d, MARK_NOTE, "PMU", "the processor shows none (%s); usual in virtual machines",
		    e == ENOENT || e == EOPNOTSUPP || e == ENODEV ? "no hardware events" : strerror(e));
		doctor_follows(d, "accesses cannot be sampled by the processor; other ways remain");
	}
}

/* --- samples --- */

#define TRY_BYTES  ((size_t)8 << 20)
#define TRY_PERIOD 512
#define LINE       64

struct try {
	uintptr_t start;
	unsigned right, wrong;
};

static void try_count(void *arg, const struct perf_access *access) {
	struct try *try = arg;
	if (access->address - try->start < TRY_BYTES)
		try->right++;
	else
		try->wrong++;
}

/* Writes and then reads memory line by line, each read from memory itself. 0 or -errno. */
static int try_samples(const struct perf_code *codes, unsigned n, struct try *try) {
	static struct perf_events set;
	void *p;

	memset(try, 0, sizeof(*try));
	int e = os_map(TRY_BYTES, OS_PAGE, &p);
	if (e != 0)
		return e;
	os_advise(p, TRY_BYTES, MADV_NOHUGEPAGE);
	try->start = (uintptr_t)p;
	e = perf_open(&set, codes, n, TRY_PERIOD, 0);
	for (size_t i = 0; e >= 0 && i < 2 * TRY_BYTES; i += LINE) {
		volatile char *line = (char *)p + i % TRY_BYTES;
		if (i < TRY_BYTES)
			*line = 1;
		else
			(void)*line;
		__builtin_ia32_clflush((const void *)line);
		if (i % (TRY_BYTES / 64) == 0)
			perf_drain(&set, try_count, try, UINT32_MAX);
	}
	perf_drain(&set, try_count, try, UINT32_MAX);
	perf_close(&set);
	os_unmap(p, TRY_BYTES);
	return e < 0 ? e : 0;
}

static bool virtual_machine(void) {
	unsigned a, b, c, d;
	return __get_cpuid(1, &a, &b, &c, &d) && (c >> 31 & 1) != 0;
}

static void samples_unknown(struct doctor *d) {
	struct perf_cpu cpu;
	perf_cpu(&cpu);
	if (cpu.vendor == PERF_AMD) {
		doctor_add(d, MARK_NOTE, "access samples",
		    "the kernel shows no instruction based sampling (ibs_op)%s",
		    virtual_machine() ? ", usual in virtual machines" : "");
	} else {
		doctor_add(d, MARK_NOTE, "access samples",
		    "no event known for this processor (%s family %u, model 0x%x)",
		    cpu.vendor == PERF_INTEL ? "Intel" : "unknown vendor,", cpu.family, cpu.model);
	}
}

static void samples_denied(struct doctor *d, const struct perf_code *code) {
	const unsigned most = code->unfiltered ? 1 : 2;
	uint64_t paranoid;
	bool known = doctor_number(PARANOID, &paranoid);

	if (known && (int64_t)paranoid > (int64_t)most) {
		doctor_add(d, MARK_NOTE, "access samples", "this user may not open %s (perf_event_paranoid %d)",
		    code->name, (int)paranoid);
		doctor_command(d, "sudo sysctl kernel.perf_event_paranoid=%u", most);
	} else {
		doctor_add(d, MARK_NOTE, "access samples",
		    "%s may not be opened, though perf_event_paranoid allows it: a container's filter", code->name);
	}
}

/* Why not, and what would change it. */
static void samples_refused(struct doctor *d, const struct perf_code *code, int e) {
	uint64_t locked;

	switch (-e) {
	case EACCES:
	case EPERM:
		samples_denied(d, code);
		return;
	case ENOENT:
	case EOPNOTSUPP:
	case ENODEV:
	case ENXIO:
		doctor_add(d, MARK_NOTE, "access samples", "the processor shows no %s%s", code->name,
		    virtual_machine()
			? ": a virtual machine's host has to pass its counters on (QEMU: -cpu host,pmu=on)"
			: "");
		return;
	case EINVAL:
		doctor_add(d, MARK_NOTE, "access samples", "this kernel does not take %s for one thread%s",
		    code->name, code->step != 0 ? " (it does from Linux 6.2 on)" : "");
		if (code->step != 0)
			doctor_command(d, "%s" NEWER_KERNEL, doctor_sudo());
		return;
	case ENOMEM:
		doctor_add(
		    d, MARK_NOTE, "access samples", "no memory may be locked for the samples of %s", code->name);
		if (doctor_number(LOCKED, &locked))
			doctor_command(d, "sudo sysctl kernel.perf_event_mlock_kb=%u", (unsigned)locked * 2);
		return;
	case ENOSYS:
		doctor_add(d, MARK_NOTE, "access samples", "this kernel is built without perf events");
		return;
	default:
		doctor_add(d, MARK_NOTE, "access samples", "%s cannot be opened: %s", code->name, strerror(-e));
		return;
	}
}

void check_samples(struct doctor *d) {
	struct perf_code codes[PERF_CODES];
	unsigned n = perf_choose(codes);
	struct try try;

	if (n == 0) {
		samples_unknown(d);
		doctor_follows(d, "accesses cannot be sampled by the processor; other ways remain");
		return;
	}
	int e = try_samples(codes, n, &try);
	while (e != 0 && n > 1)
		e = try_samples(codes, --n, &try);
	if (e != 0) {
		samples_refused(d, &codes[0], e);
		doctor_follows(d, "accesses cannot be sampled by the processor; other ways remain");
		return;
	}
	const char *and = n > 1 ? " and " : "", *second = n > 1 ? codes[1].name : "";
	if (try.right == 0) {
		doctor_add(d, MARK_NOTE, "access samples",
		    "%s%s%s can be opened, but no sample has the right address", codes[0].name, and, second);
		doctor_follows(d, "accesses cannot be sampled by the processor; other ways remain");
	} else {
		doctor_add(d, MARK_OK, "access samples", "%s%s%s", codes[0].name, and, second);
		doctor_follows(d, "%u samples of accesses made to try it, %u of others%s", try.right, try.wrong,
		    codes[0].any_level ? "; what hit a cache cannot be left out" : "");
	}
	doctor_fact(d, "right", try.right);
	doctor_fact(d, "others", try.wrong);
}
