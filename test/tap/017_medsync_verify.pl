
# medsync-verify: what it finds in exports that were changed, by somebody who
# has the signing key too; what it remembers; how it ends.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use Fcntl ':mode';
use Encode qw(encode);
use File::Path qw(make_path remove_tree);
use IPC::Run;
use JSON::PP;
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX qw(mkfifo);
use Test::More;

plan skip_all => 'python3 and an openssl with Ed25519 are not there'
  unless eval {
	IPC::Run::run([ 'python3', '-c', 'import sys; sys.exit(sys.version_info < (3, 9))' ], '&>', \my $void)
	  && IPC::Run::run([ 'openssl', 'genpkey', '-algorithm', 'ed25519' ], '&>', \my $none);
  };

my $dir = own_directory();
my $forge_program = "$FindBin::RealBin/lib/forge.py";
my $other_key = '11' x 32;
my ($log_key, $origin, $key);

# ---- tools ----

sub forge
{
	my (@argument) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'python3', '-B', $forge_program, @argument ], '<', \undef, '>', \$out, '2>', \$err)
	  or die "forge.py @argument: $err";
	chomp $out;
	return $out;
}

# Run the program: (exit status, stdout, stderr).
sub run_verify
{
	my (@argument) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'medsync-verify', @argument ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	return ($? & 127 ? "signal $?" : $? >> 8, $out, $err);
}

# Run a mode for each file of a directory, for the exit status alone: a hash
# from file name to status.  A small shell forks faster than we do.
sub statuses
{
	my ($directory, $mode, @argument) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run(
		[ 'sh', '-c', 'cd "$1" && mode=$2 && shift 2 && for f in *; do medsync-verify $mode "$f" "$@" >/dev/null 2>&1; echo "$f $?"; done',
			'sh', $directory, $mode, @argument ],
		'<', \undef, '>', \$out, '2>', \$err) or die $err;
	return map { split / / } split /\n/, $out;
}

# Run it with --json: (exit status, the object).
sub verify
{
	my (@argument) = @_;
	my ($status, $out, $err) = run_verify(@argument, '--json');
	my $report = eval { JSON::PP->new->utf8->decode($out) };

	diag("no JSON: $@\n$out\n$err") unless $report;
	return ($status, $report || { findings => [] }, $err);
}

# A finding as "verdict" or "verdict@entry", with a star if it is no error.
sub short
{
	my ($finding) = @_;
	my $text = $finding->{verdict};

	$text = "*$text" if $finding->{severity} ne 'error';
	$text .= "\@$finding->{entry_index}" if defined $finding->{entry_index};
	return $text;
}

# The findings of a run are these, and the exit status fits them.
sub finds
{
	my ($name, $expected, @argument) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $report, $err) = verify(@argument);
	my $found = join ' ', map { short($_) } @{ $report->{findings} };
	my $bad = grep { $_->{severity} ne 'notice' } @{ $report->{findings} };

	is($found, $expected, $name) or diag(explain($report->{findings}), $err);
	is($status, $bad ? 1 : 0, "$name: exit status");
	return $report;
}

sub is_clean_run { my ($name, @argument) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return finds($name, '', @argument); }

# It cannot check, and says why; with --json too.
sub cannot
{
	my ($name, $like, @argument) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $out, $err) = run_verify(@argument);

	is($status, 2, "$name: exit status") or diag($out, $err);
	like($err, $like, $name);
	return;
}

my $copies = 0;

# A copy of a public export, to be changed.
sub copy_of
{
	my ($source) = @_;
	my $target = "$dir/copy" . ++$copies;

	system('cp', '-r', $source, $target) == 0 or die "cp: $!";
	return $target;
}

sub new_path { return "$dir/new" . ++$copies; }

sub forged_log { my ($source, @step) = @_; my $path = new_path(); forge('log', $source, $path, $log_key, @step); return $path; }

sub forged_entries { my ($source, @step) = @_; my $path = new_path(); forge('entries', $source, $path, @step); return $path; }

# The public export that goes with a private one.
sub log_of { my ($entries, @size) = @_; my $path = new_path(); forge('log-of', $entries, $path, $origin, $log_key, @size); return $path; }

sub write_file
{
	my ($path, $content) = @_;

	open(my $file, '>:raw', $path) or die "$path: $!";
	print $file $content;
	close $file;
	return $path;
}

# Change a bit of a file.
sub flip
{
	my ($path, $offset) = @_;
	my $content = slurp_file($path);

	substr($content, $offset, 1) ^= "\x01";
	return write_file($path, $content);
}

# ---- a ledger with some of everything ----

