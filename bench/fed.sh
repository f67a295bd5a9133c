#!/bin/bash
# Runs the benchmarks of federation (bench/fed_bench.py). Usage: bench/fed.sh BINARY BENCHMARK...
set -eu
cd "$(dirname "$0")/.."
CONCORDE_BIN=$(realpath "$1")
shift
SYNAPSE_HOME=$(tests/interop/install.sh 2>/dev/null) || {
    SYNAPSE_HOME=
    echo "bench: Synapse cannot be installed here: only Concorde is measured" >&2
}
export CONCORDE_BIN SYNAPSE_HOME
PYTHONPATH=tests/api:tests/interop PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 bench/fed_bench.py "$@"
