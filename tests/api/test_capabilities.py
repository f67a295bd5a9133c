"""Client-server API, "Capabilities negotiation"."""


def test_capabilities(alice):
    c = alice.get("/capabilities")["capabilities"]
    flags = {k: v["enabled"] for k, v in c.items() if "enabled" in v}
    assert flags == {
        "m.change_password": True, "m.set_displayname": True, "m.set_avatar_url": True,
        "m.3pid_changes": False, "m.get_login_token": True, "m.profile_fields": True,
        "m.forget_forced_upon_leave": False, "uk.tcpip.msc4133.profile_fields": True,
    }
    assert c["m.room_versions"] == {
        "default": "12", "available": {str(n): "stable" for n in range(1, 13)}}
    assert "m.account_moderation" not in c


def test_capabilities_need_a_token(anonymous):
    anonymous.fails(401, "M_MISSING_TOKEN", "GET", "/capabilities")


def test_the_default_room_version_is_a_setting(fresh_server):
    from client import Client

    c = Client(fresh_server(default_room_version="10")).register("ann")
    assert c.get("/capabilities")["capabilities"]["m.room_versions"]["default"] == "10"
