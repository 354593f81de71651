"""What a file system lacks for a migration."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from files.pods.transition.check_space import shortfall
from files.pods.transition.protocol import SpaceNeed

LACK = (
    "{} would need {} MB and {} inodes, and has 3 MB and {} inodes free: free some space, or make the file system "
    "larger"
)


@pytest.mark.parametrize(
    ("size", "entries", "inodes", "lack"),
    [
        (3_000_000, 5, (9, 5), None),
        (3_000_001, 5, (9, 5), LACK.format("/a/b and /other", 3, 5, 5)),
        (3_000_000, 6, (9, 5), LACK.format("/a/b and /other", 3, 6, 5)),
        (3_000_000, 6, (0, 0), None),
        (4_999_999, 6, (0, 0), LACK.format("/a/b and /other", 4, 6, "any number of")),
    ],
    ids=["just enough", "a byte", "an inode", "no inodes are counted", "and a byte"],
)
def test_message_has_all_that_a_file_system_lacks(
    monkeypatch: pytest.MonkeyPatch, size: int, entries: int, inodes: tuple[int, int], lack: str | None
) -> None:
    files, available = inodes
    space = SimpleNamespace(f_bavail=3000, f_frsize=1000, f_files=files, f_favail=available)
    monkeypatch.setattr(os, "statvfs", {"/": space}.__getitem__)
    assert shortfall(SpaceNeed(("/a/b", "/other"), size, entries)) == lack
