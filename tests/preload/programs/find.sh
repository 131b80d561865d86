#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# find and xargs over a tree of some thousand files.

mkdir -p tree/{a..h}/{1..12}
for d in tree/*/*; do (cd "$d" && touch -d @1000000 f{1..20} && ln -s f1 link); done
find tree | wc -l
find tree -type l -printf '%p -> %l\n' | sort | sha256sum
find tree -type f -name 'f1*' -newermt 1970-01-02 -size 0 -printf '%T@ %m %P\n' | sort | first 5
find tree -regex '.*/[aeiou]/.*' -type d -exec basename {} \; | sort | uniq -c
find tree -type f -print0 | xargs -0 -n 50 -P 2 ls -1 | sort | cksum
find tree -depth -name '*[37]' ! -type d -delete && find tree | sort | tail -n 3
