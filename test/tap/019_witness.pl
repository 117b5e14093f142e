
# Witnesses: real ones cosign what extends what they know and refuse the rest;
# hostile, broken and silent ones are a row of the result and in nobody's way.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use FakeWitness;
use IO::Socket::INET;
use IPC::Run;
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# libcurl in the server would take a proxy from here.
delete @ENV{qw(http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY)};

my $node = new_node('witness');
my $db   = new_database($node, 'clinic');
my $fake = FakeWitness->new(own_directory() . '/fake');

$node->safe_psql($db, <<'SQL');
CREATE ROLE boss LOGIN;
GRANT medsync_admin TO boss;
CREATE ROLE nobody LOGIN;
CREATE TABLE lab (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, patient int, v text);
SELECT medsync.track('lab', subject => 'patient');
ALTER DATABASE clinic SET medsync.witness_timeout = '3s';
SQL

# New rows, sealed and signed by the seal's own commit.
sub grow
{
	my ($rows, $on, $in) = @_;
	return ($on || $node)->safe_psql($in || $db,
		"INSERT INTO lab (patient, v) SELECT g, 'x' FROM generate_series(1, $rows) g; SELECT size FROM medsync.seal()");
}

# One call: { name => [state, detail] }, what it said besides, seconds.
sub submit
{
	my (%option) = @_;
	my ($out, $err) = ('', '');
	my $began = time();

	($option{on} || $node)->psql(
		$option{in} || $db,
		($option{before} || '') . 'SELECT witness, state, detail FROM medsync.submit_checkpoint() ORDER BY 1',
		stdout => \$out, stderr => \$err);
	my %row = map { my ($name, @rest) = split /\|/, $_, 3; ($name => \@rest) } split /\n/, $out;
	return (\%row, $err, time() - $began);
}

# What one witness makes of the newest checkpoint.
sub submitted
{
	my ($name, $state, $detail, $what, %option) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($row, $err, $seconds) = submit(%option);

	is($row->{$name} ? $row->{$name}[0] : $err, $state, "$what: $state");
	like($row->{$name} ? $row->{$name}[1] : '', $detail, "$what: detail") if $detail;
	return ($row, $err, $seconds);
}

# registered|needed|cosigned|forged|met of the newest signed block.
sub witnessed
{
	my ($before) = @_;
	return $node->safe_psql($db, ($before || '') . <<'SQL');
SELECT w.* FROM (SELECT height, note FROM medsync.checkpoint WHERE note IS NOT NULL ORDER BY height DESC LIMIT 1) c,
	medsync._witnessed(c.height, c.note) w
SQL
}

sub stored
{
	my ($on, $in) = @_;
	return ($on || $node)->safe_psql($in || $db, 'SELECT count(*) FROM medsync._cosignature');
}

sub add
{
	my ($name) = @_;
	$fake->add($name);
	$node->safe_psql($db, sprintf "SELECT medsync.add_witness('%s', '%s', '%s')",
		$name, $fake->url($name), $fake->verifier_key($name));
	return;
}

sub remove { my ($name) = @_; $node->safe_psql($db, "SELECT medsync.remove_witness('$name')"); return; }

# Registering

$fake->add('one');
my $key = $fake->verifier_key('one');

refused($node, $db, 'SELECT * FROM medsync.submit_checkpoint()', '55000', 'no block yet', like => qr/no block yet/, hint => 1);
is(grow(10), '12', 'a first block');
is($node->safe_psql($db, 'SELECT count(*) FROM medsync.submit_checkpoint()'), '0', 'no witness, no row');

