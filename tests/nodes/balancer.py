"""nginx in front of the nodes. Each request goes to a random one, on purpose. A node that refuses a
connection, or answers 503, is left out for a second. A request is repeated on another node: any, if nothing was
sent; GET and PUT also when the connection ended or the answer was 503."""

import os
import pathlib
import shutil
import subprocess
import tempfile

from postgres import port_to_keep
from test_proxy import program
from waiting import eventually

CONFIG = """
daemon off;
worker_processes 1;
pid {home}/pid;
error_log stderr;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    {paths}
    upstream nodes {{
        random;
        {nodes}
        keepalive 256;
    }}
    server {{
        listen 127.0.0.1:{port};
        {tls}
        large_client_header_buffers 4 64k; # the node makes the error reply
        client_max_body_size 0;
        location / {{
            proxy_pass http://nodes;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For {forwarded};
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_next_upstream error timeout http_503;
            proxy_connect_timeout 2s;
            proxy_read_timeout 150s;
            proxy_buffering off;
            add_header X-Nodes $upstream_addr always; # all that were tried
        }}
    }}
}}
"""
TEMPORARY = "client_body", "proxy", "fastcgi", "uwsgi", "scgi"


class Balancer:
    """certificate: (file, key file), for a TLS listener besides. forwarded: the X-Forwarded-For that nodes
    get."""

    def __init__(self, ports, certificate=None, forwarded="$remote_addr"):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="concorde-nginx-"))
        self.home.chmod(0o755)
        port = port_to_keep()
        self.addresses, tls = [f"http://127.0.0.1:{port}"], ""
        if certificate:
            tls_port = port_to_keep()
            self.addresses.append(f"https://127.0.0.1:{tls_port}")
            tls = (f"listen 127.0.0.1:{tls_port} ssl; ssl_certificate {certificate[0]}; "
                   f"ssl_certificate_key {certificate[1]};")
        (self.home / "nginx.conf").write_text(CONFIG.format(
            home=self.home, port=port, tls=tls, forwarded=forwarded,
            paths="".join(f"{kind}_temp_path {self.home}/{kind};" for kind in TEMPORARY),
            nodes="".join(f"server 127.0.0.1:{p} max_fails=1 fail_timeout=1s;" for p in ports)))
        self.log = (self.home / "log").open("w")
        self.process = subprocess.Popen(
            [program("nginx"), "-c", str(self.home / "nginx.conf"), "-p", str(self.home), "-e", "stderr"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env={**os.environ, "HOME": str(self.home)})
        eventually(lambda: self.is_ready(port), 30, lambda: (self.home / "log").read_text())

    def is_ready(self, port):
        if self.process.poll() is not None:
            raise RuntimeError((self.home / "log").read_text())
        return str(self.process.pid) == (self.home / "pid").read_text().strip()

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)
