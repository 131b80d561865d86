#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# flex: a scanner of many rules, with full tables, built and run.
# needs: flex gcc

{
	echo '%option noyywrap nodefault'
	echo '%{
#include <stdio.h>
static long n[301];
%}
%%'
	for i in {1..300}; do echo "\"word$i\" n[$i]++;"; done
	# shellcheck disable=SC2028 # the backslashes are for C and flex
	echo '[a-z]+[0-9]* n[0]++;
[0-9]+|.|\n ;
%%
int main(void) { long h = 0; yylex(); for (int i = 0; i <= 300; i++) h = h * 31 + n[i]; printf("%ld %ld\n", n[0], h); return 0; }'
} >scan.l
for o in "-Cem" "-Cf" "-CF"; do
	flex "$o" -L -o scan.c scan.l
	sha256sum scan.c
	gcc -w scan.c -o scan
	{ seq -f 'word%g' 1 20000; words 5000; } | ./scan
done
