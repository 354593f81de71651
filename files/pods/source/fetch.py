"""Create the project root with its repository, and fetch the desired commit. Leaves the work tree alone."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext

from files.pods.common import run_lock
from files.pods.common.protocol import read_request
from files.pods.common.run_as_host_user import become_user, mount_of, on_network, run_with_deadline
from files.pods.common.run_command import run_command
from files.pods.service.mount_allowlist import copy_allowlist
from files.pods.source.chown_checkout import chown_to_host, make_directories
from files.pods.source.fetch_for_owner import fetch_bundle, made_bundle, run_in_child
from files.pods.source.git_worktree import Tree, become_owner, git_outside, is_commit, other_owner, shown_url
from files.pods.source.protocol import FetchRequest
from files.pods.source.tmp_leftovers import remove_leftovers

DAEMONS = (b"fsmonitor--daemon", b"credential-cache--daemon", b"credential-cache", b"daemon", b"instaweb")
"""Commands of git that run permanently, and hold no lock of a repository."""


def is_git(pid: str) -> bool:
    """Whether a process is git or its helper, and not another program of such a name (gitea, gitstatusd)."""
    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        name = file.read().strip()
    with open(f"/proc/{pid}/cmdline", "rb") as command:
        argv = command.read(4096).split(b"\0")
    helper = name.startswith(("git-remote-", "git-index-pack", "git-upload-pack"))
    return helper or (name == "git" and not set(DAEMONS) & set(argv))


def git_processes(root: str) -> list[str]:
    """Return processes of git that work in the project root."""
    pids = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            path = os.readlink(f"/proc/{pid}/cwd")
            if (path + "/").startswith(root + "/") and is_git(pid):
                pids.append(pid)
        except OSError:
            continue
    return pids


def remove_stale_locks(git_dir: str) -> None:
    """Remove the locks that a killed git left; the caller knows that no git works here."""
    for folder, folders, names in os.walk(git_dir):
        if folder == git_dir:
            folders[:] = [name for name in folders if name == "refs"]
        for name in names:
            if name.endswith(".lock"):
                os.unlink(os.path.join(folder, name))
                print(f"removed {os.path.join(folder, name)}, which a git that was ended had left")


def owner(path: str) -> tuple[int, int]:
    info = os.lstat(path)
    return info.st_uid, info.st_gid


def check_repository(repository: str, user: str, uid: int, gid: int) -> None:
    """Exit if the host user cannot reach the repository, before the service is stopped.

    Works outside of a repository: another user's configuration may name programs that git starts.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            become_user(user, uid, gid)
            done = git_outside("ls-remote", "--quiet", repository, "HEAD")
            print(done.stderr, end="", file=sys.stderr, flush=True)
            status = done.returncode
        finally:
            os._exit(status)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit(f"{shown_url(repository)} cannot be reached as user {user}; service and owners are unchanged")


def stop_other_user(unit: str, uid: int) -> None:
    """Stop a service that runs as another user than the new owner of its files; a later step starts it.

    It could no longer write its databases, or would leave files that the new user cannot write.
    """
    result = run_command(["systemctl", "show", "--property=MainPID", "--value", unit], timeout=300)
    try:
        with open(f"/proc/{result.stdout.strip() or 0}/status", encoding="utf-8", errors="replace") as file:
            runs_as = next(int(line.split()[2]) for line in file if line.startswith("Uid:"))
    except FileNotFoundError:
        return
    if runs_as == uid:
        return
    print(f"stopping {unit}, which runs as uid {runs_as}, until uid {uid} owns its files")
    stopped = run_command(["systemctl", "stop", unit], timeout=300)
    if stopped.returncode != 0:
        sys.exit(f"{unit} runs as uid {runs_as} and does not stop: {stopped.stderr}")


def run(tree: Tree, *args: str, seconds: int = 60) -> None:
    """Run git; exit with its errors if it fails."""
    done = tree.run(*args, seconds=seconds)
    if done.returncode != 0:
        sys.exit(f"git {args[0]}:\n{done.stderr}")


