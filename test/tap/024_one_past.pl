
# A ledger signs one past.  Crashes at the worst moment, older backups that
# come back, two servers with one signer key, rotations that others overtake:
# no holder of a checkpoint may ever be shown another one that contradicts it
# without <signer key>.last, status or verify() saying so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $keys = own_directory();
my $out = own_directory();
chmod 0755, $out;

my $node = new_node('one', conf => "medsync.master_key_file = '$keys/master'\nmedsync.signer_key_file = '$keys/signer'\nwal_level = replica\nmax_wal_senders = 2\n");

$node->safe_psql('postgres', 'CREATE DATABASE clinic');
$node->safe_psql('clinic', <<'SQL');
CREATE EXTENSION medsync;
CREATE TABLE patient (id int PRIMARY KEY, name text);
SELECT medsync.track('patient', payload => 'hash');
INSERT INTO patient VALUES (1, 'Ada');
SELECT medsync.seal();
SQL

sub last_file { return slurp_file("$keys/signer.last"); }

sub size_in
{
	my ($directory) = @_;

	return (split /\n/, slurp_file("$directory/checkpoint"))[1];
}

# What psql says, output and notices together.
sub said
{
	my ($server, $sql) = @_;
	my ($stdout, $stderr);

	$server->psql('clinic', $sql, stdout => \$stdout, stderr => \$stderr);
	return "$stdout\n$stderr";
}

# Replace a stopped server's files by a copy.
sub put_back
{
	my ($server, $from) = @_;

	PostgreSQL::Test::Utils::system_or_bail('rm', '-rf', $server->data_dir);
	PostgreSQL::Test::Utils::system_or_bail('cp', '-a', $from, $server->data_dir);
	return;
}

# A crash between a commit and what the last file says of it; the note goes
# out; then an older backup comes back.
$node->stop;
my $backup = "$out/backup";
PostgreSQL::Test::Utils::system_or_bail('cp', '-a', $node->data_dir, $backup);
$node->start;
$node->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('synchronous_standby_names') = 'nobody'");
$node->safe_psql('clinic', "SET synchronous_commit = off; INSERT INTO patient VALUES (2, 'Carl')");
my $hanging = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('clinic'), '-c', 'SELECT medsync.seal()' ],
	'>', \my $hung_out, '2>', \my $hung_err);
ok(wait_until('a seal waits for its commit', sub { last_file() =~ /^candidate /m }), 'a seal that waits for its commit is signed as a candidate');
$node->stop('immediate');
$hanging->finish;
unlink($node->data_dir . '/postgresql.auto.conf');
$node->start;
like(last_file(), qr/^candidate /m, 'after the crash nothing says that it was signed');
$node->safe_psql('clinic', "SELECT medsync.export('$out/first')");
unlike(last_file(), qr/^candidate /m, 'the last file says so before the checkpoint goes out');
my $published = size_in("$out/first");

$node->stop;
put_back($node, $backup);
$node->start;
$node->safe_psql('clinic', "INSERT INTO patient VALUES (2, 'Mallory')");
like(said($node, 'SELECT medsync.seal()'), qr/is sealed, but not signed/, 'the older copy does not sign another past');
like(said($node, "SELECT medsync.export('$out/second')"), qr/ERROR/, '... and publishes nothing');
like(query($node, 'clinic', "SELECT state || value FROM medsync.status WHERE item = 'signer_key_file'"), qr/^error(forked|truncated)/, '... and status says so');
like(query($node, 'clinic', 'SELECT string_agg(verdict, $$,$$) FROM medsync.verify()'), qr/forked|truncated/, '... and verify()');
unlike(said($node, "SELECT medsync.declare_era('restored')"), qr/ERROR/, 'a new name is declared');
unlike(said($node, 'SELECT medsync.seal()'), qr/not signed/, '... and signs');
unlike(last_file(), qr/^candidate /m, 'no candidate is left');

# Two servers with one key file: while one is deciding the other waits.
$node->stop;
my $twin = new_node('two', stopped => 1);
put_back($twin, $node->data_dir);
$twin->append_conf('postgresql.conf', "port = " . $twin->port . "\nunix_socket_directories = '" . $twin->host . "'\n");
$node->start;
$twin->start;
foreach my $round (1 .. 3)
{
	$node->safe_psql('clinic', "INSERT INTO patient VALUES (1000 + $round, 'one')");
	$twin->safe_psql('clinic', "INSERT INTO patient VALUES (1000 + $round, 'two')");

	# both begin while somebody else has the lock
	my $lock = IPC::Run::start([ 'flock', "$keys/signer.lock", 'sleep', '0.7' ]);
	select undef, undef, undef, 0.2;
	my @run = map { IPC::Run::start([ 'psql', '-XqAt', '-d', $_->connstr('clinic'), '-c', 'SELECT medsync.seal()' ],
			'>', \my $o, '2>', \my $e) } ($node, $twin);
	$_->finish foreach ($lock, @run);
	my $signed = join ',', map { query($_, 'clinic', "SELECT split_part(note, E'\n', 3) FROM medsync.checkpoint WHERE size = (SELECT max(size) FROM medsync.checkpoint) AND note IS NOT NULL") } ($node, $twin);
	unlike($signed, qr/\S,\S/, "round $round: not both of them signed");
}
$twin->stop;

