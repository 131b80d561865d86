#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The sqlite3 shell: indexes, joins, window functions, FTS, JSON, a file database in WAL mode.
# needs: sqlite3

sqlite3 case.db <<'SQL'
pragma journal_mode = wal;
pragma cache_size = -65536;
create table t(id integer primary key, a text, b integer);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000)
	insert into t select i, printf('%08x', i * 2654435761 % 4294967296), i % 1000 from n;
create index t_a on t(a);
create index t_b on t(b, a);
select b, count(*), min(a), max(a) from t where b < 5 group by b;
select count(*) from t x join t y on x.a = y.a and x.b = y.b;
select id, sum(b) over (order by id rows between 100 preceding and current row) s from t order by s desc, id limit 3;
create virtual table f using fts5(body);
insert into f select a || ' ' || b || ' word' || (id % 77) from t limit 20000;
select count(*) from f where f match 'word13';
select json_group_array(a) from (select a from t order by a limit 3);
select length(group_concat(a, ',')) from t;
update t set a = a || a where b % 3 = 0;
delete from t where b % 7 = 0;
vacuum;
pragma integrity_check;
select count(*), sum(length(a)) from t;
SQL
sqlite3 case.db .dump | sha256sum
