"""Pushers: storing and listing them."""

import pytest

PUSHER = {
    "kind": "http", "app_id": "org.example.app", "pushkey": "key/1+=",
    "app_display_name": "App", "device_display_name": "Phone", "lang": "en", "profile_tag": "x",
    "data": {"url": "https://push.example.org/_matrix/push/v1/notify", "format": "event_id_only",
             "org.example": {"kept": True}},
}


def test_set_list_delete(alice):
    assert alice.get("/pushers") == {"pushers": []}
    assert alice.post("/pushers/set", {**PUSHER, "append": False}) == {}
    more = {"org.matrix.msc3881.enabled": True, "org.matrix.msc3881.device_id": alice.device_id}
    assert alice.get("/pushers") == {"pushers": [{**PUSHER, **more}]}
    alice.post("/pushers/set", {**PUSHER, "lang": "de"})
    assert [p["lang"] for p in alice.get("/pushers")["pushers"]] == ["de"]
    alice.post("/pushers/set", {**PUSHER, "pushkey": "key 2"})
    assert len(alice.get("/pushers")["pushers"]) == 2
    gone = {"kind": None, "app_id": PUSHER["app_id"], "pushkey": PUSHER["pushkey"]}
    assert alice.post("/pushers/set", gone) == {}
    assert alice.post("/pushers/set", gone) == {}
    assert [p["pushkey"] for p in alice.get("/pushers")["pushers"]] == ["key 2"]


def test_a_key_moves_to_the_next_user_or_is_shared(alice, bob):
    alice.post("/pushers/set", {**PUSHER, "pushkey": "shared"})
    bob.post("/pushers/set", {**PUSHER, "pushkey": "shared", "append": True})
    assert len(alice.get("/pushers")["pushers"]) == len(bob.get("/pushers")["pushers"]) == 1
    bob.post("/pushers/set", {**PUSHER, "pushkey": "shared"})
    assert alice.get("/pushers") == {"pushers": []}


def test_it_is_deleted_with_its_device(alice):
    phone = alice.another_device()
    phone.post("/pushers/set", {**PUSHER, "pushkey": "of the phone"})
    assert len(alice.get("/pushers")["pushers"]) == 1
    phone.post("/logout")
    assert alice.get("/pushers") == {"pushers": []}


@pytest.mark.parametrize("change, errcode", [
    ({"kind": "email"}, "M_INVALID_PARAM"),
    ({"kind": 5}, "M_BAD_JSON"),
    ({"app_id": "x" * 65}, "M_INVALID_PARAM"),
    ({"pushkey": "x" * 513}, "M_INVALID_PARAM"),
    ({"lang": 5}, "M_BAD_JSON"),
    ({"data": {}}, "M_MISSING_PARAM"),
    ({"data": {"url": "http://push.example.org/_matrix/push/v1/notify"}}, "M_INVALID_PARAM"),
    ({"data": {"url": "https://push.example.org/other"}}, "M_INVALID_PARAM"),
    ({"data": {"url": "https://push.example.org"}}, "M_INVALID_PARAM"),
])
def test_refusals(alice, change, errcode):
    alice.fails(400, errcode, "POST", "/pushers/set", {**PUSHER, **change})
    assert alice.get("/pushers") == {"pushers": []}


@pytest.mark.parametrize("missing", ["kind", "app_id", "pushkey", "app_display_name",
                                     "device_display_name", "lang", "data"])
def test_required_members(alice, missing):
    body = {k: v for k, v in PUSHER.items() if k != missing}
    alice.fails(400, "M_MISSING_PARAM", "POST", "/pushers/set", body)
