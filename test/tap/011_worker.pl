
# Preloaded, a worker per database seals without being asked, comes back after
# a crash, and stands in nobody's way.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = new_node('worker', conf => <<'CONF');
shared_preload_libraries = 'medsync'
medsync.seal_interval = '100ms'
log_min_messages = info
CONF

sub workers
{
	my ($db) = @_;
	return query($node, 'postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE '%medsync%' AND datname = '$db'");
}

sub sealed_soon
{
	my ($db, $name, $seconds) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(
		wait_until("all of $db is sealed", sub { unsealed($node, $db) eq '0' }, $seconds || 20),
		$name);
}

# a database without the extension has none
$node->safe_psql('postgres', 'CREATE DATABASE without');

new_database($node, $_) foreach 'clinic', 'ward';
foreach my $db ('clinic', 'ward')
{
	$node->safe_psql($db, <<'SQL');
CREATE TABLE patient (id int PRIMARY KEY, name text);
INSERT INTO patient SELECT i, 'name' FROM generate_series(1, 10) i;
SELECT medsync.track('patient', subject => 'id');
SQL
}
ok(wait_until("$_ has a worker", sub { workers($_) eq '1' }, 20), "$_ has a worker") foreach 'clinic', 'ward';
is(workers('without'), '0', 'a database without the extension has none');
sealed_soon($_, "$_: sealed without being asked") foreach 'clinic', 'ward';

$node->safe_psql('clinic', "INSERT INTO patient VALUES (11, 'x')");
sealed_soon('clinic', 'a new change is sealed');
is_clean($node, $_, "$_: clean") foreach 'clinic', 'ward';

# with nothing new there is no block
my $height = query($node, 'clinic', 'SELECT max(height) FROM medsync.checkpoint');
sleep 1;
is(query($node, 'clinic', 'SELECT max(height) FROM medsync.checkpoint'), $height, 'with nothing new there is no block');

# beside seal() by hand, and under load
my $load = pgbench_start($node, 'clinic', '-c4', '-T3', '-f',
	script('w.sql', "\\set id random(1, 10)\nUPDATE patient SET name = :client_id || name WHERE id = :id;\n"));
my $seals = pgbench_start($node, 'clinic', '-c2', '-T3', '-f', script('s.sql', "SELECT medsync.seal();\n\\sleep 10 ms\n"));
pgbench_finish($_) foreach $load, $seals;
is($load->{status}, 0, 'writers beside the worker') or diag($load->{err});
is($seals->{status}, 0, 'sealing by hand beside the worker') or diag($seals->{err});
sealed_soon('clinic', 'all sealed after load');
is_clean($node, 'clinic');

# a transaction left open
my $open = $node->background_psql('clinic');
$open->query_safe("BEGIN; INSERT INTO patient VALUES (20, 'open')");
$node->safe_psql('clinic', "INSERT INTO patient VALUES (21, 'beside')");
sealed_soon('clinic', 'what is committed is sealed beside an open transaction');
$open->query_safe('COMMIT');
$open->quit;
sealed_soon('clinic', 'and the rest after it');
is_clean($node, 'clinic');

# the interval
$node->append_conf('postgresql.conf', "medsync.seal_interval = '1h'\n");
$node->reload;
sleep 0.5;
$node->safe_psql('clinic', "INSERT INTO patient VALUES (30, 'waits')");
sleep 1;
is(unsealed($node, 'clinic'), '1', 'a long interval is kept');
$node->append_conf('postgresql.conf', "medsync.seal_interval = '100ms'\n");
$node->reload;
sealed_soon('clinic', 'a shorter interval takes effect at once');

# DDL is not held up by the worker
works($node, 'clinic', <<'SQL', 'track, rename and untrack beside the worker');
SET lock_timeout = '5s';
CREATE TABLE other (id int PRIMARY KEY);
SELECT medsync.track('other');
INSERT INTO other VALUES (1);
ALTER TABLE other RENAME TO another;
ALTER TABLE another ADD COLUMN v int;
INSERT INTO another VALUES (2);
SELECT medsync.untrack('another');
DROP TABLE another;
SQL
sealed_soon('clinic', 'sealed after DDL');
is_clean($node, 'clinic');

# kill -9
my $pid = query($node, 'postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE '%medsync%' AND datname = 'clinic'");
kill 9, $pid;
settled($node);
ok(wait_until('the worker is back', sub { workers('clinic') eq '1' }, 30), 'kill -9: the worker comes back');
$node->safe_psql('clinic', "INSERT INTO patient VALUES (40, 'after the crash')");
sealed_soon('clinic', 'kill -9: it seals again', 30);
is_clean($node, 'clinic');

# ended politely, it comes back as well
$pid = query($node, 'postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE '%medsync%' AND datname = 'clinic'");
query($node, 'postgres', "SELECT pg_terminate_backend($pid)");
ok( wait_until(
		'another worker is there',
		sub {
			my $new = query($node, 'postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type LIKE '%medsync%' AND datname = 'clinic'");
			$new ne '' && $new ne $pid;
		},
		60),
	'terminated, it comes back');

# DROP EXTENSION ends it, in peace; the next one gets a new worker
$node->safe_psql('ward', "SELECT medsync.untrack('patient')");
works($node, 'ward', "SET lock_timeout = '10s'; DROP EXTENSION medsync CASCADE", 'DROP EXTENSION beside the worker');
ok(wait_until('no worker', sub { workers('ward') eq '0' }, 20), 'no worker without the extension');
works($node, 'ward', 'CREATE EXTENSION medsync', 'CREATE EXTENSION again');
ok(wait_until('a worker', sub { workers('ward') eq '1' }, 30), 'a worker again');
$node->safe_psql('ward', "SELECT medsync.track('patient')");
sealed_soon('ward', 'it seals the new ledger', 30);
is_clean($node, 'ward');

# DROP DATABASE: the worker does not hold it up
my $start = time();
works($node, 'postgres', 'DROP DATABASE ward WITH (FORCE)', 'DROP DATABASE ... WITH (FORCE)');
cmp_ok(time() - $start, '<', 10, 'and does not wait long');
sleep 1;
is(workers('ward'), '0', 'no worker for it any more');
$start = time();
works($node, 'postgres', 'CREATE DATABASE twin TEMPLATE without; DROP DATABASE twin; DROP DATABASE without', 'other databases are free');
cmp_ok(time() - $start, '<', 15, 'at once');

# a clean stop is quick
$start = time();
$node->stop('fast');
cmp_ok(time() - $start, '<', 10, 'the server stops quickly');
$node->start;
ok(wait_until('a worker', sub { workers('clinic') eq '1' }, 30), 'a worker after a restart');
sealed_soon('clinic', 'sealed after a restart');
is_clean($node, 'clinic');

my $log = slurp_file($node->logfile);
unlike($log, qr/(PANIC|TRAP|segmentation|signal 11)/, 'no crash of our own in the log');
my @errors = grep { /ERROR/ && !/administrator command|crash of another|does not exist/ } split /\n/, $log;
is(join("\n", @errors[ 0 .. ($#errors > 4 ? 4 : $#errors) ]), '', 'no error in the log');

# a key file that is missing: the worker says so, writers are told, and all
# is well when it is back
my $key = key_file($node, 'clinic');
rename $key, "$key.away" or die;
$node->restart;
refused($node, 'clinic', "INSERT INTO patient VALUES (50, 'x')", 'MS001', 'without the key file', hint => 1);
sleep 0.5;
rename "$key.away", $key or die;
works($node, 'clinic', "INSERT INTO patient VALUES (50, 'x')", 'with the key file again');
sealed_soon('clinic', 'the worker found it too', 60);
is_clean($node, 'clinic');

$node->stop;
done_testing();
