#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# make -j2 with pattern rules and functions, building a program of many files.
# needs: make gcc

for i in {1..24}; do
	printf 'int f%d(int x) { return x * %d + 1; }\n' "$i" "$i" >"f$i.c"
done
{
	echo '#include <stdio.h>'
	for i in {1..24}; do echo "int f$i(int);"; done
	echo 'int main(void) { int s = 0;'
	for i in {1..24}; do echo "s += f$i($i);"; done
	echo 'puts(s == 924 ? "right" : "wrong"); return 0; }'
} >main.c
cat >Makefile <<'MK'
SRC := $(sort $(wildcard *.c))
OBJ := $(SRC:%.c=obj/%.o)
LONG := $(foreach i,$(SRC) $(SRC) $(SRC),$(foreach j,$(SRC),$(i)-$(j)))
prog: $(OBJ)
	@gcc -o $@ $^
obj/%.o: %.c | obj
	@gcc -c -o $@ $<
obj:
	@mkdir -p $@
count:
	@echo $(words $(LONG)) $(words $(sort $(LONG)))
.PHONY: count
MK
make -j2 prog && ./prog
make -q prog && echo "up to date"
make -n -B prog | sort | sha256sum
make count
make nothing 2>&1 || echo "status $?"
