
# docs/formats.md is complete: test/vectors/reference.py, written from that
# page and in another language, recomputes its test vectors, and from an
# exported ledger every hash, order, key, image and live row; and it notices
# when one digit of the export is another.  It does the same with what
# export() and export_entries() publish.  A ledger of version 1 that is kept
# in test/vectors can still be restored, verified and continued.

use strict;
use warnings;

use File::Copy;
use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run;
use MedsyncTest;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my $page = "$top/docs/formats.md";
my $vectors = "$top/test/vectors";

plan skip_all => 'python3 (3.9 or later) is not there'
  unless eval { IPC::Run::run([ 'python3', '-c', 'import sys; sys.exit(sys.version_info < (3, 9))' ], '&>', \my $void) };

# Run the reference implementation: (exit status, output).
sub reference
{
	my (@argument) = @_;
	my $output = '';

	IPC::Run::run([ 'python3', '-B', "$vectors/reference.py", @argument ], '<', \undef, '&>', \$output);
	return ($? >> 8, $output);
}

sub agrees
{
	my ($name, $like, @argument) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $output) = reference(@argument);

	is($status, 0, $name) or diag($output);
	like($output, $like, "$name: what was compared") if $like;
	return;
}

my $dir = own_directory();

# The ledger of a database, as a file.
sub export
{
	my ($node, $db, $name) = @_;
	my $file = "$dir/$name.tsv";

	$node->command_ok([ 'psql', '-X', '-q', '-d', $node->connstr($db), '-f', "$vectors/export.sql", '-o', $file ],
		"export of $db");
	return $file;
}

sub overwrite
{
	my ($path, $content) = @_;

	open my $file, '>:raw', $path or die "$path: $!";
	print $file $content;
	close $file or die "$path: $!";
	return;
}

sub glob_count
{
	my @found = glob shift;

	return scalar @found;
}

# What stands in the page

agrees('test vectors of the page', qr/^21 vectors recomputed/, 'vectors', $page);
{
	local $ENV{MEDSYNC_OWN_AES} = 1;
	agrees('test vectors, with AES in Python', qr/own AES/, 'vectors', $page);
	agrees('the kept ledger, with AES in Python', qr/own AES/, 'ledger', "$vectors/small.tsv", "$vectors/small.key");
}
my $wrong = slurp_file($page) =~ s/^(commitment = )(.)/$1 . ($2 eq 'a' ? 'b' : 'a')/mer;
isnt($wrong, slurp_file($page), 'a vector was changed');
append_to_file("$dir/wrong.md", $wrong);
is((reference('vectors', "$dir/wrong.md"))[0], 1, 'a changed vector is noticed');

# The kept ledger

agrees('the kept ledger without its keys', qr/^18 sealed and 2 unsealed entries, 3 blocks, 1 eras/, 'ledger', "$vectors/small.tsv");
agrees('the kept ledger with its keys', qr/7 images \(1 large\), 6 live rows/, 'ledger', "$vectors/small.tsv", "$vectors/small.key");

