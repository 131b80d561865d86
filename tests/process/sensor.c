/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sensor, seen from outside: regions go away and come home all the time while the program forks in every way,
 * closes all descriptors, becomes a daemon, lets the kernel read and write its memory, locks it, is stopped and
 * looked into. Every byte is checked. And: heat is found, a quiet program is left alone, nothing is away and no
 * userfaultfd open while the program wants it quiet.
 */
/* run: preload linked */
/* timeout: 240 */
/* alone */
#include "check.h"
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

extern char **environ;

#define BLOCK  (64 * KiB)
#define BLOCKS (160 * MiB / BLOCK)
#define BUSY   "hot_bytes:0,sense_cpu:50"

static char *block[BLOCKS];
static _Atomic bool stop;

static struct tm_stats stats(void) {
	struct tm_stats s;
	CHECK_EQ(tm_stats(&s, sizeof s), 0);
	return s;
}

static void check_blocks(void) {
	for (size_t i = 0; i < BLOCKS; i++)
		CHECK_FOR(intact(block[i], BLOCK, i), "block %zu", i);
}

/*
 * Keeps the program busy: writes what is there already. The upper blocks so rarely that they stay untouched for far
 * longer than it takes the sensor to see an access, which is the shortest time it can tell from others.
 */
static void *busy(void *arg) {
	uint64_t x = (uintptr_t)arg * 2 + 88172645463325252u;
	while (!stop) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		size_t i = x % 256 ? x / 256 % (BLOCKS / 8) : x / 256 % BLOCKS;
		volatile char *p = block[i] + (x >> 40) % BLOCK;
		*p = *p;
	}
	return NULL;
}

static pthread_t worker;

/* A heap on huge pages that is being sensed. */
static void sensed(void) {
	for (size_t i = 0; i < BLOCKS; i++) {
		CHECK((block[i] = malloc(BLOCK)) != NULL);
		fill(block[i], BLOCK, i);
	}
	CHECK_EQ(pthread_create(&worker, NULL, busy, NULL), 0);
	double end = seconds_now() + 20;
	while (stats().probes < 200 && seconds_now() < end)
		usleep(20000);
	struct tm_stats s = stats();
	if (s.probes == 0 && s.tier[TM_COLD].huge == 0)
		SKIP("the kernel gives no huge pages");
	if (s.probes == 0 && s.pager == 0)
		SKIP("no userfaultfd that moves pages and tells of forks");
	CHECK_FOR(s.probes >= 200, "%lu regions watched in 20 s", (unsigned long)s.probes);
}

static void unsensed(void) {
	stop = true;
	pthread_join(worker, NULL);
	check_blocks();
}

static pid_t fork_raw(void) {
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void child_checks(size_t from) {
	for (size_t i = from; i < BLOCKS; i += 16)
		if (!intact(block[i], BLOCK, i))
			_exit(1);
	_exit(0);
}

static void wait_good(pid_t pid, int turn) {
	int status;
	CHECK(pid > 0);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_FOR(status == 0, "turn %d: child ended with 0x%x", turn, status);
}

static void forks(pid_t (*make)(void), int turns) {
	sensed();
	for (int turn = 0; turn < turns; turn++) {
		pid_t pid = make();
		if (pid == 0)
			child_checks((size_t)turn % 16);
		wait_good(pid, turn);
		usleep((useconds_t)(turn % 5) * 500);
	}
	unsensed();
}

static void forked_children(void) {
	forks(fork, 400);
	CHECK_FOR(stats().hold_most_us < 1000000, "%lu us", (unsigned long)stats().hold_most_us);
}

static void cloned_children(void) {
	forks(fork_raw, 400);
	pid_t pid = fork_raw();
	if (pid == 0) {
		alarm(10);
		tm_quiesce(); /* without a thread there is nothing to wait for */
		tm_resume();
		child_checks(0);
	}
	wait_good(pid, 0);
	CHECK(stats().pager_forks >= 400);
}

static void spawned_children(void) {
	sensed();
	char *argv[] = {"true", NULL};
	for (int turn = 0; turn < 200; turn++) {
		pid_t pid;
		CHECK_EQ(posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ), 0);
		wait_good(pid, turn);
		pid = vfork();
		if (pid == 0) {
			execv("/bin/true", argv);
			_exit(9);
		}
		wait_good(pid, turn);
	}
	unsensed();
}

static void probes_go_on(void) {
	uint64_t before = stats().probes;
	double end = seconds_now() + 10;
	while (stats().probes < before + 50 && seconds_now() < end)
		usleep(20000);
	CHECK_FOR(stats().probes >= before + 50, "none after %lu", (unsigned long)before);
}

