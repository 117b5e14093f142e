-- Proves: what the functions of records take, give and refuse, with which
-- words, and who may what.  What is random is compared, not shown.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS medsync;
\pset null '-'
CREATE SCHEMA records;
GRANT USAGE ON SCHEMA records TO PUBLIC;
SET search_path = records;
CREATE ROLE regress_medsync_author;
CREATE ROLE regress_medsync_nurse;
CREATE ROLE regress_medsync_patient;
CREATE ROLE regress_medsync_other;
CREATE ROLE regress_medsync_nobody;

-- People, and the keys of those who have one.
CREATE TABLE who AS
	SELECT name, medsync.register_person(kind, name, ('regress_medsync_' || name)::regrole, subject) AS id
	FROM (VALUES ('author', 'practitioner', NULL), ('nurse', 'nurse', NULL),
		('patient', 'patient', 'regress-1'), ('other', 'patient', 'regress-2')) v (name, kind, subject);
SELECT medsync.verify_person(id) FROM who;
CREATE TABLE key AS SELECT name, (p).public_key, (p).private_key
	FROM (SELECT name, medsync.generate_key_pair('x25519') AS p FROM who WHERE name IN ('nurse', 'other')) k;
SELECT count(medsync.add_key(id, 'x25519', public_key)) FROM key JOIN who USING (name);
CREATE FUNCTION id(text) RETURNS uuid STABLE LANGUAGE sql AS 'SELECT id FROM records.who WHERE name = $1';
CREATE FUNCTION private_key(text) RETURNS bytea STABLE LANGUAGE sql AS 'SELECT private_key FROM records.key WHERE name = $1';
CREATE TABLE record (name text, id uuid);
GRANT ALL ON who, key, record TO PUBLIC;

