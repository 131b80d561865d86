/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding libtiermalloc and setting up the environment that loads it.
 */
#ifndef TM_LIBRARY_H
#define TM_LIBRARY_H

#define LIBRARY_NAME "libtiermalloc.so.0"

/*
 * The absolute path of the library: `given` (a path, may be NULL), else beside this command, else where it is
 * installed. NULL and a message in *why if there is none; both results are the caller's to free.
 */
char *library_find(const char *given, char **why);

/*
 * Sets LD_PRELOAD and TIERMALLOC_CONF of this process for a program that is started next. What is in them stays:
 * the library comes first, and `conf` (NULL for none) comes last, where it wins. Returns NULL, or why it cannot be
 * done; that is the caller's to free.
 */
char *library_environment(const char *path, const char *conf);

#endif
