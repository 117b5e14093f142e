
# Records: what is put comes back, for those who may, and for nobody else; what
# was refused leaves a trace; revoking changes the key of everything stored;
# programs of others open what the formats say they can; crashes, many sessions,
# dumps and standbys do no harm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use File::Copy 'copy';
use IPC::Run;
use MedsyncRecords;
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $MIB = 1048576;

my $node = new_node('records', init => { allows_streaming => 1 });

# Much content goes into a database of its own, which goes again.
my $db = new_database($node, 'large');
add_people($node, $db);

# Files, of one or below a directory, that hold a text.
sub files_with
{
	my ($text, $path) = @_;
	my $out = '';

	IPC::Run::run([ 'grep', '-rlaF', '-e', $text, $path ], '<', \undef, '>', \$out, '2>', \my $err);
	chomp $out;
	return $out;
}

sub event_count
{
	my ($where) = @_;
	return query($node, $db, "SELECT count(*) FROM medsync.record_event WHERE $where");
}

# ------------------------------------------------------------------
# Sizes
# ------------------------------------------------------------------

foreach my $size (0, 1, $MIB - 1, $MIB, $MIB + 1, 5 * $MIB, 100 * $MIB)
{
	my $content = "testing.bytes($size)";
	my $record = put($node, $db, $content, ['bob']);
	my $chunks = $size == 0 ? 1 : int(($size + $MIB - 1) / $MIB);

	is(as($node, $db, 'alice', "SELECT sha256(medsync.get_record('$record')) = sha256($content)"),
		't', "$size bytes come back");
	is( query($node, $db, <<SQL), "$chunks|" . ($size + 16 * $chunks), "$size bytes are in $chunks chunks, 16 bytes more each");
SELECT count(*), sum(length(body)) FROM medsync._record_chunk WHERE record = '$record'
SQL
	is( query($node, $db, "SELECT bool_and(pg_column_compression(body) IS NULL) FROM medsync._record_chunk WHERE record = '$record'"),
		't', "$size bytes: nothing tries to compress them");
	next if $size > 5 * $MIB;
	as($node, $db, 'alice', "SELECT medsync.revoke_record('$record', testing.id('bob'))");
	is(as($node, $db, 'alice', "SELECT sha256(medsync.get_record('$record')) = sha256($content)"),
		't', "$size bytes come back after another key");
}
denied($node, $db, 'alice', "SELECT medsync.put_record('patient-1', testing.bytes(104857601), 'x')",
	'54000', 'one byte too many', like => qr/content is larger than 104857600 bytes/);

# ------------------------------------------------------------------
# Memory: the argument or the result, and 16 MiB
# ------------------------------------------------------------------

# The address space of a backend before and after, from a session that is
# alice, looked at by the superuser that it really is.
sub peak_growth
{
	my ($work) = @_;
	my $out = query($node, $db, <<SQL);
SET SESSION AUTHORIZATION alice;
SELECT medsync.get_record(medsync.put_record('patient-1', 'small', 'warm')) IS NULL;
RESET SESSION AUTHORIZATION;
SELECT 'peak ' || (regexp_match(pg_read_file('/proc/self/status'), 'VmSize:\\s+(\\d+)'))[1];
SET SESSION AUTHORIZATION alice;
$work
RESET SESSION AUTHORIZATION;
SELECT 'peak ' || (regexp_match(pg_read_file('/proc/self/status'), 'VmPeak:\\s+(\\d+)'))[1];
SQL
	my @peaks = $out =~ /peak (\d+)/g;
	return ($peaks[1] - $peaks[0]) * 1024;
}

SKIP:
{
	skip 'no /proc here', 3 unless -r '/proc/self/status';

	$node->safe_psql($db, <<'SQL');
CREATE TABLE testing.large (content bytea);
ALTER TABLE testing.large ALTER content SET STORAGE EXTERNAL;
INSERT INTO testing.large VALUES (testing.bytes(104857600));
CREATE TABLE testing.put (record uuid);
GRANT SELECT, INSERT ON testing.large, testing.put TO alice;
SQL
	my $limit = 116 * $MIB;
	my $growth = peak_growth("INSERT INTO testing.put SELECT medsync.put_record('patient-1', content, 'x', ARRAY[testing.id('bob')]) FROM testing.large;");

	note(sprintf 'put of 100 MiB: %.1f MiB', $growth / $MIB);
	cmp_ok($growth, '<=', $limit, 'put: the argument and at most 16 MiB');
	$growth = peak_growth('SELECT length(medsync.get_record(record)) FROM testing.put;');
	note(sprintf 'get of 100 MiB: %.1f MiB', $growth / $MIB);
	cmp_ok($growth, '<=', $limit, 'get: the result and at most 16 MiB');
	$growth = peak_growth("SELECT medsync.revoke_record(record, testing.id('bob')) FROM testing.put;");
	note(sprintf 'revoke of 100 MiB: %.1f MiB', $growth / $MIB);
	cmp_ok($growth, '<=', 16 * $MIB, 'revoke: at most 16 MiB');
}
is_clean($node, $db, 'verify reads all of it');
$node->safe_psql('postgres', 'DROP DATABASE large');
$db = new_database($node, 'clinic');
add_people($node, $db);

