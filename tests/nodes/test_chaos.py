"""Writers and readers on random nodes, while nodes are killed, paused and cut off from the database, and it is
restarted or fails over to its standby: afterwards their history must be one that a single server could have made (history.py).

NODES (3), CHAOS_SECONDS (120), CHAOS_SEED (random), CHAOS_CLIENTS (32 writers and as many readers), CHAOS_FAULTS (all)."""

import asyncio
import collections
import contextlib
import os
import pathlib
import random
import tempfile
import time

import pytest

from cluster import NODES, Cluster
from faults import Faults
from history import check, late_syncs
from pair import Followed
from workload import Load

SECONDS = float(os.environ.get("CHAOS_SECONDS") or 120)
SEED = int(os.environ.get("CHAOS_SEED") or random.randrange(1 << 32))
CLIENTS = int(os.environ.get("CHAOS_CLIENTS") or 32)
FAULTS = (os.environ.get("CHAOS_FAULTS") or "kill stop pause cut mute postgres failover").split()
SHOWN = 30  # violations


def saved(history, faults):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="concorde-history-"))
    history.save(folder / "history.jsonl")
    (folder / "faults").write_text(faults.story() + "\n")
    return folder


def summary(history):
    counts = collections.Counter(o.kind for o in history.operations if o.done is not None)
    late, syncs = late_syncs(history)
    return (f"{', '.join(f'{n} {kind}' for kind, n in counts.items())}; {sum(o.lost for o in history.operations)} "
            f"attempts without an answer; {late} of {syncs} /sync replies lacked the newest")


def run(cluster, faults, load):
    try:
        asyncio.run(load.run(faults))
    except BaseException:
        print(f"the history until then: {saved(load.history, faults)}")
        raise
    print(summary(load.history))
    violations = check(load.history)
    if violations:
        print(f"history: {saved(load.history, faults)}")
    counts = collections.Counter(v.rule for v in violations)
    assert not violations, f"{dict(counts)}\n" + "\n".join(f"{v.rule}: {v.text}" for v in violations[:SHOWN])


@pytest.fixture
def cluster():
    """On a PostgreSQL with a synchronous standby."""
    with contextlib.ExitStack() as stack:
        pair = Followed(is_synchronous=True)
        stack.callback(pair.close)
        made = Cluster({"log_level": "info"}, postgres=pair)
        stack.callback(made.close)
        yield made.start()


def test_chaos(cluster):
    print(f"CHAOS_SEED={SEED} CHAOS_SECONDS={SECONDS:g} NODES={NODES} CHAOS_FAULTS='{' '.join(FAULTS)}'")
    began = time.monotonic()
    faults, load = Faults(cluster, SECONDS, SEED, FAULTS), Load(cluster, CLIENTS, CLIENTS)
    print(f"{time.monotonic() - began:.1f} s for the accounts")
    run(cluster, faults, load)
    print(f"{len(faults.log)} notes of faults")
