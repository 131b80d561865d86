#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# bash itself: arrays, substitutions, subshells, here documents, traps, co-processes, many children.

declare -A count
while read -r _ a b n; do
	count[$a]=$((${count[$a]:-0} + n % 100))
	last=$b
done < <(words 20000)
for k in "${!count[@]}"; do echo "$k ${count[$k]}"; done | sort
echo "$last"
list=({1..20000})
echo "${#list[@]} ${list[*]: -3}"
text=$(printf '%s,' "${list[@]}")
echo "${#text} $(echo "${text//1/one}" | cksum)"
coproc CAT { cat; }
in=${CAT[0]} out=${CAT[1]}
echo "through a coprocess" >&"$out"
read -r line <&"$in"
echo "$line"
exec {out}>&-
for i in {1..200}; do (exit $((i % 3))) || n=$((${n:-0} + $?)); done
echo "$n"
for i in {1..50}; do echo "$i" & done | sort -n | tr '\n' ' '
fib() { if (($1 < 2)); then echo "$1"; else echo $(($(fib $(($1 - 1))) + $(fib $(($1 - 2))))); fi; }
fib 9
trap 'echo "got USR1"' USR1
kill -USR1 $$
probe=abc123def
[[ $probe =~ ([0-9]+)([a-z]+) ]] && echo "${BASH_REMATCH[@]}"
printf -v padded '%05d|%-8s|%q' 42 left "a b'c"
echo "$padded"
bash -c 'exit 7' || echo "status $?"
