/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dlopen without RTLD_DEEPBIND.
 *
 * A plugin loaded with that flag (PHP's extensions are) binds malloc and free to the C library's instead of ours,
 * while strdup, getline and the like still give it our blocks; the first free crosses heaps and crashes. There is no
 * way to exempt a few names, so the flag is dropped. Everything else about the call stays: dlopen looks at its return
 * address to find the caller's RUNPATH and namespace, so the real one is jumped to, not called.
 */
#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>

#include "alloc/abi.h"
#include "alloc/options.h"

typedef void *(*dlopen_function)(const char *file, int mode);

static _Atomic(dlopen_function) real_dlopen;

static SLOW dlopen_function dlopen_find(void) {
	dlopen_function found = (dlopen_function)dlsym(RTLD_NEXT, "dlopen");
	atomic_store_explicit(&real_dlopen, found, memory_order_relaxed);
	return found;
}

/* A jump whatever the optimisation level. */
#if defined(__clang__)
#define JUMP __attribute__((musttail)) return
#define JUMPS
#else
#define JUMP  return
#define JUMPS __attribute__((optimize("O2", "optimize-sibling-calls")))
#endif

JUMPS EXPORT void *dlopen(const char *file, int mode) {
	dlopen_function real = atomic_load_explicit(&real_dlopen, memory_order_relaxed);
	if (real == NULL && (real = dlopen_find()) == NULL)
		return NULL;
	if (option(dlopen_deepbind) == OPTION_DEEPBIND_IGNORE)
		mode &= ~RTLD_DEEPBIND;
	JUMP real(file, mode);
}
