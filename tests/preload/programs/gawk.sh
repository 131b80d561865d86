#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# GNU awk: arrays, sorting, printf, big numbers, a coprocess.
# needs: gawk

words 200000 | gawk '
	{ n[$2][$3]++; sum[$2] += $4; last[$1 % 5000] = last[$1 % 5000] " " $2 }
	END {
		PROCINFO["sorted_in"] = "@ind_str_asc"
		for (i in n) { t = 0; for (j in n[i]) t += n[i][j]; printf "%-6s %d %.3f\n", i, t, sum[i] / t }
		for (i in last) h = (h * 31 + length(last[i])) % 1000003
		print h
	}'
gawk -M 'BEGIN { print 2^200 }'
gawk 'BEGIN {
	cmd = "sort -r"
	for (i = 0; i < 5; i++) print i |& cmd
	close(cmd, "to")
	while ((cmd |& getline line) > 0) print line
	s = sprintf("%2000000s", "x"); print length(s); gsub(/ /, "ab", s); print length(s)
}'
