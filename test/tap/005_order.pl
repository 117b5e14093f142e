
# The history of a row is the order in which the row really changed, whatever
# the sessions, savepoints, overflowing buffers and triggers that changed it;
# played back it gives the live table, at the end and at any time between.
#
# The witness is in the rows themselves: a version column that every UPDATE
# increments.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $seconds = heavy() ? 30 : 2;

my $node = new_node('order', conf => "max_wal_size = 2GB\n");
my $db = new_database($node, 'clinic');

# Three tables: a user's trigger fires before the capture trigger (by name),
# after it, or deferred to the end of the transaction; each updates the row
# once more.
$node->safe_psql($db, <<'SQL');
CREATE TABLE early (id int PRIMARY KEY, subject int, version int NOT NULL, note text);
CREATE TABLE late (LIKE early INCLUDING ALL);
CREATE TABLE deferred (LIKE early INCLUDING ALL);
CREATE TABLE plain (LIKE early INCLUDING ALL);

CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	-- every third version is followed by another at once
	IF new.version % 3 = 0 THEN
		EXECUTE format('UPDATE %I SET version = version + 1, note = $1 WHERE id = $2', tg_table_name)
			USING 'again ' || pg_trigger_depth(), new.id;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER a_again AFTER INSERT OR UPDATE ON early FOR EACH ROW EXECUTE FUNCTION again();
CREATE TRIGGER z_again AFTER INSERT OR UPDATE ON late FOR EACH ROW EXECUTE FUNCTION again();
CREATE CONSTRAINT TRIGGER z_again AFTER INSERT OR UPDATE ON deferred
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION again();

INSERT INTO early SELECT i, i % 7, 1 FROM generate_series(1, 30) i;
INSERT INTO late SELECT i, i % 7, 1 FROM generate_series(1, 30) i;
INSERT INTO deferred SELECT i, i % 7, 1 FROM generate_series(1, 30) i;
INSERT INTO plain SELECT i, i % 7, 1 FROM generate_series(1, 1500) i;

SELECT medsync.track(t, subject => 'subject') FROM unnest('{early,late,deferred,plain}'::regclass[]) t;

CREATE TABLE moment (n int, at timestamptz, tab text, r jsonb);
CREATE FUNCTION remember(n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	t text;
	now timestamptz := clock_timestamp();
BEGIN
	FOREACH t IN ARRAY '{early,late,deferred,plain}'::text[] LOOP
		EXECUTE format('INSERT INTO moment SELECT $1, $2, $3, to_jsonb(x) FROM %I x', t) USING n, now, t;
	END LOOP;
END $$;
SQL

sub check
{
	my ($when) = @_;

	is_clean($node, $db, "$when: verify");
	foreach my $tab (qw(early late deferred plain))
	{
		is_replayable($node, $db, $tab, "$when: $tab");
		is( query($node, $db, <<SQL), '', "$when: $tab: versions rise one by one");
SELECT * FROM (
	SELECT row_key, operation, (new_row->>'version')::int AS version,
		lag((new_row->>'version')::int) OVER (PARTITION BY row_key ORDER BY ordinality) AS before
	FROM medsync.history('$tab') WITH ORDINALITY
	WHERE new_row IS NOT NULL) h
WHERE operation NOT IN ('baseline', 'insert') AND version IS DISTINCT FROM before + 1
LIMIT 5
SQL
	}
	return;
}

# One session first: every shape of nesting there is

$node->safe_psql($db, <<'SQL');
BEGIN;
UPDATE early SET version = version + 1 WHERE id <= 3;	-- 2
UPDATE early SET version = version + 1 WHERE id <= 3;	-- 3, 4
SAVEPOINT a;
UPDATE early SET version = version + 1 WHERE id <= 2;	-- 5
UPDATE early SET version = version + 1 WHERE id <= 2;	-- 6, 7
SAVEPOINT b;
UPDATE early SET version = version + 1 WHERE id = 1;
UPDATE early SET version = version + 1 WHERE id = 1;
ROLLBACK TO b;
UPDATE early SET version = version + 1 WHERE id = 1;
DELETE FROM early WHERE id = 3;
RELEASE a;
INSERT INTO early VALUES (3, 9, 1, 'back');
UPDATE early SET version = version + 1, subject = 11 WHERE id = 3;
UPDATE early SET version = version + 1, subject = 12 WHERE id = 3;
COMMIT;
DO $$
BEGIN
	FOR i IN 1 .. 20 LOOP
		BEGIN
			UPDATE late SET version = version + 1 WHERE id <= 5;
			IF i % 4 = 0 THEN
				RAISE EXCEPTION 'undo';
			END IF;
		EXCEPTION WHEN raise_exception THEN
			UPDATE late SET version = version + 1, note = 'undone' WHERE id <= 2;
		END;
	END LOOP;
END $$;
BEGIN;
UPDATE deferred SET version = version + 1 WHERE id <= 3;
UPDATE deferred SET version = version + 1 WHERE id <= 3;
SET CONSTRAINTS ALL IMMEDIATE;
UPDATE deferred SET version = version + 1 WHERE id <= 3;
COMMIT;
WITH c AS (UPDATE late SET version = version + 1 WHERE id = 8 RETURNING id)
UPDATE early SET version = version + 1 FROM c WHERE early.id = c.id;
MERGE INTO early USING (VALUES (1, 1), (100, 5), (101, 6)) v(id, s) ON early.id = v.id
	WHEN MATCHED THEN UPDATE SET version = version + 1
	WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.s, 3, 'merged');
