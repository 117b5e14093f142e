-- ------------------------------------------------------------------
-- ledger: tables
-- ------------------------------------------------------------------

CREATE TABLE medsync._ledger (
	id pg_catalog.bytea NOT NULL,
	created_at pg_catalog.timestamptz NOT NULL
);
REVOKE ALL ON TABLE medsync._ledger FROM PUBLIC;
COMMENT ON TABLE medsync._ledger IS 'The identity of the ledger: one row, made by the first track()';
COMMENT ON COLUMN medsync._ledger.id IS '16 random bytes';
COMMENT ON COLUMN medsync._ledger.created_at IS 'When the first table was tracked';
SELECT pg_catalog.pg_extension_config_dump('medsync._ledger', '');

CREATE TABLE medsync._era (
	number pg_catalog.int4 NOT NULL,
	id pg_catalog.bytea NOT NULL,
	system_identifier pg_catalog.int8,
	timeline pg_catalog.int4,
	database_oid pg_catalog.int8,
	CONSTRAINT _era_pkey PRIMARY KEY (number)
);
REVOKE ALL ON TABLE medsync._era FROM PUBLIC;
COMMENT ON TABLE medsync._era IS 'Which cluster, timeline and database wrote the blocks of an era';
COMMENT ON COLUMN medsync._era.number IS 'From 1, in the order of their first blocks';
COMMENT ON COLUMN medsync._era.id IS 'First 16 bytes of SHA-256(ledger id, system identifier, timeline, database)';
COMMENT ON COLUMN medsync._era.system_identifier IS 'Of the cluster; null, like the next two, for an era that came with a dump before it was sealed';
COMMENT ON COLUMN medsync._era.timeline IS 'WAL timeline';
COMMENT ON COLUMN medsync._era.database_oid IS 'Of the database, in that cluster';
SELECT pg_catalog.pg_extension_config_dump('medsync._era', '');

CREATE TABLE medsync._table (
	number pg_catalog.int4 NOT NULL,
	schema_name pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	table_name pg_catalog.text COLLATE pg_catalog."C" NOT NULL,
	manifest_version pg_catalog.int4 NOT NULL,
	tracked pg_catalog.bool NOT NULL,
	CONSTRAINT _table_pkey PRIMARY KEY (number)
);
CREATE INDEX _table_name_idx ON medsync._table (schema_name, table_name);
REVOKE ALL ON TABLE medsync._table FROM PUBLIC;
COMMENT ON TABLE medsync._table IS 'Table numbers, never reused, and the name each stands for now';
COMMENT ON COLUMN medsync._table.number IS 'From 1';
COMMENT ON COLUMN medsync._table.schema_name IS 'Schema, by name';
COMMENT ON COLUMN medsync._table.table_name IS 'Table, by name';
COMMENT ON COLUMN medsync._table.manifest_version IS 'The newest version in _manifest';
COMMENT ON COLUMN medsync._table.tracked IS 'False after untrack()';
SELECT pg_catalog.pg_extension_config_dump('medsync._table', '');

CREATE TABLE medsync._manifest (
	table_number pg_catalog.int4 NOT NULL,
	version pg_catalog.int4 NOT NULL,
	content pg_catalog.text NOT NULL,
	CONSTRAINT _manifest_pkey PRIMARY KEY (table_number, version)
);
REVOKE ALL ON TABLE medsync._manifest FROM PUBLIC;
COMMENT ON TABLE medsync._manifest IS 'What a table number stands for: columns by stable number; bound by ddl entries';
COMMENT ON COLUMN medsync._manifest.table_number IS 'Number in _table';
COMMENT ON COLUMN medsync._manifest.version IS 'From 1';
COMMENT ON COLUMN medsync._manifest.content IS 'JSON; its SHA-256 is in the ddl entry of this version';
SELECT pg_catalog.pg_extension_config_dump('medsync._manifest', '');

