#!/usr/bin/env bash
# Pulls a cable: how long does a client that vanished without a word keep its nickname?
#
#   tests/cable.sh [SERVER]        (target/release/server if not given)
#
# Two network namespaces, a pair of virtual interfaces between them, and two servers in one: in the
# first room nobody says a word, in the second somebody talks. The client in the other namespace is
# in both rooms when its interface is taken down. No packet tells the servers: keep-alive finds the
# ghost in the silent room, TCP_USER_TIMEOUT the one in the room that talks. Both must be gone
# within two minutes. Takes about two, most of it waiting.
#
# Needs Linux, root (CAP_NET_ADMIN) and ip(8). Where it cannot have them it is left out, with a line;
# where CHAT_TESTS_COMPLETE is set, that is a failure. Clients are bash's own /dev/tcp. Every wait has a deadline.

set -u

SILENT_PORT=7001
TALKING_PORT=7002
SERVER_ADDRESS=10.213.7.1
CLIENT_ADDRESS=10.213.7.2
LIMIT_SECONDS=120

# Puts the next line of file descriptor 3 into `line`; fails if none comes within $1 seconds.
next_line() {
    IFS= read -r -t "$1" -u 3 line
}

# Somebody in the room, next to the server: reports on standard output when the ghost came, and when
# it left. With `talk` it says something every five seconds.
watch_room() {
    local port=$1 talk=${2-} deadline line
    exec 3<>"/dev/tcp/127.0.0.1/$port" || exit 1
    echo watcher >&3
    while next_line 20; do
        [ "$line" = "[SERVER] Connected to the server!" ] && echo inside
        [ "$line" = "[SERVER] ghost joined the chat!" ] && break
    done || exit 1
    echo ready
    deadline=$((SECONDS + LIMIT_SECONDS))
    while [ $SECONDS -lt $deadline ]; do
        [ -n "$talk" ] && echo "is anybody there?" >&3
        if next_line 5; then
            case $line in "[SERVER] ghost left the chat!"*)
                echo "$(date +%s) gone: $line"
                exit 0
                ;;
            esac
        fi
    done
    echo "$(date +%s) still there"
    exit 1
}

# The ghost: joins both rooms, says so, and holds still until its standard input ends.
haunt() {
    exec 3<>"/dev/tcp/$SERVER_ADDRESS/$SILENT_PORT" 4<>"/dev/tcp/$SERVER_ADDRESS/$TALKING_PORT" ||
        exit 1
    echo ghost >&3
    echo ghost >&4
    cat >/dev/null
}

case ${1-} in
watch_room | haunt) "$@"; exit ;;
esac

server=${1-target/release/server}
leave_out() {
    echo "left out: cable: $1"
    [ -z "${CHAT_TESTS_COMPLETE-}" ]
    exit
}
[ "$(uname)" = Linux ] || leave_out "not Linux"
command -v ip >/dev/null || leave_out "no ip(8)"
[ -x "$server" ] || { echo "cable: no server at $server: cargo build --release"; exit 1; }

# Names of this run alone, so that two runs do not meet; an interface has at most 15 characters.
near=chat-near-$$ far=chat-far-$$ near_end=cn$$ far_end=cf$$
work=$(mktemp -d) || exit 1
clean_up() {
    # Ends what runs in the namespaces, and only that; then they can go.
    for namespace in "$near" "$far"; do
        for process in $(ip netns pids "$namespace" 2>/dev/null); do kill -KILL "$process"; done
        ip netns del "$namespace" 2>/dev/null
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

ip netns add "$near" 2>/dev/null && ip netns add "$far" 2>/dev/null ||
    leave_out "no network namespaces (root?)"
ip link add "$near_end" netns "$near" type veth peer name "$far_end" netns "$far" 2>/dev/null ||
    leave_out "no virtual interfaces"
ip -n "$near" link set lo up
ip -n "$near" address add $SERVER_ADDRESS/24 dev "$near_end"
ip -n "$near" link set "$near_end" up
ip -n "$far" address add $CLIENT_ADDRESS/24 dev "$far_end"
ip -n "$far" link set "$far_end" up

# Waits until file $2 holds line $1, 20 seconds at most; `read -t` on a pipe that stays empty is the
# pause between two looks.
exec 9<> <(:)
wait_for() {
    local tries
    for tries in {1..200}; do
        grep -qs -- "$1" "$2" && return
        read -r -t 0.1 -u 9
    done
    echo "cable: FAILED: waited for '$1' in vain:"
    cat "$2"
    exit 1
}

watchers=()
for room in silent talking; do
    if [ $room = silent ]; then port=$SILENT_PORT talk=; else port=$TALKING_PORT talk=talk; fi
    ip netns exec "$near" "$server" 0.0.0.0 $port >"$work/$room-server" 2>&1 </dev/null &
    disown # Its end is none of this shell's news.
    wait_for "Waiting for connections" "$work/$room-server"
    ip netns exec "$near" bash "$0" watch_room $port $talk >"$work/$room" 2>&1 </dev/null &
    watchers+=($!)
    wait_for inside "$work/$room"
done
mkfifo "$work/hold"
ip netns exec "$far" bash "$0" haunt <"$work/hold" &
disown
exec 8>"$work/hold"
wait_for ready "$work/silent"
wait_for ready "$work/talking"

ip -n "$far" link set "$far_end" down
start=$(date +%s)
echo "cable: pulled; a ghost may stay $LIMIT_SECONDS seconds"
failed=0
for watcher in "${watchers[@]}"; do wait "$watcher" || failed=1; done
for room in silent talking; do
    read -r when what < <(tail -n 1 "$work/$room")
    echo "cable: $room room: after $((when - start)) seconds $what"
done
[ $failed = 0 ] && echo "cable: passed" || echo "cable: FAILED"
exit $failed
