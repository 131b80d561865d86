/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the sub-commands of `tiermalloc` share: exit statuses, messages, texts. The command is an ordinary program: it
 * may allocate, use stdio and end the process. Of the library it uses the parts that make no use of malloc (options,
 * geometry, pages), never the allocator itself.
 */
#ifndef TM_CLI_H
#define TM_CLI_H

#include <stddef.h>
#include <stdint.h>

/* Exit statuses. env(1) and the shells use 126 and 127 in the same sense. */
enum {
	CLI_OK = 0,
	CLI_LESS = 1,  /* doctor: works with less; stats: could not read the process */
	CLI_WRONG = 2, /* wrong arguments; doctor: cannot work */
	CLI_REFUSED = 126,
	CLI_NOT_FOUND = 127,
};

/* argv[0] is "tiermalloc NAME", which argp puts before its messages. */
int run_main(int argc, char **argv);
int doctor_main(int argc, char **argv);
int stats_main(int argc, char **argv);

/* "tiermalloc: MESSAGE" and a newline to standard error. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A new string; ends the command when there is no memory for it. */
char *cli_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *cli_alloc(size_t count, size_t size);

/* Bytes for people: "0", "512 B", "5.9 MiB"; `text` is returned. */
#define CLI_SIZE 24
char *cli_size(char text[CLI_SIZE], uint64_t bytes);

/* A small file without the white space at its end; its length, or -errno. */
long cli_file(const char *path, char *buf, size_t bytes);

/*
 * Checks "key:value,..." and says on standard error what is wrong with it. Returns the number of wrong pairs.
 */
unsigned cli_options(const char *conf);

#endif
