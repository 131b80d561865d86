/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What kind of program it is. A program that ignores LD_PRELOAD would run without tiermalloc and nobody would notice,
 * so it is recognised before it is started: by its file's mode, capabilities and ELF headers, and for scripts by
 * those of the interpreter. Only looks; what cannot be looked at (a file without read permission) is let through.
 */
#include "cli/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cli/cli.h"

#define SCRIPTS_DEEP 4   /* interpreters that are scripts themselves; the kernel follows as many */
#define SCRIPT_LINE  256 /* bytes of a #! line that the kernel looks at */
#define LOADER       "ld-linux-x86-64.so.2"

static bool __attribute__((format(printf, 3, 4)))
program_refuse(struct program *p, int status, const char *format, ...) {
	va_list args;
	p->status = status;
	va_start(args, format);
	vsnprintf(p->why, sizeof(p->why), format, args);
	va_end(args);
	return false;
}

static const char *base_name(const char *path) {
	const char *slash = strrchr(path, '/');
	return slash != NULL ? slash + 1 : path;
}

/* 0 if it can be started, else EACCES or ENOENT as execvp would find. */
static int program_startable(const char *path) {
	struct stat st;
	if (stat(path, &st) != 0)
		return errno == EACCES ? EACCES : ENOENT;
	return S_ISREG(st.st_mode) && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : EACCES;
}

/* The search of execvp: the first file on PATH that can be started. */
static int program_search(const char *name, char path[PATH_MAX]) {
	char usual[256];
	bool denied = false;

	if (strchr(name, '/') != NULL) {
		if (snprintf(path, PATH_MAX, "%s", name) >= PATH_MAX)
			return ENAMETOOLONG;
		return program_startable(path);
	}
	const char *list = getenv("PATH");
	if (list == NULL) {
		confstr(_CS_PATH, usual, sizeof(usual));
		list = usual;
	}
	for (;;) {
		size_t length = strcspn(list, ":");
		/* An empty part is the current directory. */
		int n = snprintf(path, PATH_MAX, "%.*s%s%s", (int)length, list, length > 0 ? "/" : "./", name);
		int e = n < PATH_MAX && *name != '\0' ? program_startable(path) : ENOENT;
		if (e == 0)
			return 0;
		denied = denied || e == EACCES;
		if (list[length] == '\0')
			break;
		list += length + 1;
	}
	snprintf(path, PATH_MAX, "%s", name);
	return denied ? EACCES : ENOENT;
}

/* True if starting the file gives rights that its user has not, for which the dynamic linker ignores LD_PRELOAD. */
static bool program_privileged(struct program *p, const char *path) {
	struct statvfs fs;
	struct stat st;

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) > 0 || statvfs(path, &fs) != 0 || (fs.f_flag & ST_NOSUID))
		return false;
	if (stat(path, &st) != 0)
		return false;
	const char *what = NULL;
	if ((st.st_mode & S_ISUID) && st.st_uid != getuid())
		what = "is setuid";
	else if ((st.st_mode & S_ISGID) && (st.st_mode & S_IXGRP) && st.st_gid != getgid())
		what = "is setgid";
	else if (getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0)
		what = "has file capabilities";
	if (what == NULL)
		return false;
	program_refuse(p, CLI_REFUSED,
	    "%s: %s, so the dynamic linker ignores LD_PRELOAD; if it only starts another program, put tiermalloc "
	    "behind it: %s tiermalloc run PROGRAM",
	    path, what, base_name(path));
	return true;
}

static const char *machine_name(unsigned char class, unsigned machine) {
	static const struct {
		unsigned machine;
		const char *name;
	} names[] = {
	    {EM_386, "32-bit x86"},
	    {EM_ARM, "32-bit ARM"},
	    {EM_AARCH64, "64-bit ARM"},
	    {EM_RISCV, "RISC-V"},
	    {EM_PPC64, "64-bit PowerPC"},
	    {EM_S390, "IBM Z"},
	};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].machine == machine)
			return names[i].name;
	return machine == EM_X86_64 && class == ELFCLASS32 ? "32-bit x86 (x32)" : "another processor";
}

