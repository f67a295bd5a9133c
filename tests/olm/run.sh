#!/bin/bash
# Starts a server, runs the libolm devices against it, and ends with one line
# `olm: N passed, N failed` (test cases, as cmocka counts them).
#   run.sh build/concorde build/olm/test_olm_devices
set -u
server=$1 program=$2
data=$(mktemp -d) && chmod 711 "$data"
out=$data/stdout log=$data/stderr
"$server" serve --data "$data/data" --set listen=127.0.0.1:0 --set server_name=test.example \
    --set rate_limits=off --set enable_registration=true \
    --set enable_registration_without_verification=true --set password_hash_cost=1 \
    >"$out" 2>"$log" </dev/null &
pid=$!
trap 'kill "$pid" 2>/dev/null; wait "$pid"; rm -rf "$data"' EXIT
for _ in $(seq 600); do
    grep -q "make an account" "$out" && break
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
done
url=$(sed -nE 's/.*listening on +([^ ]+).*/\1/p' "$out" | head -1)
if [ -z "$url" ]; then
    cat "$log"
    echo "olm: 0 passed, 1 failed"
    exit 1
fi
result=$("$program" "$url" 2>&1) && status=0 || status=$?
passed=$(grep -c '^\[       OK \]' <<<"$result")
failed=$(grep '^\[  FAILED  \] [^0-9]' <<<"$result" | sort -u | grep -c .) # cmocka repeats them
if [ $status -ne 0 ]; then
    [ "$failed" -gt 0 ] || failed=1
    printf '%s\n' "$result"
    tail -40 "$log"
fi
echo "olm: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