# ------------------------------------------------------------------
# Who may do what
# ------------------------------------------------------------------

my $record = put($node, $db, q('the first version'), [ 'bob', 'carol' ]);
my $first = q('the first version'::bytea);
my $denied = event_count("event = 'denied'");

is(as($node, $db, $_, "SELECT medsync.get_record('$record') = $first"), 't', "$_ reads")
  foreach qw(alice bob carol pat);
foreach my $who (qw(paul nils eve))
{
	denied($node, $db, $who, "SELECT medsync.get_record('$record')", '42501', "$who does not read");
	denied($node, $db, $who, "SELECT * FROM medsync.record_access('$record')", '42501', "$who does not see who may");
	denied($node, $db, $who, "SELECT medsync.grant_record('$record', testing.id('bob'))", '42501', "$who grants nothing");
	denied($node, $db, $who, "SELECT medsync.revoke_record('$record', testing.id('bob'))", '42501', "$who revokes nothing");
	denied($node, $db, $who, "SELECT medsync.rewrap_record('$record', testing.id('bob'))", '42501', "$who wraps nothing");
	denied($node, $db, $who, "SELECT medsync.put_record('patient-1', 'x', 'x', '{}', '$record')", '42501', "$who puts no version");
}
denied($node, $db, 'bob', "SELECT medsync.revoke_record('$record', testing.id('carol'))", '42501', 'a holder revokes nobody');
denied($node, $db, 'bob', "SELECT medsync.put_record('patient-1', 'x', 'x', '{}', '$record')", '42501', 'a holder puts no version');
denied($node, $db, 'bob', "SELECT medsync.rewrap_record('$record', testing.id('carol'))", '42501', 'a holder wraps for nobody else');
denied($node, $db, $_, "SELECT medsync.put_record('patient-1', 'x', 'x')", '42501', "$_ puts nothing") foreach qw(eve nils);
denied($node, $db, $_, 'SELECT * FROM medsync.records()', '42501', "$_ lists nothing") foreach qw(eve nils);
is(event_count("event = 'denied'") - $denied, 25, 'each refusal is an event');

# each function tells the same, whatever the cause: not entitled, nobody, no record
{
	my %texts;
	my $unknown = query($node, $db, 'SELECT gen_random_uuid()');

	foreach my $case ([ 'paul', $record ], [ 'eve', $record ], [ 'paul', $unknown ], [ 'eve', $unknown ])
	{
		my ($state, $text) = sql_error($node, $db, "SELECT medsync.get_record('$case->[1]')",
			extra_params => [ '-U', $case->[0] ]);
		$text =~ s/[0-9a-f]{8}-[0-9a-f-]{27}/ID/g;
		$texts{"$state $text"}++;
	}
	is(scalar keys %texts, 1, 'nobody learns from a refusal which records there are');
	is(event_count("event = 'denied' AND record = '$unknown' AND patient IS NULL"), '2', 'they are events, without a patient');
}
is( query($node, $db, <<SQL), "nobody acts|eve\nnobody acts|nils\nnot entitled|paul", 'events say why and under which role');
SELECT DISTINCT reason, role FROM medsync.record_event
WHERE event = 'denied' AND record = '$record' AND role IN ('eve', 'nils', 'paul') ORDER BY 1, 2
SQL

# tables are closed
foreach my $table (qw(_record _record_version _record_wrap _record_chunk record_event))
{
	denied($node, $db, 'alice', "SELECT * FROM medsync.$table", '42501', "$table is not read");
	denied($node, $db, 'alice', "DELETE FROM medsync.$table", '42501', "$table is not written");
}

# a holder passes it on; the author and the patient take it back
denied($node, $db, 'bob', "SELECT medsync.grant_record('$record', testing.id('alice'))", '55000',
	'nothing is wrapped for somebody without a key', like => qr/nothing can be encrypted for person/);
denied($node, $db, 'bob', "SELECT medsync.grant_record('$record', gen_random_uuid())", '42704', 'nor for nobody');
as($node, $db, 'bob', "SELECT medsync.grant_record('$record', testing.id('paul'))");
is(as($node, $db, 'paul', "SELECT medsync.get_record('$record') = $first"), 't', 'whom a holder granted it reads');
is( as($node, $db, 'paul', <<SQL), "alice|||alice\nbob|k|x25519|alice\ncarol|k|rsa-2048|alice\npaul|k|x25519|bob", 'who has access, and by whom');
SELECT p.name, CASE WHEN a.key IS NOT NULL THEN 'k' END, a.algorithm, g.name
FROM medsync.record_access('$record') a JOIN testing.person p ON p.id = a.person JOIN testing.person g ON g.id = a.granted_by
ORDER BY 1
SQL
as($node, $db, 'pat', "SELECT medsync.revoke_record('$record', testing.id('paul'))");
denied($node, $db, 'paul', "SELECT medsync.get_record('$record')", '42501', 'revoked');
denied($node, $db, 'pat', "SELECT medsync.revoke_record('$record', testing.id('paul'))", '42704', 'nobody is revoked twice');
is(as($node, $db, 'pat', 'SELECT count(*) FROM medsync.records() WHERE subject = $$patient-1$$'),
	as($node, $db, 'pat', 'SELECT count(*) FROM medsync.records($$patient-1$$)'), 'the patient lists all of it');
