#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# `tiermalloc doctor` on machines with several memory nodes, made up as files over /sys in a mount namespace: which role
# each node gets and why, and where the kernel's own order of memory disagrees with that.
# shellcheck disable=SC2016 # what is in single quotes is for another shell
set -u
. tests/cli/lib.sh
if ! command -v jq >/dev/null || ! unshare -m true 2>/dev/null; then
	echo "needs jq, and root for a mount namespace"
	exit 77
fi
unset "${!HWLOC_@}"
sys=$TMPDIR/sys
cpus=$(cat /sys/devices/system/cpu/online)

# machine CPU-NODES TIER...: node N is in memory tier TIER (- for none); those in CPU-NODES, a list, share the CPUs.
machine() {
	local with=$1 node=0 tier
	shift
	rm -rf "$sys"
	mkdir -p "$sys/node" "$sys/tiering"
	for tier; do
		mkdir -p "$sys/node/node$node"
		if [[ ",$with," == *",$node,"* ]]; then
			cp /sys/devices/system/node/node0/cpumap /sys/devices/system/node/node0/cpulist "$sys/node/node$node"
		else
			sed 's/[0-9a-f]/0/g' /sys/devices/system/node/node0/cpumap >"$sys/node/node$node/cpumap"
			echo >"$sys/node/node$node/cpulist"
		fi
		printf 'Node %d MemTotal: %d kB\nNode %d MemFree: %d kB\n' $node $(((node + 1) << 20)) \
			$node $(((node + 1) << 19)) >"$sys/node/node$node/meminfo"
		[ "$tier" = - ] || {
			mkdir -p "$sys/tiering/memory_tier$tier"
			echo $node >>"$sys/tiering/memory_tier$tier/nodelist"
		}
		node=$((node + 1))
	done
	for ((n = 0; n < node; n++)); do
		for ((k = 0; k < node; k++)); do
			printf '%d ' $((n == k ? 10 : 20))
		done >"$sys/node/node$n/distance"
	done
	for list in "$sys"/tiering/*/nodelist; do
		[ ! -f "$list" ] || sed -i ':all; N; $!b all; s/\n/,/g' "$list"
	done
	echo "0-$((node - 1))" | sed 's/^0-0$/0/' | tee "$sys/node/has_memory" "$sys/node/has_normal_memory" \
		"$sys/node/online" >"$sys/node/possible"
	echo "$with" >"$sys/node/has_cpu"
	unshare -m sh -c 'mount --bind "$1/node" /sys/devices/system/node || exit 99
		[ ! -d /sys/devices/virtual/memory_tiering ] || mount --bind "$1/tiering" /sys/devices/virtual/memory_tiering
		"$0" doctor --json' "$TM_CLI" "$sys" >"$TMPDIR/out" 2>"$TMPDIR/err"
	status=$?
	if [ $status = 99 ]; then
		echo "cannot mount over /sys: $(cat "$TMPDIR/err")"
		exit 77
	fi
	check "nodes $with, tiers $*: status $status: $(cat "$TMPDIR/err")" $status -le 1
}
node() {
	jq -r ".checks[] | select(.name == \"node $1\") | $2" "$TMPDIR/out"
}
hot_bytes() {
	jq -r '.options[] | select(.name == "hot_bytes") | .number' "$TMPDIR/out"
}

machine 0 4
tlb=$(hot_bytes)
check "one node: role $(node 0 .facts.role)" "$(node 0 .facts.role)" = alike
check "one node: hot_bytes $tlb" "$tlb" -lt $((1 << 28))

machine 0 4 30
check "two nodes: roles $(node 0 .facts.role) $(node 1 .facts.role)" \
	"$(node 0 .facts.role) $(node 1 .facts.role)" = "fast capacity"
# The real kernel has no node 1, so it is not one that this process may use.
check "two nodes: mark of node 0: $(node 0 .follows)" "$(node 0 .mark)" = ok
check "two nodes: hot_bytes $(hot_bytes)" "$(hot_bytes)" = $((1 << 29))
check "two nodes: tiers" "$(node 0 .facts.tier) $(node 1 .facts.tier)" = "4 30"
check "two nodes: CPUs of node 0: $(node 0 .facts.cpus)" "$(node 0 .facts.cpus)" = "$cpus"
check "two nodes: CPUs of node 1: $(node 1 .facts.cpus)" -z "$(node 1 .facts.cpus)"
[[ $(node 1 .follows) == *"no CPUs"* ]] || fail "two nodes: no reason for node 1"
[[ $(jq -r '.checks[] | select(.name == "nodes") | .what' "$TMPDIR/out") == 2\ * ]] ||
	fail "two nodes: $(jq -r '.checks[] | select(.name == "nodes") | .what' "$TMPDIR/out")"

# Fast memory without CPUs, as with on-package memory: the rule is wrong there, and doctor says so.
machine 0 4 2
check "fast memory without CPUs: $(node 1 .mark)" "$(node 1 .mark) $(node 1 .facts.role)" = "note capacity"
[[ $(node 1 .follows) == *"the fastest"* ]] || fail "fast memory without CPUs: $(node 1 .follows)"

# No tiers known, as before Linux 6.1.
machine 0 - -
check "no tiers: $(node 0 .follows)" "$(node 0 .mark)" = ok
check "no tiers: $(node 1 .facts.role)" "$(node 1 .facts.role)" = capacity
exit $failed
