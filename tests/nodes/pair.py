"""Two PostgreSQL, a primary and a standby that follows it. The URI names both, and libpq finds the one that takes
writes."""

import pathlib
import shutil
import signal
import subprocess

from postgres import Postgres, port_to_keep, programs
from waiting import eventually


class Pair(Postgres):
    def __init__(self):
        self.standby_port, self.standby = port_to_keep(), None
        super().__init__()

    def uri(self, database="postgres", user="postgres", port=None):
        return (f"host=127.0.0.1,127.0.0.1 port={self.port},{self.standby_port} user={user} dbname={database} "
                "sslmode=disable target_session_attrs=read-write")

    def add_standby(self, is_synchronous):
        """From now on a commit waits for it, or not."""
        self.standby_data = self.home / "standby"
        subprocess.run(
            [programs() / "pg_basebackup", "-D", self.standby_data, "-R", "-X", "stream", "-c", "fast", "--no-sync",
             "-d", f"host=127.0.0.1 port={self.port} user=postgres"], check=True, cwd="/", **self.user)
        self.start_standby()
        eventually(lambda: self.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") == "1")
        if is_synchronous:
            self.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
            self.sql("SELECT pg_reload_conf()")
            eventually(lambda: self.sql("SELECT sync_state FROM pg_stat_replication") == "sync")

    def start_standby(self):
        self.standby = subprocess.Popen(
            [programs() / "postgres", "-D", self.standby_data, "-p", str(self.standby_port),
             "-c", "synchronous_standby_names="], cwd="/", stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=self.log, **self.user)
        eventually(lambda: subprocess.run(
            ["psql", "-qXAt", f"host=127.0.0.1 port={self.standby_port} user=postgres dbname=postgres", "-c", "SELECT 1"],
            capture_output=True).returncode == 0, 60)

    def stop_standby(self):
        self.standby.send_signal(signal.SIGQUIT)
        self.standby.wait()
        eventually(lambda: self.sql("SELECT count(*) FROM pg_stat_replication") == "0")

    def kill_primary(self):
        """kill -9 of all its processes."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        self.process.kill()
        for child in children:
            subprocess.run(["kill", "-9", child], capture_output=True)
        self.process.wait()

    def promote(self):
        subprocess.run([programs() / "pg_ctl", "promote", "-s", "-w", "-D", self.standby_data], check=True, cwd="/",
                       **self.user)

    def close(self):
        for one in filter(None, [self.standby, self.process]):
            if one.poll() is None:
                one.send_signal(signal.SIGQUIT)
                one.wait()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)
