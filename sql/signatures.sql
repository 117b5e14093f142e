-- require_signature(), signing_bytes() and signatures(): arguments, errors,
-- and what is refused.  Ids and keys are random and not shown.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS medsync;
SET TimeZone = 'UTC';

-- people, their keys, and a way to sign
CREATE TABLE held (who text PRIMARY KEY, id uuid, private bytea);
CREATE FUNCTION new_key(who text, person uuid, algorithm text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	pair record;
BEGIN
	SELECT * INTO pair FROM medsync.generate_key_pair(algorithm);
	INSERT INTO held VALUES (who, medsync.add_key(person, algorithm, pair.public_key), pair.private_key);
END $$;
SELECT medsync.register_person('practitioner', 'Ada', subject => 'ada') AS ada,
	medsync.register_person('nurse', 'Ben', subject => 'ben') AS ben \gset
SELECT medsync.verify_person(p) FROM unnest(ARRAY[:'ada', :'ben']::uuid[]) p;
SELECT new_key('ed25519', :'ada', 'ed25519'), new_key('p-256', :'ada', 'p-256'),
	new_key('rsa-2048', :'ada', 'rsa-2048'), new_key('ben', :'ben', 'ed25519'),
	new_key('x25519', :'ada', 'x25519');
CREATE TABLE note (id int PRIMARY KEY, patient text, body text, at timestamptz,
	length int GENERATED ALWAYS AS (length(body)) STORED,
	signer uuid, signature bytea, for_whom uuid, seen int);
-- what a client sends: the row with its signature
CREATE FUNCTION sign_note(n note, who text) RETURNS note LANGUAGE plpgsql AS $$
DECLARE
	key held;
BEGIN
	SELECT * INTO key FROM held h WHERE h.who = sign_note.who;
	n.signer := key.id;
	n.length := length(n.body);
	n.signature := medsync.sign(medsync.signing_bytes(n, 'signer', 'signature'), key.private);
	RETURN n;
END $$;
CREATE FUNCTION enter(n note) RETURNS void LANGUAGE sql AS $$
	INSERT INTO note (id, patient, body, at, signer, signature, for_whom, seen)
	SELECT n.id, n.patient, n.body, n.at, n.signer, n.signature, n.for_whom, n.seen
$$;
CREATE FUNCTION a_note(id int, body text DEFAULT 'text') RETURNS note LANGUAGE sql
	AS $$ SELECT ROW(id, 'p1', body, '2026-01-01 UTC', NULL, NULL, NULL, NULL, NULL)::note $$;

-- ---------------------------------------------------------------- arguments
SELECT medsync.require_signature(NULL, 'signer', 'signature');
SELECT medsync.require_signature('note', NULL, 'signature');
SELECT medsync.require_signature('note', 'signer', NULL);
SELECT medsync.require_signature('note', 'signer', 'signature');
SELECT medsync.signing_bytes(a_note(1), 'signer', 'signature');
SELECT medsync.track('note', subject => 'patient', exclude => '{seen}');
SELECT medsync.require_signature('note', 'nobody', 'signature');
SELECT medsync.require_signature('note', 'signer', 'Signature');
SELECT medsync.require_signature('note', 'patient', 'signature');
SELECT medsync.require_signature('note', 'signer', 'body');
SELECT medsync.require_signature('note', 'signer', 'signature', 'body');
SELECT medsync.require_signature('note', 'signer', 'signature', 'signer');
SELECT medsync.require_signature('note', 'seen', 'signature');
SELECT medsync.require_signature('note', 'signer', 'signature', 'ctid');
SELECT medsync.require_signature(4294967295::oid::regclass, 'signer', 'signature');
SELECT medsync.require_signature('pg_class', 'signer', 'signature');
SELECT medsync.require_signature('medsync.person_key', 'id', 'public_key');
CREATE TABLE keyless (id int, signer uuid, signature bytea);
SELECT medsync.track('keyless', payload => 'hash');
SELECT medsync.require_signature('keyless', 'signer', 'signature');
CREATE TABLE odd_key (signer uuid, signature bytea, PRIMARY KEY (signer, signature));
SELECT medsync.track('odd_key', payload => 'hash');
SELECT medsync.require_signature('odd_key', 'signer', 'signature');
CREATE TABLE by_month (id int, month int, signer uuid, signature bytea, PRIMARY KEY (id, month)) PARTITION BY LIST (month);
CREATE TABLE by_month_1 PARTITION OF by_month FOR VALUES IN (1);
SELECT medsync.track('by_month', payload => 'hash');
SELECT medsync.require_signature('by_month_1', 'signer', 'signature');

-- ------------------------------------------------------------- signing_bytes
SELECT medsync.signing_bytes(1);
SELECT medsync.signing_bytes(ROW(1, 2));
SELECT medsync.signing_bytes(a_note(1));
SELECT medsync.signing_bytes(a_note(1), 'signer');
SELECT medsync.signing_bytes(a_note(1), signature => 'signature');
SELECT medsync.signing_bytes(a_note(1), 'signer', 'signature');
SELECT medsync.signing_bytes(a_note(1), 'id', 'signature');
SELECT medsync.signing_bytes(NULL::note, 'signer', 'signature') IS NULL AS is_null;
-- the bytes that docs/formats.md gives, with what is random replaced
WITH m AS (
	SELECT medsync.signing_bytes(jsonb_populate_record(a_note(7, 'x'),
		'{"signer": "00112233-4455-6677-8899-aabbccddeeff", "signature": "\\x0102", "seen": 5}'),
		'signer', 'signature') AS b)
SELECT convert_from(substr(b, 1, 25), 'UTF8') AS name,
	substr(b, 26, 16) = (SELECT id FROM medsync._ledger) AS ledger,
	substr(b, 42, 4) = int4send((SELECT table_number FROM medsync.tracked WHERE relation = 'public.note')) AS "table",
	encode(substr(b, 46, 16), 'hex') AS signer, encode(substr(b, 62), 'hex') AS canonical
FROM m;
-- neither the signature nor an excluded column is signed
SELECT count(DISTINCT medsync.signing_bytes(jsonb_populate_record(a_note(7),
	format('{"signer": "00112233-4455-6677-8899-aabbccddeeff", "signature": "\\x0%s", "seen": %s}', i, i)::jsonb),
	'signer', 'signature')) FROM generate_series(1, 3) i;
-- anybody may ask, whatever the settings of the session
CREATE ROLE regress_medsync_signer;
GRANT regress_medsync_signer TO CURRENT_USER;
CREATE TEMP TABLE said AS SELECT medsync.signing_bytes(jsonb_populate_record(a_note(7),
	'{"signer": "00112233-4455-6677-8899-aabbccddeeff"}'), 'signer', 'signature') AS b;
GRANT SELECT ON said TO regress_medsync_signer;
SET ROLE regress_medsync_signer;
SET TimeZone = 'Asia/Kolkata';
SET DateStyle = 'German';
SET bytea_output = 'escape';
SELECT b = medsync.signing_bytes(jsonb_populate_record(a_note(7),
	'{"signer": "00112233-4455-6677-8899-aabbccddeeff"}'), 'signer', 'signature') AS same FROM said;
RESET TimeZone;
RESET DateStyle;
RESET bytea_output;
SELECT medsync.require_signature('note', 'signer', 'signature');
SELECT * FROM medsync.signatures('note');
RESET ROLE;
SET TimeZone = 'UTC';

-- ---------------------------------------------------- rows that are there
SELECT enter(sign_note(a_note(1), 'ed25519'));
SELECT enter(a_note(2));
SELECT enter(a_note(3));
SELECT medsync.require_signature('note', 'signer', 'signature', 'for_whom');
DELETE FROM note WHERE id = 2;
SELECT medsync.require_signature('note', 'signer', 'signature', 'for_whom');
DELETE FROM note WHERE id = 3;
SELECT medsync.require_signature('note', 'signer', 'signature', 'for_whom');
SELECT medsync.require_signature('note', 'signer', 'signature');
SELECT relation, signer, signature FROM medsync.tracked WHERE relation = 'public.note';

-- ------------------------------------------------------------ what is taken
SELECT enter(sign_note(a_note(10 + i), (ARRAY['ed25519', 'p-256', 'rsa-2048'])[i])) FROM generate_series(1, 3) i;
UPDATE note SET seen = 1;
UPDATE note SET id = id;
UPDATE note SET (body, signer, signature) = (SELECT s.body, s.signer, s.signature FROM sign_note(a_note(11, 'corrected'), 'ben') s) WHERE id = 11;
DELETE FROM note WHERE id = 12;
COPY note (id, patient, body, signer, signature) FROM stdin;
50	p1	unsigned	\N	\N
\.
INSERT INTO note (id, body) VALUES (11, 'x') ON CONFLICT (id) DO NOTHING;
INSERT INTO note (id, body) VALUES (11, 'x') ON CONFLICT (id) DO UPDATE SET body = excluded.body;
MERGE INTO note USING (VALUES (11)) v(id) ON note.id = v.id WHEN MATCHED THEN UPDATE SET body = 'merged';
-- on behalf of a person
SELECT enter(sign_note(jsonb_populate_record(a_note(14), jsonb_build_object('for_whom', :'ben')), 'ed25519'));

-- ---------------------------------------------------------- what is refused
SELECT enter(a_note(20));
SELECT enter(jsonb_populate_record(sign_note(a_note(20), 'ed25519'), '{"signature": null}'));
SELECT enter(jsonb_populate_record(sign_note(a_note(20), 'ed25519'), '{"signer": null}'));
SELECT enter(jsonb_populate_record(sign_note(a_note(20), 'ed25519'), '{"signer": "00112233-4455-6677-8899-aabbccddeeff"}'));
SELECT enter(jsonb_populate_record(sign_note(a_note(20), 'ed25519'), '{"signature": "\\x"}'));
SELECT enter(jsonb_populate_record(sign_note(a_note(20), 'ed25519'), '{"body": "another"}'));
-- on another row; under another key; by a key that wraps
SELECT enter(jsonb_populate_record(sign_note(a_note(20), 'ed25519'), '{"id": 21}'));
SELECT enter(jsonb_populate_record(sign_note(a_note(20), 'ed25519'), jsonb_build_object('signer', (SELECT id FROM held WHERE who = 'ben'))));
SELECT enter(jsonb_populate_record(sign_note(a_note(20), 'ed25519'), jsonb_build_object('signer', (SELECT id FROM held WHERE who = 'x25519'))));
UPDATE note SET body = 'changed' WHERE id = 11;
UPDATE note SET signature = NULL WHERE id = 11;
UPDATE note SET for_whom = :'ada' WHERE id = 14;
-- a key or a person that counts no more
SELECT medsync.suspend_person(:'ben', 'holiday');
SELECT enter(sign_note(a_note(22), 'ben'));
SELECT medsync.verify_person(:'ben');
SELECT enter(sign_note(a_note(22), 'ben'));
SELECT medsync.revoke_key(id, 'lost') FROM held WHERE who = 'ben';
SELECT enter(sign_note(a_note(23), 'ben'));
UPDATE note SET seen = 2 WHERE id = 22;
UPDATE note SET (body, signer, signature) = (SELECT s.body, s.signer, s.signature FROM sign_note(a_note(22, 'late'), 'ben') s) WHERE id = 22;

-- ------------------------------------------------------------------- guards
ALTER TABLE note DROP COLUMN signature;
ALTER TABLE note ALTER COLUMN for_whom TYPE text;
ALTER TABLE note DROP CONSTRAINT note_pkey;
ALTER TABLE note DROP CONSTRAINT note_pkey, ADD PRIMARY KEY (id, signature);
ALTER TABLE note ADD COLUMN urgent bool DEFAULT false;
ALTER TABLE note ADD COLUMN urgent bool;
ALTER TABLE note RENAME COLUMN signature TO sig;
ALTER TABLE note RENAME COLUMN patient TO person;
ALTER TABLE note RENAME COLUMN seen TO seen_by;
CREATE TABLE heir () INHERITS (note);
CREATE TABLE heir (LIKE note INCLUDING GENERATED);
ALTER TABLE heir INHERIT note;
DROP TABLE heir;
ALTER TABLE note RENAME TO entry;
ALTER TABLE entry RENAME TO note;
SELECT relation, signer, signature FROM medsync.tracked WHERE relation = 'public.note';
INSERT INTO note (id, body) VALUES (30, 'unsigned');
UPDATE note SET seen = 3;
SELECT medsync.check_signature(medsync.signing_bytes(n), n.signature, medsync.public_key(h.private)) AS as_before
FROM note n JOIN held h ON h.id = n.signer WHERE n.id = 22;

-- --------------------------------------------------------------- signatures
SELECT medsync.signatures(NULL);
SELECT count(*) FROM medsync.signatures('keyless');
SELECT medsync.signatures('held');
SELECT row_key, h.who AS signer, author = :'ada' AS by_ada, entered_by, on_behalf_of = :'ben' AS for_ben,
	held - 'person' - 'on_behalf_of' AS held, valid
FROM medsync.signatures('note') s JOIN held h ON h.id = s.signer WHERE held IS NOT NULL;
SELECT count(*) AS unchanged, bool_and(valid) AS valid FROM medsync.signatures('note') WHERE held IS NULL;
SELECT h.who AS signer, valid FROM medsync.signatures('note', '{"id": 11}') s JOIN held h ON h.id = s.signer;
SELECT medsync.signatures('note', '{}');

-- ------------------------------------------------------------------ untrack
SELECT severity, verdict, detail FROM medsync.verify('note') WHERE severity <> 'notice';
SELECT medsync.untrack('note');
INSERT INTO note (id, body) VALUES (31, 'unsigned');
SELECT medsync.untrack(r) FROM unnest(ARRAY['keyless', 'odd_key', 'by_month']::regclass[]) r;
DROP FUNCTION sign_note, enter, a_note;
DROP TABLE note;
DROP TABLE keyless, odd_key, by_month, held;
DROP FUNCTION new_key;
DROP TABLE said;
DROP ROLE regress_medsync_signer;
