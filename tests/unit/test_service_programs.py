"""The programs about the service, as far as they can be run without systemd."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from files.programs import host_service
from files.programs.host_service import earlier_units
from files.programs.place import place
from files.programs.service_log import plain
from files.programs.started import outdated

UNIT = "nanoclaw-v2-00000000.service"


def test_what_changed_since_the_start_is_told_apart(tmp_path: Path) -> None:
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


def test_an_enabled_unit_of_another_root_is_a_rival(tmp_path: Path) -> None:
    for unit in (UNIT, "nanoclaw-v2-11111111.service", "nanoclaw-v2-22222222.service"):
        (tmp_path / f"{unit}.d").mkdir()
        (tmp_path / f"{unit}.d" / "50-nanoclaw-pods.conf").write_text("")
    wants = tmp_path / "multi-user.target.wants"
    wants.mkdir()
    for unit in (UNIT, "nanoclaw-v2-11111111.service", "nanoclaw-v2-33333333.service"):
        (wants / unit).symlink_to(tmp_path / unit)
    assert earlier_units(UNIT, str(tmp_path)) == [{"kind": "earlier unit", "name": "nanoclaw-v2-11111111.service"}]


@pytest.mark.parametrize("name", ["link/file", "link", "loose"])
def test_a_link_on_the_way_is_a_link(tmp_path: Path, name: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "loose").symlink_to("nowhere")
    assert place(str(tmp_path / name), str(tmp_path))["kind"] == "link"
    assert place(str(tmp_path / "real" / "file"), str(tmp_path))["kind"] == "file"
    assert place(str(tmp_path / "none" / "file"), str(tmp_path)) == {"kind": "absent"}


def test_what_agents_have_logged_is_no_command_for_a_terminal() -> None:
    shown = plain(b"first\n\x1b]0;title\x07 \xff \xc3\xa6\n")
    assert shown == ["first", "\\x1b]0;title\\x07 \\xff \u00e6"]


@pytest.mark.parametrize(
    "text",
    ["systemd 257 (257.9-1~deb13u1)\n+PAM", "systemd 257~rc2 (257~rc2-3)\n", "systemd 257.1\n", "systemd v257\n"],
)
def test_the_version_of_systemd_is_read_in_any_form(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_service, "systemctl", lambda *_words: text)
    assert host_service.systemd_version() == 257
