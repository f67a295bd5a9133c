"""The reverse proxies of deploy/ in front of several nodes: their files, with names, addresses and certificates of a
test."""

import os
import re
import shutil
import ssl
import subprocess
import tempfile
import pathlib

import httpx

from balancer import TEMPORARY
from postgres import port_to_keep
from server import ROOT
from test_proxy import program
from waiting import eventually


class Proxy:
    """With the interface of a server, as far as Client needs it."""

    def __init__(self, make, ports):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="concorde-proxy-"))
        self.home.chmod(0o755)
        self.port = port_to_keep()
        self.cert, self.key = self.home / "cert", self.home / "cert.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
             "1", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.key, "-out",
             self.cert], check=True, capture_output=True)
        self.key.chmod(0o644)
        self.url, self.tls = f"https://127.0.0.1:{self.port}", ssl.create_default_context(cafile=str(self.cert))
        self.log = (self.home / "log").open("w+")
        self.process = subprocess.Popen(make(self, ports), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env={**os.environ, "HOME": str(self.home)})
        eventually(self.answers, 30, lambda: (self.home / "log").read_text()[-3000:])

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError((self.home / "log").read_text()[-3000:])
        return httpx.get(f"{self.url}/_matrix/client/versions", verify=self.tls).is_success

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)


def example(name, *changes):
    """The text of deploy/name with the changes (pattern, by what), each of which must have something to change."""
    text = (ROOT / "deploy" / name).read_text()
    for what, by in changes:
        text, n = re.subn(what, by, text)
        assert n, f"{name} has no {what}"
    return text


def of_nodes(name, ports, *changes):
    """Its three servers are the nodes; what is left over is taken out."""
    lines = example(name, *changes).splitlines()
    found = [i for i, line in enumerate(lines) if "10.0.0." in line]
    for i, port in zip(found, ports, strict=False):
        lines[i] = re.sub(r"10\.0\.0\.\d:8008", f"127.0.0.1:{port}", lines[i])
    return "\n".join(line for line in lines if "10.0.0." not in line) + "\n"


def nginx(proxy, ports):
    site = example("nginx.conf", (r"listen 443 ssl http2;", f"listen 127.0.0.1:{proxy.port} ssl http2;"),
                   (r" *listen \[::\].*\n", ""), (r" *proxy_request_buffering off;\n", ""), (r"http://127.0.0.1:8008;\n", "http://concorde;\n"),
                   (r"ssl_certificate .*;", f"ssl_certificate {proxy.cert};"),
                   (r"ssl_certificate_key .*;", f"ssl_certificate_key {proxy.key};"))
    paths = "".join(f"{kind}_temp_path {proxy.home}/{kind};\n" for kind in TEMPORARY)
    conf = proxy.home / "nginx.conf"
    conf.write_text(f"daemon off;\npid {proxy.home}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n"
                    f"{paths}{of_nodes('nginx-nodes.conf', ports)}{site}}}\n")
    return [program("nginx"), "-c", conf, "-p", proxy.home, "-e", "stderr"]


def haproxy(proxy, ports):
    conf = proxy.home / "haproxy.cfg"
    conf.write_text(of_nodes("haproxy.cfg", ports, (
        r"bind :443 ssl crt \S+", f"bind 127.0.0.1:{proxy.port} ssl crt {proxy.cert}")))
    return [program("haproxy"), "-db", "-f", conf]
