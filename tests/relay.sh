#!/usr/bin/env bash
# One room on several servers, over a real engine that suffers: it is killed, stopped, restarted, full, emptied, loses
# the end of its log, and another takes its place; links are cut. Then a soak of all that at random.
#
#   tests/relay.sh [SECONDS]        (how long the soak lasts; 20 if not given)
#
# It builds and runs the tests in tests/it/relay/redis.rs, which are left out where CHAT_ENGINE is not set. Each line of a
# talker must be heard once, in order, and by all listeners in the same order. CHAT_ENGINE names another engine than
# redis-server, such as valkey-server; CHAT_SOAK_SEED repeats a soak.
#
# Needs redis-server, of Redis 6.2 or later, or of Valkey; without one it is left out, with a line. Every wait has a
# deadline.
set -euo pipefail
cd "$(dirname "$0")/.."

export CHAT_ENGINE=${CHAT_ENGINE-redis-server}
if ! command -v "$CHAT_ENGINE" > /dev/null; then
    echo "left out: relay: there is no $CHAT_ENGINE"
    exit
fi
"$CHAT_ENGINE" --version
export CHAT_SOAK_SECONDS=${1-20}
cargo test --quiet --test it -- --nocapture relay::redis
