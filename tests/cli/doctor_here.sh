#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# `tiermalloc doctor` on this machine: its status agrees with its marks, its JSON is JSON and has every option of the
# table, what is missing comes with what follows, and its text is plain when it does not go to a terminal.
# timeout: 180
# shellcheck disable=SC2016 # what is in single quotes is for another shell
set -u
. tests/cli/lib.sh
command -v jq >/dev/null || {
	echo "needs jq"
	exit 77
}

cli doctor
text=$out
check "status $status" "$status" -le 1
check "says on standard error: $err" -z "$err"
grep -q $'\033' "$TMPDIR/out" && fail "colours without a terminal"
awk 'length > 130 && !/^ *[$] /' "$TMPDIR/out" | grep -q . && fail "a long line: $(awk 'length > 130' "$TMPDIR/out" | head -n 1)"
before=$status
cli doctor --json
check "--json: status $status, without it $before" "$status" = "$before"
jq -e . "$TMPDIR/out" >/dev/null || fail "--json is not JSON"
json() {
	jq -r "$1" "$TMPDIR/out"
}
check "schema $(json .schema)" "$(json .schema)" = 1
check "status in JSON" "$(json .status)" = "$status"
worst=$(json '[.checks[] | select(.counts and .mark != "ok")] | if length > 0 then 1 else 0 end')
check "status $status, but the marks say $worst" "$status" = "$worst"
check "a check that says nothing" "$(json '[.checks[] | select(.what == "" or .name == "")] | length')" = 0
check "something is missing and nothing follows: $(json '.checks[] | select(.mark != "ok" and .follows == null and .counts) | .name')" \
	"$(json '[.checks[] | select(.mark != "ok" and .follows == null and .counts)] | length')" = 0
for id in options library version pagemap_scan keeper yama thp_enabled thp_defrag khugepaged thp_disable thp_fault \
	madv_collapse overcommit max_map_count rlimit_as rlimit_memlock cgroup_memory nodes memory_tiers tlb caches \
	costs break_even userfaultfd uffdio_move sensor access_tracking pmu access_samples; do
	check "no check $id" "$(json "[.checks[] | select(.id == \"$id\")] | length")" -ge 1
done
while read -r name; do
	[[ $text == *"$name: "* ]] || fail "not in the text: $name"
done < <(json '.checks[].name')

# Costs: one line for each of the table, and the break-evens are those of the formulas.
costs=$(sed -n 's/^COST(\([a-z_]*\),.*/\1/p' src/tiers/cost.def)
check "costs: $(json '[.checks[] | select(.id == "costs") | .name] | join(" ")')" \
	"$(json '.checks[] | select(.id == "costs") | .name')" = "$costs"
check "a cost below zero" "$(json '[.checks[] | select(.id == "costs") | .facts.nanoseconds | select(. < 0)] | length')" = 0
check "a copy is not measured" "$(json '.checks[] | select(.name == "copy_page") | .facts.measured')" = 1
check "lazy share" "$(json '([.checks[] | select(.id == "costs") | {(.name): .facts.nanoseconds}] | add) as $c
	| (.checks[] | select(.name == "lazy or at once") | .facts.share) as $share
	| ($c.copy_page / ($c.copy_page + $c.fault_lazy) - $share) | fabs < 1e-6')" = true
check "break-evens: $(json '[.checks[] | select(.id == "break_even")] | length')" \
	"$(json '[.checks[] | select(.id == "break_even")] | length')" = 4
check "costs change the exit status" "$(json '[.checks[] | select(.id == "costs" and .counts)] | length')" = 0

check "library" "$(json '.checks[] | select(.id == "library") | .mark')" = ok
[[ $(json '.checks[] | select(.id == "library") | .what') == *"$(realpath "$TM_LIB")"* ]] || fail "another library was found"

# Every option of the table, with what the table says about it.
options=$(sed -n 's/^OPTION(\([a-z_]*\),.*/\1/p' src/alloc/options.def)
check "options: $(json '[.options[].name] | join(" ")')" "$(json '.options[].name')" = "$options"
for name in $options; do
	grep -qE "^ $name  " <<<"$text" || fail "option $name is not in the text"
	check "$name has no meaning" "$(json ".options[] | select(.name == \"$name\") | .meaning | length")" -gt 10
	check "$name is not at its default" "$(json ".options[] | select(.name == \"$name\") | .value == .default and .from == \"default\"")" = true
done
check "hot_bytes is not worked out" "$(json '.options[] | select(.name == "hot_bytes") | .number')" -gt 0
[[ $(json '.options[] | select(.name == "hot_bytes") | .reason') == *"auto is "* ]] || fail "hot_bytes has no reason"

# Options: the last source wins, and says so.
TIERMALLOC_CONF=hot_bytes:1g,thp:never cli doctor --json --conf hot_bytes:64m,cold_waste:10
of() {
	json ".options[] | select(.name == \"$1\") | \"\(.value) \(.number) \(.from)\""
}
check "hot_bytes: $(of hot_bytes)" "$(of hot_bytes)" = "64m $((64 << 20)) --conf"
check "thp: $(of thp)" "$(of thp)" = "never 1 TIERMALLOC_CONF"
check "cold_waste: $(of cold_waste)" "$(of cold_waste)" = "10% 10 --conf"
check "log: $(of log)" "$(of log)" = "error 1 default"
TIERMALLOC_CONF=nope:1,hot_bytes:2m cli doctor --json
check "a wrong TIERMALLOC_CONF: status $status" "$status" = 1
check "a wrong TIERMALLOC_CONF: $(of hot_bytes)" "$(of hot_bytes)" = "2m $((2 << 20)) TIERMALLOC_CONF"
check "a wrong TIERMALLOC_CONF is not told" "$(json '.checks[] | select(.id == "options") | .mark')" = note
TIERMALLOC_CONF=nope:1,abort_conf:true cli doctor
check "a wrong TIERMALLOC_CONF and abort_conf: status $status" "$status" = 2
refused 2 "nope: no such option" doctor --conf nope:1

# A terminal gets colours unless it does not want them.
if command -v script >/dev/null; then
	export TM_CLI
	terminal() {
		env "$@" script -qec '"$TM_CLI" doctor' /dev/null </dev/null | grep -c $'\033\\['
	}
	check "no colours on a terminal" "$(terminal TERM=xterm)" -gt 5
	check "colours with NO_COLOR" "$(terminal TERM=xterm NO_COLOR=1)" = 0
	check "colours on a dumb terminal" "$(terminal TERM=dumb)" = 0
fi
exit $failed
