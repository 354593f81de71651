"""What systemctl show prints, read as systemd means it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from files.pods.common import systemctl
from files.pods.common.systemctl import ManagerError, parse_environment


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("A=b C=d=e", {"A": "b", "C": "d=e"}),
        ("A= word", {"A": ""}),
        ('"A=b c" D=e', {"A": "b c", "D": "e"}),
        (r'"A=\n\t\r\a\b\f\v"', {"A": "\n\t\r\a\b\f\v"}),
        (r'"A=\"\\\s\'"', {"A": "\"\\s'"}),
        (r'"A=\x41\101\x7a"', {"A": "AAz"}),
        ('"A=1\n2"', {"A": "1\n2"}),
        ("A=1 A=2", {"A": "2"}),
    ],
)
def test_environment_has_the_escapes_of_c(text: str, expected: dict[str, str]) -> None:
    assert parse_environment(text) == expected


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that runs the script `says`, and writes down each request."""
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/requests\ncd {tmp_path}\n. ./says\n')
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def says(manager: Path, script: str) -> None:
    (manager / "says").write_text(script)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 3", "systemctl list-units ended with status 3"),
        ("sleep 60", "it does not answer in time"),
        ("exec cat /dev/zero", "its reply is too large"),
    ],
)
def test_manager_without_a_reply_says_why(
    manager: Path, script: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(systemctl, "REPLY_TIMEOUT", 2)
    says(manager, script)
    with pytest.raises(ManagerError) as failed:
        systemctl.run_systemctl(None, "list-units", "--all")
    assert str(failed.value) == why
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ManagerError, match=r"^systemctl: No such file or directory$"):
        systemctl.run_systemctl(None, "list-units")


def test_reply_counts_whatever_the_status(manager: Path) -> None:
    """systemctl(1) ends with 3 for a unit that does not run, and prints its properties."""
    says(manager, 'echo "$SYSTEMD_COLORS $SYSTEMD_URLIFY $PWD"; echo why >&2; exit 3')
    assert systemctl.run_systemctl(None, "show") == f"0 0 {manager}\n"
    assert (manager / "requests").read_text() == "--no-pager show\n"


LOADED = "claw.service loaded active running Claw\nclaw@a.service loaded active running Claw\n"


def test_services_are_those_with_a_file_and_those_that_are_loaded(manager: Path, tmp_path: Path) -> None:
    for name in ("claw.service", "claw@.service", "a.service.d", "b c.service", "x.socket", "é.service"):
        (tmp_path / "units" / name).mkdir(parents=True)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks/masked.service").symlink_to("/dev/null")
    places = f"{tmp_path}/units {tmp_path}/missing {tmp_path}/masks"
    says(manager, f"case $* in *UnitPath*) echo '{places}';; *list-units*) printf '{LOADED}';; *) exit 9;; esac")
    assert systemctl.service_names(None) == ["claw.service", "claw@a.service", "masked.service"]


@pytest.mark.parametrize("places", ["''", "'/home/a b/units'"])
def test_manager_lists_its_files_where_their_directories_are_unknown(manager: Path, places: str) -> None:
    files = "claw.service enabled enabled\nclaw@.service static -\n\n"
    cases = f"*UnitPath*) echo {places};; *list-unit-files*) printf '{files}';; *) printf '{LOADED}';;"
    says(manager, f"case $* in {cases} esac")
    assert systemctl.service_names(None) == ["claw.service", "claw@a.service"]


def test_manager_of_a_user_lists_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its directories may hang: only that user's manager looks there."""
    shown = {"list-unit-files": "claw.service enabled enabled\n", "list-units": "", "show": "/etc/systemd/system"}
    monkeypatch.setattr(systemctl, "run_systemctl", lambda _manager, command, *_args: shown[command])
    assert systemctl.service_names(1000) == ["claw.service"]


