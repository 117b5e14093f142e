-- What verify() finds, under which verdict and where; what it does not find,
-- because nothing is wrong; and that it says the same from any size on.
-- Attacks are a superuser's, each in a transaction that is rolled back.  In a
-- database of its own, since it verifies often.
\set here :DBNAME
CREATE DATABASE regress_medsync_verify TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_medsync_verify
SET client_min_messages = error;
CREATE EXTENSION medsync;
CREATE SCHEMA verify;
SET search_path = verify;
\pset format unaligned

CREATE TABLE patient (id int PRIMARY KEY, name text, weight numeric);
CREATE TABLE hashed (id int PRIMARY KEY, patient int, value text);
CREATE TABLE keyless (patient int, value text);
CREATE TABLE visit (id int, day int, patient int, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM (0) TO (10);
CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM (10) TO (20);
CREATE TABLE visit_3 (id int NOT NULL, day int NOT NULL, patient int, note text);
INSERT INTO visit_3 VALUES (1, 25, 1, 'smuggled');
INSERT INTO patient VALUES (1, 'Anna', 60), (2, 'Bea', 70);
SELECT medsync.track('patient', 'id');
SELECT medsync.track('hashed', 'patient', 'hash');
SELECT medsync.track('keyless', 'patient');
SELECT medsync.track('visit', 'patient');
SELECT size AS first_size FROM medsync.seal() \gset
INSERT INTO patient VALUES (3, 'Cleo', 80);
INSERT INTO hashed SELECT i, i, 'value' FROM generate_series(1, 3) i;
INSERT INTO keyless VALUES (1, 'once'), (2, 'twice'), (2, 'twice');
INSERT INTO visit SELECT i, 3 * i, i, 'note' FROM generate_series(1, 3) i;
INSERT INTO patient SELECT 4, repeat(md5('x'), 10000), NULL;
SELECT size AS second_size FROM medsync.seal() \gset
UPDATE patient SET weight = weight + 1 WHERE id = 1;
DELETE FROM patient WHERE id = 2;
UPDATE visit SET day = 12 WHERE id = 1;
SELECT size AS size FROM medsync.seal() \gset
-- these wait for the sealer
INSERT INTO patient VALUES (5, 'Edda', 90);
UPDATE hashed SET value = 'later' WHERE id = 3;

-- Findings, but for the notice that something waits.  Where a block or an
-- entry is named, that it is named.
CREATE VIEW found AS
	SELECT severity, verdict, relation, row_key,
		concat_ws(' ', CASE WHEN block IS NOT NULL THEN 'block' END, CASE WHEN entry_index IS NOT NULL THEN 'entry' END) AS place
	FROM medsync.verify() WHERE verdict <> 'unsealed' ORDER BY 1, 2, 3, 4, 5;
CREATE VIEW verdicts AS SELECT string_agg(DISTINCT verdict, ', ' ORDER BY verdict) AS verdicts FROM medsync.verify() WHERE severity <> 'notice';
CREATE PROCEDURE past(name regclass, VARIADIC commands text[]) LANGUAGE plpgsql AS $$
DECLARE
	command text;
	event_triggers text[] := ARRAY(SELECT evtname FROM pg_event_trigger WHERE evtname ~ '^medsync');
	trigger name;
BEGIN
	FOREACH command IN ARRAY event_triggers LOOP
		EXECUTE format('ALTER EVENT TRIGGER %I DISABLE', command);
	END LOOP;
	EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', name);
	FOREACH command IN ARRAY commands LOOP
		EXECUTE command;
	END LOOP;
	FOR trigger IN SELECT tgname FROM pg_trigger WHERE tgrelid = name AND NOT tgisinternal LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', name, trigger);
	END LOOP;
	FOREACH command IN ARRAY event_triggers LOOP
		EXECUTE format('ALTER EVENT TRIGGER %I ENABLE ALWAYS', command);
	END LOOP;
END
$$;

--
-- Nothing is wrong
--
TABLE found;
SELECT severity, verdict, relation, found, detail FROM medsync.verify();
SELECT entries - :size AS unsealed, unsealed, blocks, tables, rows, errors, warnings, seconds > 0 AS seconds FROM medsync.verify_summary();
SELECT tables, rows FROM medsync.verify_summary('patient');
SELECT tables, rows FROM medsync.verify_summary('visit');
SELECT tables, rows FROM medsync.verify_summary('visit_2');
SELECT tables, rows FROM medsync.verify_summary('hashed', :size);
-- from any size on
SELECT n, v.* FROM generate_series(0, :size) n, medsync.verify(NULL, n) v WHERE severity <> 'notice';
SELECT severity, verdict, (expected::bigint = n) AS expected, found::bigint = :size AS found FROM unnest(ARRAY[:size + 1, 9223372036854775807]) n, medsync.verify(NULL, n) v WHERE severity <> 'notice';
-- in a transaction that writes, before and after savepoints, and after a command that failed
BEGIN;
INSERT INTO patient VALUES (10, 'J', 1);
TABLE found;
UPDATE patient SET weight = 2 WHERE id IN (1, 10);
SAVEPOINT s;
DELETE FROM hashed;
INSERT INTO keyless VALUES (3, 'x');
TABLE found;
ROLLBACK TO s;
TABLE found;
UPDATE visit SET day = day + 1;
TABLE found;
INSERT INTO hashed VALUES (1);
ROLLBACK TO s;
TABLE found;
SELECT errors FROM medsync.verify_summary('patient', :second_size);
ROLLBACK;
TABLE found;
-- in a transaction that tracks, changes the shape and lets go
BEGIN;
CREATE TABLE fresh (id int PRIMARY KEY, v text);
SELECT medsync.track('fresh', 'id');
TABLE found;
INSERT INTO fresh VALUES (1), (2);
ALTER TABLE fresh ADD COLUMN w text;
UPDATE fresh SET w = 'x';
TABLE found;
ALTER TABLE fresh RENAME TO fresher;
ALTER TABLE fresher RENAME w TO x;
DELETE FROM fresher WHERE id = 1;
TABLE found;
SELECT medsync.untrack('fresher');
TRUNCATE fresher;
TABLE found;
DROP TABLE fresher;
TABLE found;
ROLLBACK;
-- at every isolation level, read only, in a cursor, in a function
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;
TABLE found;
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(*) FROM patient;
UPDATE patient SET weight = 0 WHERE id = 3;
TABLE found;
DECLARE c CURSOR FOR TABLE found;
UPDATE patient SET weight = 1 WHERE id = 3;
FETCH ALL FROM c;
ROLLBACK;
-- it shows no rows to those who may not see them
CREATE ROLE regress_medsync_auditor IN ROLE medsync_auditor;
ALTER TABLE patient ENABLE ROW LEVEL SECURITY;
ALTER TABLE patient FORCE ROW LEVEL SECURITY;
SET ROLE regress_medsync_auditor;
SELECT severity, verdict FROM medsync.verify() WHERE severity <> 'notice';
RESET ROLE;
ALTER TABLE patient NO FORCE ROW LEVEL SECURITY;
ALTER TABLE patient DISABLE ROW LEVEL SECURITY;
DROP ROLE regress_medsync_auditor;
-- not in a trigger, where not all is recorded yet
CREATE FUNCTION verifying() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM medsync.verify(); RETURN NULL; END';
BEGIN;
CREATE TRIGGER verifying AFTER INSERT ON patient FOR EACH ROW EXECUTE FUNCTION verifying();
INSERT INTO patient VALUES (11, 'K', 1);
ROLLBACK;

--
-- Live rows
--
BEGIN; CALL past('patient', 'UPDATE patient SET weight = 1 WHERE id = 1'); TABLE found; ROLLBACK;
BEGIN; CALL past('patient', 'UPDATE patient SET weight = 80.0 WHERE id = 3'); TABLE found; ROLLBACK;
BEGIN; CALL past('patient', 'UPDATE patient SET weight = weight - 1 WHERE id = 1'); TABLE found; ROLLBACK;
BEGIN; CALL past('patient', 'UPDATE patient SET weight = 1 WHERE id = 5'); TABLE found; ROLLBACK;
BEGIN; CALL past('patient', 'UPDATE patient SET name = NULL, weight = NULL'); TABLE found; ROLLBACK;
BEGIN; CALL past('patient', 'DELETE FROM patient WHERE id = 1'); TABLE found; ROLLBACK;
BEGIN; CALL past('patient', 'DELETE FROM patient WHERE id = 4'); TABLE found; ROLLBACK;
BEGIN; CALL past('patient', 'INSERT INTO patient VALUES (2, ''Bea'', 70)'); TABLE found; ROLLBACK;
BEGIN; CALL past('patient', 'INSERT INTO patient SELECT 6, name, weight FROM patient WHERE id = 1'); TABLE found; ROLLBACK;
BEGIN; CALL past('patient', 'UPDATE patient SET id = -id', 'UPDATE patient SET id = 4 + id WHERE id IN (-1, -3)', 'UPDATE patient SET id = -id WHERE id < 0'); TABLE found; ROLLBACK;
BEGIN; CALL past('hashed', 'UPDATE hashed SET value = ''x'' WHERE id = 1'); TABLE found; ROLLBACK;
BEGIN; CALL past('hashed', 'UPDATE hashed SET patient = 2 WHERE id = 1'); TABLE found; ROLLBACK;
BEGIN; CALL past('hashed', 'UPDATE hashed SET patient = NULL, value = ''1'' WHERE id = 1'); TABLE found; ROLLBACK;
BEGIN; CALL past('hashed', 'DELETE FROM hashed WHERE id = 1'); TABLE found; ROLLBACK;
BEGIN; CALL past('hashed', 'TRUNCATE hashed'); TABLE found; ROLLBACK;
BEGIN; CALL past('keyless', 'INSERT INTO keyless VALUES (2, ''twice'')'); TABLE found; ROLLBACK;
BEGIN; CALL past('keyless', 'DELETE FROM keyless WHERE ctid = (SELECT min(ctid) FROM keyless WHERE value = ''twice'')'); TABLE found; ROLLBACK;
BEGIN; CALL past('visit_1', 'DELETE FROM visit_1 WHERE id = 2'); CALL past('visit_2', 'INSERT INTO visit_2 VALUES (2, 16, 2, ''note'')'); TABLE found; ROLLBACK;
BEGIN; CALL past('visit_2', 'UPDATE visit_2 SET note = ''x'''); TABLE found; ROLLBACK;
-- as a replica the change is recorded like any other
BEGIN; SET LOCAL session_replication_role = replica; UPDATE patient SET weight = 1 WHERE id = 1; TABLE found; ROLLBACK;

--
-- Shapes and guards
--
BEGIN; CALL past('patient', 'ALTER TABLE patient ALTER weight TYPE numeric USING CASE id WHEN 1 THEN 0 ELSE weight END'); TABLE found; ROLLBACK;
BEGIN; CALL past('patient', 'ALTER TABLE patient ALTER weight TYPE text'); SELECT verdicts IS NOT NULL AS found FROM verdicts; ROLLBACK;
BEGIN; CALL past('patient', 'ALTER TABLE patient DROP COLUMN weight'); SELECT verdicts IS NOT NULL AS found FROM verdicts; ROLLBACK;
BEGIN; CALL past('patient', 'ALTER TABLE patient ADD COLUMN x int DEFAULT 1'); SELECT verdicts IS NOT NULL AS found FROM verdicts; ROLLBACK;
BEGIN; CALL past('patient', 'ALTER TABLE patient ADD COLUMN x int'); SELECT verdicts IS NOT NULL AS found FROM verdicts; ROLLBACK;
BEGIN; CALL past('patient', 'ALTER TABLE patient RENAME name TO x'); SELECT verdicts IS NOT NULL AS found FROM verdicts; ROLLBACK;
BEGIN; CALL past('patient', 'ALTER TABLE patient RENAME TO x'); SELECT verdicts IS NOT NULL AS found FROM verdicts; ROLLBACK;
BEGIN; CALL past('visit', 'ALTER TABLE visit ATTACH PARTITION visit_3 FOR VALUES FROM (20) TO (30)'); SELECT DISTINCT severity, verdict, relation FROM found; ROLLBACK;
BEGIN; CALL past('visit', 'ALTER TABLE visit DETACH PARTITION visit_2'); SELECT verdicts IS NOT NULL AS found FROM verdicts; ROLLBACK;
BEGIN; CALL past('visit', 'DROP TABLE visit_2'); SELECT DISTINCT severity, verdict, relation FROM found WHERE relation = 'verify.visit_2'; ROLLBACK;
BEGIN; CALL past('visit', 'CREATE TABLE visit_4 PARTITION OF visit FOR VALUES FROM (40) TO (50)'); SELECT verdicts IS NOT NULL AS found FROM verdicts; ROLLBACK;
BEGIN; CALL past('hashed', 'ALTER TABLE patient DISABLE TRIGGER medsync_capture'); TABLE found; ROLLBACK;
BEGIN; CALL past('hashed', 'ALTER TABLE patient ENABLE TRIGGER medsync_capture'); TABLE found; ROLLBACK;
BEGIN; CALL past('hashed', 'ALTER TABLE patient ENABLE REPLICA TRIGGER medsync_truncate'); TABLE found; ROLLBACK;
BEGIN; CALL past('hashed', 'DROP TRIGGER medsync_capture ON patient'); TABLE found; ROLLBACK;
BEGIN; CALL past('hashed', 'DROP TRIGGER medsync_truncate ON patient'); TABLE found; ROLLBACK;
BEGIN; CALL past('hashed', 'ALTER TABLE visit_1 DISABLE TRIGGER medsync_capture'); TABLE found; ROLLBACK;
BEGIN; CALL past('hashed', 'DROP TRIGGER medsync_capture ON patient',
	'CREATE TRIGGER medsync_capture AFTER INSERT OR UPDATE OR DELETE ON patient FOR EACH ROW WHEN (false) EXECUTE FUNCTION medsync._capture()',
	'ALTER TABLE patient ENABLE ALWAYS TRIGGER medsync_capture'); TABLE found; ROLLBACK;
BEGIN; CALL past('hashed', 'DROP TRIGGER medsync_capture ON patient',
	'CREATE TRIGGER medsync_capture AFTER INSERT OR UPDATE OF name OR DELETE ON patient FOR EACH ROW EXECUTE FUNCTION medsync._capture()',
	'ALTER TABLE patient ENABLE ALWAYS TRIGGER medsync_capture'); TABLE found; ROLLBACK;
BEGIN; CALL past('hashed', 'DROP TRIGGER medsync_capture ON patient',
	'CREATE TRIGGER medsync_capture AFTER INSERT OR DELETE ON patient FOR EACH ROW EXECUTE FUNCTION medsync._capture()',
	'ALTER TABLE patient ENABLE ALWAYS TRIGGER medsync_capture'); TABLE found; ROLLBACK;
BEGIN; CALL past('hashed', 'CREATE OR REPLACE FUNCTION medsync._capture() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RETURN NULL; END'''); TABLE found; ROLLBACK;
BEGIN; ALTER EVENT TRIGGER medsync_guard_start DISABLE; TABLE found; ROLLBACK;
BEGIN; ALTER EVENT TRIGGER medsync_guard_drop ENABLE REPLICA; TABLE found; ROLLBACK;
BEGIN; ALTER EVENT TRIGGER medsync_guard_end ENABLE; ALTER EVENT TRIGGER medsync_guard_rewrite RENAME TO x; TABLE found; ROLLBACK;

--
-- Let go, a table has no findings; and those of others are left out when a
-- relation is named
--
BEGIN; SELECT medsync.untrack('hashed'); UPDATE hashed SET value = 'x'; TABLE found; ROLLBACK;
BEGIN;
CALL past('patient', 'UPDATE patient SET weight = 1 WHERE id = 1');
CALL past('visit_1', 'DELETE FROM visit_1 WHERE id = 2');
CREATE FUNCTION of(relation regclass, since bigint DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', severity, verdict, v.relation, row_key), ', ' ORDER BY verdict) FROM medsync.verify($1, $2) v WHERE severity <> 'notice'
$$;
SELECT r, of(r) FROM unnest('{patient,hashed,keyless,visit,visit_1,visit_2}'::regclass[]) r;
-- the same from any size on, since live rows are compared with all of the ledger
SELECT DISTINCT of(NULL, n) FROM generate_series(0, :size) n;
SELECT DISTINCT of('visit_1', n) FROM generate_series(0, :size) n;
SELECT errors FROM medsync.verify_summary('patient');
SELECT errors FROM medsync.verify_summary('hashed');
ROLLBACK;

--
-- The ledger's own tables: whatever is changed or deleted is found
--
CREATE FUNCTION attack(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	rows bigint;
BEGIN
	BEGIN
		EXECUTE command;
		GET DIAGNOSTICS rows = ROW_COUNT;
		SELECT verdicts INTO result FROM verify.verdicts;
		RAISE SQLSTATE 'UNDO0';
	EXCEPTION WHEN SQLSTATE 'UNDO0' THEN
		RETURN CASE WHEN rows = 0 THEN 'no row' ELSE coalesce(result, 'not found') END;
	END;
END
$$;
-- tables of which this ledger has rows; a signature that went out is with those who have it,
-- and the next one covers the same entries, so that taking one away here hides nothing
CREATE VIEW ledger_table AS
	SELECT oid::regclass AS name FROM pg_class
	WHERE relnamespace = 'medsync'::regnamespace AND relkind = 'r' AND relname NOT IN ('_lookup', '_checkpoint', '_cosignature', '_witness', '_spent_challenge', 'person', 'person_key', 'person_licence', 'notice', '_record', '_record_head', '_pending_event', '_record_chunk', '_record_version', '_record_wrap', 'record_event') ORDER BY relname COLLATE "C";
SELECT name FROM ledger_table WHERE attack(format('DELETE FROM %s', name)) IN ('no row', 'not found');
SELECT name FROM ledger_table WHERE attack(format('DELETE FROM %s WHERE ctid = (SELECT min(ctid) FROM %1$s)', name)) IN ('no row', 'not found');
SELECT name FROM ledger_table WHERE attack(format('DELETE FROM %s WHERE ctid = (SELECT max(ctid) FROM %1$s)', name)) IN ('no row', 'not found');
-- their places
SELECT attack('DELETE FROM medsync._block WHERE height = (SELECT max(height) FROM medsync._block)') ~ 'truncated|entry_extra|block_altered' AS last_block;
SELECT attack('DELETE FROM medsync._block WHERE height = (SELECT max(height) - 1 FROM medsync._block)') ~ 'block_altered' AS middle_block;
BEGIN;
UPDATE medsync._block SET root = sha256(root) WHERE height = (SELECT max(height) FROM medsync._block);
SELECT severity, verdict, block = (SELECT max(height) FROM medsync._block) AS block, detail FROM medsync.verify() WHERE severity <> 'notice';
ROLLBACK;
BEGIN;
DELETE FROM medsync._journal WHERE ctid = (SELECT j.ctid FROM medsync._journal j, (SELECT * FROM medsync._block ORDER BY height DESC LIMIT 1) b
	WHERE pg_visible_in_snapshot(j.xid, b.snapshot) ORDER BY xid DESC LIMIT 1);
SELECT severity, verdict, block = (SELECT max(height) FROM medsync._block) AS block FROM medsync.verify() WHERE verdict = 'entry_missing' AND block IS NOT NULL;
ROLLBACK;
BEGIN;
UPDATE medsync._journal SET body = set_byte(body, length(body) - 1, get_byte(body, length(body) - 1) # 1)
	WHERE ctid = (SELECT j.ctid FROM medsync._journal j, (SELECT * FROM medsync._block ORDER BY height DESC LIMIT 1) b
	WHERE pg_visible_in_snapshot(j.xid, b.snapshot) ORDER BY xid DESC LIMIT 1);
SELECT DISTINCT severity, block = (SELECT max(height) FROM medsync._block) AS block FROM medsync.verify() WHERE verdict IN ('entry_altered', 'image_altered') AND block IS NOT NULL;
-- below the size from which on it verifies, an entry is not read again
SELECT count(*) FROM medsync.verify(NULL, :size) WHERE verdict = 'image_altered';
ROLLBACK;
BEGIN;
UPDATE medsync._image SET body = set_byte(body, 1000, get_byte(body, 1000) # 1);
SELECT severity, verdict, relation, block IS NOT NULL AS block, entry_index IS NOT NULL AS entry FROM medsync.verify() WHERE severity <> 'notice';
SELECT count(*) FROM medsync.verify('hashed') WHERE severity <> 'notice';
ROLLBACK;
BEGIN;
UPDATE medsync._table SET tracked = false WHERE table_name = 'patient' AND schema_name = 'verify';
SELECT severity, verdict, relation FROM medsync.verify() WHERE verdict = 'entry_altered';
ROLLBACK;
BEGIN;
DELETE FROM medsync._subject_key WHERE key_id = (SELECT key_id FROM medsync._subject_key ORDER BY ctid DESC LIMIT 1);
SELECT DISTINCT severity, verdict FROM medsync.verify() WHERE severity <> 'notice' AND verdict = 'key_missing';
ROLLBACK;
TABLE found;

--
-- Every column of every row of every table, changed by one
--
CREATE FUNCTION other_value(type regtype, name text) RETURNS text LANGUAGE sql AS $$
	SELECT CASE type::text
		WHEN 'bytea' THEN format('CASE WHEN length(%1$I) > 0 THEN set_byte(%1$I, length(%1$I) / 2, get_byte(%1$I, length(%1$I) / 2) # 1) ELSE ''\x00'' END', name)
		WHEN 'boolean' THEN format('NOT %I', name)
		WHEN 'timestamp with time zone' THEN format('%I + interval ''1 microsecond''', name)
		WHEN 'xid8' THEN format('(coalesce(%I::text::bigint, 6) + 1)::text::xid8', name)
		WHEN 'pg_snapshot' THEN format('regexp_replace(%1$I::text, ''^(\d+):(\d+):.*'', ''\1:'' || (pg_snapshot_xmax(%1$I)::text::bigint + 1) || '':'')::pg_snapshot', name)
		WHEN 'text' THEN format('regexp_replace(%I, ''.'', ''~'')', name)
		WHEN '"char"' THEN format('''x''')
		ELSE format('coalesce(%I, 0) + 1', name)
	END
$$;
CREATE FUNCTION not_found() RETURNS TABLE (col text, tried bigint, missed bigint) LANGUAGE plpgsql AS $$
DECLARE
	t regclass;
	row tid;
	type regtype;
	verdict text;
BEGIN
	FOR t, col, type IN SELECT name, attname, atttypid FROM verify.ledger_table JOIN pg_attribute ON attrelid = name AND attnum > 0 LOOP
		tried := 0;
		missed := 0;
		-- the first, the last and some in between
		FOR row IN EXECUTE format('SELECT ctid FROM (SELECT ctid, row_number() OVER (ORDER BY ctid) AS n, count(*) OVER () AS c FROM %s) s WHERE n IN (1, c / 3, c / 2, c - 1, c)', t) LOOP
			BEGIN
				EXECUTE format('UPDATE %s SET %I = %s WHERE ctid = %L', t, col, verify.other_value(type, col), row);
				SELECT verdicts INTO verdict FROM verify.verdicts;
				RAISE SQLSTATE 'UNDO0';
			EXCEPTION WHEN unique_violation THEN
				CONTINUE;
			WHEN SQLSTATE 'UNDO0' THEN
				NULL;
			END;
			tried := tried + 1;
			missed := missed + (verdict IS NULL)::int;
		END LOOP;
		col := t || '.' || col;
		RETURN NEXT;
	END LOOP;
END
$$;
SELECT col, missed FROM not_found() WHERE missed > 0;

SELECT count(medsync.untrack(t)) FROM unnest('{patient,hashed,keyless,visit}'::regclass[]) AS t;
TABLE found;
\c :here
DROP DATABASE regress_medsync_verify WITH (FORCE);
