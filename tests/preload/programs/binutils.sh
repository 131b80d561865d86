#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# binutils: assembler, linker, archives, disassembler, readelf, strip, on generated objects.
# needs: as ld objdump gcc

for i in {1..40}; do
	printf '.text\n.globl f%d\n.type f%d,@function\nf%d: movl $%d, %%eax\n ret\n.data\n.quad f%d, %d\n' "$i" "$i" "$i" "$i" "$i" "$i" >"f$i.s"
	as "f$i.s" -o "f$i.o"
done
ar -D rcs libf.a f?.o f??.o && ar t libf.a | wc -l
# shellcheck disable=SC2016 # assembler's dollars
printf '.globl _start\n_start: call f7\n call f33\n mov %%eax, %%edi\n mov $60, %%eax\n syscall\n' | as - -o start.o
ld -o prog start.o libf.a -Map=map && { ./prog || echo "status $?"; }
sha256sum prog
objdump -d -s prog | sha256sum
readelf -a prog | wc -l
nm prog | grep -c ' T '
ld -r -o all.o f?.o f??.o && nm all.o | sha256sum
strip -o stripped prog && size stripped | tail -n 1
ld -shared -o libf.so --whole-archive libf.a 2>&1 | first 1
printf 'int main(void) { return 0; }\n' | gcc -g3 -x c - -o debug
objdump --dwarf=info,line debug | grep -c 'DW_AT_name.*main'
c++filt _ZNSt6vectorIiSaIiEE9push_backEOi
