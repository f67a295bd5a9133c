"""Client-server API, "Reporting content"."""

from client import q


def test_report_an_event(alice, bob):
    room = alice.create_room(preset="public_chat")
    event = alice.send(room, "bad")
    path = f"/rooms/{q(room)}/report/{q(event)}"
    bob.fails(404, "M_NOT_FOUND", "POST", path, {"reason": "sad"})
    bob.join(room)
    assert bob.post(path, {"reason": "sad", "score": -100}) == {}
    assert bob.post(path, {}) == {}
    bob.fails(400, "M_BAD_JSON", "POST", path, {"reason": 1})
    bob.fails(400, "M_INVALID_PARAM", "POST", path, {"reason": "x" * 10001})
    missing = f"/rooms/{q(room)}/report/{q('$' + 'x' * 43)}"
    bob.fails(404, "M_NOT_FOUND", "POST", missing, {"reason": "sad"})
    other = bob.create_room()
    bob.fails(404, "M_NOT_FOUND", "POST", f"/rooms/{q(other)}/report/{q(event)}", {"reason": "x"})


def test_report_a_room(alice, bob):
    room = alice.create_room()
    path = f"/rooms/{q(room)}/report"
    assert bob.post(path, {"reason": ""}) == {}
    bob.fails(400, "M_MISSING_PARAM", "POST", path, {})
    bob.fails(404, "M_NOT_FOUND", "POST", f"/rooms/{q('!nowhere:test.example')}/report",
              {"reason": "x"})


def test_report_a_user(alice, bob):
    assert bob.post(f"/users/{q(alice.user_id)}/report", {"reason": "rude"}) == {}
    assert bob.post(f"/users/{q('@x:elsewhere.example')}/report", {"reason": "rude"}) == {}
    bob.fails(404, "M_NOT_FOUND", "POST", f"/users/{q('@unknown:test.example')}/report",
              {"reason": "x"})
    bob.fails(400, "M_INVALID_PARAM", "POST", "/users/nonsense/report", {"reason": "x"})
    bob.fails(400, "M_MISSING_PARAM", "POST", f"/users/{q(alice.user_id)}/report", {})
