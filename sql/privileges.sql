-- Who may do what: nobody can read, write, seal or let go without the right
-- to; whoever writes a tracked table needs no right on the ledger; and what a
-- caller's search_path or a table's owner brings along changes nothing (G-09).
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS medsync;
CREATE ROLE regress_medsync_owner;
CREATE ROLE regress_medsync_writer;
CREATE ROLE regress_medsync_reader;
CREATE ROLE regress_medsync_rest;
CREATE ROLE regress_medsync_bypass BYPASSRLS;
CREATE ROLE regress_medsync_admin IN ROLE medsync_admin;
CREATE ROLE regress_medsync_auditor IN ROLE medsync_auditor;
CREATE ROLE regress_medsync_noinherit NOINHERIT IN ROLE medsync_admin, medsync_auditor;
CREATE SCHEMA privileges;
CREATE SCHEMA privileges_evil;
GRANT USAGE ON SCHEMA privileges, privileges_evil TO PUBLIC;
GRANT CREATE ON SCHEMA privileges TO regress_medsync_owner, regress_medsync_admin;
SET search_path = privileges;
\pset format unaligned

-- Runs a command as a role; says what came of it.
CREATE FUNCTION try(role name, command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	hint text;
	count bigint;
	caller text := current_user;
BEGIN
	BEGIN
		EXECUTE format('SET LOCAL ROLE %I', role);
		EXECUTE command;
		GET DIAGNOSTICS count = ROW_COUNT;
		message := 'done';
		EXECUTE format('SET LOCAL ROLE %I', caller);
		RETURN format('%s: %s rows', role, count);
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
		RETURN format('%s: %s: %s', role, SQLSTATE, message) || coalesce(E'\n  HINT: ' || nullif(hint, ''), '');
	END;
END
$$;
CREATE VIEW findings AS
	SELECT severity, verdict, relation, row_key, detail FROM medsync.verify() WHERE severity <> 'notice';

--
-- What every object is
--
-- (what belongs to the owner anyway is left out; "public" is everybody)
CREATE FUNCTION granted(acl aclitem[], kind "char", owner oid) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(CASE grantee WHEN 0 THEN 'public' ELSE grantee::regrole::text END || ' ' || privilege_type
		|| CASE WHEN is_grantable THEN ' (grantable)' ELSE '' END, ', ' ORDER BY grantee = 0 DESC, grantee::regrole::text COLLATE "C", privilege_type)
	FROM aclexplode(coalesce(acl, acldefault(kind, owner))) WHERE grantee <> owner
$$;
SELECT nspname, granted(nspacl, 'n', nspowner) FROM pg_namespace WHERE nspname = 'medsync';
SELECT relname, relkind, granted(relacl, 'r', relowner) FROM pg_class
WHERE relnamespace = 'medsync'::regnamespace AND relkind <> 'i' ORDER BY relname COLLATE "C";
SELECT oid::regprocedure, granted(proacl, 'f', proowner), provolatile, proisstrict, proparallel, prosecdef, proleakproof, proconfig
FROM pg_proc WHERE pronamespace = 'medsync'::regnamespace ORDER BY oid::regprocedure::text COLLATE "C";
SELECT attrelid::regclass, attname FROM pg_attribute
WHERE attacl IS NOT NULL AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'medsync'::regnamespace);
SELECT typname FROM pg_type WHERE typnamespace = 'medsync'::regnamespace AND typacl IS NOT NULL;
SELECT defaclobjtype FROM pg_default_acl WHERE defaclnamespace = 'medsync'::regnamespace;
-- all of it belongs to one role, who can create an extension
SELECT count(DISTINCT owner), bool_and(rolsuper) FROM (
	SELECT relowner AS owner FROM pg_class WHERE relnamespace = 'medsync'::regnamespace
	UNION ALL SELECT proowner FROM pg_proc WHERE pronamespace = 'medsync'::regnamespace
	UNION ALL SELECT evtowner FROM pg_event_trigger WHERE evtname ~ '^medsync') AS o JOIN pg_roles r ON r.oid = owner;
