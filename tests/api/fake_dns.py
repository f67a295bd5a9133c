"""A DNS server on the loopback address: FakeDns({"one.gov.test": {"A": ["127.0.0.1"]},
"_matrix-fed._tcp.two.gov.test": {"SRV": [(10, 5, 8448, "one.gov.test")]}}). Names in lower case,
without a final dot. `asked` is every (name, type) that was asked for; `records` may be changed at
any time; `is_mute` makes it answer nothing. The server under test has dns_servers=dns.address."""

import socket
import struct
import threading

TYPES = {"A": 1, "CNAME": 5, "AAAA": 28, "SRV": 33}
NAMES = {number: name for name, number in TYPES.items()}
NXDOMAIN, SERVFAIL = 3, 2


def encode_name(name):
    labels = [label for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def encode(kind, value):
    if kind == "A":
        return socket.inet_aton(value)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, value)
    if kind == "CNAME":
        return encode_name(value)
    priority, weight, port, target = value
    return struct.pack(">HHH", priority, weight, port) + encode_name(target)


class FakeDns:
    def __init__(self, records=None, ttl=60):
        self.records, self.ttl, self.asked = dict(records or {}), ttl, []
        self.is_mute = self.is_broken = False
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self.socket.close()

    def _serve(self):
        while True:
            try:
                packet, address = self.socket.recvfrom(4096)
            except OSError:
                return
            if len(packet) < 17:
                continue
            reply = self._answer(packet)
            if not self.is_mute:
                self.socket.sendto(reply, address)

    def _answer(self, packet):
        number, flags = struct.unpack(">HH", packet[:4])
        at, labels = 12, []
        while packet[at]:
            labels.append(packet[at + 1 : at + 1 + packet[at]].decode())
            at += 1 + packet[at]
        (kind,) = struct.unpack(">H", packet[at + 1 : at + 3])
        question = packet[12 : at + 5]
        name, kind = ".".join(labels).lower(), NAMES.get(kind, str(kind))
        self.asked.append((name, kind))
        answers = self._find(name, kind)
        code = SERVFAIL if self.is_broken else 0 if answers or name in self.records else NXDOMAIN
        body = b"".join(
            encode_name(owner) + struct.pack(">HHIH", TYPES[k], 1, self.ttl, len(data)) + data
            for owner, k, data in answers)
        header = struct.pack(">HHHHHH", number, 0x8180 | (flags & 0x100) | code, 1, len(answers), 0, 0)
        return header + question + body

    def _find(self, name, kind):
        """The records of a name, CNAMEs followed."""
        found = []
        for _ in range(8):
            here = self.records.get(name, {})
            if "CNAME" not in here or kind == "CNAME":
                break
            found.append((name, "CNAME", encode("CNAME", here["CNAME"])))
            name = here["CNAME"]
        values = self.records.get(name, {}).get(kind, []) if kind in TYPES else []
        values = [values] if isinstance(values, str) else values
        return found + [(name, kind, encode(kind, v)) for v in values]