# Who changes the key while others look on.
my $own = new_node('own');
$own->safe_psql('postgres', 'CREATE DATABASE clinic');
$own->safe_psql('clinic', <<'SQL');
CREATE EXTENSION medsync;
CREATE TABLE patient (id int PRIMARY KEY, name text);
SELECT medsync.track('patient', payload => 'hash');
SELECT medsync.seal();
SQL
my $reader = $own->background_psql('clinic');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM patient;');
$own->safe_psql('clinic', 'SELECT medsync.rotate_signer_key()');
$own->safe_psql('clinic', 'SELECT medsync.seal()');
is($reader->query_safe("SELECT count(*) FROM medsync.verify() WHERE severity = 'error'"), '0', 'a rotation that a transaction does not see is no finding in it');
$reader->query_safe('COMMIT');
$reader->quit;

# An idle transaction that signed by two keys keeps the rotation open.
$own->safe_psql('clinic', "INSERT INTO patient VALUES (1, 'Ada')");
$own->safe_psql('clinic', 'SELECT medsync.rotate_signer_key()');
my $idle = $own->background_psql('clinic');
$idle->query_safe('BEGIN; SELECT length(medsync.receipt(0));');
$own->safe_psql('clinic', 'SELECT medsync.seal()');
$idle->query_safe('ROLLBACK');
$idle->quit;
$own->safe_psql('clinic', 'SELECT medsync.seal()');
cmp_ok(query($own, 'clinic', 'SELECT max((length(note) - length(replace(note, $$— $$, $$$$))) / 2) FROM medsync.checkpoint WHERE height = (SELECT max(height) FROM medsync.checkpoint)'), '>=', 1, 'the last block is signed');
is(query($own, 'clinic', 'SELECT count(*) FROM medsync._signer_key'), '3', 'three keys');
is(query($own, 'clinic', <<'SQL'), '2', 'each change of keys has a checkpoint by both');
SELECT count(*) FROM medsync.checkpoint WHERE (length(note) - length(replace(note, '— ', ''))) / 2 = 2
SQL
like(said($own, "BEGIN; SELECT medsync.declare_era('test', 'hospital.example/new'); SELECT medsync.export('$out/rolled'); ROLLBACK"),
	qr/transaction that has changed who signs/, 'nothing is published under a name that may be rolled back');

# Exports leave no gap, and do not write one file together.
$own->safe_psql('clinic', "SELECT medsync.export('$out/own')");
$own->safe_psql('clinic', "INSERT INTO patient SELECT g, 'x' FROM generate_series(100, 1100) g");
$own->safe_psql('clinic', 'SELECT medsync.seal()');
like(said($own, "SELECT medsync.export('$out/own', 768)"), qr/would have a gap/, 'a gap is refused');
ok(!-e "$out/own/tile/entries/003.p", '... and nothing was written');
like(said($own, "SELECT medsync.export('$out/own')"), qr/^\d+$/m, 'without one it goes on');
ok(-e "$out/own/tile/entries/$_", "bundle $_ is there") foreach '000', '001', '002';
my $busy = IPC::Run::start([ 'flock', "$out/entries.tmp", 'sleep', '3' ]);
ok(wait_until('the lock is held', sub { -e "$out/entries.tmp" && system("flock -n '$out/entries.tmp' true") != 0 }), 'somebody writes the private export');
like(said($own, "SELECT medsync.export_entries('$out/entries')"), qr/is being written/, '... and nobody else does');
$busy->finish;
like(said($own, "SELECT medsync.export_entries('$out/entries')"), qr/^\d+$/m, '... until it has ended');
is_clean($own, 'clinic', 'clean');

# Where no key can be made the ledger seals all the same.
my $poor = new_node('poor', conf => "medsync.signer_key_file = '/nonexistent/directory/signer'\n");
$poor->safe_psql('postgres', 'CREATE DATABASE clinic');
like(said($poor, <<'SQL'), qr/is sealed, but not signed.*Could not create signer key file/s, 'a key file that cannot be made leaves a block unsigned');
CREATE EXTENSION medsync;
CREATE TABLE patient (id int PRIMARY KEY, name text);
SELECT medsync.track('patient', payload => 'hash');
SELECT medsync.seal();
SQL
is(query($poor, 'clinic', 'SELECT count(*) FROM medsync.checkpoint'), '1', '... and the block is there');
is(query($poor, 'clinic', "SELECT state FROM medsync.status WHERE item = 'signer_key_file'"), 'error', '... and status says so');

is_quiet($_) foreach ($own, $poor);
$_->stop foreach ($node, $own, $poor);
done_testing();
