-- ------------------------------------------------------------------
-- proofs: tables
-- ------------------------------------------------------------------

CREATE TABLE medsync._signer_key (
	number pg_catalog.int4 NOT NULL,
	verifier_key pg_catalog.text NOT NULL,
	announced_by pg_catalog.xid8,
	CONSTRAINT _signer_key_pkey PRIMARY KEY (number)
);
REVOKE ALL ON TABLE medsync._signer_key FROM PUBLIC;
COMMENT ON TABLE medsync._signer_key IS 'The keys that signed checkpoints, in the order of their use';
COMMENT ON COLUMN medsync._signer_key.number IS 'From 1';
COMMENT ON COLUMN medsync._signer_key.verifier_key IS 'C2SP verifier key; its name is the origin';
COMMENT ON COLUMN medsync._signer_key.announced_by IS 'The transaction of its signer entry; null for a first key, which has none';
SELECT pg_catalog.pg_extension_config_dump('medsync._signer_key', '');

CREATE TABLE medsync._checkpoint (
	height pg_catalog.int8 NOT NULL,
	note pg_catalog.text NOT NULL,
	CONSTRAINT _checkpoint_pkey PRIMARY KEY (height)
);
REVOKE ALL ON TABLE medsync._checkpoint FROM PUBLIC;
COMMENT ON TABLE medsync._checkpoint IS 'The signed notes of blocks';
COMMENT ON COLUMN medsync._checkpoint.height IS 'Of the block';
COMMENT ON COLUMN medsync._checkpoint.note IS 'C2SP checkpoint, signed by the log alone';
SELECT pg_catalog.pg_extension_config_dump('medsync._checkpoint', '');

CREATE TABLE medsync._cosignature (
	height pg_catalog.int8 NOT NULL,
	witness pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	line pg_catalog.text NOT NULL,
	CONSTRAINT _cosignature_pkey PRIMARY KEY (height, witness)
);
CREATE INDEX _cosignature_witness_idx ON medsync._cosignature (witness, height);
REVOKE ALL ON TABLE medsync._cosignature FROM PUBLIC;
COMMENT ON TABLE medsync._cosignature IS 'What witnesses signed of the notes in _checkpoint';
COMMENT ON COLUMN medsync._cosignature.height IS 'Of the block';
COMMENT ON COLUMN medsync._cosignature.witness IS 'Name in _witness';
COMMENT ON COLUMN medsync._cosignature.line IS 'C2SP cosignature line, without its newline';
SELECT pg_catalog.pg_extension_config_dump('medsync._cosignature', '');

-- ------------------------------------------------------------------
-- proofs: who signs
-- ------------------------------------------------------------------

CREATE FUNCTION medsync.verifier_key()
	RETURNS pg_catalog.text
	LANGUAGE C STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'medsync_verifier_key';
COMMENT ON FUNCTION medsync.verifier_key() IS
	'The key that checks this ledger''s checkpoints, as a C2SP verifier key; null before the first is signed';

CREATE FUNCTION medsync.rotate_signer_key()
	RETURNS pg_catalog.text
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_rotate_signer_key';
REVOKE ALL ON FUNCTION medsync.rotate_signer_key() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.rotate_signer_key() TO medsync_admin;
COMMENT ON FUNCTION medsync.rotate_signer_key() IS
	'Sign with a new key from the next checkpoint on; the new verifier key';

