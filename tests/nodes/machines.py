"""Three PostgreSQL with Patroni and etcd, as deploy/ has them: the same files, with addresses and paths of a test. Each
"machine" is one of both, on ports of its own."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess

import httpx

import plain
from postgres import Postgres, is_reached, port_to_keep, programs, uri_of_all
from proxies import example
from test_proxy import program
from waiting import eventually

MACHINES = "db1", "db2", "db3"
PATIENCE = 180  # seconds, on a loaded machine
PASSWORD = "secret"


def is_alive(pid):
    return pathlib.Path(f"/proc/{pid}").exists()


class Machine:
    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.home = cluster.home / name
        self.etcd = self.patroni = self.log = None

    def own(self, name, *changes):
        """deploy/name with these changes. Lines that name only db1 are about this machine; all addresses are ports of the loopback address."""
        text = example(name, *((re.escape(what), by) for what, by in changes))
        lines = [line if "db2" in line else line.replace("db1", self.name) for line in text.splitlines()]
        return re.sub(r"\b(0\.0\.0\.0|db\d):(\d+)", lambda m: self.cluster.address(
            self.name if m[1] == "0.0.0.0" else m[1], m[2]), "\n".join(lines) + "\n")

    def prepare(self):
        self.home.mkdir()
        self.log = (self.home / "log").open("a")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                        "-keyout", self.home / "key", "-out", self.home / "cert"], check=True, capture_output=True)
        (self.home / "patroni.yml").write_text(self.own(
            "patroni.yml", ("/var/lib/postgresql/15/concorde", f"{self.home}/data"),
            ("/usr/lib/postgresql/15/bin", str(programs())), ("CHANGE-ME", PASSWORD),
            ("/etc/ssl/certs/ssl-cert-snakeoil.pem", f"{self.home}/cert"),
            ("/etc/ssl/private/ssl-cert-snakeoil.key", f"{self.home}/key"), ("10.0.0.0/24", "127.0.0.1/32"),
            ("\n  parameters:\n", f"\n  parameters:\n    unix_socket_directories: '{self.home}'\n")))
        if self.cluster.user:
            for path in [self.home, *self.home.iterdir()]:
                os.chown(path, self.cluster.user["user"], self.cluster.user["group"])

    def run(self, command, environment):
        return subprocess.Popen(
            command, cwd="/", stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), **environment}, **self.cluster.user)

    def start_etcd(self):
        text = self.own("etcd.env", ("/var/lib/etcd/concorde", f"{self.home}/etcd"))
        settings = dict(line.split("=", 1) for line in text.splitlines() if not line.startswith("#"))
        self.etcd = self.run([program("etcd")], settings)

    def start_patroni(self):
        tool = pathlib.Path(program("patroni"))
        self.patroni = self.run(
            ["/usr/bin/python3", tool, self.home / "patroni.yml"],
            {"PYTHONPATH": str(tool.parents[1] / "lib" / "python3" / "dist-packages"), "PYTHONDONTWRITEBYTECODE": "1"})

    def says(self, path):
        """Does Patroni answer this question with yes?"""
        with contextlib.suppress(httpx.HTTPError):
            return plain.get(f"http://{self.cluster.address(self.name, 8009)}{path}", timeout=5).status_code == 200

    def postgres_pids(self):
        with contextlib.suppress(OSError, IndexError, ValueError):
            first = int((self.home / "data" / "postmaster.pid").read_text().split()[0])
            children = pathlib.Path(f"/proc/{first}/task/{first}/children").read_text()
            return [first, *map(int, children.split())]
        return []

    def kill(self):
        """kill -9 of Patroni, so that it does nothing about what follows, and of PostgreSQL."""
        self.patroni.kill()
        self.patroni.wait()
        for pid in self.postgres_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def close(self):
        if self.patroni:
            self.kill()
        if self.etcd:
            self.etcd.kill()
            self.etcd.wait()
        if self.log:
            self.log.close()


class Patroni(Postgres):
    def __init__(self, by_haproxy=False):
        """by_haproxy: clients reach the primary through HAProxy; otherwise they know all machines."""
        self._make_home()
        self.addresses, self.haproxy = {}, None
        self.machines = [Machine(self, name) for name in MACHINES]
        try:
            self.start()
            if by_haproxy:
                self.start_haproxy()
            self.sql(f"CREATE ROLE concorde LOGIN PASSWORD '{PASSWORD}'")
        except BaseException:
            print(self.log_tail())
            self.close()
            raise

    def address(self, machine, port):
        key = machine, int(port)
        self.addresses[key] = self.addresses.get(key) or port_to_keep()
        return f"127.0.0.1:{self.addresses[key]}"

    @property
    def port(self):
        """For a Link, which nodes do not use here."""
        return self.ports()[0]

    def ports(self):
        names = ["haproxy"] if self.haproxy else MACHINES
        return [int(self.address(name, 5432).split(":")[1]) for name in names]

    def uri(self, database="postgres", user="postgres", port=None):
        return uri_of_all(self.ports(), database, user, f"password={PASSWORD}")

    def start(self):
        for machine in self.machines:
            machine.prepare()
            machine.start_etcd()
        for machine in self.machines:
            machine.start_patroni()
        eventually(self.has_standby, PATIENCE, self.log_tail)

    def start_haproxy(self):
        text = self.machines[0].own("haproxy-postgresql.cfg", (
            "127.0.0.1:5000", self.address("haproxy", 5432)))
        for name in MACHINES:
            text = re.sub(rf"(server {name} .*)", rf"\1 port {self.address(name, 8009).split(':')[1]}", text)
        (self.home / "haproxy.cfg").write_text(text)
        self.haproxy = self.machines[0].run([program("haproxy"), "-db", "-f", self.home / "haproxy.cfg"], {})
        # Before its first checks HAProxy takes all machines for well, one after the other.
        eventually(lambda: all(is_reached(self.uri()) for _ in range(2 * len(MACHINES))), 60, self.log_tail)

    def primary(self):
        return next((m for m in self.machines if m.patroni.poll() is None and m.says("/primary")), None)

    def has_standby(self):
        """One that commits wait for."""
        if any(m.patroni.poll() is not None for m in self.machines):
            raise RuntimeError(self.log_tail())
        return self.primary() and any(m.patroni.poll() is None and m.says("/synchronous") for m in self.machines)

    def log_tail(self):
        return "\n".join(f"{m.name}:\n" + (m.home / "log").read_text()[-3000:] for m in self.machines)

    def close(self):
        if self.haproxy:
            self.haproxy.kill()
            self.haproxy.wait()
        for machine in self.machines:
            machine.close()
        eventually(lambda: not any(m.postgres_pids() and is_alive(m.postgres_pids()[0]) for m in self.machines))
        shutil.rmtree(self.home, ignore_errors=True)