/* Looks at an ELF file whose first bytes are in *head. */
static bool program_elf(struct program *p, const char *path, int fd, const Elf64_Ehdr *head, size_t bytes) {
	char interpreter[PATH_MAX] = "";
	Elf64_Phdr part;

	/* e_machine is at the same place in both classes */
	if (bytes < sizeof(Elf32_Ehdr))
		return program_refuse(p, CLI_REFUSED, "%s: is a damaged ELF file", path);
	if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_ident[EI_DATA] != ELFDATA2LSB ||
	    head->e_machine != EM_X86_64)
		return program_refuse(p, CLI_REFUSED, "%s: is a program for %s; tiermalloc is for 64-bit x86", path,
		    machine_name(head->e_ident[EI_CLASS], head->e_machine));
	if (bytes < sizeof(*head) || head->e_phentsize != sizeof(part))
		return program_refuse(p, CLI_REFUSED, "%s: is a damaged ELF file", path);
	for (unsigned i = 0; i < head->e_phnum; i++) {
		off_t at = (off_t)(head->e_phoff + i * sizeof(part));
		if (pread(fd, &part, sizeof(part), at) != (ssize_t)sizeof(part))
			return program_refuse(p, CLI_REFUSED, "%s: is a damaged ELF file", path);
		if (part.p_type != PT_INTERP)
			continue;
		size_t n = part.p_filesz < sizeof(interpreter) ? part.p_filesz : sizeof(interpreter) - 1;
		if (pread(fd, interpreter, n, (off_t)part.p_offset) != (ssize_t)n)
			return program_refuse(p, CLI_REFUSED, "%s: is a damaged ELF file", path);
	}
	if (interpreter[0] == '\0') {
		/* The dynamic linker started as a program has none either, and does preload. */
		char *real = realpath(path, NULL);
		bool loader = real != NULL && strncmp(base_name(real), "ld-", 3) == 0;
		free(real);
		if (loader)
			return true;
		return program_refuse(p, CLI_REFUSED,
		    "%s: is statically linked, so nothing can be preloaded; link it with libtiermalloc.a instead",
		    path);
	}
	if (strcmp(base_name(interpreter), LOADER) != 0)
		return program_refuse(p, CLI_REFUSED,
		    "%s: is linked with another C library (its dynamic linker is %s); tiermalloc is for glibc", path,
		    interpreter);
	if (access(interpreter, F_OK) != 0)
		return program_refuse(p, CLI_NOT_FOUND, "%s: its dynamic linker %s is not here", path, interpreter);
	return !program_privileged(p, path);
}

/*
 * The program that env(1) would start, given the one argument that a #! line passes. It takes several words only
 * after -S. Cuts `words`; NULL if there is none.
 */
static char *env_program(char *words) {
	bool split = false;
	char *rest, *word;

	if (strncmp(words, "-S", 2) == 0 || strncmp(words, "--split-string=", 15) == 0) {
		words += words[1] == 'S' ? 2 : 15;
		split = true;
	}
	if (!split)
		return *words != '-' && *words != '\0' ? words : NULL;
	for (word = strtok_r(words, " \t", &rest); word != NULL; word = strtok_r(NULL, " \t", &rest)) {
		if (strcmp(word, "-u") == 0 || strcmp(word, "-C") == 0)
			strtok_r(NULL, " \t", &rest);
		else if (*word != '-' && strchr(word, '=') == NULL)
			return word;
	}
	return NULL;
}

static bool program_file(struct program *p, const char *path, unsigned depth);

/* `line` is what follows the #! of the file at `path`. */
static bool program_script(struct program *p, const char *path, char *line, unsigned depth) {
	char found[PATH_MAX];

	line[strcspn(line, "\n")] = '\0';
	for (size_t n = strlen(line); n > 0 && strchr(" \t\r", line[n - 1]) != NULL; n--)
		line[n - 1] = '\0';
	char *interpreter = line + strspn(line, " \t");
	char *argument = interpreter + strcspn(interpreter, " \t");
	if (*argument != '\0')
		*argument++ = '\0';
	argument += strspn(argument, " \t");
	if (*interpreter == '\0')
		return program_refuse(p, CLI_REFUSED, "%s: is a script that names no interpreter", path);
	if (depth >= SCRIPTS_DEEP)
		return program_refuse(p, CLI_REFUSED, "%s: too many scripts that interpret each other", path);
	if (program_startable(interpreter) != 0)
		return program_refuse(
		    p, CLI_NOT_FOUND, "%s: is a script for %s, which cannot be started here", path, interpreter);
	if (strcmp(base_name(interpreter), "env") == 0) {
		char *name = env_program(argument);
		/* env itself says what is wrong with other arguments. */
		if (name != NULL && program_search(name, found) == 0 && !program_file(p, found, depth + 1))
			return false;
	}
	return program_file(p, interpreter, depth + 1);
}

static bool program_file(struct program *p, const char *path, unsigned depth) {
	union {
		Elf64_Ehdr elf;
		char text[SCRIPT_LINE + 1];
	} head = {.text = ""};

	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return !program_privileged(p, path);
	ssize_t n = pread(fd, head.text, SCRIPT_LINE, 0);
	bool ok;
	if (n >= SELFMAG && memcmp(head.text, ELFMAG, SELFMAG) == 0)
		ok = program_elf(p, path, fd, &head.elf, (size_t)n);
	else if (n >= 2 && memcmp(head.text, "#!", 2) == 0)
		ok = program_script(p, path, head.text + 2, depth);
	else /* execvp gives what the kernel does not know to the shell */
		ok = depth > 0 || program_file(p, "/bin/sh", depth + 1);
	close(fd);
	return ok;
}

bool program_check(const char *name, struct program *p) {
	*p = (struct program){0};
	int e = program_search(name, p->path);
	if (e == ENOENT)
		return program_refuse(p, CLI_NOT_FOUND,
		    strchr(name, '/') != NULL ? "%s: no such program" : "%s: no such program on PATH", name);
	if (e != 0)
		return program_refuse(p, CLI_REFUSED, "%s: %s", p->path, strerror(e));
	return program_file(p, p->path, 0);
}
