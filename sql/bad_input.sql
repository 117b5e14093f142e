-- What track() and its neighbours refuse: SQLSTATE, message and hint, with
-- nothing half-done.  A master key file that is missing, unreadable or too
-- open needs a server of its own: test/tap.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS medsync;
CREATE ROLE regress_medsync_owner;
CREATE ROLE regress_medsync_bad_admin IN ROLE medsync_admin;
CREATE SCHEMA bad_input;
GRANT ALL ON SCHEMA bad_input TO PUBLIC;
SET search_path = bad_input;
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
	RETURN 'done: ' || command;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN format('%s: %s', SQLSTATE, message)
		|| coalesce(E'\n  DETAIL: ' || nullif(detail, ''), '')
		|| coalesce(E'\n  HINT: ' || nullif(hint, ''), '');
END
$$;

-- All that track() leaves behind.
CREATE VIEW traces AS
	SELECT (SELECT count(*) FROM medsync._table) AS tables,
		(SELECT count(*) FROM medsync._manifest) AS manifests,
		(SELECT count(*) FROM medsync._subject_key) AS keys,
		(SELECT entries FROM medsync.verify_summary()) AS entries,
		(SELECT count(*) FROM pg_trigger WHERE tgname ~ '^medsync') AS triggers,
		(SELECT count(*) FROM pg_locks
		 WHERE pid = pg_backend_pid() AND mode ~ 'Exclusive'
			AND locktype <> 'virtualxid') AS locks;

-- the ledger exists, so that what follows cannot be refused for want of it
CREATE TABLE tracked (id int PRIMARY KEY, patient text);
SELECT medsync.track('tracked', 'patient');
SELECT tables, manifests, keys, entries, triggers, locks FROM traces \gset

--
-- What is no table
--
CREATE VIEW a_view AS SELECT 1 AS id;
CREATE MATERIALIZED VIEW a_matview AS SELECT 1 AS id;
CREATE SEQUENCE a_sequence;
CREATE TYPE a_composite AS (id int);
CREATE FOREIGN DATA WRAPPER regress_medsync_wrapper;
CREATE SERVER regress_medsync_server FOREIGN DATA WRAPPER regress_medsync_wrapper;
CREATE FOREIGN TABLE a_foreign_table (id int, patient text) SERVER regress_medsync_server;
SELECT attempt(format('SELECT medsync.track(%L)', name)) FROM unnest(ARRAY[
	'a_view', 'a_matview', 'a_sequence', 'a_composite', 'a_foreign_table',
	'tracked_pkey']) AS name;
SELECT attempt('SELECT medsync.track(''no_such_table'')');
SELECT attempt('SELECT medsync.track(0)');
SELECT attempt('SELECT medsync.track(4294967295)');

--
-- Tables whose rows do not last
--
CREATE TEMPORARY TABLE a_temporary_table (id int);
CREATE UNLOGGED TABLE an_unlogged_table (id int);
SELECT attempt('SELECT medsync.track(''a_temporary_table'')');
SELECT attempt('SELECT medsync.track(''an_unlogged_table'')');
ALTER TABLE an_unlogged_table SET LOGGED;
BEGIN;
SELECT attempt('SELECT medsync.track(''an_unlogged_table'', payload => ''hash'')');
ROLLBACK;

--
-- Catalogs and medsync's own tables
--
SELECT attempt(format('SELECT medsync.track(%L)', name)) FROM unnest(ARRAY[
	'pg_class', 'pg_authid', 'pg_largeobject', 'information_schema.sql_parts']) AS name;
SET allow_system_table_mods = on;
SELECT attempt('SELECT medsync.track(''pg_class'')');
RESET allow_system_table_mods;
SELECT attempt(format('SELECT medsync.track(%L)', oid::regclass))
FROM pg_class WHERE relnamespace = 'medsync'::regnamespace AND relkind <> 'i'
ORDER BY relname COLLATE "C";

