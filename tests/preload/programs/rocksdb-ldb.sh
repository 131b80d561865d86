#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# RocksDB's ldb: a database loaded, compacted, scanned, checked; RocksDB asks for aligned and usable sizes.
# needs: ldb

words 20000 | sed 's/^\([0-9]*\) \(.*\)$/key\1 ==> \2/' >rows
ldb --db=db load --create_if_missing --compression_type=zstd <rows
ldb --db=db put one 1
ldb --db=db get one
ldb --db=db batchput a 1 b 2 c 3
ldb --db=db delete b
ldb --db=db scan | sha256sum
ldb --db=db compact
ldb --db=db scan --from=key19 --max_keys=4
ldb --db=db approxsize --from=a --to=z | sed 's/[0-9][0-9]*/N/'

ldb --db=db checkconsistency
ldb --db=db dump --count_only | wc -l
sst=$(find db -name '*.sst' | sort | tail -n 1)
sst_dump --file="$sst" --command=verify | grep "file is"
sst_dump --file="$sst" --command=scan | grep -c '=>'
