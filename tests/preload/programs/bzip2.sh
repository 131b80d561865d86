#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# bzip2 and back, and recovery from a damaged file.
# needs: bzip2

words 100000 >text
for level in 1 9; do bzip2 -"$level" -c text | sha256sum; done
bzip2 -k text && bunzip2 -c text.bz2 | cmp - text && echo same
head -c 100000 text.bz2 >cut.bz2
bzip2 -t cut.bz2 2>/dev/null || echo "status $?"
