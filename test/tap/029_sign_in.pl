
# Sign-in by challenge and response, under attack: replays through races,
# rollbacks, crashes, copies and clocks; everything that might put somebody
# else into medsync.actor; suspension while others are working; standbys,
# dumps, prepared transactions.

use strict;
use warnings;

use File::Copy;
use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run;
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $dir = own_directory();
my $refusal = qr/ERROR:  28000: sign-in refused\n(?!DETAIL|HINT)/;

my $node = new_node('primary', init => { allows_streaming => 1 });
my $db = new_database($node, 'clinic');

# ------------------------------------------------------------------
# People, and keys that only OpenSSL has
# ------------------------------------------------------------------

sub openssl
{
	my @command = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'openssl', @command ], '<', \undef, '>', \$out, '2>', \$err)
	  or BAIL_OUT("openssl @command: $err");
	return $out;
}

my %option = (
	'ed25519'  => [ '-algorithm', 'ed25519' ],
	'p-256'    => [ '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256' ],
	'rsa-2048' => [ '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048' ],
	'rsa-3072' => [ '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:3072' ]);
my %key;       # name => [person, key id, algorithm]

sub one { return query($node, $db, $_[0]); }

# A person, with a key whose private part is in a file of that name.
sub person
{
	my ($name, $algorithm, $options) = @_;
	my $id = one("SELECT medsync.register_person('practitioner', '$name'" . ($options || '') . ')');

	one("SELECT medsync.verify_person('$id')");
	add_key($name, $id, $algorithm);
	return $id;
}

sub add_key
{
	my ($name, $id, $algorithm, $until) = @_;

	openssl('genpkey', @{ $option{$algorithm} }, '-out', "$dir/$name.pem");
	my $der = unpack 'H*', openssl('pkey', '-in', "$dir/$name.pem", '-pubout', '-outform', 'DER');
	$until = $until ? ", $until" : '';
	$key{$name} = [ $id, one("SELECT medsync.add_key('$id', '$algorithm', '\\x$der'$until)"), $algorithm ];
	return;
}

# What openssl signs; DER becomes r || s as the documentation says.
sub signature
{
	my ($name, $text) = @_;
	my $algorithm = $key{$name}[2];
	my $file = "$dir/message";

	open my $out, '>', $file or die $!;
	print $out $text;
	close $out;
	if ($algorithm eq 'ed25519')
	{
		return unpack 'H*', openssl('pkeyutl', '-sign', '-rawin', '-inkey', "$dir/$name.pem", '-in', $file);
	}
	if ($algorithm eq 'p-256')
	{
		my $der = unpack 'H*', openssl('dgst', '-sha256', '-sign', "$dir/$name.pem", $file);

		return one("SELECT encode(medsync.ecdsa_signature_from_der('\\x$der'), 'hex')");
	}
	return unpack 'H*', openssl('dgst', '-sha256', '-sign', "$dir/$name.pem",
		'-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32', $file);
}

sub challenge
{
	my ($name, $on, $in) = @_;

	return query($on || $node, $in || $db, "SELECT medsync.challenge('$key{$name}[0]')");
}

# The statement that signs in, with the answer to a challenge.
sub answer
{
	my ($name, $challenge, $scope) = @_;

	$scope ||= 'session';
	return "SELECT medsync.sign_in('$challenge', '$key{$name}[1]', '\\x" . signature($name, $challenge) . "', '$scope');";
}

sub sign_in
{
	my ($name, $scope) = @_;

	return answer($name, challenge($name), $scope);
}

