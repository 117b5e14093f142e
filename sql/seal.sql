-- seal(): what it returns, what it seals, when it is refused.  In a database
-- of its own, since a ledger is empty only once.
\set here :DBNAME
CREATE DATABASE regress_medsync_seal TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C';
\c regress_medsync_seal
SET client_min_messages = warning;
CREATE EXTENSION medsync;
CREATE ROLE regress_medsync_sealer IN ROLE medsync_admin;
CREATE ROLE regress_medsync_nobody;
GRANT ALL ON SCHEMA public TO regress_medsync_sealer;

--
-- An empty ledger has no block
--
SELECT * FROM medsync.seal();
SELECT medsync.seal() IS NULL AS is_null, medsync.seal();
SELECT * FROM medsync.checkpoint;
SELECT * FROM medsync.verify();
SELECT entries, blocks, tables, rows, unsealed, errors, warnings FROM medsync.verify_summary();
CREATE TABLE t (id int PRIMARY KEY, v text);
INSERT INTO t VALUES (1, 'before');
SELECT * FROM medsync.seal();

--
-- The first blocks
--
SELECT medsync.track('t', 'id', 'hash');
SELECT severity, verdict, found FROM medsync.verify();
SELECT height FROM medsync.seal();
SELECT size >= 2 AS size, length(root) FROM medsync.seal();
SELECT entries = (SELECT size FROM medsync.checkpoint), blocks, unsealed, errors FROM medsync.verify_summary();
-- with nothing new it returns the last one
SELECT a = b AS same FROM medsync.seal() AS a, medsync.seal() AS b;
SELECT count(*) FROM medsync.checkpoint;
SELECT size AS size, count(*) AS blocks FROM medsync.checkpoint GROUP BY size \gset
INSERT INTO t VALUES (2, 'x'), (3, 'x');
SELECT entry_index IS NULL AS no_index, block IS NULL AS no_block FROM medsync.history('t') WHERE operation = 'insert';
SELECT height, size - :size AS entries FROM medsync.seal();
SELECT entry_index - :size AS entry, block FROM medsync.history('t') WHERE operation = 'insert';
-- of a transaction that was rolled back nothing is sealed
BEGIN;
UPDATE t SET v = 'never';
ROLLBACK;
SELECT height, size - :size AS entries FROM medsync.seal();
-- of one that was rolled back in part, the rest
BEGIN;
UPDATE t SET v = 'y' WHERE id = 1;
SAVEPOINT s;
UPDATE t SET v = 'never' WHERE id = 2;
ROLLBACK TO s;
DELETE FROM t WHERE id = 3;
COMMIT;
SELECT height, size - :size AS entries FROM medsync.seal();
-- many transactions are one block, in order
INSERT INTO t SELECT 4, 'a';
UPDATE t SET v = 'b' WHERE id = 4;
UPDATE t SET v = 'c' WHERE id = 4;
DELETE FROM t WHERE id = 4;
SELECT height, size - :size AS entries FROM medsync.seal();
SELECT operation, block FROM medsync.history('t', '{"id": 4}') ORDER BY entry_index;
SELECT * FROM medsync.verify();

--
-- The chain
--
SELECT c.height, c.size > lag(c.size, 1, 0::bigint) OVER w AS grows, c.previous = lag(c.hash, 1, decode(repeat('00', 32), 'hex')) OVER w AS stands_on_the_last,
	c.sealed_at >= lag(c.sealed_at, 1, '-infinity') OVER w AS later, length(c.root) AS root, length(c.hash) AS hash, note IS NOT NULL AS note, witnesses
FROM medsync.checkpoint c WINDOW w AS (ORDER BY height) ORDER BY height;
SELECT s.height = c.height AND s.size = c.size AND s.root = c.root AS last FROM medsync.seal() s, (SELECT * FROM medsync.checkpoint ORDER BY height DESC LIMIT 1) c;

--
-- Refused: in a transaction that has written, and the other way round
--
CREATE TABLE untracked (id int);
\set VERBOSITY sqlstate
BEGIN;
INSERT INTO t VALUES (10, 'x');
SELECT medsync.seal();
ROLLBACK;
\set VERBOSITY default
BEGIN;
INSERT INTO untracked VALUES (1);
SELECT medsync.seal();
ROLLBACK;
BEGIN;
SELECT pg_current_xact_id() IS NOT NULL AS has_an_xid;
SELECT medsync.seal();
ROLLBACK;
BEGIN;
SAVEPOINT s;
INSERT INTO t VALUES (10, 'x');
ROLLBACK TO s;
SELECT medsync.seal();
ROLLBACK;
WITH i AS (INSERT INTO t VALUES (10, 'x') RETURNING 1) SELECT medsync.seal() FROM i;
CREATE FUNCTION sealing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM medsync.seal();
	RETURN NULL;
END
$$;
CREATE TRIGGER sealing AFTER INSERT ON untracked FOR EACH ROW EXECUTE FUNCTION sealing();
INSERT INTO untracked VALUES (1);
DROP TRIGGER sealing ON untracked;
UPDATE t SET v = 'waits' WHERE id = 1;
BEGIN;
SELECT height FROM medsync.seal();
INSERT INTO t VALUES (10, 'x');
ROLLBACK;
BEGIN;
SELECT height FROM medsync.seal();
SAVEPOINT s;
INSERT INTO t VALUES (10, 'x');
ROLLBACK TO s;
SELECT medsync.track('untracked', payload => 'hash');
ROLLBACK TO s;
SELECT medsync.untrack('t');
ROLLBACK TO s;
INSERT INTO untracked VALUES (2);
PREPARE TRANSACTION 'regress_medsync';
BEGIN READ ONLY;
SELECT medsync.seal();
ROLLBACK;
SET ROLE regress_medsync_nobody;
SELECT medsync.seal();
RESET ROLE;
SELECT * FROM medsync.verify() WHERE severity <> 'notice';
-- none of them has sealed or recorded anything
SELECT count(*) FROM medsync.checkpoint;
SELECT entries, blocks, unsealed, errors FROM medsync.verify_summary();

