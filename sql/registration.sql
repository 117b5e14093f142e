-- Proves: registering works in every transaction and for owners without rights
-- on the ledger, and what would register a table twice or halfway is refused.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS medsync;
\set VERBOSITY terse
CREATE SCHEMA registration;
SET search_path = registration;

-- rows entered before track(), in the same transaction
BEGIN;
CREATE TABLE fresh (id int PRIMARY KEY, note text);
INSERT INTO fresh VALUES (1, 'before');
SELECT medsync.track('fresh', payload => 'hash');
INSERT INTO fresh VALUES (2, 'after');
SELECT severity, verdict, relation, row_key FROM medsync.verify('fresh') WHERE severity = 'error';
SELECT operation FROM medsync.history('fresh');
COMMIT;

-- an owner without rights on the ledger makes and attaches partitions
CREATE ROLE regress_medsync_owner;
GRANT USAGE, CREATE ON SCHEMA registration TO regress_medsync_owner;
CREATE TABLE visit (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
ALTER TABLE visit OWNER TO regress_medsync_owner;
SELECT medsync.track('visit', payload => 'hash');
SET ROLE regress_medsync_owner;
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE visit_2 (id int NOT NULL, day date NOT NULL, PRIMARY KEY (id, day));
INSERT INTO visit_2 VALUES (7, '2026-02-03');
ALTER TABLE visit ATTACH PARTITION visit_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO visit VALUES (8, '2026-01-05');
-- the trigger function serves the trigger that track() makes, no other
CREATE TRIGGER again AFTER INSERT ON visit_1 FOR EACH ROW EXECUTE FUNCTION medsync._capture();
INSERT INTO visit VALUES (9, '2026-01-06');
DROP TRIGGER again ON visit_1;
RESET ROLE;
SELECT operation, count(*) FROM medsync.history('visit') GROUP BY 1 ORDER BY 1;
SELECT severity, verdict, relation FROM medsync.verify('visit') WHERE severity = 'error';
BEGIN;
CREATE FOREIGN DATA WRAPPER regress_medsync_fdw;
CREATE SERVER regress_medsync_server FOREIGN DATA WRAPPER regress_medsync_fdw;
CREATE TABLE parted (id int) PARTITION BY LIST (id);
SELECT medsync.track('parted', payload => 'hash');
CREATE FOREIGN TABLE parted_1 PARTITION OF parted FOR VALUES IN (1) SERVER regress_medsync_server;
ROLLBACK;

-- a table that is tracked by itself does not become a partition
CREATE TABLE alone (id int NOT NULL, day date NOT NULL, PRIMARY KEY (id, day));
SELECT medsync.track('alone', payload => 'hash');
ALTER TABLE visit ATTACH PARTITION alone FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');
CREATE TABLE plain (id int, day date) PARTITION BY RANGE (day);
ALTER TABLE plain ATTACH PARTITION alone FOR VALUES FROM ('2026-03-01') TO ('2026-04-01');

-- many partitions at once
CREATE TABLE year (id int, day date) PARTITION BY LIST (id);
DO $$
BEGIN
	FOR i IN 1..40 LOOP
		EXECUTE format('CREATE TABLE year_%s PARTITION OF year FOR VALUES IN (%s)', i, i);
	END LOOP;
END $$;
INSERT INTO year SELECT i, '2026-05-01' FROM generate_series(1, 40) AS i;
CREATE TABLE years (id int, day date) PARTITION BY RANGE (day);
SELECT medsync.track('years', payload => 'hash');
ALTER TABLE years ATTACH PARTITION year FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
SELECT operation, count(*) FROM medsync.history('years') GROUP BY 1;
SELECT count(*) FROM medsync.tracked WHERE relation LIKE 'registration.year%';

-- a forged setting of the trigger function is found
BEGIN;
ALTER FUNCTION medsync._capture() SET role = 'pg_monitor';
SELECT severity, verdict FROM medsync.verify('fresh') WHERE severity = 'error';
ROLLBACK;
BEGIN;
ALTER FUNCTION medsync._guard_end() SECURITY DEFINER;
SELECT severity, verdict FROM medsync.verify('fresh') WHERE severity = 'error';
ROLLBACK;

-- what is not there
\set VERBOSITY sqlstate
SELECT medsync.track(4294967295);
SELECT medsync.untrack(4294967295);
SELECT medsync.history(4294967295);
SELECT * FROM medsync.verify(4294967295);
\set VERBOSITY terse

SELECT medsync.untrack('fresh'), medsync.untrack('visit'), medsync.untrack('alone'), medsync.untrack('years');
DROP SCHEMA registration CASCADE;
DROP ROLE regress_medsync_owner;