# Who acts after some statements: the last line.
sub actor_after
{
	my ($sql, $on, $in, %extra) = @_;
	my ($stdout, $stderr);

	($on || $node)->psql($in || $db, "$sql\nSELECT coalesce(medsync.actor()::text, 'nobody');",
		stdout => \$stdout, stderr => \$stderr, on_error_stop => 0, %extra);
	return ($stdout =~ s/.*\n//sr, $stderr);
}

sub refuses
{
	my ($sql, $name, $on, $in) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return refused($on || $node, $in || $db, $sql, '28000', $name, like => $refusal);
}

my $ana = person('Ana', 'ed25519');
my $bob = person('Bob', 'p-256');
my $eva = person('Eva', 'rsa-2048');
my $tim = person('Tim', 'rsa-3072');

$node->safe_psql($db, <<'SQL');
CREATE TABLE note (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text);
GRANT ALL ON note TO PUBLIC;
SELECT medsync.track('note');
CREATE ROLE app LOGIN;
CREATE ROLE other LOGIN;
-- the library is not loaded before this runs
CREATE FUNCTION who() RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE COST 10000 AS
	$$BEGIN RETURN coalesce(medsync.actor()::text, 'nobody'); END$$;
SQL

# Everything that may run in a parallel worker does so after this.
my $in_worker = 'SET ' . one("SELECT name FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query')") . ' = on;';

foreach my $name (sort keys %key)
{
	is((actor_after(sign_in($name)))[0], $key{$name}[0], "$name signs in with openssl, $key{$name}[2]");
}

# ------------------------------------------------------------------
# Once: not again, not at once, not after a rollback, not after a crash
# ------------------------------------------------------------------

my $used = sign_in('Ana');
$node->safe_psql($db, $used);
refuses($used, 'the same answer again');

# Another signature of the same challenge is no other use of it.
my $challenge = challenge('Bob');
$node->safe_psql($db, answer('Bob', $challenge));
refuses(answer('Bob', $challenge), 'another signature of a spent challenge');

foreach my $try (1 .. 12)
{
	my $holder = $node->background_psql($db);
	# all of them have looked by then, and seen that it is not spent
	$holder->query_safe('BEGIN; LOCK TABLE medsync._spent_challenge IN SHARE MODE');
	my $run = pgbench_start($node, $db, '-c50', '-j2', '-t1', '-n', '-f', script('race.sql', answer('Ana', challenge('Ana')) . "\n"));
	ok( wait_until('50 sessions wait', sub {
			one("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'medsync._spent_challenge'::regclass") eq '50' }),
		'50 sessions are ready');
	$holder->quit;
	pgbench_finish($run);
	my $refused = () = $run->{err} =~ /ERROR:  sign-in refused/g;
	is("$run->{transactions} won, $refused refused", '1 won, 49 refused', "race $try: one of 50 sessions wins")
	  or diag($run->{err});
}

foreach my $scope ('session', 'transaction')
{
	$used = sign_in('Ana', $scope);
	my ($actor) = actor_after("BEGIN; $used SELECT coalesce(medsync.actor()::text, 'nobody'); ROLLBACK;");
	is($actor, 'nobody', "scope $scope: rolled back, nobody is signed in");
	refuses($used, "scope $scope: rolled back, and again");
	refuses("BEGIN; $used", "scope $scope: and in a transaction");

	$used = sign_in('Ana', $scope);
	refuses("BEGIN; SAVEPOINT s; $used ROLLBACK TO s; $used", "scope $scope: savepoint, and again");
	$used = sign_in('Ana', $scope);
	sql_error($node, $db, "BEGIN; $used SELECT 1/0; COMMIT;");
	refuses($used, "scope $scope: a failed transaction, and again");
}

# a function that fails after it has signed in
$used = sign_in('Ana') =~ s/^SELECT/PERFORM/r;
sql_error($node, $db, "DO \$\$ BEGIN $used RAISE 'x'; END \$\$");
refuses($used =~ s/^PERFORM/SELECT/r, 'a failed function, and again');

# Kill the server while the transaction that signed in is open: nothing else
# flushes the WAL.
foreach my $how ('open', 'committed')
{
	my $session = $node->background_psql($db, on_error_stop => 0);
	$used = sign_in('Ana');
	$session->query('BEGIN') if $how eq 'open';
	$session->query($used);
	is($session->query("SELECT medsync.actor()"), $ana, "$how transaction: signed in");
	$node->kill9;
	eval { $session->{run}->kill_kill };
	start_after_crash($node);
	refuses($used, "killed with an $how transaction, and again");
}

# The row is as it must be for every reader of the table.
$node->safe_psql($db, 'CREATE EXTENSION amcheck; VACUUM FREEZE medsync._spent_challenge; REINDEX TABLE medsync._spent_challenge');
is(one("SELECT count(*) FROM verify_heapam('medsync._spent_challenge')"), '0', 'the table is sound');
is(one("SELECT count(*) > 10 FROM medsync._spent_challenge"), 't', 'rolled back rows are there');
one("SELECT bt_index_check(c.oid, true) FROM pg_class c WHERE relname LIKE '\\_spent\\_challenge\\_%idx'");

# Rows of long ago go, a hundred at a time; a rollback puts them back.
$node->safe_psql($db, "INSERT INTO medsync._spent_challenge SELECT decode(md5(i::text), 'hex'), now() - interval '2 hours' FROM generate_series(1, 250) i");
my $old = "SELECT count(*) FROM medsync._spent_challenge WHERE expires_at < now() - interval '1 hour'";
my $kept = one('SELECT count(*) FROM medsync._spent_challenge') - 250;
$node->safe_psql($db, 'BEGIN;' . sign_in('Ana') . 'ROLLBACK;');
is(one($old), '250', 'rolled back: old rows are there');
foreach my $left (150, 50, 0, 0)
{
	$node->safe_psql($db, sign_in('Ana'));
	is(one($old), $left, "$left old rows left");
}
is(one('SELECT count(*) FROM medsync._spent_challenge'), $kept + 5, 'and no others went');
{
	# who is about it keeps nobody waiting
	my $session = $node->background_psql($db);
	$node->safe_psql($db, "INSERT INTO medsync._spent_challenge SELECT decode(md5(i::text), 'hex'), now() - interval '2 hours' FROM generate_series(1, 50) i");
	$session->query_safe('BEGIN; ' . sign_in('Ana'));
	$node->safe_psql($db, "SET statement_timeout = '20s'; " . sign_in('Ana') . sign_in('Bob'));
	is(one($old), '50', 'another session has not committed its removal');
	$session->query_safe('COMMIT');
	is(one($old), '0', 'now it has');
	$session->quit;
}

# ------------------------------------------------------------------
# Only here: other databases, other clusters
# ------------------------------------------------------------------

$node->safe_psql('postgres', "CREATE DATABASE copy TEMPLATE $db");
my $open = sign_in('Ana');
refuses($open, 'a challenge of the original in a copy', $node, 'copy');
my $of_copy = answer('Ana', challenge('Ana', $node, 'copy'));
refuses($of_copy, 'a challenge of a copy in the original');
is((actor_after($of_copy, $node, 'copy'))[0], $ana, 'a challenge of a copy in the copy');
is((actor_after($open))[0], $ana, 'the challenge of the original in the original');

$node->command_ok([ 'pg_dump', '-Fc', '-d', $node->connstr($db), '-f', "$dir/dump" ], 'pg_dump');
copy(key_file($node, $db), "$dir/key") or die $!;
chmod 0600, "$dir/key";
my $elsewhere = new_node('elsewhere', conf => "medsync.master_key_file = '$dir/key'\n");
foreach my $on ($node, $elsewhere)
{
	my $where = $on == $node ? 'the same cluster' : 'another cluster';

	$on->safe_psql('postgres', 'CREATE ROLE app; CREATE ROLE other') if $on == $elsewhere;
	$on->safe_psql('postgres', 'CREATE DATABASE restored');
	$on->command_ok([ 'pg_restore', '--exit-on-error', '-d', $on->connstr('restored'), "$dir/dump" ], "pg_restore into $where");

	is( query($on, 'restored', 'SELECT * FROM medsync.person ORDER BY id'),
		one('SELECT * FROM medsync.person ORDER BY id'), "restored into $where: the people");
	is( query($on, 'restored', 'SELECT * FROM medsync.person_key ORDER BY id'),
		one('SELECT * FROM medsync.person_key ORDER BY id'), "restored into $where: their keys");
	is(query($on, 'restored', 'SELECT count(*) FROM medsync._spent_challenge'), '0', "restored into $where: no challenges");
	is_clean($on, 'restored', "restored into $where: clean");

	# what is done past the functions shows, with and without the triggers
	like(query($on, 'restored', "BEGIN; UPDATE medsync.person SET status = 'suspended' WHERE id = '$ana'; SELECT verdict, relation FROM medsync.verify() WHERE severity = 'error'"),
		qr/^altered\|medsync.person$/m, "restored into $where: an edit before the first write shows");

	$open = sign_in('Ana');
	refuses($open, "a challenge of the original in $where", $on, 'restored');
	my $theirs = answer('Ana', challenge('Ana', $on, 'restored'));
	refuses($theirs, "a challenge of $where in the original");
	is((actor_after($theirs, $on, 'restored'))[0], $ana, "a challenge of $where there");
	is_clean($on, 'restored', "restored into $where: clean after a sign-in");

	# the first write puts the triggers back
	my $triggers = "SELECT count(*) FROM pg_trigger WHERE tgname IN ('medsync_capture', 'medsync_truncate') AND tgenabled = 'A' AND tgrelid = 'medsync.person'::regclass";
	is(query($on, 'restored', $triggers), '0', "restored into $where: no triggers");
	$on->safe_psql('restored', "SELECT medsync.suspend_person('$bob', 'restored')");
	is(query($on, 'restored', $triggers), '2', "restored into $where: triggers after the first write");
	is_clean($on, 'restored', "restored into $where: clean after the first write");
	is( query($on, 'restored', "SELECT string_agg(operation, ' ') FROM medsync.history('medsync.person', '{\"id\": \"$bob\"}')"),
		'insert update update', "restored into $where: one history");
	$on->safe_psql('restored', 'SELECT medsync.seal()');
	is_clean($on, 'restored', "restored into $where: clean after a block");

	# from now on they must stand
	like(query($on, 'restored', "BEGIN; SET session_replication_role = replica; ALTER EVENT TRIGGER medsync_guard_start DISABLE;"
			. " ALTER EVENT TRIGGER medsync_guard_drop DISABLE; ALTER EVENT TRIGGER medsync_guard_end DISABLE;"
			. " DROP TRIGGER medsync_capture ON medsync.person;"
			. " SELECT verdict, relation FROM medsync.verify() WHERE severity = 'error' AND relation IS NOT NULL"),
		qr/^guard_missing\|medsync.person$/m, "restored into $where: a missing trigger shows");
}
$elsewhere->stop;

# where they were never in a dump, they must always stand
like(one("BEGIN; SET session_replication_role = replica; ALTER EVENT TRIGGER medsync_guard_start DISABLE;"
		. " ALTER EVENT TRIGGER medsync_guard_drop DISABLE; ALTER EVENT TRIGGER medsync_guard_end DISABLE;"
		. " DROP TRIGGER medsync_truncate ON medsync.person_key;"
		. " SELECT verdict, relation FROM medsync.verify() WHERE severity = 'error' AND relation IS NOT NULL"),
	qr/^guard_missing\|medsync.person_key$/m, 'a missing trigger shows');

# ------------------------------------------------------------------
# Only in time: a clock that can be set
# ------------------------------------------------------------------

{
	my ($faketime) = glob('/usr/lib/*/faketime/libfaketime.so.1');
	die 'libfaketime is not installed' unless $faketime;
	my $clock = "$dir/clock";

	# what the server believes to be the time, in seconds from now
	my $set = sub { open my $file, '>', $clock or die $!; print $file "$_[0]s\n"; close $file; };

	$node->stop;
	$set->('+0');
	{
		local $ENV{LD_PRELOAD} = $faketime;
		local $ENV{FAKETIME_TIMESTAMP_FILE} = $clock;
		local $ENV{FAKETIME_NO_CACHE} = 1;
		local $ENV{FAKETIME_DONT_FAKE_MONOTONIC} = 1;
		$node->start;
	}
	$open = sign_in('Ana');
	$set->('+50');
	is((actor_after($open))[0], $ana, 'after 50 seconds it is good');
	$set->('+0');
	$open = sign_in('Ana');
	$set->('+61');
	refuses($open, 'after a minute it is not');
	$set->('-10');
	refuses($open, 'before it was given neither');
	$set->('+0');
	is((actor_after($open))[0], $ana, 'unless the clock is right');
	$set->('+1800');
	$node->safe_psql($db, sign_in('Bob'));
	$set->('+0');
	refuses($open, 'half an hour later its use is not forgotten');

	# a key that expires does so in open sessions too
	add_key('Soon', $eva, 'ed25519', "now() + interval '1 hour'");
	my $session = $node->background_psql($db);
	$session->query_safe(sign_in('Soon'));
	$session->query_safe('BEGIN; PREPARE who AS SELECT medsync.actor()');
	is($session->query_safe('EXECUTE who'), $eva, 'a key that has not expired');
	$set->('+3601');
	is($session->query_safe('EXECUTE who'), '', 'a key that has expired meanwhile');
	refuses(sign_in('Soon'), 'and signs in no more');
	$session->quit;

	# who revokes must commit soon
	$set->('+0');
	$session = $node->background_psql($db, on_error_stop => 0);
	add_key("Late$_", $eva, 'ed25519') foreach 1 .. 3;
	my $revoked = sub { return one("SELECT count(*) FROM medsync.person_key WHERE id = '$key{$_[0]}[1]' AND revoked_at IS NOT NULL"); };
	my $revoke = sub { return "SELECT medsync.revoke_key('$key{$_[0]}[1]', 'late');"; };
	$session->query_safe('BEGIN; ' . $revoke->('Late1'));
	$set->('+31');
	$session->query('COMMIT');
	like($session->{stderr}, qr/ERROR:  a key was revoked too long before the transaction ends/, 'a revocation that commits after 31 seconds is refused');
	$session->{stderr} = '';
	is($revoked->('Late1'), '0', 'and nothing is revoked');
	$set->('+0');
	$session->query_safe('BEGIN; SAVEPOINT s; ' . $revoke->('Late1'));
	$set->('+20');
	$session->query_safe('RELEASE s; SAVEPOINT t; ' . $revoke->('Late2'));
	$set->('+40');
	$session->query('COMMIT');
	like($session->{stderr}, qr/ERROR:  a key was revoked too long/, 'the first of two revocations counts');
	$session->{stderr} = '';
	$set->('+0');
	$session->query_safe('BEGIN; SAVEPOINT s; ' . $revoke->('Late1'));
	$set->('+20');
	$session->query_safe('ROLLBACK TO s; ' . $revoke->('Late2') . ' SAVEPOINT t; ' . $revoke->('Late3') . ' ROLLBACK TO t');
	$set->('+49');
	$session->query_safe('COMMIT');
	is($session->{stderr}, '', 'one that is rolled back does not');
	is(join(',', map { $revoked->("Late$_") } 1 .. 3), '0,1,0', 'what was revoked in time is');
	$set->('+0');
	$session->quit;
	$node->stop;
	$node->start;
}

# ------------------------------------------------------------------
# medsync.actor is nobody's to set
# ------------------------------------------------------------------

my $forged = "$ana $key{Ana}[1]";

sub stays_nobody
{
	my ($name, $sql) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($actor) = actor_after($sql);
	my $stderr;

	is($actor, 'nobody', "$name: nobody acts");
	($actor) = actor_after("$sql $in_worker");
	is($actor, 'nobody', "$name: nobody acts in a worker");
	# and where only the worker loads the library
	$node->psql($db, "$sql $in_worker SELECT who();", stdout => \$actor, stderr => \$stderr, on_error_stop => 0);
	is($actor =~ s/.*\n//sr, 'nobody', "$name: nobody acts in a worker that loads the library");
	($actor, $stderr) = actor_after("LOAD 'medsync'; $sql");
	is($actor, 'nobody', "$name: nobody acts where the library was loaded before");
	like($stderr, qr/parameter "medsync.actor" cannot be set/, "$name: and that is said");
	return;
}

foreach my $preloaded (0, 1)
{
	my $how = $preloaded ? 'preloaded' : 'not preloaded';

	if ($preloaded)
	{
		$node->append_conf('postgresql.conf', "shared_preload_libraries = 'medsync'\nmedsync.autoseal = off\n") ;
		$node->restart;
	}
	stays_nobody("$how, SET", "SET medsync.actor = '$forged';");
	stays_nobody("$how, SET LOCAL", "BEGIN; SET LOCAL medsync.actor = '$forged'; COMMIT;");
	stays_nobody("$how, set_config", "SELECT set_config('medsync.actor', '$forged', false);");
	{
		my ($options) = map { s/ /\\ /gr } $forged;
		local $ENV{PGOPTIONS} = "-c medsync.actor=$options";
		my ($actor, $stderr) = actor_after('');
		isnt($actor, $ana, "$how, PGOPTIONS: nobody acts");
		like($stderr, qr/cannot be set/, "$how, PGOPTIONS: and that is said");
	}

	# the defaults of a role, of a database, and of the server, which nobody
	# checks before the library is there
	foreach my $object ("ROLE app", "DATABASE $db", "ROLE app IN DATABASE $db")
	{
		my $set = "ALTER $object SET medsync.actor = '$forged'";

		if ($preloaded)
		{
			refused($node, 'postgres', $set, '42501', "$how, ALTER $object");
			$node->safe_psql('postgres', "SET allow_system_table_mods = on; INSERT INTO pg_db_role_setting SELECT "
				. ($object =~ /DATABASE/ ? "(SELECT oid FROM pg_database WHERE datname = '$db')" : '0') . ', '
				. ($object =~ /ROLE/ ? "(SELECT oid FROM pg_roles WHERE rolname = 'app')" : '0')
				. ", ARRAY['medsync.actor=$forged']");
		}
		else
		{
			$node->safe_psql('postgres', $set);
		}
		foreach my $parallel ('', $in_worker)
		{
			my ($actor, $stderr) = actor_after($parallel, $node, $db, connstr => $node->connstr($db) . ' user=app');
			is($actor, 'nobody', "$how, ALTER $object, '$parallel': nobody acts");
		}
		$node->safe_psql('postgres', "ALTER $object RESET medsync.actor");
	}
	$node->append_conf('postgresql.conf', "medsync.actor = '$forged'");
	if ($preloaded)
	{
		$node->reload;
	}
	else
	{
		$node->restart;
	}
	foreach my $parallel ('', $in_worker)
	{
		my ($actor) = actor_after($parallel);
		is($actor, 'nobody', "$how, postgresql.conf, '$parallel': nobody acts");
	}
	$node->adjust_conf('postgresql.conf', 'medsync.actor', undef);
	$node->restart;
}

# ------------------------------------------------------------------
# Several workers of a real plan
# ------------------------------------------------------------------

$node->safe_psql($db, <<'SQL');
CREATE TABLE large AS SELECT i FROM generate_series(1, 50000) i;
ALTER TABLE large SET (parallel_workers = 3);
ANALYZE large;
SQL
is( query($node, $db, sign_in('Ana') . <<'SQL') =~ s/^\s+//r, "t\n50000|1|$ana", 'every worker knows who acts');
SET max_parallel_workers_per_gather = 3; SET parallel_setup_cost = 0; SET parallel_leader_participation = off;
CREATE TEMP TABLE plan (line text);
DO $$ DECLARE l text; BEGIN FOR l IN EXPLAIN ANALYZE SELECT count(*), count(DISTINCT w), min(w::text) FROM (SELECT who() AS w FROM large OFFSET 0) x LOOP INSERT INTO plan VALUES (l); END LOOP; END $$;
SELECT bool_or(line ~ 'Workers Launched: [1-3]') FROM plan;
SELECT count(*), count(DISTINCT w), min(w::text) FROM (SELECT who() AS w FROM large OFFSET 0) x;
SQL

# ------------------------------------------------------------------
# Suspension and revocation reach the next statement of everybody
# ------------------------------------------------------------------

# By hand people can be changed while they are not tracked; the next call of a
# function has them tracked again.
my %event = (
	'suspended'    => [ '', "SELECT medsync.suspend_person('$ana', 'test')", "SELECT medsync.verify_person('$ana')" ],
	'by hand'      => [ "SELECT medsync.untrack('medsync.person')", "UPDATE medsync.person SET status = 'suspended' WHERE id = '$ana'",
		"UPDATE medsync.person SET status = 'active' WHERE id = '$ana'; SELECT medsync.verify_person('$ana')" ],
	'revoked'      => [ '', "SELECT medsync.revoke_key('$key{Ana}[1]', 'test')",
		"SELECT medsync.untrack('medsync.person_key'); UPDATE medsync.person_key SET revoked_at = NULL, revocation_reason = NULL WHERE id = '$key{Ana}[1]';"
		. " SELECT medsync.add_key('$ana', 'ed25519', (medsync.generate_key_pair('ed25519')).public_key)" ]);
my @session = map { $node->background_psql($db) } 0 .. 2;

foreach my $event (sort keys %event)
{
	my ($prepare, $do, $undo) = @{ $event{$event} };

	$node->safe_psql($db, $prepare) if $prepare;

	# one idle session, one in an open transaction with everything prepared and
	# locked, one that is a statement old
	foreach my $n (0 .. 2)
	{
		$session[$n]->query_safe(sign_in('Ana'));
		$session[$n]->query_safe('BEGIN') if $n == 1;
		$session[$n]->query_safe("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM note") if $n == 2;
		$session[$n]->query_safe("DEALLOCATE ALL; PREPARE who AS SELECT coalesce(medsync.actor()::text, 'nobody'); PREPARE add AS INSERT INTO note (text) VALUES ('$event $n') RETURNING (SELECT 'x')");
		$session[$n]->query_safe('EXECUTE add');
		is($session[$n]->query_safe('EXECUTE who'), $ana, "$event, session $n: before");
	}
	$node->safe_psql($db, $do);
	foreach my $n (0 .. 2)
	{
		$session[$n]->query_safe('EXECUTE add');
		is($session[$n]->query_safe('EXECUTE who'), 'nobody', "$event, session $n: after");
		$session[$n]->query_safe('COMMIT') if $n;
		is( one("SELECT string_agg(coalesce(actor, 'nobody'), ' ' ORDER BY (new_row ->> 'id')::int) FROM medsync.history('note') WHERE new_row ->> 'text' = '$event $n'"),
			"$ana nobody", "$event, session $n: in the history");
	}
	refuses(sign_in('Ana'), "$event: signs in no more");
	$node->safe_psql($db, $undo);
	is($session[0]->query_safe('EXECUTE who'), $ana, "$event: undone");
}
$_->quit foreach @session;

# one statement can run many transactions
add_key('Anas', $ana, 'ed25519');
foreach my $end ([ 'suspended', "SELECT medsync.suspend_person('$ana', 'loop')", "SELECT medsync.verify_person('$ana')" ],
	[ 'revoked', "SELECT medsync.revoke_key('$key{Anas}[1]', 'loop')", 'SELECT 1' ])
{
	my ($how, $sql, $back) = @$end;
	my $session = $node->background_psql($db, on_error_stop => 0);

	$node->safe_psql($db, 'CREATE TABLE acted (n int GENERATED ALWAYS AS IDENTITY, who uuid)');
	$session->query_safe(sign_in('Anas'));
	$session->query_until(qr/started/, <<'SQL');
\echo started
DO $$ BEGIN
	INSERT INTO acted (who) VALUES (medsync.actor());
	COMMIT;
	FOR i IN 1 .. 600 LOOP
		EXIT WHEN EXISTS (SELECT FROM medsync.person_key WHERE revocation_reason = 'loop')
			OR EXISTS (SELECT FROM medsync.person WHERE status_reason = 'loop');
		PERFORM pg_sleep(0.05);
		COMMIT;
	END LOOP;
	INSERT INTO acted (who) VALUES (medsync.actor());
END $$;
\echo ended
SQL
	$node->poll_query_until($db, 'SELECT count(*) = 1 FROM acted');
	$node->safe_psql($db, $sql);
	$session->query_until(qr/ended/, "SELECT 1;\n");
	is(one("SELECT string_agg(coalesce(who::text, 'nobody'), ' ' ORDER BY n) FROM acted"), "$ana nobody", "$how: counts in the next transaction of a statement");
	$session->quit;
	$node->safe_psql($db, "$back; DROP TABLE acted");
}

# a transaction that is rolled back suspended nobody
{
	my $one = $node->background_psql($db);
	my $two = $node->background_psql($db);

	$one->query_safe(sign_in('Ana'));
	$two->query_safe("BEGIN; SELECT medsync.suspend_person('$ana', 'x')");
	is($one->query_safe('SELECT medsync.actor()'), $ana, 'a suspension that is not committed');
	$two->query_safe('ROLLBACK');
	is($one->query_safe('SELECT medsync.actor()'), $ana, 'a suspension that was rolled back');
	$_->quit foreach $one, $two;
}

# ------------------------------------------------------------------
# Prepared transactions
# ------------------------------------------------------------------

foreach my $end ('COMMIT', 'ROLLBACK')
{
	my $session = $node->background_psql($db);

	$used = sign_in('Ana', 'transaction');
	$session->query_safe("BEGIN; $used INSERT INTO note (text) VALUES ('prepared, $end'); PREPARE TRANSACTION 'p'");
	is($session->query_safe("SELECT coalesce(medsync.actor()::text, 'nobody')"), 'nobody', "prepared: nobody acts in the session any more");
	$session->quit;
	refuses($used, 'prepared, and again');
	$node->safe_psql($db, sign_in('Bob') . "$end PREPARED 'p'");
	refuses($used, "prepared, $end, and again");
	is( one("SELECT actor FROM medsync.history('note') WHERE new_row ->> 'text' = 'prepared, $end'"),
		$end eq 'COMMIT' ? $ana : '', "prepared, $end: who acted");
}

# ------------------------------------------------------------------
# A standby gives challenges; promoted, it takes none of its primary
# ------------------------------------------------------------------

$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
my $theirs = key_file($standby, $db);
copy(key_file($node, $db), $theirs) or die $! if !-e $theirs;
chmod 0600, $theirs;
$open = answer('Ana', challenge('Ana', $standby));
refused($standby, $db, $open, '25006', 'on a standby', like => qr/cannot execute medsync.sign_in\(\) during recovery/);
is((actor_after($open))[0], $ana, 'its challenge is good on the primary');
is((actor_after('', $standby))[0], 'nobody', 'actor() on a standby');
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
my $unused = sign_in('Ana');
$standby->promote;
refuses($unused, 'a challenge of the primary on the promoted standby', $standby);
refuses($open, 'a spent one on the promoted standby', $standby);
is((actor_after(answer('Ana', challenge('Ana', $standby)), $standby))[0], $ana, 'its own challenge on the promoted standby');
is((actor_after($unused))[0], $ana, 'the challenge of the primary on the primary');
$standby->stop;

# ------------------------------------------------------------------
# What is left
# ------------------------------------------------------------------

# A bulk load under one person pays for its id once a packed row.
my $size = "SELECT sum(octet_length(body)) FROM medsync._journal WHERE xid = (SELECT max(xid::text::bigint)::text::xid8 FROM medsync._journal)";
$node->safe_psql($db, "INSERT INTO note (text) SELECT 'bulk' FROM generate_series(1, 2000)");
my $without = one($size);
$node->safe_psql($db, sign_in('Ana') . "INSERT INTO note (text) SELECT 'bulk' FROM generate_series(1, 2000)");
cmp_ok(one($size) - $without, '<', 2000 * 2, 'a person costs less than two bytes an entry in a bulk load');
is( one("SELECT count(*), count(actor), count(DISTINCT actor) FROM medsync.history('note') WHERE new_row ->> 'text' = 'bulk'"),
	'4000|2000|1', 'and is in every entry');
is_replayable($node, $db, 'note');

seal_all($node, $db);
is_clean($node, $db);

# The log tells that somebody was refused, and not with what: it may still be
# good elsewhere, or later.
my $log = slurp_file($node->logfile);
like($log, qr/ERROR:  sign-in refused/, 'refusals are in the log');
unlike($log, qr/ERROR:  (?:sign-in refused|cannot execute medsync.sign_in)[^\n]*\n(?:[^\n]*(?:DETAIL|HINT):[^\n]*\n)*[^\n]*STATEMENT/, 'without the statement');
is_quiet($node);
$node->stop;
done_testing();
