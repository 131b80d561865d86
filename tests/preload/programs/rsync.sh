#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# rsync between local directories: three processes, checksums, deltas, deletion, dry runs.
# needs: rsync

mkdir -p from/{a..e}/{1..15}
for d in from/*/*; do words 200 >"$d/file"; done
words 100000 >from/big
find from -exec touch -d @1000000000 {} +
rsync -a from/ to && diff -r from to && echo same
sed -i '500s/.*/changed/;90000d' from/big
rm -r from/c && touch from/new
rsync -a --delete --itemize-changes --checksum from/ to
rsync -a --no-whole-file --stats from/ third --compare-dest="$PWD/to" | grep -E 'Number of (files|created)|Literal data'
words 100000 >to/big
rsync -a --no-whole-file --inplace -z --stats from/big to/big | grep -E 'Literal data|Matched data'
rsync -an --delete --exclude='*/1*' from/ empty | wc -l
cmp from/big to/big && echo same
rsync absent to 2>/dev/null || echo "status $?"
