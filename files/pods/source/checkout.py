"""The checkout of NanoClaw in the project root, and the source of its last build. Changes nothing.

Runs as the host user. Asks the remote only if the repository does not have the answer.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from files.pods.common.protocol import decode, print_reply, read_request
from files.pods.common.read_untrusted import read_untrusted_bytes, read_untrusted_object
from files.pods.common.run_as_host_user import HOST_PATH, become_user, on_network, run_with_deadline
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.common.run_command import run_command
from files.pods.source.desired_commit import NO_REPOSITORY, remote_commit, repository_state
from files.pods.source.git_worktree import STAMP, Tree
from files.pods.source.protocol import BuildState, CheckoutRequest, CheckoutState, RepositoryState, VersionState
from files.pods.source.tmp_leftovers import leftovers
from files.pods.source.version_state import fetch_aside, fetched_version, previous_checkout, version_state

MOST = 64 << 20


def owner(path: str) -> tuple[int, int] | None:
    try:
        info = os.lstat(path)
    except OSError:
        return None
    return info.st_uid, info.st_gid


def look_as_owner(request: CheckoutRequest, tree: Tree, owner: tuple[int, int]) -> tuple[RepositoryState, VersionState]:
    """Look at another user's checkout with its owner's git, and at the remote with the host user's."""

    def as_user(user: str, ids: tuple[int, int], work: Callable[[], Any]) -> dict[str, Any]:
        def switched() -> Any:
            become_user(user, *ids)
            return work()

        return run_as(ROOT, 90, switched)

    ids, named = (request.uid, request.gid), (request.repository, request.ref)
    remote = as_user(request.user, ids, lambda: remote_commit(None, *named))
    known = tuple(remote.get("value") or (None, remote.get("text")))
    try:
        user = pwd.getpwuid(owner[0]).pw_name
    except KeyError:
        user = str(owner[0])

    def look() -> list[dict[str, Any]]:
        current = repository_state(tree, request.ref, lambda: known)
        # Only the host user can fetch, and it may not read this repository.
        here = replace(request, peek=False)
        return [asdict(current), asdict(version_reply(tree, here, current.commit, current.desired))]

    state = as_user(user, owner, look)
    if "value" not in state:
        sys.exit(f"{tree.root}: {state['text']}")
    repository, version = decode(tuple[RepositoryState, VersionState], state["value"], request.entry)
    if request.peek and version.previous and version.needs is None:
        fetched = as_user(request.user, ids, lambda: fetched_version(request, repository.desired))
        version = replace(version, fetched=fetched.get("value"))
    return repository, version


def version_reply(tree: Tree, request: CheckoutRequest, head: str | None, desired: str | None) -> VersionState:
    """Return what the desired version needs, if its files are available, and what it would replace."""
    state = needs_reply(tree, request, head, desired)
    return replace(state, previous=previous_checkout(tree, head)) if head and head != desired else state


def needs_reply(tree: Tree, request: CheckoutRequest, head: str | None, desired: str | None) -> VersionState:
    """Return what the desired version needs, if its files are available."""
    if head is None and os.path.isdir(tree.git_dir):
        desired = tree.resolve(request.ref)
    if desired and os.path.isdir(tree.git_dir) and tree.commit(desired):
        return version_state(tree, head, desired, request.onecli)
    if not request.peek:
        return VersionState()
    with fetch_aside(request.repository, request.ref, desired) as fetched:
        return version_state(tree, head, fetched[1], request.onecli, fetched[0]) if fetched else VersionState()


def digest(path: str) -> str | None:
    """Return the SHA-256 of a file, or None."""
    try:
        return hashlib.sha256(read_untrusted_bytes(path, max_bytes=MOST)).hexdigest()
    except OSError:
        return None


def version(*args: str) -> str | None:
    """Return the version that a program prints, or None."""
    try:
        done = run_command(args, timeout=60, cwd="/")
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"[0-9]+\.[0-9]+\.[0-9]+\S*", done.stdout)
    return match[0] if match and done.returncode == 0 else None


def pnpm_version() -> str | None:
    """Return the version of the first pnpm in PATH; from its package.json if possible, since it starts slowly."""
    path = shutil.which("pnpm")
    if path is None:
        return None
    about = package_of(path)
    if about.get("name") == "corepack":
        return None  # it downloads the version that the project names
    return str(about.get("version")) if about.get("name") == "pnpm" else version(path, "--version")


