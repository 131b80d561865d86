#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# `tiermalloc stats` on what it cannot show: one line that says why, status 1, whatever the process does meanwhile.
# timeout: 180
# shellcheck disable=SC2016 # what is in single quotes is for another shell
set -u
. tests/cli/lib.sh

refused 1 "no such process" stats 4194304
refused 1 "is not running tiermalloc" stats $$
if [ -e /proc/2/comm ] && [ "$(id -u)" = 0 ] && [ ! -s /proc/2/maps ]; then
	refused 1 "part of the kernel" stats 2
fi
sh -c 'exec 3>"$1"; sleep 0 & exec sleep 30' sh "$TMPDIR/x" &
parent=$!
for _ in $(seq 50); do
	zombie=$(ps -o pid=,stat= --ppid $parent | awk '$2 ~ /^Z/ { print $1 }')
	[ -z "$zombie" ] || break
	sleep 0.1
done
if [ -n "$zombie" ]; then
	refused 1 "$zombie" stats "$zombie"
fi
kill $parent
wait $parent 2>/dev/null

# A tm_process of another version, not started, and not of tiermalloc at all.
fake() {
	cc -x c -Iinclude -rdynamic -o "$TMPDIR/fake" - <<EOT || exit 1
#include <stdio.h>
#include "tiermalloc.h"
struct tm_process tm_process = { $1 };
int main(void) { puts("ready"); fflush(stdout); return getchar(); }
EOT
	heap_start "$TMPDIR/fake"
	refused 1 "$2" stats "$heap"
	heap_end
}
fake "TM_PROCESS_MAGIC, TM_PROCESS_VERSION + 1, sizeof(struct tm_process) + 8" "newer than this command"
fake "0, TM_PROCESS_VERSION, sizeof(struct tm_process)" "no heap in tiers"
fake "0, 0, 0" "not tiermalloc's"
fake "TM_PROCESS_MAGIC, TM_PROCESS_VERSION, sizeof(struct tm_process)" "makes no sense"
fake "TM_PROCESS_MAGIC, TM_PROCESS_VERSION, sizeof(struct tm_process), .table = 4096, .stride = 128, .zone = { { 1UL << 40, 1UL << 46, 1UL << 46 }, { 3UL << 45, 1UL << 30, 0 } }" \
	"changed while it was being read"
TM_PRELOAD=$(realpath "$TM_LIB")
heap_start bash -c 'ulimit -v 60000; LD_PRELOAD=$0 exec sh -c "echo ready; read x"' "$TM_PRELOAD"
refused 1 "no heap in tiers" stats "$heap"
heap_end

if can_be_nobody; then
	cc -O1 -Iinclude tests/cli/heap.c -o "$TMPDIR/heap" || exit 1
	open_directory
	cp "$TM_CLI" "$dir/tiermalloc"
	heap_start env LD_PRELOAD="$TM_PRELOAD" "$TMPDIR/heap" 1 0
	as_nobody "$dir/tiermalloc" stats "$heap" >"$TMPDIR/out" 2>&1
	check "as nobody: status" $? = 1
	grep -q "belongs to root; run: sudo tiermalloc stats $heap" "$TMPDIR/out" || fail "as nobody: $(cat "$TMPDIR/out")"
	heap_end
fi

# Processes that end, or start another program, while they are read: an answer or a line, never a crash.
for ((i = 0; i < 200; i++)); do
	LD_PRELOAD=$TM_PRELOAD sh -c 'exec true' &
	pid=$!
	for ((k = 0; k < 3; k++)); do
		"$TM_CLI" stats "$pid" >"$TMPDIR/out" 2>&1
		status=$?
		[ $status -le 1 ] || fail "a process that ends: status $status: $(cat "$TMPDIR/out")"
		[ $status = 0 ] || [ "$(wc -l <"$TMPDIR/out")" = 1 ] || fail "not one line: $(cat "$TMPDIR/out")"
	done
	wait $pid
done
exit $failed