def test_directory_of_units_that_cannot_be_read_is_an_error(manager: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    says(manager, f"echo {tmp_path}/file")
    with pytest.raises(ManagerError, match="file: Not a directory"):
        systemctl.service_names(None)


def test_units_are_requested_a_hundred_at_a_time_and_aliases_once(manager: Path) -> None:
    says(manager, 'while [ "$1" != -- ]; do shift; done; shift; for name; do echo "Id=$name\nUser=a\n"; done')
    names = [f"{number}.service" for number in range(201)]
    assert [unit["Id"] for unit in systemctl.show_units(None, names, ["User"])] == names
    requests = (manager / "requests").read_text().splitlines()
    assert [line.count(".service") for line in requests] == [100, 100, 1]
    assert requests[-1] == "--no-pager show --property=Id,User -- 200.service"
    says(manager, "printf 'Id=a.service\nUser=\n\nId=a.service\nUser=\n'")
    assert systemctl.show_units(None, ["a.service", "alias.service"], ["User"]) == [{"Id": "a.service", "User": ""}]


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("Id=a\nUser=b\n", [{"Id": "a", "User": "b"}]),
        ("Id=a\nUser=b=c\n\nId=d\nUser=\n", [{"Id": "a", "User": "b=c"}, {"Id": "d", "User": ""}]),
        ("Id=a\nExecStart=1\nExecStart=2\n", [{"Id": "a", "ExecStart": "1\n2"}]),
        ("Id=a\nEnvironmentFiles=/1\nEnvironmentFiles=/2\n", [{"Id": "a", "EnvironmentFiles": "/1\n/2"}]),
        ("Id=a\nUser=b\nUser=eve\n", None),
        ("Id=a\nUser=b\nand more\n", None),
        ("Id=a\nOther=b\n", None),
        ("User=b\n", None),
    ],
)
def test_ambiguous_properties_are_none(text: str, units: list[dict[str, str]] | None) -> None:
    assert systemctl.parse_units(text, ["Id", "User", "ExecStart", "EnvironmentFiles"]) == units


@pytest.mark.parametrize("forged", ["Id=a.service\nUser=b\nUser=eve\n", "Id=a.service\nUser=b\n\nId=x\nUser=y\n"])
def test_ambiguous_unit_is_queried_property_by_property(manager: Path, forged: str) -> None:
    one = '*--property=Id) echo a.service;; *--property=User) printf "b\nUser=eve\n";;'
    says(manager, f"case ${{*%% -- *}} in *--value*) case ${{*%% -- *}} in {one} esac;; *) printf '{forged}';; esac")
    assert systemctl.show_units(None, ["a.service"], ["User"]) == [{"Id": "a.service", "User": "b\nUser=eve"}]


def test_properties_of_a_unit_are_none_without_a_reply(manager: Path) -> None:
    says(manager, "echo ActiveState=active; echo nonsense; echo A=b=c")
    assert systemctl.unit_properties("x.service", "ActiveState", "A") == {"ActiveState": "active", "A": "b=c"}
    assert (manager / "requests").read_text() == "show --property=ActiveState,A x.service\n"
    says(manager, "exit 1")
    assert systemctl.unit_properties("x.service", "ActiveState") == {}


def test_users_with_a_manager_are_those_with_its_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemctl, "RUNTIME", str(tmp_path / "user"))
    assert systemctl.running_users() == []
    for name in ("1001/systemd/private", "999/systemd/private", "1002/systemd", "x/systemd/private"):
        (tmp_path / "user" / name).mkdir(parents=True)
    assert systemctl.running_users() == [999, 1001]


def test_users_that_linger_are_those_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemctl, "LINGER", str(tmp_path / "linger"))
    assert systemctl.lingering_users() == []
    (tmp_path / "linger").mkdir()
    for name in ("root", "no-such-user"):
        (tmp_path / "linger" / name).touch()
    assert systemctl.lingering_users() == [0]
