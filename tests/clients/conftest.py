"""One server and the clients of a story for each file of steps. A step that fails shows each client's last
sync and the tails of its log and the server's."""

import signal

import pytest

from device import STEP_SECONDS, RustDevice, js_device, nio_device
from serving import Server

# Unstable endpoints that a client tries but does not need.
EXPECTED_UNKNOWN = {
    "GET /_matrix/client/unstable/org.matrix.msc4143/rtc/transports 404",
}
unknown = set()  # all of them, for the summary


class Story:
    """The server, the clients, and attributes by which the steps share data."""

    def __init__(self):
        self.server = Server().start()
        self.devices = []

    def __getattr__(self, name):
        pytest.fail(f"there is no {name}: an earlier step failed", pytrace=False)

    def js(self, label):
        self.devices.append(js_device(label, self.server.url))
        return self.devices[-1]

    def nio(self, label):
        self.devices.append(nio_device(label, self.server.url))
        return self.devices[-1]

    def rust(self, label):
        self.devices.append(RustDevice(label, self.server.url))
        return self.devices[-1]

    def unexpected_requests(self):
        """Requests of the clients that the server answered with M_UNRECOGNIZED or 5xx."""
        found = {request for d in self.devices for request in d.requests()}
        unknown.update(found)
        return found - EXPECTED_UNKNOWN

    def complaints(self):
        """The server's warnings and errors."""
        return [line for line in self.server.log_text().splitlines()
                if line.split()[1:2] in (["warn"], ["error"])]

    def close(self):
        try:
            for d in self.devices:
                d.close()
        finally:
            self.server.close()


running = []


@pytest.fixture(scope="module")
def story():
    s = Story()
    running.append(s)
    yield s
    running.remove(s)
    s.close()


@pytest.fixture(autouse=True)
def patience(request):
    """Fails a step that takes too long; `@pytest.mark.seconds(n)` gives one more time."""
    marker = request.node.get_closest_marker("seconds")
    seconds = marker.args[0] if marker else STEP_SECONDS + 15

    def give_up(number, frame):
        raise TimeoutError(f"the step took longer than {seconds} seconds")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    yield
    signal.alarm(0)


def pytest_configure(config):
    config.addinivalue_line("markers", "seconds(n): this step may take so long")


def pytest_terminal_summary(terminalreporter):
    if unknown:
        terminalreporter.write_line("requests that the server did not know, or failed at:")
        for request in sorted(unknown):
            terminalreporter.write_line("  " + request)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if not report.failed or "an earlier step failed" in str(report.longrepr):
        return
    for s in running:
        for d in s.devices:
            try:
                sync = d.last_sync(seconds=5)
            except Exception as e:
                sync = e
            report.sections.append((f"last sync of {d.label}", str(sync)[:4000]))
            report.sections.append((f"log of {d.label}", d.log_tail()))
        report.sections.append(("log of the server", s.server.log_tail()))
