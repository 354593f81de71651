"""The programs of a migration, one after the other, with NanoClaw's own steps between them: nothing is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from files.pods.common.protocol import Request
from files.pods.v1.audit.protocol import AuditRequest
from files.pods.v1.protocol import CopyRequest, ExtractRequest, FixUpRequest
from tests.lab.v1_tree import make_tree
from tests.programs import request_argv
from tests.unit.lab.standin_install import Install, made
from tests.unit.trees.trees import needs_root

MISSING = [tool for tool in ("git", "node", "sqlite3", "rsync") if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"not on this machine: {', '.join(MISSING)}"),
    needs_root,
]
ODD = 'export OTHER_KEY=x\n-----\nA_TOKEN=first\nA_TOKEN=\nJSON_KEY={\n  "a": "b=c"\n}\n'


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Install]:
    yield from made(tmp_path)


def run(request: Request) -> dict[str, Any]:
    argv = request_argv(request)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{request.entry}: {done.stderr}"
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_what_was_staged_while_v1_wrote_and_copied_at_rest_is_all_there(install: Install, tmp_path: Path) -> None:
    v1, snapshot = tmp_path / "v1", tmp_path / "snapshot"
    make_tree(v1, traits=["telegram", "git", "skill", "conversations"])
    with (v1 / ".env").open("a") as file:
        file.write(ODD)
    me, root = ("root", 0, 0), str(install.root)
    copy = CopyRequest(*me, str(v1), root, v1_home=None, hard_links=True, final=False, seconds=60)

    def steps(*names: str) -> None:
        run(ExtractRequest(*me, str(v1), str(snapshot)))
        for name in names:
            done = install.step(name, snapshot)
            assert done.returncode == 0 and "OK:" in done.stdout, done.stdout + done.stderr

    steps("env", "db", "sessions")
    run(copy)
    (v1 / "groups/main/late.md").write_text("written after the first copy")
    (v1 / ".env").write_text((v1 / ".env").read_text().replace("TZ=Europe/Oslo", "TZ=Europe/Rome"))
    steps("env", "db", "groups", "sessions", "tasks")
    run(replace(copy, final=True))
    run(FixUpRequest(*me, str(snapshot), root, unknown_senders=None, env_set=[]))
    (install.root / ".env").chmod(0o600)
    request = AuditRequest(
        str(v1), root, str(snapshot), agent=(0, 0), host=(0, 0), deep=True, seconds=60, left=[], env_set=[], lists=None
    )
    answer = run(request)
    assert answer["lost"] == []
    assert answer["counts"]["env"] == {"v1": 5, "v2": 5}
    assert (install.root / "groups/main/late.md").read_text() == "written after the first copy"
