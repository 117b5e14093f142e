-- A partitioned table is tracked as a whole: partitions that are there, that
-- come later, that are attached with rows, and partitions of partitions.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS medsync;
CREATE SCHEMA partitions;
SET search_path = partitions;
\pset format unaligned

CREATE FUNCTION attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	hint text;
BEGIN
	EXECUTE command;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN format('%s: %s', SQLSTATE, message) || coalesce(E'\n  HINT: ' || nullif(hint, ''), '');
END
$$;
CREATE VIEW findings AS
	SELECT severity, verdict, relation, row_key, detail FROM medsync.verify() WHERE severity <> 'notice';
CREATE VIEW tracked AS
	SELECT relation, partition_of, payload, subject, exclude FROM medsync.tracked
	WHERE relation ~ '^partitions\.';
-- tables whose triggers are not as they should be
CREATE VIEW unguarded AS
	SELECT c.relname, t.tgname, t.tgenabled FROM pg_class c LEFT JOIN pg_trigger t ON tgrelid = c.oid AND tgname ~ '^medsync'
	WHERE relnamespace = 'partitions'::regnamespace AND relname ~ '^m' AND relkind IN ('r', 'p')
	AND (tgname IS NULL OR tgenabled <> 'A' OR 2 <> (SELECT count(*) FROM pg_trigger WHERE tgrelid = c.oid AND tgname ~ '^medsync'));
-- a parent's history is that of its partitions
CREATE FUNCTION changes(relation regclass) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', operation, h.old_row::text, CASE WHEN h.old_row IS NOT NULL AND h.new_row IS NOT NULL THEN '->' END, h.new_row::text)
	FROM medsync.history(relation) WITH ORDINALITY AS h ORDER BY ordinality
$$;

