
# When a checkpoint is signed and when not: nothing that was not committed is,
# nothing is signed that contradicts what was signed before, and whatever goes
# wrong with keys and files, sealing goes on.  Exports to directories and
# files that are not what they should be.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use Fcntl qw(:flock :mode);
use File::Copy;
use File::Path qw(make_path remove_tree);
use IPC::Run;
use MedsyncOutside;
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

plan skip_all => 'python3 (3.9 or later) and an openssl with Ed25519 are not there' unless have_forgers();

my $dir = own_directory();
my $keys = "$dir/keys";
my $signer = "$keys/signer.key";

make_path($keys, { mode => 0700 });
my $node = new_node('signing', init => { allows_streaming => 1 }, conf => <<CONF);
medsync.signer_key_file = '$signer'
min_wal_size = 32MB
max_wal_size = 64MB
CONF

# A database with a ledger of its own name and one table.
sub new_ledger
{
	my ($name, $on) = @_;

	$on ||= $node;
	$on->safe_psql('postgres', "CREATE DATABASE $name");
	$on->safe_psql($name, <<SQL);
CREATE EXTENSION medsync;
ALTER DATABASE $name SET medsync.origin = '$name.example';
CREATE TABLE visit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text);
CREATE TABLE plain (id int);
SELECT medsync.track('visit');
SQL
	return $name;
}

my $db = new_ledger('clinic');
my $change = "INSERT INTO visit (note) VALUES ('x')";

sub sql { return query($node, $db, shift); }

# What a command says besides its result.
sub said
{
	my ($sql, $in, $on) = @_;
	my ($state, $stderr) = sql_error($on || $node, $in || $db, $sql);

	return $stderr;
}

# The newest block: size, and whether it is signed.
sub newest
{
	my ($in, $on) = @_;
	my ($size, $signed) = split /\|/, query($on || $node, $in || $db,
		'SELECT size, note IS NOT NULL FROM medsync.checkpoint ORDER BY height DESC LIMIT 1');

	return wantarray ? ($size, $signed) : $signed;
}

sub status
{
	my ($item, $in) = @_;
	return query($node, $in || $db, "SELECT state, value, advice FROM medsync.status WHERE item = '$item'");
}

# What the last file says of an origin: (signed size or '', candidate size or '').
sub last_of
{
	my ($origin, $file) = @_;
	my %size = (signed => '', candidate => '');

	foreach my $line (split /\n/, slurp_file($file || "$signer.last"))
	{
		next if $line !~ /^(signed|candidate) (\S+) \S+ \d+ \d+ \d+ (\d+) \S+$/ || $2 ne $origin;
		die "two lines: $line" if $size{$1} ne '';
		$size{$1} = $3;
	}
	return @size{ 'signed', 'candidate' };
}

# The newest block is signed, nothing else is left to say, all is well.
sub all_signed
{
	my ($name, $in, $origin) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($size, $signed) = newest($in);

	$origin ||= ($in || $db) . '.example';
	is($signed, 't', "$name: the last block is signed");
	is(join('|', last_of($origin)), "$size|", "$name: the last file says so");
	is_clean($node, $in || $db, "$name: verify finds nothing");
	like(status('signer_key_file', $in), qr/^ok\|/, "$name: status");
	return;
}

sub sealed_unsigned
{
	my ($name, $stderr, $like) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	like($stderr, qr/NOTICE:.*block \d+ is sealed, but not signed/, "$name: sealed, and a notice");
	like($stderr, $like, "$name: the notice says why");
	unlike($stderr, qr/ERROR|WARNING/, "$name: no error");
	is(scalar(newest()), 'f', "$name: not signed");
	return;
}

# ------------------------------------------------------------------
# The first signature
# ------------------------------------------------------------------

ok(!-e $signer, 'no key before the first signature');
is(sql('SELECT medsync.verifier_key()'), '', 'and no verifier key');
is(sql(<<'SQL'), 't|t', 'the note is not to be seen in the transaction that seals');
BEGIN;
SELECT FROM medsync.seal();
SELECT count(*) = 1, bool_and(note IS NULL) FROM medsync.checkpoint;
COMMIT;
SQL
all_signed('the first seal');
is(S_IMODE((stat $signer)[2]), 0600, 'mode of the key file');
is(S_IMODE((stat "$signer.last")[2]), 0600, 'mode of the last file');
my $key = sql('SELECT medsync.verifier_key()');
like($key, qr/^clinic\.example\+/, 'the name is that of the setting');
sql("ALTER DATABASE $db SET medsync.origin = 'another.example'; $change; SELECT medsync.seal()");
all_signed('another setting later changes nothing');
is(sql('SELECT medsync.verifier_key()'), $key, 'not the verifier key either');

foreach my $call ("medsync.export('$dir/no')", 'medsync.export_files()', "medsync.export_entries('$dir/no')",
	'medsync.receipt(0)', 'medsync.submit_checkpoint()')
{
	refused($node, $db, "$change; BEGIN; SELECT medsync.seal(); SELECT $call; COMMIT;", '25001',
		"$call after seal() in one transaction");
}
ok(!-e "$dir/no", 'nothing was written');

# ------------------------------------------------------------------
# What is not committed is not signed
# ------------------------------------------------------------------

sql(<<'SQL');
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END';
CREATE TABLE waits (id int);
CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON waits DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION wait();
SQL

my $module = own_directory();
copy("$FindBin::RealBin/../modules/test_precommit/$_", "$module/$_") or die "$_: $!"
  foreach 'Makefile', 'test_precommit.c';
command_ok([ 'make', '-s', '-C', $module, 'PG_CONFIG=' . ($ENV{PG_CONFIG} || 'pg_config') ], 'the module builds');

# Callbacks before a commit come in reverse order of loading: this one comes
# after medsync has signed.
sub after_signing
{
	my ($at_commit) = @_;

	$at_commit =~ s/'/''/g;
	return "LOAD '$module/test_precommit.so'; LOAD 'medsync'; SET test_precommit.at_commit = '$at_commit';\n";
}

# Kill a session once it is where it waits.
sub kill_in
{
	my ($name, $in, $sql, $where) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $session = $node->background_psql($in, on_error_stop => 0);
	my $pid = $session->query('SELECT pg_backend_pid()');

	$session->{stdin} .= "$sql\n";
	$session->{run}->pump_nb;
	ok( wait_until("$name waits",
			sub { $session->{run}->pump_nb;
				query($node, 'postgres', "SELECT wait_event = '$where' FROM pg_stat_activity WHERE pid = $pid") eq 't' }),
		"$name: there");
	kill 'KILL', $pid;
	eval { $session->{run}->kill_kill };
	settled($node);
	return;
}

