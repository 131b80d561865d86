/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * C++ operators new and delete, without C++.
 *
 * libstdc++'s own call malloc and would do, were it not for programs linked with the system's libjemalloc (Debian's
 * redis-server): that library exports operators which use its heap, the second one in the process. Ours come first.
 *
 * new-handlers may throw, so this file is compiled with -fexceptions. The two names of the C++ library are weak, and
 * looked up once more when they are needed: a C program may have loaded it late, for a plugin.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

#include "alloc/abi.h"
#include "alloc/report.h"
#include "os/os.h"

typedef void (*handler)(void);
typedef handler (*handler_getter)(void);

extern handler std_get_new_handler(void) __asm__("_ZSt15get_new_handlerv") __attribute__((weak));
extern _Noreturn void std_throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv") __attribute__((weak));

static void *cxx_symbol(const char *name) {
	static const char *const libraries[] = {"libstdc++.so.6", "libc++.so.1"};
	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
		void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
		void *symbol = library != NULL ? dlsym(library, name) : NULL;
		if (symbol != NULL)
			return symbol;
	}
	return NULL;
}

static handler current_handler(void) {
	handler_getter get = std_get_new_handler;
	if (get == NULL)
		get = (handler_getter)cxx_symbol("_ZSt15get_new_handlerv");
	return get != NULL ? get() : NULL;
}

static _Noreturn void throw_bad_alloc(void) {
	void (*throw_it)(void) = std_throw_bad_alloc;
	if (throw_it == NULL)
		throw_it = (void (*)(void))cxx_symbol("_ZSt17__throw_bad_allocv");
	if (throw_it != NULL)
		throw_it();
	report_error("operator new: out of memory, and no C++ library to throw std::bad_alloc with");
	os_abort();
}

static void *allocate(size_t alignment, size_t size) {
	if (alignment == 0)
		return tmje_malloc(size);
	return memalign(alignment, size != 0 ? size : 1);
}

/* [new.delete.single]: call the handler until it frees enough, throws, or there is none. */
static SLOW void *new_slow(size_t alignment, size_t size) {
	void *p;
	while ((p = allocate(alignment, size)) == NULL) {
		handler h = current_handler();
		if (h != NULL)
			h();
		else
			throw_bad_alloc();
	}
	return p;
}

/*
 * The nothrow forms turn an exception from the handler into NULL. Catching takes C++, so the rare case of a handler
 * is left to the C++ library's own function of that name, which calls our throwing form inside a try block.
 */
static SLOW void *new_nothrow_slow(const char *symbol, size_t alignment, size_t size, const void *nothrow) {
	void *p = allocate(alignment, size);
	if (p != NULL || current_handler() == NULL)
		return p;
	void *theirs = cxx_symbol(symbol);
	if (theirs == NULL)
		return NULL;
	if (alignment == 0)
		return ((void *(*)(size_t, const void *))theirs)(size, nothrow);
	return ((void *(*)(size_t, size_t, const void *))theirs)(size, alignment, nothrow);
}

#define NEW(function, symbol)                                     \
	EXPORT void *function(size_t size) __asm__(symbol);       \
	void *function(size_t size) {                             \
		void *p = tmje_malloc(size);                      \
		return LIKELY(p != NULL) ? p : new_slow(0, size); \
	}
#define NEW_NOTHROW(function, symbol)                                                      \
	EXPORT void *function(size_t size, const void *nothrow) __asm__(symbol);           \
	void *function(size_t size, const void *nothrow) {                                 \
		void *p = tmje_malloc(size);                                               \
		return LIKELY(p != NULL) ? p : new_nothrow_slow(symbol, 0, size, nothrow); \
	}
#define NEW_ALIGNED(function, symbol)                                         \
	EXPORT void *function(size_t size, size_t alignment) __asm__(symbol); \
	void *function(size_t size, size_t alignment) {                       \
		return new_slow(alignment, size);                             \
	}
#define NEW_ALIGNED_NOTHROW(function, symbol)                                                      \
	EXPORT void *function(size_t size, size_t alignment, const void *nothrow) __asm__(symbol); \
	void *function(size_t size, size_t alignment, const void *nothrow) {                       \
		return new_nothrow_slow(symbol, alignment, size, nothrow);                         \
	}
/* Sizes and alignments are promises that are not needed: see free_sized. */
#define DELETE(function, symbol, parameters)             \
	EXPORT void function parameters __asm__(symbol); \
	void function parameters {                       \
		tmje_free(p);                            \
	}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
NEW(operator_new, "_Znwm")
NEW(operator_new_array, "_Znam")
NEW_NOTHROW(operator_new_nothrow, "_ZnwmRKSt9nothrow_t")
NEW_NOTHROW(operator_new_array_nothrow, "_ZnamRKSt9nothrow_t")
NEW_ALIGNED(operator_new_aligned, "_ZnwmSt11align_val_t")
NEW_ALIGNED(operator_new_array_aligned, "_ZnamSt11align_val_t")
NEW_ALIGNED_NOTHROW(operator_new_aligned_nothrow, "_ZnwmSt11align_val_tRKSt9nothrow_t")
NEW_ALIGNED_NOTHROW(operator_new_array_aligned_nothrow, "_ZnamSt11align_val_tRKSt9nothrow_t")
DELETE(operator_delete, "_ZdlPv", (void *p))
DELETE(operator_delete_array, "_ZdaPv", (void *p))
DELETE(operator_delete_sized, "_ZdlPvm", (void *p, size_t size))
DELETE(operator_delete_array_sized, "_ZdaPvm", (void *p, size_t size))
DELETE(operator_delete_nothrow, "_ZdlPvRKSt9nothrow_t", (void *p, const void *nothrow))
DELETE(operator_delete_array_nothrow, "_ZdaPvRKSt9nothrow_t", (void *p, const void *nothrow))
DELETE(operator_delete_aligned, "_ZdlPvSt11align_val_t", (void *p, size_t alignment))
DELETE(operator_delete_array_aligned, "_ZdaPvSt11align_val_t", (void *p, size_t alignment))
DELETE(operator_delete_sized_aligned, "_ZdlPvmSt11align_val_t", (void *p, size_t size, size_t alignment))
DELETE(operator_delete_array_sized_aligned, "_ZdaPvmSt11align_val_t", (void *p, size_t size, size_t alignment))
DELETE(operator_delete_aligned_nothrow, "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    (void *p, size_t alignment, const void *nothrow))
DELETE(operator_delete_array_aligned_nothrow, "_ZdaPvSt11align_val_tRKSt9nothrow_t",
    (void *p, size_t alignment, const void *nothrow))
#pragma GCC diagnostic pop
