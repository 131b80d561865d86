#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# `tiermalloc run` as a user meets it: the program gets its arguments, its input and its options, its exit status comes
# back, and what was in LD_PRELOAD and TIERMALLOC_CONF stays.
# shellcheck disable=SC2016 # what is in single quotes is for another shell
set -u
. tests/cli/lib.sh

cli run sh -c 'exit 37'
check "exit status $status, not 37: $err" "$status" = 37
status=$({ "$TM_CLI" run -- sh -c 'kill -TERM $$'; echo $?; } 2>/dev/null) # where bash says how it ended
check "after SIGTERM: status $status" "$status" = 143
cli run true
check "true: $status $out $err" "$status$out$err" = 0
cli run printf '<%s>' a 'b c' '' --hot -x '*'
check "arguments: $out" "$out" = '<a><b c><><--hot><-x><*>'
check "input is not passed on" "$(echo through | "$TM_CLI" run cat)" = through
cli run --hot 64m -- printf '<%s>' --hot
check "after --: $out" "$out" = '<--hot>'

# The library is really there, once, and the options reach it.
cli run grep -c libtiermalloc /proc/self/maps
check "the library is not mapped: $out" "$out" -ge 1
hot_tier() {
	sed -n 's/^tiermalloc: version [0-9.]*: hot tier \([0-9.kmgt]*\).*/\1/p' "$TMPDIR/err"
}
cli run --conf log:info --hot 64m true
check "--hot 64m gives $(hot_tier): $err" "$(hot_tier)" = 64m
cli run --hot 64m --conf hot_bytes:32m,log:info true
check "the last of several does not win: $(hot_tier)" "$(hot_tier)" = 32m
cli run --conf thp:never --conf log:info true
[[ $err == *thp:never* ]] || fail "two --conf: $err"
export TIERMALLOC_CONF=hot_bytes:8m,log:info
cli run true
check "TIERMALLOC_CONF is lost: $(hot_tier)" "$(hot_tier)" = 8m
cli run --hot 24m true
check "--hot does not win over TIERMALLOC_CONF: $(hot_tier)" "$(hot_tier)" = 24m
cli run --hot 24m printenv TIERMALLOC_CONF
check "TIERMALLOC_CONF: $out" "$out" = hot_bytes:8m,log:info,hot_bytes:24m
# A wrong option that was there before is the library's to report; the program runs.
TIERMALLOC_CONF=nope:1 cli run echo ran
check "with a wrong TIERMALLOC_CONF: $status $out $err" "$status $out" = "0 ran"
unset TIERMALLOC_CONF
cli run printenv TIERMALLOC_CONF
check "TIERMALLOC_CONF is set for nothing: $out" "$status$out" = 1
TIERMALLOC_CONF='' cli run --hot 1m printenv TIERMALLOC_CONF
check "an empty TIERMALLOC_CONF: $out" "$out" = hot_bytes:1m

# LD_PRELOAD: ours comes first, the rest stays and is loaded.
cc -shared -fPIC -x c -o "$TMPDIR/other.so" - <<<'int other_is_here;' || exit 77
for old in "$TMPDIR/other.so" "$TMPDIR/other.so:libm.so.6" "libm.so.6 $TMPDIR/other.so"; do
	out=$(LD_PRELOAD=$old "$TM_CLI" run printenv LD_PRELOAD)
	check "LD_PRELOAD=$old becomes $out" "$out" = "$(realpath "$TM_LIB"):$old"
	out=$(LD_PRELOAD=$old "$TM_CLI" run grep -c /other.so /proc/self/maps)
	check "LD_PRELOAD=$old is not loaded" "${out:-0}" -ge 1
done
LD_PRELOAD='' cli run printenv LD_PRELOAD
check "an empty LD_PRELOAD becomes $out" "$out" = "$(realpath "$TM_LIB")"

# PATH is searched as a shell does.
mkdir "$TMPDIR/first" "$TMPDIR/second"
printf '#!/bin/sh\necho second\n' >"$TMPDIR/second/tm-tool"
printf 'not executable' >"$TMPDIR/first/tm-tool"
chmod +x "$TMPDIR/second/tm-tool"
out=$(PATH=$TMPDIR/first:$TMPDIR/second:$PATH "$TM_CLI" run tm-tool)
check "PATH: $out" "$out" = second
out=$(cd "$TMPDIR/second" && PATH=:$PATH "$TM_CLI" run tm-tool)
check "an empty part of PATH: $out" "$out" = second
# What has no #! line is given to the shell.
printf 'echo plain "$@"\n' >"$TMPDIR/second/plain"
chmod +x "$TMPDIR/second/plain"
cli run "$TMPDIR/second/plain" x
check "a script without a first line: $out" "$out" = "plain x"
exit $failed
