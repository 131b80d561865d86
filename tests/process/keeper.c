/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The keeper thread, seen from outside: when there is one, what it has and has not of the program's, that it puts
 * together what a forked child's life has split and not before the child is gone, that forked children of any kind
 * have their own or none, and that a quiet program is left asleep. Every byte is checked all the while.
 */
/* run: preload linked */
/* timeout: 180 */
/* alone */
#include "check.h"
#include <dirent.h>
#include <sched.h>
#include <sys/syscall.h>

#define BLOCK  (16 * KiB)
#define BLOCKS (160 * MiB / BLOCK)

static char *block[BLOCKS];

static void grow(void) {
	for (size_t i = 0; i < BLOCKS; i++) {
		CHECK((block[i] = malloc(BLOCK)) != NULL);
		fill(block[i], BLOCK, i);
	}
}

static void check_blocks(void) {
	for (size_t i = 0; i < BLOCKS; i++)
		CHECK_FOR(intact(block[i], BLOCK, i), "block %zu", i);
}

static struct tm_stats stats(void) {
	struct tm_stats s;
	CHECK_EQ(tm_stats(&s, sizeof s), 0);
	return s;
}

/* The thread of that name, or 0; how many there are in *count. */
static int find_keeper(int *count) {
	int found = 0;
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	*count = 0;
	CHECK(tasks != NULL);
	while ((entry = readdir(tasks)) != NULL) {
		char path[300], name[32] = "";
		snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, name, sizeof name - 1) > 0 && strcmp(name, "tier-keeper\n") == 0) {
			found = atoi(entry->d_name);
			++*count;
		}
		close(fd);
	}
	closedir(tasks);
	return found;
}

static int keeper(void) {
	int count, id = find_keeper(&count);
	CHECK_FOR(count <= 1, "%d keepers", count);
	return id;
}

