"""Skills of a staged checkout, carried over to the project root once that has the same commit."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import replace

from files.pods.source.channel_undo import begin_channel, undo_channel
from files.pods.source.git_worktree import Tree
from files.pods.source.skill_record import finish_skills, local_changes, read_record, undo_skills, written_files


def carry_skills(stage: Tree, tree: Tree) -> None:
    """Write what skills have written in a staged checkout, and its record. Can be repeated.

    The stamp of the project root's build is removed: whoever puts the staged build in its place writes it afterwards.
    Local changes of the project root come back once the skills are undone.
    """
    undo_channel(tree)
    undo_skills(tree)
    record = read_record(stage)
    if record is None:
        return
    begin_channel(tree, "skills")
    before = local_changes(tree)
    for path, file in record.files.items():
        copy_file(f"{stage.root}/{path}", f"{tree.root}/{path}", is_there=file.after is not None)
    finish_skills(tree, replace(record, files=written_files(tree, before)))


def copy_file(source: str, target: str, *, is_there: bool) -> None:
    """Make a file as another, or remove it."""
    with suppress(FileNotFoundError):
        os.unlink(target)
    if is_there:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(source, target, follow_symlinks=False)