my @before = newest();
my $last_before = slurp_file("$signer.last");
sql("$change; BEGIN; SELECT medsync.seal(); ROLLBACK");
is(join('|', newest()), join('|', @before), 'rolled back: no block');
is(slurp_file("$signer.last"), $last_before, 'rolled back: the last file was not touched');

refused($node, $db, "BEGIN; SELECT medsync.seal(); INSERT INTO child VALUES (1); COMMIT;", '23503',
	'a deferred constraint fails');
is(join('|', newest()), join('|', @before), 'a deferred constraint failed: no block');
is(slurp_file("$signer.last"), $last_before, 'a deferred constraint failed: nothing was signed');

kill_in('killed between block and signature', $db, 'BEGIN; SELECT medsync.seal(); INSERT INTO waits VALUES (1); COMMIT;', 'PgSleep');
is(join('|', newest()), join('|', @before), 'killed between block and signature: no block');
is(slurp_file("$signer.last"), $last_before, 'killed between block and signature: nothing was signed');

refused($node, $db, after_signing('SELECT 1/0') . 'BEGIN; SELECT medsync.seal(); COMMIT;', '22012', 'an error after the signature');
is(join('|', newest()), join('|', @before), 'an error after the signature: no block');
my $would = $before[0] + unsealed($node, $db);
is(join('|', last_of('clinic.example')), "$before[0]|$would", 'an error after the signature: a candidate');
is_clean($node, $db, 'an error after the signature: verify finds nothing');
like(status('signer_key_file'), qr/^ok\|/, 'an error after the signature: status');

kill_in('killed between signature and commit', $db, after_signing('SELECT pg_sleep(60)') . 'BEGIN; SELECT medsync.seal(); COMMIT;', 'PgSleep');
is(join('|', newest()), join('|', @before), 'killed between signature and commit: no block');
is(join('|', last_of('clinic.example')), "$before[0]|$would", 'killed between signature and commit: a candidate');

# the same once more: what was not committed yet is not taken for signed
refused($node, $db, after_signing('SELECT 1/0') . 'BEGIN; SELECT medsync.seal(); COMMIT;', '22012', 'an error after the same signature');
is(join('|', last_of('clinic.example')), "$before[0]|$would", 'an error after the same signature: a candidate');

# and more than that, which would contain it
sql($change);
refused($node, $db, after_signing('SELECT 1/0') . 'BEGIN; SELECT medsync.seal(); COMMIT;', '22012', 'an error after a later signature');
is(join('|', last_of('clinic.example')), "$before[0]|" . ($would + 1), 'an error after a later signature: a candidate');
is_clean($node, $db, 'an error after a later signature: verify finds nothing');
like(status('signer_key_file'), qr/^ok\|/, 'an error after a later signature: status');
sql("$change; SELECT medsync.seal()");
all_signed('after all that');
is(sql('SELECT count(*) FROM medsync.checkpoint WHERE note IS NULL'), '0', 'each block is signed');

