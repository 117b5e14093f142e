
# pg_dump and restore into another cluster, plain and custom format, with the
# key file and without it; a copy of the database in the same cluster.

use strict;
use warnings;

use File::Copy;
use FindBin;
use lib "$FindBin::RealBin/lib";

use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = new_node('source');

# The source is further on in its WAL than any target: positions of different
# clusters must not be compared.
$source->safe_psql('postgres', "CREATE TABLE filler (i int); INSERT INTO filler VALUES ($_); SELECT pg_switch_wal();") foreach 1;
$source->safe_psql('postgres', "INSERT INTO filler VALUES ($_); SELECT pg_switch_wal();") foreach 2 .. 6;
my $db = new_database($source, 'clinic');

$source->safe_psql($db, <<'SQL');
CREATE SCHEMA "Ward 1";
CREATE TYPE triage AS ENUM ('green', 'red');
CREATE DOMAIN weight AS numeric CHECK (value > 0);
CREATE TABLE "Ward 1"."Patient" (
	"Id" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, gone int, name text,
	doubled int GENERATED ALWAYS AS (char_length(name) * 2) STORED,
	triage triage, w weight, at timestamptz, j jsonb, tags text[], span tstzrange);
ALTER TABLE "Ward 1"."Patient" DROP COLUMN gone;
INSERT INTO "Ward 1"."Patient" (name, triage, w, at, j, tags, span)
	SELECT 'name ' || i, 'green', i + 0.50, '2026-01-01 10:00+01', '{"b": 1.10, "a": [null]}',
		'{a,NULL,"b c"}', '[2026-01-01, 2026-02-01)'
	FROM generate_series(1, 20) i;
CREATE TABLE visit (id int, day date, patient int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE lab (id int PRIMARY KEY, patient int, value text);
CREATE TABLE keyless (v text);
SELECT medsync.track('"Ward 1"."Patient"', subject => 'Id');
SELECT medsync.track('visit', subject => 'patient');
SELECT medsync.track('lab', subject => 'patient', payload => 'hash');
SELECT medsync.track('keyless');
INSERT INTO visit SELECT i, '2026-01-02'::date + i, i FROM generate_series(1, 40) i;
INSERT INTO lab SELECT i, i, 'value ' || i FROM generate_series(1, 40) i;
INSERT INTO keyless VALUES ('a'), ('a');
SELECT medsync.seal();
UPDATE "Ward 1"."Patient" SET triage = 'red' WHERE "Id" < 5;
ALTER TABLE lab ADD COLUMN unit text;
UPDATE lab SET unit = 'mg' WHERE id < 10;
INSERT INTO visit SELECT 100, '2026-02-02', 1;
INSERT INTO "Ward 1"."Patient" (name) SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) i;
SELECT medsync.seal();
-- leftovers for the next sealer
UPDATE visit SET day = '2026-02-20' WHERE id = 2;
INSERT INTO lab VALUES (50, 50, 'leftover', 'g');
SQL
is_clean($source, $db, 'source clean');

my $sealed = query($source, $db, 'SELECT entries - unsealed FROM medsync.verify_summary()');
my $leftover = unsealed($source, $db);
my $checkpoint = 'SELECT height, size, root, previous, hash FROM medsync.checkpoint ORDER BY 1';
my $blocks = query($source, $db, $checkpoint);
my $history = <<'SQL';
SELECT h FROM medsync.history('"Ward 1"."Patient"') h;
SELECT h FROM medsync.history('visit') h;
SELECT h FROM medsync.history('lab') h;
SQL
my $before = query($source, $db, "SET timezone = 'UTC'; $history");
cmp_ok($leftover, '>', 0, 'some entries of the source are unsealed');

my $dir = own_directory();
my %dump = (plain => "$dir/clinic.sql", custom => "$dir/clinic.dump");

$source->command_ok([ 'pg_dump', '-d', $source->connstr($db), '-f', $dump{plain} ], 'pg_dump, plain');
$source->command_ok([ 'pg_dump', '-Fc', '-d', $source->connstr($db), '-f', $dump{custom} ], 'pg_dump, custom');

