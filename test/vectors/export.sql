-- Writes the ledger of a database to stdout, for reference.py: one line a row,
-- the table's name first, columns apart by tabs; bytea and text in hexadecimal,
-- times in microseconds since 2000-01-01 00:00 UTC.  "live" lines are the rows
-- of the tracked tables: table number, then the columns of the newest manifest.
-- Run by a superuser:  psql -X -q -f export.sql DATABASE >EXPORT

\set ON_ERROR_STOP on
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL DateStyle = 'ISO, YMD';
SET LOCAL TimeZone = 'UTC';
SET LOCAL IntervalStyle = 'postgres';
SET LOCAL extra_float_digits = 3;
SET LOCAL bytea_output = 'hex';

COPY (SELECT '_ledger', encode(id, 'hex'), (extract(epoch FROM created_at) * 1000000)::bigint - 946684800000000
	FROM medsync._ledger) TO STDOUT;
COPY (SELECT '_era', number, encode(id, 'hex'), system_identifier, timeline, database_oid
	FROM medsync._era ORDER BY number) TO STDOUT;
COPY (SELECT '_key_encryption_key', number, (extract(epoch FROM created_at) * 1000000)::bigint - 946684800000000,
	encode(master_key_id, 'hex'), encode(wrapped, 'hex')
	FROM medsync._key_encryption_key ORDER BY number) TO STDOUT;
COPY (SELECT '_subject_key', encode(tag, 'hex'), encode(key_id, 'hex'), key_encryption_key, duplicate, encode(wrapped, 'hex')
	FROM medsync._subject_key ORDER BY tag, duplicate) TO STDOUT;
COPY (SELECT '_table', number, encode(convert_to(schema_name, 'UTF8'), 'hex'), encode(convert_to(table_name, 'UTF8'), 'hex'),
	manifest_version, tracked FROM medsync._table ORDER BY number) TO STDOUT;
COPY (SELECT '_manifest', table_number, version, encode(convert_to(content, 'UTF8'), 'hex')
	FROM medsync._manifest ORDER BY table_number, version) TO STDOUT;
COPY (SELECT '_journal', xid, ordinal, encode(body, 'hex')
	FROM medsync._journal ORDER BY xid, ordinal NULLS FIRST) TO STDOUT;
COPY (SELECT '_image', encode(id, 'hex'), chunk, encode(body, 'hex')
	FROM medsync._image ORDER BY id, chunk) TO STDOUT;
COPY (SELECT '_block', height, era, encode(previous_hash, 'hex'), first_index, entry_count, encode(root, 'hex'), snapshot,
	sealer_xid, (extract(epoch FROM sealed_at) * 1000000)::bigint - 946684800000000, encode(hash, 'hex')
	FROM medsync._block ORDER BY height) TO STDOUT;
COPY (SELECT '_block_order', first_index, encode(runs, 'hex')
	FROM medsync._block_order ORDER BY first_index) TO STDOUT;
COPY (SELECT '_tile', level, tile, encode(hashes, 'hex')
	FROM medsync._tile ORDER BY level, tile) TO STDOUT;
COPY (SELECT '_lookup', kind, segment, chunk, encode(postings, 'hex')
	FROM medsync._lookup ORDER BY kind, segment, chunk) TO STDOUT;

SELECT format('COPY (SELECT ''live'', %s, %s FROM ONLY %I.%I) TO STDOUT', t.number,
	(SELECT string_agg(format('encode(convert_to(%I::pg_catalog.text, ''UTF8''), ''hex'')', c.item->>'name'), ', ' ORDER BY c.place)
	 FROM json_array_elements(m.content::json->'columns') WITH ORDINALITY AS c (item, place)
	 WHERE NOT (c.item->>'excluded')::bool),
	t.schema_name, t.table_name)
FROM medsync._table AS t
JOIN medsync._manifest AS m ON m.table_number = t.number AND m.version = t.manifest_version
WHERE t.tracked AND NOT (m.content::json->>'partitioned')::bool
ORDER BY t.number
\gexec
COMMIT;
