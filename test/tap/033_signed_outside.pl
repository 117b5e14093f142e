
# Signed rows, looked at from outside: whose they are is in receipts, which
# need no server; live rows are checked with the keys that the server has.
# Honest ledgers are clean; each forgery is found, also by somebody who has the
# master key and the key that signs the log, and computed everything again.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run;
use JSON::PP;
use MedsyncOutside;
use MedsyncTest;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'python3 (3.9 or later) and an openssl with Ed25519 are not there' unless have_forgers();

my $dir = own_directory();
my $vectors = "$FindBin::RealBin/../vectors";
my $db = 'clinic';
my $node = new_node('signed', conf => "medsync.origin = 'hospital.example/signed'\n");

sub sql { return query($node, $db, shift); }

# A transaction of its own; its id.
sub xact
{
	my ($sql) = @_;
	my @line = split /\n/, sql("BEGIN; $sql; SELECT pg_current_xact_id(); COMMIT");
	return $line[-1];
}

# ------------------------------------------------------------------
# The ledger: all algorithms, both payloads, partitions of partitions
# ------------------------------------------------------------------

$node->safe_psql('postgres', "CREATE DATABASE $db");
sql(<<'SQL');
CREATE EXTENSION medsync;
CREATE SCHEMA testing;
CREATE ROLE clerk LOGIN SUPERUSER;
CREATE TABLE testing.signer (name text PRIMARY KEY, person uuid, key uuid, private_key bytea);
CREATE FUNCTION testing.new_signer(who text, algorithm text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	pair record;
	person uuid := medsync.register_person('practitioner', who);
BEGIN
	SELECT * INTO pair FROM medsync.generate_key_pair(algorithm);
	PERFORM medsync.verify_person(person);
	PERFORM medsync.add_licence(person, 'rx', 'no "' || who || '"', 'state', now() - interval '1 day');
	INSERT INTO testing.signer VALUES (who, person, medsync.add_key(person, algorithm, pair.public_key), pair.private_key);
END $$;
SELECT testing.new_signer('dr. ' || a, a) FROM unnest('{ed25519,p-256,rsa-2048,rsa-3072,rsa-4096}'::text[]) a;
SELECT testing.new_signer('other', 'ed25519'), testing.new_signer('late', 'p-256'), testing.new_signer('gone', 'ed25519');
SELECT medsync.verify_person(medsync.register_person('nurse', 'Clara', 'clerk'));

CREATE TABLE rx (id int PRIMARY KEY, patient text, what text, signer uuid, signature bytea, seen int);
CREATE TABLE lab (id int PRIMARY KEY, patient text, what text, signer uuid, signature bytea);
CREATE TABLE visit (id int, day int, patient text, what text, signature bytea, signer uuid, behalf uuid, PRIMARY KEY (id, day))
	PARTITION BY RANGE (day);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM (0) TO (10);
CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM (10) TO (20) PARTITION BY LIST (day);
CREATE TABLE visit_3 (what text, gone int, signer uuid, behalf uuid, day int NOT NULL, patient text, signature bytea, id int NOT NULL,
	PRIMARY KEY (id, day));
ALTER TABLE visit_3 DROP COLUMN gone;
ALTER TABLE visit_2 ATTACH PARTITION visit_3 FOR VALUES IN (12, 13);
SELECT medsync.track('rx', subject => 'patient', exclude => '{seen}');
SELECT medsync.track('lab', subject => 'patient', payload => 'hash');
SELECT medsync.track('visit', subject => 'patient');
SELECT medsync.require_signature('rx', 'signer', 'signature');
SELECT medsync.require_signature('lab', 'signer', 'signature');
SELECT medsync.require_signature('visit', 'signer', 'signature', 'behalf');

-- the row with its signature, by the one who is named or with another's key
CREATE FUNCTION testing.signed(INOUT r anyelement, who text, by text DEFAULT NULL) LANGUAGE plpgsql AS $$
BEGIN
	r := (SELECT jsonb_populate_record(r, jsonb_build_object('signer', key)) FROM testing.signer WHERE name = who);
	r := (SELECT jsonb_populate_record(r, jsonb_build_object('signature', medsync.sign(medsync.signing_bytes(r), private_key)))
		FROM testing.signer WHERE name = coalesce(by, who));
END $$;
SQL

my %x;    # transactions, by what they did
my %author;    # of rows that have receipts: [ table, key, who, operation ]

sub rx { my ($id, $what, $who) = @_; return "INSERT INTO rx SELECT (testing.signed(ROW($id, 'ana', '$what', NULL, NULL, 0)::rx, '$who')).*"; }

my $n = 0;
foreach my $algorithm (qw(ed25519 p-256 rsa-2048 rsa-3072 rsa-4096))
{
	$n++;
	$x{$algorithm} = xact(rx($n, "dose $n", "dr. $algorithm"));
	sql("INSERT INTO lab SELECT (testing.signed(ROW($n, 'ana', 'value $n', NULL, NULL)::lab, 'dr. $algorithm')).*");
	$author{"rx $n"} = [ 'rx', "{\"id\": $n}", "dr. $algorithm", 'insert' ];
	$author{"lab $n"} = [ 'lab', "{\"id\": $n}", "dr. $algorithm", 'insert' ];
}
$x{second} = xact(rx(10, 'dose 10', 'dr. ed25519'));
$x{gone} = xact(rx(11, 'dose 11', 'gone'));
$x{late} = xact(rx(12, 'dose 12', 'late'));
sql(<<'SQL');
SET SESSION AUTHORIZATION clerk;
INSERT INTO rx SELECT (testing.signed(ROW(13, 'bo', 'entered by another', NULL, NULL, 0)::rx, 'dr. p-256')).*;
SQL
sql(<<'SQL');
UPDATE rx SET seen = 1 WHERE id = 4;
UPDATE rx SET (what, signer, signature) = (SELECT s.what, s.signer, s.signature
	FROM testing.signed(ROW(1, 'ana', 'changed', NULL, NULL, 0)::rx, 'other') s) WHERE id = 1;
UPDATE rx SET what = what WHERE id = 2;
INSERT INTO visit SELECT (testing.signed(ROW(1, 1, 'ana', 'first', NULL, NULL, NULL)::visit, 'dr. ed25519')).*;
INSERT INTO visit SELECT (testing.signed(ROW(2, 12, 'ana', NULL, NULL, NULL, (SELECT person FROM testing.signer WHERE name = 'other'))::visit, 'dr. rsa-2048')).*;
INSERT INTO visit SELECT (testing.signed(ROW(3, 2, 'ana', 'moves', NULL, NULL, NULL)::visit, 'dr. p-256')).*;
UPDATE visit SET (day, signer, signature) = (SELECT s.day, s.signer, s.signature
	FROM testing.signed(ROW(3, 13, 'ana', 'moves', NULL, NULL, NULL)::visit, 'dr. p-256') s) WHERE id = 3;
INSERT INTO rx SELECT (testing.signed(ROW(20, 'ana', 'deleted', NULL, NULL, 0)::rx, 'other')).*;
DELETE FROM rx WHERE id = 20;
SELECT medsync.seal();
-- what was signed before stays
SELECT medsync.revoke_key(key, 'left') FROM testing.signer WHERE name = 'gone';
ALTER TABLE rx ADD COLUMN remark text;
INSERT INTO rx SELECT (testing.signed(ROW(14, 'ana', 'a column more', NULL, NULL, 0, 'no remark')::rx, 'other')).*;
SELECT medsync.seal();
SQL
$author{'rx 1'} = [ 'rx', '{"id": 1}', 'other', 'update' ];
$author{'rx 2'}[3] = $author{'rx 4'}[3] = 'update';
$author{"rx $_->[0]"} = [ 'rx', "{\"id\": $_->[0]}", $_->[1], 'insert' ]
  foreach [ 10, 'dr. ed25519' ], [ 11, 'gone' ], [ 12, 'late' ], [ 13, 'dr. p-256' ], [ 14, 'other' ];
$author{"visit $_->[0]"} = [ 'visit', "{\"id\": $_->[0], \"day\": $_->[1]}", $_->[2], $_->[3] ]
  foreach [ 1, 1, 'dr. ed25519', 'insert' ], [ 2, 12, 'dr. rsa-2048', 'insert' ], [ 3, 13, 'dr. p-256', 'insert' ];

my $key = sql('SELECT medsync.verifier_key()');
my %person = map { split /\|/ } split /\n/, sql('SELECT name, person FROM testing.signer');
my %key_of = map { split /\|/ } split /\n/, sql('SELECT name, key FROM testing.signer');
my $clara = sql("SELECT id FROM medsync.person WHERE name = 'Clara'");

# ------------------------------------------------------------------
# As it is, it is right
# ------------------------------------------------------------------

sub server { return 'host=' . $node->host . ' port=' . $node->port . " dbname=$db user=postgres"; }

my $given = 0;
sub given
{
	my ($log, $entries) = ("$dir/log" . ++$given, "$dir/entries$given");

	sql("SELECT medsync.export('$log'), medsync.export_entries('$entries')");
	return (
		log => [ 'log', $log, '--key', $key ],
		entries => [ 'entries', $entries, '--log', $log, '--key', $key ],
		live => [ 'live', server(), '--key', $key ]);
}

# The second implementation: (exit status, output).
sub reference
{
	my (@argument) = @_;
	my $output = '';

	IPC::Run::run([ 'python3', '-B', "$vectors/reference.py", @argument ], '<', \undef, '&>', \$output);
	return ($? >> 8, $output);
}

sub export
{
	my ($file) = @_;

	$node->command_ok([ 'psql', '-X', '-q', '-d', $node->connstr($db), '-f', "$vectors/export.sql", '-o', $file ],
		'the ledger is written to a file');
	return $file;
}

is_clean($node, $db, 'the server finds nothing');
my %before = given();
sees_nothing("mode $_: clean", @{ $before{$_} }) foreach sort keys %before;
{
	my ($status, $output) = reference('published', $before{log}[1], $before{entries}[1], $key);
	is($status, 0, 'the second implementation: what is published') or diag($output);
	($status, $output) = reference('ledger', export("$dir/ledger.tsv"), key_file($node, $db));
	is($status, 0, 'the second implementation: the ledger') or diag($output);
	like($output, qr/, \d\d signatures/, 'with the signatures that have images');
}

sub receipt_file { return put_file("$dir/receipt", shift); }

# All three say the same of a receipt; what it shows.
sub receipt_is
{
	my ($name, $expected, $text, $like) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($verdict, $detail) = split /\|/,
	  sql("SELECT verdict, detail FROM medsync.verify_receipt(\$r\$$text\$r\$, '$key')"), 2;
	my $path = receipt_file($text);

	is($verdict, $expected, "$name: verify_receipt") or diag($detail);
	like($detail, $like, "$name: why") if $like;
	my ($status, $report) = outside('receipt', $path, '--key', $key);
	my @found = map { $_->{verdict} } @{ $report->{findings} };
	is("@found", $expected eq 'valid' ? '' : $expected, "$name: medsync-verify");
	is($status, $expected eq 'valid' ? 0 : 1, "$name: exit status");
	($status, my $output) = reference('receipt', $path, $key);
	is($status, $expected eq 'valid' ? 0 : 1, "$name: the second implementation") or diag($output);
	return $expected eq 'valid' ? JSON::PP->new->decode($detail) : {};
}

sub receipt { my ($table, $row) = @_; return sql("SELECT medsync.receipt('$table', '$row')"); }

my %receipt = map { $_ => receipt(@{ $author{$_} }[ 0, 1 ]) } keys %author;
foreach my $name (sort keys %author)
{
	my ($table, $row, $who, $operation) = @{ $author{$name} };
	my $shown = receipt_is($name, 'valid', $receipt{$name});

	is($shown->{author}, $person{$who}, "$name: author");
	is($shown->{signer}, $key_of{$who}, "$name: key");
	is($shown->{operation}, $operation, "$name: what was done");
	is($shown->{held}{person}, $person{$who}, "$name: what held") unless $name =~ /^rx [24]$/;
	is($shown->{algorithm}, $who =~ /^dr\. (.*)/ ? $1 : $who eq 'late' ? 'p-256' : 'ed25519', "$name: algorithm");
	is($shown->{entered_by}, $name eq 'rx 13' ? $clara : undef, "$name: who entered it");
}
{
	my $shown = receipt_is('on behalf of another', 'valid', $receipt{'visit 2'});
	is($shown->{held}{on_behalf_of}, $person{other}, 'on behalf of whom');
	is(JSON::PP->new->canonical->encode($shown->{held}{licences}), '[{"code":"rx","number":"no \\"dr. rsa-2048\\""}]', 'with which licence')
	  or diag(explain($shown));
	my $deleted = sql("SELECT max(entry_index) FROM medsync.history('rx', '{\"id\": 20}')");
	$shown = receipt_is('a deleted row', 'valid', sql("SELECT medsync.receipt($deleted)"));
	is($shown->{signer}, undef, 'nobody signs that');
	$shown = receipt_is('a row that came and went', 'valid', sql('SELECT medsync.receipt(' . ($deleted - 1) . ')'));
	is($shown->{author}, $person{other}, 'has an author');
	$shown = receipt_is('a row of a key', 'valid', receipt('medsync.person_key', "{\"id\": \"$key_of{other}\"}"));
	is($shown->{row}{person}, $person{other}, 'is one like any other');
}

# ------------------------------------------------------------------
# Receipts that were put together of others
# ------------------------------------------------------------------

# What the extra line holds: what is before the flags, these, r and row,
# manifest, and what shows the signer, with the key's opening apart.
sub opening_of
{
	my ($text) = @_;
	my ($extra) = $text =~ /^extra (\S+)$/m;
	my $data = decode_base64($extra);
	my $at = 0;
	my $take = sub { my $part = substr($data, $at, $_[0]); $at += $_[0]; return $part; };
	my $counted = sub {
		my ($n, $shift, $start) = (0, 0, $at);

		while (1)
		{
			my $byte = ord $take->(1);
			$n |= ($byte & 127) << $shift;
			$shift += 7;
			last if $byte < 128;
		}
		$take->($n);
		return substr($data, $start, $at - $start);
	};
	my $hashes = sub { my $count = $take->(1); return $count . $take->(32 * ord $count); };
	my $manifest = sub { return join '', $counted->(), $take->(8), $counted->(), $take->(32), $hashes->(); };
	my %o;

	$o{entry} = join '', $take->(1), $counted->(), $take->(32);
	$o{flags} = $take->(1);
	$o{row} = join '', $take->(32), $counted->();
	$o{manifest} = $manifest->();
	$o{ledger} = $take->(32);
	my $count = $take->(1);
	$o{parents} = join '', $count, map { $manifest->() } 1 .. ord $count;
	$o{key} = join '', $take->(8), $hashes->(), $counted->();
	is($at, length $data, 'a receipt is taken apart');
	return \%o;
}

sub with_opening
{
	my ($text, %part) = @_;
	my %o = (%{ opening_of($text) }, %part);
	my $extra = encode_base64(join('', @o{qw(entry flags row manifest ledger parents key)}), '');

	return $text =~ s/^extra \S+$/extra $extra/mr;
}

{
	my $mine = $receipt{'rx 10'};
	my $part = opening_of($mine);
	my $of_other = opening_of($receipt{'rx 13'});
	my $of_visit = opening_of($receipt{'visit 2'});

	is(with_opening($mine), $mine, 'and put together');
	isnt($part->{key}, $of_other->{key}, 'two keys');
	receipt_is('the key of another person', 'bad_signature', with_opening($mine, key => $of_other->{key}), qr/not the one that the row names/);
	receipt_is('without a key', 'bad_signature', with_opening($mine, flags => "\x03", map { $_ => '' } qw(ledger parents key)),
		qr/does not show whose/);
	is(receipt_is('the entry alone', 'valid', with_opening($mine, flags => "\x02", map { $_ => '' } qw(row ledger parents key)))->{signer},
		undef, 'then nothing is said of a signer');
	receipt_is('the row of another receipt', 'altered', with_opening($mine, row => $of_other->{row}));
	receipt_is('another ledger', 'bad_signature', with_opening($mine, ledger => substr($part->{ledger}, 0, 31) . "\x01"), qr/ledger's id/);
	receipt_is('a root that the table does not have', 'malformed', with_opening($mine, parents => $of_visit->{parents}));
	receipt_is('a partition without its root', 'malformed', with_opening($receipt{'visit 2'}, parents => "\0"));
	my @refused;
	foreach my $n (map { int($_ * length($part->{key}) / 30) } 0 .. 29)
	{
		my $changed = $part->{key};

		substr($changed, $n, 1) ^= "\x01";
		my $verdict = sql("SELECT verdict FROM medsync.verify_receipt(\$r\$" . with_opening($mine, key => $changed) . "\$r\$, '$key')");
		push @refused, $n if $verdict ne 'valid';
	}
	is(scalar(@refused), 30, 'another bit in what shows the key');
}

# ------------------------------------------------------------------
# Somebody who has every key but the doctors'
# ------------------------------------------------------------------

my @tables = qw(rx lab medsync.person_key);
my $past_guards = sql(<<'SQL');
SELECT string_agg(format('ALTER EVENT TRIGGER %I DISABLE;', evtname), ' ') FROM pg_event_trigger
SQL
my $guards_again = $past_guards =~ s/DISABLE/ENABLE ALWAYS/gr;
my %triggers_again = map {
	$_ => sql(<<SQL)
SELECT string_agg(format('ALTER TABLE $_ ENABLE ALWAYS TRIGGER %I;', tgname), ' ')
FROM pg_trigger WHERE tgrelid = '$_'::regclass AND NOT tgisinternal
SQL
} @tables;
sql("CREATE TABLE testing.kept_checkpoint AS TABLE medsync._checkpoint");
sql("CREATE TABLE testing.kept_" . s/.*\.//r . " AS TABLE $_") foreach @tables;
my $last_file = slurp_file(signer_file($node, '.last'));

# Change a table so that nothing is recorded.
sub unrecorded
{
	my ($table, $sql) = @_;
	return "$past_guards ALTER TABLE $table DISABLE TRIGGER USER; $sql; $triggers_again{$table} $guards_again\n";
}

# Put another past in place of the one that is there: steps of rewrite.py.
sub rewrite
{
	my (@step) = @_;
	my ($sql, $err) = ('', '');

	IPC::Run::run([ 'python3', '-B', "$FindBin::RealBin/lib/rewrite.py", "$dir/ledger.tsv", key_file($node, $db), @step ],
		'<', \undef, '>', \$sql, '2>', \$err) or die "rewrite.py @step: $err";
	sql($sql);
	return;
}

# Where the entry of a row stands: transaction and ordinal.
sub entry
{
	my ($table, $row, $operation) = @_;
	my $index = sql("SELECT max(entry_index) FROM medsync.history('$table', '$row') WHERE operation = '$operation'");
	my $output = '';

	IPC::Run::run([ 'python3', '-B', "$FindBin::RealBin/lib/forge.py", 'list', $before{entries}[1] ], '<', \undef, '>', \$output);
	my @entry = split / /, (split /\n/, $output)[$index];
	return ($entry[2], $entry[6]);
}

# Bytes in hexadecimal, of a value of the database.
sub hex_of { return sql("SELECT encode($_[0], 'hex')"); }
sub uuid_hex { return $_[0] =~ tr/-//dr; }
sub signature { my ($row, $who) = @_; return hex_of("(testing.signed($row, '$who')).signature"); }

# A forged past and tables to match, sealed and signed: found by mode live, at
# the row, and by whoever is shown a receipt.
sub attack
{
	my ($name, %attack) = @_;
	my $live = join '', map { my $kept = 'testing.kept_' . s/.*\.//r; unrecorded($_, "DELETE FROM $_; INSERT INTO $_ TABLE $kept") } @tables;

	rewrite(@{ $attack{past} });
	unlink map { signer_file($node, $_) } '.last', '.lock';
	sql($live . ($attack{live} || ''));
	sql('SELECT medsync.seal()');
	my %given = given();
	sees_nothing("$name: mode log finds nothing", @{ $given{log} });
	$attack{entries} ? sees("$name: mode entries", $attack{entries}, $given{entries})
	  : sees_nothing("$name: mode entries finds nothing", @{ $given{entries} });
	sees("$name: mode live", $attack{found}, $given{live});
	receipt_is("$name: a receipt", $attack{verdict} || 'bad_signature', receipt(@{ $attack{receipt} }), $attack{why});
	return;
}

# What came in an entry of rx, as a place among findings.
sub found { my ($id) = @_; return qr/^error\|bad_signature\|public\.rx\|\{"id":$id\}\|\d+\|\d+$/; }

my @row10 = ('rx', '{"id": 10}');
my ($x10, $o10) = entry(@row10, 'insert');
my $as = "ROW(10, 'ana', 'more', NULL, NULL, 0, NULL)::rx";
my $signature1 = hex_of("(SELECT signature FROM lab WHERE id = 1)");

attack('a row is changed', past => [ 'value', $x10, $o10, 3, 'more' ], live => unrecorded('rx', "UPDATE rx SET what = 'more' WHERE id = 10"),
	found => [ found(10) ], receipt => \@row10, why => qr/signature is wrong/);

my $forged = signature($as =~ s/::rx/::rx/r, 'other');
attack('changed, and signed with another key',
	past => [ 'value', $x10, $o10, 3, 'more', 'bytes', $x10, $o10, 5, $forged, 'signed', $x10, $o10 ],
	live => unrecorded('rx', "UPDATE rx SET what = 'more', signature = '\\x$forged' WHERE id = 10"),
	found => [ found(10) ], receipt => \@row10, why => qr/signature is wrong/);
attack('the signature of another row of the signer',
	past => [ 'bytes', $x10, $o10, 5, $signature1, 'signed', $x10, $o10 ],
	live => unrecorded('rx', "UPDATE rx SET signature = '\\x$signature1' WHERE id = 10"),
	found => [ found(10) ], receipt => \@row10, why => qr/signature is wrong/);
attack('the entry names another signature',
	past => [ 'digest', $x10, $o10, uuid_hex($key_of{'dr. ed25519'}) . '11' x 32 ],
	found => [ found(10) ], receipt => \@row10, why => qr/not the one that the entry names/);
attack('the entry names another key',
	past => [ 'digest', $x10, $o10, uuid_hex($key_of{other}) . hex_of('sha256((SELECT signature FROM rx WHERE id = 10))') ],
	found => [ found(10) ], receipt => \@row10, why => qr/not the one that the entry names/);
attack('the row names another person, whose signature it is not',
	past => [ 'bytes', $x10, $o10, 4, uuid_hex($key_of{other}), 'signed', $x10, $o10 ],
	live => unrecorded('rx', "UPDATE rx SET signer = '$key_of{other}' WHERE id = 10"),
	found => [ found(10) ], receipt => \@row10, why => qr/signature is wrong/);
attack('the entry of a demanded signature names none', past => [ 'unsigned', $x10, $o10 ],
	entries => [qr/^error\|bad_signature\|public\.rx\|\|\d+\|\d+$/], found => [qr/^error\|bad_signature\|public\.rx\|\|\d+\|\d+$/],
	receipt => \@row10, why => qr/entry has no signature/);

# the key itself: another one, or one that was not valid
my $key12 = "{\"id\": \"$key_of{late}\"}";
my @key_entry = entry('medsync.person_key', $key12, 'insert');
my $after = sql("SELECT now() + interval '1 hour'");
my $after_hex = sql("SELECT lpad(to_hex((extract(epoch FROM '$after'::timestamptz) * 1000000)::bigint - 946684800000000), 16, '0')");
attack('the key was valid later only', past => [ 'bytes', @key_entry, 5, $after_hex ],
	live => unrecorded('medsync.person_key', "UPDATE medsync.person_key SET valid_from = '$after' WHERE id = '$key_of{late}'"),
	found => [ found(12) ], receipt => [ 'rx', '{"id": 12}' ], why => qr/was not valid/);
my $p256 = sql("SELECT encode(public_key, 'hex') FROM medsync.generate_key_pair('p-256')");
attack('another key in its place', past => [ 'bytes', @key_entry, 4, $p256 ],
	live => unrecorded('medsync.person_key', "UPDATE medsync.person_key SET public_key = '\\x$p256' WHERE id = '$key_of{late}'"),
	found => [ found(12) ], receipt => [ 'rx', '{"id": 12}' ], why => qr/signature is wrong/);

# Whether it was revoked later no receipt can tell; the server's rows do.
my $key11 = "{\"id\": \"$key_of{gone}\"}";
my $before11 = sql('SELECT at - interval \'61 s\' FROM medsync.history(\'rx\', \'{"id": 11}\')');
my $before11_hex = sql("SELECT lpad(to_hex((extract(epoch FROM '$before11'::timestamptz) * 1000000)::bigint - 946684800000000), 16, '0')");
attack('the key had been revoked', past => [ 'bytes', entry('medsync.person_key', $key11, 'update'), 7, $before11_hex ],
	live => unrecorded('medsync.person_key', "UPDATE medsync.person_key SET revoked_at = '$before11' WHERE id = '$key_of{gone}'"),
	found => [ found(11) ], receipt => [ 'rx', '{"id": 11}' ], verdict => 'valid');

# a key that never came
rewrite('drop', $key_entry[0]);
unlink map { signer_file($node, $_) } '.last', '.lock';
sql('SELECT medsync.seal()');
refused($node, $db, "SELECT medsync.receipt('rx', '{\"id\": 12}')", '55000', 'no receipt without the entry of the key',
	like => qr/the key that signed entry \d+ is not sealed before it/);

# and in the tables alone
rewrite();
sql('INSERT INTO medsync._checkpoint TABLE testing.kept_checkpoint');
put_file(signer_file($node, '.last'), $last_file);
sql(join '', map { my $kept = 'testing.kept_' . s/.*\.//r; unrecorded($_, "DELETE FROM $_; INSERT INTO $_ TABLE $kept") } @tables);
sees_nothing('as it was: mode live', @{ $before{live} });
my $of_key = qr/^error\|altered\|medsync\.person_key\|\{"id":"$key_of{late}"\}\|/;
sql(unrecorded('medsync.person_key', "UPDATE medsync.person_key SET public_key = '\\x$p256' WHERE id = '$key_of{late}'"));
sees('a key was changed: mode live', [ $of_key, found(12) ], $before{live});
sql(unrecorded('medsync.person_key', "DELETE FROM medsync.person_key; INSERT INTO medsync.person_key TABLE testing.kept_person_key"));
sql(unrecorded('medsync.person_key', "UPDATE medsync.person_key SET id = '" . ('f' x 32) . "' WHERE id = '$key_of{late}'"));
sees('a key has another id: mode live', [ qr/^error\|missing\|medsync\.person_key\|/, qr/^error\|extra\|medsync\.person_key\|/, found(12) ], $before{live});
sql(unrecorded('medsync.person_key', "DELETE FROM medsync.person_key; INSERT INTO medsync.person_key TABLE testing.kept_person_key"));
sql(unrecorded('lab', "UPDATE lab SET what = 'forged' WHERE id = 3"));
sees('a row without image was changed: mode live', [ qr/^error\|altered\|public\.lab\|\{"id":3\}\|/, qr/^error\|bad_signature\|public\.lab\|\{"id":3\}\|\|$/ ],
	$before{live});
sql(unrecorded('lab', 'DELETE FROM lab; INSERT INTO lab TABLE testing.kept_lab'));
sees_nothing('as it was again: mode live', @{ $before{live} });

# ------------------------------------------------------------------
# Private exports that no server can have written
# ------------------------------------------------------------------

my ($log_key) = slurp_file(signer_file($node)) =~ /:([0-9a-f]{64})$/;

sub forge
{
	my (@argument) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'python3', '-B', "$FindBin::RealBin/lib/forge.py", @argument ], '<', \undef, '>', \$out, '2>', \$err)
	  or die "forge.py @argument: $err";
	return $out;
}

sub breaks
{
	my ($name, $expected, @step) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($entries, $log) = ("$dir/forged" . ++$given, "$dir/forged$given.log");

	forge('entries', $before{entries}[1], $entries, 'drop', 'C0', @step, 'reseal');
	forge('log-of', $entries, $log, 'hospital.example/signed', $log_key);
	my @argument = ('entries', $entries, '--log', $log, '--key', $key);
	$expected ? sees($name, $expected, \@argument) : sees_nothing($name, @argument);
	return;
}

# The manifest that first demands signatures of rx, and the one after it.
my @manifest = split /\n/, sql('SELECT content FROM medsync._manifest ORDER BY table_number, version');
my ($demanding) = grep { $manifest[$_] =~ /"name":"rx".*"signer":\d/ } 0 .. $#manifest;
my ($members) = $manifest[$demanding] =~ /("signer":\d+,"signature":\d+,)/;
my ($later) = grep { $_ > $demanding && $manifest[$_] =~ /"name":"rx"/ } 0 .. $#manifest;

breaks('the export as it is', undef);
# The entry of rx 10: both roles are "postgres", the detail comes last.
my ($e10) = sql('SELECT max(entry_index) FROM medsync.history(\'rx\', \'{"id": 10}\')');
my $held = length sql("SELECT held FROM medsync.signatures('rx', '{\"id\": 10}')") =~ s/(?<=[,:]) //gr;
my $altered = qr/^error\|entry_altered\|(?:public\.rx)?\|\|\d+\|\d+$/;
breaks('a version that does not demand it any more', [$altered], 'manifest', "M$later", $members, '');
breaks('manifests that never demanded it', [ $altered, $altered ], map { ('manifest', "M$_", $members, '') } $demanding, $later);
breaks('a signature without what signs it', [$altered], 'manifest', "M$demanding", '"signature":5,', '');

breaks('a signature and nothing that held', [$altered], 'set', "E$e10", 103, '000042c0', 'shorten', "E$e10", 2 + $held);
breaks('something that held, and no signature', [qr/^error\|bad_signature\|public\.rx\|\|\d+\|\d+$/],
	'set', "E$e10", 103, '000102c0', 'splice', "E$e10", 127 + 16 + 32, 48, '');

# ------------------------------------------------------------------
# A longer ledger, where look-ups lead to the key
# ------------------------------------------------------------------

sql(<<'SQL');
CREATE TABLE bulk (id int PRIMARY KEY);
SELECT medsync.track('bulk', payload => 'hash');
INSERT INTO bulk SELECT generate_series(1, 66000);
SELECT medsync.seal();
INSERT INTO rx SELECT (testing.signed(ROW(15, 'ana', 'much later', NULL, NULL, 0, NULL)::rx, 'dr. ed25519')).*;
SELECT medsync.revoke_key(key, 'left') FROM testing.signer WHERE name = 'dr. ed25519';
SELECT medsync.seal();
SQL
is(receipt_is("a row of a longer ledger: $_", 'valid', receipt('rx', "{\"id\": $_}"))->{author}, $person{'dr. ed25519'}, 'its author')
  foreach 10, 15;
sees_nothing('a longer ledger: mode live', @{ $before{live} });

# Partitions of partitions, as deep as a receipt goes and one deeper
sql(<<'SQL');
CREATE TABLE deep (id int PRIMARY KEY, signer uuid, signature bytea) PARTITION BY RANGE (id);
DO $$
BEGIN
	FOR i IN 1 .. 16 LOOP
		EXECUTE format('CREATE TABLE deep%s PARTITION OF deep%s FOR VALUES FROM (0) TO (%s) PARTITION BY RANGE (id)',
			i, nullif(i - 1, 0), 100 - i);
	END LOOP;
END $$;
CREATE TABLE deep_leaf PARTITION OF deep16 FOR VALUES FROM (0) TO (10);
CREATE TABLE deep15_leaf PARTITION OF deep15 FOR VALUES FROM (84) TO (85);
SELECT medsync.track('deep');
SELECT medsync.require_signature('deep', 'signer', 'signature');
INSERT INTO deep SELECT (testing.signed(ROW(i, NULL, NULL)::deep, 'other')).* FROM unnest('{5,84}'::int[]) i;
SELECT medsync.seal();
SQL
is(receipt_is('sixteen partitioned tables', 'valid', receipt('deep', '{"id": 84}'))->{author}, $person{other}, 'its author');
refused($node, $db, q(SELECT medsync.receipt('deep', '{"id": 5}')), '54000', 'one more',
	like => qr/signed row is too deep in partitions/);
sees_nothing('deep partitions: mode live', @{ $before{live} });

# Keys that are tracked anew, under another number
sql(<<'SQL');
SELECT medsync.untrack('medsync.person_key');
SELECT medsync.add_key(medsync.register_person('nurse', 'later'), 'ed25519', public_key) FROM medsync.generate_key_pair('ed25519');
SELECT medsync.seal();
INSERT INTO rx SELECT (testing.signed(ROW(16, 'ana', 'last', NULL, NULL, 0, NULL)::rx, 'other')).*;
SELECT medsync.seal();
SQL
is(receipt_is("keys tracked anew: row $_->[0]", 'valid', receipt('rx', qq({"id": $_->[0]})))->{author}, $person{$_->[1]}, 'its author')
  foreach [ 15, 'dr. ed25519' ], [ 16, 'other' ];

$node->stop;
done_testing();
