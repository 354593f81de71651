"""A fetch in two halves.

Root fetches from the remote to a repository of its own. The owner of the checkout fetches from a bundle
(git-bundle(1)): neither reads the other's configuration, and root's keys stay root's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from files.pods.common.run_as_ids import Ids
from files.pods.source.git_worktree import Tree, git_outside, is_commit

FETCH_SECONDS = 1500
PLACE = "/var/tmp"
"""On a disk: /tmp may be memory (systemd, tmp.mount), and this is the whole history, twice."""
KEPT = "refs/nanoclaw-pods/"
"""For a commit that no branch has."""


@contextmanager
def made_bundle(repository: str, ref: str, ids: Ids) -> Iterator[str]:
    """Yield a file with every branch, the tag of that name, and the commit; only the owner can read it."""
    path = tempfile.mkdtemp(prefix="nanoclaw-pods-", dir=PLACE)
    file = os.path.join(path, "bundle")
    try:
        must(path, "init", "--quiet", "--bare")
        must(path, "fetch", "--quiet", repository, "+refs/heads/*:refs/heads/*")
        git(path, "fetch", "--quiet", "--no-tags", repository, f"+refs/tags/{ref}:refs/tags/{ref}")
        if is_commit(ref) and git(path, "cat-file", "-e", ref + "^{commit}").returncode != 0:
            git(path, "fetch", "--quiet", "--no-tags", repository, f"+{ref}:{KEPT}wanted")
        must(path, "bundle", "create", "--quiet", file, "--all")
        os.chmod(file, 0o400)
        os.chown(file, *ids)
        os.chown(path, 0, ids[1])
        os.chmod(path, 0o710)
        yield file
    finally:
        shutil.rmtree(path, ignore_errors=True)


def git(path: str, *args: str) -> subprocess.CompletedProcess[str]:
    """Run git in the bundle's repository."""
    return git_outside("--git-dir", path, *args, seconds=FETCH_SECONDS)


def must(path: str, *args: str) -> None:
    """Run git; exit with its errors if it fails."""
    done = git(path, *args)
    if done.returncode != 0:
        sys.exit(f"git {args[0]}:\n{done.stderr}")


def fetch_bundle(tree: Tree, bundle: str) -> None:
    """Fetch from a bundle; exit if that fails."""
    branches = ("--prune", bundle, "+refs/heads/*:refs/remotes/origin/*")
    others = (bundle, "+refs/tags/*:refs/tags/*", f"+{KEPT}*:{KEPT}*")
    for args in (branches, others):
        done = tree.run("fetch", "--quiet", "--no-tags", *args, seconds=FETCH_SECONDS)
        if done.returncode != 0:
            sys.exit(f"git fetch:\n{done.stderr}")


def run_in_child(work: Callable[[], None]) -> None:
    """Run `work` in a child; exit if it fails. The child prints the error."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except SystemExit as refused:
            print(refused, file=sys.stderr)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit(1)
