-- People, their keys, and who acts: what the functions do, what they refuse,
-- and who may call them.  Sign-in under attack, several sessions, restarts and
-- poolers need servers of their own: test/tap.
SET client_min_messages = error;
CREATE EXTENSION IF NOT EXISTS medsync;
CREATE ROLE regress_medsync_ana LOGIN;
CREATE ROLE regress_medsync_app LOGIN;
CREATE ROLE regress_medsync_people IN ROLE medsync_admin;
CREATE ROLE regress_medsync_people_auditor IN ROLE medsync_auditor;
CREATE ROLE regress_medsync_gone;
CREATE SCHEMA identity;
GRANT USAGE ON SCHEMA identity TO PUBLIC;
SET search_path = identity;
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
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT,
		detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN format('%s: %s', SQLSTATE, message)
		|| coalesce(E'\n  DETAIL: ' || nullif(detail, ''), '')
		|| coalesce(E'\n  HINT: ' || nullif(hint, ''), '');
END
$$;

-- Runs a command of a superuser's with the guards out of the way, and without
-- the capture trigger on the tables of people.
CREATE FUNCTION past(command text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	name text;
	tables text[] := ARRAY(SELECT tgrelid::regclass::text FROM pg_trigger
		WHERE tgname = 'medsync_capture' AND tgrelid::regclass::text ~ '^medsync.person');
BEGIN
	FOR name IN SELECT evtname FROM pg_event_trigger LOOP
		EXECUTE format('ALTER EVENT TRIGGER %I DISABLE', name);
	END LOOP;
	FOREACH name IN ARRAY tables LOOP
		EXECUTE format('ALTER TABLE %s DISABLE TRIGGER medsync_capture', name);
	END LOOP;
	EXECUTE command;
	FOREACH name IN ARRAY tables LOOP
		EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER medsync_capture', name);
	END LOOP;
	FOR name IN SELECT evtname FROM pg_event_trigger LOOP
		EXECUTE format('ALTER EVENT TRIGGER %I ENABLE ALWAYS', name);
	END LOOP;
END $$;
CREATE VIEW findings AS SELECT verdict, relation, detail FROM medsync.verify() WHERE severity = 'error' ORDER BY relation COLLATE "C", detail COLLATE "C";

-- A pair of keys and a signature over a text, for the tests below.
CREATE TABLE pair (name text PRIMARY KEY, algorithm text, public_key bytea, private_key bytea);
INSERT INTO pair
	SELECT name, algorithm, (k).public_key, (k).private_key
	FROM (SELECT name, algorithm, medsync.generate_key_pair(algorithm) AS k
	      FROM (VALUES ('ana ed', 'ed25519'), ('ana p', 'p-256'), ('ana rsa', 'rsa-2048'), ('ana box', 'x25519'),
	                   ('bob ed', 'ed25519'), ('nobody', 'ed25519'), ('nobody p', 'p-256'), ('nobody rsa', 'rsa-2048'),
	                   ('nobody rsa3', 'rsa-3072'), ('nobody rsa4', 'rsa-4096')) AS v (name, algorithm)) AS x;
CREATE FUNCTION signed(text, text) RETURNS bytea LANGUAGE sql AS
	$$SELECT medsync.sign(convert_to($1, 'UTF8'), private_key) FROM pair WHERE name = $2$$;

-- ---- people ----
SELECT medsync.register_person('practitioner', 'Ana Díaz', 'regress_medsync_ana') AS ana \gset
SELECT medsync.register_person('patient', 'Bob', NULL, 'patient-1') AS bob \gset
SELECT medsync.register_person(kind => 'device', name => repeat('n', 1024), subject => repeat('s', 1024)) AS device \gset
SELECT kind, left(name, 10), role, left(subject, 10) = left(id::text, 10) AS own_subject, status, status_reason, specialties
	FROM medsync.person ORDER BY kind;
-- a random UUID
SELECT :'ana' ~ '^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$', :'ana' <> :'bob';
SELECT attempt('SELECT medsync.register_person(NULL, ''x'')');
SELECT attempt('SELECT medsync.register_person(''patient'', NULL)');
SELECT attempt('SELECT medsync.register_person(''wizard'', ''x'')');
SELECT attempt('SELECT medsync.register_person('''', ''x'')');
SELECT attempt('SELECT medsync.register_person(''Patient'', ''x'')');
SELECT attempt('SELECT medsync.register_person(''patient'', '''')');
SELECT attempt('SELECT medsync.register_person(''patient'', repeat(''x'', 1025))');
SELECT attempt('SELECT medsync.register_person(''patient'', ''x'', NULL, '''')');
SELECT attempt('SELECT medsync.register_person(''patient'', ''x'', NULL, repeat(''x'', 1025))');
SELECT attempt('SELECT medsync.register_person(''patient'', ''x'', ''regress_medsync_ana'')');
SELECT attempt('SELECT medsync.register_person(''nurse'', ''x'', NULL, (SELECT subject FROM medsync.person LIMIT 1))');
SELECT attempt('SELECT medsync.register_person(''patient'', ''x'', ''regress_medsync_nobody'')');
SELECT attempt('SELECT medsync.register_person(''patient'', ''x'', ''-'')');
SELECT attempt('SELECT medsync.register_person(''patient'', ''x'', 4000000000::regrole)');
BEGIN READ ONLY;
SELECT attempt('SELECT medsync.register_person(''patient'', ''x'')');
COMMIT;
SELECT count(*) FROM medsync.person;

-- every kind
BEGIN;
SELECT string_agg(attempt(format('SELECT medsync.register_person(%L, %1$L)', kind)), ' ')
	FROM unnest('{patient,practitioner,nurse,pharmacist,insurer,researcher,admin,auditor,device}'::text[]) AS kind;
ROLLBACK;

-- verify, suspend, verify again
SELECT medsync.verify_person(:'ana'), medsync.verify_person(:'bob'), medsync.verify_person(:'bob');
SELECT medsync.suspend_person(:'bob', 'gone away');
SELECT name, status, status_reason FROM medsync.person WHERE kind <> 'device' ORDER BY name;
SELECT medsync.verify_person(:'bob');
SELECT name, status, status_reason FROM medsync.person WHERE kind <> 'device' ORDER BY name;
SELECT attempt('SELECT medsync.verify_person(NULL)');
SELECT attempt('SELECT medsync.verify_person(gen_random_uuid())');
SELECT attempt('SELECT medsync.suspend_person(NULL, ''x'')');
SELECT attempt('SELECT medsync.suspend_person(gen_random_uuid(), ''x'')');
SELECT attempt(format('SELECT medsync.suspend_person(%L, NULL)', :'bob'));
SELECT attempt(format('SELECT medsync.suspend_person(%L, '''')', :'bob'));
SELECT attempt(format('SELECT medsync.suspend_person(%L, repeat(''x'', 1025))', :'bob'));

