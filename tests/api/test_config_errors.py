"""A wrong setting stops the start, and the message says where and what was expected."""

import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

import pytest

from server import BINARY, environment, run_cli

# The file's text after the first line, and the error message. `{f}` is the file: each problem is
# reported with it and its line.
WRONG = {
    "server_nam: example.org": "{f}:2: unknown key `server_nam` (did you mean `server_name`?)",
    "\nlog_level: loud": "{f}:3: `log_level`: expected one of debug, info, warn, error",
    "default_room_version: '13'":
        "{f}:2: `default_room_version`: expected a version from 1 to 12, in quotes (\"12\"), got `13`",
    "support_matrix_id: admin": "{f}:2: `support_matrix_id`: expected @user:server",
    "federation_domain_whitelist: 'one.example, two.example'":
        "{f}:2: `federation_domain_whitelist`: expected a list of server names such as "
        "[one.example, two.example], got `one.example, two.example`",
    "prevent_media_downloads_from: ['a b']":
        "{f}:2: `prevent_media_downloads_from`: expected a list of server names",
    "listen: {address: ':0', tls_certificate: /nonexistent/c, tls_key: /nonexistent/k}":
        "{f}:2: `listen`: /nonexistent/c: No such file or directory (a file that the server's user "
        "may read)",
    "trusted_ca_file: /nonexistent/ca":
        "{f}:2: `federation_custom_ca_list`: /nonexistent/ca: No such file or directory",
    "federation_pinned_keys: ['a.example']":
        "{f}:2: `federation_pinned_keys`: expected a list of SERVER=ed25519:ID:BASE64, got `a.example`",
    "trusted_key_servers: ['a.example=ed25519:1:AAAA']":
        "{f}:2: `trusted_key_servers`: expected a list of SERVER or SERVER=ed25519:ID:BASE64",
    "old_signing_keys: ['ed25519:1:AAAA:1']":
        "{f}:2: `old_signing_keys`: expected a list of ed25519:ID:BASE64:EXPIRED_TS",
    "old_signing_keys: {'ed25519:1': {key: AAAA, expired_ts: 1}}":
        "{f}:2: `old_signing_keys`: expected a list of ed25519:ID:BASE64:EXPIRED_TS",
    "key_refresh_interval: 8d": "{f}:2: `key_refresh_interval`: expected a",
    "enable_registration: yes":
        "{f}:2: `enable_registration`: needs `registration_requires_token: true`, or",
    "turn_uris: ['turn:turn.example']": "{f}:2: `turn_uris`: needs `turn_shared_secret`, or",
    "database: mysql://u@h/d": "{f}:2: `database`: expected postgresql://USER@HOST/NAME",
    "database: postgresql://u:p%zz@h/d": "{f}:2: `database`: cannot be understood: write postgresql://",
    "database: {name: sqlite3, args: {database: x}}":
        "{f}:2: `database`: expected postgresql://USER@HOST/NAME, or Synapse's `name: psycopg2`",
    "media_store_path: /etc/passwd": "{f}:2: `media_store_path`: /etc/passwd: Not a directory",
    "signing_key_path: /etc": "{f}:2: `signing_key_path`: /etc: Is a directory",
    "search_languages: [french, klingon]": "{f}:2: `search_languages`: expected a list in which each item is",
    "a: b: c": "{f}:2: mapping values are not allowed",
}


def check(command, file, *more):
    return run_cli(command, "--config", str(file), *more)


@pytest.mark.parametrize("command", ["check-config", "serve"])
@pytest.mark.parametrize("text", WRONG)
def test_wrong_setting_is_refused(tmp_path, text, command):
    file = tmp_path / "c.yaml"
    file.write_text(f"server_name: gov.example\n{text}\n")
    r = check(command, file, "--data", str(tmp_path / "data"))
    assert r.returncode == 1
    assert WRONG[text].replace("{f}", str(file)) in r.stderr
    assert "p%zz" not in r.stderr, "a password"
    assert len(r.stderr.splitlines()) == (2 if "tls_key" in text else 1)
    assert not (tmp_path / "data").exists()


