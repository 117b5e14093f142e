-- The ledger commits to values, not to how a session prints or a table stores
-- them: what is written under some settings verifies under all others (G-04).
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS medsync;
CREATE SCHEMA canonical;
SET search_path = canonical;
\set here :DBNAME

--
-- Settings
--
CREATE TABLE style (number int, name text, value text);
INSERT INTO style VALUES
	(1, 'DateStyle', 'ISO, YMD'), (2, 'DateStyle', 'SQL, DMY'), (3, 'DateStyle', 'German, DMY'), (4, 'DateStyle', 'Postgres, MDY'),
	(1, 'IntervalStyle', 'postgres'), (2, 'IntervalStyle', 'sql_standard'), (3, 'IntervalStyle', 'iso_8601'), (4, 'IntervalStyle', 'postgres_verbose'),
	(1, 'TimeZone', 'UTC'), (2, 'TimeZone', 'America/St_Johns'), (3, 'TimeZone', 'Asia/Kathmandu'), (4, 'TimeZone', '<LMT>+00:19:32'),
	(1, 'extra_float_digits', '3'), (2, 'extra_float_digits', '-15'), (3, 'extra_float_digits', '0'), (4, 'extra_float_digits', '1'),
	(1, 'bytea_output', 'hex'), (2, 'bytea_output', 'escape'),
	(2, 'xmloption', 'document'), (3, 'xmlbinary', 'hex'),
	(2, 'array_nulls', 'off'), (3, 'quote_all_identifiers', 'on'),
	(2, 'search_path', 'canonical'), (3, 'search_path', ''), (4, 'search_path', 'canonical, pg_temp, pg_catalog'),
	(2, 'standard_conforming_strings', 'off'), (3, 'backslash_quote', 'on'), (4, 'transform_null_equals', 'on'),
	(2, 'client_encoding', 'LATIN1'), (3, 'client_encoding', 'SQL_ASCII'), (4, 'client_encoding', 'UTF8'),
	(2, 'default_text_search_config', 'pg_catalog.german'), (3, 'timezone_abbreviations', 'Australia'),
	(2, 'default_toast_compression', 'pglz'), (3, 'row_security', 'off'),
	(2, 'default_transaction_isolation', 'serializable'), (3, 'default_transaction_isolation', 'repeatable read'),
	(2, 'enable_indexscan', 'off'), (2, 'enable_bitmapscan', 'off'), (3, 'enable_seqscan', 'off'), (4, 'jit_above_cost', '0'),
	-- taken where the server has the locale
	(2, 'lc_monetary', 'de_DE.UTF-8'), (3, 'lc_monetary', 'en_US.UTF-8'), (4, 'lc_monetary', 'ja_JP.UTF-8'),
	(2, 'lc_numeric', 'de_DE.UTF-8'), (3, 'lc_time', 'fr_FR.UTF-8'), (4, 'lc_messages', 'de_DE.UTF-8');

