#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# `tiermalloc doctor` where it may not look, or where things are missing: it always comes to its end, with a clear line
# for each, and its status is 2 only where nothing can be run.
# timeout: 180
# shellcheck disable=SC2016 # what is in single quotes is for another shell
set -u
. tests/cli/lib.sh
command -v jq >/dev/null || {
	echo "needs jq"
	exit 77
}

# mark ID: the mark of a check in the last JSON.
mark() {
	jq -r ".checks[] | select(.id == \"$1\") | .mark" "$TMPDIR/out" | head -n 1
}
# ends WHAT STATUS COMMAND...: the command, which prints doctor's JSON, ends with one of the statuses.
ends() {
	local what=$1 want=$2
	shift 2
	"$@" >"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null
	status=$?
	[[ " $want " == *" $status "* ]] || fail "$what: status $status, not $want: $(head -n 1 "$TMPDIR/err")"
	[ ! -s "$TMPDIR/err" ] || fail "$what: on standard error: $(head -n 1 "$TMPDIR/err")"
	jq -e '.checks | length > 15' "$TMPDIR/out" >/dev/null || fail "$what: no JSON, or not all of it"
}

ends "no library" 2 "$TM_CLI" doctor --json --library /nowhere/lib.so
check "no library: $(mark library)" "$(mark library)" = missing
ends "no environment" "0 1" env -i "$TM_CLI" doctor --json
ends "no files" "0 1" sh -c 'ulimit -n 8; "$0" doctor --json' "$TM_CLI"
ends "closed descriptors" "0 1" sh -c '"$0" doctor --json <&- 2>&-' "$TM_CLI"
if [[ $TM_BUILD != */address && $TM_BUILD != */thread ]]; then # these need terabytes of addresses
	ends "ulimit -v" 1 bash -c 'ulimit -v 4000000; "$0" doctor --json' "$TM_CLI"
	check "ulimit -v: $(mark rlimit_as)" "$(mark rlimit_as)" = note
	ends "a small ulimit -v" 1 bash -c 'ulimit -v 60000; "$0" doctor --json' "$TM_CLI"
	check "a small ulimit -v: $(mark library)" "$(mark library)" = missing
fi
# An older kernel, as far as the calls that ask it go.
if cc -shared -fPIC -O1 tests/cli/shim.c -o "$TMPDIR/shim.so" -ldl; then
	LD_PRELOAD=$TMPDIR/shim.so TM_SHIM=scan,move ends "an older kernel" 1 "$TM_CLI" doctor --json
	check "an older kernel: $(mark pagemap_scan) $(mark uffdio_move)" "$(mark pagemap_scan)" = missing
	[ "$(mark userfaultfd)" = missing ] || check "an older kernel: $(mark uffdio_move)" "$(mark uffdio_move)" = missing
fi
HWLOC_SYNTHETIC="numa:2 core:2 pu:1" ends "another topology" 1 "$TM_CLI" doctor --json
check "another topology: $(mark nodes)" "$(mark nodes)" = note
# PR_SET_THP_DISABLE is inherited.
if command -v python3 >/dev/null; then
	ends "no huge pages" 1 python3 -c 'import ctypes, os, sys
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)
os.execv(sys.argv[1], [sys.argv[1], "doctor", "--json"])' "$TM_CLI"
	check "no huge pages: $(mark thp_disable) $(mark thp_fault)" "$(mark thp_disable) $(mark thp_fault)" = "missing missing"
fi

if can_be_nobody; then
	open_directory
	cp "$TM_CLI" "$dir/tiermalloc"
	cp "$TM_LIB" "$dir/libtiermalloc.so.0"
	ends "as nobody" "0 1" as_nobody "$dir/tiermalloc" doctor --json
	check "as nobody: $(mark library)" "$(mark library)" = ok
	if [ "$(cat /proc/sys/vm/unprivileged_userfaultfd 2>/dev/null)" = 0 ] && [ ! -r /dev/userfaultfd ] ||
		[ "$(stat -c %a /dev/userfaultfd 2>/dev/null)" = 600 ]; then
		check "as nobody: $(mark userfaultfd)" "$(mark userfaultfd)" = missing
		jq -e '.checks[] | select(.id == "userfaultfd") | .command | startswith("sudo ")' "$TMPDIR/out" >/dev/null ||
			fail "as nobody: no command for userfaultfd"
	fi
	# Neither /proc nor /sys, as in a bare chroot.
	if unshare -m true 2>/dev/null; then
		ends "without /sys" "0 1" unshare -m sh -c 'mount -t tmpfs none /sys && exec "$0" doctor --json' "$dir/tiermalloc"
		# The address sanitizer itself complains there.
		[[ $TM_BUILD == */address ]] ||
			ends "without /proc" "1 2" unshare -m sh -c 'mount -t tmpfs none /sys && mount -t tmpfs none /proc &&
				exec "$0" doctor --json --library "$1"' "$dir/tiermalloc" "$dir/libtiermalloc.so.0"
	fi
fi
exit $failed
