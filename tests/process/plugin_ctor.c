/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A library whose constructor and destructor allocate; startup_ctor links it. It does not depend on tiermalloc, so
 * the dynamic linker is free to initialise it first.
 */
#include <stdlib.h>
#include <string.h>

char *plugin_ctor_small, *plugin_ctor_large;
static char *of_destructor;

__attribute__((constructor(101))) static void on_load(void) {
	plugin_ctor_small = malloc(100);
	plugin_ctor_large = malloc(5 << 20);
	if (plugin_ctor_small && plugin_ctor_large) {
		strcpy(plugin_ctor_small, "small");
		strcpy(plugin_ctor_large + (5 << 20) - 10, "large");
	}
}

__attribute__((destructor(101))) static void on_unload(void) {
	for (int i = 0; i < 1000; i++) {
		free(of_destructor);
		of_destructor = malloc(i * 100);
		if (!of_destructor)
			abort();
		memset(of_destructor, i, i * 100);
	}
}
