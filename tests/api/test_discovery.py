"""Client-server API, "API versions" and "Well-known URIs"; server-server API, "Publishing keys"."""

import base64
import json
import re
import socket
import time

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import plain


def test_versions_name_all_that_the_spec_has(anonymous):
    versions = anonymous.get("/_matrix/client/versions")
    assert versions["versions"] == ["r0.6.1"] + [f"v1.{n}" for n in range(1, 20)]
    assert all(v is True for v in versions["unstable_features"].values())


UNSTABLE = "/_matrix/client/unstable"
FEATURES = {
    "org.matrix.e2e_cross_signing": ("POST", f"{UNSTABLE}/keys/device_signing/upload"),
    "org.matrix.msc2285.stable": ("POST", "/rooms/!a:b/receipt/m.read.private/$c"),
    "org.matrix.msc2432": ("GET", f"{UNSTABLE}/org.matrix.msc2432/rooms/!a:b/aliases"),
    "org.matrix.msc3030": ("GET", f"{UNSTABLE}/org.matrix.msc3030/rooms/!a:b/timestamp_to_event"),
    "org.matrix.msc3440.stable": ("GET", "/_matrix/client/v1/rooms/!a:b/relations/$c/m.thread"),
    "org.matrix.msc3771": ("POST", "/rooms/!a:b/receipt/m.read/$c"),
    "org.matrix.msc3827.stable": ("POST", "/publicRooms"),
    "org.matrix.msc3856": ("GET", f"{UNSTABLE}/org.matrix.msc3856/rooms/!a:b/threads"),
    "org.matrix.msc3874": ("GET", "/rooms/!a:b/messages"),
    "org.matrix.msc3881": ("GET", "/pushers"),
    "org.matrix.msc3952_intentional_mentions": ("GET", "/pushrules/"),
    "org.matrix.msc3981": ("GET", "/_matrix/client/v1/rooms/!a:b/relations/$c"),
    "org.matrix.msc4380.stable": ("PUT", "/user/@a:b/account_data/m.invite_permission_config"),
    "org.matrix.simplified_msc3575": ("POST", f"{UNSTABLE}/org.matrix.simplified_msc3575/sync"),
    "uk.half-shot.msc2666.query_mutual_rooms":
        ("GET", f"{UNSTABLE}/uk.half-shot.msc2666/user/mutual_rooms"),
    "uk.half-shot.msc2666.query_mutual_rooms.stable": ("GET", "/_matrix/client/v1/mutual_rooms"),
    "uk.tcpip.msc4133": ("GET", f"{UNSTABLE}/uk.tcpip.msc4133/profile/@a:b/c"),
    "uk.tcpip.msc4133.stable": ("GET", "/profile/@a:b/c"),
    "uk.timedout.msc4323": ("GET", f"{UNSTABLE}/uk.timedout.msc4323/admin/lock/@a:b"),
}


def test_every_feature_has_its_endpoint(alice):
    features = alice.get("/_matrix/client/versions")["unstable_features"]
    for feature in features:
        method, path = FEATURES[feature]
        r = alice.request(method, path, json={})
        assert r.json().get("errcode") != "M_UNRECOGNIZED", f"{feature}: {r.text}"


def test_discovery_is_not_found_unless_configured(anonymous):
    for what in "client", "server", "support":
        anonymous.fails(404, "M_NOT_FOUND", "GET", f"/.well-known/matrix/{what}")


def test_discovery_as_configured(fresh_server):
    s = fresh_server(
        public_baseurl="https://matrix.gov.example/", support_page="https://gov.example/help",
        support_email="it@gov.example", support_role="m.role.security",
    )
    get = lambda what: plain.get(f"{s.url}/.well-known/matrix/{what}")
    assert get("client").json() == {"m.homeserver": {"base_url": "https://matrix.gov.example"}}
    assert get("client").headers["access-control-allow-origin"] == "*"
    assert get("server").json() == {"m.server": "matrix.gov.example:443"}
    assert get("support").json() == {
        "contacts": [{"role": "m.role.security", "email_address": "it@gov.example"}],
        "support_page": "https://gov.example/help",
    }


def test_other_servers_are_not_led_to_where_there_is_no_tls(fresh_server):
    s = fresh_server(public_baseurl="http://localhost:8008")
    assert plain.get(f"{s.url}/.well-known/matrix/client").status_code == 200
    assert plain.get(f"{s.url}/.well-known/matrix/server").status_code == 404


