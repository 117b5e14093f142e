
# What a superuser does past the guards, with nothing from outside to compare
# with: each attack is found, under its own verdict and at its place.  Attacks
# run in a transaction that is rolled back, so that each meets the same
# ledger; verify() sees what its caller's transaction sees.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('attacks');
my $db = new_database($node, 'clinic');

$node->safe_psql($db, <<'SQL');
CREATE TYPE triage AS ENUM ('green', 'yellow', 'red');
CREATE TABLE patient (id int PRIMARY KEY, name text, born date, weight numeric, triage triage);
CREATE TABLE hashed (id int PRIMARY KEY, patient int, value text);
CREATE TABLE keyless (patient int, value text);
CREATE TABLE visit (id int, day date, patient int, note text, PRIMARY KEY (id, day))
	PARTITION BY RANGE (day);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE visit_3 (id int NOT NULL, day date NOT NULL, patient int, note text);
INSERT INTO visit_3 SELECT i, '2026-03-05', i, 'smuggled' FROM generate_series(1, 3) i;
INSERT INTO patient SELECT i, 'name ' || i, '1950-01-01'::date + i, 70.5, 'green'
	FROM generate_series(1, 50) i;
SELECT medsync.track('patient', subject => 'id');
SELECT medsync.track('hashed', subject => 'patient', payload => 'hash');
SELECT medsync.track('keyless', subject => 'patient');
SELECT medsync.track('visit', subject => 'patient');
SELECT medsync.seal();
INSERT INTO hashed SELECT i, i, 'value ' || i FROM generate_series(1, 20) i;
INSERT INTO keyless SELECT i, 'value ' || i FROM generate_series(1, 20) i;
INSERT INTO keyless SELECT 1, 'twice' FROM generate_series(1, 2) i;
INSERT INTO visit SELECT i, '2026-01-05'::date + i, i, 'note' FROM generate_series(1, 40) i;
SELECT medsync.seal();
UPDATE patient SET weight = weight + 1 WHERE id <= 10;
DELETE FROM patient WHERE id = 50;
-- an image over a packed row
INSERT INTO patient
	SELECT 60, string_agg(md5(i::text), ''), '2000-01-01', 3, 'red' FROM generate_series(1, 2000) i;
SELECT medsync.seal();
UPDATE patient SET triage = 'red' WHERE id = 7;
SELECT medsync.seal();
-- these wait for the sealer
INSERT INTO patient VALUES (70, 'unsealed', '2000-01-01', 3, 'red');
UPDATE patient SET weight = 99 WHERE id = 20;
SQL
is_clean($node, $db, 'clean before any attack');

my $event_triggers = query($node, $db, <<'SQL');
SELECT string_agg(format('ALTER EVENT TRIGGER %I DISABLE;', evtname), ' ')
FROM pg_event_trigger
SQL
my $event_triggers_back = $event_triggers =~ s/DISABLE/ENABLE ALWAYS/gr;
isnt($event_triggers, '', 'there are event triggers to get past');

# With the guards out of the way, do something to a table; guards come back.
sub past
{
	my ($table, @sql) = @_;
	return join("\n",
		$event_triggers,
		"ALTER TABLE $table DISABLE TRIGGER USER;",
		@sql,
		map ({ "ALTER TABLE $table ENABLE ALWAYS TRIGGER $_;" } split /\n/, query(
				$node, $db,
				"SELECT quote_ident(tgname) FROM pg_trigger WHERE tgrelid = '$table'::regclass AND NOT tgisinternal"
			)),
		$event_triggers_back);
}