-- Bodies stay in line (at most 8,000 bytes) and are never compressed.
CREATE TABLE medsync._journal (
	xid pg_catalog.xid8 NOT NULL,
	ordinal pg_catalog.int8,
	body pg_catalog.bytea NOT NULL
) WITH (toast_tuple_target = 8160);
CREATE INDEX _journal_xid_idx ON medsync._journal (xid);
CREATE INDEX _journal_ordinal_idx ON medsync._journal (xid, ordinal) WHERE ordinal IS NOT NULL;
REVOKE ALL ON TABLE medsync._journal FROM PUBLIC;
ALTER TABLE medsync._journal ALTER COLUMN body SET STORAGE EXTERNAL;
COMMENT ON TABLE medsync._journal IS 'Packed rows of entries, as their transactions wrote them';
COMMENT ON COLUMN medsync._journal.xid IS 'Top-level transaction id';
COMMENT ON COLUMN medsync._journal.ordinal IS 'Ordinal of the first entry; null stands for 0';
COMMENT ON COLUMN medsync._journal.body IS 'See docs/formats.md';
SELECT pg_catalog.pg_extension_config_dump('medsync._journal', '');

CREATE TABLE medsync._image (
	id pg_catalog.bytea NOT NULL,
	chunk pg_catalog.int4 NOT NULL,
	body pg_catalog.bytea NOT NULL,
	CONSTRAINT _image_pkey PRIMARY KEY (id, chunk)
);
REVOKE ALL ON TABLE medsync._image FROM PUBLIC;
ALTER TABLE medsync._image ALTER COLUMN body SET STORAGE EXTERNAL;
COMMENT ON TABLE medsync._image IS 'Encrypted row images that do not fit a packed row';
COMMENT ON COLUMN medsync._image.id IS 'First 16 bytes of SHA-256(seed)';
COMMENT ON COLUMN medsync._image.chunk IS 'From 0; each but the last holds 1 MiB';
COMMENT ON COLUMN medsync._image.body IS 'AES-256-GCM ciphertext and tag';
SELECT pg_catalog.pg_extension_config_dump('medsync._image', '');

CREATE TABLE medsync._block (
	height pg_catalog.int8 NOT NULL,
	era pg_catalog.int4 NOT NULL,
	previous_hash pg_catalog.bytea NOT NULL,
	first_index pg_catalog.int8 NOT NULL,
	entry_count pg_catalog.int8 NOT NULL,
	root pg_catalog.bytea NOT NULL,
	snapshot pg_catalog.pg_snapshot NOT NULL,
	sealer_xid pg_catalog.xid8 NOT NULL,
	sealed_at pg_catalog.timestamptz NOT NULL,
	hash pg_catalog.bytea NOT NULL,
	CONSTRAINT _block_pkey PRIMARY KEY (height)
);
CREATE INDEX _block_first_index_idx ON medsync._block (first_index);
REVOKE ALL ON TABLE medsync._block FROM PUBLIC;
COMMENT ON TABLE medsync._block IS 'The chain of blocks';
COMMENT ON COLUMN medsync._block.height IS 'From 0';
COMMENT ON COLUMN medsync._block.era IS 'Number in _era';
COMMENT ON COLUMN medsync._block.previous_hash IS 'Hash of the block below, zeros in the first';
COMMENT ON COLUMN medsync._block.first_index IS 'Index of its first entry';
COMMENT ON COLUMN medsync._block.entry_count IS 'How many entries it added';
COMMENT ON COLUMN medsync._block.root IS 'RFC 6962 root over all entries up to its last';
COMMENT ON COLUMN medsync._block.snapshot IS 'Which transactions had ended';
COMMENT ON COLUMN medsync._block.sealer_xid IS 'The transaction that made it';
COMMENT ON COLUMN medsync._block.sealed_at IS 'Never before the block below';
COMMENT ON COLUMN medsync._block.hash IS 'SHA-256 over all of the above and the ledger''s identity';
SELECT pg_catalog.pg_extension_config_dump('medsync._block', '');

CREATE TABLE medsync._block_order (
	first_index pg_catalog.int8 NOT NULL,
	runs pg_catalog.bytea NOT NULL,
	CONSTRAINT _block_order_pkey PRIMARY KEY (first_index)
) WITH (toast_tuple_target = 8160);
REVOKE ALL ON TABLE medsync._block_order FROM PUBLIC;
ALTER TABLE medsync._block_order ALTER COLUMN runs SET STORAGE EXTERNAL;
COMMENT ON TABLE medsync._block_order IS 'The entries of blocks in ledger order, as runs; follows from journal and blocks';
COMMENT ON COLUMN medsync._block_order.first_index IS 'Index of the first entry';
COMMENT ON COLUMN medsync._block_order.runs IS 'See docs/formats.md';
SELECT pg_catalog.pg_extension_config_dump('medsync._block_order', '');

