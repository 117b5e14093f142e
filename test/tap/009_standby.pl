
# A hot standby verifies and shows history; promoted, it goes on in a new era,
# with a transaction prepared before the promotion and committed after it.

use strict;
use warnings;

use File::Copy;
use FindBin;
use lib "$FindBin::RealBin/lib";

use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = new_node('primary', init => { allows_streaming => 1 });
my $db = new_database($primary, 'clinic');

$primary->safe_psql($db, <<'SQL');
CREATE TABLE patient (id int PRIMARY KEY, name text, version int);
CREATE TABLE lab (id int PRIMARY KEY, patient int);
INSERT INTO patient SELECT i, 'name ' || i, 1 FROM generate_series(1, 20) i;
SELECT medsync.track('patient', subject => 'id');
SELECT medsync.track('lab', subject => 'patient', payload => 'hash');
SELECT medsync.seal();
SQL
$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

$primary->safe_psql($db, <<'SQL');
UPDATE patient SET version = 2 WHERE id <= 10;
INSERT INTO lab VALUES (1, 1);
SELECT medsync.seal();
UPDATE patient SET version = 3 WHERE id <= 5;
SQL

$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));

# Where the key file is, the standby needs a copy of it; a base backup of a
# data directory that holds it has brought it along.
my $path = key_file($primary, $db);
my $theirs = key_file($standby, $db);
copy($path, $theirs) or die "copy: $!" if !-e $theirs;
# this way of copying a data directory keeps no modes
chmod 0600, $theirs;

is(query($standby, $db, 'SELECT pg_is_in_recovery()'), 't', 'this is a standby');
is_clean($standby, $db, 'standby: verify is clean');
is( query($standby, $db, 'SELECT * FROM medsync.verify_summary()') =~ s/\|[^|]*$//r,
	query($primary, $db, 'SELECT * FROM medsync.verify_summary()') =~ s/\|[^|]*$//r,
	'standby: the same summary');
is( query($standby, $db, "SELECT * FROM medsync.history('patient')"),
	query($primary, $db, "SELECT * FROM medsync.history('patient')"),
	'standby: the same history');
is( query($standby, $db, "SELECT count(*) FROM medsync.as_of(NULL::patient, 'infinity')"),
	'20', 'standby: as_of');
is(query($standby, $db, 'SELECT count(*) > 0 FROM medsync.status'), 't', 'standby: status');
is(query($standby, $db, 'SELECT count(*) > 0 FROM medsync.tracked'), 't', 'standby: tracked');
refused($standby, $db, 'SELECT medsync.seal()', '25006', 'standby: seal()');
refused($standby, $db, "SELECT medsync.untrack('lab')", '25006', 'standby: untrack()');
is( query($primary, $db, "BEGIN READ ONLY; SELECT count(*) FROM medsync.verify() WHERE severity = 'error'; COMMIT"),
	'0', 'verify in a read-only transaction');

# clean while changes arrive
my $load = pgbench_start($primary, $db, '-c4', '-T3', '-f',
	script('w.sql', "\\set id random(1, 20)\nUPDATE patient SET version = version + 1 WHERE id = :id;\nINSERT INTO lab SELECT coalesce(max(id), 0) + 1, :id FROM lab ON CONFLICT DO NOTHING;\n"));
my $seals = pgbench_start($primary, $db, '-c1', '-T3', '-f', script('s.sql', "SELECT medsync.seal();\n\\sleep 50 ms\n"));
my @alarms;
for (1 .. 8)
{
	my ($state, $stderr, $found) = sql_error($standby, $db, "SELECT * FROM medsync.verify() WHERE verdict <> 'unsealed';");
	# a query may be cancelled because of recovery, as any query may
	push @alarms, $found if $found ne '';
	push @alarms, $stderr if $state ne '' && $state ne '40001';
	select undef, undef, undef, 0.2;
}
pgbench_finish($_) foreach $load, $seals;
is($load->{status}, 0, 'writers end well') or diag($load->{err});
is(join("\n", @alarms), '', 'standby: no false alarm while changes arrive');

# Prepared before, committed after the promotion; the primary has gone
$primary->safe_psql($db, <<'SQL');
BEGIN;
INSERT INTO patient VALUES (101, 'prepared before, committed after', 1);
UPDATE patient SET version = 1000 WHERE id = 6;
PREPARE TRANSACTION 'across';
BEGIN;
INSERT INTO patient VALUES (102, 'prepared before, rolled back after', 1);
PREPARE TRANSACTION 'not';
UPDATE patient SET version = 1001 WHERE id = 7;
SQL
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
my $last_block = query($standby, $db, 'SELECT max(height) FROM medsync.checkpoint');
$primary->stop;
$standby->promote;

is_clean($standby, $db, 'promoted: clean');
works($standby, $db, "UPDATE patient SET version = 2000 WHERE id = 8; INSERT INTO lab VALUES (1000001, 77);", 'promoted: new writes');
is_clean($standby, $db, 'promoted: clean with writes of both eras unsealed');
seal_all($standby, $db, 'promoted: all sealed');
is_clean($standby, $db, 'promoted: clean after sealing');
$standby->safe_psql($db, "COMMIT PREPARED 'across'; ROLLBACK PREPARED 'not'; UPDATE patient SET version = 2001 WHERE id = 6");
is_clean($standby, $db, 'promoted: clean after COMMIT PREPARED');
seal_all($standby, $db, 'promoted: the old era\'s transaction is sealed too');
is_clean($standby, $db, 'promoted: clean after the eras alternated');
is( query($standby, $db, "SELECT string_agg(new_row->>'version', ',' ORDER BY entry_index) FROM medsync.history('patient', '{\"id\": 6}') WHERE (new_row->>'version')::int >= 1000"),
	'1000,2001', 'in the right order');
is(query($standby, $db, "SELECT count(*) FROM medsync.history('patient') WHERE row_key->>'id' = '102'"), '0', 'nothing of what was rolled back');
is_replayable($standby, $db, 'patient', 'promoted');
cmp_ok(query($standby, $db, 'SELECT max(height) FROM medsync.checkpoint'), '>=', $last_block + 3,
	'a block holds one era only');
is(query($standby, $db, 'SELECT count(*) FROM medsync._era'), '2', 'two eras');

# one block after another still
works($standby, $db, "UPDATE patient SET version = 2002 WHERE id = 9; SELECT medsync.seal();", 'going on');
is_clean($standby, $db);
$standby->restart;
is_clean($standby, $db, 'clean after a restart');
is(query($standby, $db, 'SELECT count(*) FROM medsync._era'), '2', 'a restart makes no era');

# The old primary, brought back from before: a base backup restored to its end
my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($primary, 'base');
$copy->start;
chmod 0600, key_file($copy, $db);
is_clean($copy, $db, 'a base backup started on its own: clean');
works($copy, $db, 'UPDATE patient SET version = 5 WHERE id = 1; SELECT medsync.seal();', 'it goes on');
is_clean($copy, $db, 'and is clean');

$_->stop foreach $standby, $copy;
done_testing();
