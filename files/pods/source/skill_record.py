"""What skills of NanoClaw have changed in a checkout, and for which commit: the record of it, and its undo.

A gateway or a channel is a skill that writes into the checkout: files of its own, imports, a package. It fits one
commit only. So a move to another commit undoes it before, and the new commit gets it again.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from typing import Any

from files.pods.common.atomic_write import replace
from files.pods.common.protocol import ProtocolError, decode, document_of
from files.pods.common.read_untrusted import read_untrusted_object
from files.pods.source.channel_undo import (
    NEXT_SKILLS,
    differing_files,
    end_channel,
    is_large,
    kept,
    read_note,
    revert_files,
)
from files.pods.source.git_worktree import Tree
from files.pods.source.skill_documents import AppliedSkills, SkillRecord, WrittenFile

RECORD = "nanoclaw-pods-skills"
"""File in .git: the document of a SkillRecord."""
KEPT = "refs/nanoclaw-pods-skills/"
"""Refs that keep the blobs of an undo from git-gc(1)."""


def read_record(tree: Tree) -> SkillRecord | None:
    """Return the record; None where there is none, or none that can be read."""
    names = (NEXT_SKILLS, RECORD) if read_note(tree) is None else (RECORD,)
    documents: list[Any] = [read_untrusted_object(f"{tree.git_dir}/{name}") for name in names]
    document = next(filter(None, documents), None)
    try:
        return decode(SkillRecord, document, RECORD) if document else None
    except ProtocolError:
        return None


def applied_skills(tree: Tree) -> AppliedSkills | None:
    """Return what the record says; None without one."""
    record = read_record(tree)
    if record is None:
        return None
    paths = [path for path, file in record.files.items() if file.after is not None]
    complete = read_note(tree) is None and all(os.path.lexists(f"{tree.root}/{path}") for path in paths)
    return AppliedSkills(record.commit, record.gateway, record.server, record.channels, complete)


def finish_skills(tree: Tree, record: SkillRecord) -> None:
    """End the install that `begin_channel` began, with its record. At any moment one state counts, old or new."""
    blobs = {file.before[1] for file in record.files.values() if file.before}
    for blob in blobs:
        tree.run("update-ref", KEPT + blob, blob)
    replace(f"{tree.git_dir}/{NEXT_SKILLS}", json.dumps(document_of(record)).encode())
    end_channel(tree)
    os.rename(f"{tree.git_dir}/{NEXT_SKILLS}", f"{tree.git_dir}/{RECORD}")
    remove_refs(tree, blobs)


def remove_refs(tree: Tree, needed: set[str]) -> None:
    """Remove the refs of other blobs."""
    for ref in (tree.ask("for-each-ref", "--format=%(refname)", KEPT) or "").split():
        if ref[len(KEPT) :] not in needed:
            tree.run("update-ref", "-d", ref)


def local_changes(tree: Tree) -> dict[str, tuple[int, str] | None]:
    """Return the files that differ from HEAD, each with its mode and blob; None for one that is missing."""
    return {path: kept(tree, path) for path in differing_contents(tree) if not is_large(f"{tree.root}/{path}")}


def differing_contents(tree: Tree) -> set[str]:
    """Return the files with another content than in HEAD. git lists a file that was only written again, too."""
    return {path for path in differing_files(tree) if tree.on_disk(path) != tree.blob("HEAD", path)}


def content_digest(tree: Tree, path: str) -> str | None:
    """Return the SHA-256 of a file's content, or of a link's target; None without the file."""
    content = tree.on_disk(path)
    return None if content is None else hashlib.sha256(content).hexdigest()


def written_files(tree: Tree, before: dict[str, tuple[int, str] | None]) -> dict[str, WrittenFile]:
    """Return the files that changed since the checkout had these local changes."""
    files = {}
    for path in differing_contents(tree) | set(before):
        after = None if is_large(f"{tree.root}/{path}") else content_digest(tree, path)
        if path not in before:
            files[path] = WrittenFile(after)
        elif after != blob_digest(tree, before[path]):
            files[path] = WrittenFile(after, True, before[path])
    return files


def blob_digest(tree: Tree, was: tuple[int, str] | None) -> str | None:
    """Return the SHA-256 of a blob's content."""
    if was is None:
        return None
    done = tree.data("cat-file", "blob", was[1])
    done.check_returncode()
    return hashlib.sha256(done.stdout).hexdigest()


def unchanged_files(tree: Tree, record: SkillRecord) -> set[str]:
    """Return the files that are still as the skills have left them."""
    return {path for path, file in record.files.items() if content_digest(tree, path) == file.after}


def applied_files(tree: Tree) -> set[str]:
    """Return the files that differ from HEAD by a skill alone: a move undoes them.

    Not those that somebody changed, before or afterwards: these count as local changes.
    """
    record = read_record(tree)
    if record is None:
        return set()
    return {path for path in unchanged_files(tree, record) if not record.files[path].differed}


def undo_skills(tree: Tree) -> SkillRecord | None:
    """Undo what skills have changed, and remove the record; return what it was. Can be repeated."""
    record = revert_skills(tree)
    for name in (RECORD, NEXT_SKILLS):
        with suppress(FileNotFoundError):
            os.unlink(f"{tree.git_dir}/{name}")
    if record:
        remove_refs(tree, set())
    return record


def revert_skills(tree: Tree) -> SkillRecord | None:
    """Undo what skills have changed, and leave the record; return it.

    A file that somebody changed afterwards stays as it is.
    """
    record = read_record(tree)
    if record is None:
        return None
    ours = unchanged_files(tree, record)
    before = {path: record.files[path].before for path in ours if record.files[path].differed}
    revert_files(tree, ours - set(before), before)
    for path in ours:
        remove_empty_parents(tree, path)
    return record


def remove_empty_parents(tree: Tree, path: str) -> None:
    """Remove the directories that a removed file leaves empty, as git does."""
    folder = os.path.dirname(path)
    with suppress(OSError):
        while folder:
            os.rmdir(f"{tree.root}/{folder}")
            folder = os.path.dirname(folder)
