#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# grep with each of its matchers: fixed, basic, extended, Perl (with a JIT), and over a tree.

words 100000 >text
grep -c maple text
grep -P '^\d+ (\w)\w*\1\w* \w+ (?=\d*7)\d+$' text | sha256sum
grep -P -o '(?<=cedar )\w+(?= 1)' text | sort | uniq -c
grep -E '(ember|junco) [a-z]* [0-9]*(14|59)$' text | first 5
grep -c -F -f <(cut -d' ' -f1 text | head -n 3000) text
grep -i -n -B1 -A1 'FJORD FJORD 99' text | first 20
mkdir -p tree/{1..30}
for d in tree/*; do head -n $((${d#tree/} * 50)) text >"$d/file"; done
grep -r -l 'maple maple' tree | sort | sha256sum
grep -r -c otter tree | sort -t: -k2n | tail -n 3
grep -c absent text || echo "status $?"
grep -z -c . text
