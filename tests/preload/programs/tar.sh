#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# tar: create, list, extract, append, incremental, sparse files, through a compressor.
# needs: tar

mkdir -p tree/{a..d}/{1..10}
for d in tree/*/*; do words 200 >"$d/file"; done
truncate -s 10M tree/sparse
find tree -exec touch -h -d @1000000000 {} +
make_tar() { tar --sort=name --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX "$@"; }
make_tar -S -cf one.tar tree && sha256sum one.tar
make_tar -I 'gzip -n' -cf two.tar.gz tree && zcat two.tar.gz | wc -c
tar -tvf one.tar | tail -n 3
mkdir out && tar -C out -xf one.tar && diff -r tree out/tree && echo same
make_tar -rf one.tar lib.sh 2>/dev/null || echo "append of a missing file: $?"
make_tar --format=pax --xattrs -cf - tree | tar -tf - | sha256sum
tar --delete -f one.tar tree/a && tar -tf one.tar | wc -l
