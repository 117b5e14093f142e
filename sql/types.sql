-- Every built-in type is tracked or refused, and what is tracked comes back
-- from the ledger as it was: the same bytes from as_of(), the same JSON from
-- history().
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS medsync;
CREATE SCHEMA types;
SET search_path = types;
\pset null '(null)'

--
-- Which types can be tracked
--
CREATE FUNCTION can_be_tracked(type regtype) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		EXECUTE format('CREATE TABLE probe (id int PRIMARY KEY, c %s)', type);
		PERFORM medsync.track('probe', 'id', 'hash');
		RAISE SQLSTATE 'UNDO0';
	EXCEPTION
		WHEN SQLSTATE 'UNDO0' THEN
			RETURN true;
		WHEN feature_not_supported THEN
			RETURN false;
	END;
END
$$;
SELECT typname AS refused
FROM pg_type
WHERE typnamespace = 'pg_catalog'::regnamespace AND typisdefined
	AND typtype IN ('b', 'r', 'm', 'e', 'd')
	AND (typelem = 0 OR typsubscript <> 'array_subscript_handler'::regproc)
	AND NOT can_be_tracked(oid)
ORDER BY typname COLLATE "C";
-- an array of them likewise
SELECT typname AS refused
FROM pg_type
WHERE typnamespace = 'pg_catalog'::regnamespace AND typisdefined
	AND typtype = 'b' AND typelem <> 0
	AND typsubscript = 'array_subscript_handler'::regproc
	AND typname !~ '^_pg_|^_record|^_cstring' AND typlen = -1
	AND oid IN (SELECT typarray FROM pg_type WHERE typtype IN ('b', 'r', 'm'))
	AND NOT can_be_tracked(oid)
ORDER BY typname COLLATE "C";

--
-- Values
--
CREATE TYPE colour AS ENUM ('red', 'grün', '');
CREATE DOMAIN percent AS numeric(5,2) CHECK (VALUE BETWEEN 0 AND 100);
CREATE DOMAIN percents AS percent[];
CREATE TYPE pair AS (x int, label text);
CREATE TYPE dropped AS (a int, gone text, b percent);
ALTER TYPE dropped DROP ATTRIBUTE gone;
CREATE TYPE nested AS (id int, pairs pair[], inner_one dropped, colours colour[], doc jsonb);
CREATE TYPE float8_range AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TYPE colour_range AS RANGE (subtype = colour);
CREATE TYPE pair_range AS RANGE (subtype = pair);