-- Runs a statement as somebody; ids in what came of it are replaced.
CREATE FUNCTION try(who text, command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
	message text;
	detail text;
BEGIN
	BEGIN
		EXECUTE format('SET LOCAL SESSION AUTHORIZATION regress_medsync_%s', who);
		EXECUTE command INTO result;
		RESET SESSION AUTHORIZATION;
		RETURN 'ok: ' || coalesce(result, '-');
	EXCEPTION WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
		RETURN regexp_replace(concat_ws(' ', SQLSTATE, message, '(' || nullif(detail, '') || ')'),
			'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', 'ID', 'g');
	END;
END $$;
CREATE FUNCTION r() RETURNS text STABLE LANGUAGE sql AS 'SELECT quote_literal(id) FROM records.record WHERE name = $$r$$';

-- upload
SELECT try('author', $$INSERT INTO records.record VALUES ('r', medsync.put_record('regress-1', 'a letter', 'text/plain')) RETURNING name$$);
SELECT try('author', format('SELECT convert_from(medsync.get_record(%s), $$UTF8$$)', r()));
SELECT try('patient', format('SELECT convert_from(medsync.get_record(%s), $$UTF8$$)', r()));
SELECT try('nurse', format('SELECT medsync.get_record(%s)', r()));
SELECT try('other', format('SELECT medsync.get_record(%s)', r()));
SELECT try('nobody', format('SELECT medsync.get_record(%s)', r()));
SELECT try('nurse', 'SELECT medsync.get_record(gen_random_uuid())');
SELECT try('nobody', $$SELECT medsync.put_record('regress-1', 'a letter', 'text/plain')$$);

-- grant
SELECT try('nurse', format('SELECT medsync.grant_record(%s, records.id($$nurse$$))', r()));
SELECT try('author', format('SELECT medsync.grant_record(%s, records.id($$nurse$$))', r()));
SELECT try('author', format('SELECT medsync.grant_record(%s, records.id($$patient$$))', r()));
SELECT try('author', format('SELECT medsync.grant_record(%s, gen_random_uuid())', r()));
SELECT try('nurse', format('SELECT convert_from(medsync.get_record(%s), $$UTF8$$)', r()));
SELECT try('nurse', format('SELECT convert_from(medsync.get_record(%s, records.private_key($$nurse$$)), $$UTF8$$)', r()));
SELECT try('nurse', format('SELECT medsync.get_record(%s, records.private_key($$other$$))', r()));
SELECT try('nurse', format('SELECT medsync.get_record(%s, $$no key$$)', r()));
SELECT try('author', format('SELECT medsync.get_record(%s, records.private_key($$nurse$$))', r()));
SELECT try('nurse', format('SELECT string_agg(concat_ws($$ $$, w.name, a.algorithm, g.name), $$, $$ ORDER BY w.name) FROM medsync.record_access(%s) a JOIN records.who w ON w.id = a.person JOIN records.who g ON g.id = a.granted_by', r()));
SELECT try('other', format('SELECT medsync.record_access(%s)', r()));
-- granting again is no error
SELECT try('author', format('SELECT medsync.grant_record(%s, records.id($$nurse$$))', r()));
SELECT try('nurse', format('SELECT count(*) FROM medsync.record_access(%s)', r()));

-- versions
SELECT try('author', format('SELECT medsync.put_record($$regress-1$$, $$another letter$$, $$text/html$$, ARRAY[records.id($$other$$)], %s) = %1$s', r()));
SELECT try('nurse', format('SELECT medsync.put_record($$regress-1$$, $$x$$, $$x$$, $${}$$, %s)', r()));
SELECT try('author', format('SELECT medsync.put_record($$regress-2$$, $$x$$, $$x$$, $${}$$, %s)', r()));
SELECT try('nurse', format('SELECT convert_from(medsync.get_record(%s), $$UTF8$$) || $$, $$ || convert_from(medsync.get_record(%1$s, version => 1), $$UTF8$$)', r()));
SELECT try('other', format('SELECT convert_from(medsync.get_record(%s), $$UTF8$$)', r()));
SELECT try('other', format('SELECT medsync.get_record(%s, version => 1)', r()));
SELECT try('nurse', format('SELECT medsync.get_record(%s, version => 3)', r()));
SELECT try('nurse', format('SELECT medsync.get_record(%s, version => 0)', r()));
SELECT try('other', 'SELECT string_agg(concat_ws($$ $$, subject, media_type, length, version), $$, $$) FROM medsync.records()');
SELECT try('patient', 'SELECT string_agg(concat_ws($$ $$, subject, media_type, length, version), $$, $$) FROM medsync.records($$regress-1$$)');
SELECT try('patient', 'SELECT count(*) FROM medsync.records($$regress-2$$)');
SELECT try('nobody', 'SELECT count(*) FROM medsync.records()');

-- another wrap
SELECT try('nurse', format('SELECT medsync.rewrap_record(%s)', r()));
SELECT try('nurse', format('SELECT medsync.rewrap_record(%s, records.id($$other$$))', r()));
SELECT try('author', format('SELECT medsync.rewrap_record(%s, records.id($$nurse$$))', r()));
SELECT try('author', format('SELECT medsync.rewrap_record(%s)', r()));
SELECT try('patient', format('SELECT medsync.rewrap_record(%s)', r()));

-- revoke
SELECT try('nurse', format('SELECT medsync.revoke_record(%s, records.id($$other$$))', r()));
SELECT try('author', format('SELECT medsync.revoke_record(%s, records.id($$nurse$$))', r()));
SELECT try('nurse', format('SELECT medsync.get_record(%s)', r()));
SELECT try('author', format('SELECT medsync.revoke_record(%s, records.id($$nurse$$))', r()));
SELECT try('patient', format('SELECT medsync.revoke_record(%s, records.id($$author$$))', r()));
SELECT try('author', format('SELECT medsync.get_record(%s)', r()));
SELECT try('author', format('SELECT medsync.grant_record(%s, records.id($$author$$))', r()));
SELECT try('patient', format('SELECT convert_from(medsync.get_record(%s, version => 1), $$UTF8$$)', r()));

-- arguments
SELECT try('author', 'SELECT medsync.get_record(NULL)');
SELECT try('author', 'SELECT medsync.grant_record(NULL, NULL)');
SELECT try('author', format('SELECT medsync.grant_record(%s, NULL)', r()));
SELECT try('author', format('SELECT medsync.revoke_record(%s, NULL)', r()));
SELECT try('author', 'SELECT medsync.rewrap_record(NULL)');
SELECT try('author', 'SELECT medsync.record_access(NULL)');
SELECT try('author', $$SELECT medsync.put_record(NULL, 'x', 'x')$$);
SELECT try('author', $$SELECT medsync.put_record('regress-1', NULL, 'x')$$);
SELECT try('author', $$SELECT medsync.put_record('regress-1', 'x', NULL)$$);
SELECT try('author', $$SELECT medsync.put_record('regress-1', 'x', 'x', NULL)$$);
SELECT try('author', $$SELECT medsync.put_record('regress-1', 'x', 'x', ARRAY[NULL]::uuid[])$$);
SELECT try('author', $$SELECT medsync.put_record('', 'x', 'x')$$);
SELECT try('author', $$SELECT medsync.put_record('regress-1', 'x', '')$$);
SELECT try('author', $$SELECT medsync.put_record(repeat('x', 1025), 'x', 'x')$$);
SELECT try('author', $$SELECT medsync.put_record('regress-1', 'x', repeat('x', 256))$$);
SELECT try('author', $$SELECT medsync.put_record('regress-1', convert_to(repeat('x', 104857601), 'UTF8'), 'x')$$);
SELECT try('author', $$SELECT medsync.put_record('regress-1', 'x', 'x', array_agg(gen_random_uuid())) FROM generate_series(1, 1001)$$);
SELECT try('author', $$SELECT medsync.put_record('regress-1', 'x', 'x', ARRAY[gen_random_uuid()])$$);
SELECT try('author', $$SELECT medsync.put_record('regress-1', 'x', 'x', ARRAY[records.id('patient')])$$);
-- the longest and the largest of these, and a recipient named twice, are fine
SELECT try('author', $$SELECT length(medsync.get_record(medsync.put_record(repeat('x', 1024), '', repeat('x', 255),
	ARRAY[records.id('nurse'), records.id('nurse'), records.id('author')])))$$);

-- read-only
BEGIN READ ONLY;
SELECT try('author', format('SELECT medsync.get_record(%s)', r()));
SELECT try('author', $$SELECT medsync.put_record('regress-1', 'x', 'x')$$);
SELECT try('patient', format('SELECT count(*) FROM medsync.record_access(%s)', r()));
ROLLBACK;

-- in a parallel plan, through a function that claims to be safe
CREATE FUNCTION in_parallel(uuid) RETURNS bytea LANGUAGE plpgsql PARALLEL SAFE AS 'BEGIN RETURN medsync.get_record($1); END';
SELECT set_config(name, 'on', false) AS parallel FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
\set VERBOSITY terse
SELECT in_parallel(id) FROM record WHERE name = 'r';
\set VERBOSITY default
SELECT set_config(name, 'off', false) AS parallel FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');

-- nobody else writes
\set VERBOSITY terse
DELETE FROM medsync._record;
UPDATE medsync._record_version SET media_type = 'x';
DELETE FROM medsync._record_wrap;
INSERT INTO medsync._record_wrap SELECT record, version, gen_random_uuid(), patient, key, algorithm, wrapped, granted_at, granted_by FROM medsync._record_wrap;
DELETE FROM medsync.record_event;
TRUNCATE medsync.record_event;
ALTER TABLE medsync._record_wrap ADD COLUMN more text;
DROP TRIGGER medsync_capture ON medsync.record_event;
\set VERBOSITY default

-- each of it is an event, and each event is an entry
SELECT event, version, w.name, p.name AS recipient, replace(e.role, 'regress_medsync_', '') AS role, reason, count(*)
FROM medsync.record_event e LEFT JOIN who w ON w.id = e.person LEFT JOIN who p ON p.id = e.recipient
WHERE e.record = (SELECT id FROM record) GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6;
SELECT (SELECT count(*) FROM medsync.record_event) = (SELECT count(*) FROM medsync.history('medsync.record_event')) AS all_recorded;
SELECT bool_and(actor IS NOT DISTINCT FROM new_row->>'person' AND role = new_row->>'role') AS entries_name_who_acted
FROM medsync.history('medsync.record_event');
SELECT verdict, relation, detail FROM medsync.verify() WHERE severity = 'error';

-- the vault's key
SELECT length(medsync.vault_key()), medsync.vault_key() = medsync.vault_key() AS same;
SELECT medsync.check_signature('x', sha512('x'), medsync.vault_key());

SET client_min_messages = error;
RESET search_path;
DROP SCHEMA records CASCADE;
DROP ROLE regress_medsync_author, regress_medsync_nurse, regress_medsync_patient, regress_medsync_other, regress_medsync_nobody;