-- specialties
SELECT medsync.set_specialties(:'ana', '{cardiology,"internal medicine"}');
SELECT specialties FROM medsync.person WHERE id = :'ana';
SELECT medsync.set_specialties(:'ana', '{}');
SELECT specialties FROM medsync.person WHERE id = :'ana';
SELECT attempt(format('SELECT medsync.set_specialties(%L, NULL)', :'ana'));
SELECT attempt(format('SELECT medsync.set_specialties(%L, ''{a,NULL}'')', :'ana'));
SELECT attempt(format('SELECT medsync.set_specialties(%L, ''{""}'')', :'ana'));
SELECT attempt(format('SELECT medsync.set_specialties(%L, ''{{a},{b}}'')', :'ana'));
SELECT attempt(format('SELECT medsync.set_specialties(%L, array_fill(''x''::text, ''{101}''))', :'ana'));
SELECT attempt(format('SELECT medsync.set_specialties(%L, ARRAY[repeat(''x'', 1025)])', :'ana'));
SELECT attempt('SELECT medsync.set_specialties(gen_random_uuid(), ''{}'')');

-- licences
SELECT medsync.add_licence(:'ana', 'MD', '4711', 'State board', '2020-01-01', '2090-01-01') AS licence \gset
SELECT medsync.add_licence(:'ana', 'MD', '4712', 'State board', '2020-01-01') AS licence2 \gset
SELECT code, number, issuer, valid_from = '2020-01-01', valid_until = '2090-01-01', revoked_at, revocation_reason
	FROM medsync.person_licence ORDER BY number;
