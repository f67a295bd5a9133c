"""PDUs: format, hash, id and signature of every room version, and the selection of auth events.
Written from the specification, not from the server under test."""

import hashlib
import os
from base64 import b64encode, urlsafe_b64encode

from e2ee import SigningKey, b64, canonical

VERSIONS = [str(n) for n in range(1, 13)]

KEPT = {"event_id", "type", "room_id", "sender", "state_key", "content", "hashes", "signatures",
        "depth", "prev_events", "auth_events", "origin_server_ts"}
KEPT_BEFORE_11 = {"origin", "membership", "prev_state"}
LEVELS = ["ban", "events", "events_default", "kick", "redact", "state_default", "users",
          "users_default"]


def kept_content(type, version, content):
    n = int(version)
    if type == "m.room.create" and n >= 11:
        return content
    keys = {
        "m.room.member": ["membership"] + (["join_authorised_via_users_server"] if n >= 9 else []),
        "m.room.create": ["creator"],
        "m.room.join_rules": ["join_rule"] + (["allow"] if n >= 8 else []),
        "m.room.power_levels": LEVELS + (["invite"] if n >= 11 else []),
        "m.room.history_visibility": ["history_visibility"],
        "m.room.aliases": ["aliases"] if n <= 5 else [],
        "m.room.redaction": ["redacts"] if n >= 11 else [],
    }.get(type, [])
    kept = {k: content[k] for k in keys if k in content}
    third = content.get("third_party_invite")
    if type == "m.room.member" and n >= 11 and isinstance(third, dict) and "signed" in third:
        kept["third_party_invite"] = {"signed": third["signed"]}
    return kept


def redact(event, version):
    keys = KEPT | (KEPT_BEFORE_11 if int(version) < 11 else set())
    bare = {k: v for k, v in event.items() if k in keys}
    bare["content"] = kept_content(event["type"], version, event["content"])
    return bare


def hash_content(event):
    bare = {k: v for k, v in event.items() if k not in ("unsigned", "signatures", "hashes")}
    return b64(hashlib.sha256(canonical(bare)).digest())


def signed_bytes(event, version):
    """The bytes that are signed, and whose hash is the event id."""
    bare = redact(event, version)
    bare.pop("signatures", None)
    return canonical(bare)


def reference_hash(event, version):
    return hashlib.sha256(signed_bytes(event, version)).digest()


def event_id(event, version):
    n = int(version)
    if n <= 2:
        return event["event_id"]
    encode = b64encode if n == 3 else urlsafe_b64encode
    return "$" + encode(reference_hash(event, version)).decode().rstrip("=")


def references(ids, events, version):
    """prev_events or auth_events. events: id → event, for the hashes of versions 1 and 2."""
    if int(version) > 2:
        return list(ids)
    return [[i, {"sha256": b64(reference_hash(events[i], version)) if i in events else b64(bytes(32))}]
            for i in ids]


def ids_of(refs):
    return [r if isinstance(r, str) else r[0] for r in refs]


def sign(event, version, server, key, key_id="ed25519:1"):
    """Hashes and signs in place, keeping other signatures."""
    event["hashes"] = {"sha256": hash_content(event)}
    return add_signature(event, version, server, key, key_id)


def add_signature(event, version, server, key, key_id="ed25519:1"):
    signature = b64(key.private.sign(signed_bytes(event, version)))
    event.setdefault("signatures", {}).setdefault(server, {})[key_id] = signature
    return event


def new_event_id(server):
    """An event id of versions 1 and 2."""
    return f"${os.urandom(12).hex()}:{server}"


def auth_keys(type, sender, state_key, content, version):
    """(type, state_key) of the events that authorise one ("auth events selection")."""
    if type == "m.room.create":
        return []
    keys = [("m.room.create", "")] if int(version) < 12 else []
    keys += [("m.room.power_levels", ""), ("m.room.member", sender)]
    if type == "m.room.member":
        if state_key != sender:
            keys.append(("m.room.member", state_key))
        membership = content.get("membership")
        if membership in ("join", "invite", "knock"):
            keys.append(("m.room.join_rules", ""))
        if membership == "invite" and "third_party_invite" in content:
            token = content["third_party_invite"].get("signed", {}).get("token")
            keys.append(("m.room.third_party_invite", token))
        via = content.get("join_authorised_via_users_server")
        if via and int(version) >= 8:
            keys.append(("m.room.member", via))
    return keys


def make(version, room_id, sender, type, content, *, prev, auth, depth, ts, state_key=None,
         events=None, **more):
    """An event without hash and signature. prev, auth: ids. more: other keys of the event."""
    events = events or {}
    event = {
        "type": type, "sender": sender, "content": content, "depth": depth,
        "origin_server_ts": ts, "prev_events": references(prev, events, version),
        "auth_events": references(auth, events, version), **more,
    }
    server = sender.split(":", 1)[1]
    if type != "m.room.create" or int(version) < 12:
        event["room_id"] = room_id
    if state_key is not None:
        event["state_key"] = state_key
    if int(version) < 11:
        event["origin"] = server
    if int(version) <= 2:
        event.setdefault("event_id", new_event_id(server))
    return event


__all__ = [name for name in dir() if not name.startswith("_")] + ["SigningKey"]
