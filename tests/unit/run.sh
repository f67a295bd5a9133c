#!/bin/bash
# Runs the given unit-test programs, two at a time for each processor, since most of them wait; shows
# a program's output only when it fails. Ends with one line `unit: N passed, N failed` (test cases, as
# cmocka counts them). Where few programs fail they run once more, alone, as in tests/pytest.sh.
set -u
AGAIN_MAX=3 # programs
passed=0 failed=0
logs=$(mktemp -d) && trap 'rm -rf "$logs"' EXIT
TEST_SCRATCH=$("$(dirname "$0")/../scratch.sh")
export logs TEST_SCRATCH

run() { # run HOW_MANY_AT_ONCE PROGRAM...
    printf '%s\n' "${@:2}" | xargs -P "$1" -I{} \
        sh -c '"$1" >"$logs/${1##*/}" 2>&1; echo $? >"$logs/${1##*/}.status"' - {}
}
status_of() { cat "$logs/${1##*/}.status"; }

run $(($(nproc) * 2)) "$@"
again=()
for program in "$@"; do
    [ "$(status_of "$program")" -eq 0 ] || again+=("$program")
done
if [ ${#again[@]} -gt 0 ] && [ ${#again[@]} -le $AGAIN_MAX ]; then
    for program in "${again[@]}"; do
        cat "$logs/${program##*/}"
        echo "#### $program failed; once more, alone"
        run 1 "$program"
        [ "$(status_of "$program")" -ne 0 ] ||
            echo "#### unsteady: failed beside others and passed alone: $program"
    done
fi
for program in "$@"; do
    log=$logs/${program##*/} status=$(status_of "$program")
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
