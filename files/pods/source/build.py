"""Install NanoClaw's dependencies by its lock file and build it, then write down what it was built from.

The note of an earlier build goes away first, so that an unfinished one is done again. What a channel install without
an end has left is undone before. Native modules are compiled once: again only where they were installed for another
Node, or do not load.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time

from files.pods.common import run_lock
from files.pods.common.atomic_write import replace
from files.pods.common.failure_text import find_cause
from files.pods.common.protocol import read_request
from files.pods.common.read_untrusted import read_untrusted_object
from files.pods.common.run_as_host_user import become_user, discard_write_errors, run_with_deadline, sync_file_system
from files.pods.common.run_command import run_command
from files.pods.service.last_start import digest
from files.pods.source.channel_undo import undo_channel
from files.pods.source.git_trust import trusting
from files.pods.source.git_worktree import STAMP, Tree
from files.pods.source.protocol import BuildRequest

MODULES = ".git/nanoclaw-pods-modules"
"""File of a project root: {"node": the Node of the last complete install of node_modules}."""
NATIVE = "better-sqlite3"
LOAD_SECONDS = 120
OPEN_DATABASE = "const Database = require('better-sqlite3'); new Database(':memory:').close()"
NEEDS_HEADERS = re.compile("node-gyp|gyp ERR!|prebuild|node_api|node[.]h|nodejs[.]org")


def headers_advice(output: str) -> str:
    """Return advice if a native module needs Node's headers."""
    if not NEEDS_HEADERS.search(output):
        return ""
    home = os.environ.get("HOME", "~")
    return (
        "\nA native module needs a prebuilt binary (github.com), or Node's headers (nodejs.org) to be compiled. Make "
        "one of them reachable; or install the headers (Debian: libnode-dev) and write the line nodedir=/usr to "
        f"{home}/.npmrc, for pnpm does not read /etc/npmrc. Then run again."
    )


def run(root: str, *args: str) -> None:
    """Run a build command; exit with the cause if it fails."""
    try:
        done = run_command(args, timeout=None, cwd=root, stderr=subprocess.STDOUT, close_fds=False)
    except OSError as error:
        sys.exit(f"{args[0]} in {root} cannot be started as {os.environ.get('USER')}: {error.strerror}")
    if done.returncode != 0:
        cause = "\n".join(find_cause(done.stdout)) or "it printed nothing"
        sys.exit(f"{' '.join(args)} in {root} failed (status {done.returncode}):\n{cause}{headers_advice(done.stdout)}")


def check_sqlite(root: str) -> None:
    """Open a database with the checkout's own better-sqlite3: some Nodes can install it, but crash with it."""
    if not os.path.isdir(os.path.join(root, "node_modules", NATIVE)):
        return
    argv = ("node", "-e", OPEN_DATABASE)
    done = run_command(argv, timeout=None, cwd=root, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        sys.exit(
            f"better-sqlite3 of {root} opens no database with this Node ({how}): install the Node that the version "
            f"needs, then run again. The service was not touched.\n{done.stdout[-2000:]}"
        )


def installed_node(root: str) -> str | None:
    """Return the Node of node_modules, which the last install or build wrote down."""
    for name in (MODULES, STAMP):
        if note := read_untrusted_object(os.path.join(root, name)):
            return str(note.get("node"))
    return None


def loads(root: str) -> bool:
    """Whether Node can use the native module, if there is one."""
    if not os.path.isdir(os.path.join(root, "node_modules", NATIVE)):
        return True
    argv = ["node", "-e", OPEN_DATABASE]
    try:
        done = run_command(argv, timeout=LOAD_SECONDS, cwd=root)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def install_modules(root: str, node: str | None) -> None:
    """Install the dependencies of the lock file; recompile native modules for another Node."""
    before = installed_node(root) if os.path.exists(os.path.join(root, "node_modules")) else node
    if os.path.exists(os.path.join(root, STAMP)):
        os.unlink(os.path.join(root, STAMP))
    run(root, "pnpm", "install", "--frozen-lockfile")
    if before not in (None, node) or not loads(root):
        run(root, "pnpm", "rebuild")
    replace(os.path.join(root, MODULES), json.dumps({"node": node}).encode())


def main(root: str, source: dict[str, str | None]) -> None:
    """Install, build, and record what was built; without what an unfinished channel install has left."""
    if undo_channel(Tree(root)):
        manifests = {"lock": "pnpm-lock.yaml", "package": "package.json"}
        source = {**source, **{name: digest(os.path.join(root, file)) or "" for name, file in manifests.items()}}
    build_tree(root, source)


def build_tree(root: str, source: dict[str, str | None]) -> None:
    """Install, build, and record what was built."""
    with trusting(root):  # for husky, which asks git
        install_modules(root, source["node"])
        check_sqlite(root)
        run(root, "pnpm", "run", "build")
    if not os.path.exists(os.path.join(root, "dist/index.js")):
        sys.exit(f"pnpm run build succeeded, but there is no {root}/dist/index.js")
    sync_file_system(root)
    replace(os.path.join(root, STAMP), json.dumps({**source, "finished": time.time()}).encode())


if __name__ == "__main__":
    request = read_request(BuildRequest)
    run_lock.acquire(request.lock)
    run_with_deadline(1700, request.root)
    become_user(request.user, request.uid, request.gid)
    discard_write_errors(request.root)
    main(request.root, request.source)
