
# What the TAP tests share that look at a ledger from outside: runs of
# medsync-verify, and copies of a stopped cluster's data directory, so that
# many attacks can begin at the same place.

package MedsyncOutside;

use strict;
use warnings;

use Exporter 'import';
use File::Path qw(remove_tree);
use IPC::Run;
use JSON::PP;
use MedsyncTest;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  have_forgers signer_file put_file
  keep_data bring_back_data
  outside found_outside sees sees_nothing cannot_see
);

# Is there what rewrite.py and forge.py need?
sub have_forgers
{
	return eval {
		IPC::Run::run([ 'python3', '-c', 'import sys; sys.exit(sys.version_info < (3, 9))' ], '&>', \my $void)
		  && IPC::Run::run([ 'openssl', 'genpkey', '-algorithm', 'ed25519' ], '&>', \my $none);
	};
}

# Where a cluster with the default setting keeps the key that signs, and with
# a suffix what stands beside it.
sub signer_file
{
	my ($node, $suffix) = @_;
	return $node->data_dir . '/medsync_signer.key' . ($suffix || '');
}

sub put_file
{
	my ($path, $content) = @_;

	open(my $file, '>:raw', $path) or die "$path: $!";
	print $file $content;
	close $file or die "$path: $!";
	chmod 0600, $path;
	return $path;
}

# ---- data directories ----

my $kept = own_directory();

sub copy_data
{
	my ($from, $to) = @_;

	remove_tree($to);
	system('cp', '-a', '--reflink=auto', $from, $to) == 0 or die "cp $from: $?";
	return;
}

# Keep a copy of a cluster as it is; it is stopped for that, and runs again.
sub keep_data
{
	my ($node, $name) = @_;

	$node->stop;
	copy_data($node->data_dir, "$kept/$name");
	$node->start;
	return;
}

# Put a kept copy in the place of a cluster, as a restored backup would be.
sub bring_back_data
{
	my ($node, $name) = @_;

	$node->stop('immediate');
	copy_data("$kept/$name", $node->data_dir);
	$node->start;
	return;
}

# ---- medsync-verify ----

# Run it with --json: (exit status, the object, stderr).
sub outside
{
	my (@argument) = @_;
	my ($out, $err) = ('', '');

	# what a server needs to be found with is in the connection string
	local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)};
	delete @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)};
	IPC::Run::run([ 'medsync-verify', @argument, '--json' ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(120));
	my $status = $? & 127 ? "signal $?" : $? >> 8;
	my $report = eval { JSON::PP->new->utf8->canonical->decode($out) };

	diag("no JSON: $@\n$out\n$err") unless $report;
	return ($status, $report || { findings => [] }, $err);
}

# Its findings, one each: severity|verdict|relation|row key|block|entry.
sub found_outside
{
	my ($report) = @_;
	my $json = JSON::PP->new->canonical;

	return map {
		join '|', $_->{severity}, $_->{verdict},
		  map { !defined $_ ? '' : ref $_ ? $json->encode($_) : $_ }
		  @$_{qw(relation row_key block entry_index)}
	} @{ $report->{findings} };
}

# A run has these findings, each pattern one of its own, no others unless
# they fit {also}, and exit status 1.
sub sees
{
	my ($name, $expected, $argument, %option) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $report, $err) = outside(@$argument);
	my @left = found_outside($report);
	my @all = @left;
	my @absent;

	foreach my $pattern (@$expected)
	{
		my ($place) = grep { $left[$_] =~ $pattern } 0 .. $#left;

		push @absent, $pattern unless defined $place;
		splice @left, $place, 1 if defined $place;
	}
	@left = grep { $_ !~ $option{also} } @left if $option{also};
	is(join("\n", map({ "not found: $_" } @absent), map({ "found: $_" } @left)), '', $name)
	  or diag(explain($report->{findings}), $err, join("\n", @all));
	is($status, 1, "$name: exit status");
	return $report;
}

sub sees_nothing
{
	my ($name, @argument) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $report, $err) = outside(@argument);

	is(join("\n", grep { !/^notice/ } found_outside($report)), '', $name)
	  or diag(explain($report->{findings}), $err);
	is($status, 0, "$name: exit status") or diag($err);
	return $report;
}

# It cannot check, and says why.
sub cannot_see
{
	my ($name, $like, @argument) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $report, $err) = outside(@argument);

	is($status, 2, "$name: exit status") or diag(explain($report->{findings}), $err);
	like($err, $like, $name);
	return;
}

1;
