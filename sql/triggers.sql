-- However a row is changed, the change is recorded once, with what was
-- stored and in the order in which it happened (G-06).
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS medsync;
CREATE SCHEMA triggers;
SET search_path = triggers;
\pset format unaligned
\pset tuples_only on

-- What the ledger says of a table: one line a change.
CREATE FUNCTION changes(relation regclass) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT concat_ws(' ', operation, h.old_row::text, CASE WHEN h.old_row IS NOT NULL AND h.new_row IS NOT NULL THEN '->' END, h.new_row::text)
	FROM medsync.history(relation) WITH ORDINALITY AS h ORDER BY ordinality
$$;
-- Is that what happened?  Replayed, it must give the table; and each change of
-- a row must begin where the one before it ended.
CREATE FUNCTION replay(relation regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	wrong bigint;
	broken bigint;
BEGIN
	EXECUTE format($q$
		WITH h AS (SELECT * FROM medsync.history(%L)),
		sums AS (SELECT row, sum(n) AS n FROM (
				SELECT new_row AS row, 1 AS n FROM h WHERE new_row IS NOT NULL
				UNION ALL SELECT old_row, -1 FROM h WHERE old_row IS NOT NULL
				UNION ALL SELECT to_jsonb(t), -1 FROM %s t) v
			GROUP BY row HAVING sum(n) <> 0)
		SELECT count(*) FROM sums $q$, relation, relation) INTO wrong;
	EXECUTE format($q$
		SELECT count(*) FROM (
			SELECT old_row, lag(new_row) OVER (PARTITION BY row_key ORDER BY n) AS before
			FROM medsync.history(%L) WITH ORDINALITY AS h (a, b, c, operation, d, e, row_key, old_row, new_row, f, n)
			WHERE row_key IS NOT NULL) s
		WHERE old_row IS DISTINCT FROM before$q$, relation) INTO broken;
	RETURN format('%s: %s rows do not replay, %s changes do not follow, %s errors', relation, wrong, broken,
		(SELECT count(*) FROM medsync.verify(relation) WHERE severity <> 'notice'));
END
$$;

CREATE TABLE t (id int PRIMARY KEY, v text);
SELECT medsync.track('t', 'id');

--
-- COPY
--
COPY t FROM stdin;
1	one
2	\N
3	
\.
BEGIN;
COPY t FROM stdin;
4	four
3	fails
\.
ROLLBACK;
CREATE FUNCTION skip_negative() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE WHEN NEW.id >= 0 THEN NEW END;
END
$$;
CREATE TRIGGER skip BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION skip_negative();
COPY t (id) FROM stdin WHERE id <> 6;
5
6
-1
\.
DROP TRIGGER skip ON t;
SELECT changes('t');
SELECT replay('t');
DELETE FROM t;

--
-- INSERT ... ON CONFLICT
--
CREATE TABLE upsert (id int PRIMARY KEY, v text UNIQUE);
SELECT medsync.track('upsert', 'id');
INSERT INTO upsert VALUES (1, 'a'), (2, 'b') ON CONFLICT DO NOTHING;
INSERT INTO upsert VALUES (1, 'x'), (3, 'c') ON CONFLICT DO NOTHING;
INSERT INTO upsert VALUES (1, 'x'), (4, 'd') ON CONFLICT (id) DO UPDATE SET v = upsert.v || excluded.v;
INSERT INTO upsert VALUES (1, 'x'), (5, 'e') ON CONFLICT (id) DO UPDATE SET v = 'y' WHERE upsert.v = 'no such';
INSERT INTO upsert VALUES (9, 'b') ON CONFLICT (v) DO UPDATE SET id = excluded.id;
INSERT INTO upsert VALUES (10, 'z'), (10, 'z') ON CONFLICT (id) DO UPDATE SET v = 'twice';
SELECT changes('upsert');
SELECT replay('upsert');

--
-- MERGE
--
CREATE TABLE merged (id int PRIMARY KEY, v text);
SELECT medsync.track('merged', 'id');
INSERT INTO merged VALUES (1, 'update'), (2, 'delete'), (3, 'nothing');
MERGE INTO merged m USING (VALUES (1), (2), (3), (4), (5)) AS s (id) ON m.id = s.id
	WHEN MATCHED AND v = 'update' THEN UPDATE SET v = 'updated'
	WHEN MATCHED AND v = 'delete' THEN DELETE
	WHEN MATCHED THEN DO NOTHING
	WHEN NOT MATCHED AND s.id = 4 THEN INSERT VALUES (s.id, 'inserted')
	WHEN NOT MATCHED THEN DO NOTHING;
SELECT changes('merged');
SELECT replay('merged');

--
-- Partitions: rows that move, by key, by MERGE, by ON CONFLICT, back again
--
CREATE TABLE parted (id int, p int, v text, PRIMARY KEY (id, p)) PARTITION BY LIST (p);
CREATE TABLE parted_1 (v text, p int NOT NULL, gone int, id int NOT NULL);
ALTER TABLE parted_1 DROP COLUMN gone;
ALTER TABLE parted ATTACH PARTITION parted_1 FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2) PARTITION BY RANGE (id);
CREATE TABLE parted_2_low PARTITION OF parted_2 FOR VALUES FROM (MINVALUE) TO (10);
CREATE TABLE parted_2_high PARTITION OF parted_2 FOR VALUES FROM (10) TO (MAXVALUE);
SELECT medsync.track('parted', 'id');
INSERT INTO parted VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c');
UPDATE parted SET v = 'stays' WHERE id = 1;
UPDATE parted SET p = 2 WHERE id = 1;
UPDATE parted SET id = id + 10, p = 2 WHERE id IN (2, 3);
MERGE INTO parted USING (VALUES (13)) AS s (id) ON parted.id = s.id WHEN MATCHED THEN UPDATE SET p = 1;
WITH moved AS (DELETE FROM parted_2_low RETURNING *) INSERT INTO parted_1 (id, p, v) SELECT id, 1, v FROM moved;
COPY parted (id, p, v) FROM stdin;
4	2	copied
14	2	copied
\.
SELECT changes('parted');
SELECT changes('parted_2_high');
SELECT replay(t) FROM unnest('{parted,parted_1,parted_2,parted_2_low,parted_2_high}'::regclass[]) AS t;