-- nothing runs with the rights of its owner
SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'medsync'::regnamespace AND prosecdef;
-- what PUBLIC can do with a table: nothing
SELECT c.oid::regclass, p FROM pg_class c, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
WHERE relnamespace = 'medsync'::regnamespace AND relkind IN ('r', 'v')
	AND (has_table_privilege('regress_medsync_rest', c.oid, p)
		OR p IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') AND has_any_column_privilege('regress_medsync_rest', c.oid, p));
-- and admins and auditors with its tables: nothing either
SELECT c.oid::regclass, r, p FROM pg_class c, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p,
	unnest('{medsync_admin,medsync_auditor,pg_monitor}'::text[]) r
WHERE relnamespace = 'medsync'::regnamespace AND relkind = 'r' AND has_table_privilege(r, c.oid, p)
ORDER BY c.relname, r, p;

--
-- Writers need no right on the ledger
--
SET ROLE regress_medsync_admin;
CREATE TABLE patient (id int PRIMARY KEY, name text, secret text);
CREATE TABLE parted (id int, p int) PARTITION BY LIST (p);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
GRANT INSERT, SELECT, UPDATE, DELETE ON patient TO regress_medsync_writer;
GRANT INSERT, SELECT, UPDATE, DELETE ON parted TO regress_medsync_writer;
SELECT medsync.track('patient', 'id');
SELECT medsync.track('parted', 'id');
SET ROLE regress_medsync_writer;
INSERT INTO patient VALUES (1, 'Anna', 'x'), (2, 'Bea', 'y');
UPDATE patient SET name = 'Anne' WHERE id = 1;
DELETE FROM patient WHERE id = 2;
INSERT INTO parted VALUES (1, 1);
UPDATE parted SET p = 2;
SELECT operation, role, actor, new_row FROM medsync.history('patient');
SELECT operation, role, new_row FROM medsync.history('parted');
RESET ROLE;
SELECT * FROM findings;

--
-- What they may not
--
SELECT try(r, command) FROM unnest('{regress_medsync_writer,regress_medsync_noinherit}'::text[]) r, unnest(ARRAY[
	'SELECT medsync.seal()', 'SELECT * FROM medsync.verify()', 'SELECT medsync.verify_summary()',
	'SELECT count(*) FROM medsync.checkpoint', 'SELECT count(*) FROM medsync.tracked', 'SELECT count(*) FROM medsync.status', 'SELECT * FROM medsync._status()',
	'SELECT medsync.track(''patient'')', 'SELECT medsync.untrack(''patient'')',
	'SELECT * FROM medsync._journal', 'SELECT * FROM medsync._subject_key', 'SELECT * FROM medsync._image',
	'INSERT INTO medsync._journal DEFAULT VALUES', 'DELETE FROM medsync._block', 'UPDATE medsync._table SET tracked = false',
	'TRUNCATE medsync._journal', 'LOCK TABLE medsync._journal IN ACCESS EXCLUSIVE MODE',
	'CREATE TABLE medsync.mine ()', 'CREATE FUNCTION medsync.mine() RETURNS int LANGUAGE sql RETURN 1',
	'CREATE TEMP TABLE own (id int); CREATE TRIGGER own AFTER INSERT ON own FOR EACH ROW EXECUTE FUNCTION medsync._guard_end()',
	'ALTER TABLE patient DISABLE TRIGGER USER', 'TRUNCATE patient', 'DROP TABLE patient', 'ALTER EVENT TRIGGER medsync_guard_end DISABLE',
	'SET session_replication_role = replica', 'SET medsync.owners_may_track = on', 'SET medsync.master_key_file = ''/tmp/x''', 'SHOW medsync.master_key_file'
]) WITH ORDINALITY AS c (command, n) ORDER BY r, n;
-- admins seal, auditors verify; neither does the other's work
SELECT try(r, command) FROM unnest('{regress_medsync_admin,regress_medsync_auditor}'::text[]) r, unnest(ARRAY[
	'SELECT count(*) FROM medsync.checkpoint', 'SELECT count(*) FROM medsync.tracked', 'SELECT count(*) FROM medsync.status',
	'SELECT count(*) FROM medsync.verify()', 'SELECT medsync.verify_summary()', 'SELECT * FROM medsync._journal',
	'SELECT medsync.history(''patient'')', 'SELECT medsync.as_of(NULL::patient, now())',
	'DELETE FROM medsync._journal', 'UPDATE medsync._block SET height = 0'
]) WITH ORDINALITY AS c (command, n) ORDER BY r, n;
SELECT try('regress_medsync_auditor', 'SELECT medsync.seal()');
-- sealing needs its own transaction
SET ROLE regress_medsync_admin;
SELECT height IS NOT NULL AS sealed FROM medsync.seal();
SET ROLE regress_medsync_noinherit;
SET ROLE medsync_auditor;
SELECT errors FROM medsync.verify_summary();
RESET ROLE;

--
-- history() and as_of() need the table's columns
--
\set readers 'SELECT try(r, c) FROM unnest(''{regress_medsync_reader,regress_medsync_owner,regress_medsync_bypass,regress_medsync_auditor}''::text[]) WITH ORDINALITY AS r (r, n), unnest(ARRAY[''SELECT * FROM medsync.history(''''patient'''')'', ''SELECT * FROM medsync.as_of(NULL::privileges.patient, ''''infinity'''')'']) c ORDER BY n, c COLLATE "C" DESC;'
:readers
GRANT SELECT (id, name) ON patient TO regress_medsync_reader;
:readers
GRANT SELECT (secret) ON patient TO regress_medsync_reader;
ALTER TABLE patient OWNER TO regress_medsync_owner;
GRANT SELECT ON patient TO regress_medsync_bypass;
:readers
-- where a policy would hide rows they are refused, but to auditors and to those who see all
ALTER TABLE patient ENABLE ROW LEVEL SECURITY;
:readers
CREATE POLICY all_rows ON patient USING (true);
:readers
ALTER TABLE patient FORCE ROW LEVEL SECURITY;
:readers
SET row_security = off;
:readers
RESET row_security;
ALTER TABLE patient NO FORCE ROW LEVEL SECURITY;
ALTER TABLE patient DISABLE ROW LEVEL SECURITY;
:readers
-- a table with no column that the reader may read
REVOKE ALL ON patient FROM regress_medsync_reader;
SELECT try('regress_medsync_reader', 'SELECT * FROM medsync.history(''patient'', ''{"id": 1}'')');
-- verify shows nobody's rows to those who may not call it, and all to auditors
SELECT try('regress_medsync_reader', 'SELECT * FROM medsync.verify(''patient'')');
-- the schema's rights count, too
REVOKE USAGE ON SCHEMA privileges FROM PUBLIC;
SELECT try('regress_medsync_reader', 'SELECT * FROM medsync.history(''privileges.patient'')');
SELECT try('regress_medsync_auditor', 'SELECT * FROM medsync.history(''privileges.patient'')');
GRANT USAGE ON SCHEMA privileges TO PUBLIC;
-- of partitions, those of the relation that is named
GRANT SELECT ON parted_1 TO regress_medsync_reader;
SELECT try('regress_medsync_reader', command) FROM unnest(ARRAY['SELECT * FROM medsync.history(''parted'')',
	'SELECT * FROM medsync.history(''parted_1'')', 'SELECT * FROM medsync.history(''parted_2'')']) WITH ORDINALITY AS c (command, n) ORDER BY n;
-- once a table is let go, its name is no proof: auditors only
CREATE TABLE gone (id int PRIMARY KEY);
SELECT medsync.track('gone', 'id');
INSERT INTO gone VALUES (1);
SELECT medsync.untrack('gone');
ALTER TABLE gone RENAME TO really_gone;
SET ROLE regress_medsync_owner;
CREATE TABLE gone (id int PRIMARY KEY);
RESET ROLE;
SELECT try(r, 'SELECT * FROM medsync.history(''gone'')') FROM unnest('{regress_medsync_owner,regress_medsync_auditor}'::text[]) r;

--
-- A hostile search_path: everything that a careless query would call
--
CREATE FUNCTION privileges_evil.evil() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'evil was called';
END
$$;
SELECT format('CREATE FUNCTION privileges_evil.%I(%s) RETURNS %s LANGUAGE sql AS ''SELECT privileges_evil.evil()::text::%s''', name, args, result, result)
FROM (VALUES ('now', '', 'timestamptz'), ('current_database', '', 'name'), ('format', 'text, variadic text[]', 'text'), ('format', 'text, text, text', 'text'), ('format', 'text, name, name', 'text'),
	('to_jsonb', 'anyelement', 'jsonb'), ('count', 'text', 'int8'), ('quote_ident', 'text', 'text'), ('sha256', 'bytea', 'bytea'), ('length', 'bytea', 'int'), ('length', 'text', 'int'),
	('int4', 'text', 'int'), ('int4eq', 'int, int', 'bool'), ('texteq', 'text, text', 'bool'), ('hashtext', 'text', 'int'),
	('to_regtype', 'text', 'regtype'), ('format_type', 'oid, int', 'text'), ('pg_event_trigger_dropped_objects', '', 'text'), ('array_to_string', 'text[], text', 'text'),
	('jsonb_populate_record', 'anyelement, jsonb', 'text'), ('pg_current_xact_id', '', 'xid8'), ('coalesce', 'text, text', 'text'), ('_capture', '', 'int'),
	('track', 'regclass', 'int'), ('verify', '', 'int')) AS f (name, args, result)
\gexec
CREATE FUNCTION privileges_evil.jsonb_array_elements(jsonb) RETURNS SETOF jsonb LANGUAGE sql AS 'SELECT privileges_evil.evil()::text::jsonb';
SELECT format('CREATE FUNCTION privileges_evil.op_%s(%s, %s) RETURNS %s LANGUAGE sql AS ''SELECT privileges_evil.evil()::text::%s''; CREATE OPERATOR privileges_evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = privileges_evil.op_%s)',
	n, l, r, result, result, op, l, r, n)
FROM (SELECT row_number() OVER () AS n, * FROM (VALUES ('=', 'text', 'text', 'bool'), ('=', 'name', 'name', 'bool'), ('=', 'name', 'text', 'bool'), ('=', 'int', 'int', 'bool'), ('=', 'int8', 'int8', 'bool'), ('=', 'int8', 'int', 'bool'), ('=', 'oid', 'oid', 'bool'), ('=', 'bytea', 'bytea', 'bool'), ('=', 'jsonb', 'jsonb', 'bool'), ('=', '"char"', '"char"', 'bool'),
	('<>', 'text', 'text', 'bool'), ('||', 'text', 'text', 'text'), ('+', 'int8', 'int8', 'int8'), ('+', 'int', 'int', 'int'), ('->', 'jsonb', 'text', 'jsonb'), ('->>', 'jsonb', 'text', 'text'), ('<', 'int', 'int', 'bool'), ('>', 'int8', 'int', 'bool'),
	('~', 'text', 'text', 'bool')) AS o (op, l, r, result)) AS o
\gexec
CREATE DOMAIN privileges_evil.text AS int CHECK (privileges_evil.evil() > 0);
CREATE DOMAIN privileges_evil.int4 AS int CHECK (privileges_evil.evil() > 0);
CREATE DOMAIN privileges_evil.int8 AS int CHECK (privileges_evil.evil() > 0);
CREATE DOMAIN privileges_evil.jsonb AS int CHECK (privileges_evil.evil() > 0);
CREATE DOMAIN privileges_evil.regclass AS int CHECK (privileges_evil.evil() > 0);
CREATE DOMAIN privileges_evil.name AS int CHECK (privileges_evil.evil() > 0);
CREATE TABLE privileges_evil._table (number int, schema_name text, table_name text, manifest_version int, tracked bool);
CREATE TABLE privileges_evil.pg_class (oid oid, relname name);
CREATE TABLE privileges_evil.pg_trigger (oid oid, tgname name);
CREATE TABLE privileges_evil._journal (xid int);
CREATE TABLE privileges_evil.patient (id int, name text, secret text);
CREATE TEMP TABLE _table (number int, schema_name text, table_name text, manifest_version int, tracked bool);
CREATE TEMP TABLE _journal (xid int);
CREATE TEMP TABLE pg_class (oid oid, relname name);
CREATE TEMP TABLE patient (id int, name text, secret text);
CREATE TEMP TABLE first_seen (id int);
CREATE TABLE first_seen (id int PRIMARY KEY, v text, s text, n numeric, t timestamptz, j json, m money);
SET search_path = privileges_evil, pg_temp, pg_catalog;
SELECT medsync.track('privileges.first_seen', 's');
INSERT INTO privileges.first_seen VALUES (1, 'v', 's', 1.50, '2024-01-01 00:00+00', '{}', '1.5'), (2, 'v', NULL, 1.50, '2024-01-01 00:00+00', '{}', '1.5');
UPDATE privileges.first_seen SET v = 'w', id = 3 WHERE id OPERATOR(pg_catalog.=) 1;
DELETE FROM privileges.first_seen WHERE id OPERATOR(pg_catalog.=) 2;
ALTER TABLE privileges.first_seen ADD COLUMN x pg_catalog.text;
ALTER TABLE privileges.first_seen RENAME x TO y;
UPDATE privileges.first_seen SET y = 'z';
SELECT operation, row_key, changed_columns FROM medsync.history('privileges.first_seen');
SELECT operation, new_row FROM medsync.history('privileges.first_seen', '{"id": 3}');
SELECT id, v, s, n, j, m, y FROM medsync.as_of(NULL::privileges.first_seen, 'infinity');
SELECT severity, verdict, relation FROM medsync.verify() WHERE severity OPERATOR(pg_catalog.<>) 'notice';
SELECT errors FROM medsync.verify_summary();
SELECT height IS NOT NULL AS sealed FROM medsync.seal();
SELECT errors FROM medsync.verify_summary();
SELECT relation, payload, subject FROM medsync.tracked WHERE relation OPERATOR(pg_catalog.~) 'first_seen';
SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>) 0 FROM medsync.checkpoint;
SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>) 0 FROM medsync.status;
TRUNCATE privileges.first_seen;
DROP TABLE privileges.first_seen;
DROP TABLE privileges.parted_1;
SELECT medsync.untrack('privileges.first_seen');
RESET search_path;
SET search_path = privileges;
SELECT * FROM findings;

