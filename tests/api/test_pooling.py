"""pgbouncer may be between Concorde and its database, in session mode."""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from client import Client
from restoring import make_database, uri_of
from server import Server
from test_proxy import free_port, program
from waiting import eventually


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.fixture
def proxied(fresh_server):
    """proxied(pool_mode): the URI of a database behind pgbouncer."""
    home = pathlib.Path(tempfile.mkdtemp(prefix="concorde-pgbouncer-"))
    home.chmod(0o777)
    s, started = fresh_server(), []
    direct = uri_of(s)
    make_database(direct, "proxied")
    words = dict(re.findall(r"(\w+)='?([^' ]+)'?", direct))
    binary = shutil.copy(program("pgbouncer"), home)  # where its user can execute it
    cluster = (s.data / "postgres" / "data").stat()

    def start(mode):
        port = free_port()
        (home / "ini").write_text(
            f"[databases]\nproxied = host={words['host']} port=5432 user={words['user']}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = any\npool_mode = {mode}\nlogfile = {home}/log\npidfile = {home}/pid\n")
        started.append(subprocess.Popen(
            [str(binary), "-q", str(home / "ini")], stdin=subprocess.DEVNULL,
            user=cluster.st_uid if os.geteuid() == 0 else None))
        eventually(lambda: answers(port))
        return f"postgresql://{words['user']}@127.0.0.1:{port}/proxied"

    yield start
    for p in started:
        p.send_signal(signal.SIGTERM)
        p.wait(20)
    shutil.rmtree(home)


def test_pooling_by_session_serves(proxied):
    s = Server({"database": proxied("session"), "database_connections": "4"})
    try:
        s.start()
        alice = Client(s).register("alice")
        room = alice.create_room()
        assert alice.event(room, alice.send(room, "through a proxy"))["content"]["body"]
    finally:
        s.close()


def test_pooling_by_transaction_is_refused(proxied):
    s = Server({"database": proxied("transaction")})
    with pytest.raises(RuntimeError, match="pool_mode = session"):
        s.start()
    s.close()
