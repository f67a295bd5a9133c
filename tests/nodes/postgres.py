"""A plain PostgreSQL on a port of the loopback address, which several servers can share."""

import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from restoring import psql
from server import SCRATCH
from waiting import eventually

SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 400
random_page_cost = 1.1 # this and the next one as in the embedded one
autovacuum_naptime = 15s
"""
# Of these ports no outgoing connection has one, so that a program that starts again finds its port free.
LISTENING = range(20000, 32000)
taken = {}  # port -> a socket by whose name other processes of tests on this machine know that


def take_port(port):
    """False: another one has it."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0concorde-test-port-{port}")
    except OSError:
        name.close()
        return False
    taken[port] = name
    return True


def port_to_keep():
    """A free port for a program that is killed and started again."""
    first = int.from_bytes(os.urandom(2), "big") % len(LISTENING)
    for n in range(len(LISTENING)):
        port = LISTENING[(first + n) % len(LISTENING)]
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in taken and take_port(port):
            return port
    raise RuntimeError("no port is free")


def programs():
    """The folder of the newest installed initdb and postgres."""
    found = [p.parent for p in pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda p: int(re.search(r"\d+", p.parent.name)[0]))
    return pathlib.Path(shutil.which("initdb") or "initdb").resolve().parent


def uri_of_all(ports, database, user, options):
    """libpq takes the one of these that takes writes."""
    return (f"host={','.join(['127.0.0.1'] * len(ports))} port={','.join(map(str, ports))} user={user} "
            f"dbname={database} {options} target_session_attrs=read-write connect_timeout=2")


def is_reached(uri):
    return subprocess.run(["psql", "-qXAt", uri, "-c", "SELECT 1"], capture_output=True).returncode == 0


class Postgres:
    def __init__(self):
        self._make_home()
        self.port, self.process = port_to_keep(), None
        self.data = self.home / "data"
        subprocess.run(
            [programs() / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
             "--locale=C", "--no-sync", "--no-instructions"],
            check=True, cwd="/", stdout=subprocess.DEVNULL, **self.user)
        with (self.data / "postgresql.conf").open("a") as f:
            f.write(SETTINGS)
        self.log = (self.home / "log").open("a")
        self.start()
        self.sql("CREATE ROLE concorde LOGIN")

    def _make_home(self):
        self.home, self.user = pathlib.Path(tempfile.mkdtemp(prefix="concorde-postgres-", dir=SCRATCH)), {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            owner = pwd.getpwnam("postgres")
            os.chown(self.home, owner.pw_uid, owner.pw_gid)
            self.user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}

    def uri(self, database="postgres", user="postgres", port=None):
        """port: of a Link to it."""
        return f"host=127.0.0.1 port={port or self.port} user={user} dbname={database} sslmode=disable"

    def sql(self, text, database="postgres"):
        return psql(self.uri(database), text)

    def make_database(self, name, template="template0"):
        self.sql(f"CREATE DATABASE {name} OWNER concorde TEMPLATE {template}")

    def start(self):
        self.process = subprocess.Popen(
            [programs() / "postgres", "-D", self.data, "-p", str(self.port)], cwd="/", stdin=subprocess.DEVNULL,
            stdout=self.log, stderr=self.log, **self.user)
        eventually(self.answers, 120, lambda: (self.home / "log").read_text()[-3000:])

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError((self.home / "log").read_text()[-3000:])
        return is_reached(self.uri())

    def restart(self, how=signal.SIGQUIT):
        """SIGINT: ends its connections; SIGQUIT: as a crash, with recovery at the next start."""
        self.process.send_signal(how)
        self.process.wait()
        self.start()

    def close(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)
