#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# mawk: its own memory pools on top of malloc.
# needs: mawk

words 200000 | mawk '
	{ n[$2 " " $3]++; len[$4 % 10007] = len[$4 % 10007] $1 }
	END {
		for (i in n) print i, n[i] | "sort"
		close("sort")
		for (i in len) h += length(len[i])
		print h
	}'
mawk 'BEGIN { s = "x"; while (length(s) < 1000000) s = s s; print length(s); print gsub(/x/, "yz", s), length(s) }'