# An attack and what must be found: each pattern by a finding of its own, in
# the form severity|verdict|relation|row key|block|entry; nothing else may be
# found unless it fits {also}.
sub attack
{
	my ($name, $sql, $expected, %option) = @_;
	my @patterns = ref $expected eq 'ARRAY' ? @$expected : ($expected);
	my ($state, $stderr, $stdout) = sql_error($node, $db, <<SQL);
BEGIN;
SET LOCAL client_min_messages = error;
$sql
\\echo -- found
SELECT concat_ws('|', severity, verdict, coalesce(relation, ''), coalesce(row_key::text, ''),
	coalesce(block::text, ''), coalesce(entry_index::text, ''))
FROM medsync.verify() WHERE verdict <> 'unsealed' ORDER BY 1;
ROLLBACK;
SQL

	if ($stderr =~ /ERROR|FATAL|server closed the connection/)
	{
		settled($node);
		return is($stderr, '', "$name: attack and verify raise no error");
	}

	$stdout =~ s/^.*-- found\n?//s;
	my @found = split /\n/, $stdout;

	foreach my $pattern (@patterns)
	{
		ok(scalar(grep { /$pattern/ } @found), "$name: found as $pattern")
		  or diag("found: " . (join("\n       ", @found) || 'nothing'));
	}
	if (!$option{any})
	{
		my @also = grep {
			my $line = $_;
			!grep { $line =~ /$_/ } @patterns, $option{also} ? $option{also} : ()
		} @found;

		is(join("\n", @also), '', "$name: nothing else is found");
	}
	return @found;
}

# Live rows

attack(
	'a row changed with triggers disabled',
	past('patient', "UPDATE patient SET weight = 1 WHERE id = 5;"),
	qr/^error\|altered\|(public\.)?patient\|\{"id": 5\}/);
attack(
	'an unsealed row changed',
	past('patient', "UPDATE patient SET weight = 1 WHERE id = 70;"),
	qr/^error\|altered\|(public\.)?patient\|\{"id": 70\}/);
attack(
	'a hashed row changed',
	past('hashed', "UPDATE hashed SET value = 'x' WHERE id = 5;"),
	qr/^error\|altered\|(public\.)?hashed\|/);
attack(
	'NULL in place of a value',
	past('patient', "UPDATE patient SET name = NULL WHERE id = 5;"),
	qr/^error\|altered\|(public\.)?patient\|\{"id": 5\}/);
attack(
	'a value moved into the next column',
	past('hashed', "UPDATE hashed SET value = NULL, patient = 5 WHERE id = 5;"),
	qr/^error\|altered\|(public\.)?hashed\|/);
attack(
	'the scale of a number',
	past('patient', "UPDATE patient SET weight = 70.50 WHERE id = 30;"),
	qr/^error\|altered\|(public\.)?patient\|\{"id": 30\}/);
attack(
	'a row put back to a version it once had',
	past('patient', "UPDATE patient SET weight = weight - 1 WHERE id = 3;"),
	qr/^error\|altered\|(public\.)?patient\|\{"id": 3\}/);
attack(
	'a row deleted with triggers disabled',
	past('patient', "DELETE FROM patient WHERE id = 5;"),
	qr/^error\|missing\|(public\.)?patient\|\{"id": 5\}/);
attack(
	'a row inserted with triggers disabled',
	past('patient', "INSERT INTO patient VALUES (99, 'ghost');"),
	qr/^error\|extra\|(public\.)?patient\|\{"id": 99\}/);
attack(
	'a row copied under another key',
	past('patient', "INSERT INTO patient SELECT 98, name, born, weight, triage FROM patient WHERE id = 5;"),
	qr/^error\|extra\|(public\.)?patient\|\{"id": 98\}/);
attack(
	'a deleted row brought back as it was',
	past('patient', "INSERT INTO patient VALUES (50, 'name 50', '1950-02-20', 70.5, 'green');"),
	qr/^error\|extra\|(public\.)?patient\|\{"id": 50\}/);
attack(
	'two rows swap their contents',
	past('patient', <<'SQL'),
UPDATE patient SET id = 1000 WHERE id = 5;
UPDATE patient SET id = 5 WHERE id = 6;
UPDATE patient SET id = 6 WHERE id = 1000;
SQL
	[
		qr/^error\|altered\|(public\.)?patient\|\{"id": 5\}/,
		qr/^error\|altered\|(public\.)?patient\|\{"id": 6\}/
	]);
