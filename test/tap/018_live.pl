
# medsync-verify live: the program reads the tables itself and commits to
# every row again from the text that the server prints.  What it finds must be
# what is there: nothing in tables of every type, under any settings, while
# others write; and each row that a superuser changed past the guards.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use FakeWitness;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use IPC::Run;
use JSON::PP;
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;

# libcurl in the server would take a proxy from here.
delete @ENV{qw(http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY)};

my $dir = own_directory();
my $top = "$FindBin::RealBin/../..";
my $node = new_node('live', init => { allows_streaming => 1 });

# ---- tools ----

# Run it on a database: (exit status, report, stderr).
sub live
{
	my ($db, %option) = @_;
	my $server = $option{node} || $node;
	my $conninfo = $server->connstr($db) . ($option{role} ? " user=$option{role}" : '');
	my ($out, $err) = ('', '');

	IPC::Run::run(
		[ 'medsync-verify', 'live', $option{conninfo} || $conninfo,
			'--key', key_of($db), '--json', @{ $option{argument} || [] } ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(180));
	my $status = $? & 127 ? "signal $?" : $? >> 8;
	my $report = eval { JSON::PP->new->utf8->canonical->decode($out) };

	diag("no JSON: $@\n$out\n$err") unless $report;
	return ($status, $report || { findings => [], summary => {} }, $err);
}

my %key;

sub key_of
{
	my ($db) = @_;
	return $key{$db} ||= query($node, $db, 'SELECT medsync.verifier_key()');
}

# A finding in a line: verdict, relation, key of the row.
sub short
{
	my ($finding) = @_;
	my $key = $finding->{row_key};

	return join ' ', $finding->{verdict}, $finding->{relation} || '-',
	  defined $key ? JSON::PP->new->canonical->encode($key) : ();
}

# Its findings, but for entries that wait for the sealer, are these.
sub finds
{
	my ($name, $db, $expected, %option) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $report, $err) = live($db, %option);
	my @found = grep { $_->{severity} ne 'notice' } @{ $report->{findings} };

	is(join("\n", sort map { short($_) } @found), join("\n", sort @$expected), $name)
	  or diag(explain(\@found), $err);
	is($status, @$expected ? 1 : 0, "$name: exit status") or diag($err);
	return $report;
}

sub clean { my ($name, $db, %option) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return finds($name, $db, [], %option); }

# It cannot check, and says why.
sub cannot
{
	my ($name, $like, $db, %option) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $report, $err) = live($db, %option);

	is($status, 2, "$name: exit status") or diag(explain($report));
	like($err, $like, $name);
	return;
}

# What stands in a regression test before a line.
sub part_of
{
	my ($path, $end) = @_;
	my $text = slurp_file("$top/sql/$path");

	$text =~ /^\Q$end\E/m or die "$path has no line \"$end\"";
	return substr($text, 0, $-[0]);
}

# SQL that changes a table past the guards, and puts them back.
sub past
{
	my ($db, $table, @sql) = @_;
	my $events = query($node, $db, <<'SQL');
SELECT string_agg(format('ALTER EVENT TRIGGER %I DISABLE;', evtname), ' ') FROM pg_event_trigger
SQL

	return join "\n", 'BEGIN;', $events,
	  (map { "ALTER TABLE $_ DISABLE TRIGGER USER;" } split / /, $table), @sql,
	  (map { my $t = $_; "ALTER TABLE $t ENABLE ALWAYS TRIGGER medsync_capture;",
			"ALTER TABLE $t ENABLE ALWAYS TRIGGER medsync_truncate;" } split / /, $table),
	  $events =~ s/DISABLE/ENABLE ALWAYS/gr, 'COMMIT;';
}

sub rows_of
{
	my ($db, $schema) = @_;
	return query($node, $db, <<SQL);
SELECT count(*) || ' tables, ' || sum((xpath('/row/n/text()',
	query_to_xml(format('SELECT count(*) AS n FROM ONLY %s', c.oid::regclass), false, true, '')))[1]::text::int) || ' rows'
FROM pg_class c JOIN medsync.tracked t ON to_regclass(t.relation) = c.oid
WHERE c.relkind = 'r'
SQL
}

sub compared
{
	my ($report) = @_;
	return "$report->{summary}{tables} tables, $report->{summary}{rows} rows";
}

# ---- every type ----

$node->safe_psql('postgres', 'CREATE DATABASE types');
$node->safe_psql('types', part_of('types.sql', 'SELECT severity, verdict, relation, row_key, detail'));

# types that hold types that hold types
$node->safe_psql('types', <<'SQL');
SET search_path = types;
CREATE DOMAIN word AS text CHECK (length(VALUE) < 100);
CREATE DOMAIN words AS word[];
CREATE TYPE thing AS (a words, b "char"[], "C ""c""" name[], d box[]);
CREATE DOMAIN named_thing AS thing;
CREATE DOMAIN things AS named_thing[];
CREATE TYPE nothing AS ();
CREATE TYPE word_range AS RANGE (subtype = word);
CREATE TABLE row_type (gone int, a text);
ALTER TABLE row_type DROP COLUMN gone;
ALTER TABLE row_type ADD b int4multirange;
CREATE TABLE holder (id int PRIMARY KEY, a words, b thing, c things, d nothing, e word_range, f word_range[], g row_type,
	h row_type[], "i ""é""" named_thing);
