/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A plugin as dlopen_deepbind loads it: takes blocks of the host, gives blocks to it, and uses functions of the C
 * library that allocate.
 */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *plugin_strdup(const char *s) {
	return strdup(s);
}

void *plugin_malloc(size_t n) {
	return malloc(n);
}

void *plugin_realloc(void *p, size_t n) {
	return realloc(p, n);
}

void plugin_free(void *p) {
	free(p);
}

size_t plugin_usable_size(void *p) {
	return malloc_usable_size(p);
}

/* getline reallocates a line of the host's inside the C library. */
long plugin_getline(char **line, size_t *n, FILE *f) {
	return getline(line, n, f);
}

void *plugin_address_of_malloc(void) {
	return (void *)(uintptr_t)malloc;
}
