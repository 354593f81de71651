"""Archive what an earlier attempt of a migration left of v2, so that the next one starts empty.

Central database, sessions and groups move into nanoclaw-pods-aside-N beside each of them, on the same file system, and
stay there. Entries that came from v1 leave .env, but for those that the role sets. Only what this role's migration has
made moves: nothing without an earlier attempt, and no staging that was never started. Reply: {"moved": [new paths…]}.
Runs as the host user, who owns these files.
"""

from __future__ import annotations

import json
import os
import sys

from files.pods.common.atomic_write import replace
from files.pods.common.dotenv import V1_HEADING, parse
from files.pods.common.protocol import read_request
from files.pods.common.read_untrusted import read_untrusted_bytes, read_untrusted_text
from files.pods.common.run_as_host_user import become_user, on_network
from files.pods.transition.protocol import ArchiveRequest
from files.pods.trees.entry import OPEN_DIRECTORY, open_directory


def move(directory: str, names: list[str], archive: str) -> bool:
    """Move entries of a directory to the archive; a call after an interrupted one moves the rest."""
    present = [name for name in names if os.path.lexists(f"{directory}/{name}")]
    if present:
        os.makedirs(archive, exist_ok=True)
    for name in present:
        os.rename(f"{directory}/{name}", f"{archive}/{name}")
    return bool(present)


def new_archive(parent: str) -> str:
    """Return an archive path that does not exist yet."""
    number = 1
    while os.path.lexists(f"{parent}/nanoclaw-pods-aside-{number}"):
        number += 1
    return f"{parent}/nanoclaw-pods-aside-{number}"


def remove_copied_entries(path: str, copied: set[str], archive: str) -> None:
    """Remove the entries from .env that NanoClaw's own step copied from v1: v1 may have others now.

    Entries that were added since stay. A copy of the whole file goes to the archive.
    """
    try:
        text = read_untrusted_bytes(path).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return
    before, mark, after = text.partition(V1_HEADING)
    if not mark:
        return
    lines = [line for line in after.splitlines(keepends=True) if not copied & set(parse(line))]
    os.makedirs(archive, exist_ok=True)
    replace(f"{archive}/.env", text.encode("utf-8", "surrogateescape"), 0o600)
    rest = "".join(lines).lstrip("\n")
    replace(path, f"{before.rstrip(chr(10))}\n{rest}".encode("utf-8", "surrogateescape"), 0o600)


def archive_paths(request: ArchiveRequest) -> dict[str, str]:
    """Return the archive of each directory that has something to move."""
    parents = (f"{request.root}/data", *map(os.path.dirname, request.trees.values()))
    return {parent: new_archive(parent) for parent in parents}


def create_archives(archives: dict[str, str], uid: int, gid: int) -> None:
    """Create the archives as root, on disks of this machine, where root owns the parents.

    Others may write in some parents, so each new directory is chowned by its descriptor.
    """
    for parent, archive in archives.items():
        if not on_network(parent):
            parent_fd, name = open_directory(parent), os.path.basename(archive)
            try:
                os.mkdir(name, 0o700, dir_fd=parent_fd)
                fd = os.open(name, OPEN_DIRECTORY, dir_fd=parent_fd)
                if os.fstat(fd).st_uid != os.geteuid() or os.listdir(fd):
                    sys.exit(
                        f"{archive} was replaced while it was created. Find out who writes in {parent}, then run again."
                    )
                os.fchown(fd, uid, gid)
                os.fchmod(fd, 0o755)
                os.close(fd)
            finally:
                os.close(parent_fd)


def main(request: ArchiveRequest, due: bool, copied: set[str], archives: dict[str, str]) -> dict[str, list[str]]:
    """Archive what an earlier attempt left.

    + copied: names in v1's .env that the role does not set
    """
    data = f"{request.root}/data"
    remove_copied_entries(f"{request.root}/.env", copied, archives[data])
    if not due:
        return {"moved": []}
    moved = []
    for name, tree in request.trees.items():
        archive = f"{archives[os.path.dirname(tree)]}/{name}"
        if move(tree, [entry for entry in sorted(os.listdir(tree)) if entry != "lost+found"], archive):
            moved.append(archive)
    archive = archives[data]
    # The database goes last: while it is there, the next attempt notices an interrupted archive and finishes it.
    if move(data, ["v2.db-wal", "v2.db-shm", "v2.db"], archive):
        moved.append(archive)
    return {"moved": moved}


if __name__ == "__main__":
    request = read_request(ArchiveRequest)
    with open(request.journal, encoding="utf-8") as file:
        journal = json.load(file)
    if journal["attempt"] < 2 or not os.path.lexists(f"{request.root}/data/v2.db"):
        print(json.dumps({"moved": []}))
        sys.exit()
    copied = parse(read_untrusted_text(f"{request.snapshot}/.env") or "")  # as root: it may be another user's
    archives = archive_paths(request)
    if journal["aside"]:
        create_archives(archives, request.uid, request.gid)
    become_user(request.user, request.uid, request.gid)
    print(json.dumps(main(request, journal["aside"], set(copied) - set(request.env_set), archives)))