SELECT medsync.track('holder', 'id');
INSERT INTO holder VALUES (1, '{A,"b \"q\"",NULL}', ROW('{x}', ARRAY['a', '\377', '', NULL]::"char"[], '{"n m",o}', '{(1,1),(0,0);(2,2),(1,1)}'),
	ARRAY[ROW('{"x,y"}', NULL, NULL, '{}')::thing, NULL]::things, ROW(), '[a,"b c"]',
	ARRAY['[a,"b c"]'::word_range, 'empty', NULL, '(,"\\\"")', '["",b)'], ROW('t"x\', '{[1,2),[5,)}')::row_type,
	ARRAY[ROW(NULL, NULL)::row_type, ROW('', '{}')::row_type], ROW('{}', '{}', '{}', '{}'));
INSERT INTO holder (id) VALUES (2);
INSERT INTO holder VALUES (3, '[-2:-1]={a,"{b}"}');
SQL
$node->safe_psql('types', 'SELECT medsync.seal()');
my $report = clean('a table of each type', 'types');
is(compared($report), rows_of('types'), 'all of their rows were compared');
cmp_ok($report->{summary}{tables}, '>', 75, 'there are many types');
cmp_ok($report->{summary}{rows}, '>', 250, 'and many values');

# what receipts show of a row is what to_jsonb() prints, but for what the
# canonical bytes do not tell: attribute names, and what is JSON inside text
$node->safe_psql('types', <<'SQL');
CREATE FUNCTION public.shown_otherwise() RETURNS SETOF text LANGUAGE plpgsql SET TimeZone = 'UTC' AS $$
DECLARE
	relation regclass;
	live record;
	receipt record;
	key text := medsync.verifier_key();
BEGIN
	FOR relation IN SELECT to_regclass(t.relation) FROM medsync.tracked AS t LOOP
		FOR live IN EXECUTE format('SELECT id, to_jsonb(t) AS j FROM %s t', relation) LOOP
			CONTINUE WHEN relation = 'types.holder'::regclass;
			SELECT * INTO receipt FROM medsync.verify_receipt(
				medsync.receipt(relation, jsonb_build_object('id', live.id)), key);
			IF receipt.verdict <> 'valid' OR (receipt.detail::jsonb->'row')::text IS DISTINCT FROM live.j::text THEN
				RETURN NEXT relation || ' ' || live.id;
			END IF;
		END LOOP;
	END LOOP;
END
$$;
SQL
is(query($node, 'types', q{SELECT string_agg(DISTINCT split_part(t, ' ', 1), ' ') FROM public.shown_otherwise() AS t}),
	'types.t_int2vector types.t_json types.t_nested types.t_oidvector types.t_pair types.t_pair_array',
	'rows as JSON');

# one value of each type takes the place of another, or NULL does
my %swapped = map { split /\|/ } split /\n/, query($node, 'types', <<'SQL');
CREATE FUNCTION pg_temp.other(relation regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found text;
BEGIN
	EXECUTE format('SELECT a.id || '','' || b.id FROM %s a, %1$s b
		WHERE record_image_ne(row(a.c), row(b.c)) ORDER BY a.id, b.id LIMIT 1', relation) INTO found;
	RETURN coalesce(found, '1,0');
END
$$;
SELECT c.oid::regclass, pg_temp.other(c.oid) FROM pg_class c
WHERE relnamespace = 'types'::regnamespace AND relkind = 'r' AND relname <> 'row_type' AND relname <> 'holder';
SQL
cmp_ok(scalar(grep { !/,0$/ } values %swapped), '>', 30, 'many tables have two values');
my @swaps;
my @altered;
foreach my $table (sort keys %swapped)
{
	my ($id, $other) = split /,/, $swapped{$table};

	push @swaps, "UPDATE $table SET c = (SELECT c FROM $table WHERE id = $other) WHERE id = $id;";
	push @altered, qq(altered $table {"id":$id});
}
$node->safe_psql('types', past('types', join(' ', sort keys %swapped), @swaps));
finds('a value of each type, changed', 'types', \@altered);

# ---- whatever the settings ----

$node->safe_psql('postgres', 'CREATE DATABASE styles');
$node->safe_psql('styles', part_of('canonical.sql', '--
-- Storage: inline'));
$node->safe_psql('styles', part_of('canonical.sql', '-- past the triggers: the same value') =~ s/.*^-- Storage: inline.*?$/SET search_path = canonical;/msr);
$node->safe_psql('styles', <<'SQL');
SELECT medsync.seal();
CREATE SCHEMA evil;
CREATE FUNCTION evil.set_config(text, text, bool) RETURNS text LANGUAGE sql AS $$ SELECT 'evil' $$;
CREATE FUNCTION evil.evil_eq(oid, oid) RETURNS bool LANGUAGE sql AS $$ SELECT false $$;
CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.evil_eq);
CREATE FUNCTION evil.evil_eq(name, name) RETURNS bool LANGUAGE sql AS $$ SELECT false $$;
CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.evil_eq);
CREATE FUNCTION evil.evil_eq(tid, tid) RETURNS bool LANGUAGE sql AS $$ SELECT false $$;
CREATE OPERATOR evil.= (LEFTARG = tid, RIGHTARG = tid, FUNCTION = evil.evil_eq);
CREATE TABLE evil.pg_class AS SELECT * FROM pg_catalog.pg_class LIMIT 0;
CREATE TABLE evil.pg_type AS SELECT * FROM pg_catalog.pg_type LIMIT 0;
CREATE TABLE evil.every (id text);
GRANT USAGE ON SCHEMA evil TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA evil TO PUBLIC;
DO $$
DECLARE
	setting record;
BEGIN
	FOR n IN 1 .. 5 LOOP
		EXECUTE pg_catalog.format('CREATE ROLE auditor_%s LOGIN IN ROLE medsync_auditor, pg_read_all_data', n);
		FOR setting IN SELECT * FROM canonical.style WHERE number = n LOOP
			BEGIN
				EXECUTE pg_catalog.format('ALTER ROLE auditor_%s SET %s = %L', n, setting.name, setting.value);
			EXCEPTION WHEN invalid_parameter_value THEN
				NULL;			-- no such locale
			END;
		END LOOP;
	END LOOP;
END
$$;
ALTER ROLE auditor_5 SET search_path = evil, canonical, pg_catalog;
ALTER ROLE auditor_5 SET statement_timeout = '60s';
ALTER ROLE auditor_5 SET default_transaction_read_only = on;
ALTER ROLE auditor_5 SET default_transaction_isolation = 'read uncommitted';
ALTER DATABASE styles SET DateStyle = 'German, DMY';
ALTER DATABASE styles SET extra_float_digits = -15;
ALTER DATABASE styles SET IntervalStyle = 'iso_8601';
SQL
for my $n (1 .. 5)
{
	my $by_role = clean("settings of role $n", 'styles', role => "auditor_$n");

	is(compared($by_role), rows_of('styles'), "role $n: all rows were compared");
}
clean('settings in the connection', 'styles', conninfo => $node->connstr('styles')
	  . q{ options='-c DateStyle=SQL,DMY -c search_path=evil -c bytea_output=escape -c IntervalStyle=sql_standard -c TimeZone=Asia/Tokyo -c client_encoding=LATIN1'});

# ---- tables and rows that were changed past the guards ----

$node->safe_psql('postgres', 'CREATE DATABASE clinic');
$node->safe_psql('clinic', <<'SQL');
CREATE EXTENSION medsync;
CREATE TABLE patient (id int PRIMARY KEY, name text, born date, last_seen timestamptz);
CREATE TABLE hashed (id int, ward text, patient int, value numeric, PRIMARY KEY (ward, id));
CREATE TABLE keyless (patient int, value text);
CREATE TABLE "odd ""name""'s" ("a ""b""'s" text PRIMARY KEY, "select" int);
CREATE TABLE visit (id int, day date, patient int, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
INSERT INTO patient SELECT i, 'name ' || i, '1950-01-01'::date + i FROM generate_series(1, 50) i;
SELECT medsync.track('patient', subject => 'id', exclude => '{last_seen}');
SELECT medsync.track('hashed', subject => 'patient', payload => 'hash');
SELECT medsync.track('keyless', subject => 'patient');
SELECT medsync.track('"odd ""name""''s"', payload => 'hash');
SELECT medsync.track('visit', subject => 'patient');
INSERT INTO hashed SELECT i, 'ward ' || i % 3, i, i / 7.0 FROM generate_series(1, 20) i;
INSERT INTO keyless SELECT i, 'value ' || i FROM generate_series(1, 20) i;
INSERT INTO keyless SELECT 1, 'twice' FROM generate_series(1, 2) i;
INSERT INTO keyless VALUES (NULL, NULL);
INSERT INTO "odd ""name""'s" VALUES ('x', 1);
INSERT INTO visit SELECT i, '2026-01-05'::date + i, i, 'note' FROM generate_series(1, 40) i;
SELECT medsync.seal();
UPDATE patient SET name = 'other' WHERE id <= 5;
DELETE FROM patient WHERE id = 50;
UPDATE visit SET day = '2026-02-20' WHERE id = 1;
ALTER TABLE patient ADD COLUMN phone text;
ALTER TABLE patient RENAME COLUMN name TO full_name;
ALTER TABLE hashed RENAME TO lab;
UPDATE patient SET phone = '0' WHERE id = 7;
SELECT medsync.seal();
UPDATE patient SET full_name = 'unsealed' WHERE id = 20;
UPDATE patient SET last_seen = now();
SQL
$report = clean('a clinic', 'clinic', argument => [ '--state', "$dir/state" ]);
is(compared($report), rows_of('clinic'), 'all rows were compared');
is($report->{summary}{unsealed}, 50, 'some changes wait for the sealer');
clean('a clinic, remembered', 'clinic', argument => [ '--state', "$dir/state" ]);

my @attacks = (
	[
		'a changed row',
		"UPDATE patient SET full_name = 'changed' WHERE id = 30;",
		"UPDATE patient SET full_name = 'name 30' WHERE id = 30;",
		'patient', 'altered public.patient {"id":30}'
	],
	[
		'NULL for a value', 'UPDATE lab SET value = NULL WHERE id = 3;',
		'UPDATE lab SET value = 3 / 7.0 WHERE id = 3;', 'lab', 'altered public.lab {"id":3,"ward":"ward 0"}'
	],
	[
		'a deleted row', 'DELETE FROM lab WHERE id = 4;',
		"INSERT INTO lab VALUES (4, 'ward 1', 4, 4 / 7.0);", 'lab', 'missing public.lab'
	],
	[
		'an inserted row', "INSERT INTO lab VALUES (100, 'ward 1', 1, 0);",
		'DELETE FROM lab WHERE id = 100;', 'lab', 'extra public.lab {"id":100,"ward":"ward 1"}'
	],
	[
		'a row of somebody new', "INSERT INTO patient VALUES (1000, 'nobody');",
		'DELETE FROM patient WHERE id = 1000;', 'patient', 'extra public.patient {"id":1000}'
	],
	[
		'another key', 'UPDATE patient SET id = 2000 WHERE id = 31;', 'UPDATE patient SET id = 31 WHERE id = 2000;',
		'patient', 'extra public.patient {"id":2000}', 'missing public.patient'
	],
	[
		'another subject', 'UPDATE lab SET patient = 9 WHERE id = 5;', 'UPDATE lab SET patient = 5 WHERE id = 5;',
		'lab', 'altered public.lab {"id":5,"ward":"ward 2"}'
	],
	[
		'two rows that change places',
		"UPDATE patient SET full_name = 'name ' || (81 - id), born = '1950-01-01'::date + (81 - id) WHERE id IN (40, 41);",
		"UPDATE patient SET full_name = 'name ' || id, born = '1950-01-01'::date + id WHERE id IN (40, 41);",
		'patient', 'altered public.patient {"id":40}', 'altered public.patient {"id":41}'
	],
	[
		'an earlier version', "UPDATE patient SET full_name = 'name 1' WHERE id = 1;",
		"UPDATE patient SET full_name = 'other' WHERE id = 1;", 'patient', 'altered public.patient {"id":1}'
	],
	[
		'no key: a changed row', "UPDATE keyless SET value = 'changed' WHERE patient = 2;",
		"UPDATE keyless SET value = 'value 2' WHERE patient = 2;",
		'keyless', 'extra public.keyless', 'missing public.keyless'
	],
	[
		'no key: one of two equal rows',
		"DELETE FROM keyless WHERE ctid = (SELECT min(ctid) FROM keyless WHERE value = 'twice');",
		"INSERT INTO keyless VALUES (1, 'twice');", 'keyless', 'missing public.keyless'
	],
	[
		'no key: a row of NULLs', 'DELETE FROM keyless WHERE patient IS NULL;',
		'INSERT INTO keyless VALUES (NULL, NULL);', 'keyless', 'missing public.keyless'
	],
	[
		'odd names', q{UPDATE "odd ""name""'s" SET "select" = 2;}, q{UPDATE "odd ""name""'s" SET "select" = 1;},
		q{"odd_""name""'s"}, q{altered public."odd ""name""'s" {"a \"b\"'s":"x"}}
	],
	[
		'a partition', "UPDATE visit SET note = 'changed' WHERE id = 1;", "UPDATE visit SET note = 'note' WHERE id = 1;",
		'visit_2', 'altered public.visit_2 {"day":"2026-02-20","id":1}'
	],
	[
		'a row in another partition', "UPDATE visit SET day = '2026-02-25' WHERE id = 2;",
		"UPDATE visit SET day = '2026-01-07' WHERE id = 2;",
		'visit visit_1 visit_2', 'extra public.visit_2 {"day":"2026-02-25","id":2}', 'missing public.visit_1'
	]);

foreach my $attack (@attacks)
{
	my ($name, $do, $undo, $tables, @expected) = @$attack;

	$node->safe_psql('clinic', past('clinic', $tables, $do) =~ s/odd_/odd /gr);
	finds($name, 'clinic', \@expected);
	$node->safe_psql('clinic', past('clinic', $tables, $undo) =~ s/odd_/odd /gr);
}
$report = finds('before all attacks and after', 'clinic', []);

# where a finding is
$node->safe_psql('clinic', past('clinic', 'patient', "UPDATE patient SET full_name = 'changed' WHERE id = 30;"));
$report = finds('a changed row, once more', 'clinic', ['altered public.patient {"id":30}']);
is( join('|', map { $report->{findings}[-1]{$_} } qw(block entry_index expected)),
	query($node, 'clinic', "SELECT block, entry_index, expected FROM medsync.verify() WHERE verdict = 'altered'"),
	'block, entry and commitment are those that verify() gives');
is( $report->{findings}[-1]{found},
	query($node, 'clinic', "SELECT found FROM medsync.verify() WHERE verdict = 'altered'"),
	'and so is what was found');
$node->safe_psql('clinic', past('clinic', 'patient', "UPDATE patient SET full_name = 'name 30' WHERE id = 30;"));

# whole tables
$node->safe_psql('clinic', past('clinic', 'lab', 'TRUNCATE lab;'));
$report = finds('a truncated table', 'clinic', [ ('missing public.lab') x 20 ]);
$node->safe_psql('clinic', past('clinic', 'lab',
	"INSERT INTO lab SELECT i, 'ward ' || i % 3, i, i / 7.0 FROM generate_series(1, 20) i;"));
clean('and filled again', 'clinic');

my $events = query($node, 'clinic', q{SELECT string_agg(format('ALTER EVENT TRIGGER %I DISABLE;', evtname), ' ') FROM pg_event_trigger});
my $events_back = $events =~ s/DISABLE/ENABLE ALWAYS/gr;

$node->safe_psql('clinic', "$events ALTER TABLE lab RENAME TO lab_kept; $events_back");
finds('a table that is gone', 'clinic', ['missing public.lab']);
$node->safe_psql('clinic', "$events CREATE VIEW lab AS SELECT * FROM lab_kept; $events_back");
finds('a view in its place', 'clinic', ['altered public.lab']);
$node->safe_psql('clinic', "$events DROP VIEW lab; ALTER TABLE lab_kept RENAME TO lab; $events_back");

$node->safe_psql('clinic', "$events ALTER TABLE lab ADD COLUMN smuggled int; $events_back");
finds('a column that no entry announced', 'clinic', ['altered public.lab']);
$node->safe_psql('clinic', "$events ALTER TABLE lab DROP COLUMN smuggled; $events_back");
$node->safe_psql('clinic', "$events ALTER TABLE lab ALTER value TYPE text; $events_back");
finds('a column of another type', 'clinic',
	[ map { my $w = $_ % 3; qq{altered public.lab {"id":$_,"ward":"ward $w"}} } 1 .. 20 ]);
$node->safe_psql('clinic', "$events ALTER TABLE lab ALTER value TYPE numeric USING value::numeric; $events_back");
clean('and back', 'clinic');

# its row in the ledger's list of tables
$node->safe_psql('clinic', 'CREATE TABLE kept AS SELECT * FROM medsync._table');
$node->safe_psql('clinic', "DELETE FROM medsync._table WHERE table_name = 'lab'");
finds('a table that is gone from the list', 'clinic', ['entry_altered public.lab']);
$node->safe_psql('clinic', "INSERT INTO medsync._table SELECT * FROM kept WHERE table_name = 'lab'");

# keys
$node->safe_psql('clinic', <<'SQL');
CREATE TABLE kept_keys AS SELECT * FROM medsync._subject_key;
UPDATE medsync._subject_key SET wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1)
	WHERE key_id = (SELECT key_id FROM medsync._subject_key ORDER BY key_id DESC LIMIT 1);
SQL
my (undef, $damaged) = live('clinic');
ok( scalar(grep { $_->{verdict} eq 'key_missing' && $_->{detail} =~ /^\d+ rows have a subject whose key is missing/ }
		  @{ $damaged->{findings} }),
	'rows whose key does not open') or diag(explain($damaged->{findings}));
rename key_file($node, 'clinic'), "$dir/key" or die $!;
(undef, $damaged) = live('clinic');
is( join(' ', sort map { short($_) } grep { $_->{severity} ne 'notice' } @{ $damaged->{findings} }),
	join(' ', map { "key_missing public.$_" } ('"odd ""name""\'s"', qw(keyless lab patient visit_1 visit_2))),
	'without the master key no row can be compared, and none is missing');
rename "$dir/key", key_file($node, 'clinic') or die $!;
$node->safe_psql('clinic', <<'SQL');
DELETE FROM medsync._subject_key;
INSERT INTO medsync._subject_key SELECT * FROM kept_keys;
SQL
clean('with all keys', 'clinic');

# ---- who may, and what cannot be checked ----

$node->safe_psql('clinic', <<'SQL');
CREATE ROLE nobody LOGIN;
CREATE ROLE outsider LOGIN IN ROLE pg_read_all_data;
CREATE ROLE blind LOGIN IN ROLE medsync_auditor;
CREATE ROLE auditor LOGIN IN ROLE medsync_auditor;
GRANT SELECT ON patient, lab, keyless, "odd ""name""'s", visit, visit_1, visit_2 TO auditor;
SQL
clean('a role with SELECT on the tables', 'clinic', role => 'auditor');
cannot('a role with no rights', qr/permission denied.*member of medsync_auditor/, 'clinic', role => 'nobody');
cannot('a role that is no auditor', qr/permission denied.*member of medsync_auditor/, 'clinic', role => 'outsider');
cannot('a role that cannot read the tables', qr/permission denied for table .*SELECT on every tracked table/,
	'clinic', role => 'blind');
$node->safe_psql('clinic', <<'SQL');
ALTER TABLE lab ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON lab USING (id < 5);
SQL
cannot('row security', qr/lab.*row-level security.*BYPASSRLS/, 'clinic', role => 'auditor');
$node->safe_psql('clinic', 'ALTER ROLE auditor BYPASSRLS');
clean('row security, for a role that is past it', 'clinic', role => 'auditor');
cannot('no such database', qr/database "none" does not exist/, 'clinic', conninfo => $node->connstr('none'));
cannot('no medsync', qr/does not have the extension medsync/, 'clinic', conninfo => $node->connstr('postgres'));
cannot('no connection string', qr/medsync-verify: /, 'clinic', conninfo => 'nonsense');
mkdir "$dir/lib" or die $!;
append_to_file("$dir/lib/libpq.so.5", '');
{
	local $ENV{LD_LIBRARY_PATH} = "$dir/lib";
	cannot('no libpq', qr/needs libpq/, 'clinic');
}
is(query($node, 'clinic', 'SELECT has_function_privilege(role, \'medsync._openings(regclass)\', \'EXECUTE\') FROM unnest(ARRAY[\'nobody\', \'auditor\']) AS role'),
	"f\nt", 'only auditors are told openings');

# ---- what a server says that lies ----

$node->safe_psql('postgres', 'CREATE DATABASE liar');
$node->safe_psql('liar', <<'SQL');
CREATE EXTENSION medsync;
CREATE TABLE ward (id int PRIMARY KEY, name text);
CREATE TABLE keyless (patient int, value text);
SELECT medsync.track('ward');
SELECT medsync.track('keyless', subject => 'patient');
INSERT INTO ward SELECT i, 'ward ' || i FROM generate_series(1, 9) i;
INSERT INTO keyless SELECT 1, 'equal' FROM generate_series(1, 5) i;
SELECT medsync.seal();
SQL

# One of the functions that we read gives something else, until the next call.
sub lie
{
	my ($function, $argument, $result, $body) = @_;
	my $undo = "DROP FUNCTION medsync.$function($argument); ALTER FUNCTION medsync.${function}_true($argument) RENAME TO $function;";

	$node->safe_psql('liar', <<SQL);
ALTER FUNCTION medsync.$function($argument) RENAME TO ${function}_true;
CREATE FUNCTION medsync.$function($argument) RETURNS $result LANGUAGE plpgsql SET search_path = pg_catalog AS \$\$ BEGIN $body END \$\$;
SQL
	return sub { $node->safe_psql('liar', $undo) };
}

my @openings = ('_openings', 'regclass', 'TABLE (tid tid, opening bytea, row_key bytea)');

# the report names what was compared
$report = clean('before any lie', 'liar');
is_deeply($report->{tables}, [ { relation => 'public.ward', rows => 9 }, { relation => 'public.keyless', rows => 5 } ],
	'tables that were compared, with their rows');
like((run_command([ 'medsync-verify', 'live', $node->connstr('liar'), '--key', key_of('liar') ]))[0],
	qr/^compared: public\.ward, 9 rows\ncompared: public\.keyless, 5 rows$/m, 'and as text');

# an entry that no block holds cannot take a table away without a word
$node->safe_psql('liar', q{SELECT medsync.untrack('ward')});
$report = finds('a table that an unsealed entry lets go', 'liar', ['unsealed public.ward']);
is(join(' ', map { $_->{relation} } @{ $report->{tables} }), 'public.keyless', 'it is not compared');
$node->safe_psql('liar', 'SELECT medsync.seal()');
clean('a table that a sealed entry lets go', 'liar');
$node->safe_psql('liar', q{SELECT medsync.track('ward')});
$report = clean('a table that an unsealed entry announces', 'liar');
is($report->{summary}{tables}, 2, 'it is compared');
$node->safe_psql('liar', 'SELECT medsync.seal()');

# nor be of a transaction that the blocks had their turn with
my $truth = lie('_entries', 'bigint', 'SETOF bytea', <<'SQL');
	DECLARE
		r bytea;
		sealed bytea;
	BEGIN
		FOR r IN SELECT * FROM medsync._entries_true($1) LOOP
			IF get_byte(r, 0) = ascii('E') THEN
				sealed := r;
			ELSIF get_byte(r, 0) = ascii('Z') THEN
				RETURN NEXT set_byte(sealed, 0, ascii('U'));
			END IF;
			RETURN NEXT r;
		END LOOP;
	END;
SQL
(undef, $report) = live('liar');
ok( scalar(grep { $_->{verdict} eq 'entry_extra' && $_->{detail} =~ /is not sealed, though it had ended/ } @{ $report->{findings} }),
	'an unsealed entry of a transaction that ended before the last block') or diag(explain($report->{findings}));
$truth->();

# A server that stands between us and the true one: what that says goes through
# a function, message by message.
sub between
{
	my ($change) = @_;
	my $listener = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "socket: $!";
	my $pid = fork();

	die "fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		my $client = $listener->accept;
		my $true = IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port) or POSIX::_exit(1);
		my $both = IO::Select->new($client, $true);
		my $said = '';

		while (my @ready = $both->can_read(60))
		{
			foreach my $from (@ready)
			{
				sysread($from, my $bytes, 65536) or POSIX::_exit(0);
				if ($from == $client)
				{
					syswrite($true, $bytes);
					next;
				}
				$said .= $bytes;
				while (length($said) > 4 && length($said) > (my $len = unpack('xN', $said)))
				{
					syswrite($client, $change->(substr($said, 0, $len + 1, '')));
				}
			}
		}
		POSIX::_exit(0);
	}
	my $conninfo = 'host=127.0.0.1 port=' . $listener->sockport . ' user=' . query($node, 'liar', 'SELECT current_user')
	  . ' dbname=liar sslmode=disable gssencmode=disable';
	return ($conninfo, sub { kill 'KILL', $pid; waitpid $pid, 0 });
}

my ($conninfo, $stop) = between(sub { $_[0] });
clean('a server between', 'liar', conninfo => $conninfo);
$stop->();

# one of equal rows is gone, and the server gives another one twice
$node->safe_psql('liar', past('liar', 'keyless', q{DELETE FROM keyless WHERE ctid = '(0,2)';}));
finds('one of equal rows is gone', 'liar', ['missing public.keyless']);
foreach my $case ([ 'right after it', 1 ], [ 'at the end', 0 ])
{
	my ($name, $at_once) = @$case;
	my $row = '';

	($conninfo, $stop) = between(sub {
		my ($message) = @_;
		my $type = substr($message, 0, 1);

		return $message . ($at_once ? $message : '') if $type eq 'D' && ($row = $message) =~ /\(0,5\)/;
		$row = '' if $type eq 'T';
		return ($at_once || $row !~ /\(0,5\)/ || $type ne 'C' ? '' : $row) . $message;
	});
	cannot("a row that comes twice, $name", qr/gave row \(0,5\) of table public\.keyless twice/, 'liar', conninfo => $conninfo);
	$stop->();
}
$truth = lie(@openings, 'RETURN QUERY SELECT * FROM medsync._openings_true($1) AS o; RETURN QUERY SELECT * FROM medsync._openings_true($1) AS o LIMIT 1;');
cannot('more openings than rows', qr/openings of other rows/, 'liar');
$truth->();
$truth = lie(@openings, 'RETURN QUERY SELECT * FROM medsync._openings_true($1) AS o OFFSET 1;');
cannot('fewer openings than rows', qr/openings of other rows/, 'liar');
$truth->();
$node->safe_psql('liar', past('liar', 'keyless', q{INSERT INTO keyless VALUES (1, 'equal');}));

# the server has no words of its own for a value that it cannot print
$truth = lie(@openings, q{RAISE 'invalid memory alloc request size 1073741827' USING ERRCODE = 'XX000';});
cannot('a value that is too large', qr/table public\.\w+ holds a value that is too large/, 'liar');
$truth->();
$truth = lie(@openings, q{RAISE 'invalid page' USING ERRCODE = 'XX001';});
finds('a page that cannot be read', 'liar', [ 'altered public.ward', 'altered public.keyless' ]);
$truth->();

# ---- nothing waits for ever ----

my @impatient = (argument => [ '--timeout', 2 ]);

$node->safe_psql('liar', q{BEGIN; LOCK TABLE ward IN ACCESS EXCLUSIVE MODE; PREPARE TRANSACTION 'holder';});
cannot('a table that somebody holds', qr/could not be locked for reading: .*lock timeout.*--timeout/, 'liar', @impatient);
$node->safe_psql('liar', q{ROLLBACK PREPARED 'holder'});
clean('a table that was let go', 'liar', @impatient);

$truth = lie('_entries', 'bigint', 'SETOF bytea', 'PERFORM pg_sleep(100); RETURN QUERY SELECT * FROM medsync._entries_true($1);');
cannot('a server that takes its time', qr/has not answered for 2 seconds/, 'liar', @impatient);
$node->safe_psql('liar', q{SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE query ~ '_entries' AND pid <> pg_backend_pid()});
$truth->();
foreach my $after (1, 40)
{
	my $count = 0;

	($conninfo, $stop) = between(sub { $count++ < $after ? $_[0] : '' });
	cannot("a server that is silent after $after messages", qr/has not answered for 2 seconds|timeout expired/, 'liar',
		conninfo => $conninfo, @impatient);
	$stop->();
}
cannot('a timeout that is none', qr/invalid value "-1" for option --timeout/, 'liar', argument => [ '--timeout', '-1' ]);

# ---- between signing and cosigning ----

my $witness = FakeWitness->new("$dir/witness");
$witness->add('one');
$node->safe_psql('liar', sprintf q{SELECT medsync.add_witness('one', '%s', '%s')}, $witness->url('one'), $witness->verifier_key('one'));

my @witnessed = ('--key', $witness->verifier_key('one'), '--witnesses', 1);
my $seal = 'INSERT INTO ward SELECT 1000 + (random() * 1e8)::int; SELECT medsync.seal()';

finds('a checkpoint that no witness has seen', 'liar', ['bad_signature -'], argument => [ @witnessed, '--state', "$dir/liar" ]);
ok(-e "$dir/liar", 'which does not keep it from being remembered');
is(query($node, 'liar', 'SELECT state FROM medsync.submit_checkpoint()'), 'cosigned', 'a witness cosigns');
$report = clean('a checkpoint that it has cosigned', 'liar', argument => [ @witnessed, '--state', "$dir/liar" ]);
is($report->{witnesses}, 1, 'by one witness');
$node->safe_psql('liar', $seal) for 1 .. 3;
$report = clean('newer ones that it has not seen yet', 'liar', argument => [ @witnessed, '--state', "$dir/liar" ]);
is($report->{witnesses}, 0, 'the newest is cosigned by none');
like(slurp_file("$dir/liar"), qr/^$report->{size}$/m, 'and remembered');
sleep 2;
finds('it has not cosigned for too long', 'liar', ['bad_signature -'], argument => [ @witnessed, '--max-age', 1 ]);
finds('two are demanded', 'liar', ['bad_signature -'],
	argument => [ @witnessed[0, 1], '--key', do { $witness->add('two'); $witness->verifier_key('two') }, '--witnesses', 2 ]);

# ---- many rows ----

# each changed row finds its own among the missing ones, in any order
$node->safe_psql('liar', <<'SQL');
CREATE TABLE many (id int PRIMARY KEY, v text);
SELECT medsync.track('many');
INSERT INTO many SELECT i, 'v' || i FROM generate_series(1, 5000) i ORDER BY hashint4(i);
SELECT medsync.seal();
SQL
$node->safe_psql('liar', past('liar', 'many', q{UPDATE many SET v = 'changed' WHERE id > 500; DELETE FROM many WHERE id <= 250;}));
(undef, $report) = live('liar');
my %count;
$count{"$_->{verdict} $_->{relation}"}++ foreach grep { $_->{severity} ne 'notice' } @{ $report->{findings} };
is_deeply(\%count, { 'altered public.many' => 4500, 'missing public.many' => 250 }, 'changed rows and missing ones');
is(join(' ', map { $_->{row_key}{id} // () } @{ $report->{findings} }),
	query($node, 'liar', q{SELECT string_agg(id::text, ' ' ORDER BY ctid) FROM many WHERE id > 500}),
	'changed rows in the order in which they lie');

# ---- a standby ----

$node->backup('standby');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'standby', has_streaming => 1);
$standby->start;

# a base backup made by the tests does not keep the file's mode
chmod 0600, key_file($standby, 'clinic');
$node->wait_for_catchup($standby);
clean('a standby', 'clinic', node => $standby);
$standby->stop;

# ---- while others write ----

$node->safe_psql('clinic', 'CREATE TABLE counter (id int PRIMARY KEY, n int, note text)');
$node->safe_psql('clinic', q{SELECT medsync.track('counter', subject => 'id')});
$node->safe_psql('clinic', q{INSERT INTO counter SELECT i, 0 FROM generate_series(1, 100) i});
my $writers = pgbench_start($node, 'clinic', '-c', 4, '-T', 8, '-f', script('write.sql', <<'SQL'));
\set id random(1, 100)
\set new random(1000, 1000000)
BEGIN;
UPDATE counter SET n = n + 1 WHERE id = :id;
INSERT INTO counter VALUES (:new, 0, 'new') ON CONFLICT DO NOTHING;
DELETE FROM counter WHERE id IN (SELECT id FROM counter WHERE id > 1000 AND id <> :new ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED);
COMMIT;
SELECT medsync.seal() WHERE :id = 7;
SQL
my @runs = map { [ live('clinic') ] } 1 .. 5;
pgbench_finish($writers);
is(join(' ', map { $_->[0] } @runs), '0 0 0 0 0', 'clean while others write')
  or diag(explain([ map { $_->[1]{findings} } @runs ]));
my ($first, $last) = map { $_->[1]{summary}{entries} + $_->[1]{summary}{unsealed} } @runs[0, -1];
cmp_ok($last, '>', $first, 'and they did write');
is($writers->{status}, 0, 'writers were not disturbed') or diag($writers->{err});
is(query($node, 'clinic', q{SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'}),
	'0', 'nothing is left open');
is_quiet($node);

done_testing();
