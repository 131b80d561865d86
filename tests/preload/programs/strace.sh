#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# strace following children; the system calls that a library makes are its own business and are not compared.
# needs: strace

if ! strace -o /dev/null true 2>/dev/null; then
	echo "ptrace is not permitted"
	exit 77
fi
touch a b c
strace -f -o trace ls
# shellcheck disable=SC2016 # for the inner shell
strace -f -o trace bash -c 'for i in 1 2 3; do echo $i | cat; done'
grep -c 'exited with 0' trace
grep -c 'SIGSEGV' trace || :
strace -f -e trace=execve -o trace sh -c 'ls; cat /dev/null'
grep -o 'execve("[^"]*"' trace | sort
strace -c -o trace find . && tail -n 1 trace | grep -c total