--
-- A type of the owner's brings a function of the owner's, which must not run
-- with the rights of whoever looks at the table
--
SET ROLE regress_medsync_owner;
CREATE TYPE mood AS ENUM ('well', 'unwell');
CREATE FUNCTION mood_to_json(mood) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
	RAISE WARNING 'cast run as %', current_user;
	RETURN to_json($1::text);
END
$$;
CREATE CAST (mood AS json) WITH FUNCTION mood_to_json(mood);
CREATE TABLE moods (mood mood PRIMARY KEY, note text);
RESET ROLE;
SELECT medsync.track('moods');
INSERT INTO moods VALUES ('well', 'x');
SET client_min_messages = warning;
\set VERBOSITY terse
SELECT operation, new_row FROM medsync.history('moods');
SELECT operation FROM medsync.history('moods', '{"mood": "well"}');
SELECT * FROM medsync.as_of(NULL::moods, 'infinity');
SELECT verdict FROM medsync.verify('moods') WHERE severity <> 'notice';
BEGIN;
SET LOCAL client_min_messages = error;
ALTER EVENT TRIGGER medsync_guard_end DISABLE;
ALTER TABLE moods DISABLE TRIGGER USER;
UPDATE moods SET note = 'y';
SET LOCAL client_min_messages = warning;
SELECT verdict, row_key FROM medsync.verify('moods') WHERE verdict = 'altered';
ROLLBACK;
\set VERBOSITY default
SET client_min_messages = error;
SELECT medsync.untrack('moods');

