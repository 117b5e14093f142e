
# Programs that others wrote agree with the vault's primitives, both ways: they
# read our keys, verify our signatures and open what we encrypted, and we do
# the same with theirs; and each side refuses what was damaged in between.
#
# The openssl program, Python's cryptography with PyNaCl, and Node's crypto
# are asked; the part of one that is not there is skipped.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use IPC::Run;
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = own_directory();
my $db = 'interop';
my $node = new_node('interop');
new_database($node, $db);

my @signing = qw(ed25519 p-256 rsa-2048 rsa-3072 rsa-4096);
my @rsa = qw(rsa-2048 rsa-3072 rsa-4096);

$node->safe_psql($db, <<'SQL');
CREATE TABLE pair AS
	SELECT algorithm, public_key, private_key
	FROM unnest('{ed25519,p-256,rsa-2048,rsa-3072,rsa-4096,x25519}'::text[]) AS algorithm,
		medsync.generate_key_pair(algorithm);

-- What is signed and encrypted.
CREATE TABLE text_of_ours AS
	SELECT convert_to('Überweisung: ' || repeat('amoxicillin 500 mg; ', 100), 'UTF8') AS message,
		'\x00ff10'::bytea || convert_to('a short text', 'UTF8') AS short,
		medsync.generate_key() AS key,
		convert_to('patient-1/record-2', 'UTF8') AS aad;

-- Made by others, and what we are to say.
CREATE TABLE theirs (name text, operation text, want text, a bytea, b bytea, c bytea, d bytea);
CREATE FUNCTION verdict(v theirs) RETURNS text
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
		WHEN 'public_key' THEN
			CASE WHEN medsync.public_key(v.a) = v.d THEN 'accepted' ELSE 'another key' END
		END;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SQL

# ------------------------------------------------------------------
# Bytes between the server, files and programs
# ------------------------------------------------------------------

sub write_file
{
	my ($name, $content) = @_;

	open my $file, '>:raw', "$dir/$name" or die "$dir/$name: $!";
	print $file $content;
	close $file or die "$dir/$name: $!";
	return "$dir/$name";
}

sub read_file
{
	my ($name) = @_;

	open my $file, '<:raw', "$dir/$name" or die "$dir/$name: $!";
	local $/;
	return scalar <$file>;
}

# The one bytea that a query gives.
sub bytes
{
	my ($sql) = @_;
	return pack 'H*', substr($node->safe_psql($db, $sql), 2);
}

sub literal { my ($bytes) = @_; return q('\x) . unpack('H*', $bytes) . q(');  }

# Run a program: (did it succeed, what it said).
sub run_program
{
	my (@command) = @_;
	my $output = '';
	my $done = IPC::Run::run([ 'timeout', '120', @command ], '<', \undef, '&>', \$output);

	return ($done, $output);
}

sub openssl_ok
{
	my ($name, @argument) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($done, $output) = run_program('openssl', @argument);

	ok($done, $name) or diag($output);
	return;
}

sub openssl_refuses
{
	my ($name, @argument) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	ok(!(run_program('openssl', @argument))[0], $name);
	return;
}

# DER of r || s; the only format of the openssl program.
sub to_der
{
	my @numbers = unpack 'a32 a32', shift;
	foreach (@numbers)
	{
		s/^\0+(?=.)//s;
		$_ = "\0$_" if ord($_) >= 0x80;
		$_ = "\x02" . chr(length $_) . $_;
	}
	my $both = join '', @numbers;
	return "\x30" . chr(length $both) . $both;
}

# ------------------------------------------------------------------
# The openssl program
# ------------------------------------------------------------------

my @pss = qw(-digest sha256 -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:32
  -pkeyopt rsa_mgf1_md:sha256);
my @oaep = qw(-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256);
my %signs = (ed25519 => [], 'p-256' => [qw(-digest sha256)], map { $_ => [@pss] } @rsa);
my %makes = (
	ed25519 => [qw(-algorithm ed25519)],
	x25519 => [qw(-algorithm x25519)],
	'p-256' => [qw(-algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:named_curve)],
	map { $_ => [ '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:' . substr($_, 4) ] } @rsa);