--
-- Columns whose type names an object, or cannot be read back
--
CREATE TYPE with_role AS (id int, who regrole);
CREATE TYPE with_nested_role AS (id int, rows with_role[]);
CREATE DOMAIN role_name AS regrole;
CREATE DOMAIN role_names AS role_name[];
SELECT attempt(format('CREATE TABLE refused (id int, c %s); SELECT medsync.track(''refused'', payload => ''hash'')', type))
FROM unnest(ARRAY['regclass', 'regcollation', 'regconfig', 'regdictionary',
	'regnamespace', 'regoper', 'regoperator', 'regproc', 'regprocedure',
	'regrole', 'regtype', 'regclass[]', 'regrole[][]', 'with_role',
	'with_role[]', 'with_nested_role', 'role_name', 'role_names',
	'role_name[]', 'aclitem', 'aclitem[]', 'pg_node_tree']) AS type;
-- excluded, it does no harm
BEGIN;
CREATE TABLE not_refused (id int, c regclass);
SELECT attempt('SELECT medsync.track(''not_refused'', payload => ''hash'', exclude => ''{c}'')');
INSERT INTO not_refused VALUES (1, 'pg_class');
SELECT verdict, relation FROM medsync.verify('not_refused') WHERE severity <> 'notice';
ROLLBACK;
-- nor does a dropped one
BEGIN;
CREATE TABLE not_refused (id int, c regclass);
ALTER TABLE not_refused DROP COLUMN c;
SELECT attempt('SELECT medsync.track(''not_refused'', payload => ''hash'')');
ROLLBACK;

--
-- Arguments
--
CREATE TABLE fine (id int PRIMARY KEY, patient text, dropped int, seen timestamptz);
ALTER TABLE fine DROP COLUMN dropped;
INSERT INTO fine VALUES (1, 'Anna');
SELECT attempt('SELECT medsync.track(NULL)');
SELECT attempt('SELECT medsync.track(''fine'', payload => NULL)');
SELECT attempt('SELECT medsync.track(''fine'', payload => ''FULL'')');
SELECT attempt('SELECT medsync.track(''fine'', payload => '''')');
SELECT attempt('SELECT medsync.track(''fine'', ''nobody'')');
SELECT attempt('SELECT medsync.track(''fine'', '''')');
SELECT attempt('SELECT medsync.track(''fine'', ''Patient'')');
SELECT attempt('SELECT medsync.track(''fine'', ''ctid'')');
SELECT attempt('SELECT medsync.track(''fine'', ''dropped'')');
SELECT attempt('SELECT medsync.track(''fine'', ''........pg.dropped.3........'')');
SELECT attempt('SELECT medsync.track(''fine'', exclude => ''{nobody}'')');
SELECT attempt('SELECT medsync.track(''fine'', exclude => ''{xmin}'')');
SELECT attempt('SELECT medsync.track(''fine'', exclude => ''{seen,NULL}'')');
SELECT attempt('SELECT medsync.track(''fine'', exclude => ''{id}'')');
SELECT attempt('SELECT medsync.track(''fine'', ''patient'', exclude => ''{seen,patient}'')');
-- a command that cannot write
BEGIN READ ONLY;
SELECT attempt('SELECT medsync.track(''fine'', ''patient'')');
SELECT attempt('SELECT medsync.untrack(''tracked'')');
SELECT attempt('SELECT medsync.seal()');
COMMIT;
-- in the middle of a command that uses the table
SELECT attempt($$WITH r AS (INSERT INTO fine VALUES (2, 'Bea') RETURNING id)
	SELECT medsync.track('fine', 'patient') FROM r$$);
SELECT attempt($$WITH r AS (INSERT INTO tracked VALUES (2, 'Bea') RETURNING id)
	SELECT medsync.untrack('tracked') FROM r$$) !~ '^done' AS refused;

