"""One Concorde under test, with its own data directory and a free port of the loopback address."""

import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import tempfile
import threading

import plain
import template
from waiting import eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("CONCORDE_BIN", str(ROOT / "build" / "concorde"))
SCRATCH = os.environ.get("TEST_SCRATCH")  # tests/scratch.sh
START_SECONDS = 120

# What a sanitizer or an assertion, failed or only logged, writes to the log.
REPORTS = re.compile(
    r"ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion .* failed|Segmentation"
    r"|outside of the remote pool"
)

TEST_SETTINGS = {
    "listen": "127.0.0.1:0",
    "server_name": "test.example",
    "rate_limits": "off",
    "enable_registration": "true",
    "enable_registration_without_verification": "true",
    "password_hash_cost": "1",
    "federation_domain_whitelist": "*",
    "log_level": "debug",
}


def environment():
    """The environment without settings of Concorde."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("CONCORDE_")}
    env["ASAN_OPTIONS"] = "detect_leaks=1:" + env.get("ASAN_OPTIONS", "")
    env["UBSAN_OPTIONS"] = "print_stacktrace=1:" + env.get("UBSAN_OPTIONS", "")
    return env


def run_cli(*args, input=None, timeout=START_SECONDS, env=None, cwd=None):
    """Runs the program to its end; stdout and stderr are text."""
    r = subprocess.run(
        [BINARY, *args], input=input.encode() if isinstance(input, str) else input,
        capture_output=True, timeout=timeout, env={**environment(), **(env or {})}, cwd=cwd,
    )
    r.stdout, r.stderr = r.stdout.decode(), r.stderr.decode()
    assert not REPORTS.search(r.stderr), r.stderr
    return r


def as_superuser(uri):
    """The URI of a Concorde's own PostgreSQL (concorde.lock), with the role that may do everything."""
    found = re.sub(r"user='?concorde'?", "user=postgres", uri, count=1)
    assert found != uri
    return found


def make_template(directory):
    """Makes postgres/ in the directory, without a server name (template.py)."""
    s = Server(is_first=True)
    try:
        s.start()
        uri = (s.data / "concorde.lock").read_text().split(" ", 1)[1].strip()
        subprocess.run(["psql", as_superuser(uri), "-q", "-c", "DELETE FROM deployment"], check=True)
        assert s.stop() == 0, s.log_tail()
        subprocess.run(["cp", "-a", s.data / "postgres", directory], check=True)
    finally:
        s.close()


def metrics(server):
    """The text of each node."""
    return [plain.get(node.url + "/metrics").text for node in server.nodes]


def metric(server, name):
    """The sum of all nodes."""
    return sum(float(n) for text in metrics(server) for n in re.findall(rf"^{name} (\S+)$", text, re.M)[:1])


class Server:
    """settings: what --set takes, over TEST_SETTINGS; None removes one. A list repeats the option.
    data: an existing data directory, which is kept; otherwise a new one, which is removed.
    is_first: the server makes its database itself, as at a first start."""

    def __init__(self, settings=None, data=None, is_first=False):
        self.is_first = is_first
        self.settings = {**TEST_SETTINGS, **(settings or {})}
        self.owns_data = data is None
        self.data = pathlib.Path(data or tempfile.mkdtemp(prefix="concorde-test-", dir=SCRATCH))
        self.data.chmod(0o711)  # the embedded PostgreSQL may run as another user
        self.log = tempfile.NamedTemporaryFile("w+", prefix="concorde-log-", delete=False)
        self.more = []  # other options
        self.binary = BINARY
        self.moved_ms = 0
        self.clock = tempfile.NamedTemporaryFile("wb", prefix="concorde-clock-", buffering=0)
        self.advance(0)
        self.environment = {"TEST_CLOCK": self.clock.name}
        self.process = None
        self.addresses = []
        self.welcome = ""

    @property
    def name(self):
        return self.settings["server_name"]

    @property
    def url(self):
        return self.addresses[0]

    @property
    def nodes(self):
        """Its processes."""
        return [self]

    @property
    def database_uri(self):
        """Of a running server."""
        return (self.data / "concorde.lock").read_text().split(" ", 1)[1]

    def options(self):
        out = ["--data", str(self.data), *self.more]
        for key, value in self.settings.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    out += ["--set", f"{key}={one}"]
        return out

    def start(self):
        if self.owns_data and not self.is_first and not self.settings.get("database"):
            template.copy_to(self.data, BINARY, make_template)
        self.addresses, self.welcome = [], ""
        self.process = subprocess.Popen(
            [self.binary, "serve", *self.options()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=self.log, text=True, env={**environment(), **self.environment},
            start_new_session=True,
        )
        guard = threading.Timer(START_SECONDS, self.process.kill)
        guard.start()
        try:
            for line in self.process.stdout:
                self.welcome += line
                found = re.search(r"listening on +(\S+)", line)
                if found:
                    self.addresses.append(found[1])
                if "make an account" in line:
                    return self
        finally:
            guard.cancel()
        self.process.wait()
        self.process.stdout.close()
        self.process = None
        raise RuntimeError(f"the server did not start:\n{self.log_tail()}")

    def stop(self, timeout=60):
        """Stops the server; its exit status."""
        if not self.process:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"the server did not stop:\n{self.log_tail()}")
        self.process.stdout.close()
        self.process = None
        return status

    def kill(self):
        """kill -9, as a power cut would."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def advance(self, seconds):
        """Moves the clock of this server and of its commands forward; all that is then due is done within
        some milliseconds. The clocks of the database, of connections and of other servers do not move."""
        self.moved_ms += int(seconds * 1000)
        os.pwrite(self.clock.fileno(), struct.pack("=q", self.moved_ms), 0)

    def cli(self, *args, input=None):
        """Runs a command on this server's data."""
        return run_cli(*args, *self.options(), input=input, env=self.environment)

    def log_text(self):
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def log_tail(self, lines=60):
        return "\n".join(self.log_text().splitlines()[-lines:])

    def reports(self):
        """What sanitizers and assertions logged, with the lines after it."""
        text = self.log_text()
        found = REPORTS.search(text)
        return text[found.start() : found.start() + 6000] if found else ""

    def close(self):
        """Stops the server and removes its files; fails if there were reports or a bad exit status."""
        status = self.stop()
        try:
            assert not self.reports(), self.reports()
            assert status in (None, 0), f"exit status {status}\n{self.log_tail()}"
        finally:
            self.log.close()
            self.clock.close()
            os.unlink(self.log.name)
            if self.owns_data:
                shutil.rmtree(self.data, ignore_errors=True)

    def wait_until_ready(self, seconds=30):
        eventually(lambda: plain.get(self.url + "/ready").status_code == 200, seconds,
                   lambda: f"the server is not ready:\n{self.log_tail()}")

    def wait_until_parked(self, n=1, name="parked"):
        """Until so many requests wait; name: or are "in_flight"."""
        eventually(lambda: metric(self, f"concorde_http_requests_{name}") >= n)
