/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library as a file: where it is, whether it is one, and which environment makes the dynamic linker load it.
 * Must not load it into this process: it refuses dlopen, and this command is to work where the library does not.
 */
#include "cli/library.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/elf.h"

/* NULL if the file at `path` is the library; else what is wrong with it. */
static const char *library_wrong(const char *path) {
	uint64_t offset;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return strerror(errno);
	int e = elf_file_symbol(fd, "tm_process", &offset);
	close(fd);
	if (e == 0)
		return NULL;
	return e == -ENOEXEC ? "is not a library for 64-bit x86" : "is not libtiermalloc: it has no tm_process";
}

/* Where it can be, seen from this command's directory: the build tree, then the usual layouts of an installation. */
static const char *const places[] = {"", "/../lib", "/../lib/x86_64-linux-gnu", "/../lib64"};
#define PLACES (sizeof(places) / sizeof(places[0]))

char *library_find(const char *given, char **why) {
	char self[PATH_MAX];
	*why = NULL;

	if (given != NULL) {
		char *path = realpath(given, NULL);
		const char *wrong = path != NULL ? library_wrong(path) : strerror(errno);
		if (wrong == NULL)
			return path;
		*why = cli_format("%s: %s", given, wrong);
		free(path);
		return NULL;
	}
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	char *slash = strrchr(self, '/');
	if (slash != NULL)
		*slash = '\0';
	for (size_t i = 0; i <= PLACES; i++) {
		char *name = i < PLACES ? cli_format("%s%s/" LIBRARY_NAME, self, places[i])
					: cli_format("%s/" LIBRARY_NAME, TM_LIBDIR);
		char *path = realpath(name, NULL);
		free(name);
		if (path != NULL && library_wrong(path) == NULL)
			return path;
		free(path);
	}
	*why = cli_format(LIBRARY_NAME " is not beside this command in %s, nor in its ../lib, nor in " TM_LIBDIR
				       "; say where it is with --library PATH",
	    self);
	return NULL;
}

/* Puts `more` before or after what a variable holds. */
static void variable_add(const char *name, const char *more, char separator, bool before) {
	const char *old = getenv(name);
	if (old == NULL || *old == '\0') {
		setenv(name, more, 1);
		return;
	}
	char *value = cli_format("%s%c%s", before ? more : old, separator, before ? old : more);
	setenv(name, value, 1);
	free(value);
}

char *library_environment(const char *path, const char *conf) {
	/* The dynamic linker takes ':' for the end of a path and '$' for a name to replace, and has no way to quote.
	 */
	const char *awkward = strpbrk(path, ":;$");
	if (awkward != NULL)
		return cli_format("%s: the dynamic linker cannot preload from a path with '%c' in it; install it "
				  "elsewhere",
		    path, *awkward);
	if (strpbrk(path, " \t\n") == NULL) {
		variable_add("LD_PRELOAD", path, ':', true);
	} else {
		/* White space ends a path in LD_PRELOAD but not in LD_LIBRARY_PATH, where a bare name is looked up.
		 */
		const char *slash = strrchr(path, '/');
		char *directory = cli_format("%.*s", (int)(slash - path), path);
		if (strpbrk(slash + 1, " \t\n") != NULL) {
			free(directory);
			return cli_format(
			    "%s: the dynamic linker cannot preload a file with a space in its name", path);
		}
		variable_add("LD_LIBRARY_PATH", directory, ':', true);
		variable_add("LD_PRELOAD", slash + 1, ':', true);
		free(directory);
	}
	if (conf != NULL && *conf != '\0')
		variable_add("TIERMALLOC_CONF", conf, ',', false);
	return NULL;
}
