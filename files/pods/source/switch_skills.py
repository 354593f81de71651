"""Skills across a switch of the project root: those of the version before go, and come back with it.

What skills have written in the stage is carried over by carry_skills.py. For programs that import it.
"""

from __future__ import annotations

import os
from typing import Any

from files.pods.common.atomic_write import replace
from files.pods.common.dotenv import merge_entries, parse
from files.pods.common.protocol import decode, document_of
from files.pods.common.read_untrusted import read_untrusted_object, read_untrusted_text
from files.pods.source.carry_skills import carry_skills
from files.pods.source.channel_undo import kept, restore_file, undo_channel
from files.pods.source.git_worktree import STAMP, Tree
from files.pods.source.skill_documents import SkillRecord
from files.pods.source.skill_record import finish_skills, read_record, unchanged_files, undo_skills
from files.pods.source.stage_place import kept_of, stage_of

NEW_ENTRIES = "nanoclaw-pods-env"
"""File in .git of a stage: the entries that skills have set in .env there."""


def written_by_skills(tree: Tree) -> dict[str, Any] | None:
    """Return the record of the skills of a checkout, and mode and blob of what they wrote; None without skills."""
    undo_channel(tree)
    record = read_record(tree)
    if record is None:
        return None
    return {"record": document_of(record), "files": {path: kept(tree, path) for path in unchanged_files(tree, record)}}


def take_over_skills(root: str) -> None:
    """Write what skills have written in the stage, once the project root has its commit. Can be repeated.

    The stamp of the build before goes to what is kept: the carry removes it. Once the stamp of the stage has taken its
    place, all of this is done.
    """
    stage = Tree(stage_of(root))
    if not os.path.lexists(f"{stage.root}/{STAMP}"):
        return
    if os.path.lexists(f"{root}/{STAMP}"):
        os.makedirs(os.path.dirname(f"{kept_of(root)}/{STAMP}"), mode=0o700, exist_ok=True)
        os.rename(f"{root}/{STAMP}", f"{kept_of(root)}/{STAMP}")
    carry_skills(stage, Tree(root))
    take_over_entries(root, stage)


def take_over_entries(root: str, stage: Tree) -> None:
    """Set the entries in .env that skills have set in that of the stage."""
    entries = {name: str(value) for name, value in read_untrusted_object(f"{stage.git_dir}/{NEW_ENTRIES}").items()}
    before = read_untrusted_text(f"{root}/.env", follow=True) or ""
    if {name: value for name, value in entries.items() if parse(before).get(name) != value}:
        path = os.path.realpath(f"{root}/.env")  # the operator's may be a link
        mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o600
        replace(path, merge_entries(before, entries).encode(), mode)


def undo_new_skills(tree: Tree, commit: str) -> None:
    """Undo what was carried over for a commit."""
    undo_channel(tree)
    record = read_record(tree)
    if record and record.commit == commit:
        undo_skills(tree)


def restore_skills(tree: Tree, skills: dict[str, Any] | None) -> None:
    """Bring back what skills had written, and their record. A file that somebody changed meanwhile stays."""
    if skills is None:
        return
    record = decode(SkillRecord, skills["record"], "skills")
    for path, was in skills["files"].items():
        if may_restore(tree, record, path, was):
            restore_file(tree, path, was and (was[0], was[1]))
    finish_skills(tree, record)


def may_restore(tree: Tree, record: SkillRecord, path: str, was: list[Any] | None) -> bool:
    """Return whether a file is as without the skills, or missing, or half written by an earlier restore."""
    now, file = tree.on_disk(path), record.files[path]
    before = content(tree, file.before) if file.differed else tree.blob("HEAD", path)
    target = content(tree, was)
    return now is None or now == before or (target is not None and target.startswith(now))


def content(tree: Tree, was: Any) -> bytes | None:
    """Return the content of a blob by its mode and id; None for neither."""
    if was is None:
        return None
    done = tree.data("cat-file", "blob", was[1])
    done.check_returncode()
    return done.stdout
