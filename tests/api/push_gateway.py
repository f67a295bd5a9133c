"""A push gateway that the test plays (push-gateway-api), well behaved or not."""

import http.server
import json
import threading

from waiting import eventually

PATH = "/_matrix/push/v1/notify"


class Gateway:
    """answer(notification) may return (status, headers, body) or None for a success; it may block."""

    def __init__(self):
        gateway = self
        self.got, self.lock, self.answer, self.rejected = [], threading.Lock(), None, []
        self.connections, self.at_once, self.most_at_once = 0, 0, 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                with gateway.lock:
                    gateway.connections += 1

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with gateway.lock:
                    gateway.at_once += 1
                    gateway.most_at_once = max(gateway.most_at_once, gateway.at_once)
                try:
                    gateway.handle(self, body)
                finally:
                    with gateway.lock:
                        gateway.at_once -= 1

            def log_message(self, *args):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, address):
                pass  # the other side has closed the connection

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}{PATH}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def handle(self, handler, body):
        assert handler.path == PATH and handler.headers["Content-Type"] == "application/json"
        n = json.loads(body)["notification"]
        status, headers, reply = (self.answer and self.answer(n)) or (200, {}, None)
        with self.lock:
            rejected = [d["pushkey"] for d in n["devices"] if d["pushkey"] in self.rejected]
            self.got.append({**n, "status": status})
        reply = json.dumps({"rejected": rejected}).encode() if reply is None else reply
        handler.send_response(status)
        for key, value in headers.items():
            handler.send_header(key, value)
        if "Transfer-Encoding" not in headers:
            handler.send_header("Content-Length", str(len(reply)))
        handler.end_headers()
        handler.wfile.write(reply)

    def of(self, pushkey, counts=False):
        """The notifications for that key that were accepted; counts: those without an event."""
        with self.lock:
            return [n for n in self.got if n["status"] == 200 and n["devices"][0]["pushkey"] == pushkey
                    and ("event_id" in n) != counts]

    def wait(self, pushkey, n=1, counts=False):
        return eventually(lambda: len(self.of(pushkey, counts)) >= n and self.of(pushkey, counts),
                          failing=lambda: f"{self.of(pushkey, counts)} of {n}")

    def events(self, pushkey):
        return [n["event_id"] for n in self.of(pushkey)]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def pusher(client, app="org.test.phone", key=None, data=None, **more):
    """Sets a pusher; its key."""
    key = key or f"key of {client.user_id}"
    client.post("/pushers/set", {
        "kind": "http", "app_id": app, "pushkey": key, "app_display_name": "App",
        "device_display_name": "Phone", "lang": "en",
        "data": {"url": "https://push.example.org" + PATH, **(data or {})}, **more})
    return key
