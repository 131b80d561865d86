#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# redis: data types, Lua, forked saves, allocator figures. Debian links it with the system's jemalloc; it calls mallctl.
# needs: redis-server redis-cli

port=$(free_port)
redis-server --port "$port" --bind 127.0.0.1 --dir . --save '' --enable-debug-command yes --daemonize no \
	--io-threads 2 --loglevel warning --logfile log &
server=$!
stop_at_exit "$server"
r() { redis-cli -p "$port" "$@"; }
until_ok r ping
loaded "$server"

r info memory | tr -d '\r' | grep ^mem_allocator:
r set key value
r get key
r eval 'for i = 1, 50000 do redis.call("set", "k:" .. i, string.rep("v", i % 300)) end return redis.call("dbsize")' 0
r eval 'for i = 1, 20000 do redis.call("zadd", "z", i * 7919 % 10007, "m" .. i); redis.call("hset", "h" .. i % 9, i, i) end' 0
r zrange z 100 105 withscores
r hlen h3
r lpush list a b c d
r eval 'local t = {} for i = 1, 100000 do t[i] = tostring(i) end return #table.concat(t)' 0
for i in {1..20000}; do echo "append big:$((i % 50)) 0123456789abcdefghijklmnopqrstuvwxyz"; done | redis-cli -p "$port" --pipe | tail -n 1
r strlen big:7
r debug digest
r bgsave
until_ok sh -c "redis-cli -p $port info persistence | grep -q rdb_bgsave_in_progress:0"
r info persistence | tr -d '\r' | grep -E '^rdb_last_bgsave_status|^rdb_changes'
r debug reload
r debug digest
r bgrewriteaof
until_ok sh -c "redis-cli -p $port info persistence | grep -q aof_rewrite_in_progress:0"
r eval 'for i = 1, 50000, 2 do redis.call("del", "k:" .. i) end return redis.call("dbsize")' 0
r memory purge
# The figures themselves change from run to run; they must be there.
r info memory | tr -d '\r' | grep -E '^(used_memory|allocator_(allocated|active|resident)|mem_fragmentation_ratio):[0-9.]*[1-9]' | cut -d: -f1
r memory malloc-stats | grep -c -E '^(Allocated: [1-9]|Arenas: )' | sed 's/^[12]$/malloc-stats/'
r memory doctor | grep -c . | sed 's/[0-9]*/doctor/'
r memory usage k:2 | sed 's/[0-9][0-9]*/N/'
r flushall async
r dbsize
redis-benchmark -p "$port" -q -n 20000 -c 20 -P 8 -r 1000 -d 500 -t set,get,lpush,zadd 2>&1 | tr '\r' '\n' |
	grep -c 'requests per second'
r shutdown nosave
wait "$server" || echo "server's status $?"
grep -c -E 'BUG REPORT|ASSERT|crashed' log || :
