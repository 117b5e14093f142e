
# Verifiers that others wrote accept what medsync publishes, and refuse it once
# it is damaged: Tessera's fsck reads a public export as files, and a program
# around golang.org/x/mod/sumdb (test/foreign/sumdb) hashes it again, checks
# the server's proofs against its own and reads receipts by itself.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use File::Basename;
use File::Path qw(make_path);
use IPC::Run;
use JSON::PP;
use MedsyncTest;
use MIME::Base64;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my %program;
for my $name (qw(sumdb fsck))
{
	($program{$name}, my $why) = foreign_program($name);
	plan skip_all => $why unless $program{$name};
}

my $dir = own_directory();
my $db = 'hospital';
my $node = new_node('foreign', conf => "medsync.origin = 'hospital.example/ledger'");
new_database($node, $db);

# ------------------------------------------------------------------
# The verifiers
# ------------------------------------------------------------------

# Run a program with a time limit: (exit status, all it said).
sub foreign
{
	my ($input, @command) = @_;
	my $output = '';

	IPC::Run::run([ 'timeout', '120', @command ], '<', \$input, '&>', \$output);
	return ($? >> 8, $output);
}

sub sumdb { return foreign('', $program{sumdb}, @_); }

# fsck's exit status says nothing, what it prints does.
sub fsck
{
	my ($log, $key) = @_;
	my ($status, $output) = foreign('', $program{fsck}, "--storage_url=file://$log",
		"--public_key=$key", '--ui=false', '-N=4096');

	return ($output =~ /Successfully fsck'd log with size (\d+) and root (\S+)/ ? "$1 $2" : '', $output);
}

# Both accept a log, of this size and with this root ("size root").
sub accepted
{
	my ($log, $key, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($size, $root) = split / /, $expected;
	my ($status, $output) = sumdb('log', $log, $key);
	my ($found, $said) = fsck($log, $key);

	like($output, qr/^log is right: \S+, size $size, root \Q$root\E,/, "$name: x/mod accepts it");
	is($status, 0, "$name: x/mod's exit status") or diag($output);
	is($found, $expected, "$name: fsck accepts it") or diag($said);
	return;
}

# Neither does; x/mod's words fit the pattern.
sub rejected
{
	my ($log, $key, $like, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $output) = sumdb('log', $log, $key);
	my ($found, $said) = fsck($log, $key);

	is($status, 1, "$name: x/mod refuses it") or diag($output);
	like($output, $like, "$name: x/mod says why");
	is($found, '', "$name: fsck refuses it") or diag($said);
	return;
}

# ------------------------------------------------------------------
# The ledger
# ------------------------------------------------------------------

sub sql { return query($node, $db, shift); }

# "size root" of the newest block.
sub newest
{
	return sql(<<'SQL');
SELECT size || ' ' || encode(root, 'base64')
FROM medsync.checkpoint ORDER BY height DESC LIMIT 1
SQL
}

my $rows = 0;

# Add so many rows in one statement and seal.
sub add_rows
{
	my ($count) = @_;

	sql("INSERT INTO note SELECT g, g % 50, 'seen on ward ' || g % 7
		 FROM generate_series($rows + 1, $rows + $count) g") if $count > 0;
	$rows += $count;
	sql('SELECT medsync.seal()');
	return;
}

sub key_of
{
	my ($database, $name) = @_;
	my $file = "$dir/$name.vkey";

	append_to_file($file, query($node, $database, 'SELECT medsync.verifier_key()') . "\n");
	return $file;
}

sql('CREATE TABLE note (id int PRIMARY KEY, patient int NOT NULL, body text)');
sql("SELECT medsync.track('note', subject => 'patient')");
add_rows(0);

# ------------------------------------------------------------------
# One export, continued at sizes around the borders of tiles
# ------------------------------------------------------------------

my $log = "$dir/log";
my $key = key_of($db, 'ledger');
my @sizes = split / /, newest() =~ s/ .*//r;

sub export
{
	my ($to) = @_;

	is(sql("SELECT medsync.export('$to')"), newest() =~ s/ .*//r, 'exported: ' . basename($to));
	return;
}

sub copy_of
{
	my ($what, $name) = @_;

	system_or_bail('cp', '-a', $what, "$dir/$name");
	return "$dir/$name";
}

# The same files as rows, put into a directory by a client that has some already.
sub ship
{
	my ($to, $from) = @_;

	for my $line (split /\n/, sql("SELECT path, encode(content, 'hex') FROM medsync.export_files($from)"))
	{
		my ($path, $content) = split /\|/, $line;
		make_path(dirname("$to/$path"));
		put("$to/$path", pack('H*', $content));
	}
	return;
}

export($log);
accepted($log, $key, newest(), "size $sizes[0]");
for my $size (3, 255, 256, 257, 511, 512, 513, 65535, 65536, 65537, 66000)
{
	if ($size == 65535)
	{
		copy_of($log, 'of_513');
		ship("$dir/shipped", 0);
	}
	add_rows($size - $sizes[-1]);
	push @sizes, $size;
	is(newest() =~ s/ .*//r, $size, "size $size: sealed");
	export($log);
	accepted($log, $key, newest(), "size $size");
}

# Made anew at the last size it has the same root, and no partial tiles of
# earlier ones.
export("$dir/anew");
accepted("$dir/anew", $key, newest(), 'made anew');
ship("$dir/shipped", 513);
accepted("$dir/shipped", $key, newest(), 'sent as rows, in two parts');

# Served as it stands by a web server that knows nothing of logs.
SKIP:
{
	skip 'python3 is not there', 1
	  unless eval { IPC::Run::run([ 'python3', '-c', 'import http.server' ], '&>', \my $void) };
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $served = '';
	my $web = IPC::Run::start(
		[ 'python3', '-u', '-m', 'http.server', '--bind', '127.0.0.1', '--directory', "$dir/of_513", $port ],
		'<', \undef, '&>', \$served, IPC::Run::timeout(120));

	$web->pump until $served =~ /Serving HTTP/;
	my ($status, $output) = foreign('', $program{fsck}, "--storage_url=http://127.0.0.1:$port/",
		"--public_key=$key", '--ui=false', '-N=8');
	like($output, qr/Successfully fsck'd log with size 513 /, 'fsck accepts it from a web server');
	$web->kill_kill(grace => 5);
}

# ------------------------------------------------------------------
# Proofs
# ------------------------------------------------------------------

# The proofs of a query that gives (index, size), as JSON lines.  A root is
# there where the size is that of a block.
my $inclusion = <<'SQL';
SELECT json_strip_nulls(json_build_object('type', 'inclusion',
	'index', i, 'size', s,
	'leaf_hash', encode(sha256('\x00' || medsync.leaf(i)), 'base64'),
	'proof', (SELECT coalesce(json_agg(encode(h, 'base64') ORDER BY n), '[]')
			  FROM unnest(medsync.prove_inclusion(i, s)) WITH ORDINALITY AS u(h, n)),
	'root', (SELECT encode(root, 'base64') FROM medsync.checkpoint WHERE size = s)))
FROM (%s) AS sample(i, s)
SQL

my $consistency = <<'SQL';
SELECT json_strip_nulls(json_build_object('type', 'consistency',
	'old_size', a, 'new_size', b,
	'old_root', (SELECT encode(root, 'base64') FROM medsync.checkpoint WHERE size = a),
	'new_root', (SELECT encode(root, 'base64') FROM medsync.checkpoint WHERE size = b),
	'proof', (SELECT coalesce(json_agg(encode(h, 'base64') ORDER BY n), '[]')
			  FROM unnest(medsync.prove_consistency(a, b)) WITH ORDINALITY AS u(h, n))))
FROM (%s) AS sample(a, b)
SQL

sub proofs
{
	my ($lines) = @_;
	return foreign("$lines\n", $program{sumdb}, 'proofs', $log, $key);
}

my $list = join ', ', @sizes;
my $edges = sql(sprintf $inclusion, <<"SQL");
SELECT DISTINCT i, s FROM unnest(ARRAY[$list]) s,
	unnest(ARRAY[0, 1, 254, 255, 256, 511, 512, s / 2, s - 2, s - 1, s - s % 256]) i
WHERE i < s
SQL
my $any = sql(sprintf $inclusion, <<'SQL');
SELECT i, i + 1 + (g * 40503) % (66000 - i)
FROM generate_series(1, 300) g, LATERAL (SELECT (g * 25013) % 66000 AS i) x
SQL
my $pairs = sql(sprintf $consistency,
	"SELECT a, b FROM unnest(ARRAY[$list]) a, unnest(ARRAY[$list]) b WHERE a <= b");
my $others = sql(sprintf $consistency, <<'SQL');
SELECT a, a + (g * 40503) % (66001 - a)
FROM generate_series(1, 300) g, LATERAL (SELECT 1 + (g * 25013) % 66000 AS a) x
SQL

for my $case (
	[ 'entries at borders', $edges ],
	[ 'entries of any size', $any ],
	[ 'sizes of blocks', $pairs ],
	[ 'any two sizes', $others ])
{
	my ($name, $lines) = @$case;
	my ($status, $output) = proofs($lines);
	my $count = () = $lines =~ /"type"/g;

	is($status, 0, "proofs, $name") or diag($output);
	is($output =~ /(\d+) inclusion, (\d+) consistency/ ? $1 + $2 : 0, $count, "proofs, $name: all $count checked");
}

# Each part of a proof counts.
sub proof_refused
{
	my ($line, $name, $change) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $proof = decode_json($line);

	$change->($proof);
	my ($status, $output) = proofs(encode_json($proof));
	return is($status, 1, "$name: refused") || diag($output);
}

# One bit of a hash in base64.
sub other_hash
{
	my ($hash) = @_;
	return encode_base64(decode_base64($hash) ^ ("\0" x 31 . "\1"), '');
}

my ($one) = sql(sprintf $inclusion, 'SELECT 300, 513');
my ($two) = sql(sprintf $consistency, 'SELECT 257, 513');
proof_refused($one, 'leaf hash of another entry', sub { $_[0]{leaf_hash} = other_hash($_[0]{leaf_hash}) });
proof_refused($one, 'another index', sub { $_[0]{index}++ });
proof_refused($one, 'another size', sub { $_[0]{size} = 512; delete $_[0]{root} });
proof_refused($one, 'another root', sub { $_[0]{root} = other_hash($_[0]{root}) });
proof_refused($one, 'another hash in the path', sub { $_[0]{proof}[3] = other_hash($_[0]{proof}[3]) });
proof_refused($one, 'one hash less', sub { pop @{ $_[0]{proof} } });
proof_refused($one, 'one hash more', sub { push @{ $_[0]{proof} }, $_[0]{root} });
proof_refused($two, 'another old root', sub { $_[0]{old_root} = other_hash($_[0]{old_root}) });
proof_refused($two, 'another new root', sub { $_[0]{new_root} = other_hash($_[0]{new_root}) });
proof_refused($two, 'another hash between sizes', sub { $_[0]{proof}[0] = other_hash($_[0]{proof}[0]) });
proof_refused($two, 'one hash less between sizes', sub { pop @{ $_[0]{proof} } });

# ------------------------------------------------------------------
# Damage
# ------------------------------------------------------------------

sub flip
{
	my ($file, $offset) = @_;
	my $content = slurp_file($file);

	substr($content, $offset, 1) ^= "\1";
	put($file, $content);
	return;
}

sub put
{
	my ($file, $content) = @_;

	open my $out, '>:raw', $file or die "$file: $!";
	print $out $content;
	close $out or die "$file: $!";
	return;
}

sub cut { return put($_[0], substr(slurp_file($_[0]), 0, -$_[1])); }

sub swap
{
	my ($one, $two) = @_;

	rename $one, "$one.x" and rename $two, $one and rename "$one.x", $two
	  or die "$one, $two: $!";
	return;
}

# Change a file's text, which is $_ meanwhile.
sub edit
{
	my ($file, $change) = @_;
	my $text = slurp_file($file);

	$change->() or die "$file: nothing changed" for $text;
	put($file, $text);
	return;
}

my $small = "$dir/of_513";
my $differs = qr/differs from what the entries make/;
my $wrong_root = qr/the entries make the root/;
my $no_file = qr/no such file/;
my $unsigned = qr/invalid signature/;
my $unknown = qr/no verifiable signatures/;

{
	my ($status, $output) = sumdb('log', $small, $key);
	is($status, 0, 'the copy is right') or diag($output);
}
for my $case (
	[ 'a byte of an entry', $wrong_root, sub { flip("$_[0]/tile/entries/001", 710) } ],
	[ 'a byte of the last entry', $wrong_root, sub { flip("$_[0]/tile/entries/002.p/1", -1) } ],
	[ 'the length of an entry', qr/entries\/000: /, sub { flip("$_[0]/tile/entries/000", 1) } ],
	[ 'a byte of a tile', $differs, sub { flip("$_[0]/tile/0/000", 77) } ],
	[ 'a byte of a partial tile', $differs, sub { flip("$_[0]/tile/0/002.p/1", 31) } ],
	[ 'a byte of an upper tile', $differs, sub { flip("$_[0]/tile/1/000.p/2", 40) } ],
	[ 'two tiles swapped', $differs, sub { swap("$_[0]/tile/0/000", "$_[0]/tile/0/001") } ],
	[ 'two bundles swapped', $wrong_root, sub { swap("$_[0]/tile/entries/000", "$_[0]/tile/entries/001") } ],
	[ 'a bundle cut', qr/ends within an entry/, sub { cut("$_[0]/tile/entries/001", 1) } ],
	[ 'a bundle without its last entry', qr/has 255 entries/, sub { cut("$_[0]/tile/entries/001", 35) } ],
	[ 'a tile cut', $differs, sub { cut("$_[0]/tile/0/001", 32) } ],
	[ 'an empty tile', $differs, sub { put("$_[0]/tile/0/001", '') } ],
	[ 'a tile gone', $no_file, sub { unlink "$_[0]/tile/0/001" or die } ],
	[ 'a bundle gone', $no_file, sub { unlink "$_[0]/tile/entries/000" or die } ],
	[ 'another size in the checkpoint', $unsigned, sub { edit("$_[0]/checkpoint", sub { s/^513$/512/m }) } ],
	[ 'another root in the checkpoint', $unsigned, sub { edit("$_[0]/checkpoint", sub { s/^(513\n.*)(.)(.=\n)/$1 . ($2 ^ "\1") . $3/me }) } ],
	[ 'another signature', $unsigned, sub { edit("$_[0]/checkpoint", sub { substr($_, -20, 1) =~ tr{A-Za-z0-9+/}{B-ZAb-za1-90/+} }) } ],
	[ 'another origin', $unknown, sub { edit("$_[0]/checkpoint", sub { s/hospital/hospice/g }) } ],
	[ 'no signature', qr/malformed note/, sub { edit("$_[0]/checkpoint", sub { s/\n\n.*/\n\n/s }) } ],
	[ 'a line more in the checkpoint', $unsigned, sub { edit("$_[0]/checkpoint", sub { s/\n\n/\nmore\n\n/ }) } ])
{
	my ($name, $like, $damage) = @$case;
	my $copy = copy_of($small, 'damaged');

	$damage->($copy);
	rejected($copy, $key, $like, $name);
	system_or_bail('rm', '-rf', $copy);
}

# Deep in a larger log too.
for my $case (
	[ 'bundle 200 of 66000 entries', $wrong_root, 'tile/entries/200' ],
	[ 'tile 200 of 66000 entries', $differs, 'tile/0/200' ],
	[ 'the full tile of level 1', $differs, 'tile/1/000' ],
	[ 'the partial tile of level 2', $differs, 'tile/2/000.p/1' ])
{
	my ($name, $like, $file) = @$case;

	flip("$dir/anew/$file", 17);
	rejected("$dir/anew", $key, $like, $name);
	flip("$dir/anew/$file", 17);
}
accepted("$dir/anew", $key, newest(), 'repaired');

# fsck looks neither at files that a log of this size does not need nor behind
# the last entry of a bundle; the program around x/mod does.
for my $case (
	[ 'a partial tile beyond the tree', qr/is beyond the tree/, 'tile/0/002.p/7', 'x' x 224 ],
	[ 'a partial bundle of an earlier size', qr/entry 256 differs/, 'tile/entries/001.p/1', "\0\1x" ],
	[ 'a partial bundle with one entry more', qr/has 2 entries/, 'tile/entries/002.p/1', slurp_file("$small/tile/entries/002.p/1") x 2 ],
	[ 'a full bundle with one entry more', qr/has 257 entries/, 'tile/entries/001', slurp_file("$small/tile/entries/001") . "\0\0" ],
	[ 'a file that is no part of a log', qr/is not part of a log/, 'tile/0/000.new', '' ])
{
	my ($name, $like, $file, $content) = @$case;
	my $copy = copy_of($small, 'damaged');

	make_path(dirname("$copy/$file"));
	put("$copy/$file", $content);
	my ($status, $output) = sumdb('log', $copy, $key);
	is($status, 1, "$name: x/mod refuses it");
	like($output, $like, "$name: x/mod says why");
	system_or_bail('rm', '-rf', $copy);
}

# ------------------------------------------------------------------
# Receipts
# ------------------------------------------------------------------

sql("UPDATE note SET body = 'amended' WHERE id IN (300, 301)");
sql('DELETE FROM note WHERE id = 301');
add_rows(1);

# A receipt as a file, which our own verify_receipt() takes too.
sub receipt
{
	my ($name, $arguments) = @_;
	my $file = "$dir/$name.tlog-proof";

	put($file, sql("SELECT medsync.receipt($arguments)"));
	is(sql("SELECT verdict FROM medsync.verify_receipt(pg_read_file('$file'), medsync.verifier_key())"),
		'valid', "receipt, $name: we accept it");
	return $file;
}

sub receipt_refused
{
	my ($text, $by, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	put("$dir/changed.tlog-proof", $text);
	my ($status, $output) = sumdb('receipt', $by, "$dir/changed.tlog-proof");
	return is($status, 1, "$name: x/mod refuses it") || diag($output);
}

my %receipt = (
	'first'   => receipt('first', q('note', '{"id": 1}')),
	'last'    => receipt('last', qq('note', '{"id": $rows}')),
	'amended' => receipt('amended', q('note', '{"id": 300}')),
	'deleted' => receipt('deleted', q('note', '{"id": 301}')),
	'ddl'     => receipt('ddl', '0'),
	'index'   => receipt('index', '65536'));
{
	my ($status, $output) = sumdb('receipt', $key, values %receipt);
	is($output, "receipts are right: 6\n", 'x/mod accepts receipts');
	is($status, 0, 'x/mod accepts receipts: exit status');
}

# Every line of one counts, and their order.
my @lines = split /^/, slurp_file($receipt{first});
my @hashes = grep { length $lines[$_] == 45 } 0 .. $#lines;
cmp_ok(scalar @hashes, '>', 16, 'the receipt has a path of hashes');
for my $n (grep { $lines[$_] =~ /\S/ } 0 .. $#lines)
{
	my @changed = @lines;

	substr($changed[$n], $n == 1 ? 20 : length($lines[$n]) / 2, 1) =~ tr/A-Za-z0-9+\//B-ZAb-za1-90\/+/;
	isnt($changed[$n], $lines[$n], "line $n of a receipt is changed");
	receipt_refused(join('', @changed), $key, "line $n of a receipt changed");
}
{
	my @changed = @lines;

	splice @changed, $hashes[3], 1;
	receipt_refused(join('', @changed), $key, 'a hash of a receipt gone');
	@changed = @lines;
	@changed[ @hashes[ 2, 3 ] ] = @changed[ @hashes[ 3, 2 ] ];
	receipt_refused(join('', @changed), $key, 'two hashes of a receipt swapped');
	receipt_refused(slurp_file($receipt{last}) =~ s/^extra .*$/$lines[1] =~ s{\n}{}r/mer,
		$key, 'what one receipt opens in another');
	receipt_refused(substr(join('', @lines), 0, -1), $key, 'a receipt cut by one byte');
}

# ------------------------------------------------------------------
# Keys
# ------------------------------------------------------------------

new_database($node, 'other');
query($node, 'other', "ALTER DATABASE other SET medsync.origin = 'other.example/ledger'");
query($node, 'other', 'CREATE TABLE t (id int PRIMARY KEY); SELECT medsync.track(\'t\')');
query($node, 'other', 'SELECT medsync.seal()');
my $other_key = key_of('other', 'other');
rejected($log, $other_key, $unknown, 'the key of another database');
receipt_refused(join('', @lines), $other_key, 'a receipt, by the key of another database');

# At a rotation the old key signs one checkpoint more, beside the new one.
sql('SELECT medsync.rotate_signer_key()');
add_rows(1);
export($log);
my $new_key = key_of($db, 'rotated');
isnt(slurp_file($new_key), slurp_file($key), 'the key has changed');
accepted($log, $key, newest(), 'at the rotation, by the old key');
accepted($log, $new_key, newest(), 'at the rotation, by the new key');
add_rows(1);
export($log);
accepted($log, $new_key, newest(), 'after the rotation, by the new key');
rejected($log, $key, $unknown, 'after the rotation, by the old key');
{
	my $new = receipt('rotated', q('note', '{"id": 1}'));
	is((sumdb('receipt', $new_key, $new))[0], 0, 'a new receipt, by the new key');
	receipt_refused(slurp_file($new), $key, 'a new receipt, by the old key');
	is((sumdb('receipt', $key, $receipt{first}))[0], 0, 'an old receipt, by the old key');
}

# ------------------------------------------------------------------
# While others write and seal
# ------------------------------------------------------------------

sql('CREATE TABLE busy (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text)');
sql("SELECT medsync.track('busy')");
my $writers = pgbench_start($node, $db, '-c', 4, '-t', 400, '-f',
	script('busy.sql', "INSERT INTO busy (body) SELECT 'x' FROM generate_series(1, 3);\n"));
my $sealer = pgbench_start($node, $db, '-c', 1, '-t', 60, '-f',
	script('seal.sql', "SELECT medsync.seal();\n\\sleep 20 ms\n"));
my $last = 0;

for my $n (1 .. 6)
{
	my $size = sql("SELECT medsync.export('$log')");
	my ($status, $output) = sumdb('log', $log, $new_key);
	my ($found) = fsck($log, $new_key);

	is($status, 0, "export $n beside writers: x/mod accepts it") or diag($output);
	like($found, qr/^$size /, "export $n beside writers: fsck accepts it");
	cmp_ok($size, '>=', $last, "export $n beside writers: not smaller than the last");
	$last = $size;
}
for my $run ($writers, $sealer)
{
	pgbench_finish($run);
	is($run->{status}, 0, 'pgbench') or diag($run->{err});
}
add_rows(0);
export($log);
accepted($log, $new_key, newest(), 'after the writers');

is_quiet($node);
done_testing();
