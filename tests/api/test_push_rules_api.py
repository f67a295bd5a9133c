"""Push rules: API. Their effect on counts is in test_unread.py."""

import pytest

from client import q

KINDS = ["override", "content", "room", "sender", "underride"]


def rule(kind, id, part=""):
    return f"/pushrules/global/{kind}/{q(id)}{part}"


def ids(client, kind):
    return [r["rule_id"] for r in client.get("/pushrules/")["global"][kind]]


def own(client, kind):
    return [i for i in ids(client, kind) if not i.startswith(".")]


def pushed(reply):
    return [e["content"] for e in reply["account_data"]["events"] if e["type"] == "m.push_rules"]


def test_all_users_have_the_predefined_rules(alice):
    rules = alice.get("/pushrules/")
    assert set(rules) == {"global"} and set(rules["global"]) == set(KINDS)
    assert alice.get("/pushrules/global/") == rules["global"]
    assert alice.get("/pushrules/global/override/") == rules["global"]["override"]
    assert ids(alice, "override")[0] == ".m.rule.master"
    assert ".m.rule.is_user_mention" in ids(alice, "override")
    assert ".m.rule.encrypted" in ids(alice, "underride")
    assert pushed(alice.sync()) == [rules]


def test_put_get_delete(alice):
    body = {"pattern": "cake*lie", "actions": ["notify"]}
    assert alice.put(rule("content", "nocake"), body) == {}
    assert alice.get(rule("content", "nocake")) == {
        "rule_id": "nocake", "default": False, "enabled": True, **body}
    alice.put(rule("content", "nocake"), {"pattern": "pie", "actions": []})
    assert alice.get(rule("content", "nocake"))["pattern"] == "pie"
    assert alice.delete(rule("content", "nocake")) == {}
    alice.fails(404, "M_NOT_FOUND", "GET", rule("content", "nocake"))
    alice.fails(404, "M_NOT_FOUND", "DELETE", rule("content", "nocake"))


def test_ids_with_strange_letters(alice):
    for id in ("!room:test.example", "ä b", "%41", "#spam:x.y"):
        alice.put(rule("room", id), {"actions": []})
        assert alice.get(rule("room", id))["rule_id"] == id


def test_order(alice):
    def put(id, **params):
        alice.put(rule("sender", id), {"actions": []}, params=params)

    put("@a:x"), put("@b:x"), put("@c:x")
    assert own(alice, "sender") == ["@c:x", "@b:x", "@a:x"]
    put("@d:x", before="@b:x")
    put("@e:x", after="@b:x")
    assert own(alice, "sender") == ["@c:x", "@d:x", "@b:x", "@e:x", "@a:x"]
    put("@a:x", before="@c:x")
    assert own(alice, "sender") == ["@a:x", "@c:x", "@d:x", "@b:x", "@e:x"]
    alice.fails(400, "M_UNKNOWN", "PUT", rule("sender", "@f:x"), {"actions": []},
                params={"before": "@unknown:x"})


def test_own_rules_come_before_the_predefined(alice):
    alice.put(rule("override", "mine"), {"actions": [], "conditions": []})
    assert ids(alice, "override")[:2] == [".m.rule.master", "mine"]


def test_enabled(alice):
    alice.put(rule("room", "!r:x"), {"actions": []})
    for kind, id in (("room", "!r:x"), ("override", ".m.rule.suppress_notices")):
        assert alice.get(rule(kind, id, "/enabled")) == {"enabled": True}
        assert alice.put(rule(kind, id, "/enabled"), {"enabled": False}) == {}
        assert alice.get(rule(kind, id, "/enabled")) == {"enabled": False}
        assert alice.get(rule(kind, id))["enabled"] is False
        alice.put(rule(kind, id, "/enabled"), {"enabled": True})
        assert alice.get(rule(kind, id, "/enabled")) == {"enabled": True}
    alice.fails(404, "M_NOT_FOUND", "GET", rule("room", "!s:x", "/enabled"))
    alice.fails(404, "M_NOT_FOUND", "PUT", rule("room", "!s:x", "/enabled"), {"enabled": True})
    alice.fails(400, "M_MISSING_PARAM", "PUT", rule("room", "!r:x", "/enabled"), {})
    alice.fails(400, "M_BAD_JSON", "PUT", rule("room", "!r:x", "/enabled"), {"enabled": "yes"})


