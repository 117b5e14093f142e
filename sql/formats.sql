--
-- What docs/formats.md says of stored bytes, computed again in plain SQL: era
-- id, manifests, tree, tiles, block hashes, sizes.  Keys, entries and images
-- are the matter of test/vectors/reference.py.
--
-- In a database of its own, since other tests share the ledger of theirs.
--
SET client_min_messages = warning;
DROP DATABASE IF EXISTS regress_medsync_formats (FORCE);
CREATE DATABASE regress_medsync_formats TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
SELECT current_database() AS test_database \gset
\c regress_medsync_formats
SET client_min_messages = warning;
CREATE EXTENSION medsync;

-- nothing is stored before the first track()
SELECT format('SELECT %s AS rows, %L AS tables', string_agg(format('(SELECT count(*) FROM medsync.%I)', relname), ' + ' ORDER BY relname),
	string_agg(relname, ' ' ORDER BY relname))
FROM pg_class WHERE relnamespace = 'medsync'::regnamespace AND relkind = 'r' \gexec

-- Microseconds since 2000-01-01 00:00 UTC, as eight bytes.
CREATE FUNCTION time_bytes(timestamptz) RETURNS bytea LANGUAGE sql STABLE AS
	$$ SELECT int8send((extract(epoch FROM $1) * 1000000)::int8 - 946684800000000) $$;

