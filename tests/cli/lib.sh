# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the tests of the command share; read with `.` at their start. Not a test itself: it is not executable.

# Some tests preload into the command itself, which the address sanitizer, where it is built with that, objects to.
export ASAN_OPTIONS=verify_asan_link_order=0

failed=0
fail() {
	echo "$(basename "$0"): $*"
	# shellcheck disable=SC2034
	failed=1
}

# check WHAT TEST...: WHAT is said if the test(1) expression does not hold.
check() {
	local what=$1
	shift
	test "$@" || fail "$what"
}

# cli ARGS...: runs the command; its outputs in $out and $err, its exit status in $status.
cli() {
	"$TM_CLI" "$@" >"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null
	status=$?
	out=$(cat "$TMPDIR/out")
	err=$(cat "$TMPDIR/err")
}

# refused STATUS WORD ARGS...: the command ends with that status, prints one line that has the word, runs nothing.
refused() {
	local want=$1 word=$2
	shift 2
	cli "$@"
	check "$*: status $status, not $want: $err" "$status" = "$want"
	check "$*: output: $out" -z "$out"
	[ "$(wc -l <"$TMPDIR/err")" = 1 ] || fail "$*: not one line: $err"
	[[ $err == "tiermalloc: "*"$word"* ]] || fail "$*: '$word' is not in: $err"
}

# as_nobody COMMAND...: as a user without rights; 77 is for the caller to see when that cannot be.
as_nobody() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}
can_be_nobody() {
	[ "$(id -u)" = 0 ] && as_nobody true 2>/dev/null
}

# A directory that everyone may enter, unlike the one in TMPDIR; removed at the end.
open_directory() {
	dir=$(mktemp -d -p /var/tmp)
	chmod 755 "$dir"
	# shellcheck disable=SC2064 # the directory of now
	trap "rm -rf '$dir'" EXIT
}

# heap_start PROGRAM...: starts a program that prints a line when it is ready and ends with its input; its process
# in $heap. heap_end lets it end.
heap_start() {
	coproc HEAP { exec "$@"; }
	heap=$HEAP_PID
	read -r -t 30 ready <&"${HEAP[0]}"
	[ "$ready" = ready ] || fail "$*: does not start"
}
heap_end() {
	local input=${HEAP[1]}
	exec {input}>&-
	wait "$heap"
}
