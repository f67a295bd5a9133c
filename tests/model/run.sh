#!/bin/bash
# Checks the models with spin, and that it finds each planted fault. Ends with one line `model: N passed, N
# failed`. spin comes from the Debian package of that name, if need be only unpacked.
set -u
cd "$(dirname "$0")" || exit 1
dir=$(mktemp -d "${TMPDIR:-/tmp}/concorde-model.XXXXXX")
trap 'rm -rf "$dir"' EXIT
spin=$(command -v spin) || {
    (cd "$dir" && apt-get -qq download spin >/dev/null 2>&1 && dpkg -x spin*.deb spin)
    spin=$dir/spin/usr/bin/spin
}
[ -x "$spin" ] || { echo "model: spin cannot be had here" >&2; exit 1; }
passed=0 failed=0

# MODEL WANTED [FAULT]: WANTED is 0, or 1 where an error must be found.
check() {
    local name=$1${3:+, $3} out found
    (cd "$dir" && rm -f pan* && "$spin" -a ${3:+-D"$3"} "$OLDPWD/$1.pml" >spin.log &&
        ${CC:-gcc} -w -O2 -DSAFETY -DCOLLAPSE -o pan pan.c 2>>spin.log) || { cat "$dir/spin.log"; failed=$((failed + 1)); return; }
    out=$(cd "$dir" && ./pan -m1000000 2>&1)
    found=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' <<<"$out")
    [ "$2" = 0 ] || grep -q "assertion violated" <<<"$out" || found="no broken assertion"
    if grep -q "max search depth too small" <<<"$out" || [ "${found:-none}" != "$2" ]; then
        echo "FAILED: $name: ${found:-no} errors, $2 expected"
        head -20 <<<"$out"
        failed=$((failed + 1))
    else
        echo "$name: $(sed -n 's/ *\([0-9.e+]*\) states, stored.*/\1 states/p' <<<"$out"), as expected ($2 errors)"
        passed=$((passed + 1))
    fi
}

check log 0
for fault in NO_MEMBERS NO_FLIGHT NO_AWAIT EARLY_LOOK; do check log 1 $fault; done
check lease 0
for fault in NO_FENCE NO_LOCK SAME_FENCE; do check lease 1 $fault; done
echo "model: $passed passed, $failed failed"
[ $failed -eq 0 ]
