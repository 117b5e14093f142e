-- ------------------------------------------------------------------
-- records: tables
-- ------------------------------------------------------------------

/*
 * Written by the functions below only, which check who acts; docs/formats.md
 * gives the bytes.  All but _record_chunk are tracked by the ledger, from
 * the first call that writes them.  The chunks are bound by the digest in
 * _record_version, and that by the vault's signature.
 *
 * No foreign keys: every change is based on what is there now, under a lock
 * on the record, where a foreign key would look at the caller's snapshot and
 * miss a version that was made after it.  verify() looks for orphans.
 */
CREATE TABLE medsync._record (
	record pg_catalog.uuid NOT NULL,
	patient pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	author pg_catalog.uuid NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL,
	CONSTRAINT _record_pkey PRIMARY KEY (record)
);
REVOKE ALL ON TABLE medsync._record FROM PUBLIC;
CREATE INDEX _record_patient_idx ON medsync._record (patient);
COMMENT ON TABLE medsync._record IS 'Records: whose they are, and who wrote them; never updated';
COMMENT ON COLUMN medsync._record.record IS 'Id of the record, random';
COMMENT ON COLUMN medsync._record.patient IS 'Subject whom the record is about; its key opens the server''s wrap';
COMMENT ON COLUMN medsync._record.author IS 'Person who put the first version';
COMMENT ON COLUMN medsync._record.created_at IS 'When that was';

CREATE TABLE medsync._record_version (
	record pg_catalog.uuid NOT NULL,
	version pg_catalog.int4 NOT NULL,
	patient pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	media_type pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	length pg_catalog.int8 NOT NULL,
	chunks pg_catalog.int4 NOT NULL,
	key_id pg_catalog.bytea NOT NULL,
	digest pg_catalog.bytea NOT NULL,
	server_wrap pg_catalog.bytea NOT NULL,
	author pg_catalog.uuid NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL,
	signature pg_catalog.bytea NOT NULL,
	CONSTRAINT _record_version_pkey PRIMARY KEY (record, version)
);
REVOKE ALL ON TABLE medsync._record_version FROM PUBLIC;
ALTER TABLE medsync._record_version
	ALTER COLUMN key_id SET STORAGE PLAIN,
	ALTER COLUMN digest SET STORAGE PLAIN,
	ALTER COLUMN server_wrap SET STORAGE PLAIN,
	ALTER COLUMN signature SET STORAGE PLAIN;
COMMENT ON TABLE medsync._record_version IS 'Versions of the content of records';
COMMENT ON COLUMN medsync._record_version.record IS 'The record';
COMMENT ON COLUMN medsync._record_version.version IS 'Number of the version, from 1; another key does not make another version';
COMMENT ON COLUMN medsync._record_version.patient IS 'The record''s, for the ledger';
COMMENT ON COLUMN medsync._record_version.media_type IS 'What the content is, as its author says';
COMMENT ON COLUMN medsync._record_version.length IS 'Bytes of the content';
COMMENT ON COLUMN medsync._record_version.chunks IS 'Rows of _record_chunk';
COMMENT ON COLUMN medsync._record_version.key_id IS 'Names the data key: 16 random bytes, new with each key';
COMMENT ON COLUMN medsync._record_version.digest IS 'SHA-256 over the stored bytes of all chunks: of ciphertext only';
COMMENT ON COLUMN medsync._record_version.server_wrap IS 'The data key under the patient''s record key: nonce, ciphertext and tag';
COMMENT ON COLUMN medsync._record_version.author IS 'Person who put this version';
COMMENT ON COLUMN medsync._record_version.created_at IS 'When that was';
COMMENT ON COLUMN medsync._record_version.signature IS 'Ed25519 signature by the vault over the version''s statement';

