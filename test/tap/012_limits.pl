
# Large rows, wide tables, many savepoints, long transactions: all recorded,
# within bounded memory.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Memory of a backend above that of the same work with a trigger that does
# nothing: what is promised, in kB.
my $allowance = 64 * 1024;

my $node = new_node('limits', conf => <<'CONF');
max_wal_size = 4GB
shared_buffers = 16MB
max_locks_per_transaction = 256
autovacuum = off
CONF
my $db = new_database($node, 'clinic');

# Large values

$node->safe_psql($db, <<'SQL');
CREATE TABLE scan (id int PRIMARY KEY, patient int, picture bytea, report text);
SELECT medsync.track('scan', subject => 'patient');
CREATE FUNCTION noise(bytes int, seed int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT left(string_agg(md5(i::text || seed), ''), bytes) FROM generate_series(1, bytes / 32 + 1) i
$$;
INSERT INTO scan VALUES (1, 1, noise(1048576, 1)::bytea, 'one MiB that does not compress');
INSERT INTO scan VALUES (2, 1, repeat('x', 1048576)::bytea, repeat('one MiB that does', 61681));
UPDATE scan SET report = 'the picture stays' WHERE id = 1;
UPDATE scan SET picture = noise(1048577, 2)::bytea WHERE id = 1;
UPDATE scan SET picture = noise(7990, 3)::bytea WHERE id = 2;
UPDATE scan SET picture = noise(8100, 3)::bytea WHERE id = 2;
DELETE FROM scan WHERE id = 2;
SQL
# every size around the limit of a packed row and of a chunk
$node->safe_psql($db, <<'SQL');
INSERT INTO scan SELECT 10000 + n, n, noise(n, 4)::bytea FROM generate_series(7400, 8250, 3) n;
INSERT INTO scan SELECT 1000 + row_number() OVER (), n, noise(n, 4)::bytea
FROM unnest(ARRAY[1048400, 1048500, 1048575, 1048576, 1048577, 1048600, 2097152, 3000000]) n;
SQL
is_clean($node, $db, 'large rows: clean while unsealed');
seal_all($node, $db);
is_clean($node, $db, 'large rows: clean');
is_replayable($node, $db, 'scan', 'large rows');

if (heavy())
{
	$node->safe_psql($db, <<'SQL');
INSERT INTO scan VALUES (3, 1, (SELECT string_agg(noise(1048576, i), '') FROM generate_series(1, 100) i)::bytea, '100 MiB');
UPDATE scan SET report = 'the picture stays' WHERE id = 3;
UPDATE scan SET picture = picture || 'x'::bytea WHERE id = 3;
SQL
	seal_all($node, $db);
	is_clean($node, $db, '100 MiB: clean');
	is( query($node, $db, "SELECT length(new_row->>'picture'), md5(new_row->>'picture') = (SELECT md5(picture::text) FROM scan WHERE id = 3) FROM medsync.history('scan', '{\"id\": 3}') ORDER BY entry_index DESC LIMIT 1"),
		(2 * (100 * 1048576 + 1) + 2) . '|t', '100 MiB: the image is whole');
}

# Width

my $columns = join ', ', map { "c$_ int" } 1 .. 1599;
$node->safe_psql($db, "CREATE TABLE wide (id int PRIMARY KEY, $columns); SELECT medsync.track('wide');");
$node->safe_psql($db, 'INSERT INTO wide VALUES (1' . join('', map { ", $_" } 1 .. 1599) . '); INSERT INTO wide VALUES (2);'
	  . 'UPDATE wide SET c1599 = NULL, c800 = -1 WHERE id = 1; UPDATE wide SET c1599 = 7 WHERE id = 2;');
seal_all($node, $db);
is_clean($node, $db, '1600 columns: clean');
is_replayable($node, $db, 'wide', '1600 columns');
is( query($node, $db, "SELECT changed_columns FROM medsync.history('wide') WHERE operation = 'update' ORDER BY entry_index LIMIT 1"),
	'{c800,c1599}', '1600 columns: what changed');

# Savepoints

my $many = heavy() ? 100000 : 20000;
my $deep = heavy() ? 10000 : 3000;

$node->safe_psql($db, <<'SQL');
CREATE TABLE step (id int PRIMARY KEY, patient int, v int);
SELECT medsync.track('step', subject => 'patient');
SQL
$node->safe_psql($db, <<SQL, timeout => 600);
DO \$\$
BEGIN
	FOR i IN 1 .. $many LOOP
		BEGIN
			INSERT INTO step VALUES (i, i % 100, 0);
			IF i % 5 = 0 THEN
				RAISE EXCEPTION 'undo';
			END IF;
		EXCEPTION WHEN raise_exception THEN
			NULL;
		END;
	END LOOP;
END \$\$;
SQL
seal_all($node, $db);
is_clean($node, $db, "$many savepoints one after another: clean");
is( query($node, $db, "SELECT count(*) = $many - $many / 5, count(*) = count(DISTINCT row_key) FROM medsync.history('step')"),
	't|t', 'each change that stayed, once');

my $nested = join '',
  "BEGIN;\n",
  map ({ "SAVEPOINT s$_; INSERT INTO step VALUES (1000000 + $_, $_ % 100, 1);\n" } 1 .. $deep),
  'ROLLBACK TO s' . int($deep * 0.9) . ";\n",
  map ({ "SAVEPOINT t$_; UPDATE step SET v = v + 1 WHERE id = 1000000 + $_;\n" } 1 .. 50),
  'RELEASE s' . int($deep / 2) . ";\n",
  "COMMIT;\n";
$node->safe_psql($db, $nested, timeout => 600);
seal_all($node, $db);
is_clean($node, $db, "$deep nested savepoints: clean");
is( query($node, $db, "SELECT count(*) FROM medsync.history('step') WHERE (row_key->>'id')::int > 1000000 AND operation = 'insert'"),
	int($deep * 0.9) - 1, 'those that were not rolled back');
is_replayable($node, $db, 'step', 'savepoints');

# many open savepoints, and a buffer that overflows under them again and again
$node->safe_psql($db, join('',
	"BEGIN;\n",
	map ({ "SAVEPOINT s$_; INSERT INTO step SELECT 2000000 + $_ * 100 + g, g, 0 FROM generate_series(1, 60) g;\n" } 1 .. 200),
	"ROLLBACK TO s150;\n",
	map ({ "SAVEPOINT t$_; UPDATE step SET v = v + 1 WHERE id BETWEEN 2000000 AND 2001000;\n" } 1 .. 20),
	"ROLLBACK TO t10;\n",
	"COMMIT;\n"), timeout => 600);
seal_all($node, $db);
is_clean($node, $db, 'buffers that overflow under savepoints: clean');
is( query($node, $db, "SELECT count(*) FROM medsync.history('step') WHERE (row_key->>'id')::int > 2000000 AND operation = 'insert'"),
	149 * 60, 'overflow: those that were not rolled back');
is_replayable($node, $db, 'step', 'overflow under savepoints');

# Memory of one long transaction, against a trigger that does nothing

sub peak_memory
{
	my ($table, $rows) = @_;
	my $psql = $node->background_psql($db, timeout => 3600);
	my $pid = $psql->query_safe('SELECT pg_backend_pid()');

	# touch everything once, so that the library and caches are there
	$psql->query_safe("INSERT INTO $table VALUES (-1, 1, 0)");
	$psql->query_safe("INSERT INTO $table SELECT i, i % 1000, 0 FROM generate_series(1, $rows) i");
	my ($peak) = slurp_file("/proc/$pid/status") =~ /VmHWM:\s+(\d+) kB/;
	$psql->quit;
	return $peak;
}

SKIP:
{
	skip 'no /proc here', 3 unless -r '/proc/self/status';
	my $rows = heavy() ? 2000000 : 500000;

	$node->safe_psql($db, <<'SQL');
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TABLE plain (id int PRIMARY KEY, patient int, v int);
CREATE TRIGGER nothing AFTER INSERT OR UPDATE OR DELETE ON plain FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TABLE full_images (LIKE plain INCLUDING ALL);
CREATE TABLE hashed (LIKE plain INCLUDING ALL);
SELECT medsync.track('full_images', subject => 'patient'), medsync.track('hashed', subject => 'patient', payload => 'hash');
SQL
	my $plain = peak_memory('plain', $rows);

	foreach my $table ('full_images', 'hashed')
	{
		my $peak = peak_memory($table, $rows);

		cmp_ok($peak, '<', $plain + $allowance, "$rows changes of $table: memory of the writer");
		note("$table: $peak kB, no-op trigger $plain kB");
	}

	# the sealer's and the verifier's memory is bounded as well
	my $psql = $node->background_psql($db, timeout => 3600);
	my $pid = $psql->query_safe('SELECT pg_backend_pid()');
	$psql->query_safe('SELECT medsync.seal()');
	my ($peak) = slurp_file("/proc/$pid/status") =~ /VmHWM:\s+(\d+) kB/;
	cmp_ok($peak, '<', 512 * 1024, 'memory of the sealer');
	note("sealer: $peak kB");
	is($psql->query_safe("SELECT count(*) FROM medsync.verify() WHERE severity = 'error'"), '0', 'long transactions: clean');
	($peak) = slurp_file("/proc/$pid/status") =~ /VmHWM:\s+(\d+) kB/;
	cmp_ok($peak, '<', 768 * 1024, 'memory of the verifier');
	note("verifier: $peak kB");
	$psql->quit;
	is(query($node, $db, 'SELECT unsealed FROM medsync.verify_summary()'), '0', 'all sealed');

	if (heavy())
	{
		is( query($node, $db, "SELECT count(*) FROM medsync.history('full_images')"), $rows + 1, 'every change is in the history');
		$node->safe_psql($db, 'DELETE FROM hashed', timeout => 3600);
		my $peak = peak_memory('hashed', 5000000);
		note("5 million changes: $peak kB");
		$node->safe_psql($db, 'SELECT medsync.seal()', timeout => 3600);
		is_clean($node, $db, '5 million changes in one transaction: clean');
	}
}

is_quiet($node);
$node->stop;
done_testing();
