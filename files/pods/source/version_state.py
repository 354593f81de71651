"""What a version of NanoClaw needs, and what of it is there. Runs as the host user, and changes nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from files.pods.common.read_untrusted import read_untrusted_object, read_untrusted_text
from files.pods.service.onecli_health import onecli_health
from files.pods.source.central_database import copies, database, migrations
from files.pods.source.git_worktree import OURS, Tree, git_outside
from files.pods.source.protocol import CheckoutRequest, DatabaseCopy, DatabaseState, PreviousCheckout, VersionState
from files.pods.source.setup_commits import setup_commits
from files.pods.source.skill_record import applied_skills
from files.pods.source.version_files import AGENT_LOCK, GATEWAYS, VersionFiles, read_needs

MARKER, MARKED = "data/upgrade-state.json", ".git/nanoclaw-pods-marked"
"""NanoClaw's own record of an upgrade, and the commit for which the role has set it."""
STUBS = "data/onecli"


@contextmanager
def fetch_aside(repository: str, ref: str, desired: str | None) -> Iterator[tuple[str, str] | None]:
    """Fetch a commit to a temporary repository; yield its directory and the commit, or None.

    + desired: the commit of the ref, if known
    """
    path = tempfile.mkdtemp(prefix="nanoclaw-pods-")
    names = [f"refs/tags/{ref}", f"refs/heads/{ref}", *([desired] if desired else []), ref]
    try:
        made = git_aside(path, "init", "--quiet", "--bare") is not None
        for name in names if made else []:
            if git_aside(path, "fetch", "--quiet", "--depth=1", "--no-tags", repository, name) is not None:
                commit = (git_aside(path, "rev-parse", "--verify", "FETCH_HEAD^{commit}") or "").strip()
                if commit and desired in (None, commit):
                    yield path, commit
                    return
        yield None
    finally:
        shutil.rmtree(path, ignore_errors=True)


def git_aside(path: str, *args: str) -> str | None:
    """Return the output of git in a repository of ours, or None if it fails."""
    done = git_outside("--git-dir", path, *args)
    return done.stdout if done.returncode == 0 else None


def unmarked(tree: Tree, version: str) -> str:
    """Return why NanoClaw would refuse to start without a new marker; "" if it would start."""
    head = tree.commit("HEAD")
    state = read_untrusted_object(os.path.join(tree.root, MARKER))
    if not state:
        return f"{MARKER} is not there, or cannot be read"
    if state.get("version") != version:
        return f"{MARKER} is of {str(state.get('version'))[:60]}, and {version} is checked out"
    commit = state.get("commit")
    if commit is not None and (commit, state.get("tree")) != (head, tree.ask("rev-parse", "HEAD^{tree}")):
        return f"{MARKER} is of another commit"
    marked = (read_untrusted_text(os.path.join(tree.root, MARKED)) or "").strip()
    return "" if marked == head else f"{MARKER} was not set since HEAD moved"


def named_version(package: str | bytes) -> str | None:
    """Return the version that a package.json names."""
    try:
        return str(json.loads(package)["version"])[:60]
    except (ValueError, TypeError, KeyError):
        return None


def fetched_version(request: CheckoutRequest, desired: str | None) -> str | None:
    """Return the version of the desired commit, by its package.json at the remote."""
    with fetch_aside(request.repository, request.ref, desired) as fetched:
        package = git_aside(fetched[0], "cat-file", "blob", f"{fetched[1]}:package.json") if fetched else None
    return named_version(package or "")


def previous_checkout(tree: Tree, head: str) -> PreviousCheckout | None:
    """Return what is checked out; None where the role has left a file in .git."""
    if any(name.startswith(OURS) for name in os.listdir(tree.git_dir)):
        return None
    version = named_version(tree.blob(head, "package.json") or b"")
    is_tag = version is not None and re.fullmatch("[0-9A-Za-z.+-]+", version) and tree.commit(f"refs/tags/v{version}")
    return PreviousCheckout(version, f"v{version}" if is_tag == head else head)


def has_stubs(files: VersionFiles) -> bool:
    """Whether the version has a gateway of its own setup, and OneCLI's has left credential stubs for agents."""
    if files.text(f"{GATEWAYS}/installed.ts") is None:
        return False
    try:
        with os.scandir(os.path.join(files.tree.root, STUBS)) as entries:
            return any(entry.is_file(follow_symlinks=False) for entry in entries)
    except OSError:
        return False


def database_state(files: VersionFiles) -> DatabaseState:
    """Return the migrations that the version does not know, and the newest copy with only known ones."""
    root = files.tree.root
    try:
        path = database(root)
        applied = migrations(path) if path else []
    except (OSError, sqlite3.Error) as error:
        return DatabaseState(there=True, error=str(error)[:200], newer=[], copy=None)
    kept = copies(root)
    known = files.knows(sorted({name for one in [applied, *(it["migrations"] for it in kept)] for name in one}))
    fits = next((it for it in kept if set(it["migrations"]) <= known), None)
    newer = [name for name in applied if name not in known]
    copy = DatabaseCopy(fits["file"], fits["version"], fits["made"]) if fits else None
    return DatabaseState(path is not None, "", newer, copy)


def version_state(
    tree: Tree, head: str | None, desired: str, onecli: str | None, git_dir: str | None = None
) -> VersionState:
    """Return the state of a version on this machine.

    + git_dir: the repository that has the desired commit, if not the checkout's
    """
    files = VersionFiles(tree, head, desired, git_dir)
    needs = read_needs(files)
    if needs is None:
        return VersionState()
    moves = head != desired
    return VersionState(
        needs=needs,
        unmarked="" if moves or not needs.marker else unmarked(tree, needs.version),
        lock_changed=files.differs(AGENT_LOCK) if head else None,
        container_changed=files.differs("container") if head else None,
        health=onecli_health(tree.root, onecli) if (needs.api or needs.gateway) and moves else None,
        database=database_state(files),
        applied=applied_skills(tree),
        stubs=has_stubs(files),
        setup=tuple(setup_commits(tree, head)[1]) if head and moves else (),
    )
