-- ------------------------------------------------------------------
-- identity: tables
-- ------------------------------------------------------------------

-- Written by the functions below only, which check what they store: once the
-- tables are tracked, with the first call that writes, nobody else can.  No
-- foreign keys, since pg_restore --jobs loads tables in any order.
CREATE TABLE medsync.person (
	id pg_catalog.uuid NOT NULL,
	kind pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	name pg_catalog.text NOT NULL,
	role pg_catalog.text COLLATE pg_catalog."C",
	subject pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	status pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	status_reason pg_catalog.text,
	specialties pg_catalog.text[] NOT NULL,
	CONSTRAINT person_pkey PRIMARY KEY (id),
	CONSTRAINT person_role_key UNIQUE (role),
	CONSTRAINT person_subject_key UNIQUE (subject),
	CONSTRAINT person_kind_check CHECK (kind OPERATOR(pg_catalog.=) ANY (ARRAY[
		'patient', 'practitioner', 'nurse', 'pharmacist', 'insurer',
		'researcher', 'admin', 'auditor', 'device'])),
	CONSTRAINT person_status_check CHECK (status OPERATOR(pg_catalog.=) ANY (ARRAY[
		'registered', 'active', 'suspended']))
);
REVOKE ALL ON TABLE medsync.person FROM PUBLIC;
GRANT SELECT ON TABLE medsync.person TO medsync_admin, medsync_auditor;
COMMENT ON TABLE medsync.person IS 'Who can act: people and devices';
COMMENT ON COLUMN medsync.person.id IS 'Names the person for ever';
COMMENT ON COLUMN medsync.person.kind IS
	'patient, practitioner, nurse, pharmacist, insurer, researcher, admin, auditor or device';
COMMENT ON COLUMN medsync.person.name IS 'For people to read';
COMMENT ON COLUMN medsync.person.role IS
	'The PostgreSQL role, by name, whose sessions this person is behind; null: none';
COMMENT ON COLUMN medsync.person.subject IS
	'The value of subject columns of tracked tables that stands for this person';
COMMENT ON COLUMN medsync.person.status IS
	'registered (not verified yet), active or suspended; only an active person acts';
COMMENT ON COLUMN medsync.person.status_reason IS 'Why suspended; else null';
COMMENT ON COLUMN medsync.person.specialties IS 'As set_specialties() was told';
SELECT pg_catalog.pg_extension_config_dump('medsync.person', '');

CREATE TABLE medsync.person_key (
	id pg_catalog.uuid NOT NULL,
	person pg_catalog.uuid NOT NULL,
	algorithm pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	public_key pg_catalog.bytea NOT NULL,
	valid_from pg_catalog.timestamptz NOT NULL,
	valid_until pg_catalog.timestamptz,
	revoked_at pg_catalog.timestamptz,
	revocation_reason pg_catalog.text,
	CONSTRAINT person_key_pkey PRIMARY KEY (id),
	CONSTRAINT person_key_public_key_key UNIQUE (public_key)
);
CREATE INDEX person_key_person_idx ON medsync.person_key (person);
REVOKE ALL ON TABLE medsync.person_key FROM PUBLIC;
GRANT SELECT ON TABLE medsync.person_key TO medsync_admin, medsync_auditor;
COMMENT ON TABLE medsync.person_key IS 'The public keys of people; one key is one person''s for good';
COMMENT ON COLUMN medsync.person_key.id IS 'Names the key for ever: sign_in() and signed rows say it';
COMMENT ON COLUMN medsync.person_key.person IS 'Whose';
COMMENT ON COLUMN medsync.person_key.algorithm IS
	'ed25519, p-256, rsa-2048, rsa-3072, rsa-4096 or x25519';
COMMENT ON COLUMN medsync.person_key.public_key IS 'SubjectPublicKeyInfo, DER';
COMMENT ON COLUMN medsync.person_key.valid_from IS 'From when its signatures count';
COMMENT ON COLUMN medsync.person_key.valid_until IS 'Until before when; null: no end';
COMMENT ON COLUMN medsync.person_key.revoked_at IS 'From when it counts no more; null: not revoked';
COMMENT ON COLUMN medsync.person_key.revocation_reason IS 'As revoke_key() was told';
SELECT pg_catalog.pg_extension_config_dump('medsync.person_key', '');

