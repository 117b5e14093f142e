
# What a superuser does who also has the key that signs and the master key:
# the past is changed, everything that follows from it is computed and signed
# again, and the server finds nothing.  Whoever holds a checkpoint from
# before, in a state file of medsync-verify or in a receipt, does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use File::Copy;
use File::Path qw(remove_tree);
use IPC::Run;
use MedsyncOutside;
use MedsyncTest;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'python3 (3.9 or later) and an openssl with Ed25519 are not there' unless have_forgers();

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
xact("INSERT INTO morning VALUES (3, 7, 'rest')");
xact("INSERT INTO evening VALUES (3, 7, 'rest')");
xact("UPDATE patient SET ward = 'west' WHERE id = 10");
xact("UPDATE patient SET ward = 'north' WHERE id = 10");
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

# What an outsider is given: arguments for each mode.
my $given = 0;
sub given
{
	my ($log, $entries) = $given++ ? ("$dir/log$given", "$dir/entries$given") : ($log, $entries);
	my $server = 'host=' . $node->host . ' port=' . $node->port . " dbname=$db user=postgres";

	sql("SELECT medsync.export('$log'), medsync.export_entries('$entries')");
	return (
		log => [ 'log', $log, '--key', $key ],
		entries => [ 'entries', $entries, '--log', $log, '--key', $key ],
		live => [ 'live', $server, '--key', $key ]);
}

my %before = given();
foreach my $mode (sort keys %state)
{
	sees_nothing("mode $mode: clean before any attack", @{ $before{$mode} }, '--state', $state{$mode});
	ok(-s $state{$mode}, "mode $mode: remembers");
}

# Entries to have receipts of, all of patient 7 and some others: their index.
my %index = map { split /\|/ } split /\n/, sql(<<'SQL');
SELECT 'admitted', entry_index FROM medsync.history('patient', '{"id": 7}') WHERE operation = 'insert'
UNION ALL SELECT 'moved', entry_index FROM medsync.history('patient', '{"id": 7}') WHERE operation = 'update'
UNION ALL SELECT 'first', min(entry_index) FROM medsync.history('patient', '{"id": 10}')
UNION ALL SELECT 'back', max(entry_index) FROM medsync.history('patient', '{"id": 10}')
UNION ALL SELECT 'discharged', entry_index FROM medsync.history('patient', '{"id": 9}') WHERE operation = 'delete'
UNION ALL SELECT 'lab', entry_index FROM medsync.history('lab', '{"id": 1}') WHERE operation = 'insert'
UNION ALL SELECT 'result', entry_index FROM medsync.history('lab', '{"id": 1}') WHERE operation = 'update'
UNION ALL SELECT 'morning', entry_index FROM medsync.history('morning', '{"id": 1}')
UNION ALL SELECT 'second', entry_index FROM medsync.history('morning', '{"id": 2}')
UNION ALL SELECT 'evening', entry_index FROM medsync.history('evening', '{"id": 1}')
UNION ALL SELECT 'rest a', entry_index FROM medsync.history('morning', '{"id": 3}')
UNION ALL SELECT 'rest p', entry_index FROM medsync.history('evening', '{"id": 3}')
UNION ALL SELECT 'remark', entry_index FROM medsync.history('remark')
SQL
my %content = (
	admitted => '{"id":7,"name":"name 7","ward":"north"}',
	moved => '{"id":7,"name":"name 7","ward":"west"}',
	first => '{"id":10,"name":"name 10","ward":"north"}',
	back => '{"id":10,"name":"name 10","ward":"north"}',
	discharged => '',
	lab => '',
	result => '{"id":1,"patient":7,"value":"high"}',
	morning => '{"id":1,"patient":7,"note":"5 mg"}',
	second => '{"id":2,"patient":7,"note":"6 mg"}',
	evening => '{"id":1,"patient":7,"note":"9 mg"}',
	'rest a' => '{"id":3,"patient":7,"note":"rest"}',
	'rest p' => '{"id":3,"patient":7,"note":"rest"}',
	remark => '{"patient":7,"note":"fever"}');
is(join(' ', sort keys %index), join(' ', sort keys %content), 'entries to have receipts of');
is(sql(<<'SQL'), keys(%index) - 3, 'no entry of patient 7 is left out');
SELECT count(*) FROM (SELECT new_row FROM medsync.history('patient', '{"id": 7}')
	UNION ALL SELECT new_row FROM medsync.history('lab', '{"id": 1}')
	UNION ALL SELECT new_row FROM medsync.history('morning') UNION ALL SELECT new_row FROM medsync.history('evening')
	UNION ALL SELECT new_row FROM medsync.history('remark')) AS h
