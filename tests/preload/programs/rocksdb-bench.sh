#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# RocksDB's db_bench with threads: fill, overwrite, read while writing; the block cache is the heap.
# needs: db_bench

bench() {
	db_bench --db=db --num=60000 --value_size=400 --threads=2 --cache_size=20000000 --write_buffer_size=4000000 \
		--disable_wal=1 --compression_type=lz4 --seed=7 --histogram=0 "$@" 2>&1
}
bench --benchmarks=fillrandom,overwrite,compact,readrandom,readseq | grep -o -E '^(fillrandom|overwrite|readrandom|readseq) '
bench --use_existing_db=1 --reads=30000 --benchmarks=readwhilewriting,seekrandom,deleterandom,multireadrandom |
	grep -o -E '^(readwhilewriting|seekrandom|deleterandom|multireadrandom) '
bench --use_existing_db=1 --benchmarks=fillseq,verifychecksum,readseq --threads=1 --use_existing_db=0 |
	grep -o -E 'readseq .*|verifychecksum .*' | sed 's/:.*//'
