"""The checkout of NanoClaw in the project root, and what it was last built from. Changes nothing.

Looks as the host user, and only where the answer cannot be known from what is here does it ask the remote.
"""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from files.pods.common.protocol import read_request
from files.pods.common.read_untrusted import read_untrusted_bytes
from files.pods.common.run_as_host_user import HOST_PATH, become_user, on_network, run_with_deadline
from files.pods.common.run_as_ids import ROOT, run_as
from files.pods.source.git_worktree import STAMP, Tree
from files.pods.source.protocol import CheckoutRequest
from files.pods.source.tmp_leftovers import leftovers
from files.pods.source.version_state import UNKNOWN, fetched_aside, version_state
from files.pods.source.wanted_commit import remote_commit, repository_state

MOST = 64 << 20


def owner(path: str) -> list[int] | None:
    """Return the owner of a path, or None."""
    try:
        info = os.lstat(path)
    except OSError:
        return None
    return [info.st_uid, info.st_gid]


def of_another(request: CheckoutRequest, tree: Tree, owner: tuple[int, int]) -> dict[str, Any]:
    """What the owner's git says of a checkout that is still another user's, and the host user's of the remote."""

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

    def looked() -> dict[str, Any]:
        found = repository_state(tree, request.ref, lambda: known)
        # What is not here yet can only be fetched as the host user, who may not read what is here.
        here = replace(request, peek=False)
        return {**found, "version": judged(tree, here, found.get("commit"), found.get("desired"))}

    state = as_user(user, owner, looked)
    if "value" not in state:
        sys.exit(f"{tree.root}: {state['text']}")
    found: dict[str, Any] = state["value"]
    return found


def judged(tree: Tree, request: CheckoutRequest, head: str | None, desired: str | None) -> dict[str, Any]:
    """What the wanted version needs, where its files can be had."""
    if head is None and os.path.isdir(tree.git_dir):
        desired = tree.resolve(request.ref)
    if desired and os.path.isdir(tree.git_dir) and tree.commit(desired):
        return version_state(tree, head, desired, request.onecli)
    if not request.peek:
        return UNKNOWN
    with fetched_aside(request.repository, request.ref, desired) as found:
        return version_state(tree, head, found[1], request.onecli, found[0]) if found else UNKNOWN


def digest(path: str) -> str | None:
    """Return the SHA-256 of a file, or None."""
    try:
        return hashlib.sha256(read_untrusted_bytes(path, max_bytes=MOST)).hexdigest()
    except OSError:
        return None


def version(*args: str) -> str | None:
    """Return the version that a program prints, or None."""
    try:
        done = subprocess.run(args, capture_output=True, text=True, timeout=60, cwd="/", stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"[0-9]+\.[0-9]+\.[0-9]+\S*", done.stdout)
    return match[0] if match and done.returncode == 0 else None


def pnpm_version() -> str | None:
    """The version of the pnpm that is found first; read where it can be, since starting it takes seconds."""
    path = shutil.which("pnpm")
    if path is None:
        return None
    about = package_of(path)
    if about.get("name") == "corepack":
        return None  # it has the version of whatever asks, and downloads that
    return str(about.get("version")) if about.get("name") == "pnpm" else version(path, "--version")


def pnpm_in_the_way() -> bool:
    """Whether something has pnpm's name that npm did not install as pnpm, such as corepack's: npm ends in EEXIST."""
    paths = (f"{folder}/{name}" for folder in HOST_PATH.split(":") for name in ("pnpm", "pnpx"))
    return any(package_of(path).get("name") != "pnpm" for path in paths if os.path.lexists(path))


