"""State of the agent image: its id, its user's ids, and the source that it was built from.

The ids come from the record if it belongs to this image, else from /etc/passwd and /etc/group of the image: by a
container that never starts and is removed at once. git runs as the checkout's owner: a repository can name
programs that git runs.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from typing import Any

from files.pods.common.bounded_output import bounded_output
from files.pods.common.docker import copy_out_argv, run_docker
from files.pods.common.ids import IdentityError, Ids
from files.pods.common.protocol import decode, print_reply, read_request
from files.pods.common.read_untrusted import read_untrusted_bytes
from files.pods.common.run_as_host_user import on_network, run_with_deadline
from files.pods.source.git_worktree import NO_PROGRAMS, other_owner
from files.pods.source.image_state import ImageRecord, ImageState
from files.pods.source.protocol import ImageRequest
from files.pods.source.version_files import AGENT_LOCK

PODMAN = "docker is Podman, which has no docker.service"
MAX_COPIED, COPY_SECONDS = 1 << 20, 30
LOCK_LABEL = "dev.nanoclaw.agent-runner-lock-sha256"
IN_NUMBERS = "Write the image's USER in numbers, UID:GID, then run again."


def daemon() -> tuple[str, bool]:
    """Return why the daemon does not answer ("" if it does), and whether it shifts the ids of containers."""
    try:
        result = run_docker("info", "--format", "{{json .}}")
    except FileNotFoundError:
        return "docker is not installed", False
    if result.returncode != 0:
        return result.stderr.decode(errors="replace").strip() or "no reason given", False
    info = json.loads(result.stdout)
    if "store" in info and "host" in info:  # podman-info(1): docker is Podman's command under that name
        return PODMAN, False
    # Where the daemon is away, some clients say so here and end well.
    failure = "; ".join(info.get("ServerErrors") or [])
    options = info.get("SecurityOptions") or []
    return failure, any(option.split(",")[0] in ("name=rootless", "name=userns") for option in options)


def inspect(image: str) -> dict[str, Any] | None:
    """Return docker's description of the image, or None."""
    result = run_docker("image", "inspect", "--", image)
    if result.returncode != 0:
        return None
    content: dict[str, Any] = json.loads(result.stdout)[0]
    return content


def read_entries(container: str, path: str) -> list[list[str]]:
    """Return the fields of each line of passwd(5) or group(5); none without the file.

    The image decides what is there: exits if that is no regular file, or too long.
    """
    copied = copy_file(container, path)
    if copied is None:
        return []
    try:
        with tarfile.open(fileobj=io.BytesIO(copied)) as archive:
            member = archive.next()
            plain = member is not None and member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
            file = archive.extractfile(member) if member and plain else None
            text = file.read(MAX_COPIED).decode(errors="replace") if file else None
    except tarfile.TarError as error:
        sys.exit(f"{path} of the image cannot be read: {error}. {IN_NUMBERS}")
    if text is None:
        sys.exit(f"{path} of the image is no regular file. {IN_NUMBERS}")
    return [line.split(":") for line in text.splitlines() if line.count(":") >= 2]


def copy_file(container: str, path: str) -> bytes | None:
    """Return the tar archive that `docker cp` makes of a file; None without one. Follows no link."""
    try:
        status, data = bounded_output(copy_out_argv(container, path), COPY_SECONDS, MAX_COPIED)
    except OverflowError:
        sys.exit(f"{path} of the image is longer than {MAX_COPIED >> 20} MiB. {IN_NUMBERS}")
    except TimeoutError:
        sys.exit(f"docker cp of {path} of the image took more than {COPY_SECONDS} s. Run again, or: {IN_NUMBERS}")
    return data if status == 0 else None


def numbers(user: str, passwd: list[list[str]], group: list[list[str]]) -> Ids | None:
    """Return a USER's ids as Docker does: the default group is the user's own, or 0 for a bare number."""
    name, _, group_name = user.partition(":")
    if name in ("", "root", "0") and not group_name:
        return Ids(0, 0)
    entry = next((row for row in passwd if name in (row[0], row[2])), None)
    uid = int(entry[2]) if entry else int(name) if name.isdigit() else None
    if group_name:
        row = next((row for row in group if group_name in (row[0], row[2])), None)
        gid = int(row[2]) if row else int(group_name) if group_name.isdigit() else None
    else:
        gid = int(entry[3]) if entry and len(entry) > 3 else 0
    return None if uid is None or gid is None else Ids(uid, gid)


