"""The commands of build/concorde."""

import os
import pathlib
import pty
import re
import subprocess

import pytest
import yaml

import plain
from client import Client, timeline
from server import BINARY, ROOT, Server, environment, run_cli
from waiting import eventually


def test_version():
    r = run_cli("version")
    assert r.returncode == 0
    assert r.stdout == f"Concorde {(ROOT / 'VERSION').read_text().strip()}\n"
    assert run_cli("--version").stdout == r.stdout


def test_help_names_every_command():
    r = run_cli("help")
    assert r.returncode == 0
    for command in "serve", "user add", "check-config", "routes":
        assert command in r.stdout


def test_the_man_page_has_all_of_the_help():
    page = subprocess.run([ROOT / "scripts/man-page.py", BINARY], capture_output=True, text=True)
    assert page.returncode == 0, page.stderr
    text = re.sub(r"\\f[BIR]|\\&|\.PP\n|\.TP\n", "", page.stdout).replace("\\-", "-")
    for line in run_cli("help").stdout.splitlines()[3:]:
        if not line.startswith("options:"):
            assert line[:33].strip() in text and line[33:].strip() in text, line


def test_wrong_usage_is_reported():
    assert run_cli().returncode == 2
    assert "usage" in run_cli("fly").stderr
    assert "concorde serve" in run_cli("serve", "now").stderr
    for bad in (["--fly"], ["--set"], ["--set", "x"], ["--admin=yes"], ["--config"]):
        r = run_cli("version", *bad)
        assert r.returncode == 2 and "cannot make sense of" in r.stderr


def test_routes_are_listed_aligned():
    r = run_cli("routes")
    assert r.returncode == 0
    head, *rows = r.stdout.splitlines()
    column = head.index("WHO")
    assert any(re.match(r"GET +/_matrix/client/versions +anybody +client ", row) for row in rows)
    assert all(row[column - 1] == " " and row[column] != " " for row in rows)


def test_example_is_a_valid_file(tmp_path):
    example = run_cli("check-config", "--example").stdout
    assert "#server_name: localhost\n" in example
    assert yaml.safe_load(example) is None  # only comments
    file = tmp_path / "c.yaml"
    file.write_text(example + "server_name: gov.example\n")
    assert run_cli("check-config", "--config", str(file)).stdout == "OK\n"


def test_config_is_found(tmp_path):
    (tmp_path / "concorde.yaml").write_text("zebra: 1\n")
    assert "unknown key `zebra`" in run_cli("check-config", "--data", str(tmp_path)).stderr
    env = {"CONCORDE_DATA_DIR": str(tmp_path)}
    assert "unknown key `zebra`" in run_cli("check-config", env=env).stderr
    other = tmp_path / "other.yaml"
    other.write_text("server_name: gov.example\n")
    assert run_cli("check-config", env={**env, "CONCORDE_CONFIG": str(other)}).stdout == "OK\n"


def test_shipped_config_is_valid():
    r = run_cli("check-config", "--config", str(ROOT / "deploy" / "concorde.yaml"))
    assert (r.returncode, r.stdout) == (0, "OK\n"), r.stderr


def test_welcome_names_the_next_steps(server):
    assert f"serves {server.name}" in server.welcome
    assert str(pathlib.Path(server.data).resolve()) in server.welcome
    assert "user add NAME --admin" in server.welcome


def test_data_directory_has_one_server(server):
    r = server.cli("serve")
    assert r.returncode == 1
    assert "Another server is using the data directory" in r.stderr


PASSWORD = "a password for tests\n"


def printed_line(server):
    return re.search(r"make an account with: (.*)", server.welcome)[1]


