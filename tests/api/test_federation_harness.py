"""The tests' own tools: they sign, cut and resolve correctly."""

import os
import socket
import struct
import types

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import pdus
from fake_dns import FakeDns
from federation import authority
from remote import FED, q, unb64


def test_the_test_authority_vouches_for_its_names(two):
    a, b = two
    with httpx.Client(verify=authority().client_context()) as c:
        for m in two:
            keys = c.get(f"https://{m.name}/_matrix/key/v2/server").json()
            assert keys["server_name"] == m.name
    assert a.name != b.name


def test_the_specifications_own_event_is_signed_as_it_says():
    key = pdus.SigningKey()
    key.private = Ed25519PrivateKey.from_private_bytes(
        unb64("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"))
    event = {
        "room_id": "!x:domain", "sender": "@a:domain", "origin": "domain",
        "origin_server_ts": 1000000, "signatures": {}, "hashes": {}, "type": "X", "content": {},
        "prev_events": [], "auth_events": [], "depth": 3, "unsigned": {"age_ts": 1000000},
    }
    pdus.sign(event, "1", "domain", key)
    assert event["hashes"]["sha256"] == "5jM4wQpv6lnBo7CLIghJuHdW+s2CMBJPUOGOC89ncos"
    assert event["signatures"]["domain"]["ed25519:1"] == (
        "KxwGjPSDEtvnFgU00fwFz+l6d2pJM6XBIaMEn81SXPTRl16AqLAYqfIReFGZlHi5KLjAWbOoMszkwsQma+lYAg")


@pytest.mark.parametrize("version", pdus.VERSIONS)
def test_two_remotes_join_and_talk_in_every_room_version(remotes, version):
    one, other = remotes(), remotes()
    room = one.create_room(one.user("carol"), version, members=3)
    dave = other.user("dave")
    mine = other.join(one.name, room.id, dave)
    assert len(mine.members()) == 5 and all(r.is_authentic for r in one.seen(path=FED))
    sent = other.send(mine, dave, "hello")
    assert sent in room.events and one.check_event(room.events[sent], version)
    back = one.send(room, one.user("carol"), "welcome", to=[other.name])
    assert mine.events[back]["content"]["body"] == "welcome"
    ids = other.get(one.name, f"{FED}/v1/state_ids/{q(room.id)}?event_id={q(back)}")
    assert set(ids["pdu_ids"]) == set(room.state.values())


def test_a_remote_refuses_unsigned_requests(remotes):
    one, other = remotes(), remotes()
    uri = f"{FED}/v1/query/profile?user_id=x"
    other.fails(one.name, 401, "M_UNAUTHORIZED", "GET", uri, sig="AAAA")
    other.fails(one.name, 401, "M_UNAUTHORIZED", "GET", uri, sign=False)
    other.fails(one.name, 404, "M_NOT_FOUND", "GET", uri)


def test_a_link_is_cut_and_heals(remote):
    url = f"https://{remote.name}/_matrix/key/v2/server"
    get = lambda **options: httpx.get(url, verify=authority().client_context(), **options)
    assert get().status_code == 200
    remote.link.cut()
    with pytest.raises(httpx.TransportError):
        get()
    remote.link.heal()
    remote.link.mute()
    with pytest.raises(httpx.TimeoutException):
        get(timeout=0.3)
    remote.link.heal()
    assert get().status_code == 200


def test_the_network_is_parted_by_source(two, network):
    tester = types.SimpleNamespace(name="the test", process=types.SimpleNamespace(pid=os.getpid()))
    network.servers.append(tester)
    try:
        url = f"https://{two[0].name}/_matrix/key/v2/server"
        get = lambda: httpx.get(url, verify=authority().client_context()).status_code
        assert get() == 200
        network.part(["the test"], [two[0]])
        with pytest.raises(httpx.TransportError):
            get()
        network.part(["the test", two[0]], [two[1]])
        assert get() == 200
    finally:
        network.servers.remove(tester)


def test_the_fake_dns_answers():
    dns = FakeDns({"_matrix-fed._tcp.x.gov.test": {"SRV": [(10, 5, 8448, "y.gov.test")]},
                   "z.gov.test": {"CNAME": "y.gov.test"}, "y.gov.test": {"A": ["127.0.0.1"]}})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        host, port = dns.address.split(":")
        s.connect((host, int(port)))

        def ask(name, number):
            question = b"".join(bytes([len(p)]) + p.encode() for p in name.split(".")) + b"\0"
            s.send(struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + question + struct.pack(">HH", number, 1))
            return s.recv(4096)

        srv = ask("_matrix-fed._tcp.x.gov.test", 33)
        assert srv[7] == 1 and b"\x00\x0a\x00\x05\x21\x00\x01y\x03gov\x04test\x00" in srv
        alias = ask("z.gov.test", 1)
        assert alias[7] == 2 and alias.endswith(socket.inet_aton("127.0.0.1"))
        assert ask("unknown.gov.test", 1)[3] & 15 == 3
    assert dns.asked[0] == ("_matrix-fed._tcp.x.gov.test", "SRV")
    dns.close()
