# A chat server without threads: one loop asks the kernel (`select`) which sockets are readable or writable. The
# server never waits for a client that does not read. It keeps the unsent text for that client, up to a bound, and
# writes it when the socket is writable again. The program `check` tests this server.
use strict; use warnings;
use IO::Socket::INET; use IO::Select; use Errno qw(EAGAIN EWOULDBLOCK);
use POSIX ();
use constant { MAX_LINE => 1024, MAX_WAITING => 8 << 20 };
# Ten descriptors are reserved for everything except clients.
my $most_clients = POSIX::sysconf(POSIX::_SC_OPEN_MAX()) - 10;

my $listener = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => $ARGV[0], Listen => 128,
    ReuseAddr => 1, Blocking => 0) or die "cannot listen: $!";
$SIG{PIPE} = "IGNORE";
my $ends = 0;
$SIG{TERM} = sub { $ends = 1 };
my (%clients, %owner);

sub put { my ($client, $text) = @_; $client->{waiting} .= $text; }
sub tell_others {
    my ($text, $except) = @_;
    for my $client (values %owner) { put($client, $text) if $client != $except; }
}
sub leave {
    my ($client, $words) = @_;
    return if $client->{leaves}++;
    if (defined $client->{name}) {
        delete $owner{$client->{name}};
        tell_others("[SERVER] $client->{name} left the chat!\n", $client);
    }
    put($client, $words);
}
sub take_line {
    my ($client, $line) = @_;
    $line =~ s/\r?\n?\z//;
    $line =~ s/[\x00-\x1F\x7F]/?/g;
    if (!defined $client->{name}) {
        return put($client, "[SERVER] That name is taken, or not a name.\n[SERVER] Enter your nickname:\n")
            if $line !~ /\A[A-Za-z0-9-]+\z/ || $owner{$line};
        $client->{name} = $line;
        $owner{$line} = $client;
        put($client, "[SERVER] Connected to the server!\n[SERVER] " . keys(%owner) . " online: $line\n");
        return tell_others("[SERVER] $line joined the chat!\n", $client);
    }
    return leave($client, "[SERVER] Goodbye!\n") if $line eq "/quit";
    tell_others("$client->{name}: $line\n", $client);
}
sub read_some {
    my ($client) = @_;
    my $count = sysread($client->{socket}, my $bytes, 65536);
    return if !defined $count && ($! == EAGAIN || $! == EWOULDBLOCK);
    $client->{ended} = 1 if !$count;
    return leave($client, "") if !$count;
    return if $client->{leaves};
    $client->{input} .= $bytes;
    while ($client->{input} =~ s/\A(.*?\n)//s) {
        my ($line, $skips) = ($1, delete $client->{skips});
        take_line($client, $line) if !$skips && length($line) <= MAX_LINE + 1;
        return if $client->{leaves};
    }
    if (length($client->{input}) > MAX_LINE) { $client->{input} = ""; $client->{skips} = 1; }
}

while ($ends < 2 || grep { length $_->{waiting} && !$_->{is_over} } values %clients) {
    if ($ends == 1) {
        $ends = 2;
        alarm 1; $SIG{ALRM} = sub { exit 0 };
        put($_, "[SERVER] The server is shutting down.\n") for values %owner;
    }
    my $readable = IO::Select->new(map { $_->{socket} } grep { !$_->{ended} } values %clients);
    $readable->add($listener) if !$ends && keys %clients < $most_clients;
    my $writable = IO::Select->new(map { $_->{socket} } grep { length $_->{waiting} } values %clients);
    my ($read, $write) = IO::Select->select($readable, $writable, undef, 0.5);
    for my $socket (@{$read || []}) {
        if ($socket == $listener) {
            my $new = $listener->accept or next;
            $new->blocking(0);
            setsockopt($new, 1, 9, 1);                       # SO_KEEPALIVE
            setsockopt($new, 6, 1, 1);                       # TCP_NODELAY
            $clients{$new} = { socket => $new, input => "", waiting => "[SERVER] Enter your nickname:\n" };
        } elsif ($clients{$socket}) {
            read_some($clients{$socket});
        }
    }
    for my $client (values %clients) {
        if (length $client->{waiting}) {
            my $count = syswrite($client->{socket}, $client->{waiting}, 1 << 16);
            if (defined $count) { substr($client->{waiting}, 0, $count) = ""; }
            elsif ($! != EAGAIN && $! != EWOULDBLOCK) { $client->{waiting} = ""; leave($client, ""); }
            if (length $client->{waiting} > MAX_WAITING) { $client->{waiting} = ""; leave($client, ""); $client->{ended} = 1; }
        }
        next if length $client->{waiting} || !($client->{leaves} || $ends == 2);
        # The last text is sent. Shut the socket down for writing, and wait up to about two seconds for the
        # peer to close.
        shutdown($client->{socket}, 1) if !$client->{is_over};
        $client->{is_over} ||= time + 1;
        delete $clients{$client->{socket}} if $client->{ended} || time > $client->{is_over};
    }
}