SQL
my %receipt = map { $_ => sql("SELECT medsync.receipt($index{$_})") } keys %index;
$receipt{result} = sql(q(SELECT medsync.receipt('lab', '{"id": 1}')));

# a row that nobody has sealed when the attacker comes
sql("INSERT INTO patient VALUES (400, 'not sealed yet', 'east')");
keep_data($node, 'base');

# ------------------------------------------------------------------
# Receipts: each opens one version of one row, and nothing else
# ------------------------------------------------------------------

sub receipt_file { return put_file("$dir/receipt", shift); }

# The server's verdict and that of the program are the same.
sub receipt_is
{
	my ($name, $expected, $text, $by) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($verdict, $detail) = split /\|/,
	  sql("SELECT verdict, detail FROM medsync.verify_receipt(\$r\$$text\$r\$, '" . ($by || $key) . "')"), 2;

	is($verdict, $expected, "$name: verify_receipt") or diag($detail);
	my ($status, $report) = outside('receipt', receipt_file($text), '--key', $by || $key);
	my @found = map { $_->{verdict} } @{ $report->{findings} };
	is("@found", $expected eq 'valid' ? '' : $expected, "$name: medsync-verify");
	is($status, $expected eq 'valid' ? 0 : 1, "$name: exit status");
	return $detail;
}

foreach my $name (sort keys %receipt)
{
	my $detail = receipt_is("receipt $name", 'valid', $receipt{$name});
	my $row = $detail =~ /"row": *(\{.*?\})/ ? $1 =~ s/([:,]) /$1/gr : '';

	is($row, $content{$name}, "receipt $name: the row of this version");
	like($detail, qr/"entry_index": $index{$name}\b/, "receipt $name: the entry");
}

# What the extra line of a receipt holds, apart: entry, salt, flags, r, row,
# and the manifest with its proof.
sub opening_of
{
	my ($text) = @_;
	my ($extra) = $text =~ /^extra (\S+)$/m;
	my $data = decode_base64($extra);
	my $at = 0;
	my $take = sub { my $part = substr($data, $at, $_[0]); $at += $_[0]; return $part; };
	my $counted = sub {
		my ($n, $shift, $start) = (0, 0, $at);

		while (1)
		{
			my $byte = ord $take->(1);
			$n |= ($byte & 127) << $shift;
			$shift += 7;
			last if $byte < 128;
		}
		$take->($n);
		return substr($data, $start, $at - $start);
	};
	my %o = (version => $take->(1), entry => $counted->(), salt => $take->(32), flags => $take->(1));

	@o{qw(r row)} = ord($o{flags}) & 1 ? ($take->(32), $counted->()) : ('', '');
	$o{manifest} = substr($data, $at);
	return \%o;
}

sub with_opening
{
	my ($text, $o) = @_;
	my $extra = encode_base64(join('', @$o{qw(version entry salt flags r row manifest)}), '');

	return $text =~ s/^extra \S+$/extra $extra/mr;
}

is(with_opening($receipt{moved}, opening_of($receipt{moved})), $receipt{moved}, 'receipts are taken apart and put together');

