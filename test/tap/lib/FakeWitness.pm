
# A witness (C2SP tlog-witness) that misbehaves on demand.
#
# An HTTP server on the loopback that knows nothing of medsync.  Signatures are
# made by the openssl program.  One server plays several witnesses, told apart
# by the first part of the path; how each behaves is in a file that the test
# may change at any time.  It does not check consistency proofs: that is
# litewitness's part in the tests.

package FakeWitness;

use strict;
use warnings;

use Digest::SHA qw(sha256);
use Fcntl qw(:flock);
use IO::Socket::INET;
use MIME::Base64 qw(decode_base64 encode_base64);
use POSIX ();
use Time::HiRes qw(sleep);

my $DASH = "\xe2\x80\x94";
my @running;

# Keep what it remembers in a directory.
sub new
{
	my ($class, $directory) = @_;
	my $self = bless { directory => $directory }, $class;

	mkdir $directory or die "$directory: $!";
	my $socket = IO::Socket::INET->new(
		Listen    => 50,
		LocalAddr => '127.0.0.1',
		Proto     => 'tcp') or die "socket: $!";
	$self->{port} = $socket->sockport;
	my $pid = fork();
	die "fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		setpgrp(0, 0);
		open STDIN,  '<', '/dev/null';
		open STDOUT, '>', '/dev/null';
		open STDERR, '>', "$directory/errors";
		$self->_serve($socket);
		POSIX::_exit(0);
	}
	push @running, $pid;
	close $socket;
	return $self;
}

# A witness under the server: makes its key, behaves.
sub add
{
	my ($self, $name) = @_;
	my $key = "$self->{directory}/$name.pem";

	system('openssl', 'genpkey', '-algorithm', 'ed25519', '-out', $key) == 0
	  or die 'openssl genpkey';
	my $der = `openssl pkey -in '$key' -pubout -outform DER`;
	_write("$self->{directory}/$name.public", substr($der, -32));
	$self->mode($name, 'honest');
	$self->forget($name);
	return $self;
}

sub url { my ($self, $name) = @_; return "http://127.0.0.1:$self->{port}/$name"; }

# The key's name is not the name that the ledger gives the witness.
sub key_name { my ($self, $name) = @_; return "$name.example/fake"; }

sub verifier_key
{
	my ($self, $name, $type) = @_;
	my $key = chr($type || 4) . _read("$self->{directory}/$name.public");

	return $self->key_name($name) . '+'
	  . unpack('H*', _key_id($self->key_name($name), $key)) . '+'
	  . encode_base64($key, '');
}

# How it behaves from now on.
sub mode
{
	my ($self, $name, @mode) = @_;
	_write("$self->{directory}/$name.mode", join(' ', @mode));
	return;
}

# It has cosigned nothing.
sub forget
{
	my ($self, $name) = @_;
	_write("$self->{directory}/$name.size", '0');
	return;
}

# How many requests it got, and the whole of the last one.
sub requests
{
	my ($self, $name) = @_;
	return 0 unless -e "$self->{directory}/$name.requests";
	return -s "$self->{directory}/$name.requests";
}
sub last_request { my ($self, $name) = @_; return _read("$self->{directory}/$name.last"); }

sub stop
{
	kill 'KILL', map { -$_ } @running;
	waitpid $_, 0 for @running;
	@running = ();
	return;
}

END { local $?; stop(); }

# A reader sees the old or the new text, never half of it.
sub _write
{
	my ($path, $text, $how) = @_;
	my $new = $how ? $path : "$path.$$.new";

	open my $file, $how || '>', $new or die "$new: $!";
	binmode $file;
	print $file $text;
	close $file or die "$new: $!";
	$how or rename $new, $path or die "$path: $!";
	return;
}

sub _read
{
	my ($path) = @_;

	open my $file, '<', $path or die "$path: $!";
	binmode $file;
	local $/;
	my $text = <$file>;
	return defined $text ? $text : '';
}

sub _key_id
{
	my ($name, $key) = @_;
	return substr(sha256("$name\n$key"), 0, 4);
}

