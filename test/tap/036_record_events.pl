
# What was refused or found damaged is in the ledger exactly once, whatever
# becomes of the worker that should write it: none is free, it fails, it is
# killed, the caller is cancelled, the server crashes.  So is what was read,
# whatever becomes of the transaction that read it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MedsyncRecords;
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('record_events');
my $db = new_database($node, 'clinic');
add_people($node, $db);
my $record = put($node, $db, q('a letter'), ['bob']);
my $other = put($node, $db, q('another letter'), []);
my $refusal = "SELECT medsync.get_record('$record')";

sub one { return query($node, $db, $_[0]) }
sub denied_count { return one("SELECT count(*) FROM medsync.record_event WHERE event = 'denied'") }
sub pending_count { return one("SELECT count(*) FROM medsync._pending_event WHERE event <> 'get'") }
sub waiting { return one('SELECT count(*) FROM medsync._pending_event') }

# Gets of a record: how many, how many of them were rolled back.
sub gets
{
	my ($r) = @_;

	return one("SELECT count(*), count(*) FILTER (WHERE reason = 'rolled back') FROM medsync.record_event WHERE event = 'get' AND record = '$r'");
}

# Read until nothing waits.
sub take_over
{
	for (1 .. 100)
	{
		return if waiting() eq '0';
		as($node, $db, 'alice', "SELECT length(medsync.get_record('$other'))");
	}
	die 'events wait for ever';
}

# Every event is an entry of the ledger, which names who acted.
sub all_entered
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is(one(<<'SQL'), 't|t', "$name: every event is one entry, and names who acted");
SELECT count(*) = (SELECT count(*) FROM medsync.record_event), bool_and(actor IS NOT DISTINCT FROM new_row->>'person')
FROM medsync.history('medsync.record_event')
SQL
	is_clean($node, $db, "$name: verify finds nothing");
	return;
}

# Change a setting that takes a restart.
sub restart_with
{
	my ($conf) = @_;

	$node->append_conf('postgresql.conf', "$conf\n");
	$node->restart;
	return;
}

# ------------------------------------------------------------------
# More refusals at once than there are worker slots
# ------------------------------------------------------------------

{
	my $before = denied_count();
	my $script = script('refused.sql', <<SQL);
DO \$\$ BEGIN PERFORM medsync.get_record('$record'); EXCEPTION WHEN insufficient_privilege THEN NULL; END \$\$;
SQL
	my $run = pgbench_run($node, $db, '-U', 'paul', '-n', '-c', 40, '-j', 2, '-t', 3, '-f', $script);

	is($run->{transactions}, 120, '40 sessions were refused 3 times each') or diag($run->{err});
	note(pending_count() . ' wait');
	is(denied_count() + pending_count() - $before, 120, 'each refusal is written down once');
	as($node, $db, 'alice', "SELECT medsync.get_record('$record')") foreach 1 .. 7;
	is(pending_count(), '0', 'readers have taken over what waited');
	is(denied_count() - $before, 120, 'each is an event');
	all_entered('40 sessions');
}

# ------------------------------------------------------------------
# No worker at all
# ------------------------------------------------------------------