--
-- Partitions that are there
--
CREATE TABLE m (id int, day date, patient text, note text, seen int DEFAULT 0, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE m_2024 PARTITION OF m FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY HASH (id);
CREATE TABLE m_2024_0 PARTITION OF m_2024 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE m_2024_1 PARTITION OF m_2024 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE m_default PARTITION OF m DEFAULT;
-- columns in another order, with a hole
CREATE TABLE m_2025 (note text, gone int, seen int, patient text, day date NOT NULL, id int NOT NULL);
ALTER TABLE m_2025 DROP COLUMN gone;
ALTER TABLE m ATTACH PARTITION m_2025 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO m SELECT i, d, 'P' || i, 'note' FROM generate_series(1, 2) i, unnest('{2024-05-05,2025-05-05,2030-05-05}'::date[]) d;
SELECT medsync.track('m', 'patient', 'full', '{seen}');
SELECT * FROM tracked ORDER BY relation COLLATE "C";
SELECT * FROM unguarded;
SELECT operation, count(*) FROM medsync.history('m') GROUP BY 1 ORDER BY 1;
SELECT operation, count(*) FROM medsync.history('m_2024') GROUP BY 1 ORDER BY 1;
SELECT operation, row_key, new_row FROM medsync.history('m_2025') ORDER BY row_key;
SELECT operation, row_key FROM medsync.history('m', '{"id": 1, "day": "2030-05-05"}');
SELECT count(*) FROM medsync.as_of(NULL::m, 'infinity');
SELECT * FROM medsync.as_of(NULL::m_2025, 'infinity') ORDER BY id;
SELECT tables, rows, errors FROM medsync.verify_summary('m');
SELECT tables, rows, errors FROM medsync.verify_summary('m_2024');
SELECT tables, rows, errors FROM medsync.verify_summary('m_2025');
SELECT * FROM findings;
-- excluded columns are excluded everywhere
UPDATE m SET seen = 1;
SELECT count(*), count(changed_columns), count(new_row->'seen') FROM medsync.history('m') WHERE operation = 'update';

--
-- Rows that move
--
UPDATE m SET day = '2025-06-06' WHERE id = 1 AND day = '2024-05-05';
UPDATE m SET day = '2024-06-06' WHERE id = 2 AND day = '2030-05-05';
UPDATE m SET id = 3 WHERE id = 1 AND day = '2030-05-05';
SELECT changes('m') OFFSET 12;
SELECT operation, row_key FROM medsync.history('m', '{"id": 1, "day": "2025-06-06"}');
SELECT * FROM findings;

--
-- Partitions that come later
--
CREATE TABLE m_2026 PARTITION OF m FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO m VALUES (10, '2026-01-01', 'P10');
INSERT INTO m_2026 VALUES (11, '2026-01-02', 'P11');
CREATE TABLE m_2027 PARTITION OF m FOR VALUES FROM ('2027-01-01') TO ('2028-01-01') PARTITION BY LIST (id);
CREATE TABLE m_2027_1 PARTITION OF m_2027 FOR VALUES IN (1);
INSERT INTO m VALUES (1, '2027-01-01', 'P1');
-- attached without rows
CREATE TABLE m_2028 (LIKE m);
ALTER TABLE m ATTACH PARTITION m_2028 FOR VALUES FROM ('2028-01-01') TO ('2029-01-01');
INSERT INTO m VALUES (1, '2028-01-01', 'P1');
-- attached with rows: they are a baseline
CREATE TABLE m_2029 (patient text, id int NOT NULL, seen int, note text, day date NOT NULL);
INSERT INTO m_2029 VALUES ('P1', 1, 0, 'here before', '2029-01-01'), (NULL, 2, 0, NULL, '2029-01-02');
ALTER TABLE m ATTACH PARTITION m_2029 FOR VALUES FROM ('2029-01-01') TO ('2030-01-01');
UPDATE m SET note = 'since' WHERE day = '2029-01-01';
-- a partitioned table with partitions and rows
CREATE TABLE m_old (LIKE m) PARTITION BY LIST (id);
CREATE TABLE m_old_1 PARTITION OF m_old FOR VALUES IN (1);
CREATE TABLE m_old_2 PARTITION OF m_old FOR VALUES IN (2) PARTITION BY LIST (id);
CREATE TABLE m_old_2_2 PARTITION OF m_old_2 FOR VALUES IN (2);
INSERT INTO m_old VALUES (1, '2000-01-01', 'P1'), (2, '2000-01-01', 'P2');
ALTER TABLE m ATTACH PARTITION m_old FOR VALUES FROM (MINVALUE) TO ('2001-01-01');
SELECT relation, partition_of FROM tracked ORDER BY relation COLLATE "C";
SELECT * FROM unguarded;
SELECT changes('m_2026');
SELECT changes('m_2027');
SELECT changes('m_2028');
SELECT changes('m_2029');
SELECT changes('m_old') ORDER BY 1;
SELECT count(*) = (SELECT count(*) FROM m) FROM medsync.as_of(NULL::m, 'infinity');
SELECT * FROM findings;
-- in one transaction, undone in part
BEGIN;
CREATE TABLE m_2031 PARTITION OF m FOR VALUES FROM ('2031-01-01') TO ('2032-01-01');
INSERT INTO m VALUES (1, '2031-01-01', 'P1');
SAVEPOINT s;
CREATE TABLE m_2032 PARTITION OF m FOR VALUES FROM ('2032-01-01') TO ('2033-01-01');
INSERT INTO m VALUES (1, '2032-01-01', 'P1');
ROLLBACK TO s;
INSERT INTO m VALUES (2, '2032-01-01', 'P2');
CREATE TABLE m_2033 PARTITION OF m FOR VALUES FROM ('2033-01-01') TO ('2034-01-01');
INSERT INTO m VALUES (1, '2033-01-01', 'P1');
COMMIT;
SELECT changes('m_2031');
SELECT changes('m_2033');
SELECT * FROM findings;

--
-- Refused
--
SELECT attempt('CREATE UNLOGGED TABLE bad PARTITION OF m FOR VALUES FROM (''2040-01-01'') TO (''2041-01-01'')');
CREATE TABLE tracked_alone (LIKE m);
SELECT medsync.track('tracked_alone', 'patient');
SELECT attempt('ALTER TABLE m ATTACH PARTITION tracked_alone FOR VALUES FROM (''2040-01-01'') TO (''2041-01-01'')') !~ '^done' AS refused;
SELECT attempt('SELECT medsync.track(''m_2026'')');
SELECT attempt('SELECT medsync.untrack(''m_2026'')');
SELECT attempt('TRUNCATE m_2026');
SELECT left(attempt('ALTER TABLE m DETACH PARTITION m_2026'), 6);
SELECT left(attempt('DROP TABLE m_2026'), 6);
SELECT * FROM findings;

--
-- DETACH: after untrack only; then each goes its own way
--
SELECT height IS NOT NULL AS sealed FROM medsync.seal();
SELECT * FROM findings;
SELECT medsync.untrack('m');
SELECT count(*) FROM tracked WHERE relation ~ '\.m';
SELECT count(*) FROM pg_trigger WHERE tgname ~ '^medsync' AND tgrelid IN (SELECT oid FROM pg_class WHERE relname ~ '^m' AND relnamespace = 'partitions'::regnamespace);
ALTER TABLE m DETACH PARTITION m_2026;
UPDATE m SET note = 'unseen';
SELECT * FROM findings;
-- the whole is tracked again, under new numbers; what was detached, by itself
SELECT medsync.track('m', 'patient', 'hash');
SELECT medsync.track('m_2026', 'patient');
INSERT INTO m_2026 VALUES (12, '2026-01-03', 'P12');
UPDATE m SET note = 'seen again' WHERE id = 1;
SELECT operation, count(*) FROM medsync.history('m') GROUP BY 1 ORDER BY 1;
SELECT changes('m_2026');
SELECT * FROM findings;
-- and a table with a past of its own can join after it was let go
SELECT medsync.untrack('m_2026');
ALTER TABLE m ATTACH PARTITION m_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
UPDATE m SET note = 'back' WHERE day = '2026-01-03';
SELECT operation, count(*) FROM medsync.history('m_2026') GROUP BY 1 ORDER BY 1;
SELECT height IS NOT NULL AS sealed FROM medsync.seal();
SELECT * FROM findings;

--
-- Without a key; with columns that come later
--
CREATE TABLE k (id int, v text) PARTITION BY LIST (id);
CREATE TABLE k_1 PARTITION OF k FOR VALUES IN (1);
CREATE TABLE k_2 (v text, id int);
ALTER TABLE k ATTACH PARTITION k_2 FOR VALUES IN (2);
SELECT medsync.track('k');
INSERT INTO k VALUES (1, 'a'), (1, 'a'), (2, 'a');
ALTER TABLE k ADD COLUMN later text;
ALTER TABLE k RENAME v TO w;
UPDATE k SET later = 'x', id = 3 - id;
CREATE TABLE k_3 PARTITION OF k FOR VALUES IN (3);
INSERT INTO k VALUES (3, 'b', 'y');
ALTER TABLE k_3 RENAME TO k_three;
ALTER TABLE k_2 ADD CHECK (id = 2);
SELECT changes('k');
SELECT * FROM medsync.as_of(NULL::k, 'infinity') ORDER BY id, w;
SELECT * FROM findings;

SELECT count(medsync.untrack(t)) FROM unnest('{m,k,tracked_alone}'::regclass[]) AS t;
DROP SCHEMA partitions CASCADE;
