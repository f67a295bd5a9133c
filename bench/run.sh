#!/bin/bash
# Runs the benchmarks against a fresh server with its own PostgreSQL at default durability, and prints
# a table. Usage: bench/run.sh BINARY BENCH_BINARY [BENCHMARK...]; SECONDS_EACH, SCALE as environment.
# Those of federation (fed_..., resolve) and of several nodes have servers of their own: bench/fed.sh,
# bench/nodes.sh.
set -eu
binary=$1 bench=$2
shift 2
[ $# -gt 0 ] || set -- limits send fanout parked initial bigroom fed_in fed_out fed_join resolve
here="" federation="" nodes=""
for name in "$@"; do
    case $name in
    fed_*|resolve) federation="$federation $name" ;;
    nodes) nodes=1 ;;
    *) here="$here $name" ;;
    esac
done
[ -z "$nodes" ] || bench/nodes.sh "$binary" "$bench"
[ -z "$federation" ] || bench/fed.sh "$binary" $federation
[ -n "$here" ] || exit 0
dir=$(mktemp -d "${TMPDIR:-/tmp}/concorde-bench.XXXXXX")
chmod 711 "$dir"
server=
cleanup() {
    [ -z "$server" ] || { kill -TERM "$server" 2>/dev/null; wait "$server" 2>/dev/null; } || true
    rm -rf "$dir"
}
trap cleanup EXIT
ulimit -n "$(ulimit -Hn)"
port=$((20000 + RANDOM % 20000))
gateway=$((port + 1))
"$binary" serve --data "$dir/data" --set listen=127.0.0.1:$port --set server_name=bench.example \
    --set rate_limits=off --set enable_registration=true \
    --set enable_registration_without_verification=true --set password_hash_cost=1 \
    --set max_connections=12000 --set trusted_proxies=127.0.0.1 \
    --set push.rewrite=bench=http://127.0.0.1:$gateway/_matrix/push/v1/notify ${EXTRA:-} >"$dir/log" 2>&1 &
server=$!
for _ in $(seq 300); do
    curl -fs "http://127.0.0.1:$port/health" >/dev/null 2>&1 && break
    kill -0 "$server" 2>/dev/null || { cat "$dir/log"; exit 1; }
    sleep 0.1
done
echo "| benchmark | | | | | |"
echo "| --- | --- | --- | --- | --- | --- |"
for name in $here; do
    "$bench" --address 127.0.0.1:$port --gateway $gateway --pid "$server" --postmaster "$(head -1 "$dir"/data/postgres/data/postmaster.pid)" --database "$(cut -d" " -f2- "$dir/data/concorde.lock")" \
        --seconds "${SECONDS_EACH:-10}" ${SCALE:+--scale "$SCALE"} "$name" || { tail -${LOG_LINES:-20} "$dir/log"; exit 1; }
done
for name in $here; do # beside Synapse, with a part of the load
    case $name in
    morning) bench/beside.sh "$binary" "$bench" $((${SCALE:-5000} / 25)) "$name" ;;
    esac
done
[ -z "${METRICS:-}" ] || curl -s "http://127.0.0.1:$port/metrics"