@pytest.mark.parametrize("how", ["set", "environment", "config"])
def test_the_printed_line_is_complete(how, tmp_path):
    """Pasted into a shell it makes an account, whatever the source of the server's settings."""
    tmp_path.chmod(0o711)
    name, data = "name.of-it.example", tmp_path / "it's here"
    data.mkdir()
    config = tmp_path / "my settings.yaml"
    config.write_text(f"server_name: {name}\nregistration_shared_secret: hidden\n"
                      if how == "config" else "log_level: warn\n")
    s = Server({"server_name": name if how == "set" else None,
                "turn_shared_secret": "hidden"}, data=data)
    s.more = ["--config", str(config)]
    if how == "environment":
        s.environment |= {"CONCORDE_SERVER_NAME": name, "CONCORDE_TURN_SHARED_SECRET": "hidden"}
    try:
        s.start()
        assert "hidden" not in s.welcome
        line = printed_line(s).replace(" NAME ", " first ")
        r = subprocess.run(["sh", "-c", line], input=PASSWORD, capture_output=True, text=True,
                           env=environment(), timeout=60)
        assert r.stdout == f"added @first:{name}, an administrator\n", (line, r.stderr)
        assert Client(s).login("first", PASSWORD.strip()).user_id == f"@first:{name}"
    finally:
        s.close()


def test_the_name_of_a_server_is_in_its_database(fresh_server):
    s = fresh_server(server_name="right.example")
    user = Client(s).register("one")
    assert user.user_id == "@one:right.example"
    s.settings["server_name"] = "wrong.example"
    for _ in "while it runs", "while it does not":
        r = s.cli("user", "add", "first", input=PASSWORD)
        assert (r.returncode, r.stdout) == (1, "")
        assert "belongs to right.example" in r.stderr and "--set" in r.stderr
        s.stop()
    with pytest.raises(RuntimeError, match="belongs to right.example"):
        s.start()
    s.settings["server_name"] = "right.example"
    s.start()
    assert Client(s, user.user_id, user.token).get("/account/whoami")["user_id"] == user.user_id


@pytest.mark.parametrize("words", [("user", "add", "x"), ("user", "password", "x"),
                                   ("user", "deactivate", "x"), ("federation", "status")])
def test_commands_make_no_deployment(words, tmp_path):
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    empty.mkdir()
    for data in missing, empty:
        r = run_cli(*words, "--data", str(data), input=PASSWORD)
        assert (r.returncode, r.stdout) == (1, "")
        assert str(data) in r.stderr and "--data" in r.stderr
    assert not missing.exists() and not list(empty.iterdir())


def psql(server, sql):
    uri = (server.data / "concorde.lock").read_text().split(" ", 1)[1]
    subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", uri, "-c", sql], check=True,
                   stdout=subprocess.DEVNULL)


def test_a_database_that_lacks_something_is_not_served(fresh_server):
    s = fresh_server()
    s.wait_until_ready()
    psql(s, "ALTER TABLE profiles RENAME TO gone")
    eventually(lambda: plain.get(s.url + "/ready").status_code == 503)
    s.stop()
    with pytest.raises(RuntimeError, match="incomplete.*table profiles"):
        s.start()
    r = s.cli("user", "add", "first", input=PASSWORD)
    assert r.returncode == 1 and "table profiles" in r.stderr


def until_logged_out(client):
    """The server is notified of a command's change at once, but asynchronously."""
    eventually(lambda: client.request("GET", "/account/whoami").status_code != 200)
    client.fails(401, "M_UNKNOWN_TOKEN", "GET", "/account/whoami")
    client.token = None


def test_user_add_while_the_server_runs(server):
    r = server.cli("user", "add", "operator", "--admin", input=PASSWORD)
    assert (r.returncode, r.stdout) == (0, "added @operator:test.example, an administrator\n")
    r = server.cli("user", "add", "operator", input=PASSWORD)
    assert r.returncode == 1 and "That user name is taken" in r.stderr
    operator = Client(server).login("operator", PASSWORD.strip())
    operator.get("/account/whoami")
    r = server.cli("user", "password", f"@operator:{server.name}", input="another password\n")
    assert (r.returncode, r.stdout) == (0, "@operator:test.example has a new password and is logged out everywhere\n")
    until_logged_out(operator)
    operator.login("operator", "another password").get("/account/whoami")
    server.wait_until_ready()  # the command has not stopped the server's database


def test_user_deactivate(server, register):
    user = register("leaver")
    r = server.cli("user", "deactivate", user.user_id)
    assert (r.returncode, r.stdout) == (0, f"{user.user_id} is deactivated\n"), r.stderr
    until_logged_out(user)
    r = server.cli("user", "password", user.user_id, input=PASSWORD)
    assert r.returncode == 1 and "is deactivated" in r.stderr