static unsigned long task_number(int id, const char *field, int base) {
	char path[64], text[4096] = "";
	snprintf(path, sizeof path, "/proc/self/task/%d/status", id);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	CHECK(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
	close(fd);
	char *at = strstr(text, field);
	CHECK_FOR(at != NULL, "%s", field);
	return strtoul(at + strlen(field), NULL, base);
}

static void only_in_large_heaps(void) {
	free(hide(malloc(32 * MiB)));
	CHECK_EQ(keeper(), 0);
	CHECK_EQ(stats().keeper, 0);
	grow();
	CHECK(keeper() != 0);
	CHECK_EQ(keeper(), stats().keeper);
}

static void its_own_place(void) {
	int before = dup(2);
	close(before);
	grow();
	int id = keeper();
	CHECK(id != 0);
	CHECK_EQ(task_number(id, "SigBlk:", 16), ~(1ul << (SIGKILL - 1) | 1ul << (SIGSTOP - 1)));
	/* Descriptors come and go in its own table; the program's numbers stay what they would be. */
	char path[64];
	snprintf(path, sizeof path, "/proc/self/task/%d/fd/2", id);
	for (int i = 0; i < 50; i++) {
		CHECK_FOR(access(path, F_OK) != 0 || readlink(path, path + 48, 8) != 0, "it has our stderr");
		int fd = dup(2);
		CHECK_EQ(fd, before);
		close(fd);
		usleep(1000);
	}
	syscall(SYS_close_range, 3, ~0u, 0);
	CHECK_EQ(keeper(), id);
	check_blocks();
}

static double huge_share(void) {
	struct tm_stats s = stats();
	return (double)s.tier[TM_COLD].huge / (double)s.tier[TM_COLD].resident;
}

static void need_huge(void) {
	double end = seconds_now() + 15;
	while (huge_share() < 0.95 && seconds_now() < end)
		usleep(100000);
	if (huge_share() < 0.95)
		SKIP("the kernel gives no huge pages");
}

static pid_t fork_raw(void) {
	return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

/* The child holds on to its copy until the pipe is closed. */
static void mends(pid_t (*make)(void)) {
	grow();
	need_huge();
	int ends[2];
	CHECK_EQ(pipe(ends), 0);
	pid_t pid = make();
	CHECK(pid >= 0);
	if (pid == 0) {
		char c;
		close(ends[1]);
		_exit(read(ends[0], &c, 1) != 0);
	}
	close(ends[0]);
	struct tm_stats before = stats();
	for (size_t i = 0; i < BLOCKS; i++)
		block[i][i % BLOCK] ^= 0;
	for (size_t i = 0; i < BLOCKS; i += 4)
		*(volatile char *)block[i] = *(volatile char *)block[i];
	CHECK_FOR(huge_share() < 0.5, "%.2f: no write has split a page", huge_share());
	free(hide(malloc(32 * MiB))); /* a sign of life, where no fork handler has run */
	sleep(3);
	struct tm_stats shared = stats();
	CHECK_FOR(shared.huge_gained <= before.huge_gained + 4, "%lu copied beside a child",
	    (unsigned long)(shared.huge_gained - before.huge_gained));
	CHECK(shared.huge_split > before.huge_split);
	close(ends[1]);
	int status;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	double end = seconds_now() + 15;
	while (huge_share() < 0.95 && seconds_now() < end)
		usleep(100000);
	CHECK_FOR(huge_share() >= 0.95, "%.2f", huge_share());
	check_blocks();
}

static void mends_after_fork(void) {
	mends(fork);
}

static void mends_after_clone(void) {
	/* No handler runs: the keeper has to be awake, or woken by the heap's next change, to see it. */
	mends(fork_raw);
}

static void child_has_its_own(pid_t (*make)(void)) {
	grow();
	CHECK(keeper() != 0);
	pid_t pid = make();
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK_EQ(keeper(), 0);
		for (size_t i = 0; i < 16; i++)
			fill(malloc(4 * MiB), 4 * MiB, i);
		CHECK_FOR(keeper() != 0, "no keeper in a child that goes on");
		check_blocks();
		_exit(0);
	}
	int status;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK(keeper() != 0);
	check_blocks();
}

static void forked_child(void) {
	child_has_its_own(fork);
}

static void cloned_child(void) {
	child_has_its_own(fork_raw);
}

static int vforked(void *arg) {
	(void)arg;
	for (size_t i = 0; i < 16; i++)
		fill(malloc(4 * MiB), 4 * MiB, i);
	int count;
	find_keeper(&count);
	_exit(count);
}

/* Such a child has the parent's memory, and with it the parent's keeper: none of its own beside that one. */
static void vforked_child(void) {
	static char stack[256 * KiB] __attribute__((aligned(16)));
	grow();
	pid_t pid = clone(vforked, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	CHECK(pid > 0);
	int status;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK(keeper() != 0);
	check_blocks();
}

static void sleeps_when_quiet(void) {
	grow();
	int id = keeper();
	CHECK(id != 0);
	sleep(14);
	unsigned long before = task_number(id, "\nvoluntary_ctxt_switches:", 10);
	sleep(5);
	CHECK_EQ(task_number(id, "\nvoluntary_ctxt_switches:", 10), before);
	/* And wakes up when the heap changes. */
	for (size_t i = 0; i < 16; i++)
		fill(malloc(4 * MiB), 4 * MiB, i);
	sleep(1);
	CHECK(task_number(id, "\nvoluntary_ctxt_switches:", 10) > before);
}

static void none_when_not_wanted(void) {
	grow();
	CHECK_EQ(keeper(), 0);
	CHECK_EQ(stats().keeper_us, 0);
}

static const struct part {
	const char *name, *conf;
	void (*run)(void);
} parts[] = {
    {"only_in_large_heaps", "", only_in_large_heaps},
    {"its_own_place", "", its_own_place},
    {"mends_after_fork", "hot_bytes:0", mends_after_fork},
    {"mends_after_clone", "hot_bytes:0", mends_after_clone},
    {"forked_child", "", forked_child},
    {"cloned_child", "", cloned_child},
    {"vforked_child", "", vforked_child},
    {"sleeps_when_quiet", "", sleeps_when_quiet},
    {"none_when_not_wanted", "keeper:false", none_when_not_wanted},
};

int main(int argc, char **argv) {
	need_tiermalloc();
	if (argc > 1) {
		parts[atoi(argv[1])].run();
		return 0;
	}
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			char index[4];
			snprintf(index, sizeof index, "%zu", i);
			setenv("TIERMALLOC_CONF", parts[i].conf, 1);
			execl("/proc/self/exe", "keeper", index, (char *)NULL);
			_exit(3);
		}
		int status = -1;
		waitpid(pid, &status, 0);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
			SKIP("%s", parts[i].name);
		CHECK_FOR(status == 0, "\"%s\" ended with 0x%x", parts[i].name, status);
	}
	return 0;
}
