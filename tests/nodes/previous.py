"""The program of the release before this one, of which nodes may run beside those of this one during an upgrade. Which
it is says the file previous_release: a tag or commit. It is built once, under build/previous."""

import fcntl
import functools
import os
import pathlib
import shutil
import subprocess

import pytest

from server import ROOT

RELEASE = (pathlib.Path(__file__).parent / "previous_release").read_text().strip()


def git(*args, **options):
    return subprocess.run(["git", "-C", str(ROOT), *args], capture_output=True, **options)


def build(commit):
    folder = ROOT / "build" / "previous" / commit
    binary = folder / "build" / "concorde"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            subprocess.run(["tar", "-x", "-C", folder], input=git("archive", commit, check=True).stdout, check=True)
            env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "BUILD", "SAN")}
            made = subprocess.run(["make", "-s", "-C", folder, f"-j{os.cpu_count()}", "build"], env=env,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert made.returncode == 0, f"the previous release {RELEASE} does not build:\n{made.stdout[-3000:]}"
    return binary


@functools.cache
def previous_binary():
    if not shutil.which("git") or git("rev-parse", "--git-dir").returncode:
        pytest.skip("the previous release is built from the git repository, and there is none")
    found = git("rev-parse", "--verify", "--quiet", f"{RELEASE}^{{commit}}", text=True)
    if found.returncode and git("rev-parse", "--is-shallow-repository", text=True).stdout.strip() == "true":
        pytest.skip(f"{RELEASE} is not in this shallow clone: `git fetch --unshallow --tags` gets it")
    assert found.returncode == 0, f"{RELEASE}, which tests/nodes/previous_release names, is not in this repository"
    return str(build(found.stdout.strip()))
