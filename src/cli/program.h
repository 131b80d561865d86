/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What kind of program a name stands for, and whether a library can be preloaded into it.
 */
#ifndef TM_PROGRAM_H
#define TM_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

struct program {
	char path[PATH_MAX]; /* what execvp would start */
	int status;          /* if refused: CLI_REFUSED or CLI_NOT_FOUND */
	char why[2048];      /* if refused: one line, beginning with the name of the file */
};

/*
 * Looks at what execvp(name) would start, and at the interpreters of scripts down to a real program. True if a
 * library can be preloaded into it as far as can be seen; else status and why are filled in.
 */
bool program_check(const char *name, struct program *p);

#endif
