"""Two PostgreSQL, a primary and a standby that follows it. The URI names both, and libpq finds the one that takes
writes."""

import os
import pathlib
import shutil
import signal
import subprocess

from postgres import Postgres, is_reached, port_to_keep, programs, uri_of_all
from restoring import psql
from waiting import eventually

SYNCHRONOUS = "synchronous_standby_names"


def children_of(process):
    return pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


def kill_all(process):
    """kill -9 of a PostgreSQL and all that it started."""
    children = children_of(process)
    process.kill()
    for child in children:
        subprocess.run(["kill", "-9", child], capture_output=True)
    process.wait()


class Pair(Postgres):
    """self.process and self.port are the primary's."""

    def __init__(self, is_synchronous=None):
        """is_synchronous: with a standby, for which a commit waits, or does not; None: none yet."""
        self.standby_port, self.standby = port_to_keep(), None
        super().__init__()
        self.standby_data = self.home / "standby"
        if is_synchronous is not None:
            self.add_standby(is_synchronous)

    def uri(self, database="postgres", user="postgres", port=None):
        both = sorted([self.port, self.standby_port])  # the same string, whichever is the primary
        return uri_of_all(both, database, user, "sslmode=disable")

    def add_standby(self, is_synchronous):
        """From now on a commit waits for it, or not."""
        self.is_synchronous = is_synchronous
        subprocess.run(
            [programs() / "pg_basebackup", "-D", self.standby_data, "-R", "-X", "stream", "-c", "fast", "--no-sync",
             "-d", f"host=127.0.0.1 port={self.port} user=postgres"], check=True, cwd="/", **self.user)
        own = self.standby_data / "postgresql.auto.conf"
        own.write_text("".join(l for l in own.read_text().splitlines(True) if not l.startswith(SYNCHRONOUS)))
        self.start_standby()
        eventually(lambda: self.replication("state") == "streaming", 60)
        if is_synchronous:
            self.sql(f"ALTER SYSTEM SET {SYNCHRONOUS} = '*'")
            self.sql("SELECT pg_reload_conf()")
            eventually(self.is_safe)

    def replication(self, what):
        return self.sql(f"SELECT {what} FROM pg_stat_replication")

    def is_safe(self):
        """Is all that was committed so far on the standby, and waits each commit for it?"""
        position = self.sql("SELECT pg_current_wal_lsn()")
        return self.replication(f"sync_state = 'sync' AND flush_lsn >= '{position}'") == "t"

    def make_database(self, name, template="template0"):
        super().make_database(name, template)
        if self.standby:  # libpq, which may ask it first, goes no further where the database does not exist
            position = self.sql("SELECT pg_current_wal_lsn()")
            eventually(lambda: self.replication(f"replay_lsn >= '{position}'") == "t")

    def start_standby(self):
        self.standby = subprocess.Popen(
            [programs() / "postgres", "-D", self.standby_data, "-p", str(self.standby_port)], cwd="/",
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, **self.user)
        eventually(lambda: is_reached(f"host=127.0.0.1 port={self.standby_port} user=postgres dbname=postgres"), 60)

    def stop_standby(self):
        self.standby.send_signal(signal.SIGQUIT)
        self.standby.wait()
        eventually(lambda: self.replication("count(*)") == "0")

    def standby_sql(self, text):
        return psql(f"host=127.0.0.1 port={self.standby_port} user=postgres dbname=postgres", text)

    def signal_standby(self, number):
        """To all its processes."""
        for pid in [self.standby.pid, *map(int, children_of(self.standby))]:
            os.kill(pid, number)

    def kill_primary(self):
        kill_all(self.process)

    def promote(self):
        """The standby becomes the primary; there is no standby then."""
        subprocess.run([programs() / "pg_ctl", "promote", "-s", "-w", "-D", self.standby_data], check=True, cwd="/",
                       **self.user)
        self.process, self.standby = self.standby, None
        self.port, self.standby_port = self.standby_port, self.port
        self.data, self.standby_data = self.standby_data, self.data

    def fail_over(self, on_promoted):
        """The primary dies, and the former standby gets a new one; on_promoted() is called in between."""
        eventually(self.is_safe, 60)
        self.kill_primary()
        self.promote()
        on_promoted()
        shutil.rmtree(self.standby_data)
        self.add_standby(self.is_synchronous)

    def close(self):
        for one in filter(None, [self.standby, self.process]):
            if one.poll() is None:
                one.send_signal(signal.SIGQUIT)
                one.send_signal(signal.SIGCONT)
                one.wait()
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)


class Followed(Pair):
    """Nodes have one address: their Link, which leads to the primary, as HAProxy would."""

    def uri(self, database="postgres", user="postgres", port=None):
        return Postgres.uri(self, database, user, port) if port else super().uri(database, user)
