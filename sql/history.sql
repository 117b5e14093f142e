--
-- history() and as_of(): what the ledger says about a table.
--
-- Other tests share this ledger, so that indexes and heights are compared,
-- never printed.  Entries that only announce a table's shape ("ddl") are left
-- out unless they are what is shown.
--
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS medsync;
CREATE ROLE regress_medsync_reader;
CREATE ROLE regress_medsync_auditor IN ROLE medsync_auditor;
CREATE SCHEMA history_test;
GRANT USAGE ON SCHEMA history_test TO regress_medsync_reader, regress_medsync_auditor;
SET search_path = history_test;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';
RESET client_min_messages;

--
-- The life of a few rows
--
CREATE TABLE patient (id int PRIMARY KEY, name text, weight numeric, born date);
INSERT INTO patient VALUES (1, 'Ada', 60.5, '1950-01-01'), (2, 'Bob', 80, NULL);
SELECT medsync.track('patient', subject => 'id');
SELECT operation, role = current_user AS by_me, actor, row_key, old_row, new_row, changed_columns FROM medsync.history('patient') WHERE operation <> 'ddl';

UPDATE patient SET weight = 61, name = name WHERE id = 1;
UPDATE patient SET weight = 61.0 WHERE id = 1;
UPDATE patient SET weight = weight WHERE id = 1;
DELETE FROM patient WHERE id = 2;
INSERT INTO patient VALUES (2, 'Bea');
SELECT operation, row_key, old_row, new_row, changed_columns FROM medsync.history('patient') WHERE operation NOT IN ('ddl', 'baseline');
SELECT operation, row_key, old_row->>'weight' AS was, new_row->>'weight' AS is FROM medsync.history('patient', '{"id": 1}');

-- not sealed, sealed, and in the order of the ledger
SELECT bool_or(entry_index IS NOT NULL OR block IS NOT NULL) AS sealed FROM medsync.history('patient');
SELECT height IS NOT NULL AS sealed FROM medsync.seal();
SELECT bool_and(entry_index IS NOT NULL AND block IS NOT NULL) AS sealed FROM medsync.history('patient');
SELECT entry_index > lag(entry_index) OVER () AS ascending, block = lag(block) OVER () AS same_block, at >= lag(at) OVER () AS later, operation FROM medsync.history('patient') WHERE operation <> 'ddl';
SELECT count(*) AS not_in_their_block
FROM medsync.history('patient') h JOIN medsync._block b ON b.height = h.block
WHERE h.entry_index < b.first_index OR h.entry_index >= b.first_index + b.entry_count;

-- our own transaction, with what is not rolled back
BEGIN;
UPDATE patient SET name = 'Ada L.' WHERE id = 1;
SAVEPOINT a;
UPDATE patient SET name = 'lost' WHERE id = 1;
SELECT operation, new_row->>'name' AS name, block IS NOT NULL AS sealed FROM medsync.history('patient', '{"id": 1}');
ROLLBACK TO a;
DELETE FROM patient WHERE id = 2;
SELECT operation, row_key, new_row->>'name' AS name, block IS NOT NULL AS sealed FROM medsync.history('patient') WHERE operation <> 'ddl';
SELECT * FROM medsync.as_of(NULL::patient, 'infinity');
-- what a statement does, it does not see itself
WITH i AS (INSERT INTO patient VALUES (9) RETURNING id)
SELECT count(h.*) FROM i, medsync.history('patient', '{"id": 9}') h;
SELECT count(*) FROM medsync.history('patient', '{"id": 9}');
ROLLBACK;
SELECT operation, row_key, new_row->>'name' AS name FROM medsync.history('patient', '{"id": 2}');

-- an old snapshot, and a standby's kind of transaction
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT count(*) FROM medsync.history('patient') WHERE operation <> 'ddl';
SELECT count(*) FROM medsync.as_of(NULL::patient, 'infinity');
COMMIT;

-- a trigger that changes rows again, and reads the history meanwhile
CREATE TABLE step (id int PRIMARY KEY, n int, seen int);
CREATE FUNCTION step_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.n < 4 THEN
		UPDATE step SET n = n + 1, seen = (SELECT count(*) FROM medsync.history('step', '{"id": 1}')) WHERE id = NEW.id;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER a_before_ours AFTER INSERT OR UPDATE ON step FOR EACH ROW EXECUTE FUNCTION step_on();
