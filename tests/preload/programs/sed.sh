#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# sed: scripts with hold space, back references and editing in place.

words 50000 >text
sed -E 's/([a-z]+) ([a-z]+)/\2-\1/g; y/abc/xyz/' text | sha256sum
sed -n '$!{h;d};H;x;p' text
sed '1!G;h;$!d' <(head -n 3000 text) | sha256sum
sed -i.bak -E -e '/maple/{s/[0-9]+$/<&>/;t' -e '}' -e '/otter/d' text
cksum <text
sed -e ':a' -e 'N;$!ba' -e 's/\n/,/g' text | wc -c
sed -n '/cedar cedar/,/larch/p;100q' text.bak
