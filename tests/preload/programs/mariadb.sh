#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# MariaDB: InnoDB and Aria, threads of connections, over a unix socket.
# needs: mariadbd mariadb

mkdir data tmp
# No system tables: nothing here needs them.
mariadbd --no-defaults --user="$(id -un)" --datadir="$PWD/data" --tmpdir="$PWD/tmp" --socket="$PWD/sock" \
	--pid-file="$PWD/pid" --innodb-buffer-pool-size=64M --innodb-flush-method=fsync --innodb-use-native-aio=0 \
	--innodb-flush-log-at-trx-commit=0 --skip-networking --skip-grant-tables --log-error="$PWD/log.err" &
server=$!
stop_at_exit "$server"
q() { mariadb --no-defaults --socket="$PWD/sock" -N -B "$@"; }
until_ok q -e 'select 1'
loaded "$server"
cat >case.sql <<'SQL'
create database c;
use c;
create table t(i int primary key, a char(32), b int, key(a), key(b)) engine=innodb;
insert into t select seq, md5(seq), seq % 1000 from seq_1_to_50000;
create table u(key(a), key(b)) engine=aria as select * from t;
select b, count(*), min(a) from t where b < 4 group by b order by b;
select count(*) from t join u using (a) where t.b = u.b;
select sha2(group_concat(a order by a), 256) from t where b < 10;
select i, rank() over (order by a) r from t order by r limit 3;
select count(*) from t where a rlike '(ab|cd)[0-9]{2}e';
select json_arrayagg(json_object('i', i, 'a', a)) from t where i < 4;
update t set a = reverse(a) where b % 5 = 0;
delete from t where b % 3 = 0;
select count(*), sum(crc32(a)) from t;
check table t, u;
optimize table u;
select no_such_column from t;
SQL
q --force <case.sql 2>&1
for c in 1 2 3 4; do
	q -e "select sum(crc32(concat(a, $c))) from c.t; select count(*) from c.u x join c.u y on x.b = y.b where x.b < 20" >"client$c" &
	clients[c]=$!
done
for c in 1 2 3 4; do wait "${clients[$c]}"; done
cat client?
kill "$server"
wait "$server" || echo "status $?"
grep -c -E 'got signal|InnoDB: Assertion' log.err || :
