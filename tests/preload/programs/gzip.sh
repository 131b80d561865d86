#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# gzip at its levels, and back.
# needs: gzip

words 100000 >text
for level in 1 6 9; do gzip -n -"$level" -c text | sha256sum; done
gzip -n -k text && gzip -l text.gz && gzip -t text.gz && zcat text.gz | cmp - text && echo same
head -c 100000 text.gz >cut.gz
gzip -t cut.gz 2>&1 || echo "status $?"
