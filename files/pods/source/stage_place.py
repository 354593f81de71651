"""Where a version is staged, and what a switch keeps of the one before: for programs that import it.

Beside the project root, on its file system, so that a switch renames and copies nothing. Programs of a build search
the directories above theirs for modules and workspaces, so a stage inside the project root would find the old ones.
"""

from __future__ import annotations

import os
import stat
import sys

from files.pods.common.run_as_host_user import mount_of, on_network

STAGE, KEPT = "stage", "kept"
OUTPUTS = ("node_modules", "dist")
"""What a build makes in a project root."""
SWITCHED = "nanoclaw-pods-switched"
"""File in .git while a switch is undecided: its commits, and what its way back needs (switch_to_stage.py)."""


def place_of(root: str) -> str:
    """Return the directory of stage and kept: a sibling; in .git if the project root is a mount of its own.

    rename(2) fails between two mounts, even of one file system.
    """
    above, name = os.path.split(root.rstrip("/"))
    if os.stat(above).st_dev != os.stat(root).st_dev or mount_of(above) != mount_of(root):
        return f"{root}/.git/nanoclaw-pods-stage"
    return f"{above}/.{name}.nanoclaw-pods"


def stage_of(root: str) -> str:
    """Return the directory of the staged version: a project root of its own."""
    return f"{place_of(root)}/{STAGE}"


def kept_of(root: str) -> str:
    """Return the directory for what the switch takes out of the project root."""
    return f"{place_of(root)}/{KEPT}"


def make_place(root: str, ids: tuple[int, int]) -> None:
    """Make the directory for the host user; as root where this machine decides owners. Exit if it is another's."""
    place = place_of(root)
    try:
        os.mkdir(place, 0o700)
    except FileExistsError:
        pass
    except PermissionError:
        sys.exit(
            f"a new version is staged in {place}, and uid {os.geteuid()} may not make it: make that directory for uid "
            f"{ids[0]}, mode 0700, then run again"
        )
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        info = os.fstat(fd)
        if os.geteuid() == 0 and info.st_uid == 0 and ids[0] != 0 and not on_network(root):
            os.fchown(fd, *ids)
        elif info.st_uid not in (ids[0], os.geteuid()) and not on_network(root):
            sys.exit(f"{place} belongs to uid {info.st_uid}: move it away, then run again")
        if stat.S_IMODE(info.st_mode) & 0o022:
            sys.exit(f"{place} is writable by others: move it away, then run again")
    finally:
        os.close(fd)


def check_renames(root: str) -> None:
    """Exit if a switch could not rename what a build made: it would fail once the service is stopped."""
    place = place_of(root)
    for name in (".git", *OUTPUTS):
        path = f"{root}/{name}"
        is_there = os.path.lexists(path) and not os.path.islink(path)
        if is_there and (mount_of(path) != mount_of(place) or os.lstat(path).st_dev != os.lstat(place).st_dev):
            sys.exit(
                f"{path} is on another mount than {place}, where a new version is staged: unmount it, then run again"
            )