--
-- Allowed: after reading, in a savepoint, at any isolation level
--
BEGIN;
SELECT count(*) FROM t;
SELECT height FROM medsync.seal();
-- it sees its own block
SELECT entries, blocks, unsealed, errors FROM medsync.verify_summary();
COMMIT;
UPDATE t SET v = 'savepoint' WHERE id = 1;
BEGIN;
SAVEPOINT s;
SELECT height FROM medsync.seal();
ROLLBACK TO s;
SELECT blocks, unsealed, errors FROM medsync.verify_summary();
COMMIT;
SELECT blocks, unsealed, errors FROM medsync.verify_summary();
BEGIN;
SAVEPOINT s;
SELECT height FROM medsync.seal();
RELEASE s;
COMMIT;
SELECT blocks, unsealed, errors FROM medsync.verify_summary();
-- a seal that was undone leaves the transaction free to write, not to seal
UPDATE t SET v = 'undone' WHERE id = 1;
BEGIN;
SAVEPOINT s;
SELECT height FROM medsync.seal();
ROLLBACK TO s;
UPDATE t SET v = 'done' WHERE id = 1;
COMMIT;
BEGIN;
SAVEPOINT s;
SELECT height FROM medsync.seal();
ROLLBACK TO s;
\set VERBOSITY sqlstate
SELECT height FROM medsync.seal();
\set VERBOSITY default
ROLLBACK;
SELECT blocks, unsealed, errors FROM medsync.verify_summary();
BEGIN;
SELECT height FROM medsync.seal();
ROLLBACK;
SELECT blocks, unsealed, errors FROM medsync.verify_summary();
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT height FROM medsync.seal();
COMMIT;
UPDATE t SET v = 'serializable' WHERE id = 1;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM t;
SELECT height FROM medsync.seal();
COMMIT;
SET default_transaction_isolation = 'repeatable read';
UPDATE t SET v = 'default' WHERE id = 1;
SELECT height FROM medsync.seal();
RESET default_transaction_isolation;
SELECT blocks, unsealed, errors FROM medsync.verify_summary();
-- by a member of medsync_admin who can read nothing
UPDATE t SET v = 'sealer' WHERE id = 1;
SET ROLE regress_medsync_sealer;
SELECT height FROM medsync.seal();
RESET ROLE;
-- its commit is synchronous, and no other
UPDATE t SET v = 'asynchronous' WHERE id = 1;
SET synchronous_commit = off;
BEGIN;
SHOW synchronous_commit;
SELECT height FROM medsync.seal();
SHOW synchronous_commit;
COMMIT;
SHOW synchronous_commit;
SET synchronous_commit = local;
UPDATE t SET v = 'local' WHERE id = 1;
BEGIN;
SELECT height FROM medsync.seal();
SHOW synchronous_commit;
COMMIT;
RESET synchronous_commit;
-- from a procedure that commits, a loop, a cursor, a subquery
CREATE PROCEDURE day() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 3 LOOP
		UPDATE t SET v = 'day ' || i WHERE id = 1;
		COMMIT;
		PERFORM medsync.seal();
		COMMIT;
	END LOOP;
END
$$;
CALL day();
UPDATE t SET v = 'cursor' WHERE id = 1;
BEGIN;
DECLARE c CURSOR FOR SELECT height FROM medsync.seal();
FETCH c;
COMMIT;
SELECT blocks, unsealed, errors FROM medsync.verify_summary();
-- after it, reading goes on
BEGIN;
SELECT height FROM medsync.seal();
SELECT count(*) FROM t;
SELECT count(*) FROM medsync.history('t') WHERE operation = 'baseline';
SELECT severity, verdict FROM medsync.verify();
COMMIT;
SELECT * FROM medsync.verify();

--
-- More than a tile, more than a segment
--
CREATE TABLE large (id int PRIMARY KEY, v int);
SELECT medsync.track('large', payload => 'hash');
INSERT INTO large SELECT i, 0 FROM generate_series(1, 300) i;
SELECT height IS NOT NULL AS sealed FROM medsync.seal();
SELECT severity, verdict FROM medsync.verify();
INSERT INTO large SELECT i, 0 FROM generate_series(301, 70000) i;
UPDATE large SET v = 1 WHERE id IN (7, 50000);
SELECT height IS NOT NULL AS sealed FROM medsync.seal();
UPDATE large SET v = 2 WHERE id IN (7, 50000);
SELECT height IS NOT NULL AS sealed FROM medsync.seal();
SELECT severity, verdict FROM medsync.verify();
SELECT operation, count(*), count(DISTINCT block) FROM medsync.history('large', '{"id": 50000}') GROUP BY 1 ORDER BY 1;
SELECT operation, count(*), count(DISTINCT block) FROM medsync.history('large', '{"id": 7}') GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM medsync.history('large', '{"id": 70001}');
SELECT count(*), count(DISTINCT entry_index), bool_and(block IS NOT NULL) FROM medsync.history('large');
SELECT entries = (SELECT max(size) FROM medsync.checkpoint), unsealed, errors FROM medsync.verify_summary();

\c :here
DROP DATABASE regress_medsync_seal WITH (FORCE);
DROP ROLE regress_medsync_sealer, regress_medsync_nobody;
