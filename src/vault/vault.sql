/* ---- vault: key-encryption keys and subject keys ---- */

/*
 * Rows of both tables are never updated except by the rotation of the master
 * key, which wraps _key_encryption_key anew.  docs/formats.md gives the bytes
 * of "wrapped"; every other column of a row is bound by its associated data.
 * The columns are stored PLAIN so that no look-up ever needs TOAST, which
 * cannot be read without a snapshot.
 */
CREATE TABLE medsync._key_encryption_key (
	number int4 NOT NULL PRIMARY KEY,
	created_at timestamptz NOT NULL,
	master_key_id bytea NOT NULL,
	wrapped bytea NOT NULL
);
REVOKE ALL ON medsync._key_encryption_key FROM PUBLIC;
ALTER TABLE medsync._key_encryption_key
	ALTER COLUMN master_key_id SET STORAGE PLAIN,
	ALTER COLUMN wrapped SET STORAGE PLAIN;

COMMENT ON TABLE medsync._key_encryption_key IS
'Dated keys that wrap the subjects'' secrets, themselves wrapped by the master key.';
COMMENT ON COLUMN medsync._key_encryption_key.number IS
'Number of the key, from 1; new secrets are wrapped by the highest.';
COMMENT ON COLUMN medsync._key_encryption_key.created_at IS
'When the key was made.';
COMMENT ON COLUMN medsync._key_encryption_key.master_key_id IS
'Identifies the master key that wraps this key: 8 bytes derived from it.';
COMMENT ON COLUMN medsync._key_encryption_key.wrapped IS
'The key, encrypted: nonce, ciphertext and tag.';

/*
 * No unique constraint: a second transaction must not wait for the first one
 * that uses a new subject.  src/vault/subject_key.c says how two rows of one
 * subject stay identical, and how the spare one goes.
 */
CREATE TABLE medsync._subject_key (
	tag bytea NOT NULL,
	key_id bytea NOT NULL,
	key_encryption_key int4 NOT NULL,
	duplicate boolean NOT NULL,
	wrapped bytea NOT NULL
);
REVOKE ALL ON medsync._subject_key FROM PUBLIC;
ALTER TABLE medsync._subject_key
	ALTER COLUMN tag SET STORAGE PLAIN,
	ALTER COLUMN key_id SET STORAGE PLAIN,
	ALTER COLUMN wrapped SET STORAGE PLAIN;
CREATE INDEX _subject_key_tag_idx ON medsync._subject_key (tag);
CREATE INDEX _subject_key_id_idx ON medsync._subject_key (key_id);
CREATE INDEX _subject_key_duplicate_idx ON medsync._subject_key (tag)
	WHERE duplicate;

COMMENT ON TABLE medsync._subject_key IS
'The wrapped secret of each subject, of each tracked table and of the ledger itself.';
COMMENT ON COLUMN medsync._subject_key.tag IS
'Pseudonym by which the subject''s row is found: 16 bytes of a keyed hash; the ledger''s own is all zero.';
COMMENT ON COLUMN medsync._subject_key.key_id IS
'Random identifier of the secret, 16 bytes; entries of the ledger name it.';
COMMENT ON COLUMN medsync._subject_key.key_encryption_key IS
'Number of the key-encryption key that wraps the secret.';
COMMENT ON COLUMN medsync._subject_key.duplicate IS
'Is this a copy, made because the first row was not yet committed?';
COMMENT ON COLUMN medsync._subject_key.wrapped IS
'The secret, encrypted: nonce, ciphertext and tag.';

SELECT pg_catalog.pg_extension_config_dump('medsync._key_encryption_key', '');
SELECT pg_catalog.pg_extension_config_dump('medsync._subject_key', '');