CREATE TABLE medsync.person_licence (
	id pg_catalog.uuid NOT NULL,
	person pg_catalog.uuid NOT NULL,
	code pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	number pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	issuer pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	valid_from pg_catalog.timestamptz NOT NULL,
	valid_until pg_catalog.timestamptz,
	revoked_at pg_catalog.timestamptz,
	revocation_reason pg_catalog.text,
	CONSTRAINT person_licence_pkey PRIMARY KEY (id)
);
CREATE INDEX person_licence_person_idx ON medsync.person_licence (person);
REVOKE ALL ON TABLE medsync.person_licence FROM PUBLIC;
GRANT SELECT ON TABLE medsync.person_licence TO medsync_admin, medsync_auditor;
COMMENT ON TABLE medsync.person_licence IS 'What people are licensed to do';
COMMENT ON COLUMN medsync.person_licence.id IS 'Names the licence for ever';
COMMENT ON COLUMN medsync.person_licence.person IS 'Whose';
COMMENT ON COLUMN medsync.person_licence.code IS 'What it permits, in the code system of the hospital';
COMMENT ON COLUMN medsync.person_licence.number IS 'As the issuer numbered it';
COMMENT ON COLUMN medsync.person_licence.issuer IS 'Who gave it';
COMMENT ON COLUMN medsync.person_licence.valid_from IS 'From when';
COMMENT ON COLUMN medsync.person_licence.valid_until IS 'Until before when; null: no end';
COMMENT ON COLUMN medsync.person_licence.revoked_at IS 'From when it counts no more; null: not revoked';
COMMENT ON COLUMN medsync.person_licence.revocation_reason IS 'As revoke_licence() was told';
SELECT pg_catalog.pg_extension_config_dump('medsync.person_licence', '');

CREATE TABLE medsync.notice (
	id pg_catalog.uuid NOT NULL,
	at pg_catalog.timestamptz NOT NULL,
	subject pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	kind pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	record pg_catalog.uuid,
	detail pg_catalog.text NOT NULL,
	CONSTRAINT notice_pkey PRIMARY KEY (id)
);
CREATE INDEX notice_subject_idx ON medsync.notice (subject, at);
REVOKE ALL ON TABLE medsync.notice FROM PUBLIC;
GRANT SELECT ON TABLE medsync.notice TO medsync_admin, medsync_auditor;
COMMENT ON TABLE medsync.notice IS 'What people were told; each row is announced by NOTIFY medsync_notice';
COMMENT ON COLUMN medsync.notice.id IS 'The payload of the notification';
COMMENT ON COLUMN medsync.notice.at IS 'When';
COMMENT ON COLUMN medsync.notice.subject IS 'Who is told: subject of a person';
COMMENT ON COLUMN medsync.notice.kind IS 'What about, one word';
COMMENT ON COLUMN medsync.notice.record IS 'The record it is about; null: none';
COMMENT ON COLUMN medsync.notice.detail IS 'For people to read';
SELECT pg_catalog.pg_extension_config_dump('medsync.notice', '');

-- Not in a dump: a challenge is good in the database that gave it, for a
-- minute.  The index on digest is not unique; see src/identity/sign_in.c.
CREATE TABLE medsync._spent_challenge (
	digest pg_catalog.bytea NOT NULL,
	expires_at pg_catalog.timestamptz NOT NULL
);
CREATE INDEX _spent_challenge_digest_idx ON medsync._spent_challenge (digest);
CREATE INDEX _spent_challenge_expires_at_idx ON medsync._spent_challenge (expires_at);
REVOKE ALL ON TABLE medsync._spent_challenge FROM PUBLIC;
COMMENT ON TABLE medsync._spent_challenge IS 'Challenges that somebody has signed in with';
COMMENT ON COLUMN medsync._spent_challenge.digest IS 'First 16 bytes of SHA-256(nonce)';
COMMENT ON COLUMN medsync._spent_challenge.expires_at IS 'Of the challenge; the row goes an hour later';

