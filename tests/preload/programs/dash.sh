#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# dash: a script of pure shell, with pipes and command substitution.
# needs: dash

cat >case.sh <<'SH'
i=0 s=
while [ $i -lt 5000 ]; do i=$((i + 1)); s="$s $((i * 7 % 11))"; done
echo ${#s}
set -- $s
echo $# $1 ${4000}
f() { local n=$1; [ "$n" -le 1 ] && echo 1 || echo $((n * $(f $((n - 1))))); }
f 15
n=0; for x in "$@"; do case $x in [0-4]) n=$((n + 1)) ;; esac; done; echo $n
seq 1 100 | while read -r l; do echo "$l $(echo "$l" | tr 0-9 a-j)"; done | tail -n 3
( trap 'echo bye' EXIT; exit 3 ) || echo "status $?"
for i in 1 2 3 4 5; do ( echo $i ) & done | sort; wait
cat <<E
here $((1 + 2)) ${HOME##*/}
E
SH
dash case.sh