CREATE FUNCTION medsync.declare_era(
	reason pg_catalog.text,
	origin pg_catalog.text DEFAULT NULL)
	RETURNS pg_catalog.text
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_declare_era';
REVOKE ALL ON FUNCTION medsync.declare_era(pg_catalog.text, pg_catalog.text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.declare_era(pg_catalog.text, pg_catalog.text) TO medsync_admin;
COMMENT ON FUNCTION medsync.declare_era(pg_catalog.text, pg_catalog.text) IS
	'Let this database sign under a new origin, after a restore or a copy; the origin';

-- ------------------------------------------------------------------
-- proofs: of entries and of sizes
-- ------------------------------------------------------------------

CREATE FUNCTION medsync.leaf(entry_index pg_catalog.int8)
	RETURNS pg_catalog.bytea
	LANGUAGE C STABLE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'medsync_leaf';
REVOKE ALL ON FUNCTION medsync.leaf(pg_catalog.int8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.leaf(pg_catalog.int8) TO medsync_admin, medsync_auditor;
COMMENT ON FUNCTION medsync.leaf(pg_catalog.int8) IS
	'The leaf data of a sealed entry, as it is published';

CREATE FUNCTION medsync.prove_inclusion(
	entry_index pg_catalog.int8,
	size pg_catalog.int8 DEFAULT NULL)
	RETURNS pg_catalog.bytea[]
	LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'medsync_prove_inclusion';
REVOKE ALL ON FUNCTION medsync.prove_inclusion(pg_catalog.int8, pg_catalog.int8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.prove_inclusion(pg_catalog.int8, pg_catalog.int8) TO medsync_admin, medsync_auditor;
COMMENT ON FUNCTION medsync.prove_inclusion(pg_catalog.int8, pg_catalog.int8) IS
	'RFC 6962 proof that an entry is in the tree of a size';

CREATE FUNCTION medsync.prove_consistency(
	old_size pg_catalog.int8,
	new_size pg_catalog.int8 DEFAULT NULL)
	RETURNS pg_catalog.bytea[]
	LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'medsync_prove_consistency';
REVOKE ALL ON FUNCTION medsync.prove_consistency(pg_catalog.int8, pg_catalog.int8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.prove_consistency(pg_catalog.int8, pg_catalog.int8) TO medsync_admin, medsync_auditor;
COMMENT ON FUNCTION medsync.prove_consistency(pg_catalog.int8, pg_catalog.int8) IS
	'RFC 6962 proof that the tree of a size extends that of an earlier one';

CREATE FUNCTION medsync.verify_inclusion(
	leaf_hash pg_catalog.bytea,
	entry_index pg_catalog.int8,
	size pg_catalog.int8,
	proof pg_catalog.bytea[],
	root pg_catalog.bytea)
	RETURNS pg_catalog.bool
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_verify_inclusion';
COMMENT ON FUNCTION medsync.verify_inclusion(pg_catalog.bytea, pg_catalog.int8, pg_catalog.int8, pg_catalog.bytea[], pg_catalog.bytea) IS
	'Is this an inclusion proof of RFC 6962?';

CREATE FUNCTION medsync.verify_consistency(
	old_size pg_catalog.int8,
	old_root pg_catalog.bytea,
	new_size pg_catalog.int8,
	new_root pg_catalog.bytea,
	proof pg_catalog.bytea[])
	RETURNS pg_catalog.bool
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_verify_consistency';
COMMENT ON FUNCTION medsync.verify_consistency(pg_catalog.int8, pg_catalog.bytea, pg_catalog.int8, pg_catalog.bytea, pg_catalog.bytea[]) IS
	'Is this a consistency proof of RFC 6962?';

-- ------------------------------------------------------------------
-- proofs: exports
-- ------------------------------------------------------------------

CREATE FUNCTION medsync.export(
	directory pg_catalog.text,
	from_size pg_catalog.int8 DEFAULT 0)
	RETURNS pg_catalog.int8
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_export';
REVOKE ALL ON FUNCTION medsync.export(pg_catalog.text, pg_catalog.int8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.export(pg_catalog.text, pg_catalog.int8) TO pg_write_server_files;
COMMENT ON FUNCTION medsync.export(pg_catalog.text, pg_catalog.int8) IS
	'Write or continue the public log in a directory of the server (C2SP tlog-tiles); its size';

CREATE FUNCTION medsync.export_files(
	from_size pg_catalog.int8 DEFAULT 0)
	RETURNS TABLE (
		path pg_catalog.text,
		content pg_catalog.bytea)
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_export_files';
REVOKE ALL ON FUNCTION medsync.export_files(pg_catalog.int8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.export_files(pg_catalog.int8) TO medsync_auditor;
COMMENT ON FUNCTION medsync.export_files(pg_catalog.int8) IS
	'The files of the public log, the checkpoint last (C2SP tlog-tiles)';

CREATE FUNCTION medsync.export_entries(
	path pg_catalog.text,
	from_size pg_catalog.int8 DEFAULT 0)
	RETURNS pg_catalog.int8
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_export_entries';
REVOKE ALL ON FUNCTION medsync.export_entries(pg_catalog.text, pg_catalog.int8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.export_entries(pg_catalog.text, pg_catalog.int8) TO medsync_auditor;
COMMENT ON FUNCTION medsync.export_entries(pg_catalog.text, pg_catalog.int8) IS
	'Write entries, salts, blocks and manifests to a file of the server, without any key; how many entries';

CREATE FUNCTION medsync._entries(
	from_size pg_catalog.int8 DEFAULT 0)
	RETURNS SETOF pg_catalog.bytea
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_entries';
REVOKE ALL ON FUNCTION medsync._entries(pg_catalog.int8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync._entries(pg_catalog.int8) TO medsync_auditor;
COMMENT ON FUNCTION medsync._entries(pg_catalog.int8) IS
	'The records of export_entries() and the entries that are not sealed yet, for medsync-verify';

-- ------------------------------------------------------------------
-- proofs: receipts
-- ------------------------------------------------------------------

CREATE FUNCTION medsync.receipt(
	relation pg_catalog.regclass,
	key pg_catalog.jsonb)
	RETURNS pg_catalog.text
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_receipt_of_row';
REVOKE ALL ON FUNCTION medsync.receipt(pg_catalog.regclass, pg_catalog.jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.receipt(pg_catalog.regclass, pg_catalog.jsonb) TO medsync_auditor;
COMMENT ON FUNCTION medsync.receipt(pg_catalog.regclass, pg_catalog.jsonb) IS
	'A proof, for outsiders, of the newest version of a row (C2SP tlog-proof)';

CREATE FUNCTION medsync.receipt(entry_index pg_catalog.int8)
	RETURNS pg_catalog.text
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_receipt_of_entry';
REVOKE ALL ON FUNCTION medsync.receipt(pg_catalog.int8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.receipt(pg_catalog.int8) TO medsync_auditor;
COMMENT ON FUNCTION medsync.receipt(pg_catalog.int8) IS
	'A proof, for outsiders, of an entry and of the row version that it brought (C2SP tlog-proof)';

CREATE FUNCTION medsync.verify_receipt(
	receipt pg_catalog.text,
	verifier_key pg_catalog.text,
	OUT verdict pg_catalog.text,
	OUT detail pg_catalog.text)
	RETURNS record
	LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_verify_receipt';
COMMENT ON FUNCTION medsync.verify_receipt(pg_catalog.text, pg_catalog.text) IS
	'Is this a receipt of the log with that verifier key?  Verdict valid, or what is wrong';

-- ------------------------------------------------------------------
-- proofs: what medsync-verify asks of a live server
-- ------------------------------------------------------------------

-- r and the row key of each row of one table, not of its partitions.  r is
-- null where the subject's key cannot be read, and empty where the subject
-- never had a key.
CREATE FUNCTION medsync._openings(
	relation pg_catalog.regclass,
	OUT tid pg_catalog.tid,
	OUT opening pg_catalog.bytea,
	OUT row_key pg_catalog.bytea)
	RETURNS SETOF record
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_openings';
REVOKE ALL ON FUNCTION medsync._openings(pg_catalog.regclass) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync._openings(pg_catalog.regclass) TO medsync_auditor;
COMMENT ON FUNCTION medsync._openings(pg_catalog.regclass) IS
	'What opens the commitment of each row of a table; for medsync-verify';
