-- Checkpoints, proofs, exports and receipts, as SQL sees them.  In a database
-- of its own, since a ledger is empty only once.
\set here :DBNAME
CREATE DATABASE regress_medsync_proofs TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_medsync_proofs
\set VERBOSITY terse
SET client_min_messages = error;
CREATE EXTENSION medsync;
SELECT set_config('medsync.origin', 'hospital.example/ledger-' || oid, false) ~ 'ledger' AS set FROM pg_database WHERE datname = current_database();
CREATE TABLE patient (id int PRIMARY KEY, name text, born date);
CREATE TABLE lab (id int PRIMARY KEY, patient int, value numeric(8,2));
SET client_min_messages = notice;
-- before there is anything
SELECT medsync.verifier_key();
SELECT medsync.leaf(0);
SELECT medsync.prove_inclusion(0);
SELECT medsync.prove_consistency(0);
SELECT * FROM medsync.export_files();
SELECT medsync.receipt(0);
SELECT medsync.rotate_signer_key();
SELECT medsync.declare_era('too early');
SELECT * FROM medsync._entries();

SET client_min_messages = error;
SELECT medsync.track('patient', subject => 'id');
SELECT medsync.track('lab', subject => 'patient', payload => 'hash');
SET client_min_messages = notice;
SELECT * FROM medsync.export_files();
INSERT INTO patient VALUES (1, 'Ada "the first" Lovelace', '1815-12-10'), (2, NULL, '0044-03-15 BC'), (3, 'Zoë', 'infinity');
INSERT INTO lab SELECT i, i % 3 + 1, i / 7.0 FROM generate_series(1, 300) i;
SELECT height, size FROM medsync.seal();

-- a checkpoint is a C2SP note: origin, size, root, and one signature
SELECT regexp_replace(split_part(note, E'\n', 1), '\d+$', 'N') AS origin, split_part(note, E'\n', 2)::bigint = size AS size,
	decode(split_part(note, E'\n', 3), 'base64') = root AS root, split_part(note, E'\n', 4) AS empty,
	note LIKE E'%\n\n— hospital.example/ledger-% %=\n' AS signed, witnesses
FROM medsync.checkpoint;
SELECT medsync.verifier_key() ~ '^hospital\.example/ledger-\d+\+[0-9a-f]{8}\+A[A-Za-z0-9+/]{43}$' AS verifier_key;
-- the name is the ledger's for good
SET medsync.origin = 'another.example';
UPDATE patient SET name = 'Caesar' WHERE id = 2;
DELETE FROM lab WHERE id = 7;
SELECT height, size FROM medsync.seal();
SELECT count(DISTINCT split_part(note, E'\n', 1)) FROM medsync.checkpoint;
SET medsync.origin = 'no spaces';
SET medsync.origin = 'no+plus';
SELECT set_config('medsync.origin', repeat('x', 101), false);
RESET medsync.origin;

-- every entry is in the tree of every size that has it
SELECT count(*), bool_and(medsync.verify_inclusion(sha256('\x00' || medsync.leaf(i)), i, c.size, medsync.prove_inclusion(i, c.size), c.root))
FROM medsync.checkpoint c, generate_series(0, c.size - 1) i;
-- and no other one
SELECT count(*) FILTER (WHERE medsync.verify_inclusion(sha256('\x00' || medsync.leaf(5)), i, size, medsync.prove_inclusion(i), root)) AS only_its_own
FROM (SELECT size, root FROM medsync.checkpoint ORDER BY height DESC LIMIT 1) c, generate_series(0, size - 1) i;
-- later trees extend earlier ones
SELECT a.size, b.size, medsync.verify_consistency(a.size, a.root, b.size, b.root, medsync.prove_consistency(a.size, b.size)) AS consistent,
	medsync.verify_consistency(a.size, b.root, b.size, a.root, medsync.prove_consistency(a.size, b.size)) AS swapped
FROM medsync.checkpoint a JOIN medsync.checkpoint b ON a.height <= b.height ORDER BY 1, 2;
SELECT medsync.prove_consistency(0), medsync.prove_inclusion(0, 1);

-- what is no proof is false, what is out of range an error
SELECT medsync.verify_inclusion('\x00', 0, 1, '{}', sha256('\x00')), medsync.verify_inclusion(sha256('\x00'), 0, 1, '{}', '\x01'),
	medsync.verify_inclusion(sha256('\x00'), -1, 1, '{}', sha256('\x00')), medsync.verify_inclusion(sha256('\x00'), 0, 0, '{}', sha256('\x00')),
	medsync.verify_inclusion(sha256('\x00'), 0, 1, '{}', sha256('\x00')) AS yes, medsync.verify_inclusion(sha256('\x00'), 0, 2, '{NULL}', sha256('\x00')),
	medsync.verify_inclusion(sha256('\x00'), 0, 2, array_fill(sha256('\x00'), '{65}'), sha256('\x00')),
	medsync.verify_inclusion(sha256('\x00'), 9223372036854775806, 9223372036854775807, '{}', sha256('\x00'));
