/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a symbol is, in an ELF file or in a loaded image of one.
 */
#ifndef TM_ELF_H
#define TM_ELF_H

#include <stddef.h>
#include <stdint.h>

/*
 * The symbol's distance from the first byte of the loaded image, from the symbol tables of the file: the dynamic
 * one, then the full one. -ENOEXEC: not an ELF file for 64-bit x86. -ENOENT: no such symbol is defined in it.
 */
int elf_file_symbol(int fd, const char *name, uint64_t *offset);

/* Reads memory of an image: 0 or -errno. */
typedef int elf_read(void *arg, uint64_t at, void *buf, size_t bytes);

/*
 * The address of a dynamic symbol of the image that is loaded at `base`. Results as above, and those of `read`.
 * Needs no file: one that was deleted, or is in a container, will do.
 */
int elf_image_symbol(elf_read *read, void *arg, uint64_t base, const char *name, uint64_t *address);

#endif