def test_server_name_must_be_one_and_must_be_there(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("\nserver_name: 'ex ample'\n")
    assert f"{file}:2: `server_name`: expected a host name such as" in check("serve", file).stderr
    file.write_text("log_level: info\n")
    r = check("check-config", file)
    assert (r.returncode, r.stderr) == (1, (
        f"{file}: `server_name` is missing: write `server_name: example.org`, the part of your "
        "users' ids after the colon\n"))
    assert check("check-config", file, "--set", "server_name=gov.example").returncode == 0
    r = check("check-config", file, "--set", "server_name=a b")
    assert r.stderr.startswith("--set: `server_name`: expected a host name")


def test_unusable_paths_are_reported(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("server_name: gov.example\ndata_dir: /etc/passwd/x\n")
    for command in "check-config", "serve":
        r = check(command, file)
        assert r.returncode == 1
        assert f"{file}:2: `data_dir`: /etc/passwd: Not a directory" in r.stderr


def run_unprivileged(*args):
    user = pwd.getpwuid(65534)
    return subprocess.run([BINARY, *args], capture_output=True, text=True, env=environment(),
                          user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd="/")


def test_unreadable_files_are_reported(tmp_path):
    """Root can read every file, so the program runs as another user."""
    assert os.geteuid() == 0, "these tests run as root, or as a user who can become it"
    place = pathlib.Path(tempfile.mkdtemp(prefix="concorde-private-"))
    data, key, file = place / "data", place / "key", place / "c.yaml"
    data.mkdir()
    key.write_text("ed25519 a AAAA\n")
    for path, mode in (place, 0o755), (data, 0o700), (key, 0o600):
        path.chmod(mode)
    file.write_text(f"server_name: gov.example\ndata_dir: {data}\nsigning_key_path: {key}\n")
    try:
        r = run_unprivileged("check-config", "--config", str(file))
        assert r.returncode == 1
        assert f"{file}:2: `data_dir`: {data}: Permission denied" in r.stderr
        assert f"{file}:3: `signing_key_path`: {key}: Permission denied" in r.stderr
    finally:
        shutil.rmtree(place)


def test_forms_of_synapse_are_taken(tmp_path):
    file = tmp_path / "c.yaml"
    key = "Noi6WqcDj0QmPxCNQqgezwTlBKrfqehY1u2FyWP9uYw"
    file.write_text(f"""server_name: gov.example
database:
  name: psycopg2
  args: {{user: synapse, password: "p'w", database: synapse, host: localhost, cp_min: 5, cp_max: 10}}
old_signing_keys:
  "ed25519:auto": {{key: "{key}", expired_ts: 1576922508411}}
trusted_key_servers:
  - server_name: matrix.org
    verify_keys: {{"ed25519:auto": "{key}"}}
  - server_name: other.example
enable_metrics: true
""")
    r = check("check-config", file, "--data", str(tmp_path / "data"))
    assert (r.returncode, r.stderr) == (0, "")


def test_unknown_variables_are_reported(tmp_path):
    r = run_cli("check-config", "--data", str(tmp_path / "d"), env={"CONCORDE_LOG_LEVL": "debug"})
    assert r.returncode == 0
    assert ("warning: the environment variable CONCORDE_LOG_LEVL has no meaning "
            "(did you mean CONCORDE_LOG_LEVEL?)") in r.stderr


def test_all_problems_are_reported_at_once(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("server_name: a\nzebra: 1\nlog_level: loud\n")
    r = run_cli("check-config", "--config", str(file), "--set", "loops=many")
    assert len(r.stderr.splitlines()) == 3


def test_settings_without_effect_are_warned_of(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("server_name: a\nreport_stats: false\n")
    r = run_cli("check-config", "--config", str(file))
    assert (r.returncode, r.stdout) == (0, "OK\n")
    assert "warning: " in r.stderr and "`report_stats`: has no effect" in r.stderr


def test_missing_file_is_reported(tmp_path):
    r = run_cli("serve", "--config", str(tmp_path / "none.yaml"))
    assert r.returncode == 1
    assert "none.yaml: No such file or directory" in r.stderr


def test_bad_signing_key_is_reported(tmp_path):
    key = tmp_path / "signing.key"
    key.write_text("rsa 1 abc\n")
    key.chmod(0o600)
    tmp_path.chmod(0o711)
    r = run_cli("serve", "--data", str(tmp_path), "--set", f"signing_key_path={key}",
                "--set", "listen=127.0.0.1:0")
    assert r.returncode == 1
    assert str(key) in r.stderr and "ed25519" in r.stderr


def test_taken_port_is_reported(server, tmp_path):
    port = server.url.rsplit(":", 1)[1]
    from server import Server

    other = Server({"listen": f"127.0.0.1:{port}"})
    try:
        with pytest.raises(RuntimeError, match=f"127.0.0.1:{port}"):
            other.start()
    finally:
        other.process = None
        other.close()