is(as($node, $db, 'carol', 'SELECT record FROM medsync.records()'), $record, 'a holder lists what it holds');
is(as($node, $db, 'paul', 'SELECT count(*) FROM medsync.records()'), '0', 'somebody else nothing');

# the author's rights end with the author's access
my $lost = put($node, $db, q('lost'), ['bob']);
as($node, $db, 'alice', "SELECT medsync.revoke_record('$lost', testing.id('alice'))");
denied($node, $db, 'alice', "SELECT medsync.get_record('$lost')", '42501', 'an author who was revoked does not read');
denied($node, $db, 'alice', "SELECT medsync.grant_record('$lost', testing.id('bob'))", '42501', 'nor grants');
denied($node, $db, 'alice', "SELECT medsync.put_record('patient-1', 'x', 'x', '{}', '$lost')", '42501', 'nor puts a version');

# a suspended person is nobody
$node->safe_psql($db, q(SELECT medsync.suspend_person(testing.id('bob'), 'test')));
denied($node, $db, 'bob', "SELECT medsync.get_record('$record')", '42501', 'a suspended holder does not read');
$node->safe_psql($db, q(SELECT medsync.verify_person(testing.id('bob'))));
is(as($node, $db, 'bob', "SELECT medsync.get_record('$record') = $first"), 't', 'and reads again');

# ------------------------------------------------------------------
# Versions
# ------------------------------------------------------------------

is(as($node, $db, 'alice', "SELECT medsync.put_record('patient-1', 'the second', 'text/html', '{}', '$record')"), $record,
	'a version of a record has its id');
as($node, $db, 'pat', "SELECT medsync.put_record('patient-1', 'the third, by the patient', 'text/html', ARRAY[testing.id('paul')], '$record')");
is( as($node, $db, 'bob', <<SQL), 'the third, by the patient|the first version|the second', 'all versions are read by present holders');
SELECT convert_from(medsync.get_record('$record'), 'UTF8'), convert_from(medsync.get_record('$record', version => 1), 'UTF8'),
	convert_from(medsync.get_record('$record', version => 2), 'UTF8')
SQL
denied($node, $db, 'bob', "SELECT medsync.get_record('$record', version => $_)", '42704', "there is no version $_") foreach (0, 4, -1);
denied($node, $db, 'alice', "SELECT medsync.put_record('patient-2', 'x', 'x', '{}', '$record')", '22023', 'a record stays its patient\'s');
is(as($node, $db, 'paul', "SELECT convert_from(medsync.get_record('$record'), 'UTF8')"), 'the third, by the patient',
	'a recipient of a later version reads it');
denied($node, $db, 'paul', "SELECT medsync.get_record('$record', version => 1)", '42501', 'but not those before');
as($node, $db, 'alice', "SELECT medsync.grant_record('$record', testing.id('paul'))");
is(as($node, $db, 'paul', "SELECT medsync.get_record('$record', version => 1) = $first"), 't', 'until they are granted');
is(as($node, $db, 'alice', "SELECT version, media_type, length FROM medsync.records() WHERE record = '$record'"),
	'3|text/html|25', 'the newest version is listed');

# ------------------------------------------------------------------
# Private keys
# ------------------------------------------------------------------

is(as($node, $db, $_, "SELECT medsync.get_record('$record', testing.private_key('$_'), 1) = $first"), 't', "$_ opens it with the own key")
  foreach qw(bob carol paul);
{
	my %texts;
	my $before = event_count("event = 'denied' AND reason LIKE 'the private key%'");

	foreach my $case (
		[ 'bob', q(testing.private_key('paul')) ],
		[ 'bob', q(testing.private_key('carol')) ],
		[ 'carol', q(testing.private_key('bob')) ],
		[ 'carol', q((medsync.generate_key_pair('rsa-2048')).private_key) ],
		[ 'carol', q((medsync.generate_key_pair('rsa-3072')).private_key) ],
		[ 'carol', q((medsync.generate_key_pair('ed25519')).private_key) ],
		[ 'alice', q(testing.private_key('bob')) ],
		[ 'pat', q(testing.private_key('bob')) ])
	{
		my ($state, $text) = sql_error($node, $db, "SELECT medsync.get_record('$record', $case->[1])",
			extra_params => [ '-U', $case->[0] ]);
		$texts{"$state $text"}++;
	}
	is(scalar keys %texts, 1, 'a wrong key, of whatever kind, and no wrap at all give one error') or diag(explain \%texts);
	like((keys %texts)[0], qr/^MS005 .*could not decrypt/s, 'which is MS005');
	is(event_count("event = 'denied' AND reason LIKE 'the private key%'") - $before, 8, 'each is an event');
}
denied($node, $db, 'bob', "SELECT medsync.get_record('$record', '\\x00')", '22023', 'no key at all', like => qr/private key is malformed or not of an offered kind/);