sub openssl_reads_keys
{
	foreach my $algorithm (sort keys %makes)
	{
		my $where = "FROM pair WHERE algorithm = '$algorithm'";
		write_file("$algorithm.private", bytes("SELECT private_key $where"));
		write_file("$algorithm.public", bytes("SELECT public_key $where"));
		openssl_ok("openssl reads the private key of $algorithm", 'pkey', '-inform', 'DER', '-in',
			"$dir/$algorithm.private", '-pubout', '-outform', 'DER', '-out', "$dir/$algorithm.derived");
		is(read_file("$algorithm.derived"), read_file("$algorithm.public"), "and derives our public key of $algorithm");
		openssl_ok("openssl finds our key of $algorithm sound", 'pkey', '-inform', 'DER', '-in',
			"$dir/$algorithm.private", '-check', '-noout')
		  if $algorithm =~ /rsa|256/;
	}
	return;
}

sub openssl_verifies
{
	my ($algorithm) = @_;
	my @verify = ('pkeyutl', '-verify', '-pubin', '-keyform', 'DER', '-inkey', "$dir/$algorithm.public",
		'-rawin', @{ $signs{$algorithm} }, '-sigfile', "$dir/signature", '-in');
	my $signature = bytes("SELECT medsync.sign(message, private_key) FROM pair, text_of_ours
		WHERE algorithm = '$algorithm'");

	write_file('signature', $algorithm eq 'p-256' ? to_der($signature) : $signature);
	openssl_ok("openssl verifies our signature of $algorithm", @verify, "$dir/message");
	openssl_refuses("but not of another message ($algorithm)", @verify, "$dir/other");
	return;
}

sub openssl_signs
{
	my ($algorithm) = @_;
	my $public = literal(read_file("$algorithm.public"));

	openssl_ok("openssl signs with our key of $algorithm", 'pkeyutl', '-sign', '-keyform', 'DER', '-inkey',
		"$dir/$algorithm.private", '-rawin', @{ $signs{$algorithm} }, '-in', "$dir/message", '-out', "$dir/signature");
	my $signature = literal(read_file('signature'));
	$signature = "medsync.ecdsa_signature_from_der($signature)" if $algorithm eq 'p-256';
	is( $node->safe_psql($db, "SELECT medsync.check_signature(message, $signature, $public),
			medsync.check_signature(message || '\\x00', $signature, $public) FROM text_of_ours"),
		't|f', "we accept the signature of openssl with $algorithm, of that message only");
	return;
}

sub openssl_decrypts
{
	my ($algorithm) = @_;
	my @decrypt = ('pkeyutl', '-decrypt', '-keyform', 'DER', '-inkey', "$dir/$algorithm.private", @oaep,
		'-in', "$dir/block", '-out', "$dir/opened");
	my $from = "FROM pair, text_of_ours WHERE algorithm = '$algorithm'";

	write_file('block', bytes("SELECT medsync.wrap_key(key, public_key) $from"));
	openssl_ok("openssl unwraps our key ($algorithm)", @decrypt);
	is(read_file('opened'), bytes("SELECT key FROM text_of_ours"), "and it is the same ($algorithm)");

	my $label = unpack 'H*', bytes('SELECT aad FROM text_of_ours');
	write_file('block', bytes("SELECT medsync.rsa_encrypt(short, public_key, aad) $from"));
	openssl_ok("openssl decrypts with a label ($algorithm)", @decrypt, '-pkeyopt', "rsa_oaep_label:$label");
	is(read_file('opened'), bytes('SELECT short FROM text_of_ours'), "and it is the same ($algorithm)");
	openssl_refuses("not without the label ($algorithm)", @decrypt);

	openssl_ok("openssl encrypts ($algorithm)", 'pkeyutl', '-encrypt', '-pubin', '-keyform', 'DER', '-inkey',
		"$dir/$algorithm.public", @oaep, '-in', "$dir/short", '-out', "$dir/block");
	my $block = literal(read_file('block'));
	is($node->safe_psql($db, "SELECT medsync.rsa_decrypt($block, private_key) = short $from"),
		't', "we decrypt it ($algorithm)");
	return;
}

# Keys of its own making, whichever way it writes them.
sub openssl_makes_keys
{
	foreach my $algorithm (sort keys %makes)
	{
		openssl_ok("openssl makes a key of $algorithm",
			'genpkey', @{ $makes{$algorithm} }, '-outform', 'PEM', '-out', "$dir/made.pem");
		openssl_ok("as PKCS#8 ($algorithm)", 'pkcs8', '-topk8', '-nocrypt', '-in', "$dir/made.pem", '-outform', 'DER',
			'-out', "$dir/made.private");
		openssl_ok("its public key ($algorithm)", 'pkey', '-in', "$dir/made.pem", '-pubout', '-outform', 'DER',
			'-out', "$dir/made.public");
		is( $node->safe_psql($db, 'SELECT medsync.public_key(' . literal(read_file('made.private'))
				. ') = ' . literal(read_file('made.public'))), 't', "we read it ($algorithm)");
	}
	return;
}

SKIP:
{
	skip 'the openssl program (3.0 or later) is not there', 1
	  unless eval { (run_program('openssl', 'version'))[1] =~ /^OpenSSL ([3-9]|\d\d)\./ };
	write_file('message', bytes('SELECT message FROM text_of_ours'));
	write_file('other', bytes(q(SELECT message || '\x00' FROM text_of_ours)));
	write_file('short', bytes('SELECT short FROM text_of_ours'));
	openssl_reads_keys();
	openssl_verifies($_) foreach @signing;
	openssl_signs($_) foreach @signing;
	openssl_decrypts($_) foreach @rsa;
	openssl_makes_keys();
}

# ------------------------------------------------------------------
# Python's cryptography and PyNaCl, Node's crypto
# ------------------------------------------------------------------

# Everything that we made, for a program to judge.
write_file('ours.json', $node->safe_psql($db, <<'SQL'));
SELECT jsonb_build_object('message', message, 'short', short, 'key', key, 'aad', aad,
	'encrypted', medsync.encrypt(message, key, aad),
	'keys', (SELECT jsonb_agg(jsonb_build_object(
			'algorithm', algorithm, 'public', public_key, 'private', private_key,
			'signature', CASE WHEN algorithm <> 'x25519' THEN medsync.sign(message, private_key) END,
			'encrypted', CASE WHEN algorithm LIKE 'rsa%' THEN medsync.rsa_encrypt(short, public_key) END,
			'labelled', CASE WHEN algorithm LIKE 'rsa%' THEN medsync.rsa_encrypt(short, public_key, aad) END,
			'wrapped', CASE WHEN algorithm ~ '^rsa|^x' THEN medsync.wrap_key(key, public_key) END))
		FROM pair))
FROM text_of_ours
SQL

# Let a program judge what we made, and judge what it made.
sub exchange
{
	my ($who, @command) = @_;
	my ($done, $output) = run_program(@command, "$dir/ours.json", "$dir/theirs.tsv");

	ok($done, "$who ran") or diag($output);
	foreach (split /\n/, $output)
	{
		pass("$who: $1"), next if /^pass (.*)/;
		fail("$who: $1"), next if /^fail (.*)/;
		note($_);
	}
	return unless $done;
	$node->safe_psql($db, "TRUNCATE theirs");
	$node->safe_psql($db, "\\copy theirs FROM '$dir/theirs.tsv'");
	my @answers = split /\n/, $node->safe_psql($db, 'SELECT name, want, verdict(t) FROM theirs AS t');
	cmp_ok(scalar @answers, '>', 10, "$who made something for us");
	foreach (@answers)
	{
		my ($name, $want, $got) = split /\|/;
		is($got, $want, "$who to us: $name");
	}
	return;
}

SKIP:
{
	skip 'Python with cryptography is not there', 1
	  unless eval { (run_program('python3', '-c', 'import cryptography'))[0] };
	exchange('Python', 'python3', '-B', "$FindBin::RealBin/lib/interop.py");
}

SKIP:
{
	skip 'Node (16 or later) is not there', 1
	  unless eval { (run_program('node', '-e', 'process.exit(parseInt(process.versions.node) < 16 ? 1 : 0)'))[0] };
	exchange('Node', 'node', "$FindBin::RealBin/lib/interop.mjs");
}

done_testing();
