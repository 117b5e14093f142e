-- What would get past the triggers of a tracked table is refused, to owners
-- and superusers alike; what does no harm works, and the ledger follows it.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS medsync;
CREATE ROLE regress_medsync_owner;
CREATE SCHEMA guards;
CREATE SCHEMA guards_ward;
SET search_path = guards, guards_ward;
GRANT ALL ON SCHEMA guards, guards_ward TO regress_medsync_owner;
\pset format unaligned
\pset tuples_only on

-- Runs a command; says how it was refused.
CREATE FUNCTION attempt(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE command;
	RETURN command || E'\n  done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN format(E'%s\n  %s: %s', command, SQLSTATE, message)
		|| coalesce(E'\n  DETAIL: ' || nullif(detail, ''), '')
		|| coalesce(E'\n  HINT: ' || nullif(hint, ''), '');
END
$$;
-- Only its SQLSTATE, where the words are PostgreSQL's own.
CREATE FUNCTION state(command text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	RETURN command || ': done';
EXCEPTION WHEN OTHERS THEN
	RETURN command || ': ' || SQLSTATE;
END
$$;
CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE VIEW findings AS
	SELECT verdict, relation, row_key, detail FROM medsync.verify() WHERE severity <> 'notice';

CREATE TYPE triage AS ENUM ('green', 'red');
CREATE TYPE address AS (street text, urgency triage);
CREATE DOMAIN urgency AS triage;
CREATE TYPE triage_range AS RANGE (subtype = triage);
CREATE TABLE loose (id int PRIMARY KEY, colour text);
CREATE TABLE patient (id int PRIMARY KEY, name varchar(20), home address, homes address[], urgency urgency,
	range triage_range, nested loose, doubled int GENERATED ALWAYS AS (id * 2) STORED, seen int);
INSERT INTO patient (id, name) VALUES (1, 'Anna');
CREATE TABLE visit (id int, day int, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM (0) TO (10);
CREATE TABLE guards_ward.bed (id int PRIMARY KEY, patient int REFERENCES patient);
ALTER TABLE guards_ward.bed OWNER TO regress_medsync_owner;
CREATE TABLE ancestor (id int, value text);
CREATE TABLE heir (own text) INHERITS (ancestor);
CREATE TABLE typed OF address;
SELECT count(medsync.track(t, 'id')) FROM unnest('{patient,visit,bed,heir}'::regclass[]) AS t;
SELECT medsync.track('typed', payload => 'hash');

--
-- Refused
--
-- the triggers
SELECT attempt('ALTER TABLE patient DISABLE TRIGGER medsync_capture');
SELECT attempt('ALTER TABLE patient DISABLE TRIGGER medsync_truncate');
SELECT attempt('ALTER TABLE patient DISABLE TRIGGER ALL');
SELECT attempt('ALTER TABLE patient ENABLE TRIGGER medsync_capture');
SELECT attempt('ALTER TABLE patient ENABLE REPLICA TRIGGER medsync_truncate');
SELECT attempt('ALTER TABLE visit DISABLE TRIGGER USER');
SELECT attempt('ALTER TABLE visit_1 DISABLE TRIGGER USER');
SELECT attempt('DROP TRIGGER medsync_capture ON patient');
SELECT attempt('DROP TRIGGER medsync_truncate ON patient');
SELECT attempt('ALTER TRIGGER medsync_capture ON patient RENAME TO mine');
SELECT attempt('CREATE OR REPLACE TRIGGER medsync_capture AFTER INSERT ON patient FOR EACH ROW EXECUTE FUNCTION noop()');
SELECT state('DROP TRIGGER medsync_capture ON visit_1');
SELECT state('DROP FUNCTION medsync._capture() CASCADE');
SELECT state('DROP EVENT TRIGGER medsync_guard_start CASCADE');
SELECT state('ALTER EXTENSION medsync DROP FUNCTION medsync._capture()');
SELECT state('ALTER EXTENSION medsync DROP EVENT TRIGGER medsync_guard_end');
SELECT attempt('DROP EXTENSION medsync CASCADE');
SELECT state('DROP SCHEMA medsync CASCADE');
-- the rows
SELECT attempt('TRUNCATE heir');
SELECT attempt('TRUNCATE ancestor');
SELECT attempt('TRUNCATE loose, patient CASCADE');
SELECT attempt('TRUNCATE visit');
SELECT attempt('TRUNCATE ONLY visit_1');
-- the values
SELECT attempt('ALTER TABLE patient ALTER name TYPE text');
SELECT attempt('ALTER TABLE patient ALTER name TYPE varchar(20) USING upper(name)');
SELECT attempt('ALTER TABLE patient ALTER name TYPE varchar(10)');
SELECT attempt('ALTER TABLE heir ALTER id TYPE bigint');
SELECT attempt('ALTER TABLE visit ALTER id TYPE bigint');
SELECT attempt('ALTER TABLE patient ALTER urgency TYPE triage');
SELECT attempt('ALTER TABLE visit ALTER note TYPE bytea USING NULL');
SELECT attempt('ALTER TABLE patient DROP COLUMN name');
SELECT attempt('ALTER TABLE patient DROP COLUMN doubled');
SELECT attempt('ALTER TABLE patient ADD COLUMN x int, DROP COLUMN seen');
SELECT attempt('ALTER TABLE patient ADD COLUMN insured bool DEFAULT true');
SELECT attempt('ALTER TABLE patient ADD COLUMN x int, ADD COLUMN r float8 DEFAULT random()');
SELECT attempt('ALTER TABLE patient ADD COLUMN x int GENERATED ALWAYS AS IDENTITY');
SELECT attempt('ALTER TABLE patient ADD COLUMN x int GENERATED ALWAYS AS (id) STORED');
SELECT attempt('ALTER TABLE patient ADD COLUMN x regclass');
SELECT attempt('ALTER TABLE visit ADD COLUMN x int DEFAULT 0');
SELECT attempt('CREATE DOMAIN seven AS int DEFAULT 7; ALTER TABLE patient ADD COLUMN x seven');
SELECT attempt('ALTER TABLE ancestor DROP COLUMN value');
SELECT attempt('ALTER TABLE ancestor ALTER value TYPE varchar');
SELECT attempt('ALTER TABLE ancestor ADD COLUMN x int DEFAULT 0');
SELECT attempt('ALTER TABLE heir SET UNLOGGED');
-- the types of the values
SELECT attempt('ALTER TYPE triage RENAME VALUE ''red'' TO ''black''');
SELECT attempt('ALTER TYPE address ADD ATTRIBUTE zip text');
SELECT attempt('ALTER TYPE address DROP ATTRIBUTE street CASCADE');
SELECT attempt('ALTER TYPE address ALTER ATTRIBUTE street TYPE varchar CASCADE');
SELECT attempt('ALTER TYPE address RENAME ATTRIBUTE street TO road CASCADE');
SELECT attempt('ALTER TABLE loose RENAME colour TO hue');
SELECT attempt('ALTER TABLE loose ADD COLUMN x int');
SELECT attempt('ALTER TABLE loose DROP COLUMN colour');
SELECT state('DROP TYPE address CASCADE');
SELECT state('DROP DOMAIN urgency CASCADE');
SELECT state('DROP TABLE loose CASCADE');
-- the table
SELECT attempt('DROP TABLE patient CASCADE');
SELECT attempt('DROP TABLE visit');
SELECT attempt('DROP TABLE visit_1');
SELECT attempt('DROP SCHEMA guards_ward CASCADE');
SELECT attempt('DROP OWNED BY regress_medsync_owner');
SELECT state('ALTER TABLE visit DETACH PARTITION visit_1');
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA guards TO regress_medsync_owner;
SET ROLE regress_medsync_owner;
SELECT attempt('DROP TABLE bed');
SELECT attempt('TRUNCATE bed');
SELECT attempt('ALTER TABLE bed DISABLE TRIGGER USER');
SELECT attempt('ALTER TABLE bed DROP COLUMN patient');
RESET ROLE;
-- as a replica, too
SET session_replication_role = replica;
SELECT attempt('TRUNCATE patient CASCADE');
SELECT attempt('ALTER TABLE patient DISABLE TRIGGER ALL');
SELECT attempt('DROP TABLE patient CASCADE');
RESET session_replication_role;

-- nothing is half-done
SELECT tgname, tgenabled FROM pg_trigger WHERE tgrelid IN ('patient'::regclass, 'visit_1'::regclass) AND NOT tgisinternal OR tgname = 'medsync_capture' AND tgrelid = 'visit_1'::regclass
ORDER BY tgrelid::regclass::text COLLATE "C", tgname COLLATE "C";
SELECT name, home, doubled FROM patient;
SELECT * FROM findings;
-- in the middle of a transaction that goes on
DO $$
BEGIN
	UPDATE patient SET name = 'Bea' WHERE id = 1;
	BEGIN
		UPDATE patient SET name = 'Cleo' WHERE id = 1;
		ALTER TABLE patient RENAME name TO first_name;
		UPDATE patient SET first_name = 'Dora' WHERE id = 1;
		TRUNCATE patient CASCADE;
	EXCEPTION WHEN SQLSTATE 'MS003' THEN
		UPDATE patient SET name = 'Edda' WHERE id = 1;
	END;
	BEGIN
		ALTER TABLE patient ADD COLUMN phone text;
		UPDATE patient SET phone = '123' WHERE id = 1;
		ALTER TABLE patient DROP COLUMN phone;
	EXCEPTION WHEN SQLSTATE 'MS003' THEN
		UPDATE patient SET name = 'Fee' WHERE id = 1;
	END;
END
$$;
SELECT operation, new_row->>'name' FROM medsync.history('patient') OFFSET 1;
SELECT * FROM findings;

--
-- What works
--
SELECT state('ALTER TABLE patient ADD COLUMN phone text');
SELECT state('ALTER TABLE patient ADD COLUMN IF NOT EXISTS phone text');
SELECT state('ALTER TABLE patient ALTER phone SET DEFAULT ''none''');
SELECT state('INSERT INTO patient (id, name) VALUES (2, ''Gerda'')');
SELECT state('ALTER TABLE patient ADD CHECK (id > 0), ALTER phone SET STORAGE EXTERNAL, ALTER phone SET STATISTICS 10');
SELECT state('ALTER TABLE patient ALTER name TYPE varchar(40)');
SELECT state('ALTER TABLE patient ALTER doubled DROP EXPRESSION');
SELECT state('UPDATE patient SET doubled = 0, name = ''more than twenty letters long''');
SELECT * FROM findings;
-- two columns swap their names; one takes the name of another's past
BEGIN;
SELECT state('ALTER TABLE patient RENAME name TO swapping');
SELECT state('ALTER TABLE patient RENAME phone TO name');
SELECT state('ALTER TABLE patient RENAME swapping TO phone');
COMMIT;
SELECT state('UPDATE patient SET phone = phone || ''!'', name = ''new'' WHERE id = 2');
SELECT operation, old_row->>'phone', old_row->>'name', new_row->>'phone', new_row->>'name'
FROM medsync.history('patient', '{"id": 2}');
SELECT * FROM findings;
-- two tables swap their names
CREATE TABLE other (id int PRIMARY KEY, name text);
SELECT medsync.track('other', 'id');
INSERT INTO other VALUES (1, 'other');
BEGIN;
ALTER TABLE patient RENAME TO swapping;
ALTER TABLE other RENAME TO patient;
UPDATE patient SET name = 'now patient';
ALTER TABLE swapping RENAME TO other;
COMMIT;
UPDATE other SET name = 'now other';
SELECT operation, new_row->>'id' AS id, new_row->>'name' AS name FROM medsync.history('patient');
SELECT operation, new_row->>'id' AS id, new_row->>'name' AS name FROM medsync.history('other') WHERE operation = 'update' OFFSET 6;
SELECT * FROM findings;
BEGIN;
ALTER TABLE patient RENAME TO swapping;
ALTER TABLE other RENAME TO patient;
ROLLBACK;
UPDATE patient SET name = 'after rollback';
SELECT * FROM findings;
-- names and places of all kinds
CREATE SCHEMA "Guards ""too""";
SELECT state('ALTER TABLE patient RENAME id TO "Id ""1"""');
SELECT state('ALTER TABLE patient RENAME TO "Pa''tient; --"');
SELECT state('ALTER TABLE "Pa''tient; --" SET SCHEMA "Guards ""too"""');
SELECT state('ALTER SCHEMA "Guards ""too""" RENAME TO "Guards \ three"');
UPDATE "Guards \ three"."Pa'tient; --" SET name = 'elsewhere';
SELECT state('ALTER TABLE "Guards \ three"."Pa''tient; --" OWNER TO regress_medsync_owner');
UPDATE "Guards \ three"."Pa'tient; --" SET name = 'another owner';
SELECT operation, row_key, new_row FROM medsync.history('"Guards \ three"."Pa''tient; --"') OFFSET 3;
SELECT relation, partition_of, payload, subject FROM medsync.tracked WHERE relation ~ 'uards' ORDER BY relation COLLATE "C";
SELECT * FROM findings;
-- the types
SELECT state('ALTER TYPE triage ADD VALUE ''amber'' BEFORE ''red''');
SELECT state('ALTER TYPE triage RENAME TO severity');
SELECT state('ALTER TYPE address RENAME TO home');
INSERT INTO typed VALUES ('road', 'amber');
UPDATE other SET home = ('road', 'red'), homes = '{"(a,green)"}', urgency = 'amber', range = '[green,red]';
SELECT * FROM findings;
-- inheritance: only the table itself is tracked
INSERT INTO heir VALUES (1, 'v', 'own');
SELECT state('ALTER TABLE ancestor RENAME value TO val');
SELECT state('ALTER TABLE ancestor ADD COLUMN later int');
SELECT state('UPDATE ancestor SET val = ''w'', later = 1');
SELECT state('ALTER TABLE heir NO INHERIT ancestor');
SELECT state('UPDATE heir SET val = ''x''');
SELECT operation, new_row FROM medsync.history('heir');
SELECT * FROM findings;
-- keys and constraints
SELECT state('ALTER TABLE bed DROP CONSTRAINT bed_pkey');
INSERT INTO bed (id) VALUES (1), (2);
SELECT state('ALTER TABLE bed ADD PRIMARY KEY (id)');
UPDATE bed SET id = id + 10;
SELECT operation, row_key, old_row->'id', new_row->'id' FROM medsync.history('bed');
SELECT state('CREATE INDEX later ON bed (patient)');
SELECT state('ALTER TABLE bed REPLICA IDENTITY FULL');
SELECT state('COMMENT ON COLUMN bed.patient IS ''who lies in it''');
SELECT state('GRANT SELECT ON bed TO PUBLIC');
SELECT state('CREATE TRIGGER own BEFORE UPDATE ON bed FOR EACH ROW EXECUTE FUNCTION noop(); ALTER TABLE bed DISABLE TRIGGER own; DROP TRIGGER own ON bed');
SELECT state('CREATE RULE own AS ON UPDATE TO bed DO INSTEAD NOTHING; DROP RULE own ON bed');
SELECT state('ALTER TABLE bed ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON bed USING (false); DROP POLICY own ON bed');
CLUSTER bed USING later;
REINDEX TABLE bed;
VACUUM FULL bed;
SELECT * FROM findings;
-- a table that is not tracked is nobody's business
SELECT state('CREATE TABLE free (id int); TRUNCATE free; ALTER TABLE free ADD x int DEFAULT 1, ALTER id TYPE text; ALTER TABLE free DISABLE TRIGGER ALL; DROP TABLE free');

--
-- Let go, the tables are free again
--
SELECT count(medsync.untrack(t)) FROM unnest(ARRAY['other', 'visit', 'bed', 'heir', 'typed', '"Guards \ three"."Pa''tient; --"']::regclass[]) AS t;
SELECT count(*) FROM pg_trigger WHERE tgname ~ '^medsync' AND tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace IN ('guards'::regnamespace, 'guards_ward'::regnamespace));
SELECT state('TRUNCATE other CASCADE');
SELECT state('ALTER TABLE visit DROP COLUMN note');
SELECT state('ALTER TABLE bed ADD COLUMN x int DEFAULT 0');
SELECT state('DROP TABLE other CASCADE');
SELECT * FROM findings;
-- another table of an old name begins a history of its own
CREATE TABLE patient (id int PRIMARY KEY);
SELECT medsync.track('patient', 'id', 'hash');
INSERT INTO patient VALUES (1);
SELECT operation, new_row FROM medsync.history('patient');
SELECT medsync.untrack('patient');
SELECT * FROM findings;

DROP SCHEMA guards, guards_ward, "Guards \ three" CASCADE;
DROP ROLE regress_medsync_owner;
