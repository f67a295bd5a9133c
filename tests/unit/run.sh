#!/bin/bash
# Runs the given unit-test programs; shows a program's output only when it fails. Ends with one
# line `unit: N passed, N failed` (test cases, as cmocka counts them).
set -u
passed=0 failed=0
for program in "$@"; do
    out=$("$program" 2>&1) && status=0 || status=$?
    ok=$(grep -c '^\[       OK \]' <<<"$out")
    bad=$(grep -c '^\[  FAILED  \] [^0-9]' <<<"$out")
    if [ $status -ne 0 ]; then
        [ "$bad" -gt 0 ] || bad=1
        printf '%s\n' "$out" "FAILED: $program (exit $status)"
    fi
    passed=$((passed + ok)) failed=$((failed + bad))
done
echo "unit: $passed passed, $failed failed"
[ $failed -eq 0 ]
