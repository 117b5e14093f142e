
# What a superuser does who also has the key that signs and the master key:
# the past is changed, everything that follows from it is computed and signed
# again, and the server finds nothing.  Whoever holds a checkpoint from
# before, in a state file of medsync-verify or in a receipt, does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use File::Copy;
use IPC::Run;
use MedsyncOutside;
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'python3 (3.9 or later) is not there' unless have_python();

my $dir = own_directory();
my $origin = 'hospital.example/ledger';
my $db = 'clinic';
my $node = new_node('outside', conf => <<CONF);
medsync.origin = '$origin'
min_wal_size = 32MB
max_wal_size = 64MB
CONF
new_database($node, $db);

sub sql { return query($node, $db, shift); }

# A transaction of its own; its id.
sub xact
{
	my ($sql) = @_;
	my @line = split /\n/, sql("BEGIN; $sql; SELECT pg_current_xact_id(); COMMIT");
	return $line[-1];
}

# ------------------------------------------------------------------
# The ledger
# ------------------------------------------------------------------

my %x;    # transactions, by what they did

sql(<<'SQL');
CREATE TABLE patient (id int PRIMARY KEY, name text, ward text);
CREATE TABLE lab (id int PRIMARY KEY, patient int, value text);
CREATE TABLE morning (id int PRIMARY KEY, patient int, note text);
CREATE TABLE evening (id int PRIMARY KEY, patient int, note text);
CREATE TABLE remark (patient int, note text);
SELECT medsync.track('patient', subject => 'id');
SELECT medsync.track('lab', subject => 'patient', payload => 'hash');
SELECT medsync.track('morning', subject => 'patient');
SELECT medsync.track('evening', subject => 'patient');
SELECT medsync.track('remark', subject => 'patient');
SELECT medsync.seal();
INSERT INTO patient SELECT i, 'name ' || i, 'north' FROM generate_series(1, 300) i;
SELECT medsync.seal();
SQL
$x{spare} = xact('');
$x{admitted} = xact("INSERT INTO patient VALUES (301, 'name 301', 'south')");
$x{morning} = xact("INSERT INTO morning VALUES (1, 7, '5 mg')");
$x{evening} = xact("INSERT INTO evening VALUES (1, 7, '9 mg')");
$x{remark} = xact("INSERT INTO remark VALUES (7, 'fever')");
sql('SELECT medsync.seal()');
$x{spare2} = xact('');
$x{moved} = xact("UPDATE patient SET ward = 'west' WHERE id = 7");
$x{lab} = xact("INSERT INTO lab VALUES (1, 7, 'low'), (2, 8, 'high')");
sql('SELECT medsync.seal()');
keep_data($node, 'old');

$x{discharged} = xact('DELETE FROM patient WHERE id = 9');
$x{second} = xact("UPDATE lab SET value = 'high' WHERE id = 1");
sql('SELECT medsync.seal()');
$x{last} = xact("INSERT INTO morning VALUES (2, 7, '6 mg')");
sql('SELECT medsync.seal()');

my $size = sql('SELECT max(size) FROM medsync.checkpoint');
my $key = sql('SELECT medsync.verifier_key()');
my ($log, $entries) = ("$dir/before.log", "$dir/before.entries");
my %state = map { $_ => "$dir/$_.state" } 'log', 'entries', 'live';

sub live { return 'host=' . $node->host . ' port=' . $node->port . " dbname=$db user=postgres"; }

sql("SELECT medsync.export('$log')");
sql("SELECT medsync.export_entries('$entries')");

my %from_before = (
	log => [ 'log', $log, '--key', $key ],
	entries => [ 'entries', $entries, '--log', $log, '--key', $key ],
	live => [ 'live', live(), '--key', $key ]);

foreach my $mode (sort keys %state)
{
	sees_nothing("$mode: clean before any attack", @{ $from_before{$mode} }, '--state', $state{$mode});
	ok(-s $state{$mode}, "$mode: remembers");
}
sql("INSERT INTO patient VALUES (400, 'not sealed yet', 'east')");
keep_data($node, 'base');

