
# Logical replication between two clusters: what the subscriber's apply worker
# and initial synchronisation write is recorded like any other writer's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $logical = { init => { allows_streaming => 'logical' }, conf => "max_sync_workers_per_subscription = 2\n" };
my $publisher = new_node('publisher', %$logical);
my $subscriber = new_node('subscriber', %$logical);

new_database($_, 'clinic') foreach $publisher, $subscriber;

my $tables = <<'SQL';
CREATE TABLE patient (id int PRIMARY KEY, name text, weight numeric);
CREATE TABLE note (id int PRIMARY KEY, patient int, body text);
CREATE TABLE visit (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
SQL
$_->safe_psql('clinic', $tables) foreach $publisher, $subscriber;

# the publisher tracks one of them; both others are plain there
$publisher->safe_psql('clinic', <<'SQL');
INSERT INTO patient SELECT i, 'name ' || i, 70 FROM generate_series(1, 20) i;
INSERT INTO note SELECT i, i, 'body ' || i FROM generate_series(1, 20) i;
INSERT INTO visit SELECT i, '2026-01-01'::date + i FROM generate_series(1, 40) i;
SELECT medsync.track('patient', subject => 'id');
CREATE PUBLICATION p FOR TABLE patient, note, visit WITH (publish_via_partition_root = false);
SQL
$subscriber->safe_psql('clinic', <<'SQL');
SELECT medsync.track('patient', subject => 'id');
SELECT medsync.track('note', subject => 'patient');
SELECT medsync.track('visit');
SELECT medsync.seal();
SQL
my $connection = $publisher->connstr . ' dbname=clinic';
$subscriber->safe_psql('clinic', "CREATE SUBSCRIPTION s CONNECTION '$connection' PUBLICATION p");
$subscriber->wait_for_subscription_sync($publisher, 's', 'clinic');

sub history_counts
{
	my ($table) = @_;
	return query($subscriber, 'clinic',
		"SELECT string_agg(operation || ' ' || n, ', ' ORDER BY operation) FROM (SELECT operation, count(*) AS n FROM medsync.history('$table') GROUP BY 1) c");
}

is(history_counts('patient'), 'insert 20', 'initial synchronisation is recorded once');
is(history_counts('note'), 'insert 20', 'of the second table too');
is(history_counts('visit'), 'insert 40', 'and of partitions');
is_clean($subscriber, 'clinic', 'subscriber clean after initial synchronisation');
seal_all($subscriber, 'clinic');

# Apply

$publisher->safe_psql('clinic', <<'SQL');
UPDATE patient SET weight = 80 WHERE id <= 5;
DELETE FROM patient WHERE id = 6;
INSERT INTO patient VALUES (21, 'new', 3);
UPDATE patient SET id = 22 WHERE id = 21;
BEGIN;
INSERT INTO note VALUES (31, 1, 'kept');
SAVEPOINT s;
INSERT INTO note VALUES (32, 1, 'rolled back');
ROLLBACK TO s;
UPDATE note SET body = 'changed' WHERE id IN (1, 31);
COMMIT;
UPDATE visit SET day = '2026-02-15' WHERE id = 1;
SQL
$publisher->wait_for_catchup('s');

is(history_counts('patient'), 'delete 1, insert 21, update 5, update_in 1, update_out 1', 'apply is recorded once');
is(history_counts('note'), 'insert 21, update 2', 'savepoints as the publisher committed them');
is(history_counts('visit'), 'delete 1, insert 41', 'a row that moves between partitions');
is_clean($subscriber, 'clinic', 'subscriber clean after apply');
is_replayable($subscriber, 'clinic', $_, "subscriber: $_") foreach 'patient', 'note', 'visit';
is( query($subscriber, 'clinic', "SELECT DISTINCT role FROM medsync.history('note')"),
	query($subscriber, 'clinic', 'SELECT subowner::regrole FROM pg_subscription'),
	'the role is that of the apply worker');

# TRUNCATE arrives: recorded, never refused, and apply goes on
$publisher->safe_psql('clinic', "TRUNCATE note; INSERT INTO note VALUES (41, 4, 'after')");
$publisher->wait_for_catchup('s');
is(query($subscriber, 'clinic', 'SELECT count(*) FROM note'), '1', 'TRUNCATE was applied');
is_clean($subscriber, 'clinic', 'and recorded: subscriber clean');
isnt( query($subscriber, 'clinic', "SELECT count(*) FROM medsync.history('note') WHERE operation = 'truncate'"),
	'0', 'it stands in the history');
is_replayable($subscriber, 'clinic', 'note', 'after TRUNCATE');
$publisher->safe_psql('clinic', "TRUNCATE visit; INSERT INTO visit VALUES (1, '2026-01-05')");
$publisher->wait_for_catchup('s');
is_clean($subscriber, 'clinic', 'TRUNCATE of a partitioned table');
is_replayable($subscriber, 'clinic', 'visit', 'after TRUNCATE');

seal_all($subscriber, 'clinic');
is_clean($subscriber, 'clinic', 'subscriber clean, all sealed');

# A table added later, and one tracked while it is subscribed to
$_->safe_psql('clinic', 'CREATE TABLE late (id int PRIMARY KEY, v int)') foreach $publisher, $subscriber;
$publisher->safe_psql('clinic', 'INSERT INTO late SELECT i, 1 FROM generate_series(1, 5) i; ALTER PUBLICATION p ADD TABLE late');
$subscriber->safe_psql('clinic', 'ALTER SUBSCRIPTION s REFRESH PUBLICATION');
$subscriber->wait_for_subscription_sync($publisher, 's', 'clinic');
$subscriber->safe_psql('clinic', "SELECT medsync.track('late')");
$publisher->safe_psql('clinic', 'UPDATE late SET v = 2 WHERE id <= 3; INSERT INTO late VALUES (6, 6)');
$publisher->wait_for_catchup('s');
is(history_counts('late'), 'baseline 5, insert 1, update 3', 'tracked while subscribed');

# a crash of the subscriber: nothing twice
$publisher->safe_psql('clinic', "INSERT INTO note SELECT i, 1, 'before' FROM generate_series(100, 1100) i");
$subscriber->stop('immediate');
$publisher->safe_psql('clinic', "UPDATE note SET body = 'while down' WHERE id > 1000");
$subscriber->start;
$publisher->wait_for_catchup('s');
is_clean($subscriber, 'clinic', 'subscriber clean after a crash');
is_replayable($subscriber, 'clinic', 'note', 'after a crash');
is( query($subscriber, 'clinic', "SELECT count(*), count(DISTINCT row_key) FROM medsync.history('note') WHERE operation = 'insert' AND (row_key->>'id')::int >= 100"),
	'1001|1001', 'nothing lost, nothing twice');
seal_all($_, 'clinic') foreach $publisher, $subscriber;
is_clean($_, 'clinic', $_->name . ' clean') foreach $publisher, $subscriber;

# Streamed and prepared transactions
$publisher->safe_psql('clinic', "ALTER SYSTEM SET logical_decoding_work_mem = '64kB'; SELECT pg_reload_conf(); CREATE TABLE streamed (id int PRIMARY KEY, v int); CREATE PUBLICATION p2 FOR TABLE streamed");
$subscriber->safe_psql('clinic', <<SQL);
CREATE TABLE streamed (id int PRIMARY KEY, v int);
SELECT medsync.track('streamed', subject => 'v');
CREATE SUBSCRIPTION s2 CONNECTION '$connection' PUBLICATION p2 WITH (streaming = on, two_phase = on);
SQL
$subscriber->wait_for_subscription_sync($publisher, 's2', 'clinic');
$publisher->safe_psql('clinic', <<'SQL');
BEGIN;
INSERT INTO streamed SELECT i, i % 5 FROM generate_series(1, 3000) i;
SAVEPOINT s;
INSERT INTO streamed SELECT i, 1 FROM generate_series(3001, 6000) i;
ROLLBACK TO s;
UPDATE streamed SET v = 9 WHERE id <= 1000;
COMMIT;
BEGIN;
INSERT INTO streamed SELECT i, i % 5 FROM generate_series(10001, 10010) i;
PREPARE TRANSACTION 'first';
BEGIN;
INSERT INTO streamed SELECT i, i % 5 FROM generate_series(20001, 20010) i;
PREPARE TRANSACTION 'second';
SQL
$publisher->wait_for_catchup('s2');
is(query($subscriber, 'clinic', 'SELECT count(*) FROM pg_prepared_xacts'), '2', 'prepared on the subscriber too');
seal_all($subscriber, 'clinic');
is_clean($subscriber, 'clinic', 'clean with prepared transactions of the apply worker');
is(history_counts('streamed'), 'insert 3000, update_in 1000, update_out 1000', 'a streamed transaction is recorded once');
$publisher->safe_psql('clinic', "COMMIT PREPARED 'first'; ROLLBACK PREPARED 'second'");
$publisher->wait_for_catchup('s2');
is(history_counts('streamed'), 'insert 3010, update_in 1000, update_out 1000', 'a prepared one when it is committed');
seal_all($subscriber, 'clinic');
is_clean($subscriber, 'clinic', 'streamed and prepared: clean');
is_replayable($subscriber, 'clinic', 'streamed', 'streamed and prepared');

# and the other direction of trust: a change past the trigger is found here too
$subscriber->safe_psql('clinic', <<'SQL');
DO $$
DECLARE e text;
BEGIN
	FOR e IN SELECT evtname FROM pg_event_trigger LOOP
		EXECUTE format('ALTER EVENT TRIGGER %I DISABLE', e);
	END LOOP;
END $$;
ALTER TABLE patient DISABLE TRIGGER USER;
SQL
$publisher->safe_psql('clinic', 'UPDATE patient SET weight = 81 WHERE id = 7');
$publisher->wait_for_catchup('s');
like(errors($subscriber, 'clinic'), qr/^error\|altered\|(public\.)?patient\|\{"id": 7\}/m,
	'what was applied with the trigger disabled is found');

$_->stop foreach $subscriber, $publisher;
done_testing();