my $key = "$dir/key";
copy(key_file($source, $db), $key) or die "copy: $!";
chmod 0600, $key;
unlike(slurp_file($dump{plain}), qr/\Q@{[ slurp_file($key) ]}\E/, 'the master key is not in the dump');

my $target = new_node('target', conf => "medsync.master_key_file = '$key'\n");

sub restore
{
	my ($format, $name, @option) = @_;

	$target->safe_psql('postgres', "CREATE DATABASE $name");
	if ($format eq 'plain')
	{
		$target->command_ok(
			[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', @option, '-d', $target->connstr($name), '-f', $dump{plain} ],
			"restore of $format, @option");
	}
	else
	{
		$target->command_ok(
			[ 'pg_restore', '--exit-on-error', @option, '-d', $target->connstr($name), $dump{custom} ],
			"restore of $format, @option");
	}
	return;
}

sub goes_on
{
	my ($what, $name) = @_;

	is_clean($target, $name, "$what: clean as restored");
	is(unsealed($target, $name), $leftover, "$what: the leftovers are known, and nothing else was recorded");
	is(query($target, $name, $checkpoint), $blocks, "$what: the same blocks");
	is(query($target, $name, "SET timezone = 'UTC'; $history"), $before, "$what: the same history");
	is( query($target, $name, "SELECT tgenabled FROM pg_trigger WHERE tgrelid = 'lab'::regclass AND tgname = 'medsync_capture'"),
		'A', "$what: the trigger is back");
	seal_all($target, $name, "$what: leftovers are sealed");
	is_clean($target, $name, "$what: clean after that");
	works($target, $name, <<'SQL', "$what: new writes");
INSERT INTO lab VALUES (60, 1, 'after the restore', 'g'), (61, 601, 'a new subject', 'g');
UPDATE "Ward 1"."Patient" SET name = 'after the restore' WHERE "Id" = 1;
INSERT INTO "Ward 1"."Patient" (name) VALUES ('inserted after the restore');
UPDATE visit SET day = '2026-02-21' WHERE id = 3;
DELETE FROM keyless WHERE ctid = (SELECT min(ctid) FROM keyless);
SQL
	is_clean($target, $name, "$what: clean with new writes");
	seal_all($target, $name, "$what: new writes are sealed");
	is_clean($target, $name, "$what: clean in the end");
	is(query($target, $name, 'SELECT count(*) FROM medsync._era'), '2', "$what: a new era");
	cmp_ok(query($target, $name, 'SELECT entries FROM medsync.verify_summary()'),
		'>=', $sealed + $leftover + 7, "$what: with an entry of its own");
	is( query($target, $name, <<'SQL'), 't', "$what: what is new comes after what was there");
SELECT min(entry_index) FILTER (WHERE new_row->>'value' LIKE '%after%' OR new_row->>'name' LIKE '%after%')
	> max(entry_index) FILTER (WHERE NOT coalesce(new_row->>'name', '') LIKE '%after%')
FROM medsync.history('"Ward 1"."Patient"')
SQL
	is( query($target, $name, "SELECT count(*) FROM medsync.history('\"Ward 1\".\"Patient\"', '{\"Id\": 1}')"),
		'3', "$what: a row's history reaches across the restore");
	refused($target, $name, 'TRUNCATE lab', 'MS003|55\d\d\d|0A000', "$what: guards stand");
	return;
}

restore('plain', 'from_plain');
add_oracle($target, 'from_plain') if query($target, 'from_plain', "SELECT to_regnamespace('testing') IS NULL") eq 't';
goes_on('plain', 'from_plain');
is_replayable($target, 'from_plain', 'visit', 'plain');

restore('custom', 'from_custom');
goes_on('custom', 'from_custom');

restore('custom', 'in_one', '--single-transaction');
is_clean($target, 'in_one', 'restored in one transaction: clean');

# a row whose first entry is a leftover of the old cluster, its next one new
$target->safe_psql('in_one', "UPDATE lab SET value = 'second' WHERE id = 50; UPDATE visit SET patient = 1002 WHERE id = 2");
is_clean($target, 'in_one', 'leftovers and new entries unsealed: clean');
my $order = "SELECT string_agg(operation, ',' ORDER BY n) FROM (SELECT operation, ordinality AS n FROM medsync.history('lab', '{\"id\": 50}') WITH ORDINALITY) h";
is(query($target, 'in_one', $order), 'insert,update', 'leftovers come first in the history');
my $visits = "SELECT string_agg(operation, ',' ORDER BY n) FROM (SELECT operation, ordinality AS n FROM medsync.history('visit') WITH ORDINALITY h WHERE row_key->>'id' = '2') h";
is(query($target, 'in_one', $visits), 'insert,delete,insert,update_out,update_in', 'of a row that moves as well');
seal_all($target, 'in_one');
is(query($target, 'in_one', $order), 'insert,update', 'and when sealed');
is(query($target, 'in_one', $visits), 'insert,delete,insert,update_out,update_in', 'and when sealed, of the other');
is_clean($target, 'in_one', 'leftovers and new entries sealed: clean');
restore('custom', 'in_parallel', '-j2');
is_clean($target, 'in_parallel', 'restored by two workers: clean');

# A dump of the restored database, restored again
$target->command_ok([ 'pg_dump', '-Fc', '-d', $target->connstr('from_plain'), '-f', "$dir/again.dump" ], 'pg_dump again');
$target->safe_psql('postgres', 'CREATE DATABASE again');
$target->command_ok([ 'pg_restore', '--exit-on-error', '-d', $target->connstr('again'), "$dir/again.dump" ], 'restore again');
is_clean($target, 'again', 'restored twice: clean');
works($target, 'again', "SELECT medsync.seal(); INSERT INTO lab VALUES (70, 1, 'x'); SELECT medsync.seal();", 'going on');
is_clean($target, 'again', 'restored twice: clean after writes');

# What was changed between dump and restore is found
my $text = slurp_file($dump{plain});
my $tampered = $text =~ s/name 7\t/name 8\t/r;
isnt($tampered, $text, 'the dump was edited');
open my $file, '>', "$dir/tampered.sql" or die;
print $file $tampered;
close $file;
$target->safe_psql('postgres', 'CREATE DATABASE tampered');
$target->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $target->connstr('tampered'), '-f', "$dir/tampered.sql" ], 'an edited dump restores');
like(errors($target, 'tampered'), qr/^error\|altered\|"Ward 1"\."Patient"\|\{"Id": 7\}/m, 'the edit is found');