CREATE TABLE medsync._tile (
	level pg_catalog.int4 NOT NULL,
	tile pg_catalog.int8 NOT NULL,
	hashes pg_catalog.bytea NOT NULL,
	CONSTRAINT _tile_pkey PRIMARY KEY (level, tile)
);
REVOKE ALL ON TABLE medsync._tile FROM PUBLIC;
ALTER TABLE medsync._tile ALTER COLUMN hashes SET STORAGE EXTERNAL;
COMMENT ON TABLE medsync._tile IS 'The Merkle tree in tiles of 256 hashes (C2SP tlog-tiles)';
COMMENT ON COLUMN medsync._tile.level IS '0: leaf hashes';
COMMENT ON COLUMN medsync._tile.tile IS 'Place in the level';
COMMENT ON COLUMN medsync._tile.hashes IS '32 bytes each; the last tile of a level grows';
SELECT pg_catalog.pg_extension_config_dump('medsync._tile', '');

CREATE TABLE medsync._lookup (
	kind pg_catalog."char" NOT NULL,
	segment pg_catalog.int8 NOT NULL,
	chunk pg_catalog.int4 NOT NULL,
	postings pg_catalog.bytea NOT NULL,
	CONSTRAINT _lookup_pkey PRIMARY KEY (kind, segment, chunk)
) WITH (toast_tuple_target = 8160);
REVOKE ALL ON TABLE medsync._lookup FROM PUBLIC;
ALTER TABLE medsync._lookup ALTER COLUMN postings SET STORAGE EXTERNAL;
COMMENT ON TABLE medsync._lookup IS 'Which entries are about a row or a subject, or announce a manifest, for each full segment of 65,536 entries; follows from the journal';
COMMENT ON COLUMN medsync._lookup.kind IS 'r: by row key, s: by subject key id, m: ddl entries by table number and manifest version';
COMMENT ON COLUMN medsync._lookup.segment IS 'Index of the first entry, divided by 65,536';
COMMENT ON COLUMN medsync._lookup.chunk IS 'From 0';
COMMENT ON COLUMN medsync._lookup.postings IS 'Sorted pairs: first 8 bytes of the key, offset in the segment';
SELECT pg_catalog.pg_extension_config_dump('medsync._lookup', '');

-- ------------------------------------------------------------------
-- ledger: triggers and guards
-- ------------------------------------------------------------------

CREATE FUNCTION medsync._capture() RETURNS trigger
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_capture';
-- An owner who makes a partition clones the trigger, and that asks for EXECUTE.
REVOKE ALL ON FUNCTION medsync._capture() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync._capture() TO PUBLIC;
COMMENT ON FUNCTION medsync._capture() IS 'Row trigger of tracked tables: records the change';

CREATE FUNCTION medsync._truncate() RETURNS trigger
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_truncate';
REVOKE ALL ON FUNCTION medsync._truncate() FROM PUBLIC;
COMMENT ON FUNCTION medsync._truncate() IS 'Truncate trigger of tracked tables: refuses';

CREATE FUNCTION medsync._guard_start() RETURNS event_trigger
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_guard_start';
REVOKE ALL ON FUNCTION medsync._guard_start() FROM PUBLIC;
COMMENT ON FUNCTION medsync._guard_start() IS 'Notes what tracked tables look like before a command';

CREATE FUNCTION medsync._guard_end() RETURNS event_trigger
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_guard_end';
REVOKE ALL ON FUNCTION medsync._guard_end() FROM PUBLIC;
COMMENT ON FUNCTION medsync._guard_end() IS 'Refuses a command that altered a tracked table past the ledger';

CREATE FUNCTION medsync._guard_drop() RETURNS event_trigger
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_guard_drop';
REVOKE ALL ON FUNCTION medsync._guard_drop() FROM PUBLIC;
COMMENT ON FUNCTION medsync._guard_drop() IS 'Refuses to drop a tracked table, a column or a trigger of it';

CREATE FUNCTION medsync._guard_rewrite() RETURNS event_trigger
	LANGUAGE C VOLATILE PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_guard_rewrite';
REVOKE ALL ON FUNCTION medsync._guard_rewrite() FROM PUBLIC;
COMMENT ON FUNCTION medsync._guard_rewrite() IS 'Refuses to rewrite the values of a tracked table';

CREATE EVENT TRIGGER medsync_guard_start ON ddl_command_start
	EXECUTE FUNCTION medsync._guard_start();
