"""Client-server API, "Third-party Lookup": clients ask at each start, with or without bridges."""

BASE = "/thirdparty"


def test_without_bridges_there_is_nothing_to_find(alice, anonymous):
    assert alice.get(f"{BASE}/protocols") == {}
    alice.fails(404, "M_NOT_FOUND", "GET", f"{BASE}/protocol/irc")
    for path in "location", "location/irc", "user", "user/irc":
        assert alice.get(f"{BASE}/{path}", params={"alias": "#a:b", "userid": "@a:b"}) == []
    anonymous.fails(401, "M_MISSING_TOKEN", "GET", f"{BASE}/protocols")
