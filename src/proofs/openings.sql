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
