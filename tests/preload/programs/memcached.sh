#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# memcached with four threads, driven through bash's /dev/tcp.
# needs: memcached

port=$(free_port)
user=()
[ "$(id -u)" -ne 0 ] || user=(-u nobody)
memcached -l 127.0.0.1 -p "$port" -U 0 -t 4 -m 64 "${user[@]}" &
server=$!
stop_at_exit "$server"
until_ok bash -c "exec 3<>/dev/tcp/127.0.0.1/$port"
loaded "$server"

exec 3<>"/dev/tcp/127.0.0.1/$port"
ask() {
	printf '%s\r\n' "$@" >&3
}
value=$(printf 'v%.0s' {1..900})
for i in {1..3000}; do
	ask "set key$i 0 0 900" "$value"
done
ask "set n 0 0 1" 5 "incr n 37" "append key7 0 0 3" end "get key7 key2999 absent" "delete key7" "get key7" \
	"gets n" "touch key8 100" "flush_all" "get key8" quit
tr -d '\r' <&3 | sed 's/^\(VALUE n 0 2\) .*/\1/' | sort | uniq -c
for c in 1 2 3 4 5 6; do
	(
		exec 4<>"/dev/tcp/127.0.0.1/$port"
		for i in {1..300}; do printf 'set c%d.%d 0 0 5\r\nhello\r\nget c%d.%d\r\n' "$c" "$i" "$c" "$i" >&4; done
		printf 'quit\r\n' >&4
		cksum <&4
	) >"client$c" &
	clients[c]=$!
done
for c in 1 2 3 4 5 6; do wait "${clients[$c]}"; done
cat client?
kill "$server"
wait "$server" || echo "status $?"
