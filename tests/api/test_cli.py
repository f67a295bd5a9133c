"""The commands of build/concorde."""

import pathlib
import re

import yaml

from server import ROOT, run_cli


def test_version():
    r = run_cli("version")
    assert r.returncode == 0
    assert r.stdout == f"Concorde {(ROOT / 'VERSION').read_text().strip()}\n"
    assert run_cli("--version").stdout == r.stdout


def test_help_names_every_command():
    r = run_cli("help")
    assert r.returncode == 0
    for command in "serve", "check-config", "routes":
        assert command in r.stdout


def test_wrong_usage_is_told():
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
    assert yaml.safe_load(example) is None  # all of it comments
    file = tmp_path / "c.yaml"
    file.write_text(example)
    assert run_cli("check-config", "--config", str(file)).stdout == "OK\n"


def test_config_is_found(tmp_path):
    (tmp_path / "concorde.yaml").write_text("zebra: 1\n")
    assert "unknown key `zebra`" in run_cli("check-config", "--data", str(tmp_path)).stderr
    env = {"CONCORDE_DATA_DIR": str(tmp_path)}
    assert "unknown key `zebra`" in run_cli("check-config", env=env).stderr
    other = tmp_path / "other.yaml"
    other.write_text("log_level: warn\n")
    assert run_cli("check-config", env={**env, "CONCORDE_CONFIG": str(other)}).stdout == "OK\n"


def test_shipped_config_is_valid():
    r = run_cli("check-config", "--config", str(ROOT / "deploy" / "concorde.yaml"))
    assert (r.returncode, r.stdout) == (0, "OK\n"), r.stderr


def test_welcome_says_what_matters(server):
    assert f"serves {server.name}" in server.welcome
    assert str(pathlib.Path(server.data).resolve()) in server.welcome
    assert "user add NAME --admin" in server.welcome


def test_data_directory_has_one_server(server):
    r = server.cli("serve")
    assert r.returncode == 1
    assert "Another server is using the data directory" in r.stderr
