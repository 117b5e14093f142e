
# What the TAP tests of medsync share: private clusters, the independent
# oracle ("what does the history say the table holds?") and checks that name
# every finding they did not expect.
#
# Nothing here knows how medsync stores anything; tests that attack the
# storage look it up in the catalog.

package MedsyncTest;

use strict;
use warnings;

use Cwd ();
use Exporter 'import';
use File::Basename ();
use File::Spec;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(
  heavy new_node new_database add_oracle key_file
  query findings errors is_clean seal_all unsealed is_replayable
  sql_error refused works
  own_directory script pgbench_start pgbench_finish pgbench_run
  start_after_crash wait_until settled is_quiet foreign_program
);

# The long variants run only when asked for.
sub heavy { return $ENV{MEDSYNC_HEAVY} ? 1 : 0; }

# A cluster with settings that make faults visible quickly.
sub new_node
{
	my ($name, %option) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(%{ $option{init} || {} }, extra => [ '--encoding=UTF8', '--locale=C.UTF-8' ]);
	$node->append_conf('postgresql.conf', <<CONF);
log_statement = none
log_min_error_statement = error
max_connections = 120
shared_buffers = 64MB
deadlock_timeout = 100ms
restart_after_crash = on
max_prepared_transactions = 20
CONF
	$node->append_conf('postgresql.conf', $option{conf}) if $option{conf};
	$node->start unless $option{stopped};
	return $node;
}

# A database with the extension and, in schema testing, the oracle.
sub new_database
{
	my ($node, $db) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, 'CREATE EXTENSION medsync');
	add_oracle($node, $db);
	return $db;
}

# Functions that say what a table must hold if its history is true.
sub add_oracle
{
	my ($node, $db) = @_;

	$node->safe_psql($db, <<'SQL');
CREATE SCHEMA testing;

-- Every row of a table, as the caller's session prints it.
CREATE FUNCTION testing.live(rel regclass) RETURNS SETOF jsonb
LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT to_jsonb(x) FROM %s x', rel);
END $$;

-- The rows that the history, played from the first entry to the last of
-- those flushed until "until", leaves behind.
CREATE FUNCTION testing.replayed(rel regclass, until timestamptz DEFAULT 'infinity')
RETURNS SETOF jsonb
LANGUAGE sql AS $$
	WITH h AS MATERIALIZED (
		SELECT operation, row_key, new_row, ordinality AS n
		FROM medsync.history(rel) WITH ORDINALITY
		WHERE at <= until),
	cleared AS (
		SELECT coalesce(max(n), 0) AS n FROM h
		WHERE operation = 'truncate' AND row_key IS NULL),
	last AS (
		SELECT DISTINCT ON (row_key) row_key, new_row
		FROM h WHERE n > (SELECT n FROM cleared) AND row_key IS NOT NULL
		ORDER BY row_key, n DESC)
	SELECT new_row FROM last WHERE new_row IS NOT NULL
$$;

-- Rows in one of two sets and not in the other; none when they are equal.
CREATE FUNCTION testing.differences(rel regclass)
RETURNS TABLE (side text, r jsonb)
LANGUAGE sql AS $$
	(SELECT 'live only', l FROM testing.live(rel) l
	 EXCEPT ALL SELECT 'live only', h FROM testing.replayed(rel) h)
	UNION ALL
	(SELECT 'history only', h FROM testing.replayed(rel) h
	 EXCEPT ALL SELECT 'history only', l FROM testing.live(rel) l)
$$;

-- An entry's versions must be linked: what an entry replaces is what the
-- entry before it, of the same key, left.
CREATE FUNCTION testing.broken_links(rel regclass)
RETURNS TABLE (row_key jsonb, n bigint, operation text, found jsonb, expected jsonb)
LANGUAGE sql AS $$
	SELECT x.row_key, x.n, x.operation, x.old_row, x.before
	FROM (SELECT h.*, h.ordinality AS n,
		  lag(h.new_row) OVER (PARTITION BY h.row_key ORDER BY h.ordinality) AS before
		  FROM medsync.history(rel) WITH ORDINALITY h
		  WHERE h.row_key IS NOT NULL) x
	WHERE x.operation <> 'baseline' AND x.old_row IS DISTINCT FROM x.before
$$;
SQL
	return;
}