def test_user_add_without_a_server(fresh_server):
    s = fresh_server()
    s.stop()
    r = s.cli("user", "add", "first", input=PASSWORD)
    assert (r.returncode, r.stdout) == (0, "added @first:test.example\n"), r.stderr
    s.start()
    assert s.cli("user", "add", "first", input=PASSWORD).returncode == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for another user")
def test_root_leaves_nothing_behind_that_the_owner_cannot_use(tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    for directory in data, tmp_path, tmp_path.parent, tmp_path.parent.parent:
        directory.chmod(0o755)
    os.chown(data, 65534, 65534)
    s = Server(data=data).start()
    s.stop()
    (data / "concorde.lock").unlink()  # a restore does not include it
    s.start()
    s.stop()
    r = s.cli("user", "add", "first", input=PASSWORD)
    s.close()
    assert r.returncode == 0, r.stderr
    made = {str(p.relative_to(data)): p.stat().st_uid for p in data.iterdir()}
    assert set(made.values()) == {65534}, made


def test_user_commands_refuse(server):
    def refused(*words, input=PASSWORD):
        r = server.cli("user", *words, input=input)
        assert r.returncode == 1 and r.stdout == ""
        return r.stderr

    assert "characters a-z" in refused("add", "Ünal")
    assert "is not a user of test.example" in refused("add", "@a:elsewhere.example")
    assert "at least 8 characters" in refused("add", "short", input="äöüäöüä\n")
    assert "password is needed" in refused("add", "none", input="")
    assert "must be UTF-8" in refused("add", "latin", input=b"\xe4" * 10)
    assert "at most 512 bytes" in refused("add", "long", input="x" * 600)
    assert "There is no account @ghost:test.example" in refused("password", "ghost")


def test_password_is_asked_for_without_echo(server):
    """At a terminal it is asked for twice; two that differ are refused."""

    def ask(name, *answers):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(BINARY, [BINARY, "user", "add", name, *server.options()], environment())
        seen = b""
        for question, answer in zip((b"Password: ", b"again: "), answers):
            while question not in seen:
                seen += os.read(terminal, 1000)
            os.write(terminal, answer)
        try:
            while chunk := os.read(terminal, 1000):
                seen += chunk
        except OSError:  # the end, to a terminal
            pass
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()

    status, seen = ask("typist", b"secret words\n", b"secret words\n")
    assert status == 0 and "added @typist:test.example" in seen and "secret" not in seen
    status, seen = ask("typist2", b"secret words\n", b"secret swords\n")
    assert status == 1 and "differ" in seen
    status, seen = ask("typist3", b"\x03")
    assert status == 1 and "Given up" in seen


# ---- a running server and what commands write ----


def metrics(server):
    lines = plain.get(server.url + "/metrics").text.splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line.startswith("concorde_"))


def test_a_command_makes_the_server_forget_nothing_else(fresh_server):
    """The changes of another process are published like our own: caches are kept."""
    s = fresh_server()
    alice, bob, carol = (Client(s).register(n) for n in ("alice", "bob", "carol"))
    room = alice.create_room(preset="public_chat")
    quiet = alice.create_room()
    bob.join(room)
    alice.send(quiet, "x")
    for client in alice, bob, carol:
        client.next_sync()
    before = metrics(s)
    r = s.cli("user", "password", "bob", input="another password\n")
    assert r.returncode == 0, r.stderr
    until_logged_out(bob)
    r = s.cli("user", "deactivate", "carol")
    assert r.returncode == 0, r.stderr
    until_logged_out(carol)
    after = metrics(s)
    assert int(after["concorde_feed_entries"]) > int(before["concorde_feed_entries"])
    loads = 'concorde_cache_misses_total{cache="rooms"}'
    assert after[loads] == before[loads]
    bob.login("bob", "another password").join(room)
    r = s.cli("user", "deactivate", "bob")
    assert r.returncode == 0, r.stderr
    left = alice.sync_until(lambda reply: [e for e in timeline(reply, room)
                                           if e.get("state_key") == bob.user_id])
    assert left[-1]["content"]["membership"] == "leave"
    sent = alice.send(room, "and on")  # on the head that the command made
    assert alice.event(room, sent)["content"]["body"] == "and on"
    assert alice.sync_until(lambda reply: timeline(reply, room))[-1]["event_id"] == sent