SELECT medsync.verify_consistency(-1, sha256(''), 1, sha256(''), '{}'), medsync.verify_consistency(2, sha256(''), 1, sha256(''), '{}'),
	medsync.verify_consistency(1, sha256(''), 1, sha256(''), '{}') AS yes, medsync.verify_consistency(1, sha256(''), 1, sha256('a'), '{}');
SELECT medsync.leaf(-1);
SELECT medsync.leaf(1000);
SELECT medsync.prove_inclusion(NULL);
SELECT medsync.prove_inclusion(5, 5);
SELECT medsync.prove_inclusion(5, 1000);
SELECT medsync.prove_consistency(NULL);
SELECT medsync.prove_consistency(6, 5);
SELECT medsync.prove_consistency(5, 1000);
SELECT medsync.prove_consistency(-1);

-- the files of the public log
SELECT path, length(content) FROM medsync.export_files() ORDER BY path COLLATE "C";
SELECT path, length(content) FROM medsync.export_files(302) ORDER BY path COLLATE "C";
SELECT * FROM medsync.export_files(-1);
SELECT * FROM medsync.export_files(1000);
-- bundles hold the leaves, and no bundle says what an entry is
SELECT count(*), bool_and(substr(content, 35 * (i % 256) + 1, 35) = '\x0021'::bytea || medsync.leaf(i))
FROM (SELECT * FROM medsync.export_files() WHERE path IN ('tile/entries/000', 'tile/entries/001.p/52')) f
JOIN generate_series(0, 307) i ON (path = 'tile/entries/000') = (i < 256);
-- paths and rights
SELECT medsync.export('relative');
SELECT medsync.export_entries('relative');
SELECT medsync.export(NULL);

