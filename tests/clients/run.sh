#!/bin/bash
# Tests the server with real clients; ends with one line `NAME: N passed, N failed`. NAME: SUITE, or
# clients. Further arguments go to pytest.
set -eu
cd "$(dirname "$0")"
CLIENTS_HOME=$(./install.sh) || {
    echo "${SUITE:-clients}: 0 passed, 1 failed"
    exit 1
}
CLIENTS_HOME=$CLIENTS_HOME exec ../pytest.sh clients -vv --ignore tests/clients/rust "$@"