attack(
	'a row moved to another table of the same shape',
	past('visit_1', "DELETE FROM visit_1 WHERE id = 3;")
	  . past('visit_2', "INSERT INTO visit_2 VALUES (3, '2026-02-08', 3, 'note');"),
	[ qr/^error\|missing\|(public\.)?visit_1\|/, qr/^error\|extra\|(public\.)?visit_2\|/ ]);
attack(
	'a row without a key copied',
	past('keyless', "INSERT INTO keyless VALUES (1, 'twice');"),
	qr/^error\|extra\|(public\.)?keyless\|/);
attack(
	'one of two equal rows deleted',
	past('keyless', "DELETE FROM keyless WHERE ctid = (SELECT min(ctid) FROM keyless WHERE value = 'twice');"),
	qr/^error\|missing\|(public\.)?keyless\|/);
attack(
	'a row without a key changed',
	past('keyless', "UPDATE keyless SET value = 'x' WHERE patient = 9;"),
	qr/^error\|(altered|missing|extra)\|(public\.)?keyless\|/);
attack(
	'TRUNCATE with triggers disabled',
	past('hashed', 'TRUNCATE hashed;'),
	qr/^error\|missing\|(public\.)?hashed\|/);
my @gone = attack(
	'TRUNCATE of a partition',
	past('visit_1', 'TRUNCATE visit_1;'),
	qr/^error\|missing\|(public\.)?visit_1\|/);
cmp_ok(scalar(@gone), '>=', 26, 'every row of the partition is named');

# Shape

attack(
	'ALTER TYPE ... USING that changes values',
	past('patient', "ALTER TABLE patient ALTER weight TYPE numeric USING CASE id WHEN 5 THEN 1 ELSE weight END;"),
	qr/^error\|altered\|(public\.)?patient\|\{"id": 5\}/);
attack(
	'ALTER TYPE to another type',
	past('patient', "ALTER TABLE patient ALTER weight TYPE text USING weight || ' kg';"),
	qr/^error\|\w+\|(public\.)?patient\|/,
	any => 1);
attack(
	'DROP COLUMN',
	past('patient', 'ALTER TABLE patient DROP COLUMN weight;'),
	qr/^error\|\w+\|(public\.)?patient\|/,
	any => 1);
attack(
	'ADD COLUMN with a default',
	past('patient', "ALTER TABLE patient ADD COLUMN insured bool DEFAULT true;"),
	qr/^error\|\w+\|(public\.)?patient\|/,
	any => 1);
attack(
	'the label of an enum renamed',
	past('patient', "ALTER TYPE triage RENAME VALUE 'red' TO 'black';"),
	qr/^error\|altered\|(public\.)?patient\|\{"id": 7\}/,
	also => qr/^error\|altered\|(public\.)?patient/);
attack(
	'a partition with rows attached past the guards',
	past('visit', "ALTER TABLE visit ATTACH PARTITION visit_3 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');"),
	qr/^error\|extra\|(public\.)?visit_3\|/,
	also => qr/^error\|guard_missing\|(public\.)?visit_3\|/);
attack(
	'a partition detached past the guards',
	past('visit', "ALTER TABLE visit DETACH PARTITION visit_2; UPDATE visit_2 SET note = 'x';"),
	qr/^error\|\w+\|(public\.)?visit/,
	any => 1);
attack(
	'a table dropped past the guards',
	"$event_triggers DROP TABLE patient; $event_triggers_back",
	qr/^error\|\w+\|(public\.)?patient\|/,
	any => 1);
attack(
	'a table replaced by a copy of itself',
	"$event_triggers CREATE TABLE copy (LIKE patient INCLUDING ALL); INSERT INTO copy SELECT * FROM patient; DROP TABLE patient; ALTER TABLE copy RENAME TO patient; $event_triggers_back",
	qr/^error\|(guard_missing|missing)\|(public\.)?patient\|/,
	any => 1);

# Guards

