#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# diff, diff3, sdiff, cmp and patch on files of some ten thousand lines.
# needs: diff patch

words 30000 >a
sed '7~100s/[a-z]*$/&x/; 5000,5100d; 20000a\
new line one\
new line two' a >b
sed '9~300s/^/y/' a >c
diff a b >ab || echo "status $?"
sha256sum ab
diff -u -L a -L b a b >ab.patch || sha256sum ab.patch
diff -y -W 60 --suppress-common-lines <(first 3000 <a) <(first 3000 <b) >side || wc -l <side
diff -d -B -w <(first 3000 <a) <(first 3000 <b) >dbw || cksum <dbw
diff3 -m c a b >merged || echo "status $?"
sha256sum merged
cp a p && patch -s p ab.patch && cmp p b && echo patched
patch -s -R p ab.patch && cmp p a && echo reverted
cmp -l a b >bytes 2>&1 || wc -l <bytes
