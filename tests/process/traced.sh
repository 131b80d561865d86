#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The library under gdb, valgrind (without a tool that replaces malloc) and strace: a program that allocates in both
# classes ends well, and a debugger can read its heap.
# timeout: 180
set -u
idle=$TM_TESTS/helper_idle
ran=0
failed=0
fail() {
	echo "traced.sh: $*"
	failed=1
}

if command -v gdb >/dev/null; then
	ran=1
	gdb -nx -batch -ex "set exec-wrapper env LD_PRELOAD=$TM_LIB" -ex 'break print_mallctl' -ex run \
		-ex 'print keep[0]' -ex 'print keep[5 << 20]' -ex 'detach' \
		--args "$idle" hot 20 cold 20 mallctl opt.abort >"$TMPDIR/gdb" 2>&1
	# The program goes on by itself after the detach; that the breakpoint was reached is what counts.
	grep -q '^Breakpoint 1' "$TMPDIR/gdb" || fail "gdb: $(tail -n 3 "$TMPDIR/gdb" | tr '\n' ' ')"
	[ "$(grep -c "= 1 '" "$TMPDIR/gdb")" = 2 ] ||
		fail "gdb cannot read the heap: $(tail -n 4 "$TMPDIR/gdb" | tr '\n' ' ')"
	gdb -nx -batch -ex "set exec-wrapper env LD_PRELOAD=$TM_LIB" -ex run --args "$idle" hot 50 cold 50 \
		>"$TMPDIR/gdb" 2>&1
	grep -q 'exited normally' "$TMPDIR/gdb" || fail "gdb: $(tail -n 3 "$TMPDIR/gdb" | tr '\n' ' ')"
fi
if command -v valgrind >/dev/null; then
	ran=1
	LD_PRELOAD=$TM_LIB valgrind --tool=none "$idle" hot 50 cold 50 >"$TMPDIR/valgrind" 2>&1 ||
		fail "valgrind --tool=none: $(tail -n 5 "$TMPDIR/valgrind" | tr '\n' ' ')"
fi
if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
	ran=1
	strace -f -o "$TMPDIR/strace" -E LD_PRELOAD="$TM_LIB" "$idle" hot 50 cold 50 >"$TMPDIR/out" 2>&1 ||
		fail "strace: $(tail -n 3 "$TMPDIR/out" | tr '\n' ' ')"
fi
if [ $ran = 0 ]; then
	echo "none of gdb, valgrind, strace is here"
	exit 77
fi
exit $failed