# another key: the wrap is made anew, the content is not touched
{
	my $body = "SELECT md5(string_agg(body, '' ORDER BY version, chunk)) FROM medsync._record_chunk WHERE record = '$record'";
	my $before = query($node, $db, $body);

	$node->safe_psql($db, <<'SQL');
INSERT INTO testing.key SELECT 'carol new', 'rsa-3072', (p).public_key, (p).private_key FROM medsync.generate_key_pair('rsa-3072') p;
SELECT medsync.add_key(testing.id('carol'), algorithm, public_key) FROM testing.key WHERE name = 'carol new';
SELECT medsync.revoke_key(k.id, 'rotated') FROM medsync.person_key k JOIN testing.key t USING (public_key) WHERE t.name = 'carol';
SQL
	is(as($node, $db, 'carol', "SELECT medsync.get_record('$record', testing.private_key('carol'), 1) = $first"), 't',
		'revoking a key leaves what is wrapped for it');
	as($node, $db, 'carol', "SELECT medsync.rewrap_record('$record')");
	is(as($node, $db, 'carol', "SELECT medsync.get_record('$record', testing.private_key('carol new'), 1) = $first"), 't', 'the new key opens it');
	denied($node, $db, 'carol', "SELECT medsync.get_record('$record', testing.private_key('carol'))", 'MS005', 'the old one does not');
	is(query($node, $db, $body), $before, 'the content was not touched');
	is( as($node, $db, 'alice', "SELECT algorithm, granted_by = testing.id('alice') FROM medsync.record_access('$record') WHERE person = testing.id('carol')"),
		'rsa-3072|t', 'who granted it stays');
	denied($node, $db, 'alice', "SELECT medsync.rewrap_record('$record')", '55000', 'alice has no key');
	denied($node, $db, 'pat', "SELECT medsync.rewrap_record('$record')", '42704', 'the patient holds no wrap');
}

# ------------------------------------------------------------------
# Programs of others
# ------------------------------------------------------------------

my $large = put($node, $db, "testing.bytes(2 * $MIB + 7)", [ 'bob', 'carol' ]);

SKIP:
{
	skip 'Python with cryptography and PyNaCl is not there', 13 unless outside_python();

	my $content = query($node, $db, "SELECT encode(testing.bytes(2 * $MIB + 7), 'hex')");
	my $stored = stored_record($node, $db, $large);

	foreach my $case ([ 'bob', 6, 'bob' ], [ 'carol', 4, 'carol new' ])
	{
		my ($name, $algorithm, $key) = @$case;
		my $id = query($node, $db, "SELECT replace(testing.id('$name')::text, '-', '')");
		my ($wrap) = grep { $_->{person} eq $id } @{ $stored->{wraps} };

		is($wrap->{algorithm}, $algorithm, "algorithm of ${name}'s wrap");
		my $open = { %$stored, command => 'open', algorithm => $algorithm, wrapped => $wrap->{wrapped},
			private_key => query($node, $db, "SELECT encode(testing.private_key('$key'), 'hex')") };
		ok(open_outside($open) eq $content, "Python opens what $name holds, from the documented formats");
		is(open_outside({ %$open, patient => 'patient-2' }), 'does not open', 'not as another patient\'s');
		is(open_outside({ %$open, version => 2 }), 'does not open', 'nor as another version');
		is(open_outside({ %$open, chunks => [ @{ $stored->{chunks} }[ 1, 0, 2 ] ] }), 'does not open', 'nor in another order')
		  if $name eq 'bob';
	}
	is(open_outside({ %$stored, command => 'statement' }), 'holds', 'Python verifies the vault\'s statement');
	is(open_outside({ %$stored, command => 'statement', media_type => 'text/html' }), 'does not hold', 'and no other one');
	my $versions = stored_record($node, $db, $record, 3);
	is(open_outside({ %$versions, command => 'head' }), 'holds', 'Python verifies the record\'s head');
	is(open_outside({ %$versions, command => 'head', revision => 1 }), 'does not hold', 'and no other one');
}

SKIP:
{
	skip 'the openssl program is not there', 1 unless eval { IPC::Run::run([ 'openssl', 'version' ], '&>', \my $void) };

	my $dir = own_directory();
	my $wrapped = query($node, $db, <<SQL);
SELECT encode(wrapped, 'hex') FROM medsync._record_wrap WHERE record = '$large' AND person = testing.id('carol')
SQL
	my $in = pack('H*', $wrapped);
	my ($key, $err);

	open my $file, '>:raw', "$dir/carol.der" or die $!;
	print $file pack('H*', query($node, $db, q(SELECT encode(testing.private_key('carol new'), 'hex'))));
	close $file;
	IPC::Run::run([ qw(openssl pkeyutl -decrypt -keyform DER -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -inkey), "$dir/carol.der" ],
		'<', \$in, '>', \$key, '2>', \$err);
	is(length($key), 32, 'openssl opens an RSA wrap');
  SKIP:
	{
		skip 'no Python', 1 unless outside_python();
		my $opened = open_outside({ %{ stored_record($node, $db, $large) }, command => 'key', data_key => unpack('H*', $key) });
		ok($opened eq query($node, $db, "SELECT encode(testing.bytes(2 * $MIB + 7), 'hex')"), 'and it is the data key');
	}
}

# ------------------------------------------------------------------
# What revoking leaves: the old key opens nothing that is stored (K-05)
# ------------------------------------------------------------------

