#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Out of memory at every system call in turn: the K-th of mmap, mprotect, madvise, munmap fails with ENOMEM (once,
# or from there on), for every K up to a bound and in steps beyond. The program treats NULL as fine; a crash, a hang
# or a wrong byte is not. What the dynamic linker refuses to start is not counted. OOM_RUNS sets how many runs (120).
# timeout: 300
set -u
work=$TM_TESTS/oom_work
if ! command -v strace >/dev/null || ! strace -o /dev/null true 2>/dev/null; then
	echo "strace is not here or may not trace"
	exit 77
fi
calls=mmap,mprotect,madvise,munmap
strace -f -o "$TMPDIR/trace" -e trace=$calls -E LD_PRELOAD="$TM_LIB" "$work" >"$TMPDIR/out" 2>&1 || {
	echo "oom.sh: fails without any injection: $(tail -n 1 "$TMPDIR/out")"
	exit 1
}
# when= counts for each process; the longest series is what matters.
count=$(cut -d' ' -f1 "$TMPDIR/trace" | sort | uniq -c | sort -rn | awk 'NR == 1 { print $1 }')
runs=${OOM_RUNS:-120}
failed=0
started=0

# run LIBRARY CALLS WHEN: the program with a failure injected; its output in $TMPDIR/out.
run() {
	{
		timeout -k 2 50 strace -f -o /dev/null -e trace="$2" -e inject="$2:error=ENOMEM:when=$3" \
			-E LD_PRELOAD="$1" "$work" >"$TMPDIR/out" 2>&1
	} 2>/dev/null # the shell's own word about a crash
}

# inject CALLS WHEN: one run, and the judgement of what came of it.
inject() {
	run "$TM_LIB" "$1" "$2"
	local status=$?
	if [ $status = 0 ] && grep -q '^done' "$TMPDIR/out"; then
		started=$((started + 1))
	elif [ $status = 127 ] ||
		grep -Eq 'while loading shared|cannot allocate TLS|Cannot allocate memory' "$TMPDIR/out"; then
		: # the dynamic linker ended it
	else
		local what
		what=$(tail -n 1 "$TMPDIR/out")
		run "" "$1" "$2"
		[ $? = $status ] && return # the dynamic linker crashes there without us as well
		echo "oom.sh: $1 failing, when=$2: status $status: $what"
		failed=$((failed + 1))
	fi
}

# The first half of the runs covers the start call by call, the rest is spread evenly over all others.
dense=$((runs / 3))
[ $dense -le "$count" ] || dense=$count
step=$(((count - dense) / (runs / 3 + 1) + 1))
for ((k = 1; k <= count; k += k < dense ? 1 : step)); do
	inject $calls $k
	[ $failed -lt 5 ] || break
done
# From the K-th on for good; single calls that never work at all from the time the program runs.
for ((k = 20; k <= count && failed < 5; k += count * 3 / runs + 1)); do
	inject $calls $k+
done
for call in madvise munmap mprotect; do
	[ $failed -lt 5 ] && inject $call 8+
	[ $failed -lt 5 ] && inject $call 10+3
done
if [ $started = 0 ]; then
	echo "oom.sh: no run got as far as the program's end"
	exit 1
fi
[ $failed = 0 ]
