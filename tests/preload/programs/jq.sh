#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# jq on a large document: grouping, paths, streaming, regular expressions.
# needs: jq

words 20000 | jq -R -c 'split(" ") | {i: .[0] | tonumber, a: .[1], b: .[2], n: .[3] | tonumber}' >rows
sha256sum rows
jq -s -c 'group_by(.a)[] | [.[0].a, length, (map(.n) | add)]' rows
jq -s 'map(select(.b | test("^[a-e].*r$"))) | sort_by(-.n) | .[:3]' rows
jq -s -c '[paths] | length' rows
jq -n '[range(200000)] | map(. * 3 % 1009) | unique | length'
jq -n 'reduce range(20000) as $i (""; . + "ab") | length'
jq -s -c --stream '.' rows | wc -c
jq '.' <<<'{"broken": [1, 2' 2>/dev/null || echo "status $?"
