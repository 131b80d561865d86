#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The command line itself: help, version, and wrong arguments, which end with status 2 and say how it goes.
set -u
. tests/cli/lib.sh

cli --version
version=$(awk '/define TM_VERSION_(MAJOR|MINOR|PATCH)/ { v = v s $3; s = "." } END { print v }' include/tiermalloc.h)
check "--version: $status $out" "$status $out" = "0 tiermalloc $version"
cli --help
check "--help: status $status" "$status" = 0
for command in run doctor stats; do
	[[ $out == *"  $command "* ]] || fail "--help does not name $command"
	"$TM_CLI" $command --help >"$TMPDIR/help" || fail "$command --help fails"
	[[ $(head -n 1 "$TMPDIR/help") == "Usage: tiermalloc $command "* ]] || fail "$command --help: $(head -n 1 "$TMPDIR/help")"
	while read -r option; do
		[[ " --help --usage --version --hot --conf --library --json --watch " == *" $option "* ]] ||
			fail "$command --help names $option, which is not tested"
	done < <(grep -o -- '--[a-z]*' "$TMPDIR/help")
done

wrong() {
	cli "$@"
	check "$*: status $status" "$status" = 2
	check "$*: output: $out" -z "$out"
	[[ $err == *tiermalloc* ]] || fail "$*: says nothing: $err"
}
wrong
wrong --nope
wrong nope
wrong run
wrong run --nope true
wrong run --hot
wrong doctor nope
wrong doctor --conf nope:1
wrong stats
wrong stats nope
wrong stats 0
wrong stats -- -1
wrong stats 1 2
wrong stats 1x
wrong stats --watch 0 1
wrong stats --watch x 1
wrong stats --watch nan 1

# A full disk is not success.
if [ -w /dev/full ]; then
	"$TM_CLI" doctor --json >/dev/full 2>"$TMPDIR/err"
	check "doctor >/dev/full: status $?" $? != 0
fi
exit $failed
