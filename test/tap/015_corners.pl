
# Corners of transactions, tables and keys: each case runs on tables of its
# own, is verified unsealed and sealed, and its history is played back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('corners', conf => "log_min_messages = warning\n");
my $db = new_database($node, 'clinic');

# Name, commands, tables to play back.  %t stands for a table that is made
# anew for each case.
my @cases = (
	[ 'changes before and after track() in one transaction', <<'SQL' ],
CREATE TABLE %t (id int PRIMARY KEY, subject text, v int);
INSERT INTO %t VALUES (1, 'a', 1);
BEGIN;
INSERT INTO %t VALUES (2, 'b', 1);
UPDATE %t SET v = 2 WHERE id = 1;
SELECT medsync.track('%t', subject => 'subject');
UPDATE %t SET v = v + 1;
DELETE FROM %t WHERE id = 1;
INSERT INTO %t VALUES (3, 'a', 1);
COMMIT;
UPDATE %t SET v = v + 1;
SQL
	[ 'track() rolled back, then done again in the same session', <<'SQL' ],
CREATE TABLE %t (id int PRIMARY KEY, subject text, v int);
INSERT INTO %t VALUES (1, 'only in this case 1', 1);
BEGIN;
SELECT medsync.track('%t', subject => 'subject');
INSERT INTO %t VALUES (2, 'only in this case 2', 1);
ROLLBACK;
INSERT INTO %t VALUES (3, 'only in this case 3', 1);
SELECT medsync.track('%t', subject => 'subject');
INSERT INTO %t VALUES (4, 'only in this case 2', 1);
UPDATE %t SET v = 2;
SQL
	[ 'track() rolled back to a savepoint, then done again', <<'SQL' ],
CREATE TABLE %t (id int PRIMARY KEY, subject text, v int);
BEGIN;
SAVEPOINT s;
SELECT medsync.track('%t', subject => 'subject');
INSERT INTO %t VALUES (2, 'here for the first time', 1);
ROLLBACK TO s;
INSERT INTO %t VALUES (3, 'here for the first time', 1);
SELECT medsync.track('%t', subject => 'subject', payload => 'full');
INSERT INTO %t VALUES (4, 'here for the first time', 1);
COMMIT;
UPDATE %t SET v = 2;
SQL
	[ 'a subject met in a savepoint that is rolled back, then met again', <<'SQL' ],
CREATE TABLE %t (id int PRIMARY KEY, subject text, v int);
SELECT medsync.track('%t', subject => 'subject');
BEGIN;
SAVEPOINT a;
INSERT INTO %t VALUES (1, 'in and out', 1);
SAVEPOINT b;
INSERT INTO %t VALUES (2, 'in and out', 1);
ROLLBACK TO a;
INSERT INTO %t VALUES (3, 'in and out', 1);
RELEASE a;
INSERT INTO %t VALUES (4, 'in and out', 1);
COMMIT;
INSERT INTO %t VALUES (5, 'in and out', 1);
BEGIN;
SAVEPOINT a;
INSERT INTO %t VALUES (6, 'released', 1);
RELEASE a;
SAVEPOINT a;
UPDATE %t SET v = 2 WHERE id = 6;
ROLLBACK TO a;
COMMIT;
SQL
	[ 'columns added and renamed between changes of one transaction', <<'SQL' ],
CREATE TABLE %t (id int PRIMARY KEY, subject text, v int);
SELECT medsync.track('%t', subject => 'subject');
BEGIN;
INSERT INTO %t VALUES (1, 'a', 1);
ALTER TABLE %t ADD COLUMN added text;
UPDATE %t SET added = 'x';
INSERT INTO %t VALUES (2, 'a', 1, 'y');
ALTER TABLE %t RENAME v TO w;
ALTER TABLE %t RENAME added TO v;
UPDATE %t SET w = 7, v = 'z' WHERE id = 2;
SAVEPOINT s;
ALTER TABLE %t ADD COLUMN gone text;
INSERT INTO %t VALUES (3, 'a', 1, 'y', 'gone');
ROLLBACK TO s;
INSERT INTO %t VALUES (4, 'a', 1, 'y');
ALTER TABLE %t ADD COLUMN gone int;
UPDATE %t SET gone = 9 WHERE id = 4;
COMMIT;
UPDATE %t SET gone = 10;
SQL
	[ 'a renaming rolled back', <<'SQL' ],
CREATE TABLE %t (id int PRIMARY KEY, subject text, v int);
SELECT medsync.track('%t', subject => 'subject');
INSERT INTO %t VALUES (1, 'a', 1);
BEGIN;
ALTER TABLE %t RENAME v TO w;
ALTER TABLE %t RENAME TO %t_other;
UPDATE %t_other SET w = 2;
ROLLBACK;
UPDATE %t SET v = 3;
INSERT INTO %t VALUES (2, 'a', 1);
SQL
	[ 'seal() in a savepoint that is rolled back, then changes', <<'SQL' ],
CREATE TABLE %t (id int PRIMARY KEY, subject text, v int);
SELECT medsync.track('%t', subject => 'subject');
INSERT INTO %t VALUES (1, 'a', 1);
BEGIN;
SAVEPOINT s;
SELECT medsync.seal();
ROLLBACK TO s;
INSERT INTO %t VALUES (2, 'a', 1);
UPDATE %t SET v = 2;
COMMIT;
SELECT medsync.seal();
UPDATE %t SET v = 3;
SQL
	[ 'COMMIT AND CHAIN, ROLLBACK AND CHAIN, commits in a procedure', <<'SQL' ],
CREATE TABLE %t (id int PRIMARY KEY, subject text, v int);
SELECT medsync.track('%t', subject => 'subject');
BEGIN;
INSERT INTO %t VALUES (1, 'a', 1);
COMMIT AND CHAIN;
INSERT INTO %t VALUES (2, 'a', 1);
ROLLBACK AND CHAIN;
INSERT INTO %t VALUES (3, 'a', 1);
COMMIT;
CREATE PROCEDURE %t_work() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 10 .. 20 LOOP
		INSERT INTO %t VALUES (i, 's' || i % 3, 1);
		UPDATE %t SET v = v + 1 WHERE id = 1;
		IF i % 3 = 0 THEN ROLLBACK; ELSE COMMIT; END IF;
	END LOOP;
END $$;
CALL %t_work();
SQL
	[ 'a held cursor that changes rows at commit', <<'SQL' ],
CREATE TABLE %t (id int PRIMARY KEY, subject text, v int);
SELECT medsync.track('%t', subject => 'subject');
CREATE SEQUENCE %t_ids;
CREATE FUNCTION %t_add(i int) RETURNS int LANGUAGE sql AS 'INSERT INTO %t VALUES (nextval(''%t_ids''), ''held'' || i, 1) RETURNING id';
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT %t_add(g) FROM generate_series(1, 5) g;
FETCH 2 FROM c;
INSERT INTO %t VALUES (1000, 'beside', 1);
COMMIT;
FETCH ALL FROM c;
SQL
	[ 'rows changed several times in one statement by functions and rules', <<'SQL' ],
CREATE TABLE %t (id int PRIMARY KEY, subject text, v int);
SELECT medsync.track('%t', subject => 'subject');
INSERT INTO %t SELECT i, 'a', 1 FROM generate_series(1, 5) i;
CREATE FUNCTION %t_bump(i int) RETURNS int LANGUAGE plpgsql AS $$ DECLARE r int; BEGIN UPDATE %t SET v = v + 1 WHERE id = i RETURNING v INTO r; RETURN r; END $$;
SELECT %t_bump(id), %t_bump(id) FROM generate_series(1, 3) id;
WITH a AS (UPDATE %t SET v = v + 10 WHERE id = 4 RETURNING id), b AS (DELETE FROM %t WHERE id = 5 RETURNING id)
INSERT INTO %t SELECT id + 100, 'a', 1 FROM a UNION ALL SELECT id + 200, 'a', %t_bump(1) FROM b;
CREATE VIEW %t_view AS SELECT * FROM %t;
INSERT INTO %t_view VALUES (300, 'a', 1);
CREATE RULE %t_rule AS ON DELETE TO %t_view DO INSTEAD UPDATE %t SET v = -1 WHERE id = old.id;
DELETE FROM %t_view WHERE id = 300;
SQL
	[ 'triggers that change NEW, that suppress, that change other rows', <<'SQL' ],
CREATE TABLE %t (id int PRIMARY KEY, subject text, v int, g int GENERATED ALWAYS AS (v * 2) STORED);
SELECT medsync.track('%t', subject => 'subject');
CREATE FUNCTION %t_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF new.v = 13 THEN RETURN NULL; END IF;
	new.subject := coalesce(new.subject, 'filled in');
	RETURN new;
END $$;
CREATE TRIGGER b BEFORE INSERT OR UPDATE ON %t FOR EACH ROW EXECUTE FUNCTION %t_before();
CREATE FUNCTION %t_other() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	DELETE FROM %t WHERE id = new.id - 100;
	RETURN NULL;
END $$;
CREATE TRIGGER a AFTER INSERT ON %t FOR EACH ROW EXECUTE FUNCTION %t_other();
INSERT INTO %t VALUES (1, NULL, 1), (2, 'b', 13), (3, 'c', 3), (101, 'd', 4);
UPDATE %t SET v = 13;
UPDATE %t SET v = 14, subject = NULL WHERE id = 3;
SQL
	[ 'subjects: int and text are one person, NULL, empty, long, not ASCII', <<'SQL' ],
CREATE TABLE %t (id int PRIMARY KEY, subject text, v int);
CREATE TABLE %t_i (id int PRIMARY KEY, subject bigint);
SELECT medsync.track('%t', subject => 'subject'), medsync.track('%t_i', subject => 'subject');
INSERT INTO %t VALUES (1, '7', 1), (2, NULL, 1), (3, '', 1), (4, repeat('long', 300000), 1), (5, 'Ünïcödé 漢字', 1);
INSERT INTO %t_i VALUES (1, 7), (2, NULL);
UPDATE %t SET subject = NULL WHERE id = 1;
UPDATE %t SET subject = '7' WHERE id = 2;
UPDATE %t SET subject = repeat('long', 300001) WHERE id = 4;
UPDATE %t_i SET subject = 8 WHERE id = 1;
SQL
	[ 'keys: several columns, NULL-like values, numbers with scale, text with quotes', <<'SQL' ],
CREATE TABLE %t (a numeric, "B c" text, d timestamptz, e bytea, v int, PRIMARY KEY ("B c", a, d, e));
SELECT medsync.track('%t');
INSERT INTO %t SELECT n, t, d, e, 1
FROM unnest('{1.0,NaN,-0.00}'::numeric[]) n, unnest(ARRAY['', 'it''s "quoted"', 'ä\b{}']) t,
	unnest('{infinity,2026-01-01 00:00+01}'::timestamptz[]) d, unnest('{"\\x","\\x00ff"}'::bytea[]) e;
UPDATE %t SET v = 2;
UPDATE %t SET a = 1.00 WHERE a = 1;
UPDATE %t SET e = '\x01' WHERE e = '';
SQL
	[ 'every INSERT there is', <<'SQL' ],
CREATE TABLE %t (id int PRIMARY KEY, subject text, v int DEFAULT 5);
SELECT medsync.track('%t', subject => 'subject');
INSERT INTO %t VALUES (1, 'a', 1) ON CONFLICT DO NOTHING;
INSERT INTO %t VALUES (1, 'a', 2) ON CONFLICT DO NOTHING;
INSERT INTO %t VALUES (1, 'a', 3), (2, 'b', 1) ON CONFLICT (id) DO UPDATE SET v = excluded.v WHERE %t.v < 3;
INSERT INTO %t VALUES (1, 'a', 4) ON CONFLICT (id) DO UPDATE SET v = excluded.v WHERE %t.v < 3;
COPY %t FROM stdin;
3	a	1
4	\N	\N
\.
MERGE INTO %t USING (VALUES (1), (2), (9)) s(i) ON id = i
	WHEN MATCHED AND i = 1 THEN DELETE
	WHEN MATCHED THEN UPDATE SET subject = 'merged'
	WHEN NOT MATCHED THEN INSERT VALUES (i, 'new');
SQL
	[ 'tracked, untracked, changed, tracked again', <<'SQL' ],
CREATE TABLE %t (id int PRIMARY KEY, subject text, v int);
SELECT medsync.track('%t', subject => 'subject');
INSERT INTO %t VALUES (1, 'a', 1), (2, 'b', 1);
SELECT medsync.untrack('%t');
UPDATE %t SET v = 2;
DELETE FROM %t WHERE id = 2;
SELECT medsync.track('%t', subject => 'subject');
UPDATE %t SET v = 3;
BEGIN;
UPDATE %t SET v = 4;
SELECT medsync.untrack('%t');
ROLLBACK;
UPDATE %t SET v = 5;
SQL
);

