#!/bin/bash
# Runs every existing test suite. Each ends with a line `NAME: N passed, N failed`; the last
# line here is their sum, `N passed, N failed`. Fails when anything failed.
#   test.sh             all suites but clients/rust, nodes, nodes-api, nodes-clients and fault, which take
#                       long
#   test.sh unit api    only these
set -u
cd "$(dirname "$0")/.."
BUILD=${BUILD:-build}
passed=0 failed=0 took=""
log=$(mktemp) && trap 'rm -f "$log"' EXIT

# A suite that only passes or fails counts as one test.
one() {
    if "${@:2}"; then echo "$1: 1 passed, 0 failed"; else echo "$1: 0 passed, 1 failed"; fi
}
target() { make --no-print-directory BUILD="$BUILD" "$1"; }

run_suite() {
    case $1 in
    format) command -v clang-format >/dev/null && one format target format-check ;;
    layers | words) one "$1" target "$1" ;;
    clients/rust) target rust-clients ;;
    nodes-*) [ -d "tests/${1#nodes-}" ] && target "$1" ;;
    *) [ -d "tests/${1%-replay}" ] && target "$1" ;;
    esac
}

for suite in ${@:-format layers words unit fuzz-replay api olm clients interop}; do
    SECONDS=0
    run_suite "$suite" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]} took="$took $suite $SECONDS"
    line=$(grep -E "^${suite%-replay}: [0-9]+ passed, [0-9]+ failed" "$log" | tail -1)
    if [ -n "$line" ]; then
        p=$(sed -E 's/^[^:]*: ([0-9]+) passed.*/\1/' <<<"$line")
        f=$(sed -E 's/.*passed, ([0-9]+) failed.*/\1/' <<<"$line")
        [ "$status" -eq 0 ] || [ "$f" -gt 0 ] || f=1
        passed=$((passed + p)) failed=$((failed + f))
    elif [ -s "$log" ]; then # it began, and never came to its end
        echo "$suite: 0 passed, 1 failed"
        failed=$((failed + 1))
    fi
done
echo "seconds:$took"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
