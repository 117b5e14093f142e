
# Known plaintexts and known keys through every function that takes or gives
# them, in statements that succeed and in statements that fail in many ways.
# Then none of it may be found: not in any file of the data directory (heap,
# indexes, WAL, statistics, temporary files), not in pg_stat_statements, not in
# an error of ours, not in the server's log at its default settings.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";

use Digest::SHA qw(sha256);
use File::Find;
use IPC::Run;
use MIME::Base64 qw(encode_base64);
use MedsyncTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

# ------------------------------------------------------------------
# What is looked for
# ------------------------------------------------------------------

my %secret;    # name => bytes
my %needle;    # text that may not appear => name

# base64 of what is in the middle of something else, at any of three offsets.
sub base64_parts
{
	my ($bytes) = @_;

	return map { substr(encode_base64("\0" x $_ . $bytes, ''), 4, -4) } 0 .. 2;
}

# Make a secret known to the scan, in every form in which it could appear.
sub secret
{
	my ($name, $bytes, $part) = @_;

	$secret{$name} = $bytes;
	$part = $bytes unless defined $part;
	my $hex = unpack 'H*', $part;
	my $escaped = join '', map { ord $_ < 32 || ord $_ > 126 ? sprintf('\\%03o', ord $_) : $_ } split //, $part;

	$needle{$_} = $name foreach ($part, $hex, uc $hex, $escaped, base64_parts($part));
	return $bytes;
}

# Where they are found: name, and what is around it.
sub found_in
{
	my ($text) = @_;
	my $any = join '|', map { quotemeta } sort { length $b <=> length $a } keys %needle;
	my %found;

	while ($text =~ /($any)/g)
	{
		my $start = pos($text) - length $1;

		$found{ $needle{$1} } ||= substr($text, $start > 80 ? $start - 80 : 0, 200) =~ s/[^ -~]/./gr;
		last if keys %found > 5;
	}
	return map { "$_: $found{$_}" } sort keys %found;
}

