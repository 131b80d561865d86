#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The documents name every option of the table with its default and what it accepts, and every exported function of
# tiermalloc's own.
set -u

wrong=0
say() {
	echo "docs.sh: $*"
	wrong=1
}
command -v jq >/dev/null || {
	echo "jq is not installed"
	exit 77
}
top=$(cd "$(dirname "$0")/../.." && pwd)
page=$(tr -s ' \n' '  ' <"$top/man/tiermalloc.7" | sed 's/\\-/-/g; s/\\(ti/~/g')
readme=$(cat "$top/README.md")

count=0
while IFS=$'\t' read -r name initial accepted; do
	count=$((count + 1))
	for text in "$name" "$initial" "$accepted"; do
		case $page in
		*"$text"*) ;;
		*) say "tiermalloc.7 does not have '$text' of option $name" ;;
		esac
	done
	case $readme in
	*"| \`$name\` | \`$initial\` | ${accepted//|/, } |"*) ;;
	*) say "README.md has no row for option $name with default $initial and accepted values $accepted" ;;
	esac
done < <("$TM_CLI" doctor --json 2>/dev/null | jq -r '.options[] | [.name, .default, .accepted] | @tsv')
[ "$count" -gt 5 ] || say "doctor lists $count options"

while read -r function; do
	grep -q "$function" "$top/man/tiermalloc.3" || say "tiermalloc.3 does not mention $function"
done < <(grep -oE '^tm_[a-z_]+' "$top/tests/abi/symbols.txt" | grep -v tm_process)
exit $wrong
