-- The public face of the ledger: names, arguments, columns, rights; then what
-- the README promises, on a small table.  Run in a database of its own:
--     pg_prove -d DB test/pgtap/ledger.sql

\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pgtap;
CREATE EXTENSION IF NOT EXISTS medsync;

SELECT * FROM no_plan();

--
-- Shape
--

-- A function of schema medsync as one line: arguments with defaults -> result
CREATE FUNCTION pg_temp.shape(name text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(pg_get_function_arguments(oid) || ' -> ' || pg_get_function_result(oid), E'\n')
	FROM pg_proc WHERE pronamespace = 'medsync'::regnamespace AND proname = name
$$;

-- Of a function that returns a table: its input arguments
CREATE FUNCTION pg_temp.arguments(name text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(regexp_replace(pg_get_function_arguments(oid), ',? *(OUT|TABLE) .*$', ''), E'\n')
	FROM pg_proc WHERE pronamespace = 'medsync'::regnamespace AND proname = name
$$;

-- and its columns
CREATE FUNCTION pg_temp.columns(name text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(proargnames[i] || ' ' || format_type(proallargtypes[i], NULL), ', ' ORDER BY i)
	FROM pg_proc, generate_subscripts(proallargtypes, 1) i
	WHERE pronamespace = 'medsync'::regnamespace AND proname = name
	  AND proargmodes[i] IN ('o', 't')
$$;

SELECT is(pg_temp.arguments('track'),
	'relation regclass, subject name DEFAULT NULL::name, payload text DEFAULT ''full''::text, exclude name[] DEFAULT ''{}''::name[]',
	'track: arguments');
SELECT is(pg_temp.arguments('untrack'), 'relation regclass', 'untrack: arguments');
SELECT is(pg_temp.arguments('seal'), '', 'seal: no arguments');
SELECT is(pg_temp.columns('seal'), 'height bigint, size bigint, root bytea', 'seal: result');
SELECT is(pg_temp.arguments('verify'), 'relation regclass DEFAULT NULL::regclass, since_size bigint DEFAULT NULL::bigint',
	'verify: arguments');
SELECT is(pg_temp.columns('verify'),
	'severity text, verdict text, relation text, row_key jsonb, block bigint, entry_index bigint, expected text, found text, detail text',
	'verify: result');
SELECT is(pg_temp.arguments('verify_summary'), pg_temp.arguments('verify'), 'verify_summary: the same arguments');
SELECT is(pg_temp.columns('verify_summary'),
	'entries bigint, blocks bigint, tables bigint, rows bigint, unsealed bigint, errors bigint, warnings bigint, seconds double precision',
	'verify_summary: result');
SELECT is(pg_temp.arguments('history'), 'relation regclass, key jsonb DEFAULT NULL::jsonb', 'history: arguments');
SELECT is(pg_temp.columns('history'),
	'entry_index bigint, block bigint, at timestamp with time zone, operation text, role text, actor text, row_key jsonb, old_row jsonb, new_row jsonb, changed_columns text[]',
	'history: result');
SELECT matches(pg_temp.shape('as_of'), '^\w* ?anyelement, at timestamp with time zone -> SETOF anyelement$', 'as_of: shape');

SELECT is(proretset, t.set, format('%s: %s', t.name, CASE WHEN t.set THEN 'a set of rows' ELSE 'one row' END))
FROM (VALUES ('seal', false), ('verify', true), ('verify_summary', false), ('history', true), ('as_of', true)) AS t (name, set),
	pg_proc WHERE pronamespace = 'medsync'::regnamespace AND proname = t.name;

SELECT is(count(*), 1::bigint, t || ': one function of that name')
FROM unnest('{track,untrack,seal,verify,verify_summary,history,as_of}'::text[]) t
	LEFT JOIN pg_proc ON proname = t AND pronamespace = 'medsync'::regnamespace
GROUP BY t;

-- Nothing that writes or looks at tables may be folded or run in a worker
SELECT is(provolatile::text || proparallel::text, 'vu', proname || ': volatile and parallel unsafe')
FROM pg_proc WHERE pronamespace = 'medsync'::regnamespace AND proname IN ('track', 'untrack', 'seal');
SELECT isnt(provolatile, 'i', proname || ': not immutable')
FROM pg_proc WHERE pronamespace = 'medsync'::regnamespace AND proname IN ('verify', 'verify_summary', 'history', 'as_of');
SELECT ok(NOT proisstrict OR pronargdefaults = 0, proname || ': a NULL default is not swallowed')
FROM pg_proc WHERE pronamespace = 'medsync'::regnamespace AND proname IN ('verify', 'verify_summary', 'history', 'track');

-- Views
SELECT is(
	(SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
	 WHERE attrelid = to_regclass('medsync.' || v) AND attnum > 0 AND NOT attisdropped),
	columns, v || ': columns')
FROM (VALUES
	('checkpoint', 'height, size, root, previous, hash, sealed_at, note, witnesses'),
	('status', 'item, value, state, advice')) AS t (v, columns);
SELECT is((SELECT relkind::text FROM pg_class WHERE oid = to_regclass('medsync.' || v)), 'v', v || ' is a view')
FROM unnest('{checkpoint,status,tracked}'::text[]) v;

-- Everything in the schema has its place: users' names, or a leading underscore
SELECT is(
	(SELECT string_agg(DISTINCT proname, ' ' ORDER BY proname) FROM pg_proc
	 WHERE pronamespace = 'medsync'::regnamespace AND proname NOT LIKE '\_%'
	   AND proname NOT IN ('track', 'untrack', 'seal', 'verify', 'verify_summary', 'history', 'as_of',
	'verifier_key', 'rotate_signer_key', 'declare_era', 'leaf', 'prove_inclusion', 'prove_consistency',
	'verify_inclusion', 'verify_consistency', 'export', 'export_files', 'export_entries', 'receipt', 'verify_receipt',
	'add_witness', 'remove_witness', 'set_witness_policy', 'submit_checkpoint',
	'register_person', 'verify_person', 'suspend_person', 'set_specialties', 'add_licence', 'revoke_licence', 'add_key', 'revoke_key',
	'challenge', 'sign_in', 'sign_out', 'actor', 'verify_signature', 'my_notices',
	'require_signature', 'signing_bytes', 'signatures',
	'generate_key', 'encrypt', 'decrypt', 'generate_key_pair', 'public_key', 'rsa_encrypt', 'rsa_decrypt', 'wrap_key', 'unwrap_key',
	'sign', 'check_signature', 'ecdsa_signature_from_der', 'rotate_master_key',
	'put_record', 'get_record', 'grant_record', 'revoke_record', 'rewrap_record', 'record_access', 'records', 'vault_key')),
	NULL, 'no public function that the documentation does not name');
SELECT is(
	(SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
	 WHERE relnamespace = 'medsync'::regnamespace AND relkind IN ('r', 'v', 'm', 'p', 'f', 'S') AND relname NOT LIKE '\_%'
	   AND relname NOT IN ('checkpoint', 'tracked', 'status', 'witness',
	'person', 'person_key', 'person_licence', 'notice', 'record_event')),
	NULL, 'no public relation that the documentation does not name');
SELECT is(
	(SELECT string_agg(pg_describe_object(classid, objid, 0), ', ') FROM pg_depend
	 WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	   AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'medsync')
	   AND pg_describe_object(classid, objid, 0) !~ ' medsync(\.|$)|event trigger _?medsync'),
	NULL, 'every member of the extension is in schema medsync');
SELECT is(
	(SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_proc p
	 WHERE pronamespace = 'medsync'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL AND proname NOT LIKE '\_%'),
	NULL, 'every public function has a comment');
SELECT is(
	(SELECT string_agg(relname, ', ') FROM pg_class c
	 WHERE relnamespace = 'medsync'::regnamespace AND relkind IN ('r', 'v') AND obj_description(c.oid, 'pg_class') IS NULL),
	NULL, 'every table and view has a comment');
SELECT is(
	(SELECT string_agg(relname, ', ') FROM pg_class
	 WHERE relnamespace = 'medsync'::regnamespace AND relkind IN ('r', 'S')
	   AND oid <> ALL (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'medsync')),
	'_spent_challenge', 'every table and sequence is dumped with its contents, but for what is good for a minute in this database alone');

--
-- Rights: PUBLIC has what the design says and nothing else
--

SELECT is(
	(SELECT string_agg(DISTINCT proname, ' ' ORDER BY proname) FROM pg_proc
	 WHERE pronamespace = 'medsync'::regnamespace AND has_function_privilege('public', oid, 'EXECUTE')),
	'_capture actor as_of challenge check_signature decrypt ecdsa_signature_from_der encrypt generate_key generate_key_pair'
	' get_record grant_record history my_notices public_key put_record record_access records require_signature revoke_record'
	' rewrap_record rsa_decrypt rsa_encrypt sign sign_in sign_out signatures signing_bytes track untrack unwrap_key vault_key'
	' verifier_key verify_consistency verify_inclusion verify_receipt verify_signature wrap_key',
	'PUBLIC may call history and as_of, check proofs, sign in, use the primitives; the others check their caller themselves');
SELECT is(
	(SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
	 WHERE relnamespace = 'medsync'::regnamespace AND relkind IN ('r', 'v')
	   AND (has_table_privilege('public', oid, 'SELECT') OR has_any_column_privilege('public', oid, 'SELECT')
			OR has_table_privilege('public', oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'))),
	NULL, 'PUBLIC has no right on a table or view');
SELECT is(
	(SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
	 WHERE relnamespace = 'medsync'::regnamespace
	   AND CASE relkind WHEN 'S' THEN has_sequence_privilege('public', oid, 'USAGE, SELECT, UPDATE') END),
	NULL, 'nor on a sequence');
SELECT ok(NOT has_schema_privilege('public', 'medsync', 'CREATE'), 'PUBLIC may not create in schema medsync');

SELECT ok(rolname IS NOT NULL AND NOT (rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls),
	t || ' is a mere group')
FROM unnest('{medsync_admin,medsync_auditor}'::text[]) t LEFT JOIN pg_roles ON rolname = t;
SELECT ok(has_function_privilege('medsync_auditor', 'medsync.verify(regclass, bigint)', 'EXECUTE'), 'an auditor may verify');
SELECT ok(has_function_privilege('medsync_auditor', 'medsync.verify_summary(regclass, bigint)', 'EXECUTE'), 'and have a summary');
SELECT ok(NOT has_function_privilege('medsync_auditor', 'medsync.seal()', 'EXECUTE'), 'but not seal');
SELECT ok(has_function_privilege('medsync_admin', 'medsync.seal()', 'EXECUTE'), 'an admin may seal');
SELECT ok(has_function_privilege('medsync_admin', 'medsync.track(regclass, name, text, name[])', 'EXECUTE'), 'and track');
SELECT is(
	(SELECT string_agg(relname || ' ' || r, ', ' ORDER BY relname) FROM pg_class, unnest('{medsync_admin,medsync_auditor}'::name[]) r
	 WHERE relnamespace = 'medsync'::regnamespace AND relkind = 'r'
	   AND has_table_privilege(r, pg_class.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')),
	NULL, 'neither writes to a table of the ledger');
SELECT is(
	(SELECT string_agg(relname || ' ' || r, ', ' ORDER BY relname) FROM pg_class, unnest('{medsync_admin,medsync_auditor}'::name[]) r
	 WHERE relnamespace = 'medsync'::regnamespace AND relname ~ '^_(subject_key|key_encryption_key)$'
	   AND has_table_privilege(r, pg_class.oid, 'SELECT')),
	NULL, 'neither reads keys');

-- track() is for the owner, if an admin or if the server lets owners
CREATE ROLE ledger_test_owner;
CREATE TABLE ledger_test_owned (id int);
ALTER TABLE ledger_test_owned OWNER TO ledger_test_owner;
SET ROLE ledger_test_owner;
SELECT throws_ok($$SELECT medsync.track('ledger_test_owned')$$, '42501', NULL, 'an owner who is no admin may not track');
SELECT throws_ok($$SELECT medsync.seal()$$, '42501', NULL, 'nor seal');
SELECT throws_ok($$SELECT * FROM medsync.verify()$$, '42501', NULL, 'nor verify');
SELECT throws_ok($$SELECT * FROM medsync.status$$, '42501', NULL, 'nor see the status');
SELECT throws_ok($$SELECT * FROM medsync._journal$$, '42501', NULL, 'nor read the journal');
RESET ROLE;
GRANT medsync_admin TO ledger_test_owner;
CREATE TABLE ledger_test_other (id int);
SET ROLE ledger_test_owner;
SELECT throws_ok($$SELECT medsync.track('ledger_test_other')$$, '42501', NULL, 'an admin who is not the owner may not track');
RESET ROLE;
DROP TABLE ledger_test_owned, ledger_test_other;
DROP ROLE ledger_test_owner;

-- No function that takes its owner's rights without pinning its names
SELECT is(
	(SELECT string_agg(oid::regprocedure::text, ', ') FROM pg_proc
	 WHERE pronamespace = 'medsync'::regnamespace AND prosecdef
	   AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (proconfig), false)),
	NULL, 'SECURITY DEFINER only with search_path = pg_catalog, pg_temp');

-- Guards
SELECT cmp_ok(count(*), '>', 0::bigint, 'there are event triggers') FROM pg_event_trigger WHERE evtname LIKE '%medsync%';
SELECT is(evtenabled, 'A', evtname || ': fires always') FROM pg_event_trigger WHERE evtname LIKE '%medsync%';

--
-- What the README promises
--

CREATE SCHEMA ledger_test;
SET search_path = ledger_test, public;
CREATE TABLE patient (id int PRIMARY KEY, name text, weight numeric, born date);
INSERT INTO patient VALUES (1, 'Ada', 60.5, '1950-01-01'), (2, 'Bob', 80, NULL);

SELECT is((SELECT count(*) FROM medsync.tracked), 0::bigint, 'nothing is tracked yet');
SELECT lives_ok($$SELECT medsync.track('patient', subject => 'id')$$, 'track');
SELECT is((SELECT count(*) FROM medsync.tracked), 1::bigint, 'one table is tracked');
SELECT results_eq(
	$$SELECT operation, row_key, old_row, new_row, role FROM medsync.history('patient') ORDER BY row_key$$,
	$$SELECT 'baseline', jsonb_build_object('id', id), NULL::jsonb, to_jsonb(p), current_user::text COLLATE "default" FROM patient p ORDER BY id$$,
	'what was there is a baseline');
SELECT throws_like($$SELECT medsync.track('patient')$$, '%tracked already%', 'not twice');

UPDATE patient SET weight = 61, born = born WHERE id = 1;
DELETE FROM patient WHERE id = 2;
INSERT INTO patient VALUES (3, 'Eve');
SELECT results_eq(
	$$SELECT operation, row_key, old_row->>'weight', new_row->>'weight', changed_columns FROM medsync.history('patient', '{"id": 1}')$$,
	$$VALUES ('baseline', '{"id": 1}'::jsonb, NULL, '60.5', NULL::text[]), ('update', '{"id": 1}', '60.5', '61', '{weight}')$$,
	'the history of one row');
SELECT results_eq(
	$$SELECT operation FROM medsync.history('patient') WHERE operation <> 'baseline'$$,
	$$VALUES ('update'), ('delete'), ('insert')$$, 'in order');
SELECT results_eq(
	$$SELECT old_row, new_row FROM medsync.history('patient') WHERE operation = 'delete'$$,
	$$VALUES ('{"id": 2, "name": "Bob", "weight": 80, "born": null}'::jsonb, NULL::jsonb)$$, 'what was deleted');
SELECT is_empty($$SELECT * FROM medsync.history('patient', '{"id": 99}')$$, 'no history of what never was');

SELECT is_empty($$SELECT * FROM medsync.verify() WHERE severity <> 'notice'$$, 'verify finds nothing');
SELECT is((SELECT count(*) FROM medsync.verify() WHERE verdict = 'unsealed' AND severity = 'notice'), 1::bigint,
	'but that entries are not sealed');
-- seal() must be the first thing in its transaction
SELECT height, size, root FROM medsync.seal() \gset
SELECT is((SELECT (c.height, c.size, c.root)::text FROM medsync.checkpoint c ORDER BY height DESC LIMIT 1),
	(:height::bigint, :size::bigint, :'root'::bytea)::text, 'seal() returns the last block');
SELECT height AS height2, size AS size2, root AS root2 FROM medsync.seal() \gset
SELECT is((:height2, :size2, :'root2')::text, (:height, :size, :'root')::text, 'and again if nothing is new');
SELECT is_empty($$SELECT * FROM medsync.verify()$$, 'verify finds nothing at all');
SELECT results_eq(
	$$SELECT errors, warnings, unsealed, tables, rows FROM medsync.verify_summary()$$,
	$$VALUES (0::bigint, 0::bigint, 0::bigint, 1::bigint, 2::bigint)$$, 'the summary');
SELECT is((SELECT entries FROM medsync.verify_summary()), :size::bigint, 'all entries are in the last block''s size');
SELECT ok((SELECT bool_and(entry_index >= 0 AND block IS NOT NULL AND at <= clock_timestamp()) FROM medsync.history('patient')),
	'the history knows block and entry');
SELECT is((SELECT count(*) FROM medsync.checkpoint c JOIN medsync.checkpoint p ON p.height = c.height - 1 AND p.hash = c.previous) + 1,
	(SELECT count(*) FROM medsync.checkpoint), 'blocks are a chain');

SELECT results_eq($$SELECT * FROM medsync.as_of(NULL::ledger_test.patient, 'infinity') ORDER BY id$$,
	$$SELECT * FROM patient ORDER BY id$$, 'as_of now is the table');
SELECT is_empty($$SELECT * FROM medsync.as_of(NULL::ledger_test.patient, '2000-01-01')$$, 'as_of long ago is nothing');
SELECT results_eq(
	$$SELECT p.* FROM (SELECT max(at) AS at FROM medsync.history('patient') WHERE operation = 'baseline') b,
		medsync.as_of(NULL::ledger_test.patient, b.at) p ORDER BY id$$,
	$$VALUES (1, 'Ada', 60.5, '1950-01-01'::date), (2, 'Bob', 80, NULL)$$, 'as_of between');

-- hashes only
CREATE TABLE lab (id int PRIMARY KEY, patient int, value text);
SELECT lives_ok($$SELECT medsync.track('lab', subject => 'patient', payload => 'hash')$$, 'track with hashes');
INSERT INTO lab VALUES (1, 1, 'positive');
SELECT results_eq($$SELECT operation, old_row, new_row FROM medsync.history('lab')$$,
	$$VALUES ('insert', NULL::jsonb, NULL::jsonb)$$, 'no images of it');
SELECT throws_like($$SELECT * FROM medsync.as_of(NULL::ledger_test.lab, 'infinity')$$, '%', 'nor as_of');
SELECT is_empty($$SELECT * FROM medsync.verify() WHERE severity <> 'notice'$$, 'but it is verified');

-- an insider
SELECT throws_like($$ALTER TABLE patient DISABLE TRIGGER ALL$$, '%', 'the trigger cannot be disabled');
SELECT throws_like($$TRUNCATE patient$$, '%', 'nor the table emptied');
SELECT throws_like($$DROP TABLE patient$$, '%', 'nor dropped');
BEGIN;
DO $$
DECLARE
	e text;
BEGIN
	FOR e IN SELECT evtname FROM pg_event_trigger LOOP
		EXECUTE format('ALTER EVENT TRIGGER %I DISABLE', e);
	END LOOP;
END $$;
ALTER TABLE patient DISABLE TRIGGER USER;
UPDATE patient SET weight = 50 WHERE id = 1;
SELECT results_eq(
	$$SELECT severity, relation, row_key FROM medsync.verify() WHERE verdict = 'altered'$$,
	$$VALUES ('error', 'ledger_test.patient', '{"id": 1}'::jsonb)$$, 'what he does past it is found');
SELECT cmp_ok((SELECT errors FROM medsync.verify_summary('patient')), '>', 0::bigint, 'and counted');
ROLLBACK;

SELECT throws_like($$SELECT medsync.track('lab_unknown')$$, '%does not exist%', 'an unknown table');
SELECT throws_like($$SELECT medsync.untrack('pg_class')$$, '%', 'a table that is not tracked');
SELECT lives_ok($$SELECT medsync.untrack('patient'), medsync.untrack('lab')$$, 'untrack');
SELECT is((SELECT count(*) FROM medsync.tracked), 0::bigint, 'nothing is tracked any more');
SELECT lives_ok($$TRUNCATE patient$$, 'it is an ordinary table again');
SELECT is_empty($$SELECT * FROM medsync.verify() WHERE severity <> 'notice'$$, 'and the ledger stays valid');

SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA ledger_test CASCADE;