for my $case (
	[ 'a blank in the name', 'a b', 'http://h', $key, '42602', qr/invalid name/ ],
	[ 'no name', '', 'http://h', $key, '42602', qr/1 to 63 bytes/ ],
	[ 'a long name', 'x' x 64, 'http://h', $key, '42602', qr/1 to 63 bytes/ ],
	[ 'a plus in the name', 'a+b', 'http://h', $key, '42602', qr/plus/ ],
	[ 'no URL', 'w', '', $key, '22023', qr/must begin with/ ],
	[ 'another scheme', 'w', 'ftp://h', $key, '22023', qr/must begin with/ ],
	[ 'a file', 'w', 'file:///etc/passwd', $key, '22023', qr/must begin with/ ],
	[ 'no host', 'w', 'http://', $key, '22023', qr/cannot be parsed/ ],
	[ 'a bad port', 'w', 'http://h:99999', $key, '22023', qr/cannot be parsed/ ],
	[ 'user information', 'w', 'https://me:secret@h/', $key, '22023', qr/user name or a password/ ],
	[ 'a user', 'w', 'https://me@h/', $key, '22023', qr/user name or a password/ ],
	[ 'a query', 'w', 'https://h/?a=b', $key, '22023', qr/query/ ],
	[ 'a fragment', 'w', 'https://h/#a', $key, '22023', qr/fragment/ ],
	[ 'a blank in the URL', 'w', 'https://h/a b', $key, '22023', qr/percent-encoded/ ],
	[ 'a newline in the URL', 'w', "https://h/\n", $key, '22023', qr/percent-encoded/ ],
	[ 'an umlaut in the URL', 'w', "https://h/\xc3\xa4", $key, '22023', qr/percent-encoded/ ],
	[ 'a long URL', 'w', 'http://h/' . 'x' x 2040, $key, '22023', qr/2048/ ],
	[ 'no key', 'w', 'http://h', '', '22023', qr/invalid verifier key/ ],
	[ 'a key cut short', 'w', 'http://h', substr($key, 0, -1), '22023', qr/invalid verifier key/ ],
	[ 'a key with another id', 'w', 'http://h', $key =~ s/\+(.)/'+' . ($1 eq '0' ? '1' : '0')/er, '22023', qr/invalid verifier key/ ],
	[ 'the key of a log', 'w', 'http://h', $fake->verifier_key('one', 1), '22023', qr/for signatures of a log/ ],
	[ 'a key of an unknown type', 'w', 'http://h', $fake->verifier_key('one', 6), '22023', qr/type is not known/ ])
{
	my ($what, $name, $url, $vkey, $state, $like) = @$case;
	refused($node, $db, "SELECT medsync.add_witness('$name', '$url', '$vkey')", $state, $what, like => $like);
}
unlike((sql_error($node, $db, "SELECT medsync.add_witness('w', 'https://me:secret\@h/', '$key')"))[1] =~ s/^LINE.*//mr =~ s/^.*STATEMENT.*//mr,
	qr/secret/, 'a password in a URL is not repeated');
refused($node, $db, "SELECT medsync.add_witness(NULL, 'http://h', '$key')", '22004', 'NULL name');
refused($node, $db, "SELECT medsync.add_witness('w', NULL, '$key')", '22004', 'NULL URL');
refused($node, $db, "SELECT medsync.add_witness('w', 'http://h', NULL)", '22004', 'NULL key');
refused($node, $db, 'SELECT medsync.remove_witness(NULL)', '22004', 'removing NULL');
refused($node, $db, "SELECT medsync.remove_witness('one')", '42704', 'removing a stranger', like => qr/not registered/);