{
	my $r = put($node, $db, "testing.bytes($MIB + 1)", [ 'bob', 'carol' ]);

	as($node, $db, 'alice', "SELECT medsync.put_record('patient-1', 'second', 'x', '{}', '$r')");
	$node->safe_psql($db, <<SQL);
CREATE TABLE testing.before AS
	SELECT v.version, v.key_id, v.server_wrap, v.signature, c.chunk, c.body, w.wrapped,
		medsync.unwrap_key(w.wrapped, testing.private_key('bob')) AS data_key
	FROM medsync._record_version v JOIN medsync._record_chunk c USING (record, version) JOIN medsync._record_wrap w USING (record, version)
	WHERE record = '$r' AND w.person = testing.id('bob');
SQL
	my $old = query($node, $db, "SELECT version, encode(data_key, 'hex') FROM testing.before GROUP BY 1, 2 ORDER BY 1");
	as($node, $db, 'alice', "SELECT medsync.revoke_record('$r', testing.id('bob'))");
	is( query($node, $db, <<SQL), '0', 'after a revocation nothing that was stored is stored still');
SELECT count(*) FROM testing.before b WHERE EXISTS (
	SELECT FROM medsync._record_chunk c WHERE c.body = b.body UNION ALL
	SELECT FROM medsync._record_wrap w WHERE w.wrapped = b.wrapped UNION ALL
	SELECT FROM medsync._record_version v WHERE v.key_id = b.key_id OR v.server_wrap = b.server_wrap OR v.signature = b.signature)
SQL
	is(query($node, $db, "SELECT max(version), count(DISTINCT version) FROM medsync._record_version WHERE record = '$r'"), '2|2',
		'another key makes no other version');
	is(query($node, $db, "SELECT count(*) FROM medsync._record_wrap WHERE record = '$r' AND person = testing.id('bob')"), '0',
		'no wrap of the revoked person is left');
	is(as($node, $db, 'carol', "SELECT medsync.get_record('$r', testing.private_key('carol new'), 1) = testing.bytes($MIB + 1)"), 't',
		'those who stay open it with their keys');
  SKIP:
	{
		skip 'no Python', 2 unless outside_python();
		foreach my $line (split /\n/, $old)
		{
			my ($version, $key) = split /\|/, $line;
			is(open_outside({ %{ stored_record($node, $db, $r, $version) }, command => 'key', data_key => $key }),
				'does not open', "version $version: the old key opens nothing");
		}
	}
	$node->safe_psql($db, 'DROP TABLE testing.before');
}

# ------------------------------------------------------------------
# Refusals stay, whatever becomes of the transaction
# ------------------------------------------------------------------

{
	my $before = event_count("event = 'denied' AND role = 'paul'");
	my $gets = event_count("event = 'get' AND role = 'alice'");
	my $grants = event_count("event = 'grant' AND role = 'alice'");

	as($node, $db, 'paul', <<SQL);
\\set ON_ERROR_STOP 0
BEGIN;
SELECT medsync.get_record('$large');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT medsync.get_record('$large');
ROLLBACK TO s;
ROLLBACK;
DO \$\$ BEGIN PERFORM medsync.get_record('$large'); EXCEPTION WHEN insufficient_privilege THEN NULL; END \$\$;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT medsync.get_record('$large');
COMMIT;
SQL
	is(event_count("event = 'denied' AND role = 'paul'") - $before, 4, 'refusals stay after ROLLBACK');
	as($node, $db, 'alice', "BEGIN; SELECT length(medsync.get_record('$large')); ROLLBACK;");
	as($node, $db, 'alice', "SELECT length(medsync.get_record('$large'))");
	is(event_count("event = 'get' AND role = 'alice'") - $gets, 2, 'what was read stays, too');
	is(event_count("event = 'get' AND role = 'alice' AND reason = 'rolled back'"), 1, 'and says that it was rolled back');
	as($node, $db, 'alice', "BEGIN; SELECT medsync.grant_record('$large', testing.id('bob')); ROLLBACK;");
	is(event_count("event = 'grant' AND role = 'alice'") - $grants, 0, 'what else was done and rolled back was not done');
	is( query($node, $db, <<'SQL'), 'paul|t', 'the ledger\'s entry of a refusal names role and person');
SELECT role, actor = testing.id('paul')::text FROM medsync.history('medsync.record_event')
WHERE new_row->>'event' = 'denied' AND new_row->>'role' = 'paul' ORDER BY at DESC LIMIT 1
SQL
	is(event_count('true'), query($node, $db, q(SELECT count(*) FROM medsync.history('medsync.record_event'))), 'every event is an entry');
}

