"""Synapse from its package, as another ministry: it uses the network, test CA and PostgreSQL of the
given Concorde. It runs in the virtual environment of SYNAPSE_HOME (run.sh makes it)."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import httpx

from client import Client
from e2ee import b64
from federation import authority, numbers
from link import Link
from server import as_superuser
from waiting import eventually

PYTHON = pathlib.Path(os.environ.get("SYNAPSE_HOME", ".")) / "bin" / "python"
START_SECONDS = 90
FREELY = {"per_second": 100000, "burst_count": 100000}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def make_database(uri, name):
    """Makes one in a Concorde's own PostgreSQL, given its URI; the parameters for psycopg2."""
    uri = as_superuser(uri)
    psql = shutil.which("psql") or sorted(
        pathlib.Path("/usr/lib/postgresql").glob("*/bin/psql"))[-1]
    subprocess.run(
        [psql, uri, "-q", "-v", "ON_ERROR_STOP=1", "-c",
         f"CREATE DATABASE {name} ENCODING UTF8 LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"],
        check=True, stdout=subprocess.DEVNULL)
    return {"dsn": uri, "dbname": name, "cp_min": 2, "cp_max": 10}


class Synapse:
    """database: parameters for psycopg2."""

    def __init__(self, network, database, **settings):
        self.network, self.link = network, Link(network)
        self.name = self.link.name
        self.folder = tempfile.TemporaryDirectory(prefix="concorde-synapse-")
        self.port, self.tls_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.clients, self.process = [], None
        network.servers.append(self)
        folder = pathlib.Path(self.folder.name)
        self.log_file = folder / "log"
        (folder / "log.yaml").write_text(json.dumps({
            "version": 1, "disable_existing_loggers": False,
            "formatters": {"short": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
            "handlers": {"file": {"class": "logging.FileHandler", "filename": str(self.log_file),
                                  "formatter": "short"}},
            "root": {"level": os.environ.get("SYNAPSE_LOG", "WARNING"), "handlers": ["file"]},
        }))
        (folder / "signing.key").write_text(f"ed25519 a_test {b64(os.urandom(32))}\n")
        resources = [{"names": ["client", "federation"], "compress": False}]
        listener = {"type": "http", "bind_addresses": ["127.0.0.1"], "resources": resources}
        retry = {"destination_min_retry_interval": 200, "destination_retry_multiplier": 2,
                 "destination_max_retry_interval": 1000, "max_short_retries": 1,
                 "max_short_retry_delay": 1000, "client_timeout": 20000}
        self.config = folder / "homeserver.yaml"
        self.config.write_text(json.dumps({  # JSON is valid YAML
            "server_name": self.name, "pid_file": str(folder / "pid"), "report_stats": False,
            "listeners": [{**listener, "port": self.port, "tls": False},
                          {**listener, "port": self.tls_port, "tls": True}],
            "tls_certificate_path": str(authority().local[0]),
            "tls_private_key_path": str(authority().local[1]),
            "federation_custom_ca_list": [str(authority().file)],
            "ip_range_blacklist": [], "trusted_key_servers": [], "federation": retry,
            "database": {"name": "psycopg2", "args": database},
            "log_config": str(folder / "log.yaml"), "media_store_path": str(folder / "media"),
            "signing_key_path": str(folder / "signing.key"),
            "registration_shared_secret": "s", "macaroon_secret_key": "m", "form_secret": "f",
            "enable_registration": True, "enable_registration_without_verification": True,
            "bcrypt_rounds": 4, "presence": {"enabled": True}, "url_preview_enabled": False,
            "allow_public_rooms_over_federation": True, "allow_public_rooms_without_auth": True,
            "room_list_publication_rules": [{"action": "allow"}], "suppress_key_server_warning": True,
            "dynamic_thumbnails": True, "user_directory": {"enabled": False},
            "rc_message": FREELY, "rc_registration": FREELY, "rc_joins": {
                "local": FREELY, "remote": FREELY}, "rc_joins_per_room": FREELY,
            "rc_login": {k: FREELY for k in ("address", "account", "failed_attempts")},
            "rc_invites": {k: FREELY for k in ("per_room", "per_user", "per_issuer")},
            "rc_admin_redaction": FREELY, "rc_presence": {"per_user": FREELY},
            "rc_key_requests": FREELY, "rc_room_creation": FREELY, "rc_media_create": FREELY,
            "remote_media_download_burst_count": "10G", "remote_media_download_per_second": "10G",
            "rc_federation": {"window_size": 1000, "sleep_limit": 100000, "sleep_delay": 0,
                              "reject_limit": 100000, "concurrent": 50},
            **settings,
        }))
        self.link.name = self.name

    def start(self):
        self.process = subprocess.Popen(
            [PYTHON, "-m", "synapse.app.homeserver", "-c", str(self.config)],
            stdout=open(self.folder.name + "/out", "w"), stderr=subprocess.STDOUT,
            cwd=self.folder.name, start_new_session=True)

        def failed():
            return f"Synapse did not start:\n{self.log_tail()}"

        def answers():
            if self.process.poll() is not None:
                raise RuntimeError(failed())
            return httpx.get(self.url + "/health").status_code == 200

        eventually(answers, START_SECONDS, failed)
        self.link.target = "127.0.0.1", self.tls_port
        return self

    def user(self, name="user", **body):
        c = Client(self).register(f"{name}-{next(numbers)}", **body)
        self.clients.append(c)
        return c

    def log_tail(self, lines=40):
        text = ""
        for file in self.folder.name + "/out", self.log_file:
            if os.path.exists(file):
                text += pathlib.Path(file).read_text(errors="replace")
        return "\n".join(line[:600] for line in text.splitlines()[-lines:])

    def stop(self):
        self.link.target = None
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def close(self):
        for c in self.clients:
            c.close()
        self.stop()
        self.network.servers.remove(self)
        self.link.close()
        self.folder.cleanup()
