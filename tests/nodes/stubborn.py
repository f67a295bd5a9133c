"""A client of the load: it repeats each request until it is answered with something other than "come back later",
and counts the attempts that ended without an answer."""

import asyncio
import json

import aiohttp
from yarl import URL

PREFIX = "/_matrix/client/v3"
AGAIN = (429, 502, 503, 504)
PAUSE = 0.05  # before a request is repeated, seconds
PATIENCE = 5  # for an answer, seconds: a paused node gives none. A /sync may wait besides.


class Wrong(Exception):
    """An answer that no client can use."""


class Stubborn:
    """user: a Client that has registered. ends: an Event: then one answer of any kind is enough."""

    def __init__(self, session, user):
        self.session, self.name, self.base = session, user.user_id, user.server.url + PREFIX
        self.headers = {"Authorization": f"Bearer {user.token}", "Content-Type": "application/json"}
        self.device_id = user.device_id

    async def attempt(self, method, path, body, params):
        """(status, text, how many nodes were asked before in vain); status None: no answer came."""
        try:
            async with self.session.request(
                    method, URL(self.base + path, encoded=True).update_query(params or {}),
                    data=None if body is None else json.dumps(body), headers=self.headers,
                    timeout=aiohttp.ClientTimeout(PATIENCE + (params or {}).get("timeout", 0) / 1000)) as r:
                return r.status, await r.text(), r.headers.get("X-Nodes", "").count(",")
        except (aiohttp.ClientError, asyncio.TimeoutError, ConnectionError):
            return None, "", 0

    async def call(self, method, path, body=None, operation=None, may_be_repeated=True, **params):
        """The reply; None if the outcome is unknown and the request may not be repeated."""
        while True:
            status, text, failed = await self.attempt(method, path, body, params)
            if operation:
                operation.lost += failed + (status in (None, *AGAIN))
            if status == 200:
                return json.loads(text)
            if status not in (None, *AGAIN):
                raise Wrong(f"{method} {path} of {self.name}: {status} {text[:500]}")
            if not may_be_repeated:
                return None
            await asyncio.sleep(PAUSE)