# Parts of one receipt in another: {with} of the one, the rest of the other.
sub mixed_is
{
	my ($of, $in, $with, $expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($theirs, %o) = (opening_of($receipt{$of}), %{ opening_of($receipt{$in}) });

	@o{@$with} = @$theirs{@$with};
	$o{flags} = chr(2 | ($o{row} ne '' ? 1 : 0));
	my $text = with_opening($receipt{$in}, \%o);
	isnt($text, $receipt{$in}, "@$with of $of in $in: another receipt");
	return like(sql("SELECT verdict FROM medsync.verify_receipt(\$r\$$text\$r\$, '$key')"),
		qr/^(?:$expected)$/, "@$with of $of in $in: $expected");
}

# two versions of a row, two rows, rows of two tables, equal ones too
foreach my $pair ([ 'admitted', 'moved' ], [ 'admitted', 'first' ], [ 'morning', 'rest a' ], [ 'morning', 'evening' ],
	[ 'rest a', 'rest p' ], [ 'morning', 'remark' ], [ 'moved', 'result' ])
{
	foreach my $way ($pair, [ reverse @$pair ])
	{
		my ($of, $in) = @$way;

		mixed_is($of, $in, [ 'r', 'row' ], 'altered');
		mixed_is($of, $in, ['r'], 'altered');
		mixed_is($of, $in, ['row'], 'altered') unless $content{$of} eq $content{$in};
		mixed_is($of, $in, ['entry'], 'entry_altered');
		mixed_is($of, $in, ['salt'], 'entry_altered');
		mixed_is($of, $in, [ 'entry', 'salt' ], 'entry_altered');
		mixed_is($of, $in, [qw(entry salt r row manifest)], 'entry_altered');
		mixed_is($of, $in, ['manifest'], 'entry_altered')
		  if opening_of($receipt{$of})->{manifest} ne opening_of($receipt{$in})->{manifest};
	}
}

# nor do they open an entry that has no row, or whose row nobody has any more
foreach my $in ('discharged', 'lab')
{
	mixed_is($_, $in, [ 'r', 'row' ], 'altered|malformed') foreach 'admitted', 'moved', 'result';
}

# A row that became what it was before is the same version: its commitment
# is the same, as docs/formats.md says.  The entry is another one.
is_deeply([ @{ opening_of($receipt{back}) }{ 'r', 'row' } ], [ @{ opening_of($receipt{first}) }{ 'r', 'row' } ],
	'a row that became what it was before');
mixed_is('first', 'back', $_, 'entry_altered') foreach [ 'entry', 'salt' ], ['entry'], ['salt'];

# A receipt may keep the row to itself.
mixed_is('discharged', 'moved', [ 'r', 'row' ], 'valid');

# every truncation, every flip of one bit
sql(<<'SQL');
CREATE FUNCTION testing.verdict(r bytea, k text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN (medsync.verify_receipt(convert_from(r, 'UTF8'), k)).verdict;
EXCEPTION WHEN character_not_in_repertoire THEN
	RETURN 'no text';
END $$;
SQL
foreach my $name ('moved', 'discharged', 'result')
{
	my $bytes = unpack 'H*', $receipt{$name};
	my $receipt = "'\\x$bytes'::bytea";

	is( sql(<<SQL), '', "receipt $name: every truncation is refused");
SELECT string_agg(n::text, ' ') FROM generate_series(0, length($receipt) - 1) n
WHERE testing.verdict(substr($receipt, 1, n), '$key') = 'valid'
SQL
	is( sql(<<SQL), '', "receipt $name: every flip of a bit is refused");
SELECT string_agg(n::text, ' ') FROM generate_series(0, 8 * length($receipt) - 1) n
WHERE testing.verdict(set_bit($receipt, n, 1 - get_bit($receipt, n)), '$key') = 'valid'
SQL
	my @sample = map { int($_ * 8 * length($receipt{$name}) / 40) } 0 .. 39;
	my @accepted;
	foreach my $n (@sample)
	{
		my $text = $receipt{$name};

		vec($text, $n, 1) ^= 1;
		foreach my $try ([ "bit $n", $text ], [ 'up to ' . int($n / 8), substr($receipt{$name}, 0, $n / 8) ])
		{
			my ($status) = outside('receipt', receipt_file($try->[1]), '--key', $key);
			push @accepted, "$try->[0]: $status" if $status != 1;
		}
	}
	is("@accepted", '', "receipt $name: medsync-verify refuses as well, 80 of each tried");
}

# ------------------------------------------------------------------
# Proofs for one patient's entries, from public files alone
# ------------------------------------------------------------------

# The checkpoint of a log: size, root as SQL.
sub checkpoint_of
{
	my (undef, $size, $root) = split /\n/, slurp_file("$_[0]/checkpoint");
	return ($size, "decode('$root', 'base64')");
}

# The leaf hash of an entry, from the bundles of a log, as SQL.
sub leaf_hash
{
	my ($log, $index) = @_;
	my ($size) = checkpoint_of($log);
	my ($bundle, $width) = (int($index / 256), $size - 256 * int($index / 256));
	my $data = slurp_file(sprintf('%s/tile/entries/%03d%s', $log, $bundle, $width < 256 ? ".p/$width" : ''));

	return "sha256('\\x00" . unpack('H*', substr($data, 35 * ($index % 256) + 2, 33)) . "'::bytea)";
}

sql(<<'SQL');
SELECT medsync.seal();
INSERT INTO remark SELECT 7, 'later' FROM generate_series(1, 250);
SELECT medsync.seal();
SQL
my %later = given();
my ($old_size, $old_root) = checkpoint_of($log);
my ($new_size, $new_root) = checkpoint_of($later{log}[1]);
is($old_size, $size, 'the export from before is as large as the ledger was');
cmp_ok($new_size, '>', 512, 'the later one has another full tile');
is( sql("SELECT medsync.verify_consistency($old_size, $old_root, $new_size, $new_root, medsync.prove_consistency($old_size, $new_size))"),
	't', 'the later log continues the one from before');
is( sql("SELECT medsync.verify_consistency($old_size, $new_root, $new_size, $new_root, medsync.prove_consistency($old_size, $new_size))"),
	'f', 'and no other');
foreach my $name (sort keys %index)
{
	my $n = $index{$name};
	my $hash = leaf_hash($later{log}[1], $n);

	is(leaf_hash($log, $n), $hash, "$name: the same leaf in both logs");
	is(sql("SELECT medsync.verify_inclusion($hash, $n, $old_size, medsync.prove_inclusion($n, $old_size), $old_root)"),
		't', "$name: in the log from before");
	is(sql("SELECT medsync.verify_inclusion($hash, $n, $new_size, medsync.prove_inclusion($n), $new_root)"),
		't', "$name: in the later one");
	my $other = $n ^ 1;
	is(sql("SELECT medsync.verify_inclusion($hash, $other, $new_size, medsync.prove_inclusion($n), $new_root)"),
		'f', "$name: at no other place");
}
foreach my $mode (sort keys %state)
{
	my $copy = "$dir/copy.state";

	copy($state{$mode}, $copy);
	sees_nothing("mode $mode: what honestly goes on is clean", @{ $later{$mode} }, '--state', $copy);
	isnt(slurp_file($copy), slurp_file($state{$mode}), "mode $mode: and remembered");
}

# ------------------------------------------------------------------
# The attacker's tools
# ------------------------------------------------------------------

my $vectors = "$FindBin::RealBin/../vectors";
my $ledger = "$dir/ledger.tsv";
my @tables = qw(patient lab morning evening remark);

bring_back_data($node, 'base');
$node->command_ok([ 'psql', '-X', '-q', '-d', $node->connstr($db), '-f', "$vectors/export.sql", '-o', $ledger ],
	'the attacker reads the whole ledger');
sql("CREATE TABLE testing.kept_$_ AS TABLE $_") foreach @tables;
sql("CREATE TABLE testing.kept_checkpoint AS TABLE medsync._checkpoint");
my $last_file = slurp_file(signer_file($node, '.last'));

my $past_guards = sql(<<'SQL');
SELECT string_agg(format('ALTER EVENT TRIGGER %I DISABLE;', evtname), ' ') FROM pg_event_trigger
SQL
my $guards_again = $past_guards =~ s/DISABLE/ENABLE ALWAYS/gr;
my %triggers_again = map {
	$_ => sql(<<SQL)
SELECT string_agg(format('ALTER TABLE $_ ENABLE ALWAYS TRIGGER %I;', tgname), ' ')
FROM pg_trigger WHERE tgrelid = '$_'::regclass AND NOT tgisinternal
SQL
} @tables;

# Change a table so that nothing is recorded.
sub unrecorded
{
	my ($table, $sql) = @_;
	return "$past_guards ALTER TABLE $table DISABLE TRIGGER USER; $sql $triggers_again{$table} $guards_again\n";
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

# The ledger as it was, but for the tables.
sub as_before
{
	rewrite();
	sql('INSERT INTO medsync._checkpoint TABLE testing.kept_checkpoint');
	put_file(signer_file($node, '.last'), $last_file);
	return;
}

sub is_signed
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(sql('SELECT note IS NOT NULL FROM medsync.checkpoint ORDER BY height DESC LIMIT 1'), 't', "$name: signed");
}

# The server is content, and so is everybody who saw nothing before, but for
# what times may say of themselves.
sub looks_right
{
	my ($name, $itself, %given) = @_;

	is_clean($node, $db, "$name: the server finds nothing");
	foreach my $mode (sort keys %given)
	{
		if ($itself && $mode ne 'log')
		{
			sees("$name: mode $mode finds this by itself", [$itself], $given{$mode});
			next;
		}
		sees_nothing("$name: mode $mode finds nothing by itself", @{ $given{$mode} });
	}
	return;
}

# What each mode makes of it with what it remembers, which stays as it is.
sub found_by
{
	my ($name, $given, %expected) = @_;

	foreach my $mode (sort keys %expected)
	{
		my $copy = "$dir/copy.state";
		my @argument = (@{ $given->{$mode} }, '--state', $copy);

		copy($state{$mode}, $copy);
		if (!@{ $expected{$mode} })
		{
			sees_nothing("$name: mode $mode cannot tell", @argument);
			next;
		}
		sees("$name: mode $mode", $expected{$mode}, \@argument);
		is(slurp_file($copy), slurp_file($state{$mode}), "$name: mode $mode still remembers the checkpoint from before");
	}
	return;
}

# An attack by a new past, {past} for rewrite.py and {live} for the tables.
# Left at that it is found at its place by whoever looks at the server, and
# computed and signed again by who remembers.
sub attack
{
	my ($name, %attack) = @_;
	my $live = join '', map { unrecorded($_, "DELETE FROM $_; INSERT INTO $_ TABLE testing.kept_$_;") } @tables;

	$live .= $attack{live} || '';
	if ($attack{naive})
	{
		as_before();
		rewrite('journal', @{ $attack{past} });
		sql($live);
		sees("$name, and nothing else: mode live", $attack{naive}, $before{live}, also => qr/^notice\|unsealed/);
	}
	rewrite(@{ $attack{past} });
	forget_signatures();
	sql($live) if !$attack{naive};
	sql($attack{then}) if $attack{then};
	sql('SELECT medsync.seal()');
	is_signed($name);
	my %given = given();
	looks_right($name, $attack{itself}, %given);
	found_by($name, \%given, %{ $attack{found} });
	remove_tree($given{log}[1]);
	return;
}

my $forked = qr/^error\|forked\|\|\|\|$/;
my $forked_block = qr/^error\|forked\|\|\|5\|$/;
my $late = qr/^warning\|block_altered\|\|\|\d+\|\d+$/;
my $truncated = qr/^error\|truncated\|\|\|\|$/;
my %forked = (log => [$forked], map { $_ => [ $forked, $forked_block ] } 'entries', 'live');
my %forked_below = (log => [$forked], map { $_ => [ $forked, $truncated ] } 'entries', 'live');
my %truncated = (log => [$truncated], map { $_ => [ $truncated, $truncated ] } 'entries', 'live');
my ($morning, $evening) = map { sql("SELECT number FROM medsync._table WHERE table_name = '$_'") } 'morning', 'evening';

sub entry_altered { my ($block) = @_; return [ qr/^error\|entry_altered\|\|\|$block\|$/, qr/^error\|entry_altered\|\|\|\|$/ ]; }

# ------------------------------------------------------------------
# Another past, computed and signed again
# ------------------------------------------------------------------

attack('nothing changed', past => [], found => { map { $_ => [] } keys %state });
attack('who it was, edited',
	past => [ 'role', $x{moved}, 'nobody' ],
	naive => entry_altered(3),
	found => \%forked);
attack('what it was, edited',
	past => [ 'value', $x{moved}, 0, 3, 'north' ],
	live => unrecorded('patient', "UPDATE patient SET ward = 'north' WHERE id = 7;"),
	naive => entry_altered(3),
	found => \%forked);
attack('an entry deleted',
	past => [ 'drop', $x{admitted} ],
	live => unrecorded('patient', 'DELETE FROM patient WHERE id = 301;'),
	naive => [ qr/^error\|entry_missing\|\|\|2\|$/, qr/^error\|block_altered\|\|\|\|$/ ],
	found => \%forked);
attack('an entry inserted',
	past => [ 'copy', $x{morning}, $x{spare}, 'value', $x{spare}, 0, 1, 9 ],
	live => unrecorded('morning', "INSERT INTO morning VALUES (9, 7, '5 mg');"),
	naive => [qr/^error\|extra\|public\.morning\|\{"id":9\}\|\|$/],
	found => \%forked);
attack('two entries in each other\'s place',
	past => [ 'exchange', $x{morning}, $x{evening} ],
	naive => entry_altered(2),
	found => \%forked);
attack('an entry moved to the front of its block',
	past => [ 'move', $x{remark}, $x{admitted} ],
	naive => entry_altered(2),
	found => \%forked);
attack('an entry doubled',
	past => [ 'copy', $x{remark}, $x{spare2} ],
	live => unrecorded('remark', "INSERT INTO remark VALUES (7, 'fever');"),
	naive => [qr/^error\|extra\|public\.remark\|\|2\|$index{remark}$/],
	found => \%forked);
attack('entries of two tables swapped',
	past => [ 'table', $x{morning}, 0, $evening, 'table', $x{evening}, 0, $morning ],
	live => unrecorded('morning', "UPDATE morning SET note = '9 mg' WHERE id = 1;")
	  . unrecorded('evening', "UPDATE evening SET note = '5 mg' WHERE id = 1;"),
	naive => entry_altered(2),
	found => \%forked);
attack('an entry of the day before',
	past => [ 'time', $x{moved}, -86400 ],
	naive => [ @{ entry_altered(3) }, $late ],
	itself => $late,
	found => { log => [$forked], map { $_ => [ $forked, $forked_block, $late ] } 'entries', 'live' });

# A block's time is in its hash, which is in the next block, and not in the
# tree: the public log alone cannot tell.
attack('blocks of the day before',
	past => [ map { ('sealed', $_, -86400) } 0 .. 5 ],
	found => { log => [], entries => [$forked_block], live => [$forked_block] });
attack('the last block sealed an hour later',
	past => [ 'sealed', 5, 3600 ],
	found => { log => [], entries => [$forked_block], live => [$forked_block] });
attack('two blocks made one',
	past => [ 'cut', 4 ],
	found => { log => [], entries => [$truncated], live => [$truncated] });

# ------------------------------------------------------------------
# The tail deleted
# ------------------------------------------------------------------

my $last_gone = unrecorded('patient', 'DELETE FROM patient WHERE id = 400;')
  . unrecorded('morning', 'DELETE FROM morning WHERE id = 2;');
my $more_gone = $last_gone
  . unrecorded('patient', "INSERT INTO patient VALUES (9, 'name 9', 'north');")
  . unrecorded('lab', "UPDATE lab SET value = 'low' WHERE id = 1;");

attack('the last block deleted', past => [ 'forget', 5 ], live => $last_gone, found => \%truncated);
attack('two blocks deleted', past => [ 'forget', 4 ], live => $more_gone, found => \%truncated);
attack('the last block deleted, and another in its place',
	past => [ 'forget', 5 ],
	live => $last_gone,
	then => "INSERT INTO morning VALUES (2, 7, '60 mg')",
	found => \%forked);
attack('two blocks deleted, and a larger one in their place',
	past => [ 'forget', 4 ],
	live => $more_gone,
	then => "INSERT INTO remark SELECT 7, 'more' FROM generate_series(1, 300)",
	found => \%forked_below);

# Without signing again: what was signed before is shown once more.  The
# server itself tells by what it signed last.
as_before();
sql(join '', map { unrecorded($_, "DELETE FROM $_; INSERT INTO $_ TABLE testing.kept_$_;") } @tables);
rewrite('forget', 5);
sql($last_gone);
sql('INSERT INTO medsync._checkpoint SELECT * FROM testing.kept_checkpoint WHERE height < 5');
like(errors($node, $db), qr/^error\|truncated\|/m, 'an earlier checkpoint again: the server finds it by what it signed last');
{
	my %given = given();

	found_by('an earlier checkpoint again', \%given, %truncated);
	forget_signatures();
	is_clean($node, $db, 'an earlier checkpoint again, .last removed: the server finds nothing');
	%given = given();
	found_by('an earlier checkpoint again, .last removed', \%given, %truncated);
}

# Nothing new at all: whoever remembers when it was first seen
{
	my $copy = "$dir/copy.state";

	put_file($copy, slurp_file($state{log}) =~ s/^first seen \K(\d+)/$1 - 100000/mer);
	sees('nothing new any more: mode log', [qr/^warning\|stale\|/], [ @{ $before{log} }, '--state', $copy ]);
}

# ------------------------------------------------------------------
# A receipt from before finds it too
# ------------------------------------------------------------------

# Its checkpoint is one to remember.
sub state_of_receipt
{
	my ($text) = @_;
	my ($note) = $text =~ /\n\n(.*)\z/s;

	return put_file("$dir/receipt.state", "medsync-verify state v1\nfirst seen " . time() . "\nblock none\n\n$note");
}

bring_back_data($node, 'base');
rewrite('role', $x{moved}, 'nobody');
forget_signatures();
sql('SELECT medsync.seal()');
{
	my %given = given();
	my $other = sql("SELECT medsync.receipt($index{moved})");

	receipt_is('a receipt from before, after the attack', 'valid', $receipt{moved});
	receipt_is('a receipt of the other past', 'valid', $other);
	sees("a patient's receipt is a checkpoint to compare with: mode $_", [$forked],
		[ @{ $given{$_} }, '--state', state_of_receipt($receipt{moved}) ]) foreach sort keys %given;
}

# ------------------------------------------------------------------
# The whole ledger replaced
# ------------------------------------------------------------------

sub replace_ledger
{
	my (@track) = @_;
	my $subject = { patient => 'id', map { $_ => 'patient' } qw(lab morning evening remark) };

	sql("$past_guards DROP EXTENSION medsync CASCADE");
	sql('CREATE EXTENSION medsync');
	sql("SELECT medsync.track('$_', subject => '$subject->{$_}')") foreach @track;
	my (undef, $said) = sql_error($node, $db, 'SELECT medsync.seal()');
	like($said, qr/is sealed, but not signed.*was signed at size \d+, and the ledger here does not contain it/s,
		'another ledger: not signed as long as the last file is there');
	forget_signatures();
	sql('SELECT medsync.seal()');
	is_signed('another ledger');
	is(sql('SELECT medsync.verifier_key()'), $key, 'another ledger has the same name and key');
	return;
}

bring_back_data($node, 'base');
replace_ledger('lab', 'morning', 'evening', 'remark');
{
	my %given = given();

	looks_right('a smaller ledger', undef, %given);
	found_by('a smaller ledger', \%given, %truncated);

	sql("INSERT INTO remark SELECT 7, 'more' FROM generate_series(1, 400)");
	sql('SELECT medsync.seal()') foreach 1 .. 2;
	%given = given();
	looks_right('a larger ledger', undef, %given);
	found_by('a larger ledger', \%given, %forked_below);

	sql("INSERT INTO remark VALUES (7, 'more'); SELECT medsync.seal();") foreach 1 .. 5;
	%given = given();
	found_by('a ledger of more blocks', \%given, %forked);
}

# ------------------------------------------------------------------
# An older backup, a clone
# ------------------------------------------------------------------

# With the key in the data directory the backup knows only what had been
# signed by then, and the server goes on as if nothing were.
bring_back_data($node, 'old');
sql("INSERT INTO remark VALUES (8, 'cough'); SELECT medsync.seal();");
is_signed('an older backup');
{
	my %given = given();

	looks_right('an older backup', undef, %given);
	found_by('an older backup', \%given, %truncated);

	sql("INSERT INTO remark SELECT 8, 'cough' FROM generate_series(1, 10); SELECT medsync.seal();");
	%given = given();
	looks_right('an older backup that went on', undef, %given);
	found_by('an older backup that went on', \%given, %forked);
}

# The same statements once more are not the same past.
bring_back_data($node, 'old');
xact('DELETE FROM patient WHERE id = 9');
xact("UPDATE lab SET value = 'high' WHERE id = 1");
sql('SELECT medsync.seal()');
xact("INSERT INTO morning VALUES (2, 7, '6 mg')");
sql('SELECT medsync.seal()');
{
	my %given = given();

	is(sql('SELECT max(size) FROM medsync.checkpoint'), $size, 'everything done once more: as many entries');
	looks_right('everything done once more', undef, %given);
	found_by('everything done once more', \%given, %forked);
}

# Two copies that both go on: each continues what was known before, and who
# has seen the one finds the other.
{
	my %seen;

	foreach my $copy ('one', 'two')
	{
		bring_back_data($node, 'base');
		sql("INSERT INTO remark SELECT 8, 'copy $copy' FROM generate_series(1, 3); SELECT medsync.seal();");
		is_signed("copy $copy");
		my %given = given();
		looks_right("copy $copy", undef, %given);
		foreach my $mode (sort keys %given)
		{
			my $state = "$dir/$copy.$mode.state";

			copy($state{$mode}, $state);
			sees_nothing("copy $copy: mode $mode sees the ledger go on", @{ $given{$mode} }, '--state', $state);
		}
		$seen{$copy} = \%given;
	}
	foreach my $mode ('log', 'entries')
	{
		foreach my $way ([ 'one', 'two' ], [ 'two', 'one' ])
		{
			my ($of, $by) = @$way;

			sees("copy $of, to those who have seen copy $by: mode $mode",
				$mode eq 'log' ? [$forked] : [ $forked, qr/^error\|forked\|\|\|6\|$/ ],
				[ @{ $seen{$of}{$mode} }, '--state', "$dir/$by.$mode.state" ]);
		}
	}
	sees('copy two, to those who have seen copy one: mode live', [ $forked, qr/^error\|forked\|\|\|6\|$/ ],
		[ @{ $seen{two}{live} }, '--state', "$dir/one.live.state" ]);
}

# ------------------------------------------------------------------
# A clock that was set back
# ------------------------------------------------------------------

{
	my $build = own_directory();

	copy("$FindBin::RealBin/../modules/test_clock/$_", "$build/$_") or die "$_: $!" foreach 'Makefile', 'test_clock.c';
	command_ok([ 'make', '-s', '-C', $build ], 'a clock to set back');
	bring_back_data($node, 'base');
	$node->stop;
	{
		local $ENV{LD_PRELOAD} = "$build/test_clock.so";
		local $ENV{TEST_CLOCK_OFFSET} = -86400;
		$node->start;
	}
	is(sql('SELECT now() < (SELECT max(sealed_at) FROM medsync._block)'), 't', 'the server lives in the past');
	sql("INSERT INTO morning VALUES (4, 7, '0 mg'); SELECT medsync.seal();");
	my %given = given();
	is( sql(<<SQL), 't|t|t', 'an entry says an earlier time, and stands behind what was signed; blocks stay in order');
SELECT h.at < now() + interval '1 minute' AND h.at < min(b.sealed_at), h.entry_index >= $size,
	bool_and(b.sealed_at >= '2000-01-01') AND (SELECT count(*) = 0 FROM medsync._block x JOIN medsync._block y ON y.height = x.height + 1 WHERE y.sealed_at < x.sealed_at)
FROM medsync.history('morning', '{"id": 4}') h, medsync._block b WHERE b.height = 5 GROUP BY h.at, h.entry_index
SQL
	looks_right('a clock set back', $late, %given);
	$node->stop;
	$node->start;
}

# ------------------------------------------------------------------
# A key that signs no more
# ------------------------------------------------------------------

bring_back_data($node, 'base');
my $old_key_file = put_file("$dir/old.key", slurp_file(signer_file($node)));
my $new_key = sql('SELECT medsync.rotate_signer_key()');
isnt($new_key, $key, 'another key');
sql('SELECT medsync.seal()');
my $rotated = sql('SELECT max(size) FROM medsync.checkpoint');
my %both = given();
$_->[-1] = $new_key foreach values %both;
sees_nothing("signed by both keys: mode $_, with the new one", @{ $both{$_} }) foreach sort keys %both;
sees_nothing("signed by both keys: mode $_, with the old one", @{ $both{$_} }[ 0 .. $#{ $both{$_} } - 1 ], $key)
  foreach sort keys %both;

sql("INSERT INTO remark VALUES (8, 'cough'); SELECT medsync.seal();");
my %new = given();
$_->[-1] = $new_key foreach values %new;
foreach my $mode (sort keys %new)
{
	my @with_old = @{ $new{$mode} };
	my $report = sees_nothing("signed by the new key: mode $mode", @{ $new{$mode} });

	$with_old[-1] = $key;
	is_deeply(
		$report->{signers},
		$mode eq 'log' ? [] : [ { entry_index => $rotated - 1, key => $new_key } ],
		"mode $mode: what the log says of its keys");
	sees("signed by the new key: mode $mode, to those who only know the old one",
		[qr/^error\|bad_signature\|\|\|\|$/], \@with_old, also => qr/^notice/);
	my $copy = "$dir/copy.state";
	copy($state{$mode}, $copy);
	sees_nothing("signed by the new key: mode $mode, with both and the state from before",
		@{ $new{$mode} }, '--key', $key, '--state', $copy);
	cannot_see("signed by the new key: mode $mode, with a state that only the old one signed",
		qr/no given key has signed the checkpoint in state file/, @{ $new{$mode} }, '--state', $state{$mode});
}

# Whoever has the old key signs a past of his own.
{
	my $forged = "$dir/forged";
	my $state = "$dir/rotated.state";
	my $text = sql("SELECT medsync.receipt($index{moved})");

	sees_nothing('the log after the rotation is remembered', @{ $new{log} }, '--state', $state);
	foreach my $step ([ 'flip', $index{moved} ], [ 'cut', $rotated + 1 ])
	{
		IPC::Run::run([ 'python3', '-B', "$FindBin::RealBin/lib/forge.py", 'log', $new{log}[1], $forged, $old_key_file, @$step ])
		  or die 'forge.py';
		sees("signed by the old key alone (@$step)", [qr/^error\|bad_signature\|\|\|\|$/],
			[ 'log', $forged, '--key', $new_key ]);
		sees_nothing("signed by the old key alone (@$step), to those who know no other", 'log', $forged, '--key', $key);
		remove_tree($forged);
	}
	IPC::Run::run([ 'python3', '-B', "$FindBin::RealBin/lib/forge.py", 'log', $new{log}[1], $forged, $old_key_file, 'flip', $index{moved} ])
	  or die 'forge.py';
	sees('signed by the old key alone, to those who remember', [$forked],
		[ 'log', $forged, '--key', $new_key, '--key', $key, '--state', $state ]);
	receipt_is('a receipt signed by the new key', 'valid', $text, $new_key);
	receipt_is('a receipt signed by the new key, by the old one', 'bad_signature', $text, $key);
	receipt_is('a receipt signed by the old key, by the new one', 'bad_signature', $receipt{moved}, $new_key);
}

is_quiet($node);
$node->stop;

# ------------------------------------------------------------------
# Without the database
# ------------------------------------------------------------------

foreach my $n ('log', 'entries')
{
	my $elsewhere = "$dir/elsewhere.$n";

	system('cp', '-r', $before{$n}[1], $elsewhere) == 0 or die "cp: $?";
	remove_tree($before{$n}[1]);
	$before{$n}[1] = $elsewhere;
}
$before{entries}[3] = $before{log}[1];
sees_nothing('no server: the public export', @{ $before{log} }, '--state', $state{log});
sees_nothing('no server: the private export', @{ $before{entries} }, '--state', $state{entries});
foreach my $name (sort keys %receipt)
{
	sees_nothing("no server: receipt $name", 'receipt', receipt_file($receipt{$name}), '--key', $key);
}
cannot_see('no server: mode live', qr/could not connect|connection/i, @{ $before{live} });

done_testing();
