"""The reverse proxies of deploy/ in front of several nodes: the same files, with the addresses of a test and without TLS
(tests/api/test_proxy.py has it)."""

import pathlib
import re
import shutil
import subprocess
import tempfile

import plain
from machines import example
from postgres import port_to_keep
from test_proxy import nginx, program
from waiting import eventually


class Front:
    """As Balancer."""

    def __init__(self, ports):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="concorde-front-"))
        self.home.chmod(0o755)
        port = port_to_keep()
        self.addresses = [f"http://127.0.0.1:{port}"]
        nodes = [(f"10.0.0.{i}:8008", f"127.0.0.1:{p}") for i, p in enumerate(ports, 1)]
        command = self._command(port, nodes)
        self.log = (self.home / "log").open("w")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        eventually(self.answers, 60, lambda: (self.home / "log").read_text())

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError((self.home / "log").read_text())
        return plain.get(f"{self.addresses[0]}/metrics").status_code == 404  # which does not go through

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)


class Nginx(Front):
    def _command(self, port, nodes):
        command = nginx(self.home, "http://concorde", port, "", "")
        text = (self.home / "nginx.conf").read_text()
        text = re.sub(r".*ssl_certificate.*\n", "", text.replace(f"{port} ssl http2;", f"{port};"))
        text = text.replace("events {}", "events { worker_connections 8192; }")
        # For the checker of histories: which nodes were asked.
        text = text.replace("proxy_buffering off;", "proxy_buffering off;\nadd_header X-Nodes $upstream_addr always;")
        text = text.replace("http {\n", f"http {{\n{example('nginx-nodes.conf', *nodes)}", 1)
        (self.home / "nginx.conf").write_text(text)
        return command


class Haproxy(Front):
    def _command(self, port, nodes):
        text = example("haproxy.cfg", *nodes, (
            ":443 ssl crt /etc/ssl/matrix.example.org.pem alpn h2,http/1.1", f"127.0.0.1:{port}"))
        (self.home / "haproxy.cfg").write_text(text)
        return [program("haproxy"), "-db", "-f", str(self.home / "haproxy.cfg")]
