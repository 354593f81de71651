"""What a small database that unfolds to a gigabyte costs root, against an ordinary one of the same v1."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from files.pods.v1.protocol import ExtractRequest, InspectRequest
from tests.bench.alone import measured
from tests.bench.figures import ratio
from tests.lab.errors import LabError
from tests.lab.v1_tree import make_tree
from tests.programs import request_argv

WHAT = (
    "v1.inspect and v1.extract over a NanoClaw v1, each as a command of its own. ordinary: its messages.db has two "
    "groups. hostile: 19,000 rows of 60,000 bytes that the file does not hold, since they are a column's default. kb: "
    "the peak of the largest process. written: bytes that extract leaves. ratio: hostile / ordinary."
)
LIMIT = 300


def blow_up(path: Path) -> None:
    """Makes a database of rows that take no room in the file, with the value of their column's default each."""
    path.unlink()
    with sqlite3.connect(path, isolation_level=None) as made:
        made.execute("CREATE TABLE registered_groups (jid, folder, is_main)")
        made.execute(
            "WITH RECURSIVE c(i) AS (VALUES(1) UNION ALL SELECT i+1 FROM c WHERE i < 19000) "
            "INSERT INTO registered_groups SELECT 'tg:' || i, 'f', 0 FROM c"
        )
        made.execute(f"ALTER TABLE registered_groups ADD COLUMN container_config DEFAULT '{'x' * 60_000}'")
    made.close()


def measure() -> dict[str, Any]:
    """Both programs over both, and the ratios within this run."""
    if os.geteuid() != 0:
        raise LabError("what root reads of others is measured as root")
    with tempfile.TemporaryDirectory() as folder:
        ordinary, hostile = Path(folder) / "ordinary", Path(folder) / "hostile"
        for v1 in (ordinary, hostile):
            make_tree(v1)
        blow_up(hostile / "store/messages.db")
        figures = {v1.name: _of(v1) for v1 in (ordinary, hostile)}
    ratios = {
        f"{program}, {what}": ratio(figures["hostile"][program][what], figures["ordinary"][program][what])
        for program in ("inspect", "extract")
        for what in ("seconds", "kb")
    }
    return {"what": WHAT, "databases": figures, "ratios": ratios}


def _of(v1: Path) -> dict[str, Any]:
    snapshot = v1.with_name(f"{v1.name}.snapshot")
    argv_by_program = {
        "inspect": request_argv(InspectRequest(str(v1), "/opt/v2", 0, [], 60)),
        "extract": request_argv(ExtractRequest("root", 0, 0, str(v1), str(snapshot))),
    }
    figures: dict[str, Any] = {"database": (v1 / "store/messages.db").stat().st_size}
    for program, argv in argv_by_program.items():
        taken = measured(argv, LIMIT)
        figures[program] = {"seconds": taken["seconds"], "kb": taken["largest_kb"], "exit": taken["exit"]}
    files = [path for path in snapshot.rglob("*") if path.is_file() and not path.is_symlink()]
    figures["extract"]["written"] = sum(path.stat().st_size for path in files)
    return figures


def sentence(document: dict[str, Any]) -> str:
    """The result in one line."""
    hostile = document["databases"]["hostile"]
    inspect, extract = hostile["inspect"], hostile["extract"]
    ratios = ", ".join(f"{what} {value}" for what, value in document["ratios"].items())
    return (
        f"hostile database of {hostile['database']} bytes: inspect has {inspect['kb']} kB, extract {extract['kb']} kB "
        f"and leaves {extract['written']} bytes; against an ordinary one: {ratios}"
    )
