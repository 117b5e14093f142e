
# Rows that must be signed: every way in which a row comes into a table is
# checked, on the row as it is stored; and what a superuser puts there past
# all checks, verify() finds.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use SignedRows;
use Test::More;

my $node = new_node('signed', init => { allows_streaming => 'logical' });
my $db = new_database($node, 'clinic');

add_signers($node, $db);

my $bad = qr/row of table "\w+" is not validly signed/;

# A statement that must be refused because of a signature.
sub unsigned
{
	my ($sql, $detail, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($state, $text) = sql_error($node, $db, $sql);

	is($state, 'MS006', "$name: refused");
	like($text, $bad, "$name: words");
	like($text, $detail, "$name: reason");
	return;
}

my $mismatch = qr/The signature is not that key's over this row\./;
my $missing = qr/Its signer or its signature is missing\./;

$node->safe_psql($db, <<'SQL');
CREATE TABLE note (id int PRIMARY KEY, patient text, body text, signer uuid, signature bytea, whom uuid);
CREATE TABLE twin (LIKE note INCLUDING ALL);
CREATE TABLE hashed (LIKE note INCLUDING ALL);
SELECT medsync.track('note', subject => 'patient');
SELECT medsync.track('twin', subject => 'patient');
SELECT medsync.track('hashed', subject => 'patient', payload => 'hash');
SELECT medsync.require_signature(r, 'signer', 'signature', 'whom')
	FROM unnest(ARRAY['note', 'twin', 'hashed']::regclass[]) r;
SELECT signing.enter(r, who, jsonb_build_object('id', i, 'patient', 'p' || i, 'body', 'entry ' || i))
	FROM unnest(ARRAY['note', 'hashed']::regclass[]) r,
	unnest(ARRAY['ada', 'ada p-256', 'ada rsa', 'ben']) WITH ORDINALITY w(who, i);
SELECT medsync.seal();
SQL
is_clean($node, $db, 'signed rows of all algorithms');
is( query($node, $db, "SELECT DISTINCT held - 'person' FROM medsync.signatures('hashed') ORDER BY 1"),
	"{\"kind\": \"nurse\"}\n{\"kind\": \"practitioner\", \"licences\": [{\"code\": \"MD\", \"number\": \"4711\"}]}",
	'what held is recorded, without images too');
is( query($node, $db, "SELECT count(*), count(valid), count(row_key), count(author) FROM medsync.signatures('hashed')"),
	'4|0|0|4', 'without the row nothing is said of its signature');

# Replay

unsigned(
	"SELECT signing.put('twin', signing.sign('note', 'ada', '{\"id\": 1}'))",
	$mismatch, 'a signature from another table');
unsigned(
	"INSERT INTO twin SELECT * FROM note WHERE id = 1", $mismatch,
	'a row copied from another table');
unsigned("INSERT INTO note SELECT 9, patient, body, signer, signature, whom FROM note WHERE id = 1",
	$mismatch, 'a signature from another row');
unsigned("UPDATE note SET signature = (SELECT signature FROM note WHERE id = 2), signer = (SELECT signer FROM note WHERE id = 2) WHERE id = 1",
	$mismatch, 'signature and signer of another row');
unsigned("UPDATE note SET signature = signature || '\\x00' WHERE id = 1", $mismatch, 'a byte too much');
unsigned("UPDATE note SET signature = substr(signature, 1, 63) WHERE id = 1", $mismatch, 'a byte too few');
unsigned("UPDATE note SET signature = substr(signature, 1, 255) WHERE id = 3", $mismatch, 'an RSA signature cut short');
unsigned("UPDATE note SET signature = set_byte(signature, 5, get_byte(signature, 5) # 1) WHERE id = $_",
	$mismatch, "a bit flipped, row $_") foreach 1 .. 4;
my $other = new_database($node, 'other');
add_signers($node, $other);
$node->safe_psql($other, <<'SQL');
CREATE TABLE note (id int PRIMARY KEY, patient text, body text, signer uuid, signature bytea, whom uuid);
SELECT medsync.track('note', subject => 'patient');
SELECT medsync.require_signature('note', 'signer', 'signature');
SQL
my ($row, $public) = split /\|/, query($node, $db,
	"SELECT to_jsonb(n), k.public_key FROM note n JOIN medsync.person_key k ON k.id = signer WHERE n.id = 1");
$node->safe_psql($other, "SELECT medsync.untrack('medsync.person_key'); INSERT INTO medsync.person_key SELECT (r.j->>'signer')::uuid, p.id, 'ed25519', '$public', now() FROM medsync.person p, (SELECT '$row'::jsonb) r(j) WHERE name = 'Ada'");
my ($state, $text) = sql_error($node, $other, "SELECT signing.put('note', '$row')");
is($state, 'MS006', 'a signature from another database, whose key is known here as well: refused');
like($text, $mismatch, 'a signature from another database: reason');

# What changes a row after the client has signed it

$node->safe_psql($db, <<'SQL');
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.body := upper(NEW.body); RETURN NEW; END $$;
CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON twin FOR EACH ROW EXECUTE FUNCTION shout();
SQL
unsigned("SELECT signing.enter('twin', 'ada', '{\"id\": 1, \"body\": \"quiet\"}')", $mismatch, 'a BEFORE trigger changes the row');
works($node, $db, "SELECT signing.enter('twin', 'ada', '{\"id\": 1, \"body\": \"LOUD\"}')", 'the row as a trigger leaves it');
$node->safe_psql($db, <<'SQL');
CREATE TABLE ward (id int PRIMARY KEY);
INSERT INTO ward VALUES (1), (2), (3);
CREATE TABLE stay (id int PRIMARY KEY, ward int REFERENCES ward ON UPDATE CASCADE ON DELETE SET NULL, signer uuid, signature bytea);
CREATE TABLE bed (id int PRIMARY KEY, ward int REFERENCES ward ON DELETE CASCADE, signer uuid, signature bytea);
SELECT medsync.track(r, payload => 'hash'), medsync.require_signature(r, 'signer', 'signature')
	FROM unnest(ARRAY['stay', 'bed']::regclass[]) r;
SELECT signing.enter('stay', 'ben', '{"id": 1, "ward": 1}'), signing.enter('stay', 'ben', '{"id": 2, "ward": 2}'),
	signing.enter('bed', 'ben', '{"id": 1, "ward": 3}');
SQL
unsigned('UPDATE ward SET id = 10 WHERE id = 1', $mismatch, 'ON UPDATE CASCADE');
unsigned('DELETE FROM ward WHERE id = 2', $mismatch, 'ON DELETE SET NULL');
works($node, $db, 'DELETE FROM ward WHERE id = 3', 'ON DELETE CASCADE, which leaves no row,');
is(query($node, $db, 'SELECT count(*) FROM bed'), '0', 'the row is gone');

# Every way in

unsigned("SET session_replication_role = replica; INSERT INTO note VALUES (20, 'p', 'x')", $missing, 'as a replica');
unsigned("BEGIN; SET CONSTRAINTS ALL DEFERRED; INSERT INTO note VALUES (20, 'p', 'x'); COMMIT", $missing, 'in a transaction block');
my $copy = own_directory() . '/signed.copy';
works($node, $db, <<"SQL", 'COPY, ON CONFLICT and MERGE of signed rows');
COPY (SELECT r.* FROM generate_series(30, 33) i,
	jsonb_populate_record(NULL::note, signing.sign('note', 'ben', jsonb_build_object('id', i, 'patient', 'p' || i))) r)
	TO '$copy';
COPY note FROM '$copy';
DELETE FROM note WHERE id >= 30;
COPY note FROM '$copy' (FREEZE false);
INSERT INTO note SELECT * FROM jsonb_populate_record(NULL::note, signing.sign('note', 'ada', '{"id": 30, "patient": "p30", "body": "second"}'))
	ON CONFLICT (id) DO UPDATE SET body = excluded.body, signer = excluded.signer, signature = excluded.signature;
MERGE INTO note USING jsonb_populate_record(NULL::note, signing.sign('note', 'ada', '{"id": 31, "patient": "p31", "body": "second"}')) s ON s.id = note.id
	WHEN MATCHED THEN UPDATE SET body = s.body, signer = s.signer, signature = s.signature;
WITH gone AS (DELETE FROM note WHERE id = 32 RETURNING *)
	INSERT INTO note SELECT r.* FROM gone, jsonb_populate_record(NULL::note, signing.sign('note', 'ada', '{"id": 34}')) r;
BEGIN;
SELECT signing.enter('note', 'ada', jsonb_build_object('id', 35, 'patient', 'p35', 'body', repeat('large ', 500000)));
PREPARE TRANSACTION 'half';
COMMIT PREPARED 'half';
SQL
is_clean($node, $db, 'after all of them');
unsigned("UPDATE note SET body = left(body, -1) WHERE id = 35", $mismatch, 'a letter of a large row');

# The key now, and the key then

$node->safe_psql($db, "SELECT signing.new_key('short', person, 'ed25519', now() + interval '2 s') FROM signing.held WHERE who = 'ada'");
$node->safe_psql($db, "SELECT signing.enter('note', 'short', '{\"id\": 40, \"patient\": \"p\"}')");
is(query($node, $db, "SELECT held->>'valid_until' LIKE '20%+00:00' FROM medsync.signatures('note', '{\"id\": 40}')"), 't', 'the end of a key is recorded');
sleep 3;
unsigned("SELECT signing.enter('note', 'short', '{\"id\": 41, \"patient\": \"p\"}')", qr/The signer's key had expired/, 'an expired key');
works($node, $db, 'UPDATE note SET body = body WHERE id = 40', 'an update that changes nothing under an expired key');
works($node, $db, "SELECT signing.change('note', signing.sign('note', 'ada', '{\"id\": 40, \"patient\": \"p\"}'))", 'the same under a key of today');
unsigned("SELECT signing.change('note', signing.sign('note', 'short', '{\"id\": 40, \"patient\": \"p\"}'))", qr/had expired/, 'and back');
$node->safe_psql($db, "SELECT signing.new_key('early', person, 'ed25519') FROM signing.held WHERE who = 'ada'");
$node->safe_psql($db, "SELECT medsync.untrack('medsync.person_key'); UPDATE medsync.person_key SET valid_from = now() + interval '1 day' WHERE id = (SELECT id FROM signing.held WHERE who = 'early')");
unsigned("SELECT signing.enter('note', 'early', '{\"id\": 41, \"patient\": \"p\"}')", qr/was not valid yet/, 'a key of tomorrow');

# A session that is open learns of a revocation and of a suspension

$node->safe_psql($db, "SELECT signing.new_key('lost', person, 'ed25519') FROM signing.held WHERE who = 'ben'");
my $open = $node->background_psql($db, on_error_stop => 0);
$open->query_safe("BEGIN; SELECT signing.enter('note', 'lost', '{\"id\": 50, \"patient\": \"p\"}')");
$node->safe_psql($db, "SELECT medsync.revoke_key(id, 'lost') FROM signing.held WHERE who = 'lost'");
$open->query("SELECT signing.enter('note', 'lost', '{\"id\": 51, \"patient\": \"p\"}')");
like($open->{stderr}, qr/had been revoked/, 'an open transaction learns of a revocation');
$open->{stderr} = '';
$open->query('ROLLBACK');
$open->query_safe("BEGIN; SELECT signing.enter('note', 'ben', '{\"id\": 50, \"patient\": \"p\"}')");
$node->safe_psql($db, "SELECT medsync.suspend_person(person, 'left') FROM signing.held WHERE who = 'ben'");
$open->query("SELECT signing.enter('note', 'ben', '{\"id\": 51, \"patient\": \"p\"}')");
like($open->{stderr}, qr/The signer is not active/, 'and of a suspension');
$open->{stderr} = '';
$open->query('ROLLBACK');
$open->quit;
$node->safe_psql($db, "SELECT medsync.verify_person(person) FROM signing.held WHERE who = 'ben'");
$node->safe_psql($db, 'SELECT medsync.seal()');
is_clean($node, $db, 'revoked, expired and suspended since');

# So does a statement that runs

$node->safe_psql($db, "SELECT signing.new_key('stolen', person, 'ed25519') FROM signing.held WHERE who = 'ben'");
$node->safe_psql($db, "SELECT signing.new_key('ending', person, 'ed25519', now() + interval '1500 ms') FROM signing.held WHERE who = 'ben'");
foreach my $who ('stolen', 'ending')
{
	my $running = $node->background_psql($db, on_error_stop => 0);
	$running->query_until(qr/started/, <<SQL);
\\echo started
DO \$\$ BEGIN
	PERFORM signing.enter('note', '$who', '{"id": 52, "patient": "p"}');
	PERFORM pg_sleep(3);
	PERFORM signing.enter('note', '$who', '{"id": 53, "patient": "p"}');
END \$\$;
\\echo ended
SQL
	if ($who eq 'stolen')
	{
		$node->poll_query_until($db, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'");
		$node->safe_psql($db, "SELECT medsync.revoke_key(id, 'stolen') FROM signing.held WHERE who = 'stolen'");
	}
	$running->query_until(qr/ended/, "SELECT 1;\n");
	like($running->{stderr}, $who eq 'stolen' ? qr/had been revoked/ : qr/had expired/, "a statement that runs when a key ends: $who");
	$running->quit;
}
is(query($node, $db, 'SELECT count(*) FROM note WHERE id IN (52, 53)'), '0', 'and it leaves nothing');

# And many transactions of one statement

$node->safe_psql($db, "SELECT signing.new_key('looping', person, 'ed25519') FROM signing.held WHERE who = 'ben'");
my $loop = $node->background_psql($db, on_error_stop => 0);
$loop->query_until(qr/started/, <<'SQL');
\echo started
DO $$ BEGIN
	PERFORM signing.enter('note', 'looping', '{"id": 54, "patient": "p"}');
	COMMIT;
	FOR i IN 1 .. 600 LOOP
		EXIT WHEN EXISTS (SELECT FROM medsync.person_key WHERE revocation_reason = 'loop');
		PERFORM pg_sleep(0.05);
		COMMIT;
	END LOOP;
	PERFORM signing.enter('note', 'looping', '{"id": 55, "patient": "p"}');
END $$;
\echo ended
SQL
$node->poll_query_until($db, 'SELECT count(*) = 1 FROM note WHERE id = 54');
$node->safe_psql($db, "SELECT medsync.revoke_key(id, 'loop') FROM signing.held WHERE who = 'looping'");
$loop->query_until(qr/ended/, "SELECT 1;\n");
like($loop->{stderr}, qr/had been revoked/, 'a revocation counts in the next transaction of a statement');
$loop->quit;
is(query($node, $db, 'SELECT count(*) FROM note WHERE id IN (54, 55)'), '1', 'what was committed before stays');

# A key that is newer than the snapshot

my $old = $node->background_psql($db, on_error_stop => 0);
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$node->safe_psql($db, "SELECT signing.new_key('newer', person, 'ed25519') FROM signing.held WHERE who = 'ben'");
my $newer = query($node, $db, "SELECT signing.sign('note', 'newer', '{\"id\": 58, \"patient\": \"p\"}')");
$old->query_safe("SELECT signing.put('note', '$newer')");
is($old->query_safe("SELECT verdict, detail FROM medsync.verify() WHERE severity = 'error'"), '', 'a key that is newer than the snapshot is no false alarm');
is($old->query_safe("SELECT valid FROM medsync.signatures('note', '{\"id\": 58}')"), 't', 'and signatures() knows it');
$old->query_safe('COMMIT');
$old->quit;

# What is signed while a revocation is under way is no false alarm

$node->safe_psql($db, "SELECT signing.new_key('meanwhile', person, 'ed25519') FROM signing.held WHERE who = 'ben'");
my $revoking = $node->background_psql($db, on_error_stop => 0);
$revoking->query_safe("BEGIN; SELECT medsync.revoke_key(id, 'slow') FROM signing.held WHERE who = 'meanwhile'");
$node->safe_psql($db, "SELECT signing.enter('note', 'meanwhile', '{\"id\": 56, \"patient\": \"p\"}')");
$revoking->query_safe('COMMIT');
unsigned("SELECT signing.enter('note', 'meanwhile', '{\"id\": 57, \"patient\": \"p\"}')", qr/had been revoked/, 'after the commit');
is_clean($node, $db, 'signed while the revocation was open');
is(query($node, $db, "SELECT valid FROM medsync.signatures('note', '{\"id\": 56}')"), 't', 'and it is valid');
$revoking->query("BEGIN; SAVEPOINT s; SELECT medsync.revoke_key(id, 'x') FROM signing.held WHERE who = 'ada'; PREPARE TRANSACTION 'revocation'");
like($revoking->{stderr}, qr/ERROR:  cannot prepare a transaction that has revoked a key/, 'a revocation cannot be prepared');
$revoking->{stderr} = '';
$revoking->query_safe("BEGIN; SAVEPOINT s; SELECT medsync.revoke_key(id, 'x') FROM signing.held WHERE who = 'ada'; ROLLBACK TO s; PREPARE TRANSACTION 'revocation'");
$revoking->query_safe("ROLLBACK PREPARED 'revocation'");
is($revoking->{stderr}, '', 'unless it is rolled back before');
$revoking->quit;

# A demand that begins, or does not, while sessions remember how the table was

$node->safe_psql($db, 'CREATE TABLE late (LIKE note INCLUDING ALL)');
$node->safe_psql($db, "SELECT medsync.track('late', subject => 'patient', payload => 'hash')");
$open = $node->background_psql($db, on_error_stop => 0);
$open->query_safe('PREPARE enter AS INSERT INTO late (id) VALUES ($1)');
$open->query_safe('EXECUTE enter(1); DELETE FROM late');
$open->query_safe(<<'SQL');
BEGIN;
SELECT medsync.require_signature('late', 'signer', 'signature');
ROLLBACK;
EXECUTE enter(2);
DELETE FROM late;
BEGIN;
SAVEPOINT s;
SELECT medsync.require_signature('late', 'signer', 'signature');
ROLLBACK TO s;
EXECUTE enter(3);
COMMIT;
DELETE FROM late;
SQL
is($open->{stderr}, '', 'a demand that is rolled back is none');
$node->safe_psql($db, "SELECT medsync.require_signature('late', 'signer', 'signature')");
$open->query('EXECUTE enter(4)');
like($open->{stderr}, $bad, 'a prepared statement of an open session meets the demand');
$open->quit;
is( query($node, $db, <<'SQL'), 't|20', 'parallel workers give the same bytes');
SET force_parallel_mode = on; SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0;
SELECT bool_and(medsync.signing_bytes(r) = medsync.signing_bytes(jsonb_populate_record(NULL::late, to_jsonb(r)))), count(*)
FROM (SELECT ROW(i, 'p', 'b', '00112233-4455-6677-8899-aabbccddeeff', NULL, NULL)::late AS r FROM generate_series(1, 20) i) x
SQL

# Partitions: what is signed has the numbers of the root

$node->safe_psql($db, <<'SQL');
CREATE TABLE visit (id int, month int, note text, signer uuid, signature bytea, PRIMARY KEY (id, month)) PARTITION BY LIST (month);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES IN (1);
SELECT medsync.track('visit');
SELECT medsync.require_signature('visit', 'signer', 'signature');
CREATE TABLE visit_2 PARTITION OF visit FOR VALUES IN (2);
CREATE TABLE visit_3 (signature bytea, gone int, note text, month int NOT NULL, signer uuid, id int NOT NULL);
ALTER TABLE visit_3 DROP COLUMN gone;
CREATE TABLE visit_4 (signature bytea, note text, month int NOT NULL, signer uuid, id int NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE visit_4_1 (id int NOT NULL, month int NOT NULL, signature bytea, signer uuid, note text);
SELECT signing.enter('visit', 'ada', jsonb_build_object('id', i, 'month', 1 + i % 2, 'note', 'n' || i)) FROM generate_series(1, 6) i;
INSERT INTO visit_3 (id, month, note) VALUES (100, 3, 'unsigned');
SQL
unsigned('ALTER TABLE visit ATTACH PARTITION visit_3 FOR VALUES IN (3)', $missing, 'a partition with an unsigned row');
$node->safe_psql($db, <<'SQL');
DELETE FROM visit_3;
INSERT INTO visit_3 (id, month, note, signer, signature) SELECT id, month, note, signer, signature
	FROM jsonb_populate_record(NULL::visit, signing.sign('visit', 'ada', '{"id": 100, "month": 3, "note": "brought along"}'));
ALTER TABLE visit ATTACH PARTITION visit_3 FOR VALUES IN (3);
ALTER TABLE visit ATTACH PARTITION visit_4 FOR VALUES IN (4);
ALTER TABLE visit_4 ATTACH PARTITION visit_4_1 FOR VALUES FROM (0) TO (1000);
SELECT signing.enter('visit', 'ada rsa', '{"id": 7, "month": 3, "note": "other order"}'),
	signing.enter('visit', 'ada rsa', '{"id": 8, "month": 4, "note": "other order"}');
SQL
is( query($node, $db, "SELECT medsync.signing_bytes(jsonb_populate_record(NULL::visit, j)) = medsync.signing_bytes(jsonb_populate_record(NULL::visit_4_1, j)) FROM (SELECT '{\"id\": 8, \"month\": 4, \"note\": \"x\", \"signer\": \"00112233-4455-6677-8899-aabbccddeeff\"}'::jsonb) x(j)"),
	't', 'one message, whichever row type is asked');
unsigned('UPDATE visit SET month = 3 WHERE id = 1', $mismatch, 'a row that moves is another row');
works($node, $db, "SELECT signing.change('visit', signing.sign('visit', 'ben', '{\"id\": 1, \"month\": 3, \"note\": \"moved\"}'))", 'a row that moves, signed again');
works($node, $db, "SELECT signing.put('visit_4_1', signing.sign('visit', 'ben', '{\"id\": 9, \"month\": 4}'))", 'straight into a partition');
unsigned("INSERT INTO visit_2 (id, month) VALUES (10, 2)", $missing, 'unsigned straight into a partition');
works($node, $db, 'ALTER TABLE visit ADD COLUMN extra int; UPDATE visit SET id = id', 'adding a column');
refused($node, $db, 'ALTER TABLE visit RENAME COLUMN note TO remark', 'MS003', 'renaming a column', hint => 1,
	like => qr/Its rows must be signed, and would say something else if column "note" got another name/);
refused($node, $db, 'BEGIN; ALTER TABLE visit RENAME note TO swapping; ALTER TABLE visit RENAME extra TO note; COMMIT', 'MS003', 'swapping columns');
refused($node, $db, "BEGIN; SET session_replication_role = replica; ALTER TABLE visit RENAME note TO remark; COMMIT", 'MS003', 'renaming a column as a replica');
works($node, $db, 'ALTER TABLE visit RENAME TO appointment; ALTER TABLE visit_2 RENAME TO february; ALTER TABLE appointment RENAME TO visit; ALTER TABLE february RENAME TO visit_2',
	'renaming tables');
refused($node, $db, 'CREATE TABLE heir () INHERITS (note)', 'MS003', 'a table that inherits', hint => 1);
refused($node, $db, "BEGIN; CREATE TABLE old (LIKE note INCLUDING ALL); CREATE TABLE heir () INHERITS (old); SELECT medsync.track('old'), medsync.require_signature('old', 'signer', 'signature')",
	'42809', 'a demand for a table from which another inherits');
$node->safe_psql($db, 'SELECT medsync.seal()');
is_clean($node, $db, 'partitions');
is(query($node, $db, "SELECT bool_and(valid), count(*) FROM medsync.signatures('visit')"), 't|21', 'signatures of all partitions hold');

# Untracked and tracked again, it is another table

$node->safe_psql($db, "SELECT medsync.untrack('twin'); SELECT medsync.track('twin', subject => 'patient')");
my ($again, $why) = sql_error($node, $db, "SELECT medsync.require_signature('twin', 'signer', 'signature')");
is($again, 'MS006', 'a signature does not fit a new table number');
like($why, qr/1 row of table "twin" is not validly signed/, 'and is counted');

# A dump

my $dump = own_directory() . '/dump.sql';
$node->command_ok([ 'pg_dump', '-d', $node->connstr($db), '-f', $dump ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('restored'), '-f', $dump ], 'restore');
is_clean($node, 'restored', 'the restored database');
works($node, 'restored', "SELECT signing.enter('note', 'ada', '{\"id\": 60, \"patient\": \"p\"}')", 'a signed row there');
refused($node, 'restored', 'INSERT INTO note VALUES (61)', 'MS006', 'an unsigned one there');
is_clean($node, 'restored', 'the restored database after that');

# Logical replication

my $publisher = new_node('publisher', init => { allows_streaming => 'logical' });
$publisher->safe_psql('postgres', 'CREATE TABLE note (id int PRIMARY KEY, patient text, body text, signer uuid, signature bytea, whom uuid); CREATE PUBLICATION p FOR TABLE note');
$node->safe_psql($db, "CREATE SUBSCRIPTION s CONNECTION '" . $publisher->connstr . " dbname=postgres' PUBLICATION p");
$node->wait_for_subscription_sync($publisher, 's', $db);
my $signed = query($node, $db, "SELECT signing.sign('note', 'ada', '{\"id\": 70, \"patient\": \"p\"}')");
$publisher->safe_psql('postgres', "INSERT INTO note SELECT * FROM jsonb_populate_record(NULL::note, '$signed')");
$publisher->wait_for_catchup('s');
is(query($node, $db, 'SELECT count(*) FROM note WHERE id = 70'), '1', 'a signed row is applied');
my $offset = -s $node->logfile;
$publisher->safe_psql('postgres', "INSERT INTO note VALUES (71, 'p')");
ok( wait_until('the worker complains', sub { PostgreSQL::Test::Utils::slurp_file($node->logfile, $offset) =~ $bad }),
	'an unsigned one stops the apply worker');
$node->safe_psql($db, 'ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE); DROP SUBSCRIPTION s');
$node->safe_psql($db, 'SELECT medsync.seal()');
is_clean($node, $db, 'clean before any attack');

# What a superuser does past the guards

my $off = query($node, $db, "SELECT string_agg(format('ALTER EVENT TRIGGER %I DISABLE;', evtname), ' ') FROM pg_event_trigger");
my $on = $off =~ s/DISABLE/ENABLE ALWAYS/gr;

# Do something with the triggers of a table off, and see what is found.
sub attack
{
	my ($name, $table, $sql, @expected) = @_;
	my $back = join ' ', map { "ALTER TABLE $table ENABLE ALWAYS TRIGGER $_;" } split /\n/, query($node, $db,
		"SELECT quote_ident(tgname) FROM pg_trigger WHERE tgrelid = '$table'::regclass AND NOT tgisinternal");
	my ($state, $stderr, $stdout) = sql_error($node, $db, <<SQL);
BEGIN;
SET LOCAL client_min_messages = error;
$off
ALTER TABLE $table DISABLE TRIGGER USER;
$sql
$back
$on
\\echo -- found
SELECT concat_ws('|', severity, verdict, relation, row_key, entry_index IS NOT NULL, detail)
FROM medsync.verify() WHERE verdict <> 'unsealed' ORDER BY 1;
ROLLBACK;
SQL

	unlike($stderr, qr/ERROR|FATAL/, "$name: no error");
	$stdout =~ s/^.*-- found\n?//s;
	my @found = split /\n/, $stdout;
	foreach my $pattern (@expected)
	{
		ok(scalar(grep { /$pattern/ } @found), "$name: found as $pattern")
		  or diag("found: " . (join("\n       ", @found) || 'nothing'));
	}
	my @also = grep { my $line = $_; !grep { $line =~ /$_/ } @expected } @found;
	is(join("\n", @also), '', "$name: nothing else is found");
	return;
}

attack('a row without signature', 'note', "INSERT INTO note VALUES (80, 'p', 'forged');",
	qr/^error\|extra\|public\.note\|\{"id": 80\}/,
	qr/^error\|bad_signature\|public\.note\|\{"id": 80\}\|f\|The row has no signer or no signature/);
attack('a row with an invented signature', 'note',
	"INSERT INTO note SELECT 80, 'p', 'forged', id, sha512('x') FROM signing.held WHERE who = 'ada';",
	qr/^error\|extra\|public\.note\|\{"id": 80\}/, qr/^error\|bad_signature\|public\.note\|\{"id": 80\}/);
attack('a borrowed signature', 'note', "INSERT INTO note SELECT 80, patient, body, signer, signature FROM note WHERE id = 1;",
	qr/^error\|extra\|public\.note\|\{"id": 80\}/, qr/^error\|bad_signature\|public\.note\|\{"id": 80\}/);
attack('an unknown signer', 'note', "INSERT INTO note SELECT 80, patient, body, gen_random_uuid(), signature FROM note WHERE id = 1;",
	qr/^error\|extra\|public\.note\|\{"id": 80\}/,
	qr/^error\|bad_signature\|public\.note\|\{"id": 80\}\|f\|The signer's key is not known/);
attack('a signed row past the ledger', 'note', "SELECT signing.enter('note', 'ada', '{\"id\": 80, \"patient\": \"p\"}');",
	qr/^error\|extra\|public\.note\|\{"id": 80\}/);
attack('a row changed under its signature', 'note', "UPDATE note SET body = 'x' WHERE id = 1;",
	qr/^error\|altered\|public\.note\|\{"id": 1\}\|t/, qr/^error\|bad_signature\|public\.note\|\{"id": 1\}\|t\|The signature is not that key's/);
attack('the same without images', 'hashed', "UPDATE hashed SET body = 'x' WHERE id = 1;",
	qr/^error\|altered\|public\.hashed\|\{"id": 1\}/, qr/^error\|bad_signature\|public\.hashed\|\{"id": 1\}/);
attack('a row without signature or image', 'hashed', "INSERT INTO hashed VALUES (80, 'p', 'forged');",
	qr/^error\|extra\|public\.hashed\|\{"id": 80\}/, qr/^error\|bad_signature\|public\.hashed\|\{"id": 80\}/);
foreach my $payload ('full', 'hash')
{
	$node->safe_psql($db, <<"SQL");
CREATE TABLE dose_$payload (id int PRIMARY KEY, now text, most text, signer uuid, signature bytea);
SELECT medsync.track('dose_$payload', payload => '$payload');
SELECT medsync.require_signature('dose_$payload', 'signer', 'signature');
SELECT signing.enter('dose_$payload', 'ada', '{"id": 1, "now": "1 mg", "most": "1000 mg"}');
SELECT medsync.seal();
SQL
	my $swap = "ALTER TABLE dose_$payload RENAME now TO swapping; ALTER TABLE dose_$payload RENAME most TO now; ALTER TABLE dose_$payload RENAME swapping TO most;";

	refused($node, $db, "BEGIN; $swap COMMIT", 'MS003', "columns that swap their names, $payload");
	attack("columns that swap their names past the guards, $payload", "dose_$payload", $swap,
		qr/^error\|altered\|public\.dose_$payload\|\{"id": 1\}\|t/, qr/^error\|bad_signature\|public\.dose_$payload\|\{"id": 1\}\|[tf]\|The signature is not that key's/);
}
attack('in a partition', 'visit_4_1', "INSERT INTO visit_4_1 (id, month) VALUES (80, 4);",
	qr/^error\|extra\|public\.visit_4_1\|\{"id": 80, "month": 4\}/, qr/^error\|bad_signature\|public\.visit_4_1\|\{"id": 80, "month": 4\}/);

# An edited register of keys: the row is altered, and what was signed shows it
my $ben = query($node, $db, "SELECT id FROM signing.held WHERE who = 'ben'");
attack('another public key put in its place', 'medsync.person_key',
	"UPDATE medsync.person_key SET public_key = p.public_key, algorithm = 'p-256' FROM medsync.generate_key_pair('p-256') p WHERE id = '$ben';",
	qr/^error\|altered\|medsync\.person_key\|\{"id": "$ben"\}/,
	qr/^error\|bad_signature\|public\.(note|visit_\w+)\|\{"id": \d+.*\}\|t\|The signature is not that key's/,
	qr/^error\|bad_signature\|public\.(hashed\|\{"id": 4\}|stay\|\{"id": \d\})\|f\|The signature is not that key's/);
attack('no key at all in its place', 'medsync.person_key', "UPDATE medsync.person_key SET public_key = '\\x' WHERE id = '$ben';",
	qr/^error\|altered\|medsync\.person_key\|/, qr/^error\|bad_signature\|public\.\w+\|.*The signer's key cannot be read/);
attack('a key deleted', 'medsync.person_key', "DELETE FROM medsync.person_key WHERE id = '$ben';",
	qr/^error\|missing\|medsync\.person_key\|/, qr/^error\|bad_signature\|public\.\w+\|.*The signer's key is not known/);
attack('a revocation dated back', 'medsync.person_key',
	"UPDATE medsync.person_key SET revoked_at = now() - interval '1 day' WHERE id = '$ben';",
	qr/^error\|altered\|medsync\.person_key\|/, qr/^error\|bad_signature\|public\.(hashed|stay|bed|\w+\|\{"id": \d+.*\})\|t\|The signer's key had been revoked/);
attack('a beginning put off', 'medsync.person_key',
	"UPDATE medsync.person_key SET valid_from = now() + interval '1 day' WHERE id = '$ben';",
	qr/^error\|altered\|medsync\.person_key\|/, qr/^error\|bad_signature\|public\.(hashed|stay|bed|\w+\|\{"id": \d+.*\})\|t\|The signer's key was not valid yet/);
attack('a revocation taken back', 'medsync.person_key',
	"UPDATE medsync.person_key SET revoked_at = NULL, revocation_reason = NULL WHERE id = (SELECT id FROM signing.held WHERE who = 'lost');",
	qr/^error\|altered\|medsync\.person_key\|/);
is_clean($node, $db, 'clean when all attacks are taken back');

done_testing();