-- The root of RFC 6962 over hashes of 32 bytes, one after another.
CREATE FUNCTION tree_root(hashes bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	n int := length(hashes) / 32;
	k int := 1;
BEGIN
	IF n <= 1 THEN
		RETURN CASE n WHEN 0 THEN sha256('') ELSE hashes END;
	END IF;
	WHILE 2 * k < n LOOP
		k := 2 * k;
	END LOOP;
	RETURN sha256('\x01' || tree_root(substr(hashes, 1, 32 * k)) || tree_root(substr(hashes, 32 * k + 1)));
END $$;

CREATE TABLE patient (id int PRIMARY KEY, name varchar(20), "odd ""name"" \ é" timestamptz, counter int);
CREATE TABLE lab (patient int, code text COLLATE "C", value numeric(8,2), kind "char");
CREATE TABLE visit (id int, day date, PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE visit_2026 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
SELECT medsync.track('patient', subject => 'id', exclude => '{counter}');
SELECT medsync.track('lab', subject => 'patient', payload => 'hash');
SELECT medsync.track('visit');
INSERT INTO patient SELECT i, 'name ' || i FROM generate_series(1, 40) i;
SELECT height, size FROM medsync.seal();
SELECT height, size FROM medsync.seal();
INSERT INTO lab SELECT i % 40, 'code', i FROM generate_series(1, 700) i;
ALTER TABLE lab ADD COLUMN unit text;
ALTER TABLE lab RENAME kind TO class;
SELECT height, size FROM medsync.seal();
UPDATE patient SET name = name || '!' WHERE id <= 3;
SELECT height, size FROM medsync.seal();
SELECT medsync.untrack('lab');
DROP TABLE lab;
CREATE TABLE lab (id int);
SELECT medsync.track('lab', payload => 'hash');
INSERT INTO patient SELECT 100, NULL FROM generate_series(1, 1);
SELECT height, size FROM medsync.seal();
SELECT * FROM medsync.verify();

--
-- Identity and eras
--
SELECT length(id) AS id FROM medsync._ledger;
SELECT e.number, e.id = substr(sha256(l.id || int8send(e.system_identifier) || int4send(e.timeline) || int4send(e.database_oid::int4)), 1, 16) AS id_holds,
	e.system_identifier = c.system_identifier AS this_cluster, e.timeline = p.timeline_id AS this_timeline,
	e.database_oid = d.oid::int8 AS this_database
FROM medsync._era e, medsync._ledger l, pg_control_system() c, pg_control_checkpoint() p, pg_database d
WHERE d.datname = current_database();

--
-- Keys
--
SELECT number, length(master_key_id) AS master_key_id, length(wrapped) AS wrapped FROM medsync._key_encryption_key;
SELECT count(*) AS rows, count(DISTINCT tag) AS tags, count(DISTINCT key_id) AS ids,
	min(length(tag)) || '-' || max(length(tag)) AS tag, min(length(key_id)) || '-' || max(length(key_id)) AS key_id,
	min(length(wrapped)) || '-' || max(length(wrapped)) AS wrapped, count(*) FILTER (WHERE tag = decode(repeat('00', 16), 'hex')) AS root
FROM medsync._subject_key;

--
-- Manifests
--
SELECT * FROM medsync._table ORDER BY number;
SELECT content FROM medsync._manifest ORDER BY table_number, version;

--
-- Packed rows
--
SELECT max(length(body)) <= 8000 AS size, bool_and(get_byte(body, 0) = 1) AS version, bool_and(get_byte(body, 17) IN (0, 1)) AS flags,
	count(*) FILTER (WHERE ordinal = 0) AS zeros,
	bool_and((ordinal IS NULL) = (first = 1)) AS first_has_null
FROM (SELECT *, row_number() OVER (PARTITION BY xid ORDER BY ordinal NULLS FIRST) AS first FROM medsync._journal) j;

--
-- Tree and tiles
--
SELECT level, tile, length(hashes) / 32 AS hashes FROM medsync._tile ORDER BY level, tile;
WITH leaves AS (SELECT string_agg(hashes, '' ORDER BY tile) AS hashes FROM medsync._tile WHERE level = 0)
SELECT b.height, b.root = tree_root(substr(leaves.hashes, 1, 32 * (b.first_index + b.entry_count)::int)) AS root_holds
FROM medsync._block b, leaves ORDER BY b.height;
SELECT bool_and(tree_root(t.hashes) = substr(u.hashes, 1 + 32 * t.tile::int, 32)) AS level_1_holds
FROM medsync._tile t, medsync._tile u WHERE t.level = 0 AND length(t.hashes) = 8192 AND u.level = 1 AND u.tile = 0;

--
-- Blocks
--
SELECT b.height, b.era, b.first_index = coalesce(below.first_index + below.entry_count, 0) AS first_index,
	b.previous_hash = coalesce(below.hash, decode(repeat('00', 32), 'hex')) AS previous_hash,
	b.sealed_at >= coalesce(below.sealed_at, '-infinity') AS sealed_at,
	b.sealer_xid >= pg_snapshot_xmax(b.snapshot) AS sealer_is_later,
	b.hash = sha256('medsync block v1'::bytea || l.id || time_bytes(l.created_at) || int8send(b.height) || b.previous_hash
		|| int8send(b.first_index) || int8send(b.entry_count) || b.root || int8send(b.sealer_xid::text::int8) || time_bytes(b.sealed_at)
		|| int4send(b.era) || e.id || int4send(length(b.snapshot::text)) || convert_to(b.snapshot::text, 'UTF8')) AS hash_holds
FROM medsync._block b LEFT JOIN medsync._block below ON below.height = b.height - 1
JOIN medsync._era e ON e.number = b.era, medsync._ledger l
ORDER BY b.height;
SELECT height, size, previous IS NOT NULL AS previous, note IS NOT NULL AS note, witnesses FROM medsync.checkpoint ORDER BY height;

--
-- Order and look-ups: a row of runs for each block, no full segment yet
--
SELECT o.first_index, o.first_index = b.first_index AS of_block, length(o.runs) > 0 AS runs
FROM medsync._block_order o LEFT JOIN medsync._block b USING (first_index) ORDER BY 1;
SELECT count(*) AS lookups FROM medsync._lookup;

--
-- Leave nothing behind
--
\c :test_database
DROP DATABASE regress_medsync_formats (FORCE);