# ------------------------------------------------------------------
# The attacker's tools
# ------------------------------------------------------------------

my $vectors = "$FindBin::RealBin/../vectors";
my $ledger = "$dir/ledger.tsv";
my $attacks = 0;

$node->command_ok([ 'psql', '-X', '-q', '-d', $node->connstr($db), '-f', "$vectors/export.sql", '-o', $ledger ],
	'the attacker reads the whole ledger');

my $past_guards = sql(<<'SQL');
SELECT string_agg(format('ALTER EVENT TRIGGER %I DISABLE;', evtname), ' ') FROM pg_event_trigger
SQL
my $guards_again = $past_guards =~ s/DISABLE/ENABLE ALWAYS/gr;

# Change a table so that nothing is recorded.
sub unrecorded
{
	my ($table, @sql) = @_;
	my $back = sql(<<SQL);
SELECT string_agg(format('ALTER TABLE $table ENABLE ALWAYS TRIGGER %I;', tgname), ' ')
FROM pg_trigger WHERE tgrelid = '$table'::regclass AND NOT tgisinternal
SQL

	return "$past_guards ALTER TABLE $table DISABLE TRIGGER USER; @sql; $back $guards_again";
}

# Put another past in place of the one that is there: steps of rewrite.py.
sub rewrite
{
	my (@step) = @_;
	my ($sql, $err) = ('', '');

	IPC::Run::run([ 'python3', '-B', "$FindBin::RealBin/lib/rewrite.py", $ledger, key_file($node, $db), @step ],
		'<', \undef, '>', \$sql, '2>', \$err) or die "rewrite.py @step: $err";
	sql($sql);
	return;
}

# Nothing tells the server what it signed.
sub forget_signatures
{
	unlink map { signer_file($node, $_) } '.last', '.lock';
	return;
}

# What an outsider is given after an attack: arguments for each mode.
sub given
{
	my $n = ++$attacks;
	my ($log, $entries) = ("$dir/log$n", "$dir/entries$n");

	sql("SELECT medsync.export('$log')");
	sql("SELECT medsync.export_entries('$entries')");
	return (
		log => [ 'log', $log, '--key', $key ],
		entries => [ 'entries', $entries, '--log', $log, '--key', $key ],
		live => [ 'live', live(), '--key', $key ]);
}

# The server is content, and so is everybody who saw nothing before.
sub looks_right
{
	my ($name, %given) = @_;

	is_clean($node, $db, "$name: the server finds nothing");
	sees_nothing("$name: mode $_ finds nothing by itself", @{ $given{$_} }) foreach sort keys %given;
	return;
}

# What the state file of each mode makes of it; states stay as they are.
sub found_by
{
	my ($name, $given, %expected) = @_;

	foreach my $mode (sort keys %expected)
	{
		my $before = slurp_file($state{$mode});
		my @argument = (@{ $given->{$mode} }, '--state', $state{$mode});

		if (!@{ $expected{$mode} })
		{
			my $copy = "$dir/copy.state";

			copy($state{$mode}, $copy);
			$argument[-1] = $copy;
			sees_nothing("$name: mode $mode cannot tell", @argument);
			next;
		}
		sees("$name: mode $mode", $expected{$mode}, \@argument);
		is(slurp_file($state{$mode}), $before, "$name: mode $mode still remembers the checkpoint from before");
	}
	return;
}