# Without the key

my $keyless = new_node('keyless', conf => "medsync.master_key_file = '$dir/absent'\n");
$keyless->safe_psql('postgres', 'CREATE DATABASE clinic');
$keyless->command_ok([ 'pg_restore', '--exit-on-error', '-d', $keyless->connstr('clinic'), $dump{custom} ],
	'restore without the key file');
my $found = errors($keyless, 'clinic');
like($found, qr/^error\|key_missing\|/m, 'without the key file: key_missing');
unlike($found, qr/\|(altered|extra|missing|entry_altered|image_altered|block_altered|forked|truncated)\|/,
	'and no false word about the rest');
my ($state, $message) = sql_error($keyless, 'clinic', "INSERT INTO lab VALUES (80, 1, 'x')");
is($state, 'MS001', 'without the key file nothing is written');
like($message, qr/HINT:.*medsync\.master_key_file/, 'the hint names the setting');
refused($keyless, 'clinic', "UPDATE lab SET value = 'x' WHERE id = 1", 'MS001', 'an update without the key file');
ok(!-e "$dir/absent", 'no other key was made in its place');
copy($key, "$dir/absent");
chmod 0600, "$dir/absent";
is_clean($keyless, 'clinic', 'clean as soon as the key file is there');
works($keyless, 'clinic', "INSERT INTO lab VALUES (80, 1, 'x'); SELECT medsync.seal();", 'writing with the key file');
is_clean($keyless, 'clinic', 'and clean');

