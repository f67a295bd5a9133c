"""Backups of a server's data, and restoring them."""

import contextlib
import shutil
import subprocess

from server import as_superuser, metric


class Copy:
    """A copy of a server's whole data directory, made while it is stopped."""

    def __init__(self, server, path):
        self.server, self.path = server, path
        server.stop()
        copy_tree(server.data, path)
        server.start()

    def restore(self):
        """Restores the copy; later changes are lost."""
        self.server.stop()
        shutil.rmtree(self.server.data)
        copy_tree(self.path, self.server.data)
        self.server.start()
        return self.server


def copy_tree(source, target):
    subprocess.run(["cp", "-a", "--no-target-directory", str(source), str(target)], check=True)


def uri_of(server):
    """The URI of a running server's database."""
    return server.database_uri


def make_database(uri, name):
    """Makes another database in the same cluster, with the same owner."""
    psql(as_superuser(uri), f"CREATE DATABASE {name} OWNER concorde TEMPLATE template0")


def psql(uri, sql):
    r = subprocess.run(["psql", "-qXAt", "-v", "ON_ERROR_STOP=1", uri, "-c", sql], check=True,
                       capture_output=True, text=True)
    return r.stdout.strip()


@contextlib.contextmanager
def locked(server, table):
    """Locks a table against all readers; "NAME IN SHARE MODE": against writers only."""
    uri = as_superuser(uri_of(server))
    holder = subprocess.Popen(["psql", "-qXAt", uri], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder.stdin.write(f"BEGIN; LOCK TABLE {table}; SELECT 'held';\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "held\n"
    yield
    holder.stdin.close()
    assert holder.wait() == 0


class Database:
    """A separate session on the server's database."""

    def __init__(self, server):
        self.psql = subprocess.Popen(["psql", "-XqAt", uri_of(server).strip()], stdin=subprocess.PIPE, text=True,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def __call__(self, sql):
        self.psql.stdin.write(f"{sql};\n\\echo end\n")
        self.psql.stdin.flush()
        lines = []
        while (line := self.psql.stdout.readline().strip()) != "end":
            assert line or self.psql.poll() is None, "psql ended"
            lines.append(line)
        return lines

    def close(self):
        self.psql.stdin.close()
        self.psql.wait()


@contextlib.contextmanager
def commits_held(server):
    """Blocks commits. Yields a function: does a writer wait?"""
    holder, watcher = Database(server), Database(server)
    holder("BEGIN; SELECT FROM log_head FOR UPDATE")
    try:
        yield lambda: int(watcher("SELECT count(*) FROM pg_stat_activity "
                                  "WHERE wait_event_type = 'Lock'")[0])
    finally:
        holder("COMMIT")
        holder.close()
        watcher.close()


def busy_workers(client, pool="client"):
    """How many requests are being answered."""
    return metric(client.server, 'concorde_http_workers_busy{pool="%s"}' % pool)
