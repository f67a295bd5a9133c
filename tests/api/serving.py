"""The server that the tests run against: one process, or, with NODES=n, n of them on one database
behind a balancer (tests/nodes/cluster.py)."""

import os
import pathlib
import sys

if os.environ.get("NODES"):
    sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "nodes"))
    from cluster import Cluster

    class Server(Cluster):
        has_links = False
else:
    from server import Server

__all__ = ["Server"]
