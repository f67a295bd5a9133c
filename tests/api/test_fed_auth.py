"""Requests of other servers and their X-Matrix signatures (server-server API, "Request
Authentication")."""

import re
import threading

import pytest

from e2ee import SigningKey
from remote import FED
from server import metric
from waiting import eventually

# A request that must be authenticated; the user does not exist.
ASK = f"{FED}/v1/user/devices/%40unknown%3Anowhere?a=b"
QUERY = f"{FED}/v1/user/keys/query"


def ask(remote, server, header, uri=ASK):
    headers = [("Authorization", h) for h in (header if isinstance(header, list) else [header])]
    r = remote.client.get(f"https://{server}{uri}", headers=headers)
    return r.status_code, r.json().get("errcode")


REFUSED = 401, "M_UNAUTHORIZED"


def is_let_in(remote, server, header, uri=ASK):
    answer = ask(remote, server, header, uri)
    assert answer == REFUSED or answer[0] == 400, answer
    return answer != REFUSED


def quoted(header):
    return dict(re.findall(r'(\w+)="([^"]*)"', header))


# Different ways to write the same header.
WAYS = {
    "as most do": lambda v: "X-Matrix " + ",".join(f'{k}="{x}"' for k, x in v.items()),
    "the other way round": lambda v: "X-Matrix " + ",".join(
        f'{k}="{x}"' for k, x in reversed(v.items())),
    "with blanks": lambda v: "X-Matrix   " + " ,\t ".join(f'{k}="{x}"' for k, x in v.items()),
    "with capitals": lambda v: "x-MATRIX " + ",".join(f'{k.upper()}="{x}"' for k, x in v.items()),
    "without quotes": lambda v: "X-Matrix " + ",".join(
        f'{k}="{x}"' if k == "sig" else f"{k}={x}" for k, x in v.items()),
    "with backslashes": lambda v: "X-Matrix " + ",".join(
        f'{k}="{x[0]}{chr(92)}{x[1]}{x[2:]}"' for k, x in v.items()),
    "with more": lambda v: "X-Matrix more=1,and=\"\\\"\"," + ",".join(
        f'{k}="{x}"' for k, x in v.items()),
    "with the spec's name": lambda v: "X-Matrix " + ",".join(
        f'{"signature" if k == "sig" else k}="{x}"' for k, x in v.items()),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_header_may_be_written_so(two, remote, way):
    values = quoted(remote.authorization("GET", ASK, two[0].name))
    assert is_let_in(remote, two[0].name, WAYS[way](values))


def test_older_servers_leave_out_the_destination(two, remote):
    values = quoted(remote.authorization("GET", ASK, two[0].name))
    del values["destination"]
    assert is_let_in(remote, two[0].name, WAYS["as most do"](values))


WRONG = {
    "another scheme": lambda r, s: "Bearer abc",
    "nothing": lambda r, s: "X-Matrix ,",
    "no signature": lambda r, s: r.authorization("GET", ASK, s, sig=None),
    "no key": lambda r, s: r.authorization("GET", ASK, s, key=None),
    "no origin": lambda r, s: r.authorization("GET", ASK, s, origin=None),
    "an origin that is none": lambda r, s: r.authorization("GET", ASK, s, origin="a b"),
    "another origin": lambda r, s: r.authorization("GET", ASK, s, origin="localhost:1"),
    "another destination": lambda r, s: r.authorization("GET", ASK, s, destination="localhost:1"),
    "signed for another": lambda r, s: r.authorization("GET", ASK, "localhost:1", destination=s),
    "another method": lambda r, s: r.authorization("PUT", ASK, s),
    "another path": lambda r, s: r.authorization("GET", ASK + "x", s),
    "a body that is not there": lambda r, s: r.authorization("GET", ASK, s, {}),
    "a wrong signature": lambda r, s: r.authorization("GET", ASK, s, sig="A" * 86),
    "an unknown key": lambda r, s: r.authorization("GET", ASK, s, key="ed25519:other"),
    "a parameter twice": lambda r, s: r.authorization("GET", ASK, s) + ',origin="x"',
    "an open quote": lambda r, s: r.authorization("GET", ASK, s)[:-1],
    "no comma": lambda r, s: r.authorization("GET", ASK, s).replace('",key', '" key'),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_header_is_refused(two, remote, what):
    assert ask(remote, two[0].name, WRONG[what](remote, two[0].name)) == REFUSED


def test_no_header_is_refused(two, remote):
    assert ask(remote, two[0].name, []) == REFUSED


def test_one_of_several_signatures_is_enough(two, remote):
    good = remote.authorization("GET", ASK, two[0].name)
    other = remote.authorization("GET", ASK, two[0].name, key="ed25519:other")
    assert is_let_in(remote, two[0].name, [other, good])
    assert not is_let_in(remote, two[0].name, [other, other])
    assert not is_let_in(remote, two[0].name, [good] * 5)


def test_all_headers_must_be_of_one_server(two, remotes):
    one, other = remotes(), remotes()
    headers = [r.authorization("GET", ASK, two[0].name) for r in (one, other)]
    assert not is_let_in(one, two[0].name, headers)


@pytest.mark.parametrize("body, status", [
    ('{"device_keys":{},"x":"é"}', 200),
    (' {"x": "\\u00e9", "device_keys": { }}\n', 200),
    ('{"device_keys":{},"x":"è"}', 401),
    ('{"device_keys":{},"x":"é"', 401),
    ('{"device_keys":{}}', 401),
    ("", 401),
])
def test_the_body_is_signed_in_canonical_form(two, remote, body, status):
    signed = {"device_keys": {}, "x": "é"}
    headers = {"Authorization": remote.authorization("POST", QUERY, two[0].name, signed)}
    r = remote.client.post(f"https://{two[0].name}{QUERY}", headers=headers, content=body.encode())
    assert r.status_code == status, r.text


def test_the_path_is_signed_as_it_was_sent(two, remote):
    for uri in (ASK, ASK.replace("%3A", ":"), ASK + "&x", ASK + "&%7E=~"):
        assert is_let_in(remote, two[0].name, remote.authorization("GET", uri, two[0].name), uri)


def test_our_own_name_as_origin_is_refused(two, remote):
    a, _ = two
    header = remote.authorization("GET", ASK, a.name, origin=a.name)
    status, errcode = ask(remote, a.name, header)
    assert (status, errcode) == (403, "M_FORBIDDEN")


def test_a_server_that_is_not_allowed_gets_forbidden(ministries, remotes):
    allowed, denied = remotes(), remotes()
    a = ministries(federation_domain_whitelist=allowed.name)
    assert is_let_in(allowed, a.name, allowed.authorization("GET", ASK, a.name))
    assert ask(denied, a.name, denied.authorization("GET", ASK, a.name)) == (403, "M_FORBIDDEN")
    assert not denied.requests


def test_a_stolen_name_is_found_out(two, remotes):
    one, thief = remotes(), remotes()
    thief.name, thief.key = one.name, SigningKey()
    assert ask(thief, two[0].name, thief.authorization("GET", ASK, two[0].name)) == REFUSED


def test_callers_whose_keys_are_slow_delay_no_others(ministries, remotes):
    slow, known, elsewhere = [remotes() for _ in range(6)], remotes(), remotes()
    a = ministries(trusted_proxies="127.0.0.1")
    asks = lambda r: is_let_in(r, a.name, r.authorization("GET", ASK, a.name))
    assert asks(known)
    may_answer = threading.Event()
    for r in slow:
        r.on("GET", "/_matrix/key/v2/server", lambda request: may_answer.wait(60) and None)
    asking = [threading.Thread(target=asks, args=(r,)) for r in slow for _ in range(6)]
    for t in asking:
        t.start()
    # All come from one address: few of them have workers, and the others wait.
    eventually(lambda: metric(a, 'concorde_http_queue_depth{pool="remote"}') == 30)
    assert metric(a, 'concorde_http_workers_busy{pool="remote"}') == 6
    assert asks(known)
    elsewhere.client.headers["X-Forwarded-For"] = "192.0.2.9"
    assert asks(elsewhere)
    assert metric(a, 'concorde_http_queue_depth{pool="remote"}') == 30
    may_answer.set()
    for t in asking:
        t.join()
