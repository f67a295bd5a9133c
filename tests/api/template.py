"""A database as the first start of a server leaves it, but without the server's name: made once for each
binary and copied for each server of the tests, since making one takes a second of processor time."""

import fcntl
import functools
import os
import pathlib
import shutil
import subprocess


@functools.cache
def _template(binary, make):
    binary = pathlib.Path(binary).resolve()
    path = binary.parent / f"template-{binary.stat().st_mtime_ns:x}"
    with open(binary.parent / "template.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            for old in binary.parent.glob("template-*"):
                shutil.rmtree(old)
            new = path.with_name("template.new")
            shutil.rmtree(new, ignore_errors=True)
            new.mkdir()
            make(new)
            new.rename(path)
    return path


def copy_to(data, binary, make):
    """Copies it into a data directory without a database. make(directory) makes `postgres/` there."""
    if not (data / "postgres").exists() and os.access(binary, os.X_OK):
        subprocess.run(["cp", "-a", _template(binary, make) / "postgres", data], check=True)
