#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# TIERMALLOC_CONF and MALLOC_CONF as a user meets them: a wrong pair is reported once, in one line, with its name,
# its value and what is accepted, and the program runs; a right one is silent; abort_conf ends the program after
# all are reported; privileged programs ignore both variables.
set -u
idle=$TM_TESTS/helper_idle
if [ "$(LD_PRELOAD=$TM_LIB "$idle" tier)" != yes ]; then
	echo "TM_LIB is not tiermalloc"
	exit 77
fi
failed=0
fail() {
	echo "options.sh: $*"
	failed=1
}

# check WHAT TEST...: WHAT is said if the test(1) expression does not hold.
check() {
	local what=$1
	shift
	test "$@" || fail "$what"
}

# conf CONF ARGS...: runs the helper; its output in $out and $err, its status in $status.
conf() {
	local value=$1
	shift
	TIERMALLOC_CONF=$value LD_PRELOAD=$TM_LIB "$idle" "$@" >"$TMPDIR/out" 2>"$TMPDIR/err"
	status=$?
	out=$(cat "$TMPDIR/out")
	err=$(cat "$TMPDIR/err")
	lines=$(wc -l <"$TMPDIR/err")
}

# wrong CONF WORD...: reported in one line that has all the words.
wrong() {
	local value=$1 word
	shift
	conf "$value" tier
	check "$value: the program does not run" "$status $out" = "0 yes"
	[ "$lines" = 1 ] || fail "$value: $lines lines on stderr: $err"
	[[ $err == tiermalloc:* ]] || fail "$value: no prefix: $err"
	for word; do
		[[ $err == *"$word"* ]] || fail "$value: '$word' is not in: $err"
	done
}

right() {
	conf "$1" tier
	check "$1: status $status: $err" "$status $out $lines" = "0 yes 0"
}

# Every option of the table: a right value, a wrong one, none at all. A new option must be added here.
declare -A good=(
	[hot_bytes]="auto 0 64m 1g 10% 4096" [cold_waste]="0 25 100 50%" [cold_arenas]="0 1 64"
	[reserve]="auto 16m 1g 50%" [thp]="auto never" [dlopen_deepbind]="ignore keep" [abort_conf]="true false"
	[keeper]="true false" [start_bytes]="0 64m 1% 64t" [keeper_cpu]="1 10% 100"
	[sensor]="auto probe none" [sense_cpu]="1 2% 100" [stats_print]="false" [log]="none error info"
)
declare -A bad=(
	[hot_bytes]="x 1x 65t 1gb -1 101% 1.5g 99999999999999999999" [cold_waste]="101 x -1 101% 1g"
	[cold_arenas]="65 x 1k" [reserve]="1m 33t x 4k" [thp]="always x true Auto" [dlopen_deepbind]="x true"
	[keeper]="1 never" [start_bytes]="auto 65t x" [keeper_cpu]="0 101% x 1g"
	[sensor]="x true pebs" [sense_cpu]="0 101% x" [abort_conf]="1 yes TRUE" [stats_print]="1 x" [log]="x debug 1"
)
# The words come from the table, so that a change there needs no change here.
accepted() {
	tr '\n' ' ' <src/alloc/options.def | sed 's/OPTION(/\n&/g' | sed -n "s/^OPTION($1, //p" |
		sed 's/^[A-Z]*, "[^"]*", *//; s/^[^"]*"\([^"]*\)".*/\1/'
}
while read -r name; do
	[ -n "${good[$name]:-}" ] || fail "option $name is not tested"
	for value in ${good[$name]:-}; do
		[ "$name:$value" = log:info ] || right "$name:$value"
	done
	for value in ${bad[$name]:-}; do
		wrong "$name:$value" "$name" "$value" "$(accepted "$name")"
	done
	wrong "$name" "$name" "$(accepted "$name")"
	wrong "$name:" "$name" "$(accepted "$name")"
done < <(sed -n 's/^OPTION(\([a-z_]*\),.*/\1/p' src/alloc/options.def)
[ -n "$(accepted thp)" ] || fail "cannot read src/alloc/options.def"

wrong "no_such_option:1" no_such_option hot_bytes cold_waste
wrong "HOT_BYTES:1m" HOT_BYTES
wrong "hot_bytes:64m,,thp:never" empty
wrong "hot_bytes:64m," empty
wrong " hot_bytes:64m" " hot_bytes"
wrong "$(printf 'x%.0s' {1..5000}):1" xxxx
wrong "hot_bytes=64m" hot_bytes=64m
conf "" tier
[ "$status$lines" = 00 ] || fail "empty: $err"
conf "thp:x,cold_waste:y,nope:z" tier
check "three wrong pairs: $lines lines, status $status" "$status $lines" = "0 3"

# Each keeps its default when wrong, and takes effect when right; the last one of several wins.
conf "hot_bytes:8m,hot_bytes:64m" stats hot_limit
[ "$out" = $((64 << 20)) ] || fail "hot_bytes:64m gives hot_limit $out"
conf "hot_bytes:64m,hot_bytes:x" stats hot_limit
[ "$out" = $((64 << 20)) ] || fail "a wrong value after a right one: hot_limit $out"
conf "hot_bytes:0" hot 20 stats born_hot
[ "$out" = 0 ] || fail "hot_bytes:0: $out regions born hot"
conf "thp:never" cold 20 stats cold_huge
[ "$out" = 0 ] || fail "thp:never: $out bytes on huge pages"
conf "reserve:16m" hot 100 cold 100 stats overflow
check "reserve:16m: status $status" "$status" = 0
check "reserve:16m: overflow $out" "$out" -ge $((100 << 20))

# abort_conf tells all before it stops, wherever it stands.
for value in "abort_conf:true,thp:x,nope:1,cold_waste:300" "thp:x,nope:1,cold_waste:300,abort_conf:true"; do
	conf "$value" tier 2>/dev/null
	[ "$status" = 134 ] || fail "$value: status $status, not SIGABRT"
	[ "$(grep -c ^tiermalloc: "$TMPDIR/err")" -ge 3 ] || fail "$value: not all reported: $err"
	[ -z "$out" ] || fail "$value: the program ran"
done
right "abort_conf:true"

# log decides what is said.
conf "log:none,thp:x" tier
[ "$lines" = 0 ] || fail "log:none: $err"
conf "log:info" tier
check "log:info: status $status" "$status" = 0
check "log:info says nothing" "$lines" -ge 1
[ "$(grep -vc ^tiermalloc: "$TMPDIR/err")" = 0 ] || fail "log:info: a line without prefix: $err"

conf "stats_print:true" hot 5 cold 5
check "stats_print: status $status" "$status" = 0
check "stats_print: $lines lines" "$lines" -ge 3
conf "stats_print:false" hot 5
[ "$lines" = 0 ] || fail "stats_print:false: $err"

# MALLOC_CONF is jemalloc's.
out=$(MALLOC_CONF=narenas:3 LD_PRELOAD=$TM_LIB "$idle" mallctl opt.narenas 2>&1)
[ "$out" = 3 ] || fail "MALLOC_CONF=narenas:3 gives opt.narenas $out"
out=$(MALLOC_CONF=dirty_decay_ms:1234 LD_PRELOAD=$TM_LIB "$idle" mallctl opt.dirty_decay_ms 2>&1)
[ "$out" = 1234 ] || fail "MALLOC_CONF=dirty_decay_ms:1234 gives $out"
exit $failed
