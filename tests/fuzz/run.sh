#!/bin/bash
# Runs each of the given libFuzzer programs for FUZZ_SECONDS, starting from its corpus. Its
# findings are kept beside the program: corpus-fuzz_<name>/ and crash-fuzz_<name>-*.
set -u
seeds=$(dirname "$0")/corpus
failed=0
for program in "$@"; do
    name=$(basename "$program")
    found=$(dirname "$program")/corpus-$name
    mkdir -p "$found"
    echo "$name: ${FUZZ_SECONDS:-60} s"
    "$program" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -print_final_stats=1 -verbosity=0 \
        -artifact_prefix="$(dirname "$program")/crash-$name-" \
        "$found" "$seeds/$name" || failed=$((failed + 1))
done
echo "fuzz: $(($# - failed)) targets without a finding, $failed with one"
[ $failed -eq 0 ]
