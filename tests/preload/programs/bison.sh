#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# bison: a calculator grammar, its report and its counterexamples, built and run.
# needs: bison gcc

cat >calc.y <<'Y'
%{
#include <ctype.h>
#include <stdio.h>
int yylex(void);
void yyerror(const char *s);
%}
%define api.value.type {long}
%token NUM
%left '+' '-'
%left '*' '/'
%precedence NEG
%%
input: %empty | input line ;
line: '\n' | expr '\n' { printf("%ld\n", $1); } | error '\n' { puts("error"); yyerrok; } ;
expr: NUM | expr '+' expr { $$ = $1 + $3; } | expr '-' expr { $$ = $1 - $3; } | expr '*' expr { $$ = $1 * $3; }
	| '-' expr %prec NEG { $$ = -$2; } | '(' expr ')' { $$ = $2; } ;
%%
int yylex(void)
{
	int c = getchar();
	while (c == ' ')
		c = getchar();
	if (isdigit(c)) {
		yylval = 0;
		for (; isdigit(c); c = getchar())
			yylval = yylval * 10 + c - '0';
		ungetc(c, stdin);
		return NUM;
	}
	return c == EOF ? 0 : c;
}
void yyerror(const char *s) { (void)s; }
int main(void) { return yyparse(); }
Y
bison -o calc.c --report=all --report-file=report calc.y 2>&1
sha256sum calc.c report
gcc -w calc.c -o calc
printf '1 + 2 * 3\n(4 - 5) * -6\n7 +\n%s\n' "$(printf '(%.0s' {1..2000})1$(printf ')%.0s' {1..2000})" | ./calc
printf '%%%%\ns: "if" s | "if" s "else" s | "x";\n' >dangling.y
bison -Wcounterexamples dangling.y -o dangling.c 2>&1