my $n = 0;
foreach my $case (@cases)
{
	my ($name, $sql) = @$case;
	my $table = 't' . ++$n;

	$sql =~ s/%t/$table/g;
	works($node, $db, "SET client_min_messages = error;\n$sql", "$name:");
	is_clean($node, $db, "$name: clean unsealed");
	is_replayable($node, $db, $table, $name) unless $name =~ /tracked again/;
	seal_all($node, $db, "$name: sealed");
	is_clean($node, $db, "$name: clean");
	is_replayable($node, $db, $table, "$name, sealed") unless $name =~ /tracked again/;
	is(query($node, $db, "SELECT count(*) FROM medsync.history('$table') WHERE operation NOT IN ('delete', 'update_out') AND new_row IS NULL"),
		'0', "$name: every image opens");
}

# An excluded column may change without an entry's new row showing it
$node->safe_psql($db, <<'SQL');
CREATE TABLE seen (id int PRIMARY KEY, subject text, last_seen timestamptz, v int);
SELECT medsync.track('seen', subject => 'subject', exclude => '{last_seen}');
INSERT INTO seen VALUES (1, 'a', now(), 1);
UPDATE seen SET last_seen = now();
UPDATE seen SET v = 2, last_seen = NULL;
SQL
is_clean($node, $db, 'excluded column: clean');
is(query($node, $db, "SELECT count(*) FROM medsync.history('seen') WHERE new_row ? 'last_seen' OR 'last_seen' = ANY (changed_columns)"),
	'0', 'excluded column: not in the history');

# Sealing that is cancelled half-way, again and again
$node->safe_psql($db, "CREATE TABLE much (id int PRIMARY KEY, v int); SELECT medsync.track('much');");
foreach my $i (1 .. 12)
{
	$node->psql($db, "INSERT INTO much SELECT i, 1 FROM generate_series($i * 10000, $i * 10000 + 2000) i; SET statement_timeout = $i; SELECT medsync.seal();",
		stderr => \my $ignored);
}
seal_all($node, $db, 'after cancelled sealing all is sealed');
is_clean($node, $db, 'after cancelled sealing: clean');
is(query($node, $db, "SELECT count(DISTINCT entry_index), count(DISTINCT row_key) FROM medsync.history('much') WHERE operation = 'insert'"),
	(12 * 2001) . '|' . (12 * 2001), 'each entry once');

# A verification that is cancelled leaves the session usable
my ($state) = sql_error($node, $db, 'SET statement_timeout = 3; SELECT count(*) FROM medsync.verify();');
is($state, '57014', 'verify can be cancelled');

is_quiet($node);
$node->stop;
done_testing();
