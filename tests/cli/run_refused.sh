#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What `tiermalloc run` does not start: one clear line, 126 for a program that cannot be run with it, 127 for one that
# is not there, 2 for a wrong option. Programs that only look alike are started.
set -u
. tests/cli/lib.sh
open_directory

refused 127 "no such program on PATH" run tm-no-such-program
refused 127 "no such program" run ./tm-no-such-program
refused 127 "no such program" run /nowhere/at/all
refused 127 "no such program" run ''
refused 126 "Permission denied" run /
refused 126 "Permission denied" run /etc/passwd
refused 2 "hot_bytes:x is not a value it can have; accepted: auto" run --hot x true
refused 2 "hot_bytes:65t is out of range" run --hot 65t true
refused 2 "nope: no such option; the options are hot_bytes" run --conf nope:1 true
refused 2 "thp: no value" run --conf thp touch "$dir/ran"
refused 2 "No such file" run --library "$dir/none.so" true
refused 2 "not libtiermalloc" run --library "$(ldd /bin/true | awk '/libc.so/ { print $3 }')" true
refused 2 "not a library for 64-bit x86" run --library /etc/passwd true
check "something was run" ! -e "$dir/ran"

# Not dynamically linked, or not for this machine.
echo 'int main(void) { return 0; }' >"$dir/main.c"
cc -static -o "$dir/static" "$dir/main.c" 2>/dev/null || {
	echo "no static C library to build a static program with"
	exit 77
}
cc -static-pie -o "$dir/static-pie" "$dir/main.c" || exit 1
cc -o "$dir/dynamic" "$dir/main.c" || exit 1
cc -no-pie -o "$dir/fixed" "$dir/main.c" || exit 1
for program in static static-pie; do
	"$dir/$program" || fail "$program does not run"
	refused 126 "statically linked" run "$dir/$program"
done
for program in dynamic fixed; do
	cli run "$dir/$program"
	check "$program: $status $err" "$status" = 0
done
# altered NAME OFFSET BYTES: a copy of a program with some bytes of its header changed.
altered() {
	cp "$dir/dynamic" "$dir/$1"
	printf '%b' "$3" | dd of="$dir/$1" bs=1 seek="$2" conv=notrunc status=none
}
altered class32 4 '\x01'
altered arm64 18 '\xb7\x00'
altered x32 4 '\x01'
altered i386 4 '\x01'
printf '\x03\x00' | dd of="$dir/i386" bs=1 seek=18 conv=notrunc status=none
refused 126 "32-bit x86" run "$dir/i386"
refused 126 "32-bit x86 (x32)" run "$dir/class32"
refused 126 "64-bit ARM" run "$dir/arm64"
head -c 30 "$dir/dynamic" >"$dir/short"
head -c 100 "$dir/dynamic" >"$dir/cut"
chmod +x "$dir/short" "$dir/cut"
refused 126 "damaged" run "$dir/short"
refused 126 "damaged" run "$dir/cut"
cc -o "$dir/musl" "$dir/main.c" -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1
refused 126 "another C library" run "$dir/musl"
cc -o "$dir/lost" "$dir/main.c" -Wl,--dynamic-linker=/nowhere/ld-linux-x86-64.so.2
refused 127 "/nowhere/ld-linux-x86-64.so.2 is not here" run "$dir/lost"
# The dynamic linker itself has no dynamic linker, and does preload.
cli run /lib64/ld-linux-x86-64.so.2 /bin/echo yes
check "the dynamic linker: $status $out $err" "$status $out" = "0 yes"

# script NAME FIRST-LINE: a script; env passes one argument unless it is told -S.
script() {
	printf '#!%s\necho script\n' "$2" >"$dir/$1"
	chmod +x "$dir/$1"
}
export PATH=$dir:$PATH
for first in "$dir/static" "$dir/static -x" "  $dir/static" "/usr/bin/env static" "/usr/bin/env -S static -x" \
	"/usr/bin/env -S -u HOME A=b static"; do
	script on-static "$first"
	refused 126 "static: is statically linked" run on-static
done
script on-script "$dir/on-static"
refused 126 "statically linked" run "$dir/on-script"
script nowhere /nowhere/sh
refused 127 "/nowhere/sh" run "$dir/nowhere"
script nothing ''
refused 126 "no interpreter" run "$dir/nothing"
script loop "$dir/loop"
refused 126 "too many" run "$dir/loop"
for first in /bin/sh "/bin/sh -e" "/usr/bin/env sh" "/usr/bin/env -S sh -e"; do
	script good "$first"
	cli run "$dir/good"
	check "#!$first: $status $out $err" "$status $out" = "0 script"
done

# More rights than its user has: only for a user to whom it gives some.
if can_be_nobody; then
	cp "$dir/dynamic" "$dir/setuid"
	cp "$dir/dynamic" "$dir/setgid"
	cp "$dir/dynamic" "$dir/capable"
	chown 0:0 "$dir/setuid" "$dir/setgid"
	chmod 4755 "$dir/setuid"
	chmod 2755 "$dir/setgid"
	cli run "$dir/setuid"
	check "setuid root as root: $status $err" "$status" = 0
	cli=$TM_CLI
	printf '#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups %s "$@"\n' "$cli" >"$dir/cli"
	chmod +x "$dir/cli"
	TM_CLI=$dir/cli
	if ! findmnt -no OPTIONS -T "$dir" | grep -qw nosuid; then
		refused 126 "is setuid" run "$dir/setuid"
		refused 126 "is setgid" run "$dir/setgid"
		if setcap cap_net_raw+ep "$dir/capable" 2>/dev/null; then
			refused 126 "file capabilities" run "$dir/capable"
		fi
	fi
	chown 65534:65534 "$dir/setuid"
	chmod 4755 "$dir/setuid"
	cli run "$dir/setuid"
	check "setuid to the user that runs it: $status $err" "$status" = 0
	TM_CLI=$cli
fi
exit $failed
