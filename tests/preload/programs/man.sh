#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# man: rendering and searching pages by a pipeline of its own, with its sandbox.
# needs: man

mkdir -p pages/man1 pages/man3
for i in {1..30}; do
	printf '.TH CASE%d 1 2001-01-01 "" ""\n.SH NAME\ncase%d \\- page number %d\n.SH DESCRIPTION\nText of page %d.\n' \
		"$i" "$i" "$i" "$i" >"pages/man1/case$i.1"
done
export MANPATH=$PWD/pages MANWIDTH=80 MANPAGER=cat
man case7 | cat
man -w case12 | sed "s|$PWD||"
man -K 'number 17' -w | sed "s|$PWD||" || echo "status $?"
for i in {1..30}; do man -l "pages/man1/case$i.1"; done | sha256sum
man nothing 2>&1 || echo "status $?"