SELECT medsync.revoke_licence(:'licence2', 'fraud');
SELECT revoked_at < now(), revocation_reason FROM medsync.person_licence WHERE id = :'licence2';
SELECT attempt(format('SELECT medsync.revoke_licence(%L, ''again'')', :'licence2'));
SELECT attempt('SELECT medsync.revoke_licence(gen_random_uuid(), ''x'')');
SELECT attempt('SELECT medsync.revoke_licence(NULL, ''x'')');
SELECT attempt(format('SELECT medsync.revoke_licence(%L, NULL)', :'licence'));
SELECT attempt('SELECT medsync.add_licence(gen_random_uuid(), ''MD'', ''1'', ''x'', now())');
SELECT attempt(format('SELECT medsync.add_licence(%L, ''MD'', ''1'', ''x'', NULL)', :'ana'));
SELECT attempt(format('SELECT medsync.add_licence(%L, ''MD'', NULL, ''x'', now())', :'ana'));
SELECT attempt(format('SELECT medsync.add_licence(%L, ''MD'', ''1'', '''', now())', :'ana'));
SELECT attempt(format('SELECT medsync.add_licence(%L, ''MD'', ''1'', ''x'', now(), now())', :'ana'));
SELECT attempt(format('SELECT medsync.add_licence(%L, repeat(''x'', 1025), ''1'', ''x'', now())', :'ana'));

-- ---- keys ----
SELECT medsync.add_key(:'ana', algorithm, public_key) AS ed FROM pair WHERE name = 'ana ed' \gset
SELECT medsync.add_key(:'ana', algorithm, public_key) AS p FROM pair WHERE name = 'ana p' \gset
SELECT medsync.add_key(:'ana', algorithm, public_key, '2090-01-01') AS rsa FROM pair WHERE name = 'ana rsa' \gset
SELECT medsync.add_key(:'ana', algorithm, public_key) AS box FROM pair WHERE name = 'ana box' \gset
SELECT medsync.add_key(:'bob', algorithm, public_key) AS bobs FROM pair WHERE name = 'bob ed' \gset
SELECT p.name, k.algorithm, k.public_key = a.public_key, k.valid_from <= now(), k.valid_until = '2090-01-01', k.revoked_at, k.revocation_reason
	FROM medsync.person_key AS k JOIN medsync.person AS p ON p.id = k.person
	JOIN pair AS a ON a.public_key = k.public_key ORDER BY a.name;
-- refused: another algorithm than the key's, no key, a private key, one that is somebody's
SELECT name, attempt(format('SELECT medsync.add_key(%L, %L, %L)', :'ana', 'p-256', public_key))
	FROM pair WHERE name IN ('nobody', 'nobody rsa');
SELECT attempt(format('SELECT medsync.add_key(%L, %L, %L)', :'ana', 'rsa-3072', public_key)) FROM pair WHERE name = 'nobody rsa';
SELECT attempt(format('SELECT medsync.add_key(%L, %L, %L)', :'ana', 'dsa', public_key)) FROM pair WHERE name = 'nobody';
SELECT attempt(format('SELECT medsync.add_key(%L, %L, %L)', :'ana', 'ed25519', private_key)) FROM pair WHERE name = 'nobody';
SELECT attempt(format('SELECT medsync.add_key(%L, %L, %L)', :'ana', 'ed25519', public_key || '\x00')) FROM pair WHERE name = 'nobody';
SELECT attempt(format('SELECT medsync.add_key(%L, %L, %L)', :'ana', 'ed25519', ''));
SELECT attempt(format('SELECT medsync.add_key(%L, %L, convert_to(repeat(''x'', 1000000), ''UTF8''))', :'ana', 'ed25519'));
SELECT attempt(format('SELECT medsync.add_key(%L, %L, %L)', :'bob', 'ed25519', public_key)) FROM pair WHERE name = 'ana ed';
SELECT attempt(format('SELECT medsync.add_key(%L, %L, %L)', :'ana', 'ed25519', public_key)) FROM pair WHERE name = 'ana ed';
SELECT attempt(format('SELECT medsync.add_key(%L, %L, %L, now())', :'ana', 'ed25519', public_key)) FROM pair WHERE name = 'nobody';
SELECT attempt(format('SELECT medsync.add_key(%L, %L, %L)', gen_random_uuid(), 'ed25519', public_key)) FROM pair WHERE name = 'nobody';
SELECT attempt(format('SELECT medsync.add_key(NULL, %L, %L)', 'ed25519', public_key)) FROM pair WHERE name = 'nobody';
SELECT attempt(format('SELECT medsync.add_key(%L, NULL, %L)', :'ana', public_key)) FROM pair WHERE name = 'nobody';
SELECT attempt(format('SELECT medsync.add_key(%L, %L, NULL)', :'ana', 'ed25519'));
SELECT count(*) FROM medsync.person_key;

-- ---- verify_signature ----
SELECT a.name, medsync.verify_signature(k.id, 'message', medsync.sign('message', a.private_key)) AS good,
		medsync.verify_signature(k.id, 'messagE', medsync.sign('message', a.private_key)) AS other_message,
		medsync.verify_signature(k.id, 'message', set_byte(s, 9, get_byte(s, 9) # 1)) AS other_signature,
		medsync.verify_signature(k.id, 'message', '') AS none
	FROM pair AS a JOIN medsync.person_key AS k USING (public_key), medsync.sign('message', a.private_key) AS s
	WHERE a.algorithm <> 'x25519' ORDER BY a.name;
SELECT medsync.verify_signature(:'box', 'message', decode(repeat('00', 64), 'hex'));
SELECT medsync.verify_signature(:'ed', NULL, '') IS NULL;
SELECT attempt('SELECT medsync.verify_signature(gen_random_uuid(), '''', '''')');
BEGIN;
SELECT medsync.verify_signature(:'bobs', 'm', signed('m', 'bob ed'));
SAVEPOINT s;
SELECT medsync.suspend_person(:'bob', 'x');
SELECT medsync.verify_signature(:'bobs', 'm', signed('m', 'bob ed'));
ROLLBACK TO s;
SELECT medsync.verify_signature(:'bobs', 'm', signed('m', 'bob ed'));
SELECT medsync.revoke_key(:'bobs', 'x');
SELECT medsync.verify_signature(:'bobs', 'm', signed('m', 'bob ed'));
ROLLBACK;
SELECT medsync.verify_signature(:'bobs', 'm', signed('m', 'bob ed'));

-- ---- the role's person ----
CREATE TABLE note (id int PRIMARY KEY, text text);
GRANT ALL ON note TO PUBLIC;
SELECT medsync.track('note');
SELECT medsync.actor();
SET SESSION AUTHORIZATION regress_medsync_ana;
SELECT medsync.actor() = :'ana';
INSERT INTO note VALUES (1, 'as Ana');
RESET SESSION AUTHORIZATION;
-- SET ROLE is not acting as somebody else
GRANT regress_medsync_app TO regress_medsync_ana;
SET SESSION AUTHORIZATION regress_medsync_ana;
SET ROLE regress_medsync_app;
SELECT medsync.actor() = :'ana';
INSERT INTO note VALUES (2, 'as app, for Ana');
RESET SESSION AUTHORIZATION;
SET ROLE regress_medsync_ana;
SELECT medsync.actor();
RESET ROLE;
-- a role that got another name, or is gone, is nobody's
BEGIN;
SELECT medsync.register_person('nurse', 'Gone', 'regress_medsync_gone') AS gone \gset
SELECT medsync.verify_person(:'gone');
SET LOCAL SESSION AUTHORIZATION regress_medsync_gone;
SELECT medsync.actor() = :'gone';
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_medsync_gone RENAME TO regress_medsync_renamed;
SET LOCAL SESSION AUTHORIZATION regress_medsync_renamed;
SELECT medsync.actor();
ROLLBACK;
-- who is not active does not act
BEGIN;
SELECT medsync.suspend_person(:'ana', 'holiday');
SET LOCAL SESSION AUTHORIZATION regress_medsync_ana;
SELECT medsync.actor();
ROLLBACK;
SET SESSION AUTHORIZATION regress_medsync_ana;
SELECT medsync.actor() = :'ana';
RESET SESSION AUTHORIZATION;

-- ---- sign-in ----
SET SESSION AUTHORIZATION regress_medsync_app;
SELECT medsync.challenge(:'ana') AS c \gset
RESET SESSION AUTHORIZATION;
SELECT signed(:'c', 'ana ed') AS s \gset
SET SESSION AUTHORIZATION regress_medsync_app;
SELECT medsync.sign_in(:'c', :'ed', :'s');
SELECT medsync.actor() = :'ana', current_setting('medsync.actor') = format('%s %s', :'ana', :'ed');
INSERT INTO note VALUES (3, 'signed in');
SELECT medsync.sign_in(:'c', :'ed', :'s');
SELECT medsync.sign_out();
SELECT medsync.actor(), current_setting('medsync.actor');
INSERT INTO note VALUES (4, 'signed out');
RESET SESSION AUTHORIZATION;

-- P-256 and RSA
SELECT medsync.challenge(:'ana') AS c \gset
SELECT medsync.sign_in(:'c', :'p', signed(:'c', 'ana p'));
SELECT current_setting('medsync.actor') = format('%s %s', :'ana', :'p');
SELECT medsync.challenge(:'ana') AS c \gset
SELECT medsync.sign_in(:'c', :'rsa', signed(:'c', 'ana rsa'));
SELECT current_setting('medsync.actor') = format('%s %s', :'ana', :'rsa');
INSERT INTO note VALUES (5, 'with RSA');
-- another person, in place of the first
SELECT medsync.challenge(:'bob') AS c \gset
SELECT medsync.sign_in(:'c', :'bobs', signed(:'c', 'bob ed'));
SELECT medsync.actor() = :'bob';
-- for a transaction: over, the session's person acts again
SELECT medsync.challenge(:'ana') AS c \gset
BEGIN;
SELECT medsync.sign_in(:'c', :'ed', signed(:'c', 'ana ed'), 'transaction');
SELECT medsync.actor() = :'ana';
INSERT INTO note VALUES (6, 'for a transaction');
COMMIT;
SELECT medsync.actor() = :'bob';
-- a savepoint takes a sign-in back, and not the challenge
SELECT medsync.challenge(:'ana') AS c \gset
BEGIN;
SAVEPOINT a;
SELECT medsync.sign_in(:'c', :'ed', signed(:'c', 'ana ed'), 'transaction');
SELECT medsync.actor() = :'ana';
ROLLBACK TO a;
SELECT medsync.actor() = :'bob';
SELECT medsync.sign_in(:'c', :'ed', signed(:'c', 'ana ed'), 'transaction');
ROLLBACK;
SELECT medsync.actor() = :'bob';
-- signing out in a transaction that is rolled back
BEGIN;
SELECT medsync.sign_out();
SELECT medsync.actor();
ROLLBACK;
SELECT medsync.actor() = :'bob';
-- who is suspended, or whose key is revoked, acts no more
BEGIN;
SELECT medsync.suspend_person(:'bob', 'x');
SELECT medsync.actor();
SELECT medsync.verify_person(:'bob');
SELECT medsync.actor() = :'bob';
SELECT medsync.revoke_key(:'bobs', 'x');
SELECT medsync.actor();
ROLLBACK;
SELECT medsync.actor() = :'bob';
-- a superuser's own writes count at once
BEGIN;
SELECT past(format($$UPDATE medsync.person SET status = 'suspended' WHERE id = %L$$, :'bob'));
SELECT medsync.actor();
ROLLBACK;
SELECT medsync.actor() = :'bob';

-- nobody sets it
\set VERBOSITY terse
SELECT current_setting('medsync.actor') AS value \gset
SET medsync.actor = 'x';
SET medsync.actor = :'value';
SET LOCAL medsync.actor = :'value';
SELECT set_config('medsync.actor', :'value', false);
SELECT set_config('medsync.actor', :'value', true);
UPDATE pg_settings SET setting = :'value' WHERE name = 'medsync.actor';
ALTER ROLE regress_medsync_app SET medsync.actor = :'value';
ALTER SYSTEM SET medsync.actor = :'value';
CREATE FUNCTION as_bob() RETURNS uuid LANGUAGE sql SET medsync.actor FROM CURRENT AS 'SELECT medsync.actor()';
SELECT as_bob();
CREATE FUNCTION as_other() RETURNS uuid LANGUAGE sql SET medsync.actor = 'x' AS 'SELECT medsync.actor()';
\set VERBOSITY default
SET medsync.actor = 'x';
SELECT medsync.actor() = :'bob';
-- but everybody may stop acting
CREATE FUNCTION as_nobody() RETURNS uuid LANGUAGE sql SET medsync.actor = '' AS 'SELECT medsync.actor()';
SELECT as_nobody() IS NULL, medsync.actor() = :'bob';
BEGIN;
SET LOCAL medsync.actor = '';
SELECT medsync.actor();
COMMIT;
SELECT medsync.actor() = :'bob';
RESET medsync.actor;
SELECT medsync.actor();

-- RESET ALL and DISCARD ALL sign out
SELECT medsync.challenge(:'bob') AS c \gset
SELECT medsync.sign_in(:'c', :'bobs', signed(:'c', 'bob ed'));
SELECT medsync.actor() = :'bob';
RESET ALL;
SELECT medsync.actor();
SET search_path = identity;
SELECT medsync.challenge(:'bob') AS c \gset
SELECT medsync.sign_in(:'c', :'bobs', signed(:'c', 'bob ed'));
DISCARD ALL;
SELECT medsync.actor();
SET search_path = identity;
SET client_min_messages = error;

-- A function that signs in, with settings of its own, and as its owner.
SELECT medsync.challenge(:'bob') AS c \gset
CREATE FUNCTION sign_in_for(challenge text, key uuid, signature bytea, scope text) RETURNS uuid
	LANGUAGE plpgsql SECURITY DEFINER SET work_mem = '1MB' AS
	$$BEGIN PERFORM medsync.sign_in(challenge, key, signature, scope); RETURN medsync.actor(); END$$;
BEGIN;
SELECT sign_in_for(:'c', :'bobs', signed(:'c', 'bob ed'), 'transaction') = :'bob';
SELECT medsync.actor() = :'bob';
COMMIT;
SELECT medsync.actor();

-- what is refused, always in the same words
CREATE FUNCTION refusal(challenge text, key uuid, signature bytea, scope text DEFAULT 'session') RETURNS text LANGUAGE sql AS
	$$SELECT identity.attempt(format('SELECT medsync.sign_in(%L, %L, %L, %L)', challenge, key, signature, scope))$$;
SELECT medsync.challenge(:'ana') AS c \gset
SELECT medsync.challenge(gen_random_uuid()) AS nobodys \gset
SELECT format('%s: %s', 'altered person', refusal(x, :'bobs', signed(x, 'bob ed'))) FROM replace(:'c', :'ana', :'bob') AS x;
SELECT format('%s: %s', 'altered database', refusal(x, :'ed', signed(x, 'ana ed'))) FROM overlay(:'c' placing '00000000' from 22) AS x;
SELECT format('%s: %s', 'later expiry', refusal(x, :'ed', signed(x, 'ana ed'))) FROM regexp_replace(:'c', ':(\d+)(:[0-9a-f]{64})$', ':9\1\2') AS x;
SELECT format('%s: %s', 'upper case', refusal(x, :'ed', signed(x, 'ana ed'))) FROM upper(:'c') AS x;
SELECT format('%s: %s', 'a blank more', refusal(x, :'ed', signed(x, 'ana ed'))) FROM concat(:'c', ' ') AS x;
SELECT format('%s: %s', 'a letter less', refusal(x, :'ed', signed(x, 'ana ed'))) FROM left(:'c', -1) AS x;
SELECT format('%s: %s', 'empty', refusal(x, :'ed', signed(x, 'ana ed'))) FROM concat('') AS x;
SELECT format('%s: %s', 'long', refusal(x, :'ed', signed(x, 'ana ed'))) FROM repeat(:'c', 5000) AS x;
SELECT format('%s: %s', 'no MAC', refusal(x, :'ed', signed(x, 'ana ed'))) FROM regexp_replace(:'c', '[0-9a-f]{64}$', repeat('0', 64)) AS x;
SELECT format('%s: %s', 'another person', refusal(:'c', :'bobs', signed(:'c', 'bob ed')));
SELECT format('%s: %s', 'an unknown person', refusal(:'nobodys', :'ed', signed(:'nobodys', 'ana ed')));
SELECT format('%s: %s', 'an unknown key', refusal(:'c', gen_random_uuid(), signed(:'c', 'ana ed')));
SELECT format('%s: %s', 'another key of the person', refusal(:'c', :'p', signed(:'c', 'ana ed')));
SELECT format('%s: %s', 'a key that does not sign', refusal(:'c', :'box', signed(:'c', 'ana ed')));
SELECT format('%s by %s: %s', 'forged', name, refusal(:'c', key, signed(:'c', name)))
	FROM (VALUES ('nobody', :'ed'::uuid), ('nobody p', :'p'), ('nobody rsa', :'rsa'), ('nobody rsa3', :'rsa'), ('nobody rsa4', :'rsa')) AS v (name, key);
SELECT format('%s: %s', 'another text', refusal(:'c', :'ed', signed(:'c' || ' ', 'ana ed')));
SELECT format('%s of %s: %s', 'signature', n, refusal(:'c', :'ed', decode(repeat('5a', n), 'hex')))
	FROM unnest('{0,1,63,64,65,255,256,257,384,512,513,100000}'::int[]) AS n;
-- the challenge is still good, once
SELECT refusal(:'c', :'ed', signed(:'c', 'ana ed'));
SELECT refusal(:'c', :'ed', signed(:'c', 'ana ed'));
SELECT medsync.sign_out();
-- revoked, expired, not valid yet, suspended, only registered
BEGIN;
SELECT medsync.challenge(:'ana') AS c \gset
SAVEPOINT s;
SELECT medsync.revoke_key(:'ed', 'lost');
SELECT refusal(:'c', :'ed', signed(:'c', 'ana ed'));
ROLLBACK TO s;
SELECT past(format('UPDATE medsync.person_key SET valid_until = clock_timestamp() WHERE id = %L', :'ed'));
SELECT refusal(:'c', :'ed', signed(:'c', 'ana ed'));
ROLLBACK TO s;
SELECT past(format($$UPDATE medsync.person_key SET valid_from = clock_timestamp() + interval '1 minute' WHERE id = %L$$, :'ed'));
SELECT refusal(:'c', :'ed', signed(:'c', 'ana ed'));
ROLLBACK TO s;
SELECT past(format($$UPDATE medsync.person_key SET public_key = 'no key' WHERE id = %L$$, :'ed'));
SELECT refusal(:'c', :'ed', signed(:'c', 'ana ed'));
ROLLBACK TO s;
SELECT medsync.suspend_person(:'ana', 'x');
SELECT refusal(:'c', :'ed', signed(:'c', 'ana ed'));
ROLLBACK TO s;
SELECT past(format($$UPDATE medsync.person SET status = 'registered' WHERE id = %L$$, :'ana'));
SELECT refusal(:'c', :'ed', signed(:'c', 'ana ed'));
ROLLBACK TO s;
SELECT refusal(:'c', :'ed', signed(:'c', 'ana ed'));
ROLLBACK;

-- what is wrong with the call itself
SELECT medsync.challenge(NULL) IS NULL;
SELECT medsync.challenge(:'ana') AS c \gset
SELECT attempt(format('SELECT medsync.sign_in(NULL, %L, %L)', :'ed', signed(:'c', 'ana ed')));
SELECT attempt(format('SELECT medsync.sign_in(%L, NULL, %L)', :'c', signed(:'c', 'ana ed')));
SELECT attempt(format('SELECT medsync.sign_in(%L, %L, NULL)', :'c', :'ed'));
SELECT refusal(:'c', :'ed', signed(:'c', 'ana ed'), NULL);
SELECT refusal(:'c', :'ed', signed(:'c', 'ana ed'), 'forever');
BEGIN READ ONLY;
SELECT refusal(:'c', :'ed', signed(:'c', 'ana ed'));
COMMIT;
SET medsync.sign_in_scope = 'transaction';
SELECT refusal(:'c', :'ed', signed(:'c', 'ana ed'));
BEGIN;
SELECT refusal(:'c', :'ed', signed(:'c', 'ana ed'), 'transaction');
SELECT medsync.actor() = :'ana';
COMMIT;
SET SESSION AUTHORIZATION regress_medsync_app;
SET medsync.sign_in_scope = 'any';
SHOW medsync.sign_in_scope;
RESET SESSION AUTHORIZATION;
RESET medsync.sign_in_scope;

-- a parallel worker knows who acts
SELECT medsync.challenge(:'bob') AS c \gset
SELECT medsync.sign_in(:'c', :'bobs', signed(:'c', 'bob ed'));
CREATE FUNCTION who() RETURNS uuid LANGUAGE plpgsql STABLE PARALLEL SAFE AS 'BEGIN RETURN medsync.actor(); END';
SELECT set_config(name, CASE name WHEN 'force_parallel_mode' THEN 'regress' WHEN 'debug_parallel_query' THEN 'regress' END, false) <> ''
	FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT who() = :'bob', medsync.verify_signature(:'bobs', 'm', '\x00');
SELECT set_config(name, 'off', false) <> '' FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SELECT medsync.sign_out();

-- ---- notices ----
SELECT attempt('SELECT * FROM medsync.my_notices()');
INSERT INTO medsync.notice VALUES
	('00000000-0000-4000-8000-000000000001', '2026-01-01', 'patient-1', 'damage', '00000000-0000-4000-8000-00000000000a', 'first'),
	('00000000-0000-4000-8000-000000000002', '2026-01-02', 'patient-1', 'damage', NULL, 'second'),
	('00000000-0000-4000-8000-000000000003', '2026-01-03', 'patient-2', 'damage', NULL, 'somebody else''s');
SELECT medsync.challenge(:'bob') AS c \gset
SELECT medsync.sign_in(:'c', :'bobs', signed(:'c', 'bob ed'));
SELECT id, kind, record, detail FROM medsync.my_notices();
SELECT medsync.sign_out();
DELETE FROM medsync.notice;

-- ---- the history tells who ----
SELECT operation, role, CASE actor WHEN :'ana' THEN 'Ana' WHEN :'bob' THEN 'Bob' ELSE actor END AS actor, new_row ->> 'text'
	FROM medsync.history('note') WHERE operation = 'insert';
-- people are tracked, with their own subjects
SELECT relation, payload, subject FROM medsync.tracked WHERE relation LIKE 'medsync.person%' ORDER BY 1;
SELECT operation, new_row ->> 'status' AS status, new_row ->> 'status_reason' AS reason
	FROM medsync.history('medsync.person', jsonb_build_object('id', :'bob'));

-- ---- only the functions write, whoever asks ----
SELECT attempt(format('DELETE FROM medsync.person WHERE id = %L', :'ana'));
SELECT attempt('TRUNCATE medsync.person');
SET session_replication_role = replica;
SELECT attempt('UPDATE medsync.person_key SET revoked_at = NULL');
SELECT attempt('INSERT INTO medsync.person_licence SELECT gen_random_uuid(), person, code, number, issuer, valid_from FROM medsync.person_licence');
RESET session_replication_role;
\set VERBOSITY terse
COPY medsync.person (id, kind, name, role, subject, status, specialties) FROM stdin;
00000000-0000-4000-8000-000000000009	admin	Eve	\N	eve	active	{}
\.
\set VERBOSITY default
-- a statement that writes nothing is none
UPDATE medsync.person SET name = name WHERE false;
-- after an error in one of the functions the door is closed again
SELECT attempt(format('SELECT medsync.add_key(%L, ''ed25519'', %L)', :'ana', (SELECT public_key FROM pair WHERE name = 'ana ed')));
SELECT attempt(format('UPDATE medsync.person SET name = ''x'' WHERE id = %L', :'ana'));
-- what stands in the tables' definition stays
CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN UPDATE medsync.person SET status = 'active' WHERE status <> 'active'; RETURN NEW; END$$;
SELECT c, attempt(c) FROM unnest(ARRAY[
	'ALTER TABLE medsync.person DROP COLUMN name', 'ALTER TABLE medsync.person ADD COLUMN more text',
	'ALTER TABLE medsync.person_key ALTER COLUMN algorithm TYPE varchar', 'ALTER TABLE medsync.person ALTER COLUMN name SET DEFAULT ''x''',
	'ALTER TABLE medsync.person DROP CONSTRAINT person_role_key', 'ALTER TABLE medsync.person ADD CHECK (name <> ''x'')',
	'ALTER TABLE medsync.person ENABLE ROW LEVEL SECURITY',
	'ALTER TABLE medsync.person RENAME COLUMN name TO named', 'ALTER TABLE medsync.person_licence RENAME TO licence',
	'ALTER TABLE medsync.person SET SCHEMA identity',
	'ALTER TABLE medsync.person DISABLE TRIGGER medsync_identity_changed', 'ALTER TABLE medsync.person DISABLE TRIGGER ALL',
	'DROP TRIGGER medsync_identity_changed ON medsync.person_key', 'DROP TRIGGER medsync_capture ON medsync.person',
	'CREATE TRIGGER meddle BEFORE INSERT ON medsync.person FOR EACH ROW EXECUTE FUNCTION identity.meddle()',
	'CREATE RULE meddle AS ON INSERT TO medsync.person DO INSTEAD NOTHING',
	'ALTER TABLE medsync.person SET (fillfactor = 90)', 'ALTER TABLE medsync.person RESET (fillfactor)',
	'ALTER TABLE medsync.person ALTER COLUMN name SET STATISTICS 50']) AS c;
