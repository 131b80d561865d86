/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dlopen with RTLD_DEEPBIND: a plugin that mixes strdup, getline, malloc, realloc and free with blocks of the host
 * works, both ways. dlopen keeps the meaning it has for its caller: RUNPATH and $ORIGIN of the library that calls,
 * NULL for the program itself, dlerror; dlmopen is left alone.
 */
/* run: preload linked static */
#include "check.h"
#include <dlfcn.h>
#include <link.h>
#include <sys/stat.h>

static char directory[4096];

static void *open_at(const char *name, int flags) {
	char path[5000];
	snprintf(path, sizeof path, "%s/%s", directory, name);
	void *handle = dlopen(path, flags);
	CHECK_FOR(handle != NULL, "(%s)", dlerror());
	return handle;
}

#define FIND(type, name, ...)                   \
	type (*name)(__VA_ARGS__);              \
	*(void **)&name = dlsym(handle, #name); \
	CHECK(name)

static void check_plugin(int flags) {
	void *handle = open_at("plugins/plugin_deepbind.so", flags);
	FIND(char *, plugin_strdup, const char *);
	FIND(void *, plugin_malloc, size_t);
	FIND(void *, plugin_realloc, void *, size_t);
	FIND(void, plugin_free, void *);
	FIND(size_t, plugin_usable_size, void *);
	FIND(long, plugin_getline, char **, size_t *, FILE *);
	FIND(void *, plugin_address_of_malloc, void);
	void *ours = (void *)(uintptr_t)malloc;
	CHECK_FOR(plugin_address_of_malloc() == ours, "with flags 0x%x", flags);
	for (size_t n = 1; n < 3 * MiB; n += n / 2 + 1) {
		char *p = plugin_malloc(n);
		fill(p, n, 1);
		p = realloc(p, 2 * n);
		CHECK(p && intact(p, n, 1) && plugin_usable_size(p) >= 2 * n);
		p = plugin_realloc(p, 3 * n);
		CHECK(p && intact(p, n, 1));
		free(p);
		p = tm_malloc ? tm_malloc(n, TM_COLD) : malloc(n);
		fill(p, n, 2);
		p = plugin_realloc(p, 2 * n);
		CHECK(p && intact(p, n, 2));
		plugin_free(p);
	}
	char *s = plugin_strdup("a string of the plugin's");
	CHECK(!strcmp(s, "a string of the plugin's"));
	free(s);
	plugin_free(strdup("a string of the host's"));
	FILE *f = tmpfile();
	CHECK(f != NULL);
	for (int i = 0; i < 10000; i++)
		fputc('x', f);
	fputc('\n', f);
	rewind(f);
	char *line = malloc(1);
	size_t n = 1;
	CHECK_EQ(plugin_getline(&line, &n, f), 10001);
	free(line);
	rewind(f);
	line = plugin_malloc(1), n = 1;
	CHECK_EQ(getline(&line, &n, f), 10001);
	plugin_free(line);
	fclose(f);
	CHECK_EQ(dlclose(handle), 0);
}

/* only_here/only_here.so is found through the RUNPATH of plugin_caller.so, not through the program's. */
static void check_runpath(void) {
	char from[4200], to[4200];
	snprintf(to, sizeof to, "%s/only_here", directory);
	mkdir(to, 0755);
	snprintf(to, sizeof to, "%s/only_here/only_here.so", directory);
	snprintf(from, sizeof from, "../plugins/plugin_deepbind.so");
	if (symlink(from, to) != 0)
		CHECK(errno == EEXIST);
	void *handle = open_at("plugins/plugin_caller.so", RTLD_NOW);
	FIND(void *, plugin_caller_open, const char *, int);
	for (int i = 0; i < 2; i++) {
		int flags = RTLD_NOW | (i ? RTLD_DEEPBIND : 0);
		CHECK(dlopen("only_here.so", flags) == NULL);
		const char *why = dlerror();
		CHECK_FOR(why && strstr(why, "only_here.so"), "but %s", why ? why : "nothing");
		void *found = plugin_caller_open("only_here.so", flags);
		CHECK_FOR(found != NULL, "with flags 0x%x: %s", flags, dlerror());
		dlclose(found);
	}
	dlclose(handle);
}

int main(int argc, char **argv) {
	(void)argc;
	ssize_t n = readlink("/proc/self/exe", directory, sizeof directory - 1);
	CHECK_FOR(n > 0, "for %s", argv[0]);
	directory[n] = 0;
	*strrchr(directory, '/') = 0;
	check_plugin(RTLD_NOW);
	check_plugin(RTLD_NOW | RTLD_DEEPBIND);
	check_plugin(RTLD_LAZY | RTLD_DEEPBIND);
	check_runpath();
	void *self = dlopen(NULL, RTLD_NOW);
	CHECK(self != NULL && dlsym(self, "malloc") == (void *)(uintptr_t)malloc);
	dlclose(self);
	CHECK(dlopen("/no/such/library.so", RTLD_NOW | RTLD_DEEPBIND) == NULL);
	CHECK(dlerror() != NULL && dlerror() == NULL);

	/* A name space of its own has a C library of its own; its blocks stay there. */
	char path[5000];
	snprintf(path, sizeof path, "%s/plugins/plugin_deepbind.so", directory);
	void *handle = dlmopen(LM_ID_NEWLM, path, RTLD_NOW);
	CHECK_FOR(handle != NULL, "(%s)", dlerror());
	FIND(void *, plugin_malloc, size_t);
	FIND(void, plugin_free, void *);
	char *p = plugin_malloc(100);
	CHECK(p != NULL);
	memset(p, 1, 100);
	if (tm_tier_of)
		CHECK_EQ(tm_tier_of(p), TM_NONE);
	plugin_free(p);
	dlclose(handle);
	return 0;
}
