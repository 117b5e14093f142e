
# The master key: rotated under load, in two databases of one server, stopped
# at every step, with files that are missing, left over or not what their name
# says; on a standby and after a restore; and from a command that works, hangs,
# fails or prints something else.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use Fcntl qw(:flock :mode);
use File::Copy;
use File::Path qw(make_path remove_tree);
use IPC::Run;
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $dir = own_directory();
my $keys = "$dir/keys";
my $file = "$keys/master.key";

make_path($keys, { mode => 0700 });
my $node = new_node('master', init => { allows_streaming => 1 },
	conf => "medsync.master_key_file = '$file'\nmedsync.master_key_command = ''\nmedsync.signer_key_file = '$keys/signer.key'\n");

sub new_ledger
{
	my ($name) = @_;

	new_database($node, $name);
	$node->safe_psql($name, <<SQL);
CREATE TABLE visit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, patient int, note text);
SELECT medsync.track('visit', subject => 'patient');
INSERT INTO visit (patient, note) SELECT i, 'first' FROM generate_series(1, 20) i;
SQL
	return $name;
}

new_ledger($_) foreach qw(clinic ward);
my $change = "INSERT INTO visit (patient, note) VALUES ((random() * 1e9)::int, 'x')";
my $rotate = 'SELECT * FROM medsync.rotate_master_key()';

# Ids of the master keys that the rows of a database are under.
sub under
{
	my ($db, $on) = @_;
	return query($on || $node, $db, "SELECT string_agg(DISTINCT encode(master_key_id, 'hex'), ',') FROM medsync._key_encryption_key");
}

sub status
{
	my ($db, $item, $on) = @_;
	return query($on || $node, $db, "SELECT state, value, coalesce(advice, '') FROM medsync.status WHERE item = '$item'");
}

# Files of keys, by name, apart from the signer's.
sub files
{
	opendir my $handle, $keys or die "$keys: $!";
	my @found = sort grep { /^master/ && !/\.lock$/ } readdir $handle;

	closedir $handle;
	return @found;
}

# Every session finds its keys, nothing is found, the history is whole.
sub all_well
{
	my ($name, $db, $on) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	works($on || $node, $db, $change, "$name: a write to $db");
	is_clean($on || $node, $db, "$name: verify finds nothing in $db");
	return;
}

sub put_file
{
	my ($path, $text) = @_;

	unlink $path;
	append_to_file($path, $text);
	chmod 0600, $path or die $!;
	return;
}

# ------------------------------------------------------------------
# One rotation, and what it touches
# ------------------------------------------------------------------

my $first = under('clinic');
my $first_text = slurp_file($file);
is(under('ward'), $first, 'both databases are under one master key');
is(status('clinic', 'old_master_keys'), '', 'status says nothing of older keys');
is(S_IMODE((stat $file)[2]), 0600, 'mode of the file');

query($node, 'postgres', 'CREATE DATABASE empty');
query($node, 'empty', 'CREATE EXTENSION medsync');
refused($node, 'empty', $rotate, '55000', 'without a ledger', hint => 1);
query($node, 'postgres', 'CREATE ROLE other LOGIN; CREATE ROLE boss LOGIN IN ROLE medsync_admin');
refused($node, 'clinic', "SET ROLE other; $rotate", '42501', 'not an admin');
refused($node, 'clinic', "SET default_transaction_read_only = on; $rotate", '25006', 'read only');
is(join(' ', files()), 'master.key', 'no file was touched by what is refused');

my $open = $node->background_psql('clinic', on_error_stop => 0);
$open->query_safe("$change; SELECT 1");
my $rows = "SELECT md5(string_agg(ctid::text || xmin::text || wrapped::text, ',' ORDER BY ctid)) FROM medsync._subject_key";
my $secrets = query($node, 'clinic', $rows);

