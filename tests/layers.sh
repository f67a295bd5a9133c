#!/bin/bash
# The floors of the house: an include may only go down (docs/architecture.md). http/ stands on
# base/ alone, and only http/ may use libmicrohttpd and libcurl, only storage/ libpq.
set -u
cd "$(dirname "$0")/.."
declare -A below=(
    [base]="base"
    [matrix]="base matrix"
    [http]="base http"
    [storage]="base matrix storage"
    [rooms]="base matrix storage rooms"
    [users]="base matrix storage rooms users"
    [federation]="base matrix http storage rooms users federation"
    [server]="base matrix http storage rooms users federation server"
)
bad=0
complain() { echo "layers: $1"; bad=1; }
for floor in "${!below[@]}"; do
    while IFS=: read -r file line include; do
        to=$(sed -E 's/.*"([a-z_0-9]+)\/.*/\1/' <<<"$include")
        [[ " ${below[$floor]} " == *" $to "* ]] ||
            complain "$file:$line: $floor/ must not include $to/ ($include)"
    done < <(grep -rnE '^#include "[a-z_0-9]+/' "$floor" --include='*.[ch]')
done
while read -r file; do complain "$file: libmicrohttpd and libcurl belong to http/"; done < <(
    grep -rlE '#include <(microhttpd|curl/)' base matrix storage rooms federation server --include='*.[ch]')
while read -r file; do complain "$file: libpq belongs to storage/"; done < <(
    grep -rlE '#include <libpq' base matrix http rooms federation server --include='*.[ch]')
while read -r n file; do
    [ "$file" = total ] || [ "$n" -le 800 ] || complain "$file: $n lines; 800 is the most"
done < <(find base matrix http storage rooms federation server tests bench -name '*.[ch]' -exec wc -l {} + 2>/dev/null)
[ $bad -eq 0 ] && echo "layers: the floors hold"
exit $bad
