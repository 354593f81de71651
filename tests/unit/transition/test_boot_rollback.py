"""The unit that rolls an interrupted change of version back at a boot, and the drop-in that waits for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from files.pods.transition import boot_rollback
from files.pods.transition.version_protocol import BootRollbackRequest


@pytest.fixture
def units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(boot_rollback, "UNITS", str(tmp_path / "system"))
    program = tmp_path / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nexit $(cat {tmp_path}/status)\n')
    program.chmod(0o755)
    (tmp_path / "status").write_text("0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def request(folder: Path, text: str = "[Unit]\n") -> BootRollbackRequest:
    return BootRollbackRequest("n.service", "back.service", text, "[Unit]\nRequires=back.service\n", f"{folder}/marker")


def test_unit_and_drop_in_are_written_once(units: Path) -> None:
    paths = [str(units / "system/back.service"), str(units / "system/n.service.d/60-nanoclaw-pods-transition.conf")]
    assert boot_rollback.main(request(units)) == {"changed": paths}
    assert Path(paths[1]).read_text() == "[Unit]\nRequires=back.service\n"
    assert boot_rollback.main(request(units)) == {"changed": []}
    assert boot_rollback.main(request(units, "[Unit]\nX=1\n")) == {"changed": paths[:1]}


def test_systemd_reads_them_each_time(units: Path) -> None:
    for _ in range(2):
        boot_rollback.main(request(units))
    assert (units / "calls").read_text().splitlines() == ["daemon-reload"] * 2


def test_marker_of_an_earlier_change_is_removed(units: Path) -> None:
    (units / "marker").touch()
    boot_rollback.main(request(units))
    assert not (units / "marker").exists()


def test_systemd_that_does_not_read_them_is_an_error(units: Path) -> None:
    (units / "status").write_text("1")
    with pytest.raises(subprocess.CalledProcessError):
        boot_rollback.main(request(units))
