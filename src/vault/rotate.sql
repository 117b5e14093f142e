/* ---- vault: rotation of the master key ---- */

CREATE FUNCTION medsync.rotate_master_key(
	OUT rewrapped pg_catalog.int4,
	OUT old_key pg_catalog.text)
	RETURNS pg_catalog.record
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_rotate_master_key';
REVOKE ALL ON FUNCTION medsync.rotate_master_key() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.rotate_master_key() TO medsync_admin;
COMMENT ON FUNCTION medsync.rotate_master_key() IS
'Wrap the key-encryption keys of this database under another master key, made if none is waiting; how many, and the file (or id) of the old key.';