-- ------------------------------------------------------------------
-- identity: what was remembered of people falls when they change
-- ------------------------------------------------------------------

CREATE FUNCTION medsync._identity_changed() RETURNS trigger
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_identity_changed';
REVOKE ALL ON FUNCTION medsync._identity_changed() FROM PUBLIC;
COMMENT ON FUNCTION medsync._identity_changed() IS
	'Statement trigger of person, person_key and person_licence: other sessions forget what they remember';

CREATE TRIGGER medsync_identity_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON medsync.person
	FOR EACH STATEMENT EXECUTE FUNCTION medsync._identity_changed();
ALTER TABLE medsync.person ENABLE ALWAYS TRIGGER medsync_identity_changed;
CREATE TRIGGER medsync_identity_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON medsync.person_key
	FOR EACH STATEMENT EXECUTE FUNCTION medsync._identity_changed();
ALTER TABLE medsync.person_key ENABLE ALWAYS TRIGGER medsync_identity_changed;
CREATE TRIGGER medsync_identity_changed
	AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON medsync.person_licence
	FOR EACH STATEMENT EXECUTE FUNCTION medsync._identity_changed();
ALTER TABLE medsync.person_licence ENABLE ALWAYS TRIGGER medsync_identity_changed;

-- ------------------------------------------------------------------
-- identity: people and their keys
-- ------------------------------------------------------------------