def pnpm_in_the_way() -> bool:
    """Whether another program than npm's has pnpm's name, such as corepack's: npm would fail with EEXIST."""
    paths = (f"{folder}/{name}" for folder in HOST_PATH.split(":") for name in ("pnpm", "pnpx"))
    return any(package_of(path).get("name") != "pnpm" for path in paths if os.path.lexists(path))


def package_of(path: str) -> dict[str, Any]:
    """Return the package.json of the package of a program in bin/."""
    place = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(path))), "package.json")
    return read_untrusted_object(place, follow=True)


def tools() -> list[str | None]:
    """Return the paths of node and npm."""
    return [shutil.which(name, path=HOST_PATH) for name in ("node", "npm")]


def npm_path(roots: list[str | None], theirs: list[str | None]) -> str | None:
    """Return the PATH that gives root the host user's npm; None if both find the same Node and npm."""
    if roots == theirs or None in theirs:
        return None
    return ":".join(dict.fromkeys([*(os.path.dirname(path) for path in theirs if path), *HOST_PATH.split(":")]))


def pinned(root: str) -> tuple[str | None, str | None]:
    """Return the version of pnpm that package.json's packageManager names, and its digest."""
    text = str(read_untrusted_object(os.path.join(root, "package.json")).get("packageManager", ""))
    named = re.match(r"pnpm@([0-9][0-9A-Za-z.-]*)(?:\+([a-z0-9]+\.[0-9A-Fa-f]+))?$", text)
    return (named[1], named[2]) if named else (None, None)


def compiles(root: str) -> bool:
    """Whether the lock file names the package of NanoClaw that may need a compiler."""
    try:
        return b"better-sqlite3@" in read_untrusted_bytes(os.path.join(root, "pnpm-lock.yaml"), max_bytes=MOST)
    except OSError:
        return False


def build_state(root: str, commit: str | None, node: str | None) -> BuildState:
    """Return what the next build would use, and what the last one used."""
    pin, pin_digest = pinned(root)
    return BuildState(
        pnpm_pin=pin,
        pnpm_digest=pin_digest,
        pnpm=pnpm_version(),
        tools_missing=compiles(root) and not all(shutil.which(tool) for tool in ("g++", "make")),
        built=read_untrusted_object(os.path.join(root, STAMP)) or None,
        source={
            "commit": commit,
            "lock": digest(os.path.join(root, "pnpm-lock.yaml")),
            "package": digest(os.path.join(root, "package.json")),
            "node": node.split(".")[0] if node else None,
        },
        outputs=all(os.path.exists(os.path.join(root, name)) for name in ("dist/index.js", "node_modules")),
    )


def main(request: CheckoutRequest) -> CheckoutState:
    """Look as the owner of the checkout, then as the host user."""
    root, tree = request.root, Tree(request.root)
    owned = (".", "data", ".git") if request.decides_owner or not on_network(root) else ()
    owners = {path: owner(os.path.join(root, path)) for path in owned}
    before = owners.get(".git")
    if before and (before[0] == request.uid or not os.path.isdir(tree.git_dir)):
        before = None
    theirs = look_as_owner(request, tree, before) if before and shutil.which("git") else None
    roots = tools()
    become_user(request.user, request.uid, request.gid)
    git = shutil.which("git") is not None
    if theirs:
        repository, needs = theirs
    else:
        repository = host_repository(request, tree, git)
        needs = version_reply(tree, request, repository.commit, repository.desired) if git else VersionState()
    node = version("node", "--version")
    return CheckoutState(
        **vars(repository),
        **vars(build_state(root, repository.commit, node)),
        git=git,
        link=os.path.islink(root),
        owners=owners,
        pnpm_in_the_way=pnpm_in_the_way(),
        npm_path=npm_path(roots, tools()),
        node=node,
        leftovers=tuple(leftovers(before[0])) if before else (),
        version=needs,
    )


def host_repository(request: CheckoutRequest, tree: Tree, git: bool) -> RepositoryState:
    """Return the state of the host user's repository; without git, that of none."""
    if not os.path.isdir(tree.git_dir):
        other = [".git"] if os.path.lexists(tree.git_dir) else []
        return replace(NO_REPOSITORY, foreign=[*tree.foreign(), *other])
    if not git:
        return NO_REPOSITORY
    return repository_state(tree, request.ref, lambda: remote_commit(tree, request.repository, request.ref))


if __name__ == "__main__":
    request = read_request(CheckoutRequest)
    run_with_deadline(240, request.root)
    print_reply(main(request))
