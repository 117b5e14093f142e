
# Change any one byte, number, time or text in any row of any medsync table,
# or delete any such row: verify(), in the same transaction, must report an
# error.  The tables and columns come from the catalog, so that a table added
# tomorrow is tested tomorrow.  What carries no evidence must be declared in
# docs/security.md under the heading "No evidence", one "table.column: why" or
# "table.*: why" a line, "deleted" standing for a deletion of the row; what is
# declared there and does not exist is an error too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use Digest::SHA qw(sha256);
use IPC::Run;
use MIME::Base64 qw(encode_base64);
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# What is declared to carry no evidence.

my %declared;
my $security = "$FindBin::RealBin/../../docs/security.md";

if (-e $security)
{
	my $inside = 0;

	foreach my $line (split /\n/, slurp_file($security))
	{
		$inside = $1 =~ /^No evidence\s*$/ if $line =~ /^#+\s*(.*)/;
		next unless $inside;
		next unless $line =~ /^[-*\s]*`?([a-z_]+)\.([a-z_]+|\*)`?:\s*(.*)/;
		ok(length($3) > 10, "$1.$2 says why it carries no evidence");
		$declared{"$1.$2"} = 1;
	}
}

my $node = new_node('every_byte', conf => "jit = off\nautovacuum = off\n");
my $db = new_database($node, 'clinic');

# A ledger with everything in it: several tables, a partitioned one, full
# images and hashes, more than one block, an image over a packed row, an
# overflowing transaction, a key-encryption key, and entries not sealed yet.

