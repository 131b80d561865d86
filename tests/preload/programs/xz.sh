#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# xz with two threads, blocks and large dictionaries.
# needs: xz

words 120000 >text
xz -T2 -6 --block-size=1MiB -c text | sha256sum
xz -T2 -1 -k text && xz -t text.xz && xz --robot -l text.xz | cut -f1-6
xz -T2 -dc text.xz | cmp - text && echo same
head -c 2000000 text | xz -9e --lzma2=dict=32MiB -c | xz -dc | cksum