SELECT * FROM findings;
-- past all that: verify() finds it, and nothing breaks
BEGIN;
SELECT past('UPDATE medsync.person SET name = ''x'' WHERE kind = ''device''');
SELECT * FROM findings;
ROLLBACK;
BEGIN;
SELECT past('ALTER TABLE medsync.person_key DISABLE TRIGGER medsync_identity_changed');
SELECT * FROM findings;
ROLLBACK;
BEGIN;
SELECT past('DROP TRIGGER medsync_identity_changed ON medsync.person');
SELECT * FROM findings;
ROLLBACK;
BEGIN;
SELECT past('ALTER FUNCTION medsync._identity_changed() SECURITY DEFINER');
SELECT * FROM findings;
ROLLBACK;
BEGIN;
SELECT past('CREATE TRIGGER meddle BEFORE INSERT ON medsync.person FOR EACH ROW EXECUTE FUNCTION identity.meddle()');
SELECT attempt('SELECT medsync.register_person(''patient'', ''x'')');
SELECT attempt('UPDATE medsync.person SET name = ''x''');
ROLLBACK;
BEGIN;
SELECT past('CREATE RULE meddle AS ON INSERT TO medsync.person_licence DO ALSO UPDATE medsync.person SET status = ''active''');
SELECT attempt(format('SELECT medsync.add_licence(%L, ''x'', ''x'', ''x'', now())', :'ana'));
ROLLBACK;
-- the next call of a function puts the ledger's own triggers back
BEGIN;
SELECT past('DROP TRIGGER medsync_truncate ON medsync.person');
SELECT * FROM findings;
SELECT medsync.set_specialties(:'ana', '{cardiology}');
SELECT * FROM findings;
ROLLBACK;
-- columns that the library does not know
BEGIN;
SELECT past('ALTER TABLE medsync.person ADD COLUMN a text, ADD COLUMN b text, ADD COLUMN c text, ADD COLUMN d text');
SELECT * FROM findings;
SELECT attempt('SELECT medsync.actor()');
SELECT attempt('SELECT medsync.register_person(''patient'', ''x'')');
SELECT attempt('INSERT INTO note VALUES (99, ''nobody can say who'')');
ROLLBACK;
BEGIN;
SELECT past('ALTER TABLE medsync.person_key ALTER COLUMN revocation_reason TYPE int USING 1, DROP COLUMN algorithm, ADD COLUMN algorithm text');
SELECT past('ALTER TABLE medsync.person_licence ALTER COLUMN number TYPE int USING 1');
SELECT past('ALTER TABLE medsync._spent_challenge ADD COLUMN more text');
SELECT past('ALTER TABLE medsync._witness ADD COLUMN more text');
SELECT * FROM findings WHERE detail LIKE '%original%';
SELECT attempt(format('SELECT medsync.verify_signature(%L, ''m'', ''s'')', :'bobs'));
SELECT attempt(format('SELECT medsync.revoke_key(%L, ''x'')', :'bobs'));
ROLLBACK;
BEGIN;
SELECT past('ALTER TABLE medsync._journal ADD COLUMN more text');
SELECT past('ALTER TABLE medsync._tile ADD COLUMN more text');
SELECT * FROM findings;
SELECT attempt('SELECT * FROM medsync.history(''note'')');
ROLLBACK;
-- people who are not tracked
BEGIN;
SELECT medsync.untrack('medsync.person_licence'), medsync.untrack('medsync.person_key');
SELECT * FROM findings;
DELETE FROM medsync.person_licence;
SELECT * FROM findings;
ROLLBACK;
SELECT * FROM findings;