my $node = new_node('main');
$node->safe_psql('postgres', 'CREATE DATABASE main');
$node->safe_psql('main', 'CREATE EXTENSION medsync');
$node->safe_psql('main', <<'SQL');
CREATE TABLE patient (id int PRIMARY KEY, name text);
CREATE TABLE lab (id int PRIMARY KEY, patient int, result numeric);
CREATE TABLE "odd ""name""
☃" (id int PRIMARY KEY);
SELECT medsync.track('patient', subject => 'id');
SELECT medsync.track('lab', subject => 'patient', payload => 'hash');
SELECT medsync.track('"odd ""name""
☃"', payload => 'hash');
INSERT INTO patient SELECT g, 'name ' || g FROM generate_series(1, 10) g;
INSERT INTO "odd ""name""
☃" VALUES (1);
SQL

# commands that come out of order: a trigger of an outer statement ends later
$node->safe_psql('main', <<'SQL');
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.id < 1000 THEN
		INSERT INTO lab VALUES (NEW.id + 1000, NEW.patient, 0);
	END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER a_first AFTER INSERT ON lab FOR EACH ROW EXECUTE FUNCTION audit();
INSERT INTO lab VALUES (1, 1, 1), (2, 2, 2);
BEGIN;
INSERT INTO patient VALUES (50, 'prepared');
INSERT INTO lab VALUES (50, 50, 50);
PREPARE TRANSACTION 'open';
SELECT medsync.seal();
UPDATE patient SET name = 'other' WHERE id = 3;
UPDATE patient SET name = 'another' WHERE id = 4;
SELECT medsync.seal();
COMMIT PREPARED 'open';
DELETE FROM lab WHERE id = 2;
BEGIN;
INSERT INTO lab VALUES (3, 3, 3);
SAVEPOINT s;
INSERT INTO lab VALUES (4, 3, 3);
ROLLBACK TO s;
INSERT INTO lab VALUES (5, 3, 3);
COMMIT;
SELECT medsync.seal();
ALTER TABLE patient ADD COLUMN born date;
UPDATE patient SET born = '2000-01-01' WHERE id = 1;
SELECT medsync.seal();
SQL
($log_key) = slurp_file($node->data_dir . '/medsync_signer.key') =~ /:([0-9a-f]{64})$/;
$key = query($node, 'main', 'SELECT medsync.verifier_key()');
($origin) = $key =~ /^([^+]+)/;
is(forge('vkey', $origin, $log_key), $key, 'the forger has the key');

my $early = "$dir/early";
my $early_entries = "$dir/early.entries";
my $log = "$dir/log";
my $entries = "$dir/entries";
$node->safe_psql('main', "SELECT medsync.export('$early'), medsync.export_entries('$early_entries')");
$node->safe_psql('main', <<SQL);
INSERT INTO lab (id, patient) SELECT g, g FROM generate_series(2000, 2300) g;
SELECT medsync.seal();
DELETE FROM patient WHERE id = 10;
SELECT medsync.seal();
SELECT medsync.export('$log'), medsync.export_entries('$entries');
SQL
my $size = query($node, 'main', 'SELECT size FROM medsync.checkpoint ORDER BY height DESC LIMIT 1');
my $early_size = query($node, 'main', 'SELECT max(size) FROM medsync.checkpoint WHERE height = 3');
my @list = map { [ split / / ] } split /\n/, forge('list', $entries);
is(scalar(@list), $size, 'the private export holds all entries');

# Entries of an operation, of a table.
sub entries_of
{
	my ($operation) = @_;
	return map { $_->[0] } grep { $_->[3] == $operation } @list;
}

# ---- clean ----

my $report = is_clean_run('public export', 'log', $log, '--key', $key);
is($report->{status}, 'clean', 'status');
is($report->{size}, $size, 'size');
is($report->{origin}, $origin, 'origin');
is($report->{summary}{entries}, $size, 'entries');
$report = is_clean_run('private export', 'entries', $entries, '--log', $log, '--key', $key);
is($report->{summary}{entries}, $size, 'entries');
is($report->{summary}{blocks}, 6, 'blocks');
is_clean_run('an older export', 'entries', $early_entries, '--log', $early, '--key', $key);
is_clean_run('a private export that is newer than the public one', 'entries', $entries, '--log', $early, '--key', $key);
finds('a private export that is older than the public one',
	"entry_missing\@$early_size", 'entries', $early_entries, '--log', $log, '--key', $key);
for my $from (0, 1, $early_size - 1, $early_size, $size - 1, $size)
{
	my $path = "$dir/from$from";

	$node->safe_psql('main', "SELECT medsync.export_entries('$path', $from)");
	my ($begin) = grep { $_->[1] != $list[ $_->[0] - 1 ][1] && ($_->[0] + 0) <= $from } reverse @list[ 1 .. $#list ];
	$begin = $from == $size ? $from : $begin ? $begin->[0] : 0;
	finds("a private export from entry $from", $begin > 0 ? "*partial\@$begin" : '',
		'entries', $path, '--log', $log, '--key', $key);
}
cannot('a private export that begins past the log', qr/the entries begin with number $size/,
	'entries', "$dir/from$size", '--log', $early, '--key', $key);
my ($status, $out, $err) = run_verify('log', $log, '--key', $key);
is($status, 0, 'as text: exit status');
like($out, qr/^clean: 0 errors, 0 warnings, 0 notices\ncheckpoint: $size entries of \Q$origin\E, root [0-9a-f]{64}, witnesses 0\nchecked: $size entries/,
	'as text');
is($err, '', 'nothing on stderr');

# trees of sizes where tiles begin and end
{
	my $large = "$dir/large";

	$node->safe_psql('postgres', <<SQL);
CREATE EXTENSION medsync;
CREATE TABLE bulk (id int PRIMARY KEY);
SELECT medsync.track('bulk', payload => 'hash');
INSERT INTO bulk SELECT generate_series(1, 66500);
SELECT medsync.seal();
SELECT medsync.export('$large');
SQL
	my $key = query($node, 'postgres', 'SELECT medsync.verifier_key()');
	is_clean_run('a tree of three levels', 'log', $large, '--key', $key);
	for my $cut (0, 1, 2, 255, 256, 257, 512, 65536, 65537)
	{
		is_clean_run("a log of $cut entries", 'log', forged_log($large, 'cut', $cut), '--key', $key);
	}

	# damage in it is named by the tile above, and nothing else is in doubt
	my @damage = (
		[ 'an entry', 'tile/entries/100', 35 * 7 + 10, 'entry_altered@25607' ],
		[ 'the length of an entry', 'tile/entries/100', 35 * 7 + 1, 'entry_altered@25607' ],
		[ 'a hash of level 0', 'tile/0/100', 32 * 7, 'block_altered' ],
		[ 'a hash of level 1', 'tile/1/000', 32 * 100, 'block_altered' ],
		[ 'a hash of level 2', 'tile/2/000.p/1', 5, 'block_altered' ]);
	my $all = copy_of($large);
	for my $damage (@damage)
	{
		my ($name, $file, $offset, $finding) = @$damage;
		my $copy = copy_of($large);

		flip("$copy/$file", $offset);
		finds("$name of a large log", $finding, 'log', $copy, '--key', $key);
		remove_tree($copy);
	}
	flip("$all/tile/entries/200", 40);
	flip("$all/tile/0/258", 40);
	finds('two at once', 'entry_altered@51201 block_altered', 'log', $all, '--key', $key);

	# where the top of the tree is of no use all is computed from below
	flip("$all/tile/entries/200", 40);
	flip("$all/tile/2/000.p/1", 0);
	flip("$all/tile/0/100", 0);
	finds('tiles of two levels', 'block_altered block_altered block_altered', 'log', $all, '--key', $key);
	flip("$all/tile/entries/200", 40);
	finds('and an entry', 'entry_altered@25600', 'log', $all, '--key', $key);
	remove_tree($large, $all);
}

# ---- a public export that was changed ----

my $last_tile = int($size / 256);
my $width = $size % 256;
{
	my $copy = copy_of($log);

	unlink "$copy/tile/entries/000";
	finds('a bundle of entries is gone', 'entry_missing@0', 'log', $copy, '--key', $key);
	$copy = copy_of($log);
	unlink "$copy/tile/entries/00$last_tile.p/$width";
	finds('the last bundle is gone', 'truncated@' . $last_tile * 256, 'log', $copy, '--key', $key);
	remove_tree("$copy/tile/entries");
	finds('all bundles are gone', 'truncated@0', 'log', $copy, '--key', $key);
	remove_tree("$copy/tile/0");
	finds('and the tiles of level 0', 'truncated@0 block_altered', 'log', $copy, '--key', $key);
	remove_tree("$copy/tile");
	finds('and all others', 'truncated@0 block_altered', 'log', $copy, '--key', $key);

	$copy = copy_of($log);
	unlink "$copy/tile/0/000";
	finds('a tile is gone', 'block_altered', 'log', $copy, '--key', $key);
	unlink "$copy/tile/1/000.p/$last_tile";
	finds('and the one above', 'block_altered block_altered', 'log', $copy, '--key', $key);
	flip("$copy/tile/entries/000", 35 * 9 + 5);
	finds('and an entry was changed', 'entry_altered', 'log', $copy, '--key', $key);

	# what is published whole need not be there in part
	$copy = copy_of($log);
	append_to_file("$copy/tile/0/00$last_tile", slurp_file("$copy/tile/0/00$last_tile.p/$width") . "\0" x (32 * (256 - $width)));
	unlink "$copy/tile/0/00$last_tile.p/$width";
	is_clean_run('a full tile instead of a partial one', 'log', $copy, '--key', $key);

	# a file that is something else
	for my $odd (
		[ 'shorter', sub { write_file($_[0], substr(slurp_file($_[0]), 0, -1)) } ],
		[ 'longer', sub { append_to_file($_[0], 'x') } ],
		[ 'empty', sub { write_file($_[0], '') } ],
		[ 'huge', sub { truncate $_[0], 2**40 or die $! } ],
		[ 'a symbolic link', sub { rename $_[0], "$_[0].real"; symlink "$_[0].real", $_[0] or die $! } ],
		[ 'a symbolic link to nothing', sub { unlink $_[0]; symlink '/nowhere', $_[0] or die $! } ],
		[ 'a pipe', sub { unlink $_[0]; mkfifo($_[0], 0600) or die $! } ],
		[ 'a device', sub { unlink $_[0]; symlink '/dev/zero', $_[0] or die $! } ],
		[ 'a directory', sub { unlink $_[0]; mkdir $_[0] or die $! } ])
	{
		my ($name, $change) = @$odd;

		$copy = copy_of($log);
		$change->("$copy/tile/entries/000");
		finds("a bundle is $name", 'entry_missing@0', 'log', $copy, '--key', $key);
		$copy = copy_of($log);
		$change->("$copy/tile/0/000");
		finds("a tile is $name", 'block_altered', 'log', $copy, '--key', $key);
		remove_tree($copy);
	}
	$copy = copy_of($log);
	chmod 0, "$copy/tile/0/000";
	cannot('a tile that must not be read', qr/could not open file .*Permission denied/, 'log', $copy, '--key', $key)
	  if $> != 0;

	# a symbolic link on the way
	for my $part ('tile', 'tile/0', 'tile/entries', "tile/0/00$last_tile.p")
	{
		$copy = copy_of($log);
		rename "$copy/$part", "$copy/elsewhere" or die $!;
		symlink "$copy/elsewhere", "$copy/$part" or die $!;
		my ($exit, $found) = verify('log', $copy, '--key', $key);
		is($exit, 1, "$part is a symbolic link: exit status");
		like($found->{findings}[0]{detail}, qr/is not reached by directories alone/, "$part: it says so");
		remove_tree($copy);
	}

	# entries, tiles and tree consistent with each other, but not with what was signed
	for my $step ([ 'flip', 7 ], [ 'drop', 7 ], [ 'insert', 7 ], [ 'copy', 7, 9 ], [ 'swap', 7, 300 ])
	{
		my $forged = forged_log($log, @$step);

		unlink "$forged/checkpoint";
		system('cp', "$log/checkpoint", $forged);
		my ($exit, $found) = verify('log', $forged, '--key', $key);
		is($exit, 1, "@$step, all hashes computed again: exit status");
		like(short($found->{findings}[0]), qr/^(entry_altered|truncated)/, "@$step: found") or diag(explain($found));
	}
}

# ---- files that change while they are read ----

# Watches a file through inotify: how often it is opened and closed; or puts another one
# in its place as soon as it was for the first time.
my $watch = <<'PYTHON';
import ctypes, os, select, struct, subprocess, sys
watched, other, command = sys.argv[1], sys.argv[2], sys.argv[3:]
libc = ctypes.CDLL(None)
fd = libc.inotify_init()
libc.inotify_add_watch(fd, watched.encode(), 0x30)  # IN_OPEN, IN_CLOSE_NOWRITE
if other:
    os.link(other, other + ".link")
process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
if other:
    while struct.unpack("iIII", os.read(fd, 16))[1] != 0x10:
        pass
    os.rename(other + ".link", watched)
errors = process.communicate()[1].decode()
closed = 0
while not other and select.select([fd], [], [], 0)[0]:
    closed += len(os.read(fd, 65536)) // 16
print(process.returncode, closed // 2, errors)
PYTHON

sub watch
{
	my (@argument) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'python3', '-c', $watch, @argument ], '<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	is($err, '', 'the watcher');
	return $out;
}

{
	my $state = "$dir/watch.state";

	# what is compared with the state comes from the bytes that were checked
	is_clean_run('remember', 'log', $early, '--key', $key, '--state', "$state.early");
	for my $tile (grep { -f } glob "$log/tile/[0-9]/* $log/tile/[0-9]/*.p/*")
	{
		next if $tile =~ m{\.p/(\d+)$} && $1 != ($tile =~ m{tile/1/} ? int($size / 256) : $size % 256);
		unlink $state;
		system('cp', "$state.early", $state);
		like(watch($tile, '', 'medsync-verify', 'log', $log, '--key', $key, '--state', $state), qr/^0 1 $/,
			"$tile is read once");
	}

	# a private export that was changed, and a tile that is changed to fit, in time
	my $forged = forged_entries($entries, 'flip', 'E5', 0, 'reseal', 'drop', 'C0');
	my $fitting = log_of($forged);
	my %status;
	for my $attempt (1 .. 20)
	{
		my $copy = copy_of($log);

		my ($exit) = watch("$copy/tile/0/000", "$fitting/tile/0/000", 'medsync-verify', 'entries', $forged, '--log', $copy, '--key', $key) =~ /^(-?\d+)/;
		$status{$exit}++;
		remove_tree($copy);
	}
	is($status{0} // 0, 0, 'tiles that change between two looks give no clean run') or diag(explain(\%status));
}

# ---- signatures ----

{
	my $note = slurp_file("$log/checkpoint");
	my $other = forge('vkey', $origin, $other_key);
	my $stranger = forge('vkey', 'example.com/other', $log_key);
	my $copy = copy_of($log);

	finds('the key of another log', 'bad_signature', 'log', $log, '--key', $stranger);
	finds('another key of the same name', 'bad_signature', 'log', $log, '--key', $other);
	is_clean_run('the key and a key too many', 'log', $log, '--key', $other, '--key', $key);
	write_file("$dir/keys", "$other\n\n$key\n$stranger");
	is_clean_run('keys in a file', 'log', $log, '--key', "$dir/keys");

	# every byte of the checkpoint, and every length of it
	my $forged = "$dir/checkpoints";
	mkdir $forged;
	for my $i (0 .. length($note) - 1)
	{
		mkdir "$forged/$_$i" foreach qw(cut flip);
		write_file("$forged/cut$i/checkpoint", substr($note, 0, $i));
		write_file("$forged/flip$i/checkpoint", substr($note, 0, $i) . (substr($note, $i, 1) ^ "\x01") . substr($note, $i + 1));
	}
	my %found = statuses($forged, 'log', '--key', $key);
	is(scalar(keys %found), 2 * length($note), 'changed checkpoints');
	is(join(' ', grep { $found{$_} ne '1' } sort keys %found), '', 'every truncation and bit flip of a checkpoint is a finding');
	finds("checkpoint, $_", 'bad_signature', 'log', "$forged/$_", '--key', $key)
	  for qw(cut0 cut40 cut100 flip0 flip20 flip60), 'flip' . (length($note) - 1);
	remove_tree($forged);

	write_file("$copy/checkpoint", $note . 'x' x 65536);
	cannot('a checkpoint that is too long', qr/longer than 65536 bytes/, 'log', $copy, '--key', $key);
	unlink "$copy/checkpoint";
	cannot('no checkpoint', qr/is not a public export. File "checkpoint" is missing/, 'log', $copy, '--key', $key);
	mkfifo("$copy/checkpoint", 0600);
	cannot('a pipe for a checkpoint', qr/is not a public export. File "checkpoint" is not a regular file/, 'log', $copy, '--key', $key);
	unlink "$copy/checkpoint";

	# signed as it should be, and nonsense all the same
	for my $odd (
		[ 'size with a leading zero', "$origin\n01\n" . 'A' x 43 . "=\n" ],
		[ 'negative size', "$origin\n-1\n" . 'A' x 43 . "=\n" ],
		[ 'size above 2^63', "$origin\n9223372036854775808\n" . 'A' x 43 . "=\n" ],
		[ 'size above 2^64', "$origin\n18446744073709551617\n" . 'A' x 43 . "=\n" ],
		[ 'root of 31 bytes', "$origin\n5\n" . 'A' x 42 . "==\n" ],
		[ 'root with loose bits', "$origin\n5\n" . 'A' x 42 . "B=\n" ],
		[ 'two lines', "$origin\n5\n" ],
		[ 'a line more', (slurp_file("$log/checkpoint") =~ /^(.*\n)\n/s)[0] . "more\n" ])
	{
		my ($name, $text) = @$odd;

		forge('sign', write_file("$dir/text", $text), "$copy/checkpoint", $origin, $log_key);
		finds("signed: $name", 'bad_signature', 'log', $copy, '--key', $key);
	}
	forge('sign', write_file("$dir/text", "$origin\n4611686018427387904\n" . 'A' x 43 . "=\n"), "$copy/checkpoint", $origin, $log_key);
	my $began = time;
	my ($exit) = verify('log', $copy, '--key', $key);
	is($exit, 1, 'a tree of 2^62 entries, signed: exit status');
	cmp_ok(time - $began, '<', 20, 'and soon');
	forge('sign', write_file("$dir/text", "$origin\n0\n" . 'A' x 43 . "=\n"), "$copy/checkpoint", $origin, $log_key);
	finds('the root of an empty tree', 'block_altered', 'log', $copy, '--key', $key);

	# names of others fill no report
	write_file("$copy/checkpoint", $note . join '', map { encode('UTF-8', "\x{2014} ") . $_ . 'w' x 120 . " AAAAAAAA\n" } 10 .. 72);
	$report = finds('many signatures with long names', 'bad_signature', 'log', $copy, '--key', $other);
	like($report->{findings}[0]{found}, qr/^.{8192}\.\.\.$/, 'they are cut off');

	# an origin that the key does not have
	my ($text) = $note =~ /^(.*\n)\n/s;
	$text =~ s/^[^\n]*/example.com\/another/;
	forge('sign', write_file("$dir/text", $text), "$copy/checkpoint", $origin, $log_key);
	$report = finds('the origin is not the name of a key', 'bad_signature', 'log', $copy, '--key', $key);
	like($report->{findings}[0]{detail}, qr{log "example.com/another"}, 'it says which');

	# witnesses
	my @witness = map { forge('vkey', "example.com/w$_", "0$_" x 32, 4) } 1 .. 3;
	my @all = map { ('--key', $_) } $key, @witness;
	my $now = time;
	is_clean_run('no witness is demanded', 'log', $log, @all);
	finds('one is demanded', 'bad_signature', 'log', $log, @all, '--witnesses', 1);
	write_file("$copy/checkpoint", $note);
	forge('cosign', "$copy/checkpoint", "example.com/w$_", "0$_" x 32, $now - 100 * $_) for 1, 2;
	$report = is_clean_run('two have signed', 'log', $copy, @all, '-w', 2);
	is($report->{witnesses}, 2, 'witnesses');
	$report = finds('three are demanded', 'bad_signature', 'log', $copy, @all, '--witnesses', 3);
	is($report->{findings}[0]{expected} . $report->{findings}[0]{found}, '32', 'how many');
	cannot('more are demanded than keys are given', qr/2 witnesses are demanded, and keys of 1 are given/,
		'log', $copy, '-k', $key, '-k', $witness[0], '-w', 2);
	finds('an old cosignature', '*stale', 'log', $copy, @all, '--max-age', 50);
	is_clean_run('not so old', 'log', $copy, @all, '--max-age', 3600);
	my $cosigned = slurp_file("$copy/checkpoint");
	my $newline = rindex($cosigned, "\n", length($cosigned) - 2);
	write_file("$copy/checkpoint", $cosigned =~ s/(.*example\.com\/w2 ....................)(.)/$1 . ($2 eq 'A' ? 'B' : 'A')/ser);
	finds('a forged cosignature', 'bad_signature', 'log', $copy, @all);
	is_clean_run('of a witness that nobody asked for', 'log', $copy, '--key', $key);
	remove_tree($copy);
}

# ---- what is remembered ----

sub state_of { my ($path) = @_; return slurp_file($path); }

{
	my $state = "$dir/state";
	my @state = ('--key', $key, '--state', $state);
	my $block = query($node, 'main', "SELECT height || ' ' || encode(hash, 'hex') FROM medsync.checkpoint WHERE size = $early_size");

	is_clean_run('a first run', 'log', $early, @state);
	like(state_of($state), qr/^medsync-verify state v1\nfirst seen \d+\nblock none\n\n\Q$origin\E\n$early_size\n/, 'it is remembered');
	is(substr(state_of($state), -length(slurp_file("$early/checkpoint"))), slurp_file("$early/checkpoint"), 'with its signatures');
	is((stat $state)[2] & 07777, 0600, 'for its owner only');
	my ($seen) = state_of($state) =~ /first seen (\d+)/;
	cmp_ok(abs($seen - time), '<', 60, 'when it was first seen');

	is_clean_run('entries', 'entries', $early_entries, '--log', $early, @state);
	like(state_of($state), qr/^block \Q$block\E$/m, 'the last block is remembered');
	my $older = state_of($state) =~ s/first seen \d+/"first seen " . ($seen - 1000)/er;
	write_file($state, $older);
	is_clean_run('again', 'log', $early, @state);
	is(state_of($state), $older, 'first seen, and the block, stay');
	is_clean_run('the log has grown', 'log', $log, @state);
	like(state_of($state), qr/^\Q$origin\E\n$size\n/m, 'the new one is remembered');
	like(state_of($state), qr/^block \Q$block\E$/m, 'the block too');
	unlike(state_of($state), qr/first seen @{[ $seen - 1000 ]}/, 'first seen anew');
	is_clean_run('and its entries', 'entries', $entries, '--log', $log, @state);
	my $good = state_of($state);
	is(join(' ', glob "$state.*"), '', 'nothing is left beside it');

	# a public export that lags behind the private one is no rollback
	my $lagging = "$dir/lagging.state";
	my @lagging = ('--key', $key, '--state', $lagging);
	for my $round (1, 2)
	{
		is_clean_run("round $round: entries that are newer than the log", 'entries', $entries, '--log', $early, @lagging);
		is_clean_run("round $round: the same log alone", 'log', $early, @lagging);
		like(state_of($lagging), qr/^block .*\nlog $early_size [0-9a-f]{64} \d+\n\n\Q$origin\E\n$size\n/m, 'both are remembered');
	}
	my $both = state_of($lagging);
	finds('the older log is cut off', 'truncated', 'log', forged_log($early, 'cut', $early_size - 1), @lagging);
	finds('the older log was changed', 'forked', 'log', forged_log($early, 'flip', 3), @lagging);
	finds('it went on as another one', 'forked', 'log', forged_log($log, 'flip', $early_size), @lagging);
	finds('the older pair', 'truncated truncated', 'entries', $early_entries, '--log', $early, @lagging);
	is(state_of($lagging), $both, 'nothing of that is remembered');
	is_clean_run('the log catches up', 'log', $log, @lagging);
	like(state_of($lagging), qr/^block .*\n\n\Q$origin\E\n$size\n/m, 'there is one checkpoint again');
	finds('and must not fall back', 'truncated', 'log', $early, @lagging);
	for my $odd ('log', 'log 5', "log $size " . 'aa' x 32 . ' 1', 'log 5 ' . 'AA' x 32 . ' 1', 'log 5 ' . 'aa' x 32 . ' x', "log none\nlog none")
	{
		cannot("a state file with '$odd'", qr/damaged/, 'log', $log, '--key', $key, '--state', write_file("$dir/odd", $both =~ s/^log .*$/$odd/mr));
	}

	# a private export that does not begin where the remembered one ended
	my $above = "$dir/above.state";
	my @above = ('--key', $key, '--state', $above);
	is_clean_run('the blocks up to the fourth', 'entries', $early_entries, '--log', $early, @above);
	my $below = state_of($above);
	finds('blocks from the last one on', 'entry_missing *partial@' . ($size - 1), 'entries', "$dir/from@{[ $size - 1 ]}", '--log', $log, @above);
	is(state_of($above), $below, 'the remembered block stays');
	finds('no block at all', "*partial\@$size", 'entries', "$dir/from$size", '--log', $log, @above);
	like(state_of($above), qr/^block \Q$block\E$/m, 'here too');
	finds('from the block behind it on', "*partial\@$early_size", 'entries', "$dir/from$early_size", '--log', $log, @above);
	unlike(state_of($above), qr/^block \Q$block\E$/m, 'another block is remembered');

	# rolled back, cut, forked, replaced, cloned: each with the key that signs
	my @attack = (
		[ 'an older state of the log', 'truncated', $early ],
		[ 'the end is cut off', 'truncated', forged_log($log, 'cut', $size - 1) ],
		[ 'all is cut off', 'truncated', forged_log($log, 'cut', 0) ],
		[ 'the last entry was changed', 'forked', forged_log($log, 'flip', $size - 1) ],
		[ 'the first entry was changed', 'forked', forged_log($log, 'flip', 0) ],
		[ 'an entry is gone, another has come', 'forked', forged_log($log, 'drop', 5, 'insert', $size - 1) ],
		[ 'an entry came in between', 'forked', forged_log($log, 'insert', 5) ],
		[ 'an entry was repeated', 'forked', forged_log($log, 'copy', 5, 6) ],
		[ 'two changed places', 'forked', forged_log($log, 'swap', 5, 6) ],
		[ 'cut off and gone on with', 'forked', forged_log($log, 'cut', $size - 1, 'insert', 1, 'insert', 1) ],
		[ 'another origin', 'forked', forged_log($log, 'origin', 'example.com/clone') ]);
	for my $attack (@attack)
	{
		my ($name, $finding, $path) = @$attack;

		finds("state: $name", $finding, 'log', $path, @state, '--key', forge('vkey', 'example.com/clone', $log_key));
		is(state_of($state), $good, 'the remembered checkpoint stays');
	}
	finds('both exports of before', 'truncated truncated', 'entries', $early_entries, '--log', $early, @state);

	# the ledger was written anew from some entry on, and signed
	my $rewritten = forged_entries($entries, 'flip', "E$early_size", 0, 'reseal', 'drop', 'C0');
	my $signed = log_of($rewritten);
	is_clean_run('the whole ledger written anew: by itself it is whole', 'entries', $rewritten, '--log', $signed, '--key', $key);
	finds('but not the remembered one', 'forked forked', 'entries', $rewritten, '--log', $signed, @state);
	finds('and not the export of before', "entry_altered\@$early_size block_altered forked block_altered",
		'entries', $rewritten, '--log', $log, @state);

	# only blocks were written anew
	my $moved = forged_entries($entries, 'field', 'B2', 'sealed_at', '+1', 'rehash');
	is_clean_run('blocks written anew: by themselves they are whole', 'entries', $moved, '--log', $log, '--key', $key);
	finds('but not the remembered ones', 'forked', 'entries', $moved, '--log', $log, @state);
	is(state_of($state), $good, 'the remembered block stays');
	finds('one block below the remembered one', 'truncated truncated', 'entries',
		forged_entries($entries, 'drop', "E$_", 'drop', 'B5', 'drop', 'C0', 'reseal'), '--log', forged_log($log, 'cut', $_), @state)
	  for $size - 1;

	# nothing new
	write_file($state, $good =~ s/first seen \d+/"first seen " . (time - 90000)/er);
	finds('unchanged for more than a day', '*stale', 'log', $log, @state);
	is_clean_run('unless it may be older', 'log', $log, @state, '--max-age', 100000);
	is_clean_run('or may be as old as it likes', 'log', $log, @state, '--max-age', 0);
	like(state_of($state), qr/first seen @{[ (time - 90000) =~ s{...$}{\\d+}r ]}/, 'first seen then, all the same');
	write_file($state, $good);

	# a state file that is none
	for my $odd (
		[ 'empty', '' ],
		[ 'another file', "hello\n" ],
		[ 'cut off', substr($good, 0, -1) ],
		[ 'longer', $good . 'x' ],
		[ 'without a number', $good =~ s/first seen \d+/first seen /r ],
		[ 'with a leading zero', $good =~ s/first seen /first seen 0/r ],
		[ 'with a negative number', $good =~ s/first seen /first seen -/r ],
		[ 'with a large number', $good =~ s/first seen \d+/first seen 9999999999999999999/r ],
		[ 'with a short hash', $good =~ s/^(block .*).$/$1/mr ],
		[ 'with a hash in capitals', $good =~ s/^(block \d+ )(.*)$/$1 . uc($2)/mer ],
		[ 'of another version', $good =~ s/v1/v2/r ],
		[ 'with carriage returns', $good =~ s/\n/\r\n/gr ],
		[ 'huge', $good . 'x' x 100000 ])
	{
		my ($name, $content) = @$odd;

		cannot("a state file that is $name", qr/damaged|is not a state file/, 'log', $log, '--key', $key, '--state', write_file("$dir/odd", $content));
		is(slurp_file("$dir/odd"), $content, 'it stays as it is');
	}
	cannot('a state that was changed', qr/no given key has signed/, 'log', $log, '--key', $key, '--state',
		write_file("$dir/odd", $good =~ s/^\Q$origin\E\n$size\n/"$origin\n" . ($size - 1) . "\n"/mer));
	cannot('a state that somebody else signed', qr/no given key has signed/, 'log', $log, '--key', $key, '--state',
		do { forge('sign', write_file("$dir/text", "$origin\n5\n" . 'A' x 43 . "=\n"), "$dir/note", $origin, $other_key);
			write_file("$dir/odd", "medsync-verify state v1\nfirst seen 1\nblock none\n\n" . slurp_file("$dir/note")) });
	cannot('a directory', qr/is not a state file/, 'log', $log, '--key', $key, '--state', $dir);
	cannot('a state file where none can be', qr/could not create/, 'log', $log, '--key', $key, '--state', "$dir/nowhere/state");
	cannot('a state file that must not be read', qr/Permission denied/, 'log', $log, '--key', $key, '--state', do { chmod 0, "$dir/odd"; "$dir/odd" })
	  if $> != 0;

	# another key signs from now on
	my $new = query($node, 'main', 'SELECT medsync.rotate_signer_key()');
	$node->safe_psql('main', "SELECT medsync.seal(); SELECT medsync.export('$dir/rotated'), medsync.export_entries('$dir/rotated.entries')");
	my $rotated = "$dir/rotated";
	isnt($new, $key, 'the key was changed');
	cannot('the new key alone, and a state of the old one', qr/give the old key too/, 'log', $rotated, '--key', $new, '--state', $state);
	$report = is_clean_run('with both', 'entries', "$rotated.entries", '--log', $rotated, '--key', $new, @state);
	is($report->{signers}[0]{key}, $new, 'the entry that announces it is named');
	$node->safe_psql('main', "INSERT INTO patient VALUES (77, 'x'); SELECT medsync.seal(); SELECT medsync.export('$rotated')");
	finds('what the new key has signed, and the old one is given', 'bad_signature', 'log', $rotated, '--key', $key);
	is_clean_run('and the new one', 'log', $rotated, '--key', $new);
	finds('the signer entry names no key', 'entry_altered@' . $report->{signers}[0]{entry_index}, 'entries', $_, '--log', log_of($_), '--key', $key)
	  for forged_entries("$rotated.entries", 'append', 'E' . $report->{signers}[0]{entry_index}, '', 'flip', 'E' . $report->{signers}[0]{entry_index}, -1, 'reseal', 'drop', 'C0');
}

# ---- a private export that was changed ----

{
	my @with = ('--log', $log, '--key', $key);
	my ($ddl) = entries_of(9);
	my ($era) = entries_of(13);
	my $blocks = 6;

	# against the public export
	finds('an entry was changed', 'entry_altered@5', 'entries', forged_entries($entries, 'flip', 'E5', 60), @with);
	finds('its salt was changed', 'entry_altered@5', 'entries', forged_entries($entries, 'flip', 'E5', 3), @with);
	finds('an entry was lengthened', 'entry_altered@5 entry_altered@5', 'entries', forged_entries($entries, 'append', 'E5', '00'), @with);
	finds('an entry is gone', 'entry_missing entry_altered@5', 'entries', forged_entries($entries, 'drop', 'E5'), @with);
	finds('the last entry is gone', 'entry_missing', 'entries', forged_entries($entries, 'drop', 'E' . ($size - 1)), @with);
	finds('an entry too many', 'entry_extra entry_altered@6', 'entries', forged_entries($entries, 'copy', 'E5', 'E6'), @with);
	finds('two entries changed places', 'entry_altered@5', 'entries', forged_entries($entries, 'swap', 'E5', 'E6'), @with);
	finds('a block is gone', 'block_altered block_altered block_altered', 'entries',
		forged_entries($entries, map({ ('drop', "E$early_size") } grep { $_->[1] == 4 } @list), 'drop', 'B4'), @with);

	# each field of a block
	for my $field ([ 'height', '+1' ], [ 'era', 7 ], [ 'previous_hash', 'aa' x 32 ], [ 'first_index', '+1' ], [ 'root', 'aa' x 32 ],
		[ 'sealer_xid', '+1' ], [ 'sealed_at', '+1' ], [ 'hash', 'aa' x 32 ], [ 'snapshot', '5:5:' ], [ 'entry_count', '+1' ])
	{
		my ($exit, $found) = verify('entries', forged_entries($entries, 'field', 'B2', @$field), @with);

		is($exit, 1, "block, $field->[0] was changed: exit status");
		is($found->{findings}[0]{verdict}, 'block_altered', "$field->[0]: found") or diag(explain($found));
		is($found->{findings}[0]{block}, $field->[0] eq 'height' ? 3 : 2, "$field->[0]: in its block");
	}
	for my $snapshot ('', '5', '5:5', ':5:', '5:4:', '05:5:', '5:5:5', '5:6:4', '5:7:6,5', '5:7:5,5', '5:7:5,', '5:7:,5', '5:6: 5', '5:18446744073709551616:', '5:6:5x', '-1:5:')
	{
		finds("snapshot '$snapshot'", 'entry_altered', 'entries', forged_entries($entries, 'field', 'B2', 'snapshot', $snapshot), @with);
	}

	# the chain, hashed anew
	for my $case (
		[ 'sealed before the block below', 'block_altered', 'field', 'B2', 'sealed_at', '-86400000000' ],
		[ 'a height is left out', 'block_altered', 'field', 'B3', 'height', 9, 'field', 'B4', 'height', 10, 'field', 'B5', 'height', 11 ],
		[ 'the first block is not the first', 'block_altered', map { ('field', "B$_", 'height', '+1') } 0 .. 5 ],
		[ 'the first block has one below', 'block_altered', 'field', 'B0', 'previous_hash', 'aa' x 32 ],
		[ 'a root that is not that of its entries', 'block_altered', 'field', 'B2', 'root', 'aa' x 32 ],
		[ 'an era that there is not', 'block_altered', 'field', 'B2', 'era', 9 ],
		[ 'eras do not ascend', 'entry_altered', 'copy', 'A0', 'A0' ],
		[ 'an era that its id does not stand for', "block_altered entry_altered\@$era", 'flip', 'A0', 22 ],
		[ 'an era that is not known, with values', 'entry_altered', 'set', 'A0', 20, '00' ],
		[ 'a manifest was changed', "entry_altered\@$ddl", 'flip', 'M0', 20 ],
		[ 'a manifest is missing', "entry_altered\@$ddl", 'drop', 'M0' ],
		[ 'manifests do not ascend', 'entry_altered', 'swap', 'M0', 'M1' ],
		[ 'an era behind a manifest', 'entry_altered', 'swap', 'A0', 'M0' ],
		[ 'an entry that is not sealed', 'entry_altered', 'copy', 'E5', 'C0', 'type', 'E' . $size, 'U' ],
		[ 'a manifest twice', 'entry_altered', 'copy', 'M0', 'M1' ],
		[ 'a manifest too many', '*unsealed', 'copy', 'M0', 'B0', 'set', 'M4', 0, '00001000' ],
		[ 'the ledger record is of another ledger', 'block_altered ' x 7, 'flip', 'L0', 3 ],
		[ 'the ledger record has another time', 'block_altered ' x 6, 'flip', 'L0', 23 ],
		[ 'the file says that it is longer', 'truncated', 'set', 'L0', 32, '0000000000010000' ],
		[ 'the file says that it is shorter', 'entry_extra', 'set', 'L0', 32, '0000000000000001' ],
		[ 'the file says that it begins later', 'entry_altered', 'set', 'L0', 24, '0000000000000001' ],
		[ 'the file says that it is of negative size', 'entry_altered', 'set', 'L0', 32, 'ffffffffffffffff' ])
	{
		my ($name, $expected, @step) = @$case;
		my $rehash = $step[0] eq 'field' ? 'rehash' : undef;

		finds($name, $expected =~ s/ $//r, 'entries', forged_entries($entries, @step, $rehash ? $rehash : ()), @with);
	}

	# written anew as a whole, and signed: what blocks may hold, and in which order
	my $resealed = sub
	{
		my ($name, $expected, @step) = @_;
		local $Test::Builder::Level = $Test::Builder::Level + 1;
		my $forged = forged_entries($entries, @step, 'reseal', 'drop', 'C0');

		return finds("written anew: $name", $expected, 'entries', $forged, '--log', log_of($forged), '--key', $key);
	};
	my @of_block = map { my $block = $_; [ grep { $_->[1] == $block } @list ] } 0 .. $blocks - 1;
	my ($first, $second) = map { $_->[0] } @{ $of_block[1] };    # two transactions
	my $long = $of_block[4][0][0];                               # one of many entries
	my $prepared = (grep { $_->[2] < $of_block[1][0][2] } @{ $of_block[2] })[0];

	$resealed->('nothing changed', '');
	ok($prepared, 'a transaction that was prepared is in a later block');
	$resealed->('two transactions changed places', "block_altered\@$second", 'swap', "E$first", "E$second");
	$resealed->('two entries of a transaction changed places', 'block_altered@' . ($long + 6), 'swap', 'E' . ($long + 5), 'E' . ($long + 6));
	$resealed->('a transaction sealed twice', "entry_extra\@" . $of_block[2][0][0], 'copy', "E$first", 'E' . $of_block[2][0][0]);
	$resealed->('a transaction sealed before its end', "entry_extra\@$first entry_extra\@" . $of_block[2][0][0], 'field', 'B1', 'snapshot',
		join(':', $list[$first][2], $list[$second][2] + 1, $list[$first][2]));
	$resealed->('an operation that there is not', 'entry_altered@5', 'set', 'E5', 90, '63');
	$resealed->('an entry that is too short', 'entry_altered@5', 'shorten', 'E5', 1);
	$resealed->('an entry that is too long', 'entry_altered@5', 'append', 'E5', '00');
	$resealed->('an entry that is no entry', 'entry_altered@5', 'shorten', 'E5', 100);
	$resealed->('an entry of another version', 'entry_altered@5', 'set', 'E5', 32, '02');
	$resealed->('an entry of another era', 'entry_extra@5', 'set', 'E5', 34, 'aa' x 16);
	$resealed->('the era entry says something else', "entry_altered\@$era", 'flip', "E$era", -1);
	$resealed->('a ddl entry is gone', '*unsealed entry_missing@' . ((entries_of(9))[-1] - 1), 'drop', "E$ddl") if 0;
	$resealed->('a version of a manifest was skipped', 'entry_altered@' . (entries_of(9))[3] . ' entry_missing@' . (entries_of(9))[3] . ' *unsealed',
		'set', 'E' . (entries_of(9))[3], 98, '07');

	# the end of the file
	finds('no last record', 'truncated', 'entries', forged_entries($entries, 'no-end'), @with);
	finds('another digest', 'entry_altered', 'entries', forged_entries($entries, 'flip', 'Z0', 20, 'keep-digest'), @with);
	finds('another count', 'entry_missing', 'entries', forged_entries($entries, 'flip', 'Z0', 5, 'keep-digest'), @with);
	finds('a byte after the end', 'entry_altered', 'entries', forged_entries($entries, 'raw-append', $_), @with) for '00', '00' x 5, '00' x 6;
	finds('a record of an unknown type', 'entry_altered', 'entries', forged_entries($entries, 'type', 'C0', 'X'), @with);
	finds('records out of order', 'entry_altered', 'entries', forged_entries($entries, 'swap', 'A0', 'E0'), @with);
	finds('an entry before the first block', 'entry_altered', 'entries', forged_entries($entries, 'swap', 'B0', 'E0'), @with);
	finds('two ledger records', 'entry_altered', 'entries', forged_entries($entries, 'copy', 'L0', 'A0'), @with);
	finds('no ledger record', 'entry_altered', 'entries', forged_entries($entries, 'drop', 'L0'), @with);
	finds('two checkpoints', 'entry_altered', 'entries', forged_entries($entries, 'copy', 'C0', 'C0'), @with);
	finds('the last block is not signed yet', "*unsigned\@$early_size", 'entries', forged_entries($entries, 'drop', 'C0'), '--log', $early, '--key', $key);
	is_clean_run('no checkpoint in the file', 'entries', forged_entries($entries, 'drop', 'C0'), @with);
	finds('a forged checkpoint in the file', 'bad_signature', 'entries', forged_entries($entries, 'flip', 'C0', -5), @with);

	# a second checkpoint of the same size, signed
	forge('sign', write_file("$dir/text", "$origin\n$size\n" . 'A' x 43 . "=\n"), "$dir/note", $origin, $log_key);
	finds('two signed checkpoints of one size', 'forked entry_altered', 'entries', forged_entries($entries, 'note', "$dir/note"), @with);
	forge('sign', write_file("$dir/text", "$origin\n" . ($size + 1) . "\n" . 'A' x 43 . "=\n"), "$dir/note", $origin, $log_key);
	finds('a signed checkpoint of more entries', 'truncated', 'entries', forged_entries($entries, 'note', "$dir/note"), @with);
	forge('sign', write_file("$dir/text", "$origin\n5\n" . 'A' x 43 . "=\n"), "$dir/note", $origin, $log_key);
	finds('a signed checkpoint of fewer entries', 'entry_altered', 'entries', forged_entries($entries, 'note', "$dir/note"), @with);
	finds('a public export of before, and an entry changed after it', "entry_altered entry_altered", 'entries',
		forged_entries($entries, 'flip', 'E' . ($size - 1), 60), '--log', $early, '--key', $key);

	# a public export that is damaged itself
	my $copy = copy_of($log);
	flip("$copy/tile/entries/000", 35 * 5 + 9);
	finds('an entry of the public export was changed', 'entry_altered@5', 'entries', $entries, '--log', $copy, '--key', $key);
	flip("$copy/tile/0/000", 32 * 5);
	finds('and its hash', 'entry_altered@5', 'entries', $entries, '--log', $copy, '--key', $key);
	finds('and the private export', 'entry_altered@5 entry_altered entry_altered', 'entries', forged_entries($entries, 'flip', 'E7', 60), '--log', $copy, '--key', $key);

	# every byte of every kind of record, the digest being right again
	for my $record ('L0', 'A0', 'M0', 'B0', 'E5', 'C0', 'Z0')
	{
		my $flips = new_path();

		forge('flips', $early_entries, $flips, $record);
		my %found = statuses($flips, 'entries', '--log', $early, '--key', $key);
		my $wrong = $record eq 'L0' ? qr/^[12]$/ : qr/^1$/;    # it may begin past the log
		cmp_ok(scalar(keys %found), '>', 30, "bytes of $record");
		is(join(' ', grep { $found{$_} !~ $wrong } sort keys %found), '', "each changed byte of $record is a finding");
		remove_tree($flips);
	}

	# cut anywhere
	my $whole = slurp_file($early_entries);
	my $cuts = new_path();
	mkdir $cuts;
	write_file("$cuts/$_", substr($whole, 0, $_)) for 0 .. 300, map { int(rand(length $whole)) } 1 .. 100;
	my %cut = statuses($cuts, 'entries', '--log', $early, '--key', $key);
	is(join(' ', grep { $cut{$_} ne ($_ < 19 ? '2' : '1') } sort keys %cut), '', 'a file that was cut off is a finding');
	remove_tree($cuts);

	# lengths that nobody has memory for
	my $head = substr($whole, 0, 19);
	finds('a record of 4 GB', 'entry_altered', 'entries', write_file("$dir/long", $head . "L\xff\xff\xff\xff"), @with);
	finds('a record of 64 MiB that is not there', 'truncated', 'entries', write_file("$dir/long", $head . "L\x04\x00\x00\x00"), @with);
	finds('a record of 64 MiB and one byte', 'entry_altered', 'entries', write_file("$dir/long", $head . "L\x04\x00\x00\x01"), @with);
	finds('nothing but the first line', 'truncated', 'entries', write_file("$dir/long", $head), @with);

	# names that others have chosen
	my ($odd) = map { $_->[0] } grep { $_->[4] == 3 && $_->[3] == 1 } @list;
	my $forged = forged_entries($entries, 'set', "E$odd", 90, '63', 'reseal', 'drop', 'C0');
	my @odd = ('entries', $forged, '--log', log_of($forged), '--key', $key);
	$report = finds('a table with an odd name', "entry_altered\@$odd", @odd);
	is($report->{findings}[0]{relation}, qq{public."odd ""name""\n\x{2603}"}, 'its name');
	(undef, $out) = run_verify(@odd);
	like($out, qr/^error: entry_altered, table public\."odd ""name""\\x0a\xe2\x98\x83", block 0, entry $odd\n    The entry/m, 'and as text');
	(undef, $out) = run_verify(@odd, '--json');
	my $sum;
	IPC::Run::run([ 'python3', '-c', 'import json, sys; print(len(json.load(sys.stdin)["findings"]))' ], '<', \$out, '>', \$sum);
	is($sum, "1\n", 'another reader of JSON');
}

# ---- receipts ----

{
	my @with = ('--key', $key);
	my $state = "$dir/receipt.state";

	is_clean_run('remember the log', 'log', $log, @with, '--state', $state);
	my $kept = slurp_file($state);
	$node->safe_psql('main', "COPY (SELECT medsync.receipt('patient', '{\"id\": 1}')) TO '$dir/receipt.copy'");
	my $text = slurp_file("$dir/receipt.copy") =~ s/\n\z//r =~ s/\\n/\n/gr =~ s/\\\\/\\/gr;
	my $receipt = write_file("$dir/receipt", $text);
	my $both = query($node, 'main', 'SELECT medsync.verifier_key()');

	$report = is_clean_run('a receipt', 'receipt', $receipt, '--key', $both);
	is($report->{receipt}{row}{name}, 'name 1', 'the row that it opens');
	is($report->{receipt}{table}, 'patient', 'of which table');
	is($report->{receipt}{operation}, 'update', 'what was done to it');
	($status, $out) = run_verify('receipt', $receipt, '--key', $both);
	like($out, qr/^receipt: \{.*"name": "name 1"/m, 'as text');
	finds('the receipt under another key', 'bad_signature', 'receipt', $receipt, '--key', forge('vkey', $origin, $other_key));
	finds('a witness is demanded', 'bad_signature', 'receipt', $receipt, '--key', $both,
		'--key', forge('vkey', 'example.com/w', $other_key, 4), '--witnesses', 1);
	finds('not a receipt', 'malformed', 'receipt', "$log/checkpoint", @with);
	cannot('no file', qr/could not open file/, 'receipt', '/nowhere', @with);
	cannot('a directory', qr/is a directory/, 'receipt', $dir, @with);

	# made by others
	for my $n (0, 7, $size - 1)
	{
		forge('receipt', $entries, "$dir/forged", $n, $origin, $log_key);
		$report = is_clean_run("a receipt of entry $n by another implementation", 'receipt', "$dir/forged", @with, '--state', $state);
		is($report->{receipt}{entry_index}, $n, 'its index');
	}
	forge('receipt', $early_entries, "$dir/forged", 3, $origin, $log_key);
	is_clean_run('a receipt that is older than what is remembered', 'receipt', "$dir/forged", @with, '--state', $state);
	forge('receipt', forged_entries($entries, 'flip', 'E9', 60), "$dir/forged", 9, $origin, $log_key);
	finds('a receipt from a forked log', 'forked', 'receipt', "$dir/forged", @with, '--state', $state);
	forge('receipt', forged_entries($entries, 'set', 'E9', 90, '63'), "$dir/forged", 9, $origin, $log_key);
	finds('a receipt of an operation that there is not', 'malformed@9', 'receipt', "$dir/forged", @with);
	is(slurp_file($state), $kept, 'a receipt changes nothing that is remembered');

	my $forged = new_path();
	mkdir $forged;
	for my $i (0 .. length($text) - 1)
	{
		write_file("$forged/cut$i", substr($text, 0, $i)) if $i % 3 == 0;
		write_file("$forged/flip$i", substr($text, 0, $i) . (substr($text, $i, 1) ^ chr(1 << int(rand(8)))) . substr($text, $i + 1));
	}
	my %found = statuses($forged, 'receipt', '--key', $both);
	is(join(' ', grep { $found{$_} ne '1' } sort keys %found), '', 'truncations and bit flips of a receipt are findings');
	remove_tree($forged);
}

# ---- another database goes on under another name ----

{
	my $state = "$dir/restored.state";

	is_clean_run('the original', 'entries', $entries, '--log', $log, '--key', $key, '--state', $state);
	$node->safe_psql('postgres', 'CREATE DATABASE copy');
	$node->command_ok([ 'pg_dump', '-Fc', '-f', "$dir/dump", $node->connstr('main') ], 'dump');
	$node->command_ok([ 'pg_restore', '-d', $node->connstr('copy'), "$dir/dump" ], 'restore');
	$node->safe_psql('copy', "INSERT INTO patient VALUES (1001, 'in the copy')");
	$node->safe_psql('copy', "SELECT medsync.declare_era('a copy for tests', 'example.com/copy')");
	$node->safe_psql('copy', 'SELECT medsync.seal()');
	$node->safe_psql('main', "INSERT INTO patient VALUES (1001, 'in the original')");
	$node->safe_psql('copy', "INSERT INTO patient VALUES (1002, 'in the copy')");
	$node->safe_psql('copy', 'SELECT medsync.seal()');
	$node->safe_psql('copy', "SELECT medsync.export('$dir/copied'), medsync.export_entries('$dir/copied.entries')");
	my $copy_key = query($node, 'copy', 'SELECT medsync.verifier_key()');
	my @copy = ('entries', "$dir/copied.entries", '--log', "$dir/copied", '--key', $copy_key);

	is_clean_run('the copy, in two eras', @copy);
	$report = finds('is not what the original was', 'forked', @copy, '--key', $key, '--state', $state);
	like($report->{findings}[0]{detail}, qr/begin a new state file/, 'it says what to do');
}

# ---- how it is called, and what it needs ----

{
	my @log = ('log', $log);
	my $version = $node->safe_psql('main', "SELECT extversion FROM pg_extension WHERE extname = 'medsync'");

	($status, $out) = run_verify('--version');
	is("$status $out", "0 medsync-verify $version\n", 'version');
	($status, $out) = run_verify('--help');
	is($status, 0, 'help: exit status');
	like($out, qr/^Usage:.*--key.*--state.*--witnesses.*--json/ms, 'help');
	like($out, qr/$_/, "help knows $_") for qw(log entries receipt);

	cannot('nothing at all', qr/a mode and what to check must be given/);
	cannot('a mode alone', qr/a mode and what to check must be given/, 'log', '--key', $key);
	cannot('an unknown mode', qr/unknown mode "blog"/, 'blog', $log, '--key', $key);
	cannot('an argument too many', qr/too many arguments/, @log, 'more', '--key', $key);
	cannot('an unknown option', qr/unrecognized option/, @log, '--key', $key, '--nonsense');
	cannot('an option without its value', qr/requires an argument/, @log, '--key');
	cannot('no key', qr/the log's verifier key must be given/, @log);
	cannot('a key of a witness alone', qr/the log's verifier key must be given/, @log, '--key', forge('vkey', 'example.com/w', $other_key, 4));
	cannot('entries without the log', qr/needs the public export/, 'entries', $entries, '--key', $key);
	cannot('a log and a log', qr/only mode entries takes --log/, @log, '--log', $log, '--key', $key);
	cannot('witnesses that are no number', qr/invalid value "many"/, @log, '--key', $key, '--witnesses', 'many');
	cannot('a negative age', qr/invalid value "-1"/, @log, '--key', $key, '--max-age=-1');
	cannot('an age with a unit', qr/invalid value "1d"/, @log, '--key', $key, '--max-age=1d');
	cannot('no directory', qr/could not open directory "\/nowhere": No such file/, 'log', '/nowhere', '--key', $key);
	cannot('a file for a directory', qr/could not open directory/, 'log', $entries, '--key', $key);
	cannot('a directory that is no export', qr/is not a public export/, 'log', $dir, '--key', $key);
	cannot('no file', qr/could not open file "\/nowhere": No such file/, 'entries', '/nowhere', '--log', $log, '--key', $key);
	cannot('a directory for a file', qr/is a directory/, 'entries', $dir, '--log', $log, '--key', $key);
	cannot('a file that is no export', qr/is not a private export/, 'entries', "$log/checkpoint", '--log', $log, '--key', $key);
	cannot('an empty file', qr/is not a private export/, 'entries', write_file("$dir/empty", ''), '--log', $log, '--key', $key);

	# what would never end, or never begin
	mkfifo("$dir/pipe", 0600) or die $!;
	for my $odd ("$dir/pipe", '/dev/zero', '/dev/null')
	{
		cannot("$odd as a private export", qr/is not a regular file/, 'entries', $odd, '--log', $log, '--key', $key);
		cannot("$odd as a receipt", qr/is not a regular file/, 'receipt', $odd, '--key', $key);
		cannot("$odd as a key file", qr/is not a regular file/, @log, '--key', $odd);
		cannot("$odd as a state file", qr/is not a state file/, @log, '--key', $key, '--state', $odd);
	}

	my ($name, $id, $bytes) = $key =~ /^(.*?)\+(.*?)\+(.*)$/;
	for my $odd ('', 'key', "$name+$id", "$name+$id+", "+$id+$bytes", "$name+00000000+$bytes", "$name+" . uc($id) . "x+$bytes",
		"$name+$id+$bytes=", "$name+$id+" . substr($bytes, 0, -1), "$name+$id+" . ($bytes =~ s/^./C/r), "two words+$id+$bytes", "$name+$id+$bytes\n")
	{
		cannot("key '$odd'", qr/is neither a verifier key nor a file/, @log, '--key', $odd);
	}
	cannot('a key file with something else', qr/line 2 of file .* is not a verifier key/, @log, '--key', write_file("$dir/keys", "$key\nkey\n"));
	cannot('a key file with carriage returns', qr/line 1 of file .* is not a verifier key/, @log, '--key', write_file("$dir/keys", "$key\r\n"));
	cannot('an empty key file', qr/holds no verifier key/, @log, '--key', write_file("$dir/keys", "\n\n"));
	cannot('a large key file', qr/is too large/, @log, '--key', write_file("$dir/keys", 'x' x 1000000));
	cannot('a directory of keys', qr/is a directory/, @log, '--key', $dir);

	# also what cannot be checked is one JSON object
	($status, $report) = verify('log', "/nowhere\n\xff\x01\"", '--key', $key);
	is($status, 2, 'JSON: exit status');
	is($report->{status}, 'not_checked', 'JSON: status');
	is($report->{error}, "could not open directory \"/nowhere\n\x{fffd}\x01\"\": No such file or directory", 'JSON: why');
	($status, $report) = verify('entries', "$dir/from$size", '--log', $early, '--key', $key);
	is("$status $report->{status}", '2 not_checked', 'JSON: in the middle');
	my $obeyed = join '', map { chr } 0x85, 0x9b, 0x61c, 0x200e, 0x2028, 0x202e, 0x2069;
	my $path = "/nowhere" . encode('UTF-8', $obeyed . chr(0xa0) . chr(0x2070));
	($status, $out, $err) = run_verify('log', $path, '--key', $key, '--json');
	like($out, qr{/nowhere\\u0085\\u009b\\u061c\\u200e\\u2028\\u202e\\u2069\xc2\xa0\xe2\x81\xb0}, 'JSON: what a reader would obey');
	like($err, qr{/nowhere\\xc2\\x85\\xc2\\x9b\\xd8\\x9c\\xe2\\x80\\x8e\\xe2\\x80\\xa8\\xe2\\x80\\xae\\xe2\\x81\\xa9\xc2\xa0\xe2\x81\xb0}, 'and as text');
	($status, $out, $err) = run_verify('log', "/nowhere\e[31m", '--key', $key);
	unlike($err, qr/\e/, 'nothing reaches the terminal as it is');

	# a report that could not be written is none
	SKIP:
	{
		skip 'no /dev/full', 2 unless -c '/dev/full';
		for my $json ([], ['--json'])
		{
			IPC::Run::run([ 'medsync-verify', @log, '--key', $key, @$json ], '>', '/dev/full', '2>', \$err);
			is($? >> 8, 2, "nowhere to write (@$json)");
		}
	}

	($status, $out, $err) = run_verify('log', $log, '--key', $key, '--quiet');
	is("$status$out$err", '0', 'quiet');
	($status, $out, $err) = run_verify('log', $log, '--key', forge('vkey', $origin, $other_key), '--quiet');
	like($out, qr/^error: bad_signature\n.*^findings: 1 error/ms, 'quiet, and something was found');
	($status, $out, $err) = run_verify('log', $log, '--key', $key, '--progress');
	is("$status", '0', 'progress: exit status');
	like($err, qr/^entries of the log: \d+ of $size \(\d+ %\)$/m, 'progress');

	# it runs where there is no PostgreSQL
	my $program = $node->config_data('--bindir') . '/medsync-verify';
	my $libraries = '';
	IPC::Run::run([ 'ldd', $program ], '>', \$libraries);
	like($libraries, qr/libcrypto/, 'it needs libcrypto');
	unlike($libraries, qr/libpq|libssl|postgres|libz|libxml|gssapi|ldap/, 'and nothing of PostgreSQL');
	my $alone = "$dir/alone";
	mkdir $alone;
	system('cp', $program, $alone);
	IPC::Run::run([ "$alone/medsync-verify", @log, '--key', $key ], '>', \$out, '2>', \$err,
		init => sub { delete @ENV{ grep { /^(PG|LD_|PATH)/ } keys %ENV }; chdir '/' });
	is($?, 0, 'it runs by itself, anywhere') or diag($err);
}
done_testing();
