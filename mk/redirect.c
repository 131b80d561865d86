/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * redirect OBJECT FUNCTION OLD NEW: in an x86-64 relocatable object, leads the one jump from FUNCTION to OLD to NEW.
 *
 * jemalloc's free ends in a jump to free_default for all that its fast path does not do. The assembler has resolved
 * that jump inside the archive's object, so no symbol can lead it elsewhere, and a check in front of free would cost
 * every call. This build tool changes the jump's four-byte distance. It insists on finding exactly one such jump and
 * all three functions in one section, and changes nothing otherwise.
 */
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *object;

static _Noreturn void fail(const char *what) {
	fprintf(stderr, "redirect: %s: %s\n", object, what);
	exit(1);
}

static const Elf64_Sym *symbol_find(const Elf64_Sym *symbols, size_t count, const char *names, const char *name) {
	for (size_t i = 0; i < count; i++)
		if (symbols[i].st_shndx != SHN_UNDEF && strcmp(names + symbols[i].st_name, name) == 0)
			return &symbols[i];
	fprintf(stderr, "redirect: %s: no function %s\n", object, name);
	exit(1);
}

int main(int argc, char **argv) {
	if (argc != 5) {
		fprintf(stderr, "usage: redirect OBJECT FUNCTION OLD NEW\n");
		return 2;
	}
	object = argv[1];
	FILE *file = fopen(object, "r+b");
	if (file == NULL || fseek(file, 0, SEEK_END) != 0)
		fail("cannot be opened");
	long bytes = ftell(file);
	char *data = malloc((size_t)bytes);
	rewind(file);
	if (data == NULL || fread(data, 1, (size_t)bytes, file) != (size_t)bytes)
		fail("cannot be read");
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)data;
	if ((size_t)bytes < sizeof(*elf) || memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0 ||
	    elf->e_machine != EM_X86_64 || elf->e_type != ET_REL)
		fail("not an x86-64 relocatable object");
	const Elf64_Shdr *sections = (const Elf64_Shdr *)(data + elf->e_shoff), *table = NULL;
	for (int i = 0; i < elf->e_shnum; i++)
		if (sections[i].sh_type == SHT_SYMTAB)
			table = &sections[i];
	if (table == NULL)
		fail("no symbols");
	const Elf64_Sym *symbols = (const Elf64_Sym *)(data + table->sh_offset);
	const char *names = data + sections[table->sh_link].sh_offset;
	size_t count = table->sh_size / sizeof(*symbols);
	const Elf64_Sym *from = symbol_find(symbols, count, names, argv[2]);
	const Elf64_Sym *old = symbol_find(symbols, count, names, argv[3]);
	const Elf64_Sym *new = symbol_find(symbols, count, names, argv[4]);
	if (from->st_shndx != old->st_shndx || from->st_shndx != new->st_shndx)
		fail("the functions are not in one section (compiled with -ffunction-sections or -flto?)");

	unsigned char *text = (unsigned char *)data + sections[from->st_shndx].sh_offset;
	int found = 0;
	size_t at = 0;
	for (size_t i = from->st_value; i + 5 <= from->st_value + from->st_size; i++) {
		int32_t distance;
		memcpy(&distance, text + i + 1, sizeof(distance));
		/* E9: jmp rel32, counted from the next instruction */
		if (text[i] == 0xe9 && (int64_t)i + 5 + distance == (int64_t)old->st_value) {
			found++;
			at = i;
		}
	}
	if (found != 1)
		fail("not exactly one such jump; is it another build of jemalloc 5.3.0?");
	int32_t distance = (int32_t)((int64_t) new->st_value - ((int64_t)at + 5));
	long offset = (long)(sections[from->st_shndx].sh_offset + at + 1);
	if (fseek(file, offset, SEEK_SET) != 0 || fwrite(&distance, sizeof(distance), 1, file) != 1 ||
	    fclose(file) != 0)
		fail("cannot be written");
	return 0;
}
