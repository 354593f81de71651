"""The snapshot program, run as a machine runs it."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

from files.pods.common.protocol import Request
from files.pods.v1.protocol import ExtractRequest
from tests.lab.v1_tree import SECRET
from tests.programs import request_argv
from tests.unit.trees.trees import A


def run(request: Request) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(request_argv(request), capture_output=True, text=True, timeout=120)
    assert SECRET not in done.stdout + done.stderr
    return done


def answer_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    line = done.stdout.splitlines()[-1]
    assert line.isprintable()
    answer: dict[str, Any] = json.loads(line)
    return answer


def try_extract(root: Path, to: Path, owner: int = A) -> subprocess.CompletedProcess[str]:
    return run(ExtractRequest("andy", owner, owner, str(root), str(to)))


def extract(root: Path, to: Path, owner: int = A) -> dict[str, Any]:
    return answer_of(try_extract(root, to, owner))


def rows(path: Path, table: str) -> list[dict[str, Any]]:
    """Return the rows of a table."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in database.execute(f"SELECT * FROM {table}")]
    finally:
        database.close()