def package_of(path: str) -> dict[str, Any]:
    """The package.json of the package that a program in its bin directory belongs to."""
    place = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(path))), "package.json")
    try:
        with open(place, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def tools() -> list[str | None]:
    """Return the paths of node and npm."""
    return [shutil.which(name, path=HOST_PATH) for name in ("node", "npm")]


def npm_path(roots: list[str | None], theirs: list[str | None]) -> str | None:
    """The PATH with which root's npm is the host user's, where root finds another Node or npm than that user."""
    if roots == theirs or None in theirs:
        return None
    return ":".join(dict.fromkeys([*(os.path.dirname(path) for path in theirs if path), *HOST_PATH.split(":")]))


def pinned(root: str) -> tuple[str | None, str | None]:
    """The version of pnpm that the project asks for, and its digest, in package.json's packageManager."""
    try:
        content = json.loads(read_untrusted_bytes(os.path.join(root, "package.json")))
        text = str(content.get("packageManager", ""))
    except (OSError, ValueError, AttributeError):
        return None, None
    named = re.match(r"pnpm@([0-9][0-9A-Za-z.-]*)(?:\+([a-z0-9]+\.[0-9A-Fa-f]+))?$", text)
    return (named[1], named[2]) if named else (None, None)


def compiles(root: str) -> bool:
    """Whether the lock file names the package of NanoClaw that may have to be compiled."""
    try:
        return b"better-sqlite3@" in read_untrusted_bytes(os.path.join(root, "pnpm-lock.yaml"), max_bytes=MOST)
    except OSError:
        return False


def stamp(root: str) -> dict[str, Any] | None:
    """Return the record of the last build, or None."""
    try:
        content = json.loads(read_untrusted_bytes(os.path.join(root, STAMP)))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def build_state(root: str, commit: str | None) -> dict[str, Any]:
    """Return what the next build would use, and what the last one used."""
    node, (pin, pin_digest) = version("node", "--version"), pinned(root)
    return {
        "pnpm_pin": pin,
        "pnpm_digest": pin_digest,
        "pnpm": pnpm_version(),
        "tools_missing": compiles(root) and not all(shutil.which(tool) for tool in ("g++", "make")),
        "built": stamp(root),
        "source": {
            "commit": commit,
            "lock": digest(os.path.join(root, "pnpm-lock.yaml")),
            "package": digest(os.path.join(root, "package.json")),
            "node": node.split(".")[0] if node else None,
        },
        "node": node,
        "outputs": all(os.path.exists(os.path.join(root, name)) for name in ("dist/index.js", "node_modules")),
    }


if __name__ == "__main__":
    request = read_request(CheckoutRequest)
    root = request.root
    run_with_deadline(240, root)
    owned = (".", "data", ".git") if request.gives or not on_network(root) else ()
    owners = {path: owner(os.path.join(root, path)) for path in owned}
    tree = Tree(root)
    before = owners.get(".git")
    other = before is not None and before[0] != request.uid and os.path.isdir(tree.git_dir)
    theirs = of_another(request, tree, (before[0], before[1])) if before and other and shutil.which("git") else None
    roots = tools()
    become_user(request.user, request.uid, request.gid)
    reply: dict[str, Any] = {
        "git": shutil.which("git") is not None,
        "link": os.path.islink(root),
        "owners": owners,
        "leftovers": leftovers(before[0]) if before and other else [],
        "foreign": [],
        "remote": None,
        "commit": None,
        "desired": None,
        "unresolved": None,
        "changed": [],
    }
    if theirs is not None:
        reply.update(theirs)
    elif os.path.isdir(tree.git_dir):
        if reply["git"]:
            repository, ref = request.repository, request.ref
            reply.update(repository_state(tree, ref, lambda: remote_commit(tree, repository, ref)))
    else:
        reply["foreign"] = tree.foreign()
        if os.path.lexists(tree.git_dir):
            reply["foreign"].append(".git")
    reply.update(build_state(root, reply["commit"]))
    reply.update({"pnpm_in_the_way": pnpm_in_the_way(), "npm_path": npm_path(roots, tools())})
    if theirs is None:
        reply["version"] = judged(tree, request, reply["commit"], reply["desired"]) if reply["git"] else UNKNOWN
    print(json.dumps(reply))
