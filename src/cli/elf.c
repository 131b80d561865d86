/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading ELF. Everything read is taken for untrusted: files may be damaged, and the memory of a process may change
 * or not be what its mappings say. Each offset is checked before use, and each loop has an end.
 */
#include "cli/elf.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_MASK  (~UINT64_C(4095))
#define CHAIN_LONG (1u << 20) /* no hash chain of a sane library is as long */

static bool elf_ours(const Elf64_Ehdr *head) {
	return memcmp(head->e_ident, ELFMAG, SELFMAG) == 0 && head->e_ident[EI_CLASS] == ELFCLASS64 &&
	    head->e_ident[EI_DATA] == ELFDATA2LSB && head->e_machine == EM_X86_64 &&
	    (head->e_type == ET_EXEC || head->e_type == ET_DYN) && head->e_phentsize == sizeof(Elf64_Phdr);
}

/* --- a file, mapped whole --- */

struct file {
	const char *bytes;
	uint64_t size;
};

/* `count` things of `size` bytes at `offset`; NULL if they are not all inside the file. */
static const void *file_at(const struct file *f, uint64_t offset, uint64_t count, uint64_t size) {
	if (offset > f->size || count > (f->size - offset) / size || offset % 8 != 0)
		return NULL;
	return f->bytes + offset;
}

/* The address that the first byte of the loaded image was linked for. */
static int file_first(const struct file *f, const Elf64_Ehdr *head, uint64_t *first) {
	const Elf64_Phdr *parts = file_at(f, head->e_phoff, head->e_phnum, sizeof(*parts));
	if (parts == NULL)
		return -ENOEXEC;
	for (unsigned i = 0; i < head->e_phnum; i++) {
		if (parts[i].p_type != PT_LOAD)
			continue;
		*first = (parts[i].p_vaddr - parts[i].p_offset) & PAGE_MASK;
		return 0;
	}
	return -ENOEXEC;
}

static int file_table(
    const struct file *f, const Elf64_Shdr *table, const Elf64_Shdr *names, const char *name, uint64_t *value) {
	size_t length = strlen(name) + 1;
	uint64_t count = table->sh_size / sizeof(Elf64_Sym);
	const Elf64_Sym *symbols = file_at(f, table->sh_offset, count, sizeof(*symbols));
	if (symbols == NULL || names->sh_offset > f->size || names->sh_size > f->size - names->sh_offset)
		return -ENOENT;
	for (uint64_t i = 0; i < count; i++) {
		if (symbols[i].st_shndx == SHN_UNDEF || symbols[i].st_name > names->sh_size ||
		    names->sh_size - symbols[i].st_name < length)
			continue;
		if (memcmp(f->bytes + names->sh_offset + symbols[i].st_name, name, length) == 0) {
			*value = symbols[i].st_value;
			return 0;
		}
	}
	return -ENOENT;
}

static int file_symbol(const struct file *f, const char *name, uint64_t *offset) {
	static const unsigned kinds[] = {SHT_DYNSYM, SHT_SYMTAB};
	const Elf64_Ehdr *head = file_at(f, 0, 1, sizeof(*head));
	uint64_t first, value;

	if (head == NULL || !elf_ours(head) || file_first(f, head, &first) != 0)
		return -ENOEXEC;
	const Elf64_Shdr *sections = file_at(f, head->e_shoff, head->e_shnum, sizeof(*sections));
	if (sections == NULL || (head->e_shnum > 0 && head->e_shentsize != sizeof(*sections)))
		return -ENOENT;
	for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
		for (unsigned i = 0; i < head->e_shnum; i++) {
			if (sections[i].sh_type != kinds[kind] || sections[i].sh_link >= head->e_shnum)
				continue;
			if (file_table(f, &sections[i], &sections[sections[i].sh_link], name, &value) == 0) {
				*offset = value - first;
				return 0;
			}
		}
	}
	return -ENOENT;
}

