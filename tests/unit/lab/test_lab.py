from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tasks.model.versions.node_range import accepts
from tasks.model.versions.version_needs import SQLITE_13_NODE
from tests.lab import image, lab, requirements, uml
from tests.lab.errors import CommandFailedError, LabError
from tests.lab.machine import as_user
from tests.lab.ssh import Keys
from tests.lab.topology import host, server
from tests.lab.uml import Guest


@pytest.mark.parametrize("name", ["", "Upper", "a/b", "../x", "-a", "x" * 32])
def test_a_lab_name_is_a_safe_folder_name(name: str) -> None:
    with pytest.raises(LabError, match="lab name"):
        lab.Lab(name)


def test_a_lab_that_never_ran_says_how_to_start_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "LABS", tmp_path)
    fresh = lab.Lab("other")
    assert not fresh.is_up
    with pytest.raises(LabError, match="--lab other up"):
        fresh["server"]


def test_a_saved_lab_is_loaded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "LABS", tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "x/lab.json").write_text(
        '{"index": 7, "topology": [{"name": "s", "memory": 512, "docker": false, "git": true}]}'
    )
    loaded = lab.Lab("x")
    assert loaded["s"].address == "10.99.7.10"
    assert loaded["s"].spec == server("s")
    assert lab.Lab("x", [host("h")])["h"].address == "10.99.7.10"
    with pytest.raises(LabError, match="it has s"):
        loaded["t"]


def test_machines_and_labs_take_turns_on_the_processors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "LABS", tmp_path)
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: {5, 3})
    used = []
    for index in (4, 5):
        (tmp_path / f"x{index}").mkdir()
        (tmp_path / f"x{index}/lab.json").write_text(f'{{"index": {index}, "topology": []}}')
        machines = lab.Lab(f"x{index}", [server("s"), host("h"), host("i")]).machines.values()
        used.append([machine.processor for machine in machines])
    assert used == [[3, 5, 3], [5, 3, 5]]


def test_a_guest_stays_on_its_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = tmp_path / "launcher"
    launcher.write_text("#!/bin/sh\nsleep 60 & wait\n")
    launcher.chmod(0o755)
    monkeypatch.setattr(uml, "LAUNCHER", launcher)
    monkeypatch.setattr(uml, "kernel", lambda: tmp_path / "linux")
    monkeypatch.setattr(uml, "RUNTIME", tmp_path)
    monkeypatch.setattr(uml, "guest_memory_folder", lambda _memory: tmp_path)
    guest = Guest("ncp-test-pinned", tmp_path)
    (tmp_path / "linux.img").touch()
    guest.start_afresh_from(tmp_path / "linux.img")
    last = max(os.sched_getaffinity(0))
    guest.start(64, last, [])
    pid = guest.pid()
    assert pid is not None
    try:
        assert os.sched_getaffinity(pid) == {last}
    finally:
        guest.kill()


def test_a_process_number_that_now_belongs_to_another_program_does_not_count(tmp_path: Path) -> None:
    guest = Guest("ncp-test-nobody", tmp_path)
    assert guest.pid() is None
    guest.record.write_text(f"{os.getpid()} 1\n")
    assert guest.pid() is None
    guest.kill()


def test_a_guest_is_known_by_its_number_and_the_time_of_its_start(tmp_path: Path) -> None:
    guest = Guest("ncp-test-somebody", tmp_path)
    with subprocess.Popen(["sleep", "60"]) as process:
        begun = Path(f"/proc/{process.pid}/stat").read_text().split()[21]
        guest.record.write_text(f"{process.pid} {begun}\n")
        assert guest.pid() == process.pid
        process.kill()
    assert guest.pid() is None


def test_commands_as_another_user() -> None:
    assert as_user("id", None) == as_user("id", "operator") == "id"
    assert as_user("echo 'a b'", 1000) == (
        "setpriv --reuid=1000 --regid=1000 --clear-groups sh -c 'echo '\"'\"'a b'\"'\"''"
    )
    assert as_user("id", "nanoclaw") == "runuser -u nanoclaw -- sh -c id"


def test_a_host_key_is_forgotten_alone(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    keys.known_hosts.write_text("10.99.0.1 ssh-ed25519 A\n10.99.0.10 ssh-ed25519 B\n")
    keys.forget("10.99.0.1")
    assert keys.known_hosts.read_text() == "10.99.0.10 ssh-ed25519 B\n"


def test_a_failed_command_shows_its_output() -> None:
    text = str(CommandFailedError("server", "false", 3, "out", "err"))
    assert all(part in text for part in ("server", "`false`", "3", "out", "err"))


def test_images_in_use_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for age, name in enumerate(["a", "b", "c", "d"]):
        path = tmp_path / f"machine-{name}.img"
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    used = f"ubd0=/x/disk.cow,{tmp_path}/machine-d.img".encode()
    monkeypatch.setattr(image, "running_command_lines", lambda: used)
    image.prune(tmp_path)
    assert sorted(path.stem[-1] for path in tmp_path.iterdir()) == ["a", "b", "d"]


def test_missing_programs_come_with_the_command_that_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("pathlib.Path.exists", lambda self: True)
    monkeypatch.setattr(requirements, "missing_packages", lambda: ["mmdebstrap"])
    assert requirements.unsupported_reason() == (
        "programs are missing: apt-get install --no-install-recommends mmdebstrap"
    )
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "root" in (requirements.unsupported_reason() or "")
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert "Darwin" in (requirements.unsupported_reason() or "")


def test_the_second_node_is_pinned_by_its_digest_and_runs_later_versions() -> None:
    folder = image.RECIPE / "root/opt/node"
    lock = json.loads((folder / "package-lock.json").read_text())
    ((name, version),) = json.loads((folder / "package.json").read_text())["dependencies"].items()
    pinned = lock["packages"][f"node_modules/{name}"]
    assert pinned["version"] == version and accepts(SQLITE_13_NODE, version)
    assert pinned["integrity"].startswith("sha512-") and "resolved" not in pinned, "no registry is named"
