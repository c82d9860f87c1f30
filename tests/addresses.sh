#!/usr/bin/env bash
# Checks that the limit on connections from one address counts a whole /64 network of IPv6 as one address.
#
#   tests/addresses.sh [SERVER]        (target/release/server if not given)
#
# The script creates a network namespace. Its only interface has 70 addresses in one /64 network, one address
# in another /64 network, and one IPv4 address. A client connects from each of the 70 addresses: 64 clients get
# in, and 6 clients are refused and told the reason. Then a client connects from each of the other two addresses.
# Both get in. All of this takes a few seconds.
#
# The script needs Linux, root (CAP_NET_ADMIN), ip(8) and OpenBSD's nc. Without them the test is left out, and a
# line says so. If CHAT_TESTS_COMPLETE is set, the script fails instead. Every wait has a deadline.

set -u

PORT=7003
NETWORK=2001:db8:0:1
CONNECTIONS=70
LIMIT=64

server=${1-target/release/server}
leave_out() {
    echo "left out: addresses: $1"
    [ -z "${CHAT_TESTS_COMPLETE-}" ]
    exit
}
fail() {
    echo "addresses: FAILED: $1"
    exit 1
}
[ "$(uname)" = Linux ] || leave_out "not Linux"
command -v ip >/dev/null || leave_out "no ip(8)"
[[ $(nc -h 2>&1) == *OpenBSD* ]] || leave_out "no OpenBSD nc"
[ -x "$server" ] || fail "no server at $server: cargo build --release"

# The name contains the process id, so that two runs can happen at the same time.
namespace=chat-addresses-$$
work=$(mktemp -d) || exit 1
clean_up() {
    # Kills the processes in the namespace, and only those. Then the namespace can be deleted.
    for process in $(ip netns pids "$namespace" 2>/dev/null); do kill -KILL "$process"; done
    ip netns del "$namespace" 2>/dev/null
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

ip netns add "$namespace" 2>/dev/null || leave_out "no network namespaces (root?)"
ip -n "$namespace" link set lo up
for ((n = 1; n <= CONNECTIONS; n++)); do
    printf 'address add %s::%x/128 dev lo nodad\n' $NETWORK "$n"
done >"$work/addresses"
echo "address add 2001:db8:0:2::1/128 dev lo nodad" >>"$work/addresses"
echo "address add 10.213.7.1/32 dev lo" >>"$work/addresses"
ip -n "$namespace" -batch "$work/addresses" 2>/dev/null || leave_out "no addresses of IPv6"

# Waits until $1 of the files $2, $3, ... are not empty, but at most about 20 seconds. The pause between two checks is
# a `read -t` on a pipe that stays empty.
exec 9<> <(:)
wait_for_answers() {
    local count=$1 tries file answered
    shift
    for tries in {1..200}; do
        answered=0
        for file in "$@"; do [ -s "$file" ] && answered=$((answered + 1)); done
        [ $answered -ge "$count" ] && return
        read -r -t 0.1 -u 9
    done
    fail "$answered of $count were answered"
}

ip netns exec "$namespace" "$server" :: $PORT >"$work/server" 2>&1 </dev/null &
disown # So that this shell does not report when the server is killed.
wait_for_answers 1 "$work/server"

# Connects from address $1 to address $2, and writes the server's answer into file $3.
visit() {
    ip netns exec "$namespace" timeout 30 nc -d -s "$1" "$2" $PORT >"$work/$3" 2>&1 </dev/null &
    disown
}
answers=()
for ((n = 1; n <= CONNECTIONS; n++)); do
    visit "$NETWORK::$(printf %x "$n")" $NETWORK::1 "peer-$n"
    answers+=("$work/peer-$n")
done
wait_for_answers $CONNECTIONS "${answers[@]}"
inside=$(grep -l "Enter your nickname" "${answers[@]}" | wc -l)
refused=$(grep -l "Too many connections from your address" "${answers[@]}" | wc -l)
echo "addresses: of $CONNECTIONS of one /64, $inside are in and $refused are told why not"
[ "$inside" = $LIMIT ] && [ "$refused" = $((CONNECTIONS - LIMIT)) ] || fail "$LIMIT were to get in"

visit 2001:db8:0:2::1 $NETWORK::1 other-network
visit 10.213.7.1 10.213.7.1 ipv4
wait_for_answers 2 "$work/other-network" "$work/ipv4"
for peer in other-network ipv4; do
    grep -q "Enter your nickname" "$work/$peer" || fail "$peer: $(cat "$work/$peer")"
done
echo "addresses: passed"
