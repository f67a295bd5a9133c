"""A wrong setting stops the start, and the message says where and what was expected."""

import pytest

from server import run_cli

WRONG = {
    "server_name: 'ex ample'": "`server_name`: expected a host name",
    "server_nam: example.org": "c.yaml:1: unknown key `server_nam` (did you mean `server_name`?)",
    "\nlog_level: loud": "c.yaml:2: `log_level`: expected one of debug, info, warn, error",
    "default_room_version: '13'": "`default_room_version`: expected a version from 1 to 12",
    "support_matrix_id: admin": "`support_matrix_id`: expected @user:server",
    "federation_domain_whitelist: ['a b']": "`federation_domain_whitelist`: expected server names",
    "listen: {address: ':0', tls_certificate: /nonexistent/c, tls_key: /nonexistent/k}":
        "`listen`: /nonexistent/c: No such file or directory",
    "trusted_ca_file: /nonexistent/ca":
        "`federation_custom_ca_list`: /nonexistent/ca: No such file",
    "federation_pinned_keys: ['a.example']":
        "`federation_pinned_keys`: expected SERVER=ed25519:ID:BASE64, got `a.example`",
    "trusted_key_servers: ['a.example=ed25519:1:AAAA']":
        "`trusted_key_servers`: expected SERVER or SERVER=ed25519:ID:BASE64",
    "old_signing_keys: ['ed25519:1:AAAA:1']":
        "`old_signing_keys`: expected ed25519:ID:BASE64:EXPIRED_TS",
    "key_refresh_interval: 8d": "`key_refresh_interval`: expected a",
    "enable_registration: true": "`enable_registration` needs `registration_requires_token`",
    "search_languages: [french, klingon]": "a language of PostgreSQL's stemmers",
    "a: b: c": "c.yaml:1: mapping values are not allowed",
}


@pytest.mark.parametrize("command", ["check-config", "serve"])
@pytest.mark.parametrize("text", WRONG)
def test_wrong_setting_is_refused(tmp_path, text, command):
    file = tmp_path / "c.yaml"
    file.write_text(text + "\n")
    r = run_cli(command, "--config", str(file), "--data", str(tmp_path / "data"))
    assert r.returncode == 1
    assert WRONG[text] in r.stderr
    assert not (tmp_path / "data").exists()


def test_all_problems_are_told_at_once(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("zebra: 1\nlog_level: loud\n")
    r = run_cli("check-config", "--config", str(file), "--set", "loops=many")
    assert len(r.stderr.splitlines()) == 3


def test_settings_without_effect_are_warned_of(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("report_stats: false\n")
    r = run_cli("check-config", "--config", str(file))
    assert (r.returncode, r.stdout) == (0, "OK\n")
    assert "warning: " in r.stderr and "`report_stats`: has no effect" in r.stderr


def test_missing_file_is_told(tmp_path):
    r = run_cli("serve", "--config", str(tmp_path / "none.yaml"))
    assert r.returncode == 1
    assert "none.yaml: No such file or directory" in r.stderr


def test_bad_signing_key_is_told(tmp_path):
    key = tmp_path / "signing.key"
    key.write_text("rsa 1 abc\n")
    key.chmod(0o600)
    tmp_path.chmod(0o711)
    r = run_cli("serve", "--data", str(tmp_path), "--set", f"signing_key_path={key}",
                "--set", "listen=127.0.0.1:0")
    assert r.returncode == 1
    assert str(key) in r.stderr and "ed25519" in r.stderr


def test_taken_port_is_told(server, tmp_path):
    port = server.url.rsplit(":", 1)[1]
    from server import Server

    other = Server({"listen": f"127.0.0.1:{port}"})
    try:
        with pytest.raises(RuntimeError, match=f"127.0.0.1:{port}"):
            other.start()
    finally:
        other.process = None
        other.close()