# the transaction that makes the very first record: a worker makes the tables'
# triggers, so that nobody waits for it, and a refusal in it is an event
{
	my $first_db = new_database($node, 'first');

	$node->safe_psql($first_db, <<'SQL');
SELECT medsync.verify_person(medsync.register_person('practitioner', 'Alice', 'alice'));
SELECT medsync.verify_person(medsync.register_person('patient', 'Pat', 'pat', 'patient-1'));
SQL
	my $session = $node->background_psql($first_db, on_error_stop => 0);
	my $start = time();
	$session->query("SET SESSION AUTHORIZATION alice; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; SELECT medsync.put_record('patient-1', 'x', 'x');");
	is(query($node, $first_db, q(SELECT count(*) FROM pg_locks WHERE mode IN ('ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') AND relation::regclass::text LIKE 'medsync.%')),
		'0', 'the first writer holds no lock of DDL');
	$session->query("SAVEPOINT s; SELECT medsync.get_record('00000000-0000-4000-8000-000000000000');");
	is($node->safe_psql($first_db, "SET lock_timeout = '1s'; SET SESSION AUTHORIZATION pat; SELECT length(medsync.get_record(medsync.put_record('patient-1', 'y', 'x')))"), '1',
		'another session writes and reads meanwhile');
	denied($node, $first_db, 'eve', q(SELECT medsync.get_record('00000000-0000-4000-8000-000000000000')), '42501', 'another is refused meanwhile');
	is(query($node, $first_db, q(SELECT string_agg(role, ' ' ORDER BY role), (SELECT count(*) FROM medsync._pending_event) FROM medsync.record_event WHERE event = 'denied')),
		'alice eve|0', 'both refusals are events');
	$session->query('ROLLBACK TO s; COMMIT;');
	$session->quit;
	cmp_ok(time() - $start, '<', 30, 'nobody waited for a time limit');
	is(query($node, $first_db, q(SELECT string_agg(event, ' ' ORDER BY event) FROM medsync.record_event)), 'denied denied get put put', 'all of it is there');
	is_clean($node, $first_db);
}

# ------------------------------------------------------------------
# Isolation levels, read-only transactions
# ------------------------------------------------------------------