# Where a running server keeps its master key.
sub key_file
{
	my ($node, $db) = @_;
	my $path = $node->safe_psql($db, <<'SQL');
LOAD 'medsync';
SHOW medsync.master_key_file;
SQL

	$path = $node->data_dir . "/$path" unless $path =~ m{^/};
	return $path;
}

# One command's result as text, columns apart by |.
sub query
{
	my ($node, $db, $sql) = @_;
	return $node->safe_psql($db, $sql);
}

# Findings, one a line: severity|verdict|relation|row key|block|entry.
sub findings
{
	my ($node, $db, $where) = @_;

	$where ||= 'true';
	return $node->safe_psql($db, <<SQL);
SELECT severity, verdict, relation, row_key, block, entry_index, detail
FROM medsync.verify() WHERE $where
SQL
}

sub errors { return findings(@_[ 0, 1 ], "verdict <> 'unsealed'"); }

# No finding, except that entries may wait for the sealer.
sub is_clean
{
	my ($node, $db, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(errors($node, $db), '', $name || 'verify finds nothing');
}

sub unsealed
{
	my ($node, $db) = @_;
	return $node->safe_psql($db, 'SELECT unsealed FROM medsync.verify_summary()');
}

# Seal, and check that nothing that has ended is left over.
sub seal_all
{
	my ($node, $db, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$node->safe_psql($db, 'SELECT medsync.seal()');
	return is(unsealed($node, $db), '0', $name || 'every ended transaction is sealed');
}

# Playing the history gives the live table, and its versions are linked.
sub is_replayable
{
	my ($node, $db, $table, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$name ||= "history of $table";
	is( $node->safe_psql($db, "SELECT * FROM testing.differences('$table') LIMIT 5"),
		'', "$name: replaying it gives the live table");
	return is(
		$node->safe_psql($db, "SELECT * FROM testing.broken_links('$table') LIMIT 5"),
		'', "$name: each entry replaces what the one before it left");
}

# Run SQL that ought to fail: (SQLSTATE or '', all of stderr).
sub sql_error
{
	my ($node, $db, $sql, @extra) = @_;
	my ($stdout, $stderr) = ('', '');

	$node->psql(
		$db, "\\set VERBOSITY verbose\n$sql",
		stdout        => \$stdout,
		stderr        => \$stderr,
		on_error_stop => 1,
		@extra);
	my ($state) = $stderr =~ /(?:ERROR|FATAL):\s+(\w{5}):/;
	return (defined $state ? $state : '', $stderr, $stdout);
}

# SQL is refused with this SQLSTATE, in words that fit the pattern.
sub refused
{
	my ($node, $db, $sql, $state, $name, %option) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($got, $text) = sql_error($node, $db, $sql, @{ $option{psql} || [] });

	like($got, qr/^(?:$state)$/, "$name: refused with $state") or diag($text || 'no error');
	like($text, $option{like}, "$name: words") if $option{like};
	like($text, qr/HINT:/, "$name: has a hint") if $option{hint};
	unlike($text, qr/server closed the connection|XX000/, "$name: no crash, no internal error");
	return;
}

sub works
{
	my ($node, $db, $sql, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($state, $text) = sql_error($node, $db, $sql);

	return is($text =~ /ERROR|FATAL/ ? $text : '', '', "$name works");
}

# A directory for this test alone, by an absolute name: servers run elsewhere.
sub own_directory
{
	return File::Spec->rel2abs(PostgreSQL::Test::Utils::tempdir);
}

# Write a pgbench or psql script into the test's own directory.
sub script
{
	my ($name, $text) = @_;
	my $path = own_directory() . "/$name";

	open my $file, '>', $path or die "$path: $!";
	print $file $text;
	close $file or die "$path: $!";
	return $path;
}

# pgbench in the background; finish it with pgbench_finish.
sub pgbench_start
{
	my ($node, $db, @argument) = @_;
	my $run = { out => '', err => '' };

	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	$run->{harness} = IPC::Run::start(
		[ 'pgbench', '--no-vacuum', @argument, $db ],
		'<', \undef, '>', \$run->{out}, '2>', \$run->{err},
		IPC::Run::timer(300));
	return $run;
}

# Wait for it.  Returns its exit status; the texts are in {out} and {err}.
sub pgbench_finish
{
	my ($run) = @_;

	$run->{harness}->finish;
	$run->{status} = $run->{harness}->result(0);
	($run->{transactions}) = $run->{out} =~ /actually processed: (\d+)/;
	($run->{failed}) = $run->{out} =~ /failed transactions: (\d+)/;
	return $run;
}

sub pgbench_run { return pgbench_finish(pgbench_start(@_)); }

# Start again after kill -9: old backends may hold shared memory a moment.
sub start_after_crash
{
	my ($node) = @_;

	for (1 .. 100)
	{
		return 1 if $node->start(fail_ok => 1);

		# a leftover postmaster.pid makes it look as if it ran
		$node->{_pid} = undef;
		sleep 0.2;
	}
	BAIL_OUT('the server does not come up again');
}

# Poll a condition; fails loudly rather than hanging.
sub wait_until
{
	my ($what, $condition, $seconds) = @_;
	my $end = time() + ($seconds || 60);

	until ($condition->())
	{
		if (time() > $end)
		{
			diag("gave up waiting until $what");
			return 0;
		}
		sleep 0.05;
	}
	return 1;
}

# Wait until a server that lost a backend takes connections again.
sub settled
{
	my ($node) = @_;

	# the postmaster first has to notice
	sleep 0.3;
	return wait_until(
		'the server takes connections',
		sub {
			my $out = '';
			my $rc = $node->psql('postgres', 'SELECT pg_is_in_recovery()',
				stdout => \$out, stderr => \my $err);
			return defined $rc && $rc == 0 && $out eq 'f';
		});
}

# A verifier written by others, see test/foreign/build.sh: (path, '') or
# (undef, why it cannot be had), for a test to skip with.  Only a machine
# without Go or without the sources is a reason; with MEDSYNC_FOREIGN=required
# that is none either.
sub foreign_program
{
	my ($program) = @_;
	my $top = File::Basename::dirname(Cwd::abs_path(__FILE__)) . '/../../..';
	my $home = $ENV{XDG_CACHE_HOME} || $ENV{HOME} || '/nonexistent';
	my ($out, $err) = ('', '');

	local $ENV{MEDSYNC_FOREIGN_DIR} = "${PostgreSQL::Test::Utils::tmp_check}/foreign"
	  unless $ENV{MEDSYNC_FOREIGN_DIR} || -w $home;
	IPC::Run::run([ 'bash', "$top/test/foreign/build.sh", $program ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(1300));
	my $status = $? >> 8;
	my ($last) = $err =~ /([^\n]*)\n*\z/;

	return ($out =~ s/\n.*//sr, '') if $status == 0;
	die "$program cannot be had:\n$err"
	  unless ($status == 3 || $status == 4)
	  && ($ENV{MEDSYNC_FOREIGN} || '') ne 'required';
	return (undef, $last);
}

# Nothing in the server's log that nobody should ever see.
sub is_quiet
{
	my ($node, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %seen;
	my @bad = grep { !$seen{$_}++ }
	  map { s/^.*?(?=WARNING|ERROR|FATAL|PANIC|LOG|TRAP)//r }
	  grep { /leak|PANIC|TRAP|XX000|could not (?:open|read|find)|was terminated by signal (?!9)/ }
	  split /\n/, slurp_file($node->logfile);

	return is(join("\n", @bad[ 0 .. ($#bad > 9 ? 9 : $#bad) ]), '', $name || 'nothing ugly in the log');
}

1;
