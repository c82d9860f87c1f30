#!/usr/bin/env bash
# Pulls a client's cable, and measures how long the client keeps its nickname.
#
#   tests/cable.sh [SERVER]        (target/release/server if not given)
#
# The script creates two network namespaces with a pair of virtual interfaces between them. Two servers run in
# the first namespace. In the room of one server nobody talks; in the room of the other, a client talks. A client
# in the second namespace, the ghost, joins both rooms. Then the ghost's interface is taken down. No packet tells the
# servers that the ghost is gone. In the silent room, keep-alive detects that the ghost is gone; in the other room,
# TCP_USER_TIMEOUT does. The ghost must have left both rooms within two minutes. The script can take that long.
#
# The script needs Linux, root (CAP_NET_ADMIN) and ip(8). Without them the test is left out, and a line says so. If
# CHAT_TESTS_COMPLETE is set, the script fails instead. The clients use bash's /dev/tcp. Every wait has a deadline.

set -u

SILENT_PORT=7001
TALKING_PORT=7002
SERVER_ADDRESS=10.213.7.1
CLIENT_ADDRESS=10.213.7.2
LIMIT_SECONDS=120

# Reads the next line of file descriptor 3 into `line`. Fails if no line arrives within $1 seconds.
next_line() {
    IFS= read -r -t "$1" -u 3 line
}

# The watcher: a client in the servers' namespace that watches one room. The watcher reports on standard output when
# the ghost joins and when the ghost leaves. With the argument `talk`, the watcher also sends a line about every five
# seconds.
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

# The ghost: joins both rooms, and then sends nothing until its standard input ends.
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

# The names contain the process id, so that two runs can happen at the same time. The name of an interface has at
# most 15 characters.
near=chat-near-$$ far=chat-far-$$ near_end=cn$$ far_end=cf$$
work=$(mktemp -d) || exit 1
clean_up() {
    # Kills the processes in the namespaces, and only those. Then the namespaces can be deleted.
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

# Waits until file $2 contains the text $1, but at most about 20 seconds. The pause between two checks is a `read -t`
# on a pipe that stays empty.
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
    disown # So that this shell does not report when the server is killed.
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
