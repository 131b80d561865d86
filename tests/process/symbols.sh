#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The library exports what tests/abi/symbols.txt lists and nothing else, needs nothing beyond the C library and the
# compiler's own run time, has the promised soname, and cannot be dlopen()ed. The archive leaks no other name.
set -eu
if [ "$(basename "$TM_LIB")" != libtiermalloc.so.0 ]; then
	echo "TM_LIB is not tiermalloc"
	exit 77
fi
failed=0
fail() {
	echo "$*"
	failed=1
}
list=tests/abi/symbols.txt
LC_ALL=C sort -cu "$list" || fail "$list is not sorted"
nm -D --defined-only "$TM_LIB" | sed 's/^[0-9a-f]* [A-Za-z] //; s/@.*//' | LC_ALL=C sort -u >"$TMPDIR/exported"
if ! diff -u "$list" "$TMPDIR/exported" >"$TMPDIR/diff"; then
	sed -n '3,$s/^[+-]/&/p' "$TMPDIR/diff" | head -n 20
	fail "exported names differ from $list: - is missing, + is not listed"
fi

readelf -d "$TM_LIB" >"$TMPDIR/dynamic"
grep -q 'SONAME.*\[libtiermalloc\.so\.0\]' "$TMPDIR/dynamic" || fail "soname is not libtiermalloc.so.0"
grep -Eq 'FLAGS_1.*NOOPEN' "$TMPDIR/dynamic" || fail "not linked with -z nodlopen"
while read -r needed; do
	case $needed in
	libc.so.6 | libm.so.6 | libpthread.so.0 | libdl.so.2 | ld-linux-x86-64.so.2 | libgcc_s.so.1) ;;
	*) fail "needs $needed" ;;
	esac
done < <(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' "$TMPDIR/dynamic")
# Interposed names must carry no version, or old binaries bind to the C library's.
nm -D --defined-only "$TM_LIB" | grep -E ' (malloc|free|calloc|realloc)@' && fail "versioned malloc"

if [ -f "$TM_STATIC" ]; then
	nm -g --defined-only "$TM_STATIC" 2>/dev/null | awk 'NF == 3 { print $3 }' |
		LC_ALL=C sort -u >"$TMPDIR/archive"
	leaked=$(LC_ALL=C comm -13 "$list" "$TMPDIR/archive" | grep -Ev '^(tm_|_)' | head -n 10 | tr '\n' ' ')
	[ -z "$leaked" ] || fail "the archive defines names that programs may use themselves: $leaked"
	missing=$(LC_ALL=C comm -23 "$list" "$TMPDIR/archive" | tr '\n' ' ')
	case $missing in
	"" | "dlopen ") ;;
	*) fail "the archive lacks $missing" ;;
	esac
fi
exit $failed