CREATE FUNCTION use_style(wanted int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	setting canonical.style;
BEGIN
	RESET ALL;
	SET client_min_messages = error;
	FOR setting IN SELECT * FROM canonical.style WHERE number = wanted ORDER BY name COLLATE "C" LOOP
		BEGIN
			PERFORM pg_catalog.set_config(setting.name, setting.value, false);
		EXCEPTION WHEN invalid_parameter_value THEN
			NULL;				-- no such locale
		END;
	END LOOP;
END
$$;

--
-- One row with every type, as the settings of pg_regress read it
--
CREATE TYPE colour AS ENUM ('red', 'grün');
CREATE DOMAIN day AS date;
CREATE DOMAIN money_list AS money[];
CREATE TYPE reading AS (at timestamptz, took interval, value float8, price money, raw bytea);
CREATE TYPE report AS (readings reading[], first reading, on_day day);
CREATE TYPE float8_range AS RANGE (subtype = float8);
CREATE TYPE reading_range AS RANGE (subtype = reading);
CREATE TABLE source (
	c_bool bool, c_int2 int2, c_int4 int4, c_int8 int8, c_float4 float4, c_float8 float8, c_numeric numeric,
	c_text text, c_varchar varchar(20), c_bpchar char(20), c_name name, c_char "char", c_bytea bytea,
	c_date date, c_time time, c_timetz timetz, c_timestamp timestamp, c_timestamptz timestamptz, c_interval interval,
	c_uuid uuid, c_json json, c_jsonb jsonb, c_jsonpath jsonpath, c_oid oid, c_tid tid, c_xid xid, c_xid8 xid8, c_cid cid,
	c_lsn pg_lsn, c_snapshot pg_snapshot, c_refcursor refcursor, c_inet inet, c_cidr cidr, c_macaddr macaddr, c_macaddr8 macaddr8,
	c_bit bit(5), c_varbit varbit, c_money money, c_tsvector tsvector, c_tsquery tsquery, c_point point, c_lseg lseg,
	c_line line, c_box box, c_path path, c_polygon polygon, c_circle circle, c_xml xml, c_oidvector oidvector, c_int2vector int2vector,
	c_float8s float8[], c_dates date[], c_intervals interval[], c_moneys money[], c_byteas bytea[], c_times timestamptz[], c_points point[],
	c_empty int[], c_floats2 float4[][], c_texts text[],
	c_daterange daterange, c_tsrange tsrange, c_tstzrange tstzrange, c_numrange numrange, c_int4range int4range, c_float8_range float8_range, c_reading_range reading_range,
	c_tstzmultirange tstzmultirange, c_datemultirange datemultirange, c_nummultirange nummultirange,
	c_colour colour, c_day day, c_money_list money_list, c_reading reading, c_report report,
	c_null timestamptz, c_snapshots txid_snapshot[]);
INSERT INTO source VALUES (
	true, -1, -1, -1, 0.1, 0.1::float8 + 0.2::float8, 1234567.8900,
	'Grüße 日本 🩺', 'Ärztin', 'grün', 'Müller', '\377', '\x00ff5c27c3bc',
	'2024-02-03', '04:05:06.789', '04:05:06.789+05:30', '2024-02-03 04:05:06.789', '2024-02-03 04:05:06.789+05:45', '-1 year 2 mons -3 days 04:05:06.789',
	'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"a": 1.50}', '{"a": 1.50, "ü": [null]}', '$.a ? (@ > 1.50)', 4294967295, '(1,2)', '3', '4', '5',
	'16/B374D848', '10:20:10,14,15', 'cursor', '192.168.0.1/24', '2001:db8::/32', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05',
	'10101', '1010101', '1234.50', 'b:1A,2 a:3', 'a & !b | c:*', '(0.1,-0)', '[(0.1,1e300),(-0,1)]',
	'{0.1,-1,1e300}', '(0.1,1e300),(-0,1)', '[(0,0),(1.1,1)]', '((0,0),(1,1),(2,0.1))', '<(0.1,-0),1e300>', NULL, '1 2 3', '1 2 3',
	'{0.1,-0,NaN,Infinity,-Infinity,NULL}', '{2024-02-03,infinity,NULL}', '{1 mon,-1 day 00:00:01}', '{1234.50,-0.01}', '{"\\x00ff",NULL}',
	'{2024-02-03 04:05:06+02,-infinity}', '{"(0.1,0.2)"}',
	'{}', '[-1:0][3:4]={{0.1,0.2},{NaN,-0}}', '{NULL,"NULL","","ü"}',
	'[2024-02-03,infinity)', '(2024-02-03 04:05:06,)', '["2024-02-03 04:05:06+02","2024-02-04 04:05:06+02"]', '[1.0,1.00]', 'empty', '(-0,0.1]',
	'["(2024-02-03 04:05:06+02,1 day,0.1,1.5,""\\\\x00"")",)',
	'{["2024-02-03 04:05:06+02","2024-02-04 04:05:06+02"]}', '{[2024-02-03,2024-02-05)}', '{[1.0,2.50],(3,)}',
	'grün', '2024-02-03', '{1234.50,NULL}', '("2024-02-03 04:05:06+02","-1 mon 1 day",0.1,1234.50,"\\x00ff")',
	'("{""(2024-02-03 04:05:06+02,1 day,0.1,1.50,\\\\x00ff)"",NULL}","(,,NaN,,)",2024-02-03)',
	NULL, '{"10:20:10,14"}');
DO $$
BEGIN
	UPDATE canonical.source SET c_xml = '<?xml version="1.0" standalone="yes"?><a>ü</a>';
EXCEPTION WHEN feature_not_supported THEN
	NULL;						-- built without libxml
END
$$;
-- every type that can be tracked but pseudo-types and those of other files
SELECT typname AS not_here FROM pg_type t
WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r')
	AND typcategory NOT IN ('A', 'Z') AND typname !~ '^reg'
	AND typname NOT IN ('aclitem', 'gtsvector', 'int8range', 'txid_snapshot')
	AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'source'::regclass AND atttypid = t.oid)
ORDER BY typname COLLATE "C";

CREATE TABLE every (id text PRIMARY KEY, LIKE source);
CREATE TABLE every_hash (id text PRIMARY KEY, LIKE source);
INSERT INTO every SELECT 'baseline', * FROM source;
INSERT INTO every_hash SELECT 'baseline', * FROM source;
SELECT use_style(3);
SELECT canonical.use_style(2) FROM medsync.track('canonical.every', 'id');
SELECT medsync.track('canonical.every_hash', 'c_timestamptz', 'hash');

