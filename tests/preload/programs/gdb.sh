#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# gdb in batch mode on a program with symbols, stopping in it, with its embedded Python.
# needs: gdb gcc

cat >case.c <<'C'
#include <stdlib.h>
#include <string.h>
struct item { struct item *next; int v; };
static int total(struct item *i)
{
	return i ? i->v + total(i->next) : 0;
}
int main(void)
{
	struct item *head = NULL;
	for (int v = 1; v <= 5; v++) {
		struct item *i = malloc(sizeof(*i));
		i->next = head;
		i->v = v;
		head = i;
	}
	return total(head);
}
C
gcc -g -O0 case.c -o case
cat >script <<'GDB'
set pagination off
set confirm off
set width 0
set disable-randomization off
info line total
ptype struct item
break total if i == 0
run
bt -frame-arguments none
up
print *i
print i->v
python print(gdb.parse_and_eval("i->v") * 10)
delete
print (int) total(i)
continue
GDB
gdb -nx -batch -x script ./case 2>&1 | sed -E 's/0x[0-9a-f]+/ADDR/g; s/process [0-9]+/process/g; s/\(process\)//' |
	grep -v -E '^warning|thread_db|libthread|debuginfod|aslr|randomization|^$'
gdb -nx -batch -ex 'disassemble /r total' ./case | sha256sum
