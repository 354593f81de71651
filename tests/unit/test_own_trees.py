"""The program that gives trees to their owner, run as a machine runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tasks.command import program_text
from tests.unit.trees import A, needs_root


def ask(tree: Path, **more: Any) -> dict[str, Any]:
    """What the program says of one tree, run as a machine runs it."""
    asked = {"path": str(tree), "mount": None, "anchor": None, "uid": A, "gid": A, "uids": [0], "gids": [0, A], **more}
    arguments = json.dumps({"apply": more.pop("apply", False), "trees": [asked]})
    words = [sys.executable, "-I", "-c", program_text("own_trees"), arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])["trees"][0]
    return report


@needs_root
def test_the_program_counts_and_then_changes(tree: Path) -> None:
    (tree / "\udcff\n\x1b[31m").mkdir()
    counted = ask(tree)
    assert (counted["state"], counted["counts"], counted["entries"]) == ("there", {"give": 6}, 6)
    assert all(name.isprintable() for name in counted["samples"]["give"])
    assert len(counted["samples"]["give"]) == 5
    assert ask(tree, apply=True)["counts"] == {"give": 6}
    assert ask(tree)["counts"] == {"right": 6}


def test_the_program_does_not_take_a_bare_mount_point_for_the_tree(tree: Path) -> None:
    assert ask(tree, mount=str(tree))["state"] == "unmounted"


def test_the_program_says_what_is_not_there_and_what_is_no_directory(tree: Path) -> None:
    assert ask(tree / "none")["state"] == "absent"
    (tree / "link").symlink_to("ag")
    assert ask(tree / "link")["state"] == "unreadable"


@needs_root
def test_the_program_fails_where_an_entry_cannot_be_given(tree: Path) -> None:
    """An immutable file stands for a server that forbids it; the next run fails again, with the name."""
    stubborn = tree / "ag" / "stubborn"
    stubborn.write_text("")
    if subprocess.run(["chattr", "+i", stubborn], capture_output=True).returncode != 0:
        pytest.skip("no immutable files here")
    try:
        with pytest.raises(subprocess.CalledProcessError) as caught:
            ask(tree, apply=True)
    finally:
        subprocess.run(["chattr", "-i", stubborn], check=True)
    assert "1 entries, EPERM" in caught.value.stderr and "ag/stubborn" in caught.value.stderr
    assert ask(tree)["counts"] == {"right": 5, "give": 1}
