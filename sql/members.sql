-- What CREATE EXTENSION makes, as it is described to users: members, columns,
-- arguments, comments; and what it does not make: rows, or anything outside
-- its schema.
\set here :DBNAME
CREATE DATABASE regress_medsync_members TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_medsync_members

-- it does not take over a schema or a role that somebody else has made
\set VERBOSITY sqlstate
BEGIN;
CREATE SCHEMA medsync;
CREATE EXTENSION medsync;
ROLLBACK;
CREATE EXTENSION medsync SCHEMA public;
\set VERBOSITY default
SET client_min_messages = warning;
CREATE EXTENSION medsync;
DROP EXTENSION medsync;
BEGIN;
ALTER ROLE medsync_admin LOGIN;
CREATE EXTENSION medsync;
ROLLBACK;
BEGIN;
ALTER ROLE medsync_auditor CREATEROLE;
CREATE EXTENSION medsync;
ROLLBACK;
BEGIN;
ALTER ROLE medsync_auditor SUPERUSER;
CREATE EXTENSION medsync;
ROLLBACK;
SELECT to_regnamespace('medsync');
CREATE EXTENSION medsync;

SELECT extrelocatable, extnamespace::regnamespace FROM pg_extension WHERE extname = 'medsync';
SELECT superuser, trusted, relocatable, schema, requires FROM pg_available_extension_versions WHERE name = 'medsync' AND installed;
SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolpassword IS NOT NULL AS password
FROM pg_authid WHERE rolname IN ('medsync_admin', 'medsync_auditor') ORDER BY 1;

-- members; what belongs to a table or view is not listed
\pset tuples_only on
\pset format unaligned
SELECT pg_describe_object(classid, objid, 0) FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'medsync')
ORDER BY pg_describe_object(classid, objid, 0) COLLATE "C";
-- nothing of ours is outside, or not a member
SELECT pg_describe_object(d.classid, d.objid, 0) FROM pg_depend d
WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = 'medsync'::regnamespace
	AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype = 'e');
SELECT pg_describe_object(classid, objid, 0) FROM pg_depend e
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'medsync')
	AND classid NOT IN ('pg_namespace'::regclass, 'pg_event_trigger'::regclass)
	AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = e.classid AND d.objid = e.objid AND d.refclassid = 'pg_namespace'::regclass AND d.refobjid = 'medsync'::regnamespace);
\pset tuples_only off
\pset format aligned

-- tables and views
SELECT c.relname, a.attname, format_type(atttypid, atttypmod) AS type, CASE WHEN relkind = 'v' THEN 'view' WHEN attnotnull THEN 'not null' ELSE '' END AS note
FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
WHERE relnamespace = 'medsync'::regnamespace AND relkind IN ('r', 'v')
ORDER BY relname COLLATE "C", attnum;
SELECT pg_get_indexdef(indexrelid) FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid
WHERE relnamespace = 'medsync'::regnamespace ORDER BY pg_get_indexdef(indexrelid) COLLATE "C";
-- functions, with their results
\pset format unaligned
\x on
SELECT proname, pg_get_function_arguments(oid) AS arguments, pg_get_function_result(oid) AS result
FROM pg_proc WHERE pronamespace = 'medsync'::regnamespace ORDER BY proname COLLATE "C", 2;
\x off
\pset format aligned
SELECT evtname, evtevent, evtenabled, evttags, evtfoid::regproc FROM pg_event_trigger WHERE evtname ~ '^medsync' ORDER BY evtname COLLATE "C";

-- every table is dumped with all its rows, and has none yet
SELECT c.oid::regclass AS not_dumped FROM pg_class c
WHERE relnamespace = 'medsync'::regnamespace AND relkind IN ('r', 'S')
	AND oid <> ALL ((SELECT extconfig FROM pg_extension WHERE extname = 'medsync')::oid[]);
SELECT DISTINCT unnest(extcondition) AS condition FROM pg_extension WHERE extname = 'medsync';
DO $$
DECLARE
	found bool;
	t regclass;
BEGIN
	FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'medsync'::regnamespace AND relkind = 'r' LOOP
		EXECUTE format('SELECT EXISTS (SELECT FROM %s)', t) INTO found;
		ASSERT NOT found, t;
	END LOOP;
END
$$;
-- and none has triggers, rules or sequences, so that a restore is not recorded
SELECT tgrelid::regclass FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'medsync'::regnamespace);

-- comments: on everything that users see, and on columns of tables
SELECT pg_describe_object(classid, objid, 0) AS without_comment FROM pg_depend d
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'medsync')
	AND classid <> 'pg_type'::regclass AND classid <> 'pg_event_trigger'::regclass
	AND obj_description(objid, classid::regclass::name) IS NULL
ORDER BY 1;
SELECT attrelid::regclass, attname AS without_comment FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
WHERE relnamespace = 'medsync'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
	AND col_description(attrelid, attnum) IS NULL
ORDER BY attrelid::regclass::text COLLATE "C", attnum;
-- one line each, without white space at its ends
SELECT pg_describe_object(d.classoid, d.objoid, d.objsubid) FROM pg_description d
JOIN pg_depend e ON e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e'
	AND e.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'medsync')
WHERE d.description !~ '^\S.*\S$' OR d.description ~ '\n' ORDER BY 1;

-- settings
LOAD 'medsync';
SELECT name, vartype, context, boot_val, unit, short_desc FROM pg_settings WHERE name ~ '^medsync\.' ORDER BY name COLLATE "C";

-- it goes as it came
CREATE TABLE t (id int PRIMARY KEY);
SELECT medsync.track('t', payload => 'hash');
INSERT INTO t VALUES (1);
SELECT medsync.untrack('t');
DROP EXTENSION medsync;
SELECT to_regnamespace('medsync'), (SELECT count(*) FROM pg_event_trigger), (SELECT count(*) FROM pg_trigger);
CREATE EXTENSION medsync;
SELECT medsync.track('t', payload => 'hash');
SELECT severity, verdict FROM medsync.verify();
SELECT medsync.untrack('t');
\c :here
DROP DATABASE regress_medsync_members WITH (FORCE);
