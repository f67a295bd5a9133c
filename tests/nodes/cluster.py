"""Several nodes (`concorde serve`) of one server: on one PostgreSQL, with one signing key and one media store,
behind a balancer. A Cluster has the interface of Server (tests/api/server.py); `nodes` are its processes, which
can be killed, paused and cut off one by one."""

import atexit
import concurrent.futures
import contextlib
import functools
import itertools
import os
import pathlib
import signal

from balancer import Balancer
from link import Link
from postgres import Postgres, port_to_keep
from server import BINARY, Server
from waiting import eventually

NODES = int(os.environ.get("NODES") or 3)
TEMPLATE = "a_first_start"
numbers = itertools.count(1)


@functools.cache
def shared_postgres():
    """One PostgreSQL for all clusters of this process."""
    postgres = Postgres()
    atexit.register(postgres.close)
    return postgres


def make_template(postgres):
    """A database as the first start leaves it, but without the server's name (tests/api/template.py)."""
    if postgres.sql(f"SELECT count(*) FROM pg_database WHERE datname = '{TEMPLATE}'") == "0":
        postgres.make_database(TEMPLATE)
        first = Server({"database": postgres.uri(TEMPLATE, "concorde")})
        try:
            first.start()
        finally:
            first.close()
        postgres.sql("DELETE FROM deployment", TEMPLATE)


class Node(Server):
    """One process of a cluster. Its connections to PostgreSQL go through a Link, if the cluster has them."""

    def __init__(self, cluster, data):
        self.link = None
        if cluster.has_links:
            self.link = Link()
            self.link.target = "127.0.0.1", cluster.postgres.port
        self.port = port_to_keep()
        self.cluster, self.is_paused = cluster, False
        self.own = {}  # settings that others have otherwise
        data.mkdir(exist_ok=True)
        super().__init__(data=data)
        self.clock.close()
        self.environment, self.clock = cluster.environment, cluster.clock
        self._adopt()

    def _adopt(self):
        """A test may have changed the cluster's settings."""
        cluster = self.cluster
        self.more, self.settings = cluster.more, {
            "trusted_proxies": "127.0.0.1",
            "signing_key_path": str(cluster.data / "signing.key"),
            "media_store_path": str(cluster.data / "media"),
            **({"shutdown_delay": "0s"} if self.binary == BINARY else {}),
            **cluster.settings,
            "database": cluster.postgres.uri(cluster.database, "concorde", self.link and self.link.port),
            "listen": f"127.0.0.1:{self.port}",
            **self.own,
        }

    def start(self):
        self._adopt()
        return super().start()

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)
        self.is_paused = True
        eventually(lambda: set(self._thread_states()) == {"T"})

    def _thread_states(self):
        for file in pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/stat"):
            yield file.read_text().rpartition(")")[2].split()[0]

    def resume(self):
        self.process.send_signal(signal.SIGCONT)
        self.is_paused = False

    def cut(self):
        """Connections to PostgreSQL end, and new ones are refused."""
        self.link.cut()

    def mute(self):
        """Connections to PostgreSQL stay, and nothing arrives, in either direction."""
        self.link.mute()

    def mend(self):
        """Ends what pause(), cut() or mute() began. Connections that were mute end."""
        if self.link:
            if self.link.is_mute:
                self.link.cut()
            self.link.heal()
        if self.is_paused:
            self.resume()

    def close(self):
        self.mend()
        try:
            super().close()
        finally:
            if self.link:
                self.link.close()


class Cluster(Server):
    """settings: of all nodes, as Server takes them. n: how many nodes. binaries: what each node runs, if not this
    program; then the first one makes its database itself."""

    has_links = True  # nodes can be cut off; each connection costs this process work and memory

    def __init__(self, settings=None, data=None, is_first=False, n=NODES, postgres=None, binaries=()):
        super().__init__(settings, data=data)
        self.postgres = postgres or shared_postgres()
        self.database = f"concorde_{next(numbers)}"
        self.n, self.made, self.balancer = len(binaries) or n, [], None
        self.binaries = binaries

    @property
    def nodes(self):
        return self.made

    @property
    def database_uri(self):
        return self.postgres.uri(self.database, "concorde")

    def options(self):
        """Of commands: those of the first node."""
        return self.nodes[0].options()

    def _make(self):
        if not self.binaries:
            make_template(self.postgres)
        self.postgres.make_database(self.database, "template0" if self.binaries else TEMPLATE)
        self.made = [Node(self, self.data / f"node{i}") for i in range(self.n)]
        for node, binary in zip(self.made, self.binaries):
            node.binary = binary
        self.balancer = self._make_balancer()

    def _make_balancer(self):
        is_behind = self.settings.get("trusted_proxies")  # the test plays a proxy, too
        return Balancer(
            [node.port for node in self.nodes], getattr(self, "certificate", None),
            "$proxy_add_x_forwarded_for" if is_behind else "$remote_addr")

    def start(self):
        if not self.nodes:
            self._make()
        first, *others = self.nodes  # the first one makes the key
        first.start()
        with concurrent.futures.ThreadPoolExecutor(max(1, len(others))) as pool:
            list(pool.map(Node.start, others))
        self.addresses = self.balancer.addresses
        self.welcome = first.welcome
        return self

    def stop(self, timeout=60):
        """The first exit status that is not 0; None: no node was running."""
        statuses = [node.stop(timeout) for node in self.nodes]
        return next((s for s in statuses if s), None if None in statuses or not statuses else 0)

    def kill(self):
        for node in self.nodes:
            node.kill()

    def log_text(self):
        return "".join(node.log_text() for node in self.nodes)

    def log_tail(self, lines=60):
        return "\n".join(f"node {i}:\n{node.log_tail(lines)}" for i, node in enumerate(self.nodes))

    def reports(self):
        return next((r for r in map(Node.reports, self.nodes) if r), "")

    def restart_postgres(self, how=signal.SIGQUIT):
        self.postgres.restart(how)

    def close(self):
        with contextlib.ExitStack() as stack:  # all of it, also if a node ended badly
            stack.callback(super().close)
            stack.callback(self.made.clear)
            if self.balancer:
                stack.callback(self.postgres.sql, f"DROP DATABASE {self.database} WITH (FORCE)")
                stack.callback(self.balancer.close)
            for node in self.nodes:
                stack.callback(node.close)
