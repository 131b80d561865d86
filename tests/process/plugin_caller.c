/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A library that opens a plugin by bare name; the plugin lies where only this library's own RUNPATH points.
 */
/* libs: -Wl,-rpath,$ORIGIN/../only_here -Wl,--enable-new-dtags */
#include <dlfcn.h>

void *plugin_caller_open(const char *name, int flags) {
	return dlopen(name, flags);
}
