"""The exposure of a service by `systemd-analyze security`: from 0 to 10, which is full rights."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tasks.model.host import service_unit as texts
from tasks.model.host.service_unit import LOGGED, Runtime, expected_account
from tasks.model.ownership.guard import guard_unit
from tasks.model.ownership.guard import unit_text as guard_text
from tests.builders import local_plan
from tests.unit.service.test_service_unit import NFS, SQUASHED
from tests.unit.trees.trees import A, needs_root

GUARD, HOST = 1.5, 6.0
"""The highest exposure of the guard, and of a host process that is not root."""

UNSQUASHED: dict[str, Any] = {**NFS, "pods_export_options": ["no_root_squash"], "nanoclaw_user": "root"}


def exposure(folder: Path, unit: str, files: dict[str, str]) -> float:
    for name, text in files.items():
        path = folder / "etc/systemd/system" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    argv = ["systemd-analyze", "security", "--offline=true", f"--root={folder}", "--no-pager", unit]
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C.UTF-8"})
    match = re.search(rf"Overall exposure level for {re.escape(unit)}: (\d+\.\d+)", done.stdout)
    assert match, done.stdout + done.stderr
    return float(match[1])


@pytest.mark.parametrize(
    "data",
    [
        UNSQUASHED,
        {**UNSQUASHED, "nanoclaw_root": "/pods/nanoclaw-v2"},
        {**UNSQUASHED, "nanoclaw_root": "/root/nanoclaw"},
        {**UNSQUASHED, "nanoclaw_root": "/home/service/nanoclaw"},
        {"nanoclaw_user": "root"},
    ],
    ids=["binds", "root on the pods", "in root's home", "in a home", "local"],
)
def test_guard_has_few_rights(data: dict[str, Any], tmp_path: Path) -> None:
    of = local_plan(**data)
    text = guard_text(of, b"a program")
    assert exposure(tmp_path, guard_unit(of), {guard_unit(of): text}) <= GUARD
    homes = of.root.startswith(("/root", "/home"))
    assert f"ProtectHome={'read-only' if homes else 'yes'}\n" in text, "a tree in a home stays reachable"


@pytest.mark.parametrize(
    "data", [SQUASHED, {**SQUASHED, "nanoclaw_root": "/pods/nanoclaw-v2"}, {}], ids=["binds", "pods", "local"]
)
def test_host_process_of_a_user_has_few_rights(data: dict[str, Any], tmp_path: Path) -> None:
    of = local_plan(**data)
    runtime = Runtime(expected_account(of), "/usr/bin/node", 252)
    files = {of.unit: texts.unit_text(of, runtime), f"{of.unit}.d/50.conf": texts.dropin_text(of, runtime)}
    assert exposure(tmp_path, of.unit, files) <= HOST
    # What it must not have, or NanoClaw ends: Node's compiler, files of /tmp for containers, the pods' own mounts.
    settings = [line.partition("=")[0] for text in files.values() for line in text.splitlines() if line[:1] != "#"]
    assert not {"MemoryDenyWriteExecute", "PrivateTmp", "ProtectSystem", "ProtectHome", "PrivateMounts"} & {*settings}
    assert "SupplementaryGroups=docker" in files[f"{of.unit}.d/50.conf"]


def test_host_process_of_root_keeps_its_rights() -> None:
    of = local_plan(**UNSQUASHED)
    text = texts.dropin_text(of, Runtime(expected_account(of), "/usr/bin/node", 252))
    assert not re.search("^(CapabilityBoundingSet|NoNewPrivileges|SystemCallFilter)=", text, re.MULTILINE)


def logged(logs: Path, *, ids: int | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command of the unit, with a shell that prints to both streams instead of Node."""
    argv = ["/usr/bin/python3", "-I", "-c", LOGGED, str(logs), "nanoclaw.log", "nanoclaw.error.log"]
    argv += ["/bin/sh", "-c", "echo out; echo err >&2"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=20, user=ids, group=ids)


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder


def test_output_of_a_service_goes_to_its_logs(logs: Path) -> None:
    (logs / "nanoclaw.log").write_text("before\n")
    assert logged(logs).returncode == 0
    assert (logs / "nanoclaw.log").read_text() == "before\nout\n"
    assert (logs / "nanoclaw.error.log").read_text() == "err\n"


@pytest.mark.parametrize("planted", ["nanoclaw.log", "nanoclaw.error.log", "."])
def test_log_that_is_a_link_is_not_opened(logs: Path, planted: str, tmp_path: Path) -> None:
    """Otherwise a writer of logs/ could make root write to any file."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "shadow").write_text("kept\n")
    for name in ("nanoclaw.log", "nanoclaw.error.log"):
        (elsewhere / name).write_text("kept\n")
    if planted == ".":
        logs.rmdir()
        logs.symlink_to(elsewhere)
    else:
        (logs / planted).symlink_to(elsewhere / "shadow")
    assert logged(logs).returncode != 0
    assert {path.read_text() for path in elsewhere.iterdir()} == {"kept\n"}


def test_log_that_is_a_pipe_blocks_nothing(logs: Path) -> None:
    os.mkfifo(logs / "nanoclaw.log")
    assert logged(logs).returncode != 0


@needs_root
def test_log_is_opened_with_the_rights_of_the_service(logs: Path) -> None:
    for parent in (logs, *logs.parents):
        if parent == logs or parent.name.startswith(("test_", "pytest-", "popen-")):
            parent.chmod(0o755)
    os.chown(logs, A, A)
    (logs / "nanoclaw.log").write_text("root's\n")
    (logs / "nanoclaw.log").chmod(0o600)
    assert logged(logs, ids=A).returncode != 0
    (logs / "nanoclaw.log").unlink()
    assert logged(logs, ids=A).returncode == 0
    assert (logs / "nanoclaw.log").stat().st_uid == A


@pytest.mark.parametrize("data", [SQUASHED, UNSQUASHED, {}], ids=["user", "root", "local"])
def test_systemd_opens_no_log_by_path(data: dict[str, Any]) -> None:
    """NanoClaw's own unit has append:; the drop-in comes later and overrides it."""
    of = local_plan(**data)
    runtime = Runtime(expected_account(of), "/usr/bin/node", 252)
    lines = [*texts.unit_text(of, runtime).splitlines(), *texts.dropin_text(of, runtime).splitlines()]
    for name in ("StandardOutput", "StandardError"):
        assert [line for line in lines if line.startswith(name)][-1] == f"{name}=journal"
    commands = [line for line in lines if line.startswith("ExecStart=")]
    assert commands[-2] == "ExecStart=" and commands[-1].endswith(f" /usr/bin/node {of.root}/dist/index.js")
    assert not set("%$\\'") & set(LOGGED), "systemd would read it as anything else"