CREATE TABLE medsync._record_wrap (
	record pg_catalog.uuid NOT NULL,
	version pg_catalog.int4 NOT NULL,
	person pg_catalog.uuid NOT NULL,
	patient pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	key pg_catalog.uuid,
	algorithm pg_catalog.int2 NOT NULL,
	wrapped pg_catalog.bytea,
	granted_at pg_catalog.timestamptz NOT NULL,
	granted_by pg_catalog.uuid NOT NULL,
	CONSTRAINT _record_wrap_pkey PRIMARY KEY (record, version, person)
);
REVOKE ALL ON TABLE medsync._record_wrap FROM PUBLIC;
ALTER TABLE medsync._record_wrap ALTER COLUMN wrapped SET STORAGE PLAIN;
CREATE INDEX _record_wrap_person_idx ON medsync._record_wrap (person);
COMMENT ON TABLE medsync._record_wrap IS 'Who holds a version of a record, with the data key wrapped for each';
COMMENT ON COLUMN medsync._record_wrap.record IS 'The record';
COMMENT ON COLUMN medsync._record_wrap.version IS 'The version';
COMMENT ON COLUMN medsync._record_wrap.person IS 'The holder';
COMMENT ON COLUMN medsync._record_wrap.patient IS 'The record''s, for the ledger';
COMMENT ON COLUMN medsync._record_wrap.key IS 'The holder''s key under which it is wrapped; NULL: the holder reads by the server''s wrap only';
COMMENT ON COLUMN medsync._record_wrap.algorithm IS 'Of that key: 3, 4, 5 RSA, 6 X25519; 0: none';
COMMENT ON COLUMN medsync._record_wrap.wrapped IS 'The data key: RSAES-OAEP block or sealed box; NULL: none';
COMMENT ON COLUMN medsync._record_wrap.granted_at IS 'Since when this person holds the version';
COMMENT ON COLUMN medsync._record_wrap.granted_by IS 'Person who granted it';

CREATE TABLE medsync._record_head (
	record pg_catalog.uuid NOT NULL,
	version pg_catalog.int4 NOT NULL,
	patient pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	revision pg_catalog.int8 NOT NULL,
	signature pg_catalog.bytea NOT NULL,
	CONSTRAINT _record_head_pkey PRIMARY KEY (record)
);
REVOKE ALL ON TABLE medsync._record_head FROM PUBLIC;
ALTER TABLE medsync._record_head ALTER COLUMN signature SET STORAGE PLAIN;
COMMENT ON TABLE medsync._record_head IS 'The newest state of each record';
COMMENT ON COLUMN medsync._record_head.record IS 'The record';
COMMENT ON COLUMN medsync._record_head.version IS 'Number of its newest version';
COMMENT ON COLUMN medsync._record_head.patient IS 'The record''s, for the ledger';
COMMENT ON COLUMN medsync._record_head.revision IS 'Number of changes so far: versions, grants, revocations, new wraps';
COMMENT ON COLUMN medsync._record_head.signature IS 'Ed25519 signature by the vault over this state: all versions'' signatures';

-- EXTERNAL: ciphertext does not compress.
CREATE TABLE medsync._record_chunk (
	record pg_catalog.uuid NOT NULL,
	version pg_catalog.int4 NOT NULL,
	chunk pg_catalog.int4 NOT NULL,
	body pg_catalog.bytea NOT NULL,
	CONSTRAINT _record_chunk_pkey PRIMARY KEY (record, version, chunk)
);
REVOKE ALL ON TABLE medsync._record_chunk FROM PUBLIC;
ALTER TABLE medsync._record_chunk ALTER COLUMN body SET STORAGE EXTERNAL;
COMMENT ON TABLE medsync._record_chunk IS 'Encrypted content of records, 1 MiB of it a row';
COMMENT ON COLUMN medsync._record_chunk.record IS 'The record';
COMMENT ON COLUMN medsync._record_chunk.version IS 'The version';
COMMENT ON COLUMN medsync._record_chunk.chunk IS 'Number of the chunk, from 0';
COMMENT ON COLUMN medsync._record_chunk.body IS 'AES-256-GCM ciphertext and tag under the version''s data key';

