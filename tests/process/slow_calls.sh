#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# System calls that take seconds, as on a machine that is short of memory or processors: no thread takes another's
# region for abandoned, no byte is lost. Other threads wait, and the program ends.
# timeout: 180
set -u
work=$TM_TESTS/slow_work
if ! command -v strace >/dev/null || ! strace -o /dev/null true 2>/dev/null; then
	echo "strace is not here or may not trace"
	exit 77
fi

# slow CALL DELAY WHEN SECONDS: delays in microseconds.
slow() {
	if ! timeout 100 strace -f -o /dev/null -e trace="$1" -e inject="$1:delay_enter=$2:when=$3" \
		-E TIERMALLOC_CONF=cold_arenas:1,hot_bytes:0 -E MALLOC_CONF=narenas:1,dirty_decay_ms:0 \
		-E LD_PRELOAD="$TM_LIB" "$work" "$4" >"$TMPDIR/out" 2>&1; then
		echo "slow_calls.sh: $1 taking $2 us, when=$3: $(grep -v '^strace:' "$TMPDIR/out" | head -n 1)"
		exit 1
	fi
}

slow madvise 1500000 10+7 8
slow mprotect 1200000 12+9 4
slow madvise 12000000 25 13
