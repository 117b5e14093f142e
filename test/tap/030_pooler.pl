
# Behind the real pgbouncer, many people over few server connections: nobody
# ever acts as somebody else.  And what a wrong setting would let happen.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run;
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

# sockets have short names
my $dir = PostgreSQL::Test::Utils::tempdir_short();
my $node = new_node('clinic', conf => "shared_preload_libraries = 'medsync'\n");
my $db = new_database($node, 'clinic');
my ($pgbouncer) = grep { -x } map { "$_/pgbouncer" } split(/:/, $ENV{PATH}), '/usr/sbin';

BAIL_OUT('pgbouncer is not installed') unless defined $pgbouncer;

# ------------------------------------------------------------------
# Twenty people, whose private keys the application at the other end holds
# ------------------------------------------------------------------

$node->safe_psql($db, <<'SQL');
CREATE ROLE app LOGIN;
CREATE TABLE client (n int PRIMARY KEY, person uuid, key uuid, private_key bytea);
DO $$
DECLARE
	pair record;
	one uuid;
BEGIN
	FOR n IN 1 .. 20 LOOP
		pair := medsync.generate_key_pair(CASE n % 3 WHEN 0 THEN 'ed25519' WHEN 1 THEN 'p-256' ELSE 'rsa-2048' END);
		one := medsync.register_person('nurse', 'Nurse ' || n);
		PERFORM medsync.verify_person(one);
		INSERT INTO client VALUES (n, one, medsync.add_key(one,
			CASE n % 3 WHEN 0 THEN 'ed25519' WHEN 1 THEN 'p-256' ELSE 'rsa-2048' END, pair.public_key), pair.private_key);
	END LOOP;
END $$;
CREATE TABLE note (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, backend int);
GRANT ALL ON note, client TO app;
SELECT medsync.track('note');
SQL

sub one { return query($node, $db, $_[0]); }

my @running;
END { my $status = $?; $_->kill_kill foreach @running; $? = $status; }

# A pgbouncer with settings of its own: (port, what stops it).
sub pooler
{
	my ($name, $settings) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my ($host, $server) = ($node->host, $node->port);
	my ($out, $err) = ('', '');
	my $users = script("$name.users", "\"app\" \"\"\n");
	my $ini = script("$name.ini", <<INI);
[databases]
clinic = host=$host port=$server dbname=$db user=app
[pgbouncer]
listen_addr =
unix_socket_dir = $dir
listen_port = $port
auth_type = trust
auth_file = $users
max_client_conn = 200
$settings
INI
	my $run = IPC::Run::start([ $pgbouncer, $ini ], '<', \undef, '>', \$out, '2>', \$err);
	push @running, $run;
	ok(wait_until('pgbouncer listens', sub { -S "$dir/.s.PGSQL.$port" }), "$name: pgbouncer") or BAIL_OUT($err);
	return ($port, sub { $run->signal('INT'); $run->finish; @running = (); return; });
}