def user_of(image: str, user: str) -> Ids | None:
    """Return the ids of the image's user, or None if unknown."""
    if all(part.isdigit() for part in user.split(":")) and ":" in user:
        return numbers(user, [], [])
    created = run_docker("create", "--entrypoint", "/nothing", "--", image)
    if created.returncode != 0:
        sys.exit(f"docker create {image}: {created.stderr.decode(errors='replace')}")
    container = created.stdout.decode().strip()
    try:
        return numbers(user, read_entries(container, "/etc/passwd"), read_entries(container, "/etc/group"))
    finally:
        run_docker("rm", "--force", container)


def owner_of(root: str, uid: int, gid: int) -> tuple[int, int]:
    """Return the owner of the checkout: the host user, or still another one.

    On NFS the server decides the owner: there it is the host user, unless that is root.
    """
    if on_network(root):
        return (other_owner(root) if uid == 0 else None) or (uid, gid)
    info = os.lstat(f"{root}/.git")
    return info.st_uid, info.st_gid


def tree_of(root: str, uid: int, gid: int) -> str:
    """Return the tree of container/ in the checkout, with a digest of its local changes."""

    def git(*args: str) -> subprocess.CompletedProcess[bytes]:
        us = {} if os.getuid() == owner[0] else {"user": owner[0], "group": owner[1], "extra_groups": []}
        repository = ["-c", f"safe.directory={root}", "--git-dir", f"{root}/.git", "--work-tree", root]
        command = ["git", *NO_PROGRAMS, *repository, *args]
        plain = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent"}
        environment = {**plain, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C.UTF-8"}
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            command, cwd=root, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, **us
        )

    if not os.path.isdir(f"{root}/.git"):
        return ""
    owner = owner_of(root, uid, gid)
    tree = git("rev-parse", "--verify", "--quiet", "HEAD:container")
    if tree.returncode != 0:
        return ""
    # git diff would refresh the index, in NanoClaw's own repository; status compares contents and writes nothing.
    status = git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=no", "--", "container").stdout
    names = [entry[3:] for entry in status.decode(errors="surrogateescape").split("\0") if entry]
    diff = ("--literal-pathspecs", "-c", "diff.autoRefreshIndex=false", "diff", "--no-ext-diff", "--binary", "HEAD")
    changes = git(*diff, "--", *names).stdout if names else b""
    mark = "+" + hashlib.sha256(changes).hexdigest()[:16] if changes else ""
    return tree.stdout.decode().strip() + mark


def lock_of(root: str) -> str:
    """Return the digest of the lock file of the agent's dependencies in the checkout, or ""."""
    try:
        return hashlib.sha256(read_untrusted_bytes(f"{root}/{AGENT_LOCK}", max_bytes=64 << 20)).hexdigest()
    except OSError:
        return ""


def record(path: str) -> ImageRecord | None:
    """Return the record of the last build, or None."""
    try:
        with open(path, encoding="utf-8") as file:
            return decode(ImageRecord, json.load(file), path)
    except (OSError, ValueError):
        return None


def main() -> None:
    """Print the state."""
    request = read_request(ImageRequest)
    run_with_deadline(150, request.root)
    failure, shifts = daemon()
    image = None if failure else inspect(request.image)
    kept = record(request.record)
    user = image["Config"].get("User", "") if image else ""
    try:
        if image and kept and kept.image == image["Id"]:
            ids: Ids | None = Ids(kept.uid, kept.gid)
        else:
            ids = user_of(request.image, user) if image else None
    except IdentityError as error:
        sys.exit(f"the user of {request.image}: {error}")
    tree = tree_of(request.root, request.uid, request.gid)
    lock = str((image["Config"].get("Labels") or {}).get(LOCK_LABEL) or "")[:64] if image else ""
    present = image["Id"] if image else None
    print_reply(ImageState(failure, shifts, present, user, ids, tree, kept, lock, lock_of(request.root)))


if __name__ == "__main__":
    main()
