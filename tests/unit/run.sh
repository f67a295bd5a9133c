#!/bin/bash
# Runs the given unit-test programs, two at a time for each processor, since most of them wait; shows
# a program's output only when it fails. Ends with one line `unit: N passed, N failed` (test cases, as
# cmocka counts them).
set -u
passed=0 failed=0
logs=$(mktemp -d) && trap 'rm -rf "$logs"' EXIT
export logs
printf '%s\n' "$@" | xargs -P $(($(nproc) * 2)) -I{} \
    sh -c '"$1" >"$logs/${1##*/}" 2>&1; echo $? >"$logs/${1##*/}.status"' - {}
for program in "$@"; do
    log=$logs/${program##*/}
    status=$(cat "$log.status")
    ok=$(grep -c '^\[       OK \]' "$log")
    bad=$(grep -c '^\[  FAILED  \] [^0-9]' "$log")
    if [ "$status" -ne 0 ]; then
        [ "$bad" -gt 0 ] || bad=1
        cat "$log"
        echo "FAILED: $program (exit $status)"
    fi
    passed=$((passed + ok)) failed=$((failed + bad))
done
echo "unit: $passed passed, $failed failed"
[ $failed -eq 0 ]
