"""The programs of a migration, one after the other, with NanoClaw's own steps between them: nothing is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.v1_tree import make_tree
from tests.programs import program_argv
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


def run(name: str, **request: Any) -> dict[str, Any]:
    argv = program_argv(name, request)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{name}: {done.stderr}"
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_what_was_staged_while_v1_wrote_and_copied_at_rest_is_all_there(install: Install, tmp_path: Path) -> None:
    v1, view = tmp_path / "v1", tmp_path / "view"
    make_tree(v1, traits=["telegram", "git", "skill", "conversations"])
    with (v1 / ".env").open("a") as file:
        file.write(ODD)
    me = {"user": "root", "uid": 0, "gid": 0}
    copy = {"v1": str(v1), "root": str(install.root), "v1_home": None, "hard_links": True, "seconds": 60, **me}

    def steps(*names: str) -> None:
        run("v1.extract", v1=str(v1), to=str(view), **me)
        for name in names:
            done = install.step(name, view)
            assert done.returncode == 0 and "OK:" in done.stdout, done.stdout + done.stderr

    steps("env", "db", "sessions")
    run("v1.copy", **copy, final=False)
    (v1 / "groups/main/late.md").write_text("written after the first copy")
    (v1 / ".env").write_text((v1 / ".env").read_text().replace("TZ=Europe/Oslo", "TZ=Europe/Rome"))
    steps("env", "db", "groups", "sessions", "tasks")
    run("v1.copy", **copy, final=True)
    run("v1.fix_up", view=str(view), root=str(install.root), unknown_senders=None, env_set=[], **me)
    (install.root / ".env").chmod(0o600)
    ids = {"agent": {"uid": 0, "gid": 0}, "host": {"uid": 0, "gid": 0}}
    request = {"v1": str(v1), "root": str(install.root), "view": str(view), "deep": True, "seconds": 60}
    answer = run("v1.audit.main", **request, **ids, left=[], env_set=[], lists=None)
    assert answer["lost"] == []
    assert answer["counts"]["env"] == {"v1": 5, "v2": 5}
    assert (install.root / "groups/main/late.md").read_text() == "written after the first copy"