int elf_file_symbol(int fd, const char *name, uint64_t *offset) {
	struct stat st;
	if (fstat(fd, &st) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(Elf64_Ehdr))
		return -ENOEXEC;
	struct file f = {.size = (uint64_t)st.st_size};
	void *p = mmap(NULL, f.size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	f.bytes = p;
	int r = file_symbol(&f, name, offset);
	munmap(p, f.size);
	return r;
}

/* --- an image in memory --- */

struct image {
	elf_read *read;
	void *arg;
	uint64_t base, bias;
	uint64_t symbols, names, hash; /* addresses; 0 if there is none */
};

static int image_dynamic(struct image *m, uint64_t at, uint64_t bytes) {
	for (uint64_t i = 0; i < bytes / sizeof(Elf64_Dyn); i++) {
		Elf64_Dyn entry;
		int e = m->read(m->arg, at + i * sizeof(entry), &entry, sizeof(entry));
		if (e != 0)
			return e;
		/* glibc replaces offsets by addresses when it loads; before that, and with musl, they are offsets. */
		uint64_t address = entry.d_un.d_ptr < m->base ? entry.d_un.d_ptr + m->bias : entry.d_un.d_ptr;
		switch (entry.d_tag) {
		case DT_NULL:
			return 0;
		case DT_SYMTAB:
			m->symbols = address;
			break;
		case DT_STRTAB:
			m->names = address;
			break;
		case DT_GNU_HASH:
			m->hash = address;
			break;
		}
	}
	return 0;
}

static int image_open(struct image *m) {
	Elf64_Ehdr head;
	Elf64_Phdr part, dynamic = {.p_type = PT_NULL};
	bool loaded = false;

	int e = m->read(m->arg, m->base, &head, sizeof(head));
	if (e != 0)
		return e;
	if (!elf_ours(&head))
		return -ENOEXEC;
	for (unsigned i = 0; i < head.e_phnum; i++) {
		if ((e = m->read(m->arg, m->base + head.e_phoff + i * sizeof(part), &part, sizeof(part))) != 0)
			return e;
		if (part.p_type == PT_LOAD && !loaded) {
			m->bias = m->base - ((part.p_vaddr - part.p_offset) & PAGE_MASK);
			loaded = true;
		} else if (part.p_type == PT_DYNAMIC) {
			dynamic = part;
		}
	}
	if (!loaded)
		return -ENOEXEC;
	if (dynamic.p_type == PT_NULL)
		return -ENOENT;
	return image_dynamic(m, dynamic.p_vaddr + m->bias, dynamic.p_memsz);
}

static uint32_t name_hash(const char *name) {
	uint32_t hash = 5381;
	for (; *name != '\0'; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

/* Symbol number `index`: -ENOENT if it has another name or is not defined in this image. */
static int image_matches(const struct image *m, uint32_t index, const char *name, uint64_t *address) {
	char text[64];
	Elf64_Sym symbol;
	size_t length = strlen(name) + 1;

	int e = m->read(m->arg, m->symbols + index * sizeof(symbol), &symbol, sizeof(symbol));
	if (e != 0)
		return e;
	if (symbol.st_shndx == SHN_UNDEF || length > sizeof(text))
		return -ENOENT;
	if ((e = m->read(m->arg, m->names + symbol.st_name, text, length)) != 0)
		return e;
	if (memcmp(text, name, length) != 0)
		return -ENOENT;
	*address = symbol.st_value + m->bias;
	return 0;
}

int elf_image_symbol(elf_read *read, void *arg, uint64_t base, const char *name, uint64_t *address) {
	struct image m = {.read = read, .arg = arg, .base = base};
	uint32_t head[4]; /* of DT_GNU_HASH: buckets, first symbol, words of the Bloom filter, its shift */
	uint32_t index, hash = name_hash(name), other;

	int e = image_open(&m);
	if (e != 0)
		return e;
	if (m.symbols == 0 || m.names == 0 || m.hash == 0)
		return -ENOENT;
	if ((e = read(arg, m.hash, head, sizeof(head))) != 0)
		return e;
	if (head[0] == 0)
		return -ENOENT;
	uint64_t buckets = m.hash + sizeof(head) + (uint64_t)head[2] * 8;
	uint64_t chains = buckets + (uint64_t)head[0] * 4;
	if ((e = read(arg, buckets + (uint64_t)(hash % head[0]) * 4, &index, sizeof(index))) != 0)
		return e;
	if (index < head[1])
		return -ENOENT;
	for (uint32_t n = 0; n < CHAIN_LONG; n++, index++) {
		if ((e = read(arg, chains + (uint64_t)(index - head[1]) * 4, &other, sizeof(other))) != 0)
			return e;
		if ((other | 1) == (hash | 1) && (e = image_matches(&m, index, name, address)) != -ENOENT)
			return e;
		if (other & 1) /* the end of the chain */
			break;
	}
	return -ENOENT;
}
