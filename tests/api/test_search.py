"""POST /search: full text search over what the user may see."""

import json

import pytest

from client import Client, q
from federation import history, received
from restoring import locked
from waiting import eventually


def search(client, term, params=None, **criteria):
    body = {"search_categories": {"room_events": {"search_term": term, **criteria}}}
    return client.post("/search", body, params=params)["search_categories"]["room_events"]


def hits(reply):
    return [r["result"]["content"].get("body") for r in reply["results"]]


def test_new_messages_are_found(alice):
    room = alice.create_room()
    alice.send(room, "Quick brown foxes")
    event = alice.send(room, "The lazy dog sleeps")
    r = search(alice, "lazy")
    assert hits(r) == ["The lazy dog sleeps"] and r["count"] == 1 and r["highlights"] == ["lazy"]
    assert r["results"][0]["rank"] > 0 and "next_batch" not in r
    found = r["results"][0]["result"]
    assert found["event_id"] == event and found["room_id"] == room and "unsigned" in found
    assert "context" not in r["results"][0] and "groups" not in r and "state" not in r


@pytest.mark.parametrize("term, found", [
    ("dog LAZY", ["the lazy dog"]),
    ("dog cat", []),
    ("dog or cat", ["a cat", "the lazy dog"]),
    ('"lazy dog"', ["the lazy dog"]),
    ('"dog lazy"', []),
    ("the -dog", []),
    ("'); DROP TABLE events; --", []),
    ("& | ! ( ) :* <->", []),
    ("", []),
    ("Straße", ["die Straße"]),
])
def test_terms(alice, term, found):
    room = alice.create_room()
    for text in ("the lazy dog", "a cat", "die Straße"):
        alice.send(room, text)
    assert hits(search(alice, term, order_by="recent")) == found


SAID = {
    "link": "see https://www.youtube.com/watch?v=oHg5SJYRHA0 now",
    "intranet": "https://intern.example/akte/4711",
    "mail": "mail anna@interior.example please",
    "budget": "the report is budget-2024_v2.xlsx",
    "cafe": "Cafe\u0301 au lait",
    "verbs": "Nous avons \u00e9t\u00e9 d\u00e9rang\u00e9es par les agents",
    "school": "les \u00e9coles nationales",
    "english": "Searching several ministries",
    "japanese": "\u660e\u65e5\u306e\u4f1a\u8b70\u306f\u6771\u4eac\u30bf\u30ef\u30fc\u3067\u3059",
    "mixed": "meeting in \u5317\u4eac tomorrow",
    "korean": "\uc11c\uc6b8\uc5d0\uc11c \ub9cc\ub098\uc694",
    "thai": "\u0e1b\u0e23\u0e30\u0e40\u0e17\u0e28\u0e44\u0e17\u0e22",
    "russian": "\u0417\u0430\u0441\u0435\u0434\u0430\u043d\u0438\u0435 \u0401\u043b\u043a\u0430",
    "greek": "\u0391\u03b8\u03ae\u03bd\u03b1",
    "german": "Stra\u00dfe nach \u00d8rsted",
    "office": "c\u0153ur de l\u2019\u0153uvre",
    "quote": "she said don't \\ 'x'",
}


@pytest.fixture
def library(alice):
    room = alice.create_room()
    for text in SAID.values():
        alice.send(room, text)
    alice.send(room, {"msgtype": "m.file", "body": "our caption", "filename": "Jahresbericht_Entwurf.pdf",
                      "url": "mxc://x/y"})
    return alice