# The commit cannot be told: what was signed stays known, whatever comes next.
{
	my $holder = $node->background_psql($db);
	my $session = $node->background_psql($db, on_error_stop => 0);

	$holder->query('SELECT pg_advisory_lock(1)');
	sql($change);
	$session->{stdin} .= after_signing('SELECT pg_advisory_xact_lock(1)') . "SELECT size FROM medsync.seal();\n\\echo committed\n";
	$session->{run}->pump_nb;
	wait_until('the signature', sub { $session->{run}->pump_nb;
			query($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") eq '1' });
	chmod 0500, $keys;
	$holder->query('SELECT pg_advisory_unlock(1)');
	$session->query_until(qr/committed/, '');
	chmod 0700, $keys;
	like($session->{stderr}, qr/WARNING:.*could not write file "\Q$signer\E\.last"/, 'the last file cannot be written after the commit: a warning');
	eval { $_->quit } foreach $holder, $session;

	my ($size, $signed) = newest();
	is($signed, 't', 'it is signed');
	is(join('|', last_of('clinic.example')), ($size - 1) . "|$size", 'the last file has it as a candidate');
	is_clean($node, $db, 'verify finds nothing');

	sql($change);
	refused($node, $db, after_signing('SELECT 1/0') . 'SELECT medsync.seal();', '22012', 'an error after the next signature');
	is(join('|', last_of('clinic.example')), "$size|" . ($size + 1), 'what was signed before it is known as signed');
	sql('SELECT medsync.seal()');
	all_signed('and then');
}

# Savepoints, two-phase commit
@before = newest();
unlike(said("$change; BEGIN; SAVEPOINT a; SELECT medsync.seal(); ROLLBACK TO a; COMMIT;"), qr/ERROR|WARNING|NOTICE/,
	'seal() taken back with a savepoint');
is(join('|', newest()), join('|', @before), 'taken back: no block');
is(join('|', last_of('clinic.example')), "$before[0]|", 'taken back: nothing was signed');
unlike(said('BEGIN; SAVEPOINT a; SELECT medsync.seal(); RELEASE a; COMMIT;'), qr/ERROR|WARNING|NOTICE/, 'seal() in a savepoint');
all_signed('in a savepoint');
works($node, $db, "$change; BEGIN; SELECT medsync.seal(); SAVEPOINT a; INSERT INTO plain VALUES (1); ROLLBACK TO a; COMMIT;",
	'a savepoint after seal()');
all_signed('a savepoint after it');
refused($node, $db, "$change; BEGIN; SELECT medsync.seal(); PREPARE TRANSACTION 'sealed';", '0A000', 'seal() prepared');
unlike(said('SELECT medsync.seal()'), qr/ERROR|WARNING|NOTICE/, 'and then');
all_signed('and then');

# several in one transaction, and other levels of isolation
works($node, $db, "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT medsync.seal(); COMMIT;", 'seal(), serializable');
all_signed('serializable');
works($node, $db, 'BEGIN; SELECT medsync.seal(); SELECT medsync.seal(); COMMIT;', 'twice, with nothing new');
all_signed('twice');

# ------------------------------------------------------------------
# Files that are not what they should be
# ------------------------------------------------------------------

my $secret = slurp_file($signer);
my $last = slurp_file("$signer.last");
my $other = $secret =~ s/:(.)/':' . ($1 eq 'a' ? 'b' : 'a')/er;

# name, how it comes, what the notice says, how it goes
foreach my $case (
	[ 'no key file', sub { unlink $signer }, qr/signer key file .* is missing/ ],
	[ 'a key file that others may read', sub { chmod 0640, $signer }, qr/signer key file .*(permission|mode|access)/ ],
	[ 'another key', sub { put_file($signer, $other) }, qr/signer key file .*(another|other) / ],
	[ 'an empty key file', sub { put_file($signer, '') }, qr/signer key file/ ],
	[ 'a key file without its end', sub { put_file($signer, substr($secret, 0, -1)) }, qr/signer key file/ ],
	[ 'a key file with more', sub { put_file($signer, "$secret\n") }, qr/signer key file/ ],
	[ 'a master key for a signer key', sub { put_file($signer, $secret =~ s/signer/master/r) }, qr/signer key file/ ],
	[ 'a directory for a key file', sub { unlink $signer; mkdir $signer }, qr/signer key file/ ],
	[ 'a pipe for a key file', sub { unlink $signer; POSIX::mkfifo($signer, 0600) }, qr/signer key file/ ],
	[ 'no last file', sub { unlink "$signer.last" }, qr/Checkpoints of "clinic.example" were signed, but file/ ],
	[ 'an empty last file', sub { put_file("$signer.last", '') }, qr/has a wrong format/ ],
	[ 'a last file of nobody', sub { put_file("$signer.last", "medsync-signer-last-v1\n") }, qr/were signed, but file/ ],
	[ 'garbage for a last file', sub { put_file("$signer.last", "\x00\xff" x 1000) }, qr/has a wrong format/ ],
	[ 'a last file without its end', sub { put_file("$signer.last", substr($last, 0, -1)) }, qr/has a wrong format/ ],
	[ 'a last file with more', sub { put_file("$signer.last", $last . "signed\n") }, qr/has a wrong format/ ],
	[ 'a last file with a number too many', sub { put_file("$signer.last", $last =~ s/ (\d+) (\S+)\n\z/ 0$1 $2\n/r) }, qr/has a wrong format/ ],
	[ 'a directory for a last file', sub { unlink "$signer.last"; mkdir "$signer.last" }, qr/Could not read file/ ],
	[ 'a last file of a larger log', sub { put_file("$signer.last", $last =~ s/ (\d+) (\S+)\n\z/ 99999 $2\n/r) },
		qr/was signed at size 99999, and the ledger here does not contain it/ ],
	[ 'a last file of another log', sub { put_file("$signer.last", $last =~ s/ (\S)(\S+)\n\z/' ' . ($1 eq 'A' ? 'B' : 'A') . "$2\n"/er) },
		qr/was signed at size \d+, and the ledger here does not contain it/ ],
	[ 'a last file of another database', sub { put_file("$signer.last", $last =~ s/ (\d+) (\d+) (\S+)\n\z/ 1 $2 $3\n/r) },
		qr/was signed in another database/ ],
	[ 'a last file of another cluster', sub { put_file("$signer.last", $last =~ s/^(signed \S+ \S+) \d+/$1 1/mr) },
		qr/was signed in another database/ ],
	[ 'a directory that cannot be written', sub { chmod 0500, $keys }, qr/Could not write file/ ])
{
	my ($name, $come, $like) = @$case;

	$come->();
	sealed_unsigned($name, said("$change; SELECT medsync.seal();"), $like);
	like(status('signer_key_file'), qr/^error\|/, "$name: status") unless $name =~ /cannot be written/;
	refused($node, $db, 'SELECT medsync.rotate_signer_key()', 'MS001|42501|58P01|55000', "$name: no rotation",
		like => qr/./) if $name =~ /key file/ && $name !~ /^(another key)$/;
	like(said("SELECT count(*) FROM medsync.export_files()"), qr/NOTICE:.*an earlier checkpoint is used/, "$name: an export is of what was signed before");

	chmod 0700, $keys;
	foreach my $file ($signer, "$signer.last")
	{
		rmdir $file if -d $file;
		unlink $file if -p $file;
	}
	put_file($signer, $secret);
	put_file("$signer.last", $last);
	is(said('SELECT medsync.seal()'), '', "$name: when all is as it was");
	all_signed("$name, and as it was");
	$last = slurp_file("$signer.last");
}

# Somebody holds the lock: a commit does not wait for long.
{
	open(my $lock, '>', "$signer.lock") or die $!;
	flock($lock, LOCK_EX);
	my $start = time();
	sealed_unsigned('the lock is held', said("$change; SELECT medsync.seal();"), qr/Could not lock file/);
	cmp_ok(time() - $start, '<', 15, 'the lock is held: no hanging');
	close $lock;
	is(said('SELECT medsync.seal()'), '', 'the lock is free');
	all_signed('the lock is free');
}


# ------------------------------------------------------------------
# Several databases, one key file
# ------------------------------------------------------------------

new_ledger('ward');
query($node, 'ward', 'SELECT medsync.seal()');
all_signed('a second database', 'ward');
all_signed('the first beside it');
isnt(query($node, 'ward', 'SELECT medsync.verifier_key()'), $key, 'another name');
is(query($node, 'ward', 'SELECT medsync.verifier_key()') =~ s/.*\+//r, $key =~ s/.*\+//r, 'the same key');

# both at once
{
	my $load = script('both.sql', "$change;\nSELECT medsync.seal();\n");
	my @run = map { pgbench_start($node, $_, '-c2', '-T3', '-f', $load) } $db, 'ward';

	pgbench_finish($_) foreach @run;
	is($run[$_]{status}, 0, "sealing in both databases: run $_") or diag($run[$_]{err}) foreach 0, 1;
	unlike($run[$_]{err}, qr/NOTICE|WARNING/, "sealing in both databases: run $_ said nothing") foreach 0, 1;
	cmp_ok($_->{transactions}, '>', 5, 'sealing in both databases: often') foreach @run;
}
all_signed('sealing in both databases, here', $_) foreach $db, 'ward';
is(query($node, $_, 'SELECT count(*) FROM medsync.checkpoint WHERE note IS NULL'), '0', "$_: each block is signed")
  foreach $db, 'ward';

# Two that sign as one: the second may not, not even if both begin at once.
new_ledger('first');
new_ledger('second');
query($node, 'postgres', "ALTER DATABASE second SET medsync.origin = 'first.example'");
{
	my %session = map { $_ => $node->background_psql($_, on_error_stop => 0) } 'first', 'second';

	$_->query('SELECT 1') foreach values %session;
	open(my $lock, '>', "$signer.lock") or die $!;
	flock($lock, LOCK_EX);
	foreach my $session (values %session)
	{
		$session->{stdin} .= "SELECT size FROM medsync.seal();\n\\echo sealed\n";
		$session->{run}->pump_nb;
	}
	# nothing was signed yet, and both wait for the lock
	wait_until('both seal', sub {
			query($node, 'postgres', "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%medsync.seal()%' AND datname IN ('first', 'second')") eq '2' });
	sleep 0.5;
	close $lock;
	$_->query_until(qr/sealed/, '') foreach values %session;
	my @unsigned = grep { scalar(newest($_)) eq 'f' } sort keys %session;
	is(scalar(@unsigned), 1, 'two databases of one name: one of them signs');
	my ($loser) = (@unsigned, 'first');
	my ($winner) = grep { $_ ne $loser } 'first', 'second';
	like($session{$loser}{stderr}, qr/is sealed, but not signed.*was signed in another database/s, 'the other says why');
	$_->quit foreach values %session;

	like(said('SELECT medsync.seal()', $loser), qr/The last checkpoint of "first.example" was signed in another database/,
		'it may not later either');
	all_signed('the one that signs', $winner, 'first.example');
	like(status('signer_key_file', $loser), qr/^error\|.*another database/, 'status of the other');
	is_clean($node, $loser, 'verify finds nothing there');
	my $origin = query($node, $loser, "SELECT medsync.declare_era('two of one name')");
	like($origin, qr{^first\.example/[0-9a-f]{8}$}, 'a name of its own');
	query($node, $loser, 'SELECT medsync.seal()');
	all_signed('under that name', $loser, $origin);
	all_signed('the other still', $winner, 'first.example');
	refused($node, $winner, "SELECT medsync.declare_era('once more', '$origin')", '42710', 'a name that another database has', hint => 1);
}
refused($node, $db, "SELECT medsync.declare_era(NULL)", '22004', 'no reason');
refused($node, $db, "SELECT medsync.declare_era('$_->[1]')", '22023', "a reason that $_->[0]")
  foreach [ 'is empty', '' ], [ 'has two lines', "a\nb" ], [ 'is too long', 'x' x 300 ];
refused($node, $db, "SELECT medsync.declare_era('why', '$_')", '22023', "origin \"$_\"")
  foreach '', 'a b', 'a+b', "a\tb", 'x' x 200;
refused($node, $db, "SELECT medsync.declare_era('why', 'clinic.example')", '42710', 'its own name again');
refused($node, $db, "SET ROLE pg_monitor; SELECT medsync.$_", '42501', "$_ by anybody")
  foreach "declare_era('why')", 'rotate_signer_key()', 'seal()';

# ------------------------------------------------------------------
# Copies of a database
# ------------------------------------------------------------------

my %given;
my $log = "$dir/clinic.log";
my $state = "$dir/clinic.state";
$key = sql('SELECT medsync.verifier_key()');
sql("SELECT medsync.export('$log')");
sees_nothing('the log before it was copied', 'log', $log, '--key', $key, '--state', $state);
$node->command_ok([ 'pg_dump', '-Fc', '-d', $node->connstr($db), '-f', "$dir/dump" ], 'a dump');
unlike(slurp_file("$dir/dump"), qr/\Q@{[ $secret =~ s{.*:}{}r =~ s{\n}{}r ]}\E/, 'without the key');

# Into another database of the cluster, as a file, and as a template
sub a_copy
{
	my ($name, $copy, $on, $like, $file) = @_;

	$file ||= "$signer.last";
	my $before = slurp_file($file);

	like(said("$change; SELECT medsync.seal();", $copy, $on), qr/is sealed, but not signed.*$like/s, "$name: seals, and does not sign");
	is(slurp_file($file), $before, "$name: the last file is as it was");
	is_clean($on, $copy, "$name: verify finds nothing");
	like(said("SELECT medsync.export('$dir/$copy.log')", $copy, $on), qr/NOTICE:.*an earlier checkpoint is used/, "$name: it can show what had been signed");
	sees_nothing("$name: which is right", 'log', "$dir/$copy.log", '--key', $key);

	my $origin = query($on, $copy, "SELECT medsync.declare_era('a copy')");
	is(query($on, $copy, 'SELECT count(*) FROM medsync._signer_key'), '2', "$name: two names");
	query($on, $copy, 'SELECT medsync.seal()');
	like(said("SELECT medsync.export('$dir/$copy.log')", $copy, $on), qr/Its checkpoint is of origin "clinic.example", under which this ledger does not sign any more/,
		"$name: the directory of the old name stays what it is");
	remove_tree("$dir/$copy.log");
	is(scalar(newest($copy, $on)), 't', "$name: signs under a name of its own");
	is(join('|', last_of($origin, $file)), (newest($copy, $on))[0] . '|', "$name: which the last file knows");
	is_clean($on, $copy, "$name: verify finds nothing");

	my $own = query($on, $copy, 'SELECT medsync.verifier_key()');
	like($own, qr/^\Q$origin\E\+/, "$name: its verifier key");
	query($on, $copy, "SELECT medsync.export('$dir/$copy.log')");
	query($on, $copy, "SELECT medsync.export_entries('$dir/$copy.entries')");
	sees("$name: to those who know the old name only", [qr/^error\|bad_signature\|\|\|\|$/],
		[ 'log', "$dir/$copy.log", '--key', $key ]);
	sees("$name: to those who know both, and remember the old one", [qr/^error\|forked\|\|\|\|$/],
		[ 'log', "$dir/$copy.log", '--key', $key, '--key', $own, '--state', $state ]);
	sees_nothing("$name: to those who know the new name", 'log', "$dir/$copy.log", '--key', $own);
	my $report = sees_nothing("$name: with its entries", 'entries', "$dir/$copy.entries", '--log', "$dir/$copy.log", '--key', $own);
	is(scalar(grep { $_->{key} eq $own } @{ $report->{signers} }), 1, "$name: the log says who signs");
	return;
}

foreach my $copy ('restored', 'twin')
{
	query($node, 'postgres', "CREATE DATABASE $copy" . ($copy eq 'twin' ? " TEMPLATE $db" : ''));
	$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr($copy), "$dir/dump" ], 'restored')
	  if $copy eq 'restored';
	a_copy("$copy in the same cluster", $copy, $node, 'was signed in another database');
}
all_signed('the original signs on');

# In another cluster: with the key and without what it signed
{
	my $there = "$dir/there";
	my $target = new_node('target', conf => "medsync.signer_key_file = '$there/signer.key'\n");

	make_path($there, { mode => 0700 });
	copy(key_file($node, $db), key_file($target, 'postgres')) or die $!;
	chmod 0600, key_file($target, 'postgres');
	put_file("$there/signer.key", $secret);
	query($target, 'postgres', 'CREATE DATABASE elsewhere');
	$target->command_ok([ 'pg_restore', '--exit-on-error', '-d', $target->connstr('elsewhere'), "$dir/dump" ], 'restored elsewhere');
	like(said("$change; SELECT medsync.seal();", 'elsewhere', $target), qr/were signed, but file .* does not know of them/,
		'another cluster: it does not sign what was signed elsewhere');
	put_file("$there/signer.key.last", slurp_file("$signer.last"));
	a_copy('another cluster', 'elsewhere', $target, 'was signed in another database', "$there/signer.key.last");
	$target->stop;
}

# ------------------------------------------------------------------
# Another key
# ------------------------------------------------------------------

# How many keys signed the newest checkpoint, and that each is good.
sub signers_of
{
	my ($name, @key) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $note = sql('SELECT note FROM medsync.checkpoint ORDER BY height DESC LIMIT 1');

	is(scalar(() = $note =~ /^\xe2\x80\x94 |^\x{2014} /mg), scalar(@key), "$name: signatures");
	remove_tree("$dir/rotated");
	sql("SELECT medsync.export('$dir/rotated')");
	sees_nothing("$name: by one", 'log', "$dir/rotated", '--key', $_) foreach @key;
	all_signed($name);
	is(sql("SELECT count(*) FROM medsync.verify(NULL, (SELECT max(size) - 1 FROM medsync.checkpoint))"), '0',
		"$name: nor verify of the newest entries");
	return;
}

refused($node, 'postgres', 'CREATE EXTENSION medsync; SELECT medsync.rotate_signer_key();', '55000', 'a rotation without a ledger');
new_ledger('unsigned');
refused($node, 'unsigned', 'SELECT medsync.rotate_signer_key()', '55000', 'a rotation before anything was signed', hint => 1);

put_file("$signer.next", 'garbage');
refused($node, $db, 'SELECT medsync.rotate_signer_key()', 'MS001', 'a rotation with garbage for the next key', like => qr/signer\.key\.next"/);
unlink "$signer.next";
sql('BEGIN; SELECT medsync.rotate_signer_key(); ROLLBACK;');
sql("$change; SELECT medsync.seal();");
signers_of('a rotation that was rolled back', $key);
my $key2 = sql('SELECT medsync.rotate_signer_key()');
isnt($key2, $key, 'another key');
is(sql('SELECT medsync.verifier_key()'), $key2, 'which is the one to give out');
refused($node, $db, 'SELECT medsync.rotate_signer_key()', '55000', 'a rotation before the last one signed', hint => 1);
is(slurp_file($signer), $secret, 'the file has the old one still');

# killed between the rotation and the signature, and between that and the
# new file
$node->stop('immediate');
$node->start;
refused($node, $db, after_signing('SELECT 1/0') . 'SELECT medsync.seal();', '22012', 'an error after both keys signed');
is(slurp_file($signer), $secret, 'the file has the old one still');
my $next = slurp_file("$signer.next");
sql('SELECT medsync.seal()');
signers_of('the first checkpoint after a rotation', $key, $key2);
is(slurp_file($signer), $next, 'the new key has taken its place');
ok(!-e "$signer.next", 'and is there once');
put_file($signer, $secret);
put_file("$signer.next", $next);
sql("$change; SELECT medsync.seal();");
signers_of('a crash before the new key took its place', $key, $key2);
is(slurp_file($signer), $next, 'the new key has taken its place then');
sql("$change; SELECT medsync.seal();");
signers_of('the second checkpoint', $key2);
sees('the second checkpoint, to those who know the old key only', [qr/^error\|bad_signature/],
	[ 'log', "$dir/rotated", '--key', $key ]);

# The other databases have the same file: each goes on when it is told to.
like(said("$change; SELECT medsync.seal();", 'ward'), qr/is sealed, but not signed.*another/s, 'another database: the key is another one');
like(status('signer_key_file', 'ward'), qr/^error\|.*rotate_signer_key/, 'another database: status says what to do');
is(query($node, 'ward', 'SELECT medsync.rotate_signer_key()') =~ s/.*\+//r, $key2 =~ s/.*\+//r, 'another database: the same new key');
query($node, 'ward', 'SELECT medsync.seal()');
all_signed('another database, told', 'ward');

# The old key brought back
put_file($signer, $secret);
sealed_unsigned('the old key brought back', said("$change; SELECT medsync.seal();"), qr/signer key file .*(another|other) /);
put_file($signer, $next);
sql('SELECT medsync.seal()');
signers_of('the new one again', $key2);
$key = $key2;
$secret = $next;

# ------------------------------------------------------------------
# Exports to places that are not what they should be
# ------------------------------------------------------------------

my $place = "$dir/place";

sub no_export
{
	my ($name, $state, $like, $path) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = -d $place ? tree_of($place) : '';

	refused($node, $db, "SELECT medsync.export('" . ($path || $place) . "')", $state, "export: $name", like => $like);
	is(-d $place ? tree_of($place) : '', $before, "export: $name: nothing was written");
	return;
}

# What is in a directory: names, sizes, digests.
sub tree_of
{
	my ($path) = @_;
	my $out = '';

	IPC::Run::run([ 'bash', '-c', 'cd "$0" && find . ! -name .medsync-export -printf "%y %p %l\n" | sort && find . -type f ! -name .medsync-export -exec sha256sum {} + | sort', $path ],
		'>', \$out) or die "find $path";
	return $out;
}

no_export('a relative path', '42602', qr/relative path not allowed/, 'place');
no_export('a directory below one that is not there', '58P01', qr/could not create directory/, "$dir/no/place");
no_export('a path that is too long', '22023', qr/too long/, '/' . 'x' x 2000);
no_export('no path', '42602', qr/relative path/, ' ');
sql('CREATE ROLE clerk; GRANT medsync_auditor TO clerk; CREATE ROLE writer; GRANT pg_write_server_files TO writer');
refused($node, $db, "SET ROLE clerk; SELECT medsync.export('$place')", '42501', 'export by somebody who may not write files');
refused($node, $db, "SET ROLE clerk; SELECT medsync.export_entries('$place')", '42501', 'export_entries by somebody who may not write files');
refused($node, $db, "SET ROLE writer; SELECT medsync.export_entries('$place')", '42501', 'export_entries by somebody who may not read entries');
refused($node, $db, "SET ROLE writer; SELECT medsync.export_files()", '42501', 'export_files by anybody');
ok(!-e $place, 'nothing was written');
works($node, $db, "SET ROLE writer; SELECT medsync.export('$place')", 'export by somebody who may write files');
works($node, $db, "SET ROLE clerk; SELECT count(*) FROM medsync.export_files()", 'export_files by an auditor');
remove_tree($place);

put_file($place, 'a file');
no_export('a file in its place', '42809', qr/is not a directory/);
is(slurp_file($place), 'a file', 'export: the file is as it was');
unlink $place;
mkdir $place, 0500;
no_export('a directory that is not writable', '42501', qr/could not create file/);
chmod 0755, $place;
put_file("$place/notes.txt", 'mine');
no_export('a directory with something else', '55000', qr/is not empty, and does not hold this log.*It has no checkpoint/s);
put_file("$place/checkpoint", 'mine');
no_export('a directory with a checkpoint that is none', '55000', qr/Its checkpoint is not signed by this log/);
copy("$dir/twin.log/checkpoint", "$place/checkpoint");
no_export('a directory with the checkpoint of a copy', '55000', qr/Its checkpoint is not signed by this log/);
remove_tree($place);
query($node, 'ward', "SELECT medsync.export('$place')");
no_export('the log of another database', '55000', qr/Its checkpoint is not signed by this log/);
remove_tree($place);
sql("SELECT medsync.export('$place')");

# signed by our key, of another past
my $checkpoint = slurp_file("$place/checkpoint");
{
	my ($origin, $size, $root) = split /\n/, $checkpoint;

	foreach my $case ([ 'a larger log', $size + 1, $root, qr/Its checkpoint is of size @{[ $size + 1 ]}, the newest signed one here of size $size/ ],
		[ 'another past', $size, $root =~ s/^(.)/$1 eq 'A' ? 'B' : 'A'/er, qr/Its checkpoint of size $size contradicts this ledger/ ])
	{
		my ($name, $size, $root, $like) = @$case;
		my $text = put_file("$dir/text", "$origin\n$size\n$root\n");

		IPC::Run::run([ 'python3', '-B', "$FindBin::RealBin/lib/forge.py", 'sign', $text, "$place/checkpoint", $origin, $signer ]) or die 'forge.py';
		no_export("our key signed $name", '55000', $like);
	}
}
put_file("$place/checkpoint", $checkpoint);

# Symbolic links inside are not followed.
mkdir "$dir/outside";
sql("$change; SELECT medsync.seal()");
{
	my $victim = put_file("$dir/victim", 'precious');
	my ($partial) = glob("$place/tile/entries/*.p");

	foreach my $case (
		[ 'the checkpoint', "$place/checkpoint", "$dir/twin.log/checkpoint" ],
		[ 'the marker', "$place/.medsync-export", $victim ],
		[ 'a temporary file', "$place/checkpoint.tmp", $victim ],
		[ 'the directory of tiles', "$place/tile", "$dir/outside" ],
		[ 'the directory of partial tiles', $partial, "$dir/outside" ],
		[ 'the directory of partial tiles, to nothing', $partial, "$dir/nowhere" ])
	{
		my ($name, $path, $target) = @$case;
		my $was = -e $path;

		rename $path, "$dir/aside" or die "$path: $!" if $was;
		symlink $target, $path or die "$path: $!";
		refused($node, $db, "SELECT medsync.export('$place')", '42809', "export: a symbolic link for $name");
		unlink $path;
		rename "$dir/aside", $path or die "$path: $!" if $was;
		is(slurp_file($victim), 'precious', "export: a symbolic link for $name: nothing is written elsewhere");
		is(join(' ', glob("$dir/outside/* $dir/nowhere*")), '', "export: a symbolic link for $name: nor anything made") or remove_tree("$dir/outside/tile");
	}
	symlink $place, "$dir/link";
	works($node, $db, "SELECT medsync.export('$dir/link')", 'export: a symbolic link to the directory itself');
	sees_nothing('export: a symbolic link to the directory itself', 'log', $place, '--key', $key);
}

# somebody else exports to it
{
	open(my $lock, '+<', "$place/.medsync-export") or die $!;
	flock($lock, LOCK_EX);
	no_export('somebody else exports to it', '55006', qr/is being exported to/);
	close $lock;
}
works($node, $db, "SELECT medsync.export('$place')", 'an export when nobody does');
sees_nothing('the directory in the end', 'log', $place, '--key', $key);
my $loops = script('export.sql', "SELECT medsync.export('$place');\n");
{
	my $run = pgbench_run($node, $db, '-c3', '-t20', '-f', $loops);
	like($run->{err} . $run->{out}, qr/is being exported to|processed: 60/, 'several at once: some are refused or all are done');
	unlike($run->{err}, qr/(?:ERROR|PANIC|FATAL):(?!.*is being exported to)/, 'and nothing else happens');
	sees_nothing('several at once', 'log', $place, '--key', $key);
}

# killed in the middle, from nothing, and again
sql("INSERT INTO visit (note) SELECT 'bulk' FROM generate_series(1, 20000); SELECT medsync.seal();");
remove_tree($place);
{
	my ($killed, $try) = (0, 0);

	while ($killed < 3 && $try++ < 20)
	{
		my $session = $node->background_psql($db, on_error_stop => 0);
		my $pid = $session->query('SELECT pg_backend_pid()');

		$session->{stdin} .= "SELECT medsync.export('$place');\n";
		$session->{run}->pump_nb;
		wait_until('files', sub { -e "$place/tile/entries/0" . (10 + 10 * $killed) || -e "$place/checkpoint" }, 20);
		kill 'KILL', $pid;
		eval { $session->{run}->kill_kill };
		settled($node);
		if (-e "$place/checkpoint")
		{
			remove_tree($place);
			next;
		}
		$killed++;
		cannot_see('an export that never ended', qr/is not a public export/, 'log', $place, '--key', $key) if $killed == 1;
	}
	ok($killed, "killed in the middle, $killed times");
	works($node, $db, "SELECT medsync.export('$place')", 'an export after that');
	sees_nothing('and it is whole', 'log', $place, '--key', $key);
	is(join(' ', glob("$place/tile/*/*.tmp $place/tile/*/*/*.tmp $place/*.tmp")), '', 'nothing is left over');
}

# only what is new
{
	my %inode = map { $_ => (stat)[1] } glob("$place/tile/*/0??");

	sql("INSERT INTO visit (note) SELECT 'more' FROM generate_series(1, 600); SELECT medsync.seal(); SELECT medsync.export('$place')");
	is(scalar(grep { (stat)[1] != $inode{$_} } keys %inode), 0, 'full tiles are not written again');
	cmp_ok(scalar(keys %inode), '>', 150, 'of which there are many');
	sees_nothing('continued', 'log', $place, '--key', $key);

	my $whole = "$dir/whole";
	sql("SELECT medsync.export('$whole')");
	my ($size) = newest();
	my $from = $size - 300;
	my $files = sql("SELECT string_agg(path, ' ' ORDER BY path) FROM medsync.export_files($from)");
	is(join(' ', grep { !-e "$whole/$_" } split / /, $files), '', 'export_files from a size: files of the export');
	cmp_ok(scalar(() = $files =~ / /g), '<', 15, 'few of them');
	is( sql("SELECT count(*) FROM medsync.export_files() WHERE content <> pg_read_binary_file('$whole/' || path)"),
		'0', 'export_files gives what export writes');
	my $part = "$dir/part";
	is(sql("SELECT medsync.export('$part', $from)"), $size, 'an export from a size');
	is(join(' ', grep { !-e "$whole/$_" || slurp_file("$whole/$_") ne slurp_file("$part/$_") } map { s{^\Q$part\E/}{}r } grep { -f } glob("$part/tile/*/* $part/tile/*/*/*")),
		'', 'has files of the whole one');
	sees('which alone is not the log', [qr/^error\|entry_missing/], [ 'log', $part, '--key', $key ], also => qr/./);
	system('cp', '-rn', "$place/tile", $part);
	sees_nothing('and with those from before is', 'log', $part, '--key', $key);
	refused($node, $db, "SELECT medsync.export('$dir/none', $_)", '22023', "export from size $_") foreach -1, $size + 1, '9223372036854775807';
	refused($node, $db, "SELECT medsync.export_entries('$dir/none', $_)", '22023', "export_entries from size $_") foreach -1, $size + 1, '9223372036854775807';
	ok(!-e "$dir/none", 'nothing was written');
}

# of entries
{
	my $file = "$dir/entries";

	sql("SELECT medsync.export_entries('$file')");
	sees_nothing('a private export', 'entries', $file, '--log', $place, '--key', $key);
	works($node, $db, "SELECT medsync.export_entries('$file')", 'a private export over an earlier one');
	sees_nothing('a private export again', 'entries', $file, '--log', $place, '--key', $key);
	my $content = slurp_file($file);

	foreach my $case (
		[ 'a file of somebody', sub { put_file($file, 'mine') }, '58P02' ],
		[ 'an empty file', sub { put_file($file, '') }, '58P02' ],
		[ 'a symbolic link to a file of ours', sub { put_file("$dir/target", $content); symlink "$dir/target", $file }, '42809' ],
		[ 'a symbolic link to nothing', sub { symlink "$dir/nowhere", $file }, '42809' ],
		[ 'a directory', sub { mkdir $file }, '58P02' ],
		[ 'a pipe', sub { POSIX::mkfifo($file, 0600) }, '58P02' ])
	{
		my ($name, $come, $state) = @$case;

		unlink $file;
		$come->();
		my $before = -f $file ? slurp_file($file) : '';
		refused($node, $db, "SELECT medsync.export_entries('$file')", $state, "export_entries over $name");
		is(-f $file ? slurp_file($file) : '', $before, "export_entries over $name: nothing was written");
		ok(!-e "$dir/nowhere", "export_entries over $name: nor elsewhere");
		rmdir $file if -d $file && !-l $file;
	}
	unlink $file;
	refused($node, $db, "SELECT medsync.export_entries('entries')", '42602', 'export_entries to a relative path');
}

# A new name begins a new directory.
$log = "$dir/renamed.log";
sql("SELECT medsync.export('$log')");
sees_nothing('before the new name', 'log', $log, '--key', $key, '--state', "$dir/renamed.state");
is(sql("SELECT medsync.declare_era('moved', 'clinic.example/new')"), 'clinic.example/new', 'a new name');
sql('SELECT medsync.seal()');
all_signed('under the new name', $db, 'clinic.example/new');
{
	my $new_key = sql('SELECT medsync.verifier_key()');

	refused($node, $db, "SELECT medsync.export('$log')", '55000', 'the directory of the old name',
		like => qr/under which this ledger does not sign any more/);
	sees_nothing('the directory of the old name', 'log', $log, '--key', $key, '--state', "$dir/renamed.state");
	sql("SELECT medsync.export('$log.new')");
	sees_nothing('the new name', 'log', "$log.new", '--key', $new_key);
	sees('the new name, to those who remember the old one', [qr/^error\|forked\|\|\|\|$/],
		[ 'log', "$log.new", '--key', $new_key, '--key', $key, '--state', "$dir/renamed.state" ]);
	sees('the new name, to those who know the old one only', [qr/^error\|bad_signature\|\|\|\|$/],
		[ 'log', "$log.new", '--key', $key ]);
}

# ------------------------------------------------------------------
# Crashes while signing
# ------------------------------------------------------------------

# The last file never says what the log does not have.
sub not_contradicted
{
	my ($name, $in, $origin) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($signed) = last_of($origin);

	is(query($node, $in, "SELECT count(*) FROM medsync.checkpoint WHERE size = $signed"), '1', "$name: what the last file says is there");
	is_clean($node, $in, "$name: verify finds nothing");
	return;
}

{
	my $load = script('load.sql', "$change;\n");
	my $seals = script('seals.sql', "SELECT medsync.seal();\n");
	my ($ward_key, $ward_log) = (query($node, 'ward', 'SELECT medsync.verifier_key()'), "$dir/ward.log");

	foreach my $round (1 .. 5)
	{
		my @run = map { pgbench_start($node, 'ward', @$_) }
		  [ '-c2', '-T10', '-f', $load ], [ '-c2', '-T10', '-f', $seals ];
		my $published = pgbench_start($node, 'ward', '-c1', '-T10', '-f', script('publish.sql', "SELECT medsync.export('$ward_log');\n"));

		sleep 0.4 + rand 0.5;
		if ($round % 2)
		{
			my $victim = '';

			wait_until('somebody seals', sub {
					$victim = query($node, 'postgres', "SELECT min(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT medsync.seal%' AND state = 'active'");
				});
			kill 'KILL', $victim;
			settled($node);
		}
		else
		{
			$node->kill9;
			start_after_crash($node);
		}
		pgbench_finish($_) foreach @run, $published;
		not_contradicted("crash $round", 'ward', 'ward.example');
		sees_nothing("crash $round: what was published", 'log', $ward_log, '--key', $ward_key, '--state', "$dir/ward.state");
		is(said("$change; SELECT medsync.seal();", 'ward'), '', "crash $round: signing goes on");
		all_signed("crash $round", 'ward');
		query($node, 'ward', "SELECT medsync.export('$ward_log')");
		sees_nothing("crash $round: what is published then", 'log', $ward_log, '--key', $ward_key, '--state', "$dir/ward.state");
	}
}

# ------------------------------------------------------------------
# A standby, and the server that it takes the place of
# ------------------------------------------------------------------

{
	my ($ward_key, $ward_log) = (query($node, 'ward', 'SELECT medsync.verifier_key()'), "$dir/standby.log");
	my $standby = PostgreSQL::Test::Cluster->new('standby');

	$node->backup('base');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	chmod 0600, key_file($standby, 'ward');
	query($node, 'ward', "$change; SELECT medsync.seal();");
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	my ($size) = newest('ward');

	refused($standby, 'ward', "SELECT medsync.$_", '25006', "standby: $_") foreach 'seal()', 'rotate_signer_key()', "declare_era('why')";
	is(query($standby, 'ward', "SELECT medsync.export('$ward_log')"), $size, 'standby: exports what was signed');
	is(query($standby, 'ward', "SELECT medsync.export_entries('$ward_log.entries') > 0"), 't', 'standby: entries as well');
	sees_nothing('standby: the export', 'entries', "$ward_log.entries", '--log', $ward_log, '--key', $ward_key, '--state', "$dir/standby.state");
	sees_nothing('standby: live', 'live', 'host=' . $standby->host . ' port=' . $standby->port . ' dbname=ward user=postgres',
		'--key', $ward_key, '--state', "$dir/standby.live.state");
	like(query($standby, 'ward', "SELECT state FROM medsync.status WHERE item = 'signer_key_file'"), qr/^ok$/, 'standby: status');

	# a block that the primary could not sign
	rename $signer, "$signer.away";
	like(said("$change; SELECT medsync.seal();", 'ward'), qr/sealed, but not signed/, 'the primary cannot sign');
	rename "$signer.away", $signer;
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	is((newest('ward', $standby))[0], $size + 1, 'standby: the block is there');
	is(query($standby, 'ward', "SELECT medsync.export('$ward_log')"), $size, 'standby: does not sign it, and exports what was signed');

	# promoted: it signs on, the old primary does not any more
	$node->stop;
	$standby->promote;
	is(said("$change; SELECT medsync.seal();", 'ward', $standby), '', 'promoted: seals and signs');
	is(scalar(newest('ward', $standby)), 't', 'promoted: signed');
	is(join('|', last_of('ward.example')), (newest('ward', $standby))[0] . '|', 'promoted: the last file says so');
	is_clean($standby, 'ward', 'promoted: verify finds nothing');
	query($standby, 'ward', "SELECT medsync.export('$ward_log')");
	sees_nothing('promoted: the log goes on', 'log', $ward_log, '--key', $ward_key, '--state', "$dir/standby.state");

	$node->start;
	query($node, 'ward', "$change; $change;");
	like(said("SELECT medsync.seal()", 'ward'), qr/was signed at size \d+, and the ledger here does not contain it/, 'the old primary does not sign any more');
	is(scalar(newest('ward')), 'f', 'the old primary: not signed');
	like(errors($node, 'ward'), qr/^error\|(truncated|forked)\|/m, 'the old primary: verify says so');
	like(status('signer_key_file', 'ward'), qr/^error\|(truncated|forked)/, 'the old primary: status as well');
	is(said("$change; SELECT medsync.seal();", 'ward', $standby), '', 'the new one does');
	$standby->stop;
}

# ------------------------------------------------------------------
# The worker
# ------------------------------------------------------------------

{
	my $worker = new_node('worker', conf => <<CONF);
shared_preload_libraries = 'medsync'
medsync.seal_interval = 50ms
medsync.publish_interval = 2s
CONF

	new_ledger('clinic', $worker);
	wait_until('the first signature', sub { (newest('clinic', $worker))[1] || '' eq 't' });
	my ($blocks, $notes) = split /\|/, query($worker, 'clinic', 'SELECT count(*), count(note) FROM medsync.checkpoint');
	my $start = time();
	while (time() - $start < 5)
	{
		query($worker, 'clinic', $change);
		sleep 0.1;
	}
	my ($more_blocks, $more_notes) = split /\|/, query($worker, 'clinic', 'SELECT count(*), count(note) FROM medsync.checkpoint');
	cmp_ok($more_blocks - $blocks, '>', 8, 'the worker seals often');
	cmp_ok($more_notes - $notes, '>=', 1, 'the worker signs');
	cmp_ok($more_notes - $notes, '<=', 4, 'at most every medsync.publish_interval');
	ok( wait_until('the last block is signed', sub { scalar(newest('clinic', $worker)) eq 't' }, 20),
		'the worker signs the last block, though nothing comes after it');
	is_clean($worker, 'clinic', 'signed by the worker: verify finds nothing');

	$worker->append_conf('postgresql.conf', "medsync.publish_interval = 0");
	$worker->reload;
	sleep 0.5;
	query($worker, 'clinic', $change);
	ok(wait_until('it is signed', sub { unsealed($worker, 'clinic') eq '0' && scalar(newest('clinic', $worker)) eq 't' }, 10),
		'an interval of 0: signed with each block');
	is_quiet($worker);
	$worker->stop;
}

is_quiet($node);
$node->stop;
done_testing();