-- Rows are also written apart, while the record is locked or does not exist.
CREATE TABLE medsync.record_event (
	id pg_catalog.uuid NOT NULL,
	at pg_catalog.timestamptz NOT NULL,
	patient pg_catalog.text COLLATE pg_catalog."C",
	record pg_catalog.uuid,
	version pg_catalog.int4,
	event pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	person pg_catalog.uuid,
	recipient pg_catalog.uuid,
	role pg_catalog.text NOT NULL,
	reason pg_catalog.text,
	CONSTRAINT record_event_pkey PRIMARY KEY (id),
	CONSTRAINT record_event_event_check CHECK (event OPERATOR(pg_catalog.=) ANY
		(ARRAY['put', 'version', 'get', 'grant', 'revoke', 'rewrap', 'denied', 'damaged']))
);
REVOKE ALL ON TABLE medsync.record_event FROM PUBLIC;
GRANT SELECT ON TABLE medsync.record_event TO medsync_admin, medsync_auditor;
CREATE INDEX record_event_record_idx ON medsync.record_event (record, at);
CREATE INDEX record_event_patient_idx ON medsync.record_event (patient, at);
COMMENT ON TABLE medsync.record_event IS 'What was done with records, what was refused, and what was found damaged';
COMMENT ON COLUMN medsync.record_event.id IS 'Id of the event, random';
COMMENT ON COLUMN medsync.record_event.at IS 'When it happened';
COMMENT ON COLUMN medsync.record_event.patient IS 'Whose record it is; NULL if there is no such record';
COMMENT ON COLUMN medsync.record_event.record IS 'The record, as it was asked for; NULL: a new one, refused';
COMMENT ON COLUMN medsync.record_event.version IS 'The version, where the event is about one';
COMMENT ON COLUMN medsync.record_event.event IS 'put, version, get, grant, revoke, rewrap, denied or damaged';
COMMENT ON COLUMN medsync.record_event.person IS 'Who did it or tried to; NULL: nobody known';
COMMENT ON COLUMN medsync.record_event.recipient IS 'Of a grant, revocation or new wrap: whose';
COMMENT ON COLUMN medsync.record_event.role IS 'The session''s role';
COMMENT ON COLUMN medsync.record_event.reason IS 'Why it was refused, or what is damaged, or that a read was rolled back';

-- No index, and rows that a rollback does not take away: see pending.c.
CREATE TABLE medsync._pending_event (
	id pg_catalog.uuid NOT NULL,
	at pg_catalog.timestamptz NOT NULL,
	record pg_catalog.uuid,
	version pg_catalog.int4,
	event pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	person pg_catalog.uuid,
	recipient pg_catalog.uuid,
	role pg_catalog.text NOT NULL,
	reason pg_catalog.text
);
REVOKE ALL ON TABLE medsync._pending_event FROM PUBLIC;
COMMENT ON TABLE medsync._pending_event IS 'Events that are not in record_event yet: reads that were rolled back, refusals and damage that no worker could write';
COMMENT ON COLUMN medsync._pending_event.id IS 'Id of the event; it keeps it';
COMMENT ON COLUMN medsync._pending_event.at IS 'When it happened';
COMMENT ON COLUMN medsync._pending_event.record IS 'As in record_event';
COMMENT ON COLUMN medsync._pending_event.version IS 'As in record_event';
COMMENT ON COLUMN medsync._pending_event.event IS 'get, denied or damaged';
COMMENT ON COLUMN medsync._pending_event.person IS 'As in record_event';
COMMENT ON COLUMN medsync._pending_event.recipient IS 'As in record_event';
COMMENT ON COLUMN medsync._pending_event.role IS 'As in record_event';
COMMENT ON COLUMN medsync._pending_event.reason IS 'As in record_event';