foreach my $level ('REPEATABLE READ', 'SERIALIZABLE')
{
	my $r = put($node, $db, q('x'), ['bob']);
	my $other = $node->connstr($db) . ' user=alice';

	$node->safe_psql($db, 'CREATE EXTENSION IF NOT EXISTS dblink; GRANT EXECUTE ON FUNCTION dblink(text, text), dblink_connect_u(text, text), dblink_connect_u(text) TO bob, alice');
	my ($state, $text, $out) = sql_error($node, $db, <<SQL, extra_params => [ '-U', 'bob' ]);
BEGIN ISOLATION LEVEL $level;
SELECT medsync.get_record('$r');
SELECT dblink_connect_u('other', \$c\$$other\$c\$);
SELECT * FROM dblink('other', \$\$SELECT medsync.revoke_record('$r', testing.id('bob'))::text\$\$) AS x (v text);
SELECT medsync.get_record('$r');
SQL
	is($state, '42501', "$level: a revocation counts at once") or diag($text);
	is(as($node, $db, 'alice', "BEGIN ISOLATION LEVEL $level; SELECT 1;
SELECT dblink_connect_u('other', \$c\$@{[ $node->connstr($db) ]} user=pat\$c\$);
SELECT * FROM dblink('other', \$\$SELECT medsync.put_record('patient-1', 'y', 'x', '{}', '$r')::text\$\$) AS x (v text);
SELECT medsync.grant_record('$r', testing.id('bob')); COMMIT;
SELECT convert_from(medsync.get_record('$r'), 'UTF8')") =~ s/.*\n//sr, 'y', "$level: a change is based on what is, not on the snapshot");
	is(as($node, $db, 'bob', "SELECT convert_from(medsync.get_record('$r'), 'UTF8') || convert_from(medsync.get_record('$r', version => 1), 'UTF8')"),
		'yx', "$level: it was granted in every version");
}
denied($node, $db, 'alice', "SET default_transaction_read_only = on; SELECT medsync.get_record('$large')", '25006', 'get in a read-only transaction',
	like => qr/cannot execute medsync.get_record\(\) in a read-only transaction/);
is(as($node, $db, 'alice', "SET default_transaction_read_only = on; SELECT count(*) FROM medsync.record_access('$large')"), '3',
	'looking who has access works there');

# ------------------------------------------------------------------
# Twenty sessions, one record
# ------------------------------------------------------------------

{
	my $r = put($node, $db, "decode(repeat('61', 1500000), 'hex')", ['bob']);

	$node->safe_psql($db, <<SQL);
CREATE FUNCTION testing.change(what int, letter int) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE
	content bytea;
BEGIN
	IF what < 20 THEN
		PERFORM medsync.grant_record('$r', testing.id(CASE what % 3 WHEN 0 THEN 'bob' WHEN 1 THEN 'carol' ELSE 'paul' END));
	ELSIF what < 40 THEN
		PERFORM medsync.revoke_record('$r', testing.id(CASE what % 3 WHEN 0 THEN 'bob' WHEN 1 THEN 'carol' ELSE 'paul' END));
	ELSIF what < 42 THEN
		PERFORM medsync.put_record('patient-1', decode(repeat(to_hex(letter), 1500000), 'hex'), 'x', '{}', '$r');
	ELSE
		content := medsync.get_record('$r');
		IF length(content) <> 1500000 OR content <> decode(repeat(to_hex(get_byte(content, 0)), 1500000), 'hex') THEN
			RAISE EXCEPTION 'a mixture was read';
		END IF;
	END IF;
EXCEPTION WHEN undefined_object THEN
	NULL; -- who holds nothing cannot be revoked
END \$\$;
SQL
	my $script = script('change.sql', "\\set what random(0, 99)\n\\set letter random(97, 122)\nSELECT testing.change(:what, :letter);\n");
	my $run = pgbench_run($node, $db, '-U', 'pat', '-n', '-c', 20, '-j', 2, '-T', 8, '-f', $script);

	is($run->{status}, 0, 'twenty sessions get, put, grant and revoke one record') or diag($run->{err});
	note("$run->{transactions} transactions");
	cmp_ok($run->{transactions}, '>', 50, 'and get on');
	is(as($node, $db, 'pat', "SELECT length(medsync.get_record('$r'))"), '1500000', 'it is still there');

	# what one record's lock puts in order does not fail for its order
	my $small = put($node, $db, q('small'), ['bob']);
	my $near = put($node, $db, q('its neighbour in the index'), ['bob']);
	$node->safe_psql($db, <<SQL);
CREATE FUNCTION testing.change_small(what int, which int) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE
	r uuid := (ARRAY['$small', '$near']::uuid[])[which];
	person uuid := '@{[ query($node, $db, q(SELECT testing.id('paul'))) ]}';
BEGIN
	CASE what
		WHEN 1 THEN PERFORM medsync.grant_record(r, person);
		WHEN 2 THEN PERFORM medsync.revoke_record(r, person);
		WHEN 3 THEN PERFORM medsync.rewrap_record(r, person);
		ELSE PERFORM medsync.get_record(r);
	END CASE;
EXCEPTION WHEN undefined_object THEN
	NULL;
END \$\$;
SQL
	$script = script('change_small.sql', <<'SQL');
\set what random(1, 4)
\set which random(1, 2)
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT testing.change_small(:what, :which);
COMMIT;
SQL
	$run = pgbench_run($node, $db, '-U', 'pat', '-n', '-c', 20, '-j', 2, '-T', 4, '--failures-detailed', '-f', $script);
	is($run->{status}, 0, 'twenty sessions do so in SERIALIZABLE') or diag($run->{err});
	cmp_ok($run->{transactions}, '>', 50, 'and get on');
	like($run->{out}, qr/number of serialization failures: 0 /, 'none fails because of the others');
	is( query($node, $db, <<SQL), '', 'all versions have the same holders');
SELECT DISTINCT array_agg(person ORDER BY person) FROM medsync._record_wrap WHERE record = '$r' GROUP BY version OFFSET 1
SQL
	is_clean($node, $db);
}

# ------------------------------------------------------------------
# kill -9: the old state or the new one (K-08)
# ------------------------------------------------------------------

{
	my $r = put($node, $db, "testing.bytes(30000000)", ['bob']);
	my $count = query($node, $db, 'SELECT count(*) FROM medsync._record');
	my ($old, $new) = (0, 0);

	$node->safe_psql($db, 'CREATE TABLE testing.content AS SELECT testing.bytes(30000000) AS c; GRANT SELECT ON testing.content TO PUBLIC');
	foreach my $delay (0.05, 0.15, 0.3, 0.45)
	{
		foreach my $sql ("SELECT medsync.revoke_record('$r', testing.id('bob'))", "SELECT medsync.put_record('patient-1', c, 'x') FROM testing.content")
		{
			my ($out, $err) = ('', '');
			my $psql = IPC::Run::start(
				[ 'psql', '-XAtq', '-U', 'alice', '-d', $node->connstr($db), '-c', $sql ],
				'<', \undef, '>', \$out, '2>', \$err);
			sleep $delay;
			my $pid = $node->safe_psql('postgres', q(SELECT pid FROM pg_stat_activity WHERE usename = 'alice' AND state = 'active'));
			kill 'KILL', $pid if $pid =~ /^\d+$/;
			eval { $psql->finish };
			settled($node);
			my $holds = query($node, $db, "SELECT count(*) FROM medsync._record_wrap WHERE record = '$r' AND person = testing.id('bob')");
			is(as($node, $db, 'alice', "SELECT medsync.get_record('$r') = c FROM testing.content"), 't', "killed after $delay s: it opens");
			if ($holds) { $old++ } else { $new++ }
			as($node, $db, 'alice', "SELECT medsync.grant_record('$r', testing.id('bob'))") unless $holds;
		}
	}
	note("old state $old times, new state $new times");
	is( query($node, $db, <<'SQL'), '0', 'no version without its content, no content without its version');
SELECT count(*) FROM (SELECT record, version, chunks FROM medsync._record_version) v
FULL JOIN (SELECT record, version, count(*) AS n FROM medsync._record_chunk GROUP BY 1, 2) c USING (record, version)
WHERE n IS DISTINCT FROM chunks
SQL
	is_clean($node, $db);
}

# ------------------------------------------------------------------
# No plaintext, no digest of it, no key (K-06, P7)
# ------------------------------------------------------------------

{
	my $marker = 'Wegener granulomatosis 4711';
	my $log = -s $node->logfile;

	is(as($node, $db, 'alice', "SELECT length(medsync.get_record(medsync.put_record('patient-1', '$marker', 'text/plain')))"), length $marker, 'a text to look for');
	denied($node, $db, 'eve', "SELECT medsync.put_record('patient-1', '$marker', 'text/plain')", '42501', 'the same, refused');
	denied($node, $db, 'alice', "SELECT medsync.put_record('patient-1', '$marker', repeat('x', 256))", '54000', 'the same, too long a type');
	denied($node, $db, 'alice', "SELECT medsync.put_record('patient-1', '$marker', 'x', ARRAY[gen_random_uuid()])", '42704', 'the same, for nobody');
	my $private = query($node, $db, q(SELECT encode(testing.private_key('bob'), 'hex')));
	denied($node, $db, 'carol', "SELECT medsync.get_record('$record', '\\x$private')", 'MS005', 'a key, refused');
	unlike(substr(slurp_file($node->logfile), $log), qr/granulomatosis|$private/, 'the server log has neither text nor key');
	$node->safe_psql('postgres', 'CHECKPOINT');

	my $dump = $node->basedir . '/scan.sql';
	$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr($db) ], 'dump to look through');
	my @digests = split /\n/, query($node, $db, <<SQL);
SELECT unnest(ARRAY[encode(m, 'hex'), md5(m), encode(sha224(m), 'hex'), encode(sha256(m), 'hex'), encode(sha384(m), 'hex'), encode(sha512(m), 'hex'),
	encode(sha256(sha256(m)), 'hex')]) FROM (SELECT '$marker'::bytea) x (m)
SQL
	is(files_with($marker, $dump), '', 'the dump has no plaintext');
	is(files_with($_, $dump), '', "nor $_, a digest of it") foreach @digests;
	is(files_with($private, $dump), $dump, 'what is there is found');
	is(files_with($marker, $node->data_dir), '', 'no file of the cluster has the text: heap, WAL, statistics');
}

