"""One signed-in device of one user: Debian's matrix-nio with libolm. It has the same
commands as device.mjs."""

import asyncio
import io
import json
import sys
import tempfile
import traceback
from urllib.parse import urlsplit

from nio import (
    AsyncClient, AsyncClientConfig, ErrorResponse, Event, MegolmEvent, RoomEncryptedMedia,
    RoomMessageText,
)
from nio.crypto.attachments import decrypt_attachment


class Client(AsyncClient):
    """Records requests that the server did not know or failed at."""

    oddities = set()

    async def send(self, method, path, *args, **options):
        response = await super().send(method, path, *args, **options)
        if response.status in (404, 405) or response.status >= 500:
            if response.status >= 500 or "M_UNRECOGNIZED" in await response.text():
                self.oddities.add(f"{method} {urlsplit(path).path} {response.status}")
        return response


def checked(response):
    if isinstance(response, ErrorResponse):
        raise RuntimeError(f"{type(response).__name__}: {response}")
    return response


class Device:
    def __init__(self, url, store):
        self.url, self.store = url, store
        self.client = None
        self.timelines = {}  # room → events in the order of arrival
        self.files = {}  # event → the file of its content
        self.syncing = None

    async def start(self, user):
        config = AsyncClientConfig(encryption_enabled=True, store_sync_tokens=False)
        self.client = Client(self.url, user, store_path=self.store, config=config)
        self.client.add_event_callback(self.on_event, Event)

    async def on_event(self, room, event):
        shown = {"id": event.event_id, "sender": event.sender, "encrypted": event.decrypted}
        if isinstance(event, MegolmEvent):
            shown.update(type="m.room.encrypted", failure="not decrypted", encrypted=True)
        elif isinstance(event, (RoomMessageText, RoomEncryptedMedia)):
            shown.update(type="m.room.message", body=event.body)
            if isinstance(event, RoomEncryptedMedia):
                self.files[event.event_id] = event.source["content"]["file"]
        else:
            shown.update(type=event.source.get("type"))
        self.timelines.setdefault(room.room_id, []).append(shown)

    async def _signed_in(self):
        checked(await self.client.sync(timeout=0, full_state=True))
        if self.client.should_upload_keys:
            checked(await self.client.keys_upload())
        # nio does not fill gaps: this client asks for long timelines instead.
        wide = {"room": {"timeline": {"limit": 1000}}}
        self.syncing = asyncio.create_task(
            self.client.sync_forever(timeout=20000, sync_filter=wide))
        return {"user": self.client.user_id, "device": self.client.device_id}

    async def register(self, user, password):
        await self.start(user)
        checked(await self.client.register(user, password, device_name="nio"))
        return await self._signed_in()

    async def join(self, room):
        checked(await self.client.join(room))

    async def send(self, room, body):
        content = {"msgtype": "m.text", "body": body}
        sent = await self.client.room_send(
            room, "m.room.message", content, ignore_unverified_devices=True)
        return checked(sent).event_id

    async def sendFile(self, room, name, text):
        plain = text.encode()
        uploaded, file = await self.client.upload(
            lambda *_: io.BytesIO(plain), "application/octet-stream", name, encrypt=True,
            filesize=len(plain))
        content = {"msgtype": "m.file", "body": name,
                   "file": {**file, "url": checked(uploaded).content_uri}}
        sent = await self.client.room_send(
            room, "m.room.message", content, ignore_unverified_devices=True)
        return checked(sent).event_id

    async def readFile(self, room, event):
        """This nio can only download without a token; the test is of its decryption."""
        file = self.files[event]
        url = f"{self.url}/_matrix/client/v1/media/download/{file['url'].removeprefix('mxc://')}"
        headers = {"Authorization": f"Bearer {self.client.access_token}"}
        async with self.client.client_session.get(url, headers=headers) as response:
            response.raise_for_status()
            cipher = await response.read()
        return decrypt_attachment(
            cipher, file["key"]["k"], file["hashes"]["sha256"], file["iv"]).decode()

    async def typing(self, room, on):
        checked(await self.client.room_typing(room, on))

    async def markRead(self, room, event):
        checked(await self.client.room_read_markers(room, event, event))

    async def view(self, room_id):
        room = self.client.rooms.get(room_id)
        if not room:
            return None
        return {
            "name": room.display_name,
            "members": list(room.users),
            "encrypted": room.encrypted,
            "typing": list(room.typing_users),
            "timeline": self.timelines.get(room_id, []),
            "unread": room.unread_notifications,
        }

    async def requests(self):
        return sorted(Client.oddities)

    async def lastSync(self):
        return f"nio's next_batch: {self.client.next_batch}"


async def main(url):
    with tempfile.TemporaryDirectory(prefix="concorde-nio-") as store:
        device = Device(url, store)
        lines = asyncio.StreamReader(limit=1 << 24)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)

        async def run(command):
            try:
                answer = {"value": await getattr(device, command["do"])(*command["args"])}
            except Exception:
                answer = {"error": traceback.format_exc()}
            print(json.dumps({"id": command["id"], **answer}), flush=True)

        tasks = set()
        while line := await lines.readline():
            tasks.add(asyncio.create_task(run(json.loads(line))))
        if device.syncing:
            device.syncing.cancel()
        if device.client:
            await device.client.close()


asyncio.run(main(sys.argv[1]))