CREATE TRIGGER z_after_ours AFTER INSERT OR UPDATE ON step FOR EACH ROW EXECUTE FUNCTION step_on();
SELECT medsync.track('step', subject => 'id');
INSERT INTO step VALUES (1, 1);
SELECT operation, old_row->>'n' AS was, new_row->>'n' AS is FROM medsync.history('step') WHERE operation <> 'ddl';
SELECT bool_and(old_row IS NOT DISTINCT FROM before) AS linked
FROM (SELECT old_row, lag(new_row) OVER () AS before FROM medsync.history('step', '{"id": 1}')) h;

--
-- The key
--
CREATE TABLE visit (ward varchar(8), day date, note text, PRIMARY KEY (day, ward));
SELECT medsync.track('visit', subject => 'ward');
INSERT INTO visit VALUES ('A', '2026-01-02', 'first'), ('B', '2026-01-02', NULL);
SELECT operation, row_key FROM medsync.history('visit', '{"ward": "A", "day": "2026-01-02"}');
SELECT operation, row_key FROM medsync.history('visit', '{"day": "Jan 2, 2026", "ward": "B"}');
SELECT count(*) FROM medsync.history('visit', '{"ward": "C", "day": "2026-01-02"}');
SELECT count(*) FROM medsync.history('visit') h, medsync.history('visit', h.row_key) WHERE h.row_key IS NOT NULL;
SELECT * FROM medsync.history('visit', '{"ward": "A"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM medsync.history('visit', '{"ward": null, "day": "2026-01-02"}');
SELECT * FROM medsync.history('visit', '{"ward": "A", "day": "2026-01-02", "note": "first"}');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM medsync.history('visit', '{"ward": "A", "day": "some day"}');
SELECT * FROM medsync.history('visit', '["A", "2026-01-02"]');
SELECT * FROM medsync.history('visit', '7');
SELECT count(*) FROM medsync.history('visit', NULL) WHERE operation <> 'ddl';

--
-- Changes of key and subject are linked pairs; new names, new columns
--
CREATE TABLE person (id int PRIMARY KEY, who text, dropped int, name text, seen_at int, twice int GENERATED ALWAYS AS (id * 2) STORED);
ALTER TABLE person DROP COLUMN dropped;
SELECT medsync.track('person', subject => 'who', exclude => '{seen_at}');
INSERT INTO person VALUES (1, 'a', 'one', 10), (5, 'e', 'five', 50);
UPDATE person SET id = 2 WHERE id = 1;
UPDATE person SET who = 'b' WHERE id = 2;
UPDATE person SET seen_at = 11 WHERE id = 2;
ALTER TABLE person ADD COLUMN "Phone no." text;
ALTER TABLE person RENAME COLUMN name TO full_name;
ALTER TABLE person RENAME TO "Person";
UPDATE "Person" SET "Phone no." = '1' WHERE id = 2;
UPDATE "Person" SET full_name = 'two', "Phone no." = NULL WHERE id = 2;
SELECT operation, row_key, old_row, new_row, changed_columns FROM medsync.history('"Person"') WHERE operation <> 'ddl';
SELECT operation, old_row->>'full_name' AS was, new_row->>'full_name' AS is FROM medsync.history('"Person"', '{"id": 2}');
SELECT operation, old_row->>'full_name' AS was, new_row->>'full_name' AS is FROM medsync.history('"Person"', '{"id": 1}');
SELECT * FROM medsync.as_of(NULL::"Person", 'infinity');
SELECT * FROM medsync.history('person');

-- rows look as the session prints them, whatever the settings were
CREATE TYPE mood AS ENUM ('fine', 'bad');
CREATE TYPE dose AS (amount numeric, unit text);
CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
CREATE TABLE various (
	id int PRIMARY KEY, b boolean, f float8, n numeric(8, 3), c char(4), y bytea, t timestamptz, i interval,
	j json, jb jsonb, m mood, a int[], d dose, da dose[], p percent, r daterange, u uuid, bits bit(3), inet inet);
SELECT medsync.track('various', subject => 'id');
SET timezone = 'Asia/Tokyo';
SET datestyle = 'German';
SET extra_float_digits = -2;
SET bytea_output = escape;
INSERT INTO various VALUES (
	1, true, 0.1 + 0.2, 1.5, 'ab', '\x00ff', '2026-01-01 12:00+00', '1 mon 02:00',
	'{"b": 1,  "a": [1.50]}', '{"b": 1, "a": [1.50, null]}', 'bad', '[2:3]={1,NULL}', (5.0, 'mg'), ARRAY[(1, NULL)::dose, NULL], 7,
	'[2026-01-01,2026-01-31]', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '101', '10.0.0.1/8');
INSERT INTO various (id, f, n, t, a) VALUES (2, '-Infinity', 'NaN', 'infinity', '{}');
SELECT h.new_row = to_jsonb(v) AS same FROM medsync.history('various') h JOIN various v ON v.id = (h.row_key->>'id')::int;
RESET timezone;
SET timezone = 'UTC';
SET datestyle = 'ISO, MDY';
RESET extra_float_digits;
RESET bytea_output;
SELECT jsonb_pretty(new_row) FROM medsync.history('various', '{"id": 1}');
SELECT h.new_row = to_jsonb(v) AS same FROM medsync.history('various') h JOIN various v ON v.id = (h.row_key->>'id')::int;
SELECT count(*) FROM (SELECT v::text FROM medsync.as_of(NULL::various, 'infinity') v EXCEPT SELECT v::text FROM various v) d;
ALTER TYPE mood RENAME TO feeling;
ALTER TYPE dose SET SCHEMA public;
SELECT h.new_row = to_jsonb(v) AS same FROM medsync.history('various') h JOIN various v ON v.id = (h.row_key->>'id')::int;

-- a row that fits no packed row
CREATE TABLE scan (id int PRIMARY KEY, picture bytea, label text);
ALTER TABLE scan ALTER picture SET STORAGE EXTERNAL;
SELECT medsync.track('scan', subject => 'id');
INSERT INTO scan SELECT 1, string_agg(sha256(i::text::bytea), ''), 'large' FROM generate_series(1, 50000) i;
UPDATE scan SET label = 'still large';
SELECT operation, changed_columns, length(new_row->>'picture') AS length, old_row->'picture' = new_row->'picture' AS same FROM medsync.history('scan', '{"id": 1}');
SELECT label, picture = (SELECT picture FROM scan) AS same FROM medsync.as_of(NULL::scan, 'infinity');

--
-- as_of
--
CREATE TABLE bed (id int PRIMARY KEY, patient int, note text);
INSERT INTO bed VALUES (1, 10, 'there before');
SELECT clock_timestamp() AS before \gset
SELECT pg_sleep(0.01);
SELECT medsync.track('bed', subject => 'patient');
SELECT pg_sleep(0.01), clock_timestamp() AS tracked \gset
INSERT INTO bed VALUES (2, 20, 'new'), (3, 30, NULL);
UPDATE bed SET patient = 11 WHERE id = 1;
SELECT pg_sleep(0.01), clock_timestamp() AS filled \gset
DELETE FROM bed WHERE id = 2;
UPDATE bed SET id = 4, note = 'moved' WHERE id = 3;
SELECT pg_sleep(0.01), clock_timestamp() AS moved \gset
ALTER TABLE bed ADD COLUMN room text;
UPDATE bed SET room = 'r' WHERE id = 1;
SELECT * FROM medsync.as_of(NULL::bed, :'before');
SELECT * FROM medsync.as_of(NULL::bed, :'tracked');
SELECT * FROM medsync.as_of(NULL::bed, :'filled');
SELECT height IS NOT NULL AS sealed FROM medsync.seal();
SELECT * FROM medsync.as_of(NULL::bed, :'filled');
SELECT * FROM medsync.as_of(NULL::bed, :'moved');
SELECT * FROM medsync.as_of(NULL::bed, 'infinity');
SELECT * FROM medsync.as_of(NULL::bed, '-infinity');
SELECT * FROM medsync.as_of(NULL::bed, NULL);
SELECT medsync.as_of(b, :'filled') FROM bed b WHERE id = 1;
SELECT a.id, l.id AS now FROM medsync.as_of(NULL::bed, :'filled') a FULL JOIN bed l USING (patient) ORDER BY 1, 2;
SELECT * FROM medsync.as_of(NULL::int, now());
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM medsync.as_of(NULL::public.dose, now());
CREATE VIEW bed_view AS SELECT * FROM bed;
SELECT * FROM medsync.as_of(NULL::bed_view, now());
DROP VIEW bed_view;

--
-- Commitments only, no primary key, no columns
--
CREATE TABLE lab (id int PRIMARY KEY, patient int, value text);
SELECT medsync.track('lab', subject => 'patient', payload => 'hash');
INSERT INTO lab VALUES (1, 1, 'positive');
UPDATE lab SET value = 'negative';
SELECT operation, row_key, old_row, new_row, changed_columns FROM medsync.history('lab') WHERE operation <> 'ddl';
SELECT operation FROM medsync.history('lab', '{"id": 1}');
SELECT * FROM medsync.as_of(NULL::lab, now());
\echo :LAST_ERROR_SQLSTATE

CREATE TABLE loose (a int, b text);
INSERT INTO loose VALUES (1, 'x'), (1, 'x'), (NULL, NULL);
SELECT medsync.track('loose', subject => 'a');
DELETE FROM loose WHERE ctid = '(0,1)';
UPDATE loose SET b = 'y' WHERE a IS NULL;
SELECT operation, row_key, old_row, new_row, changed_columns FROM medsync.history('loose') WHERE operation <> 'ddl';
SELECT * FROM medsync.as_of(NULL::loose, 'infinity');
SELECT * FROM medsync.history('loose', '{"a": 1}');
\echo :LAST_ERROR_SQLSTATE

SET client_min_messages = error;
CREATE TABLE nothing ();
SELECT medsync.track('nothing');
RESET client_min_messages;
INSERT INTO nothing DEFAULT VALUES;
SELECT operation, row_key, old_row, new_row FROM medsync.history('nothing') WHERE operation <> 'ddl';
SELECT count(*) FROM medsync.as_of(NULL::nothing, 'infinity');

--
-- Partitions: a parent shows those of all, a row that moves is two
--
CREATE TABLE event (id int, day date, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE event_2 (note text, gone int, day date NOT NULL, id int NOT NULL);
ALTER TABLE event_2 DROP COLUMN gone;
ALTER TABLE event ATTACH PARTITION event_2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO event VALUES (1, '2026-01-01', 'a'), (2, '2026-02-02', 'b');
SELECT medsync.track('event', subject => 'id');
UPDATE event SET day = '2026-02-01' WHERE id = 1;
CREATE TABLE event_3 PARTITION OF event FOR VALUES FROM ('2026-03-01') TO ('2026-04-01') PARTITION BY LIST (id);
CREATE TABLE event_3_all PARTITION OF event_3 DEFAULT;
UPDATE event SET day = '2026-03-02' WHERE id = 2;
UPDATE event SET note = note || '!';
SELECT operation, row_key, old_row->>'note' AS was, new_row->>'note' AS is, changed_columns FROM medsync.history('event') WHERE operation <> 'ddl';
SELECT operation, row_key, old_row->>'note' AS was, new_row->>'note' AS is, changed_columns FROM medsync.history('event', '{"id": 1, "day": "2026-02-01"}');
SELECT operation, row_key, old_row->>'note' AS was, new_row->>'note' AS is, changed_columns FROM medsync.history('event_1') WHERE operation <> 'ddl';
SELECT operation, row_key, old_row->>'note' AS was, new_row->>'note' AS is, changed_columns FROM medsync.history('event_3') WHERE operation <> 'ddl';
SELECT * FROM medsync.as_of(NULL::event, 'infinity');
SELECT * FROM medsync.as_of(NULL::event_2, 'infinity');
SELECT * FROM medsync.as_of(NULL::event_3, 'infinity');

--
-- Looking rows up in more than one segment of the ledger
--
CREATE TABLE many (id int PRIMARY KEY, n int);
INSERT INTO many SELECT i, i FROM generate_series(1, 70000) i;
SELECT medsync.track('many', subject => 'n', payload => 'hash');
SELECT height IS NOT NULL AS sealed FROM medsync.seal();
UPDATE many SET n = -n WHERE id % 10000 = 7;
SELECT height IS NOT NULL AS sealed FROM medsync.seal();
DELETE FROM many WHERE id = 20007;
SELECT id, string_agg(operation, ', ') AS operations, bool_and(h.entry_index = a.entry_index) AS as_in_all
FROM (SELECT unnest('{1,7,10000,20007,65535,65536,65537,70000,70001}'::int[]) AS id) i
LEFT JOIN LATERAL medsync.history('many', jsonb_build_object('id', i.id)) h ON true
LEFT JOIN (SELECT entry_index FROM medsync.history('many')) a USING (entry_index)
GROUP BY id ORDER BY id;
SELECT count(*) FROM medsync.history('many') WHERE operation <> 'ddl';

--
-- Who may read
--
SET ROLE regress_medsync_reader;
SELECT * FROM medsync.history('patient');
SELECT * FROM medsync.as_of(NULL::patient, now());
RESET ROLE;
GRANT SELECT (id, name, weight) ON patient TO regress_medsync_reader;
SET ROLE regress_medsync_reader;
SELECT * FROM medsync.history('patient', '{"id": 1}');
RESET ROLE;
GRANT SELECT (born) ON patient TO regress_medsync_reader;
GRANT SELECT ON event TO regress_medsync_reader;
SET ROLE regress_medsync_reader;
SELECT operation, new_row FROM medsync.history('patient', '{"id": 2}');
SELECT * FROM medsync.as_of(NULL::patient, 'infinity');
SELECT count(*) FROM medsync.history('event') WHERE operation <> 'ddl';
SELECT count(*) FROM medsync.history('event_1');
SELECT count(*) FROM medsync._journal;
RESET ROLE;
-- where a policy could hide rows, only auditors
ALTER TABLE patient ENABLE ROW LEVEL SECURITY;
SET ROLE regress_medsync_reader;
SELECT * FROM medsync.history('patient', '{"id": 2}');
\echo :LAST_ERROR_SQLSTATE
SET row_security = off;
SELECT * FROM medsync.as_of(NULL::patient, now());
RESET row_security;
SET ROLE regress_medsync_auditor;
SELECT operation, new_row FROM medsync.history('patient', '{"id": 2}');
SELECT * FROM medsync.as_of(NULL::patient, 'infinity');
RESET ROLE;
ALTER TABLE patient DISABLE ROW LEVEL SECURITY;

--
-- What is not there
--
SELECT * FROM medsync.history(NULL);
SELECT * FROM medsync.history(0);
SELECT * FROM medsync.history('pg_class');
\echo :LAST_ERROR_SQLSTATE
CREATE TABLE plain (id int PRIMARY KEY);
SELECT * FROM medsync.history('plain');
SELECT * FROM medsync.as_of(NULL::plain, now());

-- rows whose keys are gone; the journal without a row
BEGIN;
DO $$BEGIN DELETE FROM medsync._subject_key; END$$;
SELECT operation, row_key, old_row, new_row FROM medsync.history('patient') WHERE operation <> 'ddl';
SELECT * FROM medsync.as_of(NULL::patient, now());
SELECT * FROM medsync.history('patient', '{"id": 1}');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN;
DO $$BEGIN DELETE FROM medsync._journal WHERE xid = (SELECT min(xid::text::int8)::text::xid8 FROM medsync._journal); END$$;
SELECT * FROM medsync.history('patient');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
-- an image that was altered shows nothing at all
CREATE TABLE single (id int PRIMARY KEY, v text);
SELECT medsync.track('single', subject => 'id');
INSERT INTO single VALUES (1, 'x');
BEGIN;
DO $$BEGIN UPDATE medsync._journal SET body = set_byte(body, length(body) - 1, get_byte(body, length(body) - 1) # 1); END$$;
SELECT operation, row_key, old_row, new_row FROM medsync.history('single') WHERE operation <> 'ddl';
SELECT * FROM medsync.as_of(NULL::single, 'infinity');
ROLLBACK;
SELECT operation, row_key, old_row, new_row FROM medsync.history('single') WHERE operation <> 'ddl';

-- untracked since: a name proves nothing, so that only auditors may look
SELECT medsync.untrack('patient');
SELECT count(*) > 0 AS still_there FROM medsync.history('patient');
SET ROLE regress_medsync_reader;
SELECT * FROM medsync.history('patient');
\echo :LAST_ERROR_SQLSTATE
SET ROLE regress_medsync_auditor;
SELECT count(*) > 0 AS still_there FROM medsync.history('patient', '{"id": 1}');
RESET ROLE;
DROP TABLE patient;
CREATE TABLE patient (id text PRIMARY KEY, name text);
INSERT INTO patient VALUES ('x', 'another');
SELECT operation, new_row->>'name' AS name FROM medsync.history('patient', '{"id": 2}');
SELECT medsync.track('patient', subject => 'id');
SELECT operation, row_key, new_row FROM medsync.history('patient') WHERE operation <> 'ddl';

-- the entries that announce a table's shape
SELECT operation, row_key, old_row, new_row FROM medsync.history('nothing');

--
-- Leave nothing behind
--
SET client_min_messages = warning;
SELECT count(medsync.untrack(format('%I.%I', nspname, relname)::regclass)) AS untracked
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname = 'history_test' AND relkind IN ('r', 'p') AND NOT relispartition AND relname <> 'plain';
DROP SCHEMA history_test CASCADE;
DROP TYPE public.dose;
DROP ROLE regress_medsync_reader, regress_medsync_auditor;