CREATE FUNCTION medsync.register_person(
	kind pg_catalog.text,
	name pg_catalog.text,
	role pg_catalog.regrole DEFAULT NULL,
	subject pg_catalog.text DEFAULT NULL)
	RETURNS pg_catalog.uuid
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_register_person';
REVOKE ALL ON FUNCTION medsync.register_person(pg_catalog.text, pg_catalog.text, pg_catalog.regrole, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.register_person(pg_catalog.text, pg_catalog.text, pg_catalog.regrole, pg_catalog.text) TO medsync_admin;
COMMENT ON FUNCTION medsync.register_person(pg_catalog.text, pg_catalog.text, pg_catalog.regrole, pg_catalog.text) IS
	'Enter a person, who can act once verified; the id';

CREATE FUNCTION medsync.verify_person(person pg_catalog.uuid)
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_verify_person';
REVOKE ALL ON FUNCTION medsync.verify_person(pg_catalog.uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.verify_person(pg_catalog.uuid) TO medsync_admin;
COMMENT ON FUNCTION medsync.verify_person(pg_catalog.uuid) IS
	'The person is who the register says: may act from now on; also ends a suspension';

CREATE FUNCTION medsync.suspend_person(
	person pg_catalog.uuid,
	reason pg_catalog.text)
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_suspend_person';
REVOKE ALL ON FUNCTION medsync.suspend_person(pg_catalog.uuid, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.suspend_person(pg_catalog.uuid, pg_catalog.text) TO medsync_admin;
COMMENT ON FUNCTION medsync.suspend_person(pg_catalog.uuid, pg_catalog.text) IS
	'The person acts no more, in open sessions either';

CREATE FUNCTION medsync.set_specialties(
	person pg_catalog.uuid,
	specialties pg_catalog.text[])
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_set_specialties';
REVOKE ALL ON FUNCTION medsync.set_specialties(pg_catalog.uuid, pg_catalog.text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.set_specialties(pg_catalog.uuid, pg_catalog.text[]) TO medsync_admin;
COMMENT ON FUNCTION medsync.set_specialties(pg_catalog.uuid, pg_catalog.text[]) IS
	'Say what a person is specialised in, in place of what was said before';

CREATE FUNCTION medsync.add_licence(
	person pg_catalog.uuid,
	code pg_catalog.text,
	number pg_catalog.text,
	issuer pg_catalog.text,
	valid_from pg_catalog.timestamptz,
	valid_until pg_catalog.timestamptz DEFAULT NULL)
	RETURNS pg_catalog.uuid
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_add_licence';
REVOKE ALL ON FUNCTION medsync.add_licence(pg_catalog.uuid, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.timestamptz, pg_catalog.timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.add_licence(pg_catalog.uuid, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.timestamptz, pg_catalog.timestamptz) TO medsync_admin;
COMMENT ON FUNCTION medsync.add_licence(pg_catalog.uuid, pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.timestamptz, pg_catalog.timestamptz) IS
	'Enter a licence of a person; its id';

CREATE FUNCTION medsync.revoke_licence(
	licence pg_catalog.uuid,
	reason pg_catalog.text)
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_revoke_licence';
REVOKE ALL ON FUNCTION medsync.revoke_licence(pg_catalog.uuid, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.revoke_licence(pg_catalog.uuid, pg_catalog.text) TO medsync_admin;
COMMENT ON FUNCTION medsync.revoke_licence(pg_catalog.uuid, pg_catalog.text) IS
	'A licence counts no more';

CREATE FUNCTION medsync.add_key(
	person pg_catalog.uuid,
	algorithm pg_catalog.text,
	public_key pg_catalog.bytea,
	valid_until pg_catalog.timestamptz DEFAULT NULL)
	RETURNS pg_catalog.uuid
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_add_key';
REVOKE ALL ON FUNCTION medsync.add_key(pg_catalog.uuid, pg_catalog.text, pg_catalog.bytea, pg_catalog.timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.add_key(pg_catalog.uuid, pg_catalog.text, pg_catalog.bytea, pg_catalog.timestamptz) TO medsync_admin;
COMMENT ON FUNCTION medsync.add_key(pg_catalog.uuid, pg_catalog.text, pg_catalog.bytea, pg_catalog.timestamptz) IS
	'Enter a public key of a person (SubjectPublicKeyInfo, DER); its id';

CREATE FUNCTION medsync.revoke_key(
	key pg_catalog.uuid,
	reason pg_catalog.text)
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_revoke_key';
REVOKE ALL ON FUNCTION medsync.revoke_key(pg_catalog.uuid, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.revoke_key(pg_catalog.uuid, pg_catalog.text) TO medsync_admin;
COMMENT ON FUNCTION medsync.revoke_key(pg_catalog.uuid, pg_catalog.text) IS
	'A key counts no more, in open sessions either';

CREATE FUNCTION medsync.verify_signature(
	key pg_catalog.uuid,
	message pg_catalog.bytea,
	signature pg_catalog.bytea)
	RETURNS pg_catalog.bool
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_verify_signature';
COMMENT ON FUNCTION medsync.verify_signature(pg_catalog.uuid, pg_catalog.bytea, pg_catalog.bytea) IS
	'Is the signature right, the key valid now, and its person active?';

-- ------------------------------------------------------------------
-- identity: who acts
-- ------------------------------------------------------------------

CREATE FUNCTION medsync.challenge(person pg_catalog.uuid)
	RETURNS pg_catalog.text
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'medsync_challenge';
COMMENT ON FUNCTION medsync.challenge(pg_catalog.uuid) IS
	'A text that signs the person in if it is signed with a key of the person within a minute';

CREATE FUNCTION medsync.sign_in(
	challenge pg_catalog.text,
	key pg_catalog.uuid,
	signature pg_catalog.bytea,
	scope pg_catalog.text DEFAULT 'session')
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_sign_in';
COMMENT ON FUNCTION medsync.sign_in(pg_catalog.text, pg_catalog.uuid, pg_catalog.bytea, pg_catalog.text) IS
	'Act as the person of a challenge, for the session or the transaction';

CREATE FUNCTION medsync.sign_out()
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_sign_out';
COMMENT ON FUNCTION medsync.sign_out() IS
	'Nobody is signed in any more in this session';

CREATE FUNCTION medsync.actor()
	RETURNS pg_catalog.uuid
	LANGUAGE C STABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_actor_function';
COMMENT ON FUNCTION medsync.actor() IS
	'The person who acts: signed in, or behind the session''s role; null: nobody';

CREATE FUNCTION medsync.my_notices()
	RETURNS TABLE (
		id pg_catalog.uuid,
		at pg_catalog.timestamptz,
		kind pg_catalog.text,
		record pg_catalog.uuid,
		detail pg_catalog.text)
	LANGUAGE C STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'medsync_my_notices';
COMMENT ON FUNCTION medsync.my_notices() IS
	'What the person who acts was told, the newest first';