static void descriptors_closed(void) {
	sensed();
	for (int i = 0; i < 20; i++) {
		syscall(SYS_close_range, 3, ~0u, 0);
		int fd = dup(2);
		CHECK_EQ(fd, 3);
		close(fd);
		check_blocks();
	}
	probes_go_on();
	unsensed();
}

/* The child has no sensor until it needs a keeper of its own; its memory is whole all the same. */
static void daemon_goes_on(void) {
	sensed();
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		setsid();
		syscall(SYS_close_range, 0, ~0u, 0);
		for (size_t i = 0; i < BLOCKS; i++)
			if (!intact(block[i], BLOCK, i))
				_exit(1);
		for (size_t i = 0; i < BLOCKS; i += 2) {
			free(block[i]);
			if ((block[i] = malloc(BLOCK)) == NULL)
				_exit(2);
			fill(block[i], BLOCK, i);
		}
		child_checks(0);
	}
	wait_good(pid, 0);
	unsensed();
}

/* A child that lives on gets a sensor of its own, over regions its parent's watched. */
static void sensed_child(void) {
	sensed();
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		/* The same addresses, on huge pages that are not shared with the parent. */
		for (size_t i = 0; i < BLOCKS; i++)
			free(block[i]);
		malloc_trim(0);
		for (size_t i = 0; i < BLOCKS; i++) {
			if ((block[i] = malloc(BLOCK)) == NULL)
				_exit(3);
			fill(block[i], BLOCK, i);
		}
		pthread_create(&worker, NULL, busy, NULL);
		double end = seconds_now() + 20;
		while (stats().probes < 2000 && seconds_now() < end) {
			usleep(50000);
			for (size_t i = 0; i < BLOCKS; i += 7)
				if (!intact(block[i], BLOCK, i))
					_exit(1);
		}
		if (stats().probes < 300)
			_exit(2);
		child_checks(0);
	}
	wait_good(pid, 0);
	unsensed();
}

/* The kernel reads and writes memory that may be away. */
static void system_calls(void) {
	sensed();
	int ends[2], file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	CHECK_EQ(pipe(ends), 0);
	char *copy = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fcntl(ends[1], F_SETPIPE_SZ, (int)BLOCK);
	for (size_t turn = 0; turn < 4000; turn++) {
		size_t i = turn * 37 % BLOCKS;
		CHECK_EQ(write(ends[1], block[i], BLOCK / 2), (long long)BLOCK / 2);
		CHECK_EQ(read(ends[0], block[i], BLOCK / 2), (long long)BLOCK / 2);
		struct iovec from = {block[i], BLOCK / 2};
		long n = vmsplice(ends[1], &from, 1, 0);
		CHECK(n > 0);
		for (long got = 0; got < n;) {
			long r = read(ends[0], copy + got, (size_t)(n - got));
			CHECK(r > 0);
			got += r;
		}
		CHECK_FOR(memcmp(copy, block[i], (size_t)n) == 0, "turn %zu", turn);
		if (file >= 0) {
			CHECK_EQ(pwrite(file, block[i], BLOCK, 0), (long long)BLOCK);
			CHECK_EQ(pread(file, block[i], BLOCK, 0), (long long)BLOCK);
		}
		struct iovec local = {copy, BLOCK}, remote = {block[i], BLOCK};
		CHECK_EQ(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), (long long)BLOCK);
		CHECK_FOR(intact(copy, BLOCK, i), "turn %zu", turn);
	}
	unsensed();
}

static void locked(void) {
	sensed();
	for (size_t turn = 0; turn < 300; turn++) {
		size_t i = turn * 61 % BLOCKS;
		char *page = (char *)((uintptr_t)block[i] & ~(uintptr_t)4095);
		if (mlock(page, BLOCK / 2) == 0) {
			usleep(500);
			munlock(page, BLOCK / 2);
		}
		if (turn % 100 == 50 && mlockall(MCL_CURRENT) == 0) {
			usleep(50000);
			munlockall();
		}
	}
	unsensed();
}

static void stopped_and_traced(void) {
	sensed();
	pid_t parent = getpid(), pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		for (int i = 0; i < 30; i++) {
			kill(parent, SIGSTOP);
			usleep(3000);
			kill(parent, SIGCONT);
			usleep(10000);
		}
		_exit(0);
	}
	wait_good(pid, 0);
	check_blocks();
	probes_go_on();
	unsensed();
}