--
-- Foreign keys
--
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE cascades (id int PRIMARY KEY, parent int REFERENCES parent ON UPDATE CASCADE ON DELETE CASCADE);
CREATE TABLE nulls (id int PRIMARY KEY, parent int REFERENCES parent ON UPDATE SET NULL ON DELETE SET NULL);
CREATE TABLE defaults (id int PRIMARY KEY, parent int DEFAULT 0 REFERENCES parent ON UPDATE SET DEFAULT ON DELETE SET DEFAULT DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE of_parts (id int PRIMARY KEY, part int, p int, FOREIGN KEY (part, p) REFERENCES parted ON UPDATE CASCADE ON DELETE CASCADE);
SELECT count(medsync.track(t, 'id')) FROM unnest('{parent,cascades,nulls,defaults,of_parts}'::regclass[]) AS t;
INSERT INTO parent VALUES (0), (1), (2);
INSERT INTO cascades VALUES (1, 1), (2, 2);
INSERT INTO nulls VALUES (1, 1), (2, 2);
INSERT INTO defaults VALUES (1, 1), (2, 2);
INSERT INTO of_parts VALUES (1, 1, 1), (2, 4, 2);
UPDATE parent SET id = 10 WHERE id = 1;
DELETE FROM parent WHERE id = 2;
UPDATE parted SET p = 2 WHERE id = 1;
DELETE FROM parted WHERE id = 4;
SELECT changes('parent');
SELECT changes('cascades');
SELECT changes('nulls');
SELECT changes('defaults');
SELECT changes('of_parts');
SELECT replay(t) FROM unnest('{parent,cascades,nulls,defaults,of_parts,parted}'::regclass[]) AS t;

--
-- Generated, identity and default values
--
CREATE TABLE computed (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int DEFAULT 7, twice int GENERATED ALWAYS AS (a * 2) STORED,
	n int GENERATED BY DEFAULT AS IDENTITY (START 100));
SELECT medsync.track('computed', 'id');
INSERT INTO computed DEFAULT VALUES;
INSERT INTO computed (id, a, n) OVERRIDING SYSTEM VALUE VALUES (50, 1, 1);
INSERT INTO computed (id, a, n) OVERRIDING USER VALUE VALUES (51, NULL, 2);
UPDATE computed SET a = a + 1;
UPDATE computed SET n = DEFAULT WHERE id = 50;
SELECT changes('computed');
SELECT replay('computed');

--
-- BEFORE triggers that change NEW, or let nothing happen
--
CREATE TABLE before_row (id int PRIMARY KEY, v text, touched int DEFAULT 0, shown text GENERATED ALWAYS AS (v || '!') STORED);
CREATE FUNCTION before_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP = 'DELETE' THEN
		RETURN CASE WHEN OLD.v = 'keep' THEN NULL ELSE OLD END;
	END IF;
	IF NEW.v = 'skip' THEN
		RETURN NULL;
	END IF;
	NEW.touched := NEW.touched + 1;
	NEW.v := upper(NEW.v);
	RETURN NEW;
END
$$;
CREATE TRIGGER a BEFORE INSERT OR UPDATE OR DELETE ON before_row FOR EACH ROW EXECUTE FUNCTION before_row();
-- after ours by name, and before it by time
CREATE TRIGGER z BEFORE UPDATE ON before_row FOR EACH ROW EXECUTE FUNCTION before_row();
SELECT medsync.track('before_row', 'id');
INSERT INTO before_row VALUES (1, 'a'), (2, 'skip'), (3, 'c');
UPDATE before_row SET v = 'x' WHERE id = 1;
UPDATE before_row SET v = 'skip' WHERE id = 3;
ALTER TABLE before_row DISABLE TRIGGER z;
INSERT INTO before_row VALUES (1, 'b') ON CONFLICT (id) DO UPDATE SET v = excluded.v || 'q';
ALTER TABLE before_row DISABLE TRIGGER a;
UPDATE before_row SET v = 'keep' WHERE id = 3;
ALTER TABLE before_row ENABLE TRIGGER a;
DELETE FROM before_row;
SELECT changes('before_row');
SELECT replay('before_row');

--
-- AFTER triggers that change the same row again, before and after ours
--
CREATE TABLE nested (id int PRIMARY KEY, n int, who text);
CREATE FUNCTION nested() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.n < 3 THEN
		UPDATE nested SET n = n + 1, who = TG_NAME WHERE id = NEW.id AND n = NEW.n;
	ELSIF NEW.id < 10 AND NEW.n = 3 AND TG_OP = 'UPDATE' AND NOT EXISTS (SELECT FROM nested WHERE id = NEW.id + 10) THEN
		INSERT INTO nested VALUES (NEW.id + 10, 2, TG_NAME);
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER a_first AFTER INSERT OR UPDATE ON nested FOR EACH ROW EXECUTE FUNCTION nested();
CREATE TRIGGER z_last AFTER INSERT OR UPDATE ON nested FOR EACH ROW EXECUTE FUNCTION nested();
SELECT medsync.track('nested', 'id');
INSERT INTO nested VALUES (1, 0, 'user'), (2, 1, 'user');
UPDATE nested SET n = 0, who = 'user' WHERE id = 2;
-- a trigger that deletes what was just written, and writes it again
CREATE TABLE reborn (id int PRIMARY KEY, n int);
CREATE FUNCTION reborn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF NEW.n > 0 THEN
		DELETE FROM reborn WHERE id = NEW.id;
		INSERT INTO reborn VALUES (NEW.id, -NEW.n);
		UPDATE reborn SET n = n - 100 WHERE id = NEW.id;
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER a AFTER INSERT OR UPDATE ON reborn FOR EACH ROW EXECUTE FUNCTION reborn();
SELECT medsync.track('reborn', 'id');
INSERT INTO reborn VALUES (1, 1), (2, -2);
UPDATE reborn SET n = 5;
SELECT changes('nested');
SELECT changes('reborn');
SELECT replay(t) FROM unnest('{nested,reborn}'::regclass[]) AS t;
-- sealed, it stands in the same order
SELECT height >= 0 FROM medsync.seal();
SELECT replay(t) FROM unnest('{nested,reborn}'::regclass[]) AS t;

--
-- Deferred triggers
--
CREATE TABLE deferred (id int PRIMARY KEY, v text);
CREATE FUNCTION deferred() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE deferred SET v = v || '+' WHERE id = NEW.id AND length(v) < 3;
	RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION deferred();
SELECT medsync.track('deferred', 'id');
INSERT INTO deferred VALUES (1, '');
BEGIN;
INSERT INTO deferred VALUES (2, '');
UPDATE deferred SET v = 'u' WHERE id = 2;
SAVEPOINT s;
INSERT INTO deferred VALUES (3, '');
ROLLBACK TO s;
SET CONSTRAINTS late IMMEDIATE;
INSERT INTO deferred VALUES (4, '');
SET CONSTRAINTS late DEFERRED;
INSERT INTO deferred VALUES (5, '');
COMMIT;
BEGIN;
INSERT INTO deferred VALUES (6, '');
ROLLBACK;
SELECT changes('deferred');
SELECT replay('deferred');

--
-- Statement triggers with transition tables; rules; views
--
CREATE TABLE plain (id int PRIMARY KEY, v text);
CREATE TABLE copied (id int, v text);
CREATE FUNCTION copy_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO copied SELECT * FROM fresh;
	RETURN NULL;
END
$$;
CREATE TRIGGER statement AFTER INSERT ON plain REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION copy_rows();
CREATE RULE also AS ON UPDATE TO plain DO ALSO INSERT INTO copied VALUES (new.id, 'rule');
CREATE RULE never AS ON DELETE TO plain WHERE old.v = 'never' DO INSTEAD NOTHING;
CREATE VIEW simple AS SELECT id, v FROM plain WHERE v <> 'hidden' WITH CHECK OPTION;
CREATE VIEW joined AS SELECT p.id, p.v, c.v AS copy FROM plain p JOIN copied c USING (id);
CREATE FUNCTION joined() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE plain SET v = NEW.v WHERE id = NEW.id;
	RETURN NEW;
END
$$;
CREATE TRIGGER instead INSTEAD OF UPDATE ON joined FOR EACH ROW EXECUTE FUNCTION joined();
SELECT count(medsync.track(t, 'id')) FROM unnest('{plain,copied}'::regclass[]) AS t;
INSERT INTO plain VALUES (1, 'a'), (2, 'never');
UPDATE simple SET v = 'by view' WHERE id = 1;
INSERT INTO simple VALUES (3, 'hidden');
UPDATE joined SET v = 'by trigger' WHERE id = 1 AND copy = 'a';
DELETE FROM plain;
SELECT changes('plain');
SELECT changes('copied');
SELECT replay(t) FROM unnest('{plain,copied}'::regclass[]) AS t;

--
-- Writable CTEs, cursors, DO blocks, procedures, prepared statements
--
WITH i AS (INSERT INTO t VALUES (11, 'cte'), (12, 'cte') RETURNING id),
	u AS (UPDATE merged SET v = v || ' cte' WHERE id = 1 RETURNING id),
	d AS (DELETE FROM merged WHERE id = 3 RETURNING id)
SELECT * FROM i UNION ALL SELECT * FROM u UNION ALL SELECT * FROM d ORDER BY 1;
-- both change one row: only one of them does
WITH a AS (UPDATE t SET v = v || '+' WHERE id = 11 RETURNING 1), b AS (UPDATE t SET v = v || '+' WHERE id = 11 RETURNING 1)
SELECT (SELECT count(*) FROM a) + (SELECT count(*) FROM b);
UPDATE t SET v = 'from ' || n FROM (SELECT 7 AS n UNION ALL SELECT 7) AS s WHERE id = 12;
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM t WHERE id IN (11, 12) ORDER BY id FOR UPDATE;
FETCH c;
UPDATE t SET v = 'current' WHERE CURRENT OF c;
FETCH c;
DELETE FROM t WHERE CURRENT OF c;
CLOSE c;
COMMIT;
DO $$
DECLARE
	c CURSOR FOR SELECT * FROM t WHERE id >= 11 FOR UPDATE;
BEGIN
	FOR r IN c LOOP
		UPDATE t SET v = 'loop' WHERE CURRENT OF c;
	END LOOP;
	BEGIN
		INSERT INTO t VALUES (13, 'undone');
		INSERT INTO t VALUES (11, 'duplicate');
	EXCEPTION WHEN unique_violation THEN
		INSERT INTO t VALUES (14, 'instead');
	END;
END
$$;
CREATE PROCEDURE committing() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 20 .. 23 LOOP
		INSERT INTO t VALUES (i, 'procedure');
		IF i % 2 = 0 THEN
			COMMIT;
		ELSE
			ROLLBACK;
		END IF;
	END LOOP;
END
$$;
CALL committing();
PREPARE change (int, text) AS UPDATE t SET v = $2 WHERE id = $1;
EXECUTE change (20, 'prepared');
EXECUTE change (20, 'prepared');
EXECUTE change (99, 'nobody');
DEALLOCATE change;
-- looking, locking and doing nothing are no changes
SELECT count(*) FROM (SELECT * FROM t FOR UPDATE) AS locked;
UPDATE t SET v = 'x' WHERE false;
SELECT changes('t') OFFSET 8;
SELECT replay(t) FROM unnest('{t,merged}'::regclass[]) AS t;

--
-- Savepoints
--
CREATE TABLE saved (id int PRIMARY KEY, v text);
SELECT medsync.track('saved', 'id');
BEGIN;
INSERT INTO saved VALUES (1, 'a');
SAVEPOINT one;
UPDATE saved SET v = 'b';
SAVEPOINT two;
UPDATE saved SET v = 'c';
INSERT INTO saved VALUES (2, 'c');
ROLLBACK TO two;
UPDATE saved SET v = 'd';
SAVEPOINT three;
DELETE FROM saved;
RELEASE three;
ROLLBACK TO one;
INSERT INTO saved VALUES (3, 'e');
SAVEPOINT two;
UPDATE saved SET v = v || '!';
RELEASE two;
SELECT replay('saved');
COMMIT;
BEGIN;
SAVEPOINT s;
INSERT INTO saved VALUES (4, 'never');
ROLLBACK TO s;
COMMIT;
BEGIN;
INSERT INTO saved VALUES (5, 'x');
DELETE FROM saved WHERE id = 5;
INSERT INTO saved VALUES (5, 'y');
COMMIT;
SELECT changes('saved');
SELECT replay('saved');
-- a buffer that overflows between savepoints
CREATE TABLE bulk (id int PRIMARY KEY, v text);
SELECT medsync.track('bulk', 'id');
BEGIN;
INSERT INTO bulk SELECT i, repeat('x', 500) FROM generate_series(1, 1000) i;
SAVEPOINT s;
UPDATE bulk SET v = 'y' || v WHERE id % 2 = 0;
ROLLBACK TO s;
UPDATE bulk SET v = 'z' || v WHERE id % 3 = 0;
SAVEPOINT s;
DELETE FROM bulk WHERE id % 5 = 0;
RELEASE s;
COMMIT;
SELECT operation, count(*) FROM medsync.history('bulk') GROUP BY 1 ORDER BY 1;
SELECT replay('bulk');

--
-- Keys that change, rows without a key, a missing subject, equal rows
--
CREATE TABLE keys (a int, b text, s text, PRIMARY KEY (b, a));
SELECT medsync.track('keys', 's');
INSERT INTO keys VALUES (1, 'x', 'Anna'), (2, 'x', NULL);
UPDATE keys SET b = 'y' WHERE a = 1;
UPDATE keys SET s = 'Bea' WHERE a = 1;
UPDATE keys SET s = 'Cleo' WHERE a = 2;
UPDATE keys SET s = NULL WHERE a = 2;
UPDATE keys SET a = a, b = b, s = s;
SELECT changes('keys');
SELECT replay('keys');
CREATE TABLE keyless (v text);
SELECT medsync.track('keyless');
INSERT INTO keyless VALUES ('same'), ('same'), (NULL), (NULL);
UPDATE keyless SET v = 'other' WHERE ctid = '(0,1)';
DELETE FROM keyless WHERE v IS NULL;
UPDATE keyless SET v = 'same';
SELECT changes('keyless');
SELECT replay('keyless');

--
-- As a replica; and with every trigger of the user's own disabled
--
SET session_replication_role = replica;
INSERT INTO t VALUES (30, 'replica');
UPDATE t SET v = 'replica' WHERE id = 11;
INSERT INTO parted VALUES (7, 1, 'replica');
UPDATE parted SET p = 2 WHERE id = 7;
SET session_replication_role = local;
DELETE FROM t WHERE id = 30;
RESET session_replication_role;
SELECT changes('t') OFFSET 20;
SELECT replay(t) FROM unnest('{t,parted}'::regclass[]) AS t;

SELECT severity, verdict, relation, row_key, detail FROM medsync.verify() WHERE severity <> 'notice';
SELECT height >= 0 FROM medsync.seal();
SELECT severity, verdict, relation, row_key, detail FROM medsync.verify() WHERE severity <> 'notice';
SELECT replay(c.oid) FROM pg_class c WHERE relnamespace = 'triggers'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname COLLATE "C";

SELECT count(medsync.untrack(oid)) > 0 FROM pg_class
WHERE relnamespace = 'triggers'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition;
SET client_min_messages = error;
DROP SCHEMA triggers CASCADE;
