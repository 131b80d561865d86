/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Starting threads by clone(2). pthread_create allocates, so it would deadlock inside an extent hook, and a thread of
 * the C library's counts: a program whose last thread ends by pthread_exit would stay.
 *
 * The new thread has a thread pointer of its own, to zeroed memory: errno works there, nothing else of libc's
 * thread-local state is promised. Its descriptor table is its own and empty from the first moment on: a copy of the
 * program's would keep files open that the program has closed, and a shared one would let a program that closes
 * everything close ours, or see our numbers.
 */
#include "os/thread.h"

#include <errno.h>
#include <sched.h>
#include <sys/syscall.h>

#include "os/os.h"

#define CLOSE_EVERYTHING     (~0u)
#define CLOSE_RANGE_UNSHARED 2 /* CLOSE_RANGE_UNSHARE, Linux 5.9 */

static __attribute__((noreturn, used)) void thread_main(struct thread_memory *memory) {
	os_name_thread(memory->name);
	memory->run(os_close_range(0, CLOSE_EVERYTHING, CLOSE_RANGE_UNSHARED));
	os_exit_thread();
}

/* On the new stack nothing of this function's frame exists, so the thread goes on in thread_main. */
static long thread_clone(unsigned long flags, struct thread_memory *memory) {
#ifdef __x86_64__
	long r = SYS_clone;
	/* cppcheck-suppress constStatement */
	register _Atomic uint32_t *alive __asm__("r10") = &memory->alive;
	/* cppcheck-suppress constStatement ; a variable in a named register */
	register void *pointer __asm__("r8") = memory->pointer;
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %[memory], %%rdi\n\t"
			 "call *%[main]\n\t"
			 "1:"
			 : "+a"(r)
			 : "D"(flags), "S"(memory->stack + THREAD_STACK - 64), "d"(0L), "r"(alive),
			 "r"(pointer), [memory] "r"(memory), [main] "r"(thread_main)
			 : "rcx", "r11", "memory", "cc");
	return r;
#else
	(void)flags;
	(void)memory;
	return -ENOSYS;
#endif
}

int thread_start(struct thread_memory *memory, const char *name, void (*run)(int error)) {
	const unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
	    CLONE_SETTLS | CLONE_CHILD_CLEARTID;
	uint64_t before;

	memory->pointer[0] = memory->pointer[2] = memory->pointer; /* the ABI's %fs:0, and glibc's own copy of it */
	memory->name = name;
	memory->run = run;
	atomic_store(&memory->alive, 1);
	/* A new thread inherits the mask; none of the program's handlers may ever run on it. */
	int e = os_block_signals(&before);
	if (e != 0)
		return e;
	long id = thread_clone(flags, memory);
	os_restore_signals(&before);
	if (id < 0)
		atomic_store(&memory->alive, 0);
	return (int)id;
}