static void heat_is_found(void) {
	sensed();
	struct tm_heat hot, cold;
	double end = seconds_now() + 20;
	bool found = false;
	while (!found && seconds_now() < end) {
		usleep(100000);
		found = tm_heat(block[BLOCKS / 16], &hot) == 0 && tm_heat(block[BLOCKS * 3 / 4], &cold) == 0 &&
		    hot.rate > 4 * cold.rate;
	}
	CHECK_FOR(found, "hot %g/s, cold %g/s", (double)hot.rate, (double)cold.rate);
	CHECK_EQ(tm_heat(&hot, &cold), -ENODATA);
	CHECK_EQ(tm_heat(NULL, &cold), -ENODATA);
	CHECK_EQ(tm_heat(block[0], NULL), -EINVAL);
	unsensed();
}

static int pagers(void) {
	int count = 0;
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	CHECK(tasks != NULL);
	while ((entry = readdir(tasks)) != NULL) {
		char path[300], name[32] = "";
		snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		count += read(fd, name, sizeof name - 1) > 0 && strcmp(name, "tier-pager\n") == 0;
		close(fd);
	}
	closedir(tasks);
	return count;
}

static void quiet_when_asked(void) {
	sensed();
	CHECK_EQ(pagers(), 1);
	for (int i = 0; i < 20; i++) {
		tm_quiesce();
		tm_quiesce();
		CHECK_EQ(pagers(), 0);
		CHECK_EQ(stats().pager, 0);
		tm_resume();
		CHECK_EQ(pagers(), 0);
		check_blocks();
		tm_resume();
		usleep(20000);
	}
	tm_resume(); /* one too many does no harm */
	probes_go_on();
	CHECK_EQ(pagers(), 1);
	unsensed();
}

static void sleeps_when_idle(void) {
	sensed();
	stop = true;
	pthread_join(worker, NULL);
	double end = seconds_now() + 30;
	for (uint64_t before, after;; before = after) {
		before = stats().pager_wakes;
		sleep(2);
		after = stats().pager_wakes;
		/* statistics themselves ring once */
		if (after - before <= 2)
			break;
		CHECK_FOR(seconds_now() < end, "%lu wake-ups in 2 s", (unsigned long)(after - before));
	}
	check_blocks();
}

static void none_when_not_wanted(void) {
	for (size_t i = 0; i < BLOCKS; i++) {
		CHECK((block[i] = malloc(BLOCK)) != NULL);
		fill(block[i], BLOCK, i);
	}
	sleep(1);
	CHECK_EQ(pagers(), 0);
	CHECK_EQ(stats().probes, 0);
	check_blocks();
}

static void thp_disabled(void) {
	CHECK_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
	for (size_t i = 0; i < BLOCKS; i++) {
		CHECK((block[i] = malloc(BLOCK)) != NULL);
		fill(block[i], BLOCK, i);
	}
	sleep(1);
	check_blocks();
}

static const struct {
	const char *name, *conf;
	void (*run)(void);
} parts[] = {
    {"forked_children", BUSY, forked_children},
    {"cloned_children", BUSY, cloned_children},
    {"spawned_children", BUSY, spawned_children},
    {"descriptors_closed", BUSY, descriptors_closed},
    {"daemon_goes_on", BUSY, daemon_goes_on},
    {"sensed_child", BUSY, sensed_child},
    {"system_calls", BUSY, system_calls},
    {"locked", BUSY, locked},
    {"stopped_and_traced", BUSY, stopped_and_traced},
    {"heat_is_found", BUSY, heat_is_found},
    {"quiet_when_asked", BUSY, quiet_when_asked},
    {"sleeps_when_idle", "hot_bytes:0", sleeps_when_idle},
    {"none_when_not_wanted", "hot_bytes:0,sensor:none", none_when_not_wanted},
    {"thp_disabled", BUSY, thp_disabled},
};

int main(int argc, char **argv) {
	need_tiermalloc();
	if (argc > 1) {
		parts[atoi(argv[1])].run();
		return 0;
	}
	bool skipped = false;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			char index[4];
			snprintf(index, sizeof index, "%zu", i);
			setenv("TIERMALLOC_CONF", parts[i].conf, 1);
			execl("/proc/self/exe", "sensor", index, (char *)NULL);
			_exit(3);
		}
		int status = -1;
		waitpid(pid, &status, 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
			skipped = true;
		else
			CHECK_FOR(status == 0, "\"%s\" ended with 0x%x", parts[i].name, status);
	}
	if (skipped)
		SKIP("no sensor here");
	return 0;
}