restart_with('max_worker_processes = 0');
{
	my $before = denied_count();
	my $start = one('SELECT clock_timestamp()');

	denied($node, $db, 'paul', $refusal, '42501', 'without workers: refused');
	denied($node, $db, 'eve', $refusal, '42501', 'without workers: nobody acts');
	denied($node, $db, 'paul', "BEGIN; SAVEPOINT s; $refusal; ROLLBACK TO s; COMMIT", '42501', 'without workers: below a savepoint');
	is(one("SELECT state, value ~ '^3, oldest: ', advice IS NOT NULL FROM medsync.status WHERE item = 'pending_events'"), 'warning|t|t', 'status says so');
	is(one('SELECT string_agg(role, $$ $$ ORDER BY role) FROM medsync._pending_event'), 'eve paul paul', 'they wait');
	denied($node, $db, 'paul', 'SELECT * FROM medsync._pending_event', '42501', 'nobody reads them');
	denied($node, $db, 'paul', 'DELETE FROM medsync._pending_event', '42501', 'or takes them away');

	$node->stop('immediate');
	start_after_crash($node);
	is(pending_count(), '3', 'a crash takes none of them');

	# taken over and rolled back, or prepared
	as($node, $db, 'alice', "BEGIN; SELECT medsync.get_record('$record'); ROLLBACK;");
	is(denied_count() - $before . '|' . pending_count(), '0|3', 'rolled back: they wait still');
	as($node, $db, 'alice', "BEGIN; SELECT medsync.get_record('$record'); PREPARE TRANSACTION 'taker'");
	as($node, $db, 'bob', "SELECT medsync.get_record('$record')");
	is(denied_count() - $before . '|' . pending_count(), '0|3', 'prepared: others wait for nobody, and leave them');
	$node->safe_psql($db, q(COMMIT PREPARED 'taker'));
	is(denied_count() - $before . '|' . pending_count(), '3|0', 'committed: they are events');
	is(one(<<SQL), 't|t|t', 'of that time, person and role');
SELECT bool_and(at BETWEEN '$start' AND clock_timestamp()), bool_and(person IS NOT DISTINCT FROM CASE role WHEN 'paul' THEN testing.id('paul') END),
	bool_and(patient = 'patient-1' AND record = '$record')
FROM medsync.record_event WHERE event = 'denied' AND at >= '$start'
SQL
	is(one("SELECT state FROM medsync.status WHERE item = 'pending_events'"), 'ok', 'status says so, too');
	all_entered('without workers');

	# damage waits for a worker, since somebody is told
	$node->safe_psql($db, "UPDATE medsync._record_chunk SET body = set_byte(body, 0, get_byte(body, 0) # 1) WHERE record = '$other'");
	denied($node, $db, 'alice', "SELECT medsync.get_record('$other')", 'MS006', 'without workers: damage is found');
	$node->safe_psql($db, "UPDATE medsync._record_chunk SET body = set_byte(body, 0, get_byte(body, 0) # 1) WHERE record = '$other'");
	as($node, $db, 'alice', "SELECT medsync.get_record('$other')");
	is(one('SELECT event FROM medsync._pending_event'), 'damaged', 'it waits');

	# the first records of a database, and a transaction that makes everything
	my $first = new_database($node, 'first');
	my $sql = <<'SQL';
SELECT medsync.verify_person(medsync.register_person('practitioner', 'Alice', 'alice'));
SET LOCAL SESSION AUTHORIZATION alice;
SELECT medsync.put_record('patient-1', 'x', 'x');
SAVEPOINT s;
SELECT medsync.get_record('00000000-0000-4000-8000-000000000000');
ROLLBACK TO s;
SELECT length(medsync.get_record(record)) FROM medsync.records();
COMMIT;
SQL
	$node->psql($first, "BEGIN; $sql", on_error_stop => 0);
	is(query($node, $first, q(SELECT string_agg(event, ' ' ORDER BY event) FROM medsync.record_event)), 'denied get put', 'without workers the first writer makes the triggers');
	is_clean($node, $first);
}

# ------------------------------------------------------------------
# Workers again
# ------------------------------------------------------------------

restart_with('max_worker_processes = 8');
{
	my $start = time();

	denied($node, $db, 'paul', $refusal, '42501', 'a worker again');
	is(one(<<SQL), '1|1|0', 'it takes over the damage, and tells the patient');
SELECT (SELECT count(*) FROM medsync.record_event WHERE event = 'damaged'), (SELECT count(*) FROM medsync.notice WHERE subject = 'patient-1' AND record = '$other'),
	(SELECT count(*) FROM medsync._pending_event)
SQL
	$node->safe_psql('postgres', 'CREATE DATABASE whole');
	$node->psql('whole', <<'SQL', on_error_stop => 0);
BEGIN;
CREATE EXTENSION medsync;
SELECT medsync.verify_person(medsync.register_person('practitioner', 'Alice', 'alice'));
SET LOCAL SESSION AUTHORIZATION alice;
SELECT medsync.put_record('patient-1', 'x', 'x');
SAVEPOINT s;
SELECT medsync.get_record('00000000-0000-4000-8000-000000000000');
ROLLBACK TO s;
SELECT length(medsync.get_record(record)) FROM medsync.records();
COMMIT;
SQL
	is(query($node, 'whole', q(SELECT string_agg(event, ' ' ORDER BY event) FROM medsync.record_event)), 'denied get put', 'a transaction that makes the extension, people and records');
	is_clean($node, 'whole');

	my $last = new_database($node, 'last');
	$node->psql($last, <<'SQL', on_error_stop => 0);
BEGIN;
SELECT medsync.verify_person(medsync.register_person('practitioner', 'Alice', 'alice'));
SET LOCAL SESSION AUTHORIZATION alice;
SAVEPOINT s;
SELECT medsync.get_record('00000000-0000-4000-8000-000000000000');
ROLLBACK TO s;
SELECT medsync.put_record('patient-1', 'x', 'x');
COMMIT;
SQL
	is(query($node, $last, q(SELECT string_agg(event, ' ' ORDER BY event) FROM medsync.record_event)), 'denied put', 'a transaction that makes people and records');
	is_clean($node, $last);
	cmp_ok(time() - $start, '<', 30, 'none of it waited for a time limit');
	all_entered('workers again');
}