my $trigger = query($node, $db, <<'SQL');
SELECT pg_get_triggerdef(oid) FROM pg_trigger
WHERE tgrelid = 'patient'::regclass AND tgname = 'medsync_capture'
SQL
like($trigger, qr/FOR EACH ROW EXECUTE FUNCTION medsync\._\w+/, 'the capture trigger');
my ($capture) = $trigger =~ /EXECUTE FUNCTION (medsync\.\w+)\(/;

attack(
	'the trigger disabled',
	"$event_triggers ALTER TABLE patient DISABLE TRIGGER medsync_capture; $event_triggers_back",
	qr/^error\|guard_missing\|(public\.)?patient\|/);
attack(
	'the trigger enabled for origin sessions only',
	"$event_triggers ALTER TABLE patient ENABLE TRIGGER medsync_capture; $event_triggers_back",
	qr/^error\|guard_missing\|(public\.)?patient\|/);
attack(
	'the trigger dropped',
	"$event_triggers DROP TRIGGER medsync_capture ON patient; $event_triggers_back",
	qr/^error\|guard_missing\|(public\.)?patient\|/);
attack(
	'the trigger of one partition disabled',
	"$event_triggers ALTER TABLE visit_2 DISABLE TRIGGER medsync_capture; $event_triggers_back",
	qr/^error\|guard_missing\|(public\.)?visit_2\|/);
attack(
	'the truncate trigger disabled',
	"$event_triggers ALTER TABLE patient DISABLE TRIGGER USER; ALTER TABLE patient ENABLE ALWAYS TRIGGER medsync_capture; $event_triggers_back",
	qr/^error\|guard_missing\|(public\.)?patient\|/);
attack(
	'the trigger dropped, a row changed, the trigger made again',
	"$event_triggers DROP TRIGGER medsync_capture ON patient; UPDATE patient SET weight = 0 WHERE id = 5;"
	  . "$trigger; ALTER TABLE patient ENABLE ALWAYS TRIGGER medsync_capture; $event_triggers_back",
	qr/^error\|altered\|(public\.)?patient\|\{"id": 5\}/,
	also => qr/guard_missing\|(public\.)?patient/);

foreach my $case (
	[ 'that never fires', sub { s/FOR EACH ROW/FOR EACH ROW WHEN (false)/ } ],
	[ 'that does not see deletes', sub { s/ OR DELETE// or s/DELETE OR // } ],
	[ 'that sees updates of one column only', sub { s/UPDATE/UPDATE OF id/ } ],
	[ 'per statement', sub { s/FOR EACH ROW/FOR EACH STATEMENT/ } ],
	[ 'with another function', sub { s/EXECUTE FUNCTION .*/EXECUTE FUNCTION nothing()/ } ],
	[ 'before the row', sub { s/AFTER/BEFORE/ } ])
{
	my ($name, $change) = @$case;
	my $definition = $trigger;

	$change->() for $definition;
	isnt($definition, $trigger, "trigger $name is another one");
	attack(
		"the trigger replaced by one $name",
		"$event_triggers CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
		  . "DROP TRIGGER medsync_capture ON patient; $definition; ALTER TABLE patient ENABLE ALWAYS TRIGGER medsync_capture; $event_triggers_back",
		qr/^error\|guard_missing\|(public\.)?patient\|/);
}

attack(
	'the trigger function replaced',
	"$event_triggers CREATE OR REPLACE FUNCTION $capture() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; $event_triggers_back",
	qr/^error\|guard_missing\|/);
attack('the event triggers disabled', $event_triggers, qr/^error\|guard_missing\|/);
attack(
	'the event triggers dropped',
	"$event_triggers " . query($node, $db, <<'SQL'), qr/^error\|guard_missing\|/);
SELECT string_agg(format('ALTER EXTENSION medsync DROP EVENT TRIGGER %I; DROP EVENT TRIGGER %1$I;', evtname), ' ')
FROM pg_event_trigger
SQL
attack(
	'event triggers that do not fire for replicas',
	$event_triggers =~ s/DISABLE/ENABLE/gr, qr/^error\|guard_missing\|/);
attack(
	'a table said to be tracked no more',
	"UPDATE medsync._table SET tracked = false WHERE table_name = 'patient';",
	qr/^error\|/,
	any => 1);

# The ledger's own tables.  The place must be named: block or entry.

my $sealed = <<'SQL';
xid IN (SELECT xid FROM medsync._journal
	WHERE pg_visible_in_snapshot(xid, (SELECT snapshot FROM medsync._block ORDER BY height DESC LIMIT 1)))
SQL
my $middle = "ctid = (SELECT ctid FROM medsync._journal WHERE $sealed ORDER BY xid, ordinal NULLS FIRST OFFSET 3 LIMIT 1)";
my $last = "ctid = (SELECT ctid FROM medsync._journal WHERE $sealed ORDER BY xid DESC, ordinal DESC NULLS LAST LIMIT 1)";
my $waiting = "ctid = (SELECT ctid FROM medsync._journal WHERE NOT $sealed ORDER BY xid LIMIT 1)";
my $place = qr/\|\d*\|\d+$|\|\d+\|\d*$/;
my $ledger = qr/^error\|(entry|image|block)_\w+\|/;

attack('a middle entry deleted', "DELETE FROM medsync._journal WHERE $middle;",
	qr/^error\|entry_missing\|.*$place/, any => 1);
attack('the last sealed entry deleted', "DELETE FROM medsync._journal WHERE $last;",
	qr/^error\|entry_missing\|.*$place/, any => 1);
attack('an unsealed entry deleted', "DELETE FROM medsync._journal WHERE $waiting;",
	qr/^error\|(extra|altered)\|(public\.)?patient\|/, any => 1);
attack('all unsealed entries deleted', "DELETE FROM medsync._journal WHERE NOT $sealed;",
	[ qr/^error\|extra\|(public\.)?patient\|\{"id": 70\}/, qr/^error\|altered\|(public\.)?patient\|\{"id": 20\}/ ]);
attack('a byte of an entry changed',
	"UPDATE medsync._journal SET body = set_byte(body, length(body) / 2, get_byte(body, length(body) / 2) # 1) WHERE $middle;",
	qr/^error\|(entry|image)_altered\|.*$place/, any => 1);
attack('a byte of an unsealed entry changed',
	"UPDATE medsync._journal SET body = set_byte(body, length(body) / 2, get_byte(body, length(body) / 2) # 1) WHERE $waiting;",
	qr/^error\|(entry|image)_altered\|/, any => 1);
attack('a sealed packed row doubled', "INSERT INTO medsync._journal SELECT * FROM medsync._journal WHERE $middle;",
	qr/^error\|entry_extra\|/, any => 1);
attack('an old packed row entered again under a new transaction',
	"INSERT INTO medsync._journal SELECT pg_current_xact_id(), NULL, body FROM medsync._journal WHERE $middle;",
	qr/^error\|entry_(extra|altered)\|/, any => 1);
attack('a new packed row under an old transaction',
	"UPDATE medsync._journal SET xid = (SELECT xid FROM medsync._journal WHERE $middle) WHERE $waiting;",
	qr/^error\|entry_(extra|altered)\|/, any => 1);
attack('the bodies of two packed rows swapped', <<SQL, qr/^error\|entry_altered\|.*$place/, any => 1);
UPDATE medsync._journal j SET body = (SELECT o.body FROM medsync._journal o
	WHERE (o.$middle OR o.$last) AND o.ctid <> j.ctid)
WHERE $middle OR $last;
SQL
attack('an image edited', "UPDATE medsync._image SET body = set_byte(body, 100, get_byte(body, 100) # 1);",
	qr/^error\|image_altered\|.*$place/, any => 1);
attack('an image deleted', 'DELETE FROM medsync._image;', qr/^error\|image_altered\|.*$place/, any => 1);

foreach my $column ('root', 'hash', 'previous_hash')
{
	attack("the $column of a block edited",
		"UPDATE medsync._block SET $column = set_byte($column, 0, get_byte($column, 0) # 1) WHERE height = (SELECT max(height) - 1 FROM medsync._block);",
		qr/^error\|(block_altered|forked)\|.*\|\d+\|\d*$/, any => 1);
}
attack('the time of a block turned back',
	"UPDATE medsync._block SET sealed_at = sealed_at - interval '1 day' WHERE height = (SELECT max(height) FROM medsync._block);",
	qr/^error\|block_altered\|.*\|\d+\|\d*$/, any => 1);
attack('a middle block deleted',
	'DELETE FROM medsync._block WHERE height = (SELECT max(height) - 1 FROM medsync._block);',
	qr/^error\|(block_altered|forked)\|.*\|\d+\|\d*$/, any => 1);
attack('a block doubled',
	'INSERT INTO medsync._block SELECT * FROM medsync._block ORDER BY height LIMIT 1;',
	qr/^error\|(block_altered|forked)\|.*\|\d+\|\d*$/, any => 1)
  if query($node, $db, "SELECT count(*) FROM pg_index WHERE indrelid = 'medsync._block'::regclass AND indisunique") eq '0';
attack('two blocks swap their heights', <<'SQL', qr/^error\|(block_altered|forked)\|.*\|\d+\|\d*$/, any => 1);
UPDATE medsync._block SET height = -height WHERE height IN (1, 2);
UPDATE medsync._block SET height = 3 + height WHERE height < 0;
SQL
attack('a tile edited', 'UPDATE medsync._tile SET hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1);',
	qr/^error\|block_altered\|/, any => 1);
attack('a tile deleted', 'DELETE FROM medsync._tile;', qr/^error\|block_altered\|/, any => 1);
attack('the order of a block edited',
	'UPDATE medsync._block_order SET runs = set_byte(runs, length(runs) - 1, get_byte(runs, length(runs) - 1) # 1);',
	$ledger, any => 1);
attack('all blocks deleted', 'DELETE FROM medsync._block;', qr/^error\|/, any => 1);
attack('the whole ledger deleted', <<'SQL', qr/^error\|/, any => 1);
DO $$
DECLARE t text;
BEGIN
	FOR t IN SELECT oid::regclass FROM pg_class
		WHERE relnamespace = 'medsync'::regnamespace AND relkind = 'r'
	LOOP
		EXECUTE 'DELETE FROM ' || t;
	END LOOP;
END $$;
SQL

# The place is the right one: the block that held the packed row

foreach my $offset (0 .. 6)
{
	my $row = "ctid = (SELECT ctid FROM medsync._journal WHERE $sealed ORDER BY xid, ordinal NULLS FIRST OFFSET $offset LIMIT 1)";
	my $block = query($node, $db, <<SQL);
SELECT min(height) FROM medsync._block WHERE pg_visible_in_snapshot((SELECT xid FROM medsync._journal WHERE $row), snapshot)
   OR sealer_xid = (SELECT xid FROM medsync._journal WHERE $row)
SQL

	attack("packed row $offset deleted", "DELETE FROM medsync._journal WHERE $row;",
		qr/^error\|entry_missing\|[^|]*\|[^|]*\|$block\|/, any => 1);
	attack("packed row $offset edited",
		"UPDATE medsync._journal SET body = set_byte(body, length(body) - 9, get_byte(body, length(body) - 9) # 8) WHERE $row;",
		qr/^error\|(entry|image)_(altered|missing)\|[^|]*\|[^|]*\|$block\|/, any => 1);
}
my $heights = query($node, $db, 'SELECT max(height) FROM medsync._block');
foreach my $height (0 .. $heights)
{
	attack("block $height edited", "UPDATE medsync._block SET root = sha256(root) WHERE height = $height;",
		qr/^error\|block_altered\|[^|]*\|[^|]*\|$height\|/, any => 1);
}

# Incremental verification: what is older than the size it starts from is
# taken as checked, what is newer is not.

my $since = query($node, $db, "SELECT size FROM medsync.checkpoint WHERE height = $heights - 1");
my $edit = 'UPDATE medsync._journal SET body = set_byte(body, length(body) - 9, get_byte(body, length(body) - 9) # 8)';
foreach my $case (
	[ 'nothing changed', '', '0' ],
	[ 'a new entry', "$edit WHERE $last;", '[1-9]\d*' ],
	[ 'the new block', "UPDATE medsync._block SET root = sha256(root) WHERE height = $heights;", '[1-9]\d*' ],
	[ 'a live row', past('patient', 'UPDATE patient SET weight = 1 WHERE id = 5;'), '[1-9]\d*' ])
{
	my ($name, $sql, $expected) = @$case;
	my ($state, $stderr, $stdout) = sql_error($node, $db, <<SQL);
BEGIN;
SET LOCAL client_min_messages = error;
$sql
SELECT 'errors ' || count(*) FROM medsync.verify(NULL, $since) WHERE severity = 'error';
ROLLBACK;
SQL
	like($stdout, qr/^errors $expected$/m, "verify since size $since: $name") or diag($stderr);
}

# session_replication_role = replica is no way past

$node->safe_psql($db, <<'SQL');
SET session_replication_role = replica;
INSERT INTO patient VALUES (80, 'as a replica', NULL, NULL, NULL);
UPDATE patient SET weight = 5 WHERE id = 80;
UPDATE visit SET day = '2026-02-20' WHERE id = 1;
SQL
is_clean($node, $db, 'changes made as a replica are recorded');
is( query($node, $db, "SELECT string_agg(operation, ',') FROM medsync.history('patient', '{\"id\": 80}')"),
	'insert,update', 'they stand in the history');
refused($node, $db, 'SET session_replication_role = replica; ALTER TABLE patient DISABLE TRIGGER medsync_capture;',
	'MS003|55\d\d\d|2BP01', 'guards hold for a replica session', hint => 1);
refused($node, $db, 'SET session_replication_role = replica; TRUNCATE patient;',
	'MS003|55\d\d\d|0A000', 'TRUNCATE as a replica');

# An attack that commits: found again by another session, and by a new server

seal_all($node, $db);
$node->safe_psql($db, past('patient', "UPDATE patient SET weight = 2 WHERE id = 9;"));
like(errors($node, $db), qr/^error\|altered\|(public\.)?patient\|\{"id": 9\}/m, 'a committed attack is found');
$node->restart;
like(errors($node, $db), qr/^error\|altered\|(public\.)?patient\|\{"id": 9\}/m, 'and found after a restart');
is( query($node, $db, 'SELECT errors, warnings FROM medsync.verify_summary()'), '1|0', 'the summary counts it');
is( query($node, $db, "SELECT errors FROM medsync.verify_summary('patient'), pg_sleep(0)"), '1', 'in its table');
is( query($node, $db, "SELECT errors FROM medsync.verify_summary('hashed')"), '0', 'not in another');
# the ledger is not stopped by it
works($node, $db, 'SELECT medsync.seal(); UPDATE patient SET weight = 3 WHERE id = 10; SELECT medsync.seal();',
	'going on after an attack');

# On disk, with the server stopped

sub edit_file
{
	my ($relation, $from, $to) = @_;
	my $path = $node->data_dir . '/' . query($node, $db, "SELECT pg_relation_filepath('$relation')");

	$node->stop;
	open my $file, '+<:raw', $path or die "$path: $!";
	my $text = do { local $/; <$file> };
	my $count = ($text =~ s/\Q$from\E/$to/g) || 0;
	seek $file, 0, 0;
	print $file $text;
	close $file;
	$node->start;
	return $count;
}

cmp_ok(edit_file('patient', 'name 12', 'name 21'), '>', 0, 'the heap file was edited');
like(errors($node, $db), qr/^error\|altered\|(public\.)?patient\|\{"id": 12\}/m, 'an edited heap file is found');

my $body = query($node, $db, "SELECT encode(substr(body, length(body) - 20), 'hex') FROM medsync._journal WHERE $middle");
my $changed = pack('H*', $body);
substr($changed, 3, 1) = chr(ord(substr($changed, 3, 1)) ^ 4);
cmp_ok(edit_file('medsync._journal', pack('H*', $body), $changed), '>', 0, "the journal's file was edited");
like(errors($node, $db), qr/^error\|(entry|image)_altered\|/m, "an edit of the journal's file is found");

is_quiet($node);
$node->stop;
done_testing();