-- writes it, and replaces it by itself
CREATE PROCEDURE canonical.write(id text) LANGUAGE sql AS $$
	INSERT INTO canonical.every SELECT $1, * FROM canonical.source;
	INSERT INTO canonical.every_hash SELECT $1, * FROM canonical.source;
	UPDATE canonical.every e SET c_float8 = s.c_float8, c_report = s.c_report, c_interval = s.c_interval, c_money = s.c_money,
		c_timestamptz = s.c_timestamptz, c_texts = s.c_texts FROM canonical.source s;
	UPDATE canonical.every_hash e SET c_bool = NOT c_bool;
	UPDATE canonical.every_hash e SET c_bool = NOT c_bool;
$$;
CREATE FUNCTION canonical.check_all() RETURNS text LANGUAGE sql AS $$
	SELECT pg_catalog.format('%s errors, %s of %s rows in every', (SELECT count(*) FROM medsync.verify() WHERE severity <> 'notice'),
		(SELECT count(*) FROM medsync.as_of(NULL::canonical.every, 'infinity') a JOIN canonical.every e USING (id) WHERE record_image_eq(a, e)),
		(SELECT count(*) FROM canonical.every))
$$;
SELECT canonical.use_style(1);
CALL canonical.write('one');
SELECT canonical.check_all();
SELECT canonical.use_style(2);
CALL canonical.write('two');
SELECT canonical.check_all();
SELECT canonical.use_style(3);
CALL canonical.write('three');
SELECT canonical.check_all();
SELECT canonical.use_style(4);
CALL canonical.write('four');
SELECT canonical.check_all();
-- and each in a session that has cached nothing
\c :here
SELECT canonical.use_style(1);
SELECT canonical.check_all();
\c :here
SELECT canonical.use_style(2);
SELECT canonical.check_all();
\c :here
SELECT canonical.use_style(3);
SELECT canonical.check_all();
\c :here
SELECT canonical.use_style(4);
SELECT canonical.check_all();

\c :here
SET client_min_messages = warning;
SET search_path = canonical;
-- nothing was changed by writing the same
SELECT operation, changed_columns, count(*) FROM medsync.history('every') GROUP BY 1, 2 ORDER BY 1, 2;
-- the subject is the same person in any style
SELECT operation, count(*) FROM medsync.history('every_hash') GROUP BY 1 ORDER BY 1;

--
-- A key and a subject whose text depends on settings
--
CREATE TABLE keyed (at timestamptz, f float8, i interval, b bytea, m money, day date, who timestamptz, note text, PRIMARY KEY (at, f, i, b, m, day));
SELECT medsync.track('keyed', 'who');
DO $$
BEGIN
	FOR n IN 1 .. 4 LOOP
		PERFORM canonical.use_style(n);
		IF n = 1 THEN
			INSERT INTO canonical.keyed VALUES ('2024-02-03 04:05:06+02', 0.1::float8 + 0.2::float8, make_interval(days => -1), '\x00ff',
				1234.5::numeric::money, make_date(2024, 2, 3), '2024-02-03 04:05:06+02', '1');
		ELSE
			UPDATE canonical.keyed SET note = n;
		END IF;
	END LOOP;
END
$$;
\c :here
SET client_min_messages = warning;
SET search_path = canonical;
SELECT operation, old_row->>'note' AS old, new_row->>'note' AS new, row_key FROM medsync.history('keyed');
SELECT DISTINCT (SELECT count(*) FROM medsync.history('canonical.keyed', h.row_key)) FROM medsync.history('keyed') h WHERE row_key IS NOT NULL;
-- one row key, however it is printed
SELECT DISTINCT r FROM (
	SELECT set_config('DateStyle', d, true), (SELECT count(*) FROM medsync.history('canonical.keyed',
		jsonb_build_object('at', '2024-02-03 04:05:06+02', 'f', 0.30000000000000004, 'i', '-1 day', 'b', '\x00ff', 'm', '1234.5', 'day', '2024-02-03'))) AS r
	FROM unnest(ARRAY['ISO', 'German', 'SQL']) AS d) AS x;
SELECT severity, verdict, relation, row_key FROM medsync.verify() WHERE severity <> 'notice';

--
-- Storage: inline, compressed, out of line; short and long headers
--
CREATE TABLE stored (id int PRIMARY KEY, t text, y bytea, n numeric, a int[], j jsonb, c reading[], v varbit);
SELECT medsync.track('stored', 'id');
INSERT INTO stored SELECT 1, repeat('abc', 5000), decode(repeat('00ff', 5000), 'hex'), repeat('12345', 300)::numeric,
	array_agg(i), jsonb_agg(i), array_agg((NULL, NULL, i, NULL, NULL)::reading), repeat('10', 5000)::varbit FROM generate_series(1, 3000) i;
