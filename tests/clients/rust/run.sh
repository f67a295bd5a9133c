#!/bin/bash
# Tests the server with the core of Element X; ends with one line `clients/rust: N passed, N failed`. Where Rust is
# missing or too old, or crates.io cannot be reached, it reports that and counts nothing. Further arguments go to
# pytest.
set -eu
cd "$(dirname "$0")"
status=0
RUST_DEVICE=$(./install.sh) || status=$?
if [ $status -eq 3 ]; then
    echo "#### clients/rust was NOT RUN: see above. ####"
    echo "clients/rust: 0 passed, 0 failed"
    exit 0
fi
CLIENTS_HOME=$(../install.sh) || status=$?
if [ $status -ne 0 ]; then
    echo "clients/rust: 0 passed, 1 failed"
    exit 1
fi
export RUST_DEVICE CLIENTS_HOME
exec ../../pytest.sh clients/rust -vv "$@"
