#!/usr/bin/env bash
# Tests one room on several servers, over a real engine with faults. The engine is killed, stopped, restarted, filled,
# emptied or replaced by another engine, or it loses the end of its log. Links are cut. A soak combines these faults at
# random.
#
#   tests/relay.sh [SECONDS]           (the length of the soak; 20 if not given)
#   tests/relay.sh measure [ROUNDS]    (3 if not given) runs no tests, but measures the cost of a relay. Each round
#                                      measures three servers: one without a relay, one with an engine that syncs
#                                      to disk every second, and one with an engine that syncs after every write
#
# The script builds and runs the tests in tests/it/relay/redis, which are left out unless CHAT_ENGINE is set. All
# listeners must receive each line exactly once, in the same order, and each talker's lines in the order in which they
# were sent. To use an engine other than redis-server, set CHAT_ENGINE, for example to valkey-server. To repeat a
# soak, set CHAT_SOAK_SEED to the seed that the soak has printed.
#
# The script needs Redis 6.2 or later, or Valkey. Without an engine the tests are left out, and a line says so. Every
# wait has a deadline.
set -euo pipefail
cd "$(dirname "$0")/.."

export CHAT_ENGINE=${CHAT_ENGINE-redis-server}
if ! command -v "$CHAT_ENGINE" > /dev/null; then
    echo "left out: relay: there is no $CHAT_ENGINE"
    exit
fi
"$CHAT_ENGINE" --version

if [[ ${1-} == measure ]]; then
    cargo build --quiet --release --bins
    work=$(mktemp -d)
    pids=()
    trap 'kill "${pids[@]}" 2> /dev/null || true; wait; rm -rf "$work"' EXIT
    declare -A relay=([without]="" [everysec]="--relay 127.0.0.1:17381" [always]="--relay 127.0.0.1:17382")
    for sync in everysec:17381 always:17382; do
        mkdir "$work/${sync%:*}"
        "$CHAT_ENGINE" --port "${sync#*:}" --bind 127.0.0.1 --save "" --dir "$work/${sync%:*}" \
            --appendonly yes --appendfsync "${sync%:*}" > /dev/null &
        pids+=($!)
    done
    for ((round = 1; round <= ${2-3}; round++)); do
        for kind in without everysec always; do
            # shellcheck disable=SC2086  # words
            target/release/server 127.0.0.1 17380 --rate 0 --history 0 --quiet ${relay[$kind]} > "$work/log" 2>&1 &
            server=$!
            pids+=("$server")
            until grep -q "Waiting for connections" "$work/log" &&
                { [[ $kind == without ]] || grep -q "In the room" "$work/log"; }; do
                kill -0 "$server" && sleep 0.05
            done
            for load in "paced --clients 50" flood; do
                # shellcheck disable=SC2086  # words
                result=$(target/release/load $load --port 17380 --pid "$server" 2> /dev/null | tail -n 1)
                printf '%-8s  %s\n' "$kind" "$result"
            done
            kill "$server"
            wait "$server"
        done
    done
    exit
fi

export CHAT_SOAK_SECONDS=${1-20}
cargo test --quiet --test it -- --nocapture relay::redis
