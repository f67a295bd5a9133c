"""Runs benchmarks of bench/ against Synapse (in the virtual environment SYNAPSE_HOME), whose PostgreSQL is set up
like Concorde's. Usage: beside.py BENCH_BINARY SCALE BENCHMARK... Rows are marked `Synapse`."""

import contextlib
import os
import subprocess
import sys

from federation import Ministry, Network
from synapse import Synapse, make_database


def main(binary, scale, *names):
    network = Network()
    with contextlib.ExitStack() as ends:
        concorde = Ministry(network, {"log_level": "info"})
        ends.callback(concorde.close)
        concorde.start()
        postmaster = (concorde.data / "postgres/data/postmaster.pid").read_text().split()[0]
        uri = (concorde.data / "concorde.lock").read_text().split(" ", 1)[1].strip()
        synapse = Synapse(network, make_database(uri, "synapse"))
        ends.callback(synapse.close)
        synapse.start()
        for name in names:
            rows = subprocess.run(
                [binary, "--address", f"127.0.0.1:{synapse.port}", "--pid", str(synapse.process.pid), "--postmaster",
                 postmaster, "--seconds", os.environ.get("SECONDS_EACH", "10"), "--scale", scale, name],
                stdout=subprocess.PIPE, text=True, check=True).stdout
            print(rows.replace("| ", "| Synapse: ", 1).replace("\n| ", "\n| Synapse: "), end="", flush=True)


main(*sys.argv[1:])
