"""A TCP proxy on the loopback address, which a test can cut, delay or slow down."""

import contextlib
import os
import select
import socket
import struct
import threading
import time

ports_used = set()


def is_port_of_this_process(port):
    """Each of the processes that share the tests has its own ports. (Linux gives out odd ones.)"""
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return port // 2 % processes == number % processes


def listen_at_new_port():
    """Listens at a port not yet used in this run: servers remember each other's keys by name, and
    connect again to those that have gone."""
    passed_over = []
    while True:
        listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        port = listener.getsockname()[1]
        if port not in ports_used and is_port_of_this_process(port):
            break
        passed_over.append(listener)
    for other in passed_over:
        other.close()
    ports_used.add(port)
    return listener


class Link:
    """A TCP proxy at a port of its own: the address that a server is known by."""

    def __init__(self, network=None):
        self.listener = listen_at_new_port()
        self.port = self.listener.getsockname()[1]
        self.name = f"localhost:{self.port}"
        self.network = network
        self.target = None  # (host, port), or None: no server listens
        self.is_cut = self.is_mute = False
        self.seconds = 0  # of delay for each piece
        self.rate = None  # bytes a second
        self.connections = 0  # so far
        self.open = []  # (source, sockets)
        self.lock = threading.Lock()
        if network:
            network.add(self)
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self):
        """Connections end and are refused."""
        self.is_cut = True
        self.drop(lambda source: True)

    def mute(self):
        """Connections are accepted and kept, and nothing is ever answered, also not to requests
        that are under way."""
        self.is_mute = True

    def delay(self, seconds):
        self.seconds = seconds

    def drip(self, bytes_a_second):
        self.rate = bytes_a_second

    def heal(self):
        self.is_cut = self.is_mute = False
        self.seconds, self.rate = 0, None

    def drop(self, wanted):
        with self.lock:
            gone = [pair for source, pair in self.open if wanted(source)]
        for pair in gone:
            for s in pair:
                with contextlib.suppress(OSError):
                    s.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.cut()
        self.listener.close()
        if self.network:
            self.network.links.remove(self)

    def _accept(self):
        while True:
            try:
                s, address = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(s, address[1]), daemon=True).start()

    def _is_refused(self, source):
        return self.is_cut or not self.target or (
            self.network and not self.network.reaches(source, self.name))

    @contextlib.contextmanager
    def _opened(self, source, *sockets):
        entry = source, sockets
        with self.lock:
            self.open.append(entry)
        try:
            yield
        finally:
            with self.lock:
                self.open.remove(entry)

    def _serve(self, inside, port):
        source = self.network and self.network.owner(port, self.port)
        if self._is_refused(source):
            inside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            inside.close()
            return
        outside = None
        try:
            if self.is_mute:
                with self._opened(source, inside):
                    self._swallow(inside)
                return
            outside = socket.create_connection(self.target)
            with self._opened(source, inside, outside):
                if not self._is_refused(source):  # it may have been cut meanwhile
                    self._pump(inside, outside)
        except OSError:
            pass
        finally:
            inside.close()
            if outside:
                outside.close()

    def _swallow(self, s):
        while not self.is_cut and s.recv(65536):
            pass

    def _pump(self, a, b):
        for s in a, b:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ready = select.poll()
        for s in a, b:
            ready.register(s, select.POLLIN)
        while True:
            for file, _ in ready.poll():
                s = a if file == a.fileno() else b
                data = s.recv(max(1, self.rate // 10) if self.rate else 262144)
                if not data:
                    return
                if self.is_mute:
                    return self._swallow(a)
                if self.seconds or self.rate:
                    time.sleep(self.seconds + (0.1 if self.rate else 0))
                (b if s is a else a).sendall(data)
