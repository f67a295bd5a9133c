"""Waiting for what others bring about. No other helper of the Python tests polls."""

import time

import httpx

PAUSE_MAX = 0.1  # seconds


def eventually(check, seconds=20, failing=lambda: "what was waited for did not come"):
    """Waits until check() returns a true value; that value. Until then its assertions and requests may
    fail; a RuntimeError ends the wait. failing() says what is wrong when it takes longer than that."""
    deadline, pause = time.monotonic() + seconds, 0.005
    while True:
        late = time.monotonic() > deadline
        try:
            value = check()
            if value:
                return value
            assert not late, failing()
        except (AssertionError, LookupError, TypeError, ValueError, OSError, httpx.HTTPError):
            if late:
                raise
        time.sleep(pause)
        pause = min(pause * 1.5, PAUSE_MAX)


def attempts(stop=None, pause=0.05):
    """For a loop that repeats a request while the server is away, until the event `stop` is set."""
    while not (stop and stop.is_set()):
        yield
        time.sleep(pause)


def patience_ends(server, threads):
    """Moves the server's clock until all these requests are answered, which wait for a silent server."""

    def are_over():
        server.advance(10)
        return not any(t.is_alive() for t in threads)

    eventually(are_over, 60)