-- ---- who may do what ----
SET ROLE regress_medsync_app;
SELECT attempt(c) FROM unnest(ARRAY[
	'SELECT medsync.register_person(''patient'', ''x'')',
	'SELECT medsync.verify_person(gen_random_uuid())',
	'SELECT medsync.suspend_person(gen_random_uuid(), ''x'')',
	'SELECT medsync.set_specialties(gen_random_uuid(), ''{}'')',
	'SELECT medsync.add_licence(gen_random_uuid(), ''x'', ''x'', ''x'', now())',
	'SELECT medsync.revoke_licence(gen_random_uuid(), ''x'')',
	'SELECT medsync.add_key(gen_random_uuid(), ''x'', ''x'')',
	'SELECT medsync.revoke_key(gen_random_uuid(), ''x'')',
	'SELECT * FROM medsync.person', 'SELECT * FROM medsync.person_key', 'SELECT * FROM medsync.person_licence',
	'SELECT * FROM medsync.notice', 'SELECT * FROM medsync._spent_challenge',
	'INSERT INTO medsync._spent_challenge VALUES ('''', now())',
	'SET medsync.sign_in_scope = ''any''',
	'SELECT medsync._identity_changed()',
	'SELECT medsync.actor()', 'SELECT medsync.sign_out()', 'SELECT length(medsync.challenge(gen_random_uuid()))']) AS c;
