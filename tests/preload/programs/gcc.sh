#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The C compiler: preprocessor, optimizer, assembler, linker with its LTO plugin, diagnostics.
# needs: gcc

cat >case.c <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define F(n) static int f##n(int x) { int i, s = n; for (i = 0; i < x; i++) s = s * 31 + (i ^ n); return s; }
#define T(n) F(n##0) F(n##1) F(n##2) F(n##3) F(n##4) F(n##5) F(n##6) F(n##7) F(n##8) F(n##9)
T(1) T(2) T(3) T(4) T(5) T(6) T(7) T(8) T(9)
int main(void)
{
	char **v = malloc(1000 * sizeof(*v)), *line = NULL;
	size_t n = 0, i;
	for (i = 0; i < 1000; i++) {
		if (asprintf(&v[i], "%d", f10((int)i) ^ f99((int)i % 50)) < 0)
			return 1;
		n += strlen(v[i]);
	}
	for (i = 0; i < 1000; i++)
		free(v[i]);
	free(v);
	free(line);
	printf("%zu %d\n", n, f55(77));
	return 0;
}
C
for o in -O0 -O2 "-O3 -g -flto"; do
	# shellcheck disable=SC2086 # several options
	gcc -D_GNU_SOURCE -w $o case.c -o case
	./case
done
gcc -D_GNU_SOURCE -w -O2 -S -o - case.c | sha256sum
echo '#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>' | gcc -E - | grep -c extern
printf 'int f(void) { return undeclared; }\n' >bad.c
gcc -c bad.c >bad 2>&1 || echo "status $?"
first 2 <bad