# A cosignature line over a text.
sub _cosign
{
	my ($self, $name, $text, %option) = @_;
	my $signer   = $option{signer} || $name;
	my $time     = defined $option{time} ? $option{time} : time();
	my $key_name = $self->key_name($name);
	my $id       = _key_id($key_name, chr(4) . _read("$self->{directory}/$name.public"));
	my $message  = "$self->{directory}/$name.$$.message";

	_write($message, "cosignature/v1\ntime $time\n$text");
	my $signature =
	  `openssl pkeyutl -sign -inkey '$self->{directory}/$signer.pem' -rawin -in '$message'`;
	unlink $message;
	substr($signature, 20, 1) ^= "\x01" if $option{flip};
	return "$DASH $key_name " . encode_base64($id . pack('Q>', $time) . $signature, '') . "\n";
}

# A line of somebody else.
sub _stranger
{
	my ($n) = @_;
	return "$DASH stranger.example/$n " . encode_base64(sha256("stranger $n") . sha256($n), '') . "\n";
}

sub _serve
{
	my ($self, $socket) = @_;

	$SIG{CHLD} = 'IGNORE';
	while (1)
	{
		my $client = $socket->accept or next;
		my $pid = fork();
		if (defined $pid && $pid == 0)
		{
			$SIG{CHLD} = 'DEFAULT';
			$SIG{PIPE} = 'IGNORE';
			close $socket;
			binmode $client;
			$client->autoflush(1);
			eval { $self->_answer($client); 1 } or print STDERR "$@";
			POSIX::_exit(0);
		}
		close $client;
	}
	return;
}

# One request, one connection.
sub _answer
{
	my ($self, $client) = @_;
	my $head = '';
	my $body = '';

	while ($head !~ /\r\n\r\n/)
	{
		sysread $client, $head, 4096, length $head or return;
	}
	($head, $body) = $head =~ /\A(.*?)\r\n\r\n(.*)\z/s;
	my ($length) = $head =~ /^Content-Length: (\d+)/im;
	while (length $body < ($length || 0))
	{
		sysread $client, $body, 4096, length $body or return;
	}
	my ($name) = $head =~ m{\APOST /(\w+)/add-checkpoint HTTP/1\.1}
	  or return _reply($client, 404, "no such path\n");
	_write("$self->{directory}/$name.requests", '.', '>>');
	_write("$self->{directory}/$name.last", "$head\r\n\r\n$body");
	my ($mode, @argument) = split / /, _read("$self->{directory}/$name.mode");
	my $method = $self->can("_mode_$mode") or die "no mode $mode";
	return $method->($self, $client, $name, $body, @argument);
}

sub _reply
{
	my ($client, $status, $body, @header) = @_;
	my $text = join "\r\n", "HTTP/1.1 $status Whatever", 'Content-Length: ' . length $body,
	  'Connection: close', @header;

	print $client "$text\r\n\r\n$body";
	close $client;
	return;
}

# What tlog-witness says, but for the proof: the lines, or undef after a reply.
sub _decide
{
	my ($self, $client, $name, $body, %option) = @_;
	my $state = "$self->{directory}/$name.size";

	# comparing and writing must be one: two requests may be here at once
	open my $lock, '>', "$state.lock" or die "$state.lock: $!";
	flock $lock, LOCK_EX or die "flock: $!";
	my $known = _read($state);
	my ($old, $proof, $text) =
	  $body =~ /\Aold (0|[1-9]\d*)\n((?:[A-Za-z0-9+\/]{43}=\n)*)\n(.*\n)\n$DASH [^\n]*\n\z/s;

	return _reply($client, 400, "malformed\n") unless defined $old;
	my (undef, $size) = split /\n/, $text;
	return _reply($client, 400, "old size too large\n") if $old > $size;
	return _reply($client, 409, "$known\n", 'Content-Type: text/x.tlog.size')
	  if $old != $known;
	return _reply($client, 422, "proof where none belongs\n")
	  if $proof ne '' && ($old == 0 || $old == $size);
	_write($state, $size);
	return $self->_cosign($name, $text, %option);
}

