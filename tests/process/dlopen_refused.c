/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that dlopen()s the library is told no, in words, and goes on with the allocator it has; two heaps in
 * one process, with blocks crossing, would be worse.
 */
/* run: none */
#include "check.h"
#include <dlfcn.h>

int main(void) {
	const char *lib = getenv("TM_LIB");
	if (!lib || !strstr(lib, "libtiermalloc"))
		SKIP("TM_LIB is not tiermalloc");
	char *before = malloc(100);
	for (int i = 0; i < 3; i++) {
		int flags = i == 0 ? RTLD_NOW : i == 1 ? RTLD_LAZY | RTLD_GLOBAL : RTLD_NOW | RTLD_DEEPBIND;
		CHECK(dlopen(lib, flags) == NULL);
		const char *why = dlerror();
		CHECK_FOR(why && strstr(why, "dlopen") && strstr(why, "libtiermalloc"), "but \"%s\"", why ? why : "");
	}
	free(realloc(before, 10000));
	return 0;
}
