"""The memory of groups in a v1 with many of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from files.pods.v1.memory import settle_memory
from tests.processes import open_files


def test_no_directory_stays_open_even_after_a_refusal(tmp_path: Path) -> None:
    """A process has 1,024 fds at most by default; a v1 may have more groups than that."""
    for top in ("v1", "v2"):
        (tmp_path / top / "groups").mkdir(parents=True)
    (tmp_path / "v1/groups/global").mkdir()
    (tmp_path / "v1/groups/global/CLAUDE.md").write_text("all know this")
    for name in ("family", "linked", "club"):
        (tmp_path / f"v1/groups/{name}").mkdir()
        (tmp_path / f"v1/groups/{name}/CLAUDE.md").write_text(f"of {name}")
    (tmp_path / "v1/groups/linked/CLAUDE.md").unlink()
    (tmp_path / "v1/groups/linked/CLAUDE.md").symlink_to("/etc/passwd")
    (tmp_path / "v2/groups/club/CLAUDE.local.md").mkdir(parents=True)
    before = open_files()
    answer: dict[str, Any] = {"memories": 0, "global": 0, "left": []}
    settle_memory(str(tmp_path / "v1"), str(tmp_path / "v2"), ["family", "late"], answer)
    assert open_files() == before
    family = tmp_path / "v2/groups/family"
    assert (family / "CLAUDE.local.md").read_text() == "@./CLAUDE.global.md\nof family"
    assert (family / "CLAUDE.global.md").read_text() == "all know this"
    modes = [path.stat().st_mode & 0o777 for path in (family, *sorted(family.iterdir()))]
    assert modes == [0o755, 0o644, 0o644], "agents of another user read their memory"
    assert (tmp_path / "v2/groups/late/CLAUDE.local.md").read_text() == "@./CLAUDE.global.md\n"
    assert [left["what"] for left in answer["left"]] == ["memory of club", "memory of linked"]
    assert (answer["memories"], answer["global"]) == (1, 2)
