#!/bin/bash
# Replays the corpus of each of the given fuzz programs (build/fuzz/fuzz_<name>). Ends with one line
# `fuzz: N passed, N failed`, which counts files.
set -u
corpus=$(dirname "$0")/corpus
passed=0 failed=0
for program in "$@"; do
    name=$(basename "$program")
    files=("$corpus/$name"/*)
    if [ ! -e "${files[0]}" ]; then
        echo "FAILED: $name has no corpus"
        failed=$((failed + 1))
    elif "$program" "${files[@]}" >/dev/null 2>&1; then
        passed=$((passed + ${#files[@]}))
    else
        for file in "${files[@]}"; do
            if out=$("$program" "$file" 2>&1); then
                passed=$((passed + 1))
            else
                printf '%s\n' "$out" "FAILED: $program $file"
                failed=$((failed + 1))
            fi
        done
    fi
done
echo "fuzz: $passed passed, $failed failed"
[ $failed -eq 0 ]