def test_actions(alice):
    loud = ["notify", {"set_tweak": "sound", "value": "bing"}, {"set_tweak": "highlight"}]
    assert alice.get(rule("underride", ".m.rule.message", "/actions")) == {"actions": ["notify"]}
    assert alice.put(rule("underride", ".m.rule.message", "/actions"), {"actions": loud}) == {}
    assert alice.get(rule("underride", ".m.rule.message", "/actions")) == {"actions": loud}
    alice.fails(404, "M_NOT_FOUND", "PUT", rule("room", "!s:x", "/actions"), {"actions": []})
    alice.fails(400, "M_MISSING_PARAM", "PUT", rule("underride", ".m.rule.message", "/actions"), {})
    alice.fails(400, "M_BAD_JSON", "PUT", rule("underride", ".m.rule.message", "/actions"),
                {"actions": "notify"})


@pytest.mark.parametrize("kind, id, body", [
    ("content", "x", {"actions": ["notify"]}),             # no pattern
    ("content", "x", {"pattern": 5, "actions": ["notify"]}),
    ("override", "x", {"actions": "notify"}),
    ("override", "x", {}),
    ("override", "x", {"actions": [], "conditions": {}}),
    ("override", ".mine", {"actions": [], "conditions": []}),
    ("override", "a/b", {"actions": [], "conditions": []}),
    ("override", "a\\b", {"actions": [], "conditions": []}),
    ("override", "x" * 300, {"actions": [], "conditions": []}),
    ("nonsense", "x", {"actions": []}),
])
def test_refusals(alice, kind, id, body):
    r = alice.request("PUT", rule(kind, id), body)
    assert r.status_code in (400, 413), r.text
    assert r.json()["errcode"].startswith("M_")
    assert own(alice, "override") == [] and own(alice, "content") == []


def test_predefined_ones_stay(alice):
    alice.fails(404, "M_NOT_FOUND", "DELETE", rule("override", ".m.rule.master"))


def test_changes_are_in_sync(alice):
    phone = alice.another_device()
    phone.next_sync()
    alice.put(rule("content", "cake"), {"pattern": "cake", "actions": ["notify"]})
    got = pushed(phone.next_sync(timeout=10000))
    assert got == [alice.get("/pushrules/")]
    assert got[0]["global"]["content"][0]["rule_id"] == "cake"
    assert pushed(phone.next_sync()) == []
    no_rules = '{"account_data":{"not_types":["m.push_rules"]}}'
    assert pushed(phone.sync(filter=no_rules)) == []


def test_each_has_their_own(alice, bob):
    alice.put(rule("content", "cake"), {"pattern": "cake", "actions": ["notify"]})
    assert own(bob, "content") == []
    assert own(alice, "content") == ["cake"]


ODD = ["global", "global/content", "global/nonsense/", "global/nonsense/x", "device/", "device/content/x",
       "global/content/x/nonsense", "global/content/x/enabled/more", "global/content/x/"]


@pytest.mark.parametrize("where", ODD)
def test_odd_paths(alice, where):
    alice.put(rule("content", "x"), {"pattern": "x", "actions": ["notify"]})
    alice.fails(400, "M_UNRECOGNIZED", "GET", f"/pushrules/{where}")


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("where", ["", "global", "global/", "global/content", "global/content/",
                                   "device/content/x", "global/content/x/nonsense"])
def test_odd_paths_of_changes(alice, method, where):
    alice.fails(400, "M_UNRECOGNIZED", method, f"/pushrules/{where}", {"actions": []})


def test_a_kind_or_id_that_cannot_be(alice):
    body = {"actions": ["notify"], "pattern": "x", "conditions": []}
    for kind, id in ("nonsense", "x"), ("content", ".mine"), ("content", "a\\b"), ("content", "a/b"):
        alice.fails(400, "M_INVALID_PARAM", "PUT", rule(kind, id), body)
    alice.fails(404, "M_UNRECOGNIZED", "GET", "/pushrules")
    alice.fails(405, "M_UNRECOGNIZED", "POST", rule("content", "x"), body)
