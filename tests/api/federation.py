"""Several servers that federate with each other on this machine.

    def test_something(two):                 # shared by the session, reconnected after each test
        a, b = two
        alice, bob = a.user("alice"), b.user("bob")
        room = alice.create_room(preset="public_chat")
        bob.join(room, via=[a.name])
        eventually(lambda: same_state(room, alice, bob))

    def test_something_else(ministries):     # fresh ones, with settings of their own
        a = ministries(federation_domain_whitelist="localhost:1")

A Ministry is called localhost:PORT. That port is its Link: a TCP proxy which the test can cut, delay
or slow down, in front of the TLS listener of the server. The network knows which process connects,
so that it can be parted: network.part([a], [b, c]), network.heal(). Certificates come from a test CA
that every Ministry trusts. fake_dns.py answers SRV and addresses; remote.py plays a server that
signs real events and misbehaves on purpose."""

import contextlib
import datetime
import functools
import ipaddress
import itertools
import os
import pathlib
import re
import ssl
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from client import Client, q
from link import Link
from server import run_cli
from serving import Server
from waiting import eventually

numbers = itertools.count(1)


# ---- certificates ----


class Authority:
    """A certification authority, and the files of its certificates."""

    def __init__(self):
        self.files = tempfile.TemporaryDirectory(prefix="concorde-ca-")
        self.folder = pathlib.Path(self.files.name)
        self.folder.chmod(0o755)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Concorde test CA")])
        self.certificate = self._build(self.name, self.key.public_key(), ca=True)
        self.file = self.folder / "ca.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _build(self, subject, public, ca=False, names=(), days=(-1, 30)):
        now = datetime.datetime.utcnow()
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject).issuer_name(self.name).public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([self._name(n) for n in names]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    @staticmethod
    def _name(text):
        with contextlib.suppress(ValueError):
            return x509.IPAddress(ipaddress.ip_address(text))
        return x509.DNSName(text)

    def issue(self, *names, days=(-1, 30)):
        """(certificate file, key file) for these names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = self._build(subject, key.public_key(), names=names, days=days)
        stem = self.folder / f"issued-{next(numbers)}"
        files = stem.with_suffix(".pem"), stem.with_suffix(".key")
        files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        files[1].write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption()))
        return files

    @functools.cached_property
    def local(self):
        """Issues a certificate for localhost, 127.0.0.1, ::1, and *.gov.test."""
        return self.issue("localhost", "127.0.0.1", "::1", "*.gov.test")

    def client_context(self):
        return ssl.create_default_context(cafile=str(self.file))

    def server_context(self, files=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*(files or self.local))
        return context


@functools.cache
def authority():
    """The authority that all servers of the run trust."""
    return Authority()


# ---- the network ----


class Network:
    """Which process may reach which server."""

    def __init__(self):
        self.links, self.parts = [], []
        self.servers = []  # those whose processes are looked up

    def add(self, link):
        self.links.append(link)

    def part(self, *groups):
        """Servers (or their names) of different groups no longer reach each other."""
        self.parts = [{getattr(one, "name", one) for one in group} for group in groups]
        for link in self.links:
            link.drop(lambda source: not self.reaches(source, link.name))

    def heal(self):
        self.parts = []
        for link in self.links:
            link.heal()

    def reaches(self, source, target):
        of = lambda name: next((i for i, p in enumerate(self.parts) if name in p), None)
        return of(source) is None or of(target) is None or of(source) == of(target)

    def owner(self, port, link_port):
        """The name of the server whose process has this end of a connection to a link."""
        ends = f"0100007F:{port:04X}", f"0100007F:{link_port:04X}"
        with open("/proc/net/tcp") as f:
            lines = [line.split() for line in f]
        inode = next((fields[9] for fields in lines if tuple(fields[1:3]) == ends), None)
        for server in list(self.servers):
            for node in getattr(server, "nodes", [server]):
                if has_socket(node.process, inode):
                    return server.name
        return None


def has_socket(process, inode):
    """process: None, if it has ended."""
    with contextlib.suppress(OSError):
        for fd in os.scandir(f"/proc/{process.pid}/fd") if process else ():
            with contextlib.suppress(OSError):
                if os.readlink(fd.path) == f"socket:[{inode}]":
                    return True
    return False


# ---- servers ----


@functools.cache
def known_settings():
    """The configuration keys of this binary."""
    found, section = set(), ""
    for line in run_cli("check-config", "--example").stdout.splitlines():
        key = re.match(r"#?(  )?([a-z_]+):", line)
        if key and key[1]:
            found.add(f"{section}.{key[2]}")
        elif key:
            section = key[2]
            found.add(section)
    return found


def federation_settings():
    settings = {
        "federation_domain_whitelist": "*",
        "federation_custom_ca_list": str(authority().file),
        "ip_range_allowlist": "127.0.0.0/8",
        "allow_public_rooms_over_federation": "true",
        "federation.destination_min_retry_interval": "200ms",
        "federation.destination_max_retry_interval": "1s",
    }
    if "federation_custom_ca_list" not in known_settings():
        settings["trusted_ca_file"] = settings["federation_custom_ca_list"]
    return {k: v for k, v in settings.items() if k in known_settings()}


class Ministry(Server):
    """A Concorde that federates. settings override those of server.py and federation_settings()."""

    def __init__(self, network, settings=None, data=None, certificate=None, name=None):
        self.network, self.link = network, Link(network)
        self.certificate = certificate or authority().local
        self.clients = []
        super().__init__({
            "server_name": name or self.link.name, "listen": None, **federation_settings(),
            **(settings or {}),
        }, data=data)
        self.link.name = self.name
        network.servers.append(self)
        self.config = tempfile.NamedTemporaryFile("w", prefix="concorde-listen-", suffix=".yaml")
        self.config.write(
            "listen:\n  - '127.0.0.1:0'\n  - {address: '127.0.0.1:0', "
            f"tls_certificate: {self.certificate[0]}, tls_key: {self.certificate[1]}}}\n")
        self.config.flush()
        self.more = ["--config", self.config.name]

    def start(self):
        super().start()
        tls = next(a for a in self.addresses if a.startswith("https://"))
        self.link.target = "127.0.0.1", int(tls.rsplit(":", 1)[1])
        for c in self.clients:  # a restart: the clients find the new port
            c.http.base_url = self.url
        return self

    @property
    def url(self):
        return next(a for a in self.addresses if a.startswith("http://"))

    def stop(self, timeout=60):
        self.link.target = None
        return super().stop(timeout)

    def kill(self):
        self.link.target = None
        super().kill()

    def user(self, name="user", **body):
        """A new user with a unique name."""
        c = Client(self).register(f"{name}-{next(numbers)}", **body)
        self.clients.append(c)
        return c

    def close(self):
        for c in self.clients:
            c.close()
        try:
            super().close()
        finally:
            self.network.servers.remove(self)
            self.link.close()
            self.config.close()


# ---- what tests look for ----


def state_ids(client, room):
    return {(e["type"], e["state_key"]): e["event_id"] for e in client.state(room)}


def same_state(room, *clients):
    """Do all clients see the same state? For eventually(); prints what differs."""
    first, *others = [state_ids(c, room) for c in clients]
    for client, other in zip(clients[1:], others):
        differs = {k: (first.get(k), other.get(k)) for k in first.keys() | other.keys()
                   if first.get(k) != other.get(k)}
        assert not differs, f"{clients[0].user_id} and {client.user_id}: {differs}"
    return True


def history(client, room, limit=100):
    """The ids of all events that the client can read, newest first."""
    found, token = [], {}
    while True:
        page = client.messages(room, limit=limit, **token)
        found += [e["event_id"] for e in page["chunk"]]
        if "end" not in page:
            return found
        token = {"from": page["end"]}


def same_history(room, *clients):
    """Do all clients see the same events, each once? Forks may be in another order."""
    first, *others = [history(c, room) for c in clients]
    assert len(set(first)) == len(first), "an event is listed twice"
    for client, other in zip(clients[1:], others):
        assert len(set(other)) == len(other), "an event is listed twice"
        assert set(first) == set(other), (
            f"only {clients[0].user_id}: {set(first) - set(other)}; "
            f"only {client.user_id}: {set(other) - set(first)}")
    return True


def has_event(client, room, event_id):
    """Can the client read the event? For eventually()."""
    return client.request("GET", f"/rooms/{q(room)}/event/{q(event_id)}").status_code == 200


def received(client, room, event_id, seconds=20):
    """Waits until the event is in the client's /sync or /messages."""
    return eventually(lambda: event_id in history(client, room), seconds)


def membership(client, room, user):
    """A user's membership as the client's server has it."""
    user = getattr(user, "user_id", user)
    return client.state(room, "m.room.member", user)["membership"]
