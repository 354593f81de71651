"""The role run from a fleet's own directory, and mistakes on the command line."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake.deploy import FROM_THE_ROLE, PROJECT, Start, deploy, fleet, replies
from tests.fake.test_migration import DATA as MIGRATING
from tests.fake.test_migration import V1, run

FROM_THE_FLEET = Start("{fleet}", ("inventory.py", "{role}/deploy.py"))
"""With the config.py that the fleet's directory has, if any."""
WITH_CONFIG = Start("{fleet}", ("inventory.py", "{role}/deploy.py", "--config", "{role}/tests/fake/config.py"))
CHANGE_DIRECTORY = Start(
    "{fleet}", ("--chdir", "{role}", "{fleet}/inventory.py", "deploy.py", "--config", "tests/fake/config.py")
)
ONE_LINE = f"import runpy; runpy.run_path({str(PROJECT / 'tests/fake/config.py')!r})\n"
ONLY_A_RECORD = "import tests.fake.record\n"
"""A config.py of the fleet's own, which does not know of the role."""

WAYS = {"its config.py of one line": FROM_THE_FLEET, "--config": WITH_CONFIG, "--chdir": CHANGE_DIRECTORY}
DATA = fleet(oslo={}, bergen={"nanoclaw_uid": 1500})
OSLO = "@fake/oslo"
CONNECTING = "--> Connecting to hosts..."


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.py").write_text(ONE_LINE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("way", WAYS)
def test_fleet_is_provisioned_from_its_own_directory(folder: Path, way: str) -> None:
    first = deploy(folder, DATA, "underway", "-y", start=WAYS[way])
    assert first.exit == 0, first.log
    assert first.changed(OSLO) == deploy(folder, DATA, "underway", "-y").changed(OSLO) != []
    second = deploy(folder, DATA, "finished", "-y", start=WAYS[way])
    assert second.exit == 0 and [second.commands(name) for name in DATA] == [[], [], []], second.log


@pytest.mark.parametrize("way", WAYS)
def test_host_data_is_checked_before_contact_from_a_fleet_directory(folder: Path, way: str) -> None:
    done = deploy(folder, fleet(oslo={"nanoclaw_uid": "many"}), "finished", "-y", start=WAYS[way])
    assert done.exit != 0 and f"{OSLO}: nanoclaw_uid: " in done.log
    assert CONNECTING not in done.log and not any(done.sent.values())


def test_host_data_is_checked_before_the_first_command_without_our_config(
    tmp_path: Path,
) -> None:
    (tmp_path / "config.py").write_text(ONLY_A_RECORD, encoding="utf-8")
    done = deploy(tmp_path, fleet(oslo={"nanoclaw_uid": "many"}), "finished", "-y", start=FROM_THE_FLEET)
    assert done.exit != 0 and f"{OSLO}: nanoclaw_uid: " in done.log
    assert set(done.sent) == {"@fake/server", OSLO} and not any(done.sent.values())


@pytest.mark.parametrize("way", WAYS)
def test_group_data_of_the_fleet_is_used(folder: Path, way: str) -> None:
    (folder / "group_data").mkdir()
    (folder / "group_data" / "nanoclaw_hosts.py").write_text('nanoclaw_uid = "many"\n', encoding="utf-8")
    done = deploy(folder, DATA, "finished", "-y", start=WAYS[way])
    assert done.exit != 0 and f"{OSLO}: nanoclaw_uid: " in done.log and "@fake/bergen: " not in done.log


