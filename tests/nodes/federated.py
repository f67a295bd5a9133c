"""A cluster that other servers (tests/api/remote.py) know, and what tests do at each of its nodes."""

import concurrent.futures
import threading

from balancer import Balancer
from client import Client
from cluster import Cluster
from e2ee import canonical
from federation import authority, federation_settings
from link import Link
from remote import FED


class FederatedCluster(Cluster):
    """A cluster whose name other servers can reach: that of a Link in front of the balancer."""

    def __init__(self, n=2, settings=None):
        self.link, self.certificate, self.narrow = Link(), authority().local, None
        super().__init__({**federation_settings(), "server_name": self.link.name, **(settings or {})}, n=n)

    def start(self):
        super().start()
        tls = next(a for a in self.addresses if a.startswith("https://"))
        self.link.target = "127.0.0.1", int(tls.rsplit(":", 1)[1])
        return self

    def aim(self, number):
        """From now on what other servers send goes to this node."""
        self.narrow = Balancer([self.nodes[number].port], self.certificate)
        self.link.target = "127.0.0.1", int(self.narrow.addresses[1].rsplit(":", 1)[1])

    def sql(self, text):
        return self.postgres.sql(text, self.database)

    def holders(self, job):
        """How many leases of the job each node holds, by its number."""
        rows = self.sql(f"SELECT node, count(*) FROM leases WHERE job LIKE '{job}/%' AND node <> 0 "
                        "AND expires_at > now() GROUP BY 1 ORDER BY 1")
        return [int(line.split("|")[1]) for line in rows.splitlines()]

    def sender_to(self, name):
        """The number of the node that sends to this server."""
        return self.sql("SELECT node FROM leases WHERE job = 'fed_sender/' || get_byte(sha256("
                        f"convert_to('{name}', 'UTF8')), 0) % 32")

    def close(self):
        super().close()
        self.link.close()
        if self.narrow:
            self.narrow.close()

    def transaction_at(self, number, remote, events, txn=None, edus=()):
        """The remote sends a transaction to this node; its answer."""
        body = {"origin": remote.name, "origin_server_ts": 1, "pdus": events, "edus": list(edus)}
        return self.put_at(number, remote, f"{FED}/v1/send/{txn or next(remote.transactions)}", body)

    def put_at(self, number, remote, uri, body):
        """The remote sends a request to this node; its answer."""
        r = remote.client.put(self.nodes[number].url + uri, content=canonical(body), headers={
            "Content-Type": "application/json",
            "Authorization": remote.authorization("PUT", uri, self.link.name, body)})
        assert r.status_code == 200, r.text
        return r.json()


def everywhere(cluster, client):
    """The same session at each node."""
    return [Client(n, client.user_id, client.token, client.device_id, client.password)
            for n in cluster.nodes]


def at_once(*functions):
    """Runs them together; their results."""
    barrier = threading.Barrier(len(functions))

    def run(function):
        barrier.wait()
        return function()

    with concurrent.futures.ThreadPoolExecutor(len(functions)) as pool:
        return [f.result() for f in [pool.submit(run, function) for function in functions]]