--
-- Someone else's table
--
GRANT SELECT ON ALL TABLES IN SCHEMA bad_input TO PUBLIC;
SET ROLE regress_medsync_bad_admin;
SELECT attempt('SELECT medsync.track(''fine'', ''patient'')');
SELECT attempt('SELECT medsync.track(''a_foreign_table'')');
SELECT attempt('SELECT medsync.untrack(''tracked'')');
SELECT attempt('SELECT medsync.track(''tracked'')');
SET ROLE regress_medsync_owner;
CREATE TABLE mine (id int PRIMARY KEY, patient text);
SELECT attempt('SELECT medsync.track(''mine'', ''patient'')');
SELECT attempt('SET medsync.owners_may_track = on');
RESET ROLE;
SET medsync.owners_may_track = on;
SET ROLE regress_medsync_owner;
SELECT attempt('SELECT medsync.track(''fine'', ''patient'')');
BEGIN;
SELECT attempt('SELECT medsync.track(''mine'', ''patient'')');
INSERT INTO mine VALUES (1, 'Anna');
SELECT attempt('SELECT medsync.untrack(''mine'')');
ROLLBACK;
RESET ROLE;
RESET medsync.owners_may_track;
ALTER TABLE mine OWNER TO regress_medsync_bad_admin;
BEGIN;
SET LOCAL ROLE regress_medsync_bad_admin;
SELECT attempt('SELECT medsync.track(''mine'', ''patient'')');
SELECT attempt('SELECT medsync.untrack(''mine'')');
ROLLBACK;
DROP TABLE mine;

--
-- Tracked already, or not tracked
--
SELECT attempt('SELECT medsync.track(''tracked'')');
SELECT attempt('SELECT medsync.track(''tracked'', ''patient'', ''hash'')');
SELECT attempt('SELECT medsync.untrack(''fine'')');
SELECT attempt('SELECT medsync.untrack(''a_view'')');
SELECT medsync.untrack(NULL) IS NULL;

--
-- Partitions
--
CREATE TABLE parent (id int, patient text) PARTITION BY LIST (id);
CREATE TABLE child PARTITION OF parent FOR VALUES IN (1);
SELECT attempt('SELECT medsync.track(''child'', ''patient'')');
CREATE TABLE middle PARTITION OF parent FOR VALUES IN (2) PARTITION BY LIST (id);
SELECT attempt('SELECT medsync.track(''middle'', ''patient'')');
BEGIN;
SELECT attempt('SELECT medsync.track(''parent'', ''patient'')');
SELECT attempt('SELECT medsync.untrack(''child'')');
SELECT attempt('SELECT medsync.untrack(''middle'')');
SELECT attempt('SELECT medsync.track(''child'', ''patient'')');
-- what could not be tracked by itself cannot join either
SELECT attempt('CREATE UNLOGGED TABLE third PARTITION OF parent FOR VALUES IN (3)');
SELECT attempt('ALTER TABLE parent ATTACH PARTITION a_foreign_table FOR VALUES IN (3)');
SELECT attempt('ALTER TABLE parent ADD COLUMN c regclass');
SELECT attempt('ALTER TABLE tracked ADD COLUMN c with_role[]');
ROLLBACK;
BEGIN;
CREATE FOREIGN TABLE third PARTITION OF middle FOR VALUES IN (2) SERVER regress_medsync_server;
SELECT attempt('SELECT medsync.track(''parent'', ''patient'')');
DROP FOREIGN TABLE third;
CREATE UNLOGGED TABLE third PARTITION OF middle FOR VALUES IN (2);
SELECT attempt('SELECT medsync.track(''parent'', ''patient'')');
ROLLBACK;

