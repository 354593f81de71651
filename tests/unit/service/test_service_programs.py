"""The programs about the service, without systemd."""

from __future__ import annotations

import grp
import hashlib
import pwd
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from files.pods.common.lstat_below import lstat_below
from files.pods.common.protocol import Place
from files.pods.service import state as host_service
from files.pods.service.last_start import outdated
from files.pods.service.log import logged, plain, shortened, size_of
from files.pods.service.protocol import Account, Rival, Serving, UnitState
from files.pods.service.serving import UnitServing
from files.pods.service.state import earlier_units

UNIT = "nanoclaw-v2-00000000.service"


def test_inputs_that_changed_since_the_start_are_outdated(tmp_path: Path) -> None:
    same, changed, gone, new = (str(tmp_path / name) for name in ("same", "changed", "gone", "new"))
    for path in (same, changed, gone):
        Path(path).write_text(path)
    noted = subprocess.run(["sha256sum", same, changed, gone], check=True, capture_output=True, text=True).stdout
    started = tmp_path / "started"
    started.write_text(noted)
    Path(changed).write_text("other")
    Path(gone).unlink()
    absent = str(tmp_path / "absent")
    Path(new).write_text("new")
    assert outdated([same, changed, gone, absent, new], str(started)) == [changed, gone, new]
    assert outdated([same], str(tmp_path / "nothing")) is None
    assert hashlib.sha256(same.encode()).hexdigest() in noted


def test_enabled_unit_of_another_root_is_a_rival(tmp_path: Path) -> None:
    for unit in (UNIT, "nanoclaw-v2-11111111.service", "nanoclaw-v2-22222222.service"):
        (tmp_path / f"{unit}.d").mkdir()
        (tmp_path / f"{unit}.d" / "50-nanoclaw-pods.conf").write_text("")
    wants = tmp_path / "multi-user.target.wants"
    wants.mkdir()
    for unit in (UNIT, "nanoclaw-v2-11111111.service", "nanoclaw-v2-33333333.service"):
        (wants / unit).symlink_to(tmp_path / unit)
    assert earlier_units(UNIT, str(tmp_path)) == [Rival("earlier unit", "nanoclaw-v2-11111111.service")]


