#!/bin/bash
# Runs the pytest suite tests/$1 and ends with one line `NAME: N passed, N failed`. Further
# arguments go to pytest. WORKERS: how many processes share the files of the suite (1).
set -u
cd "$(dirname "$0")/.."
name=$1
shift
[ "${WORKERS:-1}" -gt 1 ] && tests/python.sh -c 'import xdist' 2>/dev/null &&
    set -- -n "$WORKERS" --dist loadfile "$@"
log=$(mktemp) && trap 'rm -f "$log"' EXIT
PYTHONPATH=tests/api${PYTHONPATH:+:$PYTHONPATH} PYTHONDONTWRITEBYTECODE=1 \
    tests/python.sh -m pytest -q -p no:cacheprovider "tests/$name" "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}
count() { grep -oE "[0-9]+ $1" <<<"$(tail -1 "$log")" | grep -oE '^[0-9]+' || echo 0; }
failed=$(($(count failed) + $(count 'errors?')))
[ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
echo "$name: $(count passed) passed, $failed failed"
[ "$failed" -eq 0 ]
