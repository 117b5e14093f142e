
# Notes, checkpoints, proofs and the tree behind them: builds the unit tests
# in test/unit, which are a program without a server, and lets it speak.
#
# The test vectors of others are not in this tree.  MEDSYNC_TEST_DATA names
# the directory that holds rfc6962-merkle (C2SP CCTV) and crypto-wycheproof
# (C2SP wycheproof); without it ../shared/data beside the tree is tried.

use strict;
use warnings;

use File::Find;
use File::Temp;
use FindBin;
use JSON::PP;
use MIME::Base64;

my $top = "$FindBin::RealBin/../..";
my $data = $ENV{MEDSYNC_TEST_DATA} || "$top/../shared/data";
my $build = File::Temp->newdir('medsync-unit-XXXXXX', TMPDIR => 1);
my $pg_config = $ENV{PG_CONFIG} || 'pg_config';

sub read_json
{
	my ($file) = @_;

	open my $handle, '<', $file or die "$file: $!";
	local $/;
	return JSON::PP->new->allow_bignum->decode(<$handle>);
}

# A line of fields for the program; see test/unit/vectors.c.
sub line
{
	return join("\t", map { defined $_ ? "$_" : '' } @_) . "\n";
}

sub merkle_lines
{
	my ($kind, @fields) = @_;
	my $directory = "$data/rfc6962-merkle/testdata/$kind";
	my @files;

	find({ wanted => sub { push @files, $_ if /\.json$/ }, no_chdir => 1 }, $directory)
	  if -d $directory;
	return map {
		my $vector = read_json($_);
		my $name = substr($_, length("$data/rfc6962-merkle/testdata/"));

		line($kind, $name, $vector->{wantErr} ? 0 : 1, @$vector{@fields}, @{ $vector->{proof} || [] });
	} sort @files;
}

sub ed25519_lines
{
	my $file = "$data/crypto-wycheproof/ed25519_test.json";
	my @lines;

	return unless -f $file;
	foreach my $group (@{ read_json($file)->{testGroups} })
	{
		push @lines, line('ed25519', "wycheproof ed25519 $_->{tcId}", $_->{result} eq 'valid' ? 1 : 0,
			map { encode_base64(pack('H*', $_), '') } $group->{publicKey}{pk}, $_->{msg}, $_->{sig})
		  foreach @{ $group->{tests} };
	}
	return @lines;
}

system('make', '-s', '-C', "$top/test/unit", "BUILD=$build", "PG_CONFIG=$pg_config") == 0
  or die 'the unit tests do not build';

my @lines = (
	merkle_lines('inclusion', 'leafIdx', 'treeSize', 'leafHash', 'root'),
	merkle_lines('consistency', 'size1', 'size2', 'root1', 'root2'),
	ed25519_lines());
my @reason = @lines ? () : ('set MEDSYNC_TEST_DATA to a directory with rfc6962-merkle');

# The program prints our TAP.
open my $program, '|-', "$build/medsync-unit", @reason or die "$build/medsync-unit: $!";
print $program @lines;
close $program or exit 1;
