#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# sort with threads, a merge of many temporary files, and a memory limit.

words 300000 >text
sort --parallel=4 -S 64M -k4,4n text | sha256sum
sort --parallel=4 -S 2M -T . -k2,2 -k1,1nr text | sha256sum
sort --parallel=2 -u -k3,3 text
split -n l/20 text part.
for part in part.*; do sort -o "$part" "$part"; done
sort -m --batch-size=5 part.* | sha256sum
