#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# cmake: configure, build, test a small project with a library.
# needs: cmake make gcc

cat >CMakeLists.txt <<'CM'
cmake_minimum_required(VERSION 3.20)
project(Case C)
add_library(part STATIC part.c)
add_executable(prog main.c)
target_link_libraries(prog part)
enable_testing()
add_test(NAME runs COMMAND prog)
set(list "")
foreach(i RANGE 3000)
  math(EXPR j "(${i} * 7919) % 3001")
  list(APPEND list ${j})
endforeach()
list(SORT list COMPARE NATURAL)
list(LENGTH list n)
string(SHA256 hash "${list}")
message(NOTICE "${n} ${hash}")
CM
echo 'int part(void) { return 42; }' >part.c
printf '#include <stdio.h>\nint part(void);\nint main(void) { printf("%%d\\n", part()); return 0; }\n' >main.c
cmake -S . -B build 2>&1 | grep -E '^[0-9]+ |identification'
cmake --build build -j2 2>&1 | grep -c Built
build/prog
(cd build && ctest 2>&1 | grep -c Passed)
