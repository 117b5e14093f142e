
# medsync-verify: ledgers that no server can have written, although every
# hash, root and signature in them is right.  Each breaks one rule.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run;
use JSON::PP;
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'python3 and an openssl with Ed25519 are not there'
  unless eval {
	IPC::Run::run([ 'python3', '-c', 'import sys; sys.exit(sys.version_info < (3, 9))' ], '&>', \my $void)
	  && IPC::Run::run([ 'openssl', 'genpkey', '-algorithm', 'ed25519' ], '&>', \my $none);
  };

# Where an entry record has what; both roles are "postgres"
use constant { ERA => 34, XID => 50, OPERATION => 90, TABLE => 91, MANIFEST => 95,
	FIELDS => 103, KEY_ID => 127, ROW_KEY => 143, DETAIL => 127 };

my $dir = own_directory();
my $files = 0;
my ($log_key, $origin, $key, $entries, @list, @of, @blocks);

# ---- tools ----

sub new_path { return "$dir/new" . ++$files; }

sub forge
{
	my (@argument) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'python3', '-B', "$FindBin::RealBin/lib/forge.py", @argument ], '<', \undef, '>', \$out, '2>', \$err)
	  or die "forge.py @argument: $err";
	chomp $out;
	return $out;
}

# Verify a private export with the public one that belongs to it.
sub verify
{
	my ($path) = @_;
	my $log = new_path();
	my ($out, $err) = ('', '');

	forge('log-of', $path, $log, $origin, $log_key);
	IPC::Run::run([ 'medsync-verify', 'entries', $path, '--log', $log, '--key', $key, '--json' ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	return ($? >> 8, JSON::PP->new->utf8->decode($out)->{findings});
}

sub is_clean_export
{
	my ($name, $path) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $findings) = verify($path);

	is(join(' ', map { $_->{detail} } @$findings), '', $name);
	is($status, 0, "$name: exit status");
	return;
}

# The ledger after these steps has a finding of this verdict and text.
sub breaks
{
	my ($name, $verdict, $like, @step) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $path = new_path();
	my ($status, $findings);

	forge('entries', $entries, $path, 'drop', 'C0', @step, 'reseal');
	($status, $findings) = verify($path);
	ok(scalar(grep { $_->{severity} eq 'error' && $_->{verdict} eq $verdict && $_->{detail} =~ $like } @$findings), $name)
	  or diag(explain($findings));
	is($status, 1, "$name: exit status");
	return;
}

sub hex_u32 { return sprintf('%08x', $_[0]); }
sub hex_u64 { return sprintf('%016x', $_[0]); }

# The detail of a signer entry, with its length.
sub detail { return unpack('H*', pack('n/a*', $_[0])); }

# Entries of an operation, and of a table where one is given.
sub entry_of
{
	my ($operation, $table) = @_;
	my ($found) = grep { $_->[3] == $operation && (!defined $table || $_->[4] == $table) } @list;
	return $found->[0];
}

# ---- a ledger with some of everything ----

my $node = new_node('main');
my $db = 'clinic';
$node->safe_psql('postgres', "CREATE DATABASE $db");
$node->safe_psql($db, 'CREATE EXTENSION medsync');
$node->safe_psql($db, <<'SQL');
CREATE TABLE person (id int PRIMARY KEY, name text);
CREATE TABLE note (a int);
CREATE TABLE visit (id int, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM (0) TO (10);
CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM (10) TO (20);
INSERT INTO visit VALUES (0, 0);
SELECT medsync.track('person');
SELECT medsync.track('note');
SELECT medsync.track('visit', exclude => '{}');
INSERT INTO person VALUES (1, 'a');
INSERT INTO note VALUES (1);
INSERT INTO visit VALUES (1, 1);
UPDATE visit SET at = 11 WHERE id = 1;
SELECT medsync.seal();
UPDATE person SET id = 2;
DELETE FROM note;
SELECT medsync.seal();
INSERT INTO person VALUES (3, 'c');
SELECT medsync.seal();
SQL
($log_key) = slurp_file($node->data_dir . '/medsync_signer.key') =~ /:([0-9a-f]{64})$/;
$key = query($node, $db, 'SELECT medsync.verifier_key()');
($origin) = $key =~ /^([^+]+)/;
my $rotated = new_path();
$node->safe_psql($db, <<SQL);
SELECT medsync.rotate_signer_key();
SELECT medsync.seal();
SELECT medsync.export_entries('$rotated');
SQL
$entries = new_path();
$node->safe_psql($db, <<SQL);
SELECT medsync.declare_era('moved', 'other/name');
SELECT medsync.seal();
SELECT medsync.export_entries('$entries');
SQL
@list = map { [ split / / ] } split /\n/, forge('list', $entries);
@blocks = map { [ split /\|/ ] } split /\n/,
  query($node, $db, 'SELECT sealer_xid, snapshot FROM medsync._block ORDER BY height');
is(scalar(@blocks), 5, 'the ledger has five blocks');

# the forger's file without any change, but under the old key
{
	my $same = new_path();

	forge('entries', $entries, $same, 'drop', 'C0', 'reseal');
	is_clean_export('what the server wrote', $same);
}

# ---- entries ----

my ($insert, $second, $note, $out, $in, $era) =
  (entry_of(1, 1), (grep { $_->[3] == 1 && $_->[4] == 1 } @list)[1][0], entry_of(1, 2), entry_of(3), entry_of(4), entry_of(13));
my ($rotation, $declared) = map { $_->[0] } grep { $_->[3] == 15 } @list;

breaks('of no table', 'entry_altered', qr/no manifest has its table/, 'set', "E$insert", TABLE, hex_u32(0));
breaks('of a table that never was', 'entry_altered', qr/no manifest has its table/, 'set', "E$insert", TABLE, hex_u32(999));
breaks('of a version that never was', 'entry_altered', qr/no manifest has its table/, 'set', "E$insert", MANIFEST, hex_u32(9));
breaks('of a partitioned table', 'entry_altered', qr/without tracked rows/, 'set', "E$insert", TABLE, hex_u32(3));
breaks("operation $_ is not used", 'entry_altered', qr/no version writes/, 'set', "E$insert", OPERATION, sprintf('%02x', $_))
  for 7, 10, 11, 12, 14;
breaks('a delete with a new commitment only', 'entry_altered', qr/a field is missing/, 'set', "E$insert", OPERATION, '05');
breaks('a person who seals', 'entry_altered', qr/a field too many/,
	'set', "E$era", FIELDS, hex_u32(0x12000), 'splice', "E$era", DETAIL, 0, '11' x 16);
breaks('a signature that nobody demands', 'entry_altered', qr/its table demands no signature/,
	'set', "E$insert", FIELDS, hex_u32(0x42c0), 'append', "E$insert", '11' x 48);
breaks('a signature of a row that ends', 'entry_altered', qr/a field too many/,
	'set', "E$out", FIELDS, hex_u32(0x41c0), 'append', "E$out", '11' x 48);
breaks('an insert with an empty detail', 'entry_altered', qr/a field too many/,
	'set', "E$insert", FIELDS, hex_u32(0x102c0), 'append', "E$insert", '0000');
breaks('no row key', 'entry_altered', qr/it has no row key/,
	'set', "E$insert", FIELDS, hex_u32(0x240), 'splice', "E$insert", ROW_KEY, 16, '');
breaks('a row key without a primary key', 'entry_altered', qr/no primary key/,
	'set', "E$note", FIELDS, hex_u32(0x2c0), 'splice', "E$note", ROW_KEY, 0, '22' x 16);
breaks('no key id', 'entry_altered', qr/a field is missing/,
	'set', "E$insert", FIELDS, hex_u32(0x280), 'splice', "E$insert", KEY_ID, 16, '');
breaks('a role with a NUL', 'entry_altered', qr/role has no name/, 'set', "E$insert", 109, '00');
breaks('the first half of an update alone', 'entry_altered', qr/second half of the update/, 'drop', "E$in");
breaks('the second half alone', 'entry_altered', qr/first half of the update/, 'drop', "E$out");
breaks('halves of two tables', 'entry_altered', qr/second half of the update/, 'set', "E$in", TABLE, hex_u32(2));

{
	my $entered = new_path();

	forge('entries', $entries, $entered, 'drop', 'C0',
		'set', "E$insert", FIELDS, hex_u32(0x22c0), 'append', "E$insert", '11' x 16, 'reseal');
	is_clean_export('who entered it', $entered);
}

# ---- eras and blocks ----

breaks('an era entry of a table', 'entry_altered', qr/it names a table/, 'set', "E$era", TABLE, hex_u32(1));
breaks('an era entry by another transaction', 'entry_altered', qr/the block's sealer did not write it/,
	'set', "E$era", XID, hex_u64($list[$era - 1][2]));
breaks('a second era entry', 'entry_altered', qr/not in the first block of its era/,
	'copy', "E$era", "E$second", 'set', "E$second", XID, hex_u64($blocks[2][0]));
breaks('the sealer inserts a row', 'entry_extra', qr/writes one era entry at most/,
	'copy', "E$insert", "E$era", 'set', "E$era", XID, hex_u64($blocks[0][0]));
breaks('eras from 2', 'block_altered', qr/not numbered from 1/, 'set', 'A0', 0, hex_u32(2));
breaks('an era twice', 'block_altered', qr/Era 2 is era 1 once more/, 'copy', 'A0', 'M0', 'set', 'A1', 0, hex_u32(2));
breaks('an era of no cluster, twice', 'block_altered', qr/belongs into an earlier block/,
	'copy', 'A0', 'M0', 'splice', 'A1', 0, 37, hex_u32(2) . 'ff' x 16 . '00' x 17,
	map { ('field', "B$_->[0]", 'era', 2, 'set', "E$_->[1]", ERA, 'ff' x 16) } [ 2, $second ], [ 3, $rotation ]);
breaks('a block of the call before, in the same era', 'block_altered', qr/belongs into an earlier block/,
	'field', 'B2', 'snapshot', $blocks[1][1], 'field', 'B2', 'sealer_xid', $blocks[1][0]);
breaks('a snapshot that goes back', 'block_altered', qr/older than that of a block below/,
	'field', 'B2', 'snapshot', "$list[$insert][2]:" . ($list[$second][2] + 1) . ":$list[$insert][2]");
breaks('an old transaction once more', 'entry_extra', qr/had ended before/,
	'copy', "E$insert", "E$second", 'drop', 'E' . ($second + 1),
	'field', 'B2', 'snapshot', join(':', ($list[$insert][2] + 1) x 2, ''));
breaks('a snapshot that ends behind its last transaction', 'block_altered', qr/does not end behind/,
	'field', 'B1', 'snapshot', '18446744073709551615:18446744073709551615:');
breaks('a snapshot from before all transactions', 'block_altered', qr/begins before any/,
	'field', 'B1', 'snapshot', '0:' . (split /:/, $blocks[1][1])[1] . ':');
breaks('a snapshot that begins too early', 'block_altered', qr/first transaction in progress/,
	'field', 'B1', 'snapshot', '5:' . (split /:/, $blocks[1][1])[1] . ':');
breaks("made by transaction $_", 'block_altered', qr/made by no transaction/, 'field', 'B1', 'sealer_xid', $_) for 0, 2;
breaks('made by a transaction that had ended', 'block_altered', qr/older than its snapshot/,
	'field', 'B1', 'sealer_xid', 9, 'field', 'B1', 'snapshot', '8:' . (split /:/, $blocks[1][1])[1] . ':8');

# ---- manifests ----

breaks('two columns of one name', 'entry_altered', qr/two columns of its manifest/,
	'manifest', 'M0', '"name":"name"', '"name":"id"');
breaks('a column twice in the primary key', 'entry_altered', qr/primary key in its manifest/,
	'manifest', 'M0', '"key":[1]', '"key":[1,1]');
breaks('a parent that never was', 'entry_altered', qr/partition of no partitioned table/,
	'manifest', 'M3', '"parent":3', '"parent":99');
breaks('a parent that has rows', 'entry_altered', qr/partition of no partitioned table/,
	'manifest', 'M3', '"parent":3', '"parent":1');
breaks('a manifest that no entry announces', 'entry_missing', qr/No entry announces manifest version 1 of table number 2/,
	'drop', 'E' . entry_of(9, 2));

# ---- signers ----

my $other = forge('vkey', 'other/name', '11' x 32);
my $signer = sub { my ($entry, $text) = @_; return ('splice', "E$entry", DETAIL, 9999, detail($text)); };
breaks('a signer entry of a table', 'entry_altered', qr/it names a table/, 'set', "E$rotation", TABLE, hex_u32(1));
breaks("a witness's key", 'entry_altered', qr/not one that a log signs with/,
	$signer->($rotation, forge('vkey', $origin, '11' x 32, 4)));
breaks('another origin without a reason', 'entry_altered', qr/another origin, and no reason/, $signer->($declared, $other));
breaks('a reason, and the same origin', 'entry_altered', qr/the origin stays/,
	$signer->($declared, forge('vkey', $origin, '11' x 32) . "\nmoved"));
breaks("a reason that is $_->[0]", 'entry_altered', qr/its reason is not one line/, $signer->($declared, "$other\n$_->[1]"))
  for [ 'empty', '' ], [ 'too long', 'x' x 102 ], [ 'two lines', "a\nb" ], [ 'no UTF-8', "\xff" ], [ 'cut off', "a\0b" ];

# after a rotation the old key goes on alone
{
	my ($log, $forged) = (new_path(), new_path());
	my ($status, $findings);

	is_clean_export('a rotation that both keys signed', $rotated);
	forge('log-of', $rotated, $log, $origin, $log_key);
	forge('entries', $rotated, $forged, 'note', "$log/checkpoint");
	($status, $findings) = verify($forged);
	is(join(' ', map { "$_->{severity} $_->{verdict} $_->{entry_index}" } @$findings), "notice bad_signature $rotation",
		'the old key goes on alone');
	is($status, 0, 'which can be right: exit status');
}

$node->stop;
done_testing();