--
-- The readers
--
SELECT attempt('SELECT medsync.verify(''fine'')');
SELECT attempt('SELECT medsync.verify(''a_view'')');
SELECT attempt('SELECT medsync.verify(since_size => -1)');
SELECT attempt('SELECT medsync.verify_summary(since_size => -1)');
SELECT attempt('SELECT medsync.verify_summary(''fine'')');
SELECT attempt('SELECT medsync.history(NULL)');
SELECT attempt('SELECT medsync.history(''fine'')');
SELECT attempt('SELECT medsync.history(''a_view'')');
SELECT attempt('SELECT medsync.history(4294967295)');
SELECT attempt('SELECT medsync.history(''tracked'', ''1'')');
SELECT attempt('SELECT medsync.history(''tracked'', ''{}'')');
SELECT attempt('SELECT medsync.history(''tracked'', ''{"id": null}'')');
SELECT attempt('SELECT medsync.history(''tracked'', ''{"id": 1, "patient": "Anna"}'')');
SELECT attempt('SELECT medsync.history(''tracked'', ''{"id": "one"}'')');
SELECT attempt('SELECT medsync.as_of(NULL::fine, now())');
SELECT attempt('SELECT medsync.as_of(NULL::int, now())');
SELECT attempt('SELECT medsync.as_of(NULL::a_view, now())');
SELECT attempt('SELECT medsync.as_of(NULL::a_composite, now())');
SELECT attempt('SELECT medsync.as_of(NULL, now())');

--
-- The internal functions
--
SELECT attempt('SELECT medsync._capture()');
SELECT attempt('SELECT medsync._guard_end()');
SELECT attempt($$CREATE TRIGGER t BEFORE INSERT ON fine FOR EACH ROW EXECUTE FUNCTION medsync._capture();
	INSERT INTO fine VALUES (3)$$);
SELECT attempt($$CREATE TRIGGER t AFTER INSERT ON fine FOR EACH STATEMENT EXECUTE FUNCTION medsync._capture();
	INSERT INTO fine VALUES (3)$$);
SELECT attempt($$CREATE TRIGGER t AFTER INSERT ON fine FOR EACH ROW EXECUTE FUNCTION medsync._capture();
	INSERT INTO fine VALUES (3)$$);
SELECT attempt($$CREATE TRIGGER t AFTER INSERT ON fine FOR EACH ROW EXECUTE FUNCTION medsync._truncate();
	INSERT INTO fine VALUES (3)$$);

-- none of all that left anything
SELECT tables - :tables, manifests - :manifests, keys - :keys,
	entries - :entries, triggers - :triggers, locks - :locks FROM traces;
SELECT severity, verdict, relation, detail FROM medsync.verify() WHERE severity <> 'notice';
-- and what follows a refusal in its transaction is recorded as ever
BEGIN;
INSERT INTO tracked VALUES (1, 'Anna');
SELECT attempt('SELECT medsync.track(''fine'', exclude => ''{id}'')');
SELECT attempt('SELECT medsync.track(''fine'', ''nobody'')');
UPDATE tracked SET patient = 'Bea';
COMMIT;
SELECT operation, new_row FROM medsync.history('tracked');
SELECT severity, verdict, relation, detail FROM medsync.verify() WHERE severity <> 'notice';

--
-- A database that is not UTF8
--
\set here :DBNAME
CREATE DATABASE regress_medsync_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE regress_medsync_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
\set VERBOSITY sqlstate
\c regress_medsync_ascii
CREATE EXTENSION medsync;
CREATE TABLE patient (id int PRIMARY KEY);
SELECT medsync.track('patient', payload => 'hash');
\set VERBOSITY default
SELECT medsync.track('patient', payload => 'hash');
SELECT count(*) FROM medsync._table;
SELECT count(*) FROM medsync._ledger;
SELECT * FROM medsync.verify();
\c regress_medsync_latin1
CREATE EXTENSION medsync;
CREATE TABLE patient (id int PRIMARY KEY);
SELECT medsync.track('patient', payload => 'hash');
\c :here
DROP DATABASE regress_medsync_ascii WITH (FORCE);
DROP DATABASE regress_medsync_latin1 WITH (FORCE);

SELECT medsync.untrack('bad_input.tracked');
SET client_min_messages = error;
DROP SCHEMA bad_input CASCADE;
DROP FOREIGN DATA WRAPPER regress_medsync_wrapper CASCADE;
DROP ROLE regress_medsync_owner, regress_medsync_bad_admin;
