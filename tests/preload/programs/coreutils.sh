#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# GNU coreutils: the filters, on a few megabytes, and the ones that walk directories.

words 60000 >text
sort text | sha256sum
sort -k2,2 -k4,4nr text | first 5
cut -d' ' -f2 text | sort | uniq -c
tr '[:lower:]' '[:upper:]' <text | md5sum
paste text text | fold -w 20 | b2sum
head -c 3000000 text | od -An -tx1 | sha512sum
tac text | nl | tail -n 3
split -l 7000 -d text part. && cat part.* | cksum
comm -12 <(sort text | head -n 1000) <(sort text | head -n 2000) | wc
join -1 1 -2 1 <(sort -k1,1 text) <(sort -k1,1 text) | sha1sum
shuf --random-source=text text | sum
seq 1 1000000 | wc -c
factor 600851475143 18446744073709551557 1267650600228229401496703205653
numfmt --to=iec 123456789
base64 text | base64 -d | cmp - text && echo same
mkdir -p tree/{a,b,c}/{1..20} && touch tree/{a,b,c}/{1..20}/file{1..10}
# shellcheck disable=SC2012 # ls is what is tested
ls -R tree | sha256sum
# shellcheck disable=SC2012
ls -1 tree/a | pr -4 -t
cp -a tree copy && rm -r tree && mv copy tree && ls tree
tsort <<<"a b b c c d" | tr '\n' ' '
# shellcheck disable=SC2003
expr 123456789012345678901234567890 '*' 987654321
printf '%s\n' "$(date -u -d @86400 +%F)" "$(basename /a/b.c .c)" "$(realpath -m /a/../b)"
