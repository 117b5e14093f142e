
# The least guards: what would bypass the capture is refused, superusers
# included, and nothing is half done; what is harmless works, and history and
# verify stay right.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('guards');
my $db = new_database($node, 'clinic');

$node->safe_psql($db, <<'SQL');
CREATE ROLE clerk LOGIN;
CREATE SCHEMA ward AUTHORIZATION clerk;
CREATE TYPE triage AS ENUM ('green', 'red');
CREATE TYPE address AS (street text, triage triage);
CREATE DOMAIN urgency AS triage;
CREATE TABLE patient (
	id int PRIMARY KEY, name text, born date, triage triage DEFAULT 'green',
	address address, urgency urgency, doubled int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE visit (id int, day date, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE ward.bed (id int PRIMARY KEY, patient int);
ALTER TABLE ward.bed OWNER TO clerk;
CREATE EXTENSION hstore;
CREATE TABLE part (a int, v text);
CREATE TABLE built (id int PRIMARY KEY, p part, h hstore, parts part[], r int4range);
CREATE TABLE loose (id int PRIMARY KEY);
CREATE TABLE standalone (id int NOT NULL, day date NOT NULL, note text);
INSERT INTO standalone VALUES (1, '2026-04-01', 'has a row');
INSERT INTO patient (id, name, address) SELECT i, 'name ' || i, ROW('street', 'red')::address FROM generate_series(1, 10) i;
INSERT INTO parent VALUES (1), (2);
INSERT INTO child VALUES (1, 1), (2, 1), (3, 2);
INSERT INTO visit SELECT i, '2026-01-01'::date + i FROM generate_series(1, 10) i;
INSERT INTO ward.bed VALUES (1, 1);
INSERT INTO built VALUES (1, ROW(1, 'v'), 'a=>1,b=>NULL', ARRAY[ROW(1, 'v')::part, NULL], '[1,5)');
SELECT medsync.track(t) FROM unnest('{patient,parent,child,visit,built,ward.bed}'::regclass[]) t;
SELECT medsync.seal();
SQL

# The shape of everything a guard protects, as one word.
my $shape = <<'SQL';
SELECT md5(string_agg(x, E'\n' ORDER BY x)) FROM (
	SELECT format('%s.%s %s %s %s %s', attrelid::regclass, attname, attnum, atttypid::regtype, attisdropped, attnotnull) AS x
	FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
	WHERE relnamespace IN ('public'::regnamespace, to_regnamespace('ward'), to_regnamespace('medsync')) AND relkind IN ('r', 'p')
	UNION ALL SELECT format('%s %s', pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE NOT tgisinternal
	UNION ALL SELECT format('%s %s %s', evtname, evtenabled, evtfoid::regprocedure) FROM pg_event_trigger
	UNION ALL SELECT format('%s %s', enumtypid::regtype, enumlabel) FROM pg_enum
	UNION ALL SELECT format('%s %s %s', inhrelid::regclass, inhparent::regclass, inhdetachpending) FROM pg_inherits
	UNION ALL SELECT format('%s %s %s', oid::regclass, relpersistence, relowner) FROM pg_class WHERE relkind IN ('r', 'p')
	UNION ALL SELECT format('live %s %s', t, r) FROM unnest('{patient,parent,child,visit,ward.bed}'::text[]) t, testing.live(t::regclass) r
	UNION ALL SELECT 'entries ' || entries FROM medsync.verify_summary()) s
SQL

my $refusal = 'MS003|0A000|55006|55000|2BP01|42809|42501';
my $before = query($node, $db, $shape);

foreach my $case (
	[ 'ALTER TABLE patient DISABLE TRIGGER medsync_capture', 'DISABLE TRIGGER' ],
	[ 'ALTER TABLE patient DISABLE TRIGGER ALL', 'DISABLE TRIGGER ALL' ],
	[ 'ALTER TABLE patient DISABLE TRIGGER USER', 'DISABLE TRIGGER USER' ],
	[ 'ALTER TABLE patient ENABLE TRIGGER medsync_capture', 'ENABLE TRIGGER (no longer always)' ],
	[ 'ALTER TABLE patient ENABLE REPLICA TRIGGER medsync_capture', 'ENABLE REPLICA TRIGGER' ],
	[ 'ALTER TABLE patient ENABLE TRIGGER ALL', 'ENABLE TRIGGER ALL' ],
	[ 'ALTER TABLE visit DISABLE TRIGGER medsync_capture', 'DISABLE TRIGGER on a parent' ],
	[ 'ALTER TABLE visit_1 DISABLE TRIGGER ALL', 'DISABLE TRIGGER on a partition' ],
	[ 'DROP TRIGGER medsync_capture ON patient', 'DROP TRIGGER' ],
	[ 'DROP TRIGGER IF EXISTS medsync_capture ON visit', 'DROP TRIGGER on a parent' ],
	[ 'ALTER TRIGGER medsync_capture ON patient RENAME TO x', 'ALTER TRIGGER ... RENAME' ],
	[ "CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE OR REPLACE TRIGGER medsync_capture AFTER INSERT ON patient FOR EACH ROW EXECUTE FUNCTION noop()",
		'CREATE OR REPLACE TRIGGER' ],
	[ 'TRUNCATE patient', 'TRUNCATE' ],
	[ 'TRUNCATE loose, patient', 'TRUNCATE of several' ],
	[ 'TRUNCATE parent CASCADE', 'TRUNCATE CASCADE' ],
	[ 'TRUNCATE visit', 'TRUNCATE of a parent' ],
	[ 'TRUNCATE visit_1', 'TRUNCATE of a partition' ],
	[ "ALTER TABLE patient ALTER name TYPE varchar(3) USING left(name, 3)", 'ALTER TYPE' ],
	[ 'ALTER TABLE patient ALTER id TYPE bigint', 'ALTER TYPE that rewrites' ],
	[ "ALTER TABLE visit ALTER note TYPE bytea USING note::bytea", 'ALTER TYPE on a parent' ],
	[ 'ALTER TABLE patient DROP COLUMN name', 'DROP COLUMN' ],
	[ 'ALTER TABLE patient DROP COLUMN doubled', 'DROP COLUMN, generated' ],
	[ 'ALTER TABLE visit DROP COLUMN note', 'DROP COLUMN on a parent' ],
	[ 'DROP TYPE address CASCADE', 'DROP TYPE ... CASCADE' ],
	[ 'DROP DOMAIN urgency CASCADE', 'DROP DOMAIN ... CASCADE' ],
	[ "ALTER TABLE patient ADD COLUMN insured bool DEFAULT true", 'ADD COLUMN with a default' ],
	[ "ALTER TABLE patient ADD COLUMN x int, ADD COLUMN insured bool NOT NULL DEFAULT true", 'ADD COLUMN with a default, second' ],
	[ 'ALTER TABLE patient ADD COLUMN x double precision DEFAULT random()', 'ADD COLUMN with a volatile default' ],
	[ 'ALTER TABLE patient ADD COLUMN x int GENERATED ALWAYS AS IDENTITY', 'ADD COLUMN identity' ],
	[ 'ALTER TABLE patient ADD COLUMN x int GENERATED ALWAYS AS (id + 1) STORED', 'ADD COLUMN generated' ],
	[ 'ALTER TABLE patient ADD COLUMN x serial', 'ADD COLUMN serial' ],
	[ "CREATE DOMAIN seven AS int DEFAULT 7; ALTER TABLE patient ADD COLUMN x seven", 'ADD COLUMN of a domain with a default' ],
	[ 'ALTER TABLE visit ADD COLUMN x int DEFAULT 1', 'ADD COLUMN with a default on a parent' ],
	[ 'DROP TABLE patient', 'DROP TABLE' ],
	[ 'DROP TABLE loose, patient', 'DROP TABLE of several' ],
	[ 'DROP TABLE parent CASCADE', 'DROP TABLE CASCADE' ],
	[ 'DROP TABLE visit', 'DROP TABLE of a parent' ],
	[ 'DROP TABLE visit_1', 'DROP TABLE of a partition' ],
	[ 'DROP SCHEMA ward CASCADE', 'DROP SCHEMA ... CASCADE' ],
	[ 'DROP OWNED BY clerk', 'DROP OWNED' ],
	[ 'DROP EXTENSION medsync CASCADE', 'DROP EXTENSION' ],
	[ 'DROP EXTENSION medsync', 'DROP EXTENSION, plain' ],
	[ 'DROP SCHEMA medsync CASCADE', 'DROP SCHEMA medsync' ],
	[ "ALTER TYPE triage RENAME VALUE 'red' TO 'black'", 'ALTER TYPE ... RENAME VALUE' ],
	[ 'ALTER TYPE address ALTER ATTRIBUTE street TYPE varchar CASCADE', 'ALTER TYPE ... ALTER ATTRIBUTE' ],
	[ 'ALTER TYPE address DROP ATTRIBUTE street CASCADE', 'ALTER TYPE ... DROP ATTRIBUTE' ],
	[ 'ALTER TABLE visit DETACH PARTITION visit_1', 'DETACH PARTITION' ],
	[ "ALTER TYPE address ADD ATTRIBUTE town text CASCADE", 'ALTER TYPE ... ADD ATTRIBUTE' ],
	[ 'ALTER TABLE part ADD COLUMN x int', 'ADD COLUMN to a table whose row type is used' ],
	[ 'ALTER TABLE part DROP COLUMN v', 'DROP COLUMN of a table whose row type is used' ],
	[ 'ALTER TYPE address RENAME ATTRIBUTE street TO road', 'ALTER TYPE ... RENAME ATTRIBUTE' ],
	[ 'ALTER TABLE part RENAME v TO w', 'RENAME COLUMN of a table whose row type is used' ],
	[ 'CREATE TABLE above (v text); ALTER TABLE part INHERIT above; ALTER TABLE above RENAME v TO w', 'RENAME COLUMN of a parent of that' ],
	[ 'CREATE TABLE above (v text); ALTER TABLE part INHERIT above; ALTER TABLE above ADD COLUMN x int', 'ADD COLUMN to a parent of that' ],
	[ "CREATE TYPE shape AS (a int); CREATE TABLE shaped OF shape; CREATE TABLE uses (id int PRIMARY KEY, s shaped[]); SELECT medsync.track('uses'); ALTER TYPE shape RENAME ATTRIBUTE a TO b CASCADE",
		'RENAME ATTRIBUTE of the type of a table whose row type is used' ],
	[ 'DROP TABLE part CASCADE', 'DROP TABLE ... CASCADE whose row type is used' ],
	[ 'DROP EXTENSION hstore CASCADE', 'DROP EXTENSION of a type that is used' ],
	[ 'CREATE OR REPLACE TRIGGER medsync_capture AFTER INSERT OR UPDATE OR DELETE ON patient FOR EACH ROW WHEN (false) EXECUTE FUNCTION medsync._capture()', 'CREATE OR REPLACE TRIGGER with our function' ],
	[ 'ALTER TABLE patient SET UNLOGGED', 'SET UNLOGGED' ],
	[ 'ALTER TABLE patient ALTER doubled DROP EXPRESSION, ALTER born TYPE text', 'several at once' ])
{
	my ($sql, $name) = @$case;

	my ($state, $words) = sql_error($node, $db, "BEGIN; $sql; COMMIT;");
	like($state, qr/^($refusal)$/, "$name is refused") or diag($words || 'no error');
	# what PostgreSQL itself refuses has PostgreSQL's words
	like($words, qr/HINT:/, "$name: has a hint") if $state =~ /^MS/;
	unlike($words, qr/server closed the connection/, "$name: no crash");
	refused($node, $db, "SET session_replication_role = replica; BEGIN; $sql; COMMIT;", $refusal, "$name, as a replica")
	  if $name =~ /TRIGGER|TRUNCATE|TYPE|DROP/;
	my $after = query($node, $db, $shape);
	is($after, $before, "$name: nothing is half done");
	$before = $after;
}
is_clean($node, $db, 'clean after what was refused');

# inside a function, and after a savepoint: the transaction goes on without it
works($node, $db, <<'SQL', 'a refused command inside a transaction');
DO $$
BEGIN
	INSERT INTO loose VALUES (1);
	UPDATE patient SET born = '2000-01-01' WHERE id = 1;
	BEGIN
		UPDATE patient SET born = '2000-01-02' WHERE id = 1;
		EXECUTE 'TRUNCATE patient';
	EXCEPTION WHEN OTHERS THEN
		UPDATE patient SET born = '2000-01-03' WHERE id = 1;
	END;
END $$;
SQL
is(query($node, $db, "SELECT string_agg(new_row->>'born', ',') FROM medsync.history('patient', '{\"id\": 1}') WHERE operation = 'update'"),
	'2000-01-01,2000-01-03', 'its neighbours are recorded');
is_clean($node, $db);

# The owner, who is no superuser, is refused as well
$node->safe_psql($db, 'GRANT USAGE ON SCHEMA public TO clerk');
my $clerk = [ extra_params => [ '-U', 'clerk' ] ];
refused($node, $db, $_, $refusal, "the owner: $_", psql => $clerk)
  foreach 'ALTER TABLE ward.bed DISABLE TRIGGER ALL', 'DROP TABLE ward.bed', 'TRUNCATE ward.bed',
  'ALTER TABLE ward.bed DROP COLUMN patient', 'DROP SCHEMA ward CASCADE';

# What works

seal_all($node, $db);
foreach my $case (
	[ 'ALTER TABLE patient ADD COLUMN phone text', 'ADD COLUMN, nullable' ],
	[ "UPDATE patient SET phone = '1' WHERE id = 1", 'writing it' ],
	[ 'ALTER TABLE patient RENAME name TO full_name', 'RENAME COLUMN' ],
	[ "UPDATE patient SET full_name = 'changed' WHERE id = 2", 'writing it' ],
	[ 'ALTER TABLE patient RENAME TO person', 'RENAME TABLE' ],
	[ "INSERT INTO person (id, full_name) VALUES (11, 'x')", 'writing it' ],
	[ 'CREATE SCHEMA clinic; ALTER TABLE person SET SCHEMA clinic', 'SET SCHEMA' ],
	[ 'DELETE FROM clinic.person WHERE id = 3', 'writing it' ],
	[ 'ALTER SCHEMA clinic RENAME TO hospital', 'RENAME SCHEMA' ],
	[ "UPDATE hospital.person SET born = '1999-09-09' WHERE id = 4", 'writing it' ],
	[ 'ALTER TABLE hospital.person OWNER TO clerk', 'OWNER TO' ],
	[ 'REASSIGN OWNED BY clerk TO postgres', 'REASSIGN OWNED' ],
	[ 'ALTER TYPE address RENAME TO location; ALTER TABLE part RENAME TO piece', 'RENAME of types that columns use' ],
	[ "UPDATE hospital.person SET address.street = 'new' WHERE id = 6; UPDATE built SET p.v = 'new', parts[2] = ROW(2, 'x'), h = h || 'c=>3'", 'writing it' ],
	[ 'CREATE TYPE free AS (a int); CREATE TABLE freely OF free; ALTER TYPE free RENAME ATTRIBUTE a TO b CASCADE; ALTER TABLE freely RENAME TO freely_too; DROP TYPE free CASCADE', 'RENAME ATTRIBUTE of a type that no column uses' ],
	[ "ALTER TABLE hospital.person REPLICA IDENTITY FULL, SET (fillfactor = 80), ALTER full_name SET STATISTICS 50, ALTER full_name SET STORAGE EXTERNAL, ADD CONSTRAINT c CHECK (id > 0) NOT VALID, ADD UNIQUE (full_name)", 'settings and constraints' ],
	[ 'ALTER TABLE hospital.person VALIDATE CONSTRAINT c; ALTER TABLE hospital.person DROP CONSTRAINT c; ALTER TABLE hospital.person ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON hospital.person USING (true); DROP POLICY p ON hospital.person; ALTER TABLE hospital.person DISABLE ROW LEVEL SECURITY', 'policies' ],
	[ "ALTER TABLE built ALTER id ADD GENERATED BY DEFAULT AS IDENTITY; INSERT INTO built (id, r) VALUES (2, 'empty'); ALTER TABLE built ALTER id DROP IDENTITY; GRANT SELECT ON built TO clerk; COMMENT ON TABLE built IS 'x'", 'identity' ],
	[ 'CREATE TABLE offspring (extra int) INHERITS (built); INSERT INTO offspring (id) VALUES (50); ALTER TABLE offspring NO INHERIT built; DROP TABLE offspring', 'a child by inheritance' ],
	[ "ALTER TYPE triage ADD VALUE 'yellow' BEFORE 'red'", 'ADD VALUE to an enum' ],
	[ "UPDATE hospital.person SET triage = 'yellow' WHERE id = 5", 'writing it' ],
	[ 'ALTER TYPE triage RENAME TO severity', 'RENAME TYPE' ],
	[ "UPDATE hospital.person SET triage = 'red' WHERE id = 5", 'writing it' ],
	[ "ALTER TABLE hospital.person ALTER full_name SET DEFAULT 'nobody', ALTER full_name SET NOT NULL, ALTER full_name DROP NOT NULL", 'defaults and constraints' ],
	[ 'CREATE INDEX born ON hospital.person (born); REINDEX TABLE hospital.person; CLUSTER hospital.person USING born', 'indexes and CLUSTER' ],
	[ 'CREATE TRIGGER own BEFORE UPDATE ON hospital.person FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger(); ALTER TABLE hospital.person DISABLE TRIGGER own; ALTER TABLE hospital.person ENABLE TRIGGER own; DROP TRIGGER own ON hospital.person', "a user's own triggers" ],
	[ "CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM ('2026-02-01') TO ('2026-03-01'); INSERT INTO visit VALUES (20, '2026-02-02'); UPDATE visit SET day = '2026-02-03' WHERE id = 1", 'a later partition' ],
	[ 'ALTER TABLE visit ADD COLUMN doctor text; ALTER TABLE visit RENAME note TO remark; ALTER TABLE visit_2 RENAME TO february', 'a parent changes' ],
	[ "UPDATE visit SET doctor = 'd', remark = 'r' WHERE id IN (1, 2, 20)", 'writing it' ],
	[ "CREATE TABLE empty (LIKE visit); ALTER TABLE visit ATTACH PARTITION empty FOR VALUES FROM ('2026-03-01') TO ('2026-04-01'); INSERT INTO visit VALUES (30, '2026-03-03')", 'ATTACH of an empty partition' ],
	[ "CREATE SCHEMA later CREATE TABLE may PARTITION OF public.visit FOR VALUES FROM ('2026-05-01') TO ('2026-06-01'); INSERT INTO visit VALUES (40, '2026-05-05')", 'a partition made with its schema' ],
	[ "CREATE TABLE june PARTITION OF visit FOR VALUES FROM ('2026-06-01') TO ('2026-07-01') PARTITION BY HASH (id); CREATE TABLE june_0 PARTITION OF june FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE june_1 PARTITION OF june FOR VALUES WITH (MODULUS 2, REMAINDER 1); INSERT INTO visit SELECT i, '2026-06-06' FROM generate_series(50, 60) i", 'partitions of a later partition' ],
	[ 'CREATE INDEX CONCURRENTLY ON ward.bed (patient); DROP INDEX CONCURRENTLY ward.bed_patient_idx', 'indexes made concurrently' ],
	[ "ALTER TABLE ward.bed DROP CONSTRAINT bed_pkey, ALTER id DROP NOT NULL; INSERT INTO ward.bed VALUES (1, 1), (1, 1), (NULL, 5); DELETE FROM ward.bed WHERE patient = 5; UPDATE ward.bed SET patient = 2 WHERE id = 1", 'without its primary key' ],
	[ 'DELETE FROM ward.bed; INSERT INTO ward.bed VALUES (7, 7), (8, 8); ALTER TABLE ward.bed ADD PRIMARY KEY (patient); UPDATE ward.bed SET id = 9; UPDATE ward.bed SET patient = -patient', 'with another primary key' ],
	[ 'UPDATE parent SET id = 10 WHERE id = 1; DELETE FROM parent WHERE id = 2', 'cascades' ],
	[ 'VACUUM FULL hospital.person; VACUUM FREEZE visit; ANALYZE', 'VACUUM' ],
	[ 'DROP TABLE loose; CREATE TABLE loose (id int PRIMARY KEY); TRUNCATE loose; ALTER TABLE loose ADD COLUMN x int DEFAULT 1; DROP TABLE loose', 'a table that is not tracked' ])
{
	works($node, $db, @$case);
	is_clean($node, $db, "$case->[1]: clean");
}

# ATTACH of a partition with rows: as a baseline, or refused
my ($state, $text) = sql_error($node, $db,
	"ALTER TABLE standalone ADD COLUMN doctor text; ALTER TABLE standalone RENAME note TO remark; ALTER TABLE visit ATTACH PARTITION standalone FOR VALUES FROM ('2026-04-01') TO ('2026-05-01')");
if ($state eq '')
{
	is( query($node, $db, "SELECT operation FROM medsync.history('standalone')"), 'baseline', 'ATTACH of a partition with rows: a baseline');
}
else
{
	like($state, qr/^($refusal)$/, 'ATTACH of a partition with rows is refused');
	like($text, qr/HINT:/, 'with a hint');
	is(query($node, $db, "SELECT count(*) FROM pg_inherits WHERE inhrelid = 'standalone'::regclass"), '0', 'and not attached');
}
is_clean($node, $db, 'clean after ATTACH');

is_replayable($node, $db, $_, $_) foreach 'hospital.person', 'parent', 'child', 'visit', 'built';
seal_all($node, $db);
is_clean($node, $db, 'clean in the end');
is( query($node, $db, "SELECT new_row->>'full_name' FROM medsync.history('hospital.person', '{\"id\": 2}') ORDER BY entry_index DESC LIMIT 1"),
	'changed', 'history under the new names');
is( query($node, $db, "SELECT old_row->>'full_name' FROM medsync.history('hospital.person', '{\"id\": 2}') WHERE operation = 'update'"),
	'name 2', 'and of versions from before the renaming');
is(query($node, $db, "SELECT count(*) FROM medsync.as_of(NULL::hospital.person, 'infinity')"), '10', 'as_of under the new names');

# An untracked table is free again
works($node, $db, "SELECT medsync.untrack('hospital.person'); TRUNCATE hospital.person; DROP TABLE hospital.person", 'after untrack all of it');
seal_all($node, $db);
is_clean($node, $db, 'clean after an untracked table was dropped');
works($node, $db, 'CREATE TABLE hospital.person (id int PRIMARY KEY, v text); INSERT INTO hospital.person VALUES (1); SELECT medsync.track(\'hospital.person\'); UPDATE hospital.person SET v = 1',
	'another table of that name');
is_clean($node, $db, 'clean with it');
is_replayable($node, $db, 'hospital.person', 'its own history');

# DETACH ... CONCURRENTLY commits half-way, so it must be refused before it
# begins.
new_database($node, 'detached');
$node->safe_psql('detached', <<'SQL');
CREATE TABLE visit (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
INSERT INTO visit VALUES (1, '2026-01-05');
SELECT medsync.track('visit');
SQL
refused($node, 'detached', 'ALTER TABLE visit DETACH PARTITION visit_1 CONCURRENTLY', $refusal, 'DETACH PARTITION CONCURRENTLY');
is(query($node, 'detached', "SELECT inhparent::regclass, inhdetachpending FROM pg_inherits WHERE inhrelid = 'visit_1'::regclass"),
	'visit|f', 'DETACH PARTITION CONCURRENTLY: nothing is half done');
is_clean($node, 'detached', 'DETACH PARTITION CONCURRENTLY: clean');

# A database without tracked tables is not guarded at all.
new_database($node, 'idle');
works($node, 'idle', 'CREATE TABLE t (id int); TRUNCATE t; ALTER TABLE t ADD x int DEFAULT 1; DROP TABLE t; DROP EXTENSION medsync', 'before any track()');

is_quiet($node);
$node->stop;
done_testing();