INSERT INTO late VALUES (1, 1, 1), (200, 1, 3) ON CONFLICT (id) DO UPDATE SET version = late.version + 1;
SQL
check('unsealed');
seal_all($node, $db);
check('one session');

# Many sessions on the same rows, overflowing and sealing

my $small = script('small.sql', <<'SQL');
\set id random(1, 30)
\set id2 random(1, 30)
\set kind random(1, 4)
BEGIN;
UPDATE early SET version = version + 1 WHERE id = :id;
SAVEPOINT a;
UPDATE late SET version = version + 1 WHERE id = :id2;
UPDATE deferred SET version = version + 1 WHERE id = :id;
\if :kind = 1
ROLLBACK TO a;
\elif :kind = 2
SAVEPOINT b;
UPDATE early SET version = version + 1, subject = :id2 WHERE id = :id;
ROLLBACK TO b;
UPDATE early SET version = version + 1 WHERE id = :id;
\endif
UPDATE early SET version = version + 1, note = 'end' WHERE id = :id;
COMMIT;
SQL
# more than 256 kB of entries, in parts, some of them rolled back after they
# were written out
my $large = script('large.sql', <<'SQL');
\set kind random(1, 3)
BEGIN;
UPDATE plain SET version = version + 1 WHERE id BETWEEN 1 AND 10;
UPDATE plain SET version = version + 1, note = 'b' WHERE id > 500;
SAVEPOINT a;
UPDATE plain SET version = version + 1, note = 'c' WHERE id BETWEEN 1 AND 1000;
SAVEPOINT b;
UPDATE plain SET version = version + 1, note = 'd' WHERE id BETWEEN 1 AND 750;
\if :kind = 1
ROLLBACK TO a;
\elif :kind = 2
ROLLBACK TO b;
\endif
UPDATE plain SET version = version + 1 WHERE id BETWEEN 1 AND 20;
COMMIT;
SQL
my $middle = script('middle.sql', <<'SQL');
\set id random(1, 40)
UPDATE plain SET version = version + 1 WHERE id = :id;
SQL
my $sealer = script('sealer.sql', "SELECT medsync.seal();\n\\sleep 50 ms\n");

foreach my $round (1 .. 2)
{
	my @load = (
		pgbench_start($node, $db, '-c8', '-j1', "-T$seconds", '-f', $small),
		pgbench_start($node, $db, '-c2', "-T$seconds", '-f', $large),
		pgbench_start($node, $db, '-c3', "-T$seconds", '-f', $middle),
		pgbench_start($node, $db, '-c1', "-T$seconds", '-f', $sealer));

	pgbench_finish($_) foreach @load;
	is(join(',', map { $_->{status} } @load), '0,0,0,0', "round $round: clients end well")
	  or diag(map { $_->{err} } @load);
	cmp_ok($load[1]{transactions} || 0, '>', 1, "round $round: large transactions were made");
	# nobody writes now: what the tables hold is what as_of must give back
	$node->safe_psql($db, "SELECT remember($round)");
	sleep 0.01;
}
seal_all($node, $db);
check('many sessions');

# as_of, against what the tables held then and against the history

foreach my $tab (qw(early late deferred plain))
{
	foreach my $n (1, 2)
	{
		is( query($node, $db, <<SQL), '0', "as_of: $tab as it was after round $n");
WITH m AS (SELECT DISTINCT at FROM moment WHERE n = $n),
told AS (SELECT to_jsonb(a) AS r FROM m, medsync.as_of(NULL::$tab, m.at) a),
held AS (SELECT r FROM moment WHERE n = $n AND tab = '$tab')
SELECT count(*) FROM (
	(SELECT r FROM told EXCEPT ALL SELECT r FROM held) UNION ALL
	(SELECT r FROM held EXCEPT ALL SELECT r FROM told)) d
SQL
	}
	is( query($node, $db, <<SQL), '0', "as_of: $tab at times between");
WITH t AS (
	SELECT min(at) + (max(at) - min(at)) * f AS at
	FROM medsync.history('$tab'), unnest('{0.2,0.6}'::float8[]) f GROUP BY f),
told AS MATERIALIZED (SELECT t.at, to_jsonb(a) AS r FROM t, medsync.as_of(NULL::$tab, t.at) a),
played AS MATERIALIZED (SELECT t.at, r FROM t, testing.replayed('$tab', t.at) r)
SELECT count(*) FROM (
	(SELECT * FROM told EXCEPT ALL SELECT * FROM played) UNION ALL
	(SELECT * FROM played EXCEPT ALL SELECT * FROM told)) d
SQL
}
is(query($node, $db, "SELECT count(*) FROM medsync.as_of(NULL::plain, 'infinity')"),
	'1500', 'as_of: infinity is now');
is(query($node, $db, "SELECT count(*) FROM medsync.as_of(NULL::plain, '-infinity')"),
	'0', 'as_of: before the beginning there was nothing');

is_quiet($node);
$node->stop;
done_testing();