-- one table for each type, so that nothing else of a row can hide it
CREATE FUNCTION make(name text, type text, literals text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	i int;
BEGIN
	EXECUTE format('CREATE TABLE %I (id int PRIMARY KEY, c %s)', name, type);
	-- the first half is a baseline, the rest inserted
	FOR i IN 1 .. array_length(literals, 1) LOOP
		IF i = array_length(literals, 1) / 2 + 1 THEN
			PERFORM medsync.track(name::regclass, 'id');
		END IF;
		EXECUTE format('INSERT INTO %I VALUES ($1, CAST($2 AS %s))', name, type)
			USING i, literals[i];
	END LOOP;
	-- and a pair that an update links
	EXECUTE format('UPDATE %I SET c = (SELECT c FROM %1$I WHERE id = 1) WHERE id = 2', name);
	EXECUTE format('DELETE FROM %I WHERE id = 3', name);
END
$$;

\pset tuples_only on
\pset format unaligned
SELECT make('t_bool', 'bool', '{t,f,NULL}');
SELECT make('t_int2', 'int2', '{0,-32768,32767,-1}');
SELECT make('t_int4', 'int4', '{0,-2147483648,2147483647,-1}');
SELECT make('t_int8', 'int8', '{0,-9223372036854775808,9223372036854775807,-1}');
SELECT make('t_float4', 'float4', '{0,-0,NaN,Infinity,-Infinity,1e-45,3.4028235e38,0.1,16777217}');
SELECT make('t_float8', 'float8', '{0,-0,NaN,Infinity,-Infinity,5e-324,1.7976931348623157e308,0.1,-2.2250738585072014e-308}');
SELECT make('t_numeric', 'numeric', ARRAY['0', '-0', '0.000', 'NaN', 'Infinity', '-Infinity', '1', '1.0', '1.00',
	'1e20', '-1e-20', '10000', '9999.9999', '0.00010000', '123456789012345678901234567890.123456789',
	'1e131071', '1e-16383', repeat('9', 500) || '.' || repeat('9', 500)]);
SELECT make('t_numeric_typmod', 'numeric(10,3)', '{0,1.5,-1234567.891,NaN}');
SELECT make('t_numeric_scale', 'numeric(3,-2)', '{0,12345,-99900}');
SELECT make('t_text', 'text', ARRAY['', ' ', 'a', 'Ärzte', '日本', '🩺', E'tab\tnew\nline\\ ''"', NULL, repeat('x', 100000), U&'e\0301', U&'\00E9']);
SELECT make('t_varchar', 'varchar(5)', '{"",abc,"ab ",grün}');
SELECT make('t_bpchar', 'char(5)', '{"",abc,"ab ",grün}');
SELECT make('t_bpchar_long', 'bpchar', '{"",abc,"ab "}');
SELECT make('t_name', 'name', ARRAY['', 'abc', repeat('n', 63), 'grün']);
SELECT make('t_char', '"char"', ARRAY['', 'a', '\377', '\200', '\\']);
SELECT make('t_bytea', 'bytea', ARRAY['\x', '\x00', '\x00ff5c27', '\x' || repeat('00', 5000)]);
SELECT make('t_date', 'date', ARRAY['epoch', '2000-01-01', '0001-01-01', '4713-01-01 BC', 'infinity', '-infinity', '5874897-12-31']);
SELECT make('t_time', 'time', '{00:00,24:00,23:59:59.999999,23:59:60}');
SELECT make('t_time_typmod', 'time(2)', '{00:00:00.126,12:00}');
SELECT make('t_timetz', 'timetz', '{00:00+00,24:00+15:59:59,12:00-15:59:59,12:00:00.5+05:30,00:00+00:00:01}');
SELECT make('t_timestamp', 'timestamp', ARRAY['epoch', '2000-01-01', '1999-12-31 23:59:59.999999', '4713-01-01 BC', 'infinity', '-infinity', '294276-12-31 23:59:59.999999']);
SELECT make('t_timestamptz', 'timestamptz', ARRAY['epoch', '2000-01-01 00:00+00', '1800-01-01 00:00:00+00:19:32', '2024-03-31 02:30 Europe/Berlin', 'infinity', '-infinity']);
SELECT make('t_interval', 'interval', ARRAY['0', '-1 mon', '1 mon -1 day', '-1 mon +30 days -00:00:01', '178000000 years', '-178000000 years', '1 day', '24 hours', '0.000001 s']);
SELECT make('t_uuid', 'uuid', '{00000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff}');
SELECT make('t_json', 'json', ARRAY['null', '{"a":1,"a":2}', '{ "a" : 1.0 }', '"\u00e9"', '[1e400]']);
SELECT make('t_jsonb', 'jsonb', ARRAY['null', '0', '""', '{}', '[]', '{"a":1,"a":2}', '{"bb":1,"a":{"c":[1.50,null,true,"x"]}}', '"\u00e9"', '[1e400]', '-0', '[[[[]]]]', '{"":{"":{}}}',
	'[' || repeat('1,', 5000) || '1]']);
SELECT make('t_jsonpath', 'jsonpath', ARRAY['$', 'lax $."a"[*] ? (@ > 1.50)', 'strict $.*']);
SELECT make('t_xid', 'xid', '{0,4294967295,3}');
SELECT make('t_xid8', 'xid8', '{0,18446744073709551615,3}');
SELECT make('t_cid', 'cid', '{0,4294967295,3}');
SELECT make('t_oid', 'oid', '{0,4294967295,3}');
SELECT make('t_tid', 'tid', '{"(0,0)","(4294967295,65535)"}');
SELECT make('t_oidvector', 'oidvector', '{"","1 2 3","4294967295"}');
SELECT make('t_int2vector', 'int2vector', '{"","1 2 3","-1"}');
SELECT make('t_pg_lsn', 'pg_lsn', '{0/0,FFFFFFFF/FFFFFFFF}');
SELECT make('t_pg_snapshot', 'pg_snapshot', '{"1:1:","10:20:10,14,15"}');
SELECT make('t_txid_snapshot', 'txid_snapshot', '{"1:1:","10:20:10,14,15"}');
SELECT make('t_refcursor', 'refcursor', '{"",c}');
SELECT make('t_inet', 'inet', '{0.0.0.0,192.168.0.1/24,::,2001:db8::1/64,::ffff:1.2.3.4}');
SELECT make('t_cidr', 'cidr', '{0.0.0.0/0,192.168.0.0/24,2001:db8::/32}');
SELECT make('t_macaddr', 'macaddr', '{00:00:00:00:00:00,08:00:2b:01:02:03}');
SELECT make('t_macaddr8', 'macaddr8', '{00:00:00:00:00:00:00:00,08:00:2b:01:02:03:04:05}');
SELECT make('t_bit', 'bit(9)', '{000000000,101010101}');
SELECT make('t_varbit', 'varbit', ARRAY['', '1', '00000000', '000000000', repeat('10', 5000)]);
SELECT make('t_money', 'money', '{0,-1.50,92233720368547758.07}');
SELECT make('t_tsvector', 'tsvector', ARRAY['', 'a', 'b:1A,2 a:3', '''it''''s'':5', 'grün:1']);
SELECT make('t_tsquery', 'tsquery', ARRAY['', 'a', 'a & !b | c:*AB', 'a <-> b', 'a <3> b']);
SELECT make('t_point', 'point', '{"(0,0)","(-0,NaN)","(Infinity,0.1)"}');
SELECT make('t_lseg', 'lseg', '{"[(0,0),(1,1)]","[(0.1,1e300),(-0,1)]"}');
SELECT make('t_line', 'line', '{"{1,2,3}","{0.1,-1,1e300}"}');
SELECT make('t_box', 'box', '{"(0,0),(1,1)","(0.1,1e300),(-0,1)"}');
SELECT make('t_path', 'path', '{"[(0,0),(1,1)]","((0,0),(1,1),(2,0.1))"}');
SELECT make('t_polygon', 'polygon', '{"((0,0),(1,1))","((0,0),(1,1),(2,0.1))"}');
SELECT make('t_circle', 'circle', '{"<(0,0),1>","<(0.1,-0),1e300>"}');
SELECT make('t_int4_array', 'int[]', ARRAY['{}', '{1}', '{NULL}', '{1,NULL,3}', '[0:1]={1,2}', '[2:2][-1:0]={{1,2}}', '{{1,2},{3,4}}', '{{{{{{1}}}}}}']);
SELECT make('t_text_array', 'text[]', ARRAY['{}', '{""}', '{"NULL",NULL}', '{"a,b","{c}","\"","\\"}']);
SELECT make('t_numeric_array', 'numeric[]', '{"{1.0,1.00,NaN}","{NULL,-Infinity}"}');
SELECT make('t_point_array', 'point[]', '{"{\"(0,-0)\"}","{NULL}"}');
SELECT make('t_box_array', 'box[]', ARRAY['{(1,1),(0,0);(2,2),(1,1)}', '{}']);
SELECT make('t_jsonb_array', 'jsonb[]', ARRAY['{"{\"a\":1}",NULL}', '{}']);
SELECT make('t_range_array', 'int4range[]', ARRAY['{"[1,2]",empty}', '{}']);
SELECT make('t_int4range', 'int4range', ARRAY['empty', '[1,4]', '(1,4)', '(,)', '[1,)', '(,1]', '[-2147483648,2147483647)']);
SELECT make('t_int8range', 'int8range', ARRAY['empty', '[1,4]', '(,)']);
SELECT make('t_numrange', 'numrange', ARRAY['empty', '[1.0,1.00]', '(1,2]', '[NaN,)', '(-Infinity,Infinity)', '(,)']);
SELECT make('t_daterange', 'daterange', ARRAY['empty', '[2024-01-01,2024-01-31]', '[,infinity]', '(-infinity,infinity)', '(,)']);
SELECT make('t_tsrange', 'tsrange', ARRAY['empty', '[2024-01-01,2024-01-31]', '[-infinity,infinity)', '(,)']);
SELECT make('t_tstzrange', 'tstzrange', ARRAY['empty', '[2024-01-01 00:00+02,2024-01-31 00:00+03]', '(,)']);
SELECT make('t_float8_range', 'float8_range', ARRAY['empty', '[-0,0]', '(-Infinity,NaN]', '(,)']);
SELECT make('t_colour_range', 'colour_range', ARRAY['empty', '[red,grün]', '(,)']);
SELECT make('t_pair_range', 'pair_range', ARRAY['empty', '["(1,a)","(2,)"]', '["(1,)",)']);
SELECT make('t_int4multirange', 'int4multirange', ARRAY['{}', '{[1,2],[5,9)}', '{(,1),[3,)}', '{(,)}']);
SELECT make('t_nummultirange', 'nummultirange', ARRAY['{}', '{[1.0,1.00],(5,9]}', '{(,)}']);
SELECT make('t_datemultirange', 'datemultirange', ARRAY['{}', '{[2024-01-01,2024-01-31]}', '{(,infinity)}']);
SELECT make('t_tstzmultirange', 'tstzmultirange', ARRAY['{}', '{[2024-01-01 00:00+02,2024-01-31 00:00+03]}']);
SELECT make('t_colour', 'colour', '{red,grün,""}');
SELECT make('t_colour_array', 'colour[]', ARRAY['{red,grün,"",NULL}', '{}']);
SELECT make('t_percent', 'percent', '{0,0.5,100.00}');
SELECT make('t_percents', 'percents', ARRAY['{0,0.5,100.00}', '{}']);
SELECT make('t_pair', 'pair', ARRAY['(,)', '(1,)', '(,"")', '(7,"a,b")']);
SELECT make('t_pair_array', 'pair[]', ARRAY['{"(,)",NULL,"(1,x)"}', '{}']);
SELECT make('t_nested', 'nested', ARRAY['(,,,,)', '(1,"{""(1,x)"",NULL}","(1,2.5)","{red,grün}","{""a"": [1.0]}")',
	'(2,{},"(,)",{},null)']);
SELECT make('t_information_schema', 'information_schema.sql_identifier', '{abc,""}');
\pset tuples_only off
\pset format aligned
-- xml where the server has it
DO $$
BEGIN
	PERFORM types.make('t_xml', 'xml', ARRAY['<a/>', 'text', '<a>&amp;</a><b/>', '<a>ü</a>']);
EXCEPTION WHEN feature_not_supported THEN
	RAISE DEBUG 'no xml';
END
$$;

SELECT severity, verdict, relation, row_key, detail FROM medsync.verify()
WHERE severity <> 'notice';

-- what comes back differs where?  (record_image_ne compares bytes)
CREATE FUNCTION compare(name text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format($q$
		SELECT format('%%s %%s: live %%s, as_of %%s', %1$L, id, l.c::text, a.c::text)
		FROM %1$I l FULL JOIN medsync.as_of(NULL::%1$I, 'infinity') a USING (id)
		WHERE l IS NULL OR a IS NULL OR record_image_ne(row(id, l.c), row(id, a.c))$q$, name);
	RETURN QUERY EXECUTE format($q$
		SELECT format('%%s: live %%s, history %%s', %1$L, l.j, h.j)
		FROM (SELECT id, to_jsonb(t) AS j FROM %1$I t) l
		FULL JOIN (SELECT DISTINCT ON (new_row->'id') (new_row->>'id')::int AS id, new_row AS j
			FROM (SELECT * FROM medsync.history(%1$L) WITH ORDINALITY) h
			WHERE new_row IS NOT NULL ORDER BY new_row->'id', ordinality DESC) h USING (id)
		WHERE l.j IS DISTINCT FROM h.j AND id <> 3$q$, name);
	RETURN QUERY EXECUTE format($q$
		SELECT format('%%s: deleted %%s', %1$L, old_row) FROM medsync.history(%1$L)
		WHERE operation = 'delete' AND old_row IS NULL$q$, name);
END
$$;
SELECT c.differs FROM pg_class, compare(relname) AS c(differs)
WHERE relnamespace = 'types'::regnamespace AND relkind = 'r'
ORDER BY relname COLLATE "C";
SELECT count(*) > 75 AS types_compared FROM pg_class
WHERE relnamespace = 'types'::regnamespace AND relkind = 'r';

-- built-in types that none of these tables has
SELECT typname AS not_compared FROM pg_type t
WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r')
	AND typcategory NOT IN ('A', 'Z') AND typname !~ '^reg' AND typisdefined
	AND typname NOT IN ('xml', 'aclitem', 'gtsvector')
	AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		WHERE relnamespace = 'types'::regnamespace AND atttypid = t.oid)
ORDER BY typname COLLATE "C";

-- equal by its operator, but another value
CREATE TABLE equal_not_same (id int PRIMARY KEY, f float8, n numeric, i interval, t text COLLATE "C", c char(3), r numrange, v int[]);
SELECT medsync.track('equal_not_same', 'id');
INSERT INTO equal_not_same VALUES (1, 0, 1, '1 mon', 'a', 'a', '[1,2]', '{1}');
UPDATE equal_not_same SET f = '-0';
UPDATE equal_not_same SET n = 1.0;
UPDATE equal_not_same SET i = '30 days';
UPDATE equal_not_same SET r = '[1.0,2]';
UPDATE equal_not_same SET v = '[0:0]={1}';
SELECT operation FROM medsync.history('equal_not_same');
SELECT f, n, i, r, v FROM medsync.as_of(NULL::equal_not_same, 'infinity');

SELECT count(medsync.untrack(oid)) > 75 AS untracked FROM pg_class
WHERE relnamespace = 'types'::regnamespace AND relkind = 'r';
SET client_min_messages = error;
DROP SCHEMA types CASCADE;