@pytest.mark.parametrize("way", [*WAYS, "in the role's directory"])
def test_list_of_hosts_left_lies_beside_the_inventory(folder: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.delenv("NANOCLAW_PODS_LEFT", raising=False)
    run(folder, "-y", data=MIGRATING, failing=(V1,), start=WAYS.get(way, FROM_THE_ROLE))
    assert (folder / "migration-left.txt").read_text(encoding="utf-8") == f"{V1}\n"
    assert not (PROJECT / "migration-left.txt").exists()


def test_dry_run_without_our_config_writes_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NANOCLAW_PODS_LEFT", raising=False)
    (tmp_path / "config.py").write_text(ONLY_A_RECORD, encoding="utf-8")
    done = run(tmp_path, "--dry", data=MIGRATING, start=FROM_THE_FLEET)
    assert done.exit == 0 and f"{V1}: plan of its migration to v2:" in done.log, done.log
    assert not (tmp_path / "migration-left.txt").exists()


def test_group_data_of_the_fleet_overrides_that_of_the_role(tmp_path: Path) -> None:
    role, home = tmp_path / "role", tmp_path / "fleet"
    for name in ("deploy.py", "config.py"):
        (role / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / name, role)
    for name in ("tasks", "files", "group_data"):
        shutil.copytree(PROJECT / name, role / name)
    (role / "group_data" / "nanoclaw_hosts.py").write_text("nanoclaw_uid = 'role'\nnanoclaw_gid = 'role'\n")
    (home / "group_data").mkdir(parents=True)
    (home / "group_data" / "nanoclaw_hosts.py").write_text("nanoclaw_gid = 'fleet'\n")
    (home / "inventory.py").write_text("nanoclaw_hosts = [('@fake/a', {'ssh_hostname': '10.0.0.1'})]\n")
    for config in (f"import runpy; runpy.run_path({str(role / 'config.py')!r})\n", ""):
        (home / "config.py").write_text(config)
        done = run_pyinfra(home, "inventory.py", str(role / "deploy.py"), "-y")
        assert "nanoclaw_uid: 'role'" in done.stderr and "nanoclaw_gid: 'fleet'" in done.stderr, done.stderr


MISSES: dict[str, tuple[list[str], str]] = {
    "no machine has the name": (["--limit", "olso"], "--limit olso matches no machine and no group"),
    "two names with a comma": (
        ["--limit", "@fake/oslo,@fake/bergen"],
        "write --limit @fake/oslo --limit @fake/bergen",
    ),
    "one of two limits": (["--limit", "@fake/oslo", "--limit", "*berg"], "--limit *berg matches no machine"),
    "an exclusion": (["--exclude", "@fake/olso"], "--exclude @fake/olso matches no machine and no group"),
    "all is excluded": (["--limit", OSLO, "--exclude", "@fake/*"], "--limit and --exclude leave no machine"),
}


@pytest.mark.parametrize("case", MISSES)
@pytest.mark.parametrize("mode", ["-y", "--dry"])
def test_limit_without_a_match_is_an_error(tmp_path: Path, case: str, mode: str) -> None:
    arguments, reason = MISSES[case]
    done = deploy(tmp_path, DATA, "finished", mode, *arguments)
    assert done.exit != 0 and reason in done.log, done.log
    assert CONNECTING not in done.log and not any(done.sent.values())


@pytest.mark.parametrize("arguments", [["--limit", OSLO], ["--limit", "nanoclaw_hosts"], ["--exclude", "*bergen"]])
def test_limit_with_a_match_is_no_error(tmp_path: Path, arguments: list[str]) -> None:
    done = deploy(tmp_path, DATA, "finished", "-y", *arguments)
    assert done.exit == 0 and OSLO in str(done.document), done.log


@pytest.mark.parametrize("mode", ["-y", "--dry"])
def test_fleet_goes_on_without_a_host_that_was_refused(tmp_path: Path, mode: str) -> None:
    """With the words of the refusal; the server exports to that host as before."""
    fedora = {**replies(DATA, "finished")[OSLO]["machine.preflight"], "distribution": "fedora"}
    instead = {OSLO: {"machine.preflight": fedora}}
    refused = deploy(tmp_path, DATA, "finished", mode, instead=instead)
    assert refused.exit != 0 and f"{OSLO}: machine: is fedora 13" in refused.log
    (advice,) = re.findall("^.*to go on without this host, add (.*)$", refused.log, re.MULTILINE)
    assert advice == f"--exclude {OSLO}"
    done = deploy(tmp_path, DATA, "finished", mode, *advice.split(), instead=instead)
    assert done.exit == 0, done.log
    assert done.sent[OSLO] == [] and "@fake/server" in done.sent and done.sent["@fake/bergen"] != []
    assert [done.changed(name) for name in DATA] == [[], [], []], "nor is its export removed"


def test_no_exclusion_is_proposed_where_it_does_not_help(tmp_path: Path) -> None:
    wrong = deploy(tmp_path, fleet(oslo={"nanoclaw_uid": "many"}, bergen={}), "finished", "-y")
    assert wrong.exit != 0 and "--exclude" not in wrong.log
    excluded = deploy(tmp_path, fleet(oslo={"nanoclaw_uid": "many"}, bergen={}), "finished", "-y", "--exclude", OSLO)
    assert excluded.exit != 0 and f"{OSLO}: nanoclaw_uid: " in excluded.log, "host data counts in any case"


def run_pyinfra(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run pyinfra as an operator does: without the role and its tests on Python's path."""
    return subprocess.run(
        [str(Path(sys.executable).parent / "pyinfra"), *args],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_example_inventory_is_refused_with_advice_before_contact() -> None:
    done = run_pyinfra(PROJECT, "inventory.py", "deploy.py", "-y")
    assert done.returncode != 0 and CONNECTING not in done.stderr
    for name, address in (("nfs1", "192.0.2.10"), ("oslo", "192.0.2.11"), ("legacy", "192.0.2.13")):
        assert f"{name}: ssh_hostname: {address} is an address for examples: write your own machines" in done.stderr


THE_ROLES_CONFIG = f"import runpy; runpy.run_path({str(PROJECT / 'config.py')!r})\n"


@pytest.mark.parametrize("config", [THE_ROLES_CONFIG, ""])
def test_role_finds_its_modules_from_any_directory(tmp_path: Path, config: str) -> None:
    (tmp_path / "inventory.py").write_text("nanoclaw_hosts = [('@fake/a', {'ssh_hostname': '192.0.2.1'})]\n")
    (tmp_path / "config.py").write_text(config)
    done = run_pyinfra(tmp_path, "inventory.py", str(PROJECT / "deploy.py"), "-y")
    assert done.returncode != 0 and "@fake/a: ssh_hostname: 192.0.2.1 is an address for examples" in done.stderr
    assert (CONNECTING in done.stderr) == (config == "")


@pytest.mark.parametrize("inventory", ["", "nfs_servers = []\nnanoclaw_hosts = []\n", "_hosts = ['a']\n"])
def test_inventory_without_machines_is_an_error(tmp_path: Path, inventory: str) -> None:
    (tmp_path / "inventory.py").write_text(inventory, encoding="utf-8")
    (tmp_path / "config.py").write_text(THE_ROLES_CONFIG, encoding="utf-8")
    done = run_pyinfra(tmp_path, "inventory.py", str(PROJECT / "deploy.py"), "-y")
    assert done.returncode != 0 and "the inventory inventory.py has no machine" in done.stderr, done.stderr