--
-- Names that try to be more than names
--
CREATE TABLE "x'); DROP TABLE patient; --" ("a', 'b" int PRIMARY KEY, "$$" text, "%s %I" text);
SELECT medsync.track('"x''); DROP TABLE patient; --"', '%s %I', 'full', '{$$}');
INSERT INTO "x'); DROP TABLE patient; --" VALUES (1, 'a', '''; --');
UPDATE "x'); DROP TABLE patient; --" SET "a', 'b" = 2;
SELECT operation, row_key, new_row FROM medsync.history('"x''); DROP TABLE patient; --"');
SELECT relation, subject, exclude FROM medsync.tracked WHERE relation ~ 'DROP';
SELECT * FROM findings;
SELECT medsync.untrack('"x''); DROP TABLE patient; --"');

SELECT count(medsync.untrack(t)) FROM unnest('{privileges.patient,parted}'::regclass[]) AS t;
SELECT * FROM findings;
DROP SCHEMA privileges, privileges_evil CASCADE;
DROP TABLE pg_temp._table, pg_temp._journal, pg_temp.pg_class, pg_temp.patient, pg_temp.first_seen;
DROP ROLE regress_medsync_owner, regress_medsync_writer, regress_medsync_reader, regress_medsync_rest, regress_medsync_bypass,
	regress_medsync_admin, regress_medsync_auditor, regress_medsync_noinherit;
