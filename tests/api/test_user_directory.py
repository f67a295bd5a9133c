"""Client-server API, "User directory" and "Mutual rooms"."""

import itertools

import pytest

from client import q

numbers = itertools.count(1)


def search(client, term, **body):
    reply = client.post("/user_directory/search", {"search_term": term, **body})
    return [r["user_id"] for r in reply["results"]], reply


def rename(client, name):
    client.put(f"/profile/{q(client.user_id)}/displayname", {"displayname": name})


@pytest.fixture
def word():
    """A name that no other user has."""
    return f"Ünique{next(numbers)}x"


def test_found_by_users_who_share_a_room(alice, bob, register, word):
    rename(bob, f"The {word} Bob")
    room = alice.create_room(invite=[bob.user_id])
    assert search(alice, word)[0] == []
    bob.join(room)
    for term in word, word.upper(), word.lower(), word[1:4] + word[4:]:
        assert search(alice, term)[0] == [bob.user_id], term
    result = search(alice, word)[1]["results"][0]
    assert result["display_name"] == f"The {word} Bob" and result["avatar_url"] is None
    assert search(alice, bob.user_id)[0] == [bob.user_id]
    assert search(alice, bob.user_id[1:].split(":")[0].upper())[0][0] == bob.user_id
    assert search(register("outsider"), word)[0] == []
    bob.leave(room)
    assert search(alice, word)[0] == []


def test_users_find_themselves(register, word):
    user = register("alone")
    rename(user, word)
    assert search(user, word)[0] == [user.user_id]  # also without any room
    assert search(user, user.user_id)[0] == [user.user_id]


@pytest.mark.parametrize("name, terms", [
    ("L\u00e9on Bj\u00f8rn{}", ["leon bjorn{}", "LE\u0301ON BJ\u00d8RN{}", "l\u00e9on bjorn{}", "eon Bj\u00f6rn{}"]),
    ("Leon{}", ["L\u00e9on{}"]),
    ("Fran\u00e7ois\u0301e{}", ["francoise{}", "FRANC\u0327OI\u015aE{}"]),
    ("Gro\u00df{}", ["GROSS{}", "gro\u00df{}"]),
    ("\u0395\u03bb\u03ad\u03bd\u03b7{}", ["\u03b5\u03bb\u03b5\u03bd\u03b7{}"]),
    ("nul\u0000\u00c9l{}", ["el{}"]),
])
def test_accents_case_and_unicode_form_do_not_matter(alice, bob, name, terms):
    number = f"{next(numbers)}q"
    alice.create_room(preset="public_chat")
    bob.create_room(preset="public_chat")
    rename(bob, name.format(number))
    wrong = [term for term in terms if search(alice, term.format(number))[0] != [bob.user_id]]
    assert not wrong
    assert search(alice, name.format(number).replace("\0", "")[:3] + "\u3042")[0] == []


@pytest.mark.parametrize("how", [
    {"preset": "public_chat"},
    {"initial_state": [{"type": "m.room.history_visibility",
                        "content": {"history_visibility": "world_readable"}}]}])
def test_found_in_public_rooms(alice, bob, word, how):
    rename(bob, word)
    assert search(alice, word)[0] == []
    room = bob.create_room(**how)
    assert search(alice, word)[0] == [bob.user_id]
    bob.leave(room)
    assert search(alice, word)[0] == []


def test_limit_and_order(alice, register, word):
    room = alice.create_room(preset="public_chat")
    people = [register("listed") for _ in range(3)]
    for person, name in zip(people, [f"x {word}", f"{word} y", word]):
        rename(person, name)
        person.join(room)
    found, reply = search(alice, word)
    assert found == [p.user_id for p in reversed(people)]
    assert reply["limited"] is False
    found, reply = search(alice, word, limit=2)
    assert found == [people[2].user_id, people[1].user_id]
    assert reply["limited"] is True


def test_words_in_any_order(alice, bob, word):
    alice.create_room(preset="public_chat")
    bob.create_room(preset="public_chat")
    rename(bob, f"Jean-René  Dupont {word}")
    local = bob.user_id[1:].split(":")[0]
    for term in (f"dupont {word} jean", f"{word}, Dupont; Jean", f"  {word}\u00a0rene\tdup ",
                 f"upon {word}", f"{local} {word}", f"{word} @{local.upper()}:"):
        assert search(alice, term)[0] == [bob.user_id], term
    for term in f"{word} pierre", f"dupont {word}q", " ,; ":
        assert search(alice, term)[0] == [], term


def test_words_beyond_the_tenth_do_not_count(alice, register, word):
    rename(alice, f"{word} a b c d e f g h i")
    assert search(alice, f"{word} i h g f e d c b a zzz")[0] == [alice.user_id]
    assert search(alice, f"{word} i h g f e d c b zzz")[0] == []


def test_beginnings_of_words_come_first(alice, register, word):
    room = alice.create_room(preset="public_chat")
    people = [register("ordered") for _ in range(3)]
    for person, name in zip(people, [f"Xjean {word}", f"{word} Jean", f"Jean {word}"]):
        rename(person, name)
        person.join(room)
    assert search(alice, f"jean {word}")[0] == [p.user_id for p in reversed(people)]


def test_terms_of_every_kind(alice, bob):
    room = alice.create_room(preset="public_chat")
    bob.join(room)
    rename(bob, 'quo"te \\ 100% under_score')
    for term in 'QUO"TE', "\\", "100%", "R_S":
        assert bob.user_id in search(alice, term, limit=50)[0], term
    for term in "quo_te", "1%0", '"displayname', "{":
        assert bob.user_id not in search(alice, term, limit=50)[0], term
    assert search(alice, "")[0] == []


def test_bad_searches(alice):
    alice.fails(400, "M_MISSING_PARAM", "POST", "/user_directory/search", {})
    alice.fails(400, "M_BAD_JSON", "POST", "/user_directory/search", {"search_term": 1})
    alice.fails(400, "M_INVALID_PARAM", "POST", "/user_directory/search",
                {"search_term": "x", "limit": -1})
    alice.fails(400, "M_INVALID_PARAM", "POST", "/user_directory/search",
                {"search_term": "x" * 256})


# ---- mutual rooms ----

PATHS = ["/_matrix/client/v1/mutual_rooms",
         "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms"]


@pytest.mark.parametrize("path", PATHS)
def test_mutual_rooms(alice, bob, path):
    shared = [alice.create_room(preset="public_chat") for _ in range(3)]
    for room in shared:
        bob.join(room)
    bob.leave(shared[0])
    alice.create_room(invite=[bob.user_id])
    reply = alice.get(path, params={"user_id": bob.user_id})
    assert set(reply["joined"]) == set(shared[1:])
    assert reply["count"] == 2
    assert "next_batch" not in reply
    assert bob.get(path, params={"user_id": alice.user_id})["count"] == 2


def test_mutual_rooms_refusals(alice):
    assert alice.get(PATHS[0], params={"user_id": "@unknown:elsewhere.example"}) == {
        "joined": [], "count": 0}
    alice.fails(400, "M_MISSING_PARAM", "GET", PATHS[0])
    for wrong in alice.user_id, "bob", "@b b:test.example":
        alice.fails(400, "M_INVALID_PARAM", "GET", PATHS[0], params={"user_id": wrong})
    alice.fails(400, "M_INVALID_PARAM", "GET", PATHS[0],
                params={"user_id": "@x:test.example", "from": "nonsense"})