sub holds_none
{
	my ($text, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	return is(join("\n", found_in($text)), '', "$name: no secret");
}

# All files below a directory that hold one.
sub files_with_secrets
{
	my ($directory) = @_;
	my %in;
	my $files = 0;

	find(
		{
			no_chdir => 1,
			wanted => sub {
				return unless -f $_;
				my $name = $_;

				$files++;
				open my $file, '<:raw', $name or return;
				local $/;
				my @found = found_in(scalar <$file>);
				$in{$name} = join(' / ', @found) if @found;
			}
		},
		$directory);
	note("$files files");
	return map { ($_ =~ s/^\Q$directory\E.//r) . ": $in{$_}" } sort keys %in;
}

# ------------------------------------------------------------------
# The server, the statements
# ------------------------------------------------------------------

sub literal { return "'\\x" . unpack('H*', $_[0]) . "'"; }
sub call { my ($name, @arguments) = @_; return "medsync.$name(" . join(', ', @arguments) . ')' }
sub base64_literal { return "decode('" . encode_base64($_[0], '') . "', 'base64')"; }

# Run statements in one session, whatever fails: what the client was told,
# without the client's own quotation of the statement.
sub run
{
	my ($node, $db, @statements) = @_;
	my ($out, $err) = ('', '');

	$node->psql($db, join("\n", @statements) . "\n", stdout => \$out, stderr => \$err, on_error_stop => 0, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	$err =~ s/^LINE \d+:.*\n.*\^\n//mg;
	return $err;
}

# The calls of one server: expressions, each with secrets of its own.
sub calls
{
	my ($node, $db, $who) = @_;
	my %pair;
	my @calls;

	foreach my $algorithm (qw(ed25519 p-256 rsa-2048 x25519))
	{
		my ($public, $private) = map { pack 'H*', $_ } split /\|/,
		  query($node, $db, "SELECT encode(public_key, 'hex'), encode(private_key, 'hex') FROM medsync.generate_key_pair('$algorithm')");

		# what is secret of it: the end, or of RSA the private exponent
		secret("$who private $algorithm", $private,
			$algorithm eq 'rsa-2048' ? substr($private, 330, 40) : $algorithm eq 'p-256' ? substr($private, 36, 32) : substr($private, -32));
		$pair{$algorithm} = { public => $public, private => $private };
	}

	my $add = sub {
		my ($name, $make) = @_;
		my $plain = secret("$who plaintext of $name", "CONFIDENTIAL $who $name " . unpack('H12', sha256("$who$name")));
		my $key = secret("$who key of $name", sha256("$who key $name"));

		push @calls, { name => "$name $_->[0]", sql => $make->($_->[1], $plain, $key) }
		  foreach ([ 'hex', \&literal ], [ 'base64', \&base64_literal ]);
	};
	my $ask = sub { return pack 'H*', query($node, $db, "SELECT encode($_[0], 'hex')") };

	# each: quoting, plaintext, key
	$add->('encrypt', sub { my ($q, $p, $k) = @_; call('encrypt', $q->($p), $q->($k)) });
	$add->('encrypt text', sub { my ($q, $p, $k) = @_; call('encrypt', "'$p'", $q->($k), "'aad'") });
	$add->('decrypt', sub { my ($q, $p, $k) = @_; call('decrypt', $q->($ask->(call('encrypt', literal($p), literal($k)))), $q->($k)) });
	$add->('rsa_encrypt', sub { my ($q, $p, $k) = @_; call('rsa_encrypt', $q->($p), $q->($pair{'rsa-2048'}{public})) });
	$add->('rsa_decrypt', sub {
			my ($q, $p, $k) = @_;
			call('rsa_decrypt', $q->($ask->(call('rsa_encrypt', literal($p), literal($pair{'rsa-2048'}{public})))), $q->($pair{'rsa-2048'}{private}));
		});
	foreach my $algorithm (qw(ed25519 p-256 rsa-2048))
	{
		my ($public, $private) = @{ $pair{$algorithm} }{ 'public', 'private' };

		$add->("sign $algorithm", sub { my ($q, $p) = @_; call('sign', $q->($p), $q->($private)) });
		$add->("check_signature $algorithm", sub {
				my ($q, $p) = @_;
				call('check_signature', $q->($p), $q->($ask->(call('sign', literal($p), literal($private)))), $q->($public));
			});
		$add->("public_key $algorithm", sub { my ($q) = @_; call('public_key', $q->($private)) });
	}
	foreach my $algorithm (qw(x25519 rsa-2048))
	{
		my ($public, $private) = @{ $pair{$algorithm} }{ 'public', 'private' };

		$add->("wrap_key $algorithm", sub { my ($q, $p, $k) = @_; call('wrap_key', $q->($k), $q->($public)) });
		$add->("unwrap_key $algorithm", sub {
				my ($q, $p, $k) = @_;
				call('unwrap_key', $q->($ask->(call('wrap_key', literal($k), literal($public)))), $q->($private));
			});
	}

	# records: the caller, whom the session's role stands for, opens with its own key
	query($node, $db, "SELECT medsync.add_key(id, 'x25519', " . literal($pair{x25519}{public}) . ') FROM medsync.person');
	$add->('put_record', sub { my ($q, $p) = @_; call('put_record', "'patient 1'", $q->($p), "'text/plain'") });
	$add->('get_record', sub {
			my ($q, $p) = @_;
			my $record = query($node, $db, 'SELECT ' . call('put_record', "'patient 1'", literal($p), "'text/plain'"));
			call('get_record', "'$record'", $q->($pair{x25519}{private}));
		});

	# our own errors: none of them repeats an argument
	my $plain = secret("$who plaintext of mistakes", "CONFIDENTIAL $who mistakes");
	my $key = secret("$who key of mistakes", sha256("$who mistakes"));
	my ($p, $k, $rsa, $ed) = (literal($plain), literal($key), literal($pair{'rsa-2048'}{private}), literal($pair{ed25519}{private}));
	my @mistakes = (
		"medsync.encrypt($p, " . literal("$key$key") . ')', "medsync.encrypt($p, $p)",
		"medsync.encrypt($k, " . literal(substr($key, 1)) . ')', "medsync.decrypt($p, $k)",
		"medsync.decrypt(medsync.encrypt($p, $k), " . literal(scalar reverse $key) . ')',
		"medsync.decrypt(medsync.encrypt($p, $k), $k, 'other')",
		"medsync.decrypt(substr(medsync.encrypt($p, $k), 1, 40), $k)",
		"medsync.rsa_encrypt($p, $p)", "medsync.rsa_encrypt(repeat('$plain', 50)::bytea, medsync.public_key($rsa))",
		"medsync.rsa_decrypt($p, $rsa)", "medsync.rsa_decrypt($p, $k)", "medsync.rsa_decrypt($p, $ed)",
		"medsync.sign($p, $k)", "medsync.sign($p, " . literal($pair{x25519}{private}) . ')', "medsync.sign($p, $p)",
		"medsync.wrap_key($k, $k)", "medsync.wrap_key($k, medsync.public_key($ed))",
		"medsync.unwrap_key($k, $rsa)", "medsync.unwrap_key($k, $k)", "medsync.unwrap_key($k, " . literal($pair{x25519}{private}) . ')',
		"medsync.unwrap_key($k, $ed)", "medsync.public_key($p)", "medsync.public_key($k)",
		"medsync.public_key(" . literal(substr($pair{'rsa-2048'}{private}, 0, -3)) . ')',
		"medsync.put_record('patient 1', $p, repeat('x', 300))", "medsync.put_record('patient 1', $p, 'text/plain', ARRAY['6ba7b810-9dad-11d1-80b4-00c04fd430c8'::uuid])",
		"medsync.put_record('patient 1', $p, 'text/plain', record => '6ba7b810-9dad-11d1-80b4-00c04fd430c8')",
		"medsync.get_record('6ba7b810-9dad-11d1-80b4-00c04fd430c8', $rsa)", map({ "medsync.get_record((SELECT max(id::text)::uuid FROM medsync._record), $_)" } $k, $p, $rsa, $ed),
		"medsync.check_signature($p, $p, $k)", "medsync.generate_key_pair('$plain')");

	return (\@calls, \@mistakes, $plain, $key);
}

# How a statement can be written around a call, and fail (or not) besides.
my @wrappers = (
	'SELECT %s',
	'SELECT %s, 1/0',
	'SELECT 1 / (length((%s)::text) * 0)',
	'SELECT %s frm x y z',
	'SELECT %s FROM nosuchtable',
	'SELECT (%s)::int',
	"SELECT %s, (%s)::text::int",
	'SELECT "%s"',
	'INSERT INTO strict (a) SELECT (%s)::text',
	"INSERT INTO strict (id, a) SELECT 1, md5((%s)::text)",
	'INSERT INTO strict_view (id, a) SELECT 2, left((%s)::text, 3)',
	'INSERT INTO strict (id, a) VALUES (NULL, (%s)::text)',
	"UPDATE strict SET a = (%s)::text WHERE id = 1",
	'EXPLAIN (ANALYZE, VERBOSE) SELECT %s',
	'EXPLAIN (ANALYZE) SELECT %s, 1 / (random() * 0)::int',
	'COPY (SELECT %s) TO STDOUT',
	'COPY (SELECT %s, 1 / (random() * 0)::int) TO STDOUT',
	'DO $do$ BEGIN PERFORM %s; END $do$',
	'DO $do$ BEGIN PERFORM %s; PERFORM 1/0; END $do$',
	'DO $do$ DECLARE x int; BEGIN x := %s; END $do$',
	'DO $do$ BEGIN EXECUTE $ex$SELECT %s, 1/0$ex$; END $do$',
	'PREPARE prepared AS SELECT %s, $1::int; EXECUTE prepared(1); EXECUTE prepared(\'x\'); EXECUTE prepared(1/0); DEALLOCATE prepared',
	'BEGIN; DECLARE c CURSOR FOR SELECT %s, 1 / (random() * 0)::int; FETCH c; ROLLBACK',
	'CREATE TEMP TABLE once AS SELECT %s, 1 / (random() * 0)::int',
	'SET force_parallel_mode = on; SELECT %s, 1 / (random() * 0)::int FROM strict; RESET force_parallel_mode');

my $tables = <<'SQL';
SELECT medsync.verify_person(medsync.register_person('practitioner', 'Dr. A', current_user::regrole));
CREATE TABLE strict (id int PRIMARY KEY, a text CHECK (length(a) < 4));
CREATE VIEW strict_view AS SELECT * FROM strict WHERE id = 1 WITH CHECK OPTION;
INSERT INTO strict VALUES (1, 'abc');
CREATE TABLE arrival (id int, note text, sealed bytea);
CREATE TABLE vault (id int GENERATED ALWAYS AS IDENTITY, sealed bytea);
CREATE FUNCTION seal(plain text, key bytea) RETURNS bytea LANGUAGE plpgsql
	AS $$ BEGIN RETURN medsync.encrypt(convert_to(plain, 'UTF8'), key); END $$;
-- fails after it, without naming anything
CREATE FUNCTION seal_and_fail(plain text, key bytea, how text) RETURNS bytea LANGUAGE plpgsql
	AS $$ DECLARE x bytea; BEGIN
	x := medsync.encrypt(convert_to(plain, 'UTF8'), key);
	IF how = 'cast' THEN RETURN plain::int;
	ELSIF how = 'check' THEN INSERT INTO strict (id, a) VALUES (7, plain);
	ELSE RETURN 1/0; END IF;
	END $$;
CREATE FUNCTION on_arrival() RETURNS trigger LANGUAGE plpgsql
	AS $$ BEGIN
	NEW.sealed := medsync.encrypt(convert_to(NEW.note, 'UTF8'), sha256('stored elsewhere'));
	NEW.note := NULL;
	IF NEW.id = 2 THEN PERFORM 1/0; END IF;
	RETURN NEW;
	END $$;
CREATE TRIGGER on_arrival BEFORE INSERT ON arrival FOR EACH ROW EXECUTE FUNCTION on_arrival();
SQL

# Everything, in one server.
sub pour
{
	my ($node, $db, $who, %option) = @_;
	my ($calls, $mistakes, $plain, $key) = calls($node, $db, $who);
	my ($p, $k) = (literal($plain), literal($key));
	my @first = $option{warm} ? ("SELECT medsync.generate_key() IS NOT NULL;") : ();
	my $told;

	query($node, $db, 'TRUNCATE vault, arrival');
	foreach my $call (@$calls)
	{
		$told = run($node, $db, @first, map { ($_ =~ s/%s/$call->{sql}/gr) . ';' } @wrappers);
		cmp_ok(scalar(() = $told =~ /ERROR:/g), '>', 12, "$who, $call->{name}: errors as wanted");
	}
	$told = run($node, $db, @first, map { ("SELECT $_;", "SELECT $_, 1/(random() * 0)::int;") } @$mistakes);
	is(scalar(() = $told =~ /ERROR:/g), 2 * @$mistakes, "$who: every mistake is an error")
	  or diag($told =~ s/LOCATION.*//gr);
	holds_none($told, "$who: what our errors tell the client");
	# there PL/pgSQL repeats the statement for the client, but not for the log
	run($node, $db, @first, map { "DO \$\$ BEGIN PERFORM $_; END \$\$;" } @$mistakes);

	# written in other ways
	$told = run($node, $db, @first, map { "$_;" }
		  "SELECT MEDSYNC.ENCRYPT($p, $k), 1/0", "SELECT \"medsync\".\"encrypt\"($p, $k), 1/0",
		"SELECT medsync . encrypt /* a /* b */ ( */ \n -- (\n ($p, $k), 1/0", "SELECT medsync.encrypt/**/($p, $k), 1/0", "SELECT U&\"m\\0065dsync\".U&\"\\0065ncrypt\"($p, $k), 1/0",
		"SET search_path = medsync, public; SELECT encrypt($p, $k), 1/0; SELECT \"decrypt\" ($k, $k), 1/0",
		"SELECT seal('$plain', $k), 1 / (random() * 0)::int", "SELECT seal_and_fail('$plain', $k, 'cast')", "SELECT seal_and_fail('$plain', $k, 'check')",
		"SELECT seal_and_fail('$plain', $k, 'else')", "SELECT seal_and_fail('$plain', '$plain', 'else')",
		"SELECT medsync.encrypt('$plain'::int, $k)", "SELECT medsync.encrypt(\"$plain\", $k)", "SELECT medsync.encrypt($plain, $k)",
		"SELECT medsync.encrypt('$plain'::bytea, '$plain'::uuid::text::bytea)",
		"SELECT medsync.encrypt('$plain', $k, '$plain'::json::text::bytea)", "SELECT medsync.encrypt('$plain', $k), '$plain'::timestamptz");
	cmp_ok(scalar(() = $told =~ /ERROR:/g), '>', 15, "$who: other ways: errors as wanted");
	# psql would wait for the end of the literal
	$node->psql($db, join('', @first), extra_params => [ map { ('-c', $_) } "SELECT medsync.encrypt('$plain", "SELECT medsync.encrypt(\$x\$$plain", "SELECT medsync.encrypt('x', \"$plain", "SELECT medsync.encrypt('$plain' /* " ]);
	# bind parameters
	foreach my $mode (qw(simple extended prepared))
	{
		foreach my $sql ('SELECT medsync.encrypt(:plain, decode(:key, \'hex\'))', 'SELECT medsync.encrypt(:plain, :key)',
			'SELECT medsync.encrypt(:plain, decode(:key, \'hex\')), 1/(random()*0)::int', 'SELECT medsync.encrypt(:plain, decode(:key, \'hex\')), :plain::int',
			'INSERT INTO strict SELECT 9, medsync.encrypt(:plain, decode(:key, \'hex\'))::text', 'SELECT seal_and_fail(:plain, decode(:key, \'hex\'), \'cast\')')
		{
			pgbench_run($node, $db, '-M', $mode, '-t', 1, '-f', script('bind.sql', join("\n", @first, $sql, '')), '-D', "plain='$plain'" =~ s/'//gr, '-D', 'key=' . unpack('H*', $key))
			  if $mode ne 'simple';
		}
	}
	# rows that arrive, in plaintext, and are stored sealed
	run($node, $db, @first, "COPY arrival (id, note) FROM STDIN;", "1\t$plain", '\\.', "COPY arrival (id, note) FROM STDIN;", "2\t$plain", '\\.',
		"INSERT INTO vault (sealed) SELECT medsync.encrypt('$plain', $k) FROM generate_series(1, 100);",
		"INSERT INTO vault (sealed) VALUES (seal('$plain', $k));");
	is(query($node, $db, "SELECT count(*) FROM vault WHERE medsync.decrypt(sealed, $k) = '$plain'"), '101', "$who: what is stored can be opened");
	is(query($node, $db, 'SELECT count(*) FROM arrival'), '1', "$who: one row has arrived");
	cmp_ok(query($node, $db, 'SELECT count(*) FROM medsync._record_chunk'), '>', 4, "$who: records are stored");

	# cancelled, terminated
	run($node, $db, @first, "SET statement_timeout = '200ms';", "SELECT medsync.encrypt($p, $k), pg_sleep(20);", "SELECT seal('$plain', $k), pg_sleep(20);",
		"DO \$\$ BEGIN PERFORM medsync.encrypt($p, $k); PERFORM pg_sleep(20); END \$\$;");
	run($node, $db, @first, "SELECT medsync.encrypt($p, $k), pg_terminate_backend(pg_backend_pid()), pg_sleep(1);");
	deadlock($node, $db, @first, "SELECT 1 FROM pg_sleep(0.1) WHERE medsync.encrypt($p, $k) IS NULL;", "UPDATE strict SET a = left(medsync.encrypt($p, $k)::text, 3) WHERE id = ");
	return;
}

# Two sessions, each with a secret in the statement that the other one's log
# message would quote.
sub deadlock
{
	my ($node, $db, @words) = @_;
	my $update = pop @words;

	my $before = () = slurp_file($node->logfile) =~ /deadlock detected/g;
	query($node, $db, "INSERT INTO strict VALUES (50, 'a'), (51, 'b') ON CONFLICT DO NOTHING");
	my @session = map { $node->background_psql($db, on_error_stop => 0) } 0, 1;
	foreach my $i (0, 1)
	{
		$session[$i]->query($_) foreach @words;
		$session[$i]->query("BEGIN; ${update}5$i");
	}
	$session[0]->query_until(qr/begun/, "\\echo begun\n${update}51;\n");
	$session[1]->query_until(qr/begun/, "\\echo begun\n${update}50;\n");
	ok(wait_until('the deadlock is found', sub { (() = slurp_file($node->logfile) =~ /deadlock detected/g) > $before }), 'a deadlock');
	$_->quit foreach @session;
	return;
}

# ------------------------------------------------------------------
# A server that has the library preloaded, and counts statements
# ------------------------------------------------------------------

my $node = new_node('preloaded', conf => <<CONF);
shared_preload_libraries = 'pg_stat_statements, medsync'
pg_stat_statements.track = all
medsync.databases = ''
CONF
query($node, 'postgres', 'CREATE DATABASE clinic');
query($node, 'clinic', 'CREATE EXTENSION medsync; CREATE EXTENSION pg_stat_statements');
query($node, 'clinic', $tables);
pour($node, 'clinic', 'preloaded');

# killed while it runs: the postmaster tells which statement it was
{
	my $plain = secret('crash plaintext', 'CONFIDENTIAL crash');
	my $session = $node->background_psql('clinic', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query_until(qr/begun/, "\\echo begun\nSELECT medsync.encrypt('$plain', sha256('x')), pg_sleep(20);\n");
	sleep 0.3;
	# what was counted so far would not survive
	holds_none(query($node, 'clinic', 'SELECT query FROM pg_stat_statements'), 'pg_stat_statements');
	cmp_ok(query($node, 'clinic', "SELECT count(*) FROM pg_stat_statements WHERE query LIKE '%encrypt(%'"), '>', 10, 'pg_stat_statements has statements with such calls');
	kill 'KILL', $pid;
	settled($node);
	eval { $session->{run}->kill_kill };
	like(slurp_file($node->logfile), qr/was terminated by signal 9.*\n.*DETAIL:/, 'the postmaster tells of a crash');
}
pour($node, 'clinic', 'after a crash');
holds_none(query($node, 'clinic', 'SELECT query FROM pg_stat_statements'), 'pg_stat_statements again');

sub scan
{
	my ($server, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	query($server, 'clinic', 'ANALYZE');
	query($server, 'clinic', 'CHECKPOINT');
	is(join("\n", files_with_secrets($server->data_dir)), '', "$name: no secret in the data directory");
	holds_none(slurp_file($server->logfile), "$name: the server's log");
	unlike(slurp_file($server->logfile), qr/STATEMENT:.*(?:crypt|sign|_key) *\(/, "$name: no such statement in the log");
	$server->stop;
	is(join("\n", files_with_secrets($server->data_dir)), '', "$name: nor after it was stopped");
	$server->start;
	return;
}
scan($node, 'preloaded');

# ------------------------------------------------------------------
# One that has not: sessions that have used medsync once
# ------------------------------------------------------------------

my $plain_node = new_node('not_preloaded');
query($plain_node, 'postgres', 'CREATE DATABASE clinic');
query($plain_node, 'clinic', 'CREATE EXTENSION medsync');
query($plain_node, 'clinic', $tables);
pour($plain_node, 'clinic', 'not preloaded', warm => 1);
scan($plain_node, 'not preloaded');

# the first statement of a session fails before the library is there
{
	my $early = 'CONFIDENTIAL too early';

	run($plain_node, 'clinic', "SELECT medsync.encrypt('$early', sha256('x')) frm x y;");
	like(slurp_file($plain_node->logfile), qr/$early/, 'not preloaded: what fails before the library is loaded is logged, as documented');
	query($plain_node, 'postgres', "ALTER DATABASE clinic SET session_preload_libraries = 'medsync'");
	secret('session_preload', 'CONFIDENTIAL session_preload');
	run($plain_node, 'clinic', "SELECT medsync.encrypt('$secret{session_preload}', sha256('x')) frm x y;");
	holds_none(slurp_file($plain_node->logfile), 'session_preload_libraries: the same');
	like(slurp_file($plain_node->logfile), qr/syntax error at or near "\.\.\."/, 'the error is logged, without its quotation');
}

# ------------------------------------------------------------------
# What has no secrets is logged as ever, and the scan finds what is there
# ------------------------------------------------------------------

{
	my $canary = secret('canary', 'CANARY in a plain table');

	run($node, 'clinic', "CREATE TABLE plain (a text UNIQUE); INSERT INTO plain VALUES ('$canary');", "INSERT INTO plain VALUES ('$canary');", "SELECT '$canary'::int;", "SELECT medsync.seal(), sign(1.0), 1/0;");
	query($node, 'clinic', 'CHECKPOINT');
	my @files = files_with_secrets($node->data_dir);
	ok(scalar(grep { /^base\// } @files), 'the scan finds a canary in a table');
	ok(scalar(grep { /^pg_wal\// } @files), 'and in WAL');
	my $log = slurp_file($node->logfile);
	like($log, qr/DETAIL:  Key \(a\)=\($canary\) already exists/, 'other details are logged');
	like($log, qr/STATEMENT:  SELECT '$canary'::int/, 'other statements are logged');
	like($log, qr/invalid input syntax for type integer: "$canary"/, 'other messages are logged');
	like(join('', found_in("... " . encode_base64("xx$canary", '') . " ...")), qr/canary/, 'the scan knows base64');
	like(join('', found_in("\\x" . unpack('H*', "zz$canary"))), qr/canary/, 'and hexadecimal');

	# the client is told all, as ever
	like(run($node, 'clinic', "SELECT medsync.encrypt('x', sha256('y')), '$canary'::int;"), qr/invalid input syntax for type integer: "$canary"/,
		'the client is told the whole message');
	like(run($node, 'clinic', "INSERT INTO strict SELECT 9, '$canary' || left(medsync.encrypt('x', sha256('y'))::text, 0);"), qr/DETAIL:  Failing row contains \(9, $canary\)/,
		'and the whole detail');
	like(run($node, 'clinic', "SELECT seal_and_fail('$canary', sha256('y'), 'else');"), qr/CONTEXT:  .*seal_and_fail/s, 'and the context');
}

is_quiet($_) foreach $node, $plain_node;
$_->stop foreach $node, $plain_node;
done_testing();
