#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# groff: troff, tbl, eqn and the manual macros, to text, PostScript and the intermediate form.
# needs: groff

cat >case.ms <<'MS'
.TL
A title
.AU
Nobody
.NH 1
Heading
.LP
Some text, set in lines.
.TS
box tab(:);
c | n.
one:1.5
two:22.75
.TE
.EQ
x = {-b +- sqrt {b sup 2 - 4ac}} over 2a
.EN
MS
words 3000 | sed '0~50s/.*/.NH 2\nNext\n.LP/' >>case.ms
groff -t -e -ms -Tascii case.ms | sha256sum
groff -t -e -ms -Tps case.ms | grep -v -E '^%%(CreationDate|Creator)' | sha256sum
printf '.TH CASE 1\n.SH NAME\ncase \\- a case\n.SH OPTIONS\n.TP\n.B \\-x\nText.\n' >case.1
groff -man -Tutf8 case.1 | first 8
groff -ms -Z case.ms | wc -l
