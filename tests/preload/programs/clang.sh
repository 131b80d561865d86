#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# clang: the same program at several levels, its integrated assembler, and its diagnostics.
# needs: clang

cat >case.c <<'C'
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
struct node { struct node *left, *right; double v; };
static struct node *build(int depth, double v)
{
	struct node *n = malloc(sizeof(*n));
	n->v = sin(v);
	n->left = depth ? build(depth - 1, v * 2) : NULL;
	n->right = depth ? build(depth - 1, v * 2 + 1) : NULL;
	return n;
}
static double fold(struct node *n)
{
	double s = n ? n->v + fold(n->left) - fold(n->right) / 3 : 0;
	free(n);
	return s;
}
int main(void)
{
	printf("%.6f\n", fold(build(16, 1)));
	return 0;
}
C
for o in -O0 -O2 -O3; do
	clang "$o" -g case.c -o case -lm
	./case
done
clang -O2 -S -emit-llvm -o - case.c | sha256sum
printf 'int f(void) { return undeclared; }\n' >bad.c
clang -fno-color-diagnostics -c bad.c >bad 2>&1 || echo "status $?"
first 3 <bad
echo 'int main(void) { char *p = 0; return *p; }' | clang --analyze -x c - -o /dev/null 2>&1 | grep -c warning:
