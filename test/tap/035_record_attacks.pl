
# What a superuser does to stored records: get_record() gives nothing out, says
# so in one error, writes it down and tells the patient; what get_record() cannot
# see, since all of an older state that was signed was put back, verify() finds.
#
# Attacks run in a transaction that is rolled back, with the guards out of the
# way while they are done.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MedsyncRecords;
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('record_attacks');
my $db = new_database($node, 'clinic');
add_people($node, $db);

# Two records of one patient and one of another, alike in size; two versions.
my $a = put($node, $db, 'testing.bytes(2200000, 1)', [ 'bob', 'carol' ]);
my $b = put($node, $db, 'testing.bytes(2200000, 2)', [ 'bob', 'carol' ]);
my $c = put($node, $db, 'testing.bytes(2200000, 3)', [ 'bob', 'carol' ], patient => 'patient-2');
my $v = put($node, $db, 'testing.bytes(2200000, 4)', ['bob']);
put($node, $db, 'testing.bytes(2200000, 5)', [], record => $v);
# what was stored before a revocation
my $old = put($node, $db, q('before and after'), [ 'bob', 'carol' ]);
$node->safe_psql($db, <<SQL);
CREATE TABLE testing.old_head AS SELECT * FROM medsync._record_head WHERE record = '$old';
CREATE TABLE testing.old_version AS SELECT * FROM medsync._record_version WHERE record = '$old';
CREATE TABLE testing.old_wrap AS SELECT * FROM medsync._record_wrap WHERE record = '$old';
CREATE TABLE testing.old_chunk AS SELECT * FROM medsync._record_chunk WHERE record = '$old';
SQL
as($node, $db, 'alice', "SELECT medsync.revoke_record('$old', testing.id('bob'))");
$node->safe_psql($db, 'SELECT medsync.seal()');
is_clean($node, $db, 'clean before any attack');

my $event_triggers = query($node, $db, <<'SQL');
SELECT string_agg(format('ALTER EVENT TRIGGER %I DISABLE;', evtname), ' ')
FROM pg_event_trigger
SQL
my $event_triggers_back = $event_triggers =~ s/DISABLE/ENABLE ALWAYS/gr;
isnt($event_triggers, '', 'there are event triggers to get past');

# With the guards out of the way, do something; guards come back.
sub past
{
	my ($sql) = @_;
	my @tables = grep { $sql =~ /medsync\.$_\b/ } qw(_record _record_head _record_version _record_wrap notice);

	return join "\n", $event_triggers,
	  (map { "ALTER TABLE medsync.$_ DISABLE TRIGGER USER;" } @tables),
	  $sql,
	  (map { ("ALTER TABLE medsync.$_ ENABLE ALWAYS TRIGGER medsync_capture;",
			"ALTER TABLE medsync.$_ ENABLE ALWAYS TRIGGER medsync_truncate;") } @tables),
	  $event_triggers_back;
}

# An attack; what "do" as "as" (alice gets record "record") then gives: an
# SQLSTATE, or 'content'; and what verify finds: patterns over
# "verdict relation", one of them each.
sub attack
{
	my ($name, $sql, $gives, $found, %option) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $record = $option{record} || $a;
	my $as     = $option{as}     || 'alice';
	my $do     = $option{do}     || "SELECT 'content' || length(medsync.get_record('$record'))";
	my $damaged = query($node, $db, "SELECT count(*) FROM medsync.record_event WHERE event = 'damaged'");
	my ($out, $err) = ('', '');

	$node->psql($db, <<SQL, stdout => \$out, stderr => \$err);
\\set VERBOSITY verbose
BEGIN;
\\set ON_ERROR_STOP 1
@{[ past($sql) ]}
SAVEPOINT s;
SET LOCAL SESSION AUTHORIZATION $as;
\\set ON_ERROR_STOP 0
$do;
ROLLBACK TO s;
SELECT 'found ' || verdict || ' ' || coalesce(relation, '-') FROM medsync.verify() WHERE severity = 'error';
ROLLBACK;
SQL
	my ($state) = $err =~ /ERROR:\s+(\w{5}):/;
	$state = 'content' if !defined $state && $out =~ /^content/m;
	is($state, $gives, "$name: " . ($gives eq 'MS006' ? 'nothing is given out' : $gives)) or diag($err);
	unlike($out, qr/^content/m, "$name: no content") if $gives ne 'content';
	like($err, qr/record is damaged.*DETAIL:\s+It is record $record/s, "$name: says so") if $gives eq 'MS006';
	my $damages = $gives eq 'MS006' || $option{damaged} ? 1 : 0;
	is(query($node, $db, "SELECT count(*) FROM medsync.record_event WHERE event = 'damaged'") - $damaged,
		$damages, "$name: " . ($damages ? '' : 'not ') . 'written down as damage');
	my @findings = $out =~ /^found (.*)$/mg;
	foreach my $pattern (@$found)
	{
		ok(scalar(grep { /$pattern/ } @findings), "$name: verify finds $pattern") or diag("@findings");
	}
	is("@findings", '', "$name: verify finds nothing") if !@$found;
	return;
}

my $chunk = 'altered medsync._record_chunk';
my $version = 'altered medsync._record_version';
my $wrap = 'altered medsync._record_wrap';
my $signature = 'bad_signature medsync._record_version';
my $head = 'bad_signature medsync._record_head';

# ------------------------------------------------------------------
# Chunks
# ------------------------------------------------------------------

attack('a bit of a chunk',
	"UPDATE medsync._record_chunk SET body = set_bit(body, 77, 1 - get_bit(body, 77)) WHERE record = '$a' AND chunk = 1;", 'MS006', [$chunk]);
attack('a bit of a tag',
	"UPDATE medsync._record_chunk SET body = set_byte(body, length(body) - 1, 1 + get_byte(body, length(body) - 1) % 255) WHERE record = '$a' AND chunk = 2;", 'MS006', [$chunk]);
attack('chunks swapped between two records of a patient', <<SQL, 'MS006', [$chunk]);
UPDATE medsync._record_chunk x SET body = y.body FROM medsync._record_chunk y
WHERE x.record IN ('$a', '$b') AND y.record IN ('$a', '$b') AND x.record <> y.record AND x.chunk = 1 AND y.chunk = 1;
SQL
attack('all chunks of another patient\'s record', <<SQL, 'MS006', [$chunk]);
UPDATE medsync._record_chunk x SET body = y.body FROM medsync._record_chunk y WHERE x.record = '$a' AND y.record = '$c' AND x.chunk = y.chunk;
SQL
attack('chunks swapped between two versions', <<SQL, 'MS006', [$chunk], record => $v);
UPDATE medsync._record_chunk x SET body = y.body FROM medsync._record_chunk y
WHERE x.record = '$v' AND y.record = '$v' AND x.version <> y.version AND x.chunk = y.chunk;
SQL
attack('a chunk cut short', "UPDATE medsync._record_chunk SET body = substr(body, 1, 1000) WHERE record = '$a' AND chunk = 0;", 'MS006', [$chunk]);
attack('a chunk emptied', "UPDATE medsync._record_chunk SET body = '' WHERE record = '$a' AND chunk = 2;", 'MS006', [$chunk]);
attack('a chunk made huge', "UPDATE medsync._record_chunk SET body = body || body || body WHERE record = '$a' AND chunk = 0;", 'MS006', [$chunk]);
attack("chunk $_ deleted", "DELETE FROM medsync._record_chunk WHERE record = '$a' AND chunk = $_;", 'MS006', [$chunk]) foreach 0 .. 2;
attack('all chunks deleted', "DELETE FROM medsync._record_chunk WHERE record = '$a';", 'MS006', [$chunk]);
attack('chunks in another order', <<SQL, 'MS006', [$chunk]);
UPDATE medsync._record_chunk SET chunk = chunk + 10 WHERE record = '$a' AND chunk < 2;
UPDATE medsync._record_chunk SET chunk = 11 - chunk WHERE record = '$a' AND chunk >= 10;
SQL
attack('a chunk more', "INSERT INTO medsync._record_chunk SELECT record, version, 3, body FROM medsync._record_chunk WHERE record = '$a' AND chunk = 2;", 'MS006', [$chunk]);
attack('a chunk before the first', "INSERT INTO medsync._record_chunk SELECT record, version, -1, body FROM medsync._record_chunk WHERE record = '$a' AND chunk = 2;", 'MS006', [$chunk]);
attack('chunks of no version',
	"INSERT INTO medsync._record_chunk SELECT record, 9, chunk, body FROM medsync._record_chunk WHERE record = '$a';", 'content', ['extra medsync._record_chunk']);
attack('chunks of no record',
	"INSERT INTO medsync._record_chunk SELECT gen_random_uuid(), 1, chunk, body FROM medsync._record_chunk WHERE record = '$a';", 'content', ['extra medsync._record_chunk']);

# who signs a statement anew looks at the chunks that it is of, of every version
{
	my $old_chunk = "UPDATE medsync._record_chunk SET body = set_bit(body, 77, 1 - get_bit(body, 77)) WHERE record = '$v' AND version = 1 AND chunk = 1;";

	attack('a bit of a chunk of an old version, and somebody grants', $old_chunk, 'MS006', [$chunk], record => $v, do => "SELECT medsync.grant_record('$v', testing.id('carol'))");
	attack('the same, and a wrap is replaced by a grant', $old_chunk, 'MS006', [$chunk], record => $v, do => "SELECT medsync.grant_record('$v', testing.id('bob'))");
	attack('the same, and a holder wraps anew', $old_chunk, 'MS006', [$chunk], record => $v, as => 'bob', do => "SELECT medsync.rewrap_record('$v')");
	attack('the same, and the newest version is read', $old_chunk, 'content', [$chunk], record => $v);
	attack('the same, and another version is put', $old_chunk, 'content', [$chunk], record => $v,
		do => "SELECT 'content' FROM medsync.put_record('patient-1', 'as it was', 'x', '{}', '$v')");
	attack('the same, and somebody looks who has access', $old_chunk, 'content', [$chunk], record => $v, do => "SELECT 'content' FROM medsync.record_access('$v')");
}

# ------------------------------------------------------------------
# What the statement says
# ------------------------------------------------------------------

foreach my $case (
	[ 'media type',   "media_type = 'text/html'" ],
	[ 'length',       'length = length - 1' ],
	[ 'length, far',  'length = 99999999' ],
	[ 'no length',    'length = -1' ],
	[ 'chunk count',  'chunks = chunks - 1' ],
	[ 'key id',       "key_id = (SELECT key_id FROM medsync._record_version WHERE record = '$b')" ],
	[ 'key id, short', q(key_id = '\x00') ],
	[ 'digest',       q(digest = sha256('another')) ],
	[ 'author',       q(author = testing.id('bob')) ],
	[ 'time',         q(created_at = created_at - interval '1 day') ],
	[ 'signature',    'signature = set_bit(signature, 0, 1 - get_bit(signature, 0))' ],
	[ 'another\'s signature', "signature = (SELECT signature FROM medsync._record_version WHERE record = '$b')" ],
	[ 'no signature', q(signature = '') ])
{
	attack("$case->[0] of a version", "UPDATE medsync._record_version SET $case->[1] WHERE record = '$a';", 'MS006', [$version]);
}
attack('number of a version', "UPDATE medsync._record_version SET version = 2 WHERE record = '$a';", 'MS006',
	[ 'missing medsync._record_version', 'extra medsync._record_version', 'extra medsync._record_chunk' ], as => 'pat');
attack('number of a version, with its wraps and chunks', <<SQL, 'MS006', [ 'extra medsync._record_version', $signature ]);
UPDATE medsync._record_version SET version = 2 WHERE record = '$a';
UPDATE medsync._record_wrap SET version = 2 WHERE record = '$a';
UPDATE medsync._record_chunk SET version = 2 WHERE record = '$a';
SQL
attack('patient of a version', "UPDATE medsync._record_version SET patient = 'patient-2' WHERE record = '$a';", 'MS006', ['altered medsync._record_version']);
attack('patient of the record', "UPDATE medsync._record SET patient = 'patient-2' WHERE record = '$a';", 'MS006', ['altered medsync._record$']);
attack('patient of everything: whoever is that patient now', <<SQL, 'MS006', [ 'altered medsync._record$', $signature ], as => 'paul');
UPDATE medsync._record SET patient = 'patient-2' WHERE record = '$a';
UPDATE medsync._record_version SET patient = 'patient-2' WHERE record = '$a';
UPDATE medsync._record_wrap SET patient = 'patient-2' WHERE record = '$a';
SQL
attack("author of the record, who $_->[0]", "UPDATE medsync._record SET author = testing.id('bob') WHERE record = '$a';", 'MS006', [ 'altered medsync._record$', $signature ],
	as => 'bob', do => "SELECT medsync.$_->[1]") foreach [ 'puts', "put_record('patient-1', 'x', 'x', '{}', '$a')" ], [ 'wraps', "rewrap_record('$a', testing.id('carol'))" ];
attack('versions that change places', <<SQL, 'MS006', [ $version, $signature ], record => $v);
UPDATE medsync._record_version SET version = version + 10 WHERE record = '$v';
UPDATE medsync._record_version SET version = 13 - version WHERE record = '$v';
SQL
attack('the server\'s wrap of another record',
	"UPDATE medsync._record_version SET server_wrap = (SELECT server_wrap FROM medsync._record_version WHERE record = '$b') WHERE record = '$a';", 'MS006', [$version]);
attack('everything of another record but its id', <<SQL, 'MS006', [ $version, $signature ]);
UPDATE medsync._record_version x SET (key_id, digest, server_wrap, signature, author, created_at)
	= (y.key_id, y.digest, y.server_wrap, y.signature, y.author, y.created_at) FROM medsync._record_version y WHERE x.record = '$a' AND y.record = '$b';
UPDATE medsync._record_wrap x SET (wrapped, granted_at) = (y.wrapped, y.granted_at) FROM medsync._record_wrap y WHERE x.record = '$a' AND y.record = '$b' AND x.person = y.person;
UPDATE medsync._record_chunk x SET body = y.body FROM medsync._record_chunk y WHERE x.record = '$a' AND y.record = '$b' AND x.chunk = y.chunk;
SQL

# ------------------------------------------------------------------
# Recipients
# ------------------------------------------------------------------

my $add_paul = <<SQL;
INSERT INTO medsync._record_wrap
	SELECT record, version, testing.id('paul'), patient, k.id, 6, medsync.wrap_key(sha256('no key'), k.public_key), now(), granted_by
	FROM medsync._record_wrap, medsync.person_key k
	WHERE record = '$a' AND k.person = testing.id('paul') AND _record_wrap.person = testing.id('bob');
SQL
attack('a holder added', $add_paul, 'MS006', [ 'extra medsync._record_wrap', $signature ], as => 'paul');
attack('a holder added, and somebody grants', $add_paul, 'MS006', [$signature], do => "SELECT medsync.grant_record('$a', testing.id('bob'))");
attack('a holder added, and a version is put', $add_paul, 'MS006', [$signature], do => "SELECT medsync.put_record('patient-1', 'x', 'x', '{}', '$a')");
attack('a holder added, and somebody looks who has access', $add_paul, 'MS006', [$signature], do => "SELECT * FROM medsync.record_access('$a')");
attack('a holder replaced', "UPDATE medsync._record_wrap SET person = testing.id('paul') WHERE record = '$a' AND person = testing.id('bob');", 'MS006', [$signature], as => 'paul');
attack('a holder removed', "DELETE FROM medsync._record_wrap WHERE record = '$a' AND person = testing.id('bob');", 'MS006', [ 'missing medsync._record_wrap', $signature ]);
attack('a holder removed, who asks', "DELETE FROM medsync._record_wrap WHERE record = '$a' AND person = testing.id('bob');", '42501', [$signature], as => 'bob', damaged => 1);
attack('wraps swapped between holders', <<SQL, 'MS006', [ $wrap, $signature ]);
UPDATE medsync._record_wrap x SET (key, algorithm, wrapped) = (y.key, y.algorithm, y.wrapped) FROM medsync._record_wrap y
WHERE x.record = '$a' AND y.record = '$a' AND x.person <> y.person AND x.person <> testing.id('alice') AND y.person <> testing.id('alice');
SQL
attack('a wrap of another record', <<SQL, 'MS006', [ $wrap, $signature ], as => 'bob');
UPDATE medsync._record_wrap x SET wrapped = y.wrapped FROM medsync._record_wrap y WHERE x.record = '$a' AND y.record = '$b' AND x.person = y.person;
SQL
attack('a wrap that is a secret of the attacker', <<SQL, 'MS006', [ $wrap, $signature ], as => 'bob', do => "SELECT medsync.get_record('$a', testing.private_key('bob'))");
UPDATE medsync._record_wrap SET wrapped = medsync.wrap_key(sha256('known'), (SELECT public_key FROM testing.key WHERE name = 'bob'))
WHERE record = '$a' AND person = testing.id('bob');
SQL
attack('a wrap taken away', "UPDATE medsync._record_wrap SET wrapped = NULL, key = NULL, algorithm = 0 WHERE record = '$a' AND person = testing.id('bob');", 'MS006', [ $wrap, $signature ]);
attack('algorithm of a wrap, and who holds it asks', "UPDATE medsync._record_wrap SET algorithm = 300 WHERE record = '$a' AND person = testing.id('bob');", 'MS006', [$wrap], as => 'bob');
attack('the patient of a record, and a holder asks', "UPDATE medsync._record SET patient = 'patient-2' WHERE record = '$a';", 'MS006', ['altered medsync._record$'], as => 'bob');
attack('the patient of a record, and the patient asks', "UPDATE medsync._record SET patient = 'patient-2' WHERE record = '$a';", '42501', ['altered medsync._record$'], as => 'pat', damaged => 1);
attack('a version, and somebody asks who may not', "UPDATE medsync._record_version SET length = length + 1 WHERE record = '$a';", '42501', [$version], as => 'paul', damaged => 1);
attack('a row of a wrap, and somebody asks who may not', "UPDATE medsync._record_wrap SET granted_at = 'epoch' WHERE record = '$a';", '42501', [$wrap], as => 'paul', damaged => 1);
attack('algorithm of a wrap', "UPDATE medsync._record_wrap SET algorithm = 1 WHERE record = '$a' AND person = testing.id('bob');", 'MS006', [$wrap]);
attack('since when', "UPDATE medsync._record_wrap SET granted_at = granted_at - interval '1 year' WHERE record = '$a' AND person = testing.id('bob');", 'MS006', [ $wrap, $signature ]);
attack('by whom', "UPDATE medsync._record_wrap SET granted_by = testing.id('carol') WHERE record = '$a' AND person = testing.id('bob');", 'MS006', [ $wrap, $signature ]);

# ------------------------------------------------------------------
# Older states, which were signed once: get_record() sees what the head is not
# of; where that was put back as well, verify() tells
# ------------------------------------------------------------------

attack('the newest version is gone', <<SQL, 'MS006', [ 'missing medsync._record_version', 'missing medsync._record_wrap', $head ], record => $v);
DELETE FROM medsync._record_wrap WHERE record = '$v' AND version = 2;
DELETE FROM medsync._record_version WHERE record = '$v' AND version = 2;
DELETE FROM medsync._record_chunk WHERE record = '$v' AND version = 2;
SQL
my $roll_back = <<SQL;
DELETE FROM medsync._record_wrap WHERE record = '$old'; INSERT INTO medsync._record_wrap SELECT * FROM testing.old_wrap;
DELETE FROM medsync._record_version WHERE record = '$old'; INSERT INTO medsync._record_version SELECT * FROM testing.old_version;
DELETE FROM medsync._record_chunk WHERE record = '$old'; INSERT INTO medsync._record_chunk SELECT * FROM testing.old_chunk;
SQL
attack('all rows from before a revocation but the head', $roll_back, 'MS006', [ $version, 'extra medsync._record_wrap', $head ], record => $old, as => 'bob');
attack('the same, and somebody grants', $roll_back, 'MS006', [$head], record => $old, do => "SELECT medsync.grant_record('$old', testing.id('bob'))");
attack('the same, and somebody looks who has access', $roll_back, 'MS006', [$head], record => $old, do => "SELECT * FROM medsync.record_access('$old')");
attack('all that was before a revocation is put back', $roll_back . <<SQL, 'content', [ $version, 'extra medsync._record_wrap', 'altered medsync._record_head' ], record => $old, as => 'bob');
DELETE FROM medsync._record_head WHERE record = '$old'; INSERT INTO medsync._record_head SELECT * FROM testing.old_head;
SQL
attack('only the head from before a revocation', <<SQL, 'MS006', [ 'altered medsync._record_head', $head ], record => $old);
DELETE FROM medsync._record_head WHERE record = '$old'; INSERT INTO medsync._record_head SELECT * FROM testing.old_head;
SQL
attack('no head', "DELETE FROM medsync._record_head WHERE record = '$a';", 'MS006', ['missing medsync._record_head']);
attack('the head of another record', <<SQL, 'MS006', [ 'altered medsync._record_head', $head ]);
UPDATE medsync._record_head x SET (version, revision, signature) = (y.version, y.revision, y.signature) FROM medsync._record_head y WHERE x.record = '$a' AND y.record = '$b';
SQL
attack("$_->[0] of a head", "UPDATE medsync._record_head SET $_->[1] WHERE record = '$a';", 'MS006', [ 'altered medsync._record_head', $head ])
  foreach [ 'version', 'version = 2' ], [ 'revision', 'revision = revision + 1' ], [ 'patient', "patient = 'patient-2'" ],
  [ 'signature', 'signature = set_bit(signature, 0, 1 - get_bit(signature, 0))' ];
attack('a head of no record', "INSERT INTO medsync._record_head SELECT gen_random_uuid(), version, patient, revision, signature FROM medsync._record_head WHERE record = '$a';",
	'content', ['extra medsync._record_head']);
attack('only the version from before a revocation', <<SQL, 'MS006', [ $version, $signature ], record => $old);
DELETE FROM medsync._record_version WHERE record = '$old'; INSERT INTO medsync._record_version SELECT * FROM testing.old_version;
SQL
attack('only the holders from before a revocation', <<SQL, 'MS006', [$signature], record => $old, as => 'bob');
DELETE FROM medsync._record_wrap WHERE record = '$old'; INSERT INTO medsync._record_wrap SELECT * FROM testing.old_wrap;
SQL
attack('only the chunks from before a revocation', <<SQL, 'MS006', [$chunk], record => $old);
DELETE FROM medsync._record_chunk WHERE record = '$old'; INSERT INTO medsync._record_chunk SELECT * FROM testing.old_chunk;
SQL
attack('the record is gone', <<SQL, '42501', [ 'missing medsync._record$', 'extra medsync._record_version', 'extra medsync._record_chunk' ], damaged => 1);
DELETE FROM medsync._record WHERE record = '$a';
SQL
attack('its versions are gone, its author asks', <<SQL, '42501', [ 'missing medsync._record_version', 'extra medsync._record_chunk' ], damaged => 1);
DELETE FROM medsync._record_wrap WHERE record = '$a'; DELETE FROM medsync._record_version WHERE record = '$a';
SQL
attack('its versions are gone, its patient asks', <<SQL, 'MS006', [ 'missing medsync._record_version', 'extra medsync._record_chunk' ], as => 'pat');
DELETE FROM medsync._record_wrap WHERE record = '$a'; DELETE FROM medsync._record_version WHERE record = '$a';
SQL

# ------------------------------------------------------------------
# Damage does not stop a revocation
# ------------------------------------------------------------------

# three versions, of which bob and carol hold each
my $w = put($node, $db, 'testing.bytes(1100000, 1)', [ 'bob', 'carol' ]);
put($node, $db, "testing.bytes(1100000, $_)", [], record => $w) foreach 2, 3;
my @w_tables = qw(_record _record_head _record_version _record_wrap _record_chunk);
$node->safe_psql($db, join ';', map { "CREATE TABLE testing.w$_ AS SELECT * FROM medsync.$_ WHERE record = '$w'" } @w_tables);

# An attack, after which somebody revokes bob, or "whom"; what the warning
# names; what bob, carol and "after" then get of each version, after "then",
# another attack.
sub revocation
{
	my ($name, $sql, $warning, %option) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $by = $option{by} || 'pat';
	my $whom = $option{whom} || 'bob';
	my $counts = "SELECT concat_ws('|', (SELECT count(*) FROM medsync.record_event WHERE event = 'damaged' AND record = '$w'),
	(SELECT count(*) FROM medsync.notice WHERE kind = 'damaged' AND record = '$w'))";
	my @before = split /\|/, query($node, $db, $counts);
	my $get = join "\n", map {
		my $who = $_;
		map { "SAVEPOINT s; SET LOCAL SESSION AUTHORIZATION $who; \\echo get $who $_\nSELECT 'gets ' || length(medsync.get_record('$w', version => $_)); ROLLBACK TO s;" } 1 .. 3
	} qw(bob carol);
	my ($out, $err) = ('', '');

	$node->psql($db, <<SQL, stdout => \$out, stderr => \$err);
\\set VERBOSITY verbose
\\set ON_ERROR_STOP 1
BEGIN;
@{[ past($sql) ]}
SET LOCAL SESSION AUTHORIZATION $by;
SELECT 'revoked' || medsync.revoke_record('$w', testing.id('$whom'))::text;
RESET SESSION AUTHORIZATION;
\\echo damages
$counts;
SELECT 'event ' || count(*) FROM medsync.record_event WHERE record = '$w' AND event = 'revoke' AND recipient = testing.id('$whom');
SELECT 'held ' || count(*) FROM medsync._record_wrap WHERE record = '$w' AND person = testing.id('$whom');
SELECT 'rekeyed ' || coalesce(string_agg(v.version::text, ' ' ORDER BY v.version), '') FROM medsync._record_version v JOIN testing.w_record_version o USING (record, version) WHERE v.key_id <> o.key_id;
SELECT 'signed ' || coalesce(string_agg(v.version::text, ' ' ORDER BY v.version), '') FROM medsync._record_version v JOIN testing.w_record_version o USING (record, version) WHERE v.signature NOT IN (o.signature, decode(repeat('00', 64), 'hex'));
@{[ $option{then} ? past($option{then}) : '' ]}
SELECT 'found ' || verdict || ' ' || coalesce(relation, '-') FROM medsync.verify() WHERE severity = 'error';
\\set ON_ERROR_STOP 0
\\set VERBOSITY sqlstate
$get
ROLLBACK;
SQL
	like($out, qr/^revoked$/m, "$name: it is revoked") or diag($err);
	like($err, qr/WARNING:\s+MS006: access was revoked, but the record is damaged\nDETAIL:\s+$warning\n/, "$name: the caller is told");
	like($out, qr/^event 1$/m, "$name: the revocation is an event");
	like($out, qr/^held 0$/m, "$name: no row is left");
	foreach my $what (qw(rekeyed signed))
	{
		my ($versions) = $out =~ /^$what ([\d ]*)$/m;
		is($versions, $option{$what}, "$name: versions that are $what");
	}
	# the results of six gets, in their order, one each on stdout or stderr
	my %got = map { $_ => 'MS006' } map { my $who = $_; map { "$who $_" } 1 .. 3 } qw(bob carol);
	$got{"$1 $2"} = 'content' while $out =~ /get (\w+) (\d)\ngets 1100000$/mg;
	my @states = $err =~ /ERROR:\s+(\w{5})$/mg;
	foreach my $case (map { my $who = $_; map { "$who $_" } 1 .. 3 } qw(bob carol))
	{
		$got{$case} = shift @states if $got{$case} ne 'content';
	}
	foreach my $who (qw(bob carol))
	{
		is(join(' ', map { $got{"$who $_"} // '-' } 1 .. 3), $option{$who}, "$name: what $who gets");
	}
	my @findings = $out =~ /^found (.*)$/mg;
	foreach my $pattern (@{ $option{found} })
	{
		ok(scalar(grep { /$pattern/ } @findings), "$name: verify finds $pattern") or diag("@findings");
	}
	my @after = $out =~ /^damages\n(\d+)\|(\d+)$/m;
	# one notice a day
	is(join('|', $after[0] - $before[0], $after[1]), '1|1', "$name: one event of damage, and a notice");
	return;
}

my $denied = '42501 42501 42501';
my $kept = 'content content content';

revocation('a bit of a chunk of an old version', "UPDATE medsync._record_chunk SET body = set_bit(body, 77, 1 - get_bit(body, 77)) WHERE record = '$w' AND version = 1 AND chunk = 1;",
	"Damaged in record $w: version 1\\.", rekeyed => '2 3', signed => '1 2 3', bob => $denied, carol => 'MS006 content content', found => [$chunk]);
revocation('the same, and the author revokes', "DELETE FROM medsync._record_chunk WHERE record = '$w' AND version = 1 AND chunk = 0;",
	"Damaged in record $w: version 1\\.", rekeyed => '2 3', signed => '1 2 3', bob => $denied, carol => 'MS006 content content', found => [$chunk], by => 'alice');
revocation('chunks of the newest version', "UPDATE medsync._record_chunk SET body = '' WHERE record = '$w' AND version = 3;",
	"Damaged in record $w: version 3\\.", rekeyed => '1 2', signed => '1 2 3', bob => $denied, carol => 'content content MS006', found => [$chunk]);
revocation('the server\'s wrap', "UPDATE medsync._record_version SET server_wrap = set_bit(server_wrap, 200, 1 - get_bit(server_wrap, 200)) WHERE record = '$w' AND version = 2;",
	"Damaged in record $w: version 2\\.", rekeyed => '1 3', signed => '1 2 3', bob => $denied, carol => 'content MS006 content', found => ['entry_missing medsync._record_version']);
my $altered = "UPDATE medsync._record_version SET media_type = 'text/html' WHERE record = '$w' AND version = 2;";
revocation('what a version says', $altered,
	"Damaged in record $w: version 2\\.", rekeyed => '1 3', signed => '1 3', bob => $denied, carol => 'content MS006 content', found => [$signature]);
revocation('a holder\'s row of the newest version', "UPDATE medsync._record_wrap SET granted_at = 'epoch' WHERE record = '$w' AND version = 3 AND person = testing.id('carol');",
	"Damaged in record $w: version 3\\.", rekeyed => '1 2', signed => '1 2', bob => $denied, carol => 'content content MS006', found => [$signature]);
revocation('the recipient\'s row of the newest version is gone', "DELETE FROM medsync._record_wrap WHERE record = '$w' AND version = 3 AND person = testing.id('bob');",
	"Damaged in record $w: version 3\\.", rekeyed => '1 2', signed => '1 2', bob => $denied, carol => 'content content MS006', found => [$signature]);
revocation('all versions', "UPDATE medsync._record_version SET length = length - 1 WHERE record = '$w';",
	"Damaged in record $w: version 1, 2, 3\\.", rekeyed => '', signed => '', bob => $denied, carol => 'MS006 MS006 MS006', found => [$signature]);
revocation('the head', "UPDATE medsync._record_head SET revision = revision + 1 WHERE record = '$w';",
	"Record $w is not in its newest state; nothing of it was encrypted anew\\.", rekeyed => '', signed => '', bob => $denied, carol => 'MS006 MS006 MS006', found => [$head]);
revocation('no head', "DELETE FROM medsync._record_head WHERE record = '$w';",
	"Record $w is not in its newest state; nothing of it was encrypted anew\\.", rekeyed => '', signed => '', bob => $denied, carol => 'MS006 MS006 MS006', found => ['missing medsync._record_head']);
revocation('a holder added, who is revoked', <<SQL, "Damaged in record $w: version 3\\.", whom => 'paul', rekeyed => '1 2 3', signed => '1 2 3', bob => $kept, carol => $kept, found => ['entry_missing medsync._record_wrap']);
INSERT INTO medsync._record_wrap
	SELECT record, version, testing.id('paul'), patient, NULL, 0, NULL, now(), granted_by
	FROM medsync._record_wrap WHERE record = '$w' AND version = 3 AND person = testing.id('bob');
SQL

# what was damaged then, put back as it was before, is not given to who was revoked
revocation('a damaged version is put back', $altered, "Damaged in record $w: version 2\\.", rekeyed => '1 3', signed => '1 3',
	bob => '42501 MS006 42501', carol => 'content MS006 content', found => [$signature], then => <<SQL);
UPDATE medsync._record_version SET media_type = 'text/plain' WHERE record = '$w' AND version = 2;
INSERT INTO medsync._record_wrap SELECT * FROM testing.w_record_wrap WHERE version = 2 AND person = testing.id('bob');
SQL
revocation('a damaged version is put back with its signature', $altered, "Damaged in record $w: version 2\\.", rekeyed => '1 3', signed => '1 3',
	bob => '42501 MS006 42501', carol => 'MS006 MS006 MS006', found => [$head], then => <<SQL);
DELETE FROM medsync._record_version WHERE record = '$w' AND version = 2; INSERT INTO medsync._record_version SELECT * FROM testing.w_record_version WHERE version = 2;
INSERT INTO medsync._record_wrap SELECT * FROM testing.w_record_wrap WHERE version = 2 AND person = testing.id('bob');
SQL
revocation('damaged chunks are put back', "DELETE FROM medsync._record_chunk WHERE record = '$w' AND version = 1;", "Damaged in record $w: version 1\\.", rekeyed => '2 3', signed => '1 2 3',
	bob => 'MS006 42501 42501', carol => 'MS006 content content', found => [$signature], then => <<SQL);
INSERT INTO medsync._record_chunk SELECT * FROM testing.w_record_chunk WHERE version = 1;
INSERT INTO medsync._record_wrap SELECT * FROM testing.w_record_wrap WHERE version = 1 AND person = testing.id('bob');
SQL
my $roll_back_w = join "\n", map { "DELETE FROM medsync.$_ WHERE record = '$w'; INSERT INTO medsync.$_ SELECT * FROM testing.w$_;" } qw(_record_version _record_wrap _record_chunk);
as($node, $db, 'alice', "SELECT medsync.grant_record('$w', testing.id('paul'))");
revocation('all rows from before a grant but the head', $roll_back_w, "Record $w is not in its newest state; nothing of it was encrypted anew\\.",
	rekeyed => '', signed => '', bob => $denied, carol => 'MS006 MS006 MS006', found => [$head]);
attack('a damaged record of which somebody holds nothing', "UPDATE medsync._record_version SET length = length - 1 WHERE record = '$w';", 'MS006', [$signature],
	record => $w, do => "SELECT medsync.revoke_record('$w', testing.id('nils'))");
as($node, $db, 'pat', "SELECT medsync.revoke_record('$w', testing.id('paul'))");
is(as($node, $db, 'carol', "SELECT length(medsync.get_record('$w', version => 2))"), '1100000', 'nothing of this was committed');
is_clean($node, $db, 'and all of it is clean');

# ------------------------------------------------------------------
# What is told to whom
# ------------------------------------------------------------------

is( query($node, $db, <<SQL), 't|t|t', 'every damage is an event; its patient was told once of each record');
SELECT (SELECT count(*) FROM medsync.record_event WHERE event = 'damaged') > 40,
	count(*) = count(DISTINCT record) AND bool_and(kind = 'damaged'),
	array_agg(row(subject, record) ORDER BY record) = (SELECT array_agg(DISTINCT row(patient, record) ORDER BY row(patient, record)) FROM medsync.record_event WHERE event = 'damaged')
FROM medsync.notice
SQL
is( query($node, $db, <<'SQL'), <<'TEXT' =~ s/\n\z//r, 'events say what was damaged');
SELECT DISTINCT reason FROM medsync.record_event WHERE event = 'damaged' ORDER BY 1
SQL
a row is missing or malformed
chunks are missing, extra or of a wrong size
the data key does not open
the digest of the chunks is another
the record is not in its newest state
the vault's signature does not hold
TEXT
is(as($node, $db, 'pat', "SELECT count(*) > 0 FROM medsync.my_notices() WHERE record = '$a'"), 't', 'the patient reads them');
is(as($node, $db, 'paul', 'SELECT count(*) FROM medsync.my_notices()'), '0', 'others do not');
is( query($node, $db, <<'SQL'), '0', 'event and notice are entries of the ledger');
SELECT count(*) FROM (SELECT id FROM medsync.notice UNION ALL SELECT id FROM medsync.record_event) x
WHERE id::text NOT IN (SELECT row_key->>'id' FROM medsync.history('medsync.notice') UNION ALL SELECT row_key->>'id' FROM medsync.history('medsync.record_event'))
SQL

# committed damage, and somebody who listens
$node->safe_psql($db, "UPDATE medsync._record_chunk SET body = set_byte(body, 0, 1 + get_byte(body, 0) % 255) WHERE record = '$b' AND chunk = 0");
{
	my ($out, $err) = ('', '');

	$node->psql($db, <<SQL, stdout => \$out, stderr => \$err);
LISTEN medsync_notice;
SET SESSION AUTHORIZATION bob;
SELECT medsync.get_record('$b');
RESET SESSION AUTHORIZATION;
SELECT pg_sleep(0.5);
SELECT 1;
SQL
	my $id = query($node, $db, "SELECT id FROM medsync.notice WHERE record = '$b'");
	like($out, qr/Asynchronous notification "medsync_notice" with payload "$id"/, 'who listens is told the notice\'s id, and nothing else');
	like(query($node, $db, "SELECT concat_ws('|', subject, kind, detail) FROM medsync.notice WHERE id = '$id'"),
		qr/^patient-1\|damaged\|the digest of the chunks is another$/, 'the notice');

	# the patient is told again a day later
	my $told = sub {
		my $before = query($node, $db, "SELECT count(*) FROM medsync.record_event WHERE event = 'damaged' AND record = '$b'");
		denied($node, $db, 'bob', "SELECT medsync.get_record('$b')", 'MS006', 'damaged as ever');
		is(query($node, $db, "SELECT count(*) FROM medsync.record_event WHERE event = 'damaged' AND record = '$b'") - $before, 1, 'which is an event each time');
		return query($node, $db, "SELECT count(*) FROM medsync.notice WHERE record = '$b'");
	};
	is($told->(), '1', 'the patient is not told again');
	$node->safe_psql($db, past("UPDATE medsync.notice SET at = at - interval '1 day' WHERE id = '$id';"));
	is($told->(), '2', 'but a day later');
	$node->safe_psql($db, past("UPDATE medsync.notice SET at = at + interval '1 day' WHERE id = '$id';"));
}

# many find it at once
{
	my $r = put($node, $db, q('many find it'), []);
	my $flip = "UPDATE medsync._record_chunk SET body = set_byte(body, 0, get_byte(body, 0) # 1) WHERE record = '$r'";
	my $script = script('damaged.sql', "DO \$\$ BEGIN PERFORM medsync.get_record('$r'); EXCEPTION WHEN SQLSTATE 'MS006' THEN NULL; END \$\$;\n");

	$node->safe_psql($db, $flip);
	my $run = pgbench_run($node, $db, '-U', 'alice', '-n', '-c', 8, '-j', 2, '-t', 5, '-f', $script);
	is($run->{transactions}, 40, 'eight sessions find damage') or diag($run->{err});
	$node->safe_psql($db, $flip);
	denied($node, $db, 'paul', "SELECT medsync.get_record('$r')", '42501', 'a worker more');
	is(query($node, $db, "SELECT (SELECT count(*) FROM medsync.record_event WHERE event = 'damaged' AND record = '$r'), (SELECT count(*) FROM medsync.notice WHERE record = '$r')"),
		'40|1', 'forty events, one notice');
}

# since_size leaves out what a block had seen; without it, it is found
{
	my $size = query($node, $db, 'SELECT max(size) FROM medsync.checkpoint');

	is(query($node, $db, "SELECT count(*) FROM medsync.verify(since_size => $size) WHERE severity = 'error'"), '0',
		'since_size leaves out the content of versions that were verified before');
	is(query($node, $db, "SELECT string_agg(verdict || ' ' || relation || ' ' || (row_key->>'record') || ' ' || (row_key->>'version'), ',') FROM medsync.verify() WHERE severity = 'error'"),
		"altered medsync._record_chunk $b 1", 'the whole finds it, and says where');
	is(query($node, $db, "SELECT count(*) FROM medsync.verify('medsync._record_version') WHERE relation = 'medsync._record_chunk'"), '1', 'so does verify of the versions');
	is(query($node, $db, "SELECT count(*) FROM medsync.verify('medsync.person') WHERE severity = 'error'"), '0', 'not verify of another table');
}

# a row that cannot be read at all
SKIP:
{
	skip 'pg_surgery is not there', 3
	  if query($node, $db, "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_surgery'") eq '0';

	my $d = put($node, $db, 'testing.bytes(100000)', ['bob']);
	my $toast = query($node, $db, "SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'medsync._record_chunk'::regclass");
	my $tid = query($node, $db, "SELECT ctid FROM $toast ORDER BY chunk_id DESC, chunk_seq LIMIT 1");
	$node->safe_psql($db, "CREATE EXTENSION pg_surgery; SELECT heap_force_kill('$toast', ARRAY['$tid'::tid])");
	denied($node, $db, 'bob', "SELECT medsync.get_record('$d')", 'MS006', 'a chunk that cannot be read', like => qr/record is damaged/);
	is(query($node, $db, "SELECT reason FROM medsync.record_event WHERE event = 'damaged' AND record = '$d'"), 'a row cannot be read', 'is written down as such');
	like(errors($node, $db), qr/altered\|medsync._record_chunk\|[^\n]*$d[^\n]*could not be read/, 'verify finds it');
}

# without the master key nothing is damaged, and nothing opens
{
	my $key = key_file($node, $db);

	rename $key, "$key.away" or die $!;
	denied($node, $db, 'alice', "SELECT medsync.get_record('$a')", 'MS001', 'without the master key');
	rename "$key.away", $key or die $!;
	is(as($node, $db, 'alice', "SELECT length(medsync.get_record('$a'))"), '2200000', 'with it');
}

is_quiet($node);
$node->stop;
done_testing();