INSERT INTO stored SELECT 2, md5('x'), '\x00', 1.50, '{1,2}', '[1, 2]', '{}', B'101';
ALTER TABLE stored ALTER t SET STORAGE EXTERNAL, ALTER y SET STORAGE EXTERNAL, ALTER n SET STORAGE EXTENDED, ALTER a SET STORAGE EXTERNAL,
	ALTER j SET STORAGE EXTERNAL, ALTER c SET STORAGE EXTERNAL, ALTER v SET STORAGE EXTERNAL;
SELECT operation FROM medsync.history('stored');
-- the same values, made anew
UPDATE stored SET t = t || '', y = y || ''::bytea, n = n + 0, a = a || '{}', j = j || '[]', c = c || '{}', v = v || B'';
ALTER TABLE stored ALTER t SET STORAGE MAIN, ALTER y SET STORAGE MAIN, ALTER n SET STORAGE MAIN, ALTER a SET STORAGE MAIN,
	ALTER j SET STORAGE MAIN, ALTER c SET STORAGE MAIN, ALTER v SET STORAGE MAIN;
UPDATE stored SET t = t || '', y = y || ''::bytea, n = n + 0, a = a || '{}', j = j || '[]', c = c || '{}', v = v || B'';
-- unchanged values that stay out of line
ALTER TABLE stored ALTER t SET STORAGE EXTERNAL;
UPDATE stored SET t = t || '';
UPDATE stored SET n = n + 1;
DELETE FROM stored WHERE id = 2;
SELECT operation, changed_columns FROM medsync.history('stored');
SELECT count(*) FROM medsync.as_of(NULL::stored, 'infinity') AS past JOIN stored AS now ON past *= now;
SELECT severity, verdict, relation, row_key FROM medsync.verify() WHERE severity <> 'notice';

-- past the triggers: the same value is no finding, another one is
CREATE TABLE shaped (id int PRIMARY KEY, a int[], n numeric, j jsonb, t text, c reading, r numrange, f float8, g float4, i interval, b char(4));
SELECT medsync.track('shaped', 'id');
INSERT INTO shaped VALUES (1, '{1}', 1.50, '{"a":1,"b":2}', 'abc', '(,,1,,)', '[1,2]', 'NaN', 'NaN', '1 mon', 'ab');
\set past 'SET LOCAL session_replication_role = replica; ALTER EVENT TRIGGER medsync_guard_start DISABLE; ALTER EVENT TRIGGER medsync_guard_end DISABLE; ALTER TABLE shaped DISABLE TRIGGER ALL;'
\set found 'SELECT verdict, relation, row_key FROM medsync.verify(''shaped'') WHERE verdict NOT IN (''guard_missing'', ''unsealed''); ROLLBACK;'
BEGIN;
:past
UPDATE shaped SET a = (ARRAY[1, NULL])[1:1], n = 0.50 + 1, j = '{"b":2}'::jsonb || '{"a":1}', t = t || '', c = (NULL, NULL, 1, NULL, NULL),
	r = numrange(1, 3) * numrange(0, 2, '[]'), f = 'NaN'::float8 * -1, g = 'NaN'::float4 * -1, i = interval '1 year' - interval '11 mon', b = 'ab  ';
:found
BEGIN; :past UPDATE shaped SET a = '[0:0]={1}'; :found
BEGIN; :past UPDATE shaped SET a = '{{1}}'; :found
BEGIN; :past UPDATE shaped SET a = '{}'; :found
BEGIN; :past UPDATE shaped SET n = 1.5; :found
BEGIN; :past UPDATE shaped SET j = '{"a":1.0,"b":2}'; :found
BEGIN; :past UPDATE shaped SET t = U&'\FF41bc'; :found
BEGIN; :past UPDATE shaped SET c = (NULL, NULL, 1, NULL, ''::bytea); :found
BEGIN; :past UPDATE shaped SET c = NULL; :found
BEGIN; :past UPDATE shaped SET r = '[1.0,2]'; :found
BEGIN; :past UPDATE shaped SET f = 'Infinity'; :found
BEGIN; :past UPDATE shaped SET i = '30 days'; :found

--
-- What a type is called, or may hold, does not matter; what its values are does
--
ALTER TYPE colour RENAME TO shade;
ALTER TYPE shade ADD VALUE 'blau' BEFORE 'grün';
ALTER DOMAIN day SET DEFAULT '2000-01-01';
ALTER TYPE reading RENAME TO measurement;
ALTER TYPE report SET SCHEMA public;
UPDATE every SET c_colour = 'blau' WHERE id = 'one';
SELECT check_all();
ALTER TYPE public.report SET SCHEMA canonical;

SELECT count(medsync.untrack(t)) FROM unnest('{every,every_hash,keyed,stored,shaped}'::regclass[]) AS t;
SET client_min_messages = error;
DROP SCHEMA canonical CASCADE;
