#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# `tiermalloc doctor` about samples of memory accesses: which event it takes, what it finds with it, and what it says
# where it is refused. The kernel's answers, and AMD's event where there is none, are made up by a preloaded library.
# timeout: 120
set -u
. tests/cli/lib.sh
if ! command -v jq >/dev/null || ! cc -shared -fPIC -O1 tests/cli/shim.c -o "$TMPDIR/shim.so" -ldl; then
	echo "needs jq and a compiler"
	exit 77
fi
ibs=$TMPDIR/ibs
mkdir -p "$ibs/format"
echo 9 >"$ibs/type"

# samples SHIM: doctor's finding, where the kernel is as the shim makes it.
samples() {
	LD_PRELOAD=$TMPDIR/shim.so TM_SHIM=$1 TM_SHIM_IBS=$ibs "$TM_CLI" doctor --json >"$TMPDIR/out" 2>"$TMPDIR/err"
	status=$?
	check "$1: status $status: $(head -n 1 "$TMPDIR/err")" $status -le 1
	finding=$(jq -r '.checks[] | select(.id == "access_samples") | "\(.mark) | \(.what) | \(.follows) | \(.command)"' "$TMPDIR/out")
}
# says SHIM PATTERN: the finding matches.
says() {
	samples "$1"
	# shellcheck disable=SC2053 # a pattern
	[[ $finding == $2 ]] || fail "$1: $finding"
}

samples absent
if [[ $finding == *"no event known"* ]]; then
	echo "no event is known for this processor"
	exit $((failed ? 1 : 77))
fi
amd=
! grep -q AuthenticAMD /proc/cpuinfo || amd=1
says absent "note | the processor shows no * other ways remain | null"
paranoid=$(cat /proc/sys/kernel/perf_event_paranoid)
if [ "$paranoid" -gt $((amd ? 1 : 2)) ]; then
	says denied "note | this user may not open *(perf_event_paranoid $paranoid)* | sudo sysctl kernel.perf_event_paranoid=$((amd ? 1 : 2))"
else
	says denied "note | *container's filter* | null"
fi
if [ $amd ]; then
	says thread "note | *ibs_op*Linux 6.2* | *apt install*"
	echo config2:0 >"$ibs/format/swfilt"
	echo config:16 >"$ibs/format/l3missonly"
	[ "$paranoid" -gt 2 ] || says denied "note | ibs_op/cnt_ctl=1,l3missonly=1/ *container's filter* | null"
	rm "$ibs/type"
	says absent "note | the kernel shows no instruction based sampling* | null"
	echo 9 >"$ibs/type"
fi
samples ""
[[ $finding == *"may not"* || $finding == *"built without"* ]] ||
	{
		says faults "ok | * | * samples of accesses made to try it* | null"
		right=$(jq '.checks[] | select(.id == "access_samples") | .facts.right' "$TMPDIR/out")
		check "faults: $right samples" "${right:-0}" -gt 1000
	}
exit $failed
