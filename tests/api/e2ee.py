"""Devices and cross-signing identities with real Ed25519 keys, for tests of the key endpoints."""

import base64
import itertools
import json
import os

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ALGORITHMS = ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"]


def b64(data):
    return base64.b64encode(data).decode().rstrip("=")


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class SigningKey:
    def __init__(self):
        self.private = Ed25519PrivateKey.generate()
        self.public = b64(
            self.private.public_key().public_bytes(
                serialization.Encoding.Raw, serialization.PublicFormat.Raw
            )
        )

    def sign(self, obj, user_id, name):
        """The object with a signature by `ed25519:name`, in place."""
        bare = {k: v for k, v in obj.items() if k not in ("signatures", "unsigned")}
        of_user = obj.setdefault("signatures", {}).setdefault(user_id, {})
        of_user[f"ed25519:{name}"] = b64(self.private.sign(canonical(bare)))
        return obj


class Device:
    """The keys of the device that a client is logged in as."""

    def __init__(self, client):
        self.client, self.user_id, self.id = client, client.user_id, client.device_id
        self.key = SigningKey()
        self.curve = b64(os.urandom(32))
        self.numbers = itertools.count(1)

    def keys(self):
        return self.key.sign(
            {
                "user_id": self.user_id,
                "device_id": self.id,
                "algorithms": ALGORITHMS,
                "keys": {f"curve25519:{self.id}": self.curve, f"ed25519:{self.id}": self.key.public},
            },
            self.user_id, self.id,
        )

    def one_time_key(self, **more):
        return self.key.sign({"key": b64(os.urandom(32)), **more}, self.user_id, self.id)

    def one_time_keys(self, n):
        return {f"signed_curve25519:AA{next(self.numbers):04}": self.one_time_key() for _ in range(n)}

    def upload(self, one_time=0, fallback=None):
        body = {"device_keys": self.keys()}
        if one_time:
            body["one_time_keys"] = self.one_time_keys(one_time)
        if fallback:
            body["fallback_keys"] = {
                f"signed_curve25519:{fallback}": self.one_time_key(fallback=True)
            }
        return self.client.post("/keys/upload", body)


class Identity:
    """A user's three cross-signing keys."""

    def __init__(self, user_id):
        self.user_id = user_id
        self.master, self.self_signing, self.user_signing = (SigningKey() for _ in range(3))

    def master_key(self):
        return self._key(self.master, "master")

    def self_signing_key(self):
        return self.signed(self._key(self.self_signing, "self_signing"))

    def user_signing_key(self):
        return self.signed(self._key(self.user_signing, "user_signing"))

    def signed(self, key):
        return self.master.sign(key, self.user_id, self.master.public)

    def body(self):
        return {
            "master_key": self.master_key(),
            "self_signing_key": self.self_signing_key(),
            "user_signing_key": self.user_signing_key(),
        }

    def _key(self, key, usage):
        return {
            "user_id": self.user_id,
            "usage": [usage],
            "keys": {f"ed25519:{key.public}": key.public},
        }


def query(client, *users):
    return client.post("/keys/query", {"device_keys": {u: [] for u in users}})