SELECT pg_catalog.pg_extension_config_dump('medsync._record', '');
SELECT pg_catalog.pg_extension_config_dump('medsync._record_head', '');
SELECT pg_catalog.pg_extension_config_dump('medsync._record_version', '');
SELECT pg_catalog.pg_extension_config_dump('medsync._record_wrap', '');
SELECT pg_catalog.pg_extension_config_dump('medsync._record_chunk', '');
SELECT pg_catalog.pg_extension_config_dump('medsync.record_event', '');
SELECT pg_catalog.pg_extension_config_dump('medsync._pending_event', '');

-- ------------------------------------------------------------------
-- records: functions
-- ------------------------------------------------------------------

/* PUBLIC may call them: who may do what is decided by who acts. */
CREATE FUNCTION medsync.put_record(
	patient pg_catalog.text,
	content pg_catalog.bytea,
	media_type pg_catalog.text,
	recipients pg_catalog.uuid[] DEFAULT '{}',
	record pg_catalog.uuid DEFAULT NULL)
	RETURNS pg_catalog.uuid
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_put_record';
COMMENT ON FUNCTION medsync.put_record(pg_catalog.text, pg_catalog.bytea, pg_catalog.text, pg_catalog.uuid[], pg_catalog.uuid) IS
	'Encrypt and store content about a patient, as a new record or a new version of one, for its author and recipients';

CREATE FUNCTION medsync.get_record(
	record pg_catalog.uuid,
	private_key pg_catalog.bytea DEFAULT NULL,
	version pg_catalog.int4 DEFAULT NULL)
	RETURNS pg_catalog.bytea
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_get_record';
COMMENT ON FUNCTION medsync.get_record(pg_catalog.uuid, pg_catalog.bytea, pg_catalog.int4) IS
	'Content of a record, its newest version or the one named, for its patient and holders; opened by the server or with the caller''s private key';

CREATE FUNCTION medsync.grant_record(
	record pg_catalog.uuid,
	recipient pg_catalog.uuid)
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_grant_record';
COMMENT ON FUNCTION medsync.grant_record(pg_catalog.uuid, pg_catalog.uuid) IS
	'Let a person read a record: all of its versions are wrapped for it';

CREATE FUNCTION medsync.revoke_record(
	record pg_catalog.uuid,
	recipient pg_catalog.uuid)
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_revoke_record';
COMMENT ON FUNCTION medsync.revoke_record(pg_catalog.uuid, pg_catalog.uuid) IS
	'Let a person read a record no more: all of its versions are encrypted anew, and wrapped for those who stay';

CREATE FUNCTION medsync.rewrap_record(
	record pg_catalog.uuid,
	person pg_catalog.uuid DEFAULT NULL)
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_rewrap_record';
COMMENT ON FUNCTION medsync.rewrap_record(pg_catalog.uuid, pg_catalog.uuid) IS
	'Wrap a record for a holder''s newest key, the caller''s unless named; the content stays as it is';

CREATE FUNCTION medsync.record_access(record pg_catalog.uuid)
	RETURNS TABLE (
		person pg_catalog.uuid,
		key pg_catalog.uuid,
		algorithm pg_catalog.text,
		since pg_catalog.timestamptz,
		granted_by pg_catalog.uuid)
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_record_access';
COMMENT ON FUNCTION medsync.record_access(pg_catalog.uuid) IS
	'Who holds a record, under which key, since when and by whom; for its patient and holders';

CREATE FUNCTION medsync.records(patient pg_catalog.text DEFAULT NULL)
	RETURNS TABLE (
		record pg_catalog.uuid,
		subject pg_catalog.text,
		media_type pg_catalog.text,
		length pg_catalog.int8,
		version pg_catalog.int4,
		author pg_catalog.uuid,
		created_at pg_catalog.timestamptz)
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_records';
COMMENT ON FUNCTION medsync.records(pg_catalog.text) IS
	'Newest version of each record that the caller may read, of one patient or of all';

CREATE FUNCTION medsync.vault_key()
	RETURNS pg_catalog.bytea
	LANGUAGE C STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'medsync_vault_key';
COMMENT ON FUNCTION medsync.vault_key() IS
	'Public key (SubjectPublicKeyInfo, Ed25519) by which the vault''s signatures of records are checked';