is( query($node, 'clinic', <<SQL), "1|$file.$first\n_key_encryption_key|0|1|0", 'an admin rotates: one row is updated and nothing else');
BEGIN;
SET LOCAL ROLE boss;
$rotate;
RESET ROLE;
SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_xact_user_tables
WHERE schemaname = 'medsync' AND n_tup_ins + n_tup_upd + n_tup_del > 0;
COMMIT;
SQL
my $second = under('clinic');
isnt($second, $first, 'the row is under another key');
is(query($node, 'clinic', $rows), $secrets, 'no row of a subject was touched');
is(query($node, 'clinic', "SELECT count(*) FROM medsync._key_encryption_key"), '1', 'one row as before');
is(join(' ', files()), "master.key master.key.$first", 'both files are there');
is(slurp_file("$file.$first"), $first_text, 'the old file under its second name');
isnt(slurp_file($file), $first_text, 'and another in its place');
is(S_IMODE((stat $file)[2]), 0600, 'mode of the new file');
like(slurp_file($file), qr/\Amedsync-master-key-v1:[0-9a-f]{64}\n\z/, 'its format');
like($open->query("INSERT INTO visit (patient, note) VALUES (424242, 'open session') RETURNING 'went on'"), qr/went on/, 'a session that had the key open goes on');
$open->quit;
all_well('rotated', 'clinic');

