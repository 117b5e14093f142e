
# People, keys and records for the TAP tests of the records' room.

package MedsyncRecords;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use JSON::PP ();
use MedsyncTest;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(add_people as denied put outside_python open_outside stored_record);

# Roles and people: alice (practitioner, no key), bob (nurse, X25519), carol
# (practitioner, RSA), pat and paul (patients), nils (not verified).  eve has a
# role only.  Private keys are in table testing.key.
sub add_people
{
	my ($node, $db) = @_;

	foreach my $role (qw(alice bob carol pat paul nils eve))
	{
		$node->safe_psql($db, "CREATE ROLE $role LOGIN")
		  if query($node, $db, "SELECT count(*) FROM pg_roles WHERE rolname = '$role'") eq '0';
	}
	$node->safe_psql($db, <<'SQL');
CREATE TABLE testing.person AS
	SELECT name, medsync.register_person(kind, name, name::regrole, subject) AS id
	FROM (VALUES ('alice', 'practitioner', NULL), ('bob', 'nurse', NULL), ('carol', 'practitioner', NULL),
		('pat', 'patient', 'patient-1'), ('paul', 'patient', 'patient-2'), ('nils', 'nurse', NULL)) v (name, kind, subject);
SELECT medsync.verify_person(id) FROM testing.person WHERE name <> 'nils';
CREATE TABLE testing.key AS
	SELECT name, algorithm, (p).public_key, (p).private_key
	FROM (SELECT *, medsync.generate_key_pair(algorithm) AS p
		FROM (VALUES ('bob', 'x25519'), ('carol', 'rsa-2048'), ('paul', 'x25519')) v (name, algorithm)) k;
SELECT medsync.add_key(p.id, k.algorithm, k.public_key) FROM testing.key k JOIN testing.person p USING (name);
CREATE FUNCTION testing.id(text) RETURNS uuid STABLE LANGUAGE sql AS 'SELECT id FROM testing.person WHERE name = $1';
CREATE FUNCTION testing.private_key(text) RETURNS bytea STABLE LANGUAGE sql
	AS 'SELECT private_key FROM testing.key WHERE name = $1';
-- n bytes, no two MiB of them alike
CREATE FUNCTION testing.bytes(n int, seed int DEFAULT 0) RETURNS bytea IMMUTABLE LANGUAGE sql AS $$
	SELECT substr(coalesce(string_agg(int4send(i) || b.block, ''), ''), 1, n)
	FROM generate_series(seed, seed + n / 1048576) i,
		(SELECT string_agg(sha256(int4send(j)), '') AS block FROM generate_series(1, 32768) j) b
$$;
GRANT USAGE ON SCHEMA testing TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA testing TO PUBLIC;
SQL
	return;
}

# SQL as a role; dies if it fails.
sub as
{
	my ($node, $db, $role, $sql) = @_;
	my ($out, $err) = ('', '');
	my $status = $node->psql($db, $sql, stdout => \$out, stderr => \$err,
		on_error_stop => 1, extra_params => [ '-U', $role ]);

	die "as $role: $sql\n$err" if $status != 0;
	return $out;
}

# SQL as a role is refused with this SQLSTATE.
sub denied
{
	my ($node, $db, $role, $sql, $state, $name, %option) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return refused($node, $db, $sql, $state, $name, %option,
		psql => [ extra_params => [ '-U', $role ] ]);
}

# A record of alice's about patient-1.  Returns its id.
sub put
{
	my ($node, $db, $content, $recipients, %option) = @_;
	my $role    = $option{as}      || 'alice';
	my $patient = $option{patient} || 'patient-1';
	my $record  = $option{record} ? "'$option{record}'" : 'NULL';
	my $ids     = join ', ', map { "testing.id('$_')" } @{ $recipients || [] };

	return as($node, $db, $role,
		"SELECT medsync.put_record('$patient', $content, 'text/plain', ARRAY[$ids]::uuid[], $record)");
}

# A Python with what the outside needs, or undef.
sub outside_python
{
	foreach my $python ('/usr/bin/python3', 'python3')
	{
		return $python
		  if eval {
			IPC::Run::run([ $python, '-c', 'import cryptography, nacl' ], '<', \undef, '&>', \my $void);
		  };
	}
	return;
}

# What open_record.py says.
sub open_outside
{
	my ($job) = @_;
	my ($in, $out, $err) = (JSON::PP->new->canonical->encode($job), '', '');

	IPC::Run::run([ outside_python(), '-B', "$FindBin::RealBin/lib/open_record.py" ], '<', \$in, '>', \$out, '2>', \$err);
	chomp $out;
	return $out eq '' ? $err : $out;
}

# All that is stored of a version, as open_record.py takes it.
sub stored_record
{
	my ($node, $db, $record, $version) = @_;

	$version ||= 1;
	return JSON::PP::decode_json(query($node, $db, <<SQL));
SELECT jsonb_build_object(
	'record', replace(r.record::text, '-', ''), 'version', v.version, 'key_id', encode(v.key_id, 'hex'),
	'patient', r.patient, 'length', v.length, 'media_type', v.media_type,
	'record_author', replace(r.author::text, '-', ''), 'author', replace(v.author::text, '-', ''),
	'created_at', (extract(epoch FROM v.created_at - '2000-01-01 00:00+00') * 1000000)::bigint,
	'signature', encode(v.signature, 'hex'),
	'ledger', (SELECT encode(l.id, 'hex') FROM medsync._ledger l),
	'vault_key', encode(medsync.vault_key(), 'hex'),
	'head_version', h.version, 'revision', h.revision, 'head_signature', encode(h.signature, 'hex'),
	'signatures', (SELECT jsonb_agg(jsonb_build_array(s.version, encode(s.signature, 'hex')) ORDER BY s.version)
		FROM medsync._record_version s WHERE s.record = r.record),
	'chunks', (SELECT jsonb_agg(encode(c.body, 'hex') ORDER BY c.chunk) FROM medsync._record_chunk c
		WHERE c.record = r.record AND c.version = v.version),
	'wraps', (SELECT jsonb_agg(jsonb_build_object(
			'person', replace(w.person::text, '-', ''), 'key', replace(w.key::text, '-', ''), 'algorithm', w.algorithm,
			'wrapped', encode(w.wrapped, 'hex'), 'granted_by', replace(w.granted_by::text, '-', ''),
			'granted_at', (extract(epoch FROM w.granted_at - '2000-01-01 00:00+00') * 1000000)::bigint))
		FROM medsync._record_wrap w WHERE w.record = r.record AND w.version = v.version))
FROM medsync._record r JOIN medsync._record_version v USING (record) JOIN medsync._record_head h USING (record)
WHERE r.record = '$record' AND v.version = $version
SQL
}

1;