def prepare(tree: Tree, repository: str) -> None:
    """Create or repair the repository, and set its remote."""
    head_file = os.path.join(tree.git_dir, "HEAD")
    if os.path.exists(head_file) and not os.path.getsize(head_file):
        os.unlink(head_file)  # a power cut while the repository was made: git init makes no new one otherwise
    run(tree, "init", "--quiet")
    head = tree.commit("HEAD")
    if head and tree.run("ls-files", "--cached").returncode == 128:  # not where it only took too long
        os.unlink(os.path.join(tree.git_dir, "index"))
        run(tree, "read-tree", head)
        print("made a new index: the old one was corrupt")
    if head is None:
        tree.begin("")
    run(tree, "config", "remote.origin.url", repository)
    if tree.ask("config", "--get-all", "remote.origin.fetch") is None:
        run(tree, "config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")


def fetch(tree: Tree, repository: str, ref: str) -> None:
    """Fetch every branch with its history, since channels are installed from branches; and the tag, if it is one."""
    if is_commit(ref) and tree.commit(ref):
        return
    listed = tree.run("ls-remote", repository, "refs/tags/" + ref)
    tag = [f"+refs/tags/{ref}:refs/tags/{ref}"] if listed.stdout.strip() else []
    run(tree, "fetch", "--quiet", "--prune", "origin", "+refs/heads/*:refs/remotes/origin/*", *tag, seconds=1500)
    if is_commit(ref) and not tree.resolve(ref):
        run(tree, "fetch", "--quiet", "origin", ref, seconds=1500)
    if not tree.resolve(ref):
        sys.exit(f"{shown_url(repository)} has no tag, branch or commit {ref}: correct nanoclaw_ref")


def fetch_as_owner(tree: Tree, ids: tuple[int, int], request: FetchRequest) -> None:
    """Fetch into root's checkout that another user owns on the server: root reaches the remote, the owner writes."""
    repository, ref = request.repository, request.ref
    needed = request.fetch and not (is_commit(ref) and tree.commit(ref))
    with made_bundle(repository, ref, ids) if needed else nullcontext() as bundle:

        def write() -> None:
            become_owner(ids)
            remove_stale_locks(tree.git_dir)
            prepare(tree, repository)
            if bundle:
                fetch_bundle(tree, bundle)
                if not tree.resolve(ref):
                    sys.exit(f"{shown_url(repository)} has no tag, branch or commit {ref}: correct nanoclaw_ref")

        run_in_child(write)


if __name__ == "__main__":
    request = read_request(FetchRequest)
    root, ids = request.root, (request.uid, request.gid)
    for point in request.mounts:
        if mount_of(point)[0] != point:
            sys.exit(f"{point} is not mounted, and files would land on the local disk: mount it, then run again")
    run_lock.acquire(request.lock)
    run_with_deadline(1700, root)
    busy = git_processes(root)
    if busy:
        sys.exit(f"git is at work in {root} (process {', '.join(busy)}): let it finish, then run again")
    owned = request.decides_owner or not on_network(root)
    if not owned:
        become_user(request.user, *ids)
    tree = Tree(root)
    if not os.path.isdir(tree.git_dir) and tree.foreign():
        sys.exit(f"{root} is no checkout and holds {', '.join(tree.foreign())}: move that away")
    of_another = owned and os.path.isdir(tree.git_dir) and owner(tree.git_dir) != ids
    if of_another:
        before = owner(tree.git_dir)[0]
        if request.fetch:
            check_repository(request.repository, request.user, *ids)
        stop_other_user(request.unit, request.uid)
        copy_allowlist(before, request.user, *ids)
        remove_leftovers(before)
    make_directories(root, ids if owned else None)
    if of_another:
        chown_to_host(root, before, *ids)
    if other := other_owner(root) if ids[0] == 0 else None:
        fetch_as_owner(tree, other, request)
        sys.exit()
    if owned:
        become_user(request.user, *ids)
    remove_stale_locks(tree.git_dir)
    prepare(tree, request.repository)
    if request.fetch:
        fetch(tree, request.repository, request.ref)
