#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Where `tiermalloc run` finds the library: beside the command, in the layouts of an installation, where it is told.
# Paths with spaces in them work, in the names of programs and in that of the library.
# shellcheck disable=SC2016 # what is in single quotes is for another shell
set -u
. tests/cli/lib.sh
lib=$(realpath "$TM_LIB")
cli=$TM_CLI
name=libtiermalloc.so.0

# loads WHAT LIBRARY ARGS...: the program run by $TM_CLI has that file mapped.
loads() {
	local what=$1 want=$2
	shift 2
	cli run "$@" cat /proc/self/maps
	grep -qF "$want" <<<"$out" || fail "$what: $want is not loaded: $status $err"
}

loads "build tree" "$lib"
loads "--library" "$lib" --library "$lib"
out=$(cd "$(dirname "$lib")" && "$TM_CLI" run --library "./$name" cat /proc/self/maps)
grep -qF "$lib" <<<"$out" || fail "--library with a relative path"

# An installation, moved to where it was not meant to be.
for layout in lib lib64 lib/x86_64-linux-gnu; do
	for root in plain "with two  spaces" "tab	and-more"; do
		top=$TMPDIR/$root/${layout//\//-}
		mkdir -p "$top/bin" "$top/$layout"
		cp "$cli" "$top/bin/tiermalloc"
		cp "$lib" "$top/$layout/$name"
		TM_CLI=$top/bin/tiermalloc
		loads "$root, $layout" "$layout/$name"
	done
done
mkdir -p "$TMPDIR/links"
ln -s "$TMPDIR/plain/lib/bin/tiermalloc" "$TMPDIR/links/tm"
TM_CLI=$TMPDIR/links/tm
loads "a link to the command" "$TMPDIR/plain/lib/lib/$name"

# A program with spaces in its path.
TM_CLI=$cli
mkdir -p "$TMPDIR/a b"
printf '#!/bin/sh\necho "$0" "$1"\n' >"$TMPDIR/a b/c d"
chmod +x "$TMPDIR/a b/c d"
cli run "$TMPDIR/a b/c d" "e f"
check "a path with spaces: $status $out $err" "$out" = "$TMPDIR/a b/c d e f"

# What was in LD_LIBRARY_PATH stays when it has to be used.
TM_CLI="$TMPDIR/with two  spaces/lib/bin/tiermalloc"
out=$(LD_LIBRARY_PATH=/before LD_PRELOAD=libm.so.6 "$TM_CLI" run sh -c 'echo "$LD_LIBRARY_PATH|$LD_PRELOAD"')
check "with spaces: $out" "$out" = "$TMPDIR/with two  spaces/lib/lib:/before|$name:libm.so.6"
mkdir -p "$TMPDIR/x:y"
cp "$lib" "$TMPDIR/x:y/$name"
TM_CLI=$cli
refused 2 "':' in it" run --library "$TMPDIR/x:y/$name" true

# No library at all, unless one is installed.
mkdir -p "$TMPDIR/alone/bin"
cp "$cli" "$TMPDIR/alone/bin/tiermalloc"
TM_CLI=$TMPDIR/alone/bin/tiermalloc
cli run true
[ "$status" = 0 ] || refused 2 "--library PATH" run true

# The installation that `make install` makes.
if [ -f README.md ] && [ -f LICENSE ] && compgen -G 'man/*.1' >/dev/null && [ "$(basename "$TM_BUILD")" = build ]; then
	unset MAKEFLAGS MAKEOVERRIDES MAKELEVEL # of the make that runs the tests
	# For the place it was built for: for another one the command is linked anew, under the feet of other tests.
	read -r prefix libdir _ <"$TM_BUILD/prefix"
	if make -s install DESTDIR="$TMPDIR/stage" PREFIX="$prefix" LIBDIR="$libdir" >"$TMPDIR/log" 2>&1; then
		TM_CLI=$TMPDIR/stage$prefix/bin/tiermalloc
		loads "make install" "$TMPDIR/stage$libdir/$name"
	else
		fail "make install: $(tail -n 1 "$TMPDIR/log")"
	fi
fi
exit $failed