def test_searches_that_match(library):
    """A text by its words and their parts, in another form, without accents, inflected."""
    finds = {
        "link": ["https://www.youtube.com/watch?v=oHg5SJYRHA0", "oHg5SJYRHA0", "ohg5sjyrha0", "youtube",
                 "www.youtube.com", "watch?v=oHg5SJYRHA0", SAID["link"]],
        "intranet": ["https://intern.example/akte/4711", "4711", "akte/4711", "intern.example"],
        "mail": ["anna@interior.example", "anna", "interior.example", "@interior"],
        "budget": ["budget-2024_v2.xlsx", "budget", "xlsx", "2024", "budget-2024", "budget*", "bud*", "report",
                   "the reports", "Reporting"],
        "cafe": ["caf\u00e9", "CAFE", "Cafe\u0301", "cafes", "lait"],
        "verbs": ["d\u00e9ranger", "deranger", "d\u00e9rang\u00e9", "derangees", "agent", "\u00e9t\u00e9", "d'agents"],
        "school": ["\u00e9cole", "ecole", "l'\u00e9cole", "L\u2019\u00c9COLE", "nationale"],
        "english": ["search", "searched", "ministry", "Several MINISTRY"],
        "japanese": ["\u6771\u4eac", "\u6771\u4eac\u30bf\u30ef\u30fc", "\u660e\u65e5", "\u660e", "\u4f1a\u8b70", "\u3059"],
        "mixed": ["\u5317\u4eac", "\u5317", "\u4eac", "meetings \u5317\u4eac"],
        "korean": ["\uc11c\uc6b8"],
        "thai": ["\u0e44\u0e17\u0e22", "\u0e1b\u0e23\u0e30\u0e40\u0e17\u0e28\u0e44\u0e17\u0e22"],
        "russian": ["\u0437\u0430\u0441\u0435\u0434\u0430\u043d\u0438\u0435", "\u0435\u043b\u043a\u0430"],
        "greek": ["\u03b1\u03b8\u03b7\u03bd\u03b1", "\u0391\u0398\u0397\u039d\u0391"],
        "german": ["strasse", "STRASSE", "Orsted"],
        "office": ["coeur", "oeuvre", "c\u0153urs"],
        "quote": ["don't", "don\u2019t", "'x'", SAID["quote"]],
    }
    wrong = [(term, what) for what, terms in finds.items() for term in terms
             if SAID[what] not in hits(search(library, term))]
    assert not wrong
    for term in "Jahresbericht_Entwurf.pdf", "entwurf", "jahresbericht caption":
        assert hits(search(library, term)) == ["our caption"], term


@pytest.mark.parametrize("term", [
    "akte-4712", "2024-budget", "example/anna", '"reports"', '"is report"', "-https youtube -watch",
    "\u4eac\u6771", "\u65e5\u660e", "ministry school", "caf -lait", "budge", '"nation"', "watc", "or",
])
def test_searches_that_do_not_match(library, term):
    assert hits(search(library, term)) == []


def test_words_that_are_everywhere_count_when_there_are_no_others(library):
    assert hits(search(library, "what are the xlsx")) == [SAID["budget"]]
    assert hits(search(library, "the is")) == [SAID["budget"]]
    assert hits(search(library, "-xlsx")) == [SAID["budget"]]  # a lone negated word is searched for
    assert sorted(hits(search(library, "anna OR youtube"))) == sorted([SAID["mail"], SAID["link"]])


@pytest.mark.parametrize("term, words", [
    ("deranger agent", ["d\u00e9rang\u00e9es", "agents"]),
    ("CAFE", ["Cafe\u0301"]),
    ("budget-2024", ["budget", "2024"]),
    ("minis* search", ["Searching", "ministries"]),
    ("\u6771\u4eac\u30bf", ["\u6771\u4eac", "\u4eac\u30bf"]),
])
def test_highlights_stand_in_the_text(library, term, words):
    assert search(library, term)["highlights"] == words


def test_an_index_of_another_form_is_made_anew_in_the_background(fresh_server):
    """The form depends on the version and the configured languages."""
    s = fresh_server(search_languages="german")
    user = Client(s).register("archivist")
    room = user.create_room()
    oldest = user.send(room, "Nous avons \u00e9t\u00e9 d\u00e9rang\u00e9es")
    gone = user.send(room, "Vous d\u00e9rangez")
    for i in range(220):  # more than a page
        user.send(room, f"line {i}")
    user.redact(room, gone)
    assert hits(search(user, "line 7")) == ["line 7"]
    assert hits(search(user, "deranger")) == []
    s.stop()
    s.settings["search_languages"] = ["french", "english"]
    s.start()
    user = Client(s).login(user.user_id, user.password)
    found = eventually(lambda: search(user, "deranger")["results"])
    assert [r["result"]["event_id"] for r in found] == [oldest]
    user.send(room, "line 7 again")
    assert hits(search(user, '"line 7"', order_by="recent")) == ["line 7 again", "line 7"]