def decode(text):
    return base64.b64decode(text + "=" * (-len(text) % 4))


def test_signing_key_is_published_and_signed(anonymous, server):
    keys = anonymous.get("/_matrix/key/v2/server")
    assert keys["server_name"] == server.name
    assert keys["valid_until_ts"] > (time.time() + 3600) * 1000
    assert keys["old_verify_keys"] == {}
    [(key_id, key)] = keys["verify_keys"].items()
    assert key_id.startswith("ed25519:")
    signature = keys.pop("signatures")[server.name][key_id]
    signed = json.dumps(keys, separators=(",", ":"), sort_keys=True).encode()
    public = Ed25519PublicKey.from_public_bytes(decode(key["key"]))
    public.verify(decode(signature), signed)


def test_signing_key_stays_the_same(fresh_server):
    s = fresh_server()
    get = lambda: plain.get(f"{s.url}/_matrix/key/v2/server").json()["verify_keys"]
    first = get()
    assert (s.data / "signing.key").stat().st_mode & 0o777 == 0o600
    s.restart()
    assert get() == first


def test_server_version(anonymous):
    assert anonymous.get("/_matrix/federation/v1/version")["server"]["name"] == "Concorde"


def test_health(anonymous):
    assert anonymous.request("GET", "/health").text == "OK"
    assert anonymous.request("GET", "/ready").text == "OK"


def test_metrics_are_for_direct_loopback_peers(anonymous):
    r = anonymous.request("GET", "/metrics")
    assert r.status_code == 200
    assert r.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "\nprocess_resident_memory_bytes " in r.text
    for header in "X-Forwarded-For", "Forwarded":
        anonymous.fails(404, "M_UNRECOGNIZED", "GET", "/metrics", headers={header: "for=127.0.0.1"})


def test_metrics_are_well_formed(anonymous):
    """Each family has its HELP and TYPE once, and its samples follow."""
    families, seen, helped = {}, set(), set()
    for line in anonymous.request("GET", "/metrics").text.splitlines():
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert family not in families, f"{family} is announced twice"
            families[family] = kind
            assert family in helped, f"{family} has no HELP before its TYPE"
            assert kind != "counter" or family.endswith("_total") or family == "concorde_feed_position"
        elif line.startswith("# HELP "):
            _, _, family, text = line.split(" ", 3)
            assert family not in helped and text[0].isupper() | text[0].isdigit() and text[-1] == "."
            helped.add(family)
        elif not line.startswith("#"):
            name, value = re.fullmatch(r'([a-z_]+)(?:\{(?:[a-z_]+="[^"]*",?)*\})? (\S+)', line).groups()
            float(value)
            family = name if name in families else re.sub("_(bucket|sum|count)$", "", name)
            assert family in families, f"{name} is not announced"
            assert line not in seen, f"{line} stands twice"
            seen.add(line)
    assert {"process_cpu_seconds_total", "concorde_http_requests_total", "process_open_fds",
            "synapse_http_server_response_time_seconds", "synapse_rate_limit_reject_total",
            "synapse_storage_transaction_time_count_total",
            "synapse_storage_transaction_time_sum_total",
            "synapse_federation_client_sent_transactions_total",
            "synapse_federation_server_received_pdus_total"} <= set(families)


def address_of_this_machine():
    """An address that is not loopback; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("192.0.2.1", 9))
        return s.getsockname()[0]


def test_metrics_for_the_machines_that_are_named(fresh_server):
    """`enable_metrics`, known from Synapse, does not make them public."""
    own = address_of_this_machine()
    for settings, status in ({}, 404), ({"metrics_allowlist": f"{own}/32,10.255.0.0/16"}, 200):
        s = fresh_server(enable_metrics="true", listen="0.0.0.0:0", **settings)
        port = s.url.rsplit(":", 1)[1]
        url = f"http://{own}:{port}/metrics"
        assert plain.get(f"http://127.0.0.1:{port}/metrics").status_code == 200
        assert plain.get(url).status_code == status
        for header in "X-Forwarded-For", "Forwarded":  # for any client of the proxy
            assert plain.get(url, headers={header: own}).status_code == 404


def test_no_metrics_when_switched_off(fresh_server):
    s = fresh_server(enable_metrics="false")
    assert plain.get(f"{s.url}/metrics").status_code == 404