# One digit of any column is another
my @lines = split /\n/, slurp_file("$vectors/small.tsv");
my %tried;
foreach my $n (reverse 0 .. $#lines)
{
	my @columns = split /\t/, $lines[$n];
	my $table = $columns[0];

	next if $tried{$table}++;
	foreach my $c (1 .. $#columns)
	{
		my @changed = @columns;

		next if $changed[$c] eq '\N';
		if ($changed[$c] =~ /^[tf]$/)
		{
			$changed[$c] =~ tr/tf/ft/;
		}
		else
		{
			substr($changed[$c], int(length($changed[$c]) / 2), 1) =~ tr/0-9a-f/1-90b-fa/;
		}
		isnt($changed[$c], $columns[$c], "$table, column $c: is changed");
		my $file = "$dir/changed.tsv";
		unlink $file;
		append_to_file($file, join("\n", @lines[ 0 .. $n - 1 ], join("\t", @changed), @lines[ $n + 1 .. $#lines ]) . "\n");
		my ($status, $output) = reference('ledger', $file, "$vectors/small.key");
		is($status, 1, "$table, column $c: another digit is noticed") or diag($output);
	}
}
is(join(' ', sort keys %tried),
	'_block _block_order _era _image _journal _key_encryption_key _ledger _manifest _subject_key _table _tile live',
	'every table of the kept ledger was tried');

copy("$vectors/small.key", "$dir/small.key") or die "copy: $!";
chmod 0600, "$dir/small.key";

# A value of one of the page's vectors, its lines joined.
sub vector
{
	my ($name, $field) = @_;
	my ($block) = slurp_file($page) =~ /^```vector \Q$name\E\n(.*?)^```/ms or die "no vector $name";

	$block =~ s/\n  //g;
	my ($value) = $block =~ /^\Q$field\E = (.*)$/m or die "no $field in vector $name";
	$value =~ s/^"(.*)"$/$1/ and $value =~ s/\\n/\n/g;
	return $value;
}

# A receipt of the page, put together again.
sub receipt_of
{
	my ($name) = @_;
	my @hash = vector($name, 'proof') =~ /([0-9a-f]{64})/g;

	return join("\n", 'c2sp.org/tlog-proof@v1', 'extra ' . vector($name, 'extra'), 'index ' . vector($name, 'index'),
		(map { encode_base64(pack('H*', $_), '') } @hash), '', vector($name, 'note'));
}

# Restored where transaction ids meet: the sealer's own is, in that ledger, that
# of its last sealer, or of the first of the two transactions left over.
my ($sealer) = sort { $b <=> $a } map { /^_block\t(?:[^\t]*\t){7}(\d+)/ ? $1 : () } @lines;
my ($left_over) = sort { $a <=> $b } grep { $_ > $sealer } map { /^_journal\t(\d+)/ ? $1 : () } @lines;
my $keeper;

foreach my $case ([ $sealer, 'the last sealer' ], [ $left_over, 'a transaction left over' ])
{
	my ($xid, $name) = @$case;

	$keeper->stop if $keeper;
	append_to_file("$dir/signer$xid.key", vector('signer key', 'file, before its line feed') . "\n");
	chmod 0600, "$dir/signer$xid.key";
	$keeper = new_node("keeper$xid", conf => "medsync.master_key_file = '$dir/small.key'\nmedsync.signer_key_file = '$dir/signer$xid.key'\n");
	$keeper->safe_psql('postgres', 'CREATE DATABASE meeting');
	$keeper->command_ok(
		[ 'psql', '-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-d', $keeper->connstr('meeting'), '-f', "$vectors/small.sql" ],
		'the kept ledger is restored in one transaction');
	$keeper->safe_psql('meeting', <<SQL);
DO \$\$
BEGIN
	WHILE pg_snapshot_xmax(pg_current_snapshot())::text::int < $xid LOOP
		PERFORM pg_current_xact_id();
		COMMIT;
	END LOOP;
END \$\$;
SQL
	seal_all($keeper, 'meeting', "ids meet that of $name: sealed");
	is(query($keeper, 'meeting', 'SELECT sealer_xid FROM medsync._block ORDER BY height DESC LIMIT 1'), $xid, 'the sealer has that id');
	agrees("ids meet that of $name", qr/^20 sealed and 0 unsealed entries, 4 blocks, 1 eras/,
		'ledger', export($keeper, 'meeting', "meeting$xid"), "$dir/small.key");
	is_clean($keeper, 'meeting', "ids meet that of $name: clean");
	is(query($keeper, 'meeting', 'SELECT note FROM medsync.checkpoint ORDER BY height DESC LIMIT 1'),
		vector('checkpoint', 'note'), "ids meet that of $name: the checkpoint is the page's");
	is(query($keeper, 'meeting', 'SELECT medsync.verifier_key()'), vector('signer key', 'verifier key'), "ids meet that of $name: its key");
	like(query($keeper, 'meeting', 'SELECT medsync.receipt(6)'), qr/^extra \Q${\ vector('receipt', 'extra')}\E$/m,
		"ids meet that of $name: a receipt is the page's");
	is(query($keeper, 'meeting', "SELECT count(*) FROM medsync.history('lab') WHERE operation = 'update'"), '1', "ids meet that of $name: nothing twice");
}

# Signed rows: what the page says the server says too
is(query($keeper, 'meeting', "SELECT medsync.check_signature('\\x" . vector('signed row', 'message') . "', '\\x"
		. vector('signed row', "signature, $_") . "', '\\x" . vector('signed row', "public key, $_") . "')"),
	't', "the page's signature: $_") foreach qw(ed25519 p-256 rsa-2048);
{
	my $name = 'receipt of a signed row';
	my ($text, $key) = (receipt_of($name), vector($name, 'verifier key'));

	like(query($keeper, 'meeting', "SELECT verdict, detail::jsonb->>'author' FROM medsync.verify_receipt(\$r\$$text\$r\$, '$key')") =~ tr/-//dr,
		qr/^valid\|${\ vector($name, 'author') }$/, "the page's receipt of a signed row");
	append_to_file("$dir/signed.tlog-proof", $text);
	agrees("the page's receipt as a file", qr/signed by ${\ vector($name, 'author') } with/, 'receipt', "$dir/signed.tlog-proof", $key);
}

# Then as a restore mostly is
$keeper->safe_psql('postgres', 'CREATE DATABASE small');
$keeper->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $keeper->connstr('small'), '-f', "$vectors/small.sql" ],
	'the kept ledger is restored');
is_clean($keeper, 'small', 'the kept ledger: clean');
is( query($keeper, 'small', "SET timezone = 'UTC'; SELECT string_agg(concat_ws(' ', entry_index, operation, role, new_row->>'name', changed_columns), ', ') FROM medsync.history('patient')"),
	'1 baseline postgres Ana, 6 insert clinic_app Béla, 7 update nurse Béla {weight}, 12 update_out clinic_app, 13 update_in clinic_app Ana, 17 delete clinic_app, insert clinic_app Cem',
	'the kept ledger: history');
seal_all($keeper, 'small', 'the kept ledger: what was left over is sealed');
works($keeper, 'small', "UPDATE patient SET weight = 80 WHERE id = 3; SELECT medsync.seal();", 'the kept ledger goes on');
is_clean($keeper, 'small', 'the kept ledger: clean after that');
agrees('the kept ledger, continued', qr/, 0?\d+ blocks, 2 eras/, 'ledger', export($keeper, 'small', 'continued'), "$dir/small.key");
$keeper->stop;

# A ledger with everything in it

my $node = new_node('formats');
my $db = new_database($node, 'clinic');
my $key = key_file($node, $db);

$node->safe_psql($db, <<'SQL');
CREATE ROLE nurse;
CREATE TYPE triage AS ENUM ('green', 'red');
CREATE TABLE patient (id bigint PRIMARY KEY, name text, weight numeric, born date, seen timestamptz, at timestamp,
	ok bool, ratio float8, small real, code uuid, doc jsonb, photo bytea, hour time, counter int);
CREATE TABLE "Größe ""x"" \ y" (a int, "b c" varchar(20), t text, PRIMARY KEY ("b c", a));
CREATE TABLE bulk (id int PRIMARY KEY, patient int, v int);
CREATE TABLE log (what text);
CREATE TABLE cause (id int PRIMARY KEY, v int);
CREATE TABLE visit (id int, day date, patient int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE odd (id int PRIMARY KEY, t triage);
-- fires before the capture trigger: commands out of order
CREATE FUNCTION effect() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO log VALUES ('before ' || new.id);
	UPDATE cause SET v = v + 1 WHERE id = new.id AND v < 3;
	RETURN NULL;
END $$;
CREATE TRIGGER a_first AFTER INSERT OR UPDATE ON cause FOR EACH ROW EXECUTE FUNCTION effect();
GRANT ALL ON ALL TABLES IN SCHEMA public TO nurse;
INSERT INTO patient SELECT i, 'name ' || i, i + 0.50, '1980-02-29'::date + i * 1000, '2026-01-01 10:00+01', '1999-12-31 23:59:59.999999',
	i % 2 = 0, i / 7.0, i / 3.0, md5(i::text)::uuid, '{"bb": [true, null, 1.50], "c": {"": "é"}, "a": -1e3}', '\x00ff', '24:00', i
	FROM generate_series(1, 5) i;
INSERT INTO patient (id, born, seen) VALUES (-1, '0044-03-15', '1066-10-14 09:00Z');
SELECT medsync.track('patient', subject => 'id', exclude => '{counter}');
SELECT medsync.track('"Größe ""x"" \ y"', subject => 'b c');
SELECT medsync.track('bulk', subject => 'patient', payload => 'hash');
SELECT medsync.track('log');
SELECT medsync.track('cause');
SELECT medsync.track('visit', subject => 'patient');
SELECT medsync.track('odd');
INSERT INTO bulk SELECT i, i % 50, i FROM generate_series(1, 100) i;
SELECT medsync.seal();
SELECT medsync.seal();
INSERT INTO "Größe ""x"" \ y" VALUES (1, 'ä', 'x'), (2, 'b', NULL);
INSERT INTO cause VALUES (1, 0), (2, 2);
INSERT INTO odd VALUES (1, 'red');
BEGIN;
INSERT INTO bulk VALUES (201, 1, 1);
SAVEPOINT s;
DELETE FROM bulk;
ROLLBACK TO s;
SET LOCAL ROLE nurse;
UPDATE bulk SET v = 7 WHERE id = 201;
RESET ROLE;
SET LOCAL session_replication_role = replica;
DELETE FROM bulk WHERE id = 201;
COMMIT;
UPDATE patient SET counter = 7;
UPDATE patient SET id = 9 WHERE id = 5;
UPDATE visit SET day = day;
INSERT INTO visit VALUES (1, '2026-01-01', 1), (2, '2026-02-01', NULL);
UPDATE visit SET day = '2026-02-02' WHERE id = 1;
-- still open when the next block is made
BEGIN;
INSERT INTO log VALUES ('prepared');
PREPARE TRANSACTION 'p';
INSERT INTO log VALUES ('not prepared'), ('twice'), ('twice');
SELECT medsync.seal();
COMMIT PREPARED 'p';
ALTER TABLE "Größe ""x"" \ y" ADD COLUMN extra jsonb;
ALTER TABLE "Größe ""x"" \ y" RENAME t TO "ü";
UPDATE "Größe ""x"" \ y" SET extra = '[]';
-- images over a packed row, over a chunk
INSERT INTO patient (id, name) SELECT 100, string_agg(md5(i::text), '') FROM generate_series(1, 300) i;
INSERT INTO patient (id, photo) SELECT 101, decode(string_agg(md5(i::text), ''), 'hex') FROM generate_series(1, 66000) i;
INSERT INTO patient (id, name) SELECT 102 + i, repeat('x', 5970 + i) FROM generate_series(1, 60) i;
SELECT medsync.seal();
-- fills a segment of the look-ups
INSERT INTO bulk SELECT 1000 + i, i % 500, i FROM generate_series(1, 66000) i;
SELECT medsync.seal();
SELECT medsync.untrack('odd');
DROP TABLE odd;
CREATE TABLE odd (id int PRIMARY KEY, v json);
SELECT medsync.track('odd', payload => 'hash');
INSERT INTO odd VALUES (1, '{"a" : 1}');
DELETE FROM log WHERE what = 'twice' AND ctid = (SELECT min(ctid) FROM log WHERE what = 'twice');
SQL
is_clean($node, $db, 'a ledger with everything in it');
agrees('all of it, from its export',
	qr/^66\d{3} sealed and \d unsealed entries, \d+ blocks, 1 eras, \d+ tiles, \d+ manifests, 16\d rows of look-ups\n.* images \(\d\d large\), \d+ live rows/,
	'ledger', export($node, $db, 'all'), $key);

# What is published of it: more than one size in a partial tile, two keys, and
# another byte in any file

$node->safe_psql($db, "SELECT medsync.export('$dir/log'); SELECT medsync.rotate_signer_key()");
$node->safe_psql($db, 'SELECT medsync.seal()');
$node->safe_psql($db, "INSERT INTO log VALUES ('published'); SELECT medsync.seal()");
$node->safe_psql($db, "SELECT medsync.export('$dir/log'), medsync.export_entries('$dir/entries')");
my $vkey = query($node, $db, 'SELECT medsync.verifier_key()');
my @published = ('published', "$dir/log", "$dir/entries", $vkey);

agrees('what is published of it', qr/^66\d{3} entries signed, 66\d{3} in \d+ blocks, 1 eras, \d+ manifests, 1 signer entries\n$/, @published);
cmp_ok(glob_count("$dir/log/tile/0/*.p/*"), '>=', 2, 'partial tiles of more than one size');
foreach my $file ('checkpoint', 'tile/0/000', 'tile/1/000', 'tile/entries/000', 'tile/2/000.p/1', '../entries')
{
	my $path = "$dir/log/$file";
	my $content = slurp_file($path);
	my $place = int(length($content) * 0.7);

	substr(my $changed = $content, $place, 1) ^= "\x01";
	overwrite($path, $changed);
	is((reference(@published))[0], 1, "published: another bit in $file is noticed");
	overwrite($path, $content);
}

# Every kind of value is encoded as the page's table says

my ($status, $create) = reference('table', $page);
is($status, 0, 'the table of canonical encodings');
$node->safe_psql('postgres', 'CREATE DATABASE encodings');
$node->safe_psql('encodings', <<SQL);
CREATE EXTENSION medsync;
CREATE TYPE colour AS ENUM ('red', 'grün');
CREATE TYPE pair AS (x int, label text);
SET DateStyle = 'SQL, DMY'; SET TimeZone = 'Asia/Kolkata'; SET IntervalStyle = 'iso_8601';
SET extra_float_digits = 0; SET bytea_output = 'escape';
$create
SELECT medsync.track('canonical_value');
SQL
agrees('values under other settings', qr/^\d\d values/, 'values', export($node, 'encodings', 'encodings'), $key, $page);

$node->stop;
done_testing();