# the id of a file, as docs/vault.md says
{
	my ($digits) = slurp_file($file) =~ /:(\w+)/;
	my ($id, $err) = ('', '');

	IPC::Run::run([ 'openssl', 'kdf', '-keylen', '8', map({ ('-kdfopt', $_) } 'digest:SHA256', 'mode:EXPAND_ONLY', "hexkey:$digits", 'info:medsync master key id v1'), 'HKDF' ],
		'>', \$id, '2>', \$err);
	is(lc($id =~ s/[:\s]//gr), $second, 'openssl tells the id of a file');
}

# the other database still needs the old one
like(status('ward', 'old_master_keys'), qr/^notice\|needed by this database: \Q$file.$first\E\|.*rotate_master_key/, 'status of the other database names the old file');
like(status('clinic', 'old_master_keys'), qr/^notice\|not needed by this database: \Q$file.$first\E\|Put them away/, 'status of the rotated one: not needed');
all_well('not rotated', 'ward');
is(query($node, 'ward', $rotate), "1|$file.$first", 'the other database wraps anew');
is(under('ward'), $second, 'under the same key, no third one was made');
is(join(' ', files()), "master.key master.key.$first", 'no file was made');
like(status('ward', 'old_master_keys'), qr/not needed by this database/, 'status: not needed any more');
all_well('both rotated', $_) foreach qw(clinic ward);

# the old file is put away
rename "$file.$first", "$dir/away" or die $!;
is(status('ward', 'old_master_keys'), '', 'put away: nothing to say');
all_well('put away', $_) foreach qw(clinic ward);

# ------------------------------------------------------------------
# The old file is removed too early
# ------------------------------------------------------------------

query($node, 'clinic', $rotate);
rename "$file.$second", "$dir/early" or die $!;
refused($node, 'ward', $change, 'MS001', 'removed too early: a write', hint => 1,
	like => qr/master key file "\Q$file\E" holds another key than the one in use, and file "\Q$file.$second\E" is missing/);
refused($node, 'ward', $rotate, 'MS001', 'removed too early: rotation', hint => 1, like => qr/\Q$file.$second\E/);
like(status('ward', 'master_key_file'), qr/^error\|.*\Q$file.$second\E" is missing/, 'removed too early: status');
like(errors($node, 'ward'), qr/key_missing/, 'removed too early: verify misses the key');
unlike(errors($node, 'ward'), qr/altered|forged|inconsistent/, 'removed too early: and takes nothing for altered');
put_file("$file.$second", slurp_file("$dir/early") =~ s/.$//r);
refused($node, 'ward', $change, 'MS001', 'a malformed old file', hint => 1, like => qr/"\Q$file.$second\E" has a wrong format/);
put_file("$file.$second", $first_text);
refused($node, 'ward', $change, 'MS001', 'an old file with another key', hint => 1, like => qr/"\Q$file.$second\E" holds another key.*DETAIL:/s);
copy("$dir/early", "$file.$second");
chmod 0644, "$file.$second";
refused($node, 'ward', $change, 'MS001', 'an open old file', hint => 1, like => qr/"\Q$file.$second\E" has group or world access.*chmod/s);
chmod 0600, "$file.$second";
all_well('put back', 'ward');

# the current one is away, and the old one is enough for the rows it wraps
rename $file, "$dir/current";
works($node, 'ward', $change, 'without the current key, under the old one: a write');
refused($node, 'clinic', $change, 'MS001', 'without the current key', hint => 1, like => qr/master key file "\Q$file\E" is missing/);
refused($node, 'ward', $rotate, 'MS001', 'without the current key: rotation', hint => 1, like => qr/"\Q$file\E" is missing/);
rename "$dir/current", $file;
query($node, 'ward', $rotate);
all_well('brought back', $_) foreach qw(clinic ward);

# ------------------------------------------------------------------
# Stopped at each step: what each leaves behind
# ------------------------------------------------------------------

# A rotation from this state makes a new key, keeps the old one, leaves no rest.
sub rotates_from_here
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($old, $text) = (under('clinic'), slurp_file($file));

	all_well("$name, before", 'clinic');
	is(query($node, 'clinic', $rotate), "1|$file.$old", "$name: rotates");
	is(slurp_file("$file.$old"), $text, "$name: the old key is kept");
	isnt(slurp_file($file), $text, "$name: a new key");
	ok(!-e "$file.new", "$name: nothing is left over");
	all_well($name, $_) foreach qw(clinic ward);
	query($node, 'ward', $rotate);
	return;
}

put_file("$file.new", '');
rotates_from_here('stopped before <file>.new was written');
put_file("$file.new", 'medsync-master-key-v1:' . '1' x 30);
rotates_from_here('stopped while <file>.new was written');
put_file("$file.new", 'medsync-master-key-v1:' . '1' x 64 . "\n");
rotates_from_here('stopped when <file>.new was written');
link $file, "$file." . under('clinic') or die $!;
put_file("$file.new", 'medsync-master-key-v1:' . '1' x 64 . "\n");
rotates_from_here('stopped when the old one was linked');
copy($file, "$file." . under('clinic'));
chmod 0600, "$file." . under('clinic');
rotates_from_here('the old one was copied');

# stopped after the replacement: rolled back, terminated, killed
sub resumes
{
	my ($name, $break) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($old, $text) = (under('clinic'), slurp_file($file));

	$break->();
	is(under('clinic'), $old, "$name: the row is under the old key");
	my $new_text = slurp_file($file);
	isnt($new_text, $text, "$name: the file is the new one");
	is(slurp_file("$file.$old"), $text, "$name: the old one is kept");
	like(status('clinic', 'old_master_keys'), qr/needed by this database: \Q$file.$old\E/, "$name: status says so");
	like(status('clinic', 'master_key_file'), qr/^ok/, "$name: and nothing is wrong");
	all_well("$name, before it is resumed", $_) foreach qw(clinic ward);
	is(query($node, 'clinic', $rotate), "1|$file.$old", "$name: resumed");
	is(slurp_file($file), $new_text, "$name: with the key that was made");
	all_well("$name, resumed", 'clinic');
	query($node, 'ward', $rotate);
	return;
}

resumes('rolled back', sub { query($node, 'clinic', "BEGIN; $rotate; ROLLBACK") });
resumes('rolled back to a savepoint', sub { query($node, 'clinic', "BEGIN; SAVEPOINT s; $rotate; ROLLBACK TO s; $change; COMMIT") });
resumes('terminated', sub {
		my ($state, $text) = sql_error($node, 'clinic', "BEGIN; $rotate; SELECT pg_terminate_backend(pg_backend_pid())");

		like($text, qr/terminating connection/, 'the session is terminated');
	});
resumes('killed', sub {
		my $session = $node->background_psql('clinic', on_error_stop => 0);
		my $pid = $session->query_safe('SELECT pg_backend_pid()');

		$session->query_safe("BEGIN; $rotate");
		kill 'KILL', $pid;
		settled($node);
		eval { $session->{run}->kill_kill };
	});
resumes('server killed', sub {
		my $session = $node->background_psql('clinic', on_error_stop => 0);

		$session->query_safe("BEGIN; $rotate");
		$node->stop('immediate');
		start_after_crash($node);
		eval { $session->{run}->kill_kill };
	});

# between the replacement and the commit everybody finds what he needs
{
	my $session = $node->background_psql('clinic', on_error_stop => 0);
	my $old = under('clinic');

	$session->query_safe("BEGIN; $rotate");
	all_well('between replacement and commit', $_) foreach qw(clinic ward);
	query($node, 'clinic', "CREATE TABLE late (id int PRIMARY KEY); SELECT medsync.track('late'); INSERT INTO late VALUES (1)");
	query($node, 'ward', $rotate);
	query($node, 'ward', $rotate);
	all_well('another database rotated twice meanwhile', $_) foreach qw(clinic ward);
	my $third = $node->background_psql('clinic', on_error_stop => 0);
	$third->query_until(qr/waiting/, "\\echo waiting\n$rotate;\n");
	ok(wait_until('a second rotation waits', sub { query($node, 'clinic', "SELECT count(*) FROM pg_locks WHERE NOT granted") eq '1' }),
		'a second rotation of the database waits for the first');
	all_well('while it waits', 'clinic');
	$session->query_safe('COMMIT');
	$session->quit;
	$third->quit;
	all_well('after both', $_) foreach qw(clinic ward);
	isnt(under('clinic'), $old, 'rotated');
	is(query($node, 'clinic', 'SELECT rewrapped >= 0 FROM medsync.rotate_master_key()'), 't', 'and once more');
	query($node, 'ward', $rotate);
}

# prepared
{
	my $old = under('clinic');

	query($node, 'clinic', "BEGIN; $rotate; PREPARE TRANSACTION 'rotation'");
	like(status('clinic', 'old_master_keys'), qr/needed by this database: \Q$file.$old\E/, 'prepared: the old file is needed');
	all_well('prepared', 'clinic');
	query($node, 'clinic', "COMMIT PREPARED 'rotation'");
	like(status('clinic', 'old_master_keys'), qr/not needed/, 'committed: it is not');
	all_well('prepared and committed', 'clinic');
	is(query($node, 'clinic', "BEGIN; SELECT rewrapped FROM medsync.rotate_master_key(); SELECT rewrapped FROM medsync.rotate_master_key(); $change; COMMIT"), "1\n1",
		'twice in one transaction');
	all_well('twice in one transaction', 'clinic');
	query($node, 'ward', $rotate);
}

# ------------------------------------------------------------------
# Files that are in the way
# ------------------------------------------------------------------

sub refused_and_unchanged
{
	my ($name, $like) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($id, $text) = (under('clinic'), slurp_file($file));

	refused($node, 'clinic', $rotate, 'MS001', $name, hint => 1, like => $like);
	is(slurp_file($file), $text, "$name: the file is as it was");
	is(under('clinic'), $id, "$name: the row as well");
	all_well($name, 'clinic');
	return;
}

make_path("$file.new/x");
refused_and_unchanged('a directory in the place of <file>.new', qr/could not remove file "\Q$file.new\E"/);
remove_tree("$file.new");
my $now = under('clinic');
put_file("$file.$now", $first_text);
refused_and_unchanged('another key under the second name', qr/"\Q$file.$now\E" holds another key/);
ok(!-e "$file.new", 'nothing is left over');
put_file("$file.$now", '');
refused_and_unchanged('rubbish under the second name', qr/"\Q$file.$now\E" has a wrong format/);
unlink "$file.$now";
unlink "$file.lock";
chmod 0500, $keys;
SKIP:
{
	skip 'root may write anywhere', 1 if $> == 0;
	refused_and_unchanged('a directory that cannot be written to', qr/could not create lock of master key file "\Q$file.lock\E"/);
	chmod 0700, $keys;
	append_to_file("$file.lock", '');
	chmod 0500, $keys;
	refused_and_unchanged('the same with a lock file', qr/could not create master key file "\Q$file.new\E"/);
}
chmod 0700, $keys;

# somebody else holds the lock: it is waited for, and can be cancelled
open my $lock, '>>', "$file.lock" or die $!;
flock $lock, LOCK_EX or die $!;
refused($node, 'clinic', "SET statement_timeout = '500ms'; $rotate", '57014', 'waiting for the lock of the file');
all_well('while the file is locked', $_) foreach qw(clinic ward);
close $lock;
query($node, $_, $rotate) foreach qw(clinic ward);

# damage is found before anything is replaced
{
	my $text = slurp_file($file);

	refused($node, 'clinic', "BEGIN; UPDATE medsync._key_encryption_key SET wrapped = set_byte(wrapped, 20, 1 - get_byte(wrapped, 20) % 2); $rotate",
		'MS001', 'a damaged row', like => qr/key-encryption key 1 is missing or damaged/);
	is(slurp_file($file), $text, 'a damaged row: no new key');
}

# a symbolic link leads to the file that is replaced
{
	make_path("$dir/elsewhere", { mode => 0700 });
	move($file, "$dir/elsewhere/secret");
	symlink "$dir/elsewhere/secret", $file;
	my $id = under('clinic');
	my $text = slurp_file($file);

	all_well('a symbolic link', 'clinic');
	is(query($node, 'clinic', $rotate), "1|$dir/elsewhere/secret.$id", 'a symbolic link: the old file is beside the real one');
	ok(-l $file, 'it stays a link');
	is(slurp_file("$dir/elsewhere/secret.$id"), $text, 'the old key is there');
	isnt(slurp_file($file), $text, 'the new one is where it leads');
	all_well('rotated behind a link', $_) foreach qw(clinic ward);
	query($node, 'ward', $rotate);
	unlink $file;
	move($_, $keys . '/' . ($_ =~ s/.*secret/master.key/r)) foreach glob("$dir/elsewhere/secret*");
	all_well('moved back', 'clinic');
}

# ------------------------------------------------------------------
# Under load, in both databases at once
# ------------------------------------------------------------------

{
	my $insert = script('insert.sql', "INSERT INTO visit (patient, note) VALUES ((random() * 1e9)::int, 'load');\n");
	my $seconds = heavy() ? 60 : 8;
	my @load = map { (
			pgbench_start($node, $_, '-f', $insert, '-T', $seconds, '-c', 3),
			# each transaction in a new session, which opens the key anew
			pgbench_start($node, $_, '-f', $insert, '-T', $seconds, '-c', 2, '-C')) } qw(clinic ward);
	my $rotating = script('rotate.sql', "SELECT rewrapped FROM medsync.rotate_master_key();\n");
	my @rotation = map { pgbench_start($node, $_, '-f', $rotating, '-T', $seconds - 2, '-c', 2) } qw(clinic ward);

	foreach my $run (@rotation, @load)
	{
		pgbench_finish($run);
		is($run->{status}, 0, 'load: no session failed') or diag($run->{err});
		cmp_ok($run->{transactions} || 0, '>', 5, 'load: ' . ($run->{transactions} || 0) . ' transactions');
	}
	cmp_ok(scalar(files()), '>', 10, 'load: many rotations');
	ok(!-e "$file.new", 'load: nothing is left over');
	foreach my $db (qw(clinic ward))
	{
		all_well('load', $db);
		query($node, $db, 'SELECT medsync.seal()');
		is_replayable($node, $db, 'visit', "load, $db");
		query($node, $db, $rotate);
	}

	# only what the rows are under is needed
	my @ids = map { under($_) } qw(clinic ward);
	foreach my $old (glob("$file.????????????????"))
	{
		unlink $old unless grep { $old eq "$file.$_" } @ids;
	}
	all_well('without the files of the keys before', $_) foreach qw(clinic ward);
}

# the server is killed at any moment of it
foreach my $round (1 .. (heavy() ? 20 : 4))
{
	my $rotating = script('rotate.sql', "SELECT rewrapped FROM medsync.rotate_master_key();\n");
	my @rotation = map { pgbench_start($node, $_, '-f', $rotating, '-T', 10, '-c', 2) } qw(clinic ward);

	sleep 0.5 + rand() * 0.5;
	$node->stop('immediate');
	pgbench_finish($_) foreach @rotation;
	start_after_crash($node);
	all_well("killed in the middle, round $round", $_) foreach qw(clinic ward);
	is(query($node, $_, 'SELECT rewrapped FROM medsync.rotate_master_key()'), '1', "killed in the middle: $_ rotates on") foreach qw(clinic ward);
}

# ------------------------------------------------------------------
# Dumps and standbys
# ------------------------------------------------------------------

{
	my $before = "$dir/before.dump";
	my $after = "$dir/after.dump";

	query($node, $_, $rotate) foreach qw(clinic ward);
	my $old = under('clinic');
	$node->command_ok([ 'pg_dump', '-Fc', '-f', $before, 'clinic' ], 'dump before a rotation');
	query($node, 'clinic', $rotate);
	$node->command_ok([ 'pg_dump', '-Fc', '-f', $after, 'clinic' ], 'dump after it');
	foreach my $restored ([ 'restored_before', $before ], [ 'restored_after', $after ])
	{
		my ($db, $dump) = @$restored;

		query($node, 'postgres', "CREATE DATABASE $db");
		$node->command_ok([ 'pg_restore', '-d', $db, $dump ], "$db: restored");
		is_clean($node, $db, "$db: verify finds nothing");
	}
	like(status('restored_before', 'old_master_keys'), qr/needed by this database: \Q$file.$old\E/, 'a dump from before needs the old file');
	is(status('restored_after', 'old_master_keys') =~ /\|not needed/ ? '' : status('restored_after', 'old_master_keys'), '', 'one from after does not');
	is(query($node, 'restored_before', 'SELECT rewrapped FROM medsync.rotate_master_key()'), '1', 'it is rotated to the current key');
	is(under('restored_before'), under('restored_after'), 'which is the same');
	all_well('restored', 'restored_before');
}

{
	my $standby = PostgreSQL::Test::Cluster->new('standby');

	$node->backup('base');
	$standby->init_from_backup($node, 'base', has_streaming => 1);
	$standby->start;
	is_clean($standby, 'clinic', 'standby: verify finds nothing');
	refused($standby, 'clinic', $rotate, '25006', 'standby: no rotation');

	# the standby has the old rows still, and the files are new
	query($standby, 'postgres', 'SELECT pg_wal_replay_pause()');
	my $old = under('clinic');
	query($node, 'clinic', $rotate);
	is(under('clinic', $standby), $old, 'standby behind: the row is the old one');
	is_clean($standby, 'clinic', 'standby behind: verify finds nothing');
	like(status('clinic', 'old_master_keys', $standby), qr/needed by this database: \Q$file.$old\E\|.*on the primary/, 'standby behind: status');
	query($standby, 'postgres', 'SELECT pg_wal_replay_resume()');
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	is(under('clinic', $standby), under('clinic'), 'standby: the new row has come');
	is_clean($standby, 'clinic', 'standby: verify finds nothing after the rotation');

	$node->stop;
	$standby->promote;
	all_well('promoted', 'clinic', $standby);
	is(query($standby, 'clinic', 'SELECT rewrapped FROM medsync.rotate_master_key()'), '1', 'promoted: rotates');
	all_well('promoted and rotated', 'clinic', $standby);
	is_quiet($standby);
	$standby->stop;
	$node->start;
	all_well('the old primary, beside files that others have rotated', 'clinic');
}

# ------------------------------------------------------------------
# A command in the place of the file
# ------------------------------------------------------------------

my $store = "$dir/store";
make_path($store, { mode => 0700 });

# What the key store has: by id, and the current one.
sub set_command
{
	my ($command) = @_;

	# backslashes are for the file's syntax
	$node->adjust_conf('postgresql.conf', 'medsync.master_key_command', "'" . ($command =~ s/([\\'])/\\$1/gr) . "'");
	$node->reload;
	ok( wait_until('the setting arrives', sub {
				query($node, 'clinic', "LOAD 'medsync'; SHOW medsync.master_key_command") eq $command;
			}),
		"command: $command");
	return;
}

query($node, $_, $rotate) foreach qw(clinic ward);
my $kept = under('clinic');
copy($file, "$store/$kept");
copy($file, "$store/current");
rename $file, "$dir/not-used";
set_command("cat $store/%i");
all_well('command', $_) foreach qw(clinic ward);
is(status('clinic', 'master_key_file'), 'ok|medsync.master_key_command|', 'command: status');
my ($state, $said, $out) = sql_error($node, 'clinic', $rotate);
like($said, qr/NOTICE:.*under the current master key/, 'command: nothing to do is said');
like($out, qr/^0\|$/m, 'command: nothing was done');
put_file("$store/current", 'medsync-master-key-v1:' . 'ab' x 32 . "\n");
like(status('clinic', 'old_master_keys'), qr/needed by this database: $kept\|/, 'command: another key is current, status');
all_well('command: another key is current', 'clinic');
is(query($node, 'clinic', $rotate), "1|$kept", 'command: rotates, and names the old key');
my $new = under('clinic');
isnt($new, $kept, 'command: the row is under the other key');
copy("$store/current", "$store/$new");
is(query($node, 'ward', $rotate), "1|$kept", 'command: the other database as well');
all_well('command: rotated', $_) foreach qw(clinic ward);
is(status('clinic', 'old_master_keys'), '', 'command: nothing is needed but the current key');
ok(!-e $file && !-e "$file.new", 'command: no file was made');
set_command("cat $store/current");
all_well('command that knows one key only', 'clinic');
set_command("head -c 86 $store/%i; echo; echo more of it");
all_well('command that prints more', 'clinic');
set_command("head -c 86 $store/%i");
all_well('command that prints no newline', 'clinic');
set_command("test 100%% = 100%% && cat $store/%i");
all_well('command with a percent sign', 'clinic');

# what goes wrong; nothing of the output is told
my @wrong = (
	[ 'fails', "cat $store/%i; exit 3", qr/master key command failed: .*exit code 3/ ],
	[ 'is not there', '/nonexistent/command %i', qr/master key command failed/ ],
	[ 'kills itself', "cat $store/%i; kill -9 \$\$", qr/master key command failed: .*signal 9/ ],
	[ 'prints nothing', 'true', qr/did not print a master key/ ],
	[ 'prints rubbish', 'echo rubbish %i', qr/did not print a master key/ ],
	[ 'prints a short key', "head -c 85 $store/%i", qr/did not print a master key/ ],
	[ 'prints a long line', "tr -d '\\n' <$store/%i; cat $store/%i", qr/did not print a master key/ ],
	[ 'prints the key second', "echo; cat $store/%i", qr/did not print a master key/ ],
	[ 'prints without end', 'yes', qr/did not print a master key/ ],
	[ 'prints binary', 'head -c 1000 /dev/zero', qr/did not print a master key/ ],
	[ 'prints another key', "cat $store/$kept", qr/printed another key than $new/ ]);
foreach my $case (@wrong)
{
	my ($name, $command, $like) = @$case;

	set_command($command);
	refused($node, 'clinic', $change, 'MS001', "command $name", hint => 1, like => $like);
	like(status('clinic', 'master_key_file'), qr/^error\|/, "command $name: status") unless $name =~ /another/;
	like(errors($node, 'clinic'), qr/key_missing/, "command $name: verify misses the key");
	refused($node, 'clinic', $rotate, 'MS001', "command $name: rotation") unless $name =~ /another/;
	my ($sqlstate, $text) = sql_error($node, 'clinic', $change);
	unlike($text, qr/rubbish|[0-9a-f]{30}|$store/, "command $name: nothing of it is told");
}

# it hangs: the session can be cancelled and terminated, and waits for nothing
foreach my $command ('sleep 300', "cat $store/%i; exec sleep 300", "trap '' INT TERM; while :; do sleep 1; done", "exec >&-; sleep 300")
{
	set_command($command);
	my $start = time();
	refused($node, 'clinic', "SET statement_timeout = '700ms'; $change", '57014', 'hanging command');
	refused($node, 'clinic', "SET statement_timeout = '700ms'; $rotate", '57014', 'hanging command: rotation');
	cmp_ok(time() - $start, '<', 10, 'hanging command: cancelled soon');
	my $session = $node->background_psql('clinic', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	$session->query_until(qr/begun/, "\\echo begun\n$change;\n");
	sleep 0.3;
	is(query($node, 'postgres', "SELECT pg_terminate_backend($pid, 5000)"), 't', 'hanging command: terminated');
	eval { $session->{run}->kill_kill };
}
# the session that was cancelled works when the command does
{
	set_command('sleep 300');
	my $session = $node->background_psql('clinic', on_error_stop => 0);

	$session->query("SET statement_timeout = '300ms'; $change");
	$session->query("SET statement_timeout = '300ms'; $change");
	set_command("cat $store/%i");
	$session->query('SET statement_timeout = 0');
	like($session->query("INSERT INTO visit (patient, note) VALUES (5, 'x') RETURNING 'stored'"), qr/stored/, 'the same session, when the command works again');
	$session->quit;
}
all_well('command works again', $_) foreach qw(clinic ward);

# a new database makes its first key under the command's current one
new_ledger('late');
is(under('late'), $new, 'a new ledger is under the current key of the command');
all_well('a new ledger', 'late');

# back to the file
put_file($file, slurp_file("$store/current"));
set_command('');
all_well('back to the file', $_) foreach qw(clinic ward late);
unlike(slurp_file($node->logfile), qr/[0-9a-f]{64}/, 'no key in the log');

is_quiet($node);
$node->stop;
done_testing();
