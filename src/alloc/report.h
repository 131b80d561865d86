/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one place that prints. Any thread, also inside malloc: stack memory and write(2) only.
 */
#ifndef TM_REPORT_H
#define TM_REPORT_H

#include "alloc/text.h"

/* "tiermalloc: LINE" and a newline to standard error in one write, if log is at least error. */
void report_error(const char *line);
/* The same if log is info. */
void report_info(const char *line);
/* A pointer that is not of this heap was given to a function; also counts it. */
void report_foreign(const char *function, const void *p);

#endif