# ------------------------------------------------------------------
# A worker that waits: cancelled, terminated, killed
# ------------------------------------------------------------------

# Runs a refusal while the worker waits for a lock; "meanwhile" is called
# when it does.  Returns what the client was told, and how long it took.
sub while_worker_waits
{
	my ($sql, $meanwhile) = @_;
	my $holder = $node->background_psql($db);
	my ($out, $err) = ('', '');

	$holder->query_safe('BEGIN; LOCK TABLE medsync.record_event IN SHARE MODE');
	my $start = time();
	my $psql = IPC::Run::start([ 'psql', '-XAtq', '-U', 'paul', '-d', $node->connstr($db), '-v', 'VERBOSITY=verbose', '-c', $sql ],
		'<', \undef, '>', \$out, '2>', \$err);
	wait_until('the worker waits', sub {
		one(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'medsync transaction apart' AND wait_event_type = 'Lock')) eq '1' });
	$meanwhile->() if $meanwhile;
	eval { $psql->finish };
	my $took = time() - $start;
	wait_until('it has ended', sub { one(q(SELECT count(*) FROM pg_stat_activity WHERE usename = 'paul' OR backend_type = 'medsync transaction apart')) eq '0' });
	$holder->quit;
	return ($err, $took);
}

foreach my $case (
	[ 'it gives up', $refusal, undef, qr/42501/ ],
	[ 'statement_timeout', "SET statement_timeout = 200; $refusal", undef, qr/42501|57014/ ],
	[ 'the caller is cancelled', $refusal, sub { one(q(SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'paul')) }, qr/42501|57014/ ],
	[ 'the caller is terminated', $refusal, sub { one(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'paul')) }, qr/57P01|42501/ ],
	[ 'the worker is cancelled', $refusal, sub { one(q(SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'medsync transaction apart')) }, qr/42501/ ],
	[ 'the worker is terminated', $refusal, sub { one(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'medsync transaction apart')) }, qr/42501/ ])
{
	my ($name, $sql, $meanwhile, $told) = @$case;
	my $before = denied_count();
	my ($err, $took) = while_worker_waits($sql, $meanwhile);

	like($err, $told, "$name: refused");
	cmp_ok($took, '<', 8, "$name: soon");
	is(denied_count() - $before . '|' . pending_count(), '0|1', "$name: it waits to be entered");
	as($node, $db, 'alice', "SELECT medsync.grant_record('$record', testing.id('bob'))");
	is(denied_count() - $before . '|' . pending_count(), '1|0', "$name: it is an event");
}
all_entered('cancelled');

# a worker had written it all the same
{
	my $before = denied_count();

	$node->safe_psql($db, <<'SQL');
INSERT INTO medsync._pending_event SELECT id, at, record, version, event, person, recipient, role, reason FROM medsync.record_event WHERE event = 'denied' LIMIT 3
SQL
	as($node, $db, 'alice', "SELECT medsync.get_record('$record')");
	is(denied_count() - $before . '|' . pending_count(), '0|0', 'what is an event already does not become another');
}

# what cannot be entered is in nobody's way
{
	my $before = denied_count();
	my $keys = one('SELECT array_agg(key_id) FROM medsync._subject_key') =~ s/^|$/'/gr;
	my $poor = put($node, $db, q('x'), [], patient => 'patient-3');
	my $flip = "UPDATE medsync._subject_key SET wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1) WHERE key_id <> ALL ($keys)";

	$node->safe_psql($db, "INSERT INTO medsync._pending_event SELECT gen_random_uuid(), now(), r, NULL, 'denied', testing.id('paul'), NULL, 'paul', 'not entitled' FROM unnest(ARRAY['$poor', '$record']::uuid[]) r");
	$node->safe_psql($db, $flip);
	is(as($node, $db, 'alice', "SELECT length(medsync.get_record('$record'))"), '8', 'what cannot be entered: others read');
	is(denied_count() - $before . '|' . pending_count(), '0|2', 'what cannot be entered: and leave it');
	denied($node, $db, 'paul', $refusal, '42501', 'what cannot be entered: others are refused');
	is(denied_count() - $before . '|' . pending_count(), '2|1', 'what cannot be entered: the worker enters what can be');
	$node->safe_psql($db, $flip);
	as($node, $db, 'alice', "SELECT length(medsync.get_record('$record'))");
	is(denied_count() - $before . '|' . pending_count(), '3|0', 'it is entered when it can be');
}