SET ROLE regress_medsync_people_auditor;
SELECT count(*) FROM medsync.person;
SELECT attempt(c) FROM unnest(ARRAY[
	'SELECT medsync.register_person(''patient'', ''x'')',
	'UPDATE medsync.person SET name = ''x''', 'DELETE FROM medsync.person_key']) AS c;
SET ROLE regress_medsync_people;
SELECT medsync.register_person('nurse', 'by an admin') IS NOT NULL AS registered;
SELECT count(*) FROM medsync.person_key;
SELECT attempt(c) FROM unnest(ARRAY[
	'INSERT INTO medsync.person (id, kind, name, subject, status, specialties) VALUES (gen_random_uuid(), ''nurse'', ''x'', ''x'', ''active'', ''{}'')',
	'UPDATE medsync.person SET status = ''active''', 'DELETE FROM medsync.person_key',
	'UPDATE medsync.person_licence SET number = ''x''', 'UPDATE medsync.notice SET detail = ''x''',
	'TRUNCATE medsync.person', 'SELECT medsync.untrack(''medsync.person'')', 'SELECT medsync.track(''medsync.notice'')']) AS c;
RESET ROLE;
SELECT attempt('SELECT medsync.track(''medsync._spent_challenge'')');

-- ---- clean up ----
SELECT medsync.untrack('note'), medsync.untrack('medsync.person_key'), medsync.untrack('medsync.person_licence'),
	medsync.untrack('medsync.person');
DELETE FROM medsync.person_key;
DELETE FROM medsync.person_licence;
DELETE FROM medsync.person;
DELETE FROM medsync._spent_challenge;
DROP SCHEMA identity CASCADE;
DROP ROLE regress_medsync_ana, regress_medsync_app, regress_medsync_people, regress_medsync_people_auditor, regress_medsync_gone;