-- receipts
SELECT verdict, detail::jsonb - 'at' - 'role' - 'origin' AS detail FROM medsync.verify_receipt(medsync.receipt('patient', '{"id": 2}'), medsync.verifier_key());
SELECT verdict, detail::jsonb - 'at' - 'role' - 'origin' AS detail FROM medsync.verify_receipt(medsync.receipt('patient', '{"id": 3}'), medsync.verifier_key());
SELECT verdict, detail::jsonb - 'at' - 'role' - 'origin' AS detail FROM medsync.verify_receipt(medsync.receipt('lab', '{"id": 8}'), medsync.verifier_key());
-- of a row that is gone, and of an older version of a table without images: the entry alone
SELECT verdict, detail::jsonb - 'at' - 'role' - 'origin' AS detail FROM medsync.verify_receipt(medsync.receipt('lab', '{"id": 7}'), medsync.verifier_key());
SELECT verdict, detail::jsonb - 'at' - 'role' - 'origin' AS detail FROM medsync.verify_receipt(medsync.receipt(20), medsync.verifier_key());
SELECT verdict, (detail::jsonb ->> 'entry_index')::int AS entry_index, detail::jsonb ->> 'operation' AS operation
FROM generate_series(0, 2) i, medsync.verify_receipt(medsync.receipt(i), medsync.verifier_key());
SELECT medsync.receipt('patient', '{"id": 99}');
SELECT medsync.receipt('patient', '{"name": "x"}');
SELECT medsync.receipt(1000);
SELECT medsync.receipt(-1);
UPDATE patient SET name = 'Cleopatra' WHERE id = 2;
SELECT medsync.receipt('patient', '{"id": 2}');
-- somebody else's key, no key, not a key, no receipt
SELECT * FROM medsync.verify_receipt(medsync.receipt(3), 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k');
SELECT * FROM medsync.verify_receipt('x', '');
SELECT * FROM medsync.verify_receipt('x', 'example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k');
SELECT * FROM medsync.verify_receipt('', medsync.verifier_key());
SELECT * FROM medsync.verify_receipt('x', repeat(medsync.verifier_key() || ' ', 33));
-- any bit of a receipt changed, and any part of it
CREATE TABLE receipt AS SELECT medsync.receipt('patient', '{"id": 3}') AS t, medsync.verifier_key() AS k;
SELECT verdict, count(*) > 0 AS some FROM receipt, length(convert_to(t, 'UTF8')) AS n, generate_series(0, n - 1) AS i,
	LATERAL (SELECT set_byte(convert_to(t, 'UTF8'), i, get_byte(convert_to(t, 'UTF8'), i) # (1 << (i % 7)))) AS b(y),
	LATERAL (SELECT CASE WHEN get_byte(y, i) BETWEEN 1 AND 127 AND get_byte(convert_to(t, 'UTF8'), i) < 128 THEN convert_from(y, 'UTF8') END) AS c(x),
	medsync.verify_receipt(x, k) WHERE x IS NOT NULL GROUP BY 1 ORDER BY 1;
SELECT verdict FROM receipt, generate_series(0, length(t) - 1) AS i, medsync.verify_receipt(left(t, i), k) GROUP BY 1 ORDER BY 1;
SELECT verdict FROM receipt, unnest(ARRAY[t || ' ', t || E'\n', ' ' || t, replace(t, E'\n', E'\r\n'), t || t]) AS x, medsync.verify_receipt(x, k) GROUP BY 1 ORDER BY 1;

-- a new key, announced by an entry, signs with the old one once
SELECT medsync.verifier_key() AS old_key \gset
SELECT medsync.rotate_signer_key() AS new_key \gset
SELECT :'old_key' <> :'new_key' AS another, medsync.verifier_key() = :'new_key' AS current;
SELECT height, size FROM medsync.seal();
INSERT INTO patient VALUES (4, 'after', NULL);
SELECT height, size FROM medsync.seal();
SELECT height, (length(note) - length(replace(note, '— ', ''))) / 2 AS signatures FROM medsync.checkpoint ORDER BY height;
SELECT verdict FROM unnest(ARRAY[:'old_key', :'new_key', :'old_key' || E'\n' || :'new_key']) AS k, medsync.verify_receipt(medsync.receipt(3), k);
SELECT operation, count(*) FROM medsync._entries() e, LATERAL (SELECT get_byte(e, 1 + 32 + 58)) AS o(operation) WHERE get_byte(e, 0) = ascii('E') GROUP BY 1 ORDER BY 1;
-- another name
SELECT medsync.declare_era(NULL);
SELECT medsync.declare_era('');
SELECT medsync.declare_era(E'two\nlines');
SELECT medsync.declare_era(repeat('x', 102));
SELECT medsync.declare_era('why not', 'no spaces');
SELECT split_part(medsync.verifier_key(), '+', 1) AS origin \gset
\set VERBOSITY sqlstate
SELECT medsync.declare_era('why not', :'origin');
\set VERBOSITY terse
SELECT medsync.declare_era('restored after the fire') ~ '^hospital.example/ledger-\d+/[0-9a-f]{8}$' AS next_origin;
SELECT height, size FROM medsync.seal();
SELECT split_part(note, E'\n', 1) ~ '^hospital.example/ledger-\d+/[0-9a-f]{8}$' AS next_origin FROM medsync.checkpoint ORDER BY height DESC LIMIT 1;
SELECT * FROM medsync.verify();

-- no checkpoint leaves the transaction that seals
INSERT INTO patient VALUES (5, 'later', NULL);
BEGIN;
SELECT height FROM medsync.seal();
SELECT note IS NULL AS unsigned FROM medsync.checkpoint ORDER BY height DESC LIMIT 1;
SAVEPOINT s;
SELECT medsync.receipt(1);
ROLLBACK TO s;
SELECT count(*) FROM medsync.export_files();
ROLLBACK;
SELECT height, note IS NOT NULL AS signed FROM medsync.checkpoint ORDER BY height DESC LIMIT 1;
BEGIN;
SAVEPOINT s;
SELECT height FROM medsync.seal();
ROLLBACK TO s;
COMMIT;
SELECT height, note IS NOT NULL AS signed FROM medsync.checkpoint ORDER BY height DESC LIMIT 1;
SELECT height FROM medsync.seal();
SELECT height, note IS NOT NULL AS signed FROM medsync.checkpoint ORDER BY height DESC LIMIT 1;

-- who may
CREATE ROLE regress_proofs_nobody;
CREATE ROLE regress_proofs_auditor IN ROLE medsync_auditor;
CREATE ROLE regress_proofs_writer IN ROLE pg_write_server_files;
SET ROLE regress_proofs_nobody;
SELECT medsync.verifier_key() IS NOT NULL AS public_key;
SELECT medsync.leaf(0);
SELECT medsync.receipt(0);
SELECT medsync.export('/nowhere');
SELECT count(*) FROM medsync._entries();
SELECT medsync.rotate_signer_key();
RESET ROLE;
SET ROLE regress_proofs_auditor;
SELECT length(medsync.leaf(0));
SELECT medsync.export('/nowhere');
SELECT medsync.export_entries('/nowhere/x');
SELECT medsync.rotate_signer_key();
SELECT verdict FROM medsync.verify_receipt(medsync.receipt(0), medsync.verifier_key());
RESET ROLE;
SET ROLE regress_proofs_writer;
SELECT medsync.export('/nowhere/at/all');
RESET ROLE;
\c :here
DROP DATABASE regress_medsync_proofs WITH (FORCE);
DROP ROLE regress_proofs_nobody, regress_proofs_auditor, regress_proofs_writer;