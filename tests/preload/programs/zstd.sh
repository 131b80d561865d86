#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# zstd with two threads, long windows, a trained dictionary.
# needs: zstd

words 120000 >text
for level in 1 3 15; do zstd -q -T2 -"$level" -c text | sha256sum; done
zstd -q -T2 --long=27 --ultra -20 -c <(head -n 30000 text) | zstd -dcq --long=27 | cksum
split -l 300 -a 4 text part.
zstd -q --train part.a[a-d]* --maxdict=20000 -o dict && sha256sum dict
zstd -q -D dict part.aaaa -o one.zst && zstd -dcq -D dict one.zst | cmp - part.aaaa && echo same
zstd -b3 -i0 -q text >/dev/null && echo "benchmark mode"
