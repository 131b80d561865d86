#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A program with more rights than its user (AT_SECURE) ignores TIERMALLOC_CONF: with a wrong value it is silent.
# It is linked with the library, for the dynamic linker ignores LD_PRELOAD there, and started by another user.
set -eu
if [ "$(basename "$TM_LIB")" != libtiermalloc.so.0 ]; then
	echo "TM_LIB is not tiermalloc"
	exit 77
fi
if [ "$(id -u)" != 0 ] || ! command -v setpriv >/dev/null; then
	echo "needs root and setpriv to make and start a setuid program"
	exit 77
fi
# $ORIGIN is ignored as well, so the copy gets the library's absolute path.
dir=$(mktemp -d -p /var/tmp)
trap 'rm -rf "$dir"' EXIT
chmod 755 "$dir"
cp "$TM_LIB" "$dir/libtiermalloc.so.0"
"${CC:-cc}" -O1 -fno-builtin -pthread -Iinclude tests/process/helper_idle.c -o "$dir/idle" "$dir/libtiermalloc.so.0" \
	-Wl,-rpath,"$dir"
if [ "$(TIERMALLOC_CONF=nope:1 "$dir/idle" tier 2>&1 | grep -c nope)" != 1 ]; then
	echo "options_secure.sh: the plain copy does not report a wrong option"
	exit 1
fi
chown root "$dir/idle"
chmod 4755 "$dir/idle"
if ! setpriv --reuid=65534 --regid=65534 --clear-groups "$dir/idle" tier >"$TMPDIR/out" 2>&1; then
	echo "a setuid program cannot be started here: $(cat "$TMPDIR/out")"
	exit 77
fi
TIERMALLOC_CONF=nope:1,hot_bytes:0,abort_conf:true MALLOC_CONF=narenas:3 setpriv --reuid=65534 --regid=65534 \
	--clear-groups "$dir/idle" tier stats hot_limit mallctl opt.narenas >"$TMPDIR/out" 2>&1 || {
	echo "options_secure.sh: the setuid program failed: $(cat "$TMPDIR/out")"
	exit 1
}
if grep -q nope "$TMPDIR/out" || [ "$(sed -n 2p "$TMPDIR/out")" = 0 ]; then
	echo "options_secure.sh: the setuid program follows TIERMALLOC_CONF: $(tr '\n' ' ' <"$TMPDIR/out")"
	exit 1
fi
if [ "$(sed -n 3p "$TMPDIR/out")" = 3 ] && [ "$(nproc)" != 1 ]; then
	echo "options_secure.sh: the setuid program follows MALLOC_CONF"
	exit 1
fi
