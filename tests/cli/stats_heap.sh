#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# `tiermalloc stats` on running programs whose heap is known: what it counts is what was allocated, and agrees with the
# kernel's smaps. The library is found preloaded, linked, linked statically, and deleted.
# timeout: 180
set -u
. tests/cli/lib.sh
# It would change page sizes between the two looks that are compared.
export TIERMALLOC_CONF=keeper:false
for tool in jq cc; do
	command -v $tool >/dev/null || {
		echo "needs $tool"
		exit 77
	}
done
MiB=$((1 << 20))
region=$((2 * MiB))
cc -O1 -fno-builtin -Iinclude tests/cli/heap.c -o "$TMPDIR/heap" || exit 1
cc -O1 -fno-builtin -Iinclude tests/cli/heap.c -o "$TMPDIR/linked" -L"$TM_BUILD" -ltiermalloc \
	-Wl,-rpath,"$TM_BUILD" || exit 1
cc -O1 -fno-builtin -Iinclude tests/cli/heap.c -o "$TMPDIR/archive" "$TM_BUILD/libtiermalloc.a" -lm -ldl -lpthread || exit 1
cc -O1 -no-pie -fno-builtin -Iinclude tests/cli/heap.c -o "$TMPDIR/fixed" "$TM_BUILD/libtiermalloc.a" -lm -ldl -lpthread || exit 1

json() {
	jq -r "$1" "$TMPDIR/out"
}
# near WHAT A B SLACK
near() {
	local difference=$(($2 - $3))
	check "$1: $2 and $3" "${difference#-}" -le "$4"
}
# smaps FIELD FROM BYTES: the sum of a field over the mappings of $heap in a range.
smaps() {
	awk -v field="$1:" -v from="$(printf '%d' "$2")" -v bytes="$3" '
		function hex(s,   i, n) {
			for (i = 1; i <= length(s); i++) n = n * 16 + index("0123456789abcdef", substr(s, i, 1)) - 1
			return n
		}
		/^[0-9a-f]+-[0-9a-f]+ / { split($1, a, "-"); at = hex(a[1]); inside = at >= from && at < from + bytes }
		inside && $1 == field { sum += $2 }
		END { printf "%d\n", sum * 1024 }' "/proc/$heap/smaps"
}

# looks WHAT HOT COLD: stats of $heap agrees with smaps, and with the MiB that were allocated in each class.
looks() {
	local what=$1 hot=$2 cold=$3
	cli stats --json "$heap"
	check "$what: status $status: $err" "$status" = 0
	jq -e . "$TMPDIR/out" >/dev/null || {
		fail "$what: no JSON"
		return
	}
	local base bytes resident huge
	base=$(json .class.hot.base)
	bytes=$(json '.class.hot.reserved + .class.cold.reserved')
	resident=$(json '.tier.hot.resident + .tier.cold.resident')
	huge=$(json '.tier.hot.huge + .tier.cold.huge')
	near "$what: resident, smaps" "$resident" "$(smaps Rss "$base" "$bytes")" $((4 * region))
	near "$what: huge, smaps" "$huge" "$(smaps AnonHugePages "$base" "$bytes")" $((4 * region))
	near "$what: rss" "$(json .rss)" "$(($(awk '/VmRSS/ { print $2 }' "/proc/$heap/status") * 1024))" $((4 * MiB))
	check "$what: more in tiers than in memory" "$resident" -le $(($(json .rss) + 4 * MiB))
	near "$what: hot class" "$(json .class.hot.committed)" $((hot * MiB)) $((8 * MiB))
	near "$what: cold class" "$(json .class.cold.committed)" $((cold * MiB)) $((8 * MiB))
	check "$what: tiers and classes differ" \
		"$(json '.tier.hot.committed + .tier.cold.committed')" = "$(json '.class.hot.committed + .class.cold.committed')"
	check "$what: regions" "$(json '.tier.cold.regions')" = "$(json '.regions.cold + .regions.sparse')"
	check "$what: too few regions" "$(json '(.tier.hot.regions + .tier.cold.regions) * 2097152')" -ge \
		"$(json '.tier.hot.committed + .tier.cold.committed')"
	check "$what: huge pages in the hot tier" "$(json .tier.hot.huge)" -le $((2 * region))
	check "$what: pid" "$(json '"\(.schema) \(.pid)"')" = "1 $heap"
}

heap_start "$TM_CLI" run --hot 32m "$TMPDIR/heap" 64 64
looks "preloaded" 64 64
check "hot_limit" "$(json .hot_limit)" = $((32 * MiB))
near "hot tier" "$(json .tier.hot.committed)" $((32 * MiB)) $((4 * MiB))
near "cold tier" "$(json .tier.cold.committed)" $((96 * MiB)) $((16 * MiB))
check "born" "$(json '"\(.tier.hot.born) \(.tier.cold.born)"')" = "$(json '"\(.tier.hot.regions) \(.tier.cold.regions)"')"
# Kernels without PAGEMAP_SCAN, and without process_vm_readv.
if cc -shared -fPIC -O1 tests/cli/shim.c -o "$TMPDIR/shim.so" -ldl; then
	export TM_SHIM
	for TM_SHIM in scan readv scan,readv; do
		LD_PRELOAD=$TMPDIR/shim.so looks "without $TM_SHIM" 64 64
		want=pagemap
		[[ $TM_SHIM != *scan* ]] || want=smaps
		check "without $TM_SHIM: from $(json .pages_from)" "$(json .pages_from)" = $want
	done
	unset TM_SHIM
fi
cli stats "$heap"
for word in "heap, process $heap" tier "on huge pages" "hot " "cold " stale returned; do
	[[ $out == *"$word"* ]] || fail "the text has no '$word'"
done
"$TM_CLI" stats --json --watch 0.2 "$heap" >"$TMPDIR/watch" 2>"$TMPDIR/watch.err" &
watcher=$!
sleep 1
heap_end
wait "$watcher"
check "--watch to the end of the process: status $?: $(cat "$TMPDIR/watch.err")" $? = 0
check "--watch: $(wc -l <"$TMPDIR/watch") lines" "$(wc -l <"$TMPDIR/watch")" -ge 3
jq -e .schema "$TMPDIR/watch" >/dev/null || fail "--watch: not an object to a line"

heap_start "$TM_CLI" run "$TMPDIR/heap" 64 0 free
cli stats --json "$heap"
check "after free: stale $(json .stale)" "$(json .stale)" -ge 0
heap_end
for program in linked archive fixed; do
	heap_start "$TMPDIR/$program" 64 16
	looks $program 64 16
	heap_end
done

# Files that are gone, and one that has another name.
cp "$TM_LIB" "$TMPDIR/libtiermalloc.so.0"
heap_start env LD_PRELOAD="$TMPDIR/libtiermalloc.so.0" "$TMPDIR/heap" 32 0
rm "$TMPDIR/libtiermalloc.so.0"
looks "a deleted library" 32 0
heap_end
heap_start "$TMPDIR/archive" 32 0
rm "$TMPDIR/archive"
looks "a deleted program" 32 0
heap_end
exit $failed