ALTER EVENT TRIGGER medsync_guard_start ENABLE ALWAYS;
CREATE EVENT TRIGGER medsync_guard_end ON ddl_command_end
	EXECUTE FUNCTION medsync._guard_end();
ALTER EVENT TRIGGER medsync_guard_end ENABLE ALWAYS;
CREATE EVENT TRIGGER medsync_guard_drop ON sql_drop
	EXECUTE FUNCTION medsync._guard_drop();
ALTER EVENT TRIGGER medsync_guard_drop ENABLE ALWAYS;
CREATE EVENT TRIGGER medsync_guard_rewrite ON table_rewrite
	EXECUTE FUNCTION medsync._guard_rewrite();
ALTER EVENT TRIGGER medsync_guard_rewrite ENABLE ALWAYS;

-- ------------------------------------------------------------------
-- ledger: functions
-- ------------------------------------------------------------------

CREATE FUNCTION medsync.track(
	relation pg_catalog.regclass,
	subject pg_catalog.name DEFAULT NULL,
	payload pg_catalog.text DEFAULT 'full',
	exclude pg_catalog.name[] DEFAULT '{}')
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_track';
COMMENT ON FUNCTION medsync.track(pg_catalog.regclass, pg_catalog.name, pg_catalog.text, pg_catalog.name[]) IS
	'Enter a table into the ledger, with the rows it has; for its owner, if a member of medsync_admin';

CREATE FUNCTION medsync.untrack(relation pg_catalog.regclass)
	RETURNS pg_catalog.void
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_untrack';
COMMENT ON FUNCTION medsync.untrack(pg_catalog.regclass) IS
	'Stop recording a table; what was recorded stays';

CREATE FUNCTION medsync.seal(
	OUT height pg_catalog.int8,
	OUT size pg_catalog.int8,
	OUT root pg_catalog.bytea)
	RETURNS record
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_seal';
REVOKE ALL ON FUNCTION medsync.seal() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.seal() TO medsync_admin;
COMMENT ON FUNCTION medsync.seal() IS
	'Seal what has been committed since the last block; the last block, new or not';