# Statements of one client of a pooler: what it prints.
sub client
{
	my ($port, $sql) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', "host=$dir port=$port user=app dbname=clinic" ],
		'<', \$sql, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	return ($out =~ s/\n\z//r, $err);
}

# What signs a client in, made outside of the pooler.
sub sign_in
{
	my ($n, $scope) = @_;

	return one(<<SQL);
SELECT format('SELECT medsync.sign_in(%L, %L, %L, %L);', challenge, key, medsync.sign(convert_to(challenge, 'UTF8'), private_key), '$scope')
FROM client, medsync.challenge(person) AS challenge WHERE n = $n
SQL
}

my $nobody = "SELECT coalesce(medsync.actor()::text, 'nobody');";

# ------------------------------------------------------------------
# Transaction pooling: 40 clients, 3 server connections
# ------------------------------------------------------------------

$node->safe_psql($db, "ALTER ROLE app SET medsync.sign_in_scope = 'transaction'");
my ($port, $stop) = pooler('transaction', "pool_mode = transaction\ndefault_pool_size = 3\nmin_pool_size = 3\n");

my $sign = <<'SCRIPT';
\set n random(1, 20)
SELECT medsync.challenge(person) AS challenge, key AS key FROM client WHERE n = :n \gset
SELECT encode(medsync.sign(convert_to(':challenge', 'UTF8'), private_key), 'hex') AS signature FROM client WHERE n = :n \gset
SCRIPT
my $act = <<'SCRIPT';
INSERT INTO note (n, backend) VALUES (:n, pg_backend_pid());
\sleep 2 ms
SELECT 1 / (medsync.actor() = (SELECT person FROM client WHERE n = :n))::int;
INSERT INTO note (n, backend) VALUES (:n, pg_backend_pid());
SCRIPT
my $in = "SELECT medsync.sign_in(':challenge', ':key', '\\x:signature', 'transaction');\n";
# who is nobody writes with n = 0
my $out = "SELECT 1 / (medsync.actor() IS NULL)::int;\nINSERT INTO note (n, backend) VALUES (0, pg_backend_pid());\n";

my %script = (
	'commits.sql'    => "$sign${out}BEGIN;\n$in${act}COMMIT;\n$out",
	'rolls back.sql' => "$sign${out}BEGIN;\n$in${act}ROLLBACK;\n$out",
	'savepoint.sql'  => "$sign${out}BEGIN;\nSAVEPOINT s;\n$in${act}ROLLBACK TO s;\n${out}COMMIT;\n$out",
	'signs out.sql'  => "$sign${out}BEGIN;\n$in${act}SELECT medsync.sign_out();\n${out}COMMIT;\n$out",
	'anonymous.sql'  => $out);
my $run;
{
	local $ENV{PGHOST} = $dir;
	local $ENV{PGPORT} = $port;
	local $ENV{PGUSER} = 'app';
	my ($stdout, $stderr) = ('', '');

	IPC::Run::run([ 'pgbench', '-n', '-c40', '-j4', '-T', heavy() ? 60 : 8, map({ ('-f', script($_, $script{$_})) } sort keys %script), 'clinic' ],
		'<', \undef, '>', \$stdout, '2>', \$stderr, IPC::Run::timeout(300));
	is($stderr =~ /ERROR|aborted|FATAL/ ? $stderr : '', '', 'no client met somebody else, or an error');
	($run) = $stdout =~ /actually processed: (\d+)/;
	cmp_ok($run, '>', 200, 'enough transactions') or diag($stdout, $stderr);
}

is(one('SELECT count(DISTINCT backend) FROM note'), '3', 'three server connections');
is(one('SELECT bool_and(people > 10) FROM (SELECT count(DISTINCT n) AS people FROM note GROUP BY backend) x'), 't',
	'each worked for many people');
is( one(<<'SQL'), '', 'every entry is of the person who wrote it, or of nobody');
SELECT c.n, h.actor, count(*) FROM medsync.history('note') h LEFT JOIN client c ON c.n = (h.new_row ->> 'n')::int
WHERE h.operation = 'insert' AND h.actor IS DISTINCT FROM c.person::text GROUP BY 1, 2 LIMIT 5
SQL
is(one("SELECT count(*) > 100 FROM medsync.history('note') WHERE actor IS NULL AND new_row ->> 'n' = '0'"), 't', 'many entries of nobody');
is(one("SELECT count(*) > 100 AND count(DISTINCT actor) = 20 FROM medsync.history('note') WHERE actor IS NOT NULL"), 't', 'many entries of everybody');

# a sign-in for the session is refused there, and the challenge is not spent
my $session = sign_in(3, 'session');
my (undef, $err) = client($port, $session);
like($err, qr/ERROR:  55000: people can sign in for a transaction only\n/, 'a sign-in for the session is refused');
my ($got) = client($port, 'BEGIN; ' . ($session =~ s/'session'\);/'transaction');/r) . $nobody);
is($got =~ s/^\n//r, one('SELECT person FROM client WHERE n = 3'), 'the same challenge, for the transaction');

# an error in the transaction, and a client that goes away in it
client($port, 'BEGIN; ' . sign_in(3, 'transaction') . 'SELECT 1/0;');
client($port, 'BEGIN; ' . sign_in(6, 'transaction') . 'INSERT INTO note (n) VALUES (6);');
is((client($port, $nobody))[0], 'nobody', "connection $_: nobody acts afterwards") foreach 1 .. 6;
$stop->();

# ------------------------------------------------------------------
# Session pooling: the reset between clients signs out
# ------------------------------------------------------------------

$node->safe_psql($db, 'ALTER ROLE app RESET medsync.sign_in_scope');
($port, $stop) = pooler('session', "pool_mode = session\ndefault_pool_size = 1\n");
($got) = client($port, sign_in(9, 'session') . "SELECT pg_backend_pid(); $nobody");
my ($pid, $actor) = $got =~ /(\d+)\n(\S+)\z/;
is($actor, one('SELECT person FROM client WHERE n = 9'), 'session pooling: signed in');
is((client($port, "SELECT pg_backend_pid(); $nobody"))[0], "$pid\nnobody", 'session pooling: the next client is nobody');
$stop->();

# ------------------------------------------------------------------
# What the setting is for: without it a session's sign-in stays with the
# server connection, unless the pooler resets that after each transaction
# ------------------------------------------------------------------

($port, $stop) = pooler('unprotected', "pool_mode = transaction\ndefault_pool_size = 1\n");
client($port, sign_in(12, 'session'));
is((client($port, $nobody))[0], one('SELECT person FROM client WHERE n = 12'),
	'transaction pooling without the setting: the next client acts as the one before');
client($port, 'SELECT medsync.sign_out()');
$stop->();

($port, $stop) = pooler('reset', "pool_mode = transaction\ndefault_pool_size = 1\nserver_reset_query = DISCARD ALL\nserver_reset_query_always = 1\n");
client($port, sign_in(15, 'session'));
is((client($port, $nobody))[0], 'nobody', 'with a reset after each transaction: nobody');
$stop->();

seal_all($node, $db);
is_clean($node, $db);
is_quiet($node);
$node->stop;
done_testing();