$node->safe_psql($db, <<'SQL');
CREATE TABLE patient (id int PRIMARY KEY, name text, weight numeric);
CREATE TABLE lab (id int PRIMARY KEY, patient int, value text);
CREATE TABLE keyless (value text);
CREATE TABLE visit (id int, day date, patient int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO patient SELECT i, 'name ' || i, 70 FROM generate_series(1, 5) i;
SELECT medsync.track('patient', subject => 'id');
SELECT medsync.track('lab', subject => 'patient', payload => 'hash');
SELECT medsync.track('keyless');
SELECT medsync.track('visit', subject => 'patient');
SELECT medsync.seal();
INSERT INTO lab VALUES (1, 1, 'positive'), (2, 2, 'negative');
UPDATE patient SET weight = 80 WHERE id <= 3;
SELECT medsync.seal();
INSERT INTO visit VALUES (1, '2026-01-02', 1), (2, '2026-02-02', 2);
INSERT INTO keyless VALUES ('a'), ('a');
DELETE FROM patient WHERE id = 5;
INSERT INTO patient SELECT 6, string_agg(md5(i::text), ''), 3 FROM generate_series(1, 400) i;
SELECT medsync.seal();
-- more than one packed row, one savepoint rolled back
BEGIN;
INSERT INTO lab SELECT i, 1, 'many ' || i FROM generate_series(10, 90) i;
SAVEPOINT s;
INSERT INTO lab SELECT i, 1, 'none ' || i FROM generate_series(110, 120) i;
ROLLBACK TO s;
INSERT INTO lab SELECT i, 1, 'many ' || i FROM generate_series(210, 230) i;
COMMIT;
UPDATE visit SET day = '2026-02-12' WHERE id = 1;
UPDATE patient SET id = 7 WHERE id = 4;
ALTER TABLE lab ADD COLUMN unit text;
-- people, of every status, with every column
SELECT medsync.register_person('nurse', 'Nurse ' || i, CASE i WHEN 1 THEN 'pg_monitor'::regrole END) FROM generate_series(1, 3) i;
SELECT medsync.verify_person(id), medsync.set_specialties(id, '{cardiology}') FROM medsync.person;
SELECT medsync.suspend_person(id, 'away') FROM medsync.person WHERE name = 'Nurse 2';
SELECT medsync.register_person('patient', 'Patient', NULL, 'patient-1');
SELECT id AS nurse FROM medsync.person WHERE name = 'Nurse 3' \gset
SELECT medsync.add_key(id, 'ed25519', (medsync.generate_key_pair('ed25519')).public_key, now() + interval '1 day') FROM medsync.person;
SELECT medsync.revoke_key(id, 'lost') FROM (SELECT id FROM medsync.person_key ORDER BY id LIMIT 1) k;
SELECT medsync.add_licence(id, 'RN', '4711', 'Board', now(), now() + interval '1 day') FROM medsync.person;
SELECT medsync.revoke_licence(id, 'expelled') FROM (SELECT id FROM medsync.person_licence ORDER BY id LIMIT 1) l;
-- records: two versions, with and without a wrap; revoked, refused, damaged and mended
SELECT medsync.add_key(id, 'x25519', (medsync.generate_key_pair('x25519')).public_key) FROM medsync.person WHERE name IN ('Nurse 1', 'Nurse 3');
SET SESSION AUTHORIZATION pg_monitor;
SELECT medsync.put_record('patient-1', 'a letter', 'text/plain', ARRAY[:'nurse']::uuid[], medsync.put_record('patient-1', '', 'text/plain')) AS record \gset
SELECT medsync.get_record(:'record');
SELECT medsync.revoke_record(:'record', :'nurse');
SELECT medsync.grant_record(:'record', :'nurse');
RESET SESSION AUTHORIZATION;
UPDATE medsync._record_chunk SET body = set_byte(body, 0, get_byte(body, 0) # 1) WHERE version = 2;
SET SESSION AUTHORIZATION pg_monitor;
\set ON_ERROR_STOP 0
SELECT medsync.get_record(:'record');
SELECT medsync.get_record(gen_random_uuid());
\set ON_ERROR_STOP 1
RESET SESSION AUTHORIZATION;
UPDATE medsync._record_chunk SET body = set_byte(body, 0, get_byte(body, 0) # 1) WHERE version = 2;
INSERT INTO medsync._pending_event VALUES (gen_random_uuid(), now(), gen_random_uuid(), 1, 'denied', gen_random_uuid(), gen_random_uuid(), 'eve', 'not entitled');
INSERT INTO medsync._spent_challenge VALUES ('\x00112233445566778899aabbccddeeff', now());
SELECT medsync.seal();
-- unsealed
INSERT INTO patient VALUES (8, 'waiting', 1);
UPDATE lab SET value = 'waiting', unit = 'mg' WHERE id = 2;
INSERT INTO patient SELECT 9, string_agg(md5(i::text), ''), 4 FROM generate_series(1, 400) i;
INSERT INTO visit VALUES (3, '2026-01-03', 11);
SQL

# A witness of our own, so that there is a cosignature.
sub cosign
{
	my ($name) = @_;
	my $key = "$PostgreSQL::Test::Utils::tmp_check/witness.pem";
	my ($note, $public, $signature, $time) = (undef, undef, undef, 1700000000);

	system_or_bail('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', $key);
	$public = substr(run_openssl('', 'pkey', '-in', $key, '-pubout', '-outform', 'DER'), -32);
	my $id = substr(sha256("$name\n\x04$public"), 0, 4);
	my $vkey = sprintf('%s+%s+%s', $name, unpack('H*', $id), encode_base64("\x04$public", ''));

	$node->safe_psql($db, "SELECT medsync.add_witness('w', 'http://127.0.0.1:1', '$vkey')");
	$note = $node->safe_psql($db, 'SELECT note FROM medsync._checkpoint ORDER BY height DESC LIMIT 1');
	$note =~ s/\n\n.*/\n/s;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/cosigned";
	append_to_file($file, "cosignature/v1\ntime $time\n$note");
	$signature = run_openssl('', 'pkeyutl', '-sign', '-inkey', $key, '-rawin', '-in', $file);
	my $line = "\xe2\x80\x94 $name " . encode_base64($id . pack('Q>', $time) . $signature, '');
	$node->safe_psql($db, "INSERT INTO medsync._cosignature SELECT max(height), 'w', convert_from('\\x" . unpack('H*', $line) . "', 'UTF8') FROM medsync._checkpoint");
	return;
}

sub run_openssl
{
	my ($input, @command) = @_;
	my $output;

	IPC::Run::run([ 'openssl', @command ], '<', \$input, '>', \$output) or BAIL_OUT("openssl @command failed");
	return $output;
}

cosign('witness.example/w');
# and a second key, with its announcement
$node->safe_psql($db, 'SELECT medsync.rotate_signer_key()');
is_clean($node, $db, 'clean before any change');
cmp_ok(unsealed($node, $db), '>=', 4, 'some entries are unsealed');
cmp_ok(query($node, $db, 'SELECT count(*) FROM medsync.checkpoint'), '>=', 4, 'some blocks');
cmp_ok(query($node, $db, 'SELECT count(*) FROM medsync._image'), '>=', 2, 'some large images');

# The machinery, put into a database that is to be attacked.

my $machinery = <<'SQL';
-- An attacker's constraints are none: NOT NULL goes, so that NULLs can be put.
UPDATE pg_attribute SET attnotnull = false
WHERE attnum > 0 AND attrelid IN (
	SELECT oid FROM pg_class WHERE relnamespace = 'medsync'::regnamespace AND relkind = 'r');

-- Expressions over column %1$s that give another value of its type.
CREATE FUNCTION testing.changes(type text)
RETURNS TABLE (what text, expression text)
LANGUAGE sql AS $$
	SELECT w, e FROM (VALUES
	('bytea', 'first bit', 'set_bit(%1$s, 0, 1 - get_bit(%1$s, 0))'),
	('bytea', 'first byte', 'set_byte(%1$s, 0, get_byte(%1$s, 0) # 128)'),
	('bytea', 'second byte', 'set_byte(%1$s, 1, get_byte(%1$s, 1) # 1)'),
	('bytea', 'middle byte', 'set_byte(%1$s, length(%1$s) / 2, get_byte(%1$s, length(%1$s) / 2) # 16)'),
	('bytea', 'byte at a third', 'set_byte(%1$s, length(%1$s) / 3, get_byte(%1$s, length(%1$s) / 3) # 2)'),
	('bytea', 'byte at seven eighths', 'set_byte(%1$s, length(%1$s) * 7 / 8, get_byte(%1$s, length(%1$s) * 7 / 8) # 64)'),
	('bytea', 'last byte', 'set_byte(%1$s, length(%1$s) - 1, get_byte(%1$s, length(%1$s) - 1) # 1)'),
	('bytea', 'one byte longer', '%1$s || ''\x00''::bytea'),
	('bytea', 'empty', '''''::bytea'),
	('bytea', 'one byte shorter', 'substr(%1$s, 1, length(%1$s) - 1)'),
	('integer', 'plus one', '%1$s + 1'),
	('integer', 'minus one', '%1$s - 1'),
	('integer', 'a high bit', '%1$s # (1 << 20)'),
	('bigint', 'plus one', '%1$s + 1'),
	('bigint', 'minus one', '%1$s - 1'),
	('bigint', 'a high bit', '%1$s # (1::bigint << 40)'),
	('smallint', 'plus one', '%1$s + 1::int2'),
	('boolean', 'not', 'NOT %1$s'),
	('text', 'one letter more', '%1$s || ''x'''),
	('text', 'a blank more', '%1$s || '' '''),
	('text', 'another first letter', 'overlay(%1$s placing ''~'' from 1 for 1)'),
	('text', 'another middle letter', 'overlay(%1$s placing ''~'' from length(%1$s) / 2 + 1 for 1)'),
	('text', 'one letter less', 'left(%1$s, -1)'),
	('name', 'one letter more', '(%1$s || ''x'')::name'),
	('"char"', 'another letter', 'CASE %1$s WHEN ''~'' THEN ''!''::"char" ELSE ''~'' END'),
	('timestamp with time zone', 'a microsecond later', '%1$s + interval ''1 microsecond'''),
	('timestamp with time zone', 'a day earlier', '%1$s - interval ''1 day'''),
	('timestamp without time zone', 'a microsecond later', '%1$s + interval ''1 microsecond'''),
	('date', 'a day later', '%1$s + 1'),
	('double precision', 'plus one', '%1$s + 1'),
	('numeric', 'plus one', '%1$s + 1'),
	('uuid', 'another', 'overlay(%1$s::text placing CASE left(%1$s::text, 1) WHEN ''0'' THEN ''1'' ELSE ''0'' END from 1 for 1)::uuid'),
	('oid', 'plus one', '(%1$s::bigint + 1)::oid'),
	('xid8', 'plus one', '((%1$s::text)::numeric + 1)::text::xid8'),
	('xid8', 'minus one', '((%1$s::text)::numeric - 1)::text::xid8'),
	('xid8', 'another epoch', '((%1$s::text)::numeric + 4294967296)::text::xid8'),
	('pg_snapshot', 'later end', 'format(''%%s:%%s:%%s'', pg_snapshot_xmin(%1$s), pg_snapshot_xmax(%1$s)::text::bigint + 1, (SELECT string_agg(x::text, '','') FROM pg_snapshot_xip(%1$s) x))::pg_snapshot'),
	('pg_snapshot', 'one more in progress', 'format(''%%s:%%s:%%s'', pg_snapshot_xmin(%1$s)::text::bigint - 1, pg_snapshot_xmax(%1$s), concat_ws('','', pg_snapshot_xmin(%1$s)::text::bigint - 1, (SELECT string_agg(x::text, '','') FROM pg_snapshot_xip(%1$s) x)))::pg_snapshot'),
	('bigint[]', 'one more', '%1$s || 1::bigint'),
	('integer[]', 'one more', '%1$s || 1'),
	('text[]', 'one more', '%1$s || ''x''::text'),
	('name[]', 'one more', '%1$s || ''x''::name'),
	('jsonb', 'another', 'jsonb_build_array(%1$s)'),
	('regclass', 'another', '(%1$s::oid::bigint + 1)::oid::regclass'))
	AS c (t, w, e)
	WHERE t = type
	UNION ALL
	SELECT 'made NULL', 'NULL'
$$;

-- A value where there was NULL.
CREATE FUNCTION testing.some_value(type text) RETURNS text
LANGUAGE sql AS $$
	SELECT CASE type
		WHEN 'bytea' THEN '''\x01''::bytea' WHEN 'text' THEN '''x''' WHEN 'boolean' THEN 'true'
		WHEN 'timestamp with time zone' THEN 'now()' WHEN 'pg_snapshot' THEN 'pg_current_snapshot()'
		WHEN 'xid8' THEN '''7''::xid8' WHEN 'name' THEN '''x''::name' WHEN 'uuid' THEN 'gen_random_uuid()'
		ELSE '1' END
$$;

-- Do one thing, past triggers, verify, undo it.  What verify said in errors,
-- or why the thing could not be done.
CREATE FUNCTION testing.try(command text, OUT done bool, OUT errors bigint, OUT trouble text)
LANGUAGE plpgsql AS $$
DECLARE
	changed bigint;
BEGIN
	done := false;
	BEGIN
		UPDATE pg_class SET relhastriggers = false WHERE relhastriggers AND relnamespace = 'medsync'::regnamespace;
		EXECUTE command;
		GET DIAGNOSTICS changed = ROW_COUNT;
		UPDATE pg_class SET relhastriggers = true
		WHERE relnamespace = 'medsync'::regnamespace AND oid IN (SELECT tgrelid FROM pg_trigger);
		IF changed = 0 THEN
			RAISE SQLSTATE 'TT000' USING MESSAGE = 'nothing changed';
		END IF;
		done := true;
		SELECT count(*) FROM medsync.verify() WHERE severity = 'error' INTO errors;
		RAISE SQLSTATE 'TT001';
	EXCEPTION
		WHEN SQLSTATE 'TT001' THEN
			NULL;
		WHEN OTHERS THEN
			trouble := SQLSTATE || ': ' || SQLERRM;
	END;
END $$;

-- What is tried, and what came of it; begun and not ended is a crash.
CREATE TABLE testing.result (
	n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	tab text, col text, place text, what text, command text,
	begun bool NOT NULL DEFAULT false, done bool, errors bigint, trouble text);

-- Write down every change to try: all rows of a table if they are few, else
-- the first, the middle, the last, and some.
CREATE FUNCTION testing.plan(sample int, heavy bool, tables text DEFAULT '%') RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	tab record;
	col record;
	change record;
	place tid;
	is_null bool;
	ctids tid[];
	bytes int;
BEGIN
	FOR tab IN
		SELECT oid::regclass AS name, relname, oid FROM pg_class
		WHERE relnamespace = 'medsync'::regnamespace AND relkind = 'r' AND relname LIKE tables ORDER BY relname
	LOOP
		EXECUTE format($q$
			SELECT array_agg(ctid) FROM (
				SELECT ctid, row_number() OVER (ORDER BY ctid) AS n, count(*) OVER () AS all_rows,
					row_number() OVER (ORDER BY random()) AS lot
				FROM %s) r
			WHERE all_rows <= $1 OR n IN (1, all_rows / 2, all_rows) OR lot <= $1 - 3
			$q$, tab.name) INTO ctids USING sample;

		FOREACH place IN ARRAY coalesce(ctids, '{}')
		LOOP
			INSERT INTO testing.result (tab, col, place, what, command)
			VALUES (tab.relname, '*', place::text, 'row deleted',
				format('DELETE FROM %s WHERE ctid = %L', tab.name, place));

			FOR col IN
				SELECT attname, quote_ident(attname) AS name, format_type(atttypid, NULL) AS type
				FROM pg_attribute WHERE attrelid = tab.oid AND attnum > 0 AND NOT attisdropped
				ORDER BY attnum
			LOOP
				EXECUTE format('SELECT %s IS NULL FROM %s WHERE ctid = %L', col.name, tab.name, place) INTO is_null;
				bytes := 0;
				IF heavy AND col.type = 'bytea' AND NOT is_null THEN
					EXECUTE format('SELECT length(%s) FROM %s WHERE ctid = %L', col.name, tab.name, place) INTO bytes;
				END IF;
				FOR change IN
					SELECT * FROM testing.changes(col.type) c WHERE NOT is_null
					UNION ALL
					-- every byte, when time is no matter
					SELECT 'byte ' || i, format('set_byte(%%1$s, %s, get_byte(%%1$s, %1$s) # %s)', i, 1 << i % 8)
					FROM generate_series(0, bytes - 1) i
					UNION ALL
					SELECT 'a value for NULL', testing.some_value(col.type) WHERE is_null
				LOOP
					INSERT INTO testing.result (tab, col, place, what, command)
					VALUES (tab.relname, col.attname, place::text, change.what,
						format('UPDATE %s SET %s = %s WHERE ctid = %L AND %2$s::text IS DISTINCT FROM (%3$s)::text',
							tab.name, col.name, format(change.expression, col.name), place));
				END LOOP;
			END LOOP;
		END LOOP;
	END LOOP;
END $$;

-- Try them one after another, each noted before it begins.
CREATE PROCEDURE testing.run()
LANGUAGE plpgsql AS $$
DECLARE
	r testing.result;
BEGIN
	LOOP
		SELECT * FROM testing.result WHERE NOT begun ORDER BY n LIMIT 1 INTO r;
		EXIT WHEN NOT FOUND;
		UPDATE testing.result SET begun = true WHERE n = r.n;
		COMMIT;
		UPDATE testing.result SET (done, errors, trouble) = (SELECT * FROM testing.try(r.command)) WHERE n = r.n;
	END LOOP;
END $$;
CREATE INDEX ON testing.result (n) WHERE NOT begun;
SQL

# Try every change of some rows of some tables; a crash is noted, and the rest
# goes on.
sub attack
{
	my ($name, $sample, $bytes, $tables) = @_;

	$node->safe_psql($name, $machinery);
	$node->safe_psql($name, sprintf("SELECT testing.plan(%d, %s, '%s')", $sample, $bytes ? 'true' : 'false', $tables));
	foreach my $attempt (1 .. 20)
	{
		my $status = $node->psql($name, 'CALL testing.run()', timeout => 3600);

		last if defined $status && $status == 0;
		settled($node);
	}
	$node->safe_psql($name, "UPDATE testing.result SET done = true, trouble = 'the server crashed' WHERE begun AND done IS NULL");
	is(query($node, $name, 'SELECT count(*) FROM testing.result WHERE NOT begun'), '0', "$name: everything was tried");
	note(query($node, $name, "SELECT count(*) || ' changes tried, ' || count(*) FILTER (WHERE done) || ' made' FROM testing.result"));
	return;
}

attack($db, heavy() ? 40 : 6, heavy(), '%');

# Constraints of a table may refuse some change of a column; one at least, of
# each column, must have been possible, else nothing is proved.

my $undeclared = join ',', "('')", map { "('$_'), ('" . s/\.\*$//r . "')" } sort keys %declared;

sub all_found
{
	my ($name, $table) = @_;

	# a table without rows proves nothing
	isnt(query($node, $name, "SELECT count(*) FROM testing.result WHERE tab = '$table'"), '0', "$table was tested");
	is( query($node, $name, <<SQL), '', "$table: every row and column could be changed");
SELECT col, max(trouble) FROM testing.result WHERE tab = '$table' GROUP BY 1 HAVING NOT bool_or(done)
SQL
	is( query($node, $name, <<SQL), '', "$table: no internal trouble");
SELECT col, place, what, trouble FROM testing.result
WHERE tab = '$table' AND trouble IS NOT NULL AND (done OR trouble !~ '^(TT000|23|22)')
LIMIT 8
SQL
	is( query($node, $name, <<SQL), '', "$table: every change and every deletion is found");
SELECT col, what, count(*), min(place) FROM testing.result
WHERE tab = '$table' AND done AND trouble IS NULL AND errors = 0
  AND NOT (tab || '.' || CASE what WHEN 'row deleted' THEN 'deleted' ELSE col END) IN (VALUES $undeclared)
GROUP BY col, what ORDER BY 1, 2
SQL
	return;
}

my @tables = split /\n/, query($node, $db, <<'SQL');
SELECT relname FROM pg_class WHERE relnamespace = 'medsync'::regnamespace AND relkind = 'r' ORDER BY 1
SQL
foreach my $table (@tables)
{
	# that one needs a ledger of many entries, see below
	next if $table eq '_lookup';
	if ($declared{"$table.*"})
	{
		note("$table carries no evidence");
		next;
	}
	all_found($db, $table);
}

# What is declared must exist, and be right: no column is excused for nothing.
foreach my $name (sort keys %declared)
{
	my ($table, $column) = split /\./, $name;

	is( query($node, $db, <<SQL), 't', "$name, declared to carry no evidence, exists");
SELECT count(*) > 0 FROM pg_attribute
WHERE attrelid = to_regclass('medsync.$table') AND attnum > 0
  AND ('$column' IN ('*', 'deleted') OR attname = '$column')
SQL
	cmp_ok(query($node, $db, <<SQL), '>', 0, "$name is rightly declared: some change of it is not found");
SELECT count(*) FROM testing.result
WHERE tab = '$table' AND ('$column' IN ('*', CASE what WHEN 'row deleted' THEN 'deleted' ELSE col END)) AND done AND errors = 0
SQL
}

is_clean($node, $db, 'clean after all changes were undone');

# Look-up structures are made of full segments of 65,536 entries.

new_database($node, 'large');
$node->safe_psql('large', <<'SQL');
CREATE TABLE lab (id int PRIMARY KEY, patient int);
SELECT medsync.track('lab', subject => 'patient', payload => 'hash');
INSERT INTO lab SELECT i, i % 5 FROM generate_series(1, 40000) i;
SELECT medsync.seal();
UPDATE lab SET id = -id WHERE id < 14000;
SELECT medsync.seal();
SQL
is_clean($node, 'large', 'a large ledger is clean');
if ($declared{'_lookup.*'})
{
	note('_lookup carries no evidence');
}
else
{
	attack('large', 3, 0, '\_lookup');
	all_found('large', '_lookup');
}
is_clean($node, 'large', 'clean after all changes were undone');

is_quiet($node);
$node->stop;
done_testing();
