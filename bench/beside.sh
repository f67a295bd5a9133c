#!/bin/bash
# Runs benchmarks against Synapse (bench/beside.py). Usage: bench/beside.sh BINARY BENCH_BINARY SCALE BENCHMARK...
set -eu
CONCORDE_BIN=$(realpath "$1")
export CONCORDE_BIN
set -- "$(realpath "$2")" "${@:3}"
cd "$(dirname "$0")/.."
SYNAPSE_HOME=$(tests/interop/install.sh 2>/dev/null) || {
    echo "bench: Synapse cannot be installed here: only Concorde is measured" >&2
    exit 0
}
export SYNAPSE_HOME
PYTHONPATH=tests/api:tests/interop PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 bench/beside.py "$@"