for my $call ("medsync.add_witness('w', 'http://h', '$key')", "medsync.remove_witness('w')",
	"medsync.set_witness_policy('any')", 'medsync.submit_checkpoint()', 'medsync._witnessed(0, note) FROM medsync.checkpoint')
{
	refused($node, $db, "SET ROLE nobody; SELECT $call", '42501', 'not for everybody: ' . $call =~ s/\(.*//r);
}
refused($node, $db, 'SET ROLE nobody; TABLE medsync.witness', '42501', 'not for everybody: view witness');
refused($node, $db, "BEGIN READ ONLY; SELECT medsync.add_witness('w', 'http://h', '$key')", '25006', 'read only: add_witness');
refused($node, $db, 'BEGIN READ ONLY; SELECT medsync.submit_checkpoint()', '25006', 'read only: submit_checkpoint');

add('one');
is($node->safe_psql($db, 'SET ROLE boss; SELECT name, height FROM medsync.witness'), 'one|', 'the view shows it');
refused($node, $db, "SELECT medsync.add_witness('one', 'http://h', '$key')", '42710', 'the same name', like => qr/registered already/, hint => 1);
refused($node, $db, "SELECT medsync.add_witness('two', 'http://h', '" . $fake->verifier_key('one') . "')", '42710', 'the same key', like => qr/count as two/);

# A witness does its work

my $size = $node->safe_psql($db, 'SELECT max(size) FROM medsync.checkpoint');
my $note = $node->safe_psql($db, 'SELECT note FROM medsync.checkpoint WHERE note IS NOT NULL ORDER BY height DESC LIMIT 1');

submitted('one', 'cosigned', qr/^at \d{4}-/, 'the first checkpoint', before => 'SET ROLE boss;');
my $request = $fake->last_request('one');
like($request, qr{\APOST /one/add-checkpoint HTTP/1\.1\r\n}, 'request: method and path');
like($request, qr{^User-Agent: medsync/\d+\.\d+\.\d+\r\n}mi, 'request: who asks');
like($request, qr{^Content-Type: text/plain}mi, 'request: content type');
unlike($request, qr/^(?:Expect|Authorization|Cookie|Transfer-Encoding):/mi, 'request: no other headers');
is($request =~ s/\A.*?\r\n\r\n//sr, "old 0\n\n$note", 'request: from nothing, no proof, the note as it was signed');
is(witnessed(), '1|0|{one}|{}|t', 'its cosignature is stored and verifies');
is($node->safe_psql($db, 'SELECT witnesses FROM medsync.checkpoint ORDER BY height DESC LIMIT 1'), '{one}', 'view checkpoint names it');
is($node->safe_psql($db, 'SELECT height = (SELECT max(height) FROM medsync.checkpoint) FROM medsync.witness'), 't', 'view witness says what it cosigned');

submitted('one', 'already', qr/^at /, 'the same checkpoint again');
is(stored(), 1, '... is stored once');
like($fake->last_request('one'), qr/\r\n\r\nold $size\n\n/, '... and sent without a proof');

my $grown = grow(1000);
submitted('one', 'cosigned', undef, 'a larger one');
my ($old, $proof) = $fake->last_request('one') =~ /\r\n\r\nold (\d+)\n(.+?)\n\n/s;
is($old, $size, '... is proven from the one before');
is( $node->safe_psql($db, <<SQL), 't', '... with a proof of RFC 6962');
SELECT medsync.verify_consistency($old, (SELECT root FROM medsync.checkpoint WHERE size = $old),
	$grown, (SELECT root FROM medsync.checkpoint WHERE size = $grown),
	ARRAY(SELECT decode(l, 'base64') FROM unnest(string_to_array('$proof', E'\\n')) WITH ORDINALITY AS x(l, n) ORDER BY n))
SQL

# Records that are lost, here and there

$node->safe_psql($db, 'DELETE FROM medsync._cosignature');
my $before = $fake->requests('one');
submitted('one', 'cosigned', undef, 'our cosignatures lost');
is($fake->requests('one') - $before, 2, '... took a second request');
like($fake->last_request('one'), qr/\r\n\r\nold $grown\n\n/, '... from the size that it named');

$node->safe_psql($db, 'DELETE FROM medsync._cosignature');
my $regrown = grow(300);
submitted('one', 'cosigned', undef, 'the same, and more entries');
like($fake->last_request('one'), qr/\r\n\r\nold $grown\n[^\n]+\n/, '... with a proof from the size that it named');

grow(5);
$fake->forget('one');
submitted('one', 'cosigned', undef, 'the witness lost its state');
like($fake->last_request('one'), qr/\r\n\r\nold 0\n\n/, '... and began anew');
$fake->forget('one');
submitted('one', 'already', undef, 'the same without new entries');

$node->safe_psql($db, "DELETE FROM medsync._cosignature WHERE height < (SELECT max(height) FROM medsync._block)");
$node->safe_psql($db, "INSERT INTO medsync._cosignature VALUES (1000000, 'one', 'of a block that is gone')");
grow(5);
submitted('one', 'cosigned', undef, 'a cosignature of a block that is not there');
$node->safe_psql($db, 'DELETE FROM medsync._cosignature WHERE height = 1000000');

# Hostile, broken and silent ones

grow(3);
my $kept = stored();
my @modes = (
	[ 'nothing at all', [ 'close' ], 'unreachable', qr/empty reply/i ],
	[ 'bytes that are no HTTP', [ 'garbage' ], 'unreachable', qr/HTTP/ ],
	[ 'half an answer', [ 'cut' ], 'unreachable', qr/./ ],
	[ 'an endless body', [ 'huge' ], 'refused', qr/HTTP 200: the answer is too large/ ],
	[ 'endless headers', [ 'endless_headers' ], 'refused', qr/too large/ ],
	[ 'a redirect to another', [ 'redirect', 302, $fake->url('target') . '/add-checkpoint' ], 'refused', qr/redirects are not followed/ ],
	[ 'a permanent redirect', [ 'redirect', 308, 'file:///etc/passwd' ], 'refused', qr/redirects are not followed/ ],
	[ '400', [ 'status', 400, 'malformed' ], 'refused', qr/HTTP 400: .*"malformed"/ ],
	[ '403', [ 'status', 403, 'unknown key' ], 'refused', qr/HTTP 403: .*does not know the key/ ],
	[ '404', [ 'status', 404, 'unknown log' ], 'refused', qr/HTTP 404: .*origin.*"unknown log"/ ],
	[ '500', [ 'status', 500, 'oops' ], 'refused', qr/HTTP 500: it has a problem/ ],
	[ '503', [ 'status', 503, 'oops' ], 'refused', qr/HTTP 503: it has a problem/ ],
	[ 'a teapot', [ 'status', 418, 'short and stout' ], 'refused', qr/HTTP 418: not an answer of a witness/ ],
	[ '204', [ 'status', 204, '' ], 'refused', qr/HTTP 204/ ],
	[ 'an empty 200', [ 'bytes', 200, '' ], 'refused', qr/no cosignature by key/ ],
	[ 'text', [ 'status', 200, 'thank you' ], 'refused', qr/no cosignature by key.*"thank you"/ ],
	[ 'control characters', [ 'bytes', 500, unpack 'H*', "\e[2J\x00\x07\xff\n|" ], 'refused', qr/"\?\[2J\?\?\?\?\|"/ ],
	[ 'a long explanation', [ 'bytes', 500, '61' x 5000 ], 'refused', qr/"a{200}\.\.\."/ ],
	[ '409 without a size', [ 'status', 409, 'conflict' ], 'refused', qr/409 without a size/ ],
	[ '409 with a negative size', [ 'status', 409, '-1' ], 'refused', qr/409 without a size/ ],
	[ '409 with zeros', [ 'status', 409, '007' ], 'refused', qr/409 without a size/ ],
	[ '409 with more than a size', [ 'bytes', 409, unpack 'H*', "7\n\n" ], 'refused', qr/409 without a size/ ],
	[ '409 without a newline', [ 'bytes', 409, unpack 'H*', '7' ], 'refused', qr/409 without a size/ ],
	[ '409 beyond any size', [ 'status', 409, '99999999999999999999' ], 'refused', qr/409 without a size/ ],
	[ '409 with the size that was sent', [ 'parrot' ], 'refused', qr/had one/ ],
	[ '409 with another size each time', [ 'fickle' ], 'refused', qr/another size each time/ ],
	[ '409 with a larger size', [ 'status', 409, '123456789' ], 'ahead', qr/cosigned a checkpoint of 123456789 entries, the newest here has \d+/ ],
	[ '409 with the largest size', [ 'status', 409, '9223372036854775807' ], 'ahead', qr/9223372036854775807/ ],
	[ '422', [ 'status', 422, 'bad proof' ], 'refused', qr/not the beginning of this ledger: "bad proof"/ ],
	[ 'a bit flipped', [ 'forged', 'flip', 1 ], 'forged', qr/does not verify/ ],
	[ 'another key under its name', [ 'forged', 'signer', 'target' ], 'forged', qr/does not verify/ ],
	[ 'a time of zero', [ 'forged', 'time', 0 ], 'forged', qr/does not verify/ ],
	[ 'what it said to another checkpoint', [ 'replay' ], 'forged', qr/does not verify/ ],
	[ 'a longer text', [ 'other_text' ], 'refused', qr/no cosignature/ ],
	[ 'the cosignature of another witness', [ 'as', 'target' ], 'refused', qr/no cosignature by key/ ],
	[ 'too many lines', [ 'strangers', 70 ], 'refused', qr/no cosignature/ ]);
$fake->add('target');
for my $case (@modes)
{
	my ($what, $mode, $state, $detail) = @$case;

	$fake->forget('target');
	$fake->mode('one', @$mode);
	my (undef, $err, $seconds) = submitted('one', $state, $detail, $what);
	cmp_ok($seconds, '<', 2.5, "$what: is over soon");
	is( $err =~ /WARNING:.*knows another past/ ? 1 : 0,
		$state eq 'ahead' || $what eq '422' ? 1 : 0, "$what: a warning only where it must be");
}
is(stored(), $kept, 'nothing of that was stored');
is($fake->requests('target'), 0, 'nobody was asked who is not registered');

for my $mode ([ 'silent', 'hang' ], [ 'a byte now and then', 'trickle' ])
{
	$fake->mode('one', $mode->[1]);
	my (undef, undef, $seconds) =
	  submitted('one', 'unreachable', qr/timed out/i, $mode->[0], before => "SET medsync.witness_timeout = '700ms';");
	cmp_ok($seconds, '>', 0.6, "$mode->[0]: was waited for");
	cmp_ok($seconds, '<', 2,   "$mode->[0]: and not longer than was set");
}
$fake->mode('one', 'strangers', 20);
submitted('one', 'cosigned', undef, 'its line twice, among strangers');
unlike($node->safe_psql($db, 'SELECT line FROM medsync._cosignature'), qr/stranger/, '... whose lines are not kept');
$fake->mode('one', 'forged', 'time', '18446744073709551615');
grow(1);
submitted('one', 'forged', undef, 'a time beyond all times');
$fake->mode('one', 'forged', 'time', '9223372036854775807');
submitted('one', 'cosigned', qr/9223372036854775807 seconds/, 'a time in the far future');
$fake->mode('one', 'honest');
grow(1);

my $closed = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
my $port   = $closed->sockport;
close $closed;
for my $url ([ "http://127.0.0.1:$port", qr/connect/i, 'nobody listens' ],
	[ 'http://name.invalid', qr/resolve/i, 'no such name' ],
	[ 'https://127.0.0.1:' . $fake->{port}, qr/SSL|TLS|timed out/i, 'TLS with a server that has none' ],
	[ $fake->url('one') . '///', qr/^at /, 'slashes at the end', 'cosigned' ])
{
	remove('one');
	$node->safe_psql($db, "SELECT medsync.add_witness('one', '$url->[0]', '" . $fake->verifier_key('one') . "')");
	submitted('one', $url->[3] || 'unreachable', $url->[1], $url->[2]);
}

# A certificate that nobody vouches for
{
	my $directory = own_directory();
	my $tls_port  = PostgreSQL::Test::Cluster::get_free_port();

	system_or_bail('openssl', 'req', '-x509', '-newkey', 'ed25519', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1',
		'-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', "$directory/tls.key", '-out', "$directory/tls.crt");
	my $server = IPC::Run::start(
		[ 'openssl', 's_server', '-quiet', '-www', '-accept', "127.0.0.1:$tls_port", '-key', "$directory/tls.key", '-cert', "$directory/tls.crt" ],
		'<', \undef, '>', '/dev/null', '2>', '/dev/null');
	wait_until('the TLS server listens', sub { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$tls_port") });
	remove('one');
	$node->safe_psql($db, "SELECT medsync.add_witness('one', 'https://127.0.0.1:$tls_port', '" . $fake->verifier_key('one') . "')");
	submitted('one', 'unreachable', qr/certificate/i, 'a certificate that nobody vouches for');
	$server->kill_kill;
}
remove('one');

# Names and keys

is(stored() > 0, 1, 'what a removed witness cosigned stays');
$fake->add('two');
refused($node, $db, "SELECT medsync.add_witness('one', 'http://h', '" . $fake->verifier_key('two') . "')", '42710', 'a name of another key', like => qr/with another key/, hint => 1);
$node->safe_psql($db, "SELECT medsync.add_witness('one', '" . $fake->url('one') . "', '" . $fake->verifier_key('one') . "')");
submitted('one', 'already', undef, 'under its name again');

# Several at once, one of them silent

add($_) for qw(two three);
grow(4);
$fake->mode('two', 'hang');
my ($row, undef, $seconds) = submit(before => "SET medsync.witness_timeout = '1500ms';");
is(join(' ', map { "$_ $row->{$_}[0]" } sort keys %$row), 'one cosigned three cosigned two unreachable', 'one is silent, the others are not');
cmp_ok($seconds, '<', 3, '... and it costs its time once');
$fake->mode('three', 'hang');
($row, undef, $seconds) = submit(before => "SET medsync.witness_timeout = '1500ms';");
is(join(' ', map { "$_ $row->{$_}[0]" } sort keys %$row), 'one already three unreachable two unreachable', 'two are silent');
cmp_ok($seconds, '<', 2.9, '... and their times do not add up');

# Writers and the sealer go on meanwhile, nothing is locked, a cancel works

my $psql = IPC::Run::start(
	[ 'psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr($db), '-c', "SET application_name = 'waiting'", '-c', "SET medsync.witness_timeout = '60s'",
		'-c', 'SELECT * FROM medsync.submit_checkpoint()' ],
	'<', \undef, '>', \my $out, '2>', \my $err, IPC::Run::timer(120));
my $waiter = "FROM pg_stat_activity WHERE application_name = 'waiting'";
ok( wait_until('the network is waited for',
		sub { $node->safe_psql($db, "SELECT count(*) $waiter AND wait_event_type = 'Extension'") }),
	'a session waits for the network');
is( $node->safe_psql($db, "SELECT string_agg(concat_ws(' ', locktype, relation::regclass, mode), ', ') FROM pg_locks WHERE pid = (SELECT pid $waiter) AND locktype <> 'virtualxid'"),
	'', '... and holds no lock');
my $began = time();
ok(grow(10) > 0, '... others write and seal');
$fake->mode($_, 'honest') for qw(two three);
($row) = submit();
is(join(' ', map { "$_ $row->{$_}[0]" } sort keys %$row), 'one cosigned three cosigned two cosigned', '... and submit');
cmp_ok(time() - $began, '<', 5, '... without waiting for it');
$began = time();
is($node->safe_psql($db, "SELECT pg_cancel_backend(pid) $waiter"), 't', 'a cancel');
$psql->finish;
cmp_ok(time() - $began, '<', 1.5, '... ends it within a second');
like($err, qr/57014/, '... as a cancel');
$fake->mode('two', 'hang');
refused($node, $db, "SET statement_timeout = '400ms'; SELECT * FROM medsync.submit_checkpoint()", '57014', 'a statement timeout');
is( $node->safe_psql($db, <<'SQL'), '3', 'a session goes on after an error');
SET statement_timeout = '300ms';
DO $$ BEGIN PERFORM medsync.submit_checkpoint(); EXCEPTION WHEN query_canceled THEN NULL; END $$;
DO $$ BEGIN PERFORM medsync.submit_checkpoint(); EXCEPTION WHEN query_canceled THEN NULL; END $$;
SET statement_timeout = 0;
SET medsync.witness_timeout = '300ms';
SELECT count(*) FROM medsync.submit_checkpoint();
SQL
$fake->mode('two', 'honest');

# Two sessions at once

grow(3);
$fake->mode($_, 'slow', 1) for qw(one two three);
my @pair = map {
	my ($stdout, $stderr) = ('', '');
	{   out => \$stdout,
		err => \$stderr,
		run => IPC::Run::start(
			[ 'psql', '-XAtq', '-F', ' ', '-d', $node->connstr($db), '-c', 'SELECT witness, state FROM medsync.submit_checkpoint() ORDER BY 1' ],
			'<', \undef, '>', \$stdout, '2>', \$stderr, IPC::Run::timer(60)) }
} 1 .. 2;
for my $session (@pair)
{
	$session->{run}->finish;
	like(${ $session->{out} }, qr/\Aone (?:cosigned|already)\nthree (?:cosigned|already)\ntwo (?:cosigned|already)\n\z/, 'two sessions at once: both end well');
	is(${ $session->{err} }, '', '... in silence');
}
is($node->safe_psql($db, 'SELECT count(*) FROM medsync._cosignature WHERE height = (SELECT max(height) FROM medsync._block)'), 3, '... and each cosignature is there once');
$fake->mode($_, 'honest') for qw(one two three);

# A slow call is overtaken by one that has a newer checkpoint to show.
grow(3);
$fake->mode('one', 'slow', 1.5);
$before = $fake->requests('one');
my $slow = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $node->connstr($db), '-c', 'SELECT witness, state FROM medsync.submit_checkpoint() ORDER BY 1' ],
	'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timer(60));
wait_until('the slow call is under way', sub { $fake->requests('one') > $before });
$fake->mode('one', 'honest');
$size = grow(3);
submitted('one', 'cosigned', undef, 'a faster call');
$slow->finish;
is($out, "one|already\nthree|cosigned\ntwo|cosigned\n", '... and the slow one is shown what came meanwhile');
is($err, '', '... without taking it for a fork');
like($fake->last_request('one'), qr/\r\n\r\nold $size\n\n[^\n]*\n$size\n/, '... and asks again with it');

grow(3);
my $open = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr($db) ], '<', \my $in, '>', \$out, '2>', \$err, IPC::Run::timer(60));
$in = "BEGIN; SELECT 'done', count(*) FROM medsync.submit_checkpoint();\n";
$out = '';
$open->pump until $out =~ /done\|3/;
($row, undef, $seconds) = submit();
is(join(' ', map { $row->{$_}[0] } sort keys %$row), 'already already already', 'cosignatures that another transaction is storing');
cmp_ok($seconds, '<', 2, '... are not waited for');
$in = "ROLLBACK;\n\\q\n";
$open->finish;
is(witnessed(), '3|0|{}|{}|t', '... and if that one fails they are not there');
($row) = submit();
is(join(' ', map { $row->{$_}[0] } sort keys %$row), 'cosigned cosigned cosigned', '... until the next call');

# Transactions

refused($node, $db, "BEGIN; INSERT INTO lab (patient) VALUES (1); COMMIT; BEGIN; SELECT medsync.seal(); SELECT * FROM medsync.submit_checkpoint()",
	'25001', 'a block that is not committed');
is( $node->safe_psql($db, <<'SQL'), '3', 'inside a transaction that writes');
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO lab (patient) VALUES (1);
SELECT count(*) FROM medsync.submit_checkpoint();
COMMIT;
SQL

# Enough?

is($node->safe_psql($db, "LOAD 'medsync'; SHOW medsync.witness_policy"), 'none', 'policy: none by default');
refused($node, $db, "SELECT medsync.set_witness_policy('$_')", '22023', "policy $_", like => qr/invalid witness policy/)
  for ('', 'some', '0', '-1', '16', '1.5', '1 ', '+1', '99999999999999999999');
refused($node, $db, 'SELECT medsync.set_witness_policy(NULL)', '22004', 'policy NULL');
refused($node, $db, "SET ROLE boss; LOAD 'medsync'; SET medsync.witness_policy = 'none'", '42501', 'the setting is not for administrators of the ledger');
is( $node->safe_psql($db, "SET ROLE boss; SELECT medsync.set_witness_policy('2'); SHOW medsync.witness_policy"), "\n2",
	'policy: set, and in force in this session');
is($node->safe_psql($db, "LOAD 'medsync'; SHOW medsync.witness_policy"), '2', '... and in the next one');
is($node->safe_psql('postgres', "LOAD 'medsync'; SHOW medsync.witness_policy"), 'none', '... not in another database');
is( $node->safe_psql($db, "BEGIN; SELECT medsync.set_witness_policy('3'); ROLLBACK; SHOW medsync.witness_policy"), "\n2",
	'... and a rollback takes it back');
grow(2);
$fake->mode($_, 'close') for qw(two three);
submit();
is(witnessed(), '3|2|{one}|{}|f', 'one of three, two are needed');
$fake->mode('three', 'honest');
submit();
is(witnessed(), '3|2|{one,three}|{}|t', 'two of three');
is(witnessed("SET medsync.witness_policy = 'all';"), '3|3|{one,three}|{}|f', 'all are needed');
is(witnessed("SET medsync.witness_policy = 'any';"), '3|1|{one,three}|{}|t', 'any will do');
$node->safe_psql($db, "UPDATE medsync._cosignature SET line = (SELECT line FROM medsync._cosignature WHERE witness = 'one' ORDER BY height LIMIT 1) WHERE witness = 'one' AND height = (SELECT max(height) FROM medsync._block)");
is(witnessed(), '3|2|{three}|{one}|f', 'a stored cosignature of another checkpoint does not count');
$node->safe_psql($db, "UPDATE medsync._cosignature SET line = 'rubbish' WHERE witness = 'three' AND height = (SELECT max(height) FROM medsync._block)");
is(witnessed(), '3|2|{}|{one,three}|f', 'nor does rubbish');
$node->safe_psql($db, "DELETE FROM medsync._cosignature WHERE height = (SELECT max(height) FROM medsync._block)");
remove($_) for qw(one two three);
is(witnessed("SET medsync.witness_policy = 'all';"), '0|1|{}|{}|f', 'all of no witness is not met');
like((sql_error($node, $db, "SELECT medsync.set_witness_policy('all')"))[1], qr/NOTICE.*more witnesses than are registered/, 'a policy that cannot be met is noticed');
$node->safe_psql($db, "SELECT medsync.set_witness_policy('none')");

$node->safe_psql($db, sprintf "SELECT medsync.add_witness('w%s', 'http://h', '%s')", $_, $fake->add("w$_")->verifier_key("w$_")) for 1 .. 15;
$fake->add('w16');
refused($node, $db, sprintf("SELECT medsync.add_witness('w16', 'http://h', '%s')", $fake->verifier_key('w16')), '54000', 'a sixteenth witness');
remove("w$_") for 1 .. 15;
$node->safe_psql($db, "INSERT INTO medsync._witness VALUES ('bad', '" . $fake->url('one') . "', 'no key')");
submitted('bad', 'refused', qr/verifier key/, 'a witness whose key was spoilt');
remove('bad');

# A ledger that was cut back, and a copy that signs as well.  What the server
# has is all there is to a signer, so a copy of its files is another one.

sub copy_of
{
	my ($name) = @_;
	my $copy = PostgreSQL::Test::Cluster->new($name);

	$node->stop;
	$node->backup_fs_cold($name);
	$copy->init_from_backup($node, $name);
	chmod 0600, grep { -f } glob $copy->data_dir . '/medsync_*' or die 'no key files';
	$node->start;
	$copy->start;
	return $copy;
}

# The witness knows more than the copy; then the copy has more, of its own.
sub forks
{
	my ($name, $who) = @_;

	grow(10);
	submitted($name, 'cosigned', undef, "$who: before the fork");
	my $copy = copy_of("fork_$name");
	my $cosigned = stored($copy);
	my $ours = grow(20);
	submitted($name, 'cosigned', undef, "$who: the original goes on");

	my ($row, $err) = submitted($name, 'ahead', qr/of $ours entries/, "$who: the copy as it was taken", on => $copy);
	like($err, qr/WARNING:.*knows another past.*DETAIL:.*HINT:.*a copy of it/s, "$who: ... with a warning that says what it may be");
	grow(7, $copy);
	submitted($name, 'ahead', qr/of $ours entries/, "$who: the copy, sealed on its own", on => $copy);
	is(stored($copy), $cosigned, "$who: ... nothing stored");
	submitted($name, 'already', undef, "$who: the original is none the worse");
	return ($copy, $ours);
}

add('four');
$node->safe_psql($db, 'DELETE FROM medsync._cosignature');
(forks('four', 'a fake witness'))[0]->stop;
remove('four');

# A dump goes on where it may: its old checkpoints are as good as ever, and
# under a new name the witness knows nothing of it.
{
	my $dump = own_directory() . '/clinic.dump';

	add('five');
	grow(3);
	submitted('five', 'cosigned', undef, 'dump: before');
	$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', $node->connstr($db) ], 'dump: made');
	$node->safe_psql('postgres', 'CREATE DATABASE restored');
	$node->command_ok([ 'pg_restore', '-d', $node->connstr('restored'), $dump ], 'dump: restored');
	is($node->safe_psql('restored', 'SELECT name, height FROM medsync.witness'), $node->safe_psql($db, 'SELECT name, height FROM medsync.witness'), 'dump: the witness came along');
	grow(3, $node, 'restored');
	my (undef, $err) = submitted('five', 'already', undef, 'dump: its last checkpoint', in => 'restored');
	like($err, qr/NOTICE.*cannot be signed/, 'dump: ... since it may not sign');
	my $origin = $node->safe_psql('restored', "SELECT medsync.declare_era('restored for a test')");
	grow(3, $node, 'restored');
	$fake->forget('five');
	submitted('five', 'cosigned', undef, 'dump: under its new name', in => 'restored');
	like($fake->last_request('five'), qr/\r\n\r\nold 0\n\n\Q$origin\E\n/, 'dump: ... from nothing');
	$node->safe_psql('postgres', 'DROP DATABASE restored');
	remove('five');
}

is_clean($node, $db, 'the ledger is clean');
is_quiet($node);

# Torchwood's litewitness: a real one

my ($litewitness, $why) = foreign_program('litewitness');
$why ||= 'ssh-agent is not installed' unless grep { -x "$_/ssh-agent" } split /:/, $ENV{PATH};
my $place = PostgreSQL::Test::Utils::tempdir_short;
my $agent;

END
{
	local $?;
	kill 'TERM', $agent if $agent;
}

# Its state is a row: the logs it knows, and how far.
sub litewitness_state
{
	my ($origin, $vkey) = @_;

	unlink "$place/w.db";
	run_log([ 'python3', '-c', <<'PYTHON', "$place/w.db", $origin, $vkey ]) or die 'python3';
import base64, hashlib, sqlite3, sys
c = sqlite3.connect(sys.argv[1])
c.execute("CREATE TABLE log(origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL)")
c.execute("CREATE TABLE key(origin TEXT NOT NULL, key TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin))")
c.execute("CREATE TABLE bastion(origin TEXT NOT NULL, bastion TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin))")
c.execute("INSERT INTO log VALUES(?, 0, ?)", (sys.argv[2], base64.b64encode(hashlib.sha256(b"").digest()).decode()))
c.execute("INSERT INTO key VALUES(?, ?)", (sys.argv[2], sys.argv[3]))
c.commit()
PYTHON
	return;
}

# Start it: (handle, its verifier key).
sub litewitness_start
{
	my ($listen) = @_;
	my ($fingerprint) = `ssh-keygen -lf $place/wk.pub` =~ /(SHA256:\S+)/;
	my $text = '';
	my $run = IPC::Run::start(
		[ $litewitness, '-db', "$place/w.db", '-name', 'witness.example/lite', '-key', $fingerprint,
			'-ssh-agent', "$place/a.sock", '-listen', "127.0.0.1:$listen" ],
		'<', \undef, '>', \$text, '2>&1', IPC::Run::timer(120));

	$run->pump until $text =~ /msg=listening/;
	my ($vkey) = $text =~ /vkey=(\S+)/;
	return ($run, $vkey);
}

SKIP:
{
	skip "litewitness: $why", 1 if $why;

	my $vkey = $node->safe_psql($db, 'SELECT medsync.verifier_key()');
	my ($origin) = $vkey =~ /\A([^+]+)/;
	my $listen = PostgreSQL::Test::Cluster::get_free_port();

	system_or_bail('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', "$place/wk");
	($agent) = `ssh-agent -s -a $place/a.sock` =~ /SSH_AGENT_PID=(\d+)/;
	{
		local $ENV{SSH_AUTH_SOCK} = "$place/a.sock";
		system_or_bail('ssh-add', '-q', "$place/wk");
	}
	litewitness_state($origin, $vkey);
	my ($run, $witness_key) = litewitness_start($listen);

	$node->safe_psql($db, "DELETE FROM medsync._cosignature; SELECT medsync.add_witness('lite', 'http://127.0.0.1:$listen', '$witness_key')");
	grow(10);
	submitted('lite', 'cosigned', qr/^at /, 'litewitness: the first');
	is(witnessed(), '1|0|{lite}|{}|t', 'litewitness: its cosignature is stored and verifies');
	submitted('lite', 'already', undef, 'litewitness: the same again');
	for my $rows (1, 255, 1000, 70000)
	{
		grow($rows);
		submitted('lite', 'cosigned', undef, "litewitness: $rows entries more");
	}
	$node->safe_psql($db, 'DELETE FROM medsync._cosignature');
	submitted('lite', 'cosigned', undef, 'litewitness: our cosignatures lost');
	$node->safe_psql($db, 'DELETE FROM medsync._cosignature');
	grow(100);
	submitted('lite', 'cosigned', undef, 'litewitness: the same, and more entries');

	$run->signal('INT');
	$run->finish;
	grow(10);
	submitted('lite', 'unreachable', qr/connect/i, 'litewitness: down');
	($run) = litewitness_start($listen);
	submitted('lite', 'cosigned', undef, 'litewitness: up again');
	$run->signal('INT');
	$run->finish;
	litewitness_state($origin, $vkey);
	($run) = litewitness_start($listen);
	submitted('lite', 'already', undef, 'litewitness: its state lost');
	grow(10);
	submitted('lite', 'cosigned', undef, 'litewitness: ... and on it goes');

	my ($copy, $ours) = forks('lite', 'litewitness');
	my $theirs = grow(100, $copy);
	my (undef, $err) =
	  submitted('lite', 'refused', qr/HTTP 422: the tree of $ours entries that it knows is not the beginning of this ledger, where no block/,
		'litewitness: a copy that has more entries', on => $copy);
	like($err, qr/WARNING:.*knows another past/, 'litewitness: ... with a warning');
	submitted('lite', 'already', undef, 'litewitness: the original is none the worse');
	cmp_ok($theirs, '>', $ours, 'litewitness: ... though the copy is larger');
	$copy->stop;

	# another key signs under the same name
	is($node->safe_psql($db, 'SELECT medsync.rotate_signer_key() IS NOT NULL'), 't', 'litewitness: the log takes another key');
	grow(3);
	submitted('lite', 'cosigned', undef, 'litewitness: ... and the old one signs once more');
	grow(3);
	submitted('lite', 'refused', qr/HTTP 403: it does not know the key/, 'litewitness: ... then it must be told of the new one');

	litewitness_state('another.example/log', $vkey);
	$run->signal('INT');
	$run->finish;
	($run) = litewitness_start($listen);
	submitted('lite', 'refused', qr/HTTP 404: it does not know this ledger's origin/, 'litewitness: a log that it was never told of');
	is_clean($node, $db, 'litewitness: the ledger is clean');
	$run->signal('INT');
	$run->finish;
}

done_testing();