sub _mode_honest
{
	my ($self, $client, $name, $body) = @_;
	my $line = $self->_decide($client, $name, $body) or return;

	_write("$self->{directory}/$name.line", $line);
	return _reply($client, 200, $line);
}

# An honest one that takes its time.
sub _mode_slow
{
	my ($self, $client, $name, $body, $seconds) = @_;

	sleep $seconds;
	return $self->_mode_honest($client, $name, $body);
}

sub _mode_hang { sleep 600; return; }

# Headers, then a byte now and then, without end.
sub _mode_trickle
{
	my ($self, $client) = @_;

	print $client "HTTP/1.1 200 OK\r\n\r\n";
	for (1 .. 3000)
	{
		print $client 'x' or return;
		sleep 0.1;
	}
	return;
}

sub _mode_garbage { my ($self, $client) = @_; print $client pack('C*', map { $_ % 256 } 1 .. 5000); return; }
sub _mode_close   { my ($self, $client) = @_; close $client; return; }

# The connection ends before the announced length.
sub _mode_cut
{
	my ($self, $client) = @_;
	print $client "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf";
	return;
}

sub _mode_huge
{
	my ($self, $client) = @_;

	print $client "HTTP/1.1 200 OK\r\n\r\n";
	while (print $client 'x' x 65536) { }
	return;
}

# The announced length alone is too large.
sub _mode_endless_headers
{
	my ($self, $client) = @_;

	print $client "HTTP/1.1 200 OK\r\n";
	my $n = 0;
	while (print $client "X-Header-" . $n++ . ': ' . 'x' x 1000 . "\r\n") { }
	return;
}

sub _mode_redirect
{
	my ($self, $client, $name, $body, $status, $url) = @_;
	return _reply($client, $status, "elsewhere\n", "Location: $url");
}

sub _mode_status
{
	my ($self, $client, $name, $body, $status, @text) = @_;
	return _reply($client, $status, join(' ', @text) . "\n");
}

# Any bytes, in hex, as the body of a 200 or another status.
sub _mode_bytes
{
	my ($self, $client, $name, $body, $status, $hex) = @_;
	return _reply($client, $status, pack('H*', $hex || ''));
}

# Another key under its name and id; a flipped bit; a time of zero.
sub _mode_forged
{
	my ($self, $client, $name, $body, %option) = @_;
	my $line = $self->_decide($client, $name, $body, %option) or return;

	return _reply($client, 200, $line);
}

# The line of the last honest answer.
sub _mode_replay
{
	my ($self, $client, $name) = @_;
	return _reply($client, 200, _read("$self->{directory}/$name.line"));
}

# Right for another text, that begins as ours and goes on.
sub _mode_other_text
{
	my ($self, $client, $name, $body) = @_;
	my ($text) = $body =~ /\n\n(.*\n)\n$DASH/s;

	return _reply($client, 200, "more\n\n" . $self->_cosign($name, "$text\nmore\n"));
}

# So many lines of strangers around the right one, which comes twice.
sub _mode_strangers
{
	my ($self, $client, $name, $body, $count) = @_;
	my $line = $self->_decide($client, $name, $body) or return;

	return _reply($client, 200,
		join('', map { _stranger($_) } 1 .. $count) . $line . _stranger(0) . $line);
}

# Not a word of its own: what another witness says.
sub _mode_as
{
	my ($self, $client, $name, $body, $other) = @_;
	my $line = $self->_decide($client, $other, $body) or return;

	return _reply($client, 200, $line);
}

# A 409 with another size each time.
sub _mode_fickle
{
	my ($self, $client, $name) = @_;
	return _reply($client, 409, $self->requests($name) . "\n");
}

# Always the size that was sent.
sub _mode_parrot
{
	my ($self, $client, $name, $body) = @_;
	my ($old) = $body =~ /\Aold (\d+)/;
	return _reply($client, 409, "$old\n");
}

1;
