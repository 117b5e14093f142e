
# The examples of docs/signatures.md, taken out of the page and run as they
# stand there, with a key of every algorithm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $page = slurp_file("$FindBin::RealBin/../../docs/signatures.md");
my $directory = own_directory();
my %file;

while ($page =~ /^```\w+ file=(\S+)\n(.*?)^```$/msg)
{
	$file{$1} = "$directory/$1";
	append_to_file($file{$1}, $2);
}
is(join(' ', sort keys %file), 'setup.sql sign.mjs sign.py sign.sh', 'the page has the examples');

my $node = new_node('examples');
my $db = new_database($node, 'clinic');

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = $db;
command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $file{'setup.sql'} ], 'the SQL of the page');
my $doctor = query($node, $db, "SELECT medsync.register_person('practitioner', 'Dr. Ada Byron')");
$node->safe_psql($db, "SELECT medsync.verify_person('$doctor')");
$node->safe_psql($db, 'CREATE ROLE clerk LOGIN; GRANT INSERT ON prescription TO clerk');

# How the page says that keys are made.
my %algorithm = (
	'ed25519' => [qw(-algorithm ed25519)],
	'p-256' => [qw(-algorithm EC -pkeyopt ec_paramgen_curve:P-256)],
	'rsa-2048' => [qw(-algorithm RSA -pkeyopt rsa_keygen_bits:2048)]);
my %key;

foreach my $name (sort keys %algorithm)
{
	my $pem = "$directory/$name.pem";
	command_ok([ 'openssl', 'genpkey', @{ $algorithm{$name} }, '-out', $pem ], "a key of $name");
	my ($out, $err) = run_command([ 'sh', '-c', "openssl pkey -in $pem -pubout -outform DER | base64" ]);
	$key{$name} = query($node, $db, "SELECT medsync.add_key('$doctor', '$name', decode('$out', 'base64'))");
}

# Which programs are there; a python3 that has what the page asks for.
my ($python) = grep { system("$_ -c 'import cryptography, psycopg2' 2>/dev/null") == 0 } qw(python3 /usr/bin/python3);
my %program = (
	'sign.sh' => [ 'sh', 'openssl and sh' ],
	'sign.py' => [ $python, 'python3 with cryptography and psycopg2 (python3-cryptography, python3-psycopg2)' ],
	'sign.mjs' => [ (system('node --version >/dev/null 2>&1') == 0 ? 'node' : undef), 'Node.js (nodejs)' ]);
my $id = 0;
my $ran = 0;

$ENV{PGUSER} = 'clerk';

foreach my $example (sort keys %program)
{
	my ($interpreter, $what) = @{ $program{$example} };

  SKIP:
	{
		skip "$what is not installed", 4 if !defined $interpreter;

		foreach my $name (sort keys %algorithm)
		{
			$id++;
			command_ok(
				[ $interpreter, $file{$example}, $name, "$directory/$name.pem", $key{$name}, $id, "patient-$id", "it's \"d\x{c3}\x{bc}nn\" $example" ],
				"$example with a key of $name");
			$ran++;
		}

		# a key that is not the one that the row names
		my ($out, $err) = run_command(
			[ $interpreter, $file{$example}, 'ed25519', "$directory/ed25519.pem", $key{'p-256'}, 1000, 'p', 'd' ]);
		like($err, qr/row of table "prescription" is not validly signed/, "$example with another key");
	}
}

delete $ENV{PGUSER};
cmp_ok($ran, '>=', 3, 'some example ran');
is(query($node, $db, "SELECT count(*), bool_and(valid), bool_and(author = '$doctor') FROM medsync.signatures('prescription')"),
	"$ran|t|t", 'every row that they entered is signed');
is( query($node, $db, "SELECT count(*) FROM prescription WHERE drug = 'it''s \"d\x{c3}\x{bc}nn\" ' || substr(drug, 13)"),
	$ran, 'and says what was meant');
is_clean($node, $db, 'verify finds nothing');

done_testing();
