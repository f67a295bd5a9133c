#!/bin/bash
# Runs the pytest suite tests/$1 and ends with one line `NAME: N passed, N failed`. NAME: SUITE, or
# $1. Further arguments go to pytest. WORKERS: how many processes share the files of the suite (1).
# Where few tests fail their files run once more, one after the other: on a loaded machine another
# suite's work can make a server late. Tests that pass only then are named: they need to be fixed.
set -u
cd "$(dirname "$0")/.."
name=$1
shift
TEST_SCRATCH=$(tests/scratch.sh)
export TEST_SCRATCH
AGAIN_MAX=${AGAIN_MAX:-3} # tests
parallel=()
[ "${WORKERS:-1}" -gt 1 ] && tests/python.sh -c 'import xdist' 2>/dev/null &&
    parallel=(-n "$WORKERS" --dist loadfile)
log=$(mktemp)
folders=$(mktemp -d "$TEST_SCRATCH/concorde-pytest-XXXXXX") # of tmp_path: copies of databases are made there
trap 'rm -rf "$log" "$folders"' EXIT

run() {
    PYTHONPATH=tests/api${PYTHONPATH:+:$PYTHONPATH} PYTHONDONTWRITEBYTECODE=1 \
        tests/python.sh -m pytest -q -p no:cacheprovider --basetemp "$folders/of" "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    passed=$(count passed) failed=$(($(count failed) + $(count 'errors?')))
    [ "$status" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
}
count() { grep -oE "[0-9]+ $1" <<<"$(tail -1 "$log")" | grep -oE '^[0-9]+' || echo 0; }

run "${parallel[@]}" "tests/$name" "$@"
again=$(sed -nE 's/^(FAILED|ERROR) ([^: ]+\.py)::.*/\2/p' "$log" | sort -u)
if [ "$failed" -gt 0 ] && [ "$failed" -le $AGAIN_MAX ] && [ -n "$again" ]; then
    total=$((passed + failed))
    echo "#### $failed failed; once more, alone:" $again
    run $again "$@"
    passed=$((total - failed))
    [ "$failed" -gt 0 ] || echo "#### unsteady: failed beside others and passed alone:" $again
fi
echo "${SUITE:-$name}: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