@pytest.mark.parametrize(("gid", "group"), [(1001, "claw"), (7, "7")])
def test_host_user_comes_from_nss(monkeypatch: pytest.MonkeyPatch, gid: int, group: str) -> None:
    entry = pwd.struct_passwd(("nanoclaw", "x", 1000, gid, "", "/home/nanoclaw", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwnam", {"nanoclaw": entry}.__getitem__)
    monkeypatch.setattr(grp, "getgrgid", {1001: grp.struct_group(("claw", "x", 1001, []))}.__getitem__)
    assert host_service.account("nanoclaw", gid) == Account(1000, gid, "/home/nanoclaw", group)
    assert host_service.account("nobody-here", gid) is None


def service(name: str, manager: str, active: str, file_state: str = "enabled") -> dict[str, Any]:
    uid = 0 if manager == "system" else 1000
    return {"name": name, "manager": manager, "uid": uid, "file": f"/of/{name}", "active": active} | {
        "file_state": file_state
    }


def test_each_rival_has_its_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """test_refusal_names_the_way_out has a way out for each kind."""
    services = [
        service(UNIT, "system", "active"),
        service("other.service", "system", "active"),
        service("idle.service", "system", "inactive", "disabled"),
        service("hers.service", "user", "active"),
        service("asleep.service", "user", "no manager"),
    ]
    processes = [
        {"manager": "system", "unit": UNIT, "pid": 7, "uid": 0},
        {"manager": "user", "unit": "hers.service", "pid": 8, "uid": 1000},
        {"manager": None, "unit": None, "pid": 9, "uid": 1001},
    ]
    monkeypatch.setattr(host_service, "every_home", lambda: ([], False))
    monkeypatch.setattr(host_service, "homes_with_units", lambda homes: homes)
    monkeypatch.setattr(host_service, "units", lambda _root, _homes: {"units": services})
    monkeypatch.setattr(host_service, "root_processes", lambda *_args: processes)
    assert host_service.rivals(UNIT, "/opt/nanoclaw") == [
        Rival("unit", "/of/other.service"),
        Rival("user unit", "/of/hers.service", "1000"),
        Rival("sleeping user unit", "/of/asleep.service", "1000"),
        Rival("process", "9", "uid 1001, no service"),
    ]


@pytest.mark.parametrize("name", ["link/file", "link", "loose"])
def test_link_on_the_way_is_a_link(tmp_path: Path, name: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "loose").symlink_to("nowhere")
    assert lstat_below(str(tmp_path / name), str(tmp_path)).kind == "link"
    assert lstat_below(str(tmp_path / "real" / "file"), str(tmp_path)).kind == "file"
    assert lstat_below(str(tmp_path / "none" / "file"), str(tmp_path)) == Place("absent")


def test_control_characters_of_a_log_are_escaped() -> None:
    shown = plain(b"first\n\x1b]0;title\x07 \xff \xc3\xa6\n")
    assert shown == ["first", "\\x1b]0;title\\x07 \\xff \u00e6"]


def test_log_is_read_from_its_old_end_or_from_the_beginning_if_rotated(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert (size_of(str(log)), logged(str(log), 0)) == (0, [])
    log.write_text("of yesterday\n")
    before = size_of(str(log))
    assert (before, logged(str(log), before)) == (13, [])
    with log.open("a") as file:
        file.write("of today\nand more\n")
    assert logged(str(log), before) == ["of today", "and more"]
    log.write_text("new\n")
    assert logged(str(log), before) == ["new"]
    (tmp_path / "link").symlink_to(log)
    assert logged(str(tmp_path / "link"), 0) == []


STATE = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled"}


def systemctl_of(properties: dict[str, dict[str, str]], version: str = "systemd 257") -> Callable[..., str]:
    """A `systemctl show` of units with these properties: prints only the named ones, a block for each unit."""

    def systemctl(*args: str) -> str:
        if args == ("--version",):
            return version
        assert args[0] == "show"
        names = next(word for word in args if word.startswith("--property=")).removeprefix("--property=").split(",")
        bare = "--value" in args
        units = [properties.get(word, {}) for word in args[1:] if not word.startswith("--")]
        blocks = [[value if bare else f"{key}={value}" for key, value in it.items() if key in names] for it in units]
        return "\n\n".join("\n".join(block) for block in blocks) + "\n"

    return systemctl


@pytest.mark.parametrize(("main", "other", "due"), [("no", "no", False), ("yes", "no", True), ("no", "yes", True)])
def test_unit_state_has_a_reload_if_any_of_our_units_needs_one(
    main: str, other: str, due: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    timer = "nanoclaw-other.service"
    units = {UNIT: {**STATE, "NeedDaemonReload": main}, timer: {"NeedDaemonReload": other}}
    monkeypatch.setattr(host_service, "systemctl", systemctl_of(units))
    texts = [f"/etc/systemd/system/{UNIT}", f"/etc/systemd/system/{UNIT}.d/x.conf", f"/etc/systemd/system/{timer}"]
    assert host_service.unit_state(UNIT, texts) == UnitState("loaded", "active", "running", "enabled", due)


@pytest.mark.parametrize(("seconds", "waits"), [(None, []), (1.5, [0, 28.5]), (29, [0, 1]), (30, [0]), (4000, [0])])
def test_service_that_has_just_started_gets_time_to_answer(
    seconds: float | None, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    request: list[float] = []

    def serving(_unit: str, _root: str, _user: tuple[int, int], wait: float) -> UnitServing:
        request.append(wait)
        return UnitServing(wait > 0, "" if wait else "not yet", seconds=seconds)

    monkeypatch.setattr(host_service, "wait_until_serving", serving)
    reply = host_service.answering(UNIT, "/srv/claw", (1000, 1000))
    assert request == (waits or [0])
    assert reply == (Serving(True, "") if len(waits) == 2 else Serving(False, "not yet"))


@pytest.mark.parametrize(
    "text",
    ["systemd 257 (257.9-1~deb13u1)\n+PAM", "systemd 257~rc2 (257~rc2-3)\n", "systemd 257.1\n", "systemd v257\n"],
)
def test_systemd_version_is_read_in_any_form(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_service, "systemctl", lambda *_args: text)
    assert host_service.systemd_version() == 257


def test_long_log_is_cut_in_its_middle() -> None:
    lines = [str(number) for number in range(91)]
    assert shortened(lines[:90]) == lines[:90]
    assert shortened(lines) == [*lines[:60], "… 1 lines …", *lines[61:]]


def test_reading_of_a_log_is_bounded(tmp_path: Path) -> None:
    log = tmp_path / "nanoclaw.log"
    log.write_text("x\n" * (1 << 16))
    assert len(logged(str(log), 0)) == 1 << 15
    log.unlink()
    log.symlink_to("/etc/passwd")
    assert logged(str(log), 0) == [] and size_of(str(tmp_path / "none")) == 0