# ------------------------------------------------------------------
# Worker slots
# ------------------------------------------------------------------

$node->append_conf('postgresql.conf', "max_worker_processes = 0\n");
$node->restart;
{
	my $log = -s $node->logfile;
	my $before = event_count("event = 'denied'");

	denied($node, $db, 'paul', "SELECT medsync.get_record('$large')", '42501', 'without workers the refusal stands');
	is(event_count("event = 'denied'") - $before, 0, 'it is not an event yet');
	is(query($node, $db, 'SELECT event, role, reason FROM medsync._pending_event'), 'denied|paul|not entitled', 'it waits');
	denied($node, $db, 'paul', "SET default_transaction_read_only = on; SELECT * FROM medsync.record_access('$large')", '42501', 'refused where nothing can be written');
	like(substr(slurp_file($node->logfile), $log), qr/an event of records could not be recorded: denied.*?role "paul": not entitled/s, 'the server log has it');
	unlike(substr(slurp_file($node->logfile), $log), qr/STATEMENT/, 'without the statement');
}
$node->append_conf('postgresql.conf', "max_worker_processes = 8\n");
$node->restart;

# ------------------------------------------------------------------
# Standby, dump and restore
# ------------------------------------------------------------------

{
	my $standby = PostgreSQL::Test::Cluster->new('records_standby');

	$node->backup('base');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	copy(key_file($node, $db), key_file($standby, $db)) or die "copy: $!";
	chmod 0600, key_file($standby, $db);
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	denied($standby, $db, 'alice', "SELECT medsync.get_record('$large')", '25006', 'get on a standby');
	is(as($standby, $db, 'alice', "SELECT count(*) FROM medsync.record_access('$large')"), '3', 'record_access works there');
	is(as($standby, $db, 'alice', 'SELECT count(*) > 5 FROM medsync.records()'), 't', 'records works there');
	is(query($standby, $db, 'SELECT medsync.vault_key()'), query($node, $db, 'SELECT medsync.vault_key()'), 'vault_key works there');
	denied($standby, $db, 'eve', "SELECT * FROM medsync.record_access('$large')", '42501', 'a refusal there');
	is_clean($standby, $db, 'verify finds nothing there');
	$standby->stop;
}
{
	my $dump = $node->basedir . '/dump';

	$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr($db) ], 'pg_dump');
	$node->safe_psql('postgres', 'CREATE DATABASE restored');
	$node->command_ok([ 'pg_restore', '-e', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
	is(errors($node, 'restored'), '', 'a restored database is clean');
	is(as($node, 'restored', 'alice', "SELECT medsync.get_record('$large') = testing.bytes(2 * $MIB + 7)"), 't', 'what was put comes back there');
	is(as($node, 'restored', 'bob', "SELECT medsync.get_record('$large', testing.private_key('bob')) IS NOT NULL"), 't', 'with a private key, too');
	denied($node, 'restored', 'paul', "SELECT medsync.get_record('$large')", '42501', 'refused there');
	as($node, 'restored', 'alice', "SELECT medsync.revoke_record('$large', testing.id('bob'))");
	$node->safe_psql('restored', 'SELECT medsync.seal()');
	is(errors($node, 'restored'), '', 'and clean after a change');
}

is_clean($node, $db);
seal_all($node, $db);
is_clean($node, $db, 'clean when sealed');
is_quiet($node);
$node->stop;
done_testing();
