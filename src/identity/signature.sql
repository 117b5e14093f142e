-- ------------------------------------------------------------------
-- identity: signed rows
-- ------------------------------------------------------------------

CREATE FUNCTION medsync.require_signature(
	relation pg_catalog.regclass,
	signer pg_catalog.name,
	signature pg_catalog.name,
	on_behalf_of pg_catalog.name DEFAULT NULL)
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_require_signature';
COMMENT ON FUNCTION medsync.require_signature(pg_catalog.regclass, pg_catalog.name, pg_catalog.name, pg_catalog.name) IS
	'Take only rows of a tracked table that are signed; for its owner, if a member of medsync_admin';

CREATE FUNCTION medsync.signing_bytes(
	"row" pg_catalog.anyelement,
	signer pg_catalog.name DEFAULT NULL,
	signature pg_catalog.name DEFAULT NULL)
	RETURNS pg_catalog.bytea
	LANGUAGE C STABLE CALLED ON NULL INPUT PARALLEL SAFE
	AS 'MODULE_PATHNAME', 'medsync_signing_bytes';
COMMENT ON FUNCTION medsync.signing_bytes(pg_catalog.anyelement, pg_catalog.name, pg_catalog.name) IS
	'The bytes that the signature of a row must be over';

CREATE FUNCTION medsync.signatures(
	relation pg_catalog.regclass,
	key pg_catalog.jsonb DEFAULT NULL)
	RETURNS TABLE (
		entry_index pg_catalog.int8,
		block pg_catalog.int8,
		at pg_catalog.timestamptz,
		row_key pg_catalog.jsonb,
		signer pg_catalog.uuid,
		author pg_catalog.uuid,
		entered_by pg_catalog.uuid,
		on_behalf_of pg_catalog.uuid,
		held pg_catalog.jsonb,
		valid pg_catalog.bool)
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'medsync_signatures';
COMMENT ON FUNCTION medsync.signatures(pg_catalog.regclass, pg_catalog.jsonb) IS
	'Who signed the rows of a table, and whether the signatures hold; for whoever may read its history';
