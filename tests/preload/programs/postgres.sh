#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# PostgreSQL: initdb, a server with its processes and shared memory, parallel queries, as an unprivileged user.

bin=$(find /usr/lib/postgresql/*/bin -name initdb -printf '%h\n' 2>/dev/null | sort -V | tail -n 1)
if [ -z "$bin" ]; then
	echo "PostgreSQL is not installed"
	exit 77
fi
as=()
if [ "$(id -u)" -eq 0 ]; then
	chown nobody . home
	as=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
fi
"${as[@]}" "$bin/initdb" -D data -U me -A trust -E UTF8 --locale=C -N >init.log
cat >>data/postgresql.conf <<CONF
listen_addresses = ''
unix_socket_directories = '$PWD'
fsync = off
shared_buffers = 32MB
max_parallel_workers_per_gather = 2
min_parallel_table_scan_size = 0
parallel_setup_cost = 0
log_min_messages = fatal
CONF
"${as[@]}" "$bin/postgres" -D data 2>server.log &
server=$!
stop_at_exit "$server"
q() { "$bin/psql" -X -q -A -t -h "$PWD" -U me -d "${db:-postgres}" "$@"; }
# Asking a server that is still starting would leave a line in its log.
until_ok grep -q '^ready' data/postmaster.pid
q -c 'select 1'
loaded "$server"
cat >case.sql <<'SQL'
create table t as select i, md5(i::text) a, i % 1000 b from generate_series(1, 200000) i;
create index on t(a);
create index on t using gin (to_tsvector('simple', a));
analyze t;
select b, count(*), min(a) from t where b < 4 group by b order by b;
select count(*), sum(length(x.a)) from t x join t y using (a);
select i, a from (select *, rank() over (partition by b order by a desc) r from t) s where r = 1 and b % 250 = 0 order by i;
select count(*) from t where a ~ '(ab|cd)[0-9]{2}e';
select md5(string_agg(a, ',' order by a)) from t;
select jsonb_agg(to_jsonb(t) order by i) from t where i < 4;
with recursive f(n, a, b) as (select 1, 0::numeric, 1::numeric union all select n + 1, b, a + b from f where n < 500)
	select max(b) from f;
do $$ declare s text := ''; begin for k in 1..5000 loop s := s || k; begin perform 1 / (k % 500); exception when division_by_zero then
	s := s || 'x'; end; end loop; raise info '% %', length(s), md5(s); end $$;
create function fact(n int) returns numeric language sql as 'select case when n < 2 then 1 else n * fact(n - 1) end';
select fact(30);
update t set a = upper(a) where b % 5 = 0;
delete from t where b % 3 = 0;
vacuum full t;
select count(*), md5(string_agg(a, '' order by i)) from t;
copy (select * from t order by i limit 3) to stdout;
select no_such_column from t;
SQL
q -f case.sql 2>&1
for c in 1 2 3 4; do
	q -c "select sum(hashtext(a || $c)::bigint) from t" >"client$c" &
	clients[c]=$!
done
for c in 1 2 3 4; do wait "${clients[$c]}"; done
cat client?
"$bin/pg_dump" -h "$PWD" -U me postgres | grep -v -E '^(--|SET|SELECT|\\(un)?restrict)' | sha256sum
# SIGTERM waits for sessions that are still closing; SIGINT would log that it ended them.
kill -TERM "$server"
wait "$server" || echo "status $?"
cat server.log