# a table that is locked keeps nobody from being cancelled
{
	my $holder = $node->background_psql($db);

	$holder->query_safe('BEGIN; LOCK TABLE medsync._pending_event, medsync.record_event IN ACCESS EXCLUSIVE MODE');
	my $start = time();
	denied($node, $db, 'paul', "SET statement_timeout = 500; $refusal", '42501', 'everything is locked');
	cmp_ok(time() - $start, '<', 15, 'everything is locked: refused all the same');
	$holder->quit;
	like(slurp_file($node->logfile), qr/an event of records could not be recorded: denied/, 'everything is locked: the log has it');
}

# many takers at once, some of whom roll back
{
	my $before = denied_count();

	$node->safe_psql($db, <<SQL);
INSERT INTO medsync._pending_event SELECT gen_random_uuid(), now(), '$record', NULL, 'denied', testing.id('paul'), NULL, 'paul', 'not entitled' FROM generate_series(1, 1000)
SQL
	my $commit = script('take.sql', "SELECT length(medsync.get_record('$record'));\n");
	my $rollback = script('leave.sql', "BEGIN;\nSELECT length(medsync.get_record('$record'));\nROLLBACK;\n");
	my $worker = script('worker.sql', "DO \$\$ BEGIN PERFORM medsync.get_record('$other'); EXCEPTION WHEN insufficient_privilege THEN NULL; END \$\$;\n");
	my $run = pgbench_run($node, $db, '-U', 'bob', '-n', '-c', 12, '-j', 2, '-t', 25, '-f', "$commit\@4", '-f', "$rollback\@4", '-f', "$worker\@2");

	is($run->{transactions}, 300, 'twelve sessions take over') or diag($run->{err});
	is(one("SELECT count(*) FROM medsync.record_event WHERE event = 'denied' AND role = 'paul' AND id IN (SELECT (row_key->>'id')::uuid FROM medsync.history('medsync.record_event'))"),
		one("SELECT count(*) FROM medsync.record_event WHERE event = 'denied' AND role = 'paul'"), 'all are entries');
	take_over();
	is(waiting(), '0', 'none is left');
	is(one("SELECT count(*) FROM medsync.record_event WHERE event = 'denied' AND at = (SELECT at FROM medsync.record_event GROUP BY at HAVING count(*) > 1 ORDER BY count(*) DESC LIMIT 1)"), '1000', 'each is an event once');
	all_entered('many takers');
}

# ------------------------------------------------------------------
# What was read, and then rolled back
# ------------------------------------------------------------------

