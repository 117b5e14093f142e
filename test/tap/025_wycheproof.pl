
# The vault's primitives judge every vector of Wycheproof for the algorithms
# that they offer as Wycheproof does, and refuse what they do not offer.  For
# each file a line says how many vectors it has, how many verdicts were right
# or wrong, and how many vectors are of what medsync does not offer: those must
# be refused where they can be presented at all.
#
# The vectors are not in this tree.  MEDSYNC_TEST_DATA names the directory that
# holds crypto-wycheproof; without it ../shared/data beside the tree is tried.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run;
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my $data = ($ENV{MEDSYNC_TEST_DATA} || "$top/../shared/data") . '/crypto-wycheproof';

plan skip_all => "no vectors: set MEDSYNC_TEST_DATA to a directory with crypto-wycheproof"
  unless -f "$data/aes_gcm_test.json";
plan skip_all => 'python3 is not there'
  unless eval { IPC::Run::run([ 'python3', '--version' ], '&>', \my $void) };

my $dir = own_directory();
my $db = 'wycheproof';
my $node = new_node('wycheproof');
new_database($node, $db);

$node->command_ok(
	[ 'python3', '-B', "$FindBin::RealBin/lib/wycheproof.py", $data, "$dir/vectors.tsv", "$dir/unit.tsv" ],
	'the vectors are read');

# ------------------------------------------------------------------
# Through SQL
# ------------------------------------------------------------------

$node->safe_psql($db, <<'SQL');
CREATE TABLE vector (file text, id int, operation text, want text,
	a bytea, b bytea, c bytea, d bytea);

-- What an operation says to a vector.
CREATE FUNCTION verdict(v vector) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
	RETURN CASE v.operation
		WHEN 'decrypt' THEN
			CASE WHEN medsync.decrypt(v.a, v.b, v.c) = v.d THEN 'accepted' ELSE 'another plaintext' END
		WHEN 'rsa_decrypt' THEN
			CASE WHEN medsync.rsa_decrypt(v.a, v.b, v.c) = v.d THEN 'accepted' ELSE 'another plaintext' END
		WHEN 'unwrap_key' THEN
			CASE WHEN medsync.unwrap_key(v.a, v.b) = v.d THEN 'accepted' ELSE 'another plaintext' END
		WHEN 'check' THEN
			CASE WHEN medsync.check_signature(v.a, v.b, v.c) THEN 'accepted' ELSE 'false' END
		WHEN 'check_der' THEN
			CASE WHEN medsync.check_signature(v.a, medsync.ecdsa_signature_from_der(v.b), v.c)
				THEN 'accepted' ELSE 'false' END
		WHEN 'none' THEN ''
		ELSE 'unknown operation' END;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SQL
$node->safe_psql($db, "\\copy vector FROM '$dir/vectors.tsv'");
$node->safe_psql($db, <<'SQL');
CREATE TABLE answer AS
	SELECT file, id, operation, split_part(want, ': ', 1) = 'not offered' AS foreign_to_us,
		replace(want, 'not offered: ', '') AS want, verdict(v) AS got
	FROM vector AS v;
SQL

# ------------------------------------------------------------------
# Those that SQL does not reach, by the program of the unit tests
# ------------------------------------------------------------------

my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
my %unit;

$node->command_ok([ 'make', '-s', '-C', "$top/test/unit", "BUILD=$dir", "PG_CONFIG=$pg_config" ],
	'the program of the unit tests is built');
my $said = '';
IPC::Run::run([ "$dir/medsync-unit", '--vectors' ], '<', "$dir/unit.tsv", '>', \$said);
while ($said =~ /^(ok|not ok) \d+ - (\w+) (\d+)$/mg)
{
	$unit{$2}{ $1 eq 'ok' ? 'right' : 'wrong' }++;
	diag("$2 $3: wrong verdict") if $1 ne 'ok';
}
my @asked = do { open my $file, '<', "$dir/unit.tsv" or die $!; <$file> };

# ------------------------------------------------------------------
# File by file
# ------------------------------------------------------------------

my $count = $node->safe_psql($db, <<'SQL');
SELECT file, count(*),
	count(*) FILTER (WHERE NOT foreign_to_us AND got ~ ('^(' || want || ')$')),
	count(*) FILTER (WHERE got !~ ('^(' || want || ')$')),
	count(*) FILTER (WHERE foreign_to_us AND operation <> 'none'),
	count(*) FILTER (WHERE foreign_to_us AND operation = 'none')
FROM answer GROUP BY file ORDER BY file
SQL
my %total = (vectors => 0, right => 0, wrong => 0, refused => 0, beyond => 0);
my $answered = 0;

note(sprintf '%-40s %7s %5s %5s %24s', 'file', 'vectors', 'right', 'wrong', 'not offered (presented)');
foreach (split /\n/, $count)
{
	my ($file, $vectors, $right, $wrong, $refused, $beyond) = split /\|/;

	if ($unit{$file})
	{
		my ($more, $worse) = map { $unit{$file}{$_} || 0 } qw(right wrong);

		$right += $more;
		$wrong += $worse;
		$vectors += $more + $worse;
		$answered += $more + $worse;
	}
	is($wrong, 0, sprintf '%-40s %7d %5d %5d %15d (%d)',
		$file, $vectors, $right, $wrong, $refused + $beyond, $refused);
	is($right + $wrong + $refused + $beyond, $vectors, "$file: all are counted");
	$total{vectors} += $vectors;
	$total{right} += $right;
	$total{wrong} += $wrong;
	$total{refused} += $refused;
	$total{beyond} += $beyond;
}
is($answered, scalar @asked, 'every vector of the unit program was answered');
is($total{wrong}, 0, sprintf '%-40s %7d %5d %5d %15d (%d)', 'all', $total{vectors}, $total{right},
	$total{wrong}, $total{refused} + $total{beyond}, $total{refused});
cmp_ok($total{right}, '>', 2000, 'and there are many');

my $wrong = $node->safe_psql($db, <<'SQL');
SELECT file, id, operation, want, got FROM answer WHERE got !~ ('^(' || want || ')$') ORDER BY 1, 2 LIMIT 40
SQL
diag($wrong) if $wrong ne '';

done_testing();
