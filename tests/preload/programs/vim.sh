#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# vim in ex mode: substitutions, sorting, undo, Vim script, regular expressions.
# needs: vim

words 20000 >text
cat >script.vim <<'VIM'
set nocompatible undolevels=100
%s/\v(\w+) (\w+) (\d+)$/\3 \2 \1/
g/maple.*otter/d
sort n
1,10m$
let d = {}
for l in getline(1, '$')
	let w = split(l)[2]
	let d[w] = get(d, w, 0) + 1
endfor
call append(0, map(sort(items(d)), 'join(v:val)'))
silent! undo
silent! redo
normal! ggVGgU
%!sort
w! out
qa!
VIM
vim -u NONE -i NONE -n -es -S script.vim text </dev/null || echo "status $?"
sha256sum out
first 5 <out
