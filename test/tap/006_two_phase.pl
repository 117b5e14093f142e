
# Two-phase commit: PREPARE, a crash, COMMIT PREPARED or ROLLBACK PREPARED,
# with sealing in between.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('two_phase');
my $db = new_database($node, 'clinic');

$node->safe_psql($db, <<'SQL');
CREATE TABLE patient (id int PRIMARY KEY, subject text, version int);
CREATE TABLE untouched (id int PRIMARY KEY);
INSERT INTO patient SELECT i, 's' || i, 1 FROM generate_series(1, 10) i;
SELECT medsync.track('patient', subject => 'subject');
SELECT medsync.seal();

BEGIN;
INSERT INTO patient VALUES (11, 'new to be kept', 1);
SAVEPOINT s;
UPDATE patient SET version = 2 WHERE id = 1;
ROLLBACK TO s;
UPDATE patient SET version = 2 WHERE id = 2;
PREPARE TRANSACTION 'keep';

BEGIN;
INSERT INTO patient VALUES (12, 'new to be lost', 1);
DELETE FROM patient WHERE id = 3;
PREPARE TRANSACTION 'lose';

-- more than a buffer
BEGIN;
INSERT INTO patient SELECT i, 'large ' || i % 50, 1 FROM generate_series(1001, 6000) i;
UPDATE patient SET version = 2 WHERE id > 1000 AND id % 2 = 0;
PREPARE TRANSACTION 'large';
SQL

is_clean($node, $db, 'clean while transactions are prepared');
is(query($node, $db, "SELECT count(*) FROM medsync.history('patient') WHERE operation <> 'baseline'"),
	'0', 'the history does not show what is not committed');
seal_all($node, $db, 'nothing that has ended waits');

# others touch the same new subjects, without waiting
works($node, $db, <<'SQL', 'writing for subjects that prepared transactions touched first');
SET lock_timeout = '100ms';
INSERT INTO patient VALUES (21, 'new to be kept', 1), (22, 'new to be lost', 1);
SELECT medsync.seal();
SQL
is_clean($node, $db);

$node->stop('immediate');
$node->start;
is_clean($node, $db, 'clean after a crash');
$node->safe_psql($db, 'SELECT medsync.seal()');

$node->safe_psql($db, "COMMIT PREPARED 'keep'");
is_clean($node, $db, 'clean after COMMIT PREPARED');
is( query($node, $db, "SELECT operation, row_key->>'id', block IS NULL FROM medsync.history('patient') WHERE row_key->>'id' IN ('11', '1', '2') AND operation <> 'baseline'"),
	"insert|11|t\nupdate|2|t", 'its entries appear, unsealed');
$node->safe_psql($db, "ROLLBACK PREPARED 'lose'");
is_clean($node, $db, 'clean after ROLLBACK PREPARED');
seal_all($node, $db);
is_clean($node, $db);

$node->kill9;
start_after_crash($node);
is_clean($node, $db, 'clean after another crash');
$node->safe_psql($db, "COMMIT PREPARED 'large'");
seal_all($node, $db, 'the large one is sealed');
is_clean($node, $db);
is( query($node, $db, "SELECT operation, count(*) FROM medsync.history('patient') WHERE (row_key->>'id')::int > 1000 GROUP BY 1 ORDER BY 1"),
	"insert|5000\nupdate|2500", 'each of its changes once');
is( query($node, $db, "SELECT count(*) FROM medsync.history('patient') WHERE new_row->>'subject' = 'new to be lost'"),
	'1', 'of what was rolled back nothing, of the other writer its row');
is_replayable($node, $db, 'patient');

# A prepared transaction that changed nothing tracked
works($node, $db, "BEGIN; INSERT INTO untouched VALUES (1); PREPARE TRANSACTION 'other'; SELECT medsync.seal(); COMMIT PREPARED 'other';",
	'a prepared transaction without tracked changes');

# The session that prepares goes on; its buffer is empty
works($node, $db, <<'SQL', 'one session prepares several');
BEGIN; UPDATE patient SET version = 10 WHERE id = 5; PREPARE TRANSACTION 'p1';
BEGIN; UPDATE patient SET version = 10 WHERE id = 6; PREPARE TRANSACTION 'p2';
UPDATE patient SET version = 10 WHERE id = 7;
SELECT medsync.seal();
COMMIT PREPARED 'p2';
SELECT medsync.seal();
ROLLBACK PREPARED 'p1';
SELECT medsync.seal();
SQL
is( query($node, $db, "SELECT string_agg(row_key->>'id', ',' ORDER BY entry_index) FROM medsync.history('patient') WHERE new_row->>'version' = '10'"),
	'7,6', 'in the order in which they could be sealed');
is_clean($node, $db);

# Committed in another session and database state: by another session, after
# the table got a column
$node->safe_psql($db, "BEGIN; INSERT INTO patient VALUES (31, 'x', 1); PREPARE TRANSACTION 'p3'");
$node->safe_psql($db, 'CREATE TABLE unrelated (i int)');
$node->safe_psql($db, "COMMIT PREPARED 'p3'; ALTER TABLE patient ADD COLUMN note text; UPDATE patient SET note = 'n' WHERE id = 31");
seal_all($node, $db);
is_clean($node, $db);
is_replayable($node, $db, 'patient', 'after all');

# tracking in a prepared transaction: done, or refused; nothing in between
my ($state, $text) = sql_error($node, $db,
	"INSERT INTO untouched VALUES (2); BEGIN; SELECT medsync.track('untouched'); PREPARE TRANSACTION 'track';");
if ($state eq '')
{
	$node->safe_psql($db, "COMMIT PREPARED 'track'; INSERT INTO untouched VALUES (3)");
	is_replayable($node, $db, 'untouched', 'tracked by a prepared transaction');
}
else
{
	isnt($state, 'XX000', 'track() in a prepared transaction is refused properly') or diag($text);
}
seal_all($node, $db);
is_clean($node, $db, 'clean in the end');

is_quiet($node);
$node->stop;
done_testing();
