#!/bin/bash
# Runs the benchmark of several nodes: one, two and three servers (NODES="1 2 3") on one PostgreSQL, which is
# the first one's. Usage: bench/nodes.sh BINARY BENCH_BINARY; SECONDS_EACH as environment.
set -eu
binary=$1 bench=$2
dir=$(mktemp -d "${TMPDIR:-/tmp}/concorde-bench.XXXXXX")
chmod 711 "$dir"
pids=()
cleanup() {
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
        kill -TERM "${pids[i]}" 2>/dev/null && wait "${pids[i]}" 2>/dev/null || true
    done
    rm -rf "$dir"
}
trap cleanup EXIT
ulimit -n "$(ulimit -Hn)"
base=$((20000 + RANDOM % 20000))
start() { # NUMBER [SETTING...]
    "$binary" serve --data "$dir/$1" --set listen=127.0.0.1:$((base + $1)) --set server_name=bench.example \
        --set rate_limits=off --set enable_registration=true --set signing_key_path="$dir/key" \
        --set enable_registration_without_verification=true --set password_hash_cost=1 \
        --set media_store_path="$dir/media" --set max_connections=4000 --set trusted_proxies=127.0.0.1 \
        "${@:2}" ${EXTRA:-} >"$dir/log$1" 2>&1 &
    pids+=($!)
    for _ in $(seq 300); do
        curl -fs "http://127.0.0.1:$((base + $1))/health" >/dev/null 2>&1 && return
        kill -0 "${pids[-1]}" 2>/dev/null || break
        sleep 0.1
    done
    cat "$dir/log$1"
    exit 1
}
start 1
uri=$(cut -d" " -f2- "$dir/1/concorde.lock")
others=()
held() { # of the nodes 1 to N: how many leases they hold
    for i in $(seq "$1"); do curl -s "http://127.0.0.1:$((base + i))/metrics"; done |
        awk '/^concorde_lease_held/ { n += $2 } END { print n + 0 }'
}
take_over() { # SIGNAL: the last node ends; when have the others all of its leases?
    local all began
    all=$(held "$running")
    kill "-$1" "${pids[-1]}"
    began=$(date +%s%3N)
    running=$((running - 1))
    until [ "$(held "$running")" -ge "$all" ]; do sleep 0.05; done
    echo "| $((running + 1)) nodes, the last one ends by SIG$1 | the others have its leases after $(($(date +%s%3N) - began)) ms |"
    wait "${pids[-1]}" 2>/dev/null || true
    unset "pids[-1]"
}
echo "| benchmark | | | | | | | |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- |"
"$bench" --address 127.0.0.1:$((base + 1)) --pid "${pids[0]}" limits | grep bare || true
running=1
for n in ${NODES:-1 2 3}; do
    while [ "$running" -lt "$n" ]; do
        running=$((running + 1))
        start "$running" --set "database=$uri"
        others+=(--other "127.0.0.1:$((base + running)),${pids[-1]}")
    done
    "$bench" --address 127.0.0.1:$((base + 1)) --pid "${pids[0]}" "${others[@]}" \
        --postmaster "$(head -1 "$dir"/1/postgres/data/postmaster.pid)" --seconds "${SECONDS_EACH:-5}" nodes ||
        { tail -5 "$dir"/log*; exit 1; }
done
[ "$running" -lt 2 ] || take_over KILL
[ "$running" -lt 2 ] || take_over TERM