# An attack by a new past: {past} for rewrite.py, {live} for the tables.  Left
# at that it is found in place by whoever looks at the server; signed again,
# by who remembers.
sub attack
{
	my ($name, %attack) = @_;

	bring_back_data($node, 'base');
	if ($attack{naive})
	{
		rewrite(@{ $attack{past} }, 'journal');
		sql($attack{live}) if $attack{live};
		sees("$name, and nothing signed again: mode live", $attack{naive},
			[ 'live', live(), '--key', $key ], also => $attack{also});
	}
	rewrite(@{ $attack{past} });
	sql($attack{live}) if $attack{live} && !$attack{naive};
	forget_signatures();
	sql($attack{then}) if $attack{then};
	sql('SELECT medsync.seal()');
	is(sql('SELECT note IS NOT NULL FROM medsync.checkpoint ORDER BY height DESC LIMIT 1'),
		't', "$name: signed again");
	my %given = given();
	looks_right($name, %given);
	found_by($name, \%given, %{ $attack{found} });
	return;
}

my $forked = qr/^error\|forked\|\|\|\|$/;
my $forked_block = qr/^error\|forked\|\|\|5\|$/;
my $truncated = qr/^error\|truncated\|\|\|\|$/;
my %forked = (log => [$forked], entries => [ $forked, $forked_block ], live => [$forked_block]);
my $morning = sql("SELECT number FROM medsync._table WHERE table_name = 'morning'");
my $evening = sql("SELECT number FROM medsync._table WHERE table_name = 'evening'");

attack('nothing changed', past => [], found => { log => [], entries => [], live => [] });

attack('who it was, edited',
	past => [ 'role', $x{moved}, 'nobody' ],
	naive => [qr/.*/],
	found => \%forked);
attack('what it was, edited',
	past => [ 'value', $x{moved}, 0, 3, 'north' ],
	live => unrecorded('patient', "UPDATE patient SET ward = 'north' WHERE id = 7;"),
	naive => [qr/.*/],
	found => \%forked);
attack('a deletion',
	past => [ 'drop', $x{admitted} ],
	live => unrecorded('patient', 'DELETE FROM patient WHERE id = 301;'),
	naive => [qr/.*/],
	found => \%forked);
attack('an insertion',
	past => [ 'copy', $x{morning}, $x{spare}, 'value', $x{spare}, 0, 1, 9 ],
	live => unrecorded('morning', "INSERT INTO morning VALUES (9, 7, '5 mg');"),
	naive => [qr/.*/],
	found => \%forked);
attack('another order',
	past => [ 'exchange', $x{morning}, $x{evening} ],
	naive => [qr/.*/],
	found => \%forked);
attack('a duplicate',
	past => [ 'copy', $x{remark}, $x{spare2} ],
	live => unrecorded('remark', "INSERT INTO remark VALUES (7, 'fever');"),
	naive => [qr/.*/],
	found => \%forked);
attack('entries of two tables swapped',
	past => [ 'table', $x{morning}, 0, $evening, 'table', $x{evening}, 0, $morning ],
	live => unrecorded('morning', "UPDATE morning SET note = '9 mg' WHERE id = 1;")
	  . unrecorded('evening', "UPDATE evening SET note = '5 mg' WHERE id = 1;"),
	naive => [qr/.*/],
	found => \%forked);
my $tail_gone = unrecorded('patient', 'DELETE FROM patient WHERE id = 400;')
  . unrecorded('morning', 'DELETE FROM morning WHERE id = 2;');
attack('the tail deleted',
	past => [ 'forget', 5 ],
	live => $tail_gone,
	found => { map { $_ => [$truncated] } keys %state });
attack('the tail deleted, and another in its place',
	past => [ 'forget', 5 ],
	live => $tail_gone,
	then => "INSERT INTO remark SELECT 7, 'more' FROM generate_series(1, 10)",
	found => \%forked);
attack('blocks sealed later than they were',
	past => [ 'cut', 4 ],
	found => { log => [], entries => [], live => [] });
attack('an entry of the day before',
	past => [ 'time', $x{moved}, -86400 ],
	naive => [qr/.*/],
	found => \%forked);
attack('blocks of the day before',
	past => [ map { ('sealed', $_, -86400) } 0 .. 5 ],
	found => { log => [], entries => [$forked_block], live => [$forked_block] });

$node->stop;
done_testing();
