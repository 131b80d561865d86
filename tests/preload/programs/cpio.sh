#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# cpio: copies and archives in its formats.
# needs: cpio

mkdir -p tree/{a..d}/{1..5}
for d in tree/*/*; do words 100 >"$d/file"; done
for format in newc ustar odc; do
	find tree -type f | sort | cpio --quiet --reproducible -o -H "$format" >a.cpio
	mkdir "out.$format" && (cd "out.$format" && cpio --quiet -idm <../a.cpio)
	diff -r tree "out.$format/tree" && cpio --quiet -it <a.cpio | sha256sum
done
