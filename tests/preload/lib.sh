# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What the cases in programs/ share: ports, waiting, stopping servers. `run` has bash read this before each case
# (BASH_ENV); programs that a case starts must not read it again.
unset BASH_ENV

# Prints a TCP port of 127.0.0.1 that nobody listens on, below the kernel's range for outgoing connections.
free_port() {
	local port
	while :; do
		port=$((20000 + RANDOM % 12000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			echo "$port"
			return
		fi
	done
}

# Runs a command every 0.1 s until it succeeds; gives up after 30 s.
until_ok() {
	local try
	for ((try = 0; try < 300; try++)); do
		if "$@" >/dev/null 2>&1; then
			return 0
		fi
		sleep 0.1
	done
	echo "gave up waiting for: $*" >&2
	return 1
}

# Fails unless the process has the preloaded library mapped: a server that drops its environment would pass for
# the wrong reason.
loaded() {
	if [ -n "${LD_PRELOAD:-}" ] && ! grep -qF "${LD_PRELOAD##*/}" "/proc/$1/maps"; then
		echo "process $1 runs without the preloaded library" >&2
		return 1
	fi
}

# Stops a background process of this case when the case ends, however it ends.
stop_at_exit() {
	# shellcheck disable=SC2064 # the process of now, not of later
	trap "kill $1 2>/dev/null || :; wait $1 2>/dev/null || :" EXIT
}

# Prints N lines of text that are the same on every machine: a small generator, no dictionary needed.
words() {
	awk -v n="$1" 'BEGIN {
		split("amber birch cedar delta ember fjord grove heron islet junco karst larch maple nadir otter", w, " ")
		x = 12345
		for (i = 0; i < n; i++) {
			x = (x * 1103 + 12347) % 1048583
			printf "%d %s %s %d\n", i, w[x % 15 + 1], w[int(x / 15) % 15 + 1], x
		}
	}'
}

# Prints the first N lines and reads the rest as well, so that the writer is not ended by SIGPIPE.
first() {
	sed -n "1,$1p"
}