$node->safe_psql($db, <<'SQL');
CREATE TABLE testing.late (i int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE testing.kept (i int);
GRANT INSERT ON testing.late, testing.kept TO alice;
SQL
foreach my $case (
	[ 'COMMIT', 'BEGIN; GET; COMMIT', '1|0' ],
	[ 'ROLLBACK', 'BEGIN; GET; ROLLBACK', '1|1' ],
	[ 'ROLLBACK, SERIALIZABLE', 'BEGIN ISOLATION LEVEL SERIALIZABLE; GET; GET; ROLLBACK', '2|2' ],
	[ 'ROLLBACK TO', 'BEGIN; SAVEPOINT s; GET; ROLLBACK TO s; COMMIT', '1|1' ],
	[ 'RELEASE, COMMIT', 'BEGIN; SAVEPOINT s; GET; RELEASE s; COMMIT', '1|0' ],
	[ 'RELEASE, ROLLBACK', 'BEGIN; SAVEPOINT s; GET; RELEASE s; ROLLBACK', '1|1' ],
	[ 'before, below and after a savepoint', 'BEGIN; GET; SAVEPOINT s; GET; SAVEPOINT t; GET; ROLLBACK TO s; GET; COMMIT', '4|2' ],
	[ 'an exception block', 'DO $$ BEGIN PERFORM length(RECORD) / 0; EXCEPTION WHEN division_by_zero THEN NULL; END $$', '1|1' ],
	[ 'an error in the same statement', 'SELECT length(RECORD) / 0', '1|1' ],
	[ 'an error at commit', 'BEGIN; GET; INSERT INTO testing.late VALUES (1), (1); COMMIT', '1|1' ],
	[ 'an error after a thousand', 'SELECT sum(length(RECORD)) / 0 FROM generate_series(1, 1000)', '1000|1000' ],
	[ 'the backend ends', 'BEGIN; GET; SELECT pg_terminate_backend(pg_backend_pid())', '1|1' ],
	[ 'PREPARE, COMMIT', q(BEGIN; GET; PREPARE TRANSACTION 'get'; GET; COMMIT PREPARED 'get'), '2|0' ],
	[ 'PREPARE, ROLLBACK', q(BEGIN; GET; PREPARE TRANSACTION 'get'; GET; ROLLBACK PREPARED 'get'), '2|1' ])
{
	my ($name, $sql, $expected) = @$case;
	my $r = put($node, $db, q('read'), []);

	$sql =~ s/GET/SELECT RECORD/g;
	$sql =~ s/RECORD/medsync.get_record('$r')/g;
	$node->psql($db, $sql, on_error_stop => 0, extra_params => [ '-U', 'alice' ], stderr => \my $void);
	take_over();
	is(gets($r), $expected, "$name: each read is an event, once");
}
is(one(<<SQL), 't|t|t|t', 'what was rolled back has person, role, patient and version');
SELECT bool_and(person = testing.id(role)), bool_and(role IN ('alice', 'bob')), bool_and(patient = 'patient-1'), bool_and(version = 1)
FROM medsync.record_event WHERE reason = 'rolled back'
SQL
{
	my $gone = as($node, $db, 'alice', "BEGIN; SELECT medsync.put_record('patient-1', 'x', 'x') AS r \\gset\nSELECT length(medsync.get_record(:'r')); ROLLBACK; SELECT :'r'");

	$gone =~ s/^.*\n//s;
	take_over();
	is(gets($gone), '1|1', 'read of a record that was rolled back, too');
}
all_entered('rolled back');

# an open transaction is in nobody's way, and nobody takes what is its own
{
	my $r = put($node, $db, q('read'), []);
	my $session = $node->background_psql($db);

	$session->query_safe("SET SESSION AUTHORIZATION alice; BEGIN; SELECT length(medsync.get_record('$r')); SAVEPOINT s; SELECT length(medsync.get_record('$r'));");
	is(waiting(), '2', 'open: its reads are written down');
	is(one("SELECT value, state FROM medsync.status WHERE item = 'pending_events'"), '0|ok', 'open: they do not wait yet');
	my $limits = "SET lock_timeout = '1ms'; SET statement_timeout = '5s'";
	is(as($node, $db, 'alice', "$limits; BEGIN; SELECT length(medsync.get_record('$r')); ROLLBACK; SELECT length(medsync.get_record('$r'))"), "4\n4", 'open: others read, and take over');
	denied($node, $db, 'paul', "$limits; SELECT medsync.get_record('$r')", '42501', 'open: a worker takes over');
	is(gets($r) . '|' . waiting(), '2|1|2', 'open: all but its own');
	$session->query_safe('ROLLBACK TO s');
	as($node, $db, 'alice', "SELECT length(medsync.get_record('$other'))");
	is(gets($r) . '|' . waiting(), '3|2|1', 'open: and what it rolled back');
	$node->safe_psql($db, 'VACUUM medsync._pending_event');

	my $dump = $node->basedir . '/open';
	$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr($db) ], 'open: pg_dump');
	$node->safe_psql('postgres', 'CREATE DATABASE from_open');
	$node->command_ok([ 'pg_restore', '-e', '-d', $node->connstr('from_open'), $dump ], 'open: pg_restore');
	denied($node, 'from_open', 'eve', "SELECT medsync.get_record('$r')", '42501', 'open: a refusal there');
	is(query($node, 'from_open', "SELECT count(*), (SELECT count(*) FROM medsync._pending_event) FROM medsync.record_event WHERE event = 'get' AND record = '$r'"),
		'4|0', 'open: its read is an event where the dump was restored');

	$session->query_safe('ROLLBACK');
	$session->quit;
	take_over();
	is(gets($r), '4|3', 'open: rolled back at last');
}