def test_hostile_texts_and_terms_are_bounded(alice):
    room = alice.create_room()
    long = "x" * 50000
    many = " ".join(f"w{i:x}" for i in range(9000))
    thick = "\ufdfa" * 15000
    for text in long, many, thick, "a\u0301" * 10000, "\u6f22" * 15000, "' \\ : * ' " * 3000:
        alice.send(room, text)
    alice.send(room, "the last one")
    assert hits(search(alice, "last")) == ["the last one"]
    assert hits(search(alice, "w1fff")) == [many] and hits(search(alice, "\u6f22\u6f22\u6f22"))
    assert hits(search(alice, "x" * 200)) == [long]
    for term in '"' * 1024, "-" * 1024, "a " * 512, "a-" * 512, "' " * 512, "*" * 1024, "\u6f22" * 341, \
            "a OR " * 200, '"a" ' * 256, "\\'" * 400, "\u00ab" * 500:
        search(alice, term)
    alice.fails(400, "M_INVALID_PARAM", "POST", "/search",
                {"search_categories": {"room_events": {"search_term": "x" * 1025}}})


def test_keys(alice):
    room = alice.create_room(name="xylophone name", topic="xylophone topic")
    alice.send(room, "xylophone body")
    types = lambda **c: {r["result"]["type"] for r in search(alice, "xylophone", **c)["results"]}
    assert types() == {"m.room.message", "m.room.name", "m.room.topic"}
    assert types(keys=["content.name"]) == {"m.room.name"}
    assert types(keys=["content.topic", "content.body"]) == {"m.room.message", "m.room.topic"}
    assert types(keys=[]) == set()


def test_rich_topics(alice):
    room = alice.create_room()
    alice.send_state(room, "m.room.topic", {"topic": "plain", "m.topic": {"m.text": [
        {"mimetype": "text/html", "body": "<b>marsupials</b>"}, {"body": "kangaroos"}]}})
    assert len(search(alice, "kangaroos")["results"]) == 1
    assert len(search(alice, "plain")["results"]) == 1
    assert search(alice, "marsupials")["results"] == []


def test_order_and_rank(alice):
    room = alice.create_room()
    alice.send(room, "needle needle needle")
    alice.send(room, "one needle in so much hay that there is hardly any needle to be found")
    alice.send(room, "needle")
    assert hits(search(alice, "needle", order_by="recent"))[0] == "needle"
    ranked = search(alice, "needle")["results"]
    assert [r["rank"] for r in ranked] == sorted((r["rank"] for r in ranked), reverse=True)
    assert ranked[0]["result"]["content"]["body"] == "needle needle needle"


@pytest.mark.parametrize("order", ["rank", "recent"])
def test_pages(alice, order):
    room = alice.create_room()
    sent = [alice.send(room, f"page turner {i}") for i in range(7)]
    seen, params = [], None
    for _ in range(10):
        r = search(alice, "turner", params, order_by=order, filter={"limit": 3})
        assert r["count"] == 7
        seen += [x["result"]["event_id"] for x in r["results"]]
        if "next_batch" not in r:
            break
        params = {"next_batch": r["next_batch"]}
        assert len(r["results"]) == 3
    assert seen == sent[::-1]


def test_filter(alice, bob):
    rooms = [alice.create_room(preset="public_chat") for _ in range(2)]
    bob.join(rooms[0])
    alice.send(rooms[0], "filtered a")
    bob.send(rooms[0], "filtered b")
    alice.send(rooms[1], "filtered c")
    found = lambda **f: hits(search(alice, "filtered", order_by="recent", filter=f))
    assert found(rooms=[rooms[0]]) == ["filtered b", "filtered a"]
    assert found(not_rooms=[rooms[0]]) == ["filtered c"]
    assert found(senders=[bob.user_id]) == ["filtered b"]
    assert found(types=["m.room.name"]) == []
    assert found(rooms=["!nowhere:test.example"]) == []


