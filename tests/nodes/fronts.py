"""The reverse proxies of deploy/ (proxies.py) as balancers of a Cluster: without TLS, which the load does not use."""

import re

import plain
from proxies import Proxy, haproxy, nginx


class Front(Proxy):
    """As Balancer."""

    def __init__(self, ports):
        super().__init__(type(self).command, ports)
        self.addresses = [f"http://127.0.0.1:{self.port}"]

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError((self.home / "log").read_text())
        return plain.get(f"http://127.0.0.1:{self.port}/metrics").status_code == 404  # which does not go through


class Nginx(Front):
    def command(self, ports):
        made = nginx(self, ports)
        conf = self.home / "nginx.conf"
        text = re.sub(r".*ssl_certificate.*\n", "", conf.read_text().replace(" ssl http2;", ";"))
        text = text.replace("events {}", "events { worker_connections 8192; }")
        # For the checker of histories: which nodes were asked.
        conf.write_text(text.replace("proxy_buffering off;", "proxy_buffering off; add_header X-Nodes $upstream_addr always;"))
        return made


class Haproxy(Front):
    def command(self, ports):
        made = haproxy(self, ports)
        conf = self.home / "haproxy.cfg"
        conf.write_text(re.sub(r" ssl crt .*", "", conf.read_text()))
        return made
