#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# m4: recursion, diversions, big definitions.
# needs: m4

cat >case.m4 <<'M4'
changequote([, ])dnl
define([forloop], [pushdef([$1], [$2])_forloop([$1], [$2], [$3], [$4])popdef([$1])])dnl
define([_forloop], [$4[]ifelse($1, [$3], [], [define([$1], incr($1))_forloop($@)])])dnl
forloop([i], 1, 3000, [define([name]i, [value of i])])dnl
forloop([i], 1, 3000, [indir([name]i),])
define([fact], [ifelse($1, 0, 1, [eval($1 * fact(decr($1)))])])dnl
fact(12)
divert(1)second
divert(2)third
forloop([i], 1, 2000, [line i of a diversion which is longer than a line needs to be
])divert(0)first
undivert(2)undivert(1)
len(forloop([i], 1, 5000, [x]))
patsubst([the quick brown fox], [\w+], [<\&>])
M4
m4 case.m4 | sha256sum
m4 -DX=1 case.m4 | tail -n 2