CREATE FUNCTION medsync.verify(
	relation pg_catalog.regclass DEFAULT NULL,
	since_size pg_catalog.int8 DEFAULT NULL)
	RETURNS TABLE (
		severity pg_catalog.text,
		verdict pg_catalog.text,
		relation pg_catalog.text,
		row_key pg_catalog.jsonb,
		block pg_catalog.int8,
		entry_index pg_catalog.int8,
		expected pg_catalog.text,
		found pg_catalog.text,
		detail pg_catalog.text)
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_verify';
REVOKE ALL ON FUNCTION medsync.verify(pg_catalog.regclass, pg_catalog.int8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.verify(pg_catalog.regclass, pg_catalog.int8) TO medsync_auditor;
COMMENT ON FUNCTION medsync.verify(pg_catalog.regclass, pg_catalog.int8) IS
	'Compare ledger, tables and guards with each other; one row a finding, none when all is well';

CREATE FUNCTION medsync.verify_summary(
	relation pg_catalog.regclass DEFAULT NULL,
	since_size pg_catalog.int8 DEFAULT NULL,
	OUT entries pg_catalog.int8,
	OUT blocks pg_catalog.int8,
	OUT tables pg_catalog.int8,
	OUT rows pg_catalog.int8,
	OUT unsealed pg_catalog.int8,
	OUT errors pg_catalog.int8,
	OUT warnings pg_catalog.int8,
	OUT seconds pg_catalog.float8)
	RETURNS record
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	AS 'MODULE_PATHNAME', 'medsync_verify_summary';
REVOKE ALL ON FUNCTION medsync.verify_summary(pg_catalog.regclass, pg_catalog.int8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync.verify_summary(pg_catalog.regclass, pg_catalog.int8) TO medsync_auditor;
COMMENT ON FUNCTION medsync.verify_summary(pg_catalog.regclass, pg_catalog.int8) IS
	'What verify() looked at, and how many findings it had';

CREATE FUNCTION medsync.history(
	relation pg_catalog.regclass,
	key pg_catalog.jsonb DEFAULT NULL)
	RETURNS TABLE (
		entry_index pg_catalog.int8,
		block pg_catalog.int8,
		at pg_catalog.timestamptz,
		operation pg_catalog.text,
		role pg_catalog.text,
		actor pg_catalog.text,
		row_key pg_catalog.jsonb,
		old_row pg_catalog.jsonb,
		new_row pg_catalog.jsonb,
		changed_columns pg_catalog.text[])
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'medsync_history';
COMMENT ON FUNCTION medsync.history(pg_catalog.regclass, pg_catalog.jsonb) IS
	'What happened to a table, or to one row of it, in ledger order';

CREATE FUNCTION medsync.as_of(
	relation pg_catalog.anyelement,
	at pg_catalog.timestamptz)
	RETURNS SETOF pg_catalog.anyelement
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'medsync_as_of';
COMMENT ON FUNCTION medsync.as_of(pg_catalog.anyelement, pg_catalog.timestamptz) IS
	'The rows a table had at a time; call it as as_of(NULL::schema.table, time)';

CREATE FUNCTION medsync._status(
	OUT item pg_catalog.text,
	OUT value pg_catalog.text,
	OUT state pg_catalog.text,
	OUT advice pg_catalog.text)
	RETURNS SETOF record
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED
	AS 'MODULE_PATHNAME', 'medsync_status';
REVOKE ALL ON FUNCTION medsync._status() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION medsync._status() TO medsync_admin, medsync_auditor, pg_monitor;
COMMENT ON FUNCTION medsync._status() IS 'The rows of view medsync.status';

-- ------------------------------------------------------------------
-- ledger: views
-- ------------------------------------------------------------------

CREATE VIEW medsync.tracked AS
	SELECT pg_catalog.format('%I.%I', t.schema_name, t.table_name) AS relation,
		t.number AS table_number,
		m.content::pg_catalog.jsonb OPERATOR(pg_catalog.->>) 'payload' AS payload,
		(SELECT c.item OPERATOR(pg_catalog.->>) 'name'
		 FROM pg_catalog.jsonb_array_elements(
			m.content::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'columns') AS c(item)
		 WHERE c.item OPERATOR(pg_catalog.->) 'number' OPERATOR(pg_catalog.=)
			(m.content::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'subject')) AS subject,
		ARRAY(SELECT c.item OPERATOR(pg_catalog.->>) 'name'
		 FROM pg_catalog.jsonb_array_elements(
			m.content::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'columns') AS c(item)
		 WHERE (c.item OPERATOR(pg_catalog.->) 'excluded')::pg_catalog.bool) AS exclude,
		(SELECT pg_catalog.format('%I.%I', p.schema_name, p.table_name)
		 FROM medsync._table AS p
		 WHERE p.number OPERATOR(pg_catalog.=)
			(m.content::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'parent')::pg_catalog.int4)
			AS partition_of,
		t.manifest_version,
		(SELECT c.item OPERATOR(pg_catalog.->>) 'name'
		 FROM pg_catalog.jsonb_array_elements(
			m.content::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'columns') AS c(item)
		 WHERE c.item OPERATOR(pg_catalog.->) 'number' OPERATOR(pg_catalog.=)
			(m.content::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'signer')) AS signer,
		(SELECT c.item OPERATOR(pg_catalog.->>) 'name'
		 FROM pg_catalog.jsonb_array_elements(
			m.content::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'columns') AS c(item)
		 WHERE c.item OPERATOR(pg_catalog.->) 'number' OPERATOR(pg_catalog.=)
			(m.content::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'signature')) AS signature
	FROM medsync._table AS t
	JOIN medsync._manifest AS m
		ON m.table_number OPERATOR(pg_catalog.=) t.number
		AND m.version OPERATOR(pg_catalog.=) t.manifest_version
	WHERE t.tracked;
REVOKE ALL ON TABLE medsync.tracked FROM PUBLIC;
GRANT SELECT ON TABLE medsync.tracked TO medsync_admin, medsync_auditor;
COMMENT ON VIEW medsync.tracked IS 'The tables of the ledger and how each is tracked';

CREATE VIEW medsync.status AS
	SELECT s.item, s.value, s.state, s.advice FROM medsync._status() AS s;
REVOKE ALL ON TABLE medsync.status FROM PUBLIC;
GRANT SELECT ON TABLE medsync.status TO medsync_admin, medsync_auditor, pg_monitor;
COMMENT ON VIEW medsync.status IS
	'The state of the ledger for its operator: item, value, state (ok, notice, warning, error), advice';