def test_only_visible_events(alice, bob, register):
    room = alice.create_room(preset="public_chat", initial_state=[
        {"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}])
    alice.send(room, "secret before")
    bob.join(room)
    alice.send(room, "secret shared")
    bob.leave(room)
    alice.send(room, "secret after")
    assert hits(search(bob, "secret")) == ["secret shared"]
    assert len(hits(search(alice, "secret"))) == 3
    assert hits(search(register("carol"), "secret")) == []


def test_redacted_and_encrypted_are_not_found(alice):
    room = alice.create_room()
    event = alice.send(room, "regrettable words")
    assert len(hits(search(alice, "regrettable"))) == 1
    alice.redact(room, event, reason="regrettable")
    r = search(alice, "regrettable")
    assert hits(r) == [] and r["count"] == 0
    alice.send(room, {"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "body": "sealed"},
               type="m.room.encrypted")
    assert hits(search(alice, "sealed")) == []


def test_history_that_came_from_another_server(two):
    """Backfilled events are found like those sent while the user was a member."""
    a, b = two
    alice, bob = a.user("alice"), b.user("bob")
    room = alice.create_room(preset="public_chat", name="Ostrich club")
    old = [alice.send(room, f"ostrich number {n}") for n in range(4)]
    for n in range(40):
        alice.send(room, f"filler {n}")
    bob.join(room, via=[a.name])
    received(bob, room, alice.send(room, "the newest ostrich"))
    eventually(lambda: set(old) <= set(history(bob, room)))
    wanted = ["the newest ostrich", *(f"ostrich number {n}" for n in (3, 2, 1, 0))]
    found, params = [], None
    while True:  # page by page
        reply = search(bob, "ostrich", params, keys=["content.body"], order_by="recent",
                       filter={"limit": 2}, event_context={"before_limit": 1, "after_limit": 1})
        assert reply["count"] == len(wanted)
        found += hits(reply)
        assert all(r["context"]["events_after"] for r in reply["results"] if "number" in str(r))
        if "next_batch" not in reply:
            break
        params = {"next_batch": reply["next_batch"]}
    assert found == wanted
    assert [r["result"]["content"]["name"] for r in
            search(bob, "ostrich", keys=["content.name"])["results"]] == ["Ostrich club"]

    alice.put(f"/rooms/{room}/redact/{q(old[1])}/r", {})
    eventually(lambda: not bob.event(room, old[1])["content"])
    assert search(bob, "ostrich", keys=["content.body"])["count"] == len(wanted) - 1


def test_context(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    for text in ("1", "2", "the middle", "3", "4", "5"):
        (bob if text == "3" else alice).send(room, text)
    r = search(alice, "middle", event_context={"before_limit": 1, "after_limit": 2,
                                               "include_profile": True})
    context = r["results"][0]["context"]
    texts = lambda events: [e["content"].get("body") for e in events]
    assert texts(context["events_before"]) == ["2"] and texts(context["events_after"]) == ["3", "4"]
    assert all(p["avatar_url"] is None for p in context["profile_info"].values())
    names = {u: p["displayname"] for u, p in context["profile_info"].items()}
    assert names == {c.user_id: c.user_id[1:].split(":")[0] for c in (alice, bob)}
    before = alice.messages(room, limit=1, **{"from": context["start"]})
    assert texts(before["chunk"]) == ["1"]
    after = alice.messages(room, dir="f", limit=1, **{"from": context["end"]})
    assert texts(after["chunk"]) == ["5"]
    r = search(alice, "middle", event_context={})["results"][0]["context"]
    assert len(r["events_before"]) == 5 and len(r["events_after"]) == 3 and "profile_info" not in r


def test_groups_and_state(alice, bob):
    rooms = [alice.create_room(preset="public_chat") for _ in range(2)]
    bob.join(rooms[0])
    a = alice.send(rooms[0], "grouped")
    b = bob.send(rooms[0], "grouped")
    c = alice.send(rooms[1], "grouped")
    r = search(alice, "grouped", include_state=True, order_by="recent",
               groupings={"group_by": [{"key": "room_id"}, {"key": "sender"}]})
    results = lambda key: {name: g["results"] for name, g in r["groups"][key].items()}
    assert results("room_id") == {rooms[0]: [b, a], rooms[1]: [c]}
    assert results("sender") == {alice.user_id: [c, a], bob.user_id: [b]}
    assert r["groups"]["room_id"][rooms[1]]["order"] < r["groups"]["room_id"][rooms[0]]["order"]
    assert set(r["state"]) == set(rooms)
    members = {e["state_key"] for e in r["state"][rooms[0]] if e["type"] == "m.room.member"}
    assert members == {alice.user_id, bob.user_id}


def test_a_page_has_the_state_of_ten_rooms(alice):
    said = [alice.send(alice.create_room(), "everywhere") for _ in range(12)]
    first = search(alice, "everywhere", include_state=True, order_by="recent")
    assert [r["result"]["event_id"] for r in first["results"]] == said[:1:-1] and len(first["state"]) == 10
    rest = search(alice, "everywhere", {"next_batch": first["next_batch"]}, include_state=True, order_by="recent",
                  filter={"limit": 50})
    assert [r["result"]["event_id"] for r in rest["results"]] == said[1::-1] and "next_batch" not in rest


@pytest.mark.parametrize("order", ["rank", "recent"])
def test_a_search_ends_when_its_time_is_over(fresh_server, order):
    s = fresh_server()
    alice = Client(s).register("alice")
    alice.send(alice.create_room(), "found")
    assert search(alice, "found")["results"]
    with locked(s, "search_index"):
        e = alice.fails(503, "M_UNKNOWN", "POST", "/search", {"search_categories": {"room_events": {
            "search_term": "found", "order_by": order}}})
    assert "rarer words" in e["error"]
    with locked(s, "profiles"):
        e = alice.fails(503, "M_UNKNOWN", "POST", "/user_directory/search", {"search_term": "alice"})
    assert "too long" in e["error"]
    assert search(alice, "found")["results"]
    assert alice.post("/user_directory/search", {"search_term": "alice"})["results"]


def test_bad_requests(alice, anonymous):
    events = lambda **c: {"search_categories": {"room_events": c}}
    alice.fails(400, "M_MISSING_PARAM", "POST", "/search", {})
    alice.fails(400, "M_MISSING_PARAM", "POST", "/search", events())
    alice.fails(400, "M_BAD_JSON", "POST", "/search", events(search_term=5))
    alice.fails(400, "M_INVALID_PARAM", "POST", "/search", events(search_term="x", order_by="age"))
    alice.fails(400, "M_INVALID_PARAM", "POST", "/search", events(search_term="x" * 2000))
    for token in ("x", "r", "r1", "rnan_1", "r1_", "1_1"):
        alice.fails(400, "M_INVALID_PARAM", "POST", "/search", events(search_term="x"),
                    params={"next_batch": token})
    assert alice.post("/search", {"search_categories": {}}) == {"search_categories": {}}
    anonymous.fails(401, "M_MISSING_TOKEN", "POST", "/search", events(search_term="x"))


def test_index_survives_a_restart(fresh_server, register):
    server = fresh_server()
    alice = register("alice", on=server)
    room = alice.create_room()
    alice.send(room, "before the restart")
    server.kill()
    server.start()
    alice.http.base_url = server.url
    assert hits(search(alice, "restart")) == ["before the restart"]
    alice.send(room, "after the restart")
    assert hits(search(alice, "restart", order_by="recent")) == [
        "after the restart", "before the restart"]


def test_messages_of_ignored_users_are_neither_found_nor_counted(alice, bob):
    room = alice.create_room(preset="public_chat", name="needles")
    bob.join(room)
    for i in range(3):
        alice.send(room, f"needles in hay {i}")
    own = bob.send(room, "needles of mine")
    assert search(bob, "needles")["count"] == 5
    path = f"/user/{q(bob.user_id)}/account_data/m.ignored_user_list"
    bob.put(path, {"ignored_users": {alice.user_id: {}}})
    r = search(bob, "needles", order_by="recent")
    assert r["count"] == len(r["results"]) == 2  # and the room's name, which is state
    assert r["results"][0]["result"]["event_id"] == own
    assert search(bob, "hay")["count"] == 0
    bob.put(path, {"ignored_users": {}})
    assert search(bob, "hay")["count"] == 3