# twenty sessions, some of whom roll back
{
	my $r = put($node, $db, q('read'), []);
	my $script = script('random.sql', <<SQL);
\\set choice random(0, 3)
BEGIN;
SELECT length(medsync.get_record('$r'));
\\if :choice = 0
INSERT INTO testing.kept VALUES (1);
COMMIT;
\\elif :choice = 1
SAVEPOINT s;
SELECT length(medsync.get_record('$r'));
ROLLBACK TO s;
INSERT INTO testing.kept VALUES (2);
COMMIT;
\\else
ROLLBACK;
\\endif
SQL
	my $run = pgbench_run($node, $db, '-U', 'alice', '-n', '-c', 20, '-j', 2, '-t', 20, '-f', $script);

	is($run->{transactions}, 400, 'twenty sessions read') or diag($run->{err});
	take_over();
	my ($kept, $twice) = split /\|/, one('SELECT count(*), count(*) FILTER (WHERE i = 2) FROM testing.kept');
	is(gets($r), 400 + $twice . '|' . (400 + $twice - $kept), 'twenty sessions: each read is an event, once');
	$node->safe_psql($db, 'VACUUM medsync._pending_event');
	is(one(q(SELECT pg_relation_size('medsync._pending_event'))), '0', 'VACUUM has the space back');
	all_entered('twenty sessions');
}

# the backend is killed, and the server with it
{
	my $r = put($node, $db, q('read'), []);
	my $session = $node->background_psql($db, on_error_stop => 0);

	$session->query("SET SESSION AUTHORIZATION alice; BEGIN; SELECT length(medsync.get_record('$r'));");
	my $pid = $session->query('SELECT pg_backend_pid()');
	my $lsn = one('SELECT pg_current_wal_insert_lsn()');
	wait_until('the WAL writer has written it', sub { one("SELECT pg_current_wal_flush_lsn() >= '$lsn'") eq 't' });
	kill 'KILL', $pid;
	eval { $session->quit };
	settled($node);
	take_over();
	is(gets($r), '1|1', 'the backend is killed: what it read is an event');
	all_entered('killed');
}

# ------------------------------------------------------------------
# Dump and restore; the sealer's worker
# ------------------------------------------------------------------

restart_with("shared_preload_libraries = 'medsync'\nmax_worker_processes = 3");
{
	my $before = denied_count();
	my $holder;

	# launcher and sealers have the slots
	wait_until('no slot is free', sub { one(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('medsync', 'logical replication launcher'))) eq '3' });
	denied($node, $db, 'paul', $refusal, '42501', 'no slot is free');
	is(pending_count(), '1', 'it waits');

	my $dump = $node->basedir . '/dump';
	$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr($db) ], 'pg_dump');
	restart_with('max_worker_processes = 16');
	wait_until('the sealer has it entered', sub { pending_count() eq '0' });
	is(denied_count() - $before, 1, 'the sealer has it entered, without anybody\'s call');

	my $r = put($node, $db, q('read'), []);
	as($node, $db, 'alice', "BEGIN; SELECT length(medsync.get_record('$r')); ROLLBACK");
	wait_until('the sealer has the read entered', sub { gets($r) eq '1|1' });
	is(waiting(), '0', 'the sealer has what was rolled back entered, too');

	$node->safe_psql('postgres', 'CREATE DATABASE restored');
	$node->command_ok([ 'pg_restore', '-e', '-d', $node->connstr('restored'), $dump ], 'pg_restore');
	denied($node, 'restored', 'eve', $refusal, '42501', 'a refusal there');
	is(query($node, 'restored', "SELECT count(*), (SELECT count(*) FROM medsync._pending_event) FROM medsync.record_event WHERE event = 'denied'"),
		(denied_count() + 1) . '|0', 'what waited in the dump is an event there, too');
	is(errors($node, 'restored'), '', 'which is clean');
	all_entered('sealer');
}
is(one("SELECT value, state FROM medsync.status WHERE item = 'library'"), 'preloaded|ok', 'status: preloaded');
restart_with("shared_preload_libraries = ''");
is(one("SELECT value, state FROM medsync.status WHERE item = 'library'"), 'loaded by a statement|notice', 'status: not preloaded');
$node->safe_psql('postgres', "ALTER DATABASE $db SET session_preload_libraries = 'medsync'");
is(one("SELECT value, state FROM medsync.status WHERE item = 'library'"), 'preloaded|ok', 'status: preloaded for the database');

is_quiet($node);
$node->stop;
done_testing();