# A file that others can read, and a file of another ledger
chmod 0644, "$dir/absent";
refused($keyless, 'clinic', "INSERT INTO lab VALUES (81, 81, 'x')", 'MS001', 'a key file open to others', hint => 1);
chmod 0600, "$dir/absent";
open $file, '<:raw', "$dir/absent" or die;
my $bytes = do { local $/; <$file> };
close $file;
my $other = $bytes;
substr($other, 3, 1) = substr($other, 3, 1) eq 'a' ? 'b' : 'a';
open $file, '>:raw', "$dir/absent" or die;
print $file $other;
close $file;
refused($keyless, 'clinic', "INSERT INTO lab VALUES (82, 82, 'x')", 'MS001', 'a key file with one byte changed', hint => 1);
like(errors($keyless, 'clinic'), qr/^error\|key_missing\|/m, 'a wrong key file is key_missing');

# People, keys and records, restored by workers that take tables in any order

my $people = new_database($source, 'people');
$source->safe_psql($people, <<'SQL');
CREATE ROLE author;
SELECT medsync.register_person('nurse', 'Nurse ' || i, CASE i WHEN 1 THEN 'author'::regrole END, 'nurse-' || i) FROM generate_series(1, 200) i;
SELECT medsync.verify_person(id), medsync.add_licence(id, 'RN', name, 'Board', now()) FROM medsync.person;
SELECT medsync.add_key(id, 'x25519', (medsync.generate_key_pair('x25519')).public_key) FROM medsync.person;
SET SESSION AUTHORIZATION author;
SELECT medsync.put_record('nurse-' || i, sha512(i::text::bytea), 'x') FROM generate_series(1, 20) i;
RESET SESSION AUTHORIZATION;
SQL
my @own = map { "medsync.$_" } qw(person person_key person_licence _record _record_version _record_wrap _record_chunk record_event);
is( query($source, $people, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND connamespace = 'medsync'::regnamespace"),
	'0', 'no foreign key asks for an order');
my $stored = join "\n", map { "SELECT md5(string_agg(t::text, ' ' ORDER BY t::text COLLATE \"C\")), count(*) FROM $_ t;" } @own;
my $as_stored = query($source, $people, $stored);
like($as_stored, qr/^\w+\|200\n\w+\|200\n\w+\|200\n\w+\|20\n/, 'people with keys and licences');
foreach my $format ('c', 'd')
{
	$source->command_ok([ 'pg_dump', "-F$format", '-d', $source->connstr($people), '-f', "$dir/people.$format" ], "pg_dump -F$format of people");
	foreach my $jobs (1, 2, 4)
	{
		my $name = "people_$format$jobs";

		$source->safe_psql('postgres', "CREATE DATABASE $name");
		$source->command_ok([ 'pg_restore', '--exit-on-error', "-j$jobs", '-d', $source->connstr($name), "$dir/people.$format" ],
			"$name: restored");
		is(query($source, $name, $stored), $as_stored, "$name: everybody with everything");
		is_clean($source, $name, "$name: clean");
		is( query($source, $name, "SET SESSION AUTHORIZATION author; SELECT count(medsync.get_record(record)) FROM medsync.records()"),
			'20', "$name: records open");
		is_clean($source, $name, "$name: clean after that");
	}
}

# A copy of the database in the same cluster

seal_all($source, $db);
$source->safe_psql($db, "INSERT INTO lab VALUES (90, 1, 'unsealed when copied')");
$source->safe_psql('postgres', "CREATE DATABASE twin TEMPLATE $db");
is_clean($source, 'twin', 'a copy of the database: clean');
works($source, 'twin', "INSERT INTO lab VALUES (91, 1, 'in the copy')", 'the copy goes on');
works($source, $db, "INSERT INTO lab VALUES (91, 2, 'in the original')", 'the original goes on');
foreach my $name ('twin', $db)
{
	seal_all($source, $name);
	is_clean($source, $name, "$name: clean after it went on");
}

$_->stop foreach $source, $target, $keyless;
done_testing();
